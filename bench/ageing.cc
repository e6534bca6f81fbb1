// The file's size while it is overwritten at random, with and without a reader held on the first snapshot.
//
//   bench_ageing ENGINE ENTRIES OVERWRITES_PER_RUN RUNS held|free lazy|durable DIRECTORY
//
// prints a line per run: run, file bytes. Transactions of 100; durable: one sync each, since it is the sizes that count here.
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "engine.h"

namespace bench {

void Die(const char* what, const char* why) {
  std::fprintf(stderr, "bench_ageing: %s: %s\n", what, why);
  std::exit(1);
}

namespace {

constexpr uint64_t kPerTxn = 100;

class Ager {
 public:
  Ager(Engine* engine, uint64_t entries) : engine_(engine), entries_(entries) {}

  void Overwrite(uint64_t count, bool in_order) {
    for (uint64_t i = 0; i < count; i += in_order ? 10000 : kPerTxn) {
      engine_->BeginWrite();
      for (uint64_t j = i; j < i + (in_order ? 10000 : kPerTxn); ++j) {
        PutOne(in_order ? j : random_() % entries_);
      }
      engine_->Commit();
    }
  }

 private:
  void PutOne(uint64_t number) {
    char key[8], value[100] = {};
    uint64_t ordered = __builtin_bswap64(number);
    std::memcpy(key, &ordered, sizeof key);
    ++version_;
    std::memcpy(value, &version_, sizeof version_);
    engine_->Put({key, sizeof key}, {value, sizeof value});
  }

  Engine* engine_;
  uint64_t entries_;
  uint64_t version_ = 0;
  std::mt19937_64 random_{2004};
};

long long Size(const std::string& file) {
  struct stat info = {};
  stat(file.c_str(), &info);
  return info.st_size;
}

int Main(int argc, char** argv) {
  if (argc != 8) {
    Die("usage", "bench_ageing johnny|lmdb ENTRIES OVERWRITES_PER_RUN RUNS held|free lazy|durable DIRECTORY");
  }
  std::unique_ptr<Engine> engine = std::strcmp(argv[1], "johnny") == 0 ? MakeJohnny() : MakeLmdb(false);
  uint64_t entries = std::strtoull(argv[2], nullptr, 10);
  uint64_t per_run = std::strtoull(argv[3], nullptr, 10);
  long runs = std::strtol(argv[4], nullptr, 10);
  bool held = std::strcmp(argv[5], "held") == 0;
  Sync sync = std::strcmp(argv[6], "durable") == 0 ? Sync::kSingleSync : Sync::kLazy;
  std::string directory = argv[7];
  std::string file = engine->DataFile(directory);
  engine->Open(directory, Sync::kLazy);
  Ager ager(engine.get(), entries);
  ager.Overwrite(entries, /*in_order=*/true);
  engine->Close();
  engine->Open(directory, sync);
  std::printf("0 %lld\n", Size(file));
  if (held) {
    engine->BeginRead(0);
  }
  for (long run = 1; run <= runs; ++run) {
    ager.Overwrite(per_run, /*in_order=*/false);
    std::printf("%ld %lld\n", run, Size(file));
    std::fflush(stdout);
  }
  if (held) {
    engine->EndRead(0);
  }
  engine->Close();
  return 0;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) { return bench::Main(argc, argv); }
