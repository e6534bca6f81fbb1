// Nested transactions: the same copy-on-write one level further in.
//
// Beginning one notes where the transaction around it stands: the table's records by value, levels in the frame arena and the
// free set. While it is open nothing that the transaction around it refers to changes: frames are copied, pages are kept. So
// aborting drops what the level made, and committing hands it on; neither costs more than the level has changed.
#include <new>

#include "base/check.h"
#include "base/status.h"
#include "txn/txn.h"

namespace johnny::txn {

void Txn::BeginNested(Txn* parent) {
  JOHNNY_CHECK(parent->active_ && parent->write_ && !parent->failed_ && !parent->paused());
  Start(parent->id_, parent->snapshot_);
  main_.record = parent->main_.record;
  main_.changed = parent->main_.changed;
  catalog_.record = parent->catalog_.record;
  catalog_.changed = parent->catalog_.changed;
  table_count_ = parent->table_count_;
  spilled_ = parent->spilled_;
  view_ = pager::View(db_->store.get(), db_->space->page_count(), &db_->frames);
  db_->space->BeginNested();
  db_->frames.BeginNested();
  asked_ = &kNeverAsked;
  write_ = true;
  active_ = true;
  parent_ = parent;
  parent->pause_ = Pause::kNested;
}

// The transaction around takes a table over as this one leaves it.
void Txn::HandOver(TableState* state, TableState* outer) {
  for (Cursor* cursor : outer->cursors) {
    cursor->Save();  // from frames that are about to go
  }
  outer->record = state->record;
  outer->exists = state->exists;
  outer->changed = state->changed;
}

absl::Status Txn::CommitNested() {
  if (failed_) {
    Abort();
    return MakeStatus(Code::kTxnFailed, "an earlier error in this nested transaction allows only abort; it was aborted");
  }
  Txn* parent = parent_;
  spoilt_ = true;  // should memory run out half way
  HandOver(&main_, &parent->main_);
  HandOver(&catalog_, &parent->catalog_);
  for (TableState* state : loaded_) {
    TableState* outer = parent->StateAt(*state->table);
    parent->MarkLoaded(outer);
    HandOver(state, outer);
  }
  parent->table_count_ = table_count_;
  parent->spilled_ = spilled_;
  for (auto list : {&NamedChanges::created, &NamedChanges::deleted}) {
    auto& outer = parent->named_changes_.*list;
    outer.insert(outer.end(), (named_changes_.*list).begin(), (named_changes_.*list).end());
  }
  db_->space->CommitNested();
  db_->frames.CommitNested();
  spoilt_ = false;
  EndNested();
  return absl::OkStatus();
}

void Txn::AbortNested() {
  if (!spoilt_) {
    try {
      db_->space->AbortNested();
      db_->frames.AbortNested();
    } catch (const std::bad_alloc&) {
      spoilt_ = true;
    }
  }
  if (spoilt_) {
    parent_->Fail();
  }
  EndNested();
}

void Txn::EndNested() {
  parent_->view_.set_page_count(db_->space->page_count());
  parent_->pause_ = Pause::kNone;
  parent_ = nullptr;
  active_ = false;
}

bool Txn::HasCursors(const Table& table) {
  for (Txn* txn = this; txn != nullptr; txn = txn->parent_) {
    if (!txn->StateAt(table)->cursors.empty()) {
      return true;
    }
  }
  return false;
}

}  // namespace johnny::txn
