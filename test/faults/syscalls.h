// Makes system calls of the library fail: the test is linked with --wrap for each of them (test/meson.build), so that they come
// through here on their way to the C library.
#ifndef JOHNNY_TEST_FAULTS_SYSCALLS_H_
#define JOHNNY_TEST_FAULTS_SYSCALLS_H_

#include <cstdint>
#include <string>

namespace johnny::faults {

struct SyscallFault {
  enum class Kind {
    kError,        // `error`, without effect
    kInterrupted,  // EINTR, without effect; of a row of calls each other one, so that who tries again succeeds
    kShort,        // only half of what was to be read or written is; other calls do as they should
  };
  Kind kind = Kind::kError;
  int error = 0;
  uint64_t skip = 0;  // so many calls succeed first
  bool for_ever = false;
  const char* counted = "";  // "fstat": what SyscallsCounted() counts
};

// Counts calls, and lets them fail, from here on.
void StartSyscallFault(const SyscallFault& fault);
// No call fails any more. How many have.
uint64_t StopSyscallFault();
// Made since StartSyscallFault().
uint64_t SyscallsSeen();
uint64_t SyscallsCounted();
// "pread, call 17": the first that failed.
std::string FirstFailedSyscall();

}  // namespace johnny::faults

#endif  // JOHNNY_TEST_FAULTS_SYSCALLS_H_
