// Giving back the free tail of the file: when, how much, and when not.
#include <gtest/gtest.h>

#include <random>

#include "space/space_fixture.h"

namespace johnny::space {
namespace {

class ShrinkTest : public testing::Test {
 protected:
  explicit ShrinkTest(FreeSpaceOptions options = {.limit_pages = 12000}) : file_(4096, options) {}

  void Fill(uint64_t pages, Use use = Use::kData) {
    TxnId txn = file_.Begin();
    for (PageNumber page : file_.Take(pages, use)) {
      used_[page] = txn;
    }
    file_.Commit();
  }
  // Frees pages from the `keep`th on, in one commit.
  void Empty(size_t keep) {
    file_.Begin();
    FreeBehind(keep);
    file_.Commit();
  }
  void FreeBehind(size_t keep) {
    for (auto at = std::next(used_.begin(), static_cast<ptrdiff_t>(keep)); at != used_.end(); at = used_.erase(at)) {
      ASSERT_TRUE(file_.space().Free(at->first, 1, at->second).ok());
    }
  }
  // Overwrites so many random pages, in one commit.
  void Overwrite(uint64_t pages) {
    TxnId txn = file_.Begin();
    for (uint64_t i = 0; i < pages; ++i) {
      auto at = used_.lower_bound(random_() % file_.page_count());
      at = at == used_.end() ? used_.begin() : at;
      ASSERT_TRUE(file_.space().Free(at->first, 1, at->second).ok());
      used_.erase(at);
    }
    for (PageNumber page : file_.Take(pages)) {
      used_[page] = txn;
    }
    file_.Commit();
  }
  void CheckLoad() {
    auto loaded = file_.Load();
    loaded->ReleasePending();
    file_.space().ReleasePending();
    EXPECT_TRUE(StateOf(*loaded) == StateOf(file_.space()));
  }

