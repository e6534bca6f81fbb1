// Durable commits of several threads share their syncs, and their fate.
#include <future>
#include <thread>

#include "support/crash_checker.h"
#include "threads/machine.h"

namespace johnny::test {
namespace {

using sim::VirtualProcess;

constexpr int kThreads = 8;

std::string KeyOf(int thread, int i) { return NumberedKey(static_cast<uint64_t>(thread * 1000 + i)); }

class GroupCommitTest : public MachineTest {
 protected:
  // What a power cut leaves at the end of the log so far, opened: `variant` 0 has all that was written, 1 only what was synced.
  static std::set<std::string> KeysAfterPowerCut(const std::vector<sim::Event>& events, size_t end, size_t variant) {
    sim::CrashDisk disk{sim::DiskImage()};
    for (size_t i = 0; i < end; ++i) {
      disk.Apply(events[i], i);
    }
    sim::Random random(end);
    std::vector<sim::Variant> variants = disk.Variants({}, &random);
    sim::SimSystem after(disk.Build(variants[std::min(variant, variants.size() - 1)]), 3, 2);
    Env env;
    EXPECT_OK(env.Open(&after, kMachinePath, sim::SmallOptions()));
    std::set<std::string> keys;
    for (const auto& [key, value] : Txn(env, JOHNNY_READ).All()) {
      keys.insert(key);
    }
    EXPECT_TRUE(env.VerifyClean());
    return keys;
  }

