// What the benchmark asks of an engine. Adapters use each engine's public API as its own users would.
#ifndef JOHNNY_BENCH_ENGINE_H_
#define JOHNNY_BENCH_ENGINE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace bench {

enum class Sync { kLazy, kTwoPhase, kSingleSync };

class Engine {
 public:
  virtual ~Engine() = default;

  virtual void Open(const std::string& path, Sync sync) = 0;
  virtual void Close() = 0;

  virtual void BeginWrite() = 0;
  virtual void Put(std::string_view key, std::string_view value) = 0;
  virtual void Append(std::string_view key, std::string_view value) = 0;
  virtual bool Delete(std::string_view key) = 0;
  virtual void Commit() = 0;

  // `reader` numbers concurrent snapshots.
  virtual void BeginRead(int reader) = 0;
  virtual bool Get(int reader, std::string_view key, std::string_view* value) = 0;
  virtual void EndRead(int reader) = 0;
  // Visits every entry in order (or in reverse) and returns the sum of the values' first bytes and sizes, so that nothing is
  // skipped.
  virtual uint64_t Scan(int reader, bool forward, uint64_t* entries) = 0;

  virtual std::string DataFile(const std::string& path) const = 0;
};

std::unique_ptr<Engine> MakeJohnny();
std::unique_ptr<Engine> MakeLmdb(bool write_map);

// Prints what failed and exits: a benchmark has nothing better to do.
[[noreturn]] void Die(const char* what, const char* why);

}  // namespace bench

#endif  // JOHNNY_BENCH_ENGINE_H_
