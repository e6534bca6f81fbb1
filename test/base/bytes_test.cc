#include "base/bytes.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <vector>

namespace johnny {
namespace {

TEST(BytesTest, IntegersAreLittleEndianAtAnyAlignment) {
  std::vector<Byte> bytes(16, 0xee);
  Store16(bytes.data() + 1, 0x0102);
  EXPECT_EQ(bytes[1], 2);
  EXPECT_EQ(bytes[2], 1);
  Store32(bytes.data() + 3, 0x03040506);
  EXPECT_EQ(bytes[3], 6);
  EXPECT_EQ(bytes[6], 3);
  Store64(bytes.data() + 7, 0x0708090a0b0c0d0e);
  EXPECT_EQ(bytes[7], 0x0e);
  EXPECT_EQ(bytes[14], 0x07);
  EXPECT_EQ(bytes[0], 0xee);
  EXPECT_EQ(bytes[15], 0xee);
  EXPECT_EQ(Load16(bytes.data() + 1), 0x0102);
  EXPECT_EQ(Load32(bytes.data() + 3), 0x03040506u);
  EXPECT_EQ(Load64(bytes.data() + 7), 0x0708090a0b0c0d0eu);
}

TEST(BytesTest, FortyEightBitsKeepToSixBytes) {
  EXPECT_TRUE(rc::check("what is loaded is what was stored", [] {
    uint64_t value = *rc::gen::inRange<uint64_t>(0, kMax48 + 1);
    Byte bytes[8];
    std::memset(bytes, 0xee, sizeof bytes);
    Store48(bytes + 1, value);
    RC_ASSERT(Load48(bytes + 1) == value);
    RC_ASSERT(bytes[0] == 0xee);
    RC_ASSERT(bytes[7] == 0xee);
  }));
  Byte bytes[6];
  Store48(bytes, kMax48);
  EXPECT_EQ(Load48(bytes), kMax48);
  EXPECT_EQ(kMax48, 0xffffffffffffu);
}

TEST(BytesTest, SlicesViewBytes) {
  const Byte bytes[] = {'a', 0, 'b'};
  Slice slice = MakeSlice(bytes, 3);
  EXPECT_EQ(slice.size(), 3u);
  EXPECT_EQ(Data(slice), bytes);
  EXPECT_TRUE(MakeSlice(nullptr, 0).empty());
}

}  // namespace
}  // namespace johnny
