// Reading a B+tree: search, rank and n-th entry. Works alike on committed pages and on the frames of a write transaction.
//
// A tree is its format::TableRecord: root reference, level of the root, page counts. root.entries is always the exact number of
// entries; the counts inside branches are settled at seal, or by SettleCounts().
#ifndef JOHNNY_TREE_TREE_H_
#define JOHNNY_TREE_TREE_H_

#include "absl/base/attributes.h"
#include "absl/base/optimization.h"
#include "base/cpu.h"
#include "node/branch.h"
#include "node/leaf.h"
#include "pager/view.h"

namespace johnny::tree {

using format::ChildRef;
using format::TableRecord;

enum class Lookup { kFound, kNotFound, kError };  // kError: the reason is in the view's TakeError()

// The pages from the root to a leaf entry, by level. In branches `index` is the child taken.
struct Path {
  struct Step {
    const Byte* page;
    uint32_t index;
  };
  Step steps[format::kMaxLevel + 1];
  int top = -1;          // level of the root; -1: the tree is empty
  bool stepped = false;  // to another leaf since the search
  // The leaf after the next one in the direction of the last step, to be fetched a piece with each entry: all at once would fill
  // the processor's queue of misses and stall it.
  const Byte* ahead = nullptr;
  size_t ahead_size = 0;  // a page, or 0: there is none

  // `passed`: entries passed in this leaf.
  ABSL_ATTRIBUTE_ALWAYS_INLINE void PrefetchAhead(uint32_t passed) const {
    constexpr size_t kLine = 64, kPiece = 3 * kLine;
    const size_t at = kPiece * passed;
    if (at >= ahead_size) {
      return;
    }
    for (size_t i = 0; i < kPiece; i += kLine) {
      __builtin_prefetch(ahead + at + i, 0, 2);
    }
  }

  Step& leaf() { return steps[0]; }
  const Step& leaf() const { return steps[0]; }
};

// The entry with exactly `key`, for node::LoadLeafEntry(); null unless kFound.
struct Found {
  const Byte* entry;
  Lookup result;
};
Found FindPortable(const pager::View& view, const TableRecord& record, Slice key);
#ifdef JOHNNY_HAS_AVX2_KERNEL
// Compiled for processors with AVX2 and BMI2.
Found FindAvx2(const pager::View& view, const TableRecord& record, Slice key);
#endif
inline Found Find(const pager::View& view, const TableRecord& record, Slice key) {
#ifdef JOHNNY_HAS_AVX2_KERNEL
  if (ABSL_PREDICT_TRUE(kHasAvx2)) {
    return FindAvx2(view, record, key);
  }
#endif
  return FindPortable(view, record, key);
}

// The value stored under exactly `key`.
inline Lookup Get(const pager::View& view, const TableRecord& record, Slice key, node::LeafValue* value) {
  const Found found = Find(view, record, key);
  if (ABSL_PREDICT_TRUE(found.result == Lookup::kFound)) {
    *value = node::LoadLeafEntry(found.entry).value;
  }
  return found.result;
}

// The same for many keys, several at a time level by level, so that their cache misses overlap. values[i].bytes.data() is null
// where there is none. *found: how many there are. kFound or kError.
Lookup GetMany(const pager::View& view, const TableRecord& record, absl::Span<const Slice> keys, node::LeafValue* values,
               size_t* found);

// Fills *path down to the lower bound of `key` within the leaf whose range holds it (index may be the leaf's count).
// `to_change`: all of the leaf will be read soon, in order to copy it.
Lookup Search(const pager::View& view, const TableRecord& record, Slice key, Path* path, bool to_change = false);
// Descends along the left or right edge; the leaf index is 0 or count - 1. kNotFound: the tree is empty.
Lookup SearchEdge(const pager::View& view, const TableRecord& record, bool right, Path* path);
// Moves to the next or previous leaf, index 0 or count - 1; skips empty ones. Unless kFound, the path is spoilt.
Lookup StepLeaf(const pager::View& view, bool forward, Path* path);

// Number of entries with keys less than `key`. Counts must be settled.
Lookup Rank(const pager::View& view, const TableRecord& record, Slice key, uint64_t* rank);
// Path to entry number `n`. Counts must be settled. kNotFound: n >= root.entries.
Lookup SearchNth(const pager::View& view, const TableRecord& record, uint64_t n, Path* path);

// Brings the counts in the dirty branches of a write transaction up to date.
void SettleCounts(pager::FrameArena* frames, const TableRecord& record);

}  // namespace johnny::tree

#endif  // JOHNNY_TREE_TREE_H_
