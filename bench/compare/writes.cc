// Works that write: loads, overwrites, durable commits, deletes.
#include "compare/work.h"

namespace bench {
namespace {

// ---- Loads ----

// Entries in key order.
class InOrderSource : public Source {
 public:
  explicit InOrderSource(Bench* bench)
      : keys_(bench->data()), values_(bench->data()), order_(bench->data().InOrder(bench->entries())) {}
  bool Next(Write* entry) override {
    if (at_ == order_.size()) {
      return false;
    }
    *entry = {keys_.Of(order_[at_++]), values_.Next()};
    return true;
  }

 private:
  Keys keys_;
  Values values_;
  std::vector<uint32_t> order_;
  size_t at_ = 0;
};

// Entries in random order, kBatch at a time, all of which lie in memory.
class Batches {
 public:
  explicit Batches(Bench* bench) : data_(bench->data()), values_(data_), order_(data_.Shuffled(bench->entries())) {
    key_bytes_.resize(kBatch * data_.key_size());
    value_bytes_.resize(kBatch * data_.value_size());
  }
  bool Next(std::vector<Write>* batch) {
    batch->clear();
    char key[DataSet::kMaxKey];
    for (size_t i = 0; i < kBatch && at_ < order_.size(); ++i) {
      char* key_place = key_bytes_.data() + i * data_.key_size();
      char* value_place = value_bytes_.data() + i * data_.value_size();
      std::memcpy(key_place, data_.MakeKey(order_[at_++], key).data(), data_.key_size());
      std::memcpy(value_place, values_.Next().data(), data_.value_size());
      batch->push_back({{key_place, data_.key_size()}, {value_place, data_.value_size()}});
    }
    return !batch->empty();
  }

 private:
  const DataSet& data_;
  Values values_;
  std::vector<uint32_t> order_;
  size_t at_ = 0;
  std::vector<char> key_bytes_, value_bytes_;
};

void LoadAscending(Bench* bench) {
  InOrderSource source(bench);
  bench->Rate(bench->entries(), Bench::Seconds([&] { bench->engine()->Engine::BulkLoad(&source); }));
}

void LoadBulk(Bench* bench) {
  InOrderSource source(bench);
  bench->Rate(bench->entries(), Bench::Seconds([&] { bench->engine()->BulkLoad(&source); }));
}

void LoadInRandomOrder(Bench* bench) {
  bench->Rate(bench->entries(), Bench::Seconds([&] { LoadShuffled(bench); }));
}

void LoadShuffledBatch(Bench* bench) {
  Batches batches(bench);
  double seconds = 0;
  for (std::vector<Write> batch; batches.Next(&batch);) {
    seconds += Bench::Seconds([&] {
      bench->engine()->BeginWrite();
      bench->engine()->WriteBatch(batch.data(), batch.size());
      bench->engine()->Commit();
    });
  }
  bench->Rate(bench->entries(), seconds);
}

// ---- Overwrites ----

void Overwrites(Bench* bench, uint64_t wanted, uint64_t per_txn) {
  uint64_t operations = (bench->Operations(wanted) + per_txn - 1) / per_txn * per_txn;
  bench->Rate(operations, Bench::Seconds([&] { Overwrite(bench, operations, per_txn, 7); }));
}

template <uint64_t kWanted, uint64_t kPerTxn>
void OverwritesOf(Bench* bench) {
  Overwrites(bench, kWanted, kPerTxn);
}

void DurableEightThreads(Bench* bench) {
  constexpr int kThreads = 8;
  uint64_t each = bench->Operations(16000) / kThreads + 1;
  auto warm_up = [](int) {};
  double seconds =
      SecondsInThreads(kThreads, warm_up, [&](int thread) { Overwrite(bench, each, 1, 1000 + static_cast<uint64_t>(thread)); });
  bench->Rate(each * kThreads, seconds);
}

void Deletes(Bench* bench) {
  Keys keys(bench->data());
  // Not in the order of the load.
  std::vector<uint32_t> order = bench->data().Shuffled(bench->entries());
  std::reverse(order.begin(), order.end());
  double seconds = Bench::Seconds([&] {
    for (size_t i = 0; i < order.size();) {
      bench->engine()->BeginWrite();
      for (size_t end = std::min<size_t>(order.size(), i + kBatch); i < end; ++i) {
        if (!bench->engine()->Delete(keys.Of(order[i]))) {
          Die("delete", "a key is missing");
        }
      }
      bench->engine()->Commit();
    }
  });
  uint64_t left = 0;
  bench->engine()->BeginRead(0);
  bench->engine()->Scan(0, true, &left);
  bench->engine()->EndRead(0);
  if (left != 0) {
    Die("delete", "entries are left");
  }
  bench->Rate(bench->entries(), seconds);
}

}  // namespace

Works WriteWorks() {
  return {
      {"load-ascending", "loads", Start::kEmpty, Sync::kLazy, LoadAscending},
      {"load-bulk", "loads", Start::kEmpty, Sync::kLazy, LoadBulk},
      {"load-shuffled", "loads", Start::kEmpty, Sync::kLazy, LoadInRandomOrder},
      {"load-shuffled-batch", "loads", Start::kEmpty, Sync::kLazy, LoadShuffledBatch},
      {"overwrite-1", "overwrites", Start::kLoaded, Sync::kLazy, OverwritesOf<50000, 1>},
      {"overwrite-100", "overwrites", Start::kLoaded, Sync::kLazy, OverwritesOf<200000, 100>},
      {"overwrite-10k", "overwrites", Start::kLoaded, Sync::kLazy, OverwritesOf<500000, kBatch>},
      {"delete", "overwrites", Start::kLoaded, Sync::kLazy, Deletes},
      {"durable-1", "durable", Start::kLoaded, Sync::kTwoPhase, OverwritesOf<3000, 1>},
      {"durable-1-single", "durable", Start::kLoaded, Sync::kSingleSync, OverwritesOf<3000, 1>},
      {"durable-8-threads", "durable", Start::kLoaded, Sync::kTwoPhase, DurableEightThreads},
      {"durable-100", "durable", Start::kLoaded, Sync::kTwoPhase, OverwritesOf<30000, 100>},
      {"durable-10k", "durable", Start::kLoaded, Sync::kTwoPhase, OverwritesOf<300000, kBatch>},
      {"durable-100-aged", "aged", Start::kAged, Sync::kTwoPhase, OverwritesOf<30000, 100>},
      {"durable-10k-aged", "aged", Start::kAged, Sync::kTwoPhase, OverwritesOf<300000, kBatch>},
  };
}

}  // namespace bench