  SpaceFile file_;
  std::minstd_rand random_{2026};
  std::map<PageNumber, TxnId> used_;  // with their births
};

TEST_F(ShrinkTest, TheFreeTailIsGivenBackWithinAFewCommits) {
  Fill(5000);
  Empty(100);
  PageNumber full = file_.page_count();
  EXPECT_GE(full, 5000u) << "what a commit frees, it cannot give back";
  for (int i = 0; i < 4; ++i) {
    Overwrite(2);
    CheckLoad();
  }
  EXPECT_LE(file_.page_count(), 3000u) << "commits as large as the largest one must not make it grow again";
  for (int i = 0; i < 600; ++i) {
    Overwrite(2);
  }
  CheckLoad();
  EXPECT_LE(file_.page_count(), 750u) << "which is forgotten after a while";
}

TEST_F(ShrinkTest, AReaderKeepsWhatItSees) {
  Fill(3000);
  file_.readers().insert(file_.newest_txn());
  PageNumber full = file_.page_count();
  Empty(100);
  for (int i = 0; i < 50; ++i) {
    Overwrite(2);
    ASSERT_GE(file_.page_count(), full);
  }
  file_.readers().clear();
  for (int i = 0; i < 10; ++i) {
    Overwrite(2);
  }
  EXPECT_LT(file_.page_count(), full);
  CheckLoad();
}

TEST_F(ShrinkTest, PagesAtTheEndStayWherePagesBehindThemDoNot) {
  Fill(4000);
  PageNumber last = used_.rbegin()->first;
  file_.Begin();
  for (auto at = std::next(used_.begin(), 100); at->first != last; at = used_.erase(at)) {
    ASSERT_TRUE(file_.space().Free(at->first, 1, at->second).ok());
  }
  file_.Commit();
  TxnId born = used_[last];
  used_.erase(last);  // so that it is not overwritten
  for (int i = 0; i < 20; ++i) {
    Overwrite(2);
    ASSERT_GT(file_.page_count(), last);
  }
  file_.Begin();
  ASSERT_TRUE(file_.space().Free(last, 1, born).ok());
  file_.Commit();
  for (int i = 0; i < 10; ++i) {
    Overwrite(2);
  }
  EXPECT_LT(file_.page_count(), last) << "and what was written meanwhile lies below";
  CheckLoad();
}

// Branches, the free log and runs are placed low, too, when there is more free than needed.
TEST_F(ShrinkTest, WithMuchFreeNothingIsPlacedHigh) {
  Fill(3000);
  Fill(500, Use::kMeta);
  Fill(3000);
  PageNumber full = file_.page_count();
  Empty(100);
  for (int i = 0; i < 3; ++i) {
    Overwrite(1);
  }
  file_.readers().insert(file_.newest_txn());  // what is freed from here on stays, so that nothing is cut
  TxnId txn = file_.Begin();
  std::vector<PageNumber> pages = file_.Take(30);
  for (PageNumber page : file_.Take(30, Use::kMeta)) {
    pages.push_back(page);
  }
  auto run = file_.space().AllocateRun(40);
  ASSERT_TRUE(run.ok());
  pages.push_back(*run + 39);
  for (PageNumber page : pages) {
    EXPECT_LT(page, full / 2);
    ASSERT_TRUE(file_.space().Free(page, 1, txn).ok());
  }
  file_.space().Rollback();
}

TEST_F(ShrinkTest, RollbackTakesTheCutBack) {
  Fill(5000);
  Empty(100);
  int cuts = 0;
  for (int i = 0; i < 20; ++i) {
    file_.space().ReleasePending();
    FreeState before = StateOf(file_.space());
    TxnId txn = file_.Begin();
    std::vector<PageNumber> pages = file_.Take(5);
    ASSERT_TRUE(file_.space().Free(pages[0], 1, txn).ok());
    ASSERT_TRUE(file_.space().Free(used_.begin()->first, 1, used_.begin()->second).ok());
    ASSERT_TRUE(file_.Seal().ok());
    cuts += file_.space().page_count() < before.page_count ? 1 : 0;
    file_.space().Rollback();
    ASSERT_TRUE(StateOf(file_.space()) == before);
    Overwrite(2);
    CheckLoad();
  }
  EXPECT_GT(cuts, 0);
}

TEST_F(ShrinkTest, WhatWasCutComesBackWhenTheDatabaseGrows) {
  for (int round = 0; round < 3; ++round) {
    Fill(4000);
    PageNumber full = file_.page_count();
    Empty(50);
    for (int i = 0; i < 8; ++i) {
      Overwrite(3);
      file_.CutFile();
    }
    ASSERT_LT(file_.page_count(), full);
    ASSERT_LT(*file_.file()->Size(), full * 4096);
    ASSERT_GE(*file_.file()->Size(), file_.page_count() * 4096);
    CheckLoad();
  }
  Fill(4000);
  CheckLoad();
}

// The law that hysteresis is for.
TEST_F(ShrinkTest, SteadyOverwritesNeverShrinkAndGrowInTurns) {
  for (uint64_t live : {300, 3000}) {
    for (uint64_t most : {3, 60, 300}) {
      SCOPED_TRACE(testing::Message() << live << " pages, commits of up to " << most);
      if (used_.size() < live) {
        Fill(live - used_.size());
      }
      int shrunk = 0;
      uint64_t grown = 0;
      for (int i = 0; i < 700; ++i) {
        PageNumber count = file_.page_count();
        Overwrite(1 + random_() % std::min(most, live / 2));
        if (i >= 350) {
          shrunk += file_.page_count() < count ? 1 : 0;
          grown += file_.page_count() > count ? file_.page_count() - count : 0;
        }
        file_.CutFile();
      }
      EXPECT_EQ(shrunk, 0);
      EXPECT_LE(grown, live / 10);
      CheckLoad();
    }
  }
}

// The same when one commit in many is large.
TEST_F(ShrinkTest, RareLargeCommitsDoNotMakeItGrowEachTime) {
  Fill(3000);
  uint64_t grown = 0;
  for (int i = 0; i < 2000; ++i) {
    PageNumber count = file_.page_count();
    Overwrite(i % 40 == 0 ? 400 : 2);
    grown += i >= 500 && file_.page_count() > count ? file_.page_count() - count : 0;
    file_.CutFile();
  }
  EXPECT_LE(grown, 400u);
}

TEST_F(ShrinkTest, TheFileKeepsWhatTheNextCommitNeeds) {
  Fill(6000);
  Empty(50);
  int cuts = 0;
  for (int i = 0; i < 100; ++i) {
    Overwrite(3);
    EXPECT_EQ(file_.space().file_pages(), *file_.file()->Size() / 4096);
    uint64_t size = *file_.file()->Size();
    file_.CutFile();
    cuts += *file_.file()->Size() < size ? 1 : 0;
    EXPECT_EQ(file_.space().surplus_pages(), 0u);
    size = *file_.file()->Size();
    TxnId txn = file_.Begin();
    for (PageNumber page : file_.Take(20)) {
      ASSERT_TRUE(file_.space().Free(page, 1, txn).ok());
    }
    EXPECT_FALSE(file_.space().grew());
    file_.space().Rollback();
    EXPECT_EQ(*file_.file()->Size(), size);
  }
  EXPECT_GE(cuts, 1);
  EXPECT_LE(cuts, 10) << "never a little";
}

TEST_F(ShrinkTest, WhatAnAbortedTransactionAddedToTheFileIsSurplus) {
  Fill(50);
  file_.Begin();
  file_.Take(8000);
  file_.space().Rollback();
  Overwrite(2);
  EXPECT_GT(file_.space().surplus_pages(), 7000u);
  Fill(5000);
  file_.Begin();
  file_.Take(5000);
  file_.Commit();
  EXPECT_EQ(file_.space().surplus_pages(), 0u) << "it has just grown";
}

class NoShrinkTest : public ShrinkTest {
 protected:
  NoShrinkTest() : ShrinkTest({.limit_pages = 12000, .shrink = false}) {}
};

TEST_F(NoShrinkTest, ShrinkingCanBeSwitchedOff) {
  Fill(5000);
  PageNumber full = file_.page_count();
  Empty(100);
  for (int i = 0; i < 100; ++i) {
    Overwrite(2);
    EXPECT_GE(file_.page_count(), full);
    EXPECT_EQ(file_.space().surplus_pages(), 0u);
  }
}

class LimitedShrinkTest : public ShrinkTest {
 protected:
  LimitedShrinkTest() : ShrinkTest({.limit_pages = 4000, .has_size_limit = true}) {}
};

// Invariant 4 holds at the seal that cuts, and what was given back is there again.
TEST_F(LimitedShrinkTest, ADatabaseOfLimitedSizeCanBeFilledAgain) {
  auto fill_up = [this] {
    TxnId txn = file_.Begin();
    uint64_t pages = 0;
    while (file_.space().Reserve(1, false).ok()) {
      ++pages;
    }
    std::vector<space::Run> runs;
    EXPECT_TRUE(file_.space().Allocate(pages, Use::kData, &runs).ok());
    for (const space::Run& run : runs) {
      for (PageNumber page = run.first; page < run.end(); ++page) {
        used_[page] = txn;
      }
    }
    file_.Commit();
    return pages;
  };
  uint64_t first = fill_up();
  for (int round = 0; round < 5; ++round) {
    PageNumber full = file_.page_count();
    Empty(20);
    for (int i = 0; i < 6; ++i) {
      Overwrite(2);
      file_.CutFile();
    }
    ASSERT_LT(file_.page_count(), full);
    EXPECT_GE(fill_up() + 60, first);
    CheckLoad();
  }
}

}  // namespace
}  // namespace johnny::space
