// Sealing a transaction's free-log pages: its record, and at most two condensed segments.
#include <algorithm>

#include "base/check.h"
#include "base/seeded_bug.h"
#include "base/status.h"
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
  bool is_first;    // of those that replace it
  PageNumber start;
  PageNumber end;
  std::vector<PageNumber> pages;
  std::string bytes;
  format::ChildRef ref;
};

void FreeSpace::CountLogPages() {
  record_pages_ = 0;
  for (const auto& record : records_) {
    record_pages_ += record.pages.size();
  }
  log_pages_ = record_pages_;
  for (const SegmentRef& segment : segments_) {
    log_pages_ += segment.pages.size();
  }
}

// The state of [start, end) as it will be after this commit.
std::vector<PendingRun> FreeSpace::StateOf(PageNumber start, PageNumber end) const {
  std::vector<PendingRun> runs;
  auto add = [&](Run run, TxnId birth, TxnId death) {
    PageNumber first = std::max(run.first, start);
    PageNumber last = std::min(run.end(), end);
    if (first < last) {
      runs.push_back({{first, last - first}, birth, death});
    }
  };
  auto by_place = [](const PendingRun& a, const PendingRun& b) { return a.run.first < b.run.first; };
  auto merge_from = [&](size_t begin) {
    std::inplace_merge(runs.begin(), runs.begin() + static_cast<ptrdiff_t>(begin), runs.end(), by_place);
  };
  data_.ForEachIn(start, end, [&](Run run) { add(run, 0, 0); });
  size_t sorted = runs.size();
  meta_.ForEachIn(start, end, [&](Run run) { add(run, 0, 0); });
  merge_from(sorted);
  sorted = runs.size();
  auto pending = pending_by_place_.upper_bound(start);
  if (pending != pending_by_place_.begin()) {
    --pending;  // may reach into the range
  }
  for (; pending != pending_by_place_.end() && pending->first < end; ++pending) {
    add(pending->second.run, pending->second.birth, pending->second.death);
  }
  merge_from(sorted);
  sorted = runs.size();
  for (const PendingRun& run : freed_) {
    add(run.run, run.birth, run.death);
  }
  std::sort(runs.begin() + static_cast<ptrdiff_t>(sorted), runs.end(), by_place);
  merge_from(sorted);
  return runs;
}

