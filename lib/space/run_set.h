// Sets of page runs, kept merged, with lookup by place and by length.
#ifndef JOHNNY_SPACE_RUN_SET_H_
#define JOHNNY_SPACE_RUN_SET_H_

#include <functional>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "base/node_reserve.h"
#include "format/layout.h"

namespace johnny::space {

struct Run {
  PageNumber first = 0;
  uint64_t pages = 0;

  PageNumber end() const { return first + pages; }
  friend bool operator==(const Run& a, const Run& b) { return a.first == b.first && a.pages == b.pages; }
};

// A set of pages as disjoint, non-adjacent runs.
class RunSet {
 public:
  // Adds pages, none of which may be in the set. False, and no change, if one is.
  bool Add(Run run);
  // Removes pages, all of which must be in the set. False, and no change, if one is not.
  bool Remove(Run run);
  // Removes the pages from `from` on.
  void RemoveFrom(PageNumber from);
  void Clear();

  bool HasRun(uint64_t pages) const { return by_length_.lower_bound({pages, 0}) != by_length_.end(); }
  // Takes `pages` pages from the shortest run that has them; nullopt if none has.
  std::optional<Run> TakeBestFit(uint64_t pages);
  // Takes at most `pages` pages from the longest run; nullopt when the set is empty.
  std::optional<Run> TakeLongest(uint64_t pages);

  // The same from runs that begin below `end` only, the lowest of a length first; the first one's pages all lie below `end`. They
  // look at so many lengths and no more, so they may miss a run.
  static constexpr int kLengthsTried = 64;
  std::optional<Run> TakeBestFitBelow(uint64_t pages, PageNumber end);
  std::optional<Run> TakeLongestBelow(uint64_t pages, PageNumber end);

  // The run holding `page`, if any; and the first run that ends behind `page`.
  std::optional<Run> Find(PageNumber page) const;
  std::optional<Run> FirstEndingAfter(PageNumber page) const;

  // Iterates over pairs of a run's first page and its length, from the first run on that ends behind `start`.
  auto From(PageNumber start) const {
    auto at = by_place_.upper_bound(start);
    return at != by_place_.begin() && std::prev(at)->first + std::prev(at)->second > start ? std::prev(at) : at;
  }
  auto end() const { return by_place_.end(); }

  // Visits the runs that have pages in [start, end), whole, in order.
  template <typename Visitor>
  void ForEachIn(PageNumber start, PageNumber end, Visitor visit) const {
    for (auto at = From(start); at != by_place_.end() && at->first < end; ++at) {
      visit(Run{at->first, at->second});
    }
  }

  // See AscendingOverlaps, below. The set must not change meanwhile.
  auto Overlaps() const;
  uint64_t pages() const { return pages_; }
  size_t runs() const { return by_place_.size(); }
  bool empty() const { return by_place_.empty(); }
  template <typename Visitor>
  void ForEach(Visitor visit) const {
    for (const auto& [first, pages] : by_place_) {
      visit(Run{first, pages});
    }
  }

 private:
  using ByPlace =
      absl::btree_map<PageNumber, uint64_t, std::less<PageNumber>, NodeAllocator<std::pair<const PageNumber, uint64_t>>>;
  using Length = std::pair<uint64_t, PageNumber>;
  void Insert(Run run);
  void Erase(ByPlace::iterator at);

  ByPlace by_place_;
  absl::btree_set<Length, std::less<Length>, NodeAllocator<Length>> by_length_;
  uint64_t pages_ = 0;
};

// Whether runs overlap those of a map from first page to something whose end `end_of` tells; asked in ascending order. Steps on
// where the answer is near, so that many questions about a dense map cost a few instructions each.
template <typename Map, typename EndOf>
class AscendingOverlaps {
 public:
  AscendingOverlaps(const Map& map, EndOf end_of) : map_(map), end_of_(end_of), at_(map.begin()) {}

  bool operator()(Run run) {
    constexpr int kNear = 8;
    for (int steps = 0; at_ != map_.end() && end_of_(*at_) <= run.first; ++at_) {
      if (++steps > kNear) {
        at_ = map_.upper_bound(run.first);
        if (at_ != map_.begin() && end_of_(*std::prev(at_)) > run.first) {
          --at_;
        }
        break;
      }
    }
    return at_ != map_.end() && at_->first < run.end();
  }

 private:
  const Map& map_;
  EndOf end_of_;
  typename Map::const_iterator at_;
};

inline auto RunSet::Overlaps() const {
  return AscendingOverlaps(by_place_, [](const auto& run) { return run.first + run.second; });
}

}  // namespace johnny::space

#endif  // JOHNNY_SPACE_RUN_SET_H_
