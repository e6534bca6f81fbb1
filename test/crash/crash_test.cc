// Power cuts at every point of the scenarios. JOHNNY_CRASH_STATES sets how many distinct disks are checked at least, in all;
// JOHNNY_CRASH_SEED sets the first seed.
//
// A scenario is run with one seed after the other until it has its share of the disks. In its first run all subsets of up to 12
// unsynced changes are tried, and master pages are torn at every byte; in the others all subsets of up to 8, or, in campaigns, of
// up to 12 too. Below the default number nothing is exhaustive: for sanitizers.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "crash/scenarios.h"
#include "support/crash_checker.h"

namespace johnny::sim {
namespace {

constexpr uint64_t kDefaultStates = 200000;
constexpr uint64_t kCampaignStates = 2000000;
constexpr uint64_t kMaxRounds = 20000;

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

Exhaustive ExhaustiveIn(uint64_t total, bool first_run) {
  if (total < kDefaultStates) {
    return {};
  }
  bool all = first_run || total >= kCampaignStates;
  return {.subsets_up_to = all ? size_t{12} : size_t{8}, .master_tears = all};
}

class CrashTest : public testing::TestWithParam<Scenario> {};

TEST_P(CrashTest, LeavesAnAllowedState) {
  const Scenario& scenario = GetParam();
  uint64_t total = FromEnvironment("JOHNNY_CRASH_STATES", kDefaultStates);
  auto target = static_cast<uint64_t>(std::ceil(static_cast<double>(total) * scenario.share));
  CrashOptions options;
  options.seed = FromEnvironment("JOHNNY_CRASH_SEED", 1);
  CrashChecker checker(options);
  uint64_t seed = options.seed;
  // Several runs, so that the states do not all come from one.
  uint64_t per_run = std::min<uint64_t>(target, std::max<uint64_t>(400, target / 16));
  for (uint64_t round = 0; round < kMaxRounds && (checker.distinct_states() < target || round < 2) && !checker.done(); ++round) {
    checker.Run(Record(scenario, seed++), per_run, ExhaustiveIn(total, round == 0));
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

TEST(CrashScenarios, ShrinkCutsTheFile) {
  int cuts = 0;
  std::map<int, uint64_t> sizes;
  for (const Event& event : Record(FindScenario("shrink"), 1).events) {
    uint64_t& size = sizes[event.file];
    cuts += event.kind == Event::Kind::kResize && event.size < size ? 1 : 0;
    size = event.kind == Event::Kind::kResize ? event.size : std::max({size, event.size, event.offset + event.data.size()});
  }
  EXPECT_GT(cuts, 0);
}

TEST(CrashScenarios, SharesAddUpToEverything) {
  double sum = 0;
  for (const Scenario& scenario : Scenarios()) {
    sum += scenario.share;
  }
  EXPECT_GE(sum, 0.9999);
}

}  // namespace
}  // namespace johnny::sim
