#include "tree/tree.h"

#include "absl/base/attributes.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace johnny::tree {
namespace {

// Fills the path from `level` down, keeping to one edge of the subtree below `ref`.
Lookup DescendEdge(const pager::View& view, ChildRef ref, int level, bool right, Path* path) {
  for (;; --level) {
    const Byte* page = view.Resolve(ref, static_cast<uint32_t>(level));
    if (page == nullptr) {
      return Lookup::kError;
    }
    uint32_t count = node::Header(page)->count;
    path->steps[level] = {page, right && count > 0 ? count - 1 : 0};
    if (level == 0) {
      return count > 0 ? Lookup::kFound : Lookup::kNotFound;
    }
    ref = node::GetChild(page, path->steps[level].index);
  }
}

// Whoever steps from leaf to leaf is likely to go on. Leaves lie anywhere in the file and entries anywhere in a leaf, so that the
// processor cannot foresee what will be read: it is fetched two leaves ahead, and the address of the fourth translated.
ABSL_ATTRIBUTE_ALWAYS_INLINE inline void PrefetchLeaves(const pager::View& view, bool forward, bool first, Path* path) {
  const Path::Step& parent = path->steps[1];
  const uint32_t count = node::Header(parent.page)->count;
  auto child = [&](uint32_t distance) { return forward ? parent.index + distance : parent.index - distance; };  // wraps round
  if (first && child(1) < count) {
    view.PrefetchWhole(node::GetChild(parent.page, child(1)));
  }
  path->ahead = child(2) < count ? view.AddressOf(node::GetChild(parent.page, child(2))) : nullptr;
  path->ahead_size = path->ahead != nullptr ? view.page_size() : 0;
  path->PrefetchAhead(0);
  if (child(4) < count) {
    view.PrefetchStart(node::GetChild(parent.page, child(4)));
  }
}

Lookup CountMismatch(const pager::View& view, const Byte* page) {
  view.SetError(CorruptPage(node::Header(page)->page(), "the entry counts of its children do not add up"));
  return Lookup::kError;
}

uint64_t Settle(pager::FrameArena* frames, const ChildRef& ref, uint32_t level) {
  Byte* page = frames->At(pager::FrameIndex(ref));
  uint32_t count = node::Header(page)->count;
  if (level == 0) {
    return count;
  }
  bool stale = frames->CountsStale(pager::FrameIndex(ref));
  uint64_t total = 0;
  for (uint32_t i = 0; i < count; ++i) {
    ChildRef child = node::GetChild(page, i);
    if (stale && pager::IsFrame(child)) {
      child.entries = Settle(frames, child, level - 1);
      node::SetChild(page, i, child);
    }
    total += child.entries;
  }
  frames->MarkCountsSettled(pager::FrameIndex(ref));
  return total;
}

}  // namespace

Lookup Search(const pager::View& view, const TableRecord& record, Slice key, Path* path, bool to_change) {
  path->top = -1;
  path->stepped = false;
  path->ahead_size = 0;
  if (record.empty()) {
    return Lookup::kNotFound;
  }
  ChildRef ref = record.root;
  for (int level = record.level;; --level) {
    const Byte* page = view.Resolve(ref, static_cast<uint32_t>(level));
    if (page == nullptr) {
      return Lookup::kError;
    }
    if (level == 0) {
      node::Position position = node::SearchLeaf(page, key);
      path->steps[0] = {page, position.index};
      path->top = record.level;
      return position.found ? Lookup::kFound : Lookup::kNotFound;
    }
    path->steps[level] = {page, node::SearchBranch(page, key)};
    ref = node::GetChild(page, path->steps[level].index);
    if (to_change && level == 1) {
      view.PrefetchWhole(ref);
    } else if (level <= 2) {
      view.PrefetchArrays(ref.page, static_cast<uint32_t>(level - 1));
    }
  }
}

Lookup SearchEdge(const pager::View& view, const TableRecord& record, bool right, Path* path) {
  path->top = -1;
  path->stepped = false;
  path->ahead_size = 0;
  if (record.empty()) {
    return Lookup::kNotFound;
  }
  Lookup result = DescendEdge(view, record.root, record.level, right, path);
  if (result != Lookup::kError) {
    path->top = record.level;
  }
  // Leaves are never empty but in a damaged file; step over those too.
  return result == Lookup::kNotFound ? StepLeaf(view, !right, path) : result;
}

Lookup StepLeaf(const pager::View& view, bool forward, Path* path) {
  Lookup result = Lookup::kNotFound;
  do {
    int level = 1;
    while (level <= path->top && (forward ? path->steps[level].index + 1 >= node::Header(path->steps[level].page)->count
                                          : path->steps[level].index == 0)) {
      ++level;
    }
    if (level > path->top) {
      return Lookup::kNotFound;
    }
    Path::Step& step = path->steps[level];
    step.index += forward ? 1 : -1;
    result = DescendEdge(view, node::GetChild(step.page, step.index), level - 1, !forward, path);
  } while (result == Lookup::kNotFound);
  if (result == Lookup::kFound) {
    PrefetchLeaves(view, forward, !path->stepped, path);
    path->stepped = true;
  }
  return result;
}

Lookup Rank(const pager::View& view, const TableRecord& record, Slice key, uint64_t* rank) {
  Path path;
  *rank = 0;
  Lookup result = Search(view, record, key, &path);
  if (result == Lookup::kError || path.top < 0) {
    return result;
  }
  for (int level = path.top; level > 0; --level) {
    const Path::Step& step = path.steps[level];
    for (uint32_t i = 0; i < step.index; ++i) {
      *rank += node::GetChild(step.page, i).entries;
    }
  }
  *rank += path.leaf().index;
  return result;
}

Lookup SearchNth(const pager::View& view, const TableRecord& record, uint64_t n, Path* path) {
  path->top = -1;
  if (n >= record.root.entries || record.empty()) {
    return Lookup::kNotFound;
  }
  ChildRef ref = record.root;
  for (int level = record.level;; --level) {
    const Byte* page = view.Resolve(ref, static_cast<uint32_t>(level));
    if (page == nullptr) {
      return Lookup::kError;
    }
    uint32_t count = node::Header(page)->count;
    if (level == 0) {
      if (n >= count) {
        return CountMismatch(view, page);
      }
      path->steps[0] = {page, static_cast<uint32_t>(n)};
      path->top = record.level;
      return Lookup::kFound;
    }
    uint32_t i = 0;
    for (ref = node::GetChild(page, 0); n >= ref.entries; ref = node::GetChild(page, i)) {
      n -= ref.entries;
      if (++i == count) {
        return CountMismatch(view, page);
      }
    }
    path->steps[level] = {page, i};
  }
}

void SettleCounts(pager::FrameArena* frames, const TableRecord& record) {
  if (!record.empty() && pager::IsFrame(record.root)) {
    frames->NewEpoch();
    Settle(frames, record.root, record.level);
  }
}

}  // namespace johnny::tree
