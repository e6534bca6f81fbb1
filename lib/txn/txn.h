// Read and write transactions.
//
// A read transaction is a slot with a pinned snapshot. A write transaction holds the writer lock, changes trees in frames, and
// publishes them by the commit protocol (commit.cc), or drops them. A nested transaction (nested.cc) is one level further in of
// the write transaction around it, which pauses meanwhile. Thread rules: one thread at a time; may be handed between threads.
#ifndef JOHNNY_TXN_TXN_H_
#define JOHNNY_TXN_TXN_H_

#include <memory>
#include <string>
#include <vector>

#include "cursor/cursor.h"
#include "format/snapshot_record.h"
#include "tree/builder.h"
#include "tree/writer.h"
#include "txn/database.h"

namespace johnny::txn {

using cursor::Cursor;
using tree::Lookup;

// A table as one transaction sees it.
struct TableState {
  const Table* table = nullptr;  // null for the main table and the catalog
  format::TableRecord record;
  bool loaded = false;
  bool exists = false;
  bool changed = false;  // the catalog's record of it is out of date
  tree::LastPut last_put;
  std::vector<Cursor*> cursors;
};

class Txn {
 public:
  explicit Txn(Database* db) : db_(db) {}
  ~Txn();
  Txn(const Txn&) = delete;
  Txn& operator=(const Txn&) = delete;

  // ---- Life; at most one of the Begins while inactive ----
  // kReadersFull, kLockFile.
  // `same_thread`: the thread that used this object last begins it.
  absl::Status BeginRead(bool same_thread = false);
  // kReadOnlyEnv, kWritesRefused, kBusy (after `timeout_ms`), kCorrupt, kIoError.
  absl::Status BeginWrite(uint32_t timeout_ms);
  absl::Status Commit(Durability durability);
  void Abort();
  // A read transaction on a named snapshot, which cannot be reset. kNoSnapshot, kReadersFull, kCorrupt.
  absl::Status BeginNamed(const std::string& name);
  // A write transaction nested in `parent`, which must not have failed or been paused, and whose depth is below kMaxDepth.
  void BeginNested(Txn* parent);
  // Read transactions: unpin, and pin the then newest snapshot.
  void Reset();
  absl::Status Renew();

  bool active() const { return active_; }
  bool write() const { return write_; }
  bool paused() const { return pause_ != Pause::kNone; }  // reset, or a nested one is open
  bool is_reset() const { return pause_ == Pause::kReset; }
  bool is_nested() const { return parent_ != nullptr; }
  bool on_named() const { return on_named_; }
  bool failed() const { return failed_; }
  // Whether a read transaction has been asked to give its snapshot up; it has, then.
  bool IsGone() { return asked_->load(std::memory_order_relaxed) == id_ && GiveUp(); }
  void SetLabel(absl::string_view label);
  uint32_t slot_index() const { return slot_.index; }
  // Memory ran out in the middle of a change: only abort is left, even to the transactions around a nested one, since what would
  // undo the change may be incomplete.
  void Fail() { failed_ = spoilt_ = true; }
  TxnId id() const { return id_; }
  const readers::Snapshot& snapshot() const { return snapshot_; }
  const pager::View& view() const { return view_; }
  Database* db() const { return db_; }

  // ---- Tables ----
  TableState* main_table() { return &main_; }
  // The state of a table in this transaction; null with *status kNoTable, kCorrupt ... `table` null: the main one.
  TableState* Resolve(const Table* table, absl::Status* status);
  // Whether the catalog has a table of this name, before this transaction's changes that have no handle yet. kError: TakeError().
  Lookup FindName(const std::string& name) const;
  absl::Status CreateTable(Table* table);  // kExists
  absl::Status DropTable(Table* table);
  absl::Status RenameTable(Table* table, Table* to);
  absl::Status ClearTable(TableState* state);
  // Whether this transaction or one around it has cursors on the table.
  bool HasCursors(const Table& table);
  const format::TableRecord& catalog() const { return catalog_.record; }
  uint64_t table_count() const { return table_count_; }

  // ---- Named snapshots (named_snapshots.cc) ----
  // The record of that name as this transaction sees it. kNoSnapshot, kCorrupt.
  absl::Status FindNamed(const std::string& name, format::SnapshotRecord* record) const;
  // Write transactions: keeps the snapshot that this one began with, made durable first. kExists; kIoError, kWritesRefused.
  absl::Status CreateNamed(const std::string& name);
  absl::Status DeleteNamed(const std::string& name);  // kNoSnapshot
  // All names in order, with their records. kCorrupt.
  absl::Status ListNamed(std::vector<std::pair<std::string, format::SnapshotRecord>>* found) const;

