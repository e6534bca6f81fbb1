#include "readers/snapshots.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <set>
#include <thread>

#include "readers/lock_file.h"

namespace johnny::readers {
namespace {

// Pins the newest snapshot, whatever the slot's owner knows already.
Snapshot EnterNewest(SnapshotBoard board, uint32_t slot) {
  uint64_t sequence = 0;
  Snapshot snapshot;
  EXPECT_TRUE(board.Enter(slot, &sequence, &snapshot));
  return snapshot;
}

// A snapshot whose every field follows from its id, so that a mixture of two is noticed.
Snapshot SnapshotOf(TxnId txn) {
  Snapshot snapshot;
  snapshot.txn = txn;
  snapshot.page_count = txn * 3;
  snapshot.table_count = txn * 5;
  snapshot.main = {
      {txn * 7, static_cast<uint32_t>(txn), txn * 11}, static_cast<uint8_t>(txn % 32), txn, txn + 1, txn + 2, txn + 3};
  snapshot.catalog = {{txn * 13, static_cast<uint32_t>(txn * 17), txn * 19}, static_cast<uint8_t>(txn % 31), 0, txn, 0, txn};
  snapshot.free_log = {txn * 23, static_cast<uint32_t>(txn * 29), txn * 31};
  return snapshot;
}
bool IsWhole(const Snapshot& snapshot) {
  Snapshot expected = SnapshotOf(snapshot.txn);
  auto same_ref = [](const format::ChildRef& a, const format::ChildRef& b) {
    return a.page == b.page && a.checksum == b.checksum && a.entries == b.entries;
  };
  auto same = [&](const format::TableRecord& a, const format::TableRecord& b) {
    return same_ref(a.root, b.root) && a.level == b.level && a.branch_pages == b.branch_pages && a.leaf_pages == b.leaf_pages &&
           a.extent_pages == b.extent_pages && a.large_values == b.large_values;
  };
  return snapshot.page_count == expected.page_count && snapshot.table_count == expected.table_count &&
         same(snapshot.main, expected.main) && same(snapshot.catalog, expected.catalog) &&
         same_ref(snapshot.free_log, expected.free_log);
}

// One board per process slot, all over the same memory.
class SnapshotBoardTest : public testing::Test {
 protected:
  void MakeMemory(uint32_t max_readers) {
    auto made = PrivateMemory::Create(max_readers);
    ASSERT_TRUE(made.ok()) << made.status();
    memory_ = *std::move(made);
  }
  SnapshotBoard Board(uint32_t process = 0) const { return SnapshotBoard(memory_.memory(), process); }
  ReaderSlot& slot(uint32_t index) const { return memory_.memory().reader(index); }
  uint64_t StateOf(uint32_t index) const { return slot(index).owner & ReaderSlot::kStateMask; }

  static SlotHold Take(SnapshotBoard board) {
    SlotHold hold;
    bool fresh = false;
    EXPECT_TRUE(board.TakeSlot(&hold, &fresh));
    EXPECT_TRUE(fresh);
    return hold;
  }
  static std::vector<TxnId> Pinned(const SnapshotBoard& board) {
    std::vector<TxnId> pinned;
    board.AppendPinned(&pinned);
    std::sort(pinned.begin(), pinned.end());
    return pinned;
  }

