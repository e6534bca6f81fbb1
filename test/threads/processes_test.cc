// Several virtual processes with one database: nobody sees half a commit, whoever writes, and no id is given twice.
#include <thread>

#include "threads/machine.h"

namespace johnny::test {
namespace {

using sim::VirtualProcess;

class ProcessesTest : public MachineTest {
 protected:
  // Audits until `done`; ids never go back.
  void Audit(const Env& env, const std::atomic<bool>& done) {
    uint64_t last = 0;
    while (!done) {
      Txn txn(env, JOHNNY_READ);
      EXPECT_GE(txn.Id(), last);
      last = txn.Id();
      EXPECT_EQ(SumOf(txn), kCoins);
      ++audits_;
    }
  }

  // Moves coins in `times` transactions, of which some are aborted.
  void MoveCoins(const Env& env, unsigned seed, int times) {
    std::minstd_rand random(seed);
    for (int i = 0; i < times; ++i) {
      Txn txn(env);
      NoteId(txn.Id());
      Move(&txn, &random);
      if (random() % 8 == 0) {
        EXPECT_OK(txn.Put(NumberedKey(0), "1000000"));  // never seen by anyone
        EXPECT_OK(txn.Abort());
      } else {
        uint64_t id = txn.Id();
        EXPECT_OK(txn.CommitWith(AnyDurability(&random)));
        EXPECT_GE(Txn(env, JOHNNY_READ).Id(), id) << "a writer sees its own commit";
      }
    }
  }
  void NoteId(uint64_t id) {
    std::lock_guard<std::mutex> lock(mutex_);
    EXPECT_TRUE(ids_.insert(id).second) << "id " << id << " was given twice";
    EXPECT_EQ(*ids_.rbegin(), id) << "ids grow from writer to writer, in whatever process";
  }

