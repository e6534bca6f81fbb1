// Every allocation of the library fails, once or from there on, in a run that touches every operation: the call says so, nothing
// leaks, and the database stays sound.
#include <gtest/gtest.h>

#include <iostream>

#include "faults/allocations.h"
#include "faults/real_run.h"

namespace johnny::faults {
namespace {

TEST(AllocationTest, TheRunCallsEveryFunction) {
  RealRun run;
  for (const std::string& problem : run.Run(
           1, {}, [] {}, [] {})) {
    ADD_FAILURE() << problem;
  }
  EXPECT_GT(ApiCalls().size(), 50u);
  for (const auto& [name, calls] : ApiCalls()) {
    // Scrubbing has a thread of its own, whose calls and allocations come in no fixed order.
    EXPECT_TRUE(calls > 0 || name == std::string("johnny_scrub_start")) << name;
  }
}

class AllocationFaultTest : public testing::TestWithParam<bool> {};

TEST_P(AllocationFaultTest, GivesAnErrorAndNoLeak) {
  bool for_ever = GetParam();
  RealRun run;
  (void)run.Run(
      1, {}, [] {}, [] {});  // what is made once and kept
  uint64_t points = 0;
  int failed = 0;
  uint64_t fired = 1;
  for (uint64_t index = 0; fired > 0 && failed < 10; index += FaultStride()) {
    int64_t live = LiveAllocations();
    std::vector<std::string> problems = run.Run(
        1 + index % 3, {Code::kNoMemory, "emory"}, [&] { StartAllocationFault(index, for_ever); },
        [&] { fired = StopAllocationFault(); });
    if (!problems.empty()) {
      ADD_FAILURE() << "allocation " << index << (for_ever ? " and all later ones" : "") << ", in " << FirstFailedAllocation()
                    << ", seed " << 1 + index % 3 << ": " << problems.front();
      ++failed;
    }
    problems = {};
    if (LiveAllocations() != live) {
      ADD_FAILURE() << "allocation " << index << ", in " << FirstFailedAllocation() << ": " << LiveAllocations() - live
                    << " allocations more than before";
      ++failed;
    }
    points += fired > 0 ? 1 : 0;
  }
  RecordProperty("points", static_cast<int>(points));
  std::cout << points << " points\n";
  EXPECT_GT(points * FaultStride(), 100u);
}

INSTANTIATE_TEST_SUITE_P(Faults, AllocationFaultTest, testing::Bool(),
                         [](const auto& test) { return std::string(test.param ? "ForEver" : "Once"); });

}  // namespace
}  // namespace johnny::faults
