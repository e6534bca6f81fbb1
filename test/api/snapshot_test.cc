// A reader sees one committed snapshot for as long as it lives.
#include "support/test_db.h"

namespace johnny::test {
namespace {

class SnapshotTest : public DbTest {};

TEST_F(SnapshotTest, AReaderDoesNotSeeUncommittedChanges) {
  Txn writer(env_);
  ASSERT_OK(writer.Put("a", "1"));
  Txn reader(env_, JOHNNY_READ);
  EXPECT_EQ(reader.Find("a"), std::nullopt);
  ASSERT_OK(writer.Commit());
  EXPECT_EQ(reader.Find("a"), std::nullopt);
  EXPECT_EQ(Txn(env_, JOHNNY_READ).Find("a"), "1");
}

TEST_F(SnapshotTest, AbortDropsAllChanges) {
  Fill(0, 3000);
  Txn before(env_, JOHNNY_READ);
  Txn writer(env_);
  for (uint64_t i = 0; i < 6000; ++i) {
    ASSERT_OK(writer.Put(NumberedKey(i), "changed"));
  }
  ASSERT_OK(writer.Delete(NumberedKey(7)));
  ASSERT_OK(writer.Abort());
  EXPECT_EQ(Txn(env_, JOHNNY_READ).All(), before.All());
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(SnapshotTest, EveryReaderKeepsItsSnapshotThroughManyCommits) {
  std::vector<std::pair<Txn, Contents>> readers;
  Contents model;
  for (int commit = 0; commit < 60; ++commit) {
    Txn writer(env_);
    for (uint64_t i = 0; i < 50; ++i) {
      std::string key = NumberedKey((i * 37 + static_cast<uint64_t>(commit) * 101) % 1500);
      if ((i + static_cast<uint64_t>(commit)) % 4 == 0) {
        (void)writer.Delete(key);
        model.erase(key);
      } else {
        std::string value = Pattern(i % 9 == 0 ? 6000 : 80, static_cast<uint32_t>(commit));
        ASSERT_OK(writer.Put(key, value));
        model[key] = value;
      }
    }
    ASSERT_OK(writer.Commit());
    if (commit % 5 == 0) {
      readers.emplace_back(Txn(env_, JOHNNY_READ), model);
    }
    if (commit % 17 == 16) {
      readers.erase(readers.begin() + 1);
    }
    ASSERT_TRUE(env_.VerifyClean());
  }
  for (const auto& [reader, expected] : readers) {
    EXPECT_TRUE(reader.All() == expected) << reader.Id();
  }
}

TEST_F(SnapshotTest, RenewTakesTheNewestSnapshot) {
  Fill(0, 1);
  Txn reader(env_, JOHNNY_READ);
  uint64_t first = reader.Id();
  Fill(1, 2);
  EXPECT_EQ(reader.Entries(), 1u);
  ASSERT_OK(reader.Reset());
  Fill(2, 3);
  ASSERT_OK(reader.Renew());
  EXPECT_EQ(reader.Entries(), 3u);
  EXPECT_GT(reader.Id(), first);
}

TEST_F(SnapshotTest, CommitOfAReaderEndsIt) {
  Txn reader(env_, JOHNNY_READ);
  EXPECT_OK(reader.Commit());
  EXPECT_OK(env_.Close());
}

TEST_F(SnapshotTest, IdsGrowAndAreTheSnapshotsOfLaterReaders) {
  uint64_t last = env_.Info().last_txn_id;
  for (uint64_t i = 0; i < 10; ++i) {
    Txn writer(env_);
    uint64_t id = writer.Id();
    EXPECT_GT(id, last);
    ASSERT_OK(writer.Put(NumberedKey(i), "v"));
    ASSERT_OK(writer.Commit());
    EXPECT_EQ(Txn(env_, JOHNNY_READ).Id(), id);
    EXPECT_EQ(env_.Info().last_txn_id, id);
    last = id;
  }
  Reopen();
  EXPECT_GE(env_.Info().last_txn_id, last);
  EXPECT_GT(Txn(env_).Id(), last);
}

TEST_F(SnapshotTest, ACommitWithoutChangesDoesNothing) {
  Fill(0, 10);
  uint64_t last = env_.Info().last_txn_id;
  Txn writer(env_);
  EXPECT_EQ(writer.Delete("missing"), JOHNNY_NOT_FOUND);
  ASSERT_OK(writer.Commit());
  EXPECT_EQ(env_.Info().last_txn_id, last);
}

TEST_F(SnapshotTest, AWriterSeesItsOwnChanges) {
  Fill(0, 1000);
  Txn writer(env_);
  ASSERT_OK(writer.Put(NumberedKey(500), "changed"));
  ASSERT_OK(writer.Delete(NumberedKey(501)));
  EXPECT_EQ(writer.Find(NumberedKey(500)), "changed");
  EXPECT_EQ(writer.Find(NumberedKey(501)), std::nullopt);
  EXPECT_EQ(writer.Find(NumberedKey(502)), NumberedKey(502));
}

TEST_F(SnapshotTest, PagesBehindAHeldReaderAreReused) {
  // One page of change per commit, over and over: only the first version of each page is held back.
  Fill(0, 2000);
  uint64_t pages = env_.Info().page_count;
  Txn reader(env_, JOHNNY_READ);
  for (int round = 0; round < 500; ++round) {
    Txn writer(env_);
    ASSERT_OK(writer.Put(NumberedKey(1000), Pattern(8, static_cast<uint32_t>(round))));
    ASSERT_OK(writer.Commit());
  }
  EXPECT_LT(env_.Info().page_count, pages * 2 + 100);
  EXPECT_EQ(reader.Find(NumberedKey(1000)), NumberedKey(1000));
  EXPECT_EQ(reader.All().size(), 2000u);
}

TEST_F(SnapshotTest, ManyReadersOfOneThreadMayBeOpen) {
  std::vector<Txn> readers;
  for (int i = 0; i < 1000; ++i) {
    readers.emplace_back(env_, JOHNNY_READ);
  }
  EXPECT_EQ(env_.Info().readers, 1000u);
  readers.clear();
  EXPECT_EQ(env_.Info().readers, 0u);
}

}  // namespace
}  // namespace johnny::test
