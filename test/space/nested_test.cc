// What nested levels take, free and give back. Random ones: free_space_model_test.cc.
#include "space/space_fixture.h"

namespace johnny::space {
namespace {

class NestedSpaceTest : public testing::Test {
 protected:
  // Commits a transaction that takes pages, so that there is something to free and free space to reuse.
  void Prepare() {
    file_.Begin();
    committed_ = file_.Take(40);
    birth_ = file_.newest_txn() + 1;
    file_.Commit();
    file_.Begin();
    for (size_t i = 0; i < 20; ++i) {
      ASSERT_TRUE(space().Free(committed_[i], 1, birth_).ok());
    }
    file_.Commit();
    txn_ = file_.Begin();
    space().ReleasePending();
  }
  FreeSpace& space() { return file_.space(); }
  bool IsFree(PageNumber page) { return StateOf(space()).free.count(page) != 0; }

  SpaceFile file_;
  std::vector<PageNumber> committed_;
  TxnId birth_ = 0;
  TxnId txn_ = 0;
};

TEST_F(NestedSpaceTest, AbortGivesBackWhatTheLevelTookAndFreed) {
  Prepare();
  PageNumber mine = file_.Take(1).front();
  FreeState before = StateOf(space());
  uint64_t freed = space().freed_pages();
  uint64_t runs = space().run_pages();
  space().BeginNested();
  file_.Take(5);
  ASSERT_TRUE(space().AllocateRun(500).ok()) << "the database grows";
  ASSERT_TRUE(space().Free(committed_[30], 1, birth_).ok());
  ASSERT_TRUE(space().Free(mine, 1, txn_).ok());
  space().AbortNested();
  EXPECT_TRUE(StateOf(space()) == before);
  EXPECT_EQ(space().freed_pages(), freed);
  EXPECT_EQ(space().run_pages(), runs);
  ASSERT_TRUE(space().Free(mine, 1, txn_).ok()) << "it is the outer level's again";
  EXPECT_TRUE(IsFree(mine));
}

TEST_F(NestedSpaceTest, PagesOfTheLevelAroundItAreFreeOnlyOnceItCommits) {
  Prepare();
  PageNumber mine = file_.Take(1).front();
  space().BeginNested();
  space().BeginNested();
  ASSERT_TRUE(space().Free(mine, 1, txn_).ok());
  EXPECT_FALSE(IsFree(mine));
  space().CommitNested();
  EXPECT_FALSE(IsFree(mine)) << "the outermost level took it, and the middle one may yet abort";
  space().CommitNested();
  EXPECT_TRUE(IsFree(mine));
}

TEST_F(NestedSpaceTest, WhatTheMiddleLevelGaveUpIsKeptWhateverEndsInIt) {
  Prepare();
  std::vector<PageNumber> mine = file_.Take(2);
  space().BeginNested();
  ASSERT_TRUE(space().Free(mine[0], 1, txn_).ok());
  space().BeginNested();
  space().CommitNested();
  space().BeginNested();
  ASSERT_TRUE(space().Free(mine[1], 1, txn_).ok());
  space().AbortNested();
  space().CommitNested();
  EXPECT_TRUE(IsFree(mine[0]));
  EXPECT_FALSE(IsFree(mine[1]));
  ASSERT_TRUE(space().Free(mine[1], 1, txn_).ok()) << "it is the outer level's again";
}

TEST_F(NestedSpaceTest, APageOfTheOutermostLevelComesBackThroughTheMiddleOne) {
  Prepare();
  std::vector<PageNumber> mine = file_.Take(2);
  space().BeginNested();
  space().BeginNested();
  ASSERT_TRUE(space().Free(mine[0], 1, txn_).ok());
  space().AbortNested();
  space().AbortNested();
  FreeState before = StateOf(space());
  space().BeginNested();
  space().BeginNested();
  ASSERT_TRUE(space().Free(mine[0], 1, txn_).ok());
  space().CommitNested();
  space().AbortNested();
  EXPECT_TRUE(StateOf(space()) == before);
  ASSERT_TRUE(space().Free(mine[0], 1, txn_).ok()) << "it is the outer level's again";
  EXPECT_TRUE(IsFree(mine[0]));
}

TEST_F(NestedSpaceTest, PagesOfItsOwnAreFreeAtOnce) {
  Prepare();
  space().BeginNested();
  PageNumber own = file_.Take(1).front();
  ASSERT_TRUE(space().Free(own, 1, txn_).ok());
  EXPECT_TRUE(IsFree(own));
  space().CommitNested();
  EXPECT_TRUE(IsFree(own));
}

TEST_F(NestedSpaceTest, WhatACommittedLevelTookGoesWithTheOneAroundIt) {
  Prepare();
  FreeState before = StateOf(space());
  space().BeginNested();
  space().BeginNested();
  file_.Take(300);
  space().CommitNested();
  space().AbortNested();
  EXPECT_TRUE(StateOf(space()) == before);
}

TEST_F(NestedSpaceTest, GivingAPageUpTwiceIsCorrupt) {
  Prepare();
  PageNumber mine = file_.Take(1).front();
  space().BeginNested();
  ASSERT_TRUE(space().Free(mine, 1, txn_).ok());
  EXPECT_EQ(CodeOf(space().Free(mine, 1, txn_)), Code::kCorrupt);
  space().BeginNested();
  EXPECT_EQ(CodeOf(space().Free(mine, 1, txn_)), Code::kCorrupt);
}

TEST_F(NestedSpaceTest, RollbackEndsAllLevels) {
  Prepare();
  FreeState before = StateOf(space());
  file_.Take(3);
  for (int depth = 0; depth < 3; ++depth) {
    space().BeginNested();
    file_.Take(100);
    ASSERT_TRUE(space().Free(committed_[30 + depth], 1, birth_).ok());
  }
  space().Rollback();
  EXPECT_TRUE(StateOf(space()) == before);
}

TEST_F(NestedSpaceTest, ReservationsOfAnAbortedLevelAreGone) {
  SpaceFile small(4096, {.limit_pages = 400, .has_size_limit = true});
  FreeSpace& space = small.space();
  small.Begin();
  auto reserve_all = [&space] {
    uint64_t reserved = 0;
    while (space.Reserve(1, /*may_use_reserve=*/false).ok()) {
      ++reserved;
    }
    return reserved;
  };
  ASSERT_TRUE(space.Reserve(50, false).ok());
  space.BeginNested();
  space.Unreserve(20);  // as when it gives frames of the level around it up
  uint64_t all = reserve_all();
  EXPECT_GT(all, 100u);
  space.AbortNested();
  space.BeginNested();
  EXPECT_EQ(reserve_all(), all - 20);
  space.CommitNested();
  EXPECT_EQ(CodeOf(space.Reserve(1, false)), Code::kSizeLimit) << "those of a committed one stay";
}

TEST_F(NestedSpaceTest, WhatTheLevelsAroundItTookIsCounted) {
  Prepare();
  uint64_t before = space().TakenPages();
  file_.Take(3);
  space().BeginNested();
  file_.Take(5);
  EXPECT_EQ(space().TakenPages(), before + 8);
  space().BeginNested();
  file_.Take(7);
  space().CommitNested();
  EXPECT_EQ(space().TakenPages(), before + 15);
  space().AbortNested();
  EXPECT_EQ(space().TakenPages(), before + 3);
}

// What the log will say of the runs that the outer level took needs room, too.
TEST_F(NestedSpaceTest, ANestedLevelLeavesRoomForTheLogOfAllOfThem) {
  SpaceFile full(4096, {.limit_pages = 2700, .has_size_limit = true});
  FreeSpace& space = full.space();
  full.Begin();
  std::vector<PageNumber> pages = full.Take(2500);
  TxnId birth = full.newest_txn() + 1;
  full.Commit();
  full.Begin();
  for (size_t i = 0; i < pages.size(); i += 2) {
    ASSERT_TRUE(space.Free(pages[i], 1, birth).ok());
  }
  full.Commit();
  full.Begin();
  space.ReleasePending();
  full.Take(1000);
  auto reserve_all = [&space] {
    uint64_t reserved = 0;
    while (space.Reserve(1, /*may_use_reserve=*/false).ok()) {
      ++reserved;
    }
    return reserved;
  };
  uint64_t all = reserve_all();
  EXPECT_GT(all, 10u);
  space.Unreserve(all);
  space.BeginNested();
  EXPECT_EQ(reserve_all(), all);
}

TEST_F(NestedSpaceTest, TheLogTellsWhatNestedLevelsDid) {
  Prepare();
  PageNumber mine = file_.Take(1).front();
  space().BeginNested();
  file_.Take(30);
  ASSERT_TRUE(space().Free(committed_[30], 1, birth_).ok());
  ASSERT_TRUE(space().Free(mine, 1, txn_).ok());
  space().BeginNested();
  file_.Take(30);
  space().AbortNested();
  space().CommitNested();
  file_.Commit();
  auto loaded = file_.Load();
  loaded->ReleasePending();
  space().ReleasePending();
  EXPECT_TRUE(StateOf(*loaded) == StateOf(space()));
}

}  // namespace
}  // namespace johnny::space
