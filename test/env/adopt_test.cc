// A writer makes its state that of the file, whatever the lock file says.
#include <gtest/gtest.h>

#include "format/layout.h"
#include "support/sim_system.h"
#include "support/test_db.h"

namespace johnny::env {
namespace {

using test::Env;
using test::Result;
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

TEST_F(AdoptTest, WhoMayNotUseTheLockFileReadsWhileNobodyWrites) {
  johnny_options to_read = Options();
  to_read.flags = JOHNNY_READ_ONLY;
  two_->set_user_id(2000);
  Env writer, reader;
  ASSERT_OK(writer.Open(one_.get(), kPath, Options()));
  Put(writer, "value");

  Result refused = reader.Open(two_.get(), kPath, to_read);
  EXPECT_EQ(refused, JOHNNY_PERMISSION);
  EXPECT_NE(refused.message().find("can be read only while nobody has it open"), std::string::npos) << refused;

  EXPECT_OK(writer.Close());
  ASSERT_OK(reader.Open(two_.get(), kPath, to_read));
  {
    Txn txn(reader, JOHNNY_READ);
    EXPECT_EQ(txn.Find("key"), "value");
    refused = writer.Open(one_.get(), kPath, Options());
    EXPECT_EQ(refused, JOHNNY_BUSY) << "or pages that the reader sees would be used again";
    EXPECT_NE(refused.message().find("a process that may not use the lock file"), std::string::npos) << refused;
  }
  EXPECT_OK(reader.Close());
  ASSERT_OK(writer.Open(one_.get(), kPath, Options()));
  Put(writer, "another");
}

TEST_F(AdoptTest, NobodyJoinsWhenBothMasterPagesAreDamaged) {
  Env first, second;
  ASSERT_OK(first.Open(one_.get(), kPath, Options()));
  Put(first, "value");
  auto file = *system_.Open(kPath, os::OpenMode::kReadWrite, 0);
  const std::string damage(16, 'x');
  const Slice piece(damage);
  for (uint64_t slot : format::kMasterSlotOffset) {
    ASSERT_TRUE(file->WriteAt(slot + 100, absl::MakeConstSpan(&piece, 1)).ok());
  }
  EXPECT_EQ(second.Open(two_.get(), kPath, Options()), JOHNNY_CORRUPT);
  Txn reader(first, JOHNNY_READ);
  EXPECT_EQ(reader.Find("key"), "value") << "who has it open needs no master page to read";
}

// The other process may have had this one's pages reported as not written, once and for all.
TEST_F(AdoptTest, ASyncThatFailsElsewhereMeanwhileStopsACommit) {
  Env first, second;
  ASSERT_OK(first.Open(one_.get(), kPath, Options()));
  ASSERT_OK(second.Open(two_.get(), kPath, Options()));
  Put(first, "value");
  {
    Txn txn(first);
    EXPECT_OK(txn.Put("key", "lazy"));
    EXPECT_OK(txn.CommitWith(JOHNNY_LAZY));
  }
  bool failed = false;
  one_->set_yield_hook([&](sim::SimProcess*, const char* where) {
    if (!failed && std::string(where) == "sync") {
      failed = true;
      system_.SetFault({.call = sim::Call::kSync});
      EXPECT_EQ(second.Sync(), JOHNNY_IO_ERROR);
      system_.ClearFault();
    }
  });
  Txn txn(first);
  EXPECT_OK(txn.Put("key", "durable"));
  Result outcome = txn.Commit();
  one_->set_yield_hook(nullptr);
  EXPECT_TRUE(failed);
  EXPECT_EQ(outcome, JOHNNY_IO_ERROR) << "its master page was not written";
  Txn next;
  EXPECT_EQ(next.Begin(first), JOHNNY_WRITES_REFUSED);
  Txn reader(first, JOHNNY_READ);
  EXPECT_EQ(reader.Find("key"), "lazy");
}

}  // namespace
}  // namespace johnny::env
