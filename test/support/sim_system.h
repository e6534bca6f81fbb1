// A system in memory that records what is done to its files and fails on command.
//
// What the files hold now lies in one flat piece of memory per file, which is also what a mapping shows. What a disk would hold
// after a power cut is not kept here: every change and every sync goes into a log of events, and crash_disk.h works out from the
// log which disks are possible. An acknowledged test step goes into the same log as a mark, so each point of the log tells what a
// reopened database must hold.
//
// There may be several virtual processes: the SimSystem itself is one, NewProcess() gives others. Each has files of its own,
// whose locks exclude those of all other files, and dies alone. What they map shared is the same memory.
//
// Lock files (names that end in kLockSuffix) leave nothing in the log: after a power cut they are gone, or tests put there what
// they like. Their calls count, and fail on command, as all others do.
//
// Invariants
//   1. The log, applied to the image the system started from, gives the files as they are, lock files excepted.
//   2. A failed sync that drops (fsyncgate) changes nothing that can be read; only the log knows that those writes may be lost.
//   3. While a process is dead (Kill), its calls fail and leave no trace, and it holds no lock.
//   4. What is called on every operation of the library (ids, time, yield points) takes no mutex, which would hide races from
//   TSan.
//
// Thread rules: all methods may be called from any thread, except that hooks are set, and logs looked at, while no other runs.
#ifndef JOHNNY_TEST_SUPPORT_SIM_SYSTEM_H_
#define JOHNNY_TEST_SUPPORT_SIM_SYSTEM_H_

#include <atomic>
#include <condition_variable>
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
  kTakenOver,      // [commit index] a living process became the writer after a dead one, and this state is what it builds on
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

// What counts as a call and can fail. Unlock() and IsOnNetwork() cannot.
enum class Call {
  kOpen,
  kLink,
  kUnlink,
  kIdentityOf,
  kSyncDirectory,
  kRead,
  kWrite,
  kSync,
  kSize,
  kResize,
  kPreallocate,
  kMap,
  kMapShared,
  kIdentity,
  kSetPermissions,
  kLock,
  kQueryLock,
};
inline constexpr int kCallKinds = static_cast<int>(Call::kQueryLock) + 1;

// What is to fail, counted from SetFault() on.
struct Fault {
  std::optional<Call> call;  // only calls of this kind count and fail; nothing: all do
  uint64_t skip = 0;         // so many succeed first
  uint64_t times = 1;        // so many fail
  bool for_ever = false;     // all later ones fail too
  Code code = Code::kIoError;
  std::string words = "injected failure";
  bool drops = true;     // a failing sync drops what it should have made durable, and later syncs believe it durable
  bool partial = false;  // a failing read or write has transferred its first half
  bool kills = false;    // not an error: the process dies there (see Kill)
  const os::System* process = nullptr;  // only calls of this SimProcess (or SimSystem) count and fail; nullptr: all do
};

inline constexpr char kLockSuffix[] = "-lock";

class SimFile;
class SimSystem;
struct SimInode;

// What a file keeps of the process that opened it. Guarded by the system's mutex.
struct SimLife {
  bool dead = false;
  std::function<void()> death_hook;
};

// One process of a SimSystem.
class SimProcess : public os::System {
 public:
  // Use SimSystem::NewProcess(). `identity` is what Fault::process calls it; nullptr: itself.
  SimProcess(SimSystem* system, const os::System* identity);
  // The process exits, if it has not died yet.
  ~SimProcess() override;
  SimProcess(const SimProcess&) = delete;
  SimProcess& operator=(const SimProcess&) = delete;

  absl::StatusOr<std::unique_ptr<os::File>> Open(const std::string& path, os::OpenMode mode, uint32_t permissions) override;
  absl::Status Link(const std::string& from, const std::string& to) override;
  absl::Status Unlink(const std::string& path) override;
  absl::StatusOr<os::FileIdentity> IdentityOf(const std::string& path) override;
  absl::Status SyncDirectoryOf(const std::string& path) override;
  uint64_t MonotonicMillis() override;
  void Sleep(uint32_t milliseconds) override;
  uint64_t ProcessId() override { return id_.load(std::memory_order_relaxed); }
  uint64_t ThreadId() override;
  uint32_t UserId() override { return user_.load(std::memory_order_relaxed); }
  uint64_t BootId() override;
  uint64_t RandomNumber() override;
  void YieldPoint(const char* name) override;

  // Ends the process: every call fails without effect, so that its handles can be closed, until Revive() starts the next one.
  // Files that are open stay dead; their locks are gone at once, and who waits for one in this process gets kIoError. What was
  // written to shared memory stays. May be called from a yield hook.
  void Kill();
  // Starts the next process, under another id.
  void Revive();
  bool dead() const;
  void set_user_id(uint32_t user) { user_ = user; }
  // Called by each thread whose call finds the process dead, the one that it died in included, while no mutex is held. A thread
  // that stays in there does nothing more, as it should: otherwise it goes on with an error, and may still write to shared
  // memory.
  void set_death_hook(std::function<void()> hook) { life_->death_hook = std::move(hook); }
  // For the yield points of this process, instead of the system's hook.
  void set_yield_hook(std::function<void(SimProcess*, const char*)> hook) { yield_hook_ = std::move(hook); }

 private:
  friend class SimFile;
  friend class SimSystem;

  SimSystem* const system_;
  const os::System* const identity_;
  std::atomic<uint64_t> id_;
  std::atomic<uint32_t> user_{1000};
  std::shared_ptr<SimLife> life_ = std::make_shared<SimLife>();  // guarded by the system's mutex
  std::function<void(SimProcess*, const char*)> yield_hook_;
};

class SimSystem : public os::System {
 public:
  static constexpr uint64_t kReserve = 64 << 20;  // largest file

