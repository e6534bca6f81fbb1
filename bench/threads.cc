// Readers and durable writers in threads, JohnnyDB beside LMDB, all in one run and one after the other, so that what else the
// machine does falls on all of them.
//
//   bench_threads DIRECTORY [--work get|begin-get-end|commit ...] [--entries N] [--rounds N] [--seconds S] [--csv FILE]
//
// A line for each work, number of threads and contender: medians of the rounds (5 for reads, 3 for commits); ns per operation as
// one thread sees it; the ratio is the median of the rounds' ratios, and above 1 JohnnyDB (begin and end, two-phase) is faster
// than that contender. Data set i100: 8-byte big-endian integers, 100-byte values, loaded in random order; fixed seeds.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "engine.h"

namespace bench {

void Die(const char* what, const char* why) {
  std::fprintf(stderr, "bench_threads: %s: %s\n", what, why);
  std::exit(1);
}

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string directory;
  std::vector<std::string> works;
  uint64_t entries = 1000000;
  int rounds = 0;  // 0: 5 for reads, 3 for commits
  double seconds = 0.5;
  const char* csv = nullptr;
};

struct Value {
  char bytes[100] = {};
  Value(uint64_t key, uint64_t version) {
    std::memcpy(bytes, &key, sizeof key);
    std::memcpy(bytes + 8, &version, sizeof version);
  }
  operator std::string_view() const { return {bytes, sizeof bytes}; }
};

// Cheap, so that it is the engine that is measured.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
  uint64_t Below(uint64_t limit) {  // of 32 bits
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return ((state_ >> 32) * limit) >> 32;
  }

 private:
  uint64_t state_;
};

struct Contender {
  const char* name;
  std::function<std::unique_ptr<Engine>()> make;
  Sync sync = Sync::kLazy;
};

const std::vector<Contender>& Readers() {
  static const std::vector<Contender> contenders = {
      {"johnny", [] { return MakeJohnny(); }},
      {"johnny, renewed", [] { return MakeJohnny({.renew = true}); }},
      {"lmdb", [] { return MakeLmdb({.no_tls = false, .renew = false}); }},
      {"lmdb, renewed", [] { return MakeLmdb({.no_tls = false}); }},
      {"lmdb NOTLS", [] { return MakeLmdb({.renew = false}); }},
      {"lmdb NOTLS, renewed", [] { return MakeLmdb(); }},
  };
  return contenders;
}

const std::vector<Contender>& Writers() {
  static const std::vector<Contender> contenders = {
      {"johnny", [] { return MakeJohnny(); }, Sync::kTwoPhase},
      {"johnny, single sync", [] { return MakeJohnny(); }, Sync::kSingleSync},
      {"lmdb", [] { return MakeLmdb({.no_tls = false}); }, Sync::kTwoPhase},
  };
  return contenders;
}

void Load(Engine* engine, const Options& options) {
  engine->Open(options.directory, Sync::kLazy);
  std::vector<uint64_t> order(options.entries);
  for (uint64_t i = 0; i < options.entries; ++i) {
    order[i] = i;
  }
  std::shuffle(order.begin(), order.end(), std::mt19937_64(2004));
  for (uint64_t i = 0; i < options.entries;) {
    engine->BeginWrite();
    for (uint64_t end = std::min(options.entries, i + 10000); i < end; ++i) {
      engine->Put(Key(order[i]), Value(order[i], 0));
    }
    engine->Commit();
  }
  engine->Close();
}

// Runs `body(thread, stop)`, which returns how many operations it did, in all threads for the time; ns per operation.
template <typename Body>
double Measure(int threads, double seconds, const Body& body) {
  std::atomic<bool> go = false, stop = false;
  std::atomic<int> ready = 0;
  std::atomic<uint64_t> operations = 0;
  std::vector<std::thread> running;
  for (int i = 0; i < threads; ++i) {
    running.emplace_back([&, i] {
      ++ready;
      while (!go) {
        std::this_thread::yield();
      }
      operations += body(i, stop);
    });
  }
  while (ready < threads) {
    std::this_thread::yield();
  }
  auto begin = Clock::now();
  go = true;
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  for (std::thread& thread : running) {
    thread.join();
  }
  double elapsed = std::chrono::duration<double, std::nano>(Clock::now() - begin).count();
  return elapsed * threads / static_cast<double>(std::max<uint64_t>(operations, 1));
}

double MeasureReads(Engine* engine, const Options& options, int threads, bool begin_each) {
  return Measure(threads, options.seconds, [&](int thread, const std::atomic<bool>& stop) {
    Random random(static_cast<uint64_t>(thread) + 1);
    std::string_view value;
    uint64_t operations = 0, sum = 0;
    if (!begin_each) {
      engine->BeginRead(thread);
    }
    for (; !stop.load(std::memory_order_relaxed); ++operations) {
      if (begin_each) {
        engine->BeginRead(thread);
      }
      if (!engine->Get(thread, Key(random.Below(options.entries)), &value)) {
        Die("get", "a key is missing");
      }
      sum += static_cast<unsigned char>(value[0]);
      if (begin_each) {
        engine->EndRead(thread);
      }
    }
    engine->DropReader(thread);
    return sum == UINT64_MAX ? 0 : operations;
  });
}

