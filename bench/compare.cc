// One cell of the comparison: one engine, one workload, one process. compare.py runs the cells, engines alternating, and makes
// tables.
//
//   bench_compare ENGINE WORK ENTRIES DIRECTORY
//
// prints `operations seconds file_bytes`. Data set i100: 8-byte big-endian integers, 100-byte values; fixed seeds.
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "engine.h"

namespace bench {

void Die(const char* what, const char* why) {
  std::fprintf(stderr, "bench_compare: %s: %s\n", what, why);
  std::exit(1);
}

namespace {

constexpr size_t kValueSize = 100;
constexpr uint64_t kBatch = 10000;

// A value that differs with every version of a key, so that no engine can skip an overwrite.
class Values {
 public:
  std::string_view Next(uint64_t key) {
    uint64_t words[2] = {key, ++version_};
    std::memcpy(bytes_ + (version_ % 8) * 8, words, sizeof words);
    return {bytes_, kValueSize};
  }

 private:
  char bytes_[kValueSize] = {};
  uint64_t version_ = 0;
};

std::vector<uint64_t> Shuffled(uint64_t entries) {
  std::vector<uint64_t> order(entries);
  for (uint64_t i = 0; i < entries; ++i) {
    order[i] = i;
  }
  std::mt19937_64 random(2004);
  std::shuffle(order.begin(), order.end(), random);
  return order;
}

void LoadShuffled(Engine* engine, uint64_t entries) {
  Values values;
  std::vector<uint64_t> order = Shuffled(entries);
  for (uint64_t i = 0; i < entries; i += kBatch) {
    engine->BeginWrite();
    for (uint64_t j = i; j < std::min(entries, i + kBatch); ++j) {
      engine->Put(Key(order[j]), values.Next(order[j]));
    }
    engine->Commit();
  }
}

void LoadAscending(Engine* engine, uint64_t entries) {
  Values values;
  for (uint64_t i = 0; i < entries; i += kBatch) {
    engine->BeginWrite();
    for (uint64_t j = i; j < std::min(entries, i + kBatch); ++j) {
      engine->Append(Key(j), values.Next(j));
    }
    engine->Commit();
  }
}

uint64_t Overwrite(Engine* engine, uint64_t entries, uint64_t operations, uint64_t per_txn) {
  Values values;
  std::mt19937_64 random(7);
  for (uint64_t i = 0; i < operations; i += per_txn) {
    engine->BeginWrite();
    for (uint64_t j = 0; j < per_txn; ++j) {
      uint64_t key = random() % entries;
      engine->Put(Key(key), values.Next(key + i));
    }
    engine->Commit();
  }
  return operations;
}

uint64_t Gets(Engine* engine, uint64_t entries, uint64_t operations, bool begin_each, uint64_t offset) {
  std::mt19937_64 random(11);
  uint64_t sum = 0;
  std::string_view value;
  if (!begin_each) {
    engine->BeginRead(0);
  }
  for (uint64_t i = 0; i < operations; ++i) {
    uint64_t key = random() % entries + offset;
    if (begin_each) {
      engine->BeginRead(0);
    }
    bool found = engine->Get(0, Key(key), &value);
    if (found != (offset == 0)) {
      Die("get", "the key is missing, or there though it should not be");
    }
    sum += found ? static_cast<unsigned char>(value[0]) : 0;
    if (begin_each) {
      engine->EndRead(0);
    }
  }
  if (!begin_each) {
    engine->EndRead(0);
  }
  return sum == UINT64_MAX ? 0 : operations;
}

uint64_t Scans(Engine* engine, uint64_t entries, bool forward) {
  engine->BeginRead(0);
  uint64_t total = 0;
  for (int i = 0; i < 5; ++i) {
    uint64_t visited = 0;
    engine->Scan(0, forward, &visited);
    if (visited != entries) {
      Die("scan", "wrong number of entries");
    }
    total += visited;
  }
  engine->EndRead(0);
  return total;
}

uint64_t Deletes(Engine* engine, uint64_t entries) {
  std::vector<uint64_t> order = Shuffled(entries);
  for (uint64_t i = 0; i < entries; i += kBatch) {
    engine->BeginWrite();
    for (uint64_t j = i; j < std::min(entries, i + kBatch); ++j) {
      if (!engine->Delete(Key(order[j]))) {
        Die("delete", "a key is missing");
      }
    }
    engine->Commit();
  }
  return entries;
}

uint64_t Run(const std::string& work, Engine* engine, uint64_t entries) {
  uint64_t reads = std::min<uint64_t>(std::max<uint64_t>(entries, 1000000), 3000000);
  if (work == "load-shuffled") return LoadShuffled(engine, entries), entries;
  if (work == "load-ascending") return LoadAscending(engine, entries), entries;
  if (work == "get") return Gets(engine, entries, reads, false, 0);
  if (work == "get-absent") return Gets(engine, entries, reads, false, entries);
  if (work == "begin-get-end") return Gets(engine, entries, reads, true, 0);
  if (work == "scan") return Scans(engine, entries, true);
  if (work == "scan-back") return Scans(engine, entries, false);
  if (work == "overwrite-1") return Overwrite(engine, entries, 50000, 1);
  if (work == "overwrite-100") return Overwrite(engine, entries, 200000, 100);
  if (work == "overwrite-10k") return Overwrite(engine, entries, 500000, 10000);
  if (work == "durable-1" || work == "durable-1-single") return Overwrite(engine, entries, 3000, 1);
  if (work == "durable-100" || work == "durable-100-single") return Overwrite(engine, entries, 30000, 100);
  if (work == "delete") return Deletes(engine, entries);
  Die("no such work", work.c_str());
}

int Main(int argc, char** argv) {
  if (argc != 5) {
    Die("usage", "bench_compare johnny|lmdb|lmdb-writemap WORK ENTRIES DIRECTORY");
  }
  std::string name = argv[1], work = argv[2], directory = argv[4];
  uint64_t entries = std::strtoull(argv[3], nullptr, 10);
  std::unique_ptr<Engine> engine = name == "johnny" ? MakeJohnny() : MakeLmdb({.write_map = name == "lmdb-writemap"});
  bool load = work.rfind("load", 0) == 0;
  if (!load) {
    engine->Open(directory, Sync::kLazy);
    LoadShuffled(engine.get(), entries);
    engine->Close();
  }
  bool durable = work.rfind("durable", 0) == 0;
  bool single = durable && work.size() > 7 && work.substr(work.size() - 7) == "-single";
  engine->Open(directory, !durable ? Sync::kLazy : single ? Sync::kSingleSync : Sync::kTwoPhase);
  if (work.rfind("get", 0) == 0 || work.rfind("begin", 0) == 0 || work.rfind("scan", 0) == 0) {
    uint64_t visited = 0;  // warm the mapping
    engine->BeginRead(0);
    engine->Scan(0, true, &visited);
    engine->EndRead(0);
  }
  auto begin = std::chrono::steady_clock::now();
  uint64_t operations = Run(work, engine.get(), entries);
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  struct stat info = {};
  stat(engine->DataFile(directory).c_str(), &info);
  std::printf("%llu %.6f %lld\n", static_cast<unsigned long long>(operations), seconds, static_cast<long long>(info.st_size));
  std::fflush(stdout);
  engine->Close();
  return 0;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) { return bench::Main(argc, argv); }
