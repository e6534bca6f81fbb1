// The data sets, and the order in which they are visited. Everything is a pure function of fixed seeds.
#ifndef JOHNNY_BENCH_COMPARE_DATA_H_
#define JOHNNY_BENCH_COMPARE_DATA_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine.h"

namespace bench {

// A bijection that scatters (the end of splitmix64).
inline uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// Cheap, so that it is the engine that is measured.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(Mix(seed + 1)) {}
  uint64_t Next() { return Mix(state_ += 0x9e3779b97f4a7c15u); }
  uint64_t Below(uint64_t limit) { return ((Next() >> 32) * limit) >> 32; }  // of 32 bits

 private:
  uint64_t state_;
};

class DataSet {
 public:
  static const std::vector<std::string>& Names();
  // Dies if there is none of this name.
  explicit DataSet(const std::string& name);

  // The key of entry `number`, of any number, in `buffer`.
  static constexpr size_t kMaxKey = 96;
  std::string_view MakeKey(uint64_t number, char* buffer) const;
  // A key that no entry has, among those of the entries and not behind them all: there a search would find everything in the
  // processor's cache.
  std::string_view MakeAbsentKey(uint64_t number, char* buffer) const;

  const std::string& name() const { return name_; }
  size_t key_size() const { return key_size_; }
  size_t value_size() const { return value_size_; }
  uint64_t bytes(uint64_t entries) const { return entries * (key_size_ + value_size_); }
  // The numbers below `entries` in the order of their keys, and in a random one.
  std::vector<uint32_t> InOrder(uint64_t entries) const;
  std::vector<uint32_t> Shuffled(uint64_t entries) const;

 private:
  enum class Kind { kInteger, kString, kRandom16, kUrl, kRandom24, kUser };
  bool is_scattered() const { return kind_ == Kind::kRandom16 || kind_ == Kind::kRandom24 || kind_ == Kind::kUser; }
  std::string name_;
  Kind kind_;
  size_t key_size_ = 0;
  size_t value_size_ = 0;
};

class Keys {
 public:
  explicit Keys(const DataSet& data) : data_(data) {}
  // Valid until the next call.
  std::string_view Of(uint64_t number) { return data_.MakeKey(number, buffer_); }
  std::string_view AbsentOf(uint64_t number) { return data_.MakeAbsentKey(number, buffer_); }

 private:
  const DataSet& data_;
  char buffer_[DataSet::kMaxKey];
};

// Values that differ with every put, so that no engine can skip an overwrite.
class Values {
 public:
  explicit Values(const DataSet& data, uint64_t seed = 0);
  // Valid until the next call.
  std::string_view Next();

 private:
  std::string bytes_;
  uint64_t version_;
};

// `count` numbers below `entries` after Zipf with 0.99, the frequent ones scattered over all, as YCSB has them; or their ranks, 0
// being the most frequent.
std::vector<uint32_t> ZipfNumbers(uint64_t entries, uint64_t count, uint64_t seed);
std::vector<uint32_t> ZipfRanks(uint64_t entries, uint64_t count, uint64_t seed);

}  // namespace bench

#endif  // JOHNNY_BENCH_COMPARE_DATA_H_
