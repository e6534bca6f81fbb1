// What the benchmarks ask of an engine. Adapters use each engine's public API as its own experienced users would, and say with
// which settings.
#ifndef JOHNNY_BENCH_ENGINE_H_
#define JOHNNY_BENCH_ENGINE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

// Big-endian, so that keys sort as their numbers do.
struct Key {
  char bytes[8];
  explicit Key(uint64_t number) {
    number = __builtin_bswap64(number);
    std::memcpy(bytes, &number, sizeof bytes);
  }
  operator std::string_view() const { return {bytes, sizeof bytes}; }
};

enum class Sync { kLazy, kTwoPhase, kSingleSync };

// Bytes of the newest snapshot's pages; zeros from engines that do not say. LMDB does not say which of the free ones wait for
// readers.
struct Space {
  uint64_t used = 0, free = 0, pending = 0;
};

struct Write {
  std::string_view key, value;
};

// Entries for BulkLoad(), keys ascending.
class Source {
 public:
  virtual ~Source() = default;
  // False at the end. What *entry points to is valid until the next call.
  virtual bool Next(Write* entry) = 0;
};

// What users set for their machine and data.
struct Tuning {
  uint64_t cache_bytes = uint64_t{4} << 30;  // for engines with a cache of their own; they take what they use
};

class Engine {
 public:
  virtual ~Engine() = default;

  // Creates the database in the directory `path` if there is none.
  virtual void Open(const std::string& path, Sync sync) = 0;
  virtual void Close() = 0;

  // Several threads may call these: the write transaction belongs to the thread whose turn it is.
  virtual void BeginWrite() = 0;
  virtual void Put(std::string_view key, std::string_view value) = 0;
  // The key is greater than all others.
  virtual void Append(std::string_view key, std::string_view value) { Put(key, value); }
  // False: it was not there, as far as the engine can tell.
  virtual bool Delete(std::string_view key) = 0;
  virtual void Commit() = 0;

  // `reader` numbers concurrent snapshots, less than kReaders. Different readers may be used by different threads.
  static constexpr int kReaders = 64;
  virtual void BeginRead(int reader) = 0;
  // *value is valid until the reader's next call.
  virtual bool Get(int reader, std::string_view key, std::string_view* value) = 0;
  virtual void EndRead(int reader) = 0;
  // Ends the reader for good, with what EndRead() keeps for the next BeginRead(); by the thread that used it.
  virtual void DropReader(int reader) = 0;
  // Visits every entry in order (or in reverse) and returns the sum of Touch() of the values.
  virtual uint64_t Scan(int reader, bool forward, uint64_t* entries) = 0;
  // Visits at most `limit` entries from the first key >= `from` on; returns how many, and adds Touch() of their values to *sum.
  virtual uint64_t SeekScan(int reader, std::string_view from, uint64_t limit, uint64_t* sum) = 0;

  // What some engines have a call of its own for; by the calls above in the others.

  // Returns how many of the keys are there, and adds Touch() of their values to *sum.
  virtual size_t GetMany(int reader, const std::string_view* keys, size_t count, uint64_t* sum);
  // Scan(), several entries a call.
  virtual uint64_t ScanMany(int reader, bool forward, uint64_t* entries) { return Scan(reader, forward, entries); }
  // Puts all of them, in no particular order, in the write transaction.
  virtual void WriteBatch(const Write* writes, size_t count);
  // Fills an empty database. Transactions of kBulkBatch appends.
  static constexpr uint64_t kBulkBatch = 10000;
  virtual void BulkLoad(Source* source);
  virtual uint64_t Len(int reader);
  // After loading: finishes what would go on in the background and be charged to whoever is measured next.
  virtual void Settle() {}
  // Makes the database, which nobody reads, as small as the engine can. `spare` is an empty directory. Returns the directory that
  // has the result; "": the engine has nothing of the kind.
  virtual std::string Compact(const std::string& path, const std::string& spare);

  virtual Space GetSpace() { return {}; }
  // The version, and the settings in a few words.
  virtual std::string Describe() const = 0;

 protected:
  // So that nothing is skipped.
  static uint64_t Touch(std::string_view value) {
    return value.empty() ? 0 : static_cast<unsigned char>(value[0]) + value.size();
  }
};

struct JohnnyChoices {
  bool renew = false;  // reset and renew read transactions instead of ending them
};
struct LmdbChoices {
  bool write_map = false;     // MDB_WRITEMAP
  bool no_tls = true;         // MDB_NOTLS: a thread may hold several snapshots
  bool renew = true;          // as its documentation advises
  bool no_readahead = false;  // MDB_NORDAHEAD
};
std::unique_ptr<Engine> MakeJohnny(const JohnnyChoices& choices = {});
std::unique_ptr<Engine> MakeLmdb(const LmdbChoices& choices = {});
std::unique_ptr<Engine> MakeRocksdb(const Tuning& tuning);
std::unique_ptr<Engine> MakeLeveldb(const Tuning& tuning);
std::unique_ptr<Engine> MakeSqlite(const Tuning& tuning);

// Of those that were there when this was built.
std::vector<std::string> EngineNames();
// Dies if there is none of this name.
std::unique_ptr<Engine> MakeEngine(const std::string& name, const Tuning& tuning = {});

// Prints what failed and exits: a benchmark has nothing better to do.
[[noreturn]] void Die(const char* what, const char* why);

}  // namespace bench

#endif  // JOHNNY_BENCH_ENGINE_H_
