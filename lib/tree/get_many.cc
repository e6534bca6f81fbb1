// Several lookups in lockstep: each level is searched for all of them before the next one, whose pages are fetched meanwhile.
#include <algorithm>
#include <array>

#include "tree/tree.h"

namespace johnny::tree {
namespace {

// Cache misses that are under way at a time; more gain nothing here (bench/RESULTS.md).
constexpr size_t kLanes = 16;

// One group of keys, from the root to the entries.
Lookup GetGroup(const pager::View& view, const TableRecord& record, const Byte* root, absl::Span<const Slice> keys,
                node::LeafValue* values, size_t* found) {
  std::array<const Byte*, kLanes> pages;
  std::array<const Byte*, kLanes> children;
  std::array<ChildRef, kLanes> refs;
  std::array<uint32_t, kLanes> first;
  const size_t lanes = keys.size();
  pages.fill(root);
  for (uint32_t level = record.level; level-- > 0;) {
    for (size_t i = 0; i < lanes; ++i) {
      children[i] = node::ChildRefAt(pages[i], node::SearchBranch(pages[i], keys[i]));
      __builtin_prefetch(children[i]);
    }
    for (size_t i = 0; i < lanes; ++i) {
      refs[i] = format::LoadChildRef(children[i]);
      view.Prefetch(refs[i], level);
    }
    for (size_t i = 0; i < lanes; ++i) {
      pages[i] = view.Resolve(refs[i], level);
      if (pages[i] == nullptr) {
        return Lookup::kError;
      }
    }
  }
  for (size_t i = 0; i < lanes; ++i) {
    first[i] = node::FirstWithHead(pages[i], keys[i]);
    if (first[i] < node::Header(pages[i])->count) {
      __builtin_prefetch(node::LeafEntryAt(pages[i], first[i]));
    }
  }
  for (size_t i = 0; i < lanes; ++i) {
    if (const Byte* entry = node::FindFrom(pages[i], keys[i], first[i]); entry != nullptr) {
      values[i] = node::LoadLeafEntry(entry).value;
      ++*found;
    } else {
      values[i] = {};
    }
  }
  return Lookup::kFound;
}

}  // namespace

Lookup GetMany(const pager::View& view, const TableRecord& record, absl::Span<const Slice> keys, node::LeafValue* values,
               size_t* found) {
  *found = 0;
  if (record.empty()) {
    std::fill_n(values, keys.size(), node::LeafValue{});
    return Lookup::kFound;
  }
  const Byte* root = view.Resolve(record.root, record.level);
  if (root == nullptr) {
    return Lookup::kError;
  }
  for (size_t first = 0; first < keys.size(); first += kLanes) {
    if (GetGroup(view, record, root, keys.subspan(first, kLanes), values + first, found) == Lookup::kError) {
      return Lookup::kError;
    }
  }
  return Lookup::kFound;
}

}  // namespace johnny::tree
