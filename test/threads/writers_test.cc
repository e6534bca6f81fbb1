// Several threads that write: one at a time, in turn; and the ledger whose sum is always 2004.
#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include "support/test_db.h"

namespace johnny::test {
namespace {

class WritersTest : public DbTest {};

TEST_F(WritersTest, WritersQueueAndLoseNoUpdate) {
  constexpr int kThreads = 6;
  const int rounds = 100 * Scale();
  Txn setup(env_);
  ASSERT_OK(setup.Put("counter", "0"));
  ASSERT_OK(setup.Commit());
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < rounds; ++round) {
        Txn txn(env_);
        int counter = std::stoi(txn.Find("counter").value_or("-1000000"));
        EXPECT_OK(txn.Put("counter", std::to_string(counter + 1)));
        EXPECT_OK(txn.Put(NumberedKey(static_cast<uint64_t>(i * rounds + round)), std::to_string(counter)));
        EXPECT_OK(txn.Commit());
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  Txn txn(env_, JOHNNY_READ);
  EXPECT_EQ(txn.Find("counter"), std::to_string(kThreads * rounds));
  EXPECT_EQ(txn.Entries(), static_cast<uint64_t>(kThreads * rounds + 1));
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(WritersTest, NoWaitIsBusyWhileAnotherThreadWrites) {
  Txn txn(env_);
  std::thread([&] {
    Txn other;
    EXPECT_EQ(other.Begin(env_, JOHNNY_NO_WAIT), JOHNNY_BUSY);
  }).join();
  ASSERT_OK(txn.Commit());
  std::thread([&] {
    Txn other;
    EXPECT_OK(other.Begin(env_, JOHNNY_NO_WAIT));
    EXPECT_OK(other.Abort());
  }).join();
}

TEST_F(WritersTest, AWaitingWriterGoesOnWhenTheOtherEnds) {
  for (bool commit : {true, false}) {
    Txn txn(env_);
    ASSERT_OK(txn.Put("a", "b"));
    std::atomic<bool> begun = false;
    std::thread waiter([&] {
      Txn other(env_);
      begun = true;
      EXPECT_OK(other.Put("c", "d"));
      EXPECT_OK(other.Commit());
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_FALSE(begun);
    EXPECT_OK(commit ? txn.Commit() : txn.Abort());
    waiter.join();
    EXPECT_TRUE(begun);
  }
  EXPECT_EQ(Txn(env_, JOHNNY_READ).All(), (Contents{{"a", "b"}, {"c", "d"}}));
}

TEST_F(WritersTest, NoWaitWritersAndWaitingWritersMix) {
  std::atomic<uint64_t> stored = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 100; ++round) {
        Txn txn;
        Result result = txn.Begin(env_, i % 2 == 0 ? uint32_t{JOHNNY_NO_WAIT} : 0);
        if (result == JOHNNY_BUSY && i % 2 == 0) {
          std::this_thread::yield();
          continue;
        }
        EXPECT_OK(result);
        EXPECT_OK(txn.Put(NumberedKey(static_cast<uint64_t>(i * 1000 + round)), "v"));
        if (round % 7 == 0) {
          EXPECT_OK(txn.Abort());
        } else {
          EXPECT_OK(txn.Commit());
          ++stored;
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(Txn(env_, JOHNNY_READ).Entries(), stored);
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(WritersTest, AWriteTransactionMayBeHandedFromThreadToThread) {
  Txn txn(env_);
  Cursor cursor(txn);
  for (uint64_t i = 0; i < 200; ++i) {
    std::thread([&] {
      EXPECT_OK(txn.Put(NumberedKey(i), Pattern(100, 1)));
      EXPECT_EQ(cursor.NextKey(), NumberedKey(i));
    }).join();
  }
  std::thread([&] { EXPECT_OK(txn.Commit()); }).join();
  Txn next;
  EXPECT_OK(next.Begin(env_, JOHNNY_NO_WAIT));  // the commit in the other thread let the writer's place go
  EXPECT_EQ(next.Entries(), 200u);
}

// ---- The ledger ----

class LedgerTest : public DbTest, public testing::WithParamInterface<uint32_t> {
 protected:
  static constexpr uint64_t kAccounts = 60;
  static constexpr int kCoins = 2004;

  static int SumOf(const Txn& txn) {
    int sum = 0;
    Cursor cursor(txn);
    Entry entry;
    while (cursor.Next(&entry).ok()) {
      int coins = std::stoi(entry.second);
      EXPECT_GE(coins, 0);
      sum += coins;
    }
    return sum;
  }

  void Transfer(std::minstd_rand* random) {
    std::string from = NumberedKey((*random)() % kAccounts);
    std::string to = NumberedKey((*random)() % kAccounts);
    Txn txn(env_);
    int has = std::stoi(txn.Find(from).value_or("0"));
    int moved = static_cast<int>((*random)() % static_cast<unsigned>(has + 1));
    EXPECT_OK(txn.Put(from, std::to_string(has - moved)));
    int other = std::stoi(txn.Find(to).value_or("0"));
    EXPECT_OK(txn.Put(to, std::to_string(other + moved)));
    if ((*random)() % 8 == 0) {
      EXPECT_OK(txn.Put(to, "1000000"));  // never seen by anyone
      EXPECT_OK(txn.Abort());
    } else {
      EXPECT_OK(txn.CommitWith(GetParam()));
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Durability, LedgerTest, testing::Values(JOHNNY_TWO_PHASE, JOHNNY_SINGLE_SYNC, JOHNNY_LAZY),
                         testing::PrintToStringParamName());

TEST_P(LedgerTest, EveryAuditSums2004Coins) {
  ASSERT_OK(env_.Close());
  options_.sync_interval_ms = 1;
  ASSERT_OK(env_.Open(path_, options_));
  {
    Txn setup(env_);
    for (uint64_t i = 0; i < kAccounts; ++i) {
      ASSERT_OK(setup.Put(NumberedKey(i), std::to_string(i == 0 ? kCoins : 0)));
    }
    ASSERT_OK(setup.Commit());
  }
  std::atomic<int> audits = 0;
  std::atomic<bool> done = false;
  std::vector<std::thread> movers;
  std::vector<std::thread> auditors;
  std::thread syncer([&] {  // beside the background's
    while (!done) {
      EXPECT_OK(env_.Sync());
    }
  });
  for (unsigned i = 0; i < 3; ++i) {
    movers.emplace_back([&, i] {
      std::minstd_rand random(i + 1);
      for (int transfer = 0; transfer < 200 * Scale(); ++transfer) {
        Transfer(&random);
      }
    });
    auditors.emplace_back([&] {
      while (!done) {
        EXPECT_EQ(SumOf(Txn(env_, JOHNNY_READ)), kCoins);
        ++audits;
      }
    });
  }
  for (std::thread& mover : movers) {
    mover.join();
  }
  done = true;
  syncer.join();
  for (std::thread& auditor : auditors) {
    auditor.join();
  }
  EXPECT_GT(audits, 0);
  Reopen();
  EXPECT_EQ(SumOf(Txn(env_, JOHNNY_READ)), kCoins);
  EXPECT_TRUE(env_.VerifyClean());
}

}  // namespace
}  // namespace johnny::test
