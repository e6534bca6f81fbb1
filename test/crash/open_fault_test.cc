// Faults after which the program goes on: a sync that fails while a killed process's database is opened, and then does not; a
// commit that fails; a disk that is full for one write of a spill.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "support/crash_checker.h"

namespace johnny::sim {
namespace {

std::string KeyOf(uint64_t number) { return absl::StrCat("key", absl::Dec(number, absl::kZeroPad5)); }

void PutSome(Script* script, uint64_t entries, uint64_t keys, size_t value_size) {
  for (uint64_t i = 0; i < entries; ++i) {
    script->Put("", KeyOf(script->Below(keys)), script->RandomBytes(value_size));
  }
}

void CommitSome(Script* script, uint64_t entries, uint32_t durability = JOHNNY_DURABILITY_DEFAULT) {
  script->Begin();
  PutSome(script, entries, 60, 300);
  script->Commit(durability);
}

void Report(const std::vector<std::string>& failures, const std::string& where) {
  for (const std::string& failure : failures) {
    ADD_FAILURE() << where << ": " << failure;
  }
}

// ---- A failing sync at opening ----

// Kills the process; opens again with sync `failing_sync` of the opening failing, and then once more in the same boot without
// faults, which may be refused until the machine restarts. False when the opening has fewer syncs.
bool KillAndReopen(Script* script, uint64_t failing_sync) {
  script->Kill();
  script->system()->ClearFault();
  script->ExpectFaults(true);
  script->system()->SetFault({.call = Call::kSync, .skip = failing_sync});
  script->Open();
  bool failed = script->system()->faults_fired() > 0;
  script->system()->ClearFault();
  script->Kill();
  script->ExpectFaults(failed);
  script->Open();
  script->ExpectFaults(false);
  return failed;
}

// What the newest database shows is durable, and so is what is committed next: cuts the power at every point.
void CommitAndCutPower(Script* script, uint64_t seed, const std::string& where) {
  script->CheckNow();
  CommitSome(script, 20, JOHNNY_TWO_PHASE);
  CommitSome(script, 20, JOHNNY_TWO_PHASE);
  script->CheckNow();
  Recording recording = script->Finish();
  CrashOptions options;
  options.seed = seed;
  options.again = false;
  options.max_failures = 2;
  CrashChecker checker(options);
  checker.Run(recording, 400);
  Report(checker.failures(), where);
}

TEST(OpenFaultTest, AFailedSyncAfterLazyCommitsIsRemembered) {
  bool failed = true;
  for (uint64_t sync = 0; failed; ++sync) {
    for (uint64_t seed = 1; seed <= 4; ++seed) {
      Script script("sync at opening", seed, SmallOptions());
      script.Open(JOHNNY_CREATE);
      CommitSome(&script, 60);
      for (uint64_t i = 0; i < seed; ++i) {
        CommitSome(&script, 10, JOHNNY_LAZY);
      }
      failed = KillAndReopen(&script, sync);
      EXPECT_TRUE(failed || sync > 0) << "the opening did not sync";
      CommitAndCutPower(&script, seed, absl::StrCat("sync ", sync, " of the opening failed, seed ", seed));
    }
    ASSERT_LT(sync, 20u);
  }
}

// The killed process had already seen a sync fail: the opening that recovers from that fails too.
TEST(OpenFaultTest, AFailedSyncAfterAnotherOneIsRemembered) {
  bool failed = true;
  for (uint64_t sync = 0; failed; ++sync) {
    for (uint64_t seed = 1; seed <= 4; ++seed) {
      Script script("sync at opening", seed, SmallOptions());
      script.Open(JOHNNY_CREATE);
      CommitSome(&script, 60);
      CommitSome(&script, 10, JOHNNY_LAZY);
      script.ExpectFaults(true);
      script.system()->SetFault({.call = Call::kSync});
      if (seed % 2 == 0) {
        script.Sync();
      } else {
        CommitSome(&script, 10, JOHNNY_SINGLE_SYNC);
      }
      failed = KillAndReopen(&script, sync);
      CommitAndCutPower(&script, seed, absl::StrCat("sync ", sync, " of the second opening failed, seed ", seed));
    }
    ASSERT_LT(sync, 20u);
  }
}

// The killed process was in the middle of a two-phase commit; among the calls is the sync of the master page.
TEST(OpenFaultTest, AFailedSyncAfterAKilledCommitIsRemembered) {
  bool killed = true;
  for (uint64_t call = 0; killed; ++call) {
    bool failed = true;
    for (uint64_t sync = 0; failed; ++sync) {
      Script script("sync at opening", 1 + call, SmallOptions());
      script.Open(JOHNNY_CREATE);
      for (int i = 0; i < 4; ++i) {
        CommitSome(&script, 30);
      }
      script.ExpectFaults(true);
      script.system()->SetFault({.skip = call, .kills = true});
      uint64_t fired = script.system()->faults_fired();
      CommitSome(&script, 30);
      killed = script.system()->faults_fired() > fired;
      failed = KillAndReopen(&script, sync);
      CommitAndCutPower(&script, 1 + call, absl::StrCat("killed at call ", call, ", then sync ", sync, " of the opening failed"));
      ASSERT_LT(sync, 20u);
    }
    ASSERT_LT(call, 50u);
  }
}

// The killed process was closing: of the two masters of the same commit, the clean one may never have reached the disk.
TEST(OpenFaultTest, AFailedSyncAfterAKilledCloseIsRemembered) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    Script script("sync at opening", seed, SmallOptions());
    script.Open(JOHNNY_CREATE);
    for (int i = 0; i < 4; ++i) {
      CommitSome(&script, 30);
    }
    script.ExpectFaults(true);
    script.system()->SetFault({.call = Call::kSync, .kills = true});
    script.Close();
    EXPECT_TRUE(KillAndReopen(&script, 0));
    CommitAndCutPower(&script, seed, absl::StrCat("killed at the sync of the close, seed ", seed));
  }
}

