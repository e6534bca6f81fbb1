// Values of all sizes: in the leaf, in extents, across every boundary between.
#include <cstdlib>
#include <set>

#include "support/test_db.h"

namespace johnny::test {
namespace {

class ValueTest : public PagedDbTest {};
INSTANTIATE_PAGE_SIZES(ValueTest);

// Sizes around the largest inline value, multiples of the page, and of the extent's checksum chunk.
std::set<size_t> BoundarySizes(size_t page_size, size_t key_size) {
  std::set<size_t> sizes;
  size_t inline_limit = (page_size - 32) / 2 - 10 - key_size;
  size_t chunk = 256 * 1024;
  for (size_t middle : {inline_limit, page_size / 4, page_size / 2, page_size, page_size * 2, page_size * 3, page_size * 16,
                        chunk, chunk * 2, chunk * 3, size_t{65536}}) {
    for (size_t size = middle - 3; size <= middle + 3; ++size) {
      sizes.insert(size);
    }
    sizes.insert(middle - 32);
    sizes.insert(middle + 32);
  }
  for (size_t size = 0; size < 70; ++size) {
    sizes.insert(size);
  }
  sizes.insert({255, 256, 257, 32766, 32767, 32768, 32769, 1000000, 3 << 20, (5 << 20) + 1});
  return sizes;
}

TEST_P(ValueTest, EveryBoundarySizeIsReadBack) {
  std::set<size_t> sizes = BoundarySizes(GetParam(), 8);
  {
    Txn txn(env_);
    for (size_t size : sizes) {
      ASSERT_OK(txn.Put(NumberedKey(size), Pattern(size, 5)));
      ASSERT_TRUE(txn.Find(NumberedKey(size)) == Pattern(size, 5)) << size;
    }
    ASSERT_OK(txn.Commit());
  }
  EXPECT_TRUE(env_.VerifyClean());
  Reopen();
  Txn txn(env_, JOHNNY_READ);
  for (size_t size : sizes) {
    ASSERT_TRUE(txn.Find(NumberedKey(size)) == Pattern(size, 5)) << size;
  }
}

TEST_P(ValueTest, EverySizeAroundTheInlineLimitFitsBesideKeysOfAllSizes) {
  size_t key_limit = env_.Info().max_key_size;
  for (size_t key_size : {size_t{0}, size_t{1}, size_t{100}, key_limit - 1, key_limit}) {
    size_t inline_limit = (GetParam() - 32) / 2 - 10 - key_size;
    std::string key(key_size, 'k');
    for (size_t size = inline_limit - 3; size <= inline_limit + 3; ++size) {
      Txn txn(env_);
      ASSERT_OK(txn.Put(key, Pattern(size, 9)));
      ASSERT_OK(txn.Commit());
      EXPECT_TRUE(Txn(env_, JOHNNY_READ).Find(key) == Pattern(size, 9)) << key_size << " " << size;
      EXPECT_EQ(Txn(env_, JOHNNY_READ).TableInfo().large_values, size > inline_limit ? 1u : 0u) << key_size << " " << size;
    }
    EXPECT_TRUE(env_.VerifyClean());
    Txn txn(env_);
    ASSERT_OK(txn.Delete(key));
    ASSERT_OK(txn.Commit());
  }
}

TEST_P(ValueTest, ReplacingMovesValuesInAndOutOfExtents) {
  std::set<size_t> sizes = BoundarySizes(GetParam(), 1);
  std::vector<size_t> order(sizes.begin(), sizes.end());
  for (size_t step : {size_t{7}, size_t{13}}) {
    Txn txn(env_);
    for (size_t i = 0; i < order.size(); ++i) {
      size_t size = order[i * step % order.size()];
      ASSERT_OK(txn.Put("k", Pattern(size, 3)));
      ASSERT_TRUE(txn.Find("k") == Pattern(size, 3)) << size;
      if (i % 10 == 9) {
        ASSERT_OK(txn.Commit());
        ASSERT_TRUE(env_.VerifyClean()) << size;
        ASSERT_OK(txn.Begin(env_));
      }
    }
    ASSERT_OK(txn.Commit());
  }
}

TEST_P(ValueTest, DeletedLargeValuesAreReused) {
  std::string value = Pattern(1 << 20, 1);
  uint64_t pages = 0;
  for (int round = 0; round < 30; ++round) {
    Txn txn(env_);
    ASSERT_OK(txn.Put("k", value));
    ASSERT_OK(txn.Commit());
    ASSERT_OK(txn.Begin(env_));
    ASSERT_OK(txn.Delete("k"));
    ASSERT_OK(txn.Commit());
    if (round == 10) {
      pages = env_.Info().page_count;
    }
  }
  EXPECT_LE(env_.Info().page_count, pages);
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_P(ValueTest, LargeValuesOfAnAbortedTransactionGiveTheirPagesBack) {
  Fill(0, 100);
  johnny_env_info before = env_.Info();
  for (int round = 0; round < 20; ++round) {
    Txn txn(env_);
    ASSERT_OK(txn.Put("k", Pattern(1 << 20, 1)));
    ASSERT_OK(txn.Abort());
  }
  EXPECT_TRUE(env_.VerifyClean());
  Txn txn(env_);
  ASSERT_OK(txn.Put("k", Pattern(1 << 20, 1)));
  ASSERT_OK(txn.Commit());
  EXPECT_LE(env_.Info().page_count, before.page_count + (1 << 20) / GetParam() + 200);
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_P(ValueTest, TheTableCountsItsExtents) {
  Txn txn(env_);
  ASSERT_OK(txn.Put("a", Pattern(GetParam() * 3, 1)));
  ASSERT_OK(txn.Put("b", Pattern(GetParam() * 3 + 1, 1)));
  ASSERT_OK(txn.Put("c", "small"));
  johnny_table_info info = txn.TableInfo();
  EXPECT_EQ(info.large_values, 2u);
  EXPECT_EQ(info.extent_pages, 7u);
  ASSERT_OK(txn.Delete("a"));
  EXPECT_EQ(txn.TableInfo().extent_pages, 4u);
  ASSERT_OK(txn.Put("b", "small now"));
  EXPECT_EQ(txn.TableInfo().extent_pages, 0u);
  EXPECT_EQ(txn.TableInfo().large_values, 0u);
}

TEST(LargeValueTest, AValueOfOneGibibyteIsReadBackInPlace) {
  const char* wanted = std::getenv("JOHNNY_LONG_TESTS");
  if (wanted == nullptr || std::string(wanted) != "1") {
    GTEST_SKIP() << "set JOHNNY_LONG_TESTS=1";
  }
  TempDir dir;
  johnny_options options = TestOptions();
  options.address_space = uint64_t{16} << 30;
  {
    std::string value = Pattern(size_t{1} << 30, 11);
    Env env(dir.File("db"), options);
    Txn txn(env);
    ASSERT_OK(txn.Put("big", value));
    ASSERT_OK(txn.Put("small", "v"));
    ASSERT_OK(txn.CommitWith(JOHNNY_TWO_PHASE));
  }
  Env env(dir.File("db"), options);
  EXPECT_TRUE(env.VerifyClean());
  Txn txn(env, JOHNNY_READ);
  johnny_slice value{};
  ASSERT_OK(Result(johnny_get(txn.get(), nullptr, "big", 3, &value)));
  EXPECT_TRUE(View(value) == Pattern(size_t{1} << 30, 11));
}

}  // namespace
}  // namespace johnny::test
