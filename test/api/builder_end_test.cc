// How builders begin and end, and what goes wrong on the way.
#include "support/bulk.h"

namespace johnny::test {
namespace {

class BuilderEndTest : public DbTest {
 protected:
  explicit BuilderEndTest(const johnny_options& options = TestOptions()) : DbTest(options) { Fill(0, 500); }
  ~BuilderEndTest() override {
    if (env_.get() != nullptr) {
      EXPECT_TRUE(env_.VerifyClean());
    }
  }
  Contents Committed(johnny_table* table = nullptr) {
    Txn reader(env_, JOHNNY_READ);
    return reader.All(table);
  }
  // With large values, and several leaves.
  static Contents New(uint64_t count = 2000, uint32_t seed = 0) {
    Contents contents;
    for (uint64_t i = 0; i < count; ++i) {
      contents[NumberedKey(i, 6, "new")] = Pattern(i % 200 == 7 ? 9000 : i % 60, static_cast<uint32_t>(i) + seed);
    }
    return contents;
  }
};

TEST_F(BuilderEndTest, UntilItFinishesTheTableIsAsItWas) {
  Contents before = Committed();
  Txn txn(env_);
  Builder builder(txn, nullptr, JOHNNY_BUILD_REPLACE);
  ASSERT_OK(builder.AddAll(New()));
  EXPECT_EQ(txn.All(), before);
  ASSERT_OK(txn.Put("meanwhile", "goes too"));
  ASSERT_OK(builder.Finish());
  EXPECT_TRUE(txn.All() == New());
  EXPECT_EQ(Committed(), before);
  ASSERT_OK(txn.Commit());
  EXPECT_TRUE(Committed() == New());
  builder.Close();
}

TEST_F(BuilderEndTest, OneWithoutEntriesEmptiesTheTable) {
  Txn txn(env_);
  Builder builder(txn, nullptr, JOHNNY_BUILD_REPLACE);
  ASSERT_OK(builder.Finish());
  EXPECT_EQ(txn.Entries(), 0u);
  ASSERT_OK(txn.Commit());
  EXPECT_EQ(Committed(), Contents());
  Txn again(env_);
  Builder empty(again);
  EXPECT_OK(empty.Finish()) << "an empty table may be replaced by an empty one";
  EXPECT_OK(again.Commit());
}

// ---- EXISTS ----

TEST_F(BuilderEndTest, ATableWithEntriesIsOnlyReplacedWhenAsked) {
  Txn txn(env_);
  EXPECT_EQ(Builder().Open(txn), JOHNNY_EXISTS);
  ASSERT_OK(Result(johnny_table_clear(txn.get(), nullptr)));
  Builder builder(txn);
  ASSERT_OK(builder.AddAll(New()));
  ASSERT_OK(txn.Put("a", "meanwhile"));
  EXPECT_EQ(builder.Finish(), JOHNNY_EXISTS);
  EXPECT_EQ(txn.All(), (Contents{{"a", "meanwhile"}}));
  EXPECT_EQ(txn.Info().failed, 0u);
  // The table may be emptied, and the builder goes on.
  ASSERT_OK(txn.Delete("a"));
  ASSERT_OK(builder.Add("newer", "1"));
  ASSERT_OK(builder.Finish());
  Contents expected = New();
  expected["newer"] = "1";
  EXPECT_TRUE(txn.All() == expected);
  ASSERT_OK(txn.Commit());
}

// ---- Given up ----

TEST_F(BuilderEndTest, GivenUpItsPagesComeBack) {
  Contents before = Committed();
  uint64_t pages = 0;
  for (int round = 0; round < 12; ++round) {
    Txn txn(env_);
    Builder builder(txn, nullptr, JOHNNY_BUILD_REPLACE);
    ASSERT_OK(builder.AddAll(New()));
    bool changed = round % 2 == 0;
    if (changed) {
      ASSERT_OK(txn.Put("round", std::to_string(round)));
      before["round"] = std::to_string(round);
    }
    if (round % 3 == 0) {
      builder.Close();
      ASSERT_OK(txn.Commit());
    } else if (round % 3 == 1) {
      ASSERT_OK(txn.Commit());
      EXPECT_EQ(builder.Add("zz", "v"), JOHNNY_TXN_ENDED);
    } else {
      ASSERT_OK(txn.Abort());
      EXPECT_EQ(builder.Finish(), JOHNNY_TXN_ENDED);
      if (changed) {
        before = Committed();
      }
    }
    builder.Close();
    ASSERT_EQ(Committed(), before) << "in round " << round;
    ASSERT_TRUE(env_.VerifyClean()) << "in round " << round;
    pages = round == 5 ? env_.Info().page_count : pages;
  }
  EXPECT_LE(env_.Info().page_count, pages * 2);
}

TEST_F(BuilderEndTest, PagesOfOneGivenUpServeTheSameTransaction) {
  Txn txn(env_);
  for (int round = 0; round < 20; ++round) {
    Builder builder(txn, nullptr, JOHNNY_BUILD_REPLACE);
    ASSERT_OK(builder.AddAll(New()));
  }
  Builder last(txn, nullptr, JOHNNY_BUILD_REPLACE);
  ASSERT_OK(last.AddAll(New()));
  ASSERT_OK(last.Finish());
  last.Close();
  ASSERT_OK(txn.Commit());
  EXPECT_LT(env_.Info().page_count, 400u);
}

TEST_F(BuilderEndTest, ACloseAfterTheEndOfItAllIsFine) {
  Txn txn(env_);
  Builder finished(txn, nullptr, JOHNNY_BUILD_REPLACE);
  Builder begun(txn, txn.Table("t"));
  Builder fresh(txn, txn.Table("u"));
  ASSERT_OK(finished.AddAll(New()));
  ASSERT_OK(begun.AddAll(New()));
  ASSERT_OK(finished.Finish());
  ASSERT_OK(txn.Commit());
  EXPECT_EQ(finished.Finish(), JOHNNY_TXN_ENDED);
  EXPECT_TRUE(env_.VerifyClean());
  ASSERT_OK(env_.Close());
  finished.Close();
  begun.Close();
  johnny_builder_close(nullptr);
  ASSERT_OK(env_.Open(path_, options_));
  EXPECT_TRUE(Committed() == New());
}

// ---- Several ----

TEST_F(BuilderEndTest, SeveralAtOnce) {
  Txn txn(env_);
  std::vector<Builder> builders;
  std::vector<johnny_table*> tables;
  for (int i = 0; i < 5; ++i) {
    tables.push_back(txn.Table("t" + std::to_string(i)));
    builders.emplace_back(txn, tables.back());
  }
  Builder second(txn, tables[2]);  // of the same table: it comes second
  Contents contents = New(3000);
  for (const auto& [key, value] : contents) {
    for (Builder& builder : builders) {
      ASSERT_OK(builder.Add(key, value));
    }
    ASSERT_OK(second.Add(key, "x"));
    ASSERT_OK(txn.Put(key, value));
  }
  for (Builder& builder : builders) {
    if (&builder != &builders[3]) {
      ASSERT_OK(builder.Finish());
    }
  }
  EXPECT_EQ(second.Finish(), JOHNNY_EXISTS);
  second.Close();
  ASSERT_OK(txn.Commit());
  EXPECT_TRUE(env_.VerifyClean());
  for (size_t i = 0; i < tables.size(); ++i) {
    EXPECT_TRUE(Committed(tables[i]) == (i == 3 ? Contents() : contents)) << i;
  }
}

TEST_F(BuilderEndTest, WithASmallMemoryBudgetTheTransactionSpillsBesideIt) {
  ASSERT_OK(env_.Close());
  options_.memory_budget = 64 * 4096;
  ASSERT_OK(env_.Open(path_, options_));
  Txn txn(env_);
  johnny_table* table = txn.Table("t");
  Builder builder(txn, table);
  Contents contents = New(5000);
  Contents main = txn.All();
  uint64_t i = 0;
  for (const auto& [key, value] : contents) {
    ASSERT_OK(builder.Add(key, value));
    std::string other = NumberedKey(i++ * 7919 % 5000, 6, "spill");
    ASSERT_OK(txn.Put(other, Pattern(200, static_cast<uint32_t>(i))));
    main[other] = Pattern(200, static_cast<uint32_t>(i));
  }
  EXPECT_GT(txn.Info().spilled_pages, 0u);
  ASSERT_OK(builder.Finish());
  EXPECT_TRUE(txn.All(table) == contents);
  EXPECT_TRUE(txn.All() == main);
  // What is built changes, and spills in its turn.
  for (i = 0; i < 5000; i += 2) {
    std::string key = NumberedKey(i * 7919 % 5000, 6, "new");
    ASSERT_OK(txn.Put(key, "changed", 0, table));
    contents[key] = "changed";
  }
  EXPECT_TRUE(txn.All(table) == contents);
  ASSERT_OK(txn.Commit());
  EXPECT_TRUE(Committed(table) == contents);
}

// ---- Cursors ----

TEST_F(BuilderEndTest, CursorsGoOnInTheNewTree) {
  Txn txn(env_);
  Cursor cursor(txn);
  Cursor gone(txn);
  Cursor after(txn);
  ASSERT_EQ(cursor.SeekKey(NumberedKey(100), JOHNNY_SEEK_EXACT), NumberedKey(100));
  ASSERT_EQ(gone.SeekKey(NumberedKey(101), JOHNNY_SEEK_EXACT), NumberedKey(101));
  ASSERT_EQ(after.LastKey(), NumberedKey(499));
  ASSERT_EQ(after.NextKey(), "<JOHNNY_NOT_FOUND>");
  Builder builder(txn, nullptr, JOHNNY_BUILD_REPLACE);
  for (uint64_t i = 0; i < 3000; i += 4) {
    ASSERT_OK(builder.Add(NumberedKey(i), "built"));
  }
  ASSERT_OK(builder.Finish());
  Entry entry;
  ASSERT_OK(cursor.Get(&entry));
  EXPECT_EQ(entry, Entry(NumberedKey(100), "built"));
  EXPECT_EQ(gone.Key(), "<JOHNNY_NOT_FOUND>");
  EXPECT_EQ(gone.NextKey(), NumberedKey(104));
  EXPECT_EQ(cursor.PrevKey(), NumberedKey(96));
  EXPECT_EQ(after.NextKey(), "<JOHNNY_NOT_FOUND>");
  EXPECT_EQ(after.PrevKey(), NumberedKey(2996));
  ASSERT_OK(cursor.Put("changed"));
  EXPECT_EQ(txn.Find(NumberedKey(96)), "changed");
  ASSERT_OK(txn.Commit());
}

TEST_F(BuilderEndTest, PutsInTheLeafOfTheLastPutGoToTheNewTree) {
  Txn txn(env_);
  for (uint64_t i = 0; i < 50; ++i) {
    ASSERT_OK(txn.Put(NumberedKey(500 + i), "old"));
  }
  Builder builder(txn, nullptr, JOHNNY_BUILD_REPLACE);
  ASSERT_OK(builder.AddAll(New(100)));
  ASSERT_OK(builder.Finish());
  ASSERT_OK(txn.Put(NumberedKey(550), "put"));
  ASSERT_OK(txn.Put("zz", "appended", JOHNNY_APPEND));
  Contents expected = New(100);
  expected[NumberedKey(550)] = "put";
  expected["zz"] = "appended";
  EXPECT_TRUE(txn.All() == expected);
  ASSERT_OK(txn.Commit());
}

// ---- Nested transactions ----

TEST_F(BuilderEndTest, InNestedTransactions) {
  Contents contents = Committed();
  Txn outer(env_);
  Cursor cursor(outer);
  ASSERT_OK(cursor.First());
  ASSERT_OK(outer.Put("outer", "1"));
  contents["outer"] = "1";
  for (int round = 0; round < 9; ++round) {
    Txn inner = Txn::In(outer);
    Builder builder(inner, nullptr, JOHNNY_BUILD_REPLACE);
    Contents built = New(1500, static_cast<uint32_t>(round));
    ASSERT_OK(builder.AddAll(built));
    if (round % 3 != 2) {
      ASSERT_OK(builder.Finish());
      ASSERT_OK(inner.Put("zz", std::to_string(round)));
      built["zz"] = std::to_string(round);
    }
    if (round % 3 == 0) {
      ASSERT_OK(inner.Abort());
    } else {
      ASSERT_OK(inner.Commit());
      contents = round % 3 == 1 ? built : contents;
    }
    EXPECT_EQ(builder.Add("zzz", "v"), JOHNNY_TXN_ENDED);
    ASSERT_TRUE(outer.All() == contents) << "in round " << round;
    ASSERT_OK(outer.Put("zy", std::to_string(round)));
    contents["zy"] = std::to_string(round);
  }
  EXPECT_EQ(cursor.NextKey(), contents.begin()->first);
  ASSERT_OK(outer.Commit());
  EXPECT_TRUE(Committed() == contents);
}

TEST_F(BuilderEndTest, WhatTheParentBuiltIsReplacedInANestedOne) {
  for (bool commit : {true, false}) {
    Txn outer(env_);
    johnny_table* table = outer.Table("t");
    {
      Builder builder(outer, table, JOHNNY_BUILD_REPLACE);
      ASSERT_OK(builder.AddAll(New(2000, 1)));
      ASSERT_OK(builder.Finish());
    }
    Txn middle = Txn::In(outer);
    Txn inner = Txn::In(middle);
    {
      Builder builder(inner, table, JOHNNY_BUILD_REPLACE, 60);
      ASSERT_OK(builder.AddAll(New(1000, 2)));
      ASSERT_OK(builder.Finish());
    }
    ASSERT_OK(inner.Commit());
    {
      Builder builder(middle, nullptr, JOHNNY_BUILD_REPLACE);
      ASSERT_OK(builder.AddAll(New(1000, 3)));
      ASSERT_OK(builder.Finish());
      ASSERT_OK(commit ? middle.Commit() : middle.Abort());
    }
    EXPECT_TRUE(outer.All(table) == (commit ? New(1000, 2) : New(2000, 1)));
    ASSERT_OK(outer.Commit());
    EXPECT_TRUE(Committed(table) == (commit ? New(1000, 2) : New(2000, 1)));
    EXPECT_TRUE(env_.VerifyClean());
  }
}

TEST_F(BuilderEndTest, ItsTransactionIsNotGivenNestedOnes) {
  Txn txn(env_);
  Builder builder(txn, nullptr, JOHNNY_BUILD_REPLACE);
  Txn inner;
  Result result = inner.BeginIn(txn);
  EXPECT_EQ(result, JOHNNY_IN_USE);
  EXPECT_NE(result.message().find("builder"), std::string::npos) << result.message();
  ASSERT_OK(builder.AddAll(New()));
  EXPECT_EQ(inner.BeginIn(txn), JOHNNY_IN_USE);
  builder.Close();
  ASSERT_OK(inner.BeginIn(txn));
  Builder waits;
  EXPECT_EQ(waits.Open(txn, nullptr, JOHNNY_BUILD_REPLACE), JOHNNY_IN_USE);
  ASSERT_OK(inner.Commit());
  ASSERT_OK(txn.Commit());
}

TEST_F(BuilderEndTest, CommittingTheParentGivesUpWhatIsOpenInNestedOnes) {
  Contents before = Committed();
  Txn outer(env_);
  ASSERT_OK(outer.Put("a", "b"));
  Txn inner = Txn::In(outer);
  Builder builder(inner, nullptr, JOHNNY_BUILD_REPLACE);
  ASSERT_OK(builder.AddAll(New()));
  ASSERT_OK(outer.Commit());
  EXPECT_EQ(builder.Finish(), JOHNNY_TXN_ENDED);
  before["a"] = "b";
  EXPECT_EQ(Committed(), before);
}

// ---- Misuse ----

TEST_F(BuilderEndTest, WhatIsRefusedLeavesItUsable) {
  Txn txn(env_);
  johnny_env_info info = env_.Info();
  Builder builder(txn, nullptr, JOHNNY_BUILD_REPLACE);
  ASSERT_OK(builder.Add("b", "1"));
  EXPECT_EQ(builder.Add("b", "2"), JOHNNY_NOT_ASCENDING);
  EXPECT_EQ(builder.Add("a", "2"), JOHNNY_NOT_ASCENDING);
  EXPECT_EQ(builder.Add("", Pattern(100000, 1)), JOHNNY_NOT_ASCENDING);
  EXPECT_EQ(builder.Add(std::string(info.max_key_size + 1, 'c'), "2"), JOHNNY_KEY_TOO_LARGE);
  EXPECT_EQ(Result(johnny_builder_add(builder.get(), "c", 1, "v", info.max_value_size + 1)), JOHNNY_VALUE_TOO_LARGE);
  EXPECT_EQ(Result(johnny_builder_add(builder.get(), nullptr, 1, "v", 1)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_builder_add(builder.get(), "c", 1, nullptr, 1)), JOHNNY_INVALID_ARGUMENT);
  Contents expected = {{"b", "1"}};
  for (uint64_t i = 0; i < 1000; ++i) {
    std::string key = NumberedKey(i, 6, "k");
    ASSERT_OK(builder.Add(key, Pattern(100, static_cast<uint32_t>(i))));
    EXPECT_EQ(builder.Add(key, "twice"), JOHNNY_NOT_ASCENDING) << "at the edge of a leaf, too";
    expected[key] = Pattern(100, static_cast<uint32_t>(i));
  }
  EXPECT_OK(Result(johnny_builder_add(builder.get(), "z", 1, nullptr, 0)));
  expected["z"] = "";
  ASSERT_OK(builder.Finish());
  EXPECT_TRUE(txn.All() == expected);
  EXPECT_EQ(builder.Add("zz", "v"), JOHNNY_INVALID_ARGUMENT) << "it has finished";
  EXPECT_EQ(builder.Finish(), JOHNNY_INVALID_ARGUMENT);
  EXPECT_OK(txn.Put("more", "may be put"));
  ASSERT_OK(txn.Commit());
}

TEST_F(BuilderEndTest, TheFirstKeyMayBeEmpty) {
  Txn txn(env_);
  Builder builder(txn, nullptr, JOHNNY_BUILD_REPLACE);
  ASSERT_OK(Result(johnny_builder_add(builder.get(), nullptr, 0, nullptr, 0)));
  EXPECT_EQ(builder.Add("", "again"), JOHNNY_NOT_ASCENDING);
  ASSERT_OK(builder.Finish());
  EXPECT_EQ(txn.All(), (Contents{{"", ""}}));
  ASSERT_OK(txn.Commit());
}

TEST_F(BuilderEndTest, OpeningRefusesWhatMakesNoSense) {
  Txn txn(env_);
  johnny_builder* builder = nullptr;
  for (uint32_t fill : {1, 49, 101, 1000}) {
    EXPECT_EQ(Result(johnny_builder_open(txn.get(), nullptr, 1, fill, &builder)), JOHNNY_INVALID_ARGUMENT) << fill;
  }
  EXPECT_EQ(Result(johnny_builder_open(txn.get(), nullptr, 2, 0, &builder)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_builder_open(txn.get(), nullptr, 1, 0, nullptr)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_builder_open(nullptr, nullptr, 1, 0, &builder)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_builder_add(nullptr, "a", 1, "b", 1)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_builder_finish(nullptr)), JOHNNY_INVALID_ARGUMENT);
  Txn reader(env_, JOHNNY_READ);
  EXPECT_EQ(Builder().Open(reader, nullptr, JOHNNY_BUILD_REPLACE), JOHNNY_READ_ONLY_TXN);
  ASSERT_OK(txn.Abort());
  EXPECT_EQ(Builder().Open(txn, nullptr, JOHNNY_BUILD_REPLACE), JOHNNY_TXN_ENDED);
}

TEST_F(BuilderEndTest, ItsTableMayGoAndComeBack) {
  Txn txn(env_);
  johnny_table* table = txn.Table("t");
  ASSERT_OK(txn.Put("a", "b", 0, table));
  Builder builder(txn, table, JOHNNY_BUILD_REPLACE);
  Builder lost(txn, table, JOHNNY_BUILD_REPLACE);
  ASSERT_OK(builder.AddAll(New()));
  ASSERT_OK(lost.AddAll(New()));
  ASSERT_OK(Result(johnny_table_drop(txn.get(), table)));
  EXPECT_EQ(lost.Finish(), JOHNNY_NO_TABLE);
  lost.Close();
  EXPECT_EQ(Builder().Open(txn, table), JOHNNY_NO_TABLE);
  ASSERT_EQ(txn.Table("t"), table);
  ASSERT_OK(builder.Finish());
  EXPECT_TRUE(txn.All(table) == New());
  ASSERT_OK(txn.Commit());
  EXPECT_TRUE(Committed(table) == New());
}

// ---- No room ----

johnny_options SmallDatabase() {
  johnny_options options = TestOptions();
  options.size_limit = uint64_t{2} << 20;
  return options;
}

class FullBuilderTest : public BuilderEndTest {
 protected:
  FullBuilderTest() : BuilderEndTest(SmallDatabase()) {}
  // Adds up to the limit; how many fitted.
  static uint64_t AddUpToTheLimit(Builder* builder, size_t value_size) {
    Result result = JOHNNY_OK;
    uint64_t i = 0;
    for (; i < 100000 && result.ok(); i += result.ok() ? 1 : 0) {
      result = builder->Add(NumberedKey(i), Pattern(value_size, static_cast<uint32_t>(i)));
    }
    EXPECT_EQ(result, JOHNNY_SIZE_LIMIT);
    return i;
  }
};

TEST_F(FullBuilderTest, LeavesTheTransactionUsable) {
  Contents contents = Committed();
  for (size_t value_size : {100, 1500, 9000}) {
    for (bool close : {true, false}) {
      Txn txn(env_);
      ASSERT_OK(txn.Put("round", std::to_string(value_size)));
      Builder builder(txn, nullptr, JOHNNY_BUILD_REPLACE);
      uint64_t fitted = AddUpToTheLimit(&builder, value_size);
      EXPECT_GT(fitted * value_size, uint64_t{1} << 20) << value_size;
      EXPECT_EQ(builder.Add("zz", "v"), JOHNNY_INVALID_ARGUMENT) << "it can only be closed";
      EXPECT_EQ(builder.Finish(), JOHNNY_INVALID_ARGUMENT);
      EXPECT_EQ(txn.Info().failed, 0u);
      if (close) {
        builder.Close();
        ASSERT_OK(txn.Put("there is room again", "v"));
        contents["there is room again"] = "v";
      }
      ASSERT_OK(txn.Commit());
      contents["round"] = std::to_string(value_size);
      EXPECT_EQ(Committed(), contents);
      EXPECT_TRUE(env_.VerifyClean()) << value_size;
    }
  }
}

// As much as there is room for, less and less: somewhere on the way it is the finish, or the commit, that there is no room for.
TEST_F(FullBuilderTest, WhateverFailsNothingIsLost) {
  Contents contents = Committed();
  uint64_t most = 0;
  {
    Txn txn(env_);
    Builder builder(txn, nullptr, JOHNNY_BUILD_REPLACE);
    most = AddUpToTheLimit(&builder, 300);
  }
  bool fitted = false;
  for (uint64_t less = 0; less < 400 && !fitted; less += 5) {
    Txn txn(env_);
    Contents built;
    Builder builder(txn, nullptr, JOHNNY_BUILD_REPLACE);
    for (uint64_t i = 0; i + less < most; ++i) {
      built[NumberedKey(i)] = Pattern(300, static_cast<uint32_t>(i));
    }
    Result result = builder.AddAll(built);
    if (result.ok()) {
      result = builder.Finish();
    }
    if (result.ok()) {
      EXPECT_TRUE(txn.All() == built);
    } else {
      EXPECT_EQ(result, JOHNNY_SIZE_LIMIT);
      EXPECT_EQ(txn.All(), contents);
    }
    builder.Close();
    bool finished = result.ok();
    result = txn.Commit();
    fitted = finished && result.ok();
    EXPECT_TRUE(result.ok() || result == JOHNNY_SIZE_LIMIT) << result;
    ASSERT_TRUE(Committed() == (fitted ? built : contents)) << less << " fewer";
    ASSERT_TRUE(env_.VerifyClean()) << less << " fewer";
  }
  EXPECT_TRUE(fitted);
}

}  // namespace
}  // namespace johnny::test
