// Everything the library asks of the operating system, as an interface: posix.cc implements it, and the tests have a
// simulated one that records and perturbs what is written.
//
// Errors carry kIoError, kDiskFull (ENOSPC, EDQUOT), kPermission, kNoSuchFile, kExists, kBusy or kNoMemory, with the path and the
// system's words. EINTR and short transfers are dealt with inside.
// Thread rules: all methods may be called from any thread; the library never writes the same bytes from two threads at once.
// Forks: a child inherits no lock of its parent's (its copies of the descriptors that carry them are closed at once), and nothing
// it does with an inherited File has an effect on the file or on the parent: methods fail with kForked, or do nothing.
#ifndef JOHNNY_OS_OS_H_
#define JOHNNY_OS_OS_H_

#include <atomic>
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

// The same, writable, shared with every process that maps the file, and never longer than the file was when it was mapped.
class SharedMapping {
 public:
  virtual ~SharedMapping() = default;
  virtual Byte* data() const = 0;
  virtual uint64_t size() const = 0;  // bytes
};

// Which file it is, whatever its name, and whose.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint32_t owner = 0;        // user id
  uint32_t permissions = 0;  // the lower 9 bits of the mode
  bool SameFile(const FileIdentity& other) const { return device == other.device && inode == other.inode; }
};

inline constexpr uint32_t kWaitForEver = UINT32_MAX;  // of timeouts in milliseconds

class File {
 public:
  virtual ~File() = default;  // closes the file and releases its locks

  // Reads exactly `size` bytes; kIoError when the file ends before.
  virtual absl::Status ReadAt(uint64_t offset, void* to, size_t size) = 0;
  // Writes the pieces one after the other from `offset` on, extending the file when they reach past its end.
  virtual absl::Status WriteAt(uint64_t offset, absl::Span<const Slice> pieces) = 0;
  // Writes zeros, of which small parts will be written over again and again.
  virtual absl::Status WriteZeros(uint64_t offset, uint64_t size) {
    const std::string zeros(size, '\0');
    const Slice piece(zeros);
    return WriteAt(offset, absl::MakeConstSpan(&piece, 1));
  }
  // Makes what was written so far durable, and the size with it (fdatasync). After an error nothing is known about what was
  // written since the last success, and calling again proves nothing.
  virtual absl::Status SyncData() = 0;
  // Has what was written here set out for the disk, without waiting for it to arrive, so that SyncData() soon has less to wait
  // for; only a hint, which proves nothing. What fails is an error of the next SyncData() and of all after it.
  virtual void StartWriting(uint64_t /*offset*/, uint64_t /*size*/) {}
  virtual absl::StatusOr<uint64_t> Size() = 0;
  virtual absl::Status Resize(uint64_t size) = 0;
  // Gives holes among the first `size` bytes, all of which the file has, room on disk. False: there may still be some.
  virtual bool FillHoles(uint64_t /*size*/) { return false; }
  // Extends the file to `offset + size` with blocks reserved on disk, so that writing them cannot fail for lack of room.
  virtual absl::Status Preallocate(uint64_t offset, uint64_t size) = 0;
  // Has bytes that will be wanted soon read into the page cache, without waiting for them; only a hint.
  virtual void Prefetch(uint64_t /*offset*/, uint64_t /*size*/) {}
  // Maps the file, reserving up to `reserve` bytes of address space (less if the system allows no more).
  virtual absl::StatusOr<std::unique_ptr<Mapping>> Map(uint64_t reserve) = 0;
  // Maps bytes 0 .. size of a file opened for writing, which must be that long.
  virtual absl::StatusOr<std::unique_ptr<SharedMapping>> MapShared(uint64_t size) = 0;
  virtual absl::StatusOr<FileIdentity> Identity() = 0;
  // Sets the permission bits whatever the umask; only the owner may.
  virtual absl::Status SetPermissions(uint32_t permissions) = 0;
  // Whether the file lies on a network file system, whose locks and mappings other machines do not share.
  virtual bool IsOnNetwork() = 0;

  // ---- Open-file-description locks on single bytes, which need not exist ----
  // They belong to this File, not to the process: two Files of one process exclude each other. Dead processes hold none.
  enum class LockKind { kShared, kExclusive };  // kExclusive needs a file opened for writing (kPermission)
  // Takes the lock, or turns the one held into this kind. kBusy when somebody else's stands in the way for `timeout_ms`.
  virtual absl::Status Lock(uint64_t offset, LockKind kind, uint32_t timeout_ms = 0) = 0;
  // Gives it back; nothing if it is not held.
  virtual void Unlock(uint64_t offset) = 0;
  // Whether another File holds a lock of any kind on the byte.
  virtual absl::StatusOr<bool> IsLockedByOthers(uint64_t offset) = 0;
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
  // What the name stands for now, without following a symbolic link; kNoSuchFile.
  virtual absl::StatusOr<FileIdentity> IdentityOf(const std::string& path) = 0;
  // Makes the names in the directory that holds `path` durable.
  virtual absl::Status SyncDirectoryOf(const std::string& path) = 0;

  virtual uint64_t MonotonicMillis() = 0;
  virtual void Sleep(uint32_t milliseconds) = 0;
  virtual uint64_t ProcessId() = 0;
  virtual uint64_t ThreadId() = 0;
  virtual uint32_t UserId() = 0;        // effective
  virtual uint64_t BootId() = 0;        // differs after a restart of the machine; never 0
  virtual uint64_t RandomNumber() = 0;  // for the database id and temporary names
  // A named place where tests may stop, kill or interleave.
  virtual void YieldPoint(const char* name) = 0;
};

// Differs between a process and the children it forks: what was opened under another generation must not be used. Cheap.
inline std::atomic<uint64_t> g_fork_generation{1};
inline uint64_t ForkGeneration() { return g_fork_generation.load(std::memory_order_relaxed); }

// The POSIX implementation; lives for ever.
System* PosixSystem();

}  // namespace johnny::os

#endif  // JOHNNY_OS_OS_H_
