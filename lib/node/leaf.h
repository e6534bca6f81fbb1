// Leaf pages: `header | head u32[n] | offset u16[n] | free | entries` (FORMAT.md section 5).
//
// Invariants of a sound leaf
//   1. Keys ascend strictly; all share the first `prefix` bytes; head[i] is the head of key i behind them.
//   2. lower = 32 + 6n <= upper; entries lie in [upper, page size) without overlap, with holes where entries were removed.
//   3. No entry is larger than MaxInlineEntry, so two always fit.
// The functions here take pages that are vetted or were made here. They do no I/O and never fail, save for "does not fit".
#ifndef JOHNNY_NODE_LEAF_H_
#define JOHNNY_NODE_LEAF_H_

#include <cstdint>

#include "absl/types/span.h"
#include "base/bytes.h"
#include "format/layout.h"
#include "node/key.h"

namespace johnny::node {

struct Position {
  uint32_t index;  // of the entry, or where it would be
  bool found;
};

inline format::PageHeader* Header(Byte* page) { return reinterpret_cast<format::PageHeader*>(page); }
inline const format::PageHeader* Header(const Byte* page) { return reinterpret_cast<const format::PageHeader*>(page); }
inline bool IsLeaf(const Byte* page) { return Header(page)->level == 0; }

// What is stored under a key: the value, or a reference to its extent.
struct LeafValue {
  Slice bytes;  // the value, or kExtentRefSize bytes
  bool is_extent = false;
};

struct LeafEntry {
  Slice key;
  LeafValue value;

  size_t size() const { return format::kLeafEntryHeader + key.size() + value.bytes.size(); }
};

inline const Byte* LeafHeads(const Byte* page) { return page + format::kPageHeaderSize; }
inline const Byte* LeafOffsets(const Byte* page) { return LeafHeads(page) + 4 * size_t{Header(page)->count}; }
inline const Byte* LeafEntryAt(const Byte* page, uint32_t index) { return page + Load16(LeafOffsets(page) + 2 * index); }
inline Slice LeafKey(const Byte* page, uint32_t index) {
  const Byte* entry = LeafEntryAt(page, index);
  return MakeSlice(entry + format::kLeafEntryHeader, Load16(entry));
}
inline LeafEntry LoadLeafEntry(const Byte* entry) {
  uint16_t key_size = Load16(entry);
  uint16_t value_size = Load16(entry + 2);
  const Byte* key = entry + format::kLeafEntryHeader;
  return {MakeSlice(key, key_size),
          {MakeSlice(key + key_size, value_size & ~format::kExtentFlag), (value_size & format::kExtentFlag) != 0}};
}
inline LeafEntry GetLeafEntry(const Byte* page, uint32_t index) { return LoadLeafEntry(LeafEntryAt(page, index)); }

// Lower bound of `key`.
Position SearchLeaf(const Byte* page, Slice key);
// The entry with exactly `key`, or count() when there is none; cheaper than SearchLeaf.
uint32_t FindInLeaf(const Byte* page, Slice key);
// The same in two steps, for who has other things to do while the entry is fetched: those that `key` may be among by their heads
// (none: both ends are count()), then the one.
struct HeadRange {
  uint32_t low, high;
};
HeadRange EqualHeadsInLeaf(const Byte* page, Slice key);
uint32_t FindAmong(const Byte* page, Slice key, HeadRange range);

// Makes `page` an empty leaf; birth, number and checksum are settled when it is sealed.
void InitLeaf(Byte* page, uint32_t page_size);

// Inserts at `index` (from SearchLeaf). False, and the page unchanged, when it does not fit even after compaction.
bool InsertIntoLeaf(Byte* page, uint32_t page_size, uint32_t index, const LeafEntry& entry);
// Inserts behind the last entry. False, and the page unchanged, unless its key is greater than the last one, shares the page's
// prefix, and there is room without compaction: the common case of ascending keys, for a third of the instructions.
bool AppendToLeaf(Byte* page, const LeafEntry& entry);
// Replaces the value of entry `index`. False, and the page unchanged, when it does not fit.
bool ReplaceInLeaf(Byte* page, uint32_t page_size, uint32_t index, const LeafValue& value);
void RemoveFromLeaf(Byte* page, uint32_t index);

// Writes the bytes of an entry, entry.size() of them.
void WriteLeafEntry(Byte* at, const LeafEntry& entry);
// Bytes that `entries` need in a leaf, header included.
inline size_t LeafEntryCost(const LeafEntry& entry) { return format::kLeafSlotSize + entry.size(); }
// Bytes that the live entries and the header take.
size_t LeafBytesUsed(const Byte* page);
// Fills `page` with `entries`, which must fit and must not lie in it.
void BuildLeaf(Byte* page, uint32_t page_size, absl::Span<const LeafEntry> entries);

}  // namespace johnny::node

#endif  // JOHNNY_NODE_LEAF_H_
