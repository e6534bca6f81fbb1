#include "os/posix_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <iterator>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "os/posix_error.h"

namespace johnny::os {
namespace {

constexpr uint64_t kLeastReserve = uint64_t{1} << 30;  // Map() goes no lower when the address space is short
// No larger writes, and none across a multiple of it: the page cache makes a folio of what is written to new places at once, and
// each later write of one page into a folio costs more the larger that is (measured on Linux 6.18 with ext4, 100 scattered pages
// and a sync: 1.1 ms into folios of 4 KiB, 1.9 of 64 KiB, 5.5 of 2 MiB), while small folios cost reading (a random load 205 ns
// with 4 KiB, 183 with 64 KiB and more) and writing them.
constexpr uint64_t kLargestWrite = 64 * 1024;
// What is written over most gets the smallest folios: a file's first bytes, and what it grows by a little at a time.
constexpr uint64_t kSmallWrite = 4096;
constexpr uint64_t kFileHeader = 64 * 1024;

// File systems whose files other machines change. FUSE is not among them: most of what it serves is local (NTFS, encrypted
// folders), and it does not tell.
constexpr uint32_t kNetworkFileSystems[] = {
    0x00006969,  // NFS
    0x0000517b,  // SMB
    0xff534d42,  // CIFS
    0xfe534d42,  // SMB2
    0x5346414f,  // AFS
    0x6b414653,  // AFS, the kernel's own
    0x73757245,  // Coda
    0x0000564c,  // NCP
    0x01021997,  // 9P
    0x00c36400,  // Ceph
    0x0bd00bd0,  // Lustre
    0x01161970,  // GFS2
    0x7461636f,  // OCFS2
};

// Both kinds are made before what they hold, so that nothing is mapped when memory runs out for them.
class PosixMapping : public Mapping {
 public:
  PosixMapping() = default;
  ~PosixMapping() override {
    if (data_ != nullptr) {
      ::munmap(const_cast<Byte*>(data_), reserved_);
    }
  }
  PosixMapping(const PosixMapping&) = delete;
  PosixMapping& operator=(const PosixMapping&) = delete;

  const Byte* data() const override { return data_; }
  uint64_t reserved() const override { return reserved_; }
  void Hold(const Byte* data, uint64_t reserved) {
    data_ = data;
    reserved_ = reserved;
  }

 private:
  const Byte* data_ = nullptr;
  uint64_t reserved_ = 0;
};

class PosixSharedMapping : public SharedMapping {
 public:
  PosixSharedMapping() = default;
  ~PosixSharedMapping() override {
    if (data_ != nullptr) {
      ::munmap(data_, size_);
    }
  }
  PosixSharedMapping(const PosixSharedMapping&) = delete;
  PosixSharedMapping& operator=(const PosixSharedMapping&) = delete;

  Byte* data() const override { return data_; }
  uint64_t size() const override { return size_; }
  void Hold(Byte* data, uint64_t size) {
    data_ = data;
    size_ = size;
  }

