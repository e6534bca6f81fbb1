#include "pager/frames.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/status.h"

namespace johnny::pager {
namespace {

constexpr uint64_t kMinBudgetFrames = 64;
// What a nested level may use beyond the budget when the levels around it have used that up. All of them together: two budgets.
constexpr size_t kNestedShare = 32;
constexpr size_t kMinNestedFrames = 16;
// What small transactions use is not backed by huge pages, which would be more than it takes.
constexpr size_t kHugePage = size_t{2} << 20;
// What recent transactions have used stays backed for the next one, up to this: page faults cost more than copying.
constexpr size_t kMostWarmBytes = size_t{64} << 20;
constexpr size_t kLeastWarmBytes = size_t{8} << 20;

}  // namespace

absl::StatusOr<FrameArena> FrameArena::Create(uint32_t page_size, uint64_t memory_budget) {
  FrameArena arena;
  arena.shift_ = static_cast<unsigned>(__builtin_ctz(page_size));
  arena.stride_shift_ = arena.shift_ + (kGuardPages ? 1 : 0);
  arena.budget_ = std::max<uint64_t>(memory_budget >> arena.shift_, kMinBudgetFrames);
  arena.limit_ = arena.budget_;
  arena.outer_.reserve(kMaxDepth);
  // Beyond the budget there is room for what must be dirty at once: paths, and the catalog at commit.
  arena.capacity_ = std::min<uint64_t>(arena.budget_ * 4 + (size_t{1} << 18), UINT32_MAX);
  JOHNNY_ASSIGN_OR_RETURN(arena.memory_, os::ReservedMemory::Reserve(arena.capacity_ << arena.stride_shift_));
  arena.memory_.PreferHugePages(kHugePage);
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
    if (stamp_.size() <= used_) {
      stale_.resize(used_ + 1);
      owner_.resize(used_ + 1);
      stamp_.resize(used_ + 1);  // last: its size says what all have
    }
    frame = static_cast<uint32_t>(used_++);
    if (kGuardPages && used_ > touched_) {
      Poison(At(frame), size_t{1} << stride_shift_);
      guard_.Grow(memory_.data(), used_ << stride_shift_);
    }
    touched_ = std::max(touched_, used_);
  }
  if (kGuardPages) {
    Unpoison(At(frame), size_t{1} << shift_);
  }
  stamp_[frame] = tick_;
  stale_[frame] = 0;
  owner_[frame] = static_cast<uint8_t>(depth_);
  if (depth_ > 0) {
    made_.push_back(frame);
  }
  return frame;
}

void FrameArena::Free(uint32_t frame) {
  NewEpoch();
  JOHNNY_DCHECK(frame < used_ && owner_[frame] != kNobody);
  if (owner_[frame] == depth_) {
    owner_[frame] = kNobody;
    free_.push_back(frame);
    if (kGuardPages) {
      Poison(At(frame), size_t{1} << shift_);
    }
  } else {
    kept_.push_back(frame);
  }
}

void FrameArena::BeginNested() {
  NewEpoch();
  JOHNNY_CHECK(depth_ < kMaxDepth);
  outer_.push_back({limit_, std::move(made_), std::move(kept_)});
  made_.clear();
  kept_.clear();
  limit_ = std::max(limit_, live() + std::max(budget_ / kNestedShare, kMinNestedFrames));
  ++depth_;
}

void FrameArena::CommitNested() {
  NewEpoch();
  Level outer = std::move(outer_.back());
  outer_.pop_back();
  --depth_;
  for (uint32_t frame : made_) {
    if (owner_[frame] == depth_ + 1) {
      owner_[frame] = static_cast<uint8_t>(depth_);
      if (depth_ > 0) {
        outer.made.push_back(frame);
      }
    }
  }
  std::vector<uint32_t> given_up = std::move(kept_);
  made_ = std::move(outer.made);
  kept_ = std::move(outer.kept);
  limit_ = outer.limit;
  for (uint32_t frame : given_up) {
    Free(frame);
  }
}

void FrameArena::AbortNested() {
  NewEpoch();
  for (uint32_t frame : made_) {
    if (owner_[frame] == depth_) {
      Free(frame);
    }
  }
  --depth_;
  made_ = std::move(outer_.back().made);
  kept_ = std::move(outer_.back().kept);
  limit_ = outer_.back().limit;
  outer_.pop_back();
}

void FrameArena::Reset() {
  NewEpoch();
  free_.clear();
  if (kGuardPages) {
    Poison(memory_.data(), used_ << stride_shift_);
  }
  if (used_ > 0) {
    recent_ = std::max(used_, recent_ - recent_ / 8);
  }
  used_ = 0;
  tick_ = 0;
  depth_ = 0;
  limit_ = budget_;
  outer_.clear();
  made_.clear();
  kept_.clear();
  size_t keep = std::clamp((recent_ + recent_ / 4) << stride_shift_, kLeastWarmBytes, kMostWarmBytes);
  keep = (keep + kHugePage - 1) / kHugePage * kHugePage >> stride_shift_;
  if (touched_ > keep) {
    memory_.Release(keep << stride_shift_, (touched_ - keep) << stride_shift_);
    touched_ = keep;
  }
}

uint32_t FrameArena::MedianStamp() const {
  std::vector<uint32_t> stamps;
  for (size_t frame = 0; frame < used_; ++frame) {
    if (owner_[frame] == depth_) {
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
