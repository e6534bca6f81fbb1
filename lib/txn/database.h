// An open database: what all of its transactions share, and the state of the commit protocol.
//
// Of several processes that have the file open, the one with the writer lock is the writer; what it must find as its predecessor
// left it lies in SharedState, or is read from the master pages when it takes over (env/adopt.cc).
//
// Master pages: one slot holds the newest master known to be durable; the next one is always written to the other slot.
//
// Group commit: a durable commit is *sealed* (its pages written, but no master page) when it gives the writer lock on. The next
// transaction builds on it (`tip`). Whoever of the waiting committers finds nobody publishing publishes a group: all commits
// whose pages the last sync had, or if there are none all that are sealed, after a sync for them. Then the sync of the group's
// master page has the pages of what was sealed meanwhile: under load each group takes one sync and not two.
//
// Invariants
//   1. newest announced snapshot >= durable_txn; both are pinned, as are sealed commits, the snapshots in reader slots and named
//   ones.
//   2. last_id <= id_ceiling of the newest durable master, so an id is never used twice whatever crashes.
//   3. Once writes_refused is set nothing is written any more: a failed sync is never retried.
//   4. SharedState::kPublishing is set from before a master page is written until its snapshot is announced.
#ifndef JOHNNY_TXN_DATABASE_H_
#define JOHNNY_TXN_DATABASE_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "base/mutex.h"
#include "format/master_page.h"
#include "os/os.h"
#include "pager/frames.h"
#include "pager/view.h"
#include "readers/lock_file.h"
#include "space/free_space.h"
#include "txn/background_sync.h"
#include "txn/named_pins.h"
#include "txn/writer_lock.h"

namespace johnny::txn {

enum class Durability : uint32_t { kDefault = 0, kTwoPhase = 1, kSingleSync = 2, kLazy = 3, kAsync = 4 };
// No sync before the commit returns.
inline bool IsLazy(Durability durability) { return durability == Durability::kLazy || durability == Durability::kAsync; }

struct DatabaseOptions {
  bool read_only = false;
  Durability durability = Durability::kTwoPhase;
  uint64_t memory_budget = uint64_t{256} << 20;
  uint64_t address_space = uint64_t{1} << 40;
  uint32_t max_readers = 4096;
  uint32_t slack_percent = 30;
  uint64_t size_limit = 0;        // bytes; 0: none
  uint32_t sync_interval_ms = 0;  // between background syncs of lazy commits; 0: none
  uint64_t sync_bytes = 0;        // written by lazy commits, after which the background syncs at once; 0: never
  bool shrink = true;
  // Readers that hold back more may be asked to give their snapshots up; 0: no limit.
  uint32_t reader_limit_ms = 0;
  uint64_t reader_limit_bytes = 0;
  // Whether the reader in this slot has to go; null: all have to.
  std::function<bool(uint32_t slot, uint64_t pages_held_back)> must_go;
};

// A name in the catalog, known to the environment for its lifetime. Index 0 is the main table.
struct Table {
  const void* env = nullptr;  // the C API's environment, to tell foreign handles
  std::string name;
  uint32_t index = 0;
};

class Txn;

// kWritesRefused, with what to do about it.
absl::Status WritesRefused();

// What a master page publishes, as readers see it.
inline readers::Snapshot SnapshotOf(const format::MasterPage& master) {
  return {master.txn, master.page_count, master.table_count, master.main, master.catalog, master.free_log};
}

struct Database {
  os::System* system = nullptr;
  std::unique_ptr<os::File> file;
  std::string path;
  DatabaseOptions options;

  // Null in a database that this process has to itself.
  std::unique_ptr<readers::LockFile> lock_file;
  readers::PrivateMemory private_memory;

  std::unique_ptr<pager::PageStore> store;
  readers::SnapshotBoard board;
  WriterLock writer;
  // Makes this process's state that of the file: after others wrote, or after a writer died while it published (`take_over`).
  absl::Status (*adopt)(Database* db, bool take_over) = nullptr;

  // ---- Belongs to the holder of the writer lock ----
  pager::FrameArena frames;
  std::unique_ptr<space::FreeSpace> space;  // null until the first write transaction or inspection
  format::MasterPage tip;                   // what the next write transaction builds on: the newest sealed or published commit
  uint64_t seen_publications = 0;
  bool must_adopt = false;  // others may have written since this process's state was brought up to date
  NamedPins named;          // of `tip`; loaded with `space`
  TxnId last_cut = 0;       // no snapshot since this one reaches past the page count

