// What a work is, and what it is given. A work measures one thing, or several that follow from one another, and reports figures.
#ifndef JOHNNY_BENCH_COMPARE_WORK_H_
#define JOHNNY_BENCH_COMPARE_WORK_H_

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "compare/data.h"
#include "engine.h"

namespace bench {

// What has been done before a work begins, untimed.
enum class Start {
  kEmpty,    // an empty database, open
  kLoaded,   // all entries loaded in random order, closed, opened with the work's durability
  kAged,     // and then overwritten in random order, lazily, `ageing` times as many entries
  kWarm,     // loaded, and scanned once
  kCold,     // loaded by a process that has ended; the work opens the database itself
  kDropped,  // the same, dropped from the page cache, and open
};

struct Settings {
  std::string engine, directory, data = "i100";
  std::vector<std::string> works;
  uint64_t entries = 1000000;
  uint64_t operations = UINT64_MAX;  // at most, in any work
  uint64_t ageing = 20;
  bool loaded = false;  // the directory has the data already
  Tuning tuning;
};

class Bench {
 public:
  explicit Bench(const Settings& settings);

  // ---- What works use ----

  Engine* engine() { return engine_.get(); }
  const DataSet& data() const { return data_; }
  const std::string& directory() const { return settings_.directory; }
  uint64_t entries() const { return settings_.entries; }
  uint64_t Operations(uint64_t wanted) const { return std::max<uint64_t>(1, std::min(wanted, settings_.operations)); }
  // An empty directory beside the database.
  std::string Spare() const;
  void Open(Sync sync) { engine_->Open(directory(), sync); }

  template <typename Body>
  static double Seconds(const Body& body) {
    auto begin = std::chrono::steady_clock::now();
    body();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  // Reports operations per second under the work's name with `suffix` behind.
  void Rate(uint64_t operations, double seconds, const std::string& suffix = "") const;
  // Reports a figure of which less is better.
  void Figure(double value, const char* unit, const std::string& suffix = "") const;

  // ---- What main() uses ----

  // The works, which must start alike, one after the other.
  void Run();

 private:
  void Prepare(Start start, Sync sync);
  void Report(const std::string& suffix, double value, const char* unit, bool more_is_better, uint64_t operations,
              double seconds) const;

  Settings settings_;
  DataSet data_;
  std::unique_ptr<Engine> engine_;
  const char* work_ = "";
};

struct Work {
  const char* name;
  // Works of the groups "reads", "aged" and "limited" may follow each other in one process; the driver runs all others alone.
  const char* group;
  Start start;
  Sync sync;
  void (*run)(Bench* bench);
  const char* data = "";  // "": any
  uint64_t entries = 0;   // 0: any
};

using Works = std::vector<Work>;
Works ReadWorks();
Works WriteWorks();
Works FileWorks();
Works YcsbWorks();
Works RedbWorks();
const Works& AllWorks();

// ---- Parts that several works share ----

constexpr uint64_t kBatch = 10000;  // entries a transaction when nothing else is said

// Runs `body(i)` in `threads` threads, each after its `warm_up(i)`; seconds from when all are ready until the last is done.
double SecondsInThreads(int threads, const std::function<void(int)>& warm_up, const std::function<void(int)>& body);
void LoadShuffled(Bench* bench);
// Puts of random keys, `per_txn` a transaction.
void Overwrite(Bench* bench, uint64_t operations, uint64_t per_txn, uint64_t seed);

}  // namespace bench

#endif  // JOHNNY_BENCH_COMPARE_WORK_H_
