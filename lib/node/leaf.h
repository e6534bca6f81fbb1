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

#include "absl/base/attributes.h"
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
// The first entry that may have `key` by its head, or count() when there is none.
template <typename Processor = AnyProcessor>
ABSL_ATTRIBUTE_ALWAYS_INLINE inline uint32_t FirstWithHead(const Byte* page, Slice key) {
  const format::PageHeader* header = Header(page);
  const uint32_t count = header->count;
  if (__builtin_expect(key.size() < header->prefix, 0)) {
    return count;
  }
  // The prefix is not compared: a key that differs in it is equal to none.
  const uint32_t head = HeadBehind(key, header->prefix);
  const uint32_t first = LowerBoundHead<Processor>(LeafHeads(page), count, head);
  return first < count && Load32(LeafHeads(page) + 4 * size_t{first}) == head ? first : count;
}
// The entry with exactly `key` where that of FirstWithHead() has another one, or null.
const Byte* FindBehind(const Byte* page, Slice key, uint32_t first);
// The entry with exactly `key`, given FirstWithHead(), or null when there is none. In two steps for who has other things to do
// while the entry is fetched; cheaper than SearchLeaf.
ABSL_ATTRIBUTE_ALWAYS_INLINE inline const Byte* FindFrom(const Byte* page, Slice key, uint32_t first) {
  const uint32_t count = Header(page)->count;
  if (first == count) {
    return nullptr;
  }
  const Byte* entry = LeafEntryAt(page, first);
  if (__builtin_expect(Load16(entry) == key.size() && EqualBytes(entry + format::kLeafEntryHeader, key.data(), key.size()), 1)) {
    return entry;
  }
  const Byte* head = LeafHeads(page) + 4 * size_t{first};
  return first + 1 < count && Load32(head) == Load32(head + 4) ? FindBehind(page, key, first) : nullptr;
}
template <typename Processor = AnyProcessor>
ABSL_ATTRIBUTE_ALWAYS_INLINE inline const Byte* FindInLeaf(const Byte* page, Slice key) {
  return FindFrom(page, key, FirstWithHead<Processor>(page, key));
}

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
// Whether that is at least `bytes`; looks at no more entries than it takes to know.
bool LeafUsesAtLeast(const Byte* page, size_t bytes);
// Fills `page` with `entries`, which must fit and must not lie in it.
void BuildLeaf(Byte* page, uint32_t page_size, absl::Span<const LeafEntry> entries);

}  // namespace johnny::node

#endif  // JOHNNY_NODE_LEAF_H_