 private:
  Byte* data_ = nullptr;
  uint64_t size_ = 0;
};

}  // namespace

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

FileIdentity IdentityOf(const struct stat& info) {
  return {.device = info.st_dev, .inode = info.st_ino, .owner = info.st_uid, .permissions = info.st_mode & 0777u};
}

absl::Status PosixFile::Error(absl::string_view what) const { return ErrnoStatus(what, path_, errno); }

absl::Status PosixFile::CheckNotForked(absl::string_view what) const {
  if (data_.inherited()) {
    return MakeStatus(Code::kForked, absl::StrCat("cannot ", what, " ", path_, ": it was opened by the parent process"));
  }
  return absl::OkStatus();
}

absl::Status PosixFile::CheckRegular() const {
  struct stat info;
  if (Retry([&] { return ::fstat(data_.get(), &info); }) != 0) {
    return Error("examine");
  }
  if (!S_ISREG(info.st_mode)) {
    return MakeStatus(Code::kInvalidArgument, absl::StrCat("cannot open ", path_, ": not a regular file"));
  }
  return absl::OkStatus();
}

absl::Status PosixFile::ReadAt(uint64_t offset, void* to, size_t size) {
  JOHNNY_RETURN_IF_ERROR(CheckNotForked("read"));
  Byte* next = static_cast<Byte*>(to);
  while (size > 0) {
    ssize_t got = Retry([&] { return ::pread(data_.get(), next, size, static_cast<off_t>(offset)); });
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
    ssize_t put = Retry([&] { return ::pwritev(data_.get(), vector, static_cast<int>(count), static_cast<off_t>(offset)); });
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
  JOHNNY_RETURN_IF_ERROR(CheckNotForked("write"));
  std::array<iovec, IOV_MAX> vector;
  size_t next = 0;
  size_t skip = 0;  // bytes of pieces[next] that are written
  while (next < pieces.size()) {
    const uint64_t largest = offset < kFileHeader ? kSmallWrite : kLargestWrite;
    const uint64_t room = largest - offset % largest;
    size_t count = 0;
    uint64_t bytes = 0;
    while (next < pieces.size() && count < vector.size() && bytes < room) {
      const Slice rest = pieces[next].substr(skip);
      const size_t part = std::min<uint64_t>(rest.size(), room - bytes);
      if (part > 0) {
        vector[count++] = {const_cast<char*>(rest.data()), part};
        bytes += part;
        skip += part;
      }
      if (part == rest.size()) {
        ++next;
        skip = 0;
      }
    }
    JOHNNY_RETURN_IF_ERROR(WriteVector(offset, vector.data(), count));
    offset += bytes;
  }
  return absl::OkStatus();
}

absl::Status PosixFile::SyncData() {
  JOHNNY_RETURN_IF_ERROR(CheckNotForked("sync"));
  // An interrupted call has reported no failed write (those come as EIO, once), so that calling again hides none.
  if (Retry([&] { return ::fdatasync(data_.get()); }) != 0) {
    return Error("sync");
  }
  errno = lost_.load(std::memory_order_relaxed);
  return errno == 0 ? absl::OkStatus() : Error("sync");
}

absl::StatusOr<uint64_t> PosixFile::Size() {
  JOHNNY_RETURN_IF_ERROR(CheckNotForked("examine"));
  // Not fstat: who has read a file's times gets new ones from the next write (multigrain timestamps), and on ext4 without a
  // journal fdatasync then writes the inode, too: 35 us more for each durable commit. Nothing here uses the file offset.
  const off_t size = Retry([&] { return ::lseek(data_.get(), 0, SEEK_END); });
  if (size == -1) {
    return Error("examine");
  }
  return static_cast<uint64_t>(size);
}

absl::Status PosixFile::Resize(uint64_t size) {
  JOHNNY_RETURN_IF_ERROR(CheckNotForked("resize"));
  if (Retry([&] { return ::ftruncate(data_.get(), static_cast<off_t>(size)); }) != 0) {
    return Error("resize");
  }
  return absl::OkStatus();
}

bool PosixFile::FillHoles(uint64_t size) {
  return CheckNotForked("extend").ok() && Retry([&] { return ::fallocate(data_.get(), 0, 0, static_cast<off_t>(size)); }) == 0;
}

absl::Status PosixFile::WriteZeros(uint64_t offset, uint64_t size) {
  JOHNNY_RETURN_IF_ERROR(CheckNotForked("write"));
  static constexpr char kZeros[kSmallWrite] = {};
  for (const uint64_t end = offset + size; offset < end;) {
    const uint64_t part = std::min(kSmallWrite - offset % kSmallWrite, end - offset);
    iovec vector = {const_cast<char*>(kZeros), part};
    JOHNNY_RETURN_IF_ERROR(WriteVector(offset, &vector, 1));
    offset += part;
  }
  return absl::OkStatus();
}

absl::Status PosixFile::Preallocate(uint64_t offset, uint64_t size) {
  JOHNNY_RETURN_IF_ERROR(CheckNotForked("extend"));
  if (size == 0) {
    return absl::OkStatus();
  }
  if (Retry([&] { return ::fallocate(data_.get(), 0, static_cast<off_t>(offset), static_cast<off_t>(size)); }) == 0) {
    return absl::OkStatus();
  }
  if (errno != EOPNOTSUPP && errno != ENOSYS) {
    return Error("extend");
  }
  JOHNNY_ASSIGN_OR_RETURN(uint64_t end, Size());
  return end < offset + size ? WriteZeros(end, offset + size - end) : absl::OkStatus();
}

void PosixFile::Prefetch(uint64_t offset, uint64_t size) {
  ::posix_fadvise(data_.get(), static_cast<off_t>(offset), static_cast<off_t>(size), POSIX_FADV_WILLNEED);
}

// Without the flags that wait, which would take the report of a failed write away from SyncData(). An error that the call itself
// returns is reported nowhere else: ext4 gives up the pages that it finds no blocks for, and a later fdatasync finds nothing to
// do.
void PosixFile::StartWriting(uint64_t offset, uint64_t size) {
  if (!CheckNotForked("write").ok() ||
      ::sync_file_range(data_.get(), static_cast<off_t>(offset), static_cast<off_t>(size), SYNC_FILE_RANGE_WRITE) == 0) {
    return;
  }
  switch (errno) {
    case EINVAL:
    case ENOSYS:
    case EOPNOTSUPP:
    case ESPIPE:
    case ENOMEM:
    case EAGAIN:
    case EINTR:
      return;  // not done, or not all of it; the pages are still there
    default:
      lost_.store(errno, std::memory_order_relaxed);
  }
}

absl::StatusOr<std::unique_ptr<Mapping>> PosixFile::Map(uint64_t reserve) {
  JOHNNY_RETURN_IF_ERROR(CheckNotForked("map"));
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  reserve = std::max(page, reserve / page * page);
  auto mapping = std::make_unique<PosixMapping>();
  for (;;) {
    void* data = ::mmap(nullptr, reserve, PROT_READ, MAP_SHARED | MAP_NORESERVE, data_.get(), 0);
    if (data != MAP_FAILED) {
      ::madvise(data, reserve, MADV_RANDOM);  // only a hint: a lookup touches one page here, one there
      mapping->Hold(static_cast<const Byte*>(data), reserve);
      return std::unique_ptr<Mapping>(std::move(mapping));
    }
    if (errno != ENOMEM || reserve / 2 < kLeastReserve) {
      return Error("map");
    }
    reserve = reserve / 2 / page * page;
  }
}

absl::StatusOr<std::unique_ptr<SharedMapping>> PosixFile::MapShared(uint64_t size) {
  // Beyond the end of the file there is memory that cannot be touched.
  JOHNNY_ASSIGN_OR_RETURN(uint64_t present, Size());
  if (present < size) {
    return MakeStatus(Code::kIoError,
                      absl::StrCat("cannot map ", path_, ": it has ", present, " bytes where ", size, " were expected"));
  }
  auto mapping = std::make_unique<PosixSharedMapping>();
  void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, data_.get(), 0);
  if (data == MAP_FAILED) {
    return Error("map");
  }
  mapping->Hold(static_cast<Byte*>(data), size);
  return std::unique_ptr<SharedMapping>(std::move(mapping));
}

absl::StatusOr<FileIdentity> PosixFile::Identity() {
  JOHNNY_RETURN_IF_ERROR(CheckNotForked("examine"));
  struct stat info;
  if (Retry([&] { return ::fstat(data_.get(), &info); }) != 0) {
    return Error("examine");
  }
  return IdentityOf(info);
}

absl::Status PosixFile::SetPermissions(uint32_t permissions) {
  JOHNNY_RETURN_IF_ERROR(CheckNotForked("set the permissions of"));
  if (Retry([&] { return ::fchmod(data_.get(), static_cast<mode_t>(permissions)); }) != 0) {
    return Error("set the permissions of");
  }
  return absl::OkStatus();
}

bool PosixFile::IsOnNetwork() {
  struct statfs info;
  if (data_.inherited() || Retry([&] { return ::fstatfs(data_.get(), &info); }) != 0) {
    return false;
  }
  const auto type = static_cast<uint32_t>(info.f_type);
  return std::find(std::begin(kNetworkFileSystems), std::end(kNetworkFileSystems), type) != std::end(kNetworkFileSystems);
}

}  // namespace johnny::os
