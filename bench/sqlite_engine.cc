// SQLite. One table of key and value without rowids; prepared statements; a write-ahead log with synchronous = FULL (durable) or
// OFF (lazy), checkpointed each 40 MB; the file mapped for reads, as far as the library was built to; a page cache of an eighth
// of the tuning's (512 MiB). The connection that writes is shared by all threads, under a mutex, which beats several connections
// that wait for each other; every reader has a connection of its own. A reader's snapshot begins with its first call.
#include <sqlite3.h>

#include <mutex>

#include "engine.h"

namespace bench {
namespace {

// A connection with its statements.
class Connection {
 public:
  Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() {
    for (sqlite3_stmt* statement : {begin_read, begin_write, commit, get, put, remove, up, down, from, count}) {
      sqlite3_finalize(statement);
    }
    sqlite3_close(db_);
  }

  void Open(const std::string& file, Sync sync, uint64_t cache_bytes) {
    Ok(sqlite3_open_v2(file.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr), "open");
    Execute("PRAGMA journal_mode = WAL");
    Execute(sync == Sync::kLazy ? "PRAGMA synchronous = OFF" : "PRAGMA synchronous = FULL");
    Execute("PRAGMA wal_autocheckpoint = 10000");
    Execute("PRAGMA mmap_size = 68719476736");
    Execute("PRAGMA cache_size = -" + std::to_string(cache_bytes / 8 / 1024));
    Execute("PRAGMA temp_store = MEMORY");
    Execute("CREATE TABLE IF NOT EXISTS entries (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID");
    begin_read = Prepare("BEGIN");
    begin_write = Prepare("BEGIN IMMEDIATE");
    commit = Prepare("COMMIT");
    get = Prepare("SELECT v FROM entries WHERE k = ?");
    put = Prepare("REPLACE INTO entries VALUES (?, ?)");
    remove = Prepare("DELETE FROM entries WHERE k = ?");
    up = Prepare("SELECT k, v FROM entries ORDER BY k");
    down = Prepare("SELECT k, v FROM entries ORDER BY k DESC");
    from = Prepare("SELECT k, v FROM entries WHERE k >= ? ORDER BY k");
    count = Prepare("SELECT count(*) FROM entries");
  }

  void Ok(int code, const char* what) const {
    if (code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW) {
      Die(what, sqlite3_errmsg(db_));
    }
  }
  void Execute(const std::string& statement) const {
    Ok(sqlite3_exec(db_, statement.c_str(), nullptr, nullptr, nullptr), statement.c_str());
  }
  // For statements without results.
  void Run(sqlite3_stmt* statement, const char* what) const {
    Ok(sqlite3_step(statement), what);
    sqlite3_reset(statement);
  }
  static void Bind(sqlite3_stmt* statement, int index, std::string_view bytes) {
    sqlite3_bind_blob(statement, index, bytes.data(), static_cast<int>(bytes.size()), SQLITE_STATIC);
  }
  static std::string_view Column(sqlite3_stmt* statement, int index) {
    const void* bytes = sqlite3_column_blob(statement, index);
    return {static_cast<const char*>(bytes), static_cast<size_t>(sqlite3_column_bytes(statement, index))};
  }
  int changes() const { return sqlite3_changes(db_); }

  sqlite3_stmt *begin_read = nullptr, *begin_write = nullptr, *commit = nullptr, *get = nullptr, *put = nullptr;
  sqlite3_stmt *remove = nullptr, *up = nullptr, *down = nullptr, *from = nullptr, *count = nullptr;

 private:
  sqlite3_stmt* Prepare(const char* text) const {
    sqlite3_stmt* statement = nullptr;
    Ok(sqlite3_prepare_v3(db_, text, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr), text);
    return statement;
  }

  sqlite3* db_ = nullptr;
};

class Sqlite : public Engine {
 public:
  explicit Sqlite(const Tuning& tuning) : tuning_(tuning) {}

  void Open(const std::string& path, Sync sync) override {
    file_ = DataFile(path);
    sync_ = sync;
    writer_ = std::make_unique<Connection>();
    writer_->Open(file_, sync, tuning_.cache_bytes);
  }
  void Close() override {
    for (Reader& reader : read_) {
      reader.connection.reset();
      reader.begun = false;
    }
    writer_.reset();
  }

