// The whole-file checker. It proves of a snapshot, which is pinned or kept from changing meanwhile:
//   1. Every page below its page count has exactly one owner: the master pages' region, a tree, a large value, the free log, the
//      free set or the pending set. No page is lost, none is owned twice.
//   2. Every page's checksum, number and structure are right, read again from the bytes whatever was checked before.
//   3. Keys ascend and lie between the separators above them; levels, births (child <= parent <= snapshot) and counts fit;
//      tables' records agree with their trees.
//   4. Large values have the checksums that their references say.
//   5. The free log, read back, says what is free and pending in memory; the snapshot's master page, unless newer commits have
//      overwritten it, says what the snapshot says.
//   6. Named snapshots are whole (named.h): what the newest does not share of them is checked as the newest is, and pending.
// Damage is reported and does not end the check; what lies below a damaged page cannot be checked.
// Memory: one byte per page of the file, beside the free space and what the threads work on.
#ifndef JOHNNY_VERIFY_VERIFY_H_
#define JOHNNY_VERIFY_VERIFY_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "txn/database.h"
#include "verify/finding.h"

namespace johnny::verify {

struct Result {
  uint64_t pages_checked = 0;  // read and hashed: trees, large values, free log
  uint64_t entries_checked = 0;
  uint64_t findings = 0;
  bool stopped = false;
};

// `space`: what the holder of the writer lock goes by; null: load it from the snapshot's free log. An error only when the check
// could not be made (I/O, memory); damage is a finding. `threads` beside this one read large tables, if it is more than 1.
absl::StatusOr<Result> Verify(txn::Database* db, const readers::Snapshot& snapshot, space::FreeSpace* space, size_t threads,
                              const Callbacks& callbacks);

}  // namespace johnny::verify

#endif  // JOHNNY_VERIFY_VERIFY_H_
