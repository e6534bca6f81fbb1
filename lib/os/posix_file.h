// Regular files through POSIX calls, and Linux's open-file-description locks.
#ifndef JOHNNY_OS_POSIX_FILE_H_
#define JOHNNY_OS_POSIX_FILE_H_

#include <sys/stat.h>
#include <sys/uio.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "os/descriptor.h"
#include "os/os.h"

namespace johnny::os {

// Invariants
//   1. Locks are taken on a descriptor of their own, which is never mapped: a mapping keeps the open file description that it was
//      made from alive, in forked children too, and with it the locks.
//   2. In a child of the process that opened the file, every method fails with kForked or does nothing.
class PosixFile : public File {
 public:
  // `flags` are those it was opened with.
  PosixFile(Descriptor data, std::string path, int flags) : data_(std::move(data)), path_(std::move(path)), flags_(flags) {}
  ~PosixFile() override;
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;

  // kInvalidArgument unless this is a regular file.
  absl::Status CheckRegular() const;

  absl::Status ReadAt(uint64_t offset, void* to, size_t size) override;
  absl::Status WriteAt(uint64_t offset, absl::Span<const Slice> pieces) override;
  absl::Status WriteZeros(uint64_t offset, uint64_t size) override;
  absl::Status SyncData() override;
  absl::StatusOr<uint64_t> Size() override;
  absl::Status Resize(uint64_t size) override;
  bool FillHoles(uint64_t size) override;
  absl::Status Preallocate(uint64_t offset, uint64_t size) override;
  void Prefetch(uint64_t offset, uint64_t size) override;
  void StartWriting(uint64_t offset, uint64_t size) override;
  absl::StatusOr<std::unique_ptr<Mapping>> Map(uint64_t reserve) override;
  absl::StatusOr<std::unique_ptr<SharedMapping>> MapShared(uint64_t size) override;
  absl::StatusOr<FileIdentity> Identity() override;
  absl::Status SetPermissions(uint32_t permissions) override;
  bool IsOnNetwork() override;
  absl::Status Lock(uint64_t offset, LockKind kind, uint32_t timeout_ms) override;
  void Unlock(uint64_t offset) override;
  absl::StatusOr<bool> IsLockedByOthers(uint64_t offset) override;

 private:
  absl::Status Error(absl::string_view what) const;
  absl::Status CheckNotForked(absl::string_view what) const;
  absl::Status WriteVector(uint64_t offset, iovec* vector, size_t count);
  // The descriptor for locks, opened at the first call.
  absl::StatusOr<int> LockDescriptor();

  const Descriptor data_;
  const std::string path_;
  const int flags_;
  std::atomic<int> lost_{0};  // errno of a StartWriting() that may have lost pages
  std::mutex mutex_;          // of lock_
  Descriptor lock_;
};

FileIdentity IdentityOf(const struct stat& info);

}  // namespace johnny::os

#endif  // JOHNNY_OS_POSIX_FILE_H_
