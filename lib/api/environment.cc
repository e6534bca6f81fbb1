// Environments of the C API.
#include <johnny/johnny.h>

#include <algorithm>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "api/handles.h"
#include "api/internal.h"

using johnny::Code;
using johnny::api::Fail;
using johnny::api::FillStruct;
using johnny::api::Guard;
using johnny::api::UseEnv;
using johnny::txn::Database;
using johnny::txn::Durability;

namespace johnny::api {
namespace {

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
  if ((full.flags & ~uint32_t{JOHNNY_CREATE | JOHNNY_EXCLUSIVE | JOHNNY_READ_ONLY | JOHNNY_NO_LOCK_FILE | JOHNNY_ALLOW_NETWORK |
                              JOHNNY_NO_SHRINK}) != 0) {
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
  if (full.durability < JOHNNY_TWO_PHASE || full.durability > JOHNNY_ASYNC) {
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
  options->database.address_space = full.address_space;
  options->database.read_only = (full.flags & JOHNNY_READ_ONLY) != 0;
  options->database.durability = static_cast<Durability>(full.durability);
  options->database.memory_budget = full.memory_budget;
  options->database.max_readers = full.max_readers;
  options->database.slack_percent = full.slack_percent;
  options->database.size_limit = full.size_limit;
  options->database.sync_interval_ms = full.sync_interval_ms;
  options->database.sync_bytes = full.sync_bytes;
  options->database.shrink = (full.flags & JOHNNY_NO_SHRINK) == 0;
  options->database.reader_limit_ms = full.reader_limit_ms;
  options->database.reader_limit_bytes = full.reader_limit_bytes;
  options->use_lock_file = (full.flags & JOHNNY_NO_LOCK_FILE) == 0;
  options->allow_network = (full.flags & JOHNNY_ALLOW_NETWORK) != 0;
  options->lock_path = full.lock_path != nullptr ? full.lock_path : "";
  return JOHNNY_OK;
}

}  // namespace

int UseEnv(const johnny_env* env) {
  if (env == nullptr) {
    return Fail(Code::kInvalidArgument, "the environment is a null pointer");
  }
  return CheckProcess(env->fork_generation);
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
    auto prepare = [given](Database* db) {
      if (given != nullptr && given->struct_size >= sizeof *given && given->on_slow_reader != nullptr) {
        db->options.must_go = [db, ask = given->on_slow_reader, context = given->slow_reader_context](uint32_t slot,
                                                                                                      uint64_t pages) {
          johnny_reader_info info = DescribeReader(*db, slot);
          info.pages_held_back = pages;
          return ask(context, &info) == 0;
        };
      }
    };
    auto opened = ShareOrOpen(system, path, options, prepare);
    if (!opened.ok()) {
      return Fail(opened.status());
    }
    *env = *opened;
    return static_cast<int>(JOHNNY_OK);
  });
}

}  // namespace johnny::api

// Free-space figures: the writer's own, when there is none; else those of the last commit.
namespace johnny::api {
namespace {

absl::Status FillSpaceInfo(Database* db, johnny_env_info* info) {
  absl::Status status;
  if (!db->options.read_only && !db->writes_refused() && db->BecomeWriter(0).ok()) {
    absl::Cleanup release = [db] { db->writer.Release(); };
    status = db->LoadSpace();
    if (status.ok()) {
      db->ReleasePending();
      db->NoteFreeSpace();
      info->page_count = db->space->page_count();
    }
  } else if (db->options.read_only) {  // which the writer's figures need not fit
    txn::Txn reader(db);
    status = reader.BeginRead();
    if (status.ok()) {
      auto space = db->LoadSpaceOf(reader.snapshot());
      status = space.status();
      if (space.ok()) {
        info->page_count = (*space)->page_count();
        info->free_pages = (*space)->free_pages();
        info->pending_pages = (*space)->pending_pages();
        return status;
      }
    }
  }
  info->free_pages = db->state().free_pages.load(std::memory_order_relaxed);
  info->pending_pages = db->state().pending_pages.load(std::memory_order_relaxed);
  return status;
}

}  // namespace
}  // namespace johnny::api

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
  options->sync_bytes = uint64_t{64} << 20;
}

int johnny_open(const char* path, const johnny_options* options, johnny_env** env) {
  return johnny::api::OpenWithSystem(johnny::os::PosixSystem(), path, options, env);
}

int johnny_close(johnny_env* env) {
  if (env == nullptr) {
    return JOHNNY_OK;
  }
  return Guard([&] {
    absl::Status status = johnny::api::Release(env);
    return status.ok() ? static_cast<int>(JOHNNY_OK) : Fail(status);
  });
}

int johnny_sync(johnny_env* env) {
  return Guard([&] {
    if (int code = UseEnv(env); code != JOHNNY_OK) {
      return code;
    }
    Database* db = env->db.get();
    if (db->options.read_only) {
      return Fail(Code::kReadOnlyEnv, "the environment was opened read-only");
    }
    absl::Status status = db->Sync();
    return status.ok() ? static_cast<int>(JOHNNY_OK) : Fail(status);
  });
}

int johnny_wait_durable(johnny_env* env, uint64_t id) {
  return Guard([&] {
    if (int code = UseEnv(env); code != JOHNNY_OK) {
      return code;
    }
    absl::Status status = env->db->WaitDurable(id);
    return status.ok() ? static_cast<int>(JOHNNY_OK) : Fail(status);
  });
}

int johnny_reader_check(johnny_env* env, uint32_t* freed) {
  return Guard([&] {
    if (int code = UseEnv(env); code != JOHNNY_OK) {
      return code;
    }
    uint32_t found = env->db->FreeDeadReaders();
    if (freed != nullptr) {
      *freed = found;
    }
    return static_cast<int>(JOHNNY_OK);
  });
}

int johnny_env_get_info(johnny_env* env, johnny_env_info* out) {
  return Guard([&] {
    if (int code = UseEnv(env); code != JOHNNY_OK) {
      return code;
    }
    if (out == nullptr) {
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
    info.durable_txn_id = db->durable_txn();
    info.discarded_txn_id = db->discarded_txn;
    db->FreeDeadReaders();
    info.processes = db->lock_file != nullptr ? db->lock_file->CountProcesses() : 1;
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
    info.writes_refused = db->writes_refused() ? 1 : 0;
    info.clean = db->opened_clean ? 1 : 0;
    absl::Status status = johnny::api::FillSpaceInfo(db, &info);
    info.used_pages = info.page_count - std::min(info.page_count, info.free_pages + info.pending_pages);
    int filled = FillStruct(info, out);
    return status.ok() ? filled : Fail(status);
  });
}

}  // extern "C"
