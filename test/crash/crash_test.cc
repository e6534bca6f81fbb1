// Power cuts at every point of the scenarios. JOHNNY_CRASH_STATES sets how many distinct disks are checked in all (default
// 20,000; from ten times that on, master pages are torn at every byte and more subsets tried); JOHNNY_CRASH_SEED sets the first
// seed.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "crash/scenarios.h"
#include "support/crash_checker.h"

namespace johnny::sim {
namespace {

constexpr uint64_t kDefaultStates = 20000;
constexpr uint64_t kMaxRounds = 2000;

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

class CrashTest : public testing::TestWithParam<Scenario> {};

TEST_P(CrashTest, LeavesAnAllowedState) {
  const Scenario& scenario = GetParam();
  uint64_t total = FromEnvironment("JOHNNY_CRASH_STATES", kDefaultStates);
  auto target = static_cast<uint64_t>(std::ceil(static_cast<double>(total) * scenario.share));
  CrashOptions options;
  options.seed = FromEnvironment("JOHNNY_CRASH_SEED", 1);
  if (total >= 10 * kDefaultStates) {
    options.variants.thorough = true;
    options.variants.all_subsets_up_to = 12;
  }
  CrashChecker checker(options);
  uint64_t seed = options.seed;
  // Several runs, so that the states do not all come from one.
  uint64_t per_run = std::min<uint64_t>(target, std::max<uint64_t>(400, target / 16));
  for (uint64_t round = 0; round < kMaxRounds && checker.distinct_states() < target && !checker.done(); ++round) {
    checker.Run(Record(scenario, seed++), std::min(per_run, target - checker.distinct_states() + 16));
  }
  for (const std::string& failure : checker.failures()) {
    ADD_FAILURE() << failure;
  }
  std::printf("%s: %llu distinct states, %llu points, %llu second crashes, %llu runs\n", scenario.name,
              static_cast<unsigned long long>(checker.distinct_states()), static_cast<unsigned long long>(checker.points()),
              static_cast<unsigned long long>(checker.second_crashes()), static_cast<unsigned long long>(seed - options.seed));
  if (!HasFailure()) {
    EXPECT_GE(checker.distinct_states(), target);
  }
}

INSTANTIATE_TEST_SUITE_P(Scenarios, CrashTest, testing::ValuesIn(Scenarios()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(CrashScenarios, SharesAddUpToEverything) {
  double sum = 0;
  for (const Scenario& scenario : Scenarios()) {
    sum += scenario.share;
  }
  EXPECT_GE(sum, 0.9999);
}

}  // namespace
}  // namespace johnny::sim
