// Parts of the library alone, with Google Benchmark: bench_micro --benchmark_filter='Leaf.*url100'
//
// Figures are of a page that is in the cache, which in a database it seldom is; they compare one version of a function with
// another.
#include <benchmark/benchmark.h>
#include <johnny/johnny.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "compare/data.h"
#include "node/branch.h"
#include "node/leaf.h"
#include "space/run_set.h"

namespace bench {

void Die(const char* what, const char* why) {
  std::fprintf(stderr, "bench_micro: %s: %s\n", what, why);
  std::exit(1);
}

namespace {

using johnny::Byte;
using johnny::PageNumber;
namespace node = johnny::node;
namespace space = johnny::space;

constexpr uint32_t kPageSize = 4096;
constexpr uint64_t kEntries = 100000;  // of the table whose pages these might be

struct alignas(kPageSize) Page {
  Byte bytes[kPageSize];
};

std::vector<std::string> SortedKeys(const DataSet& data) {
  Keys keys(data);
  std::vector<std::string> sorted;
  for (uint32_t number : data.InOrder(kEntries)) {
    sorted.emplace_back(keys.Of(number));
  }
  return sorted;
}

// Neighbouring keys of a table, as many as fit in a leaf.
std::vector<std::string> LeafKeys(const DataSet& data, Page* page) {
  std::vector<std::string> all = SortedKeys(data), keys;
  std::string value(data.value_size(), 'v');
  node::InitLeaf(page->bytes, kPageSize);
  for (size_t i = kEntries / 2; i < all.size(); ++i) {
    if (!node::InsertIntoLeaf(page->bytes, kPageSize, static_cast<uint32_t>(keys.size()), {all[i], {value}})) {
      break;
    }
    keys.push_back(all[i]);
  }
  return keys;
}

// A branch above leaves of 30 entries; returns keys from below each of its children.
std::vector<std::string> FillBranch(const DataSet& data, Page* page) {
  constexpr size_t kLeaf = 30;
  std::vector<std::string> all = SortedKeys(data), below;
  std::vector<node::BranchEntry> entries;
  for (size_t i = kLeaf; i < all.size(); i += kLeaf) {
    entries.push_back({node::ShortestSeparator(all[i - 1], all[i]), {i, 0, kLeaf}});
    if (node::BranchBytesNeeded(entries) > kPageSize) {
      entries.pop_back();
      break;
    }
    below.push_back(all[i + i % kLeaf]);
  }
  if (!node::BuildBranch(page->bytes, kPageSize, 1, entries)) {
    Die("branch", "does not fit");
  }
  return below;
}

// Numbers below `limit` in an order that the processor cannot guess.
std::vector<uint32_t> Order(size_t limit) {
  std::vector<uint32_t> order(8192);
  Random random(3);
  for (uint32_t& number : order) {
    number = static_cast<uint32_t>(random.Below(limit));
  }
  return order;
}

template <typename Search>
void RunSearch(benchmark::State& state, const std::vector<std::string>& keys, const Search& search) {
  std::vector<uint32_t> order = Order(keys.size());
  size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(search(keys[order[at++ % order.size()]]));
  }
  state.counters["keys"] = static_cast<double>(keys.size());
}

void LeafSearch(benchmark::State& state, const char* name) {
  Page page;
  std::vector<std::string> keys = LeafKeys(DataSet(name), &page);
  RunSearch(state, keys, [&](const std::string& key) { return node::SearchLeaf(page.bytes, key); });
}

void LeafFind(benchmark::State& state, const char* name) {
  Page page;
  std::vector<std::string> keys = LeafKeys(DataSet(name), &page);
  RunSearch(state, keys, [&](const std::string& key) { return node::FindInLeaf(page.bytes, key); });
}

void BranchSearch(benchmark::State& state, const char* name) {
  Page page;
  std::vector<std::string> keys = FillBranch(DataSet(name), &page);
  RunSearch(state, keys, [&](const std::string& key) { return node::SearchBranch(page.bytes, key); });
}

// From an empty leaf to a full one, in random order, each with its search.
void LeafInsert(benchmark::State& state, const char* name) {
  Page page;
  DataSet data(name);
  std::vector<std::string> keys = LeafKeys(data, &page);
  std::string value(data.value_size(), 'v');
  std::vector<uint32_t> order = data.Shuffled(keys.size());
  for (auto _ : state) {
    node::InitLeaf(page.bytes, kPageSize);
    for (uint32_t number : order) {
      node::Position at = node::SearchLeaf(page.bytes, keys[number]);
      benchmark::DoNotOptimize(node::InsertIntoLeaf(page.bytes, kPageSize, at.index, {keys[number], {value}}));
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(static_cast<size_t>(state.iterations()) * keys.size()));
}

void PageChecksum(benchmark::State& state) {
  std::vector<Byte> page(static_cast<size_t>(state.range(0)), Byte{7});
  uint64_t seed = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(johnny::Checksum(page.data(), page.size(), ++seed));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

// A database in memory (or in /tmp) with one entry.
class Database {
 public:
  Database() {
    std::string directory = std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : "/tmp";
    directory += "/johnny-micro-XXXXXX";
    if (::mkdtemp(directory.data()) == nullptr) {
      Die("mkdtemp", directory.c_str());
    }
    directory_ = directory;
    johnny_options options;
    johnny_options_init(&options);
    options.flags = JOHNNY_CREATE;
    options.durability = JOHNNY_LAZY;
    johnny_txn* txn = nullptr;
    if (johnny_open((directory + "/micro.johnny").c_str(), &options, &env_) != JOHNNY_OK ||
        johnny_begin(env_, 0, &txn) != JOHNNY_OK || johnny_put(txn, nullptr, "k", 1, "v", 1, 0) != JOHNNY_OK ||
        johnny_commit(txn) != JOHNNY_OK) {
      Die("database", johnny_last_error_message());
    }
  }
  ~Database() {
    johnny_close(env_);
    std::filesystem::remove_all(directory_);
  }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  johnny_env* env() { return env_; }

 private:
  std::string directory_;
  johnny_env* env_ = nullptr;
};

void ReaderBeginEnd(benchmark::State& state) {
  Database database;
  for (auto _ : state) {
    johnny_txn* txn = nullptr;
    johnny_begin(database.env(), JOHNNY_READ, &txn);
    johnny_abort(txn);
  }
}

void ReaderResetRenew(benchmark::State& state) {
  Database database;
  johnny_txn* txn = nullptr;
  johnny_begin(database.env(), JOHNNY_READ, &txn);
  for (auto _ : state) {
    johnny_reset(txn);
    johnny_renew(txn);
  }
  johnny_abort(txn);
}

// Takes runs of 1 to 4 pages out of `runs` free ones of 1 to 16, and gives back the oldest of 64 that are taken.
void RunSetTakeAndAdd(benchmark::State& state) {
  space::RunSet set;
  Random random(5);
  PageNumber next = 16;
  for (int64_t i = 0; i < state.range(0); ++i) {
    uint64_t pages = 1 + random.Below(16);
    set.Add({next, pages});
    next += pages + 1 + random.Below(8);
  }
  std::vector<space::Run> taken(64);
  size_t at = 0;
  for (auto _ : state) {
    space::Run& place = taken[at++ % taken.size()];
    if (place.pages > 0) {
      set.Add(place);
    }
    place = set.TakeBestFit(1 + random.Below(4)).value_or(space::Run{});
  }
}

#define ON_ALL_DATA(function)                  \
  BENCHMARK_CAPTURE(function, i100, "i100");   \
  BENCHMARK_CAPTURE(function, s100, "s100");   \
  BENCHMARK_CAPTURE(function, k16v8, "k16v8"); \
  BENCHMARK_CAPTURE(function, url100, "url100")

ON_ALL_DATA(LeafSearch);
ON_ALL_DATA(LeafFind);
ON_ALL_DATA(BranchSearch);
ON_ALL_DATA(LeafInsert);
BENCHMARK(PageChecksum)->Arg(4096)->Arg(32768);
BENCHMARK(ReaderBeginEnd);
BENCHMARK(ReaderResetRenew);
BENCHMARK(RunSetTakeAndAdd)->Arg(100)->Arg(10000)->Arg(1000000);

}  // namespace
}  // namespace bench

BENCHMARK_MAIN();
