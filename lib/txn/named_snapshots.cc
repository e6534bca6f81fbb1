// Named snapshots: entries of the catalog that keep what a snapshot was (format/snapshot_record.h); named_pins.h keeps its pages.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/seeded_bug.h"
#include "base/status.h"
#include "txn/txn.h"

namespace johnny::txn {
namespace {

absl::Status NoSnapshot(const std::string& name) {
  return MakeStatus(Code::kNoSnapshot, absl::StrCat("there is no named snapshot '", name, "'"));
}

absl::Status ReadRecord(Slice name, const node::LeafValue& stored, TxnId before, uint32_t page_size,
                        format::SnapshotRecord* record) {
  const char* reason = "its size is wrong";
  if (!stored.is_extent && stored.bytes.size() == format::kSnapshotRecordSize) {
    *record = format::LoadSnapshotRecord(stored.bytes.data());
    reason = format::VetSnapshotRecord(*record, before, page_size);
  }
  return reason == nullptr ? absl::OkStatus()
                           : MakeStatus(Code::kCorrupt, absl::StrCat("the catalog's record of named snapshot '",
                                                                     std::string(name), "' makes no sense: ", reason));
}

}  // namespace

absl::Status Txn::FindNamed(const std::string& name, format::SnapshotRecord* record) const {
  node::LeafValue stored;
  switch (tree::Get(view_, catalog_.record, format::SnapshotKey(name), &stored)) {
    case Lookup::kFound:
      return ReadRecord(name, stored, id_, view_.page_size(), record);
    case Lookup::kNotFound:
      return NoSnapshot(name);
    case Lookup::kError:
      break;
  }
  return view_.TakeError();
}

absl::Status Txn::ListNamed(std::vector<std::pair<std::string, format::SnapshotRecord>>* found) const {
  Cursor cursor(&view_, &catalog_.record);
  cursor.SetUpper(format::kFirstTableKey);
  Lookup result = cursor.First();
  for (; result == Lookup::kFound; result = cursor.Next()) {
    node::LeafEntry entry = cursor.entry();
    if (!found->empty() && node::CompareKeys(format::SnapshotName(entry.key), found->back().first) <= 0) {
      return MakeStatus(Code::kCorrupt, "the catalog's named snapshots are not in order");  // a forged one could go on for ever
    }
    auto& [name, record] = found->emplace_back(format::SnapshotName(entry.key), format::SnapshotRecord());
    JOHNNY_RETURN_IF_ERROR(ReadRecord(name, entry.value, id_, view_.page_size(), &record));
  }
  return result == Lookup::kError ? view_.TakeError() : absl::OkStatus();
}

absl::Status Txn::CreateNamed(const std::string& name) {
  // Recovery looks at what is not durable yet only from the newest commit; what a name keeps must need no look.
  if (snapshot_.txn > db_->durable_txn() && !IsSeeded(SeededBug::kNamedBeforeDurable)) {
    {
      MutexLock lock(&db_->publish);
      db_->AwaitSealed();
    }
    JOHNNY_RETURN_IF_ERROR(db_->SyncCommits());
  }
  JOHNNY_RETURN_IF_ERROR(BeforeChange(&catalog_));
  Byte record[format::kSnapshotRecordSize];
  format::StoreSnapshotRecord(record,
                              {snapshot_.txn, snapshot_.page_count, snapshot_.table_count, snapshot_.main, snapshot_.catalog});
  tree::WriteContext context = Context();
  named_changes_.created.push_back(snapshot_.txn);
  absl::Status status =
      AfterChange(tree::TreeWriter(&context, &catalog_.record)
                      .Put(format::SnapshotKey(name), MakeSlice(record, sizeof record), tree::PutMode::kNoOverwrite));
  if (status.ok()) {
    catalog_.changed = true;
  } else {
    named_changes_.created.pop_back();
  }
  return CodeOf(status) == Code::kExists
             ? MakeStatus(Code::kExists, absl::StrCat("there is a named snapshot '", name, "' already"))
             : status;
}

absl::Status Txn::DeleteNamed(const std::string& name) {
  format::SnapshotRecord record;
  JOHNNY_RETURN_IF_ERROR(FindNamed(name, &record));
  JOHNNY_RETURN_IF_ERROR(BeforeChange(&catalog_));
  tree::WriteContext context = Context();
  named_changes_.deleted.push_back(record.txn);
  bool found = false;
  absl::Status status = AfterChange(tree::TreeWriter(&context, &catalog_.record).Erase(format::SnapshotKey(name), &found));
  if (status.ok()) {
    catalog_.changed = true;
  } else {
    named_changes_.deleted.pop_back();
  }
  return status;
}

// Pinning a named snapshot. The slot first pins the newest snapshot n, in whose catalog the name is looked up; then it pins the
// named snapshot s instead. If n is still the newest after that store, s is safe:
//   - Until a commit that deletes the name is announced, the name pins s, in every process: no such commit had been announced
//   when
//     n was seen to be the newest.
//   - A writer releases pages in the light of such a commit only after it has announced it, and scans the slots when it does
//     (invariant 2 of readers/snapshots.h). The announcement comes after our look at the newest, and so the scan after our store,
//     all of them sequentially consistent; it sees s in the slot.
// If n is not the newest any more, the name may be gone and its pages in use again: look once more, in the newest.
absl::Status Txn::BeginNamed(const std::string& name) {
  JOHNNY_RETURN_IF_ERROR(BeginRead());
  for (;;) {
    format::SnapshotRecord record;
    if (absl::Status found = FindNamed(name, &record); !found.ok()) {
      Abort();
      return found;
    }
    db_->system->YieldPoint("named snapshot: found");
    PageNumber pages = std::min(record.page_count, snapshot_.page_count);  // what s can see is below both
    db_->board.slot(slot_.index).snapshot.store(record.txn, std::memory_order_seq_cst);
    if (db_->board.newest() == id_) {
      Start(record.txn, {record.txn, pages, record.table_count, record.main, record.catalog, {}});
      view_ = pager::View(db_->store.get(), pages, nullptr);
      on_named_ = true;
      return absl::OkStatus();
    }
    Reset();
    if (absl::Status renewed = Renew(); !renewed.ok()) {
      Abort();
      return renewed;
    }
  }
}

}  // namespace johnny::txn
