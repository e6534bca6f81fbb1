// Nested transactions: what each level has taken, freed and given up.
//
// The sets of taken pages of the levels are disjoint. A page that a level gives up and that one around it has taken leaves that
// one's set for `kept_`, so that giving it up twice shows, and comes back to the set or becomes free when the level ends.
#include <utility>

#include "base/check.h"
#include "base/seeded_bug.h"
#include "space/free_space.h"

namespace johnny::space {

void FreeSpace::BeginNested() {
  JOHNNY_CHECK(outer_.size() < pager::FrameArena::kMaxDepth);
  outer_.push_back({std::move(taken_), std::move(kept_), freed_.size(), freed_pages_, run_pages_, reserved_, page_count_});
  taken_.Clear();
  kept_.clear();
}

void FreeSpace::CommitNested() {
  JOHNNY_CHECK(!outer_.empty());
  PageSet taken = std::exchange(taken_, std::move(outer_.back().taken));
  std::vector<Kept> kept = std::exchange(kept_, std::move(outer_.back().kept));
  outer_.pop_back();
  taken.ForEach([this](Run run) { Took(run); });
  for (const Kept& given_up : kept) {
    if (given_up.level == outer_.size()) {
      AddFree(given_up.run);
    } else {
      kept_.push_back(given_up);
    }
  }
}

void FreeSpace::AbortNested() {
  JOHNNY_CHECK(!outer_.empty());
  Level& outer = outer_.back();
  if (!IsSeeded(SeededBug::kNestedAbortLeaks)) {
    taken_.ForEach([this](Run run) { AddFree(run); });
  }
  RemoveFrom(outer.page_count);  // what was added to the database since: all of it is free by now
  page_count_ = outer.page_count;
  freed_.erase(freed_.begin() + static_cast<ptrdiff_t>(outer.freed), freed_.end());
  freed_pages_ = outer.freed_pages;
  run_pages_ = outer.run_pages;
  reserved_ = outer.reserved;
  std::vector<Kept> kept = std::exchange(kept_, std::move(outer.kept));
  taken_ = std::move(outer.taken);
  outer_.pop_back();
  for (const Kept& given_up : kept) {
    bool added = (given_up.level == outer_.size() ? taken_ : outer_[given_up.level].taken).Add(given_up.run);
    JOHNNY_CHECK(added);
  }
}

// Gives up pages that a level around the innermost one has taken. False: none has.
bool FreeSpace::KeepForOuter(Run run) {
  for (size_t level = outer_.size(); level-- > 0;) {
    if (outer_[level].taken.Remove(run)) {
      kept_.push_back({run, level});
      if (IsSeeded(SeededBug::kNestedReusesOuter)) {
        AddFree(run);
      }
      return true;
    }
  }
  return false;
}

uint64_t FreeSpace::TakenRuns() const {
  uint64_t runs = taken_.runs();
  for (const Level& level : outer_) {
    runs += level.taken.runs();
  }
  return runs;
}

uint64_t FreeSpace::TakenPages() const {
  uint64_t pages = taken_.pages();
  for (const Level& level : outer_) {
    pages += level.taken.pages();
  }
  return pages;
}

}  // namespace johnny::space
