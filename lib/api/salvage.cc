#include "verify/salvage.h"

#include <johnny/johnny.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string>

#include "absl/cleanup/cleanup.h"
#include "api/internal.h"
#include "readers/lock_file.h"

namespace johnny::api {
namespace {

constexpr uint64_t kBytesPerTxn = 16 << 20;

johnny_slice ToSlice(const std::optional<std::string>& bytes) {
  return bytes ? johnny_slice{bytes->data(), bytes->size()} : johnny_slice{nullptr, 0};
}

// The last call's failure, with its words.
absl::Status LastFailure(int code) { return MakeStatus(static_cast<Code>(code), johnny_last_error_message()); }

// Writes what is found to a new database, many entries in a transaction.
class Writer : public verify::Rescuer {
 public:
  Writer(johnny_env* env, johnny_loss_callback on_loss, void* context, johnny_salvage_result* result)
      : env_(env), on_loss_(on_loss), context_(context), result_(*result) {}
  ~Writer() override {
    if (txn_ != nullptr) {
      johnny_abort(txn_);
    }
  }

  absl::Status OnTable(const std::string& name) override {
    JOHNNY_RETURN_IF_ERROR(Begin());
    johnny_table*& table = tables_[name];
    int code = johnny_table_open(txn_, name.c_str(), JOHNNY_TABLE_CREATE, &table);
    result_.tables += code == JOHNNY_OK ? 1 : 0;
    return code == JOHNNY_OK ? absl::OkStatus() : LastFailure(code);
  }

  absl::Status OnEntry(const std::string& table, Slice key, Slice value) override {
    JOHNNY_RETURN_IF_ERROR(Begin());
    johnny_table* handle = table.empty() ? nullptr : tables_[table];
    if (int code = johnny_put(txn_, handle, key.data(), key.size(), value.data(), value.size(), 0); code != JOHNNY_OK) {
      return LastFailure(code);
    }
    ++result_.entries;
    written_ += key.size() + value.size();
    return written_ < kBytesPerTxn ? absl::OkStatus() : Commit(JOHNNY_LAZY);
  }

  absl::Status OnLoss(const verify::Loss& found) override {
    JOHNNY_RETURN_IF_ERROR(Commit(JOHNNY_TWO_PHASE));
    ++result_.losses;
    result_.entries_lost += found.entries;
    johnny_loss loss = {};
    loss.struct_size = sizeof loss;
    loss.table = found.table ? found.table->c_str() : nullptr;
    loss.page = found.page;
    loss.from = ToSlice(found.from);
    loss.to = ToSlice(found.to);
    loss.entries = found.entries;
    loss.message = found.message.c_str();
    bool stop = on_loss_ != nullptr && on_loss_(context_, &loss) != 0;
    return stop ? MakeStatus(Code::kStopped, "the callback stopped it") : absl::OkStatus();
  }

  absl::Status Commit(uint32_t durability) {
    written_ = 0;
    int code = txn_ == nullptr ? static_cast<int>(JOHNNY_OK) : johnny_commit_with(txn_, durability);
    txn_ = nullptr;
    return code == JOHNNY_OK ? absl::OkStatus() : LastFailure(code);
  }

 private:
  absl::Status Begin() {
    int code = txn_ != nullptr ? static_cast<int>(JOHNNY_OK) : johnny_begin(env_, 0, &txn_);
    return code == JOHNNY_OK ? absl::OkStatus() : LastFailure(code);
  }

  johnny_env* env_;
  johnny_loss_callback on_loss_;
  void* context_;
  johnny_salvage_result& result_;
  johnny_txn* txn_ = nullptr;
  std::map<std::string, johnny_table*> tables_;
  uint64_t written_ = 0;
};

absl::Status OpenAlone(os::System* system, const char* path, txn::Database* damaged) {
  damaged->system = system;
  damaged->path = path;
  damaged->options.read_only = true;
  JOHNNY_ASSIGN_OR_RETURN(damaged->file, damaged->system->Open(path, os::OpenMode::kReadOnly, 0));
  // Those who open it for writing later find this in their way.
  JOHNNY_RETURN_IF_ERROR(damaged->file->Lock(readers::kPresence, os::File::LockKind::kShared));
  JOHNNY_ASSIGN_OR_RETURN(bool others, damaged->file->IsLockedByOthers(readers::kPresence));
  return others ? MakeStatus(Code::kBusy, std::string(path) + ": somebody has the database open") : absl::OkStatus();
}

int WriteAll(txn::Database* damaged, const format::MasterPage& master, johnny_env* env, johnny_loss_callback on_loss,
             void* context, johnny_salvage_result* result) {
  Writer writer(env, on_loss, context, result);
  absl::Status status = verify::Salvage(damaged, master, &writer);
  if (status.ok()) {
    status = writer.Commit(JOHNNY_TWO_PHASE);
  }
  if (int code = johnny_sync(env); status.ok() && code != JOHNNY_OK) {
    status = LastFailure(code);
  }
  if (!status.ok()) {
    return Fail(status);
  }
  return result->losses == 0 ? static_cast<int>(JOHNNY_OK)
                             : Fail(Code::kCorrupt, "some of the database could not be read; the rest has been written");
}

int Salvage(os::System* system, const char* path, const char* out, const johnny_options* given, johnny_loss_callback on_loss,
            void* context, johnny_salvage_result* result) {
  txn::Database damaged;
  if (absl::Status status = OpenAlone(system, path, &damaged); !status.ok()) {
    return Fail(status);
  }
  absl::StatusOr<format::MasterPage> master = verify::OpenDamaged(&damaged);
  if (!master.ok()) {
    return Fail(master.status());
  }
  johnny_options options;
  johnny_options_init(&options);
  if (given != nullptr) {
    if (given->struct_size < sizeof given->struct_size) {
      return Fail(Code::kInvalidArgument, "options: struct_size is not set");
    }
    std::memcpy(&options, given, std::min(given->struct_size, sizeof options));
    options.struct_size = sizeof options;
  }
  options.flags |= JOHNNY_CREATE | JOHNNY_EXCLUSIVE;
  options.page_size = master->page_size;
  johnny_env* env = nullptr;
  if (int code = OpenWithSystem(system, out, &options, &env); code != JOHNNY_OK) {
    return code;
  }
  result->txn_id = master->txn;
  absl::Cleanup close = [env] { johnny_close(env); };  // should memory run out
  int code = WriteAll(&damaged, *master, env, on_loss, context, result);
  std::string words = johnny_last_error_message();
  std::move(close).Cancel();
  int closed = johnny_close(env);
  return code != JOHNNY_OK ? Fail(static_cast<Code>(code), words) : closed;
}

}  // namespace

int SalvageWithSystem(os::System* system, const char* path, const char* out, const johnny_options* options,
                      johnny_loss_callback on_loss, void* context, johnny_salvage_result* result) {
  return Guard([&] {
    if (path == nullptr || out == nullptr) {
      return NullPointer();
    }
    johnny_salvage_result figures = {};
    figures.struct_size = sizeof figures;
    int code = Salvage(system, path, out, options, on_loss, context, &figures);
    // Filled whatever was lost, unlike other functions' results.
    int filled = result == nullptr ? static_cast<int>(JOHNNY_OK) : FillStruct(figures, result);
    return code == JOHNNY_OK ? filled : code;
  });
}

}  // namespace johnny::api

int johnny_salvage(const char* path, const char* out, const johnny_options* options, johnny_loss_callback on_loss, void* context,
                   johnny_salvage_result* result) {
  return johnny::api::SalvageWithSystem(johnny::os::PosixSystem(), path, out, options, on_loss, context, result);
}
