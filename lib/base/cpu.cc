#include "base/cpu.h"

namespace johnny {
namespace {

bool HasAvx2() {
#ifdef JOHNNY_HAS_AVX2_KERNEL
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("bmi") != 0 && __builtin_cpu_supports("bmi2") != 0;
#else
  return false;
#endif
}

}  // namespace

const bool kHasAvx2 = HasAvx2();

}  // namespace johnny
