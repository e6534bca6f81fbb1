// Going on from an older commit by the records of other writers: the same as loading everything anew.
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "space/space_fixture.h"

namespace johnny::space {
namespace {

bool SameRef(const format::ChildRef& a, const format::ChildRef& b) { return a.page == b.page && a.checksum == b.checksum; }

void ExpectSame(FreeSpace* a, FreeSpace* b) {
  a->ReleasePending();
  b->ReleasePending();
  EXPECT_TRUE(StateOf(*a) == StateOf(*b));
  EXPECT_EQ(a->file_pages(), b->file_pages());
  EXPECT_TRUE(std::equal(a->segments().begin(), a->segments().end(), b->segments().begin(), b->segments().end(),
                         [](const SegmentRef& x, const SegmentRef& y) {
                           return x.start == y.start && SameRef(x.first, y.first) && x.as_of == y.as_of && x.pages == y.pages;
                         }));
  EXPECT_TRUE(std::equal(a->records().begin(), a->records().end(), b->records().begin(), b->records().end(),
                         [](const auto& x, const auto& y) { return x.txn == y.txn && x.pages == y.pages; }));
}

class CatchUpTest : public testing::Test {
 protected:
  void SetUp() override {
    Commit(300, 0);
    Commit(50, 100);
    other_ = file_.Load();
  }
  // A commit that takes and frees so many pages.
  void Commit(uint64_t take, size_t free) {
    TxnId txn = file_.Begin();
    for (; free > 0; --free) {
      auto at = std::next(used_.begin(), static_cast<ptrdiff_t>(random_() % used_.size()));
      ASSERT_TRUE(file_.space().Free(at->first, 1, at->second).ok());
      used_.erase(at);
    }
    for (PageNumber page : file_.Take(take)) {
      used_[page] = txn;
    }
    file_.Commit();
  }
  // The other process' turn: what its attempt to catch up returns. When it succeeds, the state must be right.
  Code CatchUp(bool* result) {
    file_.Swap(&other_);
    auto caught_up = file_.CatchUp();
    *result = caught_up.ok() && *caught_up;
    if (*result) {
      ExpectSame(&file_.space(), file_.Load().get());
    }
    return CodeOf(caught_up.status());
  }
  void ExpectCaughtUp(bool expected) {
    bool result = !expected;
    EXPECT_EQ(CatchUp(&result), Code::kOk);
    EXPECT_EQ(result, expected);
  }
  // Writes another record in place of the newest one, which must have one page.
  void ForgeNewest(const LogRecord& record) {
    SpaceFile::Master master = file_.master();
    std::vector<Byte> page(4096);
    master.newest = BuildStream(EncodeRecord(record), format::PageType::kFreeLogRecord, record.txn, {&master.newest.page, 1},
                                4096, SpaceFile::kDatabaseId, page.data());
    Slice piece = MakeSlice(page.data(), page.size());
    ASSERT_TRUE(file_.file()->WriteAt(master.newest.page * 4096, absl::MakeConstSpan(&piece, 1)).ok());
    file_.set_master(master);
  }
  LogRecord Newest() {
    auto stream = ReadStream(file_.View(), file_.master().newest, format::PageType::kFreeLogRecord);
    EXPECT_TRUE(stream.ok() && stream->pages.size() == 1);
    return *DecodeRecord(stream->bytes, 1);
  }

