#include "space/free_log.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "base/varint.h"

namespace johnny::space {
namespace {

using format::ChildRef;
using format::PageType;

constexpr size_t kStreamHeader = format::kPageHeaderSize + format::kChildRefSize;

void AppendRuns(std::string* out, absl::Span<const Run> runs) {
  AppendVarint(out, runs.size());
  PageNumber at = 0;
  for (const Run& run : runs) {
    AppendVarint(out, run.first - at);
    AppendVarint(out, run.pages);
    at = run.end();
  }
}

void AppendRef(std::string* out, const ChildRef& ref) {
  AppendVarint(out, ref.page);
  AppendVarint(out, ref.checksum);
}

// Reads the fields of a record or segment, remembering whether any was bad.
class Reader {
 public:
  explicit Reader(Slice bytes) : in_(bytes) {}

  uint64_t Number() {
    uint64_t value = 0;
    ok_ = ok_ && TakeVarint(&in_, &value);
    return ok_ ? value : 0;
  }
  // A count of things of at least `bytes_each` bytes, so that a lie cannot make us allocate.
  uint64_t Count(uint64_t bytes_each) {
    uint64_t count = Number();
    ok_ = ok_ && count <= in_.size() / bytes_each;
    return ok_ ? count : 0;
  }
  // The next run behind *at, which moves to its end.
  Run NextRun(PageNumber* at) {
    uint64_t gap = Number();
    uint64_t pages = Number();
    ok_ = ok_ && gap <= kMax48 && pages > 0 && pages <= kMax48 && *at + gap + pages <= format::kMaxPageNumber;
    if (!ok_) {
      return {};
    }
    Run run{*at + gap, pages};
    *at = run.end();
    return run;
  }
  std::vector<Run> Runs() {
    std::vector<Run> runs(Count(2));
    PageNumber at = 0;
    for (Run& run : runs) {
      run = NextRun(&at);
    }
    return runs;
  }
  ChildRef Ref() {
    ChildRef ref;
    ref.page = Number();
    ref.checksum = static_cast<uint32_t>(Number());
    ok_ = ok_ && ref.page <= format::kMaxPageNumber;
    return ref;
  }
  bool ok() const { return ok_; }

