// Errors of system calls as Status, for the POSIX implementation.
#ifndef JOHNNY_OS_POSIX_ERROR_H_
#define JOHNNY_OS_POSIX_ERROR_H_

#include <cerrno>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/status.h"

namespace johnny::os {

Code CodeOfErrno(int error);

// "cannot WHAT PATH: the system's words".
absl::Status ErrnoStatus(absl::string_view what, const std::string& path, int error);

// Calls `call` until it is not interrupted by a signal. File systems that are served by a process or over a network may give
// EINTR where local ones never do.
template <typename Call>
auto Retry(const Call& call) {
  auto result = call();
  while (result == -1 && errno == EINTR) {
    result = call();
  }
  return result;
}

}  // namespace johnny::os

#endif  // JOHNNY_OS_POSIX_ERROR_H_
