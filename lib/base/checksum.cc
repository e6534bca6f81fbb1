#include "base/checksum.h"

#include "base/cpu.h"
#include "base/guard.h"
#include "base/xxh3.h"

namespace johnny {

uint64_t ChecksumPortable(const void* data, size_t size, uint64_t seed) { return Xxh3(data, size, seed); }

uint64_t Checksum(const void* data, size_t size, uint64_t seed) {
  if (kGuardPages) {
    MustBeReadable(data, size);
  }
#ifdef JOHNNY_HAS_AVX2_KERNEL
  if (kHasAvx2) {
    return ChecksumAvx2(data, size, seed);
  }
#endif
  return ChecksumPortable(data, size, seed);
}

}  // namespace johnny
