// Assertions. JOHNNY_CHECK is always on and must be cheap; JOHNNY_DCHECK is for debug builds. Both are for defects of this
// library only: what a file holds is input and gives an error.
#ifndef JOHNNY_BASE_CHECK_H_
#define JOHNNY_BASE_CHECK_H_

namespace johnny {

// Prints the failed condition and aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);

}  // namespace johnny

#define JOHNNY_CHECK(condition)                              \
  do {                                                       \
    if (__builtin_expect(!(condition), 0)) {                 \
      ::johnny::CheckFailed(__FILE__, __LINE__, #condition); \
    }                                                        \
  } while (0)

#ifdef JOHNNY_DEBUG_CHECKS
inline constexpr bool kDebugChecks = true;
#define JOHNNY_DCHECK(condition) JOHNNY_CHECK(condition)
#else
inline constexpr bool kDebugChecks = false;
#define JOHNNY_DCHECK(condition) \
  do {                           \
    if (false) {                 \
      (void)(condition);         \
    }                            \
  } while (0)
#endif

#endif  // JOHNNY_BASE_CHECK_H_
