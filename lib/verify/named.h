// Checking named snapshots, after the newest snapshot and the free space have been: each page that one of them sees is either in
// use by the newest snapshot in the same version, and then checked with it, or pending from a birth no later than the snapshot to
// a death after it. What is pending for a named snapshot is of its trees, or was of its free log.
#ifndef JOHNNY_VERIFY_NAMED_H_
#define JOHNNY_VERIFY_NAMED_H_

#include <functional>
#include <string>
#include <vector>

#include "format/snapshot_record.h"
#include "verify/owner_map.h"
#include "verify/verify.h"
#include "verify/walk.h"

namespace johnny::verify {

// As the newest catalog has it.
struct NamedEntry {
  std::string name;
  PageNumber leaf = 0;
  TxnId leaf_birth = 0;
  std::string value;
};

struct NamedCheck {
  const txn::Database* db = nullptr;
  const space::FreeSpace* space = nullptr;  // of the newest snapshot; null: not known
  std::vector<TxnId> pinned;                // ascending
  pager::View view;                         // of the newest snapshot
  OwnerMap* owners = nullptr;
  // Part of the newest snapshot could not be read, or the free space is not known: a page may have no owner.
  bool owners_incomplete = false;
  std::function<bool(FindingKind, PageNumber, const char* table, std::string message)> report;  // false: stop
  std::function<bool()> progress;                                                               // the same; called now and then
  Result* result = nullptr;
};

// False: stopped.
bool CheckNamedSnapshots(const NamedCheck& check, const std::vector<NamedEntry>& entries);

}  // namespace johnny::verify

#endif  // JOHNNY_VERIFY_NAMED_H_
