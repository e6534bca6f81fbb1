// count, rank and nth: exact, against a std::map, while the table changes.
#include <random>

#include "support/test_db.h"

namespace johnny::test {
namespace {

class OrderTest : public PagedDbTest {
 protected:
  static uint64_t RankIn(const Contents& model, const std::string& key) {
    return static_cast<uint64_t>(std::distance(model.begin(), model.lower_bound(key)));
  }

  void Compare(const Txn& txn, const Contents& model, std::minstd_rand* random) {
    ASSERT_EQ(txn.Entries(), model.size());
    Entry entry;
    EXPECT_EQ(txn.Nth(model.size(), &entry), JOHNNY_NOT_FOUND);
    EXPECT_EQ(txn.Nth(~uint64_t{0}, &entry), JOHNNY_NOT_FOUND);
    std::vector<Entry> entries(model.begin(), model.end());
    for (int i = 0; i < 300; ++i) {
      std::string from = NumberedKey((*random)() % 4200, 4);
      std::string to = NumberedKey((*random)() % 4200, 4);
      uint64_t number = 0;
      ASSERT_OK(txn.Rank(from, &number));
      ASSERT_EQ(number, RankIn(model, from)) << from;
      ASSERT_OK(txn.Count(from, to, &number));
      ASSERT_EQ(number, from < to ? RankIn(model, to) - RankIn(model, from) : 0) << from << " " << to;
      ASSERT_OK(txn.Count(from, std::nullopt, &number));
      ASSERT_EQ(number, model.size() - RankIn(model, from));
      ASSERT_OK(txn.Count(std::nullopt, to, &number));
      ASSERT_EQ(number, RankIn(model, to));
      if (!entries.empty()) {
        uint64_t n = (*random)() % entries.size();
        ASSERT_OK(txn.Nth(n, &entry));
        ASSERT_EQ(entry, entries[n]);
      }
    }
  }
};

INSTANTIATE_PAGE_SIZES(OrderTest);

TEST_P(OrderTest, AnEmptyTableHasNothingToCount) {
  Txn txn(env_);
  std::minstd_rand random(1);
  Compare(txn, {}, &random);
}

TEST_P(OrderTest, FiguresStayExactWhileTheTransactionChangesTheTree) {
  std::minstd_rand random(1);
  Contents model;
  for (int round = 0; round < 6; ++round) {
    Txn txn(env_);
    for (int i = 0; i < 1500; ++i) {
      std::string key = NumberedKey(random() % 4000, 4);
      if (random() % 5 < (round < 3 ? 4u : 1u)) {
        std::string value = Pattern(random() % 200, 1);
        ASSERT_OK(txn.Put(key, value));
        model[key] = value;
      } else {
        ASSERT_EQ(txn.Delete(key).ok(), model.erase(key) == 1);
      }
      if (i % 500 == 250) {
        Compare(txn, model, &random);
      }
    }
    Compare(txn, model, &random);
    ASSERT_OK(txn.Commit());
    Compare(Txn(env_, JOHNNY_READ), model, &random);
  }
  Reopen();
  Compare(Txn(env_, JOHNNY_READ), model, &random);
}

TEST_P(OrderTest, NthMayLeaveKeyOrValueOut) {
  Fill(0, 3);
  Txn txn(env_, JOHNNY_READ);
  johnny_slice slice{};
  EXPECT_OK(Result(johnny_nth(txn.get(), nullptr, 1, &slice, nullptr)));
  EXPECT_EQ(View(slice), NumberedKey(1));
  EXPECT_OK(Result(johnny_nth(txn.get(), nullptr, 2, nullptr, &slice)));
  EXPECT_EQ(View(slice), NumberedKey(2));
  EXPECT_OK(Result(johnny_nth(txn.get(), nullptr, 0, nullptr, nullptr)));
}

TEST_P(OrderTest, EmptyBoundsAreBoundsAndNotOpen) {
  Fill(0, 5);
  Txn txn(env_, JOHNNY_READ);
  uint64_t count = 0;
  ASSERT_OK(txn.Count("", "", &count));
  EXPECT_EQ(count, 0u);
  ASSERT_OK(txn.Count(std::nullopt, "", &count));
  EXPECT_EQ(count, 0u);
  ASSERT_OK(txn.Count("", std::nullopt, &count));
  EXPECT_EQ(count, 5u);
}

}  // namespace
}  // namespace johnny::test
