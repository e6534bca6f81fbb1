// The database agrees with a std::map per snapshot, whatever the commands. RC_PARAMS="max_success=N" scales the number of cases.
#include <tuple>

#include "model/harness.h"

namespace johnny::test {
namespace {

// Page size, tiny memory budget.
class StateMachineTest : public testing::TestWithParam<std::tuple<uint32_t, bool>> {};

INSTANTIATE_TEST_SUITE_P(All, StateMachineTest, testing::Combine(testing::Values(4096u, 8192u, 16384u, 32768u), testing::Bool()),
                         [](const auto& parameter) {
                           return std::to_string(std::get<0>(parameter.param)) + (std::get<1>(parameter.param) ? "Spilling" : "");
                         });

TEST_P(StateMachineTest, EverySnapshotAgreesWithItsModel) {
  EXPECT_TRUE(rc::check("any sequence of commands leaves every snapshot equal to its model, and the file sound", [] {
    TempDir dir;
    johnny_options options = TestOptions(std::get<0>(GetParam()));
    if (std::get<1>(GetParam())) {
      options.memory_budget = 64 * options.page_size;
    }
    options.durability = *rc::gen::element<uint32_t>(JOHNNY_LAZY, JOHNNY_SINGLE_SYNC, JOHNNY_TWO_PHASE);
    options.slack_percent = *rc::gen::element<uint32_t>(30, 0, 100);
    std::vector<Op> ops = *OpLists();
    Harness harness(dir.File("db"), options);
    for (const Op& op : ops) {
      harness.Run(op);
    }
    harness.Finish();
  }));
}

}  // namespace
}  // namespace johnny::test
