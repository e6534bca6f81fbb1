// Proves that the checks find what they are there to find: each seeded bug gives a failure, and no bug gives none. A bug may also
// end the process by an assertion, so each runs in a child process.
#include "base/seeded_bug.h"

#ifdef JOHNNY_SEEDED_BUGS

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "crash/scenarios.h"
#include "support/crash_checker.h"

namespace johnny::sim {
namespace {

constexpr uint64_t kStates = 3000;
constexpr unsigned kSeconds = 180;  // a bug may also make it hang

// Returns the first failure, or "".
using Check = std::string (*)(const char* scenario);

std::string EnumerateCrashes(const char* scenario) {
  CrashChecker checker(CrashOptions{.max_failures = 1});
  uint64_t seed = 1;
  for (; seed <= 40 && checker.distinct_states() < kStates && !checker.done(); ++seed) {
    checker.Run(Record(FindScenario(scenario), seed), kStates / 8);
  }
  return checker.failures().empty() ? "" : checker.failures().front();
}

// Many aborted transactions, spilled ones and ones with large values among them, must not use space up.
std::string AbortsKeepSpace(const char*) {
  johnny_options options = SmallOptions();
  options.memory_budget = 64 * 4096;
  Script script("aborts", 1, options);
  script.Open(JOHNNY_CREATE);
  uint64_t pages_early = 0;
  johnny_env_info info{};
  for (int i = 0; i < 60; ++i) {
    script.Begin();
    script.Put("", "large", script.RandomBytes(30000));
    for (int k = 0; k < 300; ++k) {
      script.Put("", absl::StrCat("key", k), script.RandomBytes(1000));
    }
    script.Abort();
    script.Begin();
    script.Put("", "small", script.RandomBytes(100));
    script.Commit();
    info.struct_size = sizeof info;
    johnny_env_get_info(script.env(), &info);
    if (i == 10) {
      pages_early = info.page_count;
    }
    if (i % 20 == 0) {
      script.CheckNow();
    }
  }
  script.CheckNow();
  script.Close();
  if (info.page_count > pages_early) {
    script.AddProblem(absl::StrCat("50 aborts let the file grow from ", pages_early, " to ", info.page_count, " pages"));
  }
  return script.problems().empty() ? "" : script.problems().front();
}

// Overwrites beside readers of several ages, verified as they go.
std::string ReadersKeepTheirSnapshots(const char*) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    Script script("readers", seed, SmallOptions(seed % 2 == 0 ? JOHNNY_LAZY : JOHNNY_TWO_PHASE));
    script.Open(JOHNNY_CREATE);
    for (int i = 0; i < 80; ++i) {
      script.Begin();
      for (uint64_t k = 0; k < 1 + script.Below(30); ++k) {
        script.Put("", absl::StrCat("key", script.Below(150)), script.RandomBytes(300));
      }
      script.Commit();
      if (script.Below(5) == 0) {
        script.BeginReader();
      }
      if (script.Below(6) == 0) {
        script.EndReader();
      }
      if (i % 8 == 0) {
        script.CheckNow();
      }
    }
    for (int i = 0; i < 20; ++i) {
      script.EndReader();
    }
    script.CheckNow();
    if (!script.problems().empty()) {
      return script.problems().front();
    }
  }
  return "";
}

struct SeededCase {
  const char* name;
  SeededBug bug;
  Check check;
  const char* scenario;
};

// What the child has to say; "died" if it did.
std::string RunInChild(const SeededCase& seeded, SeededBug bug) {
  int ends[2];
  if (::pipe(ends) != 0) {
    return "no pipe";
  }
  pid_t child = ::fork();
  if (child == 0) {
    ::alarm(kSeconds);
    g_seeded_bug.store(bug);
    std::string failure = seeded.check(seeded.scenario);
    ssize_t written = ::write(ends[1], failure.data(), std::min<size_t>(failure.size(), 4000));
    ::_exit(written < 0 ? 1 : 0);
  }
  ::close(ends[1]);
  std::string failure;
  char buffer[4096];
  for (ssize_t got; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;) {
    failure.append(buffer, static_cast<size_t>(got));
  }
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (status != 0) {
    absl::StrAppend(&failure, "the process died with status ", status);
  }
  return failure;
}

class SeededBugTest : public testing::TestWithParam<SeededCase> {};

TEST_P(SeededBugTest, IsCaught) {
  std::string failure = RunInChild(GetParam(), GetParam().bug);
  EXPECT_NE(failure, "") << "the bug was not noticed";
  RecordProperty("failure", failure.substr(0, 500));
}

TEST_P(SeededBugTest, NothingIsCaughtWithoutIt) { EXPECT_EQ(RunInChild(GetParam(), SeededBug::kNone), ""); }

const SeededCase kCases[] = {
    {"NoFirstSync", SeededBug::kNoFirstSync, EnumerateCrashes, "two_phase"},
    {"NoFirstSyncOfAGroup", SeededBug::kNoFirstSync, EnumerateCrashes, "group"},
    {"NoSecondSync", SeededBug::kNoSecondSync, EnumerateCrashes, "two_phase"},
    {"SyncsSwapped", SeededBug::kSyncsSwapped, EnumerateCrashes, "two_phase"},
    {"OneMasterSlot", SeededBug::kOneMasterSlot, EnumerateCrashes, "two_phase"},
    {"NoMasterChecksum", SeededBug::kNoMasterChecksum, EnumerateCrashes, "single_sync"},
    {"ReuseOneTxnEarly", SeededBug::kReuseOneTxnEarly, EnumerateCrashes, "reuse_lazy"},
    {"NoSyncAfterGrowth", SeededBug::kNoSyncAfterGrowth, EnumerateCrashes, "growth"},
    {"RollbackLeaksPages", SeededBug::kRollbackLeaksPages, AbortsKeepSpace, ""},
    {"NestedAbortLeaks", SeededBug::kNestedAbortLeaks, EnumerateCrashes, "nested"},
    {"NestedReusesOuter", SeededBug::kNestedReusesOuter, EnumerateCrashes, "nested"},
    {"RetriedSync", SeededBug::kRetriedSync, EnumerateCrashes, "failed_sync"},
    {"StalePinnedSnapshot", SeededBug::kStalePinnedSnapshot, ReadersKeepTheirSnapshots, ""},
    {"PageFreedTwice", SeededBug::kPageFreedTwice, ReadersKeepTheirSnapshots, ""},
    {"TakeoverWithoutSync", SeededBug::kTakeoverWithoutSync, EnumerateCrashes, "takeover"},
    {"IdsUsedTwice", SeededBug::kIdsUsedTwice, EnumerateCrashes, "two_phase"},
    {"NamePinsNothing", SeededBug::kNamePinsNothing, EnumerateCrashes, "named_snapshots"},
    {"DeletedNameForgotten", SeededBug::kDeletedNameForgotten, EnumerateCrashes, "named_snapshots_lazy"},
    {"NamedBeforeDurable", SeededBug::kNamedBeforeDurable, EnumerateCrashes, "named_snapshots_lazy"},
    {"LazyUnverified", SeededBug::kLazyUnverified, EnumerateCrashes, "lazy"},
};

INSTANTIATE_TEST_SUITE_P(Bugs, SeededBugTest, testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace johnny::sim

#endif  // JOHNNY_SEEDED_BUGS