// Whether the segments at `indexes` can be written again, however much their ranges have come to hold. The file grows for it if
// it may; if not, condensing waits.
bool FreeSpace::HasRoomToCondense(const std::vector<size_t>& indexes) {
  uint64_t pages = 2;
  for (size_t index : indexes) {
    uint64_t runs = 0;
    auto count = [&](Run) { ++runs; };
    PageNumber start = segments_[index].start;
    PageNumber end = SegmentEnd(index);
    data_.ForEachIn(start, end, count);
    meta_.ForEachIn(start, end, count);
    runs += static_cast<uint64_t>(std::distance(pending_by_place_.lower_bound(start), pending_by_place_.lower_bound(end)));
    pages += 2 + (runs + freed_.size()) * kMaxSegmentRunBytes / page_size_;
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
    auto taken = taken_.FirstEndingAfter(run.first);
    bool twice = run.first < end && !IsSeeded(SeededBug::kPageFreedTwice);
    if (twice || IsFreeOrPending(run) || (taken && taken->first < run.end())) {
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
  if (!at_once && record_pages_ < std::max(kMinRecordPages, kRecordsPerCheckpoint * (log_pages_ - record_pages_))) {
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
  if (!HasRoomToCondense(oldest)) {
    if (first) {
      segments_.clear();
    }
    return chosen;
  }
  std::sort(oldest.begin(), oldest.end());
  size_t total = segments_.size();
  for (size_t index : oldest) {
    const SegmentRef& old = segments_[index];
    PageNumber end = SegmentEnd(index);
    for (PageNumber page : old.pages) {
      JOHNNY_RETURN_IF_ERROR(Free(page, 1, old.as_of));
    }
    PageNumber middle = end;
    bool split = old.pages.size() >= kSplitSegmentPages && total < kMaxSegments;
    if (split) {
      std::vector<PendingRun> runs = StateOf(old.start, end);
      split = runs.size() > 1;
      middle = split ? runs[runs.size() / 2].run.first : end;
    }
    chosen.push_back({index, true, old.start, middle, {}, {}, {}});
    if (split) {
      chosen.push_back({index, false, middle, end, {}, {}, {}});
      ++total;
    }
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

LogRecord FreeSpace::MakeRecord(const std::vector<NewSegment>& fresh) const {
  LogRecord record;
  record.txn = txn_;
  record.old_page_count = old_page_count_;
  record.new_page_count = page_count_;
  taken_.ForEach([&](Run run) { record.taken.push_back(run); });
  record.freed = freed_;
  std::sort(record.freed.begin(), record.freed.end(),
            [](const PendingRun& a, const PendingRun& b) { return a.run.first < b.run.first; });
  size_t kept = 0;
  for (const PendingRun& run : record.freed) {  // join neighbours of one birth
    if (kept > 0 && record.freed[kept - 1].run.end() == run.run.first && record.freed[kept - 1].birth == run.birth) {
      record.freed[kept - 1].run.pages += run.run.pages;
    } else {
      record.freed[kept++] = run;
    }
  }
  record.freed.resize(kept);
  meta_region_.ForEach([&](Run run) { record.meta_region.push_back(run); });
  record.previous = newest_record_;
  record.previous_txn = newest_record_txn_;
  size_t next = 0;
  for (size_t i = 0; i < segments_.size(); ++i) {
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

absl::StatusOr<SealedLog> FreeSpace::Seal() {
  JOHNNY_CHECK(outer_.empty());
  ReleaseIfSurplus();
  JOHNNY_ASSIGN_OR_RETURN(std::vector<NewSegment> fresh, ChooseSegments());
  TxnId oldest_needed = fresh.empty() && segments_.empty() ? 0 : txn_;
  for (size_t i = 0; i < segments_.size(); ++i) {
    bool replaced = std::any_of(fresh.begin(), fresh.end(), [i](const NewSegment& f) { return f.replaces == i; });
    oldest_needed = std::min(oldest_needed, replaced ? txn_ : segments_[i].as_of);
  }
  JOHNNY_RETURN_IF_ERROR(DropObsoleteRecords(oldest_needed));
  JOHNNY_RETURN_IF_ERROR(CheckFreed());

  // What is encoded lists the pages it is written to, so take pages until everything fits. Mostly that is one.
  std::vector<PageNumber> record_pages;
  JOHNNY_RETURN_IF_ERROR(TakeLogPages(1, &record_pages));
  LogRecord record;
  std::string record_bytes;
  constexpr size_t kRefSlack = 64;  // references are not known yet and encode as zeros
  for (bool fits = false; !fits;) {
    fits = true;
    record = MakeRecord(fresh);
    record_bytes = EncodeRecord(record);
    for (NewSegment& segment : fresh) {
      segment.bytes = EncodeSegment(StateOf(segment.start, segment.end), txn_);
    }
    auto provide = [&](size_t bytes, std::vector<PageNumber>* pages) -> absl::Status {
      size_t needed = StreamPages(bytes, page_size_);
      if (needed > pages->size()) {
        fits = false;
        return TakeLogPages(needed - pages->size(), pages);
      }
      return absl::OkStatus();
    };
    for (NewSegment& segment : fresh) {
      JOHNNY_RETURN_IF_ERROR(provide(segment.bytes.size(), &segment.pages));
    }
    JOHNNY_RETURN_IF_ERROR(provide(record_bytes.size() + kRefSlack * (fresh.size() + 1), &record_pages));
  }
  bool cut = CutTail();
  if (cut) {  // which only leaves less to encode
    for (NewSegment& segment : fresh) {
      segment.bytes = EncodeSegment(StateOf(segment.start, segment.end), txn_);
    }
  }

  SealedLog sealed;
  auto append = [&](Slice bytes, PageType type, const std::vector<PageNumber>& pages) {
    size_t offset = sealed.bytes.size();
    sealed.bytes.resize(offset + pages.size() * page_size_);
    sealed.pages.insert(sealed.pages.end(), pages.begin(), pages.end());
    return BuildStream(bytes, type, txn_, pages, page_size_, store_->database_id(), sealed.bytes.data() + offset);
  };
  for (NewSegment& segment : fresh) {
    segment.ref = append(segment.bytes, PageType::kFreeLogSegment, segment.pages);
  }
  if (cut || !fresh.empty()) {
    record = MakeRecord(fresh);
    record_bytes = EncodeRecord(record);
  }
  sealed.newest = append(record_bytes, PageType::kFreeLogRecord, record_pages);

  sealed_segments_ = std::move(record.segments);
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
  segments_ = std::move(sealed_segments_);
  while (!records_.empty() && records_.front().txn <= sealed_oldest_needed_) {
    records_.pop_front();
  }
  records_.push_back({txn_, std::move(sealed_record_pages_)});
  newest_record_ = sealed_newest_;
  newest_record_txn_ = txn_;
  CountLogPages();
  NoteCommit(taken_.pages());
  last_commit_grew_ = grown_pages_ > 0;
  Begin(txn_);
}

}  // namespace johnny::space
