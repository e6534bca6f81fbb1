#include "node/key.h"

#include <gtest/gtest.h>

#include "base/cpu.h"
#include "node/node_page.h"

namespace johnny::node {
namespace {

using std::string_literals::operator""s;

TEST(KeyTest, HeadIsTheFirstFourBytesPaddedWithZeros) {
  EXPECT_EQ(HeadOf(""), 0u);
  EXPECT_EQ(HeadOf("\xff"s), 0xff000000u);
  EXPECT_EQ(HeadOf("ab"s), 0x61620000u);
  EXPECT_EQ(HeadOf("abc"s), 0x61626300u);
  EXPECT_EQ(HeadOf("abcd"s), 0x61626364u);
  EXPECT_EQ(HeadOf("abcdefgh"s), 0x61626364u);
  EXPECT_EQ(HeadOf("ab\0"s), HeadOf("ab"s)) << "padding looks like zero bytes: equal heads say nothing";
}

TEST(KeyTest, HeadBehindAPrefixIsThatOfTheRest) {
  const std::string bytes = "\x01\xff\x80\x7f abcdefgh\xfe"s;
  for (size_t size = 0; size <= bytes.size(); ++size) {
    const std::string key = bytes.substr(0, size);  // with memory of its own, so that reading beyond it is noticed
    for (size_t prefix = 0; prefix <= size; ++prefix) {
      EXPECT_EQ(HeadBehind(key, prefix), HeadOf(key.substr(prefix))) << size << " bytes, " << prefix << " of prefix";
    }
  }
}

TEST(KeyTest, EqualBytesSeesEveryDifference) {
  for (size_t size = 0; size < 140; ++size) {
    std::vector<char> a(size, 'x'), b(size, 'x');
    EXPECT_TRUE(EqualBytes(a.data(), b.data(), size)) << size;
    for (size_t at = 0; at < size; ++at) {
      b[at] = 'y';
      EXPECT_FALSE(EqualBytes(a.data(), b.data(), size)) << at << " of " << size;
      b[at] = 'x';
    }
  }
}

TEST(KeyTest, KeysAreComparedAsUnsignedBytes) {
  EXPECT_LT(CompareKeys("", "\0"s), 0);
  EXPECT_LT(CompareKeys("a", "a\0"s), 0);
  EXPECT_LT(CompareKeys("\x7f", "\x80"), 0);
  EXPECT_GT(CompareKeys("b", "aaaa"), 0);
  EXPECT_EQ(CompareKeys("", ""), 0);
  EXPECT_EQ(CompareKeys("abc", "abc"), 0);
}

TEST(KeyTest, HeadsOrderAsKeysDo) {
  EXPECT_TRUE(rc::check("a smaller head belongs to a smaller key", [] {
    std::string a = *Tails();
    std::string b = *Tails();
    if (HeadOf(a) < HeadOf(b)) {
      RC_ASSERT(CompareKeys(a, b) < 0);
    }
    RC_ASSERT((CompareKeys(a, b) < 0) == (a < b));
    RC_ASSERT((CompareKeys(a, b) == 0) == (a == b));
  }));
}

TEST(KeyTest, CommonPrefixFindsTheFirstDifference) {
  // Eight bytes are compared at a time: put the difference at every place around that.
  for (size_t size = 0; size < 40; ++size) {
    std::string a(size, 'x');
    EXPECT_EQ(CommonPrefix(a, a), size);
    EXPECT_EQ(CommonPrefix(a, a + "y"), size);
    EXPECT_EQ(CommonPrefix(a + "yz", a), size);
    for (size_t at = 0; at < size; ++at) {
      std::string b = a;
      b[at] = '\xff';
      EXPECT_EQ(CommonPrefix(a, b), at);
      b[size - 1] = 'y';
      EXPECT_EQ(CommonPrefix(b, a), at) << "later differences do not matter";
    }
  }
}

TEST(KeyTest, ShortestSeparatorTellsApartAndIsShortest) {
  EXPECT_EQ(ShortestSeparator("apple", "banana"), "b");
  EXPECT_EQ(ShortestSeparator("apple", "apples"), "apples");
  EXPECT_EQ(ShortestSeparator("", "\0\0"s), "\0"s);
  EXPECT_TRUE(rc::check("left < separator <= right, and no shorter one does that", [] {
    std::string shared(*rc::gen::inRange<size_t>(0, 20), 'p');
    std::string left = shared + *Tails();
    std::string right = shared + *Tails();
    RC_PRE(left != right);
    if (right < left) {
      std::swap(left, right);
    }
    std::string separator(ShortestSeparator(left, right));
    RC_ASSERT(left < separator);
    RC_ASSERT(separator <= right);
    // Every string between the two that is not longer is the separator with something else in its last place.
    RC_ASSERT(separator.substr(0, separator.size() - 1) <= left);
  }));
}

// LowerBoundHead() for each kind of processor, which must agree.
uint32_t LowerBoundOnAll(const Byte* heads, uint32_t n, uint32_t head) {
  const uint32_t low = LowerBoundHead(heads, n, head);
#ifdef JOHNNY_HAS_AVX2_KERNEL
  if (kHasAvx2) {
    EXPECT_EQ(LowerBoundHead<Avx2Processor>(heads, n, head), low);
  }
#endif
  return low;
}

TEST(KeyTest, HeadSearchAgreesWithTheStandardLibrary) {
  EXPECT_TRUE(rc::check("lower bound, and end of the run of equal heads", [] {
    auto heads = *rc::gen::container<std::vector<uint32_t>>(
        rc::gen::oneOf(rc::gen::inRange<uint32_t>(0, 8), rc::gen::just(UINT32_MAX), rc::gen::arbitrary<uint32_t>()));
    heads.resize(*rc::gen::element<size_t>(heads.size(), heads.size(), 17, 64, 65, 256, 257, 700), 77);
    std::sort(heads.begin(), heads.end());
    auto n = static_cast<uint32_t>(heads.size());
    std::vector<Byte> bytes(4 * heads.size() + kHeadsReadAhead, *rc::gen::element<Byte>(0, 1, 0xff));  // what lies behind
    for (uint32_t i = 0; i < n; ++i) {
      Store32(bytes.data() + 4 * i, heads[i]);
    }
    std::vector<uint32_t> wanted = {0, 1, 5, UINT32_MAX, *rc::gen::arbitrary<uint32_t>()};
    for (uint32_t head : wanted) {
      auto low = std::lower_bound(heads.begin(), heads.end(), head) - heads.begin();
      auto high = std::upper_bound(heads.begin(), heads.end(), head) - heads.begin();
      RC_ASSERT(LowerBoundOnAll(bytes.data(), n, head) == low);
      RC_ASSERT(EndOfEqualHeads(bytes.data(), n, static_cast<uint32_t>(low), head) == high);
    }
  }));
}

}  // namespace
}  // namespace johnny::node
