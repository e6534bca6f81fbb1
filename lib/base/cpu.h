// What this processor has beyond those that the library is compiled for.
#ifndef JOHNNY_BASE_CPU_H_
#define JOHNNY_BASE_CPU_H_

namespace johnny {

// AVX2, BMI and BMI2. Set when the library is loaded; false before, which is slower but right.
extern const bool kHasAvx2;

}  // namespace johnny

#endif  // JOHNNY_BASE_CPU_H_
