// The commit protocol (DESIGN section 4): seal and write the data, publish the master page, announce.
#include <algorithm>
#include <new>

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

  // After anything but an error that leaves the transaction active, it has ended.
  absl::Status Run() {
    JOHNNY_RETURN_IF_ERROR(UpdateCatalog());
    JOHNNY_RETURN_IF_ERROR(SealAndWrite());
    db_.system->YieldPoint("commit: sealed");
    {
      MutexLock lock(&db_.publish);
      if (IsLazy(durability_)) {
        db_.AwaitSealed();
      }
      if (db_.writes_refused()) {
        return WritesRefused();
      }
      MakeMaster();
      if (IsLazy(durability_)) {
        return PublishNow();
      }
      HandOver();
    }
    return db_.AwaitPublished(master_.txn, &txn_.committing_);
  }

  uint64_t bytes_written() const { return taken_pages_ * db_.page_size(); }

 private:
  tree::WriteContext Context() {
    tree::WriteContext context = txn_.Context();
    context.soon_synced = !IsLazy(durability_);
    return context;
  }

  absl::Status PublishNow() ABSL_EXCLUSIVE_LOCKS_REQUIRED(db_.publish) {
    CommitSpace();
    int slot = db_.BeginPublishing();
    master_.id_ceiling = std::max(db_.id_ceiling, txn_.id_ + db_.IdWindow());
    master_.durable_txn = db_.durable_txn();
    try {
      absl::Status written = db_.WriteMaster(master_, slot);
      if (!written.ok()) {
        return MakeStatus(Code::kOutcomeUnknown, std::string(db_.RefuseAfterWrite(written).message()));
      }
    } catch (const std::bad_alloc&) {  // for the words of an error
      db_.Refuse();
      return WordlessOutcomeUnknown();
    }
    db_.system->YieldPoint("commit: master published");
    db_.tip = master_;
    db_.EndPublishing(master_, slot, /*durable=*/false);
    txn_.End();
    return absl::OkStatus();
  }

  // The next write transaction may begin on top of this one, while this one waits for its syncs, or makes them for others too.
  void HandOver() ABSL_EXCLUSIVE_LOCKS_REQUIRED(db_.publish) {
    bool grew = db_.space->grew();
    txn_.committing_.state.store(Database::Committing::kWaiting, std::memory_order_relaxed);
    db_.sealed.push_back({master_, &txn_.committing_, durability_ == Durability::kTwoPhase, std::this_thread::get_id(), grew});
    try {
      CommitSpace();
    } catch (...) {
      db_.sealed.pop_back();
      throw;
    }
    db_.tip = master_;
    db_.writer.Keep();
    txn_.End();
    if (db_.gathering != 0 && db_.sealed.size() >= db_.gathering && !db_.writer.IsHeld()) {
      db_.gathered.notify_one();
    }
  }

  void CommitSpace() {
    if (master_.page_count < db_.tip.page_count) {
      db_.last_cut = master_.txn;
    }
    try {
      db_.space->Commit();
      db_.named.Commit(master_.txn, txn_.named_changes_, db_.durable_txn());
    } catch (const std::bad_alloc&) {
      db_.space.reset();  // half way to the new state; the free log has the one before
      throw;
    }
    db_.NoteFreeSpace();
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

  absl::Status SealAndWrite() {
    db_.space->ExpectGroup(IsLazy(durability_) ? 1 : db_.group_size.load(std::memory_order_relaxed));
    std::vector<tree::FrameToSeal> tables, roots;
    for (const ChangedTable& table : changed_) {
      tree::CollectFrames(db_.frames, &table.state->record, UINT32_MAX, &tables);
    }
    tree::CollectFrames(db_.frames, &txn_.main_.record, UINT32_MAX, &tables);
    tree::CollectFrames(db_.frames, &txn_.catalog_.record, UINT32_MAX, &roots);

    // Leaves of the catalog live and die like branches, and so does the free log's record: one page mostly, beside them
    // where there is room.
    auto is_leaf = [](const tree::FrameToSeal& frame) { return frame.level == 0; };
    auto leaf_count = static_cast<uint64_t>(std::count_if(tables.begin(), tables.end(), is_leaf));
    std::vector<space::Run> leaf_runs, meta_runs;
    JOHNNY_RETURN_IF_ERROR(db_.space->Allocate(leaf_count, Use::kData, &leaf_runs));
    const uint64_t meta_count = tables.size() - leaf_count + roots.size();
    const bool beside = db_.space->HasMetaRun(meta_count + 1);
    JOHNNY_RETURN_IF_ERROR(db_.space->Allocate(meta_count + (beside ? 1 : 0), Use::kMeta, &meta_runs));
    tree::WriteContext context = Context();
    tree::PageStream leaves(context, std::move(leaf_runs)), meta(context, std::move(meta_runs));
    JOHNNY_RETURN_IF_ERROR(tree::SealFrames(context, tables, &leaves, &meta));
    JOHNNY_RETURN_IF_ERROR(leaves.writer.Flush());
    size_t live = db_.frames.live();
    for (const ChangedTable& table : changed_) {
      JOHNNY_RETURN_IF_ERROR(WriteRecord(table));
    }
    JOHNNY_CHECK(db_.frames.live() == live);
    JOHNNY_RETURN_IF_ERROR(tree::SealFrames(context, roots, &meta, &meta));

    JOHNNY_ASSIGN_OR_RETURN(log_, db_.space->Seal(beside ? meta.numbers.Next() : 0));
    taken_pages_ = db_.space->TakenPages();  // those written before the commit are among them
    for (size_t i = 0; i < log_.pages.size(); ++i) {
      JOHNNY_RETURN_IF_ERROR(meta.writer.Add(log_.pages[i], log_.bytes.get() + i * db_.page_size()));
    }
    return meta.writer.Flush();
  }

  // But for what depends on when it is published.
  void MakeMaster() {
    master_ = db_.tip;
    master_.txn = txn_.id_;
    master_.page_count = db_.space->page_count();
    master_.catalog = txn_.catalog_.record;
    master_.main = txn_.main_.record;
    master_.table_count = txn_.table_count_;
    master_.free_log = log_.newest;
    master_.flags = 0;
  }

  Txn& txn_;
  Database& db_;
  Durability durability_;
  std::vector<ChangedTable> changed_;
  uint64_t taken_pages_ = 0;
  space::SealedLog log_;
  format::MasterPage master_;
};

absl::Status Txn::Commit(Durability durability) {
  if (parent_ != nullptr) {
    return CommitNested();
  }
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
    absl::Status synced = write_ && !IsLazy(durability) ? db_->Sync() : absl::OkStatus();
    Abort();
    return synced;
  }
  Committer committer(this, durability);
  absl::Status status;
  try {
    status = committer.Run();
  } catch (const std::bad_alloc&) {
    if (!active_) {  // handed over; for the words of what became of it there was no memory
      return WordlessOutcomeUnknown();
    }
    spoilt_ = true;
    throw;
  }
  if (active_) {
    Abort();
  }
  if (!status.ok()) {
    return status;
  }
  try {
    db_->ShrinkIfIdle();
    if (IsLazy(durability)) {
      db_->SyncInBackground(committer.bytes_written(), durability == Durability::kAsync);
    }
  } catch (const std::bad_alloc&) {  // it is committed all the same
  }
  return status;
}

}  // namespace johnny::txn
