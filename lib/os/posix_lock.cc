// The locks of PosixFile.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <system_error>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "os/posix_error.h"
#include "os/posix_file.h"

namespace johnny::os {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr microseconds kFirstPause{50};
constexpr microseconds kLongestPause{1000};

struct flock LockOf(short type, uint64_t offset, off_t length) {
  struct flock lock = {};  // l_pid must be 0 for open-file-description locks
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(offset);
  lock.l_len = length;
  return lock;
}

bool IsSameFile(const Descriptor& descriptor, const FileIdentity& identity) {
  struct stat info;
  return descriptor.valid() && Retry([&] { return ::fstat(descriptor.get(), &info); }) == 0 &&
         IdentityOf(info).SameFile(identity);
}

absl::Status LockError(const std::string& path, int error) {
  switch (error) {
    case EAGAIN:
    case EACCES:
      return MakeStatus(Code::kBusy, absl::StrCat("cannot lock ", path, ": it is locked by another process or handle"));
    case EBADF:
      return MakeStatus(Code::kPermission, absl::StrCat("cannot lock ", path, " exclusively: it is opened read-only"));
    case ENOLCK:
    case EINVAL:
    case ENOSYS:
    case EOPNOTSUPP:
      return MakeStatus(Code::kIoError, absl::StrCat("cannot lock ", path, ": the file system does not support locks (",
                                                     std::generic_category().message(error), ")"));
    default:
      return ErrnoStatus("lock", path, error);
  }
}

}  // namespace

PosixFile::~PosixFile() {
  // Closing releases the locks only when no copy of the descriptor is left, and a program about to be started by posix_spawn
  // has one until it runs.
  if (lock_.valid() && !lock_.inherited()) {
    struct flock all = LockOf(F_UNLCK, 0, 0);
    ::fcntl(lock_.get(), F_OFD_SETLK, &all);
  }
}

absl::StatusOr<int> PosixFile::LockDescriptor() {
  std::lock_guard guard(mutex_);
  if (lock_.valid()) {
    return lock_.get();
  }
  JOHNNY_ASSIGN_OR_RETURN(FileIdentity own, Identity());
  Descriptor second = Descriptor::Open(path_.c_str(), flags_ | O_NOCTTY);
  if (!IsSameFile(second, own)) {  // the name has moved on, or the working directory has; the way through /proc ends at the file
    second = Descriptor::Open(absl::StrCat("/proc/self/fd/", data_.get()).c_str(), flags_ & ~O_NOFOLLOW);
    if (!second.valid()) {
      return Error("open for its locks");
    }
    if (!IsSameFile(second, own)) {
      return MakeStatus(Code::kIoError,
                        absl::StrCat("cannot open for its locks ", path_, ": the name leads to another file now"));
    }
  }
  lock_ = std::move(second);
  return lock_.get();
}

absl::Status PosixFile::Lock(uint64_t offset, LockKind kind, uint32_t timeout_ms) {
  JOHNNY_RETURN_IF_ERROR(CheckNotForked("lock"));
  JOHNNY_ASSIGN_OR_RETURN(const int fd, LockDescriptor());
  struct flock lock = LockOf(kind == LockKind::kShared ? F_RDLCK : F_WRLCK, offset, 1);
  if (timeout_ms == kWaitForEver) {
    return Retry([&] { return ::fcntl(fd, F_OFD_SETLKW, &lock); }) == 0 ? absl::OkStatus() : LockError(path_, errno);
  }
  // The system's waiting lock call takes no timeout, and only a signal ends it early; signals are not a library's to send. So ask
  // again and again, at first often since most locks are held for a moment.
  const auto deadline = steady_clock::now() + milliseconds(timeout_ms);
  for (microseconds pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
    if (Retry([&] { return ::fcntl(fd, F_OFD_SETLK, &lock); }) == 0) {
      return absl::OkStatus();
    }
    const int error = errno;
    const auto now = steady_clock::now();
    if ((error != EAGAIN && error != EACCES) || timeout_ms == 0 || now >= deadline) {
      return LockError(path_, error);
    }
    std::this_thread::sleep_for(std::min<steady_clock::duration>(pause, deadline - now));
  }
}

void PosixFile::Unlock(uint64_t offset) {
  if (data_.inherited()) {
    return;
  }
  std::lock_guard guard(mutex_);
  if (lock_.valid()) {
    struct flock lock = LockOf(F_UNLCK, offset, 1);
    Retry([&] { return ::fcntl(lock_.get(), F_OFD_SETLK, &lock); });
  }
}

absl::StatusOr<bool> PosixFile::IsLockedByOthers(uint64_t offset) {
  JOHNNY_RETURN_IF_ERROR(CheckNotForked("examine the locks of"));
  JOHNNY_ASSIGN_OR_RETURN(const int fd, LockDescriptor());
  struct flock lock =
      LockOf(F_WRLCK, offset, 1);  // which any other lock would stand in the way of; asking needs no right to write
  if (Retry([&] { return ::fcntl(fd, F_OFD_GETLK, &lock); }) != 0) {
    return LockError(path_, errno);
  }
  return lock.l_type != F_UNLCK;
}

}  // namespace johnny::os
