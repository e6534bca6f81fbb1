// LMDB. Durable: its plain commit. Lazy: MDB_NOSYNC. MDB_NOTLS and renewed read transactions and cursors, MDB_APPEND for
// ascending keys, a map that never needs to grow; MDB_WRITEMAP and MDB_NORDAHEAD are contenders of their own. (Without
// MDB_NORDAHEAD the system reads ahead around every page, which helps scans of a cold file and hurts gets.)
#include <lmdb.h>

#include <utility>

#include "engine.h"

namespace bench {
namespace {

void Ok(int code, const char* what) {
  if (code != MDB_SUCCESS) {
    Die(what, mdb_strerror(code));
  }
}

std::string_view View(const MDB_val& value) { return {static_cast<const char*>(value.mv_data), value.mv_size}; }
MDB_val Val(std::string_view bytes) { return {bytes.size(), const_cast<char*>(bytes.data())}; }

class Lmdb : public Engine {
 public:
  explicit Lmdb(const LmdbChoices& choices) : choices_(choices) {}

  void Open(const std::string& path, Sync sync) override {
    Ok(mdb_env_create(&env_), "create");
    Ok(mdb_env_set_mapsize(env_, size_t{64} << 30), "mapsize");
    // LMDB has one durable mode.
    unsigned flags = MDB_NOSUBDIR | (choices_.no_tls ? MDB_NOTLS : 0) | (sync == Sync::kLazy ? MDB_NOSYNC : 0) |
                     (choices_.write_map ? MDB_WRITEMAP : 0) | (choices_.no_readahead ? MDB_NORDAHEAD : 0);
    Ok(mdb_env_open(env_, DataFile(path).c_str(), flags, 0644), "open");
    MDB_txn* txn;
    Ok(mdb_txn_begin(env_, nullptr, 0, &txn), "begin");
    Ok(mdb_dbi_open(txn, nullptr, 0, &dbi_), "dbi");
    Ok(mdb_txn_commit(txn), "commit");
  }
  void Close() override {
    for (int i = 0; i < kReaders; ++i) {
      DropReader(i);
    }
    Ok(mdb_env_sync(env_, 1), "sync");
    mdb_env_close(env_);
  }

  void BeginWrite() override { Ok(mdb_txn_begin(env_, nullptr, 0, &write_), "begin"); }
  void Put(std::string_view key, std::string_view value) override {
    MDB_val k = Val(key), v = Val(value);
    Ok(mdb_put(write_, dbi_, &k, &v, 0), "put");
  }
  void Append(std::string_view key, std::string_view value) override {
    MDB_val k = Val(key), v = Val(value);
    Ok(mdb_put(write_, dbi_, &k, &v, MDB_APPEND), "append");
  }
  bool Delete(std::string_view key) override {
    MDB_val k = Val(key);
    return mdb_del(write_, dbi_, &k, nullptr) == MDB_SUCCESS;
  }
  void Commit() override { Ok(mdb_txn_commit(write_), "commit"); }

  void BeginRead(int reader) override {
    if (read_[reader] == nullptr) {
      Ok(mdb_txn_begin(env_, nullptr, MDB_RDONLY, &read_[reader]), "begin");
    } else {
      Ok(mdb_txn_renew(read_[reader]), "renew");
      stale_[reader] = true;
    }
  }
  bool Get(int reader, std::string_view key, std::string_view* value) override {
    MDB_val k = Val(key), v;
    if (mdb_get(read_[reader], dbi_, &k, &v) != MDB_SUCCESS) {
      return false;
    }
    *value = View(v);
    return true;
  }
  void EndRead(int reader) override { choices_.renew ? mdb_txn_reset(read_[reader]) : DropReader(reader); }
  void DropReader(int reader) override {
    if (read_[reader] != nullptr) {
      if (seeker_[reader] != nullptr) {
        mdb_cursor_close(std::exchange(seeker_[reader], nullptr));
      }
      mdb_txn_abort(std::exchange(read_[reader], nullptr));
    }
  }
  uint64_t Scan(int reader, bool forward, uint64_t* entries) override {
    MDB_cursor* cursor;
    Ok(mdb_cursor_open(read_[reader], dbi_, &cursor), "cursor");
    MDB_val k, v;
    uint64_t sum = 0;
    for (*entries = 0; mdb_cursor_get(cursor, &k, &v, forward ? MDB_NEXT : MDB_PREV) == MDB_SUCCESS; ++*entries) {
      sum += Touch(View(v));
    }
    mdb_cursor_close(cursor);
    return sum;
  }
  uint64_t SeekScan(int reader, std::string_view from, uint64_t limit, uint64_t* sum) override {
    MDB_cursor*& cursor = seeker_[reader];
    if (cursor == nullptr) {
      Ok(mdb_cursor_open(read_[reader], dbi_, &cursor), "cursor");
    } else if (stale_[reader]) {
      Ok(mdb_cursor_renew(read_[reader], cursor), "cursor");
    }
    stale_[reader] = false;
    MDB_val k = Val(from), v;
    int code = limit == 0 ? MDB_NOTFOUND : mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    uint64_t visited = 0;
    while (code == MDB_SUCCESS) {
      *sum += Touch(View(v));
      code = ++visited < limit ? mdb_cursor_get(cursor, &k, &v, MDB_NEXT) : MDB_NOTFOUND;
    }
    return visited;
  }
  uint64_t Len(int reader) override {
    MDB_stat stat;
    Ok(mdb_stat(read_[reader], dbi_, &stat), "stat");
    return stat.ms_entries;
  }
  void Settle() override { Ok(mdb_env_sync(env_, 1), "sync"); }
  std::string Compact(const std::string& /*path*/, const std::string& spare) override {
    Ok(mdb_env_copy2(env_, DataFile(spare).c_str(), MDB_CP_COMPACT), "copy");
    return spare;
  }
  Space GetSpace() override {
    MDB_envinfo info;
    MDB_stat stat;
    Ok(mdb_env_info(env_, &info), "info");
    Ok(mdb_env_stat(env_, &stat), "stat");
    uint64_t used = stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
    return {used * stat.ms_psize, (info.me_last_pgno + 1 - used) * stat.ms_psize, 0};
  }
  static std::string DataFile(const std::string& path) { return path + "/data.mdb"; }
  std::string Describe() const override {
    return std::string(mdb_version(nullptr, nullptr, nullptr)) + ", MDB_NOTLS" + (choices_.write_map ? ", MDB_WRITEMAP" : "") +
           (choices_.no_readahead ? ", MDB_NORDAHEAD" : "") + ", lazy: MDB_NOSYNC, read transactions " +
           (choices_.renew ? "renewed" : "begun anew");
  }

 private:
  LmdbChoices choices_;
  MDB_env* env_ = nullptr;
  MDB_dbi dbi_ = 0;
  MDB_txn* write_ = nullptr;
  MDB_txn* read_[kReaders] = {};
  MDB_cursor* seeker_[kReaders] = {};  // of SeekScan()
  bool stale_[kReaders] = {};          // the transaction has been renewed since the cursor was
};

}  // namespace

std::unique_ptr<Engine> MakeLmdb(const LmdbChoices& choices) { return std::make_unique<Lmdb>(choices); }

}  // namespace bench
