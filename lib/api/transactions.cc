// Transactions of the C API.
#include <johnny/johnny.h>

#include <algorithm>
#include <new>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "api/handles.h"
#include "api/internal.h"

using johnny::Code;
using johnny::api::Fail;
using johnny::api::FillStruct;
using johnny::api::Guard;
using johnny::txn::Durability;

namespace johnny::api {
namespace {

// Cursors lose their places, and the table states forget them.
void DetachCursors(johnny_txn* txn) {
  for (johnny_cursor* cursor : txn->cursors) {
    cursor->cursor.Unposition();
    auto& of_table = cursor->state->cursors;
    of_table.erase(std::remove(of_table.begin(), of_table.end(), &cursor->cursor), of_table.end());
  }
}

// Gives back the pages of trees that no table has got.
absl::Status AbandonBuilders(johnny_txn* txn) {
  try {
    for (johnny_builder* builder : txn->builders) {
      builder->broken = true;
      JOHNNY_RETURN_IF_ERROR(builder->tree->Abandon());
    }
  } catch (const std::bad_alloc&) {
    txn->txn.Fail();  // free space may be half way, so that its rollback cannot be relied on
    throw;
  }
  return absl::OkStatus();
}

// Gives up the handle of a transaction, and those of what is nested in it, first. What has not committed is aborted.
void EndAll(johnny_txn* txn) {
  if (txn->child != nullptr) {
    EndAll(txn->child);
  }
  DetachCursors(txn);
  if (txn->txn.active()) {
    txn->txn.Abort();
  }
  if (txn->parent != nullptr) {
    txn->parent->child = nullptr;
    txn->parent = nullptr;
  }
  GiveHandleBack(txn);
}

// With what is nested in it. The handles have ended whatever it returns.
absl::Status CommitAll(johnny_txn* txn, Durability durability) {
  absl::Cleanup end = [txn] { EndAll(txn); };
  if (txn->child != nullptr) {
    absl::Status status = CommitAll(txn->child, durability);
    if (!status.ok()) {
      return MakeStatus(CodeOf(status), absl::StrCat("a nested transaction could not commit, so all was aborted: ",
                                                     std::string(status.message())));
    }
  }
  DetachCursors(txn);
  if (!txn->txn.failed()) {
    JOHNNY_RETURN_IF_ERROR(AbandonBuilders(txn));
  }
  return txn->txn.Commit(durability);
}

int CheckActive(const johnny_txn* txn) {
  if (txn == nullptr) {
    return Fail(Code::kInvalidArgument, "the transaction is a null pointer");
  }
  if (int code = CheckProcess(txn->fork_generation); code != JOHNNY_OK) {
    return code;
  }
  return txn->txn.active() ? JOHNNY_OK : Fail(Code::kTxnEnded, "the transaction has already ended");
}

}  // namespace

int UseTxn(johnny_txn* txn) {
  if (IsUsable(txn)) {
    return JOHNNY_OK;
  }
  if (int code = CheckActive(txn); code != JOHNNY_OK || txn == nullptr) {
    return code;
  }
  if (txn->child != nullptr) {
    return Fail(Code::kInUse, "a transaction nested in this one is open; end that one first");
  }
  return txn->txn.is_reset() ? Fail(Code::kTxnReset, "the read transaction is reset; johnny_renew() it first")
                             : Fail(Code::kSnapshotGone, "the read transaction held back too much and lost its snapshot; end it");
}

int WhyNoChange(johnny_txn* txn) {
  if (int code = UseTxn(txn); code != JOHNNY_OK) {
    return code;
  }
  if (!txn->txn.write()) {
    return Fail(Code::kReadOnlyTxn, "a read transaction cannot change anything");
  }
  if (txn->txn.failed()) {
    return Fail(Code::kTxnFailed, "an earlier error in this transaction allows only abort");
  }
  return JOHNNY_OK;
}

int UseNamedTable(johnny_txn* txn, johnny_table* table, txn::TableState** state) {
  if (int code = UseTxn(txn); code != JOHNNY_OK) {
    return code;
  }
  const txn::Table* handle = AsTable(table);
  if (handle != nullptr && handle->env != txn->env) {
    return Fail(Code::kWrongEnv, "the table handle belongs to another environment");
  }
  absl::Status status;
  *state = txn->txn.Resolve(handle, &status);
  return *state != nullptr ? JOHNNY_OK : Fail(status);
}

}  // namespace johnny::api

using johnny::api::CheckActive;

static_assert(JOHNNY_MAX_NESTING == johnny::pager::FrameArena::kMaxDepth);