  // What was acknowledged before each `step`th mark of the log is there after a power cut behind it; there are `marks` of them.
  void ExpectNothingAcknowledgedIsLost(size_t step, size_t marks) {
    system_.set_recording(false);
    const std::vector<sim::Event>& events = system_.events();
    std::set<std::string> acknowledged;
    size_t seen = 0;
    for (size_t i = 0; i < events.size(); ++i) {
      if (events[i].kind != sim::Event::Kind::kMark) {
        continue;
      }
      acknowledged.insert(NumberedKey(static_cast<uint64_t>(events[i].value)));
      if (++seen % step == 0) {
        for (size_t variant = 0; variant < 4; ++variant) {
          std::set<std::string> found = KeysAfterPowerCut(events, i + 1, variant);
          EXPECT_TRUE(std::includes(found.begin(), found.end(), acknowledged.begin(), acknowledged.end()))
              << "power cut after " << i << " events, variant " << variant;
        }
      }
    }
    EXPECT_EQ(seen, marks);
  }
};

class GroupsTest : public GroupCommitTest, public testing::WithParamInterface<uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Durability, GroupsTest, testing::Values(JOHNNY_TWO_PHASE, JOHNNY_SINGLE_SYNC),
                         testing::PrintToStringParamName());

TEST_P(GroupsTest, FewerSyncsThanCommitsAndNothingAcknowledgedIsLost) {
  constexpr int kCommits = 15;
  system_.set_recording(true);
  VirtualProcess& process = Start();
  uint64_t syncs = system_.calls(sim::Call::kSync);
  process.AtYieldPoints([](const std::string& where) {
    if (where == "sync") {
      std::this_thread::sleep_for(std::chrono::microseconds(500));  // a disk takes its time
    }
  });
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < kCommits; ++i) {
        Txn txn(process.env());
        uint64_t id = txn.Id();
        EXPECT_OK(txn.Put(KeyOf(thread, i), Pattern(50, static_cast<uint32_t>(i))));
        EXPECT_OK(txn.CommitWith(GetParam()));
        system_.Mark(sim::MarkKind::kCommitDurable, thread * 1000 + i);
        EXPECT_GE(Txn(process.env(), JOHNNY_READ).Id(), id);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_LT(system_.calls(sim::Call::kSync) - syncs, static_cast<uint64_t>(kThreads * kCommits));
  EXPECT_TRUE(process.env().VerifyClean());
  ExpectNothingAcknowledgedIsLost(10, static_cast<size_t>(kThreads * kCommits));
}

// One commit takes two syncs; others are sealed when sync `during` of them is about to run.
class OverlapTest : public GroupCommitTest {
 protected:
  uint64_t SyncsWhenOthersSealDuring(int during) {
    system_.set_recording(true);
    VirtualProcess& process = Start();
    Txn first(process.env());  // which may sync to be given its id
    EXPECT_OK(first.Put("first", "1"));
    EXPECT_OK(first.CommitWith(JOHNNY_TWO_PHASE));
    const uint64_t before = system_.calls(sim::Call::kSync);
    std::vector<std::thread> others;
    std::atomic<int> sealed{0}, syncs{0};
    auto commit = [&](int thread) {
      Txn txn(process.env());
      EXPECT_OK(txn.Put(KeyOf(thread, 0), Pattern(50, 1)));
      EXPECT_OK(txn.CommitWith(JOHNNY_TWO_PHASE));
      system_.Mark(sim::MarkKind::kCommitDurable, thread * 1000);
    };
    process.AtYieldPoints([&](const std::string& where) {
      sealed += where == "commit: sealed" ? 1 : 0;
      if (where != "sync" || ++syncs != during) {
        return;
      }
      for (int thread = 1; thread < kThreads; ++thread) {
        others.emplace_back(commit, thread);
      }
      for (;; std::this_thread::yield()) {
        Txn probe;
        if (sealed == kThreads && probe.Begin(process.env(), JOHNNY_NO_WAIT).ok()) {
          break;  // the last of them has given the writer's place on
        }
      }
    });
    commit(0);
    for (std::thread& thread : others) {
      thread.join();
    }
    process.AtYieldPoints(nullptr);
    const uint64_t syncs_taken = system_.calls(sim::Call::kSync) - before;
    EXPECT_EQ(Txn(process.env(), JOHNNY_READ).Entries(), kThreads + 1u);
    EXPECT_TRUE(process.env().VerifyClean());
    ExpectNothingAcknowledgedIsLost(1, kThreads);
    return syncs_taken;
  }
};

TEST_F(OverlapTest, TheSyncOfAMasterPageHasThePagesOfTheNextGroup) { EXPECT_EQ(SyncsWhenOthersSealDuring(1), 3u); }

TEST_F(OverlapTest, ASyncThatHasBegunDoesNotCountForWhatIsSealedLater) { EXPECT_EQ(SyncsWhenOthersSealDuring(2), 4u); }

// A group is put together while a sync on demand holds all of them up; then the sync numbered `failing` fails.
class FailingGroupTest : public GroupCommitTest {
 protected:
  std::vector<int> CommitAsOneGroup(VirtualProcess* process, uint64_t failing) {
    {
      Txn lazy(process->env());
      EXPECT_OK(lazy.Put("lazy", "1"));
      EXPECT_OK(lazy.CommitWith(JOHNNY_LAZY));
    }
    std::vector<int> codes(kThreads, -1);
    std::vector<std::thread> threads;
    std::atomic<int> sealed{0};
    process->AtYieldPoints([&](const std::string& where) {
      sealed += where == "commit: sealed" ? 1 : 0;
      if (where != "bulk sync" || !threads.empty()) {
        return;
      }
      for (int thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&, thread] {
          Txn txn(process->env());
          EXPECT_OK(txn.Put(KeyOf(thread, 0), "1"));
          codes[static_cast<size_t>(thread)] = txn.CommitWith(JOHNNY_TWO_PHASE).code();
        });
      }
      for (;; std::this_thread::yield()) {
        Txn probe;
        if (sealed == kThreads && probe.Begin(process->env(), JOHNNY_NO_WAIT).ok()) {
          break;  // the last of them has given the writer's place on
        }
      }
      EXPECT_EQ(Txn(process->env(), JOHNNY_READ).Find(KeyOf(0, 0)), std::nullopt) << "not announced yet";
      system_.SetFault({.call = sim::Call::kSync, .skip = failing});
    });
    EXPECT_OK(process->env().Sync());
    for (std::thread& thread : threads) {
      thread.join();
    }
    system_.ClearFault();
    process->AtYieldPoints(nullptr);
    return codes;
  }
};

TEST_F(FailingGroupTest, OneGroupTakesTwoSyncs) {
  VirtualProcess& process = Start();
  uint64_t syncs = 0;
  std::vector<int> codes = CommitAsOneGroup(&process, 100);
  syncs = system_.calls(sim::Call::kSync);
  EXPECT_EQ(codes, std::vector<int>(kThreads, JOHNNY_OK));
  EXPECT_EQ(Txn(process.env(), JOHNNY_READ).Entries(), kThreads + 1u);
  EXPECT_OK(process.env().Sync());
  EXPECT_EQ(system_.calls(sim::Call::kSync), syncs) << "all of it is durable";
}

