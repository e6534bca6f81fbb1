// The POSIX (in places: Linux) implementation of os.h.
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/checksum.h"
#include "base/status.h"
#include "os/os.h"

namespace johnny::os {
namespace {

constexpr uint64_t kLeastReserve = uint64_t{1} << 30;  // Map() goes no lower when the address space is short
constexpr size_t kZeroBlock = 64 * 1024;

Code CodeOfErrno(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:  // the file system's or the process's limit on the size of a file
      return Code::kDiskFull;
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::kPermission;
    case ENOENT:
    case ENOTDIR:
      return Code::kNoSuchFile;
    case EEXIST:
      return Code::kExists;
    case ENOMEM:
      return Code::kNoMemory;
    case ELOOP:  // O_NOFOLLOW met a symbolic link
    case EISDIR:
    case ENXIO:  // a socket
    case ENAMETOOLONG:
      return Code::kInvalidArgument;
    default:
      return Code::kIoError;
  }
}

absl::Status ErrnoStatus(absl::string_view what, const std::string& path, int error) {
  return MakeStatus(CodeOfErrno(error), absl::StrCat("cannot ", what, " ", path, ": ", std::generic_category().message(error)));
}

// Calls `call` until it is not interrupted by a signal.
template <typename Call>
auto Retry(const Call& call) {
  auto result = call();
  while (result == -1 && errno == EINTR) {
    result = call();
  }
  return result;
}

class PosixMapping : public Mapping {
 public:
  PosixMapping(const Byte* data, uint64_t reserved) : data_(data), reserved_(reserved) {}
  ~PosixMapping() override { ::munmap(const_cast<Byte*>(data_), reserved_); }
  PosixMapping(const PosixMapping&) = delete;
  PosixMapping& operator=(const PosixMapping&) = delete;

  const Byte* data() const override { return data_; }
  uint64_t reserved() const override { return reserved_; }

 private:
  const Byte* data_;
  uint64_t reserved_;
};

class PosixFile : public File {
 public:
  PosixFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~PosixFile() override { ::close(fd_); }
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;

  // kInvalidArgument unless this is a regular file.
  absl::Status CheckRegular() const;

  absl::Status ReadAt(uint64_t offset, void* to, size_t size) override;
  absl::Status WriteAt(uint64_t offset, absl::Span<const Slice> pieces) override;
  absl::Status SyncData() override;
  absl::StatusOr<uint64_t> Size() override;
  absl::Status Resize(uint64_t size) override;
  absl::Status Preallocate(uint64_t offset, uint64_t size) override;
  absl::StatusOr<std::unique_ptr<Mapping>> Map(uint64_t reserve) override;
  absl::Status Lock(uint64_t offset, LockKind kind) override;

 private:
  absl::Status Error(absl::string_view what) const { return ErrnoStatus(what, path_, errno); }
  absl::Status WriteVector(uint64_t offset, iovec* vector, size_t count);
  absl::Status ExtendWithZeros(uint64_t end);

