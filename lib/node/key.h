// Heads: the first four bytes of a key behind its page's common prefix, as a big-endian number padded with zeros. Heads order
// as the keys do, except that equal heads say nothing.
#ifndef JOHNNY_NODE_KEY_H_
#define JOHNNY_NODE_KEY_H_

#ifdef JOHNNY_HAS_AVX2_KERNEL
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <algorithm>

#include "absl/base/attributes.h"
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

// HeadOf(key.substr(prefix)) for who has a whole key at hand: without jumps, unless it is shorter than a head, by loading bytes
// before those wanted and shifting them out.
ABSL_ATTRIBUTE_ALWAYS_INLINE inline uint32_t HeadBehind(Slice key, size_t prefix) {
  if (__builtin_expect(key.size() < kHeadSize, 0)) {
    return HeadOf(key.substr(prefix));
  }
  const size_t at = std::min(prefix, key.size() - kHeadSize);
  return static_cast<uint32_t>(uint64_t{__builtin_bswap32(Load32(key.data() + at))} << (8 * (prefix - at)));
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
ABSL_ATTRIBUTE_ALWAYS_INLINE inline bool EqualBytes(const void* left, const void* right, size_t n) {
  const Byte* a = static_cast<const Byte*>(left);
  const Byte* b = static_cast<const Byte*>(right);
  if (n > 16) {
#ifdef __SSE2__
    if (n <= 64) {
      auto differing = [&](size_t at) {
        return _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(a + at)),
                             _mm_loadu_si128(reinterpret_cast<const __m128i*>(b + at)));
      };
      __m128i bits = _mm_or_si128(differing(0), differing(n - 16));
      if (n > 32) {
        bits = _mm_or_si128(bits, _mm_or_si128(differing(16), differing(n - 32)));
      }
      return _mm_movemask_epi8(_mm_cmpeq_epi8(bits, _mm_setzero_si128())) == 0xffff;
    }
#endif
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

// How the last few heads of a search are compared: all at once, for one kind of processor or another. LowerBound() gives the
// first of `length` <= kMost heads that is >= `head`, or `length`.
struct AnyProcessor {
#ifdef __SSE2__
  static constexpr size_t kMost = 16;
  static uint32_t LowerBound(const Byte* heads, size_t length, uint32_t head) {
    const __m128i sign = _mm_set1_epi32(INT32_MIN);  // there is only a signed comparison
    const __m128i wanted = _mm_xor_si128(_mm_set1_epi32(static_cast<int>(head)), sign);
    auto less = [&](size_t at) {
      return _mm_cmpgt_epi32(wanted, _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(heads + at)), sign));
    };
    const __m128i first = _mm_packs_epi32(less(0), less(16));
    const __m128i second = _mm_packs_epi32(less(32), less(48));
    const auto mask = static_cast<uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(first, second)));
    return static_cast<uint32_t>(__builtin_ctz(~mask | (uint32_t{1} << length)));  // what lies behind the heads does not count
  }
#else
  static constexpr size_t kMost = 1;
  static uint32_t LowerBound(const Byte* heads, size_t length, uint32_t head) {
    return length == 1 && Load32(heads) < head ? 1 : 0;
  }
#endif
};

#ifdef JOHNNY_HAS_AVX2_KERNEL
struct Avx2Processor {
  static constexpr size_t kMost = 16;
  __attribute__((target("avx2"))) static inline uint32_t LowerBound(const Byte* heads, size_t length, uint32_t head) {
    const __m256i wanted = _mm256_set1_epi32(static_cast<int>(head));
    const __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(heads));
    const __m256i second = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(heads + 32));
    const __m256i first_not_less = _mm256_cmpeq_epi32(_mm256_max_epu32(first, wanted), first);
    const __m256i second_not_less = _mm256_cmpeq_epi32(_mm256_max_epu32(second, wanted), second);
    const auto low = static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(first_not_less)));
    const auto high = static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(second_not_less)));
    return static_cast<uint32_t>(__builtin_ctz(low | (high << 8) | (uint32_t{1} << length)));
  }
};
#endif

// One step of a binary search in heads[*low, *low + *length), two or more. A conditional move, which g++ 12 needs to be told.
ABSL_ATTRIBUTE_ALWAYS_INLINE inline void HalveHeads(const Byte* heads, uint32_t head, size_t* low, size_t* length) {
  const size_t half = *length / 2, middle = *low + half;
  *length -= half;
  *low = __builtin_expect_with_probability(Load32(heads + 4 * middle - 4) < head, 1, 0.5) ? middle : *low;
}

// First index of heads[0, n) (little-endian u32s at `heads`) whose head is >= `head`. Branch-free: the number of steps depends on
// n alone.
template <typename Processor = AnyProcessor>
ABSL_ATTRIBUTE_ALWAYS_INLINE inline uint32_t LowerBoundHead(const Byte* heads, uint32_t n, uint32_t head) {
  size_t low = 0;
  size_t length = n;
  // By two steps, so that pages with less or more entries take as many: a leaf of short values has 17 to 64, a branch up to 256.
  while (length > Processor::kMost) {
    HalveHeads(heads, head, &low, &length);
    if constexpr (Processor::kMost > 1) {
      HalveHeads(heads, head, &low, &length);
    }
  }
  return static_cast<uint32_t>(low) + Processor::LowerBound(heads + 4 * low, length, head);
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
