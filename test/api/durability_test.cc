// Commits of each durability, sync, and what is there after reopening. (Power cuts are simulated elsewhere.)
#include <chrono>
#include <thread>

#include "support/test_db.h"

namespace johnny::test {
namespace {

class LazyTest : public DbTest {};  // whose default is lazy

class DurabilityTest : public DbTest, public testing::WithParamInterface<uint32_t> {
 protected:
  DurabilityTest() {
    EXPECT_OK(env_.Close());
    options_.durability = GetParam();
    EXPECT_OK(env_.Open(path_, options_));
  }
};

INSTANTIATE_TEST_SUITE_P(All, DurabilityTest, testing::Values(JOHNNY_TWO_PHASE, JOHNNY_SINGLE_SYNC, JOHNNY_LAZY),
                         [](const auto& parameter) {
                           return parameter.param == JOHNNY_TWO_PHASE     ? "TwoPhase"
                                  : parameter.param == JOHNNY_SINGLE_SYNC ? "SingleSync"
                                                                          : "Lazy";
                         });

TEST_P(DurabilityTest, CommitsAreThereAfterReopening) {
  for (uint64_t i = 0; i < 20; ++i) {
    Fill(i * 50, i * 50 + 50);
    if (i % 5 == 4) {
      Reopen();
      EXPECT_EQ(Txn(env_, JOHNNY_READ).All().size(), i * 50 + 50);
      EXPECT_TRUE(env_.VerifyClean());
    }
  }
  EXPECT_EQ(env_.Info().durability, GetParam());
}

TEST_P(DurabilityTest, SyncMakesTheNewestCommitDurable) {
  Fill(0, 10);
  johnny_env_info info = env_.Info();
  if (GetParam() == JOHNNY_LAZY) {
    EXPECT_LT(info.durable_txn_id, info.last_txn_id);
  } else {
    EXPECT_EQ(info.durable_txn_id, info.last_txn_id);
  }
  ASSERT_OK(env_.Sync());
  info = env_.Info();
  EXPECT_EQ(info.durable_txn_id, info.last_txn_id);
  EXPECT_OK(env_.Sync());
  Fill(10, 20);
  EXPECT_TRUE(env_.VerifyClean());
  Reopen();
  EXPECT_EQ(Txn(env_, JOHNNY_READ).All().size(), 20u);
}

TEST_P(DurabilityTest, ACommitMayChooseItsOwn) {
  uint64_t i = 0;
  for (uint32_t durability :
       {JOHNNY_DURABILITY_DEFAULT, JOHNNY_LAZY, JOHNNY_SINGLE_SYNC, JOHNNY_LAZY, JOHNNY_TWO_PHASE, JOHNNY_LAZY, JOHNNY_LAZY,
        JOHNNY_SINGLE_SYNC, JOHNNY_SINGLE_SYNC, JOHNNY_TWO_PHASE, JOHNNY_SINGLE_SYNC}) {
    Txn txn(env_);
    ASSERT_OK(txn.Put(NumberedKey(i++), Pattern(5000, durability)));
    ASSERT_OK(txn.CommitWith(durability));
    johnny_env_info info = env_.Info();
    if (durability == JOHNNY_TWO_PHASE || durability == JOHNNY_SINGLE_SYNC) {
      EXPECT_EQ(info.durable_txn_id, info.last_txn_id);
    }
    EXPECT_TRUE(env_.VerifyClean());
  }
  Reopen();
  EXPECT_EQ(Txn(env_, JOHNNY_READ).All().size(), i);
  EXPECT_EQ(env_.Info().discarded_txn_id, 0u);
}

// Waits as long as it takes; a suite that hangs here shows that nobody syncs.
TEST_F(LazyTest, TheBackgroundSyncMakesCommitsDurable) {
  options_.sync_interval_ms = 2;
  Reopen();
  for (uint64_t i = 0; i < 20; ++i) {
    Fill(i, i + 1);
    while (env_.Info().durable_txn_id < env_.Info().last_txn_id) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(LazyTest, ClosingEndsTheBackgroundSync) {
  options_.sync_interval_ms = 1;
  for (uint64_t i = 0; i < 50; ++i) {
    Reopen();
    Fill(i, i + 1);
  }
  EXPECT_EQ(Txn(env_, JOHNNY_READ).All().size(), 50u);
}

TEST_P(DurabilityTest, SyncBesideAWriteTransactionDoesNotCommitIt) {
  Fill(0, 10);
  Txn txn(env_);
  ASSERT_OK(txn.Put("pending", "v"));
  ASSERT_OK(env_.Sync());
  EXPECT_EQ(Txn(env_, JOHNNY_READ).Exists("pending"), JOHNNY_NOT_FOUND);
  ASSERT_OK(txn.Abort());
  Reopen();
  EXPECT_EQ(Txn(env_, JOHNNY_READ).All().size(), 10u);
}

TEST_P(DurabilityTest, AKilledProcessLosesNothing) {
  Fill(0, 500);
  // What another process would find now is in the file: take a copy, as the file of a process that was killed.
  Fill(500, 600);
  std::string bytes = ReadFile(path_);
  std::string copy = dir_.File("copy");
  WriteFile(copy, bytes);
  Env env(copy, options_);
  EXPECT_EQ(env.Info().clean, 0u);
  EXPECT_EQ(Txn(env, JOHNNY_READ).All().size(), 600u);
  EXPECT_TRUE(env.VerifyClean());
}

TEST_P(DurabilityTest, IdsGoOnAfterAnUncleanEnd) {
  Fill(0, 500);
  uint64_t abandoned = 0;
  {
    Txn txn(env_);
    abandoned = txn.Id();
  }
  std::string copy = dir_.File("copy");
  WriteFile(copy, ReadFile(path_));
  Env env(copy, options_);
  EXPECT_GE(Txn(env).Id(), abandoned);
  EXPECT_GT(Txn(env).Id(), env.Info().last_txn_id);
}

TEST_P(DurabilityTest, ManyReopeningsKeepTheFileSmall) {
  Fill(0, 100);
  Reopen();
  uint64_t pages = env_.Info().page_count;
  for (int i = 0; i < 30; ++i) {
    Fill(50, 60);
    Reopen();
  }
  EXPECT_LT(env_.Info().page_count, pages + 100);
  EXPECT_TRUE(env_.VerifyClean());
}

}  // namespace
}  // namespace johnny::test