  // ---- Changed only with `publish` held, by the holder of the writer lock or on behalf of sealed commits ----
  // Publishing a master page and making commits durable take turns: a sync must know which master it makes durable, and a failed
  // one must be known to whoever syncs next. The holder of the writer lock may read newest_master without it while nothing is
  // sealed.
  Mutex publish;
  format::MasterPage newest_master;
  int newest_slot = 0;
  TxnId id_ceiling = 0;  // of a durable master
  // A committer that waits for others to publish its sealed commit. Woken once it is published, or when it has to see to that
  // itself.
  struct Committing {
    enum State : int { kWaiting, kToPublish, kPublished, kFailed };
    std::atomic<int> state{kWaiting};
  };
  struct Sealed {
    format::MasterPage master;
    Committing* committer;
    bool two_phase;
    std::thread::id thread;
    bool grew;  // the file, for SeededBug::kNoSyncAfterGrowth
  };
  std::deque<Sealed> sealed;  // oldest first
  // A sync is running without `publish`, so that others need not wait for it. It may take the report of a failed write away from
  // any other, so nothing that syncs may begin before it has ended.
  bool syncing = false;
  std::condition_variable published;  // a sync ended, or sealed commits were published
  size_t gathering = 0;               // who is about to publish waits for so many to be sealed; 0: nobody does
  std::condition_variable gathered;
  std::chrono::nanoseconds publish_time{0};  // of sealed commits, lately
  std::chrono::steady_clock::time_point published_at;
  static constexpr size_t kMostGathered = 64;
  absl::InlinedVector<std::thread::id, kMostGathered> last_group;  // whose commits were published together the last time
  std::atomic<uint64_t> group_size{1};                             // how many these are
  TxnId published_txn = 0;                                         // newest sealed commit that was published, and is durable
  TxnId pages_synced = 0;                                          // the pages of sealed commits up to this one are durable
  TxnId unknown_outcome_to = 0;  // after a failure: sealed commits up to this one may be durable
  std::string failure;           // its words

  // ---- Readable by anyone ----
  std::atomic<bool> refused_here{false};  // this process saw a sync fail
  std::atomic<uint64_t> known_pages{0};   // the file has had at least so many
  std::atomic<bool> has_surplus{false};   // ShrinkFile() may find something to cut
  std::atomic<uint64_t> lazy_bytes{0};    // written by lazy commits since the last sync
  std::atomic<bool> opened_clean{false};
  std::atomic<TxnId> discarded_txn{0};

  // ---- Table handles ----
  Mutex tables_mutex;
  // Not absl's: when memory runs out while that one grows, it is beyond use.
  std::unordered_map<std::string, uint32_t> table_index ABSL_GUARDED_BY(tables_mutex);
  std::deque<Table> tables ABSL_GUARDED_BY(tables_mutex);

  // Last, so that its thread has ended before anything that it uses goes.
  BackgroundSync background;

  ~Database();

  uint32_t page_size() const { return store->page_size(); }
  readers::SharedState& state() const { return board.memory().state(); }
  TxnId durable_txn() const;
  // The master slot that holds it, as the holder of the writer lock knows.
  int durable_slot() const {
    return (state().commit.load(std::memory_order_seq_cst) & readers::SharedState::kDurable) != 0 ? newest_slot : 1 - newest_slot;
  }
  bool writes_refused() const {
    return refused_here.load(std::memory_order_relaxed) || state().writes_refused.load(std::memory_order_seq_cst) != 0;
  }
  // The handle for `name` if one was made before, else null.
  Table* FindTable(const std::string& name);
  // The handle for `name`, made if need be. kTablesFull.
  absl::StatusOr<Table*> InternTable(const std::string& name, const void* env);

  // Whether a snapshot that comes from shared memory may be looked at: it must lie within the file. kLockFile.
  absl::Status Admit(const readers::Snapshot& snapshot);

