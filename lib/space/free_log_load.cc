// Reading a free log back: the segments, then the records they have not seen.
#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "space/free_log.h"

namespace johnny::space {
namespace {

using format::ChildRef;
using format::PageType;

// Free and pending runs by place, with their births and deaths.
class State {
 public:
  absl::Status Add(const PendingRun& added, PageNumber page) {
    auto next = runs_.lower_bound(added.run.first);
    if ((next != runs_.end() && next->first < added.run.end()) ||
        (next != runs_.begin() && std::prev(next)->second.run.end() > added.run.first)) {
      return CorruptPage(page, absl::StrCat("free log: page ", added.run.first, " or one behind it is free twice"));
    }
    runs_.emplace(added.run.first, added);
    return absl::OkStatus();
  }

  // Takes pages that are all free or pending.
  absl::Status Take(Run taken, PageNumber page) {
    while (taken.pages > 0) {
      auto at = runs_.upper_bound(taken.first);
      if (at == runs_.begin() || (--at)->second.run.end() <= taken.first) {
        return CorruptPage(page, absl::StrCat("free log: page ", taken.first, " is taken but was not free"));
      }
      PendingRun old = at->second;
      runs_.erase(at);
      PageNumber end = std::min(old.run.end(), taken.end());
      Put(old, old.run.first, taken.first);
      Put(old, end, old.run.end());
      taken = {end, taken.end() - end};
    }
    return absl::OkStatus();
  }

  std::vector<PendingRun> Runs() const {
    std::vector<PendingRun> runs;
    runs.reserve(runs_.size());
    for (const auto& [first, run] : runs_) {
      runs.push_back(run);
    }
    return runs;
  }

 private:
  void Put(PendingRun run, PageNumber first, PageNumber end) {
    if (first < end) {
      run.run = {first, end - first};
      runs_.emplace(first, run);
    }
  }

