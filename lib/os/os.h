// Everything the library asks of the operating system, as an interface: posix.h implements it, and the tests have a
// simulated one that records and perturbs what is written.
//
// Errors carry kIoError, kDiskFull (ENOSPC, EDQUOT), kPermission, kNoSuchFile, kExists, kBusy or kNoMemory, with the path and the
// system's words. EINTR and short transfers are dealt with inside.
// Thread rules: all methods may be called from any thread; the library never writes one file from two threads at once.
#ifndef JOHNNY_OS_OS_H_
#define JOHNNY_OS_OS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/bytes.h"

namespace johnny::os {

// A read-only view of a file from offset 0, over a reserved address range that the file may grow into. Touching bytes past the
// end of the file is undefined (SIGBUS); callers compare page numbers with the file's size first.
class Mapping {
 public:
  virtual ~Mapping() = default;
  virtual const Byte* data() const = 0;
  virtual uint64_t reserved() const = 0;  // bytes
};

class File {
 public:
  virtual ~File() = default;  // closes the file and releases its locks

  // Reads exactly `size` bytes; kIoError when the file ends before.
  virtual absl::Status ReadAt(uint64_t offset, void* to, size_t size) = 0;
  // Writes the pieces one after the other from `offset` on, extending the file when they reach past its end.
  virtual absl::Status WriteAt(uint64_t offset, absl::Span<const Slice> pieces) = 0;
  // Makes what was written so far durable, and the size with it (fdatasync). After an error nothing is known about what was
  // written since the last success, and calling again proves nothing.
  virtual absl::Status SyncData() = 0;
  virtual absl::StatusOr<uint64_t> Size() = 0;
  virtual absl::Status Resize(uint64_t size) = 0;
  // Extends the file to `offset + size` with blocks reserved on disk, so that writing them cannot fail for lack of room.
  virtual absl::Status Preallocate(uint64_t offset, uint64_t size) = 0;
  // Maps the file, reserving up to `reserve` bytes of address space (less if the system allows no more).
  virtual absl::StatusOr<std::unique_ptr<Mapping>> Map(uint64_t reserve) = 0;
  enum class LockKind { kShared, kExclusive };
  // Takes an open-file-description lock on the byte at `offset`, without waiting: kBusy if somebody else's stands in the way.
  virtual absl::Status Lock(uint64_t offset, LockKind kind) = 0;
};

// Which file must be there, and how it is opened.
enum class OpenMode { kReadOnly, kReadWrite, kCreateNew };  // kCreateNew: read-write; kExists if the name is taken

class System {
 public:
  virtual ~System() = default;

  // Opens a regular file; anything else, and a symbolic link, is kInvalidArgument. `permissions` matter for kCreateNew.
  virtual absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode, uint32_t permissions) = 0;
  // Gives the file `from` the second name `to`; kExists if that is taken.
  virtual absl::Status Link(const std::string& from, const std::string& to) = 0;
  virtual absl::Status Unlink(const std::string& path) = 0;
  // Makes the names in the directory that holds `path` durable.
  virtual absl::Status SyncDirectoryOf(const std::string& path) = 0;

  virtual uint64_t MonotonicMillis() = 0;
  virtual uint64_t ProcessId() = 0;
  virtual uint64_t ThreadId() = 0;
  virtual uint64_t BootId() = 0;        // differs after a restart of the machine; never 0
  virtual uint64_t RandomNumber() = 0;  // for the database id and temporary names
  // A named place where tests may stop, kill or interleave.
  virtual void YieldPoint(const char* name) = 0;
};

// The POSIX implementation; lives for ever.
System* PosixSystem();

}  // namespace johnny::os

#endif  // JOHNNY_OS_OS_H_
