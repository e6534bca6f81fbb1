// Nested transactions below the C API.
#include <gtest/gtest.h>

#include "txn/database_fixture.h"

namespace johnny::txn {
namespace {

using tree::PutMode;

class NestedTxnTest : public testing::Test {
 protected:
  void SetUp() override { file_.MustOpen(); }
  static TableState* StateOf(Txn* txn, const Table* table = nullptr) {
    absl::Status status;
    TableState* state = txn->Resolve(table, &status);
    EXPECT_NE(state, nullptr) << status;
    return state;
  }
  static void MustPut(Txn* txn, Slice key, Slice value, const Table* table = nullptr) {
    absl::Status status = txn->Put(StateOf(txn, table), key, value, PutMode::kUpsert);
    ASSERT_TRUE(status.ok()) << status;
  }
  Table* MakeTable(const std::string& name) { return *file_.db().InternTable(name, nullptr); }

  DatabaseFile file_;
};

TEST_F(NestedTxnTest, ATableLoadedInsideIsTheOneOfTheTransactionAround) {
  Table* table = MakeTable("t");
  Txn outer(&file_.db()), inner(&file_.db());
  ASSERT_TRUE(outer.BeginWrite(os::kWaitForEver).ok());
  ASSERT_TRUE(outer.CreateTable(table).ok());
  MustPut(&outer, "k", "1", table);
  inner.BeginNested(&outer);
  Slice value;
  ASSERT_EQ(inner.Get(StateOf(&inner, table), "k", &value), Lookup::kFound) << "although the catalog's record is out of date";
  EXPECT_EQ(value, "1");
  EXPECT_EQ(inner.table_count(), 1u);
  ASSERT_TRUE(inner.DropTable(table).ok());
  EXPECT_EQ(inner.table_count(), 0u);
  inner.Abort();
  EXPECT_EQ(outer.table_count(), 1u);
  ASSERT_EQ(outer.Get(StateOf(&outer, table), "k", &value), Lookup::kFound);
  ASSERT_TRUE(outer.Commit(Durability::kDefault).ok());
}

TEST_F(NestedTxnTest, TheTransactionAroundIsPausedMeanwhile) {
  Txn outer(&file_.db()), inner(&file_.db());
  ASSERT_TRUE(outer.BeginWrite(os::kWaitForEver).ok());
  EXPECT_FALSE(outer.paused());
  inner.BeginNested(&outer);
  EXPECT_TRUE(outer.paused());
  EXPECT_FALSE(outer.is_reset());
  EXPECT_TRUE(inner.is_nested());
  EXPECT_EQ(inner.depth(), 1u);
  EXPECT_EQ(inner.id(), outer.id());
  ASSERT_TRUE(inner.Commit(Durability::kDefault).ok());
  EXPECT_FALSE(outer.paused());
  EXPECT_FALSE(inner.active());
}

TEST_F(NestedTxnTest, AFailedOneLeavesTheOneAroundInOrder) {
  Txn outer(&file_.db()), inner(&file_.db());
  ASSERT_TRUE(outer.BeginWrite(os::kWaitForEver).ok());
  MustPut(&outer, "k", "1");
  inner.BeginNested(&outer);
  MustPut(&inner, "k", "2");
  file_.system().SetFault({.call = sim::Call::kWrite, .code = Code::kIoError});
  EXPECT_EQ(CodeOf(inner.Put(StateOf(&inner), "large", std::string(20000, 'x'), PutMode::kUpsert)), Code::kIoError);
  file_.system().ClearFault();
  EXPECT_TRUE(inner.failed());
  EXPECT_EQ(CodeOf(inner.Commit(Durability::kDefault)), Code::kTxnFailed);
  EXPECT_FALSE(inner.active());
  EXPECT_FALSE(outer.failed());
  Slice value;
  ASSERT_EQ(outer.Get(StateOf(&outer), "k", &value), Lookup::kFound);
  EXPECT_EQ(value, "1");
  ASSERT_TRUE(outer.Commit(Durability::kDefault).ok());
  EXPECT_EQ(file_.Contents(), (Model{{"k", "1"}}));
}

TEST_F(NestedTxnTest, WhenMemoryRanOutAllMustBeAborted) {
  file_.MustPut("k", "0");
  uint64_t free_pages = 0;
  {
    Txn outer(&file_.db()), middle(&file_.db()), inner(&file_.db());
    ASSERT_TRUE(outer.BeginWrite(os::kWaitForEver).ok());
    free_pages = file_.db().space->free_pages();
    MustPut(&outer, "k", "1");
    middle.BeginNested(&outer);
    inner.BeginNested(&middle);
    MustPut(&inner, "large", std::string(20000, 'x'));
    inner.Fail();
    inner.Abort();
    EXPECT_TRUE(middle.failed());
    EXPECT_EQ(CodeOf(middle.Commit(Durability::kDefault)), Code::kTxnFailed);
    EXPECT_TRUE(outer.failed());
    EXPECT_EQ(CodeOf(outer.Commit(Durability::kDefault)), Code::kTxnFailed);
    EXPECT_EQ(file_.db().space, nullptr) << "what free space knows is not to be relied upon";
  }
  Txn next(&file_.db());
  ASSERT_TRUE(next.BeginWrite(os::kWaitForEver).ok());
  EXPECT_GE(file_.db().space->free_pages(), free_pages);
  EXPECT_EQ(file_.db().frames.depth(), 0u);
  MustPut(&next, "k", "2");
  ASSERT_TRUE(next.Commit(Durability::kDefault).ok());
  EXPECT_EQ(file_.Contents(), (Model{{"k", "2"}}));
}

TEST_F(NestedTxnTest, ChangesOfNamesAreKnownToTheCommit) {
  file_.MustPut("k", "0");
  TxnId named = file_.ids().back();
  Txn outer(&file_.db()), inner(&file_.db());
  ASSERT_TRUE(outer.BeginWrite(os::kWaitForEver).ok());
  inner.BeginNested(&outer);
  ASSERT_TRUE(inner.CreateNamed("dropped").ok());
  inner.Abort();
  inner.BeginNested(&outer);
  ASSERT_TRUE(inner.CreateNamed("kept").ok());
  ASSERT_TRUE(inner.Commit(Durability::kDefault).ok());
  ASSERT_TRUE(outer.Commit(Durability::kDefault).ok());
  for (int i = 0; i < 3; ++i) {
    file_.MustPut("k", "later");
  }
  std::vector<TxnId> pinned = file_.db().Pinned();
  EXPECT_TRUE(std::binary_search(pinned.begin(), pinned.end(), named));
  Txn again(&file_.db());
  ASSERT_TRUE(again.BeginWrite(os::kWaitForEver).ok());
  inner.BeginNested(&again);
  ASSERT_TRUE(inner.DeleteNamed("kept").ok());
  ASSERT_TRUE(inner.Commit(Durability::kDefault).ok());
  ASSERT_TRUE(again.Commit(Durability::kDefault).ok());
  pinned = file_.db().Pinned();
  EXPECT_FALSE(std::binary_search(pinned.begin(), pinned.end(), named));
}

}  // namespace
}  // namespace johnny::txn
