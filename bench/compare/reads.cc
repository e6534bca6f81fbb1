// Works that only read: gets and scans.
#include "compare/work.h"

namespace bench {
namespace {

uint64_t ReadOperations(const Bench* bench) {
  return bench->Operations(std::clamp<uint64_t>(bench->entries(), 1000000, 3000000));
}

// What a reader has seen. Being checked, it has been computed.
class Seen {
 public:
  void Add(bool found, std::string_view value) {
    if (found) {
      ++found_;
      sum_ += static_cast<unsigned char>(value[0]) + value.size();
    }
  }
  void Add(size_t found, uint64_t sum) {
    found_ += found;
    sum_ += sum;
  }
  void Check(const Bench* bench, uint64_t expected) const {
    if (found_ != expected || sum_ < expected * bench->data().value_size()) {
      Die("get", "keys are missing, or there though they should not be, or their values are wrong");
    }
  }

 private:
  uint64_t found_ = 0, sum_ = 0;
};

enum class Wanted { kPresent, kAbsent };

void Gets(Bench* bench, int reader, uint64_t operations, Wanted wanted, bool begin_each) {
  Engine* engine = bench->engine();
  Keys keys(bench->data());
  Random random(11 + static_cast<uint64_t>(reader));
  Seen seen;
  std::string_view value;
  if (!begin_each) {
    engine->BeginRead(reader);
  }
  for (uint64_t i = 0; i < operations; ++i) {
    uint64_t number = random.Below(bench->entries());
    std::string_view key = wanted == Wanted::kPresent ? keys.Of(number) : keys.AbsentOf(number);
    if (begin_each) {
      engine->BeginRead(reader);
    }
    bool found = engine->Get(reader, key, &value);
    seen.Add(found, value);
    if (begin_each) {
      engine->EndRead(reader);
    }
  }
  if (!begin_each) {
    engine->EndRead(reader);
  }
  seen.Check(bench, wanted == Wanted::kPresent ? operations : 0);
}

void Get(Bench* bench) {
  uint64_t operations = ReadOperations(bench);
  bench->Rate(operations, Bench::Seconds([&] { Gets(bench, 0, operations, Wanted::kPresent, false); }));
}

void GetAbsent(Bench* bench) {
  uint64_t operations = ReadOperations(bench);
  bench->Rate(operations, Bench::Seconds([&] { Gets(bench, 0, operations, Wanted::kAbsent, false); }));
}

void BeginGetEnd(Bench* bench) {
  uint64_t operations = ReadOperations(bench);
  bench->Rate(operations, Bench::Seconds([&] { Gets(bench, 0, operations, Wanted::kPresent, true); }));
}

void GetZipf(Bench* bench) {
  std::vector<uint32_t> numbers = ZipfNumbers(bench->entries(), ReadOperations(bench), 13);
  Keys keys(bench->data());
  Seen seen;
  double seconds = Bench::Seconds([&] {
    std::string_view value;
    bench->engine()->BeginRead(0);
    for (uint32_t number : numbers) {
      bool found = bench->engine()->Get(0, keys.Of(number), &value);
      seen.Add(found, value);
    }
    bench->engine()->EndRead(0);
  });
  seen.Check(bench, numbers.size());
  bench->Rate(numbers.size(), seconds);
}

void GetsOfMany(Bench* bench, uint64_t operations) {
  constexpr size_t kKeys = 64;
  operations = (operations + kKeys - 1) / kKeys * kKeys;
  char buffers[kKeys][DataSet::kMaxKey];
  std::string_view keys[kKeys];
  Random random(17);
  Seen seen;
  double seconds = Bench::Seconds([&] {
    bench->engine()->BeginRead(0);
    for (uint64_t i = 0; i < operations; i += kKeys) {
      for (size_t j = 0; j < kKeys; ++j) {
        keys[j] = bench->data().MakeKey(random.Below(bench->entries()), buffers[j]);
      }
      uint64_t sum = 0;
      size_t found = bench->engine()->GetMany(0, keys, kKeys, &sum);
      seen.Add(found, sum);
    }
    bench->engine()->EndRead(0);
  });
  seen.Check(bench, operations);
  bench->Rate(operations, seconds);
}

void GetMany(Bench* bench) { GetsOfMany(bench, ReadOperations(bench)); }

void GetTwoThreads(Bench* bench) {
  uint64_t operations = ReadOperations(bench);
  auto warm_up = [&](int reader) { Gets(bench, reader, 1, Wanted::kPresent, false); };
  double seconds = SecondsInThreads(2, warm_up, [&](int reader) {
    Gets(bench, reader, operations, Wanted::kPresent, false);
    bench->engine()->DropReader(reader);
  });
  bench->Rate(2 * operations, seconds);
}

void Scans(Bench* bench, bool forward, bool many) {
  uint64_t passes = std::max<uint64_t>(1, bench->Operations(5000000) / bench->entries());
  double seconds = Bench::Seconds([&] {
    bench->engine()->BeginRead(0);
    for (uint64_t i = 0; i < passes; ++i) {
      uint64_t visited = 0;
      many ? bench->engine()->ScanMany(0, forward, &visited) : bench->engine()->Scan(0, forward, &visited);
      if (visited != bench->entries()) {
        Die("scan", "wrong number of entries");
      }
    }
    bench->engine()->EndRead(0);
  });
  bench->Rate(passes * bench->entries(), seconds);
}

void SeekScans(Bench* bench) {
  uint64_t seeks = bench->Operations(50000), visited = 0, sum = 0;
  Keys keys(bench->data());
  Random random(19);
  double seconds = Bench::Seconds([&] {
    bench->engine()->BeginRead(0);
    for (uint64_t i = 0; i < seeks; ++i) {
      visited += bench->engine()->SeekScan(0, keys.Of(random.Below(bench->entries())), 101, &sum);
    }
    bench->engine()->EndRead(0);
  });
  if (visited < seeks || sum < visited) {
    Die("seek", "too few entries");
  }
  bench->Rate(seeks, seconds);
}

void LimitedGet(Bench* bench) {
  uint64_t operations = bench->Operations(100000);
  bench->Rate(operations, Bench::Seconds([&] { Gets(bench, 0, operations, Wanted::kPresent, false); }));
}

void LimitedGetMany(Bench* bench) { GetsOfMany(bench, bench->Operations(100000)); }

void LimitedScan(Bench* bench) {
  uint64_t visited = 0;
  double seconds = Bench::Seconds([&] {
    bench->engine()->BeginRead(0);
    bench->engine()->Scan(0, true, &visited);
    bench->engine()->EndRead(0);
  });
  if (visited != bench->entries()) {
    Die("scan", "wrong number of entries");
  }
  bench->Rate(visited, seconds);
}

}  // namespace

Works ReadWorks() {
  return {
      {"get", "reads", Start::kWarm, Sync::kLazy, Get},
      {"get-zipf", "reads", Start::kWarm, Sync::kLazy, GetZipf},
      {"get-absent", "reads", Start::kWarm, Sync::kLazy, GetAbsent},
      {"begin-get-end", "reads", Start::kWarm, Sync::kLazy, BeginGetEnd},
      {"get-many", "reads", Start::kWarm, Sync::kLazy, GetMany},
      {"get-2-threads", "reads", Start::kWarm, Sync::kLazy, GetTwoThreads},
      {"scan", "reads", Start::kWarm, Sync::kLazy, [](Bench* bench) { Scans(bench, true, false); }},
      {"scan-back", "reads", Start::kWarm, Sync::kLazy, [](Bench* bench) { Scans(bench, false, false); }},
      {"scan-many", "reads", Start::kWarm, Sync::kLazy, [](Bench* bench) { Scans(bench, true, true); }},
      {"scan-back-many", "reads", Start::kWarm, Sync::kLazy, [](Bench* bench) { Scans(bench, false, true); }},
      {"seek-100", "reads", Start::kWarm, Sync::kLazy, SeekScans},
      {"get-10k", "small", Start::kWarm, Sync::kLazy, Get, "", 10000},
      {"limited-get", "limited", Start::kDropped, Sync::kLazy, LimitedGet},
      {"limited-get-many", "limited", Start::kDropped, Sync::kLazy, LimitedGetMany},
      {"limited-scan", "limited", Start::kDropped, Sync::kLazy, LimitedScan},
  };
}

}  // namespace bench
