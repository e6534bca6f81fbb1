// A process dies at every point of its commits, and a living one becomes the writer: what was acknowledged is there, what was in
// flight is there or not, every page is accounted for, no id is given twice, and readers keep their snapshots.
#include <algorithm>

#include "absl/cleanup/cleanup.h"
#include "threads/machine.h"

namespace johnny::test {
namespace {

using sim::VirtualProcess;

// What the victim was about to do; read by others once it is dead.
class Victim {
 public:
  explicit Victim(VirtualProcess* process) : process_(*process) {}

  // A run of everything that writes.
  void RunAll() {
    Txn reader;
    if (!Did(reader.Begin(env(), JOHNNY_READ))) {
      return;
    }
    Change(JOHNNY_TWO_PHASE, [](Contents* all) {
      for (uint64_t i = 0; i < 60; ++i) {
        (*all)[NumberedKey(i)] = Pattern(600, static_cast<uint32_t>(i));
      }
    });
    uint32_t round = 0;
    for (uint32_t durability :
         {uint32_t{JOHNNY_TWO_PHASE}, uint32_t{JOHNNY_SINGLE_SYNC}, uint32_t{JOHNNY_LAZY}, uint32_t{JOHNNY_LAZY}}) {
      ChangeSome(durability, ++round);
    }
    Did(process_.env().Sync());
    ChangeSome(JOHNNY_LAZY, ++round);
    ChangeSome(JOHNNY_TWO_PHASE, ++round);
    Change(JOHNNY_SINGLE_SYNC, [](Contents* all) { (*all)["large"] = Pattern(50000, 7); });
    {
      Txn aborted;
      if (Did(aborted.Begin(env()))) {
        ids_.push_back(aborted.Id());
        Did(aborted.Put("aborted", Pattern(9000, 1)));
        Did(aborted.Abort());
      }
    }
    Did(reader.Abort());
    Change(JOHNNY_TWO_PHASE, [](Contents* all) {
      all->erase("large");
      all->erase(all->lower_bound(NumberedKey(5)), all->end());
    });
    ChangeSome(JOHNNY_LAZY, ++round);
  }

  // A file that grows and is cut off again.
  void RunShrinking() {
    for (uint32_t i = 0; i < 25; ++i) {
      Change(JOHNNY_LAZY, [&](Contents* all) { (*all)[NumberedKey(1000 + i)] = Pattern(240000, i); });
    }
    Change(JOHNNY_TWO_PHASE, [](Contents* all) { all->clear(); });
    for (uint32_t round = 0; round < 8; ++round) {
      ChangeSome(JOHNNY_TWO_PHASE, round);
    }
  }

  const std::vector<uint64_t>& ids() const { return ids_; }
  // Of the last acknowledged commit, and of that one or the one in flight.
  const Contents& acknowledged() const { return acknowledged_; }
  bool IsAllowed(const Contents& found) const { return found == acknowledged_ || (in_flight_ && found == next_); }

 private:
  const Env& env() { return process_.env(); }
  bool Did(const Result& result) {
    EXPECT_TRUE(result.ok() || process_.dead()) << result;
    return result.ok() && !process_.dead();
  }

  template <typename Edit>
  void Change(uint32_t durability, Edit edit) {
    next_ = acknowledged_;
    edit(&next_);
    Txn txn;
    if (!Did(txn.Begin(env()))) {
      return;
    }
    ids_.push_back(txn.Id());
    for (const auto& [key, value] : next_) {
      auto before = acknowledged_.find(key);
      if ((before == acknowledged_.end() || before->second != value) && !Did(txn.Put(key, value))) {
        return;
      }
    }
    for (const auto& [key, value] : acknowledged_) {
      if (!next_.contains(key) && !Did(txn.Delete(key))) {
        return;
      }
    }
    in_flight_ = true;
    if (Did(txn.CommitWith(durability))) {
      acknowledged_ = next_;
      in_flight_ = false;
    }
  }
  void ChangeSome(uint32_t durability, uint32_t round) {
    Change(durability, [&](Contents* all) {
      for (uint64_t i = 0; i < 5; ++i) {
        (*all)[NumberedKey((round * 13 + i * 7) % 60)] = Pattern(300, round * 100 + static_cast<uint32_t>(i));
      }
    });
  }