  const int fd_;
  const std::string path_;
};

absl::Status PosixFile::CheckRegular() const {
  struct stat info;
  if (::fstat(fd_, &info) != 0) {
    return Error("examine");
  }
  if (!S_ISREG(info.st_mode)) {
    return MakeStatus(Code::kInvalidArgument, absl::StrCat("cannot open ", path_, ": not a regular file"));
  }
  return absl::OkStatus();
}

absl::Status PosixFile::ReadAt(uint64_t offset, void* to, size_t size) {
  Byte* next = static_cast<Byte*>(to);
  while (size > 0) {
    ssize_t got = Retry([&] { return ::pread(fd_, next, size, static_cast<off_t>(offset)); });
    if (got < 0) {
      return Error("read");
    }
    if (got == 0) {
      return MakeStatus(Code::kIoError, absl::StrCat("cannot read ", path_, ": it ends at byte ", offset, ", ", size,
                                                     " bytes more were expected"));
    }
    next += got;
    offset += static_cast<uint64_t>(got);
    size -= static_cast<size_t>(got);
  }
  return absl::OkStatus();
}

// Writes all of the vector, changing it as the system takes parts of it.
absl::Status PosixFile::WriteVector(uint64_t offset, iovec* vector, size_t count) {
  while (count > 0) {
    ssize_t put = Retry([&] { return ::pwritev(fd_, vector, static_cast<int>(count), static_cast<off_t>(offset)); });
    if (put < 0) {
      return Error("write");
    }
    if (put == 0) {  // cannot happen to a regular file with bytes left to write; do not spin if it does
      errno = EIO;
      return Error("write");
    }
    offset += static_cast<uint64_t>(put);
    size_t rest = static_cast<size_t>(put);
    while (count > 0 && rest >= vector->iov_len) {
      rest -= vector->iov_len;
      ++vector;
      --count;
    }
    if (count > 0) {
      vector->iov_base = static_cast<char*>(vector->iov_base) + rest;
      vector->iov_len -= rest;
    }
  }
  return absl::OkStatus();
}

absl::Status PosixFile::WriteAt(uint64_t offset, absl::Span<const Slice> pieces) {
  std::array<iovec, IOV_MAX> vector;
  size_t next = 0;
  while (next < pieces.size()) {
    size_t count = 0;
    uint64_t bytes = 0;
    for (; next < pieces.size() && count < vector.size(); ++next) {
      if (!pieces[next].empty()) {
        vector[count++] = {const_cast<char*>(pieces[next].data()), pieces[next].size()};
        bytes += pieces[next].size();
      }
    }
    JOHNNY_RETURN_IF_ERROR(WriteVector(offset, vector.data(), count));
    offset += bytes;
  }
  return absl::OkStatus();
}

absl::Status PosixFile::SyncData() {
  // An interrupted call has reported no failed write (those come as EIO, once), so that calling again hides none.
  if (Retry([&] { return ::fdatasync(fd_); }) != 0) {
    return Error("sync");
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> PosixFile::Size() {
  struct stat info;
  if (::fstat(fd_, &info) != 0) {
    return Error("examine");
  }
  return static_cast<uint64_t>(info.st_size);
}

absl::Status PosixFile::Resize(uint64_t size) {
  if (Retry([&] { return ::ftruncate(fd_, static_cast<off_t>(size)); }) != 0) {
    return Error("resize");
  }
  return absl::OkStatus();
}

absl::Status PosixFile::ExtendWithZeros(uint64_t end) {
  static constexpr char kZeros[kZeroBlock] = {};
  JOHNNY_ASSIGN_OR_RETURN(uint64_t at, Size());
  while (at < end) {
    const Slice zeros(kZeros, std::min<uint64_t>(kZeroBlock, end - at));
    JOHNNY_RETURN_IF_ERROR(WriteAt(at, absl::MakeConstSpan(&zeros, 1)));
    at += zeros.size();
  }
  return absl::OkStatus();
}

absl::Status PosixFile::Preallocate(uint64_t offset, uint64_t size) {
  if (size == 0) {
    return absl::OkStatus();
  }
  if (Retry([&] { return ::fallocate(fd_, 0, static_cast<off_t>(offset), static_cast<off_t>(size)); }) == 0) {
    return absl::OkStatus();
  }
  if (errno != EOPNOTSUPP && errno != ENOSYS) {
    return Error("extend");
  }
  return ExtendWithZeros(offset + size);
}

absl::StatusOr<std::unique_ptr<Mapping>> PosixFile::Map(uint64_t reserve) {
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  reserve = std::max(page, reserve / page * page);
  for (;;) {
    void* data = ::mmap(nullptr, reserve, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd_, 0);
    if (data != MAP_FAILED) {
      ::madvise(data, reserve, MADV_RANDOM);  // only a hint: a lookup touches one page here, one there
      return std::unique_ptr<Mapping>(std::make_unique<PosixMapping>(static_cast<const Byte*>(data), reserve));
    }
    if (errno != ENOMEM || reserve / 2 < kLeastReserve) {
      return Error("map");
    }
    reserve = reserve / 2 / page * page;
  }
}

absl::Status PosixFile::Lock(uint64_t offset, LockKind kind) {
  struct flock lock = {};  // l_pid must be 0 for open-file-description locks
  lock.l_type = kind == LockKind::kShared ? F_RDLCK : F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(offset);
  lock.l_len = 1;
  if (Retry([&] { return ::fcntl(fd_, F_OFD_SETLK, &lock); }) == 0) {
    return absl::OkStatus();
  }
  if (errno == EAGAIN || errno == EACCES) {
    return MakeStatus(Code::kBusy, absl::StrCat("cannot lock ", path_, ": it is locked by another process or handle"));
  }
  return Error("lock");
}

// The ids of this process and thread, for which every read transaction asks: two system calls, once per thread. A forked child's
// copies are out of date, hence the generation.
struct Ids {
  uint64_t generation = 0;
  uint64_t process = 0;
  uint64_t thread = 0;
};
std::atomic<uint64_t> g_fork_generation{1};

const Ids& OwnIds() {
  static const int kRegistered =
      ::pthread_atfork(nullptr, nullptr, [] { g_fork_generation.fetch_add(1, std::memory_order_relaxed); });
  thread_local Ids ids;
  uint64_t generation = g_fork_generation.load(std::memory_order_relaxed);
  if (ids.generation != generation) {
    ids = {kRegistered == 0 ? generation : 0, static_cast<uint64_t>(::getpid()), static_cast<uint64_t>(::gettid())};
  }
  return ids;
}

class PosixSystemImpl : public System {
 public:
  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode, uint32_t permissions) override;
  absl::Status Link(const std::string& from, const std::string& to) override;
  absl::Status Unlink(const std::string& path) override;
  absl::Status SyncDirectoryOf(const std::string& path) override;
  uint64_t MonotonicMillis() override;
  uint64_t ProcessId() override { return OwnIds().process; }
  uint64_t ThreadId() override { return OwnIds().thread; }
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
  int fd = Retry([&] { return ::open(path.c_str(), flags, static_cast<mode_t>(permissions)); });
  if (fd < 0) {
    return ErrnoStatus(mode == OpenMode::kCreateNew ? "create" : "open", path, errno);
  }
  auto file = std::make_unique<PosixFile>(fd, path);
  JOHNNY_RETURN_IF_ERROR(file->CheckRegular());
  return std::unique_ptr<File>(std::move(file));
}

absl::Status PosixSystemImpl::Link(const std::string& from, const std::string& to) {
  if (::link(from.c_str(), to.c_str()) != 0) {
    return ErrnoStatus("create", to, errno);
  }
  return absl::OkStatus();
}

absl::Status PosixSystemImpl::Unlink(const std::string& path) {
  if (::unlink(path.c_str()) != 0) {
    return ErrnoStatus("remove", path, errno);
  }
  return absl::OkStatus();
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