  SpaceFile file_;
  std::unique_ptr<FreeSpace> other_;  // of a process that waits for its turn
  std::minstd_rand random_{7};
  std::map<PageNumber, TxnId> used_;
};

TEST_F(CatchUpTest, WithNothingNewThereIsNothingToDo) {
  ExpectCaughtUp(true);
  Commit(10, 10);
  ExpectCaughtUp(true);
  ExpectCaughtUp(true);
}

TEST_F(CatchUpTest, AnEmptyLogToo) {
  SpaceFile fresh;
  auto other = fresh.Load();
  fresh.Swap(&other);
  EXPECT_TRUE(*fresh.CatchUp());
  fresh.Begin();
  fresh.Take(20);
  fresh.Commit();
  fresh.Swap(&other);
  EXPECT_TRUE(*fresh.CatchUp()) << "from no record at all";
  ExpectSame(&fresh.space(), fresh.Load().get());
}

TEST_F(CatchUpTest, SeveralCommitsAreReplayed) {
  file_.readers().insert(file_.newest_txn());
  for (int i = 0; i < 12; ++i) {
    Commit(random_() % 60, random_() % 30);
  }
  Commit(2000, 0);
  ExpectCaughtUp(true);
  file_.readers().clear();
  Commit(5, 100);
  Commit(100, 10);
  ExpectCaughtUp(true);
}

TEST_F(CatchUpTest, ADroppedRecordEndsTheChain) {
  TxnId known = file_.newest_txn();
  std::unique_ptr<FreeSpace> almost;
  while (file_.space().records().front().txn <= known) {
    almost = file_.Load();
    Commit(3, 3);
  }
  // The last of the dropped ones may be the known one, but none that is to be replayed.
  ExpectCaughtUp(false);
  other_ = std::move(almost);
  ExpectCaughtUp(true);
}

TEST_F(CatchUpTest, ACommitThatWasRejectedIsNotGoneOnFrom) {
  SpaceFile::Master before = file_.master();
  std::map<PageNumber, TxnId> used = used_;
  std::unique_ptr<FreeSpace> third = file_.Load();
  Commit(20, 20);  // by a process that survives the rejection of its commit
  file_.set_master(before);
  used_ = used;
  ExpectCaughtUp(true);
  Commit(30, 10);
  ExpectCaughtUp(false);
  other_ = std::move(third);
  ExpectCaughtUp(true);  // who has not seen it does not mind
}

TEST_F(CatchUpTest, NorIsItWhenNothingHasFollowedIt) {
  SpaceFile::Master before = file_.master();
  Commit(20, 20);
  other_ = file_.Load();
  file_.set_master(before);
  ExpectCaughtUp(false);
}

TEST_F(CatchUpTest, ShrinkingAndGrowingAreReplayed) {
  Commit(5000, 0);
  PageNumber full = file_.page_count();
  ExpectCaughtUp(true);
  file_.Begin();
  for (auto at = std::next(used_.begin(), 50); at != used_.end(); at = used_.erase(at)) {
    ASSERT_TRUE(file_.space().Free(at->first, 1, at->second).ok());
  }
  file_.Commit();
  for (int i = 0; i < 10 && file_.page_count() >= full; ++i) {
    other_ = file_.Load();
    Commit(2, 2);
  }
  ASSERT_LT(file_.page_count(), full);
  file_.CutFile();
  ExpectCaughtUp(true);
  Commit(3000, 0);
  EXPECT_GT(file_.page_count(), 3000u);
  ExpectCaughtUp(true);
}

TEST_F(CatchUpTest, APinnedSnapshotOfThePastMakesItFail) {
  TxnId past = file_.newest_txn();
  Commit(5, 200);
  for (int i = 0; i < 5; ++i) {
    Commit(100, 50);  // takes what the commits before have freed
  }
  file_.readers().insert(past);
  ExpectCaughtUp(false);
}

TEST_F(CatchUpTest, TheFilesSizeIsAskedForAnew) {
  file_.Begin();
  file_.Take(3000);
  file_.space().Rollback();
  EXPECT_LT(other_->file_pages(), file_.space().file_pages());
  ASSERT_TRUE(other_->RefreshFileSize().ok());
  EXPECT_EQ(other_->file_pages(), file_.space().file_pages());
  Commit(1, 1);
  file_.CutFile();
  EXPECT_LT(file_.space().file_pages(), 3000u);
  ExpectCaughtUp(true);
  file_.system().SetFault({.call = sim::Call::kSize});
  EXPECT_EQ(CodeOf(file_.CatchUp().status()), Code::kIoError);
  file_.system().ClearFault();
}

TEST_F(CatchUpTest, ForgedRecordsAreRefused) {
  Commit(10, 10);
  LogRecord sound = Newest();
  PageNumber free = file_.Load()->FreeRuns().back().first;
  PageNumber count = file_.page_count();
  using Change = std::function<void(LogRecord*)>;

  std::vector<std::pair<const char*, Change>> forged = {
      {"takes a page in use",
       [&](LogRecord* r) {
         r->taken = {{used_.begin()->first, 1}};
       }},
      {"takes a master page",
       [](LogRecord* r) {
         r->taken.insert(r->taken.begin(), {3, 1});
       }},
      {"frees a free page",
       [&](LogRecord* r) {
         r->freed = {{{free, 1}, 2, r->txn}};
       }},
      {"frees a master page",
       [](LogRecord* r) {
         r->freed.insert(r->freed.begin(), {{3, 1}, 2, r->txn});
       }},
      {"another count before", [](LogRecord* r) { r->old_page_count -= 1; }},
      {"cuts pages in use", [](LogRecord* r) { r->taken = {}, r->freed = {}, r->meta_region = {}, r->new_page_count = 30; }},
      {"cuts master pages", [](LogRecord* r) { r->taken = {}, r->freed = {}, r->meta_region = {}, r->new_page_count = 1; }},
      {"adds absurdly many", [](LogRecord* r) { r->new_page_count = format::kMaxPageNumber; }},
      {"a region of master pages",
       [](LogRecord* r) {
         r->meta_region = {{1, 100}};
       }},
      {"a segment that is none",
       [&](LogRecord* r) {
         r->segments = {{0, {used_.begin()->first, 7, 0}, 0, {}}};
       }},
      {"another previous one", [](LogRecord* r) { r->previous.checksum ^= 1; }},
      {"a previous one of another commit", [](LogRecord* r) { r->previous_txn -= 1; }},
  };
  SpaceFile::Master master = file_.master();
  for (const auto& [what, change] : forged) {
    LogRecord record = sound;
    change(&record);
    ForgeNewest(record);
    // A hostile master agrees with the record.
    for (PageNumber agreed : {count, std::min(record.new_page_count, count)}) {
      SpaceFile::Master hostile = file_.master();
      hostile.page_count = agreed;
      file_.set_master(hostile);
      auto process = std::make_unique<FreeSpace>(file_.file(), &file_.store(), FreeSpaceOptions{.limit_pages = 12000},
                                                 [this] { return file_.Pinned(); });
      ASSERT_TRUE(
          process->Load(pager::View(&file_.store(), sound.old_page_count, nullptr), sound.previous, sound.previous_txn).ok());
      file_.Swap(&process);
      auto caught_up = file_.CatchUp();
      EXPECT_TRUE(CodeOf(caught_up.status()) == Code::kCorrupt || (caught_up.ok() && !*caught_up)) << what << caught_up.status();
    }
  }
  file_.set_master(master);
  ForgeNewest(sound);
  ExpectCaughtUp(true);
}

TEST_F(CatchUpTest, RubbishIsRefusedOrHarmless) {
  Commit(10, 10);
  LogRecord sound = Newest();
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = EncodeRecord(sound);
    for (int i = 0; i < 2; ++i) {
      bytes[random_() % bytes.size()] = static_cast<char>(random_());
    }
    auto record = DecodeRecord(bytes, 1);
    if (record.ok() && record->txn == sound.txn) {
      ForgeNewest(*record);
      SpaceFile::Master master = file_.master();
      master.page_count = std::clamp<PageNumber>(record->new_page_count, 16, 12000);
      file_.set_master(master);
      auto process = std::make_unique<FreeSpace>(file_.file(), &file_.store(), FreeSpaceOptions{.limit_pages = 12000},
                                                 [this] { return file_.Pinned(); });
      auto loaded = process->Load(pager::View(&file_.store(), sound.old_page_count, nullptr), sound.previous, sound.previous_txn);
      ASSERT_TRUE(loaded.ok()) << loaded;
      file_.Swap(&process);
      auto caught_up = file_.CatchUp();
      if (caught_up.ok() && *caught_up) {
        StateOf(file_.space());  // no page twice
      }
    }
  }
}

// ---- The law ----

// Processes that take turns, with readers, rejected commits, growth and shrinking.
class Turns {
 public:
  explicit Turns(uint32_t seed) : random_(seed) {
    for (auto& process : processes_) {
      process.space = file_.Load();
      process.known = file_.newest_txn();
    }
  }

