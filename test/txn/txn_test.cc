#include "txn/txn.h"

#include <gtest/gtest.h>

#include "txn/database_fixture.h"

namespace johnny::txn {
namespace {

using tree::PutMode;

class TxnTest : public testing::Test {
 protected:
  void SetUp() override { file_.MustOpen(); }
  Table* MakeTable(const std::string& name) { return *file_.db().InternTable(name, nullptr); }
  static TableState* Main(Txn* txn) {
    absl::Status status;
    return txn->Resolve(nullptr, &status);
  }
  static Code ResolveError(Txn* txn, Table* table) {
    absl::Status status;
    return txn->Resolve(table, &status) != nullptr ? Code::kOk : CodeOf(status);
  }
  static void MustPut(Txn* txn, TableState* state, Slice key, Slice value) {
    absl::Status status = txn->Put(state, key, value, PutMode::kUpsert);
    ASSERT_TRUE(status.ok()) << status;
  }

  DatabaseFile file_;
};

TEST_F(TxnTest, ReadersTakeASlotAndGiveItBack) {
  std::vector<std::unique_ptr<Txn>> readers;
  for (uint32_t i = 0; i < file_.db().board.max_readers(); ++i) {
    readers.push_back(std::make_unique<Txn>(&file_.db()));
    EXPECT_TRUE(readers.back()->BeginRead().ok());
  }
  Txn one_more(&file_.db());
  EXPECT_EQ(CodeOf(one_more.BeginRead()), Code::kReadersFull);
  EXPECT_FALSE(one_more.active());
  readers[3]->Reset();
  EXPECT_EQ(CodeOf(one_more.BeginRead()), Code::kReadersFull) << "a reset reader keeps its slot";
  readers[3].reset();
  EXPECT_TRUE(one_more.BeginRead().ok());
  readers.clear();
  one_more.Abort();
}

TEST_F(TxnTest, RenewMovesToTheNewestSnapshot) {
  file_.MustPut("k", "1");
  Txn reader(&file_.db());
  ASSERT_TRUE(reader.BeginRead().ok());
  file_.MustPut("k", "2");
  Slice value;
  ASSERT_EQ(reader.Get(Main(&reader), "k", &value), Lookup::kFound);
  EXPECT_EQ(value, "1");
  reader.Reset();
  EXPECT_TRUE(reader.is_reset());
  EXPECT_TRUE(reader.Renew().ok());
  EXPECT_EQ(reader.id(), file_.ids().back());
  ASSERT_EQ(reader.Get(Main(&reader), "k", &value), Lookup::kFound);
  EXPECT_EQ(value, "2");
}

TEST_F(TxnTest, OneWriterAtATime) {
  Txn writer(&file_.db()), another(&file_.db());
  ASSERT_TRUE(writer.BeginWrite(os::kWaitForEver).ok());
  EXPECT_EQ(CodeOf(another.BeginWrite(0)), Code::kBusy);
  writer.Abort();
  EXPECT_TRUE(another.BeginWrite(0).ok());
}

TEST_F(TxnTest, AReadOnlyDatabaseHasNoWriters) {
  ASSERT_TRUE(file_.Close().ok());
  file_.options().database.read_only = true;
  file_.MustOpen();
  EXPECT_EQ(CodeOf(Txn(&file_.db()).BeginWrite(os::kWaitForEver)), Code::kReadOnlyEnv);
}

TEST_F(TxnTest, ArgumentsMayPointIntoTheTransactionsOwnPages) {
  Txn txn(&file_.db());
  ASSERT_TRUE(txn.BeginWrite(os::kWaitForEver).ok());
  TableState* main = Main(&txn);
  std::string text(700, 't');
  MustPut(&txn, main, "source", text);
  // Each put may split, compact or copy the very leaf that holds its argument.
  for (int i = 0; i < 200; ++i) {
    Slice value;
    ASSERT_EQ(txn.Get(main, "source", &value), Lookup::kFound);
    ASSERT_TRUE(file_.db().frames.Contains(value.data()));
    MustPut(&txn, main, "copy" + std::to_string(i * 37 % 200), value);
    ASSERT_EQ(txn.Get(main, "source", &value), Lookup::kFound);
    MustPut(&txn, main, value.substr(0, static_cast<size_t>(1 + i)), "its key is a piece of a value");
    ASSERT_EQ(txn.Get(main, "source", &value), Lookup::kFound);
    MustPut(&txn, main, "source", value);
  }
  Model contents = DatabaseFile::Contents(&txn);
  EXPECT_EQ(contents.size(), 401u);
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(contents["copy" + std::to_string(i)], text);
  }
  Slice value;
  bool found = false;
  ASSERT_EQ(txn.Get(main, "source", &value), Lookup::kFound);
  ASSERT_TRUE(txn.Erase(main, value.substr(0, 5), &found).ok());
  EXPECT_TRUE(found);
  EXPECT_TRUE(txn.Commit(Durability::kDefault).ok());
}

TEST_F(TxnTest, HarmlessErrorsDoNotFailTheTransaction) {
  Txn txn(&file_.db());
  ASSERT_TRUE(txn.BeginWrite(os::kWaitForEver).ok());
  TableState* main = Main(&txn);
  MustPut(&txn, main, "k", "v");
  EXPECT_EQ(CodeOf(txn.Put(main, "k", "w", PutMode::kNoOverwrite)), Code::kExists);
  EXPECT_EQ(CodeOf(txn.Put(main, "a", "w", PutMode::kAppend)), Code::kNotAscending);
  EXPECT_EQ(CodeOf(txn.DropTable(MakeTable("none"))), Code::kNoTable);
  EXPECT_FALSE(txn.failed());
  EXPECT_TRUE(txn.Commit(Durability::kDefault).ok());
  EXPECT_EQ(file_.Contents(), (Model{{"k", "v"}}));
}

TEST_F(TxnTest, DamageFailsTheTransactionUntilItIsAborted) {
  file_.Fill(3000);
  PageNumber root = file_.db().newest_master.main.root.page;
  file_.Crash();
  file_.FlipPage(root);
  file_.MustOpen();
  Txn txn(&file_.db());
  ASSERT_TRUE(txn.BeginWrite(os::kWaitForEver).ok());
  TableState* main = Main(&txn);
  EXPECT_EQ(CodeOf(txn.Put(main, "k", "v", PutMode::kUpsert)), Code::kCorrupt);
  EXPECT_TRUE(txn.failed());
  EXPECT_EQ(CodeOf(txn.Put(main, "k", "v", PutMode::kUpsert)), Code::kTxnFailed);
  bool found = false;
  EXPECT_EQ(CodeOf(txn.Erase(main, "k", &found)), Code::kTxnFailed);
  EXPECT_EQ(CodeOf(txn.CreateTable(MakeTable("t"))), Code::kTxnFailed);
  EXPECT_EQ(CodeOf(txn.Commit(Durability::kDefault)), Code::kTxnFailed);
  EXPECT_FALSE(txn.active()) << "a failed commit ends the transaction";
  EXPECT_TRUE(IsFree(&file_.db().writer));
}

TEST_F(TxnTest, TablesComeAndGoWithTheirTransaction) {
  Table* one = MakeTable("one");
  Table* two = MakeTable("two");
  Txn txn(&file_.db());
  ASSERT_TRUE(txn.BeginWrite(os::kWaitForEver).ok());
  EXPECT_EQ(ResolveError(&txn, one), Code::kNoTable);
  ASSERT_TRUE(txn.CreateTable(one).ok());
  EXPECT_EQ(CodeOf(txn.CreateTable(one)), Code::kExists);
  absl::Status status;
  MustPut(&txn, txn.Resolve(one, &status), "k", "v");
  EXPECT_EQ(txn.table_count(), 1u);
  txn.Abort();
  ASSERT_TRUE(txn.BeginWrite(os::kWaitForEver).ok());
  EXPECT_EQ(ResolveError(&txn, one), Code::kNoTable) << "the abort took it along";
  EXPECT_EQ(txn.table_count(), 0u);
  ASSERT_TRUE(txn.CreateTable(one).ok());
  MustPut(&txn, txn.Resolve(one, &status), "k", "v");
  ASSERT_TRUE(txn.Commit(Durability::kDefault).ok());

  ASSERT_TRUE(txn.BeginWrite(os::kWaitForEver).ok());
  ASSERT_TRUE(txn.RenameTable(one, two).ok());
  EXPECT_EQ(ResolveError(&txn, one), Code::kNoTable);
  EXPECT_EQ(DatabaseFile::Contents(&txn, two), (Model{{"k", "v"}}));
  ASSERT_TRUE(txn.CreateTable(one).ok()) << "the name is free again";
  EXPECT_EQ(CodeOf(txn.RenameTable(one, two)), Code::kExists);
  ASSERT_TRUE(txn.Commit(Durability::kDefault).ok());
  EXPECT_EQ(file_.db().newest_master.table_count, 2u);

  Txn reader(&file_.db());
  ASSERT_TRUE(reader.BeginRead().ok());
  ASSERT_TRUE(txn.BeginWrite(os::kWaitForEver).ok());
  ASSERT_TRUE(txn.DropTable(two).ok());
  EXPECT_EQ(ResolveError(&txn, two), Code::kNoTable);
  ASSERT_TRUE(txn.DropTable(one).ok());
  ASSERT_TRUE(txn.Commit(Durability::kDefault).ok());
  EXPECT_EQ(DatabaseFile::Contents(&reader, two), (Model{{"k", "v"}})) << "an older snapshot has it still";
  reader.Reset();
  EXPECT_TRUE(reader.Renew().ok());
  EXPECT_EQ(ResolveError(&reader, two), Code::kNoTable);
  EXPECT_TRUE(reader.catalog().empty());
}

TEST_F(TxnTest, ACatalogRecordOfTheWrongSizeIsDamage) {
  Table* table = MakeTable("t");
  Txn txn(&file_.db());
  ASSERT_TRUE(txn.BeginWrite(os::kWaitForEver).ok());
  ASSERT_TRUE(txn.CreateTable(table).ok());
  ASSERT_TRUE(txn.Commit(Durability::kDefault).ok());
  // As a forger would: an ordinary tree with another value in it takes the catalog's place.
  file_.MustPut("t", "too short");
  int slot = file_.db().newest_slot;
  ASSERT_TRUE(file_.Close().ok());
  for (int other : {slot, 1 - slot}) {
    file_.ForgeMaster(other, [](format::MasterPage* master) { master->catalog = master->main; });
  }
  file_.MustOpen();
  Txn reader(&file_.db());
  ASSERT_TRUE(reader.BeginRead().ok());
  EXPECT_EQ(ResolveError(&reader, MakeTable("t")), Code::kCorrupt);
}

TEST_F(TxnTest, CursorsKeepTheirPlaceThroughChangesAndSpills) {
  file_.options().database.memory_budget = 1;  // the least
  file_.Crash();
  file_.MustOpen();
  Txn txn(&file_.db());
  ASSERT_TRUE(txn.BeginWrite(os::kWaitForEver).ok());
  TableState* main = Main(&txn);
  MustPut(&txn, main, "m", "here");
  Cursor cursor(&txn.view(), &main->record);
  main->cursors.push_back(&cursor);
  ASSERT_EQ(cursor.SeekExact("m"), Lookup::kFound);
  for (int i = 0; i < 5000; ++i) {
    MustPut(&txn, main, (i % 2 == 0 ? "a" : "z") + std::to_string(i), std::string(100, 'v'));
  }
  EXPECT_GT(txn.spilled_pages(), 0u);
  ASSERT_EQ(cursor.Restore(), Lookup::kFound);
  EXPECT_EQ(cursor.entry().key, "m");
  EXPECT_EQ(cursor.entry().value.bytes, "here");
  ASSERT_EQ(cursor.Next(), Lookup::kFound);
  EXPECT_EQ(cursor.entry().key, "z1");
  main->cursors.clear();
  EXPECT_TRUE(txn.Commit(Durability::kDefault).ok());
  EXPECT_EQ(file_.Contents().size(), 5001u);
}

TEST_F(TxnTest, RanksAreExactBeforeTheCommit) {
  file_.Fill(2000);
  Txn txn(&file_.db());
  ASSERT_TRUE(txn.BeginWrite(os::kWaitForEver).ok());
  TableState* main = Main(&txn);
  for (int i = 0; i < 500; ++i) {
    MustPut(&txn, main, "a" + std::to_string(1000 + i), "v");
  }
  uint64_t rank = 0;
  EXPECT_EQ(txn.Rank(main, "fill0", &rank), Lookup::kFound);
  EXPECT_EQ(rank, 500u);
  node::LeafEntry entry;
  ASSERT_EQ(txn.Nth(main, 499, &entry), Lookup::kFound);
  EXPECT_EQ(entry.key, "a1499");
  EXPECT_EQ(txn.Nth(main, 2500, &entry), Lookup::kNotFound);
}

// DESIGN section 4: a full disk or a set limit is reported by the put that hits it, not by the commit; and deletes may use a
// reserve, so that a full database can be emptied.
class FullTest : public testing::Test {
 protected:
  void Open(uint64_t limit_pages) {
    file_.options().database.size_limit = limit_pages * 4096;
    file_.MustOpen();
  }
  static void Begin(Txn* txn) { ASSERT_TRUE(txn->BeginWrite(os::kWaitForEver).ok()); }
  static TableState* Resolve(Txn* txn, const Table* table) {
    absl::Status status;
    return txn->Resolve(table, &status);
  }
  // Puts until the limit is hit. Returns how many fitted.
  static uint64_t FillUp(Txn* txn, TableState* state) {
    for (uint64_t i = 0;; ++i) {
      absl::Status status = txn->Put(state, std::to_string(i * 7919 % 1000003), std::string(200, 'v'), PutMode::kUpsert);
      if (!status.ok()) {
        EXPECT_EQ(CodeOf(status), Code::kSizeLimit);
        return i;
      }
    }
  }
  std::vector<Table*> MakeTables(int n) {
    std::vector<Table*> tables;
    Txn txn(&file_.db());
    Begin(&txn);
    for (int i = 0; i < n; ++i) {
      tables.push_back(*file_.db().InternTable("table" + std::string(200, 'x') + std::to_string(i), nullptr));
      EXPECT_TRUE(txn.CreateTable(tables.back()).ok());
    }
    EXPECT_TRUE(txn.Commit(Durability::kDefault).ok());
    return tables;
  }
  static void MustCommit(Txn* txn) {
    absl::Status status = txn->Commit(Durability::kDefault);
    ASSERT_TRUE(status.ok()) << status;
  }
  // Erases everything, one entry to a commit.
  void Empty(const Table* table) {
    Txn reader(&file_.db());
    ASSERT_TRUE(reader.BeginRead().ok());
    Model model = DatabaseFile::Contents(&reader, table);
    reader.Abort();
    EXPECT_GT(model.size(), 100u);
    for (const auto& [key, value] : model) {
      Txn txn(&file_.db());
      Begin(&txn);
      bool found = false;
      absl::Status status = txn.Erase(Resolve(&txn, table), key, &found);
      ASSERT_TRUE(status.ok()) << status;
      ASSERT_TRUE(found);
      MustCommit(&txn);
    }
  }

