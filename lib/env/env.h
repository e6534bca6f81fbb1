// Opening, creating and closing a database; recovery.
#ifndef JOHNNY_ENV_ENV_H_
#define JOHNNY_ENV_ENV_H_

#include <memory>
#include <string>

#include "base/status.h"
#include "txn/database.h"

namespace johnny::env {

inline constexpr TxnId kFirstTxn = 1;  // of a database as created

struct OpenOptions {
  txn::DatabaseOptions database;
  bool create = false;
  bool exclusive = false;
  uint32_t permissions = 0644;
  uint32_t page_size = 4096;
  bool use_lock_file = true;
  bool allow_network = false;
  std::string lock_path;  // "": the database's with "-lock" behind
};

// The file `path`, created first if asked to and there is none.
absl::StatusOr<std::unique_ptr<os::File>> OpenFile(os::System* system, const std::string& path, const OpenOptions& options);
// The database in that file. The first process to open it recovers it; later ones join.
absl::StatusOr<std::unique_ptr<txn::Database>> Open(os::System* system, const std::string& path, const OpenOptions& options,
                                                    std::unique_ptr<os::File> file);
// Both.
absl::StatusOr<std::unique_ptr<txn::Database>> Open(os::System* system, const std::string& path, const OpenOptions& options);

// Makes lazy commits durable and, when no other process has the database open, marks the file as cleanly closed. The database may
// only be destroyed afterwards.
absl::Status Close(txn::Database* db);

// ---- adopt.cc ----
// What the two master slots hold.
struct Masters {
  absl::StatusOr<format::MasterPage> slots[2] = {MakeStatus(Code::kCorrupt, "not read"), MakeStatus(Code::kCorrupt, "not read")};
  format::SyncMark mark;
  bool marked = false;  // a sync failed in this boot
};
absl::StatusOr<Masters> ReadMasters(const txn::Database& db);
// kVersionMismatch when one needs a newer library.
absl::Status CheckVersions(const Masters& masters, const txn::Database& db);
// The error to report when no slot has a usable master page.
absl::Status NoMaster(const Masters& masters, const std::string& path);

// Maps the file, unless that is done, as the master says.
absl::Status CreateStore(const format::MasterPage& master, txn::Database* db);

// Recovery as in DESIGN section 4, for the first process and for a writer that finds its predecessor dead in the middle: the file
// is synced (when opened for writing), the masters are read from it, and one that is not flagged durable counts only if all that
// it changed verifies. Then the newest snapshot is announced. The caller holds the writer lock, or is alone.
absl::Status Recover(txn::Database* db);
// Database::adopt.
absl::Status Adopt(txn::Database* db, bool take_over);

// ---- recovery.cc ----
// OK if every page and extent in which `master`'s trees differ from `other`'s (null: none) verifies, and the free log loads.
absl::Status VerifyChanges(const pager::PageStore& store, const format::MasterPage& master, const format::MasterPage* other);

}  // namespace johnny::env

#endif  // JOHNNY_ENV_ENV_H_
