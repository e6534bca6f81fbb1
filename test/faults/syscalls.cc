#include "faults/syscalls.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"

namespace johnny::faults {
namespace {

using Kind = SyscallFault::Kind;

SyscallFault g_fault;
std::atomic<bool> g_armed{false};
std::atomic<uint64_t> g_seen{0};
std::atomic<uint64_t> g_counted{0};
std::atomic<uint64_t> g_fired{0};
std::atomic<const char*> g_first{nullptr};
std::atomic<uint64_t> g_first_index{0};

bool Fires(const char* name) {
  if (!g_armed.load(std::memory_order_acquire)) {
    return false;
  }
  uint64_t index = g_seen.fetch_add(1);
  if (std::strcmp(name, g_fault.counted) == 0) {
    ++g_counted;
  }
  if (index < g_fault.skip || (index > g_fault.skip && !g_fault.for_ever)) {
    return false;
  }
  if (g_fault.kind == Kind::kInterrupted && (index - g_fault.skip) % 2 == 1) {
    return false;
  }
  if (g_fired.fetch_add(1) == 0) {
    g_first = name;
    g_first_index = index;
  }
  return true;
}

// Whether the call is to fail, with errno set.
bool Fails(const char* name) {
  if (!Fires(name) || g_fault.kind == Kind::kShort) {
    return false;
  }
  errno = g_fault.kind == Kind::kInterrupted ? EINTR : g_fault.error;
  return true;
}

// The same for a transfer, of which perhaps only a part is to be done.
bool TransferFails(const char* name, bool* half) {
  *half = false;
  if (!Fires(name)) {
    return false;
  }
  *half = g_fault.kind == Kind::kShort;
  errno = g_fault.kind == Kind::kInterrupted ? EINTR : g_fault.error;
  return !*half;
}

}  // namespace

void StartSyscallFault(const SyscallFault& fault) {
  g_fault = fault;
  g_seen = 0;
  g_counted = 0;
  g_fired = 0;
  g_first = nullptr;
  g_armed.store(true, std::memory_order_release);
}

uint64_t StopSyscallFault() {
  g_armed.store(false, std::memory_order_release);
  return g_fired;
}

uint64_t SyscallsSeen() { return g_seen; }
uint64_t SyscallsCounted() { return g_counted; }

std::string FirstFailedSyscall() {
  const char* name = g_first;
  return name != nullptr ? absl::StrCat(name, ", call ", g_first_index.load()) : "no call";
}

}  // namespace johnny::faults

using johnny::faults::Fails;
using johnny::faults::g_fault;
using johnny::faults::Kind;
using johnny::faults::TransferFails;

extern "C" {

int __real_open64(const char* path, int flags, ...);
ssize_t __real_pread64(int fd, void* to, size_t size, off64_t offset);
ssize_t __real_pwritev64(int fd, const iovec* pieces, int count, off64_t offset);
int __real_fdatasync(int fd);
int __real_fsync(int fd);
int __real_sync_file_range(int fd, off64_t offset, off64_t size, unsigned flags);
int __real_ftruncate64(int fd, off64_t size);
int __real_fallocate64(int fd, int mode, off64_t offset, off64_t size);
void* __real_mmap64(void* at, size_t size, int protection, int flags, int fd, off64_t offset);
int __real_fcntl64(int fd, int command, ...);
int __real_fstat64(int fd, struct stat64* info);
off64_t __real_lseek64(int fd, off64_t offset, int whence);
int __real_lstat64(const char* path, struct stat64* info);
int __real_fstatfs64(int fd, struct statfs64* info);
int __real_fchmod(int fd, mode_t mode);
int __real_link(const char* from, const char* to);
int __real_unlink(const char* path);

int __wrap_open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return Fails("open") ? -1 : __real_open64(path, flags, mode);
}

ssize_t __wrap_pread64(int fd, void* to, size_t size, off64_t offset) {
  bool half = false;
  return TransferFails("pread", &half) ? -1 : __real_pread64(fd, to, half ? std::max<size_t>(1, size / 2) : size, offset);
}

ssize_t __wrap_pwritev64(int fd, const iovec* pieces, int count, off64_t offset) {
  bool half = false;
  if (TransferFails("pwritev", &half)) {
    return -1;
  }
  if (!half) {
    return __real_pwritev64(fd, pieces, count, offset);
  }
  std::vector<iovec> first(pieces, pieces + count);
  size_t all = 0;
  for (const iovec& piece : first) {
    all += piece.iov_len;
  }
  size_t left = std::max<size_t>(1, all / 2);
  for (iovec& piece : first) {
    piece.iov_len = std::min(piece.iov_len, left);
    left -= piece.iov_len;
  }
  return __real_pwritev64(fd, first.data(), count, offset);
}

int __wrap_fdatasync(int fd) { return Fails("fdatasync") ? -1 : __real_fdatasync(fd); }
int __wrap_fsync(int fd) { return Fails("fsync") ? -1 : __real_fsync(fd); }
int __wrap_sync_file_range(int fd, off64_t offset, off64_t size, unsigned flags) {
  return Fails("sync_file_range") ? -1 : __real_sync_file_range(fd, offset, size, flags);
}
int __wrap_ftruncate64(int fd, off64_t size) { return Fails("ftruncate") ? -1 : __real_ftruncate64(fd, size); }
int __wrap_fallocate64(int fd, int mode, off64_t offset, off64_t size) {
  return Fails("fallocate") ? -1 : __real_fallocate64(fd, mode, offset, size);
}

void* __wrap_mmap64(void* at, size_t size, int protection, int flags, int fd, off64_t offset) {
  // Memory that is not of a file does not come from a disk. mmap knows no EINTR.
  return fd >= 0 && g_fault.kind != Kind::kInterrupted && Fails("mmap") ? MAP_FAILED
                                                                        : __real_mmap64(at, size, protection, flags, fd, offset);
}

int __wrap_fcntl64(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  bool is_lock = command == F_OFD_SETLK || command == F_OFD_SETLKW || command == F_OFD_GETLK;
  bool unlocks = is_lock && command != F_OFD_GETLK && static_cast<struct flock*>(argument)->l_type == F_UNLCK;
  return is_lock && !unlocks && Fails("fcntl") ? -1 : __real_fcntl64(fd, command, argument);  // to unlock cannot fail
}

int __wrap_fstat64(int fd, struct stat64* info) { return Fails("fstat") ? -1 : __real_fstat64(fd, info); }
off64_t __wrap_lseek64(int fd, off64_t offset, int whence) { return Fails("lseek") ? -1 : __real_lseek64(fd, offset, whence); }
int __wrap_lstat64(const char* path, struct stat64* info) { return Fails("lstat") ? -1 : __real_lstat64(path, info); }
int __wrap_fstatfs64(int fd, struct statfs64* info) { return Fails("fstatfs") ? -1 : __real_fstatfs64(fd, info); }
int __wrap_fchmod(int fd, mode_t mode) { return Fails("fchmod") ? -1 : __real_fchmod(fd, mode); }
int __wrap_link(const char* from, const char* to) { return Fails("link") ? -1 : __real_link(from, to); }
int __wrap_unlink(const char* path) { return Fails("unlink") ? -1 : __real_unlink(path); }

}  // extern "C"
