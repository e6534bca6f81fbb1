// Memory that runs out while the file gives its tail back: the commit has counted, and the next writer goes on.
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>

#include "faults/allocations.h"
#include "support/test_db.h"

namespace johnny::test {
namespace {

// Leaves a file most of which is free.
void Prepare(const std::string& path) {
  Env env(path, TestOptions());
  for (uint64_t i = 0; i < 30; ++i) {
    Txn txn(env);
    ASSERT_OK(txn.Put(NumberedKey(i), Pattern(400000, 1)));
    ASSERT_OK(txn.Commit());
  }
  Txn txn(env);
  for (uint64_t i = 0; i < 30; ++i) {
    ASSERT_OK(txn.Delete(NumberedKey(i)));
  }
  ASSERT_OK(txn.Commit());
}

// Commits until the file has become shorter, with a reader beside; with the nth allocation of one of the commits failing. *fired:
// whether there were so many.
void CommitUntilShorter(const std::string& path, uint64_t failing_commit, uint64_t nth, uint64_t* fired) {
  johnny_options options = TestOptions();
  options.durability = JOHNNY_SINGLE_SYNC;  // what is not durable is not cut off
  Env env;
  ASSERT_OK(env.Open(path, options));
  uint64_t size = std::filesystem::file_size(path);
  Txn reader;
  for (uint64_t i = 0; i < 10; ++i) {
    reader = Txn(env, JOHNNY_READ);
    Txn txn(env);
    ASSERT_OK(txn.Put("key", std::to_string(i)));
    if (i == failing_commit) {
      faults::StartAllocationFault(nth, /*for_ever=*/false);
    }
    Result code = txn.Commit();
    if (i == failing_commit) {
      *fired = faults::StopAllocationFault();
    }
    EXPECT_TRUE(code.ok() || (code == JOHNNY_NO_MEMORY && i == failing_commit)) << code;
    johnny_txn* next = nullptr;
    ASSERT_OK(Result(johnny_begin(env.get(), JOHNNY_NO_WAIT, &next))) << "after commit " << i << ", allocation " << nth;
    ASSERT_OK(Result(johnny_abort(next)));
  }
  EXPECT_LT(std::filesystem::file_size(path), size);
  EXPECT_TRUE(env.VerifyClean());
}

TEST(ShrinkFaultTest, TheWriterLockIsFreeAfterwards) {
  TempDir dir;
  std::string prepared = dir.File("prepared");
  Prepare(prepared);
  std::string path = dir.File("db");
  for (uint64_t commit = 0; commit < 6; ++commit) {
    uint64_t fired = 1;
    for (uint64_t nth = 0; fired > 0 && !HasFailure(); ++nth) {
      std::filesystem::copy_file(prepared, path, std::filesystem::copy_options::overwrite_existing);
      CommitUntilShorter(path, commit, nth, &fired);
    }
  }
}

}  // namespace
}  // namespace johnny::test
