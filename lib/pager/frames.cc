#include "pager/frames.h"

#include <algorithm>

#include "base/check.h"
#include "base/status.h"

namespace johnny::pager {
namespace {

constexpr uint64_t kMinBudgetFrames = 64;
constexpr size_t kWarmBytes = size_t{32} << 20;  // stays backed between transactions; page faults cost more than copying

}  // namespace

absl::StatusOr<FrameArena> FrameArena::Create(uint32_t page_size, uint64_t memory_budget) {
  FrameArena arena;
  arena.shift_ = static_cast<unsigned>(__builtin_ctz(page_size));
  arena.budget_ = std::max<uint64_t>(memory_budget >> arena.shift_, kMinBudgetFrames);
  // Beyond the budget there is room for what must be dirty at once: paths, and the catalog at commit.
  arena.capacity_ = std::min<uint64_t>(arena.budget_ * 4 + (size_t{1} << 18), UINT32_MAX);
  JOHNNY_ASSIGN_OR_RETURN(arena.memory_, os::ReservedMemory::Reserve(arena.capacity_ << arena.shift_));
  return arena;
}

absl::StatusOr<uint32_t> FrameArena::Allocate() {
  uint32_t frame = 0;
  if (!free_.empty()) {
    frame = free_.back();
    free_.pop_back();
  } else {
    if (used_ == capacity_) {
      return MakeStatus(Code::kNoMemory, "the write transaction holds too many changed pages in memory");
    }
    frame = static_cast<uint32_t>(used_++);
    touched_ = std::max(touched_, used_);
    if (stamp_.size() < used_) {
      stamp_.resize(used_);
      stale_.resize(used_);
    }
  }
  stamp_[frame] = tick_;
  stale_[frame] = 0;
  return frame;
}

void FrameArena::Free(uint32_t frame) {
  JOHNNY_DCHECK(frame < used_);
  free_.push_back(frame);
}

void FrameArena::Reset() {
  free_.clear();
  used_ = 0;
  tick_ = 0;
  size_t keep = kWarmBytes >> shift_;
  if (touched_ > keep) {
    memory_.Release(keep << shift_, (touched_ - keep) << shift_);
    touched_ = keep;
  }
}

uint32_t FrameArena::MedianStamp() const {
  std::vector<uint8_t> is_free(used_);
  for (uint32_t frame : free_) {
    is_free[frame] = 1;
  }
  std::vector<uint32_t> stamps;
  for (size_t frame = 0; frame < used_; ++frame) {
    if (is_free[frame] == 0) {
      stamps.push_back(stamp_[frame]);
    }
  }
  if (stamps.empty()) {
    return 0;
  }
  auto middle = stamps.begin() + static_cast<ptrdiff_t>(stamps.size() / 2);
  std::nth_element(stamps.begin(), middle, stamps.end());
  return *middle;
}

}  // namespace johnny::pager
