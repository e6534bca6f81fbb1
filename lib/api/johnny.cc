// Environments and transactions of the C API.
#include <johnny/johnny.h>

#include <algorithm>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "api/internal.h"

using johnny::Code;
using johnny::Slice;
using johnny::api::Fail;
using johnny::api::FillStruct;
using johnny::api::Guard;
using johnny::txn::Database;
using johnny::txn::Durability;

namespace johnny::api {
namespace {

// An ended handle is used again only after this many others have ended.
constexpr size_t kQuarantine = 64;
constexpr uint64_t kMinBudgetPages = 64;

int ReadOptions(const johnny_options* given, env::OpenOptions* options) {
  johnny_options full;
  johnny_options_init(&full);
  if (given != nullptr) {
    if (given->struct_size < sizeof(size_t)) {
      return Fail(Code::kInvalidArgument, "johnny_options.struct_size is not set; call johnny_options_init()");
    }
    std::memcpy(&full, given, std::min(given->struct_size, sizeof full));
  }
  if ((full.flags & ~uint32_t{JOHNNY_CREATE | JOHNNY_EXCLUSIVE | JOHNNY_READ_ONLY}) != 0) {
    return Fail(Code::kInvalidArgument, "johnny_options.flags has unknown bits");
  }
  if ((full.flags & JOHNNY_CREATE) != 0 && (full.flags & JOHNNY_READ_ONLY) != 0) {
    return Fail(Code::kInvalidArgument, "JOHNNY_CREATE and JOHNNY_READ_ONLY exclude each other");
  }
  if ((full.flags & JOHNNY_EXCLUSIVE) != 0 && (full.flags & JOHNNY_CREATE) == 0) {
    return Fail(Code::kInvalidArgument, "JOHNNY_EXCLUSIVE needs JOHNNY_CREATE");
  }
  if (!format::IsValidPageSize(full.page_size)) {
    return Fail(Code::kInvalidArgument, absl::StrCat("page size ", full.page_size, " is not 4096, 8192, 16384 or 32768"));
  }
  if (full.durability < JOHNNY_TWO_PHASE || full.durability > JOHNNY_LAZY) {
    return Fail(Code::kInvalidArgument, absl::StrCat("unknown durability ", full.durability));
  }
  if (full.max_readers == 0 || full.max_readers > (1u << 20)) {
    return Fail(Code::kInvalidArgument, "max_readers must be 1 to 1048576");
  }
  if (full.slack_percent > 400) {
    return Fail(Code::kInvalidArgument, "slack_percent must be 0 to 400");
  }
  if (full.memory_budget < kMinBudgetPages * full.page_size) {
    return Fail(Code::kInvalidArgument,
                absl::StrCat("memory_budget must be at least 64 pages (", 64 * full.page_size, " bytes)"));
  }
  if (full.size_limit != 0 && full.size_limit < format::kMasterRegion + 64 * uint64_t{full.page_size}) {
    return Fail(Code::kInvalidArgument, "size_limit must leave room for at least 64 pages behind the first 64 KiB");
  }
  if (full.address_space < format::kMasterRegion * 16) {
    return Fail(Code::kInvalidArgument, "address_space must be at least 1 MiB");
  }
  options->create = (full.flags & JOHNNY_CREATE) != 0;
  options->exclusive = (full.flags & JOHNNY_EXCLUSIVE) != 0;
  options->permissions = full.mode;
  options->page_size = full.page_size;
  options->address_space = full.address_space;
  options->database.read_only = (full.flags & JOHNNY_READ_ONLY) != 0;
  options->database.durability = static_cast<Durability>(full.durability);
  options->database.memory_budget = full.memory_budget;
  options->database.max_readers = full.max_readers;
  options->database.slack_percent = full.slack_percent;
  options->database.size_limit = full.size_limit;
  options->database.sync_interval_ms = full.sync_interval_ms;
  return JOHNNY_OK;
}

// A fresh handle, or one that ended long ago.
johnny_txn* TakeHandle(johnny_env* env) {
  env->users.fetch_add(1, std::memory_order_relaxed);
  MutexLock lock(&env->mutex);
  if (env->idle.size() > kQuarantine) {
    johnny_txn* txn = env->idle.front();
    env->idle.pop_front();
    return txn;
  }
  env->txns.push_back(std::make_unique<johnny_txn>(env, env->db.get()));
  return env->txns.back().get();
}

void GiveHandleBack(johnny_txn* txn) {
  for (johnny_cursor* cursor : txn->cursors) {
    cursor->owner = nullptr;
  }
  txn->cursors.clear();
  johnny_env* env = txn->env;
  {
    MutexLock lock(&env->mutex);
    env->idle.push_back(txn);
  }
  env->users.fetch_sub(1, std::memory_order_release);  // from here on the environment may be gone
}

// Cursors lose their places, and the table states forget them.
void DetachCursors(johnny_txn* txn) {
  for (johnny_cursor* cursor : txn->cursors) {
    cursor->cursor.Unposition();
    auto& of_table = cursor->state->cursors;
    of_table.erase(std::remove(of_table.begin(), of_table.end(), &cursor->cursor), of_table.end());
  }
}

int CheckActive(const johnny_txn* txn) {
  if (txn == nullptr) {
    return Fail(Code::kInvalidArgument, "the transaction is a null pointer");
  }
  return txn->txn.active() ? JOHNNY_OK : Fail(Code::kTxnEnded, "the transaction has already ended");
}

}  // namespace

int UseTxn(johnny_txn* txn) {
  if (txn != nullptr && txn->txn.active() && !txn->txn.is_reset()) {
    return JOHNNY_OK;
  }
  int code = CheckActive(txn);
  return code != JOHNNY_OK ? code : Fail(Code::kTxnReset, "the read transaction is reset; johnny_renew() it first");
}

int UseTable(johnny_txn* txn, johnny_table* table, txn::TableState** state) {
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

int BeginWith(johnny_env* env, johnny_txn** out, const std::function<absl::Status(txn::Txn*)>& begin) {
  johnny_txn* txn = TakeHandle(env);
  absl::Status status = begin(&txn->txn);
  if (!status.ok()) {
    GiveHandleBack(txn);
    return Fail(status);
  }
  *out = txn;
  return JOHNNY_OK;
}

int OpenWithSystem(os::System* system, const char* path, const johnny_options* given, johnny_env** env) {
  return Guard([&] {
    if (path == nullptr || env == nullptr) {
      return Fail(Code::kInvalidArgument, "path and env must not be null");
    }
    env::OpenOptions options;
    if (int code = ReadOptions(given, &options); code != JOHNNY_OK) {
      return code;
    }
    auto db = env::Open(system, path, options);
    if (!db.ok()) {
      return Fail(db.status());
    }
    auto made = std::make_unique<johnny_env>();
    made->db = *std::move(db);
    *env = made.release();
    return static_cast<int>(JOHNNY_OK);
  });
}

}  // namespace johnny::api

using johnny::api::CheckActive;

extern "C" {

void johnny_options_init(johnny_options* options) {
  *options = {};
  options->struct_size = sizeof *options;
  options->mode = 0644;
  options->page_size = 4096;
  options->durability = JOHNNY_TWO_PHASE;
  options->memory_budget = uint64_t{256} << 20;
  options->max_readers = 4096;
  options->slack_percent = 30;
  options->address_space = uint64_t{1} << 40;
  options->sync_interval_ms = 1000;
}

int johnny_open(const char* path, const johnny_options* options, johnny_env** env) {
  return johnny::api::OpenWithSystem(johnny::os::PosixSystem(), path, options, env);
}

int johnny_close(johnny_env* env) {
  if (env == nullptr) {
    return JOHNNY_OK;
  }
  return Guard([&] {
    uint64_t live = env->users.load(std::memory_order_acquire);
    if (live != 0) {
      return Fail(Code::kInUse, absl::StrCat("the environment has ", live, " open transactions"));
    }
    absl::Status status = johnny::env::Close(env->db.get());
    delete env;
    return status.ok() ? static_cast<int>(JOHNNY_OK) : Fail(status);
  });
}

int johnny_sync(johnny_env* env) {
  return Guard([&] {
    if (env == nullptr) {
      return Fail(Code::kInvalidArgument, "the environment is a null pointer");
    }
    Database* db = env->db.get();
    if (db->options.read_only) {
      return Fail(Code::kReadOnlyEnv, "the environment was opened read-only");
    }
    absl::Status status = db->Sync();
    return status.ok() ? static_cast<int>(JOHNNY_OK) : Fail(status);
  });
}

int johnny_env_get_info(johnny_env* env, johnny_env_info* out) {
  return Guard([&] {
    if (env == nullptr || out == nullptr) {
      return Fail(Code::kInvalidArgument, "a null pointer");
    }
    Database* db = env->db.get();
    johnny_env_info info = {};
    info.format_version = johnny::format::kFormatVersion;
    info.page_size = db->page_size();
    info.database_id = db->store->database_id();
    absl::StatusOr<uint64_t> size = db->file->Size();
    info.file_size = size.ok() ? *size : 0;
    johnny::readers::Snapshot newest = db->board.Newest();
    info.page_count = newest.page_count;
    info.last_txn_id = newest.txn;
    info.tables = static_cast<uint32_t>(newest.table_count);
    info.durable_txn_id = db->durable_txn.load(std::memory_order_relaxed);
    info.discarded_txn_id = db->discarded_txn;
    std::vector<johnny::TxnId> readers;
    db->board.AppendPinned(&readers);
    info.readers = static_cast<uint32_t>(readers.size());
    info.oldest_reader_id = readers.empty() ? 0 : *std::min_element(readers.begin(), readers.end());
    info.size_limit = db->options.size_limit;
    info.memory_budget = db->options.memory_budget;
    info.address_space = db->store->reserved();
    info.max_value_size = db->store->reserved() / 2;
    info.max_key_size = static_cast<uint32_t>(johnny::format::MaxKeySize(db->page_size()));
    info.durability = static_cast<uint32_t>(db->options.durability);
    info.max_readers = db->options.max_readers;
    info.read_only = db->options.read_only ? 1 : 0;
    info.writes_refused = db->writes_refused.load(std::memory_order_relaxed) ? 1 : 0;
    info.clean = db->opened_clean ? 1 : 0;
    // The free-space figures belong to whoever holds the writer lock; waiting for a long transaction would be no help to a
    // monitor.
    absl::Status status;
    if (db->writer.TryAcquire()) {
      status = db->LoadSpace();
      if (status.ok()) {
        db->space->ReleasePending();
        db->NoteFreeSpace();
        info.page_count = db->space->page_count();
      }
      db->writer.Release();
    }
    info.free_pages = db->free_pages.load(std::memory_order_relaxed);
    info.pending_pages = db->pending_pages.load(std::memory_order_relaxed);
    info.used_pages = info.page_count - std::min(info.page_count, info.free_pages + info.pending_pages);
    int filled = FillStruct(info, out);
    return status.ok() ? filled : Fail(status);
  });
}

int johnny_begin(johnny_env* env, uint32_t flags, johnny_txn** out) {
  return Guard([&] {
    if (env == nullptr || out == nullptr) {
      return Fail(Code::kInvalidArgument, "a null pointer");
    }
    if ((flags & ~uint32_t{JOHNNY_READ | JOHNNY_NO_WAIT}) != 0) {
      return Fail(Code::kInvalidArgument, "unknown flags");
    }
    return johnny::api::BeginWith(env, out, [flags](johnny::txn::Txn* txn) {
      return (flags & JOHNNY_READ) != 0 ? txn->BeginRead() : txn->BeginWrite((flags & JOHNNY_NO_WAIT) == 0);
    });
  });
}

int johnny_commit_with(johnny_txn* txn, uint32_t durability) {
  return Guard([&] {
    if (int code = CheckActive(txn); code != JOHNNY_OK) {
      return code;
    }
    johnny::api::DetachCursors(txn);
    absl::Cleanup give_back = [txn] {
      if (txn->txn.active()) {  // memory ran out on the way
        txn->txn.Abort();
      }
      johnny::api::GiveHandleBack(txn);
    };
    if (durability > JOHNNY_LAZY) {
      txn->txn.Abort();
      return Fail(Code::kInvalidArgument, absl::StrCat("unknown durability ", durability, "; the transaction was aborted"));
    }
    absl::Status status = txn->txn.Commit(static_cast<Durability>(durability));
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
    johnny::api::DetachCursors(txn);
    txn->txn.Abort();
    johnny::api::GiveHandleBack(txn);
    return static_cast<int>(JOHNNY_OK);
  });
}

int johnny_reset(johnny_txn* txn) {
  if (int code = johnny::api::UseTxn(txn); code != JOHNNY_OK) {
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
  txn->txn.Renew();
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
  info.lag = txn->txn.write() ? 0 : txn->env->db->board.newest() - txn->txn.id();
  return FillStruct(info, out);
}

}  // extern "C"