double MeasureCommits(Engine* engine, const Options& options, int threads) {
  return Measure(threads, options.seconds * 4, [&](int thread, const std::atomic<bool>& stop) {
    Random random(static_cast<uint64_t>(thread) + 1);
    uint64_t operations = 0;
    for (; !stop.load(std::memory_order_relaxed); ++operations) {
      uint64_t key = random.Below(options.entries);
      engine->BeginWrite();
      engine->Put(Key(key), Value(key, operations + 1));
      engine->Commit();
    }
    return operations;
  });
}

double MeasureOnce(const Contender& contender, const std::string& work, const Options& options, int threads) {
  std::unique_ptr<Engine> engine = contender.make();
  engine->Open(options.directory, contender.sync);
  uint64_t visited = 0;
  engine->BeginRead(0);  // warms the mapping
  engine->Scan(0, true, &visited);
  engine->DropReader(0);
  double ns = work == "commit" ? MeasureCommits(engine.get(), options, threads)
                               : MeasureReads(engine.get(), options, threads, work == "begin-get-end");
  engine->Close();
  return ns;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

void Report(const std::string& work, int threads, const std::string& name, const std::vector<double>& ns,
            const std::vector<double>& johnny, std::FILE* csv) {
  std::vector<double> ratios;
  for (size_t i = 0; i < ns.size(); ++i) {
    ratios.push_back(ns[i] / johnny[i]);
  }
  double median = Median(ns), rate = 1e9 / median * threads, ratio = Median(ratios);
  double least = *std::min_element(ns.begin(), ns.end()), most = *std::max_element(ns.begin(), ns.end());
  std::printf("%-14s %7d  %-20s %12.1f %12.1f %12.1f %14.0f %7.2f\n", work.c_str(), threads, name.c_str(), median, least, most,
              rate, ratio);
  std::fflush(stdout);
  if (csv != nullptr) {
    std::fprintf(csv, "%s,%d,\"%s\",%.1f,%.1f,%.1f,%.0f,%.3f\n", work.c_str(), threads, name.c_str(), median, least, most, rate,
                 ratio);
  }
}

void RunWork(const std::string& work, const Options& options, std::FILE* csv) {
  bool commits = work == "commit";
  const std::vector<Contender>& contenders = commits ? Writers() : Readers();
  const std::vector<int> thread_counts = commits ? std::vector<int>{1, 2, 4, 8} : std::vector<int>{1, 2, 4};
  int rounds = options.rounds != 0 ? options.rounds : commits ? 3 : 5;
  for (int threads : thread_counts) {
    std::map<std::string, std::vector<double>> ns;
    for (int round = 0; round < rounds; ++round) {
      for (const Contender& contender : contenders) {
        ns[contender.name].push_back(MeasureOnce(contender, work, options, threads));
      }
    }
    for (const Contender& contender : contenders) {
      Report(work, threads, contender.name, ns[contender.name], ns["johnny"], csv);
    }
  }
}

Options ParseOptions(int argc, char** argv) {
  const char* usage =
      "bench_threads DIRECTORY [--work get|begin-get-end|commit ...] [--entries N] [--rounds N] [--seconds S] [--csv FILE]";
  Options options;
  for (int i = 1; i < argc; ++i) {
    std::string name = argv[i];
    if (name.rfind("--", 0) != 0) {
      options.directory = name;
      continue;
    }
    if (++i == argc) {
      Die("usage", usage);
    }
    if (name == "--work") {
      options.works.emplace_back(argv[i]);
    } else if (name == "--entries") {
      options.entries = std::strtoull(argv[i], nullptr, 10);
    } else if (name == "--rounds") {
      options.rounds = std::atoi(argv[i]);
    } else if (name == "--seconds") {
      options.seconds = std::strtod(argv[i], nullptr);
    } else if (name == "--csv") {
      options.csv = argv[i];
    } else {
      Die("usage", usage);
    }
  }
  if (options.directory.empty()) {
    Die("usage", usage);
  }
  if (options.works.empty()) {
    options.works = {"get", "begin-get-end", "commit"};
  }
  return options;
}

int Main(int argc, char** argv) {
  Options options = ParseOptions(argc, argv);
  std::FILE* csv = options.csv == nullptr ? nullptr : std::fopen(options.csv, "w");
  if (options.csv != nullptr && csv == nullptr) {
    Die(options.csv, "cannot write");
  }
  Load(MakeJohnny().get(), options);
  Load(MakeLmdb().get(), options);
  std::printf("%-14s %7s  %-20s %12s %12s %12s %14s %7s\n", "work", "threads", "contender", "ns, median", "least", "most",
              "per second", "ratio");
  if (csv != nullptr) {
    std::fprintf(csv, "work,threads,contender,ns_median,ns_least,ns_most,per_second,ratio\n");
  }
  for (const std::string& work : options.works) {
    RunWork(work, options, csv);
  }
  return csv == nullptr || std::fclose(csv) == 0 ? 0 : 1;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) { return bench::Main(argc, argv); }
