#include "base/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace johnny {

uint64_t Checksum(const void* data, size_t size, uint64_t seed) { return XXH3_64bits_withSeed(data, size, seed); }

}  // namespace johnny
