// Sealing a transaction's free-log pages: its record, and at most two condensed segments.
#include <algorithm>

#include "base/check.h"
#include "base/seeded_bug.h"
#include "base/status.h"
#include "base/varint.h"
#include "space/free_space.h"

namespace johnny::space {
namespace {

using format::PageType;

// Records are condensed when they fill more pages than this, and than so many times those of the checkpoint. In a fragmented file
// condensing is most of what a small commit costs: with twice the checkpoint's pages 300,000 instructions a commit of one put,
// with eight times 158,000 (1M entries after a shuffled load; 36 pages of checkpoint in a file of 85,000).
constexpr uint64_t kMinRecordPages = 24;
constexpr uint64_t kRecordsPerCheckpoint = 8;
constexpr uint64_t kFewRecordPages = 6;
constexpr size_t kSegmentsPerCommit = 2;
constexpr size_t kMaxSegments = 48;
constexpr size_t kSplitSegmentPages = 4;
constexpr uint64_t kMaxSegmentRunBytes = 16;  // of one run in a segment, as file sizes and transaction ids go

}  // namespace

struct FreeSpace::NewSegment {
  size_t replaces;  // index into segments_
  PageNumber start;
  PageNumber end;
  uint64_t runs;  // at first without what this transaction has freed; all of them once it is encoded
  std::vector<PageNumber> pages;
  std::string bytes;
  format::ChildRef ref;
};

void FreeSpace::CountLogPages() {
  record_pages_ = segment_pages_ = log_end_ = 0;
  for (const auto& record : records_) {
    NoteLogPages(record.pages, &record_pages_);
  }
  for (const SegmentRef& segment : segments_) {
    NoteLogPages(segment.pages, &segment_pages_);
  }
}

void FreeSpace::NoteLogPages(absl::Span<const PageNumber> pages, uint64_t* count) {
  *count += pages.size();
  for (PageNumber page : pages) {
    log_end_ = std::max(log_end_, page + 1);
  }
}

// What of `freed_` has pages in [start, end). REQUIRES: sorted by CheckFreed().
absl::Span<const PendingRun> FreeSpace::FreedIn(PageNumber start, PageNumber end) const {
  auto first = std::partition_point(freed_.begin(), freed_.end(), [&](const auto& freed) { return freed.run.end() <= start; });
  auto last = std::partition_point(first, freed_.end(), [&](const auto& freed) { return freed.run.first < end; });
  return {freed_.data() + (first - freed_.begin()), static_cast<size_t>(last - first)};
}

// Visits the state of [start, end), with what of it is `freed`, in order. Four ways are merged without a list in between: this is
// most of what condensing costs.
template <typename Visitor>
void FreeSpace::VisitState(PageNumber start, PageNumber end, absl::Span<const PendingRun> freed, Visitor visit) const {
  auto data = data_.From(start), meta = meta_.From(start);
  auto pending = pending_by_place_.From(start);
  auto at_freed = freed.begin();
  auto first_of = [end](const auto& at) { return at ? at->first : end; };
  auto first_pending = [&] { return pending ? (*pending).run.first : end; };
  auto first_freed = [&] { return at_freed != freed.end() ? at_freed->run.first : end; };
  auto give = [&](PendingRun run) {
    PageNumber first = std::max(run.run.first, start);
    run.run = {first, std::min(run.run.end(), end) - first};
    visit(run);
  };
  PageNumber next_data = first_of(data), next_meta = first_of(meta), next_pending = first_pending(), next_freed = first_freed();
  for (;;) {
    PageNumber next = std::min({next_meta, next_pending, next_freed, end});
    for (; next_data < next; data.Next(), next_data = first_of(data)) {
      give({*data, 0, 0});
    }
    if (next >= end) {
      return;
    }
    if (next == next_meta) {
      give({*meta, 0, 0});
      meta.Next();
      next_meta = first_of(meta);
    } else if (next == next_pending) {
      give(*pending);
      pending.Next();
      next_pending = first_pending();
    } else {
      give(*at_freed++);
      next_freed = first_freed();
    }
  }
}

// How many runs lie in [start, end), without what this transaction has freed.
uint64_t FreeSpace::RunsIn(PageNumber start, PageNumber end) const {
  return data_.bits().CountRuns(start, end) + meta_.bits().CountRuns(start, end) + pending_by_place_.CountIn(start, end);
}

// Whether segments of so many runs can be written again, however much their ranges have come to hold. The file grows for it if it
// may; if not, condensing waits.
bool FreeSpace::HasRoomToCondense(const std::vector<uint64_t>& runs) {
  uint64_t pages = 2;
  for (uint64_t of_segment : runs) {
    pages += 2 + (of_segment + freed_.size()) * kMaxSegmentRunBytes / page_size_;
  }
  uint64_t room = free_pages() + (file_pages_ > page_count_ ? file_pages_ - page_count_ : 0);
  return room >= pages || Grow(pages - room).ok();
}

PageNumber FreeSpace::SegmentEnd(size_t index) const {
  return index + 1 < segments_.size() ? segments_[index + 1].start : format::kMaxPageNumber;
}

// A page that is freed twice, or is free already, was referred to twice: the file is damaged, and to go on would spread it.
absl::Status FreeSpace::CheckFreed() {
  std::sort(freed_.begin(), freed_.end(), [](const auto& a, const auto& b) { return a.run.first < b.run.first; });
  PageNumber end = 0;
  for (const PendingRun& freed : freed_) {
    const Run& run = freed.run;
    bool twice = run.first < end && !IsSeeded(SeededBug::kPageFreedTwice);
    if (twice || IsFreeOrPending(run) || taken_.HasAny(run)) {
      return CorruptPage(run.first, "in use and free at the same time");
    }
    end = run.end();
  }
  return absl::OkStatus();
}

// Picks the segments to rewrite and frees their old pages.
absl::StatusOr<std::vector<FreeSpace::NewSegment>> FreeSpace::ChooseSegments() {
  std::vector<NewSegment> chosen;
  // When room is short, or the records' pages are in the way, they are worth more than the writes that condensing costs. Room for
  // a round of it is left: all segments, two a commit, while each commit adds a record.
  bool short_of_room = free_pages() < 2 * kDeleteReserve + Overhead();
  bool at_once = (short_of_room && record_pages_ >= kFewRecordPages) || LogHoldsTail();
  if (!at_once && record_pages_ < std::max(kMinRecordPages, kRecordsPerCheckpoint * segment_pages_)) {
    return chosen;
  }
  bool first = segments_.empty();
  if (first) {
    segments_.push_back({0, {}, 0, {}});  // taken back by Rollback()
  }
  std::vector<size_t> oldest(segments_.size());
  for (size_t i = 0; i < oldest.size(); ++i) {
    oldest[i] = i;
  }
  std::sort(oldest.begin(), oldest.end(), [this](size_t a, size_t b) { return segments_[a].as_of < segments_[b].as_of; });
  if (oldest.size() > kSegmentsPerCommit) {
    oldest.erase(oldest.begin() + static_cast<ptrdiff_t>(kSegmentsPerCommit), oldest.end());
  }
  std::sort(oldest.begin(), oldest.end());
  std::vector<uint64_t> runs;
  runs.reserve(oldest.size());
  for (size_t index : oldest) {
    runs.push_back(RunsIn(segments_[index].start, SegmentEnd(index)));
  }
  if (!HasRoomToCondense(runs)) {
    if (first) {
      segments_.clear();
    }
    return chosen;
  }
  size_t total = segments_.size();
  for (size_t i = 0; i < oldest.size(); ++i) {
    const size_t index = oldest[i];
    const SegmentRef& old = segments_[index];
    PageNumber end = SegmentEnd(index);
    for (PageNumber page : old.pages) {
      JOHNNY_RETURN_IF_ERROR(Free(page, 1, old.as_of));
    }
    if (old.pages.size() < kSplitSegmentPages || total >= kMaxSegments || runs[i] < 2) {
      chosen.push_back({index, old.start, end, runs[i], {}, {}, {}});
      continue;
    }
    PageNumber middle = end;
    uint64_t left = runs[i] / 2;
    VisitState(old.start, end, {}, [&](const PendingRun& run) { middle = left-- == 0 ? run.run.first : middle; });
    chosen.push_back({index, old.start, middle, runs[i] / 2, {}, {}, {}});
    chosen.push_back({index, middle, end, runs[i] - runs[i] / 2, {}, {}, {}});
    ++total;
  }
  return chosen;
}

// Frees the pages of records that no segment needs any more once `oldest_needed` is the oldest as_of.
absl::Status FreeSpace::DropObsoleteRecords(TxnId oldest_needed) {
  for (const auto& record : records_) {
    if (record.txn > oldest_needed) {
      break;
    }
    for (PageNumber page : record.pages) {
      JOHNNY_RETURN_IF_ERROR(Free(page, 1, record.txn));
    }
  }
  return absl::OkStatus();
}

// Its segments only if there are new ones: else they are segments_.
LogRecord FreeSpace::MakeRecord(const std::vector<NewSegment>& fresh) const {
  LogRecord record;
  record.txn = txn_;
  record.old_page_count = old_page_count_;
  record.new_page_count = page_count_;
  record.taken.reserve(taken_.runs());
  taken_.ForEach([&](Run run) { record.taken.push_back(run); });
  record.freed = freed_;  // sorted by CheckFreed()
  size_t kept = 0;
  for (const PendingRun& run : record.freed) {  // join neighbours of one birth
    if (kept > 0 && record.freed[kept - 1].run.end() == run.run.first && record.freed[kept - 1].birth == run.birth) {
      record.freed[kept - 1].run.pages += run.run.pages;
    } else {
      record.freed[kept++] = run;
    }
  }
  record.freed.resize(kept);
  record.meta_region.reserve(meta_region_.runs());
  meta_region_.ForEach([&](Run run) { record.meta_region.push_back(run); });
  record.previous = newest_record_;
  record.previous_txn = newest_record_txn_;
  size_t next = 0;
  for (size_t i = 0; !fresh.empty() && i < segments_.size(); ++i) {
    if (next == fresh.size() || fresh[next].replaces != i) {
      record.segments.push_back(segments_[i]);
      continue;
    }
    for (; next < fresh.size() && fresh[next].replaces == i; ++next) {
      record.segments.push_back({fresh[next].start, fresh[next].ref, txn_, fresh[next].pages});
    }
  }
  return record;
}

absl::Status FreeSpace::TakeLogPages(size_t count, std::vector<PageNumber>* pages) {
  std::vector<Run> runs;
  JOHNNY_RETURN_IF_ERROR(Allocate(count, Use::kMeta, &runs));
  for (const Run& run : runs) {
    for (PageNumber page = run.first; page < run.end(); ++page) {
      pages->push_back(page);
    }
  }
  return absl::OkStatus();
}

void FreeSpace::Encode(NewSegment* segment) const {
  SegmentEncoder encoder(txn_);
  VisitState(segment->start, segment->end, FreedIn(segment->start, segment->end),
             [&](const PendingRun& run) { encoder.Add(run); });
  segment->runs = encoder.runs();
  segment->bytes = encoder.Finish();
}

// What is encoded lists the pages it is written to, so pages are taken until everything fits. Mostly the first estimate does.
absl::Status FreeSpace::EncodeFitting(std::vector<NewSegment>* fresh, std::vector<PageNumber>* record_pages, LogRecord* record,
                                      std::string* record_bytes) {
  constexpr size_t kRefSlack = 64;  // references are not known yet and encode as zeros
  bool fits = false;
  auto provide = [&](size_t bytes, std::vector<PageNumber>* pages) -> absl::Status {
    size_t needed = StreamPages(bytes, page_size_);
    if (needed > pages->size()) {
      fits = false;
      return TakeLogPages(needed - pages->size(), pages);
    }
    return absl::OkStatus();
  };
  for (NewSegment& segment : *fresh) {
    uint64_t runs = segment.runs + FreedIn(segment.start, segment.end).size();
    JOHNNY_RETURN_IF_ERROR(provide(runs * segment_run_bytes_ / 16 + kMaxVarintSize, &segment.pages));
  }
  while (!fits) {
    fits = true;
    *record = MakeRecord(*fresh);
    *record_bytes = EncodeRecord(*record, fresh->empty() ? segments_ : record->segments);
    for (NewSegment& segment : *fresh) {
      Encode(&segment);
      JOHNNY_RETURN_IF_ERROR(provide(segment.bytes.size(), &segment.pages));
    }
    JOHNNY_RETURN_IF_ERROR(provide(record_bytes->size() + kRefSlack * (fresh->size() + 1), record_pages));
  }
  uint64_t bytes = 0, runs = 0;
  for (const NewSegment& segment : *fresh) {
    bytes += segment.bytes.size();
    runs += segment.runs;
  }
  if (runs > 0) {
    segment_run_bytes_ = std::min<uint64_t>(16 * bytes / runs + 2, 16 * kMaxSegmentRunBytes / 2);  // few runs say little
  }
  return absl::OkStatus();
}

absl::StatusOr<SealedLog> FreeSpace::Seal(PageNumber record_page) {
  JOHNNY_CHECK(outer_.empty());
  sealed_segments_.clear();
  ReleaseIfSurplus();
  JOHNNY_ASSIGN_OR_RETURN(std::vector<NewSegment> fresh, ChooseSegments());
  TxnId oldest_needed = fresh.empty() && segments_.empty() ? 0 : txn_;
  for (size_t i = 0; i < segments_.size(); ++i) {
    bool replaced = std::any_of(fresh.begin(), fresh.end(), [i](const NewSegment& f) { return f.replaces == i; });
    oldest_needed = std::min(oldest_needed, replaced ? txn_ : segments_[i].as_of);
  }
  JOHNNY_RETURN_IF_ERROR(DropObsoleteRecords(oldest_needed));
  JOHNNY_RETURN_IF_ERROR(CheckFreed());

  std::vector<PageNumber> record_pages;
  if (record_page != 0) {
    record_pages.push_back(record_page);
  } else {
    JOHNNY_RETURN_IF_ERROR(TakeLogPages(1, &record_pages));
  }
  LogRecord record;
  std::string record_bytes;
  JOHNNY_RETURN_IF_ERROR(EncodeFitting(&fresh, &record_pages, &record, &record_bytes));
  bool cut = CutTail();
  if (cut) {  // which only leaves less to encode
    for (NewSegment& segment : fresh) {
      Encode(&segment);
    }
  }

  SealedLog sealed;
  sealed.pages = record_pages;
  for (const NewSegment& segment : fresh) {
    sealed.pages.insert(sealed.pages.end(), segment.pages.begin(), segment.pages.end());
  }
  sealed.bytes.reset(new Byte[sealed.pages.size() * page_size_]);  // all of it is written below
  auto build = [&, this](Slice bytes, PageType type, const std::vector<PageNumber>& pages, size_t at) {
    return BuildStream(bytes, type, txn_, pages, page_size_, store_->database_id(), sealed.bytes.get() + at * page_size_);
  };
  size_t at = record_pages.size();
  for (NewSegment& segment : fresh) {
    segment.ref = build(segment.bytes, PageType::kFreeLogSegment, segment.pages, at);
    at += segment.pages.size();
  }
  if (cut || !fresh.empty()) {
    record = MakeRecord(fresh);
    record_bytes = EncodeRecord(record, fresh.empty() ? segments_ : record.segments);
  }
  sealed.newest = build(record_bytes, PageType::kFreeLogRecord, record_pages, 0);

  if (!fresh.empty()) {
    sealed_segments_ = std::move(record.segments);
  }
  sealed_record_pages_ = std::move(record_pages);
  sealed_oldest_needed_ = oldest_needed;
  freed_ = std::move(record.freed);
  sealed.newest.entries = 0;
  sealed_newest_ = sealed.newest;
  return sealed;
}

void FreeSpace::Commit() {
  for (const PendingRun& run : freed_) {
    AddPending(run);
  }
  while (!records_.empty() && records_.front().txn <= sealed_oldest_needed_) {
    record_pages_ -= records_.front().pages.size();
    records_.pop_front();
  }
  records_.push_back({txn_, std::move(sealed_record_pages_)});
  NoteLogPages(records_.back().pages, &record_pages_);
  if (!sealed_segments_.empty()) {
    segments_ = std::move(sealed_segments_);
    sealed_segments_.clear();
    CountLogPages();
  }
  newest_record_ = sealed_newest_;
  newest_record_txn_ = txn_;
  NoteCommit(taken_.pages());
  last_commit_grew_ = grown_pages_ > 0;
  Begin(txn_);
}

}  // namespace johnny::space
