// Branch pages: `header | prefix, padded to 4 | head u32[n] | reference[n] | slot u16[n] | free | tails` (FORMAT.md section 5).
//
// Child i holds the keys of [separator i, separator i+1); separator 0 is minus infinity and is stored as an empty one. The prefix
// that all other separators share is stored once; of what remains, the first four bytes are the head. The slot is the
// remainder's length when that is at most 4, else the offset of its tail {size u16, bytes from the fifth on}.
//
// Invariants of a sound branch
//   1. It has at least one child; separators 1.. ascend strictly.
//   2. lower = 32 + padded prefix + 22n <= upper; tails lie in [upper, page size) without overlap.
#ifndef JOHNNY_NODE_BRANCH_H_
#define JOHNNY_NODE_BRANCH_H_

#include <string>
#include <utility>

#include "absl/types/span.h"
#include "node/leaf.h"

namespace johnny::node {

// A child with its whole separator (ignored for the first of a page).
struct BranchEntry {
  Slice separator;
  format::ChildRef ref;
};

inline size_t BranchHeadsAt(const Byte* page) {
  return format::kPageHeaderSize + ((size_t{Header(page)->prefix} + 3) & ~size_t{3});
}
inline Byte* ChildRefAt(Byte* page, uint32_t index) {
  return page + BranchHeadsAt(page) + 4 * size_t{Header(page)->count} + format::kChildRefSize * size_t{index};
}
inline const Byte* ChildRefAt(const Byte* page, uint32_t index) { return ChildRefAt(const_cast<Byte*>(page), index); }
inline format::ChildRef GetChild(const Byte* page, uint32_t index) { return format::LoadChildRef(ChildRefAt(page, index)); }
inline void SetChild(Byte* page, uint32_t index, const format::ChildRef& ref) {
  format::StoreChildRef(ChildRefAt(page, index), ref);
}

// The sum of the children's entry counts: the upper 48 bits of each reference.
inline uint64_t SumOfEntries(const Byte* page) {
  const Byte* at = ChildRefAt(page, 0) + format::kChildRefSize - sizeof(uint64_t);
  auto next = [&at] { return Load64(std::exchange(at, at + format::kChildRefSize)) >> 16; };
  uint64_t sum = 0;
  uint32_t left = Header(page)->count;
  for (; left >= 4; left -= 4) {
    sum += next() + next() + next() + next();
  }
  for (; left > 0; --left) {
    sum += next();
  }
  return sum;
}

// Whether `key` begins with the prefix that the page's separators share.
ABSL_ATTRIBUTE_ALWAYS_INLINE inline bool HasPrefix(const Byte* page, size_t prefix, Slice key) {
  const Byte* stored = page + format::kPageHeaderSize;
  if (__builtin_expect(prefix < 8 && key.size() >= 8, 1)) {
    // At once, with what both have behind it, which does not count.
    const uint64_t differing = Load64(stored) ^ Load64(key.data());
    return (differing & ((uint64_t{1} << (8 * prefix)) - 1)) == 0;
  }
  return key.size() >= prefix && EqualBytes(key.data(), stored, prefix);
}

// SearchBranch() where heads do not tell: for a key without the prefix, and for one that has the head of separator `less` + 1 or
// looks so, where `less` is the last with a smaller head.
uint32_t SearchOutsidePrefix(const Byte* page, Slice key);
uint32_t SearchEqualHeads(const Byte* page, Slice key, uint32_t less);

// The child whose range holds `key`.
template <typename Processor = AnyProcessor>
ABSL_ATTRIBUTE_ALWAYS_INLINE inline uint32_t SearchBranch(const Byte* page, Slice key) {
  const format::PageHeader* header = Header(page);
  const size_t prefix = header->prefix;
  if (__builtin_expect(HasPrefix(page, prefix, key), 1)) {
    const uint32_t head = HeadBehind(key, prefix);
    const Byte* heads = page + BranchHeadsAt(page) + 4;  // of separators 1, 2, ...
    const uint32_t less = LowerBoundHead<Processor>(heads, header->count - 1, head);
    // Behind the last head lies a reference; if that looks like an equal head, the longer way is as right.
    return __builtin_expect(Load32(heads + 4 * size_t{less}) != head, 1) ? less : SearchEqualHeads(page, key, less);
  }
  return SearchOutsidePrefix(page, key);
}

// Appends separator `index` to *out (nothing for 0).
void AppendSeparator(const Byte* page, uint32_t index, std::string* out);

// Fills `page` with at least one child. False, and the page undefined, when they do not fit. Nothing may lie in `page`.
bool BuildBranch(Byte* page, uint32_t page_size, uint8_t level, absl::Span<const BranchEntry> entries);
// What BuildBranch would use: the length of the prefix that the separators share, and bytes, header included.
struct BranchNeed {
  size_t prefix = 0;
  size_t bytes = 0;
};
BranchNeed MeasureBranch(absl::Span<const BranchEntry> entries);
inline size_t BranchBytesNeeded(absl::Span<const BranchEntry> entries) { return MeasureBranch(entries).bytes; }
// Bytes that a child adds to those of two or more others that stay at their prefix.
size_t BranchChildCost(size_t separator_size, size_t prefix);

// Inserts a child at `index` > 0. False, and the page unchanged, when it does not fit as it is: rebuild or split.
bool InsertIntoBranch(Byte* page, uint32_t index, Slice separator, const format::ChildRef& ref);
// Replaces separator `index` > 0. False, and the page unchanged, when it does not fit as it is: rebuild or split.
bool ReplaceSeparator(Byte* page, uint32_t index, Slice separator);
// Removes child `index`; the page must have another one. Removing child 0 makes child 1 the first.
void RemoveFromBranch(Byte* page, uint32_t index);
size_t BranchBytesUsed(const Byte* page);

}  // namespace johnny::node

#endif  // JOHNNY_NODE_BRANCH_H_
