#include "txn/database.h"

#include <gmock/gmock.h>

#include <thread>

#include "txn/database_fixture.h"

namespace johnny::txn {
namespace {

class DatabaseTest : public testing::Test {
 protected:
  void SetUp() override { file_.MustOpen(); }
  DatabaseFile file_;
};

TEST_F(DatabaseTest, TableHandlesAreMadeOnce) {
  int env = 0;
  auto one = file_.db().InternTable("one", &env), two = file_.db().InternTable("two", &env);
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_NE(*one, *two);
  EXPECT_EQ((*one)->name, "one");
  EXPECT_EQ((*one)->env, &env);
  EXPECT_NE((*one)->index, 0u) << "0 is the main table";
  EXPECT_NE((*one)->index, (*two)->index);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(file_.db().InternTable(std::to_string(i), &env).ok());
  }
  EXPECT_EQ(*file_.db().InternTable("one", &env), *one) << "handles do not move";
  EXPECT_EQ((*two)->name, "two");
}

TEST_F(DatabaseTest, PinnedAreTheNewestTheDurableAndThoseOfReaders) {
  file_.MustPut("k", "1");
  TxnId durable = file_.ids().back();
  Txn reader(&file_.db());
  ASSERT_TRUE(reader.BeginRead().ok());
  file_.MustPut("k", "2", Durability::kLazy);
  TxnId second = file_.ids().back();
  Txn another(&file_.db());
  ASSERT_TRUE(another.BeginRead().ok());
  file_.MustPut("k", "3", Durability::kLazy);
  TxnId newest = file_.ids().back();
  EXPECT_EQ(file_.db().Pinned(), (std::vector<TxnId>{durable, second, newest}));
  another.Reset();
  EXPECT_EQ(file_.db().Pinned(), (std::vector<TxnId>{durable, newest}));
  reader.Abort();
  EXPECT_EQ(file_.db().Pinned(), (std::vector<TxnId>{durable, newest})) << "the durable one stays";
  EXPECT_TRUE(file_.db().Sync().ok());
  EXPECT_EQ(file_.db().Pinned(), std::vector<TxnId>{newest});
}

TEST_F(DatabaseTest, TheFreeLogIsLoadedByTheFirstWriterOnly) {
  file_.MustPut("k", "1");
  file_.Crash();
  file_.MustOpen();
  EXPECT_EQ(file_.db().space, nullptr);
  file_.Contents();
  EXPECT_EQ(file_.db().space, nullptr) << "readers do without";
  file_.MustPut("k", "2");
  ASSERT_NE(file_.db().space, nullptr);
  space::FreeSpace* loaded = file_.db().space.get();
  EXPECT_TRUE(file_.db().LoadSpace().ok());
  EXPECT_EQ(file_.db().space.get(), loaded);
}

TEST_F(DatabaseTest, ADamagedFreeLogFailsWritersAndNotReaders) {
  file_.MustPut("k", "1");
  PageNumber log = file_.db().newest_master.free_log.page;
  file_.Crash();
  file_.FlipPage(log);
  file_.MustOpen();
  EXPECT_EQ(file_.Contents(), (Model{{"k", "1"}}));
  EXPECT_EQ(CodeOf(file_.Put("k", "2")), Code::kCorrupt);
  EXPECT_TRUE(IsFree(&file_.db().writer)) << "the failed begin gave the lock back";
}

TEST_F(DatabaseTest, LazyEnvironmentsHaveWideIdWindows) {
  TxnId two_phase = file_.db().IdWindow();
  DatabaseFile lazy(Durability::kLazy);
  lazy.MustOpen();
  EXPECT_GT(lazy.db().IdWindow(), 100 * two_phase) << "or lazy commits would sync often";
  lazy.MustPut("k", "v");
  uint64_t syncs = lazy.system().calls(sim::Call::kSync);
  for (int i = 0; i < 3000; ++i) {
    lazy.MustPut("k", std::to_string(i));
  }
  EXPECT_EQ(lazy.system().calls(sim::Call::kSync), syncs);
}

// As a forged lock file has them. A transaction with such an id would write a master page that nobody can read.
TEST_F(DatabaseTest, ImpossibleIdsOfTheLockFileAreRefused) {
  file_.MustPut("k", "1");
  TxnId newest = file_.db().newest_master.txn;
  for (TxnId last : {UINT64_MAX, UINT64_MAX - 1, format::kMaxTxnId, format::kMaxTxnId - 1}) {
    file_.db().state().last_id = last;
    absl::Status refused = file_.Put("k", "2");
    EXPECT_EQ(CodeOf(refused), Code::kLockFile) << last;
    EXPECT_THAT(std::string(refused.message()), testing::HasSubstr("the lock file")) << last;
    EXPECT_EQ(CodeOf(file_.db().MarkClean()), Code::kLockFile) << last;
  }
  file_.db().state().last_id = newest;
  file_.MustPut("k", "3");
  file_.Crash();
  file_.MustOpen();
  EXPECT_EQ(file_.Contents(), (Model{{"k", "3"}}));
}

}  // namespace
}  // namespace johnny::txn