extern "C" {

int johnny_begin(johnny_env* env, uint32_t flags, johnny_txn** out) {
  return johnny_begin_within(env, flags, (flags & JOHNNY_NO_WAIT) != 0 ? 0 : JOHNNY_FOR_EVER, out);
}

int johnny_begin_within(johnny_env* env, uint32_t flags, uint32_t timeout_ms, johnny_txn** out) {
  return Guard([&] {
    if (int code = johnny::api::UseEnv(env); code != JOHNNY_OK) {
      return code;
    }
    if (out == nullptr) {
      return Fail(Code::kInvalidArgument, "a null pointer");
    }
    if ((flags & ~uint32_t{JOHNNY_READ | JOHNNY_NO_WAIT}) != 0) {
      return Fail(Code::kInvalidArgument, "unknown flags");
    }
    bool read = (flags & JOHNNY_READ) != 0;
    bool own = false;
    johnny_txn* txn = johnny::api::TakeHandle(env, read, &own);
    absl::Cleanup give_back = [txn] { johnny::api::GiveHandleBack(txn); };
    absl::Status status = read ? txn->txn.BeginRead(own) : txn->txn.BeginWrite((flags & JOHNNY_NO_WAIT) != 0 ? 0 : timeout_ms);
    if (!status.ok()) {
      return Fail(status);
    }
    std::move(give_back).Cancel();
    *out = txn;
    return static_cast<int>(JOHNNY_OK);
  });
}

int johnny_begin_nested(johnny_txn* parent, uint32_t flags, johnny_txn** out) {
  return Guard([&] {
    if (int code = johnny::api::UseTxn(parent); code != JOHNNY_OK) {
      return code;
    }
    if (out == nullptr || flags != 0) {
      return Fail(Code::kInvalidArgument, "a null pointer or unknown flags");
    }
    if (!parent->txn.write()) {
      return Fail(Code::kWrongTxn, "only write transactions can have others nested in them");
    }
    if (int code = johnny::api::UseForChange(parent); code != JOHNNY_OK) {
      return code;
    }
    if (!parent->builders.empty()) {
      return Fail(Code::kInUse, "a builder is open in this transaction; close it first");
    }
    if (parent->txn.depth() >= JOHNNY_MAX_NESTING) {
      return Fail(Code::kInvalidArgument, absl::StrCat("transactions nest no deeper than ", JOHNNY_MAX_NESTING));
    }
    bool own = false;
    johnny_txn* txn = johnny::api::TakeHandle(parent->env, /*read=*/false, &own);
    txn->txn.BeginNested(&parent->txn);
    txn->parent = parent;
    parent->child = txn;
    *out = txn;
    return static_cast<int>(JOHNNY_OK);
  });
}

int johnny_commit_with(johnny_txn* txn, uint32_t durability) {
  return Guard([&] {
    if (int code = CheckActive(txn); code != JOHNNY_OK) {
      return code;
    }
    if (durability > JOHNNY_ASYNC) {
      johnny::api::EndAll(txn);
      return Fail(Code::kInvalidArgument, absl::StrCat("unknown durability ", durability, "; the transaction was aborted"));
    }
    absl::Status status = johnny::api::CommitAll(txn, static_cast<Durability>(durability));
    return status.ok() ? static_cast<int>(JOHNNY_OK) : Fail(status);
  });
}

int johnny_commit(johnny_txn* txn) { return johnny_commit_with(txn, JOHNNY_DURABILITY_DEFAULT); }

int johnny_abort(johnny_txn* txn) {
  if (txn == nullptr) {
    return JOHNNY_OK;
  }
  return Guard([&] {
    if (int code = CheckActive(txn); code != JOHNNY_OK) {
      return code;
    }
    johnny::api::EndAll(txn);
    return static_cast<int>(JOHNNY_OK);
  });
}

int johnny_reset(johnny_txn* txn) {
  if (int code = johnny::api::UseTxn(txn); code != JOHNNY_OK && code != JOHNNY_SNAPSHOT_GONE) {
    return code;
  }
  if (txn->txn.write() || txn->txn.on_named()) {
    return Fail(Code::kWrongTxn, "only read transactions of the newest snapshot can be reset");
  }
  for (johnny_cursor* cursor : txn->cursors) {
    cursor->cursor.Unposition();
  }
  txn->txn.Reset();
  return JOHNNY_OK;
}

int johnny_renew(johnny_txn* txn) {
  if (int code = CheckActive(txn); code != JOHNNY_OK) {
    return code;
  }
  if (txn->txn.write() || !txn->txn.is_reset()) {
    return Fail(Code::kWrongTxn, "only a reset read transaction can be renewed");
  }
  return Guard([&] {
    absl::Status status = txn->txn.Renew();
    return status.ok() ? static_cast<int>(JOHNNY_OK) : Fail(status);
  });
}

int johnny_txn_set_label(johnny_txn* txn, const char* label) {
  if (int code = johnny::api::UseTxn(txn); code != JOHNNY_OK) {
    return code;
  }
  if (label == nullptr) {
    return Fail(Code::kInvalidArgument, "a null pointer");
  }
  if (txn->txn.write()) {
    return Fail(Code::kWrongTxn, "only read transactions have labels");
  }
  txn->txn.SetLabel(label);
  return JOHNNY_OK;
}

uint64_t johnny_txn_id(const johnny_txn* txn) { return txn != nullptr && txn->txn.active() ? txn->txn.id() : 0; }

int johnny_txn_get_info(johnny_txn* txn, johnny_txn_info* out) {
  if (int code = johnny::api::UseTxn(txn); code != JOHNNY_OK) {
    return code;
  }
  if (out == nullptr) {
    return Fail(Code::kInvalidArgument, "a null pointer");
  }
  johnny_txn_info info = {};
  info.id = txn->txn.id();
  info.read_only = txn->txn.write() ? 0 : 1;
  info.failed = txn->txn.failed() ? 1 : 0;
  info.changed_pages = txn->txn.changed_pages();
  info.spilled_pages = txn->txn.write() ? txn->txn.spilled_pages() : 0;
  info.freed_pages = txn->txn.freed_pages();
  info.extent_pages = txn->txn.extent_pages_written();
  info.depth = txn->txn.depth();
  info.lag = txn->txn.write() ? 0 : txn->env->db->board.newest() - txn->txn.id();
  return FillStruct(info, out);
}

}  // extern "C"