  // Makes every commit so far durable, whoever wrote it. kWritesRefused, kIoError.
  absl::Status Sync();
  absl::Status SyncCommits();
  // Waits until sealed commit `id` is published, or publishes it and all others.
  absl::Status AwaitPublished(TxnId id, Committing* committer);
  // Waits until transaction `id`, which has committed, is durable. Read-only environments cannot do anything for it:
  // kReadOnlyEnv.
  absl::Status WaitDurable(TxnId id);
  // After a lazy commit of `bytes`. `now`: it asked for it.
  void SyncInBackground(uint64_t bytes, bool now);
  // Of the newest snapshot, without the writer lock: for processes that only read. The snapshot must be pinned meanwhile.
  absl::StatusOr<std::unique_ptr<space::FreeSpace>> LoadSpaceOf(const readers::Snapshot& snapshot,
                                                                std::vector<TxnId>* pinned = nullptr);
  // All snapshots whose pages must stay, ascending. The first is for the holder of the writer lock, the second for anybody.
  std::vector<TxnId> Pinned() { return PinnedBeside(named); }
  std::vector<TxnId> PinnedBeside(const NamedPins& names);
  // Frees the slots of dead processes; how many live readers they had.
  uint32_t FreeDeadReaders() { return lock_file == nullptr ? 0 : lock_file->FreeDeadProcesses(); }

  // The system's id of the process with this slot, as its own pid namespace has it.
  uint64_t ProcessIdOf(uint32_t process) const {
    return lock_file == nullptr
               ? system->ProcessId()
               : board.memory().process(process % readers::kMaxProcesses).process.load(std::memory_order_relaxed);
  }

  // ---- For the holder of the writer lock ----
  // Takes the lock and brings this process's state up to date. kBusy, kWritesRefused, kIoError, kCorrupt.
  absl::Status BecomeWriter(uint32_t timeout_ms);
  absl::Status CatchUp();
  // Loads the free log unless it is loaded.
  absl::Status LoadSpace();
  // Outside of a transaction: frees in `space` what no snapshot needs any more.
  void ReleasePending();
  // The next transaction id, raising the durable ceiling first if it is reached.
  absl::StatusOr<TxnId> NextId();
  // Why there is no next one.
  absl::Status NoIdsLeft();
  // Makes everything durable and the newest master page the mark of a clean end.
  absl::Status MarkClean();
  void NoteFreeSpace();
  // Asks readers past their limits to give their snapshots up.
  void AskSlowReaders();
  // Cuts off the end of the file, once the smaller master is durable and no reader has an older snapshot. (It would not look
  // there; but a damaged reference must be met as damage, not as SIGBUS.)
  void ShrinkFile();
  // The same for who does not hold the lock, when there is something to cut and nobody is writing.
  void ShrinkIfIdle();

  // ---- For the holder of `publish` (database_publish.cc) ----
  void Await() ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish);        // something to change; `publish` is released meanwhile
  void AwaitSync() ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish);    // before anything that syncs
  void AwaitSealed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish);  // until nothing is sealed: before anything else is published
  absl::Status BulkSync() ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish);
  void EndSync() ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish);
  void Gather() ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish);
  void PublishSealed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish);
  TxnId TryPublishSealed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish);
  void DropSealed(TxnId up_to, bool were_published) ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish);
  absl::Status SyncLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish);
  absl::Status RefuseWrites(const absl::Status& failed_sync) ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish);
  void NoteFailedSync();  // refuses further writes and leaves the mark; does not throw
  // Marks the begin of publishing, and returns the master slot to write.
  int BeginPublishing() ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish);
  // `master`, in `slot`, is the newest: announces it.
  void EndPublishing(const format::MasterPage& master, int slot, bool durable) ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish);
  // Writes the newest snapshot's master page once more, durable, with `id_ceiling` and flags, into the slot that is not durable.
  absl::Status RewriteMaster(TxnId ceiling, uint32_t flags) ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish);
  // Syncs; on failure refuses further writes and leaves the mark of a failed sync.
  absl::Status SyncOrRefuse() ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish);
  // Refuses further writes without that mark: what was written may be looked at.
  absl::Status RefuseAfterWrite(const absl::Status& failed_write) ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish);
  void Refuse();
  absl::Status SyncUnlocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish);  // `publish` is released meanwhile
  void Reach(const char* yield_point) ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish);
  absl::Status WriteSealed(format::MasterPage* master, bool two_phase, bool grew, int* slot)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish);
  absl::Status SyncData();
  absl::Status SyncFile();
  absl::Status CheckNothingFailed() const;
  absl::Status WriteMaster(const format::MasterPage& master, int slot);
  TxnId IdWindow() const;
};

}  // namespace johnny::txn

#endif  // JOHNNY_TXN_DATABASE_H_
