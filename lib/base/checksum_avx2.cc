// Compiled for processors with AVX2. So it includes nothing with inline functions that other files share: the linker might take
// them from here.
#include "base/checksum.h"
#include "base/xxh3.h"

namespace johnny {

uint64_t ChecksumAvx2(const void* data, size_t size, uint64_t seed) { return Xxh3(data, size, seed); }

}  // namespace johnny
