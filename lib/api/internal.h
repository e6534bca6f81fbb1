// What the translation units of the C API share, and the seam for tests that bring their own system.
#ifndef JOHNNY_API_INTERNAL_H_
#define JOHNNY_API_INTERNAL_H_

#include <johnny/johnny.h>

#include <atomic>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <tuple>
#include <vector>

#include "absl/base/optimization.h"
#include "base/status.h"
#include "env/env.h"
#include "txn/txn.h"
#include "verify/scrub.h"

// An ended transaction's handle stays readable until its environment closes, so that its use can be told.
struct johnny_txn {
  explicit johnny_txn(johnny_env* owner, johnny::txn::Database* db) : env(owner), txn(db) {}
  johnny_env* env;
  std::atomic<bool> in_use{false};  // live, waiting to begin, or ending
  const uint64_t fork_generation = johnny::os::ForkGeneration();
  johnny::txn::Txn txn;
  std::vector<johnny_cursor*> cursors;
  std::vector<johnny_builder*> builders;
  johnny_txn* parent = nullptr;  // that it is nested in
  johnny_txn* child = nullptr;   // the open one nested in it
  johnny_txn* next_idle = nullptr;
};

struct johnny_cursor {
  johnny_txn* owner;  // null once the transaction has ended
  johnny::txn::TableState* state;
  const johnny::txn::Table* table;
  johnny::cursor::Cursor cursor;
};

struct johnny_builder {
  johnny_txn* owner;  // null once the transaction has ended
  johnny_table* table;
  bool replace;
  bool finished = false;
  bool broken = false;
  std::unique_ptr<johnny::tree::TreeBuilder> tree;
};

// An open database, however often this process has opened it.
struct johnny_env {
  std::unique_ptr<johnny::txn::Database> db;
  uint64_t id = 0;  // never used again in this process
  uint64_t fork_generation = 0;
  std::tuple<johnny::os::System*, uint64_t, uint64_t> file_key;  // with device and inode
  uint64_t uses = 1;                                             // guarded by the registry of environments
  johnny::Mutex mutex;
  std::vector<std::unique_ptr<johnny_txn>> txns ABSL_GUARDED_BY(mutex);
  // Ended ones, oldest first, linked by next_idle: giving a handle back must not need memory.
  johnny_txn* oldest_idle ABSL_GUARDED_BY(mutex) = nullptr;
  johnny_txn* newest_idle ABSL_GUARDED_BY(mutex) = nullptr;
  size_t idle_count ABSL_GUARDED_BY(mutex) = 0;
  johnny::Mutex scrub_mutex;  // held while `scrubber` is started or stopped
  johnny::verify::Scrubber scrubber;
};

namespace johnny::api {

// A public table handle is a txn::Table; null stays null and means the main table.
inline txn::Table* AsTable(johnny_table* table) { return reinterpret_cast<txn::Table*>(table); }
inline const txn::Table* AsTable(const johnny_table* table) { return reinterpret_cast<const txn::Table*>(table); }

// johnny_open() and johnny_salvage() on another system than POSIX.
int OpenWithSystem(os::System* system, const char* path, const johnny_options* options, johnny_env** env);
int SalvageWithSystem(os::System* system, const char* path, const char* out, const johnny_options* options,
                      johnny_loss_callback on_loss, void* context, johnny_salvage_result* result);

// Remembers the failure for johnny_last_error_message() and returns its code. They do not throw.
int Fail(const absl::Status& status);
int Fail(Code code, absl::string_view message);

// Runs `body`, turning std::bad_alloc into JOHNNY_NO_MEMORY.
template <typename Body>
int Guard(Body body) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return Fail(Code::kNoMemory, "memory ran out");
  } catch (const std::exception& defect) {
    return Fail(Code::kInternal, defect.what());
  }
}

// The same around a change: one that memory ran out for may be half done, so that the transaction can only be aborted.
template <typename Body>
int GuardChange(johnny_txn* txn, Body body) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    if (txn != nullptr && txn->txn.active() && txn->txn.write()) {
      txn->txn.Fail();
    }
    return Fail(Code::kNoMemory, "memory ran out; the transaction can only be aborted");
  } catch (const std::exception& defect) {
    if (txn != nullptr && txn->txn.active() && txn->txn.write()) {
      txn->txn.Fail();
    }
    return Fail(Code::kInternal, defect.what());
  }
}

