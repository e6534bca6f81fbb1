#include "base/checksum.h"

#include "base/guard.h"

// Fuzz builds hash nearly all the time. There the hash itself is not watched; its bytes are looked at as a whole before.
#ifdef JOHNNY_GUARD_PAGES
#pragma clang attribute push(__attribute__((no_sanitize("address", "undefined", "coverage"))), apply_to = function)
#endif
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace johnny {
namespace {

uint64_t Hash(const void* data, size_t size, uint64_t seed) { return XXH3_64bits_withSeed(data, size, seed); }

}  // namespace
}  // namespace johnny
#ifdef JOHNNY_GUARD_PAGES
#pragma clang attribute pop
#endif

namespace johnny {

uint64_t Checksum(const void* data, size_t size, uint64_t seed) {
  if (kGuardPages) {
    MustBeReadable(data, size);
  }
  return Hash(data, size, seed);
}

}  // namespace johnny
