// The POSIX (in places: Linux) implementation of os.h.
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/checksum.h"
#include "base/status.h"
#include "os/descriptor.h"
#include "os/os.h"
#include "os/posix_error.h"
#include "os/posix_file.h"

namespace johnny::os {
namespace {

// The ids of this process and thread, for which every read transaction asks: two system calls, once per thread. A forked child's
// copies are out of date, hence the generation.
struct Ids {
  uint64_t generation = 0;
  uint64_t process = 0;
  uint64_t thread = 0;
};

const Ids& OwnIds() {
  static const bool kCounted = RegisterForkHandlers() == 0;
  thread_local Ids ids __attribute__((tls_model("initial-exec")));  // found without a call; see t_handles in api/handles.cc
  uint64_t generation = ForkGeneration();
  if (ids.generation != generation) {
    ids = {kCounted ? generation : 0, static_cast<uint64_t>(::getpid()), static_cast<uint64_t>(::gettid())};
  }
  return ids;
}

class PosixSystemImpl : public System {
 public:
  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode, uint32_t permissions) override;
  absl::Status Link(const std::string& from, const std::string& to) override;
  absl::Status Unlink(const std::string& path) override;
  absl::StatusOr<FileIdentity> IdentityOf(const std::string& path) override;
  absl::Status SyncDirectoryOf(const std::string& path) override;
  uint64_t MonotonicMillis() override;
  void Sleep(uint32_t milliseconds) override;
  uint64_t ProcessId() override { return OwnIds().process; }
  uint64_t ThreadId() override { return OwnIds().thread; }
  uint32_t UserId() override { return ::geteuid(); }
  uint64_t BootId() override;
  uint64_t RandomNumber() override;
  void YieldPoint(const char*) override {}
};

absl::StatusOr<std::unique_ptr<File>> PosixSystemImpl::Open(const std::string& path, OpenMode mode, uint32_t permissions) {
  // O_NONBLOCK: opening a FIFO must come back to be refused; it means nothing to a regular file.
  int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (mode == OpenMode::kReadOnly ? O_RDONLY : O_RDWR);
  if (mode == OpenMode::kCreateNew) {
    flags |= O_CREAT | O_EXCL;
  }
  Descriptor descriptor = Descriptor::Open(path.c_str(), flags, static_cast<mode_t>(permissions));
  if (!descriptor.valid()) {
    return ErrnoStatus(mode == OpenMode::kCreateNew ? "create" : "open", path, errno);
  }
  auto file = std::make_unique<PosixFile>(std::move(descriptor), path, flags & ~(O_CREAT | O_EXCL));
  JOHNNY_RETURN_IF_ERROR(file->CheckRegular());
  return std::unique_ptr<File>(std::move(file));
}

absl::Status PosixSystemImpl::Link(const std::string& from, const std::string& to) {
  if (Retry([&] { return ::link(from.c_str(), to.c_str()); }) != 0) {
    return ErrnoStatus("create", to, errno);
  }
  return absl::OkStatus();
}

absl::Status PosixSystemImpl::Unlink(const std::string& path) {
  if (Retry([&] { return ::unlink(path.c_str()); }) != 0) {
    return ErrnoStatus("remove", path, errno);
  }
  return absl::OkStatus();
}

absl::StatusOr<FileIdentity> PosixSystemImpl::IdentityOf(const std::string& path) {
  struct stat info;
  if (Retry([&] { return ::lstat(path.c_str(), &info); }) != 0) {  // a symbolic link is a file of its own: Open() refuses it, too
    return ErrnoStatus("examine", path, errno);
  }
  return os::IdentityOf(info);
}

absl::Status PosixSystemImpl::SyncDirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, std::max<size_t>(slash, 1));
  int fd = Retry([&] { return ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (fd < 0) {
    return ErrnoStatus("open", directory, errno);
  }
  int result = Retry([&] { return ::fsync(fd); });
  int error = errno;
  ::close(fd);
  if (result != 0 && error != EINVAL) {  // EINVAL: a file system whose directories need no sync
    return ErrnoStatus("sync", directory, error);
  }
  return absl::OkStatus();
}

void PosixSystemImpl::Sleep(uint32_t milliseconds) {
  timespec pause = {static_cast<time_t>(milliseconds / 1000), static_cast<long>(milliseconds % 1000) * 1000000};
  ::nanosleep(&pause, nullptr);  // cut short by a signal: no harm
}

uint64_t PosixSystemImpl::MonotonicMillis() {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);  // a few milliseconds coarse, and as much cheaper
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1000000;
}

uint64_t ReadBootId() {
  char text[64] = {};
  ssize_t size = -1;
  int fd = Retry([&] { return ::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC); });
  if (fd >= 0) {
    size = Retry([&] { return ::read(fd, text, sizeof text); });
    ::close(fd);
  }
  // Without the kernel's id all boots look like one. 0 stands for "none" wherever an id is stored.
  return size <= 0 ? 1 : std::max<uint64_t>(1, Checksum(text, static_cast<size_t>(size), 0));
}

uint64_t PosixSystemImpl::BootId() {
  static const uint64_t kBootId = ReadBootId();
  return kBootId;
}

uint64_t PosixSystemImpl::RandomNumber() {
  uint64_t number = 0;
  if (Retry([&] { return ::getrandom(&number, sizeof number, 0); }) == static_cast<ssize_t>(sizeof number)) {
    return number;
  }
  // A kernel or sandbox without it. Ids need to differ, not to be secret.
  timespec now = {};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const std::array<uint64_t, 4> seeds = {static_cast<uint64_t>(now.tv_sec), static_cast<uint64_t>(now.tv_nsec), ProcessId(),
                                         ThreadId()};
  return Checksum(seeds.data(), sizeof seeds, BootId());
}

}  // namespace

System* PosixSystem() {
  static PosixSystemImpl* const kSystem = new PosixSystemImpl;
  return kSystem;
}

}  // namespace johnny::os
