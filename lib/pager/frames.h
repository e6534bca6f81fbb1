// Frames: the changed pages of a write transaction, in memory. A frame has no page number until it is sealed; inside the
// transaction a parent refers to a dirty child by the frame's index, so there is no dirty-page table to search.
//
// Nested transactions: each frame belongs to the level (0: the outermost) that made it. The innermost level changes its own
// frames only, and copies those of the levels around it; what it gives up of theirs is kept for them until it commits.
//
// Invariants
//   1. A reference with kFrameBit names a live frame; its parent is a frame too, of the same level or one further in, or the root
//   of its tree.
//   2. In the trees of one level a live frame is referred to exactly once, or not at all if a level further in is keeping it.
// Thread rules: belongs to the write transaction.
#ifndef JOHNNY_PAGER_FRAMES_H_
#define JOHNNY_PAGER_FRAMES_H_

#include <algorithm>
#include <vector>

#include "absl/status/statusor.h"
#include "base/guard.h"
#include "format/layout.h"
#include "os/memory.h"

namespace johnny::pager {

inline constexpr uint64_t kFrameBit = uint64_t{1} << 47;
static_assert(kFrameBit == format::kMaxPageNumber + 1);

inline bool IsFrame(const format::ChildRef& ref) { return (ref.page & kFrameBit) != 0; }
inline uint32_t FrameIndex(const format::ChildRef& ref) { return static_cast<uint32_t>(ref.page); }

class FrameArena {
 public:
  static absl::StatusOr<FrameArena> Create(uint32_t page_size, uint64_t memory_budget);

  Byte* At(uint32_t frame) const { return memory_.data() + (size_t{frame} << stride_shift_); }
  uint32_t IndexOf(const Byte* page) const {
    return static_cast<uint32_t>(static_cast<size_t>(page - memory_.data()) >> stride_shift_);
  }
  bool Contains(const void* pointer) const { return pointer >= memory_.data() && pointer < memory_.data() + memory_.size(); }

  // An uninitialised frame's index; kNoMemory when the arena's address space is used up.
  absl::StatusOr<uint32_t> Allocate();
  void Free(uint32_t frame);
  // Drops all frames and levels; keeps the memory that the next transaction is likely to use.
  void Reset();

  // ---- Nested transactions; the cost of each is that of what the level has changed ----
  static constexpr uint32_t kMaxDepth = 64;
  uint32_t depth() const { return depth_; }
  bool IsOwn(uint32_t frame) const { return owner_[frame] == depth_; }  // of the innermost level
  void BeginNested();                                                   // does not throw
  void CommitNested();  // hands the frames to the level around it, and frees those that it gave up
  void AbortNested();   // drops them

  size_t live() const { return used_ - free_.size(); }
  size_t budget() const { return budget_; }  // frames; live() may exceed it a little between two spills
  // A nested level cannot spill what is not its own, so it has some room for itself in any case.
  bool over_budget() const { return live() > limit_; }

  // Changes whenever a frame that was there may be gone or belong to another level, or counts have been settled: what remembers
  // frames compares it.
  uint64_t epoch() const { return epoch_; }
  void NewEpoch() { ++epoch_; }

  // Ages for spilling: touching marks a frame as used at the current tick.
  void Touch(uint32_t frame) { stamp_[frame] = tick_; }
  void Tick() { ++tick_; }
  uint32_t stamp(uint32_t frame) const { return stamp_[frame]; }
  // A stamp such that about half of the innermost level's frames are not newer.
  uint32_t MedianStamp() const;

  // Whether the entry counts that a branch frame holds of its dirty children may be out of date.
  void MarkCountsStale(uint32_t frame) { stale_[frame] = 1; }
  void MarkCountsSettled(uint32_t frame) { stale_[frame] = 0; }
  bool CountsStale(uint32_t frame) const { return stale_[frame] != 0; }

 private:
  os::ReservedMemory memory_;
  PoisonedRange guard_;  // frames touched; those in use are not poisoned, only what lies between them
  unsigned shift_ = 0;
  unsigned stride_shift_ = 0;  // of the distance from frame to frame: a page, and as much again as a guard in fuzz builds
  // What a nested level leaves for the level around it.
  struct Level {
    size_t limit;
    std::vector<uint32_t> made, kept;
  };
  static constexpr uint8_t kNobody = 0xff;  // owner of a free frame
  static_assert(kMaxDepth < kNobody);

  uint64_t epoch_ = 0;
  size_t budget_ = 0;
  size_t limit_ = 0;  // of live frames, for the innermost level
  size_t capacity_ = 0;
  size_t used_ = 0;     // frames handed out so far, freed ones included
  size_t touched_ = 0;  // frames whose memory may be backed
  size_t recent_ = 0;   // frames used by the largest recent transaction, decaying
  uint32_t tick_ = 0;
  std::vector<uint32_t> free_;
  std::vector<uint32_t> stamp_;
  std::vector<uint8_t> stale_;
  std::vector<uint8_t> owner_;
  uint32_t depth_ = 0;
  std::vector<Level> outer_;
  // Of the innermost level, if that is nested: frames it has made, freed ones and repeats among them; frames of others that it
  // gave up.
  std::vector<uint32_t> made_;
  std::vector<uint32_t> kept_;
};

}  // namespace johnny::pager

#endif  // JOHNNY_PAGER_FRAMES_H_