  std::atomic<int> audits_{0};
  std::mutex mutex_;
  std::set<uint64_t> ids_;
};

TEST_F(ProcessesTest, ReadersInManyProcessesSeeWholeSnapshots) {
  VirtualProcess& writer = Start();
  SetUpLedger(writer.env(), 40);
  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  for (uint32_t flags : std::vector<uint32_t>{0, JOHNNY_READ_ONLY, JOHNNY_READ_ONLY}) {
    VirtualProcess& process = Start(flags);
    for (int i = 0; i < 2; ++i) {
      readers.emplace_back([&] { Audit(process.env(), done); });
    }
  }
  for (unsigned seed = 1; seed <= 5 || audits_ < 200; ++seed) {
    MoveCoins(writer.env(), seed, 60 * Scale());
  }
  done = true;
  for (std::thread& reader : readers) {
    reader.join();
  }
  EXPECT_TRUE(processes_[1]->env().VerifyClean());
}

TEST_F(ProcessesTest, WritersInManyProcessesTakeTurns) {
  options_.sync_bytes = 64 << 10;
  for (int i = 0; i < 3; ++i) {
    Start();
  }
  SetUpLedger(processes_[0]->env(), 40);
  std::atomic<bool> done = false;
  std::vector<std::thread> writers, others;
  for (auto& process : processes_) {
    const Env& env = process->env();
    others.emplace_back([&] { Audit(env, done); });
    for (unsigned i = 0; i < 2; ++i) {
      writers.emplace_back([&, seed = static_cast<unsigned>(writers.size()) + 1] { MoveCoins(env, seed, 80 * Scale()); });
    }
  }
  others.emplace_back([&] {
    while (!done) {
      EXPECT_OK(processes_[1]->env().Sync());
    }
  });
  others.emplace_back([&] {
    while (!done) {
      EXPECT_TRUE(processes_[2]->env().VerifyClean());
    }
  });
  for (std::thread& writer : writers) {
    writer.join();
  }
  done = true;
  for (std::thread& other : others) {
    other.join();
  }
  EXPECT_EQ(ids_.size(), 6u * 80u * static_cast<unsigned>(Scale()));
  EndAll();
  VirtualProcess& last = Start();
  EXPECT_EQ(last.env().Info().clean, 1u);
  EXPECT_EQ(SumOf(Txn(last.env(), JOHNNY_READ)), kCoins);
  EXPECT_TRUE(last.env().VerifyClean());
}

// Processes come and go while others work.
TEST_F(ProcessesTest, OpeningAndClosingBesideWriters) {
  VirtualProcess& first = Start();
  SetUpLedger(first.env(), 20);
  std::atomic<bool> done = false;
  std::thread auditor([&] { Audit(first.env(), done); });
  std::thread writer([&] { MoveCoins(first.env(), 1, 150 * Scale()); });
  std::vector<std::thread> visitors;
  for (unsigned seed : {2, 3}) {
    visitors.emplace_back([&, seed] {
      for (unsigned i = 0; i < 15; ++i) {
        VirtualProcess visitor(&system_);
        johnny_options options = options_;
        options.flags = i % 3 == 2 ? JOHNNY_READ_ONLY : 0;
        ASSERT_OK(visitor.Open(kMachinePath, options));
        EXPECT_EQ(SumOf(Txn(visitor.env(), JOHNNY_READ)), kCoins);
        if (i % 3 != 2) {
          MoveCoins(visitor.env(), seed * 100 + i, 4);
        }
      }
    });
  }
  for (std::thread& visitor : visitors) {
    visitor.join();
  }
  writer.join();
  done = true;
  auditor.join();
  EXPECT_TRUE(first.env().VerifyClean());
}

TEST_F(ProcessesTest, AReadOnlyProcessMayComeFirst) {
  SetUpLedger(Start().env(), 20);
  EndAll();
  VirtualProcess& reader = Start(JOHNNY_READ_ONLY);
  Txn held(reader.env(), JOHNNY_READ);
  Contents before = held.All();
  VirtualProcess& writer = Start(0);
  MoveCoins(writer.env(), 1, 50);
  EXPECT_EQ(held.All(), before);
  EXPECT_OK(held.Commit());
  EXPECT_EQ(Txn(reader.env(), JOHNNY_READ).Id(), Txn(writer.env(), JOHNNY_READ).Id());
  EXPECT_TRUE(writer.env().VerifyClean());
}

TEST_F(ProcessesTest, WaitingForDurabilityOfAnothersCommit) {
  options_.durability = JOHNNY_LAZY;
  VirtualProcess& writer = Start();
  VirtualProcess& other = Start();
  VirtualProcess& reader = Start(JOHNNY_READ_ONLY);
  SetUpLedger(writer.env(), 5);
  std::minstd_rand random(1);
  Txn txn(writer.env());
  uint64_t id = txn.Id();
  Move(&txn, &random);
  EXPECT_EQ(johnny_wait_durable(other.env().get(), id), JOHNNY_INVALID_ARGUMENT) << "it has not committed yet";
  ASSERT_OK(txn.Commit());
  EXPECT_LT(writer.env().Info().durable_txn_id, id);
  EXPECT_EQ(johnny_wait_durable(reader.env().get(), id), JOHNNY_READ_ONLY_ENV);
  EXPECT_LT(writer.env().Info().durable_txn_id, id);
  EXPECT_OK(Result(johnny_wait_durable(other.env().get(), id)));
  EXPECT_EQ(writer.env().Info().durable_txn_id, id);
  EXPECT_OK(Result(johnny_wait_durable(reader.env().get(), id)));

  Txn async(writer.env());
  id = async.Id();
  Move(&async, &random);
  ASSERT_OK(async.CommitWith(JOHNNY_ASYNC));
  EXPECT_OK(Result(johnny_wait_durable(writer.env().get(), id)));
  EXPECT_EQ(other.env().Info().durable_txn_id, id);
}

TEST_F(ProcessesTest, AnAsyncCommitBecomesDurableByItself) {
  VirtualProcess& writer = Start();
  SetUpLedger(writer.env(), 5);
  std::minstd_rand random(1);
  Txn txn(writer.env());
  uint64_t id = txn.Id();
  Move(&txn, &random);
  ASSERT_OK(txn.CommitWith(JOHNNY_ASYNC));
  EXPECT_GE(Txn(writer.env(), JOHNNY_READ).Id(), id);
  while (writer.env().Info().durable_txn_id < id) {
    std::this_thread::yield();
  }
}

TEST_F(ProcessesTest, LazyCommitsAreSyncedOnceTheyHaveWrittenEnough) {
  options_.durability = JOHNNY_LAZY;
  options_.sync_bytes = 256 << 10;
  VirtualProcess& writer = Start();
  SetUpLedger(writer.env(), 5);
  auto put_some = [&](uint64_t round, size_t bytes) {
    Txn txn(writer.env());
    EXPECT_OK(txn.Put(NumberedKey(1000 + round), Pattern(bytes, static_cast<uint32_t>(round))));
    EXPECT_OK(txn.Commit());
  };
  uint64_t syncs = system_.calls(sim::Call::kSync);
  for (uint64_t round = 0; round < 3; ++round) {
    put_some(round, 100);
  }
  EXPECT_EQ(system_.calls(sim::Call::kSync), syncs) << "no time, not enough bytes";
  uint64_t id = writer.env().Info().last_txn_id;
  for (uint64_t round = 0; writer.env().Info().durable_txn_id < id; ++round) {
    put_some(10 + round % 50, 900);
  }
  EXPECT_GT(system_.calls(sim::Call::kSync), syncs);
}

// ---- Syncs that fail in one process while another one commits ----

class FailingElsewhereTest : public ProcessesTest {
 protected:
  FailingElsewhereTest() {
    SetUpLedger(one_.env(), 5);
    Txn lazy(one_.env());
    std::minstd_rand random(1);
    Move(&lazy, &random);
    EXPECT_OK(lazy.CommitWith(JOHNNY_LAZY));  // for the other process to sync
  }
  void FailASyncInTheOther() {
    system_.SetFault({.call = sim::Call::kSync, .process = two_.os()});
    EXPECT_EQ(two_.env().Sync(), JOHNNY_IO_ERROR);
    system_.ClearFault();
  }
  static Result PutAndCommit(const Env& env, const std::string& key) {
    Txn txn;
    Result begun = txn.Begin(env);
    if (!begun.ok()) {
      return begun;
    }
    EXPECT_OK(txn.Put(key, "1"));
    return txn.CommitWith(JOHNNY_TWO_PHASE);
  }

