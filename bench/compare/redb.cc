// What redb publishes of itself and others (https://github.com/cberner/redb, benchmarks): keys of 24 random bytes, values of 150;
// every commit durable. One work, since each step goes on with what the one before it has left; what the writes have put off is
// done, untimed, before the reads.
#include "compare/disk.h"
#include "compare/work.h"

namespace bench {
namespace {

class Steps {
 public:
  explicit Steps(Bench* bench) : bench_(bench), engine_(bench->engine()), keys_(bench->data()), values_(bench->data(), 53) {}

  void Run() {
    BulkLoad();
    Puts("-individual-writes", bench_->Operations(1000), 1);
    Puts("-batch-writes", std::max<uint64_t>(1, bench_->Operations(100000) / 1000), 1000);
    engine_->Settle();
    Len();
    RandomReads();
    RangeReads();
    Removals();
    Compaction();
  }

 private:
  void PutNext() { engine_->Put(keys_.Of(next_++), values_.Next()); }

  // All in one transaction, keys in no order.
  void BulkLoad() {
    double seconds = Bench::Seconds([&] {
      engine_->BeginWrite();
      while (next_ < bench_->entries()) {
        PutNext();
      }
      engine_->Commit();
    });
    bench_->Rate(next_, seconds, "-bulk-load");
  }
  void Puts(const char* name, uint64_t transactions, uint64_t each) {
    double seconds = Bench::Seconds([&] {
      for (uint64_t i = 0; i < transactions; ++i) {
        engine_->BeginWrite();
        for (uint64_t j = 0; j < each; ++j) {
          PutNext();
        }
        engine_->Commit();
      }
    });
    bench_->Rate(transactions * each, seconds, name);
  }
  void Len() {
    uint64_t entries = 0;
    double seconds = Bench::Seconds([&] {
      engine_->BeginRead(0);
      entries = engine_->Len(0);
      engine_->EndRead(0);
    });
    if (entries != next_) {
      Die("len", "wrong number of entries");
    }
    bench_->Figure(1e6 * seconds, "us", "-len");
  }
  void RandomReads() {
    uint64_t reads = bench_->Operations(1000000), found = 0;
    Random random(59);
    double seconds = Bench::Seconds([&] {
      std::string_view value;
      engine_->BeginRead(0);
      for (uint64_t i = 0; i < reads; ++i) {
        found += engine_->Get(0, keys_.Of(random.Below(next_)), &value) && value.size() == bench_->data().value_size() ? 1 : 0;
      }
      engine_->EndRead(0);
    });
    if (found != reads) {
      Die("random reads", "keys are missing");
    }
    bench_->Rate(reads, seconds, "-random-reads");
  }
  void RangeReads() {
    uint64_t seeks = bench_->Operations(500000), visited = 0, sum = 0;
    Random random(61);
    double seconds = Bench::Seconds([&] {
      engine_->BeginRead(0);
      for (uint64_t i = 0; i < seeks; ++i) {
        visited += engine_->SeekScan(0, keys_.Of(random.Below(next_)), 10, &sum);
      }
      engine_->EndRead(0);
    });
    if (visited < seeks) {
      Die("range reads", "keys are missing");
    }
    bench_->Rate(seeks, seconds, "-range-reads");
  }
  // The first half, in one transaction.
  void Removals() {
    uint64_t removals = next_ / 2;
    double seconds = Bench::Seconds([&] {
      engine_->BeginWrite();
      for (uint64_t i = 0; i < removals; ++i) {
        if (!engine_->Delete(keys_.Of(i))) {
          Die("removals", "a key is missing");
        }
      }
      engine_->Commit();
    });
    bench_->Rate(removals, seconds, "-removals");
  }
  void Compaction() {
    engine_->DropReader(0);
    bench_->Figure(static_cast<double>(BytesIn(bench_->directory())) / 1e6, "MB", "-size");
    std::string spare = bench_->Spare(), result;
    double seconds = Bench::Seconds([&] { result = engine_->Compact(bench_->directory(), spare); });
    if (!result.empty()) {
      bench_->Figure(1e3 * seconds, "ms", "-compaction");
      bench_->Figure(static_cast<double>(BytesIn(result)) / 1e6, "MB", "-size-compacted");
    }
  }

  Bench* bench_;
  Engine* engine_;
  Keys keys_;
  Values values_;
  uint64_t next_ = 0;  // number of the entry to be put next
};

}  // namespace

Works RedbWorks() {
  return {{"redb", "redb", Start::kEmpty, Sync::kTwoPhase, [](Bench* bench) { Steps(bench).Run(); }, "redb"}};
}

}  // namespace bench
