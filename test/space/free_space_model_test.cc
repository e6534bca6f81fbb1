// The free set against a plain account of every page, through random transactions, nested ones, rollbacks, readers and reloads.
#include <gtest/gtest.h>

#include <random>

#include "space/space_fixture.h"

namespace johnny::space {
namespace {

struct Life {
  TxnId birth;
  TxnId death;
};

class Account {
  using Freed = std::vector<std::pair<PageNumber, TxnId>>;

 public:
  Account(uint32_t page_size, uint32_t seed) : file_(page_size), random_(seed) {}

  void RunTransaction() {
    file_.space().ReleasePending();  // so that a rollback has nothing else to show
    FreeState before = StateOf(file_.space());
    std::map<PageNumber, TxnId> used = used_;
    std::set<PageNumber> log_before = file_.LogPages();
    TxnId txn = file_.Begin();
    Freed freed;
    TakeAndFree(txn, 0, &freed);
    PageNumber count_before = before.page_count;
    if (random_() % 4 == 0) {
      if (random_() % 2 == 0) {
        ASSERT_TRUE(file_.Seal().ok());
      }
      file_.space().Rollback();
      used_ = std::move(used);
      ASSERT_TRUE(StateOf(file_.space()) == before) << "rollback restores the state at Begin()";
      return;
    }
    file_.Commit();
    for (PageNumber page = file_.page_count(); page < count_before; ++page) {
      ++cut_;
      CheckReusable(page);
    }
    grown_again_ += cut_ > 0 && file_.page_count() > count_before ? file_.page_count() - count_before : 0;
    file_.CutFile();
    for (const auto& [page, birth] : freed) {
      lives_[page] = {birth, txn};
    }
    std::set<PageNumber> log = file_.LogPages();
    for (PageNumber page : log) {
      if (log_birth_.emplace(page, txn).second) {
        CheckReusable(page);
      } else if (log_before.count(page) == 0) {
        ADD_FAILURE() << "log page " << page << " was given out again within its commit";
      }
    }
    for (auto at = log_birth_.begin(); at != log_birth_.end();) {
      if (log.count(at->first) == 0) {
        lives_[at->first] = {at->second, txn};
        at = log_birth_.erase(at);
      } else {
        ++at;
      }
    }
    CheckPartition();
  }

  // What transactions do: grow the database, empty it, or little.
  enum class Mood { kMixed, kGrow, kEmpty, kQuiet };
  void set_mood(Mood mood) { mood_ = mood; }
  uint64_t cut() const { return cut_; }
  uint64_t grown_again() const { return grown_again_; }

  void ChangeReaders() {
    auto& readers = file_.readers();
    if (random_() % 3 == 0) {
      readers.insert(file_.newest_txn());
    }
    while (!readers.empty() && (readers.size() > 4 || random_() % 3 == 0)) {
      readers.erase(std::next(readers.begin(), static_cast<ptrdiff_t>(random_() % readers.size())));
    }
  }

  void CheckLoad(bool keep_loaded) {
    auto loaded = file_.Load();
    loaded->ReleasePending();
    file_.space().ReleasePending();
    ASSERT_TRUE(StateOf(*loaded) == StateOf(file_.space())) << "the log tells the whole state";
    if (keep_loaded) {
      file_.Reload();
    }
  }

 private:
  void TakeAndFree(TxnId txn, int depth, Freed* freed) {
    for (size_t steps = random_() % 4; steps > 0; --steps) {
      Take(txn);
      Free(txn, freed);
      if (depth < 4 && random_() % 6 == 0) {
        RunNested(txn, depth + 1, freed);
      }
    }
  }

  void RunNested(TxnId txn, int depth, Freed* freed) {
    file_.space().ReleasePending();
    FreeState before = StateOf(file_.space());
    Freed freed_before = *freed;
    outer_used_.push_back(used_);
    file_.space().BeginNested();
    TakeAndFree(txn, depth, freed);
    if (random_() % 2 == 0) {
      file_.space().CommitNested();
    } else {
      file_.space().AbortNested();
      used_ = std::move(outer_used_.back());
      *freed = std::move(freed_before);
      EXPECT_TRUE(StateOf(file_.space()) == before) << "abort restores the state at BeginNested()";
    }
    outer_used_.pop_back();
  }

