#include "space/pending_map.h"

#include <algorithm>
#include <iterator>

#include "base/check.h"

namespace johnny::space {

size_t PendingMap::LowerBound(const Block& block, PageNumber first) {
  auto at = std::partition_point(block.begin(), block.end(), [first](const PendingRun& run) { return run.run.first < first; });
  return static_cast<size_t>(at - block.begin());
}

bool PendingMap::Add(const PendingRun& run) {
  if (bits_.HasAny(run.run)) {
    return false;
  }
  bits_.Set(run.run);
  Block& block = blocks_[run.run.first >> kBlockShift];
  block.insert(block.begin() + static_cast<ptrdiff_t>(LowerBound(block, run.run.first)), run);
  return true;
}

void PendingMap::Remove(PageNumber first) {
  auto block = blocks_.find(first >> kBlockShift);
  JOHNNY_CHECK(block != blocks_.end());
  Block& runs = block->second;
  size_t at = LowerBound(runs, first);
  JOHNNY_CHECK(at < runs.size() && runs[at].run.first == first);
  bits_.Reset(runs[at].run);
  runs.erase(runs.begin() + static_cast<ptrdiff_t>(at));
  if (runs.empty()) {
    blocks_.erase(block);
  }
}

uint64_t PendingMap::CountIn(PageNumber start, PageNumber end) const {
  uint64_t count = 0;
  for (auto block = blocks_.lower_bound(start >> kBlockShift); block != blocks_.end() && block->first << kBlockShift < end;
       ++block) {
    count += LowerBound(block->second, end) - LowerBound(block->second, start);
  }
  return count;
}

PendingMap::Iterator PendingMap::From(PageNumber start) const {
  auto block = blocks_.lower_bound(start >> kBlockShift);
  size_t at = 0;
  if (block != blocks_.end() && block->first == start >> kBlockShift) {
    at = LowerBound(block->second, start);
  }
  // The run before may reach behind `start`.
  if (at > 0) {
    at -= block->second[at - 1].run.end() > start ? 1 : 0;
  } else if (block != blocks_.begin()) {
    auto before = std::prev(block);
    if (before->second.back().run.end() > start) {
      return {&blocks_, before, before->second.size() - 1};
    }
  }
  if (block != blocks_.end() && at == block->second.size()) {
    ++block;
    at = 0;
  }
  return {&blocks_, block, at};
}

}  // namespace johnny::space
