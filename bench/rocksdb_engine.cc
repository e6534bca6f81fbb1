// RocksDB. A transaction is a WriteBatch, written with sync = true (durable) or false (lazy: the log is in the system's page
// cache, so that a killed process loses nothing), a read transaction a snapshot. No compression, since the others have none;
// bloom filters of 10 bits; a block cache that holds all the data and 64 MiB memtables; dynamic level sizes; two background jobs;
// gets into a PinnableSlice, MultiGet for many keys, one iterator a snapshot for seeks, external files for bulk loads. Deletes
// are blind: there is no cheap way to know whether the key was there. Before anything else is measured, loaded data are
// compacted.
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>
#include <rocksdb/version.h>
#include <rocksdb/write_batch.h>

#include "engine.h"

namespace bench {
namespace {

void Ok(const rocksdb::Status& status, const char* what) {
  if (!status.ok()) {
    Die(what, status.ToString().c_str());
  }
}

rocksdb::Slice ToSlice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
std::string_view View(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

// Each thread has its own, so that the commits of several can go to disk together.
thread_local rocksdb::WriteBatch write_batch;

class Rocksdb : public Engine {
 public:
  explicit Rocksdb(const Tuning& tuning) {
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = rocksdb::NewLRUCache(tuning.cache_bytes);
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10, false));
    options_.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    options_.create_if_missing = true;
    options_.compression = rocksdb::kNoCompression;
    options_.level_compaction_dynamic_level_bytes = true;
    options_.max_background_jobs = 2;
    options_.stats_dump_period_sec = 0;
  }

  void Open(const std::string& path, Sync sync) override {
    write_options_.sync = sync != Sync::kLazy;
    rocksdb::DB* db;
    Ok(rocksdb::DB::Open(options_, DataFile(path), &db), "open");
    db_.reset(db);
  }
  void Close() override {
    for (int i = 0; i < kReaders; ++i) {
      DropReader(i);
    }
    Ok(db_->SyncWAL(), "sync");
    Ok(db_->Close(), "close");
    db_.reset();
  }

  void BeginWrite() override { write_batch.Clear(); }
  void Put(std::string_view key, std::string_view value) override { Ok(write_batch.Put(ToSlice(key), ToSlice(value)), "put"); }
  bool Delete(std::string_view key) override { return write_batch.Delete(ToSlice(key)).ok(); }
  void Commit() override { Ok(db_->Write(write_options_, &write_batch), "commit"); }

  void BeginRead(int reader) override { read_[reader].options.snapshot = db_->GetSnapshot(); }
  bool Get(int reader, std::string_view key, std::string_view* value) override {
    Reader& r = read_[reader];
    r.value.Reset();
    rocksdb::Status status = db_->Get(r.options, db_->DefaultColumnFamily(), ToSlice(key), &r.value);
    *value = View(r.value);
    return status.ok();
  }
  void EndRead(int reader) override {
    read_[reader].iterator.reset();
    db_->ReleaseSnapshot(read_[reader].options.snapshot);
    read_[reader].options.snapshot = nullptr;
  }
  void DropReader(int reader) override {
    read_[reader].value.Reset();
    if (read_[reader].options.snapshot != nullptr) {
      EndRead(reader);
    }
  }
  uint64_t Scan(int reader, bool forward, uint64_t* entries) override {
    std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(read_[reader].options));
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
    std::unique_ptr<rocksdb::Iterator>& at = read_[reader].iterator;
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

  size_t GetMany(int reader, const std::string_view* keys, size_t count, uint64_t* sum) override {
    std::vector<rocksdb::Slice> slices(count);
    std::vector<rocksdb::PinnableSlice> values(count);
    std::vector<rocksdb::Status> statuses(count);
    for (size_t i = 0; i < count; ++i) {
      slices[i] = ToSlice(keys[i]);
    }
    db_->MultiGet(read_[reader].options, db_->DefaultColumnFamily(), count, slices.data(), values.data(), statuses.data());
    size_t found = 0;
    for (size_t i = 0; i < count; ++i) {
      if (statuses[i].ok()) {
        ++found;
        *sum += Touch(View(values[i]));
      }
    }
    return found;
  }
  // Files made outside and taken in.
  void BulkLoad(Source* source) override {
    std::vector<std::string> files;
    Write entry;
    for (bool more = source->Next(&entry); more;) {
      files.push_back(db_->GetName() + "/bulk-" + std::to_string(files.size()) + ".sst");
      rocksdb::SstFileWriter writer(rocksdb::EnvOptions(), options_);
      Ok(writer.Open(files.back()), "bulk file");
      for (uint64_t size = 0; more && size < options_.target_file_size_base; more = source->Next(&entry)) {
        Ok(writer.Put(ToSlice(entry.key), ToSlice(entry.value)), "bulk put");
        size += entry.key.size() + entry.value.size();
      }
      Ok(writer.Finish(), "bulk file");
    }
    rocksdb::IngestExternalFileOptions ingest;
    ingest.move_files = true;
    Ok(db_->IngestExternalFile(files, ingest), "ingest");
  }
  void Settle() override { Ok(db_->CompactRange({}, nullptr, nullptr), "compact"); }
  std::string Compact(const std::string& path, const std::string& /*spare*/) override {
    Settle();
    return path;
  }

  static std::string DataFile(const std::string& path) { return path + "/rocksdb"; }
  std::string Describe() const override {
    return "RocksDB " + std::to_string(ROCKSDB_MAJOR) + "." + std::to_string(ROCKSDB_MINOR) + "." +
           std::to_string(ROCKSDB_PATCH) +
           ", no compression, bloom filters of 10 bits, block cache for all data, write-ahead log; lazy: not synced";
  }

 private:
  struct Reader {
    rocksdb::ReadOptions options;
    rocksdb::PinnableSlice value;
    std::unique_ptr<rocksdb::Iterator> iterator;  // of SeekScan()
  };

  rocksdb::Options options_;
  rocksdb::WriteOptions write_options_;
  std::unique_ptr<rocksdb::DB> db_;
  Reader read_[kReaders];
};

}  // namespace

std::unique_ptr<Engine> MakeRocksdb(const Tuning& tuning) { return std::make_unique<Rocksdb>(tuning); }

}  // namespace bench
