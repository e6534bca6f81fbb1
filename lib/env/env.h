// Opening, creating and closing a database; recovery.
#ifndef JOHNNY_ENV_ENV_H_
#define JOHNNY_ENV_ENV_H_

#include <memory>
#include <string>

#include "txn/database.h"

namespace johnny::env {

struct OpenOptions {
  txn::DatabaseOptions database;
  bool create = false;
  bool exclusive = false;
  uint32_t permissions = 0644;
  uint32_t page_size = 4096;
  uint64_t address_space = uint64_t{1} << 40;
};

// Opens `path`, creating it first if asked to and there is none. Recovery as in DESIGN section 4: the file is synced (when opened
// for writing), the masters are read from it, and one that is not flagged durable counts only if all that it changed verifies.
absl::StatusOr<std::unique_ptr<txn::Database>> Open(os::System* system, const std::string& path, const OpenOptions& options);

// Makes lazy commits durable and marks the file as cleanly closed. The database may only be destroyed afterwards.
absl::Status Close(txn::Database* db);

// ---- recovery.cc ----
// OK if every page and extent in which `master`'s trees differ from `other`'s (null: none) verifies, and the free log loads.
absl::Status VerifyChanges(const pager::PageStore& store, const format::MasterPage& master, const format::MasterPage* other);

}  // namespace johnny::env

#endif  // JOHNNY_ENV_ENV_H_
