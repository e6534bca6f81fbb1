// Which master counts, what a commit without syncs must prove, and ids that are never used twice.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "pager/extent.h"
#include "support/test_db.h"
#include "txn/database_fixture.h"

namespace johnny::env {
namespace {

using format::MasterPage;
using txn::DatabaseFile;
using txn::Durability;
using txn::Model;

Model With(Model model, const std::string& key, const std::string& value) {
  model[key] = value;
  return model;
}

// The page of the leaf that holds `key` in the newest snapshot.
PageNumber LeafOf(DatabaseFile* file, Slice key) {
  pager::View view(file->db().store.get(), file->db().newest_master.page_count, nullptr);
  tree::Path path;
  EXPECT_EQ(tree::Search(view, file->db().newest_master.main, key, &path), tree::Lookup::kFound);
  return node::Header(path.leaf().page)->page();
}

TEST(RecoveryTest, TheNewestMasterCountsInEitherSlot) {
  DatabaseFile file;
  file.MustOpen();
  std::set<int> slots;
  for (int i = 0; i < 3; ++i) {
    file.MustPut("k", std::to_string(i));
    slots.insert(file.db().newest_slot);
    file.Crash();
    file.MustOpen();
    EXPECT_EQ(file.Contents(), (Model{{"k", std::to_string(i)}}));
    EXPECT_FALSE(file.db().opened_clean);
    EXPECT_EQ(file.db().discarded_txn, 0u);
  }
  file.MustPut("k", "x");
  slots.insert(file.db().newest_slot);
  file.MustPut("k", "y");
  slots.insert(file.db().newest_slot);
  EXPECT_EQ(slots.size(), 2u);
}

TEST(RecoveryTest, ATornMasterLeavesTheOneBefore) {
  DatabaseFile file;
  file.MustOpen();
  file.MustPut("k", "1");
  file.MustPut("k", "2");
  int newest = file.db().newest_slot;
  file.Crash();
  file.Flip(format::kMasterSlotOffset[newest] + 60);
  file.MustOpen();
  EXPECT_EQ(file.Contents(), (Model{{"k", "1"}}));
  file.MustPut("k", "3");
  file.Crash();
  file.MustOpen();
  EXPECT_EQ(file.Contents(), (Model{{"k", "3"}}));
}

TEST(RecoveryTest, ADurableMasterThatDoesNotFitTheFileIsDamage) {
  DatabaseFile file;
  file.MustOpen();
  file.MustPut("k", "1");
  file.Fill(5000);
  uint64_t pages = file.db().newest_master.page_count;
  file.Crash();
  ASSERT_TRUE(file.File()->Resize((pages - 1) * 4096).ok());
  EXPECT_EQ(CodeOf(file.Open()), Code::kCorrupt) << "the commit before would be a silent loss";
}

TEST(RecoveryTest, SlotsOfDifferentDatabasesAreNotMixed) {
  DatabaseFile file;
  file.MustOpen();
  file.MustPut("k", "1");
  file.MustPut("k", "2");
  int newest = file.db().newest_slot;
  file.Crash();
  file.ForgeMaster(1 - newest, [](MasterPage* master) {
    master->database_id ^= 1;
    master->id_ceiling = 1 << 30;
  });
  file.MustOpen();
  EXPECT_EQ(file.Contents(), (Model{{"k", "2"}}));
  EXPECT_LT(file.db().state().last_id, 1u << 30) << "the stranger's ids mean nothing";
}

class UnsyncedTest : public testing::TestWithParam<Durability> {
 protected:
  // A durable state, and one commit on top whose master is not flagged durable.
  void CommitOnTop(Slice value) {
    file_.MustOpen();
    file_.Fill(3000);
    before_ = file_.Contents();
    file_.MustPut("fill7", value, GetParam());
    after_ = With(before_, "fill7", std::string(value));
    master_ = file_.db().newest_master;
    ASSERT_FALSE(master_.durable());
  }
  void ExpectDiscarded() {
    file_.MustOpen();
    EXPECT_TRUE(file_.Contents() == before_);
    EXPECT_EQ(file_.db().discarded_txn, master_.txn);
    EXPECT_FALSE(file_.db().opened_clean);
    EXPECT_GE(file_.db().state().last_id, master_.id_ceiling) << "its id is not used again";
  }

