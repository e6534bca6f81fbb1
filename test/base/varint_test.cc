#include "base/varint.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace johnny {
namespace {

std::string Encoded(uint64_t value) {
  std::string bytes;
  AppendVarint(&bytes, value);
  return bytes;
}

TEST(VarintTest, SizesGrowBySevenBits) {
  EXPECT_EQ(Encoded(0), std::string(1, '\0'));
  EXPECT_EQ(Encoded(300), "\xac\x02");
  for (unsigned bits = 1; bits <= 64; ++bits) {
    uint64_t largest = bits == 64 ? UINT64_MAX : (uint64_t{1} << bits) - 1;
    EXPECT_EQ(Encoded(largest).size(), (bits + 6) / 7);
    EXPECT_LE(Encoded(largest).size(), kMaxVarintSize);
  }
}

TEST(VarintTest, ListsSurviveEncoding) {
  EXPECT_TRUE(rc::check("integers come back one after the other, and a part of one never does", [] {
    auto shifted = rc::gen::apply([](uint64_t value, int shift) { return value >> shift; }, rc::gen::arbitrary<uint64_t>(),
                                  rc::gen::inRange(0, 64));
    auto values = *rc::gen::container<std::vector<uint64_t>>(shifted);
    std::string bytes;
    for (uint64_t value : values) {
      for (size_t cut = 0; cut < Encoded(value).size(); ++cut) {
        std::string part = Encoded(value).substr(0, cut);
        Slice in = part;
        uint64_t ignored = 0;
        RC_ASSERT(!TakeVarint(&in, &ignored));
      }
      AppendVarint(&bytes, value);
    }
    Slice in = bytes;
    for (uint64_t value : values) {
      uint64_t taken = 0;
      RC_ASSERT(TakeVarint(&in, &taken));
      RC_ASSERT(taken == value);
    }
    RC_ASSERT(in.empty());
  }));
}

TEST(VarintTest, MoreThanSixtyFourBitsAreRefused) {
  auto accepts = [](std::string bytes) {
    Slice in = bytes;
    uint64_t value = 0;
    return TakeVarint(&in, &value);
  };
  EXPECT_TRUE(accepts(std::string(9, '\xff') + '\x01'));
  EXPECT_FALSE(accepts(std::string(9, '\xff') + '\x02'));
  EXPECT_FALSE(accepts(std::string(9, '\x80') + '\x7f'));
  EXPECT_FALSE(accepts(std::string(10, '\x80') + '\x01'));
  EXPECT_FALSE(accepts(std::string(100, '\xff')));
}

}  // namespace
}  // namespace johnny
