// What the benchmark asks of an engine. Adapters use each engine's public API as its own users would.
#ifndef JOHNNY_BENCH_ENGINE_H_
#define JOHNNY_BENCH_ENGINE_H_

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

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

// Bytes of the newest snapshot's pages. LMDB does not say which of the free ones wait for readers.
struct Space {
  uint64_t used = 0, free = 0, pending = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;

  virtual void Open(const std::string& path, Sync sync) = 0;
  virtual void Close() = 0;

  // Several threads may call these: the handle of the write transaction belongs to whose turn it is.
  virtual void BeginWrite() = 0;
  virtual void Put(std::string_view key, std::string_view value) = 0;
  virtual void Append(std::string_view key, std::string_view value) = 0;
  virtual bool Delete(std::string_view key) = 0;
  virtual void Commit() = 0;

  // `reader` numbers concurrent snapshots, less than kReaders. Different readers may be used by different threads.
  static constexpr int kReaders = 64;
  virtual void BeginRead(int reader) = 0;
  virtual bool Get(int reader, std::string_view key, std::string_view* value) = 0;
  virtual void EndRead(int reader) = 0;
  // Ends the reader for good, with what EndRead() keeps for the next BeginRead(); by the thread that used it.
  virtual void DropReader(int reader) = 0;
  // Visits every entry in order (or in reverse) and returns the sum of the values' first bytes and sizes, so that nothing is
  // skipped.
  virtual uint64_t Scan(int reader, bool forward, uint64_t* entries) = 0;

  virtual Space GetSpace() = 0;
  virtual std::string DataFile(const std::string& path) const = 0;
};

struct JohnnyChoices {
  bool renew = false;  // reset and renew read transactions instead of ending them
};
struct LmdbChoices {
  bool write_map = false;  // MDB_WRITEMAP
  bool no_tls = true;      // MDB_NOTLS: a thread may hold several snapshots
  bool renew = true;       // as its documentation advises
};
std::unique_ptr<Engine> MakeJohnny(const JohnnyChoices& choices = {});
std::unique_ptr<Engine> MakeLmdb(const LmdbChoices& choices = {});

// Prints what failed and exits: a benchmark has nothing better to do.
[[noreturn]] void Die(const char* what, const char* why);

}  // namespace bench

#endif  // JOHNNY_BENCH_ENGINE_H_
