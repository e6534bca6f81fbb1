// Compiled for processors with AVX2. So it includes nothing else: an inline function that other files share might be taken from
// here by the linker.
#include "base/xxh3.h"

namespace johnny {

uint64_t ChecksumAvx2(const void* data, size_t size, uint64_t seed);
uint64_t ChecksumAvx2(const void* data, size_t size, uint64_t seed) { return Xxh3(data, size, seed); }

}  // namespace johnny
