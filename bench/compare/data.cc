#include "compare/data.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

namespace bench {
namespace {

constexpr std::array<char, 200> MakeDigits() {
  std::array<char, 200> digits{};
  for (int i = 0; i < 100; ++i) {
    digits[static_cast<size_t>(2 * i)] = static_cast<char>('0' + i / 10);
    digits[static_cast<size_t>(2 * i + 1)] = static_cast<char>('0' + i % 10);
  }
  return digits;
}
constexpr std::array<char, 200> kDigits = MakeDigits();

// Exactly `width` digits, an even number; snprintf() would take as long as a get from a small table.
void WriteDigits(char* to, uint64_t number, size_t width) {
  for (size_t i = width; i > 0; i -= 2, number /= 100) {
    std::memcpy(to + i - 2, &kDigits[2 * (number % 100)], 2);
  }
}

void WriteWord(char* to, uint64_t word) {
  word = __builtin_bswap64(word);
  std::memcpy(to, &word, sizeof word);
}

constexpr std::string_view kUserKey = "user:############:balance";
// 5,000 pages a department, 20 departments a shop: keys ascend with their numbers.
constexpr std::string_view kUrlKey =
    "https://www.shop-######.example.com/catalogue/department-##/product/########/description.html";
constexpr size_t kShopAt = kUrlKey.find('#');
constexpr size_t kDepartmentAt = kUrlKey.find('#', kUrlKey.find("department"));
constexpr size_t kProductAt = kUrlKey.find('#', kUrlKey.find("product"));

}  // namespace

const std::vector<std::string>& DataSet::Names() {
  static const std::vector<std::string> names = {"i100", "s100", "k16v8", "url100", "redb", "ycsb"};
  return names;
}

DataSet::DataSet(const std::string& name) : name_(name) {
  struct Shape {
    Kind kind;
    size_t key_size, value_size;
  };
  const Shape shapes[] = {{Kind::kInteger, 8, 100},   {Kind::kString, kUserKey.size(), 100},
                          {Kind::kRandom16, 16, 8},   {Kind::kUrl, kUrlKey.size(), 100},
                          {Kind::kRandom24, 24, 150}, {Kind::kUser, 24, 100}};
  size_t at = static_cast<size_t>(std::find(Names().begin(), Names().end(), name) - Names().begin());
  if (at == Names().size()) {
    Die("no such data set", name.c_str());
  }
  kind_ = shapes[at].kind;
  key_size_ = shapes[at].key_size;
  value_size_ = shapes[at].value_size;
}

std::string_view DataSet::MakeKey(uint64_t number, char* buffer) const {
  static_assert(kUrlKey.size() < kMaxKey);
  switch (kind_) {
    case Kind::kInteger:
      WriteWord(buffer, number);
      break;
    case Kind::kString:
      std::memcpy(buffer, kUserKey.data(), kUserKey.size());
      WriteDigits(buffer + 5, number, 12);
      break;
    case Kind::kUrl:
      std::memcpy(buffer, kUrlKey.data(), kUrlKey.size());
      WriteDigits(buffer + kShopAt, number / 100000, 6);
      WriteDigits(buffer + kDepartmentAt, number / 5000 % 20, 2);
      WriteDigits(buffer + kProductAt, number, 8);
      break;
    case Kind::kRandom16:
    case Kind::kRandom24:
      for (size_t i = 0; i < key_size_; i += 8) {
        WriteWord(buffer + i, Mix(number * 3 + 1 + i / 8));
      }
      break;
    case Kind::kUser:
      std::memcpy(buffer, "user", 4);
      WriteDigits(buffer + 4, Mix(number + 1), 20);
      break;
  }
  return {buffer, key_size_};
}

std::string_view DataSet::MakeAbsentKey(uint64_t number, char* buffer) const {
  constexpr uint64_t kNoEntry = uint64_t{1} << 40;
  if (is_scattered()) {
    return MakeKey(number + kNoEntry, buffer);
  }
  MakeKey(number, buffer);
  buffer[key_size_] = 1;
  return {buffer, key_size_ + 1};
}

std::vector<uint32_t> DataSet::InOrder(uint64_t entries) const {
  std::vector<uint32_t> order(entries);
  std::iota(order.begin(), order.end(), 0);
  if (is_scattered()) {
    std::sort(order.begin(), order.end(), [this](uint32_t a, uint32_t b) {
      char of_a[kMaxKey], of_b[kMaxKey];
      return MakeKey(a, of_a) < MakeKey(b, of_b);
    });
  }
  return order;
}

std::vector<uint32_t> DataSet::Shuffled(uint64_t entries) const {
  std::vector<uint32_t> order(entries);
  std::iota(order.begin(), order.end(), 0);
  Random random(2004);
  for (size_t i = order.size(); i > 1; --i) {
    std::swap(order[i - 1], order[random.Below(i)]);
  }
  return order;
}

Values::Values(const DataSet& data, uint64_t seed) : bytes_(data.value_size(), '\0'), version_(seed << 40) {
  Random random(seed);
  for (char& byte : bytes_) {
    byte = static_cast<char>(random.Next());
  }
}

std::string_view Values::Next() {
  uint64_t word = Mix(++version_);
  size_t places = bytes_.size() / sizeof word;
  std::memcpy(bytes_.data() + version_ % places * sizeof word, &word, sizeof word);
  return bytes_;
}

// After Gray et al., "Quickly Generating Billion-Record Synthetic Databases", as YCSB does it.
std::vector<uint32_t> ZipfRanks(uint64_t entries, uint64_t count, uint64_t seed) {
  constexpr double kTheta = 0.99;
  double zeta = 0;
  for (uint64_t i = 1; i <= entries; ++i) {
    zeta += 1 / std::pow(static_cast<double>(i), kTheta);
  }
  double n = static_cast<double>(entries), zeta2 = 1 + std::pow(0.5, kTheta), alpha = 1 / (1 - kTheta);
  double eta = (1 - std::pow(2 / n, 1 - kTheta)) / (1 - zeta2 / zeta);
  std::vector<uint32_t> ranks(count);
  Random random(seed);
  for (uint32_t& rank : ranks) {
    double u = static_cast<double>(random.Next() >> 11) * 0x1p-53, uz = u * zeta;
    double drawn = uz < 1 ? 0 : uz < zeta2 ? 1 : n * std::pow(eta * u - eta + 1, alpha);
    rank = static_cast<uint32_t>(std::min(drawn, n - 1));
  }
  return ranks;
}

std::vector<uint32_t> ZipfNumbers(uint64_t entries, uint64_t count, uint64_t seed) {
  std::vector<uint32_t> numbers = ZipfRanks(entries, count, seed);
  for (uint32_t& number : numbers) {
    number = static_cast<uint32_t>(Mix(number + 1) % entries);
  }
  return numbers;
}

}  // namespace bench
