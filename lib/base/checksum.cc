#include "base/checksum.h"

#include "base/guard.h"
#include "base/xxh3.h"

namespace johnny {
namespace {

#ifdef JOHNNY_HAS_AVX2_KERNEL
bool HasAvx2() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") != 0;
}
const bool kAvx2 = HasAvx2();
#endif

}  // namespace

uint64_t ChecksumPortable(const void* data, size_t size, uint64_t seed) { return Xxh3(data, size, seed); }

uint64_t Checksum(const void* data, size_t size, uint64_t seed) {
  if (kGuardPages) {
    MustBeReadable(data, size);
  }
#ifdef JOHNNY_HAS_AVX2_KERNEL
  if (kAvx2) {
    return ChecksumAvx2(data, size, seed);
  }
#endif
  return ChecksumPortable(data, size, seed);
}

}  // namespace johnny
