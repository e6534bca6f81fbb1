// Going on from a known commit by the records that other processes have added since.
#include <algorithm>

#include "base/status.h"
#include "space/free_space.h"

namespace johnny::space {
namespace {

bool SameRef(const format::ChildRef& a, const format::ChildRef& b) { return a.page == b.page && a.checksum == b.checksum; }

}  // namespace

absl::StatusOr<bool> FreeSpace::CatchUp(const pager::View& view, const format::ChildRef& newest, TxnId txn) {
  JOHNNY_RETURN_IF_ERROR(RefreshFileSize());
  if (SameRef(newest, newest_record_) && (newest.page == 0 || newest_record_txn_ == txn)) {
    return page_count_ == view.page_count();
  }
  JOHNNY_ASSIGN_OR_RETURN(std::vector<StoredRecord> records,
                          ReadRecords(view, newest, txn, view.page_count(), newest_record_txn_));
  // The oldest of them must follow the known one; its id alone does not tell, for that commit may have been rejected.
  if (records.empty() || records.back().record.previous_txn != newest_record_txn_ ||
      !SameRef(records.back().record.previous, newest_record_)) {
    return false;
  }
  LogRecord& last = records.front().record;
  TxnId oldest_needed = OldestNeeded(last);
  // Before anything is made of what they list; a file that was so large in between is loaded anew.
  const uint64_t limit = std::max<uint64_t>(options_.limit_pages, view.page_count());
  for (auto stored = records.rbegin(); stored != records.rend(); ++stored) {
    if (stored->record.new_page_count > limit || !Replay(stored->record)) {
      return false;
    }
    records_.push_back({stored->record.txn, std::move(stored->pages)});
  }
  while (records_.size() > 1 && records_.front().txn <= oldest_needed) {
    records_.pop_front();
  }
  if (!last.meta_region.empty() && last.meta_region.front().first < format::FirstPage(page_size_)) {
    return false;
  }
  SetMetaRegion(last.meta_region);
  JOHNNY_ASSIGN_OR_RETURN(segments_, ReadDirectory(view, std::move(last.segments)));
  newest_record_ = newest;
  newest_record_txn_ = last.txn;
  CountLogPages();
  last_commit_grew_ = false;
  Begin(txn);
  return true;
}

// Applies the next record. Who took or cut pages saw that no pinned snapshot needs them, and snapshots pinned since are newer: so
// they must be free here, too. False, half way, when the record does not fit.
bool FreeSpace::Replay(const LogRecord& record) {
  PageNumber first_page = format::FirstPage(page_size_);
  if (record.old_page_count != page_count_ || record.new_page_count < first_page) {
    return false;
  }
  if (record.new_page_count > page_count_) {
    AddFree({page_count_, record.new_page_count - page_count_});
  }
  for (const PendingRun& freed : record.freed) {
    if (freed.run.first < first_page || IsFreeOrPending(freed.run)) {
      return false;
    }
    AddPending(freed);
  }
  ReleasePending();
  bool fits = std::all_of(record.taken.begin(), record.taken.end(), [this](Run taken) { return RemoveFree(taken); });
  if (record.new_page_count < page_count_) {
    fits = fits && RemoveFree({record.new_page_count, page_count_ - record.new_page_count});
    meta_region_.RemoveFrom(record.new_page_count);
  }
  page_count_ = record.new_page_count;
  uint64_t taken_pages = 0;
  for (const Run& taken : record.taken) {
    taken_pages += taken.pages;
  }
  NoteCommit(taken_pages);
  return fits;
}

void FreeSpace::SetMetaRegion(const std::vector<Run>& region) {
  std::vector<Run> moved;  // free runs that may change sides
  meta_.ForEach([&](Run run) { moved.push_back(run); });
  meta_.Clear();
  meta_region_.Clear();
  size_t from_data = moved.size();
  for (const Run& part : region) {
    meta_region_.Add(part);
    data_.ForEachIn(part.first, part.end(), [&](Run run) {
      PageNumber first = std::max(run.first, part.first);
      moved.push_back({first, std::min(run.end(), part.end()) - first});
    });
  }
  for (size_t i = from_data; i < moved.size(); ++i) {
    data_.Remove(moved[i]);
  }
  for (const Run& run : moved) {
    AddFree(run);
  }
}

// Completes the segments of a directory with their pages, which are read unless known.
absl::StatusOr<std::vector<SegmentRef>> FreeSpace::ReadDirectory(const pager::View& view,
                                                                 std::vector<SegmentRef> directory) const {
  for (SegmentRef& segment : directory) {
    auto known = std::find_if(segments_.begin(), segments_.end(), [&segment](const SegmentRef& old) {
      return SameRef(old.first, segment.first) && old.as_of == segment.as_of;
    });
    if (known != segments_.end()) {
      segment.pages = known->pages;
    } else if (segment.first.page != 0 || segment.as_of != 0) {
      JOHNNY_RETURN_IF_ERROR(ReadSegment(view, &segment).status());
    }
  }
  return directory;
}

}  // namespace johnny::space