  VirtualProcess& process_;
  std::vector<uint64_t> ids_;
  Contents acknowledged_;
  Contents next_;
  bool in_flight_ = false;
};

// Further commits that use every page again.
void Overwrite(const Env& env, int commits) {
  for (int i = 0; i < commits; ++i) {
    Txn txn(env);
    for (uint64_t k = 0; k < 30; ++k) {
      EXPECT_OK(txn.Put(NumberedKey(k * 7 % 61, 8, "over"), Pattern(400, static_cast<uint32_t>(i))));
    }
    EXPECT_OK(txn.Commit());
  }
}

// Kills a process at the nth time it reaches `point`, or at the nth call to the system if there is none, and takes over. False if
// it lived.
bool KillAndTakeOver(const std::string& point, uint64_t nth) {
  Machine machine;
  VirtualProcess& heir = machine.Start();
  VirtualProcess& process = machine.Start();
  Victim victim(&process);
  bool shrinking = point == "shrink";
  Txn held;
  Txn held_later;
  if (!shrinking) {  // which would keep the file as it is
    EXPECT_OK(held.Begin(heir.env(), JOHNNY_READ));
  }
  uint64_t hits = 0, commits = 0;
  process.AtYieldPoints([&](const std::string& where) {
    if (where == "commit: sealed" && ++commits == 4 && !shrinking && !process.dead()) {
      EXPECT_OK(held_later.Begin(heir.env(), JOHNNY_READ));
    }
    if (where == point && hits++ == nth) {
      process.Kill();
    }
  });
  if (point.empty()) {
    machine.system_.SetFault({.skip = nth, .kills = true, .process = process.os()});
  }
  if (process.Run([&] { shrinking ? victim.RunShrinking() : victim.RunAll(); })) {
    for (Txn* reader : {&held, &held_later}) {
      EXPECT_OK(reader->get() != nullptr ? reader->Abort() : Result(JOHNNY_OK));
    }
    return false;
  }
  Contents kept = held_later.get() != nullptr ? held_later.All() : Contents{};
  EXPECT_TRUE(victim.IsAllowed(Txn(heir.env(), JOHNNY_READ).All())) << "read before anybody took over";

  Txn txn(heir.env());
  for (uint64_t id : victim.ids()) {
    EXPECT_LT(id, txn.Id()) << "ids are given once";
  }
  Contents found = txn.All();
  EXPECT_TRUE(victim.IsAllowed(found));
  EXPECT_OK(txn.Put("after", "death"));
  EXPECT_OK(txn.Commit());
  found["after"] = "death";
  EXPECT_TRUE(heir.env().VerifyClean());

  VirtualProcess& newcomer = machine.Start();
  EXPECT_EQ(Txn(newcomer.env(), JOHNNY_READ).All(), found);
  Overwrite(newcomer.env(), 6);
  Overwrite(heir.env(), 6);
  EXPECT_TRUE(newcomer.env().VerifyClean());
  if (held.get() != nullptr) {
    EXPECT_TRUE(held.All().empty()) << "a living reader's snapshot";
    EXPECT_OK(held.Abort());
  }
  if (held_later.get() != nullptr) {
    EXPECT_EQ(held_later.All(), kept);
    EXPECT_OK(held_later.Abort());
  }
  EXPECT_OK(Result(johnny_reader_check(heir.env().get(), nullptr)));
  EXPECT_EQ(heir.env().Info().readers, 0u) << "those of the dead process are freed";
  Overwrite(heir.env(), 2);
  EXPECT_TRUE(newcomer.env().VerifyClean());
  machine.EndAll();
  EXPECT_TRUE(machine.Start().env().VerifyClean());
  return true;
}

class TakeoverTest : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(YieldPoints, TakeoverTest,
                         testing::Values("commit: sealed", "sync", "commit: data written", "master", "commit: master published",
                                         "bulk sync", "shrink"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::erase_if(name, [](char c) { return c == ' ' || c == ':'; });
                           return name;
                         });

TEST_P(TakeoverTest, OfAProcessThatDiesAtAYieldPoint) {
  uint64_t nth = 0;
  for (bool killed = true; killed && !HasFailure(); ++nth) {
    SCOPED_TRACE(testing::Message() << "hit " << nth);
    killed = KillAndTakeOver(GetParam(), nth);
  }
  EXPECT_GT(nth, 1u) << "the point was never reached";
}

TEST(TakeoverAtCallsTest, OfAProcessThatDiesAtAnyCall) {
  uint64_t index = 0;
  for (bool killed = true; killed && !testing::Test::HasFailure(); ++index) {
    SCOPED_TRACE(testing::Message() << "call " << index);
    killed = KillAndTakeOver("", index);
  }
  EXPECT_GT(index, 50u);
}

// ---- Groups ----

class GroupTakeoverTest : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(YieldPoints, GroupTakeoverTest,
                         testing::Values("commit: sealed", "sync", "commit: data written", "master", "commit: master published"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::erase_if(name, [](char c) { return c == ' ' || c == ':'; });
                           return name;
                         });

TEST_P(GroupTakeoverTest, AcknowledgedCommitsOfAllThreadsAreThere) {
  constexpr int kThreads = 4;
  for (int nth = 0; nth < 12 && !HasFailure(); ++nth) {
    SCOPED_TRACE(testing::Message() << "hit " << nth);
    Machine machine;
    VirtualProcess& heir = machine.Start();
    VirtualProcess& process = machine.Start();
    std::atomic<int> hits{0};
    process.AtYieldPoints([&](const std::string& where) {
      if (where == GetParam() && hits++ == nth) {
        process.Kill();
      }
      std::this_thread::yield();  // so that groups form
    });
    std::atomic<int> begun[kThreads] = {}, acknowledged[kThreads] = {};
    std::atomic<uint64_t> last_id{0};
    std::vector<std::function<void()>> bodies;
    for (int thread = 0; thread < kThreads; ++thread) {
      bodies.push_back([&, thread] {
        for (int i = 1; i <= 20 && !process.dead(); ++i) {
          Txn txn;
          if (!txn.Begin(process.env()).ok()) {
            return;
          }
          uint64_t id = txn.Id();
          for (uint64_t before = last_id; before < id && !last_id.compare_exchange_weak(before, id);) {
          }
          begun[thread] = i;
          EXPECT_TRUE(txn.Put(NumberedKey(static_cast<uint64_t>(thread)), std::to_string(i)).ok() || process.dead());
          if (!txn.CommitWith(i % 3 == 0 ? JOHNNY_SINGLE_SYNC : JOHNNY_TWO_PHASE).ok()) {
            return;
          }
          acknowledged[thread] = i;
        }
      });
    }
    absl::Cleanup end = [&] { machine.EndAll(); };  // while there is what its threads refer to
    ASSERT_FALSE(process.Run(bodies));
    int acknowledged_at_death[kThreads];
    std::copy(std::begin(acknowledged), std::end(acknowledged), acknowledged_at_death);
    Txn txn(heir.env());
    EXPECT_GT(txn.Id(), last_id);
    for (int thread = 0; thread < kThreads; ++thread) {
      int found = std::stoi(txn.Find(NumberedKey(static_cast<uint64_t>(thread))).value_or("0"));
      EXPECT_GE(found, acknowledged_at_death[thread]);
      EXPECT_LE(found, begun[thread]);
    }
    EXPECT_OK(txn.Put("after", "death"));
    EXPECT_OK(txn.Commit());
    Overwrite(heir.env(), 4);
    EXPECT_TRUE(heir.env().VerifyClean());
  }
}

}  // namespace
}  // namespace johnny::test
