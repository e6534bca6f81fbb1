// Named snapshots in the C API.
#include <johnny/johnny.h>

#include <algorithm>
#include <unordered_map>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "api/handles.h"
#include "api/internal.h"

namespace johnny::api {
namespace {

int CheckSnapshotName(const char* name) {
  return name != nullptr && format::IsSnapshotName(name)
             ? static_cast<int>(JOHNNY_OK)
             : Fail(Code::kInvalidArgument,
                    absl::StrCat("the name of a snapshot must have 1 to ", format::kMaxSnapshotName, " bytes"));
}

// A write transaction that may go on, and a name.
int UseForNaming(johnny_txn* txn, const char* name) {
  if (int code = UseForChange(txn); code != JOHNNY_OK) {
    return code;
  }
  return CheckSnapshotName(name);
}

using PagesBySnapshot = std::unordered_map<TxnId, uint64_t>;

// Pending pages of the newest snapshot that only one pinned snapshot sees, by that snapshot.
PagesBySnapshot HeldBack(txn::Database* db) {
  txn::Txn reader(db);
  if (!reader.BeginRead().ok()) {
    return {};
  }
  std::vector<TxnId> pinned;
  auto space = db->LoadSpaceOf(reader.snapshot(), &pinned);
  if (!space.ok()) {
    return {};
  }
  PagesBySnapshot pages;
  for (const auto& [pending, waits_for] : (*space)->PendingRuns()) {
    auto first = std::lower_bound(pinned.begin(), pinned.end(), pending.birth);
    if (first != pinned.end() && *first < pending.death && (first + 1 == pinned.end() || first[1] >= pending.death)) {
      pages[*first] += pending.run.pages;
    }
  }
  return pages;
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
  PagesBySnapshot held_back = named.empty() ? PagesBySnapshot() : HeldBack(txn->txn.db());
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
    if (int code = johnny::api::UseEnv(env); code != JOHNNY_OK) {
      return code;
    }
    if (out == nullptr) {
      return NullPointer();
    }
    if (int code = CheckSnapshotName(name); code != JOHNNY_OK) {
      return code;
    }
    bool own = false;
    johnny_txn* txn = johnny::api::TakeHandle(env, /*read=*/true, &own);
    absl::Cleanup give_back = [txn] { johnny::api::GiveHandleBack(txn); };
    absl::Status status = txn->txn.BeginNamed(name);
    if (!status.ok()) {
      return Fail(status);
    }
    std::move(give_back).Cancel();
    *out = txn;
    return static_cast<int>(JOHNNY_OK);
  });
}

int johnny_snapshot_list(johnny_txn* txn, johnny_snapshot_callback visit, void* context) {
  return Guard([&] { return List(txn, visit, context); });
}
