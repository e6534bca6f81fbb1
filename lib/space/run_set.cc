#include "space/run_set.h"

#include <iterator>

namespace johnny::space {

void RunSet::Insert(Run run) {
  ReserveNodes();
  by_place_.emplace(run.first, run.pages);
  by_length_.emplace(run.pages, run.first);
  pages_ += run.pages;
}

void RunSet::Erase(ByPlace::iterator at) {
  pages_ -= at->second;
  by_length_.erase({at->second, at->first});
  by_place_.erase(at);
}

bool RunSet::Add(Run run) {
  if (run.pages == 0) {
    return true;
  }
  auto next = by_place_.lower_bound(run.first);
  if (next != by_place_.end() && next->first < run.end()) {
    return false;
  }
  Run merged = run;
  if (next != by_place_.begin()) {
    auto previous = std::prev(next);
    PageNumber end = previous->first + previous->second;
    if (end > run.first) {
      return false;
    }
    if (end == run.first) {
      merged = {previous->first, previous->second + merged.pages};
      Erase(previous);
      next = by_place_.lower_bound(run.first);
    }
  }
  if (next != by_place_.end() && next->first == run.end()) {
    merged.pages += next->second;
    Erase(next);
  }
  Insert(merged);
  return true;
}

bool RunSet::Remove(Run run) {
  if (run.pages == 0) {
    return true;
  }
  auto at = by_place_.upper_bound(run.first);
  if (at == by_place_.begin()) {
    return false;
  }
  --at;
  Run old{at->first, at->second};
  if (old.end() < run.end()) {
    return false;
  }
  Erase(at);
  if (old.first < run.first) {
    Insert({old.first, run.first - old.first});
  }
  if (run.end() < old.end()) {
    Insert({run.end(), old.end() - run.end()});
  }
  return true;
}

void RunSet::RemoveFrom(PageNumber from) {
  while (!by_place_.empty()) {
    auto last = std::prev(by_place_.end());
    Run run{last->first, last->second};
    if (run.end() <= from) {
      return;
    }
    Erase(last);
    if (run.first < from) {
      Insert({run.first, from - run.first});
    }
  }
}

void RunSet::Clear() {
  by_place_.clear();
  by_length_.clear();
  pages_ = 0;
}

std::optional<Run> RunSet::TakeBestFit(uint64_t pages) {
  auto at = by_length_.lower_bound({pages, 0});
  if (at == by_length_.end()) {
    return std::nullopt;
  }
  Run run{at->second, pages};
  Remove(run);
  return run;
}

std::optional<Run> RunSet::TakeLongest(uint64_t pages) {
  if (by_length_.empty()) {
    return std::nullopt;
  }
  auto at = std::prev(by_length_.end());
  Run run{at->second, at->first < pages ? at->first : pages};
  Remove(run);
  return run;
}

std::optional<Run> RunSet::TakeBestFitBelow(uint64_t pages, PageNumber end) {
  auto at = by_length_.lower_bound({pages, 0});
  for (int i = 0; i < kLengthsTried && at != by_length_.end(); ++i) {
    if (at->second < end && pages <= end - at->second) {
      Run run{at->second, pages};
      Remove(run);
      return run;
    }
    at = by_length_.lower_bound({at->first + 1, 0});
  }
  return std::nullopt;
}

std::optional<Run> RunSet::TakeLongestBelow(uint64_t pages, PageNumber end) {
  auto behind = by_length_.end();  // behind the runs of the length to try
  for (int i = 0; i < kLengthsTried && behind != by_length_.begin(); ++i) {
    uint64_t length = std::prev(behind)->first;
    auto lowest = by_length_.lower_bound({length, 0});
    if (lowest->second < end) {
      Run run{lowest->second, length < pages ? length : pages};
      Remove(run);
      return run;
    }
    behind = lowest;
  }
  return std::nullopt;
}

std::optional<Run> RunSet::Find(PageNumber page) const {
  auto run = FirstEndingAfter(page);
  return run && run->first <= page ? run : std::nullopt;
}

std::optional<Run> RunSet::FirstEndingAfter(PageNumber page) const {
  auto at = From(page);
  return at == by_place_.end() ? std::nullopt : std::optional<Run>({at->first, at->second});
}

}  // namespace johnny::space
