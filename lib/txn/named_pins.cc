#include "txn/named_pins.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/seeded_bug.h"
#include "base/status.h"
#include "cursor/cursor.h"
#include "format/snapshot_record.h"

namespace johnny::txn {

using tree::Lookup;

absl::Status NamedPins::Load(const pager::View& view, const format::TableRecord& catalog, TxnId txn) {
  std::map<TxnId, uint32_t> found;
  cursor::Cursor cursor(&view, &catalog);
  cursor.SetUpper(format::kFirstTableKey);
  Lookup result = cursor.First();
  std::string last;
  for (; result == Lookup::kFound; result = cursor.Next()) {
    node::LeafEntry entry = cursor.entry();
    if (!last.empty() && node::CompareKeys(entry.key, last) <= 0) {
      return MakeStatus(Code::kCorrupt, "the catalog's named snapshots are not in order");  // a forged one could go on for ever
    }
    last = std::string(entry.key);
    if (entry.value.is_extent || entry.value.bytes.size() != format::kSnapshotRecordSize) {
      return MakeStatus(Code::kCorrupt, "the catalog's record of a named snapshot has the wrong size");
    }
    format::SnapshotRecord record = format::LoadSnapshotRecord(entry.value.bytes.data());
    if (const char* reason = format::VetSnapshotRecord(record, txn, view.page_size()); reason != nullptr) {
      return MakeStatus(Code::kCorrupt, absl::StrCat("the catalog's record of a named snapshot makes no sense: ", reason));
    }
    ++found[record.txn];
  }
  if (result == Lookup::kError) {
    return view.TakeError();
  }
  for (const auto& [snapshot, names] : named_) {
    if (!found.contains(snapshot)) {
      deleted_.push_back({snapshot, txn});
    }
  }
  named_ = std::move(found);
  return absl::OkStatus();
}

void NamedPins::Commit(TxnId txn, const NamedChanges& changes, TxnId durable) {
  for (TxnId snapshot : changes.created) {
    ++named_[snapshot];
  }
  for (TxnId snapshot : changes.deleted) {
    auto at = named_.find(snapshot);
    if (at != named_.end() && --at->second == 0) {
      deleted_.push_back({snapshot, txn});
      named_.erase(at);
    }
  }
  deleted_.erase(std::remove_if(deleted_.begin(), deleted_.end(), [=](const Deleted& gone) { return gone.by <= durable; }),
                 deleted_.end());
}

void NamedPins::AppendPinned(TxnId durable, std::vector<TxnId>* pinned) const {
  if (!IsSeeded(SeededBug::kNamePinsNothing)) {
    for (const auto& [snapshot, names] : named_) {
      pinned->push_back(snapshot);
    }
  }
  for (const Deleted& gone : deleted_) {
    if (gone.by > durable && !IsSeeded(SeededBug::kDeletedNameForgotten)) {
      pinned->push_back(gone.snapshot);
    }
  }
}

}  // namespace johnny::txn
