// Reads what can still be read of a damaged database.
//
// Everything under the newest master page that counts is walked; damage costs what lies below it. Where a branch is damaged, the
// pages below it are sound but nobody refers to them: they are looked for among all pages that are neither reached nor free, and
// what is found goes to the table whose lost range of keys it fits, or, when that cannot be told, to one of its own.
//
// Nothing without a valid checksum is taken, and nothing from free pages: old entries do not come back. (If the free log is
// damaged too, they may, but only in such tables of their own.) Named snapshots are not carried over. Without one readable master
// page nothing can be done: every checksum is seeded with the database's id.
#ifndef JOHNNY_VERIFY_SALVAGE_H_
#define JOHNNY_VERIFY_SALVAGE_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "txn/database.h"

namespace johnny::verify {

struct Loss {
  std::optional<std::string> table;     // nullopt: not about one table; "" the main table
  PageNumber page = 0;                  // the damaged one; 0: not about one page
  std::optional<std::string> from, to;  // what is lost lies in [from, to); nullopt: open
  uint64_t entries = 0;                 // at most so many, as far as the tree above counted them and they were not found again
  std::string message;
};

// Takes what is found. An error ends it.
class Rescuer {
 public:
  virtual ~Rescuer() = default;
  virtual absl::Status OnTable(const std::string& name) = 0;  // it exists, with entries or without
  virtual absl::Status OnEntry(const std::string& table, Slice key, Slice value) = 0;
  virtual absl::Status OnLoss(const Loss& loss) = 0;
};

// The master page to go by, with db->store made for it. `db` has a system, a path and a file opened for reading, and that is all.
absl::StatusOr<format::MasterPage> OpenDamaged(txn::Database* db);

absl::Status Salvage(txn::Database* db, const format::MasterPage& master, Rescuer* rescuer);

}  // namespace johnny::verify

#endif  // JOHNNY_VERIFY_SALVAGE_H_
