// The commit protocol (DESIGN section 4): seal, write data, publish the master page, announce.
#include <algorithm>
#include <new>

#include "absl/cleanup/cleanup.h"
#include "base/check.h"
#include "base/seeded_bug.h"
#include "base/status.h"
#include "txn/txn.h"

namespace johnny::txn {

using space::Use;

// One commit, step by step. Outcomes: OK; an error with the database as before; kOutcomeUnknown, and writes are refused.
class Committer {
 public:
  Committer(Txn* txn, Durability durability) : txn_(*txn), db_(*txn->db_), durability_(durability) {}

  absl::Status Run() {
    JOHNNY_RETURN_IF_ERROR(UpdateCatalog());
    JOHNNY_RETURN_IF_ERROR(Seal());
    db_.system->YieldPoint("commit: sealed");
    JOHNNY_RETURN_IF_ERROR(tree::WritePages(db_.file.get(), db_.page_size(), &pages_));
    MutexLock lock(&db_.publish);
    try {
      return Publish();
    } catch (const std::bad_alloc&) {
      if (!publishing_) {
        throw;  // for the guard in api: not committed
      }
      db_.space.reset();  // half way to the new state; the free log has the one before
      return MakeStatus(Code::kOutcomeUnknown, "memory ran out while the commit was published");
    }
  }

 private:
  tree::WriteContext Context() { return txn_.Context(); }

  absl::Status Publish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(db_.publish) {
    if (durability_ != Durability::kLazy) {
      db_.AwaitBulkSync();
    }
    if (db_.writes_refused.load(std::memory_order_relaxed)) {
      return MakeStatus(Code::kWritesRefused, "a sync failed meanwhile; reopen the environment");
    }
    MakeMaster();
    bool swapped = IsSeeded(SeededBug::kSyncsSwapped) && durability_ == Durability::kTwoPhase;
    if (!swapped) {
      JOHNNY_RETURN_IF_ERROR(SyncData());
    }
    db_.system->YieldPoint("commit: data written");
    // From here on the master may be durable, so anything but success (exhausted memory, too) leaves the outcome unknown.
    absl::Cleanup refuse = [this] { db_.writes_refused.store(true, std::memory_order_relaxed); };
    publishing_ = true;
    absl::Status published = PublishMaster();
    if (!published.ok()) {
      return MakeStatus(Code::kOutcomeUnknown, std::string(published.message()));
    }
    if (swapped) {
      JOHNNY_RETURN_IF_ERROR(SyncData());
    }
    db_.system->YieldPoint("commit: master published");
    Announce();
    std::move(refuse).Cancel();
    return absl::OkStatus();
  }

  // The new snapshot becomes the newest; only now may readers see it.
  void Announce() ABSL_EXCLUSIVE_LOCKS_REQUIRED(db_.publish) {
    db_.space->Commit();
    db_.named.Commit(master_.txn, txn_.named_changes_, db_.durable_txn.load(std::memory_order_relaxed));
    db_.NoteFreeSpace();
    db_.newest_master = master_;
    db_.newest_slot = slot_;
    if (durability_ != Durability::kLazy) {
      db_.durable_slot = slot_;
      db_.durable_txn.store(master_.txn, std::memory_order_relaxed);
      db_.id_ceiling = master_.id_ceiling;
      db_.on_disk_clean = false;
    }
    db_.board.Announce({master_.txn, master_.page_count, master_.table_count, master_.main, master_.catalog});
  }

  // Settles which records change. Each has its place in a dirty catalog leaf since its table's first change.
  absl::Status UpdateCatalog() {
    MutexLock lock(&db_.tables_mutex);
    for (size_t i = 0; i < txn_.tables_.size(); ++i) {
      TableState* state = txn_.tables_[i].get();
      if (state != nullptr && state->exists && state->changed) {
        changed_.push_back({&db_.tables[i].name, state});
        JOHNNY_RETURN_IF_ERROR(WriteRecord(changed_.back()));
      }
    }
    return absl::OkStatus();
  }

  struct ChangedTable {
    const std::string* name;
    TableState* state;
  };

  absl::Status WriteRecord(const ChangedTable& table) {
    Byte record[format::kTableRecordSize];
    format::StoreTableRecord(record, table.state->record);
    tree::WriteContext context = Context();
    tree::TreeWriter catalog(&context, &txn_.catalog_.record);
    return catalog.Put(*table.name, MakeSlice(record, sizeof record), tree::PutMode::kUpsert);
  }

