// The commit protocol step by step: what is written when, into which slot, and what each failure leaves behind.
#include <gtest/gtest.h>

#include <algorithm>

#include "txn/database_fixture.h"

namespace johnny::txn {
namespace {

using sim::Event;

// The changes to the file as letters: p pages, 0 or 1 the master slot, m the mark of a failed sync, s a sync; repeats once.
std::string Protocol(const std::vector<Event>& events) {
  std::string letters;
  for (const Event& event : events) {
    char letter = '?';
    switch (event.kind) {
      case Event::Kind::kWrite:
        letter = event.offset == 0                              ? '0'
                 : event.offset == format::kMasterSlotOffset[1] ? '1'
                 : event.offset == format::kSyncMarkOffset      ? 'm'
                                                                : 'p';
        break;
      case Event::Kind::kSync:
      case Event::Kind::kSyncDropped:
        letter = 's';
        break;
      default:
        continue;
    }
    if (letters.empty() || letters.back() != letter) {
      letters += letter;
    }
  }
  return letters;
}

class CommitTest : public testing::Test {
 protected:
  void SetUp() override {
    file_.MustOpen();
    file_.MustPut("first", "1");  // raises the id ceiling and loads the free log
    file_.MustPut("first", "2");
  }
  std::string ProtocolOf(Durability durability, Slice value = "v") {
    file_.system().TakeEvents();
    file_.MustPut("k", value, durability);
    return Protocol(file_.system().TakeEvents());
  }
  char DurableSlot() { return static_cast<char>('0' + file_.db().durable_slot()); }
  char OtherSlot() { return static_cast<char>('1' - file_.db().durable_slot()); }