  void Run(int turns) {
    for (int i = 0; i < turns && !testing::Test::HasFatalFailure(); ++i) {
      bool emptying = i % 60 >= 40;
      Turn(&processes_[random_() % std::size(processes_)], emptying);
      cuts_ += file_.page_count() < last_count_ ? 1 : 0;
      last_count_ = file_.page_count();
    }
  }
  int caught_up() const { return caught_up_; }
  int missed() const { return missed_; }
  int cuts() const { return cuts_; }

 private:
  struct Process {
    std::unique_ptr<FreeSpace> space;
    TxnId known = 0;
  };

  void Turn(Process* process, bool emptying) {
    file_.Swap(&process->space);
    std::unique_ptr<FreeSpace> fresh = file_.Load();
    auto caught_up = file_.CatchUp();
    ASSERT_TRUE(caught_up.ok()) << caught_up.status();
    ASSERT_EQ(*caught_up, IsReachable(process->known, *fresh)) << "from " << process->known << " to " << file_.newest_txn();
    (*caught_up ? caught_up_ : missed_) += process->known != file_.newest_txn() ? 1 : 0;
    if (*caught_up) {
      ExpectSame(&file_.space(), fresh.get());
      ASSERT_FALSE(testing::Test::HasFailure()) << "from " << process->known << " to " << file_.newest_txn();
    } else {
      file_.Reload();
    }
    for (uint32_t commits = random_() % 4; commits > 0; --commits) {
      Transaction(emptying);
    }
    process->known = file_.newest_txn();
    if (random_() % 12 == 0) {
      Reject();
    }
    Spoil();
    ChangeReaders();
    file_.Swap(&process->space);
  }