  // ---- Entries ----
  // kError: TakeError().
  tree::Found Find(const TableState* state, Slice key) const { return tree::Find(view_, state->record, key); }
  // The value of what Find() finds, in place; large ones are checked.
  Lookup Get(const TableState* state, Slice key, Slice* value) {
    const tree::Found found = Find(state, key);
    if (ABSL_PREDICT_FALSE(found.result != Lookup::kFound)) {
      return found.result;
    }
    const node::LeafValue stored = node::LoadLeafEntry(found.entry).value;
    if (ABSL_PREDICT_FALSE(stored.is_extent)) {
      Slice large;  // so that *value can stay in registers
      const Lookup result = ValueOf(stored, &large);
      *value = large;
      return result;
    }
    *value = stored.bytes;
    return Lookup::kFound;
  }
  // Those of at most kGetManyMost keys; values[i].data() is null where there is none. kFound or kError.
  static constexpr size_t kGetManyMost = 64;
  Lookup GetMany(TableState* state, absl::Span<const Slice> keys, Slice* values, size_t* found);
  // The value of an entry that a cursor or search stands on.
  Lookup ValueOf(const node::LeafValue& stored, Slice* value);
  absl::Status Put(TableState* state, Slice key, Slice value, tree::PutMode mode);
  // Whether a change of this transaction may write to these bytes: a frame, or a page that the transaction itself has written.
  bool MayChange(Slice bytes) const;
  // The changes of a batch in the order given, which should be that of the keys.
  struct Write {
    Slice key;
    Slice value;
    bool erase;
  };
  absl::Status WriteBatch(TableState* state, absl::Span<const Write> writes);
  // Bulk loading: the builder gives the table its tree with FinishBuilding(),
  // in place of the one that it has if `replace`. kExists.
  std::unique_ptr<tree::TreeBuilder> NewBuilder(uint32_t fill_percent);
  absl::Status FinishBuilding(TableState* state, tree::TreeBuilder* builder, bool replace);
  absl::Status Erase(TableState* state, Slice key, bool* found);
  Lookup Rank(TableState* state, Slice key, uint64_t* rank);
  Lookup Nth(TableState* state, uint64_t n, node::LeafEntry* entry);
  absl::Status TakeError() { return view_.TakeError(); }

  // ---- Figures ----
  // Of the whole write transaction, whatever the depth.
  uint32_t depth() const { return parent_ == nullptr ? 0 : db_->frames.depth(); }
  uint64_t changed_pages() const { return write_ ? db_->frames.live() : 0; }
  uint64_t spilled_pages() const { return spilled_; }
  uint64_t extent_pages_written() const { return write_ ? db_->space->run_pages() : 0; }
  uint64_t freed_pages() const { return write_ ? db_->space->freed_pages() : 0; }

 private:
  friend class Committer;

  static constexpr std::atomic<uint64_t> kNeverAsked{UINT64_MAX};

  void Start(TxnId id, const readers::Snapshot& snapshot);
  absl::Status Pin();
  bool GiveUp();
  void End();
  absl::Status LoadState(const std::string& name, TableState* state);
  absl::Status LoadFromCatalog(const std::string& name, TableState* state) const;
  void MarkLoaded(TableState* state);
  absl::Status CommitNested();
  void AbortNested();
  void EndNested();
  static void HandOver(TableState* state, TableState* outer);
  tree::WriteContext Context();
  TableState* StateAt(const Table& table);
  // Before a table's first change: makes its catalog record's leaf dirty, so that the commit needs no page that was not reserved.
  absl::Status DirtyRecord(const TableState& state, bool may_use_reserve);
  // Around every change: saves cursors, spills, and marks the transaction failed on errors that leave a tree unusable.
  absl::Status BeforeChange(TableState* state);
  absl::Status AfterChange(absl::Status status);
  absl::Status SpillIfOverBudget();
  absl::Status PutAnywhere(TableState* state, Slice key, Slice value, tree::PutMode mode);

  Database* db_;
  Txn* parent_ = nullptr;  // of a nested transaction
  bool active_ = false;
  bool write_ = false;
  enum class Pause : uint8_t { kNone, kReset, kNested };
  Pause pause_ = Pause::kNone;
  bool failed_ = false;
  bool spoilt_ = false;  // free space or frames may not be what they should be
  bool gone_ = false;
  bool labelled_ = false;
  readers::SlotHold slot_;  // idle between read transactions
  const std::atomic<uint64_t>* asked_ = &kNeverAsked;
  bool on_named_ = false;
  TxnId id_ = 0;
  readers::Snapshot snapshot_;
  uint64_t sequence_ =
      0;  // of snapshot_ on the board, if the tables' states are those of a read transaction on it; 0: they are not
  pager::View view_;
  TableState main_;
  TableState catalog_;
  std::vector<std::unique_ptr<TableState>> tables_;  // by table index
  std::vector<TableState*> loaded_;                  // those of them that are
  uint64_t table_count_ = 0;
  uint64_t spilled_ = 0;
  Database::Committing committing_;
  NamedChanges named_changes_;
};

}  // namespace johnny::txn

#endif  // JOHNNY_TXN_TXN_H_
