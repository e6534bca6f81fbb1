// JohnnyDB by its public C interface, with the default options. Read transactions are begun and ended (renewing them is an
// option).
#include <johnny/johnny.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "engine.h"

namespace bench {
namespace {

void Ok(int code, const char* what) {
  if (code != JOHNNY_OK) {
    Die(what, johnny_last_error_message());
  }
}

std::string_view View(const johnny_slice& slice) { return {static_cast<const char*>(slice.data), slice.size}; }

johnny_slice ToSlice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }

// All entries in order.
class CursorSource : public Source {
 public:
  explicit CursorSource(johnny_txn* txn) { Ok(johnny_cursor_open(txn, nullptr, &cursor_), "cursor"); }
  ~CursorSource() override { johnny_cursor_close(cursor_); }
  bool Next(Write* entry) override {
    johnny_slice key, value;
    if (johnny_cursor_next(cursor_, &key, &value) != JOHNNY_OK) {
      return false;
    }
    *entry = {View(key), View(value)};
    return true;
  }

 private:
  johnny_cursor* cursor_;
};

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
    *value = View(slice);
    return true;
  }
  void EndRead(int reader) override { choices_.renew ? Ok(johnny_reset(read_[reader]), "reset") : DropReader(reader); }
  void DropReader(int reader) override {
    if (read_[reader] != nullptr) {
      johnny_cursor_close(std::exchange(seeker_[reader], nullptr));
      Ok(johnny_abort(std::exchange(read_[reader], nullptr)), "end");
    }
  }
  uint64_t Scan(int reader, bool forward, uint64_t* entries) override {
    johnny_cursor* cursor;
    Ok(johnny_cursor_open(read_[reader], nullptr, &cursor), "cursor");
    johnny_slice key, value;
    uint64_t sum = 0;
    for (*entries = 0;
         (forward ? johnny_cursor_next(cursor, &key, &value) : johnny_cursor_prev(cursor, &key, &value)) == JOHNNY_OK;
         ++*entries) {
      sum += Touch(View(value));
    }
    johnny_cursor_close(cursor);
    return sum;
  }
  uint64_t SeekScan(int reader, std::string_view from, uint64_t limit, uint64_t* sum) override {
    johnny_cursor*& cursor = seeker_[reader];
    if (cursor == nullptr) {
      Ok(johnny_cursor_open(read_[reader], nullptr, &cursor), "cursor");
    }
    johnny_slice key, value;
    int code = limit == 0 ? JOHNNY_NOT_FOUND
                          : johnny_cursor_seek(cursor, from.data(), from.size(), JOHNNY_SEEK_AT_OR_AFTER, &key, &value);
    uint64_t visited = 0;
    while (code == JOHNNY_OK) {
      *sum += Touch(View(value));
      code = ++visited < limit ? johnny_cursor_next(cursor, &key, &value) : JOHNNY_NOT_FOUND;
    }
    return visited;
  }
  size_t GetMany(int reader, const std::string_view* keys, size_t count, uint64_t* sum) override {
    keys_.resize(count);
    values_.resize(count);
    std::transform(keys, keys + count, keys_.begin(), ToSlice);
    size_t found = 0;
    Ok(johnny_get_many(read_[reader], nullptr, keys_.data(), count, values_.data(), &found), "get many");
    for (const johnny_slice& value : values_) {
      *sum += value.data != nullptr ? Touch(View(value)) : 0;
    }
    return found;
  }
  uint64_t ScanMany(int reader, bool forward, uint64_t* entries) override {
    constexpr size_t kAtOnce = 64;
    johnny_slice keys[kAtOnce], values[kAtOnce];
    johnny_cursor* cursor;
    Ok(johnny_cursor_open(read_[reader], nullptr, &cursor), "cursor");
    auto move = forward ? johnny_cursor_next_many : johnny_cursor_prev_many;
    uint64_t sum = 0;
    size_t count = 0;
    for (*entries = 0; move(cursor, kAtOnce, keys, values, &count) == JOHNNY_OK; *entries += count) {
      for (size_t i = 0; i < count; ++i) {
        sum += Touch(View(values[i]));
      }
    }
    johnny_cursor_close(cursor);
    return sum;
  }
  void WriteBatch(const Write* writes, size_t count) override {
    writes_.resize(count);
    std::transform(writes, writes + count, writes_.begin(), [](const Write& write) {
      return johnny_write{ToSlice(write.key), ToSlice(write.value), 0, 0};
    });
    Ok(johnny_write_batch(write_, nullptr, writes_.data(), count), "write batch");
  }
  void BulkLoad(Source* source) override {
    BeginWrite();
    johnny_builder* builder;
    Ok(johnny_builder_open(write_, nullptr, 0, 0, &builder), "builder");
    for (Write entry; source->Next(&entry);) {
      Ok(johnny_builder_add(builder, entry.key.data(), entry.key.size(), entry.value.data(), entry.value.size()), "builder add");
    }
    Ok(johnny_builder_finish(builder), "builder finish");
    johnny_builder_close(builder);
    Commit();
  }
  uint64_t Len(int reader) override {
    johnny_table_info info = {};
    info.struct_size = sizeof info;
    Ok(johnny_table_get_info(read_[reader], nullptr, &info), "table info");
    return info.entries;
  }
  void Settle() override { Ok(johnny_sync(env_), "sync"); }
  // There is no call for it: a copy by the bulk builder, as a program can make one.
  std::string Compact(const std::string& /*path*/, const std::string& spare) override {
    Johnny copy(choices_);
    copy.Open(spare, Sync::kLazy);
    BeginRead(0);
    CursorSource source(read_[0]);
    copy.BulkLoad(&source);
    DropReader(0);
    copy.Close();
    return spare;
  }
  Space GetSpace() override {
    johnny_env_info info = {};
    info.struct_size = sizeof info;
    Ok(johnny_env_get_info(env_, &info), "info");
    return {info.used_pages * info.page_size, info.free_pages * info.page_size, info.pending_pages * info.page_size};
  }
  static std::string DataFile(const std::string& path) { return path + "/data.johnny"; }
  std::string Describe() const override { return std::string("JohnnyDB ") + johnny_version() + ", default options"; }

 private:
  JohnnyChoices choices_;
  johnny_env* env_ = nullptr;
  johnny_txn* write_ = nullptr;
  johnny_txn* read_[kReaders] = {};
  std::vector<johnny_slice> keys_, values_;  // of GetMany()
  std::vector<johnny_write> writes_;
  johnny_cursor* seeker_[kReaders] = {};  // of SeekScan(); opened once a transaction
};

}  // namespace

std::unique_ptr<Engine> MakeJohnny(const JohnnyChoices& choices) { return std::make_unique<Johnny>(choices); }

}  // namespace bench
