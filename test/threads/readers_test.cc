// Readers and one writer in threads: nobody waits, every snapshot is whole. Meant to run under TSan as well.
#include <atomic>
#include <thread>

#include "support/test_db.h"

namespace johnny::test {
namespace {

class ReadersTest : public DbTest {
 protected:
  // Every entry of a round has the round's number as value, so a mixed snapshot is seen at once.
  void WriteRound(uint64_t round, uint64_t entries) {
    Txn txn(env_);
    for (uint64_t i = 0; i < entries; ++i) {
      ASSERT_OK(txn.Put(NumberedKey(i), NumberedKey(round)));
    }
    ASSERT_OK(txn.Commit());
  }

  // Reads everything in `txn` and returns its round.
  static std::string RoundOf(const Txn& txn, uint64_t entries) {
    Contents all = txn.All();
    EXPECT_EQ(all.size(), entries);
    std::string round = all.empty() ? "" : all.begin()->second;
    for (const auto& [key, value] : all) {
      EXPECT_EQ(value, round) << key;
    }
    return round;
  }
};

TEST_F(ReadersTest, ReadersSeeWholeSnapshotsThatNeverGoBack) {
  constexpr uint64_t kEntries = 300;
  WriteRound(0, kEntries);
  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&] {
      std::string last;
      while (!done) {
        Txn txn(env_, JOHNNY_READ);
        std::string round = RoundOf(txn, kEntries);
        EXPECT_GE(round, last);
        EXPECT_EQ(RoundOf(txn, kEntries), round);
        last = round;
      }
    });
  }
  for (uint64_t round = 1; round <= 100 * static_cast<uint64_t>(Scale()); ++round) {
    WriteRound(round, kEntries);
  }
  done = true;
  for (std::thread& reader : readers) {
    reader.join();
  }
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(ReadersTest, ReadersBeginAndEndAtAHighRateBesideCommits) {
  WriteRound(0, 10);
  std::atomic<bool> done = false;
  std::atomic<uint64_t> begun = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&] {
      uint64_t last = 0;
      while (!done) {
        Txn txn(env_, JOHNNY_READ);
        EXPECT_GE(txn.Id(), last);
        last = txn.Id();
        std::string first;
        std::string second;
        EXPECT_OK(txn.Get(NumberedKey(0), &first));
        EXPECT_OK(txn.Get(NumberedKey(9), &second));
        EXPECT_EQ(first, second);
        ++begun;
      }
    });
  }
  for (uint64_t round = 1; round <= 1000 * static_cast<uint64_t>(Scale()); ++round) {
    WriteRound(round, 10);
  }
  done = true;
  for (std::thread& reader : readers) {
    reader.join();
  }
  EXPECT_GT(begun, 0u);
  EXPECT_EQ(env_.Info().readers, 0u);
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(ReadersTest, ResetAndRenewBesideCommits) {
  WriteRound(0, 50);
  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      Txn txn(env_, JOHNNY_READ);
      Cursor cursor(txn);
      std::string last;
      while (!done) {
        std::string round = RoundOf(txn, 50);
        EXPECT_GE(round, last);
        last = round;
        EXPECT_EQ(cursor.NextKey(), NumberedKey(0));
        EXPECT_OK(txn.Reset());
        EXPECT_OK(txn.Renew());
      }
    });
  }
  for (uint64_t round = 1; round <= 300 * static_cast<uint64_t>(Scale()); ++round) {
    WriteRound(round, 50);
  }
  done = true;
  for (std::thread& reader : readers) {
    reader.join();
  }
}

TEST_F(ReadersTest, AReaderMayBeHandedFromThreadToThread) {
  WriteRound(7, 200);
  Txn txn(env_, JOHNNY_READ);
  Cursor cursor(txn);
  for (uint64_t i = 0; i < 20; ++i) {
    std::thread([&] {
      WriteRound(100 + i, 200);
      EXPECT_EQ(cursor.NextKey(), NumberedKey(i));
      EXPECT_EQ(RoundOf(txn, 200), NumberedKey(7));
    }).join();
  }
  std::thread([&] {
    cursor.Close();
    EXPECT_OK(txn.Commit());
  }).join();
  EXPECT_EQ(env_.Info().readers, 0u);
}

TEST_F(ReadersTest, AThreadMayEndWithItsReaderLive) {
  WriteRound(1, 20);
  std::vector<Txn> readers(20);
  for (Txn& reader : readers) {
    std::thread([&] { EXPECT_OK(reader.Begin(env_, JOHNNY_READ)); }).join();
  }
  WriteRound(2, 20);
  EXPECT_EQ(env_.Info().readers, 20u);
  for (Txn& reader : readers) {
    EXPECT_EQ(RoundOf(reader, 20), NumberedKey(1));
    EXPECT_OK(reader.Commit());
  }
}

TEST_F(ReadersTest, ReaderSlotsRunOutCleanlyWhenThreadsCompete) {
  ASSERT_OK(env_.Close());
  options_.max_readers = 4;
  ASSERT_OK(env_.Open(path_, options_));
  std::vector<std::thread> threads;
  std::atomic<int> live = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 500; ++round) {
        Txn txn;
        Result result = txn.Begin(env_, JOHNNY_READ);
        EXPECT_TRUE(result.ok() || result == JOHNNY_READERS_FULL) << result;
        if (result.ok()) {
          EXPECT_LE(++live, 4);
          --live;
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  std::vector<Txn> all(4);
  for (Txn& txn : all) {
    EXPECT_OK(txn.Begin(env_, JOHNNY_READ));
  }
}

TEST_F(ReadersTest, TablesMayBeOpenedFromManyThreads) {
  Txn setup(env_);
  for (uint64_t i = 0; i < 100; ++i) {
    ASSERT_OK(setup.Put("name", NumberedKey(i), 0, setup.Table(NumberedKey(i))));
  }
  ASSERT_OK(setup.Commit());
  Reopen();
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      Txn txn(env_, JOHNNY_READ);
      for (uint64_t i = 0; i < 100; ++i) {
        johnny_table* table = txn.Table(NumberedKey(i), 0);
        EXPECT_EQ(txn.Find("name", table), NumberedKey(i));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

TEST_F(ReadersTest, InspectionRunsBesideReadersAndTheWriter) {
  WriteRound(0, 500);
  std::atomic<bool> done = false;
  std::thread inspector([&] {
    auto ignore_reader = [](void*, const johnny_reader_info*) { return 0; };
    auto ignore_run = [](void*, const johnny_free_run*) { return 0; };
    while (!done) {
      johnny_env_info info = env_.Info();
      EXPECT_EQ(info.used_pages + info.free_pages + info.pending_pages, info.page_count);
      EXPECT_OK(Result(johnny_reader_list(env_.get(), ignore_reader, nullptr)));
      EXPECT_OK(Result(johnny_free_run_list(env_.get(), ignore_run, nullptr)));
      EXPECT_TRUE(env_.VerifyClean());
      EXPECT_OK(env_.Sync());
    }
  });
  std::thread reader([&] {
    while (!done) {
      RoundOf(Txn(env_, JOHNNY_READ), 500);
    }
  });
  for (uint64_t round = 1; round <= 100 * static_cast<uint64_t>(Scale()); ++round) {
    WriteRound(round, 500);
  }
  done = true;
  inspector.join();
  reader.join();
}

}  // namespace
}  // namespace johnny::test
