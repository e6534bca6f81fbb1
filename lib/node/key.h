// Heads: the first four bytes of a key behind its page's common prefix, as a big-endian number padded with zeros. Heads order
// as the keys do, except that equal heads say nothing.
#ifndef JOHNNY_NODE_KEY_H_
#define JOHNNY_NODE_KEY_H_

#ifdef __SSE2__
#include <emmintrin.h>
#endif

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

// Whether n bytes are equal. Keys and prefixes are short: calling memcmp costs more than comparing.
inline bool EqualBytes(const void* left, const void* right, size_t n) {
  const Byte* a = static_cast<const Byte*>(left);
  const Byte* b = static_cast<const Byte*>(right);
  if (n > 16) {
    return std::memcmp(a, b, n) == 0;
  }
  if (n >= 8) {
    return ((Load64(a) ^ Load64(b)) | (Load64(a + n - 8) ^ Load64(b + n - 8))) == 0;
  }
  if (n >= 4) {
    return ((Load32(a) ^ Load32(b)) | (Load32(a + n - 4) ^ Load32(b + n - 4))) == 0;
  }
  if (n >= 2) {
    return ((Load16(a) ^ Load16(b)) | (Load16(a + n - 2) ^ Load16(b + n - 2))) == 0;
  }
  return n == 0 || *a == *b;
}

// How far LowerBoundHead() may read behind the heads, whatever lies there. In a page that is no more than its arrays.
inline constexpr size_t kHeadsReadAhead = 64;

// First index of heads[0, n) (little-endian u32s at `heads`) whose head is >= `head`. Branch-free: the number of steps depends on
// n alone, and a step is a mask because g++ 12 makes a jump of a conditional expression, which is mispredicted every other time.
// The last 16 heads are compared at once.
inline uint32_t LowerBoundHead(const Byte* heads, uint32_t n, uint32_t head) {
  const Byte* base = heads;
  uint32_t length = n;
#ifdef __SSE2__
  constexpr uint32_t kAtOnce = 16;
#else
  constexpr uint32_t kAtOnce = 1;
#endif
  while (length > kAtOnce) {
    uint32_t half = length / 2;
    base += (size_t{0} - static_cast<size_t>(Load32(base + 4 * (half - 1)) < head)) & (size_t{4} * half);
    length -= half;
  }
  auto index = static_cast<uint32_t>(base - heads) / 4;
#ifdef __SSE2__
  const __m128i sign = _mm_set1_epi32(INT32_MIN);  // there is only a signed comparison
  const __m128i wanted = _mm_xor_si128(_mm_set1_epi32(static_cast<int>(head)), sign);
  auto less = [&](size_t at) {
    return _mm_cmpgt_epi32(wanted, _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(base + at)), sign));
  };
  const __m128i low = _mm_packs_epi32(less(0), less(16));
  const __m128i high = _mm_packs_epi32(less(32), less(48));
  auto mask = static_cast<uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(low, high)));
  // The first that is not less; what lies behind the heads does not count.
  return index + static_cast<uint32_t>(__builtin_ctz(~mask | (uint32_t{1} << length)));
#else
  return index + (length == 1 && Load32(base) < head ? 1 : 0);
#endif
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