  VirtualProcess& one_ = Start();
  VirtualProcess& two_ = Start();
};

// The other's sync took the report of the failure away, so that this one's own success means nothing.
TEST_F(FailingElsewhereTest, ACommitWhoseMasterMayBeLostIsOfUnknownOutcome) {
  int syncs = 0;
  one_.AtYieldPoints([&](const std::string& where) {
    if (where == "sync" && ++syncs == 2) {
      FailASyncInTheOther();
    }
  });
  EXPECT_EQ(PutAndCommit(one_.env(), "a"), JOHNNY_OUTCOME_UNKNOWN);
  EXPECT_EQ(PutAndCommit(one_.env(), "b"), JOHNNY_WRITES_REFUSED);
}

TEST_F(FailingElsewhereTest, ACommitWhosePagesMayBeLostFails) {
  bool failed = false;
  one_.AtYieldPoints([&](const std::string& where) {
    if (where == "sync" && !failed) {
      failed = true;
      FailASyncInTheOther();
    }
  });
  EXPECT_EQ(PutAndCommit(one_.env(), "a"), JOHNNY_IO_ERROR);
  EXPECT_EQ(Txn(two_.env(), JOHNNY_READ).Find("a"), std::nullopt);
}

// What waits behind a commit that is through is not committed, and keeps nobody from the writer's place.
TEST_F(FailingElsewhereTest, ASealedCommitThatWaitsFailsAndGivesTheLockBack) {
  std::thread second;
  bool first = true;
  std::atomic<int> sealed{0};
  one_.AtYieldPoints([&](const std::string& where) {
    sealed += where == "commit: sealed" ? 1 : 0;
    if (where != "commit: master published" || !first) {
      return;
    }
    first = false;
    second = std::thread([&] { EXPECT_EQ(PutAndCommit(one_.env(), "second"), JOHNNY_IO_ERROR); });
    for (bool waits = false; !waits; std::this_thread::yield()) {
      Txn probe;
      waits = sealed == 2 && probe.Begin(one_.env(), JOHNNY_NO_WAIT).ok();  // it has given the writer's place on
    }
    FailASyncInTheOther();
  });
  // Its syncs succeeded, but the mark that the other process leaves may name the commit before it.
  EXPECT_EQ(PutAndCommit(one_.env(), "first"), JOHNNY_OUTCOME_UNKNOWN);
  second.join();
  johnny_txn* late = nullptr;
  EXPECT_EQ(johnny_begin_within(two_.env().get(), 0, 5000, &late), JOHNNY_WRITES_REFUSED);
  Txn reader(two_.env(), JOHNNY_READ);
  EXPECT_EQ(reader.Find("first"), "1");
  EXPECT_EQ(reader.Find("second"), std::nullopt);
}

}  // namespace
}  // namespace johnny::test
