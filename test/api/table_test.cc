// Named tables.
#include "support/test_db.h"

namespace johnny::test {
namespace {

class TableTest : public DbTest {
 protected:
  Result Drop(const Txn& txn, johnny_table* table) { return johnny_table_drop(txn.get(), table); }
  Result Clear(const Txn& txn, johnny_table* table) { return johnny_table_clear(txn.get(), table); }
  Result Rename(const Txn& txn, johnny_table* table, const std::string& name) {
    return johnny_table_rename(txn.get(), table, name.c_str());
  }
};

using Names = std::vector<std::string>;

TEST_F(TableTest, ACreatedTableIsEmptyAndListed) {
  Txn txn(env_);
  johnny_table* table = txn.Table("t");
  EXPECT_EQ(txn.Entries(table), 0u);
  EXPECT_EQ(txn.TableNames(), Names{"t"});
  ASSERT_OK(txn.Commit());
  EXPECT_EQ(Txn(env_, JOHNNY_READ).TableNames(), Names{"t"});
  EXPECT_EQ(env_.Info().tables, 1u);
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(TableTest, OpeningTheSameNameGivesTheSameHandle) {
  Txn txn(env_);
  johnny_table* table = txn.Table("t");
  EXPECT_EQ(txn.Table("t", 0), table);
  EXPECT_EQ(txn.Table("t"), table);
  EXPECT_NE(txn.Table("u"), table);
  ASSERT_OK(txn.Commit());
  EXPECT_EQ(Txn(env_, JOHNNY_READ).Table("t", 0), table);
}

TEST_F(TableTest, HandlesKnowTheirNames) {
  Txn txn(env_);
  EXPECT_STREQ(johnny_table_name(txn.Table("planets")), "planets");
  EXPECT_STREQ(johnny_table_name(nullptr), "");
}

TEST_F(TableTest, TablesAreApartFromEachOtherAndFromTheMainTable) {
  Txn txn(env_);
  johnny_table* t = txn.Table("t");
  johnny_table* u = txn.Table("u");
  ASSERT_OK(txn.Put("k", "main"));
  ASSERT_OK(txn.Put("k", "in t", 0, t));
  ASSERT_OK(txn.Put("k", "in u", 0, u));
  ASSERT_OK(txn.Delete("k", t));
  ASSERT_OK(txn.Commit());
  Txn reader(env_, JOHNNY_READ);
  EXPECT_EQ(reader.Find("k"), "main");
  EXPECT_EQ(reader.Find("k", t), std::nullopt);
  EXPECT_EQ(reader.Find("k", u), "in u");
}

TEST_F(TableTest, ContentsSurviveReopening) {
  {
    Txn txn(env_);
    johnny_table* table = txn.Table("t");
    ASSERT_OK(txn.Commit());
    Fill(0, 2000, table);
  }
  Reopen();
  Txn reader(env_, JOHNNY_READ);
  johnny_table* table = reader.Table("t", 0);
  Contents all = reader.All(table);
  EXPECT_EQ(all.size(), 2000u);
  EXPECT_EQ(all[NumberedKey(1234)], NumberedKey(1234));
}

TEST_F(TableTest, AnAbortedCreationLeavesNoTable) {
  Txn txn(env_);
  johnny_table* table = txn.Table("t");
  ASSERT_OK(txn.Put("k", "v", 0, table));
  ASSERT_OK(txn.Abort());
  Txn reader(env_, JOHNNY_READ);
  EXPECT_EQ(reader.Exists("k", table), JOHNNY_NO_TABLE);
  EXPECT_EQ(reader.TableNames(), Names{});
}

TEST_F(TableTest, AHandleStandsForTheNameInEverySnapshot) {
  Txn before(env_, JOHNNY_READ);
  Txn txn(env_);
  johnny_table* table = txn.Table("t");
  ASSERT_OK(txn.Put("k", "1", 0, table));
  ASSERT_OK(txn.Commit());
  Txn with(env_, JOHNNY_READ);
  ASSERT_OK(txn.Begin(env_));
  ASSERT_OK(Drop(txn, table));
  ASSERT_OK(txn.Commit());
  Txn after(env_, JOHNNY_READ);
  EXPECT_EQ(before.Exists("k", table), JOHNNY_NO_TABLE);
  EXPECT_EQ(with.Find("k", table), "1");
  EXPECT_EQ(after.Exists("k", table), JOHNNY_NO_TABLE);
  ASSERT_OK(txn.Begin(env_));
  EXPECT_EQ(txn.Table("t"), table);
  EXPECT_EQ(txn.Entries(table), 0u);
}

TEST_F(TableTest, DropGivesThePagesBack) {
  Txn txn(env_);
  johnny_table* table = txn.Table("t");
  ASSERT_OK(txn.Commit());
  Fill(0, 10000, table);
  ASSERT_OK(txn.Begin(env_));
  ASSERT_OK(txn.Put("large", Pattern(1000000, 1), 0, table));
  ASSERT_OK(txn.Commit());
  uint64_t full = env_.Info().used_pages;
  ASSERT_OK(txn.Begin(env_));
  ASSERT_OK(Drop(txn, table));
  EXPECT_EQ(txn.TableNames(), Names{});
  ASSERT_OK(txn.Commit());
  EXPECT_TRUE(env_.VerifyClean());
  EXPECT_LT(env_.Info().used_pages, full / 10);
  EXPECT_EQ(env_.Info().tables, 0u);
}

TEST_F(TableTest, ATableCanBeCreatedAgainAfterADropInTheSameTransaction) {
  Txn txn(env_);
  johnny_table* table = txn.Table("t");
  ASSERT_OK(txn.Put("old", "v", 0, table));
  ASSERT_OK(txn.Commit());
  ASSERT_OK(txn.Begin(env_));
  ASSERT_OK(Drop(txn, table));
  table = txn.Table("t");
  EXPECT_EQ(txn.Entries(table), 0u);
  ASSERT_OK(txn.Put("new", "v", 0, table));
  ASSERT_OK(txn.Commit());
  EXPECT_EQ(Txn(env_, JOHNNY_READ).All(table), (Contents{{"new", "v"}}));
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(TableTest, ClearEmptiesATableAndKeepsIt) {
  Txn txn(env_);
  johnny_table* table = txn.Table("t");
  ASSERT_OK(txn.Commit());
  Fill(0, 5000, table);
  Fill(0, 5000);
  Txn reader(env_, JOHNNY_READ);
  ASSERT_OK(txn.Begin(env_));
  ASSERT_OK(Clear(txn, table));
  EXPECT_EQ(txn.Entries(table), 0u);
  EXPECT_EQ(txn.Entries(), 5000u);
  ASSERT_OK(Clear(txn, nullptr));
  EXPECT_EQ(txn.Entries(), 0u);
  EXPECT_EQ(txn.All(), Contents());
  ASSERT_OK(txn.Put("a", "b", 0, table));
  ASSERT_OK(txn.Commit());
  EXPECT_EQ(reader.Entries(table), 5000u);
  EXPECT_EQ(reader.All(table).size(), 5000u);
  EXPECT_EQ(Txn(env_, JOHNNY_READ).TableNames(), Names{"t"});
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(TableTest, AnAbortedClearOrDropLeavesTheContents) {
  Txn txn(env_);
  johnny_table* table = txn.Table("t");
  ASSERT_OK(txn.Commit());
  Fill(0, 3000, table);
  ASSERT_OK(txn.Begin(env_));
  ASSERT_OK(Clear(txn, table));
  ASSERT_OK(txn.Abort());
  ASSERT_OK(txn.Begin(env_));
  ASSERT_OK(Drop(txn, table));
  ASSERT_OK(txn.Abort());
  EXPECT_EQ(Txn(env_, JOHNNY_READ).All(table).size(), 3000u);
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(TableTest, RenameMovesTheContents) {
  Txn txn(env_);
  johnny_table* old_name = txn.Table("old");
  ASSERT_OK(txn.Put("k", "v", 0, old_name));
  ASSERT_OK(txn.Commit());
  ASSERT_OK(txn.Begin(env_));
  ASSERT_OK(Rename(txn, old_name, "new"));
  EXPECT_EQ(txn.TableNames(), Names{"new"});
  EXPECT_EQ(txn.Exists("k", old_name), JOHNNY_NO_TABLE);  // stands for the old name
  EXPECT_EQ(txn.Find("k", txn.Table("new", 0)), "v");
  ASSERT_OK(txn.Commit());
  Reopen();
  Txn reader(env_, JOHNNY_READ);
  EXPECT_EQ(reader.Find("k", reader.Table("new", 0)), "v");
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(TableTest, RenameCarriesChangesOfTheSameTransaction) {
  Txn txn(env_);
  johnny_table* old_name = txn.Table("old");
  ASSERT_OK(txn.Put("k", "v", 0, old_name));
  ASSERT_OK(Rename(txn, old_name, "new"));
  johnny_table* new_name = txn.Table("new", 0);
  ASSERT_OK(txn.Put("l", "w", 0, new_name));
  ASSERT_OK(txn.Put("m", "x", 0, txn.Table("old")));
  ASSERT_OK(txn.Commit());
  Txn reader(env_, JOHNNY_READ);
  EXPECT_EQ(reader.All(new_name), (Contents{{"k", "v"}, {"l", "w"}}));
  EXPECT_EQ(reader.All(old_name), (Contents{{"m", "x"}}));
}

TEST_F(TableTest, RenameToATakenNameIsExists) {
  Txn txn(env_);
  johnny_table* t = txn.Table("t");
  txn.Table("u");
  EXPECT_EQ(Rename(txn, t, "u"), JOHNNY_EXISTS);
  EXPECT_EQ(txn.TableNames(), (Names{"t", "u"}));
}

TEST_F(TableTest, NamesAreListedInByteOrder) {
  Txn txn(env_);
  for (const char* name : {"b", "a", "\xff", "B", "aa", " "}) {
    txn.Table(name);
  }
  EXPECT_EQ(txn.TableNames(), (Names{" ", "B", "a", "aa", "b", "\xff"}));
}

TEST_F(TableTest, AListingCanBeStopped) {
  Txn txn(env_);
  txn.Table("a");
  txn.Table("b");
  int calls = 0;
  auto stop = [](void* context, const char*) {
    ++*static_cast<int*>(context);
    return 1;
  };
  EXPECT_EQ(Result(johnny_table_list(txn.get(), stop, &calls)), JOHNNY_STOPPED);
  EXPECT_EQ(calls, 1);
}

TEST_F(TableTest, TenThousandTablesEachKeepTheirOwn) {
  constexpr uint64_t kTables = 10000;
  {
    Txn txn(env_);
    for (uint64_t i = 0; i < kTables; ++i) {
      johnny_table* table = txn.Table(NumberedKey(i, 6, "table"));
      ASSERT_OK(txn.Put("k", NumberedKey(i), 0, table));
    }
    ASSERT_OK(txn.Commit());
  }
  EXPECT_EQ(env_.Info().tables, kTables);
  Reopen();
  {
    Txn reader(env_, JOHNNY_READ);
    EXPECT_EQ(reader.TableNames().size(), kTables);
    for (uint64_t i = 0; i < kTables; i += 7) {
      johnny_table* table = reader.Table(NumberedKey(i, 6, "table"), 0);
      ASSERT_EQ(reader.Find("k", table), NumberedKey(i));
    }
  }
  {
    Txn txn(env_);
    for (uint64_t i = 0; i < kTables; i += 2) {
      ASSERT_OK(Drop(txn, txn.Table(NumberedKey(i, 6, "table"), 0)));
    }
    ASSERT_OK(txn.Commit());
  }
  EXPECT_EQ(env_.Info().tables, kTables / 2);
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(TableTest, AnEmptyNamedTableSurvivesReopening) {
  Txn txn(env_);
  johnny_table* table = txn.Table("t");
  ASSERT_OK(txn.Put("k", "v", 0, table));
  ASSERT_OK(txn.Delete("k", table));
  ASSERT_OK(txn.Commit());
  Reopen();
  Txn reader(env_, JOHNNY_READ);
  EXPECT_EQ(reader.Entries(reader.Table("t", 0)), 0u);
}

}  // namespace
}  // namespace johnny::test