  void Take(TxnId txn) {
    std::vector<PageNumber> pages;
    if (mood_ == Mood::kQuiet || mood_ == Mood::kEmpty) {
      pages = file_.Take(1 + random_() % 3, random_() % 3 == 0 ? Use::kMeta : Use::kData);
    } else if (random_() % 5 == 0) {
      uint64_t count = 1 + random_() % 70;
      auto first = file_.space().AllocateRun(count);
      ASSERT_TRUE(first.ok()) << first.status();
      for (PageNumber page = *first; page < *first + count; ++page) {
        pages.push_back(page);
      }
    } else {
      pages = file_.Take(1 + random_() % 40, random_() % 3 == 0 ? Use::kMeta : Use::kData);
    }
    for (PageNumber page : pages) {
      ASSERT_TRUE(used_.emplace(page, txn).second) << "page " << page << " is in use already";
      ASSERT_EQ(log_birth_.count(page), 0u) << "page " << page << " is the log's";
      for (const auto& outer : outer_used_) {
        ASSERT_EQ(outer.count(page), 0u) << "page " << page << " would be in use again after an abort";
      }
      ASSERT_LT(page, file_.space().page_count());
      ASSERT_GE(page, format::FirstPage(file_.store().page_size()));
      CheckReusable(page);
    }
  }

  // A pinned snapshot must not see what the page held before.
  void CheckReusable(PageNumber page) {
    auto life = lives_.find(page);
    for (TxnId pinned : life == lives_.end() ? std::vector<TxnId>() : file_.Pinned()) {
      EXPECT_FALSE(life->second.birth <= pinned && pinned < life->second.death)
          << "page " << page << " [" << life->second.birth << ", " << life->second.death << ") is seen by " << pinned;
    }
  }

  void Free(TxnId txn, Freed* freed) {
    constexpr size_t kMost[] = {50, 10, 1000, 4};
    size_t most = std::max<size_t>(kMost[static_cast<int>(mood_)],
                                   used_.size() > 700 ? 100 : 0);  // the simulated file has 2,048 large pages
    for (size_t n = random_() % most; n > 0 && !used_.empty(); --n) {
      auto at = used_.lower_bound(random_() % file_.space().page_count());
      at = at == used_.end() ? used_.begin() : at;
      EXPECT_TRUE(file_.space().Free(at->first, 1, at->second).ok());
      if (at->second != txn) {
        freed->push_back(*at);
      }
      used_.erase(at);
    }
  }

  // Invariant 1: every page is exactly one of in use, the log's, free, or pending.
  void CheckPartition() {
    FreeState state = StateOf(file_.space());
    for (PageNumber page = format::FirstPage(file_.store().page_size()); page < state.page_count; ++page) {
      size_t owners = used_.count(page) + log_birth_.count(page) + state.free.count(page) + state.pending.count(page);
      ASSERT_EQ(owners, 1u) << "page " << page << " after transaction " << file_.newest_txn();
    }
    ASSERT_TRUE(used_.empty() || used_.rbegin()->first < state.page_count);
    ASSERT_LT(log_birth_.rbegin()->first, state.page_count);
    for (const auto& [page, waiting] : state.pending) {
      ASSERT_EQ(lives_[page].birth, std::get<0>(waiting));
      ASSERT_EQ(lives_[page].death, std::get<1>(waiting));
    }
  }

  SpaceFile file_;
  std::mt19937 random_;
  Mood mood_ = Mood::kMixed;
  uint64_t cut_ = 0;          // pages by which the database was made smaller
  uint64_t grown_again_ = 0;  // and larger again after that
  std::map<PageNumber, TxnId> used_;
  std::vector<std::map<PageNumber, TxnId>> outer_used_;  // at the begin of each nested level
  std::map<PageNumber, TxnId> log_birth_;
  std::map<PageNumber, Life> lives_;  // the last one of each page that was freed
};

class FreeSpaceModelTest : public testing::TestWithParam<std::tuple<uint32_t, uint32_t>> {};
INSTANTIATE_TEST_SUITE_P(All, FreeSpaceModelTest, testing::Combine(testing::Values(4096u, 32768u), testing::Values(1u, 2u, 3u)));

TEST_P(FreeSpaceModelTest, EveryPageIsAccountedFor) {
  auto [page_size, seed] = GetParam();
  Account account(page_size, seed);
  for (int i = 0; i < 200 && !HasFatalFailure(); ++i) {
    account.RunTransaction();
    account.ChangeReaders();
    if (i % 5 == 0) {
      account.CheckLoad(i % 3 == 0);
    }
  }
}

TEST_P(FreeSpaceModelTest, EveryPageIsAccountedForThroughShrinkingAndGrowing) {
  auto [page_size, seed] = GetParam();
  Account account(page_size, seed);
  for (int i = 0; i < 600 && !HasFatalFailure(); ++i) {
    int at = i % 200;
    account.set_mood(at < 50    ? Account::Mood::kGrow
                     : at < 70  ? Account::Mood::kEmpty
                     : at < 180 ? Account::Mood::kQuiet
                                : Account::Mood::kMixed);
    account.RunTransaction();
    account.ChangeReaders();
    if (i % 5 == 0) {
      account.CheckLoad(i % 30 == 0);
    }
  }
  EXPECT_GT(account.cut(), 500u);
  EXPECT_GT(account.grown_again(), 500u);
}

}  // namespace
}  // namespace johnny::space
