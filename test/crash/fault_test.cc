// Every call to the system fails, once or for ever, with each error, in a run that touches every operation. Nothing that was
// acknowledged is lost, what was reported is what is found on reopening, in the same boot and after a power cut.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "support/crash_checker.h"

namespace johnny::sim {
namespace {

std::string KeyOf(uint64_t number) { return absl::StrCat("key", absl::Dec(number, absl::kZeroPad5)); }

void PutSome(Script* script, uint64_t entries, size_t value_size, const std::string& table = "") {
  for (uint64_t i = 0; i < entries; ++i) {
    script->Put(table, KeyOf(script->Below(60)), script->RandomBytes(value_size));
  }
}

void CommitSome(Script* script, uint32_t durability) {
  script->Begin();
  PutSome(script, 5, 200);
  script->Delete("", KeyOf(script->Below(60)));
  script->Commit(durability);
}

// Touches every operation.
void RunEverything(Script* script) {
  script->options()->memory_budget = 64 * 4096;
  script->Open(JOHNNY_CREATE);
  script->Begin();
  PutSome(script, 60, 200);
  script->CreateTable("table");
  PutSome(script, 20, 300, "table");
  script->Commit();
  CommitSome(script, JOHNNY_TWO_PHASE);
  script->BeginReader();
  CommitSome(script, JOHNNY_SINGLE_SYNC);
  CommitSome(script, JOHNNY_LAZY);
  CommitSome(script, JOHNNY_LAZY);
  script->Sync();
  script->Begin();
  PutSome(script, 3, 20000);  // extents
  script->RenameTable("table", "other");
  script->Commit();
  script->EndReader();
  script->Begin();
  for (uint64_t i = 0; i < 320; ++i) {  // spills
    script->Put("", KeyOf(1000 + i), script->RandomBytes(1100));
  }
  script->Abort();
  CommitSome(script, JOHNNY_LAZY);
  script->Close();
  script->Open();
  script->Begin();
  script->DropTable("other");
  script->Commit();
  CommitSome(script, JOHNNY_DURABILITY_DEFAULT);
  script->Close();
}

// Power cuts at the end of the run: everything unsynced kept, none of it, and some of it.
void CutPowerAtTheEnd(const Recording& recording, uint64_t seed, std::vector<std::string>* failures) {
  CrashDisk disk(recording.start);
  Expectation expectation(true);
  for (size_t i = 0; i < recording.events.size(); ++i) {
    disk.Apply(recording.events[i], i);
    if (recording.events[i].kind == Event::Kind::kMark) {
      expectation.Apply(recording.events[i].mark, recording.events[i].value);
    }
  }
  Random random(seed);
  std::vector<Variant> variants = disk.Variants({}, &random);
  for (size_t i = 0; i < variants.size() && i < 4; ++i) {
    Outcome outcome = CheckDisk(disk.Build(variants[i]), recording.options, 2, nullptr);
    std::string problem = JudgeOutcome(outcome, recording.history, expectation);
    if (!problem.empty()) {
      failures->push_back(absl::StrCat("power cut at the end, ", disk.Describe(variants[i]), ": ", problem));
    }
  }
}

std::vector<std::string> RunWithFault(const Fault& fault, bool reopen, uint64_t seed, uint64_t* fired) {
  Script script("faults", seed, SmallOptions());
  script.ExpectFaults(true);
  script.system()->SetFault(fault);
  RunEverything(&script);
  *fired = script.system()->faults_fired();
  script.system()->ClearFault();
  script.Kill();
  if (reopen) {
    script.Open(JOHNNY_CREATE);  // refused until a restart if the sync of an opening failed
    script.ExpectFaults(false);
    script.CheckNow();
    CommitSome(&script, JOHNNY_DURABILITY_DEFAULT);
    script.CheckNow();
  }
  Recording recording = script.Finish();
  std::vector<std::string> failures = recording.problems;
  CutPowerAtTheEnd(recording, seed, &failures);
  return failures;
}

TEST(FaultTest, RunsWithoutFaults) {
  Script script("faults", 1, SmallOptions());
  RunEverything(&script);
  Recording recording = script.Finish();
  for (const std::string& problem : recording.problems) {
    ADD_FAILURE() << problem;
  }
}

struct FaultCase {
  Code code;
  bool for_ever;
  bool reopen;  // in the same boot, before the power is cut
};
class FaultTest : public testing::TestWithParam<FaultCase> {};

TEST_P(FaultTest, LosesNothingAcknowledged) {
  const auto [code, for_ever, reopen] = GetParam();
  int failed = 0;
  uint64_t fired = 1;
  uint64_t index = 0;
  for (; fired > 0 && failed < 10; ++index) {
    Fault fault{.skip = index, .for_ever = for_ever, .code = code, .partial = index % 2 == 1};
    for (const std::string& failure : RunWithFault(fault, reopen, 1 + index % 3, &fired)) {
      ADD_FAILURE() << "call " << index << " failing, seed " << 1 + index % 3 << ": " << failure;
      ++failed;
    }
  }
  RecordProperty("calls", static_cast<int>(index));
  EXPECT_GT(index, 50u);
}

// Calls that fail for ever are not followed by reopening in the same boot: when even a write into the page cache fails, as that
// of the mark of a failed sync then does, the file system has shut down, and comes back with the page cache dropped.
INSTANTIATE_TEST_SUITE_P(Faults, FaultTest,
                         testing::Values(FaultCase{Code::kIoError, false, false}, FaultCase{Code::kIoError, false, true},
                                         FaultCase{Code::kIoError, true, false}, FaultCase{Code::kDiskFull, false, false},
                                         FaultCase{Code::kDiskFull, false, true}, FaultCase{Code::kDiskFull, true, false}),
                         [](const auto& test) {
                           return absl::StrCat(test.param.code == Code::kIoError ? "IoError" : "DiskFull",
                                               test.param.for_ever ? "ForEver" : "Once",
                                               test.param.reopen ? "ThenReopened" : "ThenPowerCut");
                         });

// A disk that fills up in the middle, and empties again.
TEST(FaultTest, AFullDiskLosesNothing) {
  for (uint64_t blocks = 20; blocks < 160; blocks += 3) {
    Script script("full disk", blocks, SmallOptions());
    script.ExpectFaults(true);
    script.system()->set_capacity(blocks * 4096);
    RunEverything(&script);
    script.Kill();
    script.system()->set_capacity(0);
    script.ExpectFaults(false);
    script.Open(JOHNNY_CREATE);
    script.CheckNow();
    CommitSome(&script, JOHNNY_DURABILITY_DEFAULT);
    script.CheckNow();
    Recording recording = script.Finish();
    std::vector<std::string> failures = recording.problems;
    CutPowerAtTheEnd(recording, blocks, &failures);
    for (const std::string& failure : failures) {
      ADD_FAILURE() << "capacity of " << blocks << " blocks: " << failure;
    }
  }
}

}  // namespace
}  // namespace johnny::sim