  DatabaseFile file_;
};

TEST_F(FullTest, TheCommitOfWhatFittedIntoTheMainTableSucceeds) {
  Open(200);
  for (int round = 0; round < 10; ++round) {  // what one commit freed, a later one fills
    Txn txn(&file_.db());
    Begin(&txn);
    FillUp(&txn, Resolve(&txn, nullptr));
    MustCommit(&txn);
  }
  EXPECT_GT(file_.Contents().size(), 500u);
  Empty(nullptr);
}

TEST_F(FullTest, TheCommitOfWhatFittedIntoANamedTableSucceeds) {
  Open(200);
  Table* table = MakeTables(1)[0];
  for (int round = 0; round < 10; ++round) {
    Txn txn(&file_.db());
    Begin(&txn);
    FillUp(&txn, Resolve(&txn, table));
    MustCommit(&txn);
  }
}

TEST_F(FullTest, TheCommitOfWhatFittedIntoManyTablesSucceeds) {
  Open(1500);
  std::vector<Table*> tables = MakeTables(300);
  Txn txn(&file_.db());
  Begin(&txn);
  for (Table* table : tables) {  // each changes its record, and the catalog has many leaves
    ASSERT_TRUE(txn.Put(Resolve(&txn, table), "k", "v", PutMode::kUpsert).ok());
  }
  FillUp(&txn, Resolve(&txn, tables[0]));
  MustCommit(&txn);
}

TEST_F(FullTest, AFullNamedTableCanBeEmptiedAndDropped) {
  Open(200);
  Table* table = MakeTables(1)[0];
  for (int round = 0; round < 10; ++round) {
    Txn txn(&file_.db());
    Begin(&txn);
    FillUp(&txn, Resolve(&txn, table));
    txn.Commit(Durability::kDefault).IgnoreError();
  }
  Empty(table);
  Txn txn(&file_.db());
  Begin(&txn);
  EXPECT_TRUE(txn.DropTable(table).ok());
  MustCommit(&txn);
}

}  // namespace
}  // namespace johnny::txn