// ---- A failing commit ----

TEST(OpenFaultTest, AfterAFailedCommitTheDatabaseIsSound) {
  uint64_t fired = 1;
  int failed = 0;
  uint64_t call = 0;
  for (; fired > 0; ++call) {
    Script script("commit", 1 + call, SmallOptions());
    script.Open(JOHNNY_CREATE);
    CommitSome(&script, 200);
    script.ExpectFaults(true);
    script.Begin();
    PutSome(&script, 30, 2000, 300);
    script.system()->SetFault({.skip = call});
    script.Commit();
    fired = script.system()->faults_fired();
    script.system()->ClearFault();
    if (script.last_commit_code() == JOHNNY_OUTCOME_UNKNOWN) {
      EXPECT_EQ(FindingsOf(script.env()), "") << "call " << call;
      continue;
    }
    failed += script.last_commit_code() == JOHNNY_IO_ERROR ? 1 : 0;
    script.CheckNow();
    Report(script.Finish().problems, absl::StrCat("call ", call, " of the commit failed"));
    ASSERT_LT(call, 100u);
  }
  EXPECT_GT(failed, 1);
}

// ---- A disk that is full for one write ----

struct SpillCase {
  bool retried;  // the put that failed is tried again
  bool partial;  // the failing write has written its first half
};
class SpillFaultTest : public testing::TestWithParam<SpillCase> {};

bool HasFailed(Script* script) {
  johnny_txn_info info{};
  info.struct_size = sizeof info;
  EXPECT_EQ(johnny_txn_get_info(script->txn(), &info), JOHNNY_OK);
  return info.failed != 0;
}

// Many puts, one of which may meet the full disk. If the transaction can go on after that, then all that follows succeeds.
void PutUntilFailed(Script* script, bool retried) {
  for (uint64_t i = 0; i < 1500; ++i) {
    std::string key = KeyOf(i % 4 == 3 ? script->Below(2000) : i);  // spilled pages are changed again
    std::string value = script->RandomBytes(500);
    bool before = script->system()->faults_fired() == 0;
    script->ExpectFaults(before);
    script->Put("", key, value);
    if (before && script->system()->faults_fired() > 0) {
      if (HasFailed(script)) {
        return;
      }
      script->ExpectFaults(false);
      if (retried) {
        script->Put("", key, value);
      }
    }
  }
}

TEST_P(SpillFaultTest, ATransactionThatMetAFullDiskCommitsWholeOrNotAtAll) {
  const auto [retried, partial] = GetParam();
  johnny_options options = SmallOptions();
  options.memory_budget = 64 * 4096;
  uint64_t fired = 1;
  uint64_t skip = 0;
  for (; fired > 0; ++skip) {
    Script script("spill", 1 + skip, options);
    script.Open(JOHNNY_CREATE);
    CommitSome(&script, 60);
    script.Begin();
    script.system()->SetFault({.call = Call::kWrite, .skip = skip, .code = Code::kDiskFull, .partial = partial});
    PutUntilFailed(&script, retried);
    fired = script.system()->faults_fired();
    script.system()->ClearFault();
    bool failed = HasFailed(&script);
    script.ExpectFaults(failed);
    script.Commit();
    EXPECT_EQ(script.last_commit_code(), failed ? JOHNNY_TXN_FAILED : JOHNNY_OK);
    script.ExpectFaults(false);
    script.CheckNow();
    CommitSome(&script, 60);
    script.CheckNow();
    script.Kill();
    script.Open();
    script.CheckNow();
    Report(script.Finish().problems, absl::StrCat("write ", skip, " failed"));
    ASSERT_LT(skip, 500u);
  }
  EXPECT_GT(skip, 10u);
}

INSTANTIATE_TEST_SUITE_P(Puts, SpillFaultTest,
                         testing::Values(SpillCase{true, false}, SpillCase{true, true}, SpillCase{false, false},
                                         SpillCase{false, true}),
                         [](const auto& test) {
                           return absl::StrCat(test.param.retried ? "Retried" : "GivenUp", test.param.partial ? "Partial" : "");
                         });

}  // namespace
}  // namespace johnny::sim
