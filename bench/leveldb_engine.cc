// LevelDB. A transaction is a WriteBatch, written with sync = true (durable) or false (lazy: the log is in the system's page
// cache), a read transaction a snapshot. No compression, since the others have none; bloom filters of 10 bits; a block cache that
// holds all the data; 64 MiB memtables and 16 MiB files instead of 4 and 2; many open files. Deletes are blind. Before anything
// else is measured, loaded data are compacted.
#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/filter_policy.h>
#include <leveldb/write_batch.h>

#include "engine.h"

namespace bench {
namespace {

void Ok(const leveldb::Status& status, const char* what) {
  if (!status.ok()) {
    Die(what, status.ToString().c_str());
  }
}

leveldb::Slice ToSlice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
std::string_view View(const leveldb::Slice& slice) { return {slice.data(), slice.size()}; }

// Each thread has its own, so that the commits of several can go to disk together.
thread_local leveldb::WriteBatch write_batch;

class Leveldb : public Engine {
 public:
  explicit Leveldb(const Tuning& tuning)
      : cache_(leveldb::NewLRUCache(tuning.cache_bytes)), filter_(leveldb::NewBloomFilterPolicy(10)) {
    options_.create_if_missing = true;
    options_.compression = leveldb::kNoCompression;
    options_.block_cache = cache_.get();
    options_.filter_policy = filter_.get();
    options_.write_buffer_size = size_t{64} << 20;
    options_.max_file_size = size_t{16} << 20;
    options_.max_open_files = 10000;
  }

  void Open(const std::string& path, Sync sync) override {
    write_options_.sync = sync != Sync::kLazy;
    leveldb::DB* db;
    Ok(leveldb::DB::Open(options_, DataFile(path), &db), "open");
    db_.reset(db);
  }
  void Close() override {
    for (int i = 0; i < kReaders; ++i) {
      DropReader(i);
    }
    db_.reset();
  }

  void BeginWrite() override { write_batch.Clear(); }
  void Put(std::string_view key, std::string_view value) override { write_batch.Put(ToSlice(key), ToSlice(value)); }
  bool Delete(std::string_view key) override {
    write_batch.Delete(ToSlice(key));
    return true;
  }
  void Commit() override { Ok(db_->Write(write_options_, &write_batch), "commit"); }

  void BeginRead(int reader) override { read_[reader].options.snapshot = db_->GetSnapshot(); }
  bool Get(int reader, std::string_view key, std::string_view* value) override {
    Reader& r = read_[reader];
    leveldb::Status status = db_->Get(r.options, ToSlice(key), &r.value);
    *value = r.value;
    return status.ok();
  }
  void EndRead(int reader) override {
    read_[reader].iterator.reset();
    db_->ReleaseSnapshot(read_[reader].options.snapshot);
    read_[reader].options.snapshot = nullptr;
  }
  void DropReader(int reader) override {
    if (read_[reader].options.snapshot != nullptr) {
      EndRead(reader);
    }
  }
  uint64_t Scan(int reader, bool forward, uint64_t* entries) override {
    std::unique_ptr<leveldb::Iterator> at(db_->NewIterator(read_[reader].options));
    uint64_t sum = 0;
    *entries = 0;
    for (forward ? at->SeekToFirst() : at->SeekToLast(); at->Valid(); forward ? at->Next() : at->Prev()) {
      sum += Touch(View(at->value()));
      ++*entries;
    }
    Ok(at->status(), "scan");
    return sum;
  }
  uint64_t SeekScan(int reader, std::string_view from, uint64_t limit, uint64_t* sum) override {
    std::unique_ptr<leveldb::Iterator>& at = read_[reader].iterator;
    if (at == nullptr) {
      at.reset(db_->NewIterator(read_[reader].options));
    }
    uint64_t visited = 0;
    for (at->Seek(ToSlice(from)); visited < limit && at->Valid(); ++visited) {
      *sum += Touch(View(at->value()));
      if (visited + 1 < limit) {
        at->Next();
      }
    }
    return visited;
  }
  void Settle() override { db_->CompactRange(nullptr, nullptr); }
  std::string Compact(const std::string& path, const std::string& /*spare*/) override {
    Settle();
    return path;
  }

  static std::string DataFile(const std::string& path) { return path + "/leveldb"; }
  std::string Describe() const override {
    return "LevelDB " + std::to_string(leveldb::kMajorVersion) + "." + std::to_string(leveldb::kMinorVersion) +
           ", no compression, bloom filters of 10 bits, block cache for all data, 64 MiB memtables, write-ahead log; lazy: not "
           "synced";
  }

 private:
  struct Reader {
    leveldb::ReadOptions options;
    std::string value;
    std::unique_ptr<leveldb::Iterator> iterator;  // of SeekScan()
  };

  std::unique_ptr<leveldb::Cache> cache_;
  std::unique_ptr<const leveldb::FilterPolicy> filter_;
  leveldb::Options options_;
  leveldb::WriteOptions write_options_;
  std::unique_ptr<leveldb::DB> db_;
  Reader read_[kReaders];
};

}  // namespace

std::unique_ptr<Engine> MakeLeveldb(const Tuning& tuning) { return std::make_unique<Leveldb>(tuning); }

}  // namespace bench
