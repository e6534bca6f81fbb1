// A system in memory that records what is done to its files and fails on command.
//
// What the files hold now lies in one flat piece of memory per file, which is also what a mapping shows. What a disk would hold
// after a power cut is not kept here: every change and every sync goes into a log of events, and crash_disk.h works out from the
// log which disks are possible. An acknowledged test step goes into the same log as a mark, so each point of the log tells what a
// reopened database must hold.
//
// Invariants
//   1. The log, applied to the image the system started from, gives the files as they are.
//   2. A failed sync that drops (fsyncgate) changes nothing that can be read; only the log knows that those writes may be lost.
//   3. While the system is dead (Kill), calls fail and leave no trace.
//
// Thread rules: all methods may be called from any thread.
#ifndef JOHNNY_TEST_SUPPORT_SIM_SYSTEM_H_
#define JOHNNY_TEST_SUPPORT_SIM_SYSTEM_H_

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "os/os.h"
#include "support/sim_image.h"

namespace johnny::sim {

// What a test script says of its progress; `value` of Event is given in brackets.
enum class MarkKind {
  kIdHandedOut,    // [transaction id] of a write transaction that has begun
  kCreateBegan,    // a call that may create the database has begun
  kOpened,         // [commit index or -1] a writable open showed this state (-1: the empty database)
  kCommitBegan,    // [commit index]
  kCommitDurable,  // [commit index] acknowledged, and promised to survive a power cut
  kCommitLazy,     // [commit index] acknowledged without that promise
  kCommitFailed,   // [commit index] reported as not committed
  kCommitUnknown,  // [commit index] reported as of unknown outcome
  kSynced,         // everything acknowledged so far is promised to survive a power cut
};

struct Event {
  enum class Kind {
    kWrite,
    kResize,
    kPreallocate,
    kSync,
    kSyncDropped,  // of a file
    kCreate,
    kLink,
    kUnlink,
    kSyncDirectory,  // of a directory
    kMark,
  };
  Kind kind;
  int file = -1;
  uint64_t offset = 0;
  uint64_t size = 0;  // kResize, kPreallocate: the new size
  std::string data;   // kWrite
  std::string name;   // kCreate, kLink, kUnlink: the name that changes; kSyncDirectory: the directory with its '/'
  MarkKind mark{};
  int64_t value = 0;
};

enum class Call { kOpen, kLink, kUnlink, kSyncDirectory, kRead, kWrite, kSync, kSize, kResize, kPreallocate, kMap, kLock };

// What is to fail, counted from SetFault() on.
struct Fault {
  std::optional<Call> call;  // only calls of this kind count and fail; nothing: all do
  uint64_t skip = 0;         // so many succeed first
  bool for_ever = false;     // all later ones fail too
  Code code = Code::kIoError;
  bool drops = true;     // a failing sync drops what it should have made durable, and later syncs believe it durable
  bool partial = false;  // a failing write has written its first half
  bool kills = false;    // not an error: the process dies there (see Kill)
};

class SimSystem : public os::System {
 public:
  static constexpr uint64_t kReserve = 64 << 20;  // largest file

  explicit SimSystem(uint64_t seed = 1, uint64_t boot_id = 1);
  // The machine after a restart: the disk holds `image`.
  SimSystem(const DiskImage& image, uint64_t seed, uint64_t boot_id);
  ~SimSystem() override;

  absl::StatusOr<std::unique_ptr<os::File>> Open(const std::string& path, os::OpenMode mode, uint32_t permissions) override;
  absl::Status Link(const std::string& from, const std::string& to) override;
  absl::Status Unlink(const std::string& path) override;
  absl::Status SyncDirectoryOf(const std::string& path) override;
  uint64_t MonotonicMillis() override;
  uint64_t ProcessId() override;
  uint64_t ThreadId() override;
  uint64_t BootId() override { return boot_id_; }
  uint64_t RandomNumber() override;
  void YieldPoint(const char* name) override;

  // ---- The log ----
  void Mark(MarkKind kind, int64_t value = 0);
  void set_recording(bool recording) { recording_ = recording; }
  const std::vector<Event>& events() const { return events_; }
  std::vector<Event> TakeEvents() { return std::move(events_); }

  // ---- Faults ----
  void SetFault(const Fault& fault);
  void ClearFault() { fault_.reset(); }
  uint64_t faults_fired() const { return faults_fired_; }
  uint64_t calls() const { return calls_; }  // so far, of all kinds
  uint64_t calls(Call call) const { return calls_by_kind_[static_cast<int>(call)]; }
  // Ends the process: every call fails without effect, so that its handles can be closed, until Revive() starts the next one.
  // Files that are open stay dead, their locks are gone.
  void Kill();
  void Revive() { dead_ = false; }
  // Blocks of all files together may not take more than so many bytes; 0: no limit.
  void set_capacity(uint64_t bytes) { capacity_ = bytes; }
  uint64_t allocated_bytes() const;
  void set_yield_hook(std::function<void(const char*)> hook) { yield_hook_ = std::move(hook); }

  // What the files hold now.
  DiskImage Snapshot() const;
  bool Exists(const std::string& path) const { return names_.contains(path); }

 private:
  friend class SimFile;
  struct Inode;

  // Counts a call and decides whether it fails.
  absl::Status Enter(Call call, const std::string& path);
  void Record(Event event);
  std::shared_ptr<Inode> NewInode();
  absl::Status Allocate(Inode* inode, uint64_t offset, uint64_t size);
  absl::Status Write(Inode* inode, uint64_t offset, Slice bytes);

  mutable std::recursive_mutex mutex_;
  uint64_t boot_id_;
  uint64_t random_;
  uint64_t clock_ = 1000;
  std::map<std::string, std::shared_ptr<Inode>> names_;
  int next_inode_ = 0;
  std::vector<Event> events_;
  bool recording_ = true;
  std::optional<Fault> fault_;
  uint64_t fault_seen_ = 0;
  uint64_t faults_fired_ = 0;
  uint64_t calls_ = 0;
  uint64_t calls_by_kind_[12] = {};
  bool dead_ = false;
  uint64_t process_ = 1;  // counts processes; a file of an earlier one is dead
  uint64_t capacity_ = 0;
  uint64_t allocated_ = 0;
  std::function<void(const char*)> yield_hook_;
};

}  // namespace johnny::sim

#endif  // JOHNNY_TEST_SUPPORT_SIM_SYSTEM_H_
