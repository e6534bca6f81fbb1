// A writer makes its state that of the file, whatever the lock file says.
#include <gtest/gtest.h>

#include "support/sim_system.h"
#include "support/test_db.h"

namespace johnny::env {
namespace {

using test::Env;
using test::Txn;

constexpr char kPath[] = "/d/db";
constexpr char kLockPath[] = "/d/db-lock";

class AdoptTest : public testing::Test {
 protected:
  static johnny_options Options() {
    johnny_options options = test::TestOptions();
    options.durability = JOHNNY_TWO_PHASE;
    options.max_readers = 8;
    return options;
  }
  static void Put(const Env& env, const std::string& value) {
    Txn txn(env);
    EXPECT_OK(txn.Put("key", value));
    EXPECT_OK(txn.Commit());
  }

  // All of the lock file, as the processes share it.
  std::string LockFile() {
    auto file = *system_.Open(kLockPath, os::OpenMode::kReadWrite, 0);
    std::string bytes(*file->Size(), '\0');
    EXPECT_TRUE(file->ReadAt(0, bytes.data(), bytes.size()).ok());
    return bytes;
  }
  void SetLockFile(const std::string& bytes) {
    auto file = *system_.Open(kLockPath, os::OpenMode::kReadWrite, 0);
    Slice piece = bytes;
    EXPECT_TRUE(file->WriteAt(0, absl::MakeConstSpan(&piece, 1)).ok());
  }

  sim::SimSystem system_;
  std::unique_ptr<sim::SimProcess> one_ = system_.NewProcess();
  std::unique_ptr<sim::SimProcess> two_ = system_.NewProcess();
};

TEST_F(AdoptTest, ALockFileOfAnEarlierTimeUndoesNoCommit) {
  Env first, second;
  ASSERT_OK(first.Open(one_.get(), kPath, Options()));
  Put(first, "one");
  std::string earlier = LockFile();
  Put(first, "two");
  SetLockFile(earlier);
  ASSERT_OK(second.Open(two_.get(), kPath, Options()));
  {
    Txn txn(second);
    EXPECT_EQ(txn.Find("key"), "two");
    EXPECT_OK(txn.Put("other", "three"));
    EXPECT_OK(txn.Commit());
  }
  Txn reader(second, JOHNNY_READ);
  EXPECT_EQ(reader.All(), (test::Contents{{"key", "two"}, {"other", "three"}}));
  EXPECT_TRUE(second.VerifyClean());
}

}  // namespace
}  // namespace johnny::env