// The reader in this slot, but for what it holds back.
johnny_reader_info DescribeReader(const txn::Database& db, uint32_t slot);

inline int NullPointer() { return Fail(Code::kInvalidArgument, "a null pointer"); }

// JOHNNY_OK if the environment can be used in this process.
int UseEnv(const johnny_env* env);
// JOHNNY_OK if the transaction can be used for reading, with its table's state; else the misuse's code.
int UseTxn(johnny_txn* txn);
inline bool IsUsable(johnny_txn* txn) {
  return txn != nullptr && txn->fork_generation == os::ForkGeneration() && txn->txn.active() && !txn->txn.paused() &&
         !txn->txn.IsGone();
}
// JOHNNY_OK if it is a write transaction that may go on.
int WhyNoChange(johnny_txn* txn);
inline int UseForChange(johnny_txn* txn) {
  return IsUsable(txn) && txn->txn.write() && !txn->txn.failed() ? static_cast<int>(JOHNNY_OK) : WhyNoChange(txn);
}
int UseNamedTable(johnny_txn* txn, johnny_table* table, txn::TableState** state);
inline int UseTable(johnny_txn* txn, johnny_table* table, txn::TableState** state) {
  if (ABSL_PREDICT_TRUE(table == nullptr && IsUsable(txn))) {
    *state = txn->txn.main_table();
    return JOHNNY_OK;
  }
  txn::TableState* found = nullptr;  // so that *state can stay in a register
  const int code = UseNamedTable(txn, table, &found);
  *state = found;
  return code;
}

// How many entries lie before each bound; null: before the first, and all.
int RankBounds(johnny_txn* txn, johnny_table* table, const johnny_slice* from, const johnny_slice* to, uint64_t entries,
               uint64_t* begin, uint64_t* end);

// The limits of what is stored; keys and values that are looked up have none.
int NoKey();
inline int CheckKey(const void* key, size_t key_size) {
  return ABSL_PREDICT_TRUE(key != nullptr || key_size == 0) ? static_cast<int>(JOHNNY_OK) : NoKey();
}
int CheckNewKey(const johnny_txn* txn, const void* key, size_t key_size);
int WhyNoEntry(const johnny_txn* txn, const void* key, size_t key_size, const void* value, size_t value_size);
inline int CheckNewEntry(const johnny_txn* txn, const void* key, size_t key_size, const void* value, size_t value_size) {
  uint32_t page_size = txn->txn.view().page_size();
  return key != nullptr && key_size <= format::MaxKeySize(page_size) && value != nullptr && value_size <= page_size
             ? static_cast<int>(JOHNNY_OK)  // a value within a page is within any limit
             : WhyNoEntry(txn, key, key_size, value, value_size);
}

// Copies a struct that may be shorter or longer in the caller's version: *out has its struct_size set by the caller.
template <typename T>
int FillStruct(const T& full, T* out) {
  size_t size = out->struct_size;
  if (size < sizeof(size_t)) {
    return Fail(Code::kInvalidArgument, "struct_size is not set");
  }
  size_t known = size < sizeof(T) ? size : sizeof(T);
  std::memcpy(out, &full, known);
  if (size > known) {
    std::memset(reinterpret_cast<char*>(out) + known, 0, size - known);
  }
  out->struct_size = size;
  return JOHNNY_OK;
}

// Reads a struct that may be shorter or longer in the caller's version over *full, which holds the defaults. Null: nothing.
template <typename T>
int TakeStruct(const T* given, T* full) {
  if (given == nullptr) {
    return JOHNNY_OK;
  }
  if (given->struct_size < sizeof(size_t)) {
    return Fail(Code::kInvalidArgument, "struct_size is not set");
  }
  std::memcpy(full, given, given->struct_size < sizeof(T) ? given->struct_size : sizeof(T));
  return JOHNNY_OK;
}

inline int Stopped() { return Fail(Code::kStopped, "the callback stopped it"); }

inline johnny_slice ToSlice(Slice slice) { return {slice.data(), slice.size()}; }

}  // namespace johnny::api

#endif  // JOHNNY_API_INTERNAL_H_
