// Memory that runs out while builders give back pages that lie in many places: the transaction ends, and no page is lost.
#include "faults/allocations.h"
#include "support/bulk.h"

namespace johnny::test {
namespace {

constexpr size_t kBuilders = 8;

// Several builders in turn, with large values between their pages.
void BuildALot(Txn* txn, std::vector<Builder>* builders) {
  for (size_t i = 0; i < kBuilders; ++i) {
    builders->emplace_back(*txn, txn->Table("t" + std::to_string(i)));
  }
  for (uint64_t i = 0; i < 600; ++i) {
    for (Builder& builder : *builders) {
      ASSERT_OK(builder.Add(NumberedKey(i), Pattern(i % 50 == 7 ? 5000 : 900, static_cast<uint32_t>(i))));
    }
    if (i % 10 == 0) {
      ASSERT_OK(txn->Put(NumberedKey(i), Pattern(5000, static_cast<uint32_t>(i))));
    }
  }
}

// 0: commit, 1: abort, 2: close each, then commit; whether all later allocations fail, too.
class BuilderFaultTest : public testing::TestWithParam<std::tuple<int, bool>> {};
INSTANTIATE_TEST_SUITE_P(Ends, BuilderFaultTest, testing::Combine(testing::Range(0, 3), testing::Bool()));

TEST_P(BuilderFaultTest, GivesBackItsPagesWhenMemoryRunsOut) {
  auto [end, for_ever] = GetParam();
  TempDir dir;
  Env env(dir.File("db"));
  uint64_t points = 0;
  bool done = false;
  for (uint64_t index = 0; !done && index < 2000; ++index) {
    Contents before;
    {
      Txn reader(env, JOHNNY_READ);
      before = reader.All();
    }
    Txn txn(env);
    std::vector<Builder> builders;
    BuildALot(&txn, &builders);
    ASSERT_OK(txn.Put("index", std::to_string(index)));
    faults::StartAllocationFault(index, for_ever);
    if (end == 2) {
      for (Builder& builder : builders) {
        builder.Close();
      }
    }
    Result result = end == 1 ? txn.Abort() : txn.Commit();
    done = faults::StopAllocationFault() == 0;
    points += done ? 0 : 1;
    builders.clear();
    EXPECT_TRUE(result.ok() || result == JOHNNY_NO_MEMORY || (end == 2 && result == JOHNNY_TXN_FAILED)) << result;
    if (!result.ok()) {
      Txn reader(env, JOHNNY_READ);
      ASSERT_TRUE(reader.All() == before) << index;
    }
    ASSERT_TRUE(env.VerifyClean()) << "allocation " << index << ", in " << faults::FirstFailedAllocation() << ", " << result;
    Txn next(env);
    ASSERT_OK(next.Put("next", std::to_string(index)));
    ASSERT_OK(next.Commit());
    ASSERT_TRUE(env.VerifyClean()) << "after allocation " << index << ", in " << faults::FirstFailedAllocation() << ", "
                                   << result;
  }
  EXPECT_TRUE(done);
  RecordProperty("points", static_cast<int>(points));
}

}  // namespace
}  // namespace johnny::test
