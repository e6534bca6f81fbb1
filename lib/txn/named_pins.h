// Which snapshots their names keep from being reused.
//
// A name pins its snapshot from the commit that creates it until the commit that deletes it is durable: before that a power cut
// may bring the name back.
//
// Invariants
//   1. Every snapshot named in the newest announced catalog, in the newest durable one, or in any in between is among the ids
//   that
//      AppendPinned() adds, or is the newest durable snapshot itself. (Whoever creates a name has made its snapshot durable
//      before. So a name created after durable snapshot d belongs to d: nothing else is durable and the newest at that moment.)
// Thread rules: belongs to the holder of the writer lock.
#ifndef JOHNNY_TXN_NAMED_PINS_H_
#define JOHNNY_TXN_NAMED_PINS_H_

#include <map>
#include <vector>

#include "absl/status/status.h"
#include "pager/view.h"

namespace johnny::txn {

// Snapshots that a write transaction has given a name to, or taken one from; with repeats.
struct NamedChanges {
  std::vector<TxnId> created;
  std::vector<TxnId> deleted;

  void clear() {
    created.clear();
    deleted.clear();
  }
};

class NamedPins {
 public:
  // Reads all names from `catalog`, that of transaction `txn`. What was named before and is no longer stays pinned until `txn` is
  // durable. When another process has written since: first from the newest durable catalog (unless it is the newest), then from
  // the newest one. kCorrupt.
  absl::Status Load(const pager::View& view, const format::TableRecord& catalog, TxnId txn);
  // The commit of `txn`, before anything is released in the light of it.
  void Commit(TxnId txn, const NamedChanges& changes, TxnId durable);
  // In no order, with repeats.
  void AppendPinned(TxnId durable, std::vector<TxnId>* pinned) const;

 private:
  struct Deleted {
    TxnId snapshot;
    TxnId by;  // pinned until this is durable
  };

  std::map<TxnId, uint32_t> named_;  // how many names each has
  std::vector<Deleted> deleted_;
};

}  // namespace johnny::txn

#endif  // JOHNNY_TXN_NAMED_PINS_H_
