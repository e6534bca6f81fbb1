// YCSB's core workloads A to F (https://github.com/brianfrankcooper/YCSB), one client: records of one field of 100 bytes, keys
// "user" and 20 digits, hashed; Zipf with 0.99 (D: the latest records most). Each operation is a transaction of its own, lazy, as
// a plain user of that durability would do it: begin, get, end; begin, put, commit. F's read-modify-write is a read followed by a
// write. What is done is decided before time is taken.
#include "compare/work.h"

namespace bench {
namespace {

enum class Kind : uint8_t { kRead, kUpdate, kInsert, kScan, kReadModifyWrite };

struct Mix100 {  // of 100 operations
  uint64_t reads, updates, inserts, scans;
  bool latest = false;
};

struct Operation {
  Kind kind;
  uint8_t length;  // of a scan
  uint32_t number;
};

std::vector<Operation> MakeOperations(uint64_t entries, uint64_t count, const Mix100& mix) {
  std::vector<uint32_t> numbers = mix.latest ? ZipfRanks(entries, count, 41) : ZipfNumbers(entries, count, 41);
  std::vector<Operation> operations;
  operations.reserve(count);
  Random random(43);
  auto newest = static_cast<uint32_t>(entries);  // the number behind it
  for (uint32_t number : numbers) {
    uint64_t die = random.Below(100);
    uint32_t chosen = mix.latest ? newest - 1 - number : number;
    if (die < mix.reads) {
      operations.push_back({Kind::kRead, 0, chosen});
    } else if (die < mix.reads + mix.updates) {
      operations.push_back({Kind::kUpdate, 0, chosen});
    } else if (die < mix.reads + mix.updates + mix.inserts) {
      operations.push_back({Kind::kInsert, 0, newest++});
    } else if (die < mix.reads + mix.updates + mix.inserts + mix.scans) {
      operations.push_back({Kind::kScan, static_cast<uint8_t>(1 + random.Below(100)), chosen});
    } else {
      operations.push_back({Kind::kReadModifyWrite, 0, chosen});
    }
  }
  return operations;
}

class Client {
 public:
  explicit Client(Bench* bench) : engine_(bench->engine()), keys_(bench->data()), values_(bench->data(), 47) {}

  void Do(const Operation& operation) {
    std::string_view key = keys_.Of(operation.number);
    switch (operation.kind) {
      case Kind::kRead:
        return Read(key);
      case Kind::kUpdate:
      case Kind::kInsert:
        return Put(key);
      case Kind::kReadModifyWrite:
        Read(key);
        return Put(key);
      case Kind::kScan:
        engine_->BeginRead(0);
        if (engine_->SeekScan(0, key, operation.length, &sum_) == 0) {
          Die("scan", "its first key is missing");
        }
        engine_->EndRead(0);
    }
  }

 private:
  void Read(std::string_view key) {
    std::string_view value;
    engine_->BeginRead(0);
    if (!engine_->Get(0, key, &value)) {
      Die("read", "the key is missing");
    }
    sum_ += static_cast<unsigned char>(value[0]);
    engine_->EndRead(0);
  }
  void Put(std::string_view key) {
    engine_->BeginWrite();
    engine_->Put(key, values_.Next());
    engine_->Commit();
  }

  Engine* engine_;
  Keys keys_;
  Values values_;
  uint64_t sum_ = 0;
};

void Run(Bench* bench, const Mix100& mix) {
  std::vector<Operation> operations = MakeOperations(bench->entries(), bench->Operations(500000), mix);
  Client client(bench);
  double seconds = Bench::Seconds([&] {
    for (const Operation& operation : operations) {
      client.Do(operation);
    }
  });
  bench->engine()->DropReader(0);
  bench->Rate(operations.size(), seconds);
}

}  // namespace

Works YcsbWorks() {
  auto work = [](const char* name, void (*run)(Bench*)) { return Work{name, "ycsb", Start::kWarm, Sync::kLazy, run, "ycsb"}; };
  return {
      work("ycsb-a", [](Bench* bench) { Run(bench, {.reads = 50, .updates = 50, .inserts = 0, .scans = 0}); }),
      work("ycsb-b", [](Bench* bench) { Run(bench, {.reads = 95, .updates = 5, .inserts = 0, .scans = 0}); }),
      work("ycsb-c", [](Bench* bench) { Run(bench, {.reads = 100, .updates = 0, .inserts = 0, .scans = 0}); }),
      work("ycsb-d", [](Bench* bench) { Run(bench, {.reads = 95, .updates = 0, .inserts = 5, .scans = 0, .latest = true}); }),
      work("ycsb-e", [](Bench* bench) { Run(bench, {.reads = 0, .updates = 0, .inserts = 5, .scans = 95}); }),
      work("ycsb-f", [](Bench* bench) { Run(bench, {.reads = 50, .updates = 0, .inserts = 0, .scans = 0}); }),
  };
}

}  // namespace bench
