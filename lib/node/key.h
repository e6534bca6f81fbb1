// Heads: the first four bytes of a key behind its page's common prefix, as a big-endian number padded with zeros. Heads order
// as the keys do, except that equal heads say nothing.
#ifndef JOHNNY_NODE_KEY_H_
#define JOHNNY_NODE_KEY_H_

#include <algorithm>

#include "base/bytes.h"

namespace johnny::node {

inline constexpr size_t kHeadSize = 4;

// The head of `suffix`, the part of a key behind the prefix.
inline uint32_t HeadOf(Slice suffix) {
  const Byte* bytes = Data(suffix);
  if (suffix.size() >= kHeadSize) {
    return __builtin_bswap32(Load32(bytes));
  }
  uint32_t head = 0;
  for (size_t i = 0; i < suffix.size(); ++i) {
    head |= uint32_t{bytes[i]} << (24 - 8 * i);
  }
  return head;
}

inline int CompareKeys(Slice a, Slice b) {
  size_t common = std::min(a.size(), b.size());
  int order = common == 0 ? 0 : std::memcmp(a.data(), b.data(), common);
  return order != 0 ? order : (a.size() < b.size() ? -1 : a.size() > b.size() ? 1 : 0);
}

inline size_t CommonPrefix(Slice a, Slice b) {
  size_t limit = std::min(a.size(), b.size());
  size_t i = 0;
  while (i + 8 <= limit) {
    uint64_t difference = Load64(a.data() + i) ^ Load64(b.data() + i);
    if (difference != 0) {
      return i + static_cast<size_t>(__builtin_ctzll(difference)) / 8;
    }
    i += 8;
  }
  while (i < limit && a[i] == b[i]) {
    ++i;
  }
  return i;
}

// The shortest key s with left < s <= right.
inline Slice ShortestSeparator(Slice left, Slice right) { return right.substr(0, CommonPrefix(left, right) + 1); }

// First index of heads[0, n) (little-endian u32s at `heads`) whose head is >= `head`. Branch-free: the loop's trip count
// depends on n alone and the step compiles to a conditional move.
inline uint32_t LowerBoundHead(const Byte* heads, uint32_t n, uint32_t head) {
  const Byte* base = heads;
  uint32_t length = n;
  while (length > 1) {
    uint32_t half = length / 2;
    base += Load32(base + 4 * (half - 1)) < head ? 4 * half : 0;
    length -= half;
  }
  uint32_t index = static_cast<uint32_t>(base - heads) / 4;
  return index + (length == 1 && Load32(base) < head ? 1 : 0);
}

// End of the run of heads equal to `head` that begins at `from`.
inline uint32_t EndOfEqualHeads(const Byte* heads, uint32_t n, uint32_t from, uint32_t head) {
  // Nearly always none or one is equal; only a long run is worth a binary search.
  uint32_t end = from;
  for (int i = 0; i < 4; ++i) {
    if (end == n || Load32(heads + 4 * end) != head) {
      return end;
    }
    ++end;
  }
  return head == UINT32_MAX ? n : end + LowerBoundHead(heads + 4 * end, n - end, head + 1);
}

}  // namespace johnny::node

#endif  // JOHNNY_NODE_KEY_H_
