#include "space/free_space.h"

#include <gtest/gtest.h>

#include <numeric>

#include "space/space_fixture.h"

namespace johnny::space {
namespace {

void FreeAll(SpaceFile* file, const std::vector<PageNumber>& pages, TxnId birth) {
  for (PageNumber page : pages) {
    EXPECT_TRUE(file->space().Free(page, 1, birth).ok());
  }
}

TEST(FreeSpaceTest, AFreedPageIsPendingUntilItsCommitAndThenUntilNobodySeesIt) {
  SpaceFile file;
  TxnId born = file.Begin();
  std::vector<PageNumber> pages = file.Take(5);
  file.Commit();
  file.readers().insert(born);
  TxnId died = file.Begin();
  FreeAll(&file, pages, born);
  EXPECT_EQ(file.space().freed_pages(), 5u);
  EXPECT_EQ(file.space().pending_pages(), 0u);
  file.Commit();
  EXPECT_EQ(file.space().pending_pages(), 5u);
  file.space().ReleasePending();
  for (const auto& waiting : file.space().PendingRuns()) {
    EXPECT_EQ(waiting.run.birth, born);
    EXPECT_EQ(waiting.run.death, died);
    EXPECT_EQ(waiting.waits_for, born);
  }
  EXPECT_EQ(file.space().pending_pages(), 5u);
  file.readers().clear();
  file.space().ReleasePending();
  EXPECT_EQ(file.space().pending_pages(), 0u);
}

// What a damaged file makes trees do: each would hand a page to two owners.
TEST(FreeSpaceTest, PagesThatCannotBeInUseAreNotFreed) {
  SpaceFile file;
  TxnId born = file.Begin();
  std::vector<PageNumber> pages = file.Take(5);
  file.Commit();
  file.Begin();
  FreeAll(&file, {pages[4]}, born);
  file.Commit();  // pending, then

  TxnId txn = file.Begin();
  PageNumber end = file.space().page_count();
  EXPECT_EQ(CodeOf(file.space().Free(pages[0], 1, txn)), Code::kCorrupt) << "not taken by this transaction";
  EXPECT_EQ(CodeOf(file.space().Free(pages[0], 1, txn + 1)), Code::kCorrupt);
  EXPECT_EQ(CodeOf(file.space().Free(end, 1, born)), Code::kCorrupt);
  EXPECT_EQ(CodeOf(file.space().Free(end - 1, 2, born)), Code::kCorrupt);
  std::vector<std::vector<PageNumber>> cases = {
      {pages[0], pages[1], pages[0]},           // twice
      {pages[4]},                               // pending already
      {file.space().FreeRuns().front().first},  // free already
      {pages[0], file.space().FreeRuns().back().end() - 1},
  };
  for (const std::vector<PageNumber>& freed : cases) {
    FreeAll(&file, freed, born);
    EXPECT_EQ(CodeOf(file.space().Seal().status()), Code::kCorrupt) << testing::PrintToString(freed);
    file.space().Rollback();
  }
  FreeAll(&file, {pages[0], pages[1]}, born);
  EXPECT_TRUE(file.space().Seal().ok());
  file.space().Rollback();
}

// birth <= s < death, for every place of the pinned snapshots beside the interval.
TEST(FreeSpaceTest, PagesAreHeldByTheNewestSnapshotInTheirInterval) {
  SpaceFile file;
  for (int i = 0; i < 3; ++i) {  // 2, 3, 4
    file.Begin();
    file.Commit();
  }
  TxnId born = file.Begin();  // 5
  std::vector<PageNumber> pages = file.Take(1);
  file.Commit();
  for (int i = 0; i < 3; ++i) {  // 6, 7, 8
    file.Begin();
    file.Commit();
  }
  TxnId died = file.Begin();  // 9
  FreeAll(&file, pages, born);
  auto waits_for = [&](std::multiset<TxnId> readers) {
    file.readers() = std::move(readers);
    file.space().ReleasePending();
    for (const auto& waiting : file.space().PendingRuns()) {
      if (waiting.run.run.first == pages[0]) {
        return waiting.waits_for;
      }
    }
    return TxnId{0};
  };
  file.readers() = {3, 4, 5, 6, 8};
  file.Commit();
  EXPECT_EQ(died, 9u);
  EXPECT_EQ(waits_for({3, 4, 5, 6, 8}), 8u);
  EXPECT_EQ(waits_for({3, 4, 5, 6}), 6u) << "looked at again when the snapshot it waited for has ended";
  EXPECT_EQ(waits_for({3, 4, 5}), 5u) << "the birth is inside";
  EXPECT_EQ(waits_for({3, 4, 9}), 0u) << "older than its birth does not hold, nor does the death";
}

TEST(FreeSpaceTest, AStalledReaderCostsThePagesOfItsSnapshotOnce) {
  SpaceFile file;
  TxnId born = file.Begin();
  std::vector<PageNumber> pages = file.Take(300);
  file.Commit();
  file.readers().insert(born);
  PageNumber settled = 0;
  for (int i = 0; i < 60; ++i) {
    TxnId txn = file.Begin();
    std::vector<PageNumber> fresh = file.Take(300);
    FreeAll(&file, pages, born);
    pages = fresh;
    born = txn;
    file.Commit();
    settled = i == 9 ? file.page_count() : settled;
  }
  EXPECT_EQ(file.page_count(), settled) << "the file stops growing though a reader stays";
  file.space().ReleasePending();
  uint64_t held = 0;
  for (const auto& waiting : file.space().PendingRuns()) {
    held += waiting.waits_for == *file.readers().begin() ? waiting.run.run.pages : 0;
  }
  EXPECT_GE(held, 300u);
  EXPECT_LE(held, 303u) << "and the few pages of the log that it saw";
}

TEST(FreeSpaceTest, PagesOfTheRunningTransactionAreReusedAtOnce) {
  SpaceFile file;
  TxnId txn = file.Begin();
  std::vector<PageNumber> pages = file.Take(10);
  FreeAll(&file, pages, txn);
  EXPECT_EQ(file.space().freed_pages(), 0u);
  std::vector<PageNumber> again = file.Take(10);
  EXPECT_EQ(std::set<PageNumber>(again.begin(), again.end()), std::set<PageNumber>(pages.begin(), pages.end()));
}

TEST(FreeSpaceTest, RunsAreContiguousAndNotPromisedToFrames) {
  SpaceFile file;
  TxnId txn = file.Begin();
  ASSERT_TRUE(file.space().Reserve(50, false).ok());
  auto first = file.space().AllocateRun(700);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(file.space().run_pages(), 700u);
  EXPECT_TRUE(file.space().grew());
  std::vector<space::Run> runs;
  ASSERT_TRUE(file.space().Allocate(50, Use::kData, &runs).ok());
  for (const space::Run& run : runs) {
    EXPECT_TRUE(run.end() <= *first || run.first >= *first + 700);
  }
  file.Commit();
  file.Begin();
  EXPECT_TRUE(file.space().Free(*first + 100, 200, txn).ok());
  file.Commit();
  file.Begin();
  file.Commit();
  file.Begin();
  auto second = file.space().AllocateRun(150);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(*second, *first + 100) << "a hole that is large enough is used before the file grows";
}

TEST(FreeSpaceTest, WhatWasReservedCanBeAllocatedAtTheLimit) {
  for (uint64_t limit : {100u, 150u, 333u, 1000u}) {
    SpaceFile file(4096, {.limit_pages = limit, .has_size_limit = true});
    file.Begin();
    uint64_t reserved = 0;
    while (file.space().Reserve(1, false).ok()) {
      ++reserved;
    }
    EXPECT_EQ(CodeOf(file.space().Reserve(1, false)), Code::kSizeLimit);
    EXPECT_GE(reserved, limit - 16 - kDeleteReserve - 20 - limit / 100) << "masters, the reserve of deletes, and the log's share";
    uint64_t with_reserve = reserved;
    while (file.space().Reserve(1, true).ok()) {
      ++with_reserve;
    }
    EXPECT_GE(with_reserve, reserved + kDeleteReserve - 1) << "deletes may use more";
    std::vector<space::Run> runs;
    ASSERT_TRUE(file.space().Allocate(with_reserve / 3, Use::kMeta, &runs).ok());
    ASSERT_TRUE(file.space().Allocate(with_reserve - with_reserve / 3, Use::kData, &runs).ok());
    EXPECT_EQ(std::accumulate(runs.begin(), runs.end(), uint64_t{0}, [](uint64_t n, const space::Run& r) { return n + r.pages; }),
              with_reserve);
    file.Commit();
    EXPECT_LE(*file.file()->Size(), limit * 4096);
    file.Reload();
  }
}

TEST(FreeSpaceTest, AFailedReservationPromisesNothing) {
  SpaceFile file(4096, {.limit_pages = 200, .has_size_limit = true});
  file.Begin();
  ASSERT_TRUE(file.space().Reserve(10, false).ok());
  EXPECT_EQ(CodeOf(file.space().Reserve(500, false)), Code::kSizeLimit);
  EXPECT_EQ(CodeOf(file.space().AllocateRun(500).status()), Code::kSizeLimit);
  uint64_t more = 0;
  while (file.space().Reserve(1, false).ok()) {
    ++more;
  }
  EXPECT_GT(more, 100u);
  file.space().Unreserve(more);
  EXPECT_TRUE(file.space().Reserve(more, false).ok());
}

TEST(FreeSpaceTest, TheAddressSpaceIsAnotherLimitThanTheUsers) {
  SpaceFile file(4096, {.limit_pages = 200, .has_size_limit = false});
  file.Begin();
  EXPECT_EQ(CodeOf(file.space().Reserve(500, false)), Code::kNoMemory);
}

TEST(FreeSpaceTest, AFullDiskIsReportedByTheReservation) {
  SpaceFile file;
  file.system().set_capacity(file.system().allocated_bytes() + 200 * 4096);
  file.Begin();
  uint64_t reserved = 0;
  absl::Status status;
  while ((status = file.space().Reserve(1, false)).ok()) {
    ++reserved;
  }
  EXPECT_EQ(CodeOf(status), Code::kDiskFull);
  EXPECT_GE(reserved, 140u) << "a step that does not fit is tried smaller";
  std::vector<space::Run> runs;
  ASSERT_TRUE(file.space().Allocate(reserved, Use::kData, &runs).ok());
  file.Commit();
}

// There are pages enough, but nowhere enough of them side by side.
TEST(FreeSpaceTest, ARunForWhichTheFileCannotGrowIsRefusedAndPromisesNothing) {
  SpaceFile file;
  TxnId txn = file.Begin();
  std::vector<PageNumber> pages = file.Take(800);
  for (size_t i = 0; i < pages.size(); i += 2) {
    ASSERT_TRUE(file.space().Free(pages[i], 1, txn).ok());
  }
  auto reservable = [&file] {
    uint64_t count = 0;
    while (file.space().Reserve(1, false).ok()) {
      ++count;
    }
    file.space().Unreserve(count);
    return count;
  };
  file.system().set_capacity(file.system().allocated_bytes());
  FreeState before;
  uint64_t reservable_before = 0;
  absl::Status status;
  for (int i = 0; status.ok(); ++i) {
    ASSERT_LT(i, 100);
    before = StateOf(file.space());
    reservable_before = reservable();
    status = file.space().AllocateRun(64).status();
  }
  EXPECT_EQ(CodeOf(status), Code::kDiskFull);
  EXPECT_GT(before.free.size(), 300u);
  EXPECT_GT(reservable_before, 64u);
  EXPECT_TRUE(StateOf(file.space()) == before);
  EXPECT_EQ(reservable(), reservable_before);
  file.system().set_capacity(0);
  EXPECT_TRUE(file.space().AllocateRun(64).ok());
}

TEST(FreeSpaceTest, AFailedWriteWhileGrowingIsReported) {
  SpaceFile file;
  file.Begin();
  file.system().SetFault({.call = sim::Call::kWrite});
  EXPECT_EQ(CodeOf(file.space().Reserve(100, false)), Code::kIoError);
  EXPECT_TRUE(file.space().Reserve(100, false).ok()) << "and not held against the next try";
}

TEST(FreeSpaceTest, RollbackForgetsPagesAddedToTheFile) {
  SpaceFile file;
  file.Begin();
  std::vector<PageNumber> kept = file.Take(20);
  file.Commit();
  FreeState before = StateOf(file.space());
  file.Begin();
  file.Take(500);
  file.Take(500, Use::kMeta);
  ASSERT_TRUE(file.space().AllocateRun(100).ok());
  FreeAll(&file, kept, file.newest_txn());
  ASSERT_TRUE(file.Seal().ok());
  file.space().Rollback();
  EXPECT_TRUE(StateOf(file.space()) == before);
  EXPECT_EQ(file.space().freed_pages(), 0u);
  EXPECT_EQ(file.space().run_pages(), 0u);
  file.Begin();
  file.Take(5);
  file.Commit();
  EXPECT_LT(file.page_count(), 200u);
  EXPECT_TRUE(StateOf(*file.Load()).free == StateOf(file.space()).free);
}

TEST(FreeSpaceTest, BranchesAndLeavesLieInDifferentRegions) {
  SpaceFile file;
  std::set<PageNumber> data, meta;
  for (int i = 0; i < 30; ++i) {
    file.Begin();
    for (PageNumber page : file.Take(10, Use::kData)) {
      data.insert(page);
    }
    for (PageNumber page : file.Take(2, Use::kMeta)) {
      meta.insert(page);
    }
    file.Commit();
  }
  std::set<PageNumber> log = file.LogPages();
  meta.insert(log.begin(), log.end());
  // Neighbouring pages of different kinds are borders of regions; mixed at random there would be dozens.
  int borders = 0;
  for (PageNumber page : data) {
    borders += static_cast<int>(meta.count(page - 1) + meta.count(page + 1));
  }
  EXPECT_LE(borders, 12);
}

TEST(FreeSpaceTest, TheLogIsCondensedInSegmentsAndStaysSmall) {
  SpaceFile file;
  TxnId born = file.Begin();
  std::vector<PageNumber> pages = file.Take(9000);
  file.Commit();
  file.Begin();
  for (size_t i = 0; i < pages.size(); i += 2) {  // as scattered as can be
    EXPECT_TRUE(file.space().Free(pages[i], 1, born).ok());
  }
  file.Commit();
  size_t most_segments = 0;
  uint64_t most_pages = 0;
  for (int i = 0; i < 150; ++i) {
    TxnId txn = file.Begin();
    FreeAll(&file, file.Take(3), txn);
    file.Commit();
    size_t fresh = 0;
    for (const SegmentRef& segment : file.space().segments()) {
      fresh += segment.as_of == txn ? 1 : 0;
    }
    EXPECT_LE(fresh, 4u) << "at most two are condensed, each into at most two";
    most_segments = std::max(most_segments, file.space().segments().size());
    most_pages = std::max<uint64_t>(most_pages, file.LogPages().size());
    if (i % 10 == 0) {
      auto loaded = file.Load();
      loaded->ReleasePending();
      file.space().ReleasePending();
      EXPECT_TRUE(StateOf(*loaded) == StateOf(file.space()));
    }
  }
  EXPECT_GE(most_segments, 2u);
  EXPECT_LE(most_pages, 120u);
}

}  // namespace
}  // namespace johnny::space
