// Pending runs by place. They do not overlap, and are not joined, since each has its own birth and death.
//
// Runs that begin in the same 256 pages lie sorted in one vector: adding and removing one costs a few moves, where a tree of runs
// takes hundreds of instructions.
#ifndef JOHNNY_SPACE_PENDING_MAP_H_
#define JOHNNY_SPACE_PENDING_MAP_H_

#include <map>
#include <vector>

#include "space/free_log.h"

namespace johnny::space {

class PendingMap {
  using Block = std::vector<PendingRun>;  // never empty
  using Blocks = std::map<uint64_t, Block>;

 public:
  // False, and no change, if one of its pages is pending already.
  bool Add(const PendingRun& run);
  // Removes the run that begins at `first`. REQUIRES: there is one
  void Remove(PageNumber first);
  bool HasAny(Run run) const { return bits_.HasAny(run); }
  // How many runs begin in [start, end).
  uint64_t CountIn(PageNumber start, PageNumber end) const;

  // Goes through the runs in order. The map must not change meanwhile.
  class Iterator {
   public:
    explicit operator bool() const { return block_ != blocks_->end(); }
    const PendingRun& operator*() const { return block_->second[at_]; }
    void Next() {
      if (++at_ == block_->second.size()) {
        ++block_;
        at_ = 0;
      }
    }

   private:
    friend class PendingMap;
    Iterator(const Blocks* blocks, Blocks::const_iterator block, size_t at) : blocks_(blocks), block_(block), at_(at) {}
    const Blocks* blocks_;
    Blocks::const_iterator block_;
    size_t at_;
  };
  // From the first run on that ends behind `start`.
  Iterator From(PageNumber start) const;

 private:
  static constexpr int kBlockShift = 8;
  // Where in a block runs that begin at `first` or behind it begin.
  static size_t LowerBound(const Block& block, PageNumber first);

  Blocks blocks_;
  PageBitmap bits_;
};

}  // namespace johnny::space

#endif  // JOHNNY_SPACE_PENDING_MAP_H_