  DatabaseFile file_;
};

TEST_F(CommitTest, TwoPhaseSyncsPagesBeforeTheMasterAndTheMasterBeforeTheAnswer) {
  for (int i = 0; i < 4; ++i) {
    std::string expected = std::string("ps") + OtherSlot() + "s";
    EXPECT_EQ(ProtocolOf(Durability::kTwoPhase), expected);
    EXPECT_EQ(file_.db().newest_slot, file_.db().durable_slot());
  }
}

TEST_F(CommitTest, SingleSyncWritesPagesAndMasterAndSyncsOnce) {
  std::string expected = std::string("p") + OtherSlot() + "s";
  EXPECT_EQ(ProtocolOf(Durability::kSingleSync), expected);
  EXPECT_FALSE(file_.db().newest_master.durable()) << "it must prove itself after a crash";
  EXPECT_EQ(file_.db().durable_txn(), file_.ids().back()) << "but it is durable now";
}

TEST_F(CommitTest, LazyNeverSyncsNorOverwritesTheDurableMaster) {
  TxnId durable = file_.db().durable_txn();
  int slot = file_.db().durable_slot();
  for (int i = 0; i < 5; ++i) {
    std::string expected = std::string("p") + OtherSlot();
    EXPECT_EQ(ProtocolOf(Durability::kLazy), expected);
    EXPECT_EQ(file_.db().durable_slot(), slot);
    EXPECT_EQ(file_.db().durable_txn(), durable);
    EXPECT_EQ(file_.db().newest_master.durable_txn, durable);
    EXPECT_EQ(file_.Master(slot)->txn, durable);
  }
  file_.system().TakeEvents();
  EXPECT_TRUE(file_.db().Sync().ok());
  EXPECT_EQ(Protocol(file_.system().TakeEvents()), "s") << "a sync needs no other master page";
  EXPECT_EQ(file_.db().durable_slot(), 1 - slot);
  EXPECT_EQ(file_.db().durable_txn(), file_.ids().back());
  EXPECT_TRUE(file_.db().Sync().ok());
  EXPECT_EQ(Protocol(file_.system().TakeEvents()), "") << "nothing left to sync";
  std::string expected = std::string("ps") + OtherSlot() + "s";
  EXPECT_EQ(ProtocolOf(Durability::kTwoPhase), expected);
}

TEST_F(CommitTest, LargeDurableCommitsSetOutForTheDiskWhileTheyAreSealed) {
  DatabaseFile file(Durability::kLazy);
  file.MustOpen();
  for (Durability durability : {Durability::kTwoPhase, Durability::kLazy, Durability::kSingleSync}) {
    file.system().TakeSetOut();
    Txn txn(&file.db());
    ASSERT_TRUE(txn.BeginWrite(os::kWaitForEver).ok());
    for (int i = 0; i < 300; ++i) {  // half as many pages
      ASSERT_TRUE(txn.Put(txn.main_table(), "key " + std::to_string(i), std::string(1900, 'v'), tree::PutMode::kUpsert).ok());
    }
    ASSERT_TRUE(txn.Commit(durability).ok());
    EXPECT_EQ(!file.system().TakeSetOut().empty(), durability != Durability::kLazy) << static_cast<int>(durability);
  }
}

// Each separate place costs the disk as much as ten pages.
TEST_F(CommitTest, ASmallCommitWritesTwoPlacesAndTheMaster) {
  std::string many(50, 'v');
  for (int i = 0; i < 2000; ++i) {  // branches, too
    file_.MustPut("key " + std::to_string(i), many, Durability::kLazy);
  }
  int commits_of_three = 0;
  for (int i = 0; i < 20; ++i) {
    file_.system().TakeEvents();
    file_.MustPut("key " + std::to_string(i * 97), "changed", Durability::kLazy);
    int writes = 0;
    for (const Event& event : file_.system().TakeEvents()) {
      writes += event.kind == Event::Kind::kWrite ? 1 : 0;
    }
    EXPECT_GE(writes, 3) << "the leaf, what leads to it with the free log's record, the master page";
    commits_of_three += writes == 3 ? 1 : 0;
  }
  EXPECT_GE(commits_of_three, 16) << "the others condense the free log";
}

TEST_F(CommitTest, TheMasterSaysWhatTheCommitDid) {
  file_.MustPut("k", "v");
  auto master = file_.Master(file_.db().newest_slot);
  ASSERT_TRUE(master.ok());
  EXPECT_EQ(master->txn, file_.ids().back());
  EXPECT_TRUE(master->durable());
  EXPECT_FALSE(master->clean());
  EXPECT_EQ(master->durable_txn, master->txn);
  EXPECT_EQ(master->id_ceiling, master->txn + file_.db().IdWindow());
  EXPECT_EQ(master->main.root.entries, 2u);
  EXPECT_EQ(master->page_count, file_.db().space->page_count());
  EXPECT_LE(master->page_count * 4096, *file_.db().file->Size());
}

TEST_F(CommitTest, ReadersSeeTheSnapshotOnlyOnceItIsPublished) {
  std::vector<std::string> places;
  file_.system().set_yield_hook([&](const char* name) {
    if (std::string(name).rfind("commit: ", 0) == 0) {
      places.push_back(name);
      EXPECT_LT(file_.db().board.newest(), file_.ids().back());
      EXPECT_EQ(file_.Contents().count("k"), 0u);
    }
  });
  file_.MustPut("k", "v");
  EXPECT_EQ(places, (std::vector<std::string>{"commit: sealed", "commit: data written", "commit: master published"}));
  EXPECT_EQ(file_.db().board.newest(), file_.ids().back());
  EXPECT_EQ(file_.Contents().at("k"), "v");
}

TEST_F(CommitTest, ACommitWithoutChangesPublishesNothing) {
  TxnId newest = file_.db().board.newest();
  file_.system().TakeEvents();
  Txn txn(&file_.db());
  ASSERT_TRUE(txn.BeginWrite(os::kWaitForEver).ok());
  EXPECT_TRUE(txn.Commit(Durability::kDefault).ok());
  EXPECT_FALSE(txn.active());
  EXPECT_EQ(Protocol(file_.system().TakeEvents()), "");
  EXPECT_EQ(file_.db().board.newest(), newest);
}

// Every call of the commit fails once, with each durability.
TEST_F(CommitTest, EachFailureHasOneOfThreeOutcomes) {
  for (Durability durability : {Durability::kTwoPhase, Durability::kSingleSync, Durability::kLazy}) {
    bool seen_error = false, seen_unknown = false, finished = false;
    for (uint64_t call = 0; !finished; ++call) {
      DatabaseFile file;
      file.MustOpen();
      file.MustPut("k", "old");
      Txn txn(&file.db());
      ASSERT_TRUE(txn.BeginWrite(os::kWaitForEver).ok());
      absl::Status status;
      ASSERT_TRUE(txn.Put(txn.Resolve(nullptr, &status), "k", "new", tree::PutMode::kUpsert).ok());
      TxnId id = txn.id();
      file.system().SetFault({.skip = call});
      status = txn.Commit(durability);
      EXPECT_FALSE(txn.active());
      bool fired = file.system().faults_fired() > 0;
      file.system().ClearFault();
      bool refused = file.db().writes_refused();
      const Model before{{"k", "old"}}, after{{"k", "new"}};
      if (status.ok()) {
        EXPECT_FALSE(fired) << "call " << call << " failed unnoticed";
        finished = true;
        EXPECT_EQ(file.Contents(), after);
      } else if (CodeOf(status) == Code::kOutcomeUnknown) {
        seen_unknown = true;
        EXPECT_TRUE(refused);
        EXPECT_EQ(file.Contents(), before) << "not announced";
        EXPECT_EQ(CodeOf(file.Put("l", "x")), Code::kWritesRefused);
      } else {
        seen_error = true;
        EXPECT_EQ(CodeOf(status), Code::kIoError) << status;
        EXPECT_EQ(file.Contents(), before);
        if (!refused) {  // as before: the next commit goes through
          file.MustPut("l", "x");
          EXPECT_EQ(file.Contents(), (Model{{"k", "old"}, {"l", "x"}}));
        }
      }
      Model left = file.Contents();
      file.Crash();
      file.MustOpen();
      if (CodeOf(status) == Code::kOutcomeUnknown) {
        EXPECT_TRUE(file.Contents() == before || file.Contents() == after);
        EXPECT_EQ(file.Contents() == after, file.db().newest_master.txn == id) << "the id tells which of the two";
      } else {
        EXPECT_EQ(file.Contents(), left);
      }
      file.MustPut("again", "works");
      EXPECT_GT(file.ids().back(), id);
    }
    EXPECT_TRUE(seen_unknown);
    EXPECT_TRUE(seen_error);
  }
}

TEST_F(CommitTest, AFailedCommitGivesItsPagesBack) {
  auto figures = [&] {
    file_.db().space->ReleasePending();
    return std::pair(file_.db().space->free_pages() + file_.db().space->pending_pages(), file_.db().space->page_count());
  };
  auto before = figures();
  for (int i = 0; i < 20; ++i) {
    Txn txn(&file_.db());
    ASSERT_TRUE(txn.BeginWrite(os::kWaitForEver).ok());
    absl::Status status;
    TableState* main = txn.Resolve(nullptr, &status);
    for (int j = 0; j < 50; ++j) {
      ASSERT_TRUE(txn.Put(main, std::to_string(j), std::string(j == 7 ? 50000 : 300, 'v'), tree::PutMode::kUpsert).ok());
    }
    file_.system().SetFault({.call = sim::Call::kWrite});
    EXPECT_EQ(CodeOf(txn.Commit(Durability::kDefault)), Code::kIoError);
  }
  EXPECT_EQ(figures(), before);
}

TEST_F(CommitTest, WhatASyncFailedForIsNotCommittedLater) {
  file_.system().SetFault({.call = sim::Call::kSync});
  EXPECT_EQ(CodeOf(file_.Put("k", "v")), Code::kIoError) << "the first sync: the master was not written";
  EXPECT_TRUE(file_.db().writes_refused()) << "a failed sync is never retried";
  file_.system().TakeEvents();
  EXPECT_EQ(CodeOf(file_.Put("k", "v")), Code::kWritesRefused);
  EXPECT_EQ(CodeOf(file_.db().Sync()), Code::kWritesRefused);
  EXPECT_TRUE(file_.Close().ok());
  EXPECT_EQ(Protocol(file_.system().TakeEvents()), "");
}

TEST_F(CommitTest, AFailedLazySyncLeavesTheMark) {
  TxnId durable = file_.db().durable_txn();
  file_.MustPut("k", "v", Durability::kLazy);
  file_.system().SetFault({.call = sim::Call::kSync});
  EXPECT_EQ(CodeOf(file_.db().Sync()), Code::kIoError);
  format::SyncMark mark;
  std::string bytes = file_.Read(format::kSyncMarkOffset, format::kSyncMarkSize);
  ASSERT_TRUE(format::DecodeSyncMark(Data(bytes), &mark));
  EXPECT_EQ(mark.boot_id, file_.system().BootId());
  EXPECT_EQ(mark.durable_txn, durable);
}

}  // namespace
}  // namespace johnny::txn