  void BeginWrite() override {
    turn_.lock();
    writer_->Run(writer_->begin_write, "begin");
  }
  void Put(std::string_view key, std::string_view value) override {
    Connection::Bind(writer_->put, 1, key);
    Connection::Bind(writer_->put, 2, value);
    writer_->Run(writer_->put, "put");
  }
  bool Delete(std::string_view key) override {
    Connection::Bind(writer_->remove, 1, key);
    writer_->Run(writer_->remove, "delete");
    return writer_->changes() == 1;
  }
  void Commit() override {
    writer_->Run(writer_->commit, "commit");
    turn_.unlock();
  }

  void BeginRead(int reader) override {
    Reader& r = read_[reader];
    if (r.connection == nullptr) {
      r.connection = std::make_unique<Connection>();
      r.connection->Open(file_, sync_, tuning_.cache_bytes);
    }
    r.connection->Run(r.connection->begin_read, "begin");
    r.begun = true;
  }
  bool Get(int reader, std::string_view key, std::string_view* value) override {
    Connection& c = *read_[reader].connection;
    sqlite3_reset(c.get);  // now, so that the value could be used until now
    Connection::Bind(c.get, 1, key);
    int code = sqlite3_step(c.get);
    c.Ok(code, "get");
    if (code != SQLITE_ROW) {
      return false;
    }
    *value = Connection::Column(c.get, 0);
    return true;
  }
  void EndRead(int reader) override {
    Reader& r = read_[reader];
    sqlite3_reset(r.connection->get);
    r.connection->Run(r.connection->commit, "end");
    r.begun = false;
  }
  void DropReader(int reader) override {
    if (read_[reader].begun) {
      EndRead(reader);
    }
  }
  uint64_t Scan(int reader, bool forward, uint64_t* entries) override {
    Connection& c = *read_[reader].connection;
    uint64_t sum = 0;
    *entries = Visit(c, forward ? c.up : c.down, UINT64_MAX, &sum);
    return sum;
  }
  uint64_t SeekScan(int reader, std::string_view from, uint64_t limit, uint64_t* sum) override {
    Connection& c = *read_[reader].connection;
    Connection::Bind(c.from, 1, from);
    return Visit(c, c.from, limit, sum);
  }
  uint64_t Len(int reader) override {
    Connection& c = *read_[reader].connection;
    c.Ok(sqlite3_step(c.count), "count");
    auto entries = static_cast<uint64_t>(sqlite3_column_int64(c.count, 0));
    sqlite3_reset(c.count);
    return entries;
  }
  void Settle() override { writer_->Execute("PRAGMA wal_checkpoint(TRUNCATE)"); }
  std::string Compact(const std::string& path, const std::string& /*spare*/) override {
    writer_->Execute("VACUUM");
    Settle();
    return path;
  }

  static std::string DataFile(const std::string& path) { return path + "/data.sqlite"; }
  std::string Describe() const override {
    return std::string("SQLite ") + sqlite3_libversion() +
           ", WITHOUT ROWID, WAL checkpointed each 40 MB, mapped, synchronous = FULL; lazy: OFF";
  }

 private:
  struct Reader {
    std::unique_ptr<Connection> connection;
    bool begun = false;
  };

  static uint64_t Visit(const Connection& c, sqlite3_stmt* statement, uint64_t limit, uint64_t* sum) {
    uint64_t visited = 0;
    int code = SQLITE_DONE;
    while (visited < limit && (code = sqlite3_step(statement)) == SQLITE_ROW) {
      Connection::Column(statement, 0);
      *sum += Touch(Connection::Column(statement, 1));
      ++visited;
    }
    c.Ok(code, "scan");
    sqlite3_reset(statement);
    return visited;
  }

  Tuning tuning_;
  std::string file_;
  Sync sync_ = Sync::kLazy;
  std::mutex turn_;  // of who writes
  std::unique_ptr<Connection> writer_;
  Reader read_[kReaders];
};

}  // namespace

std::unique_ptr<Engine> MakeSqlite(const Tuning& tuning) { return std::make_unique<Sqlite>(tuning); }

}  // namespace bench
