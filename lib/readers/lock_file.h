// The lock file: the shared memory of the processes that have a database open, and how one enters and leaves it.
//
// Locks, all of them on the open file description, so that they end with their process and mean the same in every pid namespace:
//   on the lock file   kOpenLock      exclusive while a process enters or leaves
//                      kPresence      shared, by everybody who uses this lock file
//                      kProcessLocks  + i, exclusive, by the owner of process slot i
//   on the data file   kPresence      shared, by everybody who has it open
//                      kWriterLock    exclusive, by the process that writes
//                      kAlone         shared, by readers that do without the lock file; kPresence keeps writers out meanwhile
//
// Invariants
//   1. All processes that have one data file open for writing use one lock file. Each takes its own two presence locks first and
//      then looks whether others hold them: neither is held: first, and the lock file is built anew. Both: join. Only the data
//      file's: they use another lock file (removed, replaced, a hard link). Only the lock file's: they have another data file
//      open (moved into place). Both of the last are errors.
//   2. Should it go wrong all the same, there still is one writer: the writer lock lies on the data file.
//   3. A process slot is freed only by who holds the lock on its byte.
#ifndef JOHNNY_READERS_LOCK_FILE_H_
#define JOHNNY_READERS_LOCK_FILE_H_

#include <memory>
#include <mutex>
#include <string>

#include "os/os.h"
#include "readers/snapshots.h"

namespace johnny::readers {

inline constexpr uint64_t kPresence = uint64_t{1} << 62;
inline constexpr uint64_t kWriterLock = kPresence + 1;
inline constexpr uint64_t kAlone = kPresence + 2;
inline constexpr uint64_t kOpenLock = kPresence + 3;
inline constexpr uint64_t kProcessLocks = kPresence + 4096;

class LockFile {
 public:
  // Enters the lock file `path` for the database `data` (open at `data_path`), creating it if there is none. The open lock is
  // held until FinishEntering(). kLockFile as invariant 1 has it; kPermission, kInvalidArgument for what is no lock file;
  // kReadersFull when all process slots are taken.
  static absl::StatusOr<std::unique_ptr<LockFile>> Enter(os::System* system, const std::string& path, os::File* data,
                                                         const std::string& data_path, uint32_t max_readers);
  ~LockFile();  // leaves
  LockFile(const LockFile&) = delete;
  LockFile& operator=(const LockFile&) = delete;

  // Nobody else was there: the shared memory is all zeros but for its geometry.
  bool first() const { return first_; }
  // Once the database is known. kLockFile if the others have another one open.
  absl::Status CheckDatabase(uint64_t database_id);
  // Gives the open lock back.
  void FinishEntering();
  // Takes the open lock again; whether nobody else is there now. LockFile then only waits to be destroyed.
  absl::StatusOr<bool> BeginLeaving();

  const SharedMemory& memory() const { return memory_; }
  uint32_t process() const { return process_; }
  // Frees the slots of dead processes; how many active reader slots were among them.
  uint32_t FreeDeadProcesses();
  uint32_t CountProcesses() const;

 private:
  LockFile(os::System* system, std::string path, os::File* data) : system_(system), path_(std::move(path)), data_(data) {}

  absl::Status OpenFile(const os::FileIdentity& data, const std::string& data_path);
  absl::Status LockEntrance();
  absl::Status TakePresence();
  absl::Status Clear(size_t size);
  absl::Status Build(const os::FileIdentity& data, uint32_t max_readers);
  absl::Status Join(const os::FileIdentity& data);
  absl::Status Map(uint32_t max_readers);
  absl::Status TakeProcessSlot();
  bool FreeIfDead(uint32_t process, uint32_t* freed_readers);
  absl::Status Misfit(absl::string_view why) const;

  os::System* system_;
  std::string path_;
  os::File* data_;
  std::unique_ptr<os::File> file_;
  std::unique_ptr<os::SharedMapping> mapping_;
  SharedMemory memory_;
  bool first_ = false;
  static constexpr uint32_t kNoProcess = UINT32_MAX;
  uint32_t process_ = kNoProcess;
  std::mutex reaping_;  // a file's locks do not exclude its own threads
};

// Private memory for a database without a lock file.
class PrivateMemory {
 public:
  static absl::StatusOr<PrivateMemory> Create(uint32_t max_readers);
  const SharedMemory& memory() const { return memory_; }

 private:
  os::ReservedMemory reserved_;
  SharedMemory memory_;
};

}  // namespace johnny::readers

#endif  // JOHNNY_READERS_LOCK_FILE_H_
