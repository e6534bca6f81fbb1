// Named snapshots in the C API.
#include <johnny/johnny.h>

#include <algorithm>

#include "absl/cleanup/cleanup.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "api/internal.h"

namespace johnny::api {
namespace {

int NullPointer() { return Fail(Code::kInvalidArgument, "a null pointer"); }

int CheckSnapshotName(const char* name) {
  return name != nullptr && format::IsSnapshotName(name)
             ? static_cast<int>(JOHNNY_OK)
             : Fail(Code::kInvalidArgument,
                    absl::StrCat("the name of a snapshot must have 1 to ", format::kMaxSnapshotName, " bytes"));
}

// A write transaction that may go on, and a name.
int UseForNaming(johnny_txn* txn, const char* name) {
  if (int code = UseTxn(txn); code != JOHNNY_OK) {
    return code;
  }
  if (!txn->txn.write()) {
    return Fail(Code::kReadOnlyTxn, "a read transaction cannot change anything");
  }
  if (txn->txn.failed()) {
    return Fail(Code::kTxnFailed, "an earlier error in this transaction allows only abort");
  }
  return CheckSnapshotName(name);
}

using PagesBySnapshot = absl::flat_hash_map<TxnId, uint64_t>;

// Pending pages that only one pinned snapshot sees, by that snapshot. For the holder of the writer lock.
PagesBySnapshot HeldBack(txn::Database* db) {
  PagesBySnapshot pages;
  std::vector<TxnId> pinned = db->Pinned();
  for (const auto& [pending, waits_for] : db->space->PendingRuns()) {
    auto first = std::lower_bound(pinned.begin(), pinned.end(), pending.birth);
    if (first != pinned.end() && *first < pending.death && (first + 1 == pinned.end() || first[1] >= pending.death)) {
      pages[*first] += pending.run.pages;
    }
  }
  return pages;
}

PagesBySnapshot HeldBackIfIdle(const txn::Txn& txn) {
  txn::Database* db = txn.db();
  if (txn.write()) {
    return HeldBack(db);
  }
  if (!db->writer.TryAcquire()) {
    return {};
  }
  absl::Cleanup release = [db] { db->writer.Release(); };
  return db->LoadSpace().ok() ? HeldBack(db) : PagesBySnapshot();
}

int List(johnny_txn* txn, johnny_snapshot_callback visit, void* context) {
  if (int code = UseTxn(txn); code != JOHNNY_OK) {
    return code;
  }
  if (visit == nullptr) {
    return NullPointer();
  }
  // All of them first: the callback may create and delete.
  std::vector<std::pair<std::string, format::SnapshotRecord>> named;
  if (absl::Status listed = txn->txn.ListNamed(&named); !listed.ok()) {
    return Fail(listed);
  }
  PagesBySnapshot held_back = named.empty() ? PagesBySnapshot() : HeldBackIfIdle(txn->txn);
  for (const auto& [name, record] : named) {
    johnny_snapshot_info info = {};
    info.struct_size = sizeof info;
    info.name = name.c_str();
    info.id = record.txn;
    info.lag = txn->txn.id() - record.txn;
    info.page_count = record.page_count;
    info.entries = record.main.root.entries;
    info.tables = record.table_count;
    auto pages = held_back.find(record.txn);
    info.pages_held_back = pages == held_back.end() ? 0 : pages->second;
    if (visit(context, &info) != 0) {
      return Fail(Code::kStopped, "the callback stopped the list");
    }
  }
  return JOHNNY_OK;
}

}  // namespace
}  // namespace johnny::api

using namespace johnny::api;  // NOLINT: this file is the C side of the names above

int johnny_snapshot_create(johnny_txn* txn, const char* name) {
  return GuardChange(txn, [&] {
    if (int code = UseForNaming(txn, name); code != JOHNNY_OK) {
      return code;
    }
    absl::Status status = txn->txn.CreateNamed(name);
    return status.ok() ? static_cast<int>(JOHNNY_OK) : Fail(status);
  });
}

int johnny_snapshot_delete(johnny_txn* txn, const char* name) {
  return GuardChange(txn, [&] {
    if (int code = UseForNaming(txn, name); code != JOHNNY_OK) {
      return code;
    }
    absl::Status status = txn->txn.DeleteNamed(name);
    return status.ok() ? static_cast<int>(JOHNNY_OK) : Fail(status);
  });
}

int johnny_begin_snapshot(johnny_env* env, const char* name, johnny_txn** out) {
  return Guard([&] {
    if (env == nullptr || out == nullptr) {
      return NullPointer();
    }
    if (int code = CheckSnapshotName(name); code != JOHNNY_OK) {
      return code;
    }
    return BeginWith(env, out, [name](johnny::txn::Txn* txn) { return txn->BeginNamed(name); });
  });
}

int johnny_snapshot_list(johnny_txn* txn, johnny_snapshot_callback visit, void* context) {
  return Guard([&] { return List(txn, visit, context); });
}
