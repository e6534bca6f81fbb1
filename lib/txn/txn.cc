#include "txn/txn.h"

#include <algorithm>
#include <array>
#include <new>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "pager/extent.h"

namespace johnny::txn {
namespace {

// Errors that leave the trees as they were.
bool IsHarmless(Code code) {
  return code == Code::kOk || code == Code::kExists || code == Code::kNotAscending || code == Code::kSizeLimit ||
         code == Code::kDiskFull || code == Code::kNoTable || code == Code::kNoSnapshot;
}

}  // namespace

Txn::~Txn() {
  if (active_) {
    Abort();
  }
  db_->board.DropSlot(&slot_);
}

// ---- Life ----

void Txn::Start(TxnId id, const readers::Snapshot& snapshot) {
  id_ = id;
  snapshot_ = snapshot;
  sequence_ = 0;
  main_.record = snapshot.main;
  main_.loaded = main_.exists = true;
  main_.changed = false;
  catalog_.record = snapshot.catalog;
  catalog_.changed = false;
  table_count_ = snapshot.table_count;
  for (TableState* state : loaded_) {
    state->loaded = state->exists = state->changed = false;
  }
  loaded_.clear();
  named_changes_.clear();
  on_named_ = false;
  failed_ = spoilt_ = false;
  pause_ = Pause::kNone;
  gone_ = false;
}

absl::Status Txn::BeginRead(bool same_thread) {
  bool fresh = false;
  if (!db_->board.TakeSlot(&slot_, &fresh) && (db_->FreeDeadReaders() == 0 || !db_->board.TakeSlot(&slot_, &fresh))) {
    return MakeStatus(Code::kReadersFull, absl::StrCat("all ", db_->board.max_readers(), " reader slots are taken"));
  }
  if (fresh || labelled_ || !same_thread) {
    readers::ReaderSlot& mine = db_->board.slot(slot_.index);
    readers::SnapshotBoard::SetLabel(&mine, "");
    labelled_ = false;
    mine.thread.store(db_->system->ThreadId(), std::memory_order_relaxed);
  }
  write_ = false;
  active_ = true;
  absl::Status pinned = Pin();
  if (!pinned.ok()) {
    End();
  }
  return pinned;
}

// Pins the newest snapshot in this transaction's slot.
absl::Status Txn::Pin() {
  readers::ReaderSlot& mine = db_->board.slot(slot_.index);
  mine.since_ms.store(db_->system->MonotonicMillis(), std::memory_order_relaxed);
  mine.asked.store(0, std::memory_order_relaxed);
  if (db_->board.Enter(slot_.index, &sequence_, &snapshot_)) {
    uint64_t sequence = std::exchange(sequence_, 0);
    JOHNNY_RETURN_IF_ERROR(db_->Admit(snapshot_));
    Start(snapshot_.txn, snapshot_);
    sequence_ = sequence;
    view_ = pager::View(db_->store.get(), snapshot_.page_count, nullptr);
  } else {
    pause_ = Pause::kNone;
    gone_ = failed_ = false;  // and all that was read of it still holds
  }
  asked_ = &mine.asked;
  return absl::OkStatus();
}

bool Txn::GiveUp() {
  if (!gone_) {
    db_->board.Leave(slot_.index);
    gone_ = true;
  }
  return true;
}

void Txn::SetLabel(absl::string_view label) {
  readers::SnapshotBoard::SetLabel(&db_->board.slot(slot_.index), label);
  labelled_ = true;
}

absl::Status Txn::BeginWrite(uint32_t timeout_ms) {
  if (db_->options.read_only) {
    return MakeStatus(Code::kReadOnlyEnv, "the environment was opened read-only");
  }
  JOHNNY_RETURN_IF_ERROR(db_->BecomeWriter(timeout_ms));
  absl::Cleanup release = [this] { db_->writer.Release(); };
  JOHNNY_RETURN_IF_ERROR(db_->LoadSpace());
  JOHNNY_ASSIGN_OR_RETURN(TxnId id, db_->NextId());
  db_->frames.Reset();
  db_->space->Begin(id);
  write_ = true;
  active_ = true;
  spilled_ = 0;
  asked_ = &kNeverAsked;
  Start(id, SnapshotOf(db_->tip));
  view_ = pager::View(db_->store.get(), db_->space->page_count(), &db_->frames);
  std::move(release).Cancel();
  return absl::OkStatus();
}

void Txn::End() {
  active_ = false;
  if (write_) {
    db_->frames.Reset();
    db_->writer.Release();
  } else {
    db_->board.ReleaseSlot(slot_);
    asked_ = &kNeverAsked;
  }
}

void Txn::Abort() {
  if (parent_ != nullptr) {
    return AbortNested();
  }
  if (write_ && db_->space != nullptr) {
    try {
      if (!spoilt_) {
        db_->space->Rollback();
      }
    } catch (const std::bad_alloc&) {
      spoilt_ = true;
    }
    if (spoilt_) {
      db_->space.reset();  // the next write transaction loads the free log again
    }
  }
  End();
}

void Txn::Reset() {
  db_->board.Leave(slot_.index);
  pause_ = Pause::kReset;
}

absl::Status Txn::Renew() {
  JOHNNY_CHECK(!write_ && is_reset());
  absl::Status pinned = Pin();
  if (!pinned.ok()) {
    Reset();
  }
  return pinned;
}

// ---- Tables ----

TableState* Txn::StateAt(const Table& table) {
  if (tables_.size() < table.index) {
    tables_.resize(table.index);
  }
  std::unique_ptr<TableState>& state = tables_[table.index - 1];
  if (state == nullptr) {
    state = std::make_unique<TableState>();
    state->table = &table;
  }
  return state.get();
}

absl::Status Txn::DirtyRecord(const TableState& state, bool may_use_reserve) {
  if (state.changed || state.table == nullptr) {
    return absl::OkStatus();
  }
  Byte record[format::kTableRecordSize];
  format::StoreTableRecord(record, state.record);
  tree::WriteContext context = Context();
  tree::TreeWriter catalog(&context, &catalog_.record);
  return AfterChange(catalog.Put(state.table->name, MakeSlice(record, sizeof record), tree::PutMode::kUpsert, may_use_reserve));
}

void Txn::MarkLoaded(TableState* state) {
  if (!state->loaded) {
    loaded_.push_back(state);
    state->loaded = true;
  }
}

absl::Status Txn::LoadState(const std::string& name, TableState* state) {
  if (parent_ == nullptr) {
    JOHNNY_RETURN_IF_ERROR(LoadFromCatalog(name, state));
    MarkLoaded(state);
  } else {
    // Not from the catalog: its record may be out of date.
    TableState* outer = parent_->StateAt(*state->table);
    if (!outer->loaded) {
      JOHNNY_RETURN_IF_ERROR(parent_->LoadState(name, outer));
    }
    MarkLoaded(state);  // first: should memory run out, Start() would not know of what follows
    state->record = outer->record;
    state->exists = outer->exists;
    state->changed = outer->changed;
  }
  return absl::OkStatus();
}

absl::Status Txn::LoadFromCatalog(const std::string& name, TableState* state) const {
  node::LeafValue stored;
  Lookup result = tree::Get(view_, catalog_.record, name, &stored);
  if (result == Lookup::kError) {
    return view_.TakeError();
  }
  state->exists = result == Lookup::kFound;
  if (state->exists) {
    if (stored.is_extent || stored.bytes.size() != format::kTableRecordSize) {
      return MakeStatus(Code::kCorrupt, absl::StrCat("the catalog's record of table '", name, "' has the wrong size"));
    }
    state->record = format::LoadTableRecord(stored.bytes.data());
    const format::TableRecord& record = state->record;
    bool inside = record.empty() || (record.root.page >= format::FirstPage(view_.page_size()) && !pager::IsFrame(record.root));
    if (!inside || record.level > format::kMaxLevel) {
      return MakeStatus(Code::kCorrupt, absl::StrCat("the catalog's record of table '", name, "' is impossible"));
    }
  }
  return absl::OkStatus();
}

TableState* Txn::Resolve(const Table* table, absl::Status* status) {
  if (table == nullptr) {
    return &main_;
  }
  TableState* state = StateAt(*table);
  if (!state->loaded) {
    *status = LoadState(table->name, state);
    if (!status->ok()) {
      return nullptr;
    }
  }
  if (!state->exists) {
    *status = MakeStatus(Code::kNoTable, absl::StrCat("there is no table '", table->name, "' in this snapshot"));
    return nullptr;
  }
  return state;
}

Lookup Txn::FindName(const std::string& name) const {
  node::LeafValue stored;
  return tree::Get(view_, catalog_.record, name, &stored);
}

absl::Status Txn::CreateTable(Table* table) {
  TableState* state = StateAt(*table);
  JOHNNY_RETURN_IF_ERROR(BeforeChange(state));
  Byte record[format::kTableRecordSize];
  format::StoreTableRecord(record, {});
  tree::WriteContext context = Context();
  tree::TreeWriter catalog(&context, &catalog_.record);
  JOHNNY_RETURN_IF_ERROR(AfterChange(catalog.Put(table->name, MakeSlice(record, sizeof record), tree::PutMode::kNoOverwrite)));
  catalog_.changed = true;
  MarkLoaded(state);
  state->record = {};
  state->last_put = {};
  state->exists = state->changed = true;
  table_count_++;
  return absl::OkStatus();
}

absl::Status Txn::ClearTable(TableState* state) {
  JOHNNY_RETURN_IF_ERROR(BeforeChange(state));
  if (state->record.empty()) {
    return absl::OkStatus();  // else the commit would want pages that nothing has reserved
  }
  JOHNNY_RETURN_IF_ERROR(DirtyRecord(*state, /*may_use_reserve=*/true));
  tree::WriteContext context = Context();
  state->changed = true;
  return AfterChange(tree::TreeWriter(&context, &state->record).Clear());
}

absl::Status Txn::DropTable(Table* table) {
  absl::Status status;
  TableState* state = Resolve(table, &status);
  if (state == nullptr) {
    return status;
  }
  JOHNNY_RETURN_IF_ERROR(BeforeChange(state));
  tree::WriteContext context = Context();
  tree::TreeWriter tree(&context, &state->record);
  // Erasing the catalog's entry may copy and merge a path there. When there is room for both, neither fails for want of it.
  JOHNNY_RETURN_IF_ERROR(AfterChange(tree.EnsureRoomToClear(4 * uint64_t{catalog_.record.level} + 8)));
  bool found = false;
  absl::Status dropped = tree.Clear();
  if (dropped.ok()) {
    dropped = tree::TreeWriter(&context, &catalog_.record).Erase(table->name, &found);
  }
  if (!dropped.ok()) {
    failed_ = true;  // half dropped
    return dropped;
  }
  catalog_.changed = true;
  table_count_--;
  state->exists = state->changed = false;
  return absl::OkStatus();
}

absl::Status Txn::RenameTable(Table* table, Table* to) {
  absl::Status status;
  TableState* state = Resolve(table, &status);
  if (state == nullptr) {
    return status;
  }
  JOHNNY_RETURN_IF_ERROR(CreateTable(to));  // kExists
  tree::WriteContext context = Context();
  bool found = false;
  absl::Status erased = AfterChange(tree::TreeWriter(&context, &catalog_.record).Erase(table->name, &found));
  if (!erased.ok()) {
    failed_ = true;  // half renamed
    return erased;
  }
  TableState* renamed = StateAt(*to);
  state = StateAt(*table);
  renamed->record = state->record;
  db_->frames.NewEpoch();
  state->exists = state->changed = false;
  state->record = {};
  table_count_--;
  return absl::OkStatus();
}

// ---- Entries ----

Lookup Txn::ValueOf(const node::LeafValue& stored, Slice* value) {
  if (!stored.is_extent) {
    *value = stored.bytes;
    return Lookup::kFound;
  }
  absl::StatusOr<Slice> bytes = pager::ReadExtent(view_, format::LoadExtentRef(stored.bytes.data()));
  if (!bytes.ok()) {
    view_.SetError(bytes.status());
    return Lookup::kError;
  }
  *value = *bytes;
  return Lookup::kFound;
}

Lookup Txn::GetMany(TableState* state, absl::Span<const Slice> keys, Slice* values, size_t* found) {
  std::array<node::LeafValue, kGetManyMost> stored;
  JOHNNY_DCHECK(keys.size() <= stored.size());
  Lookup result = tree::GetMany(view_, state->record, keys, stored.data(), found);
  for (size_t i = 0; i < keys.size() && result == Lookup::kFound; ++i) {
    values[i] = stored[i].bytes;
    if (stored[i].is_extent) {
      result = ValueOf(stored[i], &values[i]);
    }
  }
  return result;
}

absl::Status Txn::Put(TableState* state, Slice key, Slice value, tree::PutMode mode) {
  // Behind the last entry; nothing moves.
  if (state->changed && state->cursors.empty() && !db_->frames.Contains(key.data()) && !db_->frames.Contains(value.data()) &&
      tree::AppendToLast(&db_->frames, &state->record, state->last_put, view_.page_size(), key, value)) {
    return absl::OkStatus();
  }
  return PutAnywhere(state, key, value, mode);
}

absl::Status Txn::PutAnywhere(TableState* state, Slice key, Slice value, tree::PutMode mode) {
  // Arguments that point into a frame would move under our hands.
  std::string key_copy, value_copy;
  if (db_->frames.Contains(key.data())) {
    key_copy.assign(key);
    key = key_copy;
  }
  if (db_->frames.Contains(value.data())) {
    value_copy.assign(value);
    value = value_copy;
  }
  JOHNNY_RETURN_IF_ERROR(BeforeChange(state));
  JOHNNY_RETURN_IF_ERROR(DirtyRecord(*state, /*may_use_reserve=*/false));
  tree::WriteContext context = Context();
  absl::Status status = tree::TreeWriter(&context, &state->record, &state->last_put).Put(key, value, mode);
  // A refused put may have made copies of the path already, whose originals are given up.
  state->changed |= status.ok() || pager::IsFrame(state->record.root);
  return status.ok() ? status : AfterChange(std::move(status));
}

bool Txn::MayChange(Slice bytes) const {
  const auto* store = db_->store.get();
  // Committed pages stay as they are; but which of those in the mapping are the transaction's own is not worth finding out.
  return db_->frames.Contains(bytes.data()) || (Data(bytes) >= store->base() && Data(bytes) < store->base() + store->reserved());
}

absl::Status Txn::WriteBatch(TableState* state, absl::Span<const Write> writes) {
  for (const Write& write : writes) {
    bool found = false;
    absl::Status status =
        write.erase ? Erase(state, write.key, &found) : Put(state, write.key, write.value, tree::PutMode::kUpsert);
    if (!status.ok()) {
      failed_ = true;  // part of it is done
      return status;
    }
  }
  return absl::OkStatus();
}

std::unique_ptr<tree::TreeBuilder> Txn::NewBuilder(uint32_t fill_percent) {
  return std::make_unique<tree::TreeBuilder>(Context(), fill_percent);
}

absl::Status Txn::FinishBuilding(TableState* state, tree::TreeBuilder* builder, bool replace) {
  JOHNNY_RETURN_IF_ERROR(BeforeChange(state));
  if (!replace && !state->record.empty()) {
    return MakeStatus(Code::kExists, "the table has entries");
  }
  JOHNNY_RETURN_IF_ERROR(DirtyRecord(*state, /*may_use_reserve=*/false));
  format::TableRecord built;
  JOHNNY_RETURN_IF_ERROR(AfterChange(builder->Finish(&built)));
  tree::WriteContext context = Context();
  JOHNNY_RETURN_IF_ERROR(AfterChange(tree::TreeWriter(&context, &state->record).Clear()));
  state->record = built;
  state->changed = true;
  db_->frames.NewEpoch();
  builder->Release();
  return absl::OkStatus();
}

absl::Status Txn::Erase(TableState* state, Slice key, bool* found) {
  std::string key_copy;
  if (db_->frames.Contains(key.data())) {
    key_copy.assign(key);
    key = key_copy;
  }
  JOHNNY_RETURN_IF_ERROR(BeforeChange(state));
  JOHNNY_RETURN_IF_ERROR(DirtyRecord(*state, /*may_use_reserve=*/true));
  tree::WriteContext context = Context();
  absl::Status status = tree::TreeWriter(&context, &state->record).Erase(key, found);
  state->changed |= *found || pager::IsFrame(state->record.root);
  return status.ok() ? status : AfterChange(std::move(status));
}

Lookup Txn::Rank(TableState* state, Slice key, uint64_t* rank) {
  if (write_) {
    tree::SettleCounts(&db_->frames, state->record);
  }
  return tree::Rank(view_, state->record, key, rank);
}

Lookup Txn::Nth(TableState* state, uint64_t n, node::LeafEntry* entry) {
  if (write_) {
    tree::SettleCounts(&db_->frames, state->record);
  }
  tree::Path path;
  Lookup result = tree::SearchNth(view_, state->record, n, &path);
  if (result == Lookup::kFound) {
    *entry = node::GetLeafEntry(path.leaf().page, path.leaf().index);
  }
  return result;
}

// ---- Around changes ----

tree::WriteContext Txn::Context() {
  return {&view_, &db_->frames, db_->space.get(), db_->file.get(), id_, /*soon_synced=*/!IsLazy(db_->options.durability)};
}

absl::Status Txn::BeforeChange(TableState* state) {
  if (failed_) {
    return MakeStatus(Code::kTxnFailed, "an earlier error in this transaction allows only abort");
  }
  for (Cursor* cursor : state->cursors) {
    cursor->Save();
  }
  db_->frames.Tick();
  if (!db_->frames.over_budget()) {
    return absl::OkStatus();
  }
  absl::Status spilled = SpillIfOverBudget();
  db_->system->YieldPoint("spilled");
  failed_ = !spilled.ok();  // whatever the error: parents already refer to pages that were not written
  return spilled;
}

absl::Status Txn::AfterChange(absl::Status status) {
  if (!IsHarmless(CodeOf(status))) {
    failed_ = true;
  }
  return status;
}

absl::Status Txn::SpillIfOverBudget() {
  // Not the catalog: its dirty leaves are what the commit counts on.
  std::vector<format::TableRecord*> records = {&main_.record};
  for (Cursor* cursor : main_.cursors) {
    cursor->Save();
  }
  for (TableState* state : loaded_) {
    if (state->exists) {
      records.push_back(&state->record);
      for (Cursor* cursor : state->cursors) {
        cursor->Save();
      }
    }
  }
  return tree::Spill(Context(), records, &spilled_);
}

}  // namespace johnny::txn
