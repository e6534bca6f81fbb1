#include "base/checksum.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace johnny {
namespace {

// Known values of XXH3-64: files must stay readable whatever library computes it.
TEST(ChecksumTest, IsXxh3) {
  EXPECT_EQ(Checksum("", 0, 0), 0x2d06800538d394c2u);
  EXPECT_EQ(Checksum(std::string(4080, 'j').data(), 4080, 2004), 0x0e2e6d09f2ccb8bau);
}

TEST(ChecksumTest, IsTheSameOnEveryProcessor) {
  std::string bytes(70000, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<char>(i * i * 2654435761u >> 13);
  }
  for (size_t size = 0; size < 66000; size += size < 5000 ? 1 : 997) {
    const char* data = bytes.data() + size % 67;  // whatever the alignment
    ASSERT_EQ(Checksum(data, size, size), ChecksumPortable(data, size, size)) << size;
  }
}

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