  absl::Status Seal() {
    std::vector<tree::FrameToSeal> tables, roots;
    for (const ChangedTable& table : changed_) {
      tree::CollectFrames(db_.frames, &table.state->record, UINT32_MAX, &tables);
    }
    tree::CollectFrames(db_.frames, &txn_.main_.record, UINT32_MAX, &tables);
    tree::CollectFrames(db_.frames, &txn_.catalog_.record, UINT32_MAX, &roots);

    // Leaves of the catalog live and die like branches.
    auto is_leaf = [](const tree::FrameToSeal& frame) { return frame.level == 0; };
    auto leaf_count = static_cast<uint64_t>(std::count_if(tables.begin(), tables.end(), is_leaf));
    std::vector<space::Run> leaf_runs, meta_runs;
    JOHNNY_RETURN_IF_ERROR(db_.space->Allocate(leaf_count, Use::kData, &leaf_runs));
    JOHNNY_RETURN_IF_ERROR(db_.space->Allocate(tables.size() - leaf_count + roots.size(), Use::kMeta, &meta_runs));
    tree::PageNumbers leaves(std::move(leaf_runs)), meta(std::move(meta_runs));
    JOHNNY_RETURN_IF_ERROR(tree::SealFrames(Context(), tables, &leaves, &meta, &pages_));
    size_t live = db_.frames.live();
    for (const ChangedTable& table : changed_) {
      JOHNNY_RETURN_IF_ERROR(WriteRecord(table));
    }
    JOHNNY_CHECK(db_.frames.live() == live);
    JOHNNY_RETURN_IF_ERROR(tree::SealFrames(Context(), roots, &meta, &meta, &pages_));

    JOHNNY_ASSIGN_OR_RETURN(log_, db_.space->Seal());
    for (size_t i = 0; i < log_.pages.size(); ++i) {
      pages_.emplace_back(log_.pages[i], log_.bytes.data() + i * db_.page_size());
    }
    return absl::OkStatus();
  }

  void MakeMaster() ABSL_EXCLUSIVE_LOCKS_REQUIRED(db_.publish) {
    master_ = db_.newest_master;
    master_.txn = txn_.id_;
    master_.id_ceiling = std::max(db_.id_ceiling, txn_.id_ + db_.IdWindow());
    master_.page_count = db_.space->page_count();
    master_.catalog = txn_.catalog_.record;
    master_.main = txn_.main_.record;
    master_.table_count = txn_.table_count_;
    master_.free_log = log_.newest;
    bool durable = durability_ == Durability::kTwoPhase;
    master_.flags = durable ? format::kMasterDurable : 0;
    master_.durable_txn = durable ? txn_.id_ : db_.durable_txn.load(std::memory_order_relaxed);
    slot_ = IsSeeded(SeededBug::kOneMasterSlot) ? 0 : 1 - db_.durable_slot;
  }

  absl::Status SyncData() ABSL_EXCLUSIVE_LOCKS_REQUIRED(db_.publish) {
    bool sync = durability_ == Durability::kTwoPhase && !IsSeeded(SeededBug::kNoFirstSync) &&
                !(IsSeeded(SeededBug::kNoSyncAfterGrowth) && db_.space->grew());
    return sync ? db_.SyncOrRefuse() : absl::OkStatus();
  }

  absl::Status PublishMaster() ABSL_EXCLUSIVE_LOCKS_REQUIRED(db_.publish) {
    JOHNNY_RETURN_IF_ERROR(db_.WriteMaster(master_, slot_));
    if (durability_ == Durability::kLazy || IsSeeded(SeededBug::kNoSecondSync)) {
      return absl::OkStatus();
    }
    return db_.SyncOrRefuse();
  }

  Txn& txn_;
  Database& db_;
  Durability durability_;
  std::vector<ChangedTable> changed_;
  tree::SealedPages pages_;
  space::SealedLog log_;
  format::MasterPage master_;
  int slot_ = 0;
  bool publishing_ = false;
};

absl::Status Txn::Commit(Durability durability) {
  if (failed_) {
    Abort();
    return MakeStatus(Code::kTxnFailed, "an earlier error in this transaction allows only abort; it was aborted");
  }
  bool changed = main_.changed || catalog_.changed ||
                 std::any_of(tables_.begin(), tables_.end(), [](const auto& s) { return s != nullptr && s->changed; });
  if (durability == Durability::kDefault) {
    durability = db_->options.durability;
  }
  if (!write_ || !changed) {
    // Nothing to publish; but who asks for durability relies on what lazy commits before this one left.
    absl::Status synced = write_ && durability != Durability::kLazy ? db_->Sync() : absl::OkStatus();
    Abort();
    return synced;
  }
  absl::Status status = Committer(this, durability).Run();
  if (status.ok()) {
    if (durability == Durability::kLazy) {
      db_->SyncInBackground();
    }
    End();
  } else {
    Abort();
  }
  return status;
}

}  // namespace johnny::txn
