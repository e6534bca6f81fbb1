// Removing entries: merging what has become too empty, and clearing whole trees.
#include <array>

#include "base/check.h"
#include "base/status.h"
#include "pager/extent.h"
#include "tree/writer.h"

namespace johnny::tree {
namespace {

using node::Header;
using node::LeafEntry;

// A page with less than this share of its bytes used is merged with a sibling, or filled from it.
constexpr size_t kTooEmpty = 4;

}  // namespace

absl::Status TreeWriter::Erase(Slice key, bool* found) {
  may_use_reserve_ = true;
  Lookup result = Search(*context_->view, *record_, key, &path_, /*to_change=*/true);
  *found = result == Lookup::kFound;
  if (result == Lookup::kError) {
    return context_->view->TakeError();
  }
  if (result == Lookup::kNotFound) {
    return absl::OkStatus();
  }
  // A redistribution copies a sibling and may split branches.
  JOHNNY_RETURN_IF_ERROR(EnsureRoom(2 * static_cast<uint64_t>(path_.top) + 4));
  JOHNNY_RETURN_IF_ERROR(DirtyPath());
  JOHNNY_RETURN_IF_ERROR(FreeExtent(node::GetLeafEntry(Page(0), path_.leaf().index).value));
  node::RemoveFromLeaf(Dirty(0), path_.leaf().index);
  record_->root.entries--;
  return AfterErase();
}

absl::Status TreeWriter::AfterErase() {
  const Byte* leaf = Page(0);
  const bool rebalance = path_.top > 0 && !node::LeafUsesAtLeast(leaf, page_size() / kTooEmpty);
  if (Header(leaf)->count == 0 || rebalance) {
    context_->frames->NewEpoch();  // what places are remembered, are not where they were
  }
  if (Header(leaf)->count == 0) {
    JOHNNY_RETURN_IF_ERROR(FreePage(RefOf(leaf), leaf));
    record_->leaf_pages--;
    if (path_.top == 0) {
      record_->root = {};
      return absl::OkStatus();
    }
    return RemoveChild(1, path_.steps[1].index);
  }
  return rebalance ? RebalanceLeaf() : absl::OkStatus();
}

// Merges the leaf with a sibling, or takes entries from one that is too full to merge with.
absl::Status TreeWriter::RebalanceLeaf() {
  uint32_t own = path_.steps[1].index;
  if (Header(Page(1))->count < 2) {
    return absl::OkStatus();
  }
  uint32_t other = own > 0 ? own - 1 : own + 1;
  ChildRef ref = node::GetChild(Page(1), other);
  const Byte* sibling = context_->view->Resolve(ref, 0);
  if (sibling == nullptr) {
    return context_->view->TakeError();
  }
  std::vector<LeafEntry> entries;
  const Byte* left = other < own ? sibling : Page(0);
  const Byte* right = other < own ? Page(0) : sibling;
  for (const Byte* page : {left, right}) {
    for (uint32_t i = 0; i < Header(page)->count; ++i) {
      entries.push_back(node::GetLeafEntry(page, i));
    }
  }
  size_t used = node::LeafBytesUsed(left) + node::LeafBytesUsed(right) - format::kPageHeaderSize;
  std::array<Byte, format::kMaxPageSize> merged;
  if (used <= page_size()) {
    node::BuildLeaf(merged.data(), page_size(), entries);
    JOHNNY_RETURN_IF_ERROR(FreePage(ref, sibling));
    std::memcpy(Dirty(0), merged.data(), page_size());
    record_->leaf_pages--;
    node::SetChild(Dirty(1), std::min(own, other), RefOf(Page(0)));
    path_.steps[1].index = std::min(own, other);
    return RemoveChild(1, std::max(own, other));
  }
  JOHNNY_ASSIGN_OR_RETURN(Byte * dirty_sibling, DirtySibling(other));
  absl::Span<const LeafEntry> all(entries);
  size_t middle = 0;
  size_t bytes = format::kPageHeaderSize;
  while (middle + 1 < all.size() && bytes + node::LeafEntryCost(all[middle]) <= used / 2 + format::kPageHeaderSize) {
    bytes += node::LeafEntryCost(all[middle++]);
  }
  if (middle == 0 || used - bytes + format::kPageHeaderSize > page_size()) {
    return absl::OkStatus();  // entries too large to even out
  }
  std::string separator(node::ShortestSeparator(all[middle - 1].key, all[middle].key));
  std::array<Byte, format::kMaxPageSize> second;
  node::BuildLeaf(merged.data(), page_size(), all.first(middle));
  node::BuildLeaf(second.data(), page_size(), all.subspan(middle));
  std::memcpy(other < own ? dirty_sibling : Dirty(0), merged.data(), page_size());
  std::memcpy(other < own ? Dirty(0) : dirty_sibling, second.data(), page_size());
  return SetSeparator(1, std::max(own, other), separator);
}

// Takes the reference to a freed child out of the path's branch of `level`.
absl::Status TreeWriter::RemoveChild(int level, uint32_t index) {
  const Byte* page = Page(level);
  if (Header(page)->count == 1) {
    JOHNNY_RETURN_IF_ERROR(FreePage(RefOf(page), page));
    record_->branch_pages--;
    if (level == path_.top) {
      record_->root = {};
      record_->level = 0;
      return absl::OkStatus();
    }
    return RemoveChild(level + 1, path_.steps[level + 1].index);
  }
  node::RemoveFromBranch(Dirty(level), index);
  return RebalanceBranch(level);
}

absl::Status TreeWriter::RebalanceBranch(int level) {
  if (level == path_.top) {
    return CollapseRoot();
  }
  uint32_t siblings = Header(Page(level + 1))->count;
  if (siblings < 2 || node::BranchBytesUsed(Page(level)) >= page_size() / kTooEmpty) {
    return absl::OkStatus();
  }
  uint32_t own = path_.steps[level + 1].index;
  uint32_t other = own > 0 ? own - 1 : own + 1;
  ChildRef ref = node::GetChild(Page(level + 1), other);
  const Byte* sibling = context_->view->Resolve(ref, static_cast<uint32_t>(level));
  if (sibling == nullptr) {
    return context_->view->TakeError();
  }
  // The separator between the two comes down from the parent, as that of the right one's first child.
  std::string left_bytes, right_bytes, between;
  Children children, right;
  GatherChildren(other < own ? sibling : Page(level), &left_bytes, &children);
  GatherChildren(other < own ? Page(level) : sibling, &right_bytes, &right);
  node::AppendSeparator(Page(level + 1), std::max(own, other), &between);
  right.front().separator = between;
  children.insert(children.end(), right.begin(), right.end());
  std::array<Byte, format::kMaxPageSize> merged;
  if (!node::BuildBranch(merged.data(), page_size(), static_cast<uint8_t>(level), children)) {
    return absl::OkStatus();  // the sibling is nearly full: this one may stay as it is
  }
  JOHNNY_RETURN_IF_ERROR(FreePage(ref, sibling));
  std::memcpy(Dirty(level), merged.data(), page_size());
  record_->branch_pages--;
  node::SetChild(Dirty(level + 1), std::min(own, other), RefOf(Page(level)));
  return RemoveChild(level + 1, std::max(own, other));
}

// A root branch with a single child gives way to it.
absl::Status TreeWriter::CollapseRoot() {
  while (record_->level > 0 && pager::IsFrame(record_->root)) {
    Byte* root = context_->frames->At(pager::FrameIndex(record_->root));
    if (Header(root)->count > 1) {
      break;
    }
    ChildRef child = node::GetChild(root, 0);
    JOHNNY_RETURN_IF_ERROR(FreePage(record_->root, root));
    child.entries = record_->root.entries;
    record_->root = child;
    record_->level--;
    record_->branch_pages--;
  }
  return absl::OkStatus();
}

// ---- Clear ----

absl::Status TreeWriter::EnsureRoomToClear(uint64_t extra) {
  may_use_reserve_ = true;
  uint64_t runs = record_->leaf_pages + record_->branch_pages + record_->large_values;
  return EnsureRoom(extra + runs * space::kMaxLoggedRunBytes / page_size() + 1);
}

absl::Status TreeWriter::Clear() {
  if (!record_->empty()) {
    JOHNNY_RETURN_IF_ERROR(EnsureRoomToClear(0));
    uint64_t pages_left = context_->view->page_count() + context_->frames->live();
    JOHNNY_RETURN_IF_ERROR(ClearBelow(record_->root, record_->level, &pages_left));
  }
  *record_ = {};
  return absl::OkStatus();
}

// Frees the subtree. Recursion is bounded by the level, which Resolve checks at every step.
absl::Status TreeWriter::ClearBelow(const ChildRef& ref, uint32_t level, uint64_t* pages_left) {
  const Byte* page = context_->view->Resolve(ref, level);
  if (page == nullptr) {
    return context_->view->TakeError();
  }
  if ((*pages_left)-- == 0) {
    return CorruptPage(ref.page, "pages are referred to more than once: the tree has more of them than the file");
  }
  uint32_t count = Header(page)->count;
  for (uint32_t i = 0; i < count; ++i) {
    if (level == 0) {
      node::LeafValue value = node::GetLeafEntry(page, i).value;
      if (value.is_extent) {
        JOHNNY_RETURN_IF_ERROR(FreeExtent(value));
      }
      continue;
    }
    ChildRef child = node::GetChild(page, i);
    JOHNNY_RETURN_IF_ERROR(ClearBelow(child, level - 1, pages_left));
  }
  return FreePage(ref, page);
}

}  // namespace johnny::tree
