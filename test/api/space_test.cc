// The size limit, and the memory budget of a write transaction.
#include <algorithm>
#include <random>

#include "support/test_db.h"

namespace johnny::test {
namespace {

johnny_options WithSizeLimit(uint64_t limit) {
  johnny_options options = TestOptions();
  options.size_limit = limit;
  return options;
}

class SizeLimitTest : public DbTest {
 protected:
  static constexpr uint64_t kLimit = 2 << 20;
  SizeLimitTest() : DbTest(WithSizeLimit(kLimit)) {}

  // Puts until the limit is hit, with commits every `batch` entries; returns the number of entries stored.
  uint64_t FillUp(uint64_t batch, size_t value_size) {
    uint64_t stored = 0;
    for (bool full = false; !full;) {
      Txn txn(env_);
      for (uint64_t i = 0; i < batch && !full; ++i) {
        Result result = txn.Put(NumberedKey(stored), Pattern(value_size, 1));
        full = !result.ok();
        EXPECT_TRUE(result.ok() || result == JOHNNY_SIZE_LIMIT) << result;
        stored += result.ok() ? 1 : 0;
      }
      EXPECT_OK(txn.Commit());
      EXPECT_LE(env_.Info().file_size, kLimit);
    }
    return stored;
  }
};

TEST_F(SizeLimitTest, PutReportsTheLimitAndTheTransactionGoesOn) {
  uint64_t stored = FillUp(~uint64_t{0}, 100);
  EXPECT_GT(stored * 118, kLimit / 2);
  Txn reader(env_, JOHNNY_READ);
  EXPECT_EQ(reader.Entries(), stored);
  EXPECT_EQ(reader.All().size(), stored);
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(SizeLimitTest, SmallCommitsReachTheLimitToo) {
  uint64_t stored = FillUp(50, 100);
  EXPECT_GT(stored * 118, kLimit / 3);
  EXPECT_EQ(Txn(env_, JOHNNY_READ).All().size(), stored);
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(SizeLimitTest, AFullDatabaseCanBeEmptiedInOneTransaction) {
  uint64_t stored = FillUp(200, 100);
  Txn txn(env_);
  for (uint64_t i = 0; i < stored; ++i) {
    ASSERT_OK(txn.Delete(NumberedKey(i))) << i << " of " << stored;
  }
  ASSERT_OK(txn.Commit());
  EXPECT_LE(env_.Info().file_size, kLimit);
  EXPECT_TRUE(env_.VerifyClean());
  EXPECT_GT(FillUp(200, 100), stored / 2);
}

TEST_F(SizeLimitTest, AFullDatabaseCanBeEmptiedBySingleDeletes) {
  uint64_t stored = FillUp(200, 1000);
  std::minstd_rand random(1);
  std::vector<uint64_t> order(stored);
  for (uint64_t i = 0; i < stored; ++i) {
    order[i] = i;
  }
  std::shuffle(order.begin(), order.end(), random);
  for (uint64_t i : order) {
    Txn txn(env_);
    ASSERT_OK(txn.Delete(NumberedKey(i)));
    ASSERT_OK(txn.Commit());
  }
  EXPECT_EQ(Txn(env_, JOHNNY_READ).Entries(), 0u);
  EXPECT_LE(env_.Info().file_size, kLimit);
  EXPECT_TRUE(env_.VerifyClean());
  EXPECT_GT(FillUp(200, 1000), stored / 2);
}

// The free log is condensed only when its records take several times the pages of its checkpoint, and both are large in a
// fragmented file. Whatever it has come to hold when the database gets full, deleting goes on.
class FragmentedTest : public SizeLimitTest, public testing::WithParamInterface<int> {
 protected:
  static constexpr uint64_t kLargeLimit = 64 << 20;
  static constexpr uint64_t kPageSize = 4096;
  static constexpr size_t kValue = 3000;  // a page each

  void SetUp() override {
    options_.size_limit = kLargeLimit;
    Reopen();
  }

  // Puts entries that are not there until one is refused, in one transaction: the free log gets no time to be condensed.
  void FillUpAtOnce() {
    Txn txn(env_);
    Result result = JOHNNY_OK;
    while ((result = txn.Put(NumberedKey(next_), Pattern(kValue, 1))).ok()) {
      keys_.push_back(next_++);
    }
    ASSERT_EQ(result, JOHNNY_SIZE_LIMIT);
    ASSERT_OK(txn.Commit());
  }
  void Delete(uint64_t per_commit, uint64_t count) {
    while (count > 0) {
      Txn txn(env_);
      for (uint64_t i = 0; i < per_commit && count > 0; ++i, --count) {
        std::swap(keys_[random_() % keys_.size()], keys_.back());
        ASSERT_OK(txn.Delete(NumberedKey(keys_.back())));
        keys_.pop_back();
      }
      ASSERT_OK(txn.Commit());
    }
  }

  // So many commits of one put each, which leave a record each.
  void CommitSmallOnes() {
    for (int i = 0; i < GetParam(); ++i) {
      Txn txn(env_);
      ASSERT_OK(txn.Put(NumberedKey(keys_[random_() % keys_.size()]), Pattern(kValue, 2)));
      ASSERT_OK(txn.Commit());
    }
  }
  void DeleteAll() {
    Delete(/*per_commit=*/1, 500);
    Delete(/*per_commit=*/20, keys_.size());
    EXPECT_EQ(Txn(env_, JOHNNY_READ).Entries(), 0u);
    EXPECT_LE(env_.Info().file_size, kLargeLimit);
    EXPECT_TRUE(env_.VerifyClean());
  }

  std::vector<uint64_t> keys_;
  uint64_t next_ = 0;
  std::minstd_rand random_{static_cast<uint32_t>(GetParam()) + 1};
};

TEST_P(FragmentedTest, DeletingGoesOnHoweverLongTheFreeLogIs) {
  FillUpAtOnce();
  Delete(/*per_commit=*/20, keys_.size() / 2);
  CommitSmallOnes();
  FillUpAtOnce();
  DeleteAll();
}

// Nothing that is deleted beside the reader is free, and the log has it all to tell.
TEST_P(FragmentedTest, DeletingGoesOnWhenAReaderHasHeldMuch) {
  for (uint64_t entries = 0; entries < kLargeLimit / kPageSize / 2; entries += 500) {
    Txn txn(env_);
    for (int i = 0; i < 500; ++i) {
      ASSERT_OK(txn.Put(NumberedKey(next_), Pattern(kValue, 1)));
      keys_.push_back(next_++);
    }
    ASSERT_OK(txn.Commit());
  }
  Txn reader(env_, JOHNNY_READ);
  Delete(/*per_commit=*/20, keys_.size() / 4);
  CommitSmallOnes();
  FillUpAtOnce();
  Delete(/*per_commit=*/1, 2);
  ASSERT_OK(reader.Abort());
  DeleteAll();
}

INSTANTIATE_TEST_SUITE_P(CommitsBefore, FragmentedTest, testing::Values(0, 20, 60));

TEST_F(SizeLimitTest, LargeValuesAreRefusedWholeAtTheLimit) {
  Txn txn(env_);
  EXPECT_EQ(txn.Put("too big", Pattern(kLimit, 1)), JOHNNY_SIZE_LIMIT);
  EXPECT_EQ(txn.Exists("too big"), JOHNNY_NOT_FOUND);
  ASSERT_OK(txn.Put("fits", Pattern(kLimit / 2, 1)));
  EXPECT_EQ(txn.Put("fits not", Pattern(kLimit / 2, 1)), JOHNNY_SIZE_LIMIT);
  EXPECT_EQ(txn.Put("fits", Pattern(kLimit * 2, 1)), JOHNNY_SIZE_LIMIT);
  ASSERT_OK(txn.Commit());
  EXPECT_TRUE(Txn(env_, JOHNNY_READ).Find("fits") == Pattern(kLimit / 2, 1));
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(SizeLimitTest, ARefusedPutChangesNothing) {
  uint64_t stored = FillUp(200, 100);
  Txn txn(env_);
  Contents before = txn.All();
  Result result = JOHNNY_OK;
  uint64_t i = stored;
  while (result.ok()) {
    result = txn.Put(NumberedKey(i), Pattern(900, 2));
    if (result.ok()) {
      before[NumberedKey(i++)] = Pattern(900, 2);
    }
  }
  EXPECT_EQ(result, JOHNNY_SIZE_LIMIT);
  EXPECT_TRUE(txn.All() == before);
  EXPECT_EQ(txn.Entries(), before.size());
  ASSERT_OK(txn.Commit());
  EXPECT_TRUE(Txn(env_, JOHNNY_READ).All() == before);
}

TEST_F(SizeLimitTest, TheLimitIsReportedByTheInfo) { EXPECT_EQ(env_.Info().size_limit, kLimit); }

// ---- Memory budget ----

class SpillTest : public PagedDbTest {
 protected:
  SpillTest() {
    EXPECT_OK(env_.Close());
    options_.memory_budget = 64 * GetParam();
    EXPECT_OK(env_.Open(path_, options_));
  }

  // Random puts and deletes over `keys` keys, in the model too.
  void Churn(Txn* txn, int operations, uint64_t keys, Contents* model) {
    for (int i = 0; i < operations; ++i) {
      std::string key = NumberedKey(random_() % keys);
      if (random_() % 4 != 0) {
        std::string value = Pattern(random_() % 97 == 0 ? GetParam() * 2 : 50 + random_() % 200, static_cast<uint32_t>(i));
        ASSERT_OK(txn->Put(key, value));
        (*model)[key] = value;
      } else {
        ASSERT_EQ(txn->Delete(key).ok(), model->erase(key) == 1);
      }
    }
  }

  std::minstd_rand random_{5};
};

INSTANTIATE_PAGE_SIZES(SpillTest);

TEST_P(SpillTest, ATransactionPastItsBudgetSpillsAndCommitsWhole) {
  Contents model;
  Txn txn(env_);
  Churn(&txn, 20000, 200000, &model);
  johnny_txn_info info = txn.Info();
  EXPECT_GT(info.spilled_pages, 0u);
  EXPECT_LE(info.changed_pages * GetParam(), options_.memory_budget * 2);
  EXPECT_TRUE(txn.All() == model);
  Churn(&txn, 5000, 200000, &model);  // spilled pages are changed again
  ASSERT_OK(txn.Commit());
  EXPECT_TRUE(env_.VerifyClean());
  Reopen();
  EXPECT_TRUE(Txn(env_, JOHNNY_READ).All() == model);
}

TEST_P(SpillTest, AbortAfterASpillLeavesNoTrace) {
  Contents model;
  Txn txn(env_);
  Churn(&txn, 3000, 3000, &model);
  ASSERT_OK(txn.Commit());
  Txn reader(env_, JOHNNY_READ);
  for (int round = 0; round < 3; ++round) {
    Contents scratch = model;
    ASSERT_OK(txn.Begin(env_));
    Churn(&txn, 20000, 100000, &scratch);
    EXPECT_GT(txn.Info().spilled_pages, 0u);
    ASSERT_OK(txn.Abort());
    EXPECT_TRUE(env_.VerifyClean());
    EXPECT_TRUE(Txn(env_, JOHNNY_READ).All() == model);
  }
  EXPECT_TRUE(reader.All() == model);
}

TEST_P(SpillTest, AbortedSpillsDoNotGrowTheFileForEver) {
  Contents scratch;
  uint64_t pages = 0;
  for (int round = 0; round < 12; ++round) {
    Txn txn(env_);
    Churn(&txn, 8000, 100000, &scratch);
    ASSERT_OK(txn.Abort());
    scratch.clear();
    Txn small(env_);
    ASSERT_OK(small.Put("k", NumberedKey(static_cast<uint64_t>(round))));
    ASSERT_OK(small.Commit());
    if (round == 4) {
      pages = env_.Info().page_count;
    }
  }
  EXPECT_LE(env_.Info().page_count, pages + 64);
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_P(SpillTest, CursorsStayRightThroughSpills) {
  Contents model;
  Txn txn(env_);
  Churn(&txn, 3000, 100000, &model);
  Cursor cursor(txn);
  for (int i = 0; i < 300; ++i) {
    Entry entry;
    std::string key = NumberedKey(random_() % 100000);
    auto expected = model.lower_bound(key);
    ASSERT_EQ(cursor.Seek(key, JOHNNY_SEEK_AT_OR_AFTER, &entry).ok(), expected != model.end());
    Churn(&txn, 50, 100000, &model);
    if (expected != model.end()) {
      auto next = model.upper_bound(entry.first);
      ASSERT_EQ(cursor.NextKey(), next != model.end() ? next->first : "<JOHNNY_NOT_FOUND>");
    }
  }
}

}  // namespace
}  // namespace johnny::test