  std::map<PageNumber, PendingRun> runs_;
};

// Calls apply(part) for those parts of `run` that lie in segments older than `txn`.
template <typename Apply>
absl::Status ForEachPartOlderThan(absl::Span<const SegmentRef> segments, TxnId txn, Run run, Apply apply) {
  if (segments.empty()) {
    return run.pages > 0 ? apply(run) : absl::OkStatus();
  }
  auto next = std::upper_bound(segments.begin(), segments.end(), run.first,
                               [](PageNumber page, const SegmentRef& segment) { return page < segment.start; });
  while (run.pages > 0) {
    const SegmentRef& segment = *std::prev(next);
    PageNumber end = next == segments.end() ? run.end() : std::min(run.end(), next->start);
    if (segment.as_of < txn) {
      JOHNNY_RETURN_IF_ERROR(apply(Run{run.first, end - run.first}));
    }
    run = {end, run.end() - end};
    if (next != segments.end()) {
      ++next;
    }
  }
  return absl::OkStatus();
}

absl::Status Apply(const LogRecord& record, absl::Span<const SegmentRef> segments, PageNumber page, State* state) {
  auto each_part = [&](Run run, auto apply) { return ForEachPartOlderThan(segments, record.txn, run, apply); };
  auto take = [&](Run part) { return state->Take(part, page); };
  if (record.new_page_count > record.old_page_count) {
    Run added{record.old_page_count, record.new_page_count - record.old_page_count};
    JOHNNY_RETURN_IF_ERROR(each_part(added, [&](Run part) { return state->Add({part, 0, 0}, page); }));
  }
  for (const Run& taken : record.taken) {
    JOHNNY_RETURN_IF_ERROR(each_part(taken, take));
  }
  for (const PendingRun& freed : record.freed) {
    auto add = [&](Run part) { return state->Add({part, freed.birth, freed.death}, page); };
    JOHNNY_RETURN_IF_ERROR(each_part(freed.run, add));
  }
  // Cut pages leave the sets as if taken, and nobody may have had them.
  Run cut{record.new_page_count, std::max(record.old_page_count, record.new_page_count) - record.new_page_count};
  return each_part(cut, take);
}

absl::Status LoadSegments(const pager::View& view, LoadedLog* log, State* state) {
  for (size_t i = 0; i < log->segments.size(); ++i) {
    SegmentRef& segment = log->segments[i];
    if (segment.first.page == 0 && segment.as_of == 0) {
      continue;  // nothing was free at creation
    }
    JOHNNY_ASSIGN_OR_RETURN(std::vector<PendingRun> runs, ReadSegment(view, &segment));
    PageNumber end = i + 1 < log->segments.size() ? log->segments[i + 1].start : format::kMaxPageNumber;
    for (const PendingRun& run : runs) {
      if (run.run.first < segment.start || run.run.end() > end) {
        return CorruptPage(segment.first.page, "free log: segment lists pages outside its range");
      }
      JOHNNY_RETURN_IF_ERROR(state->Add(run, segment.first.page));
    }
  }
  return absl::OkStatus();
}

}  // namespace

TxnId OldestNeeded(const LogRecord& newest) {
  TxnId oldest = newest.segments.empty() ? 0 : newest.txn;
  for (const SegmentRef& segment : newest.segments) {
    oldest = std::min(oldest, segment.as_of);
  }
  return oldest;
}

absl::StatusOr<std::vector<PendingRun>> ReadSegment(const pager::View& view, SegmentRef* segment) {
  JOHNNY_ASSIGN_OR_RETURN(Stream stream, ReadStream(view, segment->first, PageType::kFreeLogSegment));
  if (stream.birth != segment->as_of) {
    return CorruptPage(segment->first.page, "free log: segment of another transaction");
  }
  segment->pages = std::move(stream.pages);
  return DecodeSegment(stream.bytes, segment->as_of, segment->first.page);
}

absl::StatusOr<std::vector<StoredRecord>> ReadRecords(const pager::View& view, const ChildRef& newest, TxnId master_txn,
                                                      PageNumber page_count, TxnId known) {
  std::vector<StoredRecord> records;
  TxnId stop = known;
  TxnId below = master_txn + 1;
  for (ChildRef at = newest; at.page != 0;) {
    JOHNNY_ASSIGN_OR_RETURN(Stream stream, ReadStream(view, at, PageType::kFreeLogRecord));
    JOHNNY_ASSIGN_OR_RETURN(LogRecord record, DecodeRecord(stream.bytes, at.page));
    if (record.txn != stream.birth || record.txn >= below) {
      return CorruptPage(at.page, "free log: record of the wrong transaction");
    }
    if (record.new_page_count != page_count) {
      return CorruptPage(at.page, absl::StrCat("free log: a record leaves ", record.new_page_count,
                                               " pages where what follows has ", page_count));
    }
    below = record.txn;
    page_count = record.old_page_count;
    if (records.empty()) {
      stop = std::max(stop, OldestNeeded(record));
    }
    at = record.previous_txn <= stop ? ChildRef() : record.previous;
    records.push_back({std::move(record), std::move(stream.pages)});
  }
  return records;
}

absl::StatusOr<LoadedLog> LoadFreeLog(const pager::View& view, const ChildRef& newest, TxnId master_txn, PageNumber page_count) {
  LoadedLog log;
  if (newest.page == 0) {
    return log;
  }
  JOHNNY_ASSIGN_OR_RETURN(auto records, ReadRecords(view, newest, master_txn, page_count, 0));
  log.segments = records.front().record.segments;
  log.meta_region = records.front().record.meta_region;
  PageNumber first_page = format::FirstPage(view.page_size());
  if (!log.meta_region.empty() && log.meta_region.front().first < first_page) {
    return CorruptPage(newest.page, "free log: a region outside the file");
  }
  State state;
  JOHNNY_RETURN_IF_ERROR(LoadSegments(view, &log, &state));
  std::reverse(records.begin(), records.end());
  for (StoredRecord& stored : records) {
    JOHNNY_RETURN_IF_ERROR(Apply(stored.record, log.segments, stored.pages.front(), &state));
    log.records.push_back({stored.record.txn, std::move(stored.pages)});
  }
  log.runs = state.Runs();
  if (!log.runs.empty() && (log.runs.front().run.first < first_page || log.runs.back().run.end() > page_count)) {
    return CorruptPage(newest.page, "free log: lists pages outside the file");
  }
  return log;
}

}  // namespace johnny::space
