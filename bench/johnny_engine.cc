#include <johnny/johnny.h>

#include <utility>

#include "engine.h"

namespace bench {
namespace {

void Ok(int code, const char* what) {
  if (code != JOHNNY_OK) {
    Die(what, johnny_last_error_message());
  }
}

class Johnny : public Engine {
 public:
  explicit Johnny(const JohnnyChoices& choices) : choices_(choices) {}

  void Open(const std::string& path, Sync sync) override {
    johnny_options options;
    johnny_options_init(&options);
    options.flags = JOHNNY_CREATE;
    options.durability = sync == Sync::kLazy ? JOHNNY_LAZY : sync == Sync::kTwoPhase ? JOHNNY_TWO_PHASE : JOHNNY_SINGLE_SYNC;
    Ok(johnny_open(DataFile(path).c_str(), &options, &env_), "open");
  }
  void Close() override { Ok(johnny_close(env_), "close"); }

  void BeginWrite() override { Ok(johnny_begin(env_, 0, &write_), "begin"); }
  void Put(std::string_view key, std::string_view value) override {
    Ok(johnny_put(write_, nullptr, key.data(), key.size(), value.data(), value.size(), 0), "put");
  }
  void Append(std::string_view key, std::string_view value) override {
    Ok(johnny_put(write_, nullptr, key.data(), key.size(), value.data(), value.size(), JOHNNY_APPEND), "append");
  }
  bool Delete(std::string_view key) override { return johnny_delete(write_, nullptr, key.data(), key.size()) == JOHNNY_OK; }
  void Commit() override { Ok(johnny_commit(write_), "commit"); }

  void BeginRead(int reader) override {
    if (read_[reader] == nullptr) {
      Ok(johnny_begin(env_, JOHNNY_READ, &read_[reader]), "begin");
    } else {
      Ok(johnny_renew(read_[reader]), "renew");
    }
  }
  bool Get(int reader, std::string_view key, std::string_view* value) override {
    johnny_slice slice;
    if (johnny_get(read_[reader], nullptr, key.data(), key.size(), &slice) != JOHNNY_OK) {
      return false;
    }
    *value = {static_cast<const char*>(slice.data), slice.size};
    return true;
  }
  void EndRead(int reader) override { choices_.renew ? Ok(johnny_reset(read_[reader]), "reset") : DropReader(reader); }
  void DropReader(int reader) override { Ok(johnny_abort(std::exchange(read_[reader], nullptr)), "end"); }
  uint64_t Scan(int reader, bool forward, uint64_t* entries) override {
    johnny_cursor* cursor;
    Ok(johnny_cursor_open(read_[reader], nullptr, &cursor), "cursor");
    johnny_slice key, value;
    uint64_t sum = 0;
    for (*entries = 0;
         (forward ? johnny_cursor_next(cursor, &key, &value) : johnny_cursor_prev(cursor, &key, &value)) == JOHNNY_OK;
         ++*entries) {
      sum += *static_cast<const unsigned char*>(value.data) + value.size;
    }
    johnny_cursor_close(cursor);
    return sum;
  }
  Space GetSpace() override {
    johnny_env_info info = {};
    info.struct_size = sizeof info;
    Ok(johnny_env_get_info(env_, &info), "info");
    return {info.used_pages * info.page_size, info.free_pages * info.page_size, info.pending_pages * info.page_size};
  }
  std::string DataFile(const std::string& path) const override { return path + "/data.johnny"; }

 private:
  JohnnyChoices choices_;
  johnny_env* env_ = nullptr;
  johnny_txn* write_ = nullptr;
  johnny_txn* read_[kReaders] = {};
};

}  // namespace

std::unique_ptr<Engine> MakeJohnny(const JohnnyChoices& choices) { return std::make_unique<Johnny>(choices); }

}  // namespace bench
