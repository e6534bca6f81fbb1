#include "readers/snapshots.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <thread>

namespace johnny::readers {
namespace {

// A snapshot whose every field follows from its id, so that a mixture of two is noticed.
Snapshot SnapshotOf(TxnId txn) {
  Snapshot snapshot;
  snapshot.txn = txn;
  snapshot.page_count = txn * 3;
  snapshot.table_count = txn * 5;
  snapshot.main = {
      {txn * 7, static_cast<uint32_t>(txn), txn * 11}, static_cast<uint8_t>(txn % 32), txn, txn + 1, txn + 2, txn + 3};
  snapshot.catalog = {{txn * 13, static_cast<uint32_t>(txn * 17), txn * 19}, static_cast<uint8_t>(txn % 31), 0, txn, 0, txn};
  return snapshot;
}
bool IsWhole(const Snapshot& snapshot) {
  Snapshot expected = SnapshotOf(snapshot.txn);
  auto same = [](const format::TableRecord& a, const format::TableRecord& b) {
    return a.root.page == b.root.page && a.root.checksum == b.root.checksum && a.root.entries == b.root.entries &&
           a.level == b.level && a.branch_pages == b.branch_pages && a.leaf_pages == b.leaf_pages &&
           a.extent_pages == b.extent_pages && a.large_values == b.large_values;
  };
  return snapshot.page_count == expected.page_count && snapshot.table_count == expected.table_count &&
         same(snapshot.main, expected.main) && same(snapshot.catalog, expected.catalog);
}

SnapshotBoard Board(uint32_t max_readers) {
  auto board = SnapshotBoard::Create(max_readers);
  EXPECT_TRUE(board.ok()) << board.status();
  return *std::move(board);
}
std::vector<TxnId> Pinned(const SnapshotBoard& board) {
  std::vector<TxnId> pinned;
  board.AppendPinned(&pinned);
  std::sort(pinned.begin(), pinned.end());
  return pinned;
}

TEST(SnapshotBoardTest, TheNewestSnapshotIsWholeRoundTheRing) {
  SnapshotBoard board = Board(2);
  for (TxnId txn = 1; txn <= 100; ++txn) {
    board.Announce(SnapshotOf(txn * 10));  // ids have gaps
    EXPECT_EQ(board.newest(), txn * 10);
    EXPECT_TRUE(IsWhole(board.Newest()));
  }
}

TEST(SnapshotBoardTest, EnteringPinsTheNewestAndLeavingUnpins) {
  SnapshotBoard board = Board(4);
  board.Announce(SnapshotOf(10));
  uint32_t one = board.TakeSlot(0), two = board.TakeSlot(0);
  EXPECT_EQ(Pinned(board), std::vector<TxnId>()) << "a slot pins nothing by itself";
  EXPECT_EQ(board.Enter(one).txn, 10u);
  board.Announce(SnapshotOf(11));
  Snapshot snapshot = board.Enter(two);
  EXPECT_EQ(snapshot.txn, 11u);
  EXPECT_TRUE(IsWhole(snapshot));
  for (TxnId txn = 12; txn < 60; ++txn) {
    board.Announce(SnapshotOf(txn));
  }
  EXPECT_EQ(Pinned(board), (std::vector<TxnId>{10, 11})) << "whatever is announced meanwhile";
  board.Leave(one);
  EXPECT_EQ(Pinned(board), std::vector<TxnId>{11});
  EXPECT_EQ(board.Enter(one).txn, 59u);
  board.ReleaseSlot(one);
  board.ReleaseSlot(two);
  EXPECT_EQ(Pinned(board), std::vector<TxnId>());
}

// A thread's hint may be any slot, and the free one any other.
TEST(SnapshotBoardTest, SlotsRunOutOnlyWhenAllAreTaken) {
  for (uint32_t n = 1; n <= 6; ++n) {
    for (uint32_t free = 0; free < n; ++free) {
      for (uint32_t hint = 0; hint < 2 * n + 1; ++hint) {
        SnapshotBoard board = Board(n);
        std::set<uint32_t> taken;
        for (uint32_t i = 0; i < n; ++i) {
          uint32_t slot = board.TakeSlot(hint);
          EXPECT_LT(slot, n);
          EXPECT_TRUE(taken.insert(slot).second) << "given out twice";
        }
        EXPECT_EQ(board.TakeSlot(hint), SnapshotBoard::kNoSlot);
        board.ReleaseSlot(free);
        EXPECT_EQ(board.TakeSlot(hint), free) << n << " slots, hint " << hint;
        EXPECT_EQ(board.TakeSlot(hint), SnapshotBoard::kNoSlot);
      }
    }
  }
}

TEST(SnapshotBoardTest, TheHintIsTriedFirst) {
  SnapshotBoard board = Board(8);
  EXPECT_EQ(board.TakeSlot(5), 5u);
  EXPECT_EQ(board.used_slots(), 6u);
  EXPECT_EQ(board.TakeSlot(5), 0u);
  EXPECT_EQ(board.used_slots(), 6u) << "no slot at or beyond was ever taken";
  board.ReleaseSlot(5);
  EXPECT_EQ(board.used_slots(), 6u);
  EXPECT_EQ(board.TakeSlot(13), 5u) << "hints wrap round";
}

TEST(SnapshotBoardTest, GenerationsTellOwnersOfASlot) {
  SnapshotBoard board = Board(1);
  uint32_t before = board.slot(board.TakeSlot(0)).generation;
  board.ReleaseSlot(0);
  EXPECT_NE(board.slot(board.TakeSlot(0)).generation, before);
}

// Invariant 2: a writer that scans after announcing a newer snapshot sees every reader of an older one. Were it to miss one, it
// would let go of what that reader sees; each reader looks for that.
TEST(SnapshotBoardTest, AWriterThatScansSeesEveryReader) {
  constexpr TxnId kLast = 20000;
  SnapshotBoard board = Board(4);
  board.Announce(SnapshotOf(1));
  std::atomic<TxnId> released{0};  // snapshots up to this one are gone
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> entered{0}, torn{0}, lost{0};
  auto read = [&](uint32_t hint) {
    uint32_t slot = board.TakeSlot(hint);
    while (!stop.load()) {
      Snapshot snapshot = board.Enter(slot);
      torn += IsWhole(snapshot) ? 0 : 1;
      for (int i = 0; i < 5; ++i) {
        lost += released.load() >= snapshot.txn ? 1 : 0;
      }
      board.Leave(slot);
      ++entered;
    }
    board.ReleaseSlot(slot);
  };
  std::thread one(read, 0), two(read, 3);
  for (TxnId txn = 2; txn <= kLast || entered.load() < 1000; ++txn) {
    board.Announce(SnapshotOf(txn));
    std::vector<TxnId> pinned = {txn};
    board.AppendPinned(&pinned);
    released.store(*std::min_element(pinned.begin(), pinned.end()) - 1);
  }
  stop.store(true);
  one.join();
  two.join();
  EXPECT_EQ(torn.load(), 0u) << "a descriptor was overwritten while it was copied";
  EXPECT_EQ(lost.load(), 0u) << "a reader was overlooked";
  EXPECT_TRUE(Pinned(board).empty());
}

TEST(SnapshotBoardTest, SlotsAreTakenByOneThreadEach) {
  SnapshotBoard board = Board(3);
  std::atomic<uint64_t> shared{0}, refused{0};
  std::atomic<uint32_t> owners[3] = {};
  auto take = [&](uint32_t hint) {
    for (int i = 0; i < 20000; ++i) {
      uint32_t slot = board.TakeSlot(hint);
      if (slot == SnapshotBoard::kNoSlot) {
        ++refused;
        continue;
      }
      shared += owners[slot].fetch_add(1);
      owners[slot].fetch_sub(1);
      board.ReleaseSlot(slot);
    }
  };
  std::thread one(take, 0), two(take, 0), three(take, 1);
  one.join();
  two.join();
  three.join();
  EXPECT_EQ(shared.load(), 0u);
  uint32_t left = 0;
  while (board.TakeSlot(0) != SnapshotBoard::kNoSlot) {
    ++left;
  }
  EXPECT_EQ(left, 3u) << "none got lost";
}

}  // namespace
}  // namespace johnny::readers
