// An open database: what all of its transactions share, and the state of the commit protocol.
//
// Master pages: `durable_slot` holds the newest master known to be durable; the next one is always written to the other slot.
// Invariants
//   1. newest announced snapshot >= durable_txn; both are pinned, as are the snapshots in reader slots and those with names.
//   2. last_id <= id_ceiling of the newest durable master, so an id is never used twice whatever crashes.
//   3. Once writes_refused is set nothing is written any more: a failed sync is never retried.
#ifndef JOHNNY_TXN_DATABASE_H_
#define JOHNNY_TXN_DATABASE_H_

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "format/master_page.h"
#include "os/os.h"
#include "pager/frames.h"
#include "pager/view.h"
#include "readers/snapshots.h"
#include "space/free_space.h"
#include "txn/background_sync.h"
#include "txn/named_pins.h"

namespace johnny::txn {

enum class Durability : uint32_t { kDefault = 0, kTwoPhase = 1, kSingleSync = 2, kLazy = 3 };

struct DatabaseOptions {
  bool read_only = false;
  Durability durability = Durability::kTwoPhase;
  uint64_t memory_budget = uint64_t{256} << 20;
  uint32_t max_readers = 4096;
  uint32_t slack_percent = 30;
  uint64_t size_limit = 0;        // bytes; 0: none
  uint32_t sync_interval_ms = 0;  // between background syncs of lazy commits; 0: none
};

// A first-come-first-served lock that may be released by another thread than took it. Thread-safe.
class WriterQueue {
 public:
  void Acquire();
  bool TryAcquire();
  void Release();
  // Whether this thread took it and nobody has released it since: to wait for it here might last for ever.
  bool HeldByThisThread() const { return owner_.load(std::memory_order_relaxed) == std::this_thread::get_id(); }

 private:
  std::atomic<std::thread::id> owner_;
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t next_ticket_ = 0;
  uint64_t serving_ = 0;
};

// A name in the catalog, known to the environment for its lifetime. Index 0 is the main table.
struct Table {
  const void* env = nullptr;  // the C API's environment, to tell foreign handles
  std::string name;
  uint32_t index = 0;
};

class Txn;

struct Database {
  os::System* system = nullptr;
  std::unique_ptr<os::File> file;
  std::string path;
  DatabaseOptions options;

  std::unique_ptr<pager::PageStore> store;
  readers::SnapshotBoard board;
  WriterQueue writer;

  // ---- Belongs to the holder of the writer lock ----
  pager::FrameArena frames;
  std::unique_ptr<space::FreeSpace> space;  // null until the first write transaction or inspection
  NamedPins named;                          // loaded with `space`
  TxnId last_id = 0;

  // ---- Changed only with `publish` held ----
  // Publishing a master page and making commits durable take turns: a sync must know which master it makes durable, and a failed
  // one must be known to whoever syncs next. The holder of the writer lock may read newest_master without it.
  Mutex publish;
  format::MasterPage newest_master;
  int newest_slot = 0;
  int durable_slot = 0;
  bool on_disk_clean = false;  // the durable master has the clean flag
  // A sync is running without `publish`, so that lazy commits need not wait for it. It may take the report of a failed write away
  // from any other, so nothing that syncs may begin before it has ended.
  bool bulk_sync = false;
  std::condition_variable bulk_sync_ended;
  TxnId id_ceiling = 0;  // of the newest durable master

  // ---- Readable by anyone ----
  std::atomic<TxnId> durable_txn{0};
  std::atomic<bool> writes_refused{false};
  std::atomic<uint64_t> free_pages{0};  // as of the last commit or look; 0 until the free log is loaded
  std::atomic<uint64_t> pending_pages{0};
  bool opened_clean = false;
  TxnId discarded_txn = 0;

  // ---- Table handles ----
  Mutex tables_mutex;
  absl::flat_hash_map<std::string, uint32_t> table_index ABSL_GUARDED_BY(tables_mutex);
  std::deque<Table> tables ABSL_GUARDED_BY(tables_mutex);

  // Last, so that its thread has ended before anything that it uses goes.
  BackgroundSync background;

  uint32_t page_size() const { return store->page_size(); }
  // The handle for `name` if one was made before, else null.
  Table* FindTable(const std::string& name);
  // The handle for `name`, made if need be. kTablesFull.
  absl::StatusOr<Table*> InternTable(const std::string& name, const void* env);

  // Makes every commit so far durable, whoever is writing. kWritesRefused, kIoError.
  absl::Status Sync();
  // After a lazy commit.
  void SyncInBackground();

  // ---- For the holder of the writer lock ----
  // Loads the free log unless it is loaded.
  absl::Status LoadSpace();
  // The next transaction id, raising the durable ceiling first if it is reached.
  absl::StatusOr<TxnId> NextId();
  // Makes everything durable and the newest master page the mark of a clean end.
  absl::Status MarkClean();
  void NoteFreeSpace();

  // ---- For the holder of `publish` ----
  // Before anything that syncs; `publish` is released while it waits.
  void AwaitBulkSync() ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish);
  absl::Status SyncLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish);
  absl::Status RefuseWrites(absl::Status failed_sync) ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish);
  void MadeDurable() ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish);
  // Writes the newest snapshot's master page once more, durable, with `id_ceiling` and flags, into the slot that is not durable.
  absl::Status RewriteMaster(TxnId ceiling, uint32_t flags) ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish);
  // Syncs; on failure refuses further writes and leaves the mark of a failed sync.
  absl::Status SyncOrRefuse() ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish);
  absl::Status WriteMaster(const format::MasterPage& master, int slot);
  std::vector<TxnId> Pinned() const;
  TxnId IdWindow() const;
};

}  // namespace johnny::txn

#endif  // JOHNNY_TXN_DATABASE_H_
