// johnny_reader_check() for tests that are also built with a library that does not have it yet: a weak reference.
#ifndef JOHNNY_TEST_PROCESSES_READER_CHECK_H_
#define JOHNNY_TEST_PROCESSES_READER_CHECK_H_

#include <johnny/johnny.h>

// Frees the slots of dead processes; *freed is their number.
extern "C" int johnny_reader_check(johnny_env* env, uint32_t* freed) __attribute__((weak));

namespace johnny::test {

inline bool HasReaderCheck() { return &johnny_reader_check != nullptr; }
inline int ReaderCheck(johnny_env* env, uint32_t* freed) {
  *freed = 0;
  return HasReaderCheck() ? johnny_reader_check(env, freed) : JOHNNY_OK;
}

}  // namespace johnny::test

#endif  // JOHNNY_TEST_PROCESSES_READER_CHECK_H_
