#include "base/checksum.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace johnny {
namespace {

// Known values of XXH3-64: files must stay readable whatever library computes it.
TEST(ChecksumTest, IsXxh3) { EXPECT_EQ(Checksum("", 0, 0), 0x2d06800538d394c2u); }

TEST(ChecksumTest, SeedLengthAndContentsMatter) {
  std::set<uint64_t> sums;
  std::string text(1000, 'x');
  for (size_t size = 0; size < text.size(); ++size) {
    EXPECT_TRUE(sums.insert(Checksum(text.data(), size, 1)).second);
    EXPECT_TRUE(sums.insert(Checksum(text.data(), size, 2)).second);
  }
  for (char& c : text) {
    c = 'y';
    EXPECT_TRUE(sums.insert(Checksum(text.data(), text.size(), 1)).second);
  }
}

}  // namespace
}  // namespace johnny