  DatabaseFile file_;
  Model before_, after_;
  MasterPage master_;
};
INSTANTIATE_TEST_SUITE_P(Durabilities, UnsyncedTest, testing::Values(Durability::kSingleSync, Durability::kLazy),
                         [](const auto& parameter) { return parameter.param == Durability::kLazy ? "Lazy" : "SingleSync"; });

TEST_P(UnsyncedTest, AWholeCommitCounts) {
  CommitOnTop("changed");
  file_.Crash();
  file_.MustOpen();
  EXPECT_TRUE(file_.Contents() == after_);
  EXPECT_EQ(file_.db().discarded_txn, 0u);
}

TEST_P(UnsyncedTest, ADamagedPageOfItDiscardsTheCommitForEver) {
  CommitOnTop("changed");
  PageNumber page = LeafOf(&file_, "fill7");
  file_.Crash();
  std::string good = file_.Read(page * 4096, 4096);
  file_.FlipPage(page);
  ExpectDiscarded();
  file_.Crash();
  file_.Write(page * 4096, good);
  file_.MustOpen();
  EXPECT_TRUE(file_.Contents() == before_) << "what was disowned once must not come back";
}

TEST_P(UnsyncedTest, ADamagedFreeLogDiscardsTheCommit) {
  CommitOnTop("changed");
  file_.Crash();
  file_.FlipPage(master_.free_log.page);
  ExpectDiscarded();
}

TEST_P(UnsyncedTest, ADamagedLastChunkOfALargeValueDiscardsTheCommit) {
  std::string large = test::Pattern(2 * format::kExtentChunk + 9000, 1);
  CommitOnTop(large);
  pager::View view(file_.db().store.get(), master_.page_count, nullptr);
  node::LeafValue value;
  ASSERT_EQ(tree::Get(view, master_.main, "fill7", &value), tree::Lookup::kFound);
  ASSERT_TRUE(value.is_extent);
  format::ExtentRef extent = format::LoadExtentRef(value.bytes.data());
  file_.Crash();
  file_.Flip(extent.first * 4096 + extent.length - 1);
  ExpectDiscarded();
}

TEST_P(UnsyncedTest, AFileThatLacksItsPagesDiscardsTheCommit) {
  CommitOnTop(test::Pattern(500000, 1));
  uint64_t durable_pages = file_.Master(file_.db().durable_slot())->page_count;
  if (GetParam() == Durability::kSingleSync) {
    durable_pages = file_.Master(1 - file_.db().newest_slot)->page_count;
  }
  ASSERT_LT(durable_pages, master_.page_count);
  file_.Crash();
  ASSERT_TRUE(file_.File()->Resize(durable_pages * 4096).ok());
  ExpectDiscarded();
}

TEST_P(UnsyncedTest, WhatBothTreesShareNeedsNoLook) {
  CommitOnTop("changed");
  PageNumber shared = LeafOf(&file_, "fill2999");
  ASSERT_NE(shared, LeafOf(&file_, "fill7"));
  file_.Crash();
  file_.FlipPage(shared);
  file_.MustOpen();
  EXPECT_EQ(file_.db().discarded_txn, 0u) << "damage of what was durable before is no reason to drop the commit";
  EXPECT_EQ(file_.db().newest_master.txn, master_.txn);
}

TEST_P(UnsyncedTest, VerifyChangesWithoutAnotherMasterLooksAtEverythingYoungerThanDurable) {
  CommitOnTop("changed");
  const pager::PageStore& store = *file_.db().store;
  MasterPage alone = master_;
  alone.durable_txn = 0;
  EXPECT_TRUE(VerifyChanges(store, alone, nullptr).ok());
  file_.FlipPage(LeafOf(&file_, "fill2999"));
  auto fresh = *pager::PageStore::Create(file_.db().file.get(), 4096, master_.database_id, sim::SimSystem::kReserve);
  EXPECT_EQ(CodeOf(VerifyChanges(*fresh, alone, nullptr)), Code::kCorrupt);
  alone.main.root.page = alone.page_count;
  EXPECT_EQ(CodeOf(VerifyChanges(store, alone, nullptr)), Code::kCorrupt) << "a root outside the file";
}

class IdTest : public testing::TestWithParam<Durability> {};
INSTANTIATE_TEST_SUITE_P(Durabilities, IdTest,
                         testing::Values(Durability::kTwoPhase, Durability::kSingleSync, Durability::kLazy));

TEST_P(IdTest, NoIdIsHandedOutTwiceWhateverEndsTheProcess) {
  DatabaseFile file(GetParam());
  for (int round = 0; round < 12; ++round) {
    file.MustOpen();
    for (int i = 0; i < 1 + round % 3; ++i) {
      file.MustPut("k" + std::to_string(i), "v");
      // The promise of the durable master: nothing above its ceiling is in use.
      EXPECT_LE(file.ids().back(), file.Master(file.db().durable_slot())->id_ceiling);
    }
    int newest = file.db().newest_slot;
    switch (round % 4) {
      case 0:
        EXPECT_TRUE(file.Close().ok());
        break;
      case 1:
        file.Crash();
        break;
      case 2:  // the newest master is lost
        file.Crash();
        file.Flip(format::kMasterSlotOffset[newest] + 70);
        break;
      case 3: {  // a transaction was begun and its id seen, but never committed
        txn::Txn txn(&file.db());
        ASSERT_TRUE(txn.BeginWrite(os::kWaitForEver).ok());
        EXPECT_GT(txn.id(), file.ids().back());
        txn.Abort();
        file.Restart(static_cast<uint64_t>(round) + 2);
        break;
      }
    }
  }
  EXPECT_TRUE(std::is_sorted(file.ids().begin(), file.ids().end(), std::less_equal<TxnId>())) << "ids ascend strictly";
}

TEST(IdWindowTest, WindowsRunOutWithoutACommit) {
  DatabaseFile file;
  file.MustOpen();
  TxnId last = 0;
  for (int i = 0; i < 3000; ++i) {  // more than one window of 1024
    txn::Txn txn(&file.db());
    ASSERT_TRUE(txn.BeginWrite(os::kWaitForEver).ok());
    EXPECT_GT(txn.id(), last);
    last = txn.id();
    if (i % 100 == 0) {
      auto master = file.Master(file.db().durable_slot());
      ASSERT_TRUE(master.ok());
      EXPECT_LE(last, master->id_ceiling);
      EXPECT_TRUE(master->durable());
    }
    txn.Abort();
  }
  file.Crash();
  file.MustOpen();
  file.MustPut("k", "v");
  EXPECT_GT(file.ids().back(), last);
}

// A sync that failed is not believed by later opens of the same boot.
TEST(FailedSyncTest, LaterOpensOfThisBootSeeTheDurableState) {
  for (Durability durability : {Durability::kTwoPhase, Durability::kSingleSync}) {
    DatabaseFile file;
    file.MustOpen();
    file.MustPut("k", "durable");
    TxnId durable = file.db().durable_txn();
    bool two_phase = durability == Durability::kTwoPhase;
    file.system().SetFault({.call = sim::Call::kSync, .skip = two_phase ? 1u : 0u});
    EXPECT_EQ(CodeOf(file.Put("k", "lost", durability)), Code::kOutcomeUnknown);
    EXPECT_TRUE(file.db().writes_refused());
    EXPECT_EQ(CodeOf(file.Put("k", "more")), Code::kWritesRefused);
    EXPECT_EQ(file.Contents(), (Model{{"k", "durable"}})) << "readers go on";
    TxnId lost = file.ids().back();
    EXPECT_TRUE(file.Close().ok()) << "closing writes nothing more";
    file.MustOpen();
    EXPECT_EQ(file.Contents(), (Model{{"k", "durable"}}));
    EXPECT_EQ(file.db().discarded_txn, lost);
    EXPECT_EQ(file.db().durable_txn(), durable);
    file.MustPut("k", "after");
    EXPECT_GT(file.ids().back(), lost);
    file.Restart(2);
    file.MustOpen();
    EXPECT_EQ(file.Contents(), (Model{{"k", "after"}}));
  }
}

}  // namespace
}  // namespace johnny::env