  PrivateMemory memory_;
};

TEST_F(SnapshotBoardTest, TheNewestSnapshotIsWholeRoundTheRing) {
  MakeMemory(2);
  SnapshotBoard board = Board();
  for (TxnId txn = 1; txn <= 100; ++txn) {
    board.Announce(SnapshotOf(txn * 10));  // ids have gaps
    EXPECT_EQ(board.newest(), txn * 10);
    EXPECT_TRUE(IsWhole(Board(5).Newest())) << "as other processes see it";
  }
}

TEST_F(SnapshotBoardTest, EnteringPinsTheNewestAndLeavingUnpins) {
  MakeMemory(4);
  SnapshotBoard board = Board();
  board.Announce(SnapshotOf(10));
  SlotHold one = Take(board), two = Take(board);
  EXPECT_EQ(Pinned(board), std::vector<TxnId>()) << "a slot pins nothing by itself";
  EXPECT_EQ(EnterNewest(board, one.index).txn, 10u);
  board.Announce(SnapshotOf(11));
  Snapshot snapshot = EnterNewest(board, two.index);
  EXPECT_EQ(snapshot.txn, 11u);
  EXPECT_TRUE(IsWhole(snapshot));
  for (TxnId txn = 12; txn < 60; ++txn) {
    board.Announce(SnapshotOf(txn));
  }
  EXPECT_EQ(Pinned(board), (std::vector<TxnId>{10, 11})) << "whatever is announced meanwhile";
  board.Leave(one.index);
  EXPECT_EQ(Pinned(board), std::vector<TxnId>{11});
  EXPECT_EQ(EnterNewest(board, one.index).txn, 59u);
  board.ReleaseSlot(one);
  board.ReleaseSlot(two);
  EXPECT_EQ(Pinned(board), std::vector<TxnId>());
}

TEST_F(SnapshotBoardTest, SlotsRunOutOnlyWhenAllAreActive) {
  for (uint32_t n = 1; n <= 6; ++n) {
    for (uint32_t idle = 0; idle < n; ++idle) {
      MakeMemory(n);
      SnapshotBoard board = Board();
      std::vector<SlotHold> taken(n);
      std::set<uint32_t> indices;
      for (SlotHold& hold : taken) {
        hold = Take(board);
        EXPECT_LT(hold.index, n);
        EXPECT_TRUE(indices.insert(hold.index).second) << "given out twice";
      }
      SlotHold another;
      bool fresh = false;
      EXPECT_FALSE(board.TakeSlot(&another, &fresh));
      EXPECT_EQ(another.index, SlotHold::kNone);
      board.ReleaseSlot(taken[idle]);
      EXPECT_EQ(Take(Board(1)).index, taken[idle].index) << n << " slots";
      EXPECT_FALSE(board.TakeSlot(&another, &fresh));
    }
  }
}

TEST_F(SnapshotBoardTest, AHoldGetsItsIdleSlotBack) {
  MakeMemory(4);
  SnapshotBoard board = Board();
  SlotHold one = Take(board), two = Take(board);
  for (int i = 0; i < 3; ++i) {
    SlotHold before = two;
    board.ReleaseSlot(two);
    EXPECT_EQ(StateOf(two.index), ReaderSlot::kIdle);
    bool fresh = true;
    EXPECT_TRUE(board.TakeSlot(&two, &fresh));
    EXPECT_FALSE(fresh);
    EXPECT_EQ(two.index, before.index);
    EXPECT_EQ(two.owner, before.owner);
    EXPECT_EQ(StateOf(two.index), ReaderSlot::kActive);
  }
  board.ReleaseSlot(two);
  board.DropSlot(&two);
  EXPECT_EQ(two.index, SlotHold::kNone);
  EXPECT_EQ(StateOf(1), ReaderSlot::kFree);
  EXPECT_EQ(StateOf(one.index), ReaderSlot::kActive);
}

TEST_F(SnapshotBoardTest, FreeSlotsAreTakenBeforeIdleOnes) {
  MakeMemory(3);
  SlotHold idle = Take(Board(0));
  Board(0).ReleaseSlot(idle);
  SlotHold one = Take(Board(1)), two = Take(Board(1));
  EXPECT_NE(one.index, idle.index);
  EXPECT_NE(two.index, idle.index);
  EXPECT_EQ(Take(Board(1)).index, idle.index) << "there is no other";
}

TEST_F(SnapshotBoardTest, WhoseSlotWasTakenGetsAnotherOne) {
  MakeMemory(2);
  SnapshotBoard mine = Board(0), theirs = Board(1);
  SlotHold hold = Take(mine);
  uint32_t index = hold.index;
  mine.ReleaseSlot(hold);
  SlotHold other = Take(theirs);  // a free one
  SlotHold thief = Take(theirs);
  ASSERT_EQ(thief.index, index);
  EXPECT_EQ(ReaderSlot::ProcessOf(slot(index).owner), 1u);

  SlotHold dropped = hold;
  mine.DropSlot(&dropped);
  EXPECT_EQ(slot(index).owner, thief.owner) << "dropping what is another's does nothing";
  bool fresh = false;
  EXPECT_FALSE(mine.TakeSlot(&hold, &fresh)) << "both are active";

  hold = {index, hold.owner};
  theirs.ReleaseSlot(other);
  hold.index = index;
  EXPECT_TRUE(mine.TakeSlot(&hold, &fresh));
  EXPECT_TRUE(fresh) << "it must not go by what the slot held";
  EXPECT_EQ(hold.index, other.index);
  EXPECT_EQ(slot(index).owner, thief.owner);
}

// The thief's slot is idle again and looks the same but for its generation.
TEST_F(SnapshotBoardTest, GenerationsTellOwnersOfASlot) {
  MakeMemory(1);
  SnapshotBoard board = Board();
  SlotHold first = Take(board);
  board.ReleaseSlot(first);
  SlotHold second = Take(board);
  EXPECT_EQ(second.index, first.index);
  EXPECT_NE(second.owner >> 32, first.owner >> 32);
  board.ReleaseSlot(second);
  SlotHold stale = first;
  board.DropSlot(&stale);
  EXPECT_EQ(StateOf(0), ReaderSlot::kIdle) << "another's by now, of the same process";
  bool fresh = false;
  EXPECT_TRUE(board.TakeSlot(&first, &fresh));
  EXPECT_TRUE(fresh);
  EXPECT_NE(first.owner, second.owner);
}

TEST_F(SnapshotBoardTest, FreeingADeadProcessesSlotsLeavesThoseOfOthers) {
  MakeMemory(8);
  SnapshotBoard living = Board(0), dead = Board(3);
  living.Announce(SnapshotOf(5));
  SlotHold mine = Take(living), mine_idle = Take(living);
  SlotHold active = Take(dead), idle = Take(dead), unpinned = Take(dead);
  EnterNewest(living, mine.index);
  EnterNewest(dead, active.index);
  living.ReleaseSlot(mine_idle);
  dead.ReleaseSlot(idle);
  uint64_t mine_before = slot(mine.index).owner, mine_idle_before = slot(mine_idle.index).owner;
  EXPECT_EQ(Pinned(living), (std::vector<TxnId>{5, 5}));

  EXPECT_EQ(living.FreeSlotsOf(3), 2u) << "active ones";
  for (const SlotHold& hold : {active, idle, unpinned}) {
    EXPECT_EQ(StateOf(hold.index), ReaderSlot::kFree);
  }
  EXPECT_EQ(slot(mine.index).owner, mine_before);
  EXPECT_EQ(slot(mine_idle.index).owner, mine_idle_before);
  EXPECT_EQ(Pinned(living), std::vector<TxnId>{5});
  EXPECT_EQ(living.FreeSlotsOf(3), 0u);
  EXPECT_EQ(slot(mine.index).owner, mine_before);

  SlotHold next = Take(Board(4));
  EXPECT_EQ(next.index, active.index);
  EXPECT_NE(slot(next.index).owner >> 32, active.owner >> 32) << "freeing keeps the generation going";
  EXPECT_EQ(living.FreeSlotsOf(3), 0u);
  EXPECT_EQ(StateOf(next.index), ReaderSlot::kActive);
}

// A process may die between any two stores of taking a slot: what it has taken lies below used_slots.
TEST_F(SnapshotBoardTest, NoSlotIsTakenBeforeItCountsAsUsed) {
  constexpr uint32_t kSlots = 4000;
  MakeMemory(kSlots);
  std::atomic<bool> done{false};
  std::atomic<uint64_t> hidden{0};
  std::thread watcher([&] {
    while (!done) {
      for (uint32_t i = Board(1).used_slots(); i < kSlots; ++i) {
        hidden += slot(i).owner.load() != 0 && Board(1).used_slots() <= i ? 1 : 0;
      }
    }
  });
  SlotHold first = Take(Board(0));
  for (uint32_t i = 1; i < kSlots; ++i) {
    Take(Board(0));
    EXPECT_EQ(Board(0).used_slots(), i + 1);
  }
  done = true;
  watcher.join();
  EXPECT_EQ(hidden, 0u);
  EXPECT_EQ(Board(1).FreeSlotsOf(0), kSlots);
  EXPECT_EQ(StateOf(first.index), ReaderSlot::kFree);
}

TEST_F(SnapshotBoardTest, ReadersOfOtherProcessesAreToldFromOwnOnes) {
  MakeMemory(4);
  SnapshotBoard mine = Board(0), theirs = Board(1);
  mine.Announce(SnapshotOf(7));
  std::vector<TxnId> pinned;
  SlotHold one = Take(mine), two = Take(theirs);
  EnterNewest(mine, one.index);
  EXPECT_FALSE(mine.AppendPinned(&pinned));
  EnterNewest(theirs, two.index);
  EXPECT_FALSE(mine.AppendPinned(&pinned)) << "of the newest snapshot: in nobody's way";
  mine.Announce(SnapshotOf(8));
  EXPECT_TRUE(mine.AppendPinned(&pinned));
  theirs.ReleaseSlot(two);
  EXPECT_FALSE(mine.AppendPinned(&pinned));
}

TEST_F(SnapshotBoardTest, LabelsAreCutAndCleared) {
  MakeMemory(1);
  char label[SnapshotBoard::kLabelSize + 1];
  SnapshotBoard::SetLabel(&slot(0), "backup");
  SnapshotBoard::GetLabel(slot(0), label);
  EXPECT_STREQ(label, "backup");
  SnapshotBoard::SetLabel(&slot(0), "a label of exactly 24 byte and more");
  SnapshotBoard::GetLabel(slot(0), label);
  EXPECT_STREQ(label, "a label of exactly 24 by");
  SnapshotBoard::SetLabel(&slot(0), "");
  SnapshotBoard::GetLabel(slot(0), label);
  EXPECT_STREQ(label, "");
}

// Whatever another process has made of the memory: no call runs for ever or leaves it.
TEST_F(SnapshotBoardTest, HostileContents) {
  constexpr uint32_t kReaders = 16;
  MakeMemory(kReaders);
  std::mt19937_64 random(2004);
  for (int round = 0; round < 300; ++round) {
    auto* words = reinterpret_cast<uint64_t*>(&memory_.memory().header());
    for (size_t i = 0; i < SharedMemory::SizeFor(kReaders) / 8; ++i) {
      words[i] = round % 3 == 0 ? random() : round % 3 == 1 ? random() % 4 : ~uint64_t{0};
    }
    memory_.memory().control().used_slots = static_cast<uint32_t>(random());
    SnapshotBoard board = Board(static_cast<uint32_t>(random() % kMaxProcesses));
    EXPECT_LE(board.used_slots(), kReaders);
    board.Newest();
    std::vector<TxnId> pinned;
    board.AppendPinned(&pinned);
    EXPECT_LE(pinned.size(), kReaders);
    SlotHold hold{static_cast<uint32_t>(random() % kReaders), random()};
    bool fresh = false;
    if (board.TakeSlot(&hold, &fresh)) {
      ASSERT_LT(hold.index, kReaders);
      EnterNewest(board, hold.index);
      board.Leave(hold.index);
      board.ReleaseSlot(hold);
      board.DropSlot(&hold);
    }
    board.FreeSlotsOf(static_cast<uint32_t>(random() % kMaxProcesses));
    board.Announce(SnapshotOf(4));
    EXPECT_TRUE(IsWhole(board.Newest()));
    char label[SnapshotBoard::kLabelSize + 1];
    SnapshotBoard::GetLabel(slot(3), label);
    EXPECT_EQ(label[SnapshotBoard::kLabelSize], '\0');
  }
}

// Invariant 2: a writer that scans after announcing a newer snapshot sees every reader of an older one. Were it to miss one, it
// would let go of what that reader sees; each reader looks for that.
TEST_F(SnapshotBoardTest, AWriterThatScansSeesEveryReader) {
  constexpr TxnId kLast = 20000;
  MakeMemory(4);
  SnapshotBoard board = Board();
  board.Announce(SnapshotOf(1));
  std::atomic<TxnId> released{0};  // snapshots up to this one are gone
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> entered{0}, torn{0}, lost{0};
  auto read = [&](uint32_t process) {
    SnapshotBoard mine = Board(process);
    SlotHold hold;
    while (!stop.load()) {
      bool fresh = false;
      EXPECT_TRUE(mine.TakeSlot(&hold, &fresh));
      Snapshot snapshot = EnterNewest(mine, hold.index);
      torn += IsWhole(snapshot) ? 0 : 1;
      for (int i = 0; i < 5; ++i) {
        lost += released.load() >= snapshot.txn ? 1 : 0;
      }
      mine.ReleaseSlot(hold);
      ++entered;
    }
    mine.DropSlot(&hold);
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

// More holds than slots, so that idle ones are taken all the time.
TEST_F(SnapshotBoardTest, SlotsAreUsedByOneThreadEach) {
  MakeMemory(3);
  std::atomic<uint64_t> shared{0};
  std::atomic<uint32_t> users[3] = {};
  auto take = [&](uint32_t process) {
    SnapshotBoard board = Board(process);
    SlotHold holds[3];
    for (int i = 0; i < 20000; ++i) {
      SlotHold& hold = holds[i % 3];
      bool fresh = false;
      if (board.TakeSlot(&hold, &fresh)) {
        shared += users[hold.index].fetch_add(1);
        users[hold.index].fetch_sub(1);
        board.ReleaseSlot(hold);
        if (i % 16 == 0) {
          board.DropSlot(&hold);
        }
      }
    }
  };
  std::thread one(take, 0), two(take, 0), three(take, 1), four(take, 2);
  for (std::thread* thread : {&one, &two, &three, &four}) {
    thread->join();
  }
  EXPECT_EQ(shared.load(), 0u);
  for (int i = 0; i < 3; ++i) {
    Take(Board());  // none got lost
  }
}

}  // namespace
}  // namespace johnny::readers
