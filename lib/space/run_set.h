// Sets of pages as disjoint, non-adjacent runs: PageSet finds them by place, RunSet by length, too.
//
// By place they are bits. By length, short runs are bits as well, one bitmap of first pages for each length; so taking the best
// fit, and giving back pages between two runs, cost some tens of instructions where trees of runs take a thousand.
#ifndef JOHNNY_SPACE_RUN_SET_H_
#define JOHNNY_SPACE_RUN_SET_H_

#include <array>
#include <optional>
#include <set>
#include <utility>

#include "space/page_bitmap.h"

namespace johnny::space {

class PageSet {
 public:
  PageSet() = default;
  PageSet(PageSet&& other) noexcept { *this = std::move(other); }
  PageSet& operator=(PageSet&& other) noexcept {
    bits_ = std::move(other.bits_);
    pages_ = std::exchange(other.pages_, 0);
    runs_ = std::exchange(other.runs_, 0);
    return *this;
  }

  // Adds pages, none of which may be in the set. Returns the run that they are part of now; nullopt, and no change, if one is in
  // the set. REQUIRES: run.pages > 0
  std::optional<Run> Join(Run run);
  // Removes pages, all of which must be in the set. Returns the run that they were part of; nullopt, and no change, if one is
  // not. REQUIRES: run.pages > 0
  std::optional<Run> Split(Run run);
  // The same, of no pages too. False: no change.
  bool Add(Run run) { return run.pages == 0 || Join(run).has_value(); }
  bool Remove(Run run) { return run.pages == 0 || Split(run).has_value(); }
  // Removes the pages from `from` on.
  void RemoveFrom(PageNumber from);
  void Clear();

  bool Has(PageNumber page) const { return bits_.Test(page); }
  bool HasAny(Run run) const { return bits_.HasAny(run); }
  // The run holding `page`, if any; and the first run that ends behind `page`.
  std::optional<Run> Find(PageNumber page) const;
  std::optional<Run> FirstEndingAfter(PageNumber page) const { return bits_.FirstEndingAfter(page); }
  const PageBitmap& bits() const { return bits_; }

  // Goes through the runs, from the first one on that ends behind `start`. The set must not change meanwhile.
  PageBitmap::Iterator From(PageNumber start) const { return bits_.From(start); }
  // Visits the runs that have pages in [start, end), whole, in order.
  template <typename Visitor>
  void ForEachIn(PageNumber start, PageNumber end, Visitor visit) const {
    for (auto at = From(start); at && at->first < end; at.Next()) {
      visit(*at);
    }
  }
  template <typename Visitor>
  void ForEach(Visitor visit) const {
    ForEachIn(0, PageBitmap::kNone, visit);
  }

  uint64_t pages() const { return pages_; }
  size_t runs() const { return runs_; }
  bool empty() const { return pages_ == 0; }

 private:
  PageBitmap bits_;
  uint64_t pages_ = 0;
  size_t runs_ = 0;
};

class RunSet {
 public:
  RunSet() = default;
  RunSet(const RunSet&) = delete;

  // As those of PageSet.
  bool Add(Run run);
  bool Remove(Run run);
  void RemoveFrom(PageNumber from);
  void Clear();

  bool HasRun(uint64_t pages) const { return BestLength(pages) != 0; }
  // Takes `pages` pages from the shortest run that has them, the lowest of these; nullopt if none has.
  std::optional<Run> TakeBestFit(uint64_t pages);
  // Takes at most `pages` pages from the longest run, the highest of these; nullopt when the set is empty.
  std::optional<Run> TakeLongest(uint64_t pages);

  // The same from runs that begin below `end` only, the lowest of a length; the first one's pages all lie below `end`. They look
  // at so many lengths and no more, so they may miss a run.
  static constexpr int kLengthsTried = 64;
  std::optional<Run> TakeBestFitBelow(uint64_t pages, PageNumber end);
  std::optional<Run> TakeLongestBelow(uint64_t pages, PageNumber end);

  bool Has(PageNumber page) const { return set_.Has(page); }
  bool HasAny(Run run) const { return set_.HasAny(run); }
  std::optional<Run> Find(PageNumber page) const { return set_.Find(page); }
  std::optional<Run> FirstEndingAfter(PageNumber page) const { return set_.FirstEndingAfter(page); }
  PageBitmap::Iterator From(PageNumber start) const { return set_.From(start); }
  template <typename Visitor>
  void ForEachIn(PageNumber start, PageNumber end, Visitor visit) const {
    set_.ForEachIn(start, end, visit);
  }
  template <typename Visitor>
  void ForEach(Visitor visit) const {
    set_.ForEach(visit);
  }
  const PageBitmap& bits() const { return set_.bits(); }
  uint64_t pages() const { return set_.pages(); }
  size_t runs() const { return set_.runs(); }
  bool empty() const { return set_.empty(); }

 private:
  static constexpr uint64_t kShort = 64;  // runs of fewer pages are found by bits
  using Length = std::pair<uint64_t, PageNumber>;

  void Index(Run run);
  void Unindex(Run run);
  Run TakeFrom(Run whole, uint64_t pages);
  // The shortest length of at least `pages`, and the longest of at most so many, that a run has; 0: none.
  uint64_t BestLength(uint64_t pages) const;
  uint64_t LongestLength(uint64_t most) const;
  PageNumber LowestOf(uint64_t length) const;

  PageSet set_;
  uint64_t short_lengths_ = 0;               // bit i: there are runs of i pages
  std::array<PageBitmap, kShort> short_;     // first pages of the runs of each length
  std::array<size_t, kShort> short_runs_{};  // how many
  std::set<Length> long_;
};

}  // namespace johnny::space

#endif  // JOHNNY_SPACE_RUN_SET_H_
