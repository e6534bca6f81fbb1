// Cursors in a write transaction that changes the tree, at the cursor and by other means.
#include <random>

#include "support/test_db.h"

namespace johnny::test {
namespace {

constexpr char kNotFound[] = "<JOHNNY_NOT_FOUND>";

class CursorChangeTest : public DbTest {
 protected:
  void PutKeys(Txn* txn, std::initializer_list<std::string> keys) {
    for (const std::string& key : keys) {
      ASSERT_OK(txn->Put(key, key));
    }
  }
};

TEST_F(CursorChangeTest, NextAfterDeleteOfCurrentGoesToSuccessor) {
  Txn txn(env_);
  PutKeys(&txn, {"a", "b", "c"});
  Cursor cursor(txn);
  ASSERT_OK(cursor.Seek("b", JOHNNY_SEEK_EXACT));
  ASSERT_OK(cursor.Delete());
  EXPECT_EQ(cursor.Key(), kNotFound);
  EXPECT_EQ(cursor.NextKey(), "c");
}

TEST_F(CursorChangeTest, PrevAfterDeleteOfCurrentGoesToPredecessor) {
  Txn txn(env_);
  PutKeys(&txn, {"a", "b", "c"});
  Cursor cursor(txn);
  ASSERT_OK(cursor.Seek("b", JOHNNY_SEEK_EXACT));
  ASSERT_OK(txn.Delete("b"));
  EXPECT_EQ(cursor.PrevKey(), "a");
}

TEST_F(CursorChangeTest, DeletingNeighboursOfADeletedCurrentIsSeen) {
  Txn txn(env_);
  PutKeys(&txn, {"a", "b", "c", "d"});
  Cursor cursor(txn);
  ASSERT_OK(cursor.Seek("b", JOHNNY_SEEK_EXACT));
  ASSERT_OK(txn.Delete("b"));
  ASSERT_OK(txn.Delete("c"));
  EXPECT_EQ(cursor.NextKey(), "d");
}

TEST_F(CursorChangeTest, DeletingTheLastEntryLeavesNoNext) {
  Txn txn(env_);
  PutKeys(&txn, {"a", "b"});
  Cursor cursor(txn);
  ASSERT_OK(cursor.Last());
  ASSERT_OK(cursor.Delete());
  EXPECT_EQ(cursor.NextKey(), kNotFound);
  EXPECT_EQ(cursor.PrevKey(), "a");
}

TEST_F(CursorChangeTest, PutAtTheCursorReplacesTheValueAndKeepsThePlace) {
  Txn txn(env_);
  PutKeys(&txn, {"a", "b", "c"});
  Cursor cursor(txn);
  ASSERT_OK(cursor.Seek("b", JOHNNY_SEEK_EXACT));
  for (size_t size : {0u, 5u, 500u, 100000u, 3u}) {
    ASSERT_OK(cursor.Put(Pattern(size, 4)));
    Entry entry;
    ASSERT_OK(cursor.Get(&entry));
    EXPECT_EQ(entry, Entry("b", Pattern(size, 4)));
  }
  EXPECT_EQ(cursor.NextKey(), "c");
  EXPECT_EQ(txn.Entries(), 3u);
}

TEST_F(CursorChangeTest, NewNeighboursAreSeen) {
  Txn txn(env_);
  PutKeys(&txn, {"b", "d"});
  Cursor cursor(txn);
  ASSERT_OK(cursor.First());
  PutKeys(&txn, {"a", "c"});
  EXPECT_EQ(cursor.Key(), "b");
  EXPECT_EQ(cursor.NextKey(), "c");
  EXPECT_EQ(cursor.PrevKey(), "b");
  EXPECT_EQ(cursor.PrevKey(), "a");
}

TEST_F(CursorChangeTest, ACursorKeepsItsPlaceThroughSplits) {
  Fill(0, 100);
  Txn txn(env_);
  Cursor cursor(txn);
  ASSERT_OK(cursor.Seek(NumberedKey(50), JOHNNY_SEEK_EXACT));
  for (uint64_t i = 0; i < 20000; ++i) {
    ASSERT_OK(txn.Put(NumberedKey(i % 100) + NumberedKey(i * 7919 % 20000), "x"));
  }
  EXPECT_EQ(cursor.Key(), NumberedKey(50));
  EXPECT_EQ(cursor.NextKey().substr(0, 8), NumberedKey(50));
  EXPECT_EQ(cursor.PrevKey(), NumberedKey(50));
  EXPECT_EQ(cursor.PrevKey().substr(0, 8), NumberedKey(49));
}

TEST_F(CursorChangeTest, ACursorKeepsItsPlaceThroughMerges) {
  Fill(0, 20000);
  Txn txn(env_);
  Cursor cursor(txn);
  ASSERT_OK(cursor.Seek(NumberedKey(10000), JOHNNY_SEEK_EXACT));
  for (uint64_t i = 0; i < 20000; ++i) {
    if (i != 5 && i != 10000 && i != 19000) {
      ASSERT_OK(txn.Delete(NumberedKey(i)));
    }
  }
  EXPECT_EQ(cursor.Key(), NumberedKey(10000));
  EXPECT_EQ(cursor.NextKey(), NumberedKey(19000));
  EXPECT_EQ(cursor.PrevKey(), NumberedKey(10000));
  EXPECT_EQ(cursor.PrevKey(), NumberedKey(5));
}

TEST_F(CursorChangeTest, ATableCanBeEmptiedAtTheCursorFromEitherEnd) {
  for (bool forwards : {true, false}) {
    Fill(0, 10000);
    Txn txn(env_);
    Cursor cursor(txn);
    uint64_t deleted = 0;
    while ((forwards ? cursor.Next() : cursor.Prev()).ok()) {
      ASSERT_OK(cursor.Delete());
      ++deleted;
    }
    EXPECT_EQ(deleted, 10000u);
    EXPECT_EQ(txn.Entries(), 0u);
    ASSERT_OK(txn.Commit());
    EXPECT_TRUE(env_.VerifyClean());
  }
}

TEST_F(CursorChangeTest, EveryOtherEntryCanBeDeletedInOneScan) {
  Fill(0, 10000);
  Txn txn(env_);
  Cursor cursor(txn);
  for (uint64_t i = 0; i < 10000; ++i) {
    ASSERT_EQ(cursor.NextKey(), NumberedKey(i));
    if (i % 2 == 0) {
      ASSERT_OK(cursor.Delete());
    } else {
      ASSERT_OK(cursor.Put(Pattern(i % 300, 1)));
    }
  }
  EXPECT_EQ(cursor.NextKey(), kNotFound);
  EXPECT_EQ(txn.Entries(), 5000u);
  ASSERT_OK(txn.Commit());
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(CursorChangeTest, ClearDeletesTheCurrentEntry) {
  Fill(0, 1000);
  Txn txn(env_);
  Cursor cursor(txn);
  ASSERT_OK(cursor.Seek(NumberedKey(500), JOHNNY_SEEK_EXACT));
  ASSERT_OK(Result(johnny_table_clear(txn.get(), nullptr)));
  EXPECT_EQ(cursor.Key(), kNotFound);
  EXPECT_EQ(cursor.NextKey(), kNotFound);
  PutKeys(&txn, {NumberedKey(400), NumberedKey(600)});
  Cursor fresh(txn);
  EXPECT_EQ(fresh.NextKey(), NumberedKey(400));
}

TEST_F(CursorChangeTest, ACursorInARangeStaysInItWhileTheTreeChanges) {
  Fill(0, 1000);
  Txn txn(env_);
  Cursor cursor(txn);
  ASSERT_OK(cursor.SetRange(NumberedKey(100), NumberedKey(200)));
  ASSERT_OK(cursor.Last());
  for (uint64_t i = 150; i < 1000; ++i) {
    ASSERT_OK(txn.Delete(NumberedKey(i)));
  }
  EXPECT_EQ(cursor.NextKey(), kNotFound);
  EXPECT_EQ(cursor.PrevKey(), NumberedKey(149));
}

TEST_F(CursorChangeTest, CursorsOfOtherTablesAreUntouched) {
  Txn txn(env_);
  johnny_table* table = txn.Table("t");
  PutKeys(&txn, {"a", "b"});
  ASSERT_OK(txn.Put("a", "in t", 0, table));
  Cursor cursor(txn, table);
  ASSERT_OK(cursor.First());
  ASSERT_OK(Result(johnny_table_clear(txn.get(), nullptr)));
  EXPECT_EQ(cursor.Key(), "a");
  EXPECT_EQ(cursor.NextKey(), kNotFound);
}

TEST_F(CursorChangeTest, ManyCursorsStayRightUnderRandomChanges) {
  std::minstd_rand random(3);
  Contents model;
  Txn txn(env_);
  std::vector<Cursor> cursors;
  std::vector<std::string> keys(16);
  for (int i = 0; i < 3000; ++i) {
    std::string key = NumberedKey(random() % 5000);
    ASSERT_OK(txn.Put(key, Pattern(random() % 150, 1)));
    model[key] = "";
  }
  for (std::string& key : keys) {
    cursors.emplace_back(txn);
    ASSERT_OK(cursors.back().Seek(NumberedKey(random() % 4000), JOHNNY_SEEK_AT_OR_AFTER));
    key = cursors.back().Key();
  }
  for (int i = 0; i < 20000; ++i) {
    std::string key = NumberedKey(random() % 5000);
    if (random() % 2 == 0) {
      ASSERT_OK(txn.Put(key, Pattern(random() % 150, 1)));
      model[key] = "";
    } else {
      ASSERT_EQ(txn.Delete(key).ok(), model.erase(key) == 1);
    }
    size_t chosen = random() % cursors.size();
    std::string* at = &keys[chosen];
    if (random() % 2 == 0) {
      auto next = model.upper_bound(*at);
      ASSERT_EQ(cursors[chosen].NextKey(), next != model.end() ? next->first : kNotFound) << *at;
      *at = next != model.end() ? next->first : "~";
    } else {
      auto next = model.lower_bound(*at);
      bool found = next != model.begin();
      ASSERT_EQ(cursors[chosen].PrevKey(), found ? std::prev(next)->first : kNotFound) << *at;
      *at = found ? std::prev(next)->first : "";
    }
  }
}

}  // namespace
}  // namespace johnny::test
