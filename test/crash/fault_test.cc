// Every call to the system fails, once or for ever, with each error, in a run that touches every operation. Nothing that was
// acknowledged is lost, what was reported is what is found on reopening, in the same boot and after a power cut, and the error
// names its cause. (EINTR and short transfers stop below this interface: test/faults/syscall_test.cc.)
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "support/crash_checker.h"
#include "support/fault_script.h"

namespace johnny::sim {
namespace {

// An error of the system, perhaps after half of what was to be read or written. Parts of a write that failed are there.
struct Error {
  const char* name;
  Code code;
  const char* words;
  bool partial;
};
constexpr Error kErrors[] = {
    {"EIO", Code::kIoError, "Input/output error", false},
    {"EIO, short", Code::kIoError, "Input/output error", true},
    {"ENOSPC", Code::kDiskFull, "No space left on device", false},
    {"ENOSPC, short", Code::kDiskFull, "No space left on device", true},
    {"EDQUOT", Code::kDiskFull, "Disk quota exceeded", false},
    {"EDQUOT, short", Code::kDiskFull, "Disk quota exceeded", true},
};

// Cuts the power after `events` events.
void CutPower(const Recording& recording, size_t events, size_t cuts, uint64_t seed, std::vector<std::string>* failures) {
  CrashDisk disk(recording.start);
  Expectation expectation(true);
  for (size_t i = 0; i < events; ++i) {
    disk.Apply(recording.events[i], i);
    if (recording.events[i].kind == Event::Kind::kMark) {
      expectation.Apply(recording.events[i].mark, recording.events[i].value);
    }
  }
  Random random(seed);
  std::vector<Variant> variants = disk.Variants({}, &random);
  for (size_t i = 0; i < variants.size() && i < cuts; ++i) {
    Outcome outcome = CheckDisk(disk.Build(variants[i]), recording.options, 2, nullptr);
    std::string problem = JudgeOutcome(outcome, recording.history, expectation);
    if (!problem.empty()) {
      failures->push_back(absl::StrCat("power cut after event ", events, ", ", disk.Describe(variants[i]), ": ", problem));
    }
  }
}

struct Case {
  const char* name;
  void (*run)(Script* script);
  bool for_ever;
  uint32_t durability;  // the environment's
  size_t cuts;          // of the power: everything unsynced kept, none of it, and some of it
};

constexpr Case kCases[] = {
    {"Once", TouchEverything, false, JOHNNY_TWO_PHASE, 3},
    {"ForEver", TouchEverything, true, JOHNNY_TWO_PHASE, 3},
    {"SingleSyncOnce", TouchEverything, false, JOHNNY_SINGLE_SYNC, 3},
    {"SingleSyncForEver", TouchEverything, true, JOHNNY_SINGLE_SYNC, 3},
    {"LazyOnce", TouchEverything, false, JOHNNY_LAZY, 3},
    {"LazyForEver", TouchEverything, true, JOHNNY_LAZY, 3},
    {"GrowthOnce", GrowMuch, false, JOHNNY_TWO_PHASE, 1},
    {"GrowthForEver", GrowMuch, true, JOHNNY_TWO_PHASE, 1},
};

struct Point {
  std::vector<std::string> failures;
  std::optional<Call> fired;
};

// Calls that fail for ever are not followed by reopening in the same boot: when even a write into the page cache fails, as that
// of the mark of a failed sync then does, the file system has shut down, and comes back with the page cache dropped.
Point RunWithFault(const Case& given, const Fault& fault, uint64_t seed) {
  johnny_options options = FaultOptions();
  options.durability = given.durability;
  Script script("faults", seed, options);
  script.ExpectFaults(true);
  script.ExpectCause(fault.code, fault.words);
  script.system()->SetFault(fault);
  given.run(&script);
  Point point;
  point.fired = script.system()->first_fired();
  script.system()->ClearFault();
  script.Kill();
  size_t events = script.system()->events().size();
  if (!fault.for_ever) {
    script.Open(JOHNNY_CREATE);  // refused until a restart if the sync of an opening failed
    script.ExpectFaults(false);
    script.CheckNow();
    CommitSome(&script);
    script.CheckNow();
  }
  Recording recording = script.Finish();
  point.failures = recording.problems;
  CutPower(recording, events, given.cuts, seed, &point.failures);
  if (recording.events.size() != events) {
    CutPower(recording, recording.events.size(), given.cuts, seed, &point.failures);
  }
  return point;
}

TEST(FaultTest, RunsWithoutFaultsMakeEveryCall) {
  uint64_t calls[kCallKinds] = {};
  for (auto* run : {TouchEverything, GrowMuch}) {
    Script script("faults", 1, FaultOptions());
    run(&script);
    for (int call = 0; call < kCallKinds; ++call) {
      calls[call] += script.system()->calls(static_cast<Call>(call));
    }
    script.Open();
    script.CheckNow();
    for (const std::string& problem : script.Finish().problems) {
      ADD_FAILURE() << problem;
    }
  }
  for (int call = 0; call < kCallKinds; ++call) {
    EXPECT_GT(calls[call], 0u) << "no call of kind " << call;
  }
}

// JOHNNY_FAULT_STRIDE: try only every so many calls (for slow builds).
uint64_t Stride() {
  const char* given = ::getenv("JOHNNY_FAULT_STRIDE");
  return given != nullptr ? std::max(1, ::atoi(given)) : 1;
}

uint64_t g_points = 0;  // of all cases
size_t g_cases = 0;

class FaultTest : public testing::TestWithParam<Case> {
 public:
  static void TearDownTestSuite() {
    std::cout << g_points << " points of " << g_cases << " cases\n";
    if (Stride() == 1 && g_cases == std::size(kCases)) {
      EXPECT_GE(g_points, 10000u);
    }
  }
};

TEST_P(FaultTest, LosesNothingAcknowledged) {
  bool for_ever = GetParam().for_ever;
  uint64_t points = 0;
  int failed = 0;
  bool fired = true;
  for (uint64_t index = 0; fired && failed < 10; index += Stride()) {
    fired = false;
    bool transfers = false;
    for (const Error& error : kErrors) {
      if (error.partial && !transfers) {
        continue;
      }
      Fault fault{.skip = index, .for_ever = for_ever, .code = error.code, .words = error.words, .partial = error.partial};
      uint64_t seed = 1 + index % 3;
      Point point = RunWithFault(GetParam(), fault, seed);
      fired |= point.fired.has_value();
      if (!point.failures.empty()) {  // the first is the cause of others
        ADD_FAILURE() << error.name << " from call " << index << " on, seed " << seed << ": " << point.failures.front();
        ++failed;
      }
      points += point.fired.has_value() ? 1 : 0;
      transfers = for_ever || point.fired == Call::kRead || point.fired == Call::kWrite;
    }
  }
  RecordProperty("points", static_cast<int>(points));
  std::cout << points << " points\n";
  g_points += points;
  ++g_cases;
  EXPECT_GT(points * Stride(), 100u);
}

INSTANTIATE_TEST_SUITE_P(Faults, FaultTest, testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace johnny::sim
