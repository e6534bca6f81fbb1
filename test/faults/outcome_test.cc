// Memory runs out while a commit's calls fail, even for the words of the error: what is reported is what is found.
#include <gtest/gtest.h>

#include "faults/allocations.h"
#include "support/sim_system.h"
#include "support/test_db.h"

namespace johnny::test {
namespace {

struct Fired {
  bool call = false;
  bool allocation = false;
  bool wordless = false;  // the outcome is unknown, and there was no memory to say why
};

johnny_options OptionsFor(uint32_t durability) {
  johnny_options options = TestOptions();
  options.durability = durability;
  options.address_space = sim::SimSystem::kReserve;
  options.sync_interval_ms = 0;
  options.sync_bytes = 0;
  return options;
}

// One commit whose calls fail from the `call`-th on, and its allocations from the `allocation`-th on.
Fired CommitOnce(uint32_t durability, uint64_t call, uint64_t allocation) {
  sim::SimSystem system;
  const johnny_options options = OptionsFor(durability);
  Env env;
  EXPECT_OK(env.Open(&system, "/db", options));
  Txn before(env);
  EXPECT_OK(before.Put("before", "1"));
  EXPECT_OK(before.Commit());
  Txn txn(env);
  EXPECT_OK(txn.Put("after", "2"));

  system.SetFault({.skip = call, .for_ever = true});
  faults::StartAllocationFault(allocation, /*for_ever=*/true);
  Result outcome = txn.Commit();
  Fired fired;
  fired.allocation = faults::StopAllocationFault() > 0;
  fired.call = system.faults_fired() > 0;
  system.ClearFault();

  bool unknown = outcome == JOHNNY_OUTCOME_UNKNOWN;
  fired.wordless = unknown && outcome.message() == "memory ran out for the words of this error";
  EXPECT_EQ(outcome.message().empty(), outcome.ok());
  Txn next;
  Result begun = next.Begin(env);
  if (outcome.ok() || outcome == JOHNNY_NO_MEMORY) {
    EXPECT_OK(begun) << "after " << outcome;
  } else if (unknown) {
    EXPECT_EQ(begun, JOHNNY_WRITES_REFUSED);
  } else {
    EXPECT_EQ(outcome, JOHNNY_IO_ERROR);
  }
  if (begun.ok()) {
    EXPECT_OK(next.Abort());
  }
  (void)env.Close();

  Result opened = env.Open(&system, "/db", options);
  if (!opened.ok()) {  // a sync failed, and what the page cache shows is not to be relied on
    EXPECT_EQ(opened, JOHNNY_IO_ERROR);
    EXPECT_FALSE(outcome.ok() || outcome == JOHNNY_NO_MEMORY) << outcome;
    return fired;
  }
  Contents found = Txn(env, JOHNNY_READ).All();
  Contents with = {{"after", "2"}, {"before", "1"}}, without = {{"before", "1"}};
  if (!unknown) {
    EXPECT_EQ(found, outcome.ok() ? with : without) << outcome;
  } else {
    EXPECT_TRUE(found == with || found == without);
  }
  EXPECT_TRUE(env.VerifyClean());
  return fired;
}

class OutcomeTest : public testing::TestWithParam<uint32_t> {};

TEST_P(OutcomeTest, IsRightThoughThereIsNoMemoryForItsWords) {
  int wordless = 0;
  Fired fired = {.call = true};
  for (uint64_t call = 0; fired.call && !HasFailure(); ++call) {
    SCOPED_TRACE("call " + std::to_string(call));
    fired.call = false;
    Fired one = {.allocation = true};
    for (uint64_t allocation = 0; one.allocation && !HasFailure(); ++allocation) {
      SCOPED_TRACE("allocation " + std::to_string(allocation));
      one = CommitOnce(GetParam(), call, allocation);
      fired.call |= one.call;
      wordless += one.wordless ? 1 : 0;
    }
  }
  EXPECT_GT(wordless, 0);
}

// The system tells of a failed sync once. Whoever hears of it and has no memory to say so must refuse writes all the same.
TEST(FailedSyncTest, IsRememberedThoughThereIsNoMemoryForItsWords) {
  Fired fired = {.allocation = true};
  int without_words = 0;
  for (uint64_t allocation = 0; fired.allocation && !HasFailure(); ++allocation) {
    SCOPED_TRACE("allocation " + std::to_string(allocation));
    sim::SimSystem system;
    const johnny_options options = OptionsFor(JOHNNY_LAZY);
    Env env;
    EXPECT_OK(env.Open(&system, "/db", options));
    Txn lazy(env);
    EXPECT_OK(lazy.Put("lazy", "1"));
    EXPECT_OK(lazy.Commit());

    system.SetFault({.call = sim::Call::kSync});
    faults::StartAllocationFault(allocation, /*for_ever=*/false);
    Result synced = env.Sync();
    fired.allocation = faults::StopAllocationFault() > 0;
    fired.call = system.faults_fired() > 0;
    system.ClearFault();
    Txn next;
    if (fired.call) {
      EXPECT_FALSE(synced.ok());
      without_words += synced == JOHNNY_NO_MEMORY ? 1 : 0;
      EXPECT_EQ(next.Begin(env), JOHNNY_WRITES_REFUSED) << "after " << synced;
      EXPECT_EQ(env.Sync(), JOHNNY_WRITES_REFUSED);
      (void)env.Close();
      EXPECT_OK(env.Open(&system, "/db", options));
      EXPECT_EQ(Txn(env, JOHNNY_READ).All(), Contents{}) << "what no sync has proven, though the page cache shows it";
    }
  }
  EXPECT_GT(without_words, 0);
}

INSTANTIATE_TEST_SUITE_P(Durabilities, OutcomeTest, testing::Values(JOHNNY_TWO_PHASE, JOHNNY_SINGLE_SYNC, JOHNNY_LAZY));

}  // namespace
}  // namespace johnny::test
