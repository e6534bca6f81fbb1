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

MDB_val Val(std::string_view bytes) { return {bytes.size(), const_cast<char*>(bytes.data())}; }

class Lmdb : public Engine {
 public:
  explicit Lmdb(const LmdbChoices& choices) : choices_(choices) {}

  void Open(const std::string& path, Sync sync) override {
    Ok(mdb_env_create(&env_), "create");
    Ok(mdb_env_set_mapsize(env_, size_t{64} << 30), "mapsize");
    // LMDB has one durable mode.
    unsigned flags = MDB_NOSUBDIR | (choices_.no_tls ? MDB_NOTLS : 0) | (sync == Sync::kLazy ? MDB_NOSYNC : 0) |
                     (choices_.write_map ? MDB_WRITEMAP : 0);
    Ok(mdb_env_open(env_, DataFile(path).c_str(), flags, 0644), "open");
    MDB_txn* txn;
    Ok(mdb_txn_begin(env_, nullptr, 0, &txn), "begin");
    Ok(mdb_dbi_open(txn, nullptr, 0, &dbi_), "dbi");
    Ok(mdb_txn_commit(txn), "commit");
  }
  void Close() override {
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
    }
  }
  bool Get(int reader, std::string_view key, std::string_view* value) override {
    MDB_val k = Val(key), v;
    if (mdb_get(read_[reader], dbi_, &k, &v) != MDB_SUCCESS) {
      return false;
    }
    *value = {static_cast<const char*>(v.mv_data), v.mv_size};
    return true;
  }
  void EndRead(int reader) override { choices_.renew ? mdb_txn_reset(read_[reader]) : DropReader(reader); }
  void DropReader(int reader) override { mdb_txn_abort(std::exchange(read_[reader], nullptr)); }
  uint64_t Scan(int reader, bool forward, uint64_t* entries) override {
    MDB_cursor* cursor;
    Ok(mdb_cursor_open(read_[reader], dbi_, &cursor), "cursor");
    MDB_val k, v;
    uint64_t sum = 0;
    for (*entries = 0; mdb_cursor_get(cursor, &k, &v, forward ? MDB_NEXT : MDB_PREV) == MDB_SUCCESS; ++*entries) {
      sum += *static_cast<const unsigned char*>(v.mv_data) + v.mv_size;
    }
    mdb_cursor_close(cursor);
    return sum;
  }
  Space GetSpace() override {
    MDB_envinfo info;
    MDB_stat stat;
    Ok(mdb_env_info(env_, &info), "info");
    Ok(mdb_env_stat(env_, &stat), "stat");
    uint64_t used = stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
    return {used * stat.ms_psize, (info.me_last_pgno + 1 - used) * stat.ms_psize, 0};
  }
  std::string DataFile(const std::string& path) const override { return path + "/data.mdb"; }

 private:
  LmdbChoices choices_;
  MDB_env* env_ = nullptr;
  MDB_dbi dbi_ = 0;
  MDB_txn* write_ = nullptr;
  MDB_txn* read_[kReaders] = {};
};

}  // namespace

std::unique_ptr<Engine> MakeLmdb(const LmdbChoices& choices) { return std::make_unique<Lmdb>(choices); }

}  // namespace bench
