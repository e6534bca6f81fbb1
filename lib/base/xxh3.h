// XXH3-64 as inline functions that each file compiles for itself: checksum_avx2.cc does so for other processors.
#ifndef JOHNNY_BASE_XXH3_H_
#define JOHNNY_BASE_XXH3_H_

// Fuzz builds hash nearly all the time. There the hash itself is not watched; its bytes are looked at as a whole before.
#ifdef JOHNNY_GUARD_PAGES
#pragma clang attribute push(__attribute__((no_sanitize("address", "undefined", "coverage"))), apply_to = function)
#endif
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace johnny {

static inline uint64_t Xxh3(const void* data, size_t size, uint64_t seed) { return XXH3_64bits_withSeed(data, size, seed); }

}  // namespace johnny
#ifdef JOHNNY_GUARD_PAGES
#pragma clang attribute pop
#endif

#endif  // JOHNNY_BASE_XXH3_H_