TEST_F(FailingGroupTest, TheFirstSyncsFailureFailsAllOfIt) {
  VirtualProcess& other = Start();
  VirtualProcess& process = Start();
  // The sync on demand is the first of the calls that count.
  EXPECT_EQ(CommitAsOneGroup(&process, 1), std::vector<int>(kThreads, JOHNNY_IO_ERROR));
  for (VirtualProcess* each : {&other, &process}) {
    Txn txn;
    EXPECT_EQ(txn.Begin(each->env()), JOHNNY_WRITES_REFUSED);
    EXPECT_EQ(Txn(each->env(), JOHNNY_READ).All(), (Contents{{"lazy", "1"}}));
    EXPECT_EQ(each->env().Info().writes_refused, 1u);
  }
  VirtualProcess late(&system_);
  EXPECT_EQ(late.Open(kMachinePath, options_), JOHNNY_WRITES_REFUSED);
  EndAll();
  VirtualProcess& next = Start();
  EXPECT_EQ(Txn(next.env(), JOHNNY_READ).All(), (Contents{{"lazy", "1"}}));
  EXPECT_TRUE(next.env().VerifyClean());
}

TEST_F(FailingGroupTest, TheSecondSyncsFailureLeavesAllOfItUnknown) {
  VirtualProcess& other = Start();
  VirtualProcess& process = Start();
  EXPECT_EQ(CommitAsOneGroup(&process, 2), std::vector<int>(kThreads, JOHNNY_OUTCOME_UNKNOWN));
  for (VirtualProcess* each : {&other, &process}) {
    Txn txn;
    EXPECT_EQ(txn.Begin(each->env()), JOHNNY_WRITES_REFUSED);
    EXPECT_EQ(Txn(each->env(), JOHNNY_READ).All(), (Contents{{"lazy", "1"}}));
  }
  EndAll();
  VirtualProcess& next = Start();
  uint64_t entries = Txn(next.env(), JOHNNY_READ).Entries();
  EXPECT_TRUE(entries == 1 || entries == kThreads + 1u) << entries;
  EXPECT_TRUE(next.env().VerifyClean());
}

// Else it might never end, for under load there always is somebody who syncs.
TEST_F(GroupCommitTest, ASyncThatHasNothingToDoDoesNotWaitForOthers) {
  VirtualProcess& process = Start();
  Txn first(process.env());
  EXPECT_OK(first.Put("first", "1"));
  EXPECT_OK(first.CommitWith(JOHNNY_TWO_PHASE));
  std::future<Result> sync;
  std::future_status ended = std::future_status::deferred;
  process.AtYieldPoints([&](const std::string& where) {
    if (where == "sync" && !sync.valid()) {
      sync = std::async(std::launch::async, [&] { return process.env().Sync(); });
      ended = sync.wait_for(std::chrono::seconds(20));
    }
  });
  Txn second(process.env());
  EXPECT_OK(second.Put("second", "1"));
  EXPECT_OK(second.CommitWith(JOHNNY_TWO_PHASE));
  EXPECT_EQ(ended, std::future_status::ready);
  EXPECT_OK(sync.get());
}

// A lazy commit cannot overtake a durable one that waits for its syncs.
TEST_F(GroupCommitTest, ALazyCommitBehindADurableOnePublishesItFirst) {
  VirtualProcess& process = Start();
  std::thread lazy;
  process.AtYieldPoints([&](const std::string& where) {
    if (where == "commit: data written" && !lazy.joinable()) {
      lazy = std::thread([&] {
        Txn txn(process.env());
        EXPECT_EQ(txn.Find("durable"), "1") << "it builds on what is sealed";
        EXPECT_OK(txn.Put("lazy", "1"));
        EXPECT_OK(txn.CommitWith(JOHNNY_LAZY));
      });
      for (int i = 0; i < 100; ++i) {
        std::this_thread::yield();
      }
    }
  });
  Txn txn(process.env());
  EXPECT_OK(txn.Put("durable", "1"));
  EXPECT_OK(txn.CommitWith(JOHNNY_TWO_PHASE));
  lazy.join();
  EXPECT_EQ(Txn(process.env(), JOHNNY_READ).All(), (Contents{{"durable", "1"}, {"lazy", "1"}}));
  EXPECT_TRUE(process.env().VerifyClean());
}

}  // namespace
}  // namespace johnny::test
