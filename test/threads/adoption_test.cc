// What one process makes of what another one did: becoming the writer after it, joining it, and telling what is durable. Moments
// in between are met at yield points, where another process acts.
#include <atomic>
#include <functional>
#include <thread>

#include "api/internal.h"
#include "threads/machine.h"

namespace johnny::test {
namespace {

using sim::VirtualProcess;

class AdoptionTest : public MachineTest {
 protected:
  static void Put(const Env& env, const std::string& key, const std::string& value, uint32_t durability = JOHNNY_TWO_PHASE) {
    Txn txn(env);
    EXPECT_OK(txn.Put(key, value));
    EXPECT_OK(txn.CommitWith(durability));
  }
  static uint64_t NewestId(const Env& env) { return Txn(env, JOHNNY_READ).Id(); }
  // Runs `meanwhile` when `process` reaches the point for the first time.
  static void Once(VirtualProcess* process, const std::string& point, std::function<void()> meanwhile) {
    process->AtYieldPoints([point, meanwhile, reached = std::make_shared<std::atomic<bool>>(false)](const std::string& where) {
      if (where == point && !reached->exchange(true)) {
        meanwhile();
      }
    });
  }
  // Fills the file by small commits, so that it is soon cut when they are gone (space/free_space_shrink.cc).
  static constexpr uint32_t kPerMegabyte = 16;
  static void Grow(const Env& env, uint32_t megabytes) {
    for (uint32_t i = 0; i < kPerMegabyte * megabytes; ++i) {
      Put(env, NumberedKey(i, 4, "large"), Pattern((1 << 20) / kPerMegabyte, i), JOHNNY_LAZY);
    }
  }
};

// The lock passes on within the process to a thread that is not told again that others have written.
TEST_F(AdoptionTest, AFailedOneIsMadeUpForByTheNextWriterOfTheProcess) {
  VirtualProcess& one = Start();
  VirtualProcess& two = Start();
  Put(one.env(), "a", "1");
  Put(two.env(), "b", "2");
  std::thread next;
  Once(&one, "adopt", [&] {
    next = std::thread([&] { Put(one.env(), "c", "3"); });
    while (!one.env().get()->db->writer.IsAwaited()) {
      std::this_thread::yield();
    }
    system_.SetFault({.call = sim::Call::kRead, .process = one.os()});
  });
  Txn failing;
  EXPECT_EQ(failing.Begin(one.env()), JOHNNY_IO_ERROR);
  ASSERT_TRUE(next.joinable());
  next.join();
  system_.ClearFault();
  EXPECT_EQ(Txn(two.env(), JOHNNY_READ).All(), (Contents{{"a", "1"}, {"b", "2"}, {"c", "3"}}));
  Put(two.env(), "d", "4");
  EXPECT_EQ(Txn(one.env(), JOHNNY_READ).Entries(), 4u);
  EXPECT_TRUE(two.env().VerifyClean());
}

TEST_F(AdoptionTest, AFileGrownPastTheAddressSpaceIsAClearErrorAndLosesNothing) {
  options_.address_space = 2 << 20;
  VirtualProcess& small = Start();
  options_.address_space = sim::SimSystem::kReserve;
  VirtualProcess& large = Start();
  Put(small.env(), "a", "1");
  Txn before(small.env(), JOHNNY_READ);
  Grow(large.env(), 4);

  Txn txn;
  Result refused = txn.Begin(small.env());
  EXPECT_EQ(refused, JOHNNY_NO_MEMORY);
  EXPECT_NE(refused.message().find("address space of 2097152 bytes"), std::string::npos) << refused;
  refused = txn.Begin(small.env(), JOHNNY_READ);
  EXPECT_EQ(refused, JOHNNY_NO_MEMORY);
  EXPECT_NE(refused.message().find("address space"), std::string::npos) << refused;
  EXPECT_EQ(before.All(), (Contents{{"a", "1"}})) << "what it has, it keeps";
  ASSERT_OK(before.Abort());
  EXPECT_EQ(small.env().Info().writes_refused, 0u);
  EXPECT_OK(small.env().Sync());

  Put(large.env(), "b", "2");
  EXPECT_EQ(Txn(large.env(), JOHNNY_READ).Entries(), 4 * kPerMegabyte + 2);
  EXPECT_TRUE(large.env().VerifyClean());
  small.Bury();
  VirtualProcess& again = Start();
  Put(again.env(), "c", "3");
  EXPECT_EQ(Txn(large.env(), JOHNNY_READ).Entries(), 4 * kPerMegabyte + 3);
}

// What a reader can see of another process's lazy commit, a sync that begins then must cover.
TEST_F(AdoptionTest, ASyncCoversACommitThatAnotherProcessIsJustAnnouncing) {
  VirtualProcess& writer = Start();
  VirtualProcess& other = Start();
  Put(writer.env(), "a", "1");
  std::thread syncing;
  std::atomic<bool> ended{false}, tries{false};
  other.AtYieldPoints([&](const std::string& where) { tries = tries || where == "bulk sync"; });
  Once(&writer, "announced", [&] {
    syncing = std::thread([&] {
      uint64_t seen = NewestId(other.env());
      EXPECT_EQ(Txn(other.env(), JOHNNY_READ).Find("b"), "2");
      EXPECT_OK(other.env().Sync());
      EXPECT_GE(other.env().Info().durable_txn_id, seen);
      ended = true;
    });
    while (!ended && !tries) {
      std::this_thread::yield();
    }
  });
  Put(writer.env(), "b", "2", JOHNNY_LAZY);
  ASSERT_TRUE(syncing.joinable());
  syncing.join();
  EXPECT_TRUE(tries) << "the disk was asked";
}

// A failed sync's mark says in which slot the durable master is, while another process has already written the other slot.
TEST_F(AdoptionTest, AFailedSyncDuringAnAnnouncementMarksTheDurableMastersSlot) {
  for (bool odd : {false, true}) {
    VirtualProcess& writer = Start();
    VirtualProcess& other = Start();
    if (odd) {
      Put(writer.env(), "odd", "1");
    }
    Put(writer.env(), "a", "durable");
    uint64_t durable = NewestId(writer.env());
    Once(&writer, "announced", [&] {
      system_.SetFault({.call = sim::Call::kSync, .process = other.os()});
      EXPECT_EQ(other.env().Sync(), JOHNNY_IO_ERROR);
      system_.ClearFault();
    });
    Put(writer.env(), "a", "lazy", JOHNNY_LAZY);
    EndAll();
    VirtualProcess& next = Start();
    EXPECT_EQ(Txn(next.env(), JOHNNY_READ).Find("a"), "durable");
    EXPECT_GT(next.env().Info().discarded_txn_id, durable);
    EXPECT_TRUE(next.env().VerifyClean());
    EndAll();
  }
}

// The snapshot that it was about to join is longer than what is left of the file.
TEST_F(AdoptionTest, AProcessMayJoinWhileTheFileIsCut) {
  VirtualProcess& writer = Start();
  Grow(writer.env(), 8);
  uint64_t long_file = writer.env().Info().file_size;
  VirtualProcess joining(&system_);
  Once(&joining, "join", [&] {
    Txn txn(writer.env());
    for (uint32_t i = 0; i < 8 * kPerMegabyte; ++i) {
      EXPECT_OK(txn.Delete(NumberedKey(i, 4, "large")));
    }
    EXPECT_OK(txn.CommitWith(JOHNNY_TWO_PHASE));
    for (int i = 0; i < 10; ++i) {
      Put(writer.env(), "a", std::to_string(i));
    }
    EXPECT_LT(writer.env().Info().file_size, long_file / 2);
  });
  ASSERT_OK(joining.Open(kMachinePath, options_));
  EXPECT_EQ(Txn(joining.env(), JOHNNY_READ).All(), (Contents{{"a", "9"}}));
  Put(joining.env(), "b", "1");
  EXPECT_EQ(Txn(writer.env(), JOHNNY_READ).Find("b"), "1");
  EXPECT_TRUE(joining.env().VerifyClean());
}

// ---- The first process there only reads ----

class ReadOnlyRecoveryTest : public AdoptionTest {
 protected:
  // A process commits, and dies as `die` has it.
  void Leave(const std::function<void(VirtualProcess*)>& die) {
    VirtualProcess& writer = Start();
    Put(writer.env(), "a", "1");
    die(&writer);
    writer.Kill();
    EndAll();
  }
  // The next one reads what is in the page cache, and claims nothing of it to be durable.
  void ExpectNothingClaimed() {
    VirtualProcess& reader = Start(JOHNNY_READ_ONLY);
    uint64_t id = NewestId(reader.env());
    EXPECT_EQ(Txn(reader.env(), JOHNNY_READ).Find("b"), "2");
    EXPECT_LT(reader.env().Info().durable_txn_id, id);
    EXPECT_EQ(johnny_wait_durable(reader.env().get(), id), JOHNNY_READ_ONLY_ENV);
    VirtualProcess& writer = Start(0);
    EXPECT_OK(writer.env().Sync());
    EXPECT_GE(reader.env().Info().durable_txn_id, id);
    EXPECT_OK(Result(johnny_wait_durable(reader.env().get(), id)));
    EXPECT_EQ(Txn(writer.env(), JOHNNY_READ).Find("b"), "2");
  }
};

TEST_F(ReadOnlyRecoveryTest, ALazyCommitIsNotClaimedToBeDurable) {
  Leave([](VirtualProcess* writer) { Put(writer->env(), "b", "2", JOHNNY_LAZY); });
  ExpectNothingClaimed();
}

TEST_F(ReadOnlyRecoveryTest, AMasterFlaggedDurableThatWasNeverSyncedIsNotEither) {
  Leave([](VirtualProcess* writer) {
    int syncs = 0;
    writer->AtYieldPoints([&](const std::string& where) {
      if (where == "sync" && ++syncs == 2) {
        writer->Kill();
      }
    });
    EXPECT_FALSE(writer->Run([writer] {
      Txn txn(writer->env());
      EXPECT_OK(txn.Put("b", "2"));
      EXPECT_FALSE(txn.CommitWith(JOHNNY_TWO_PHASE).ok());
    }));
  });
  ExpectNothingClaimed();
}

TEST_F(ReadOnlyRecoveryTest, WhatACleanEndLeftIs) {
  Put(Start().env(), "a", "1");
  EndAll();
  VirtualProcess& reader = Start(JOHNNY_READ_ONLY);
  uint64_t id = NewestId(reader.env());
  EXPECT_EQ(reader.env().Info().durable_txn_id, id);
  EXPECT_OK(Result(johnny_wait_durable(reader.env().get(), id)));
}

}  // namespace
}  // namespace johnny::test