  explicit SimSystem(uint64_t seed = 1, uint64_t boot_id = 1);
  // The machine after a restart: the disk holds `image`.
  SimSystem(const DiskImage& image, uint64_t seed, uint64_t boot_id);
  ~SimSystem() override;

  // ---- The first process ----
  absl::StatusOr<std::unique_ptr<os::File>> Open(const std::string& path, os::OpenMode mode, uint32_t permissions) override {
    return first_->Open(path, mode, permissions);
  }
  absl::Status Link(const std::string& from, const std::string& to) override { return first_->Link(from, to); }
  absl::Status Unlink(const std::string& path) override { return first_->Unlink(path); }
  absl::StatusOr<os::FileIdentity> IdentityOf(const std::string& path) override { return first_->IdentityOf(path); }
  absl::Status SyncDirectoryOf(const std::string& path) override { return first_->SyncDirectoryOf(path); }
  uint64_t MonotonicMillis() override { return first_->MonotonicMillis(); }
  void Sleep(uint32_t milliseconds) override { first_->Sleep(milliseconds); }
  uint64_t ProcessId() override { return first_->ProcessId(); }
  uint64_t ThreadId() override { return first_->ThreadId(); }
  uint32_t UserId() override { return first_->UserId(); }
  uint64_t BootId() override { return boot_id_; }
  uint64_t RandomNumber() override { return first_->RandomNumber(); }
  void YieldPoint(const char* name) override { first_->YieldPoint(name); }
  void Kill() { first_->Kill(); }
  void Revive() { first_->Revive(); }
  void set_user_id(uint32_t user) { first_->set_user_id(user); }

  // ---- Further processes, which must not outlive the system ----
  std::unique_ptr<SimProcess> NewProcess();

  // ---- The log ----
  void Mark(MarkKind kind, int64_t value = 0);
  void set_recording(bool recording);
  const std::vector<Event>& events() const { return events_; }
  std::vector<Event> TakeEvents() { return std::move(events_); }

  // ---- Faults ----
  void SetFault(const Fault& fault);
  void ClearFault();
  uint64_t faults_fired() const;
  std::optional<Call> first_fired() const;  // what failed first
  bool failed(Call call) const;             // since SetFault()
  uint64_t calls() const;                   // so far, of all kinds and processes
  uint64_t calls(Call call) const;
  // Ranges of bytes that were told to set out for the disk since the last call.
  std::vector<std::pair<uint64_t, uint64_t>> TakeSetOut();
  // Blocks of all files together may not take more than so many bytes; 0: no limit.
  void set_capacity(uint64_t bytes);
  uint64_t allocated_bytes() const;
  // For the yield points of all processes that have no hook of their own.
  void set_yield_hook(std::function<void(const char*)> hook) { yield_hook_ = std::move(hook); }

  // ---- The disk, from outside: these are no calls of a process ----
  // What the files hold now.
  DiskImage Snapshot(bool with_lock_files = false) const;
  bool Exists(const std::string& path) const;
  // Moves the file to another name. Rename() is kExists when that is taken, Replace() puts the file in the other's place.
  absl::Status Rename(const std::string& from, const std::string& to);
  absl::Status Replace(const std::string& from, const std::string& to);
  void ChangePermissions(const std::string& path, uint32_t permissions);
  void set_on_network(bool on_network) { on_network_ = on_network; }
  // Who sleeps need not let other threads go on: there are none.
  void set_single_threaded() { single_threaded_ = true; }

 private:
  friend class SimFile;
  friend class SimProcess;
  using Names = std::map<std::string, std::shared_ptr<SimInode>>;

  // All of these want the mutex held.
  // Counts a call and decides whether it fails. `life` is that of the process when it opened the file.
  absl::Status Enter(SimProcess* process, const SimLife& life, Call call, const std::string& path);
  void Kill(SimProcess* process);
  void RunDeathHook(const SimLife& life);  // releases the mutex meanwhile
  void Record(Event event);
  void RecordName(Event::Kind kind, const SimInode& inode, const std::string& name);
  void RecordData(const SimInode& inode, Event event);
  absl::StatusOr<Names::iterator> Find(const std::string& path);
  absl::Status Allocate(SimInode* inode, uint64_t offset, uint64_t size);
  absl::Status Write(SimInode* inode, uint64_t offset, Slice bytes);
  void Bind(const std::string& name, std::shared_ptr<SimInode> inode, Event::Kind kind);
  absl::Status Unbind(const std::string& name);

  mutable std::mutex mutex_;
  std::condition_variable lock_released_;  // or the process that waits for one was killed
  const uint64_t boot_id_;
  uint64_t random_;
  std::atomic<uint64_t> clock_{1000};
  Names names_;
  int next_inode_ = 0;
  std::vector<Event> events_;
  bool recording_ = true;
  std::optional<Fault> fault_;
  uint64_t fault_seen_ = 0;
  uint64_t faults_fired_ = 0;
  std::optional<Call> first_fired_;
  uint64_t fired_by_kind_[kCallKinds] = {};
  uint64_t calls_ = 0;
  uint64_t calls_by_kind_[kCallKinds] = {};
  std::atomic<uint64_t> next_process_id_{101};
  std::vector<std::pair<uint64_t, uint64_t>> set_out_;
  uint64_t capacity_ = 0;
  uint64_t allocated_ = 0;
  std::atomic<bool> on_network_{false};
  std::atomic<bool> single_threaded_{false};
  std::function<void(const char*)> yield_hook_;
  std::unique_ptr<SimProcess> first_;  // the last member: it uses the others when it goes
};

}  // namespace johnny::sim

#endif  // JOHNNY_TEST_SUPPORT_SIM_SYSTEM_H_
