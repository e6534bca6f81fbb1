#include "space/run_set.h"

#include <algorithm>
#include <bit>
#include <iterator>

#include "base/check.h"

namespace johnny::space {

// ---- PageSet ----

std::optional<Run> PageSet::Join(Run run) {
  const PageNumber next = bits_.NextSet(run.first);
  if (next < run.end()) {
    return std::nullopt;
  }
  Run joined = run;
  size_t neighbours = 0;
  if (next == run.end()) {
    joined.pages = bits_.NextUnset(next) - joined.first;
    ++neighbours;
  }
  if (run.first > 0 && bits_.Test(run.first - 1)) {
    PageNumber first = bits_.RunBegin(run.first - 1);
    joined = {first, joined.end() - first};
    ++neighbours;
  }
  bits_.Set(run);
  pages_ += run.pages;
  runs_ += 1 - neighbours;
  return joined;
}

std::optional<Run> PageSet::Split(Run run) {
  if (!bits_.HasAll(run)) {
    return std::nullopt;
  }
  const PageNumber first = bits_.RunBegin(run.first), end = bits_.NextUnset(run.end());
  bits_.Reset(run);
  pages_ -= run.pages;
  runs_ += (first < run.first ? 1 : 0) + (run.end() < end ? 1 : 0);
  --runs_;
  return Run{first, end - first};
}

void PageSet::RemoveFrom(PageNumber from) {
  while (auto run = bits_.FirstEndingAfter(from)) {
    const PageNumber first = std::max(run->first, from);
    Split({first, run->end() - first});
  }
}

void PageSet::Clear() {
  bits_.Clear();
  pages_ = 0;
  runs_ = 0;
}

std::optional<Run> PageSet::Find(PageNumber page) const { return bits_.Test(page) ? bits_.FirstEndingAfter(page) : std::nullopt; }

// ---- RunSet ----

void RunSet::Index(Run run) {
  if (run.pages == 0) {
    return;
  }
  if (run.pages >= kShort) {
    long_.emplace(run.pages, run.first);
    return;
  }
  short_[run.pages].Set({run.first, 1});
  ++short_runs_[run.pages];
  short_lengths_ |= uint64_t{1} << run.pages;
}

void RunSet::Unindex(Run run) {
  if (run.pages == 0) {
    return;
  }
  if (run.pages >= kShort) {
    long_.erase({run.pages, run.first});
    return;
  }
  short_[run.pages].Reset({run.first, 1});
  if (--short_runs_[run.pages] == 0) {
    short_lengths_ &= ~(uint64_t{1} << run.pages);
  }
}

bool RunSet::Add(Run run) {
  if (run.pages == 0) {
    return true;
  }
  std::optional<Run> joined = set_.Join(run);
  if (!joined) {
    return false;
  }
  Unindex({joined->first, run.first - joined->first});
  Unindex({run.end(), joined->end() - run.end()});
  Index(*joined);
  return true;
}

bool RunSet::Remove(Run run) {
  if (run.pages == 0) {
    return true;
  }
  std::optional<Run> whole = set_.Split(run);
  if (!whole) {
    return false;
  }
  Unindex(*whole);
  Index({whole->first, run.first - whole->first});
  Index({run.end(), whole->end() - run.end()});
  return true;
}

void RunSet::RemoveFrom(PageNumber from) {
  while (auto run = set_.FirstEndingAfter(from)) {
    const PageNumber first = std::max(run->first, from);
    Remove({first, run->end() - first});
  }
}

void RunSet::Clear() {
  set_.Clear();
  for (; short_lengths_ != 0; short_lengths_ &= short_lengths_ - 1) {
    const int length = std::countr_zero(short_lengths_);
    short_[length].Clear();
    short_runs_[length] = 0;
  }
  long_.clear();
}

uint64_t RunSet::BestLength(uint64_t pages) const {
  if (pages < kShort) {
    if (uint64_t lengths = short_lengths_ >> pages << pages; lengths != 0) {
      return static_cast<uint64_t>(std::countr_zero(lengths));
    }
  }
  auto at = long_.lower_bound({pages, 0});
  return at == long_.end() ? 0 : at->first;
}

uint64_t RunSet::LongestLength(uint64_t most) const {
  if (most >= kShort && !long_.empty()) {
    if (auto behind = long_.upper_bound({most, PageBitmap::kNone}); behind != long_.begin()) {
      return std::prev(behind)->first;
    }
  }
  const uint64_t lengths = most >= kShort ? short_lengths_ : short_lengths_ & ((uint64_t{2} << most) - 1);
  return lengths == 0 ? 0 : static_cast<uint64_t>(std::bit_width(lengths)) - 1;
}

PageNumber RunSet::LowestOf(uint64_t length) const {
  return length < kShort ? short_[length].NextSet(0) : long_.lower_bound({length, 0})->second;
}

Run RunSet::TakeFrom(Run whole, uint64_t pages) {
  Run run = {whole.first, std::min(whole.pages, pages)};
  const bool removed = Remove(run);
  JOHNNY_CHECK(removed);
  return run;
}

std::optional<Run> RunSet::TakeBestFit(uint64_t pages) {
  const uint64_t length = BestLength(pages);
  if (length == 0) {
    return std::nullopt;
  }
  return TakeFrom({LowestOf(length), length}, pages);
}

std::optional<Run> RunSet::TakeLongest(uint64_t pages) {
  const uint64_t length = LongestLength(PageBitmap::kNone);
  if (length == 0) {
    return std::nullopt;
  }
  const PageNumber highest = length < kShort ? short_[length].LastSet() : std::prev(long_.end())->second;
  return TakeFrom({highest, length}, pages);
}

std::optional<Run> RunSet::TakeBestFitBelow(uint64_t pages, PageNumber end) {
  uint64_t length = BestLength(pages);
  for (int i = 0; i < kLengthsTried && length != 0; ++i, length = BestLength(length + 1)) {
    const PageNumber lowest = LowestOf(length);
    if (lowest < end && pages <= end - lowest) {
      return TakeFrom({lowest, length}, pages);
    }
  }
  return std::nullopt;
}

std::optional<Run> RunSet::TakeLongestBelow(uint64_t pages, PageNumber end) {
  uint64_t length = LongestLength(PageBitmap::kNone);
  for (int i = 0; i < kLengthsTried && length != 0; ++i, length = LongestLength(length - 1)) {
    const PageNumber lowest = LowestOf(length);
    if (lowest < end) {
      return TakeFrom({lowest, length}, pages);
    }
  }
  return std::nullopt;
}

}  // namespace johnny::space