 private:
  Slice in_;
  bool ok_ = true;
};

}  // namespace

std::string EncodeRecord(const LogRecord& record, absl::Span<const SegmentRef> segments) {
  std::string out;
  out.reserve(4 * (8 + record.meta_region.size() + record.taken.size()) + 16 * segments.size() + 8 * record.freed.size());
  AppendVarint(&out, record.txn);
  AppendVarint(&out, record.old_page_count);
  AppendVarint(&out, record.new_page_count);
  AppendRef(&out, record.previous);
  AppendVarint(&out, record.previous_txn);
  AppendRuns(&out, record.meta_region);
  AppendVarint(&out, segments.size());
  for (const SegmentRef& segment : segments) {
    AppendVarint(&out, segment.start);
    AppendRef(&out, segment.first);
    AppendVarint(&out, segment.as_of);
  }
  AppendRuns(&out, record.taken);
  AppendVarint(&out, record.freed.size());
  PageNumber at = 0;
  for (const PendingRun& freed : record.freed) {
    AppendVarint(&out, freed.run.first - at);
    AppendVarint(&out, freed.run.pages);
    AppendVarint(&out, record.txn - freed.birth);
    at = freed.run.end();
  }
  return out;
}

namespace {

// Whether a record's page counts are possible, and what it lists lies below the one after it.
bool CountsFit(const LogRecord& record) {
  PageNumber end = record.new_page_count;
  return record.old_page_count <= format::kMaxPageNumber && end <= format::kMaxPageNumber &&
         (record.taken.empty() || record.taken.back().end() <= end) &&
         (record.freed.empty() || record.freed.back().run.end() <= end) &&
         (record.meta_region.empty() || record.meta_region.back().end() <= end);
}

}  // namespace

absl::StatusOr<LogRecord> DecodeRecord(Slice bytes, PageNumber page) {
  Reader in(bytes);
  LogRecord record;
  record.txn = in.Number();
  record.old_page_count = in.Number();
  record.new_page_count = in.Number();
  record.previous = in.Ref();
  record.previous_txn = in.Number();
  record.meta_region = in.Runs();
  record.segments.resize(in.Count(4));
  for (SegmentRef& segment : record.segments) {
    segment.start = in.Number();
    segment.first = in.Ref();
    segment.as_of = in.Number();
  }
  record.taken = in.Runs();
  record.freed.resize(in.Count(3));
  PageNumber at = 0;
  for (PendingRun& freed : record.freed) {
    freed.run = in.NextRun(&at);
    uint64_t age = in.Number();
    freed.birth = record.txn - std::min(age, record.txn);
    freed.death = record.txn;
  }
  if (!in.ok() || !CountsFit(record) || record.previous_txn >= record.txn) {
    return CorruptPage(page, "free log: the record does not parse");
  }
  for (size_t i = 0; i < record.segments.size(); ++i) {
    if (record.segments[i].as_of > record.txn ||
        (i == 0 ? record.segments[i].start != 0 : record.segments[i].start <= record.segments[i - 1].start)) {
      return CorruptPage(page, "free log: impossible segment directory");
    }
  }
  return record;
}

void SegmentEncoder::Add(const PendingRun& run) {
  if (chunk_used_ > sizeof chunk_ - 4 * kMaxVarintSize) {
    body_.append(chunk_, std::exchange(chunk_used_, 0));
  }
  const uint64_t gap = run.run.first - at_;
  if (run.death == 0 && (gap | run.run.pages) < 0x80) {  // most runs of most files: three integers of one byte
    chunk_[chunk_used_] = static_cast<char>(gap);
    chunk_[chunk_used_ + 1] = static_cast<char>(run.run.pages);
    chunk_[chunk_used_ + 2] = 0;
    chunk_used_ += 3;
    at_ = run.run.end();
    ++runs_;
    return;
  }
  char* end = PutVarint(chunk_ + chunk_used_, gap);
  end = PutVarint(end, run.run.pages);
  at_ = run.run.end();
  // 0: reusable; else the death's age + 1, and how much older the birth is.
  end = PutVarint(end, run.death == 0 ? 0 : as_of_ - run.death + 1);
  if (run.death != 0) {
    end = PutVarint(end, run.death - run.birth);
  }
  chunk_used_ = static_cast<size_t>(end - chunk_);
  ++runs_;
}

std::string SegmentEncoder::Finish() {
  std::string out;
  out.reserve(kMaxVarintSize + body_.size() + chunk_used_);
  AppendVarint(&out, runs_);
  out.append(body_);
  out.append(chunk_, chunk_used_);
  return out;
}

std::string EncodeSegment(absl::Span<const PendingRun> runs, TxnId as_of) {
  SegmentEncoder encoder(as_of);
  for (const PendingRun& run : runs) {
    encoder.Add(run);
  }
  return encoder.Finish();
}

absl::StatusOr<std::vector<PendingRun>> DecodeSegment(Slice bytes, TxnId as_of, PageNumber page) {
  Reader in(bytes);
  std::vector<PendingRun> runs(in.Count(3));
  PageNumber at = 0;
  bool sane = true;
  for (PendingRun& run : runs) {
    run.run = in.NextRun(&at);
    uint64_t age = in.Number();
    if (age != 0) {
      uint64_t life = in.Number();
      sane = sane && age - 1 < as_of && life <= as_of - (age - 1);
      run.death = as_of - (age - 1);
      run.birth = sane ? run.death - life : 0;
    }
  }
  if (!in.ok() || !sane) {
    return CorruptPage(page, "free log: the segment does not parse");
  }
  return runs;
}

size_t StreamPages(size_t bytes, uint32_t page_size) {
  size_t capacity = page_size - kStreamHeader;
  return std::max<size_t>(1, (bytes + capacity - 1) / capacity);
}

ChildRef BuildStream(Slice bytes, PageType type, TxnId birth, absl::Span<const PageNumber> pages, uint32_t page_size,
                     uint64_t database_id, Byte* out) {
  size_t capacity = page_size - kStreamHeader;
  JOHNNY_CHECK(bytes.size() <= capacity * pages.size());
  ChildRef next;
  for (size_t i = pages.size(); i-- > 0;) {
    Byte* page = out + i * page_size;
    size_t begin = std::min(bytes.size(), i * capacity);
    Slice piece = bytes.substr(begin, capacity);
    std::memset(page, 0, format::kPageHeaderSize);
    std::memset(page + kStreamHeader + piece.size(), 0, capacity - piece.size());
    format::PageHeader* header = node::Header(page);
    header->birth = birth;
    header->set_page(pages[i]);
    header->type = static_cast<uint8_t>(type);
    header->lower = static_cast<uint16_t>(kStreamHeader + piece.size());
    header->upper = static_cast<uint16_t>(page_size);
    format::StoreChildRef(page + format::kPageHeaderSize, next);
    std::memcpy(page + kStreamHeader, piece.data(), piece.size());
    header->checksum = format::PageChecksum(page, page_size, database_id, pages[i]);
    next = {pages[i], static_cast<uint32_t>(header->checksum), pages.size() - i};
  }
  return next;
}

absl::StatusOr<Stream> ReadStream(const pager::View& view, const ChildRef& first, PageType type) {
  Stream stream;
  uint32_t page_size = view.page_size();
  for (ChildRef at = first; at.page != 0;) {
    if (at.page < format::FirstPage(page_size) || at.page >= view.page_count()) {
      return CorruptPage(at.page, "free log: reference to a page outside the file");
    }
    const Byte* page = view.store()->page(at.page);
    const format::PageHeader* header = node::Header(page);
    if (static_cast<uint32_t>(header->checksum) != at.checksum ||
        header->checksum != format::PageChecksum(page, page_size, view.store()->database_id(), at.page)) {
      return CorruptPage(at.page, "free log: checksum mismatch");
    }
    if (header->page() != at.page || header->type != static_cast<uint8_t>(type) || header->lower < kStreamHeader ||
        header->lower > page_size || (!stream.pages.empty() && header->birth != stream.birth)) {
      return CorruptPage(at.page, "free log: not the page that belongs here");
    }
    stream.birth = header->birth;
    stream.pages.push_back(at.page);
    stream.bytes.append(reinterpret_cast<const char*>(page) + kStreamHeader, header->lower - kStreamHeader);
    if (stream.pages.size() > view.page_count()) {
      return CorruptPage(at.page, "free log: the chain of pages has no end");
    }
    at = format::LoadChildRef(page + format::kPageHeaderSize);
  }
  return stream;
}

}  // namespace johnny::space