  // Whether every commit behind `known` has its record, and `known` is no commit that was rejected.
  bool IsReachable(TxnId known, const FreeSpace& fresh) const {
    auto next = commits_.upper_bound(known);
    return known == 1 ? commits_.empty() || fresh.records().front().txn == *commits_.begin()
                      : commits_.count(known) > 0 && (next == commits_.end() || fresh.records().front().txn <= *next);
  }

  void Transaction(bool emptying) {
    std::map<PageNumber, TxnId> used = used_;
    TxnId txn = file_.Begin();
    for (uint32_t n = random_() % (emptying ? 800 : 50); n > 0 && !used_.empty(); --n) {
      auto at = used_.lower_bound(random_() % file_.page_count());
      at = at == used_.end() ? used_.begin() : at;
      ASSERT_TRUE(file_.space().Free(at->first, 1, at->second).ok());
      used_.erase(at);
    }
    std::vector<PageNumber> pages = file_.Take(1 + random_() % (emptying ? 3 : 90), random_() % 3 == 0 ? Use::kMeta : Use::kData);
    if (!emptying && random_() % 4 == 0) {
      uint64_t count = 1 + random_() % 100;
      auto run = file_.space().AllocateRun(count);
      ASSERT_TRUE(run.ok()) << run.status();
      for (uint64_t i = 0; i < count; ++i) {
        pages.push_back(*run + i);
      }
    }
    for (PageNumber page : pages) {
      ASSERT_TRUE(used_.emplace(page, txn).second);
    }
    if (random_() % 5 == 0) {
      if (random_() % 2 == 0) {
        ASSERT_TRUE(file_.Seal().ok());
      }
      file_.space().Rollback();
      used_ = std::move(used);
      return;
    }
    before_ = file_.master();
    used_before_ = std::move(used);
    file_.Commit();
    commits_.insert(txn);
    if (random_() % 2 == 0) {
      file_.CutFile();
      before_.txn = 0;  // its pages may be gone
    }
  }

  // Recovery goes back by one commit.
  void Reject() {
    if (before_.txn > 1 && before_.txn != file_.newest_txn()) {
      commits_.erase(file_.newest_txn());
      file_.set_master(before_);
      used_ = used_before_;
      last_count_ = file_.page_count();
    }
    before_.txn = 0;
  }

  // What is free or pending must not be read.
  void Spoil() {
    std::unique_ptr<FreeSpace> fresh = file_.Load();
    std::string rubbish(100, static_cast<char>(random_()));
    Slice piece(rubbish);
    auto spoil = [&](space::Run run) {
      for (PageNumber page = run.first; page < run.end(); ++page) {
        ASSERT_TRUE(file_.file()->WriteAt(page * file_.store().page_size(), absl::MakeConstSpan(&piece, 1)).ok());
      }
    };
    for (const space::Run& run : fresh->FreeRuns()) {
      spoil(run);
    }
    for (const auto& waiting : fresh->PendingRuns()) {
      spoil(waiting.run.run);
    }
    before_.txn = 0;
  }

  void ChangeReaders() {
    auto& readers = file_.readers();
    if (random_() % 3 == 0) {
      readers.insert(file_.newest_txn());
    }
    while (!readers.empty() && (readers.size() > 3 || random_() % 3 == 0)) {
      readers.erase(std::next(readers.begin(), static_cast<ptrdiff_t>(random_() % readers.size())));
    }
  }

  SpaceFile file_;
  std::minstd_rand random_;
  Process processes_[3];
  std::map<PageNumber, TxnId> used_;
  std::set<TxnId> commits_;  // but the rejected ones
  // Before the newest commit; its transaction 0: there is no way back.
  SpaceFile::Master before_{};
  std::map<PageNumber, TxnId> used_before_;
  PageNumber last_count_ = 0;
  int caught_up_ = 0;
  int missed_ = 0;
  int cuts_ = 0;
};

class TurnsTest : public testing::TestWithParam<uint32_t> {};
INSTANTIATE_TEST_SUITE_P(All, TurnsTest, testing::Range(1u, 7u));

TEST_P(TurnsTest, CatchingUpIsLoadingAnew) {
  Turns turns(GetParam());
  turns.Run(400);
  EXPECT_GT(turns.caught_up(), 100) << "of those who had missed something";
  EXPECT_GT(turns.missed(), 3);
  EXPECT_GT(turns.cuts(), 1);
}

}  // namespace
}  // namespace johnny::space
