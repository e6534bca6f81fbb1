// Nested transactions through the C interface. Random ones: test/model; below it: test/txn/nested_test.cc.
#include <functional>

#include "support/test_db.h"

namespace johnny::test {
namespace {

class NestedTest : public DbTest {
 protected:
  NestedTest() { Fill(0, 100); }
  ~NestedTest() override {
    if (env_.get() != nullptr) {
      EXPECT_TRUE(env_.VerifyClean());
    }
  }
  Contents Committed() {
    Txn reader(env_, JOHNNY_READ);
    return reader.All();
  }
};

// ---- Ends ----

TEST_F(NestedTest, CommitHandsChangesToTheParent) {
  Txn outer(env_);
  EXPECT_OK(outer.Put("a", "outer"));
  Txn inner = Txn::In(outer);
  EXPECT_EQ(inner.Find("a"), "outer");
  EXPECT_OK(inner.Put("a", "inner"));
  EXPECT_OK(inner.Delete(NumberedKey(5)));
  EXPECT_OK(inner.Commit());
  EXPECT_EQ(outer.Find("a"), "inner");
  EXPECT_EQ(outer.Find(NumberedKey(5)), std::nullopt);
  EXPECT_EQ(outer.Entries(), 100u);
  EXPECT_EQ(Committed().size(), 100u) << "nothing is published yet";
  EXPECT_OK(outer.Commit());
  EXPECT_EQ(Committed().at("a"), "inner");
}

TEST_F(NestedTest, AbortLeavesTheParentAsItWas) {
  Txn outer(env_);
  EXPECT_OK(outer.Put("a", "outer"));
  Contents before = outer.All();
  for (int i = 0; i < 3; ++i) {
    Txn inner = Txn::In(outer);
    EXPECT_OK(inner.Put("a", "inner"));
    EXPECT_OK(inner.Put("b", Pattern(50000, 1)));
    EXPECT_OK(inner.Delete(NumberedKey(5)));
    EXPECT_OK(Result(johnny_table_clear(inner.get(), nullptr)));
    EXPECT_EQ(inner.Entries(), 0u);
    EXPECT_OK(inner.Put("c", "inner"));
    EXPECT_OK(inner.Abort());
    EXPECT_EQ(outer.All(), before);
  }
  EXPECT_OK(outer.Commit());
  EXPECT_EQ(Committed(), before);
}

TEST_F(NestedTest, ACommittedOneGoesWithItsAbortedParent) {
  Contents before = Committed();
  Txn outer(env_);
  Txn middle = Txn::In(outer);
  Txn inner = Txn::In(middle);
  EXPECT_OK(inner.Put("a", Pattern(50000, 1)));
  EXPECT_OK(inner.Commit());
  EXPECT_OK(middle.Abort());
  EXPECT_EQ(outer.All(), before);
  EXPECT_OK(outer.Commit());
  EXPECT_EQ(Committed(), before);
}

TEST_F(NestedTest, CommittingTheParentCommitsWhatIsOpenInIt) {
  Txn outer(env_);
  Txn middle = Txn::In(outer);
  EXPECT_OK(middle.Put("a", "1"));
  Txn inner = Txn::In(middle);
  EXPECT_OK(inner.Put("b", "2"));
  EXPECT_OK(outer.Commit());
  EXPECT_EQ(inner.Put("c", "3"), JOHNNY_TXN_ENDED);
  EXPECT_EQ(middle.Put("c", "3"), JOHNNY_TXN_ENDED);
  EXPECT_EQ(inner.Abort(), JOHNNY_TXN_ENDED);
  EXPECT_EQ(middle.Commit(), JOHNNY_TXN_ENDED);
  Contents contents = Committed();
  EXPECT_EQ(contents.at("a"), "1");
  EXPECT_EQ(contents.at("b"), "2");
}

TEST_F(NestedTest, AbortingTheParentAbortsWhatIsOpenInIt) {
  Contents before = Committed();
  Txn outer(env_);
  Txn middle = Txn::In(outer);
  Txn inner = Txn::In(middle);
  EXPECT_OK(inner.Put("b", "2"));
  EXPECT_OK(outer.Abort());
  EXPECT_EQ(inner.Put("c", "3"), JOHNNY_TXN_ENDED);
  EXPECT_EQ(middle.Commit(), JOHNNY_TXN_ENDED);
  EXPECT_EQ(Committed(), before);
}

TEST_F(NestedTest, AnUnknownDurabilityAbortsTheNestedOneOnly) {
  Txn outer(env_);
  Txn inner = Txn::In(outer);
  EXPECT_OK(inner.Put("a", "1"));
  EXPECT_EQ(inner.CommitWith(99), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(outer.Find("a"), std::nullopt);
  inner = Txn::In(outer);
  EXPECT_OK(inner.Put("a", "1"));
  EXPECT_OK(inner.CommitWith(JOHNNY_TWO_PHASE)) << "a durability is ignored";
  EXPECT_OK(outer.Commit());
}

TEST_F(NestedTest, TheyHaveTheIdOfTheOutermost) {
  Txn outer(env_);
  Txn inner = Txn::In(outer);
  EXPECT_EQ(inner.Id(), outer.Id());
  EXPECT_EQ(inner.Info().depth, 1u);
  EXPECT_OK(inner.Abort());
  EXPECT_EQ(outer.Info().depth, 0u);
}

TEST_F(NestedTest, ACommitOfANestedChangeIsAChange) {
  uint64_t before = env_.Info().last_txn_id;
  Txn outer(env_);
  Txn inner = Txn::In(outer);
  EXPECT_OK(inner.Put("a", "1"));
  EXPECT_OK(inner.Commit());
  uint64_t id = outer.Id();
  EXPECT_OK(outer.Commit());
  EXPECT_EQ(env_.Info().last_txn_id, id);
  Txn empty(env_);
  inner = Txn::In(empty);
  EXPECT_OK(inner.Put("a", "2"));
  EXPECT_OK(inner.Abort());
  EXPECT_OK(empty.Commit());
  EXPECT_EQ(env_.Info().last_txn_id, id) << "an aborted one leaves nothing to publish";
  EXPECT_LT(before, id);
}

// ---- Misuse ----

TEST_F(NestedTest, ChangesBeforeAnIdleOneAreCommitted) {
  auto commit_after = [this](const std::function<void(Txn*)>& change) {
    Txn txn(env_);
    change(&txn);
    EXPECT_OK(Txn::In(txn).Commit());
    EXPECT_OK(txn.Commit());
  };
  commit_after([](Txn* txn) { EXPECT_OK(txn->Put("key", "1")); });
  EXPECT_EQ(Txn(env_, JOHNNY_READ).Find("key"), "1");
  commit_after([](Txn* txn) { EXPECT_OK(txn->CreateSnapshot("kept")); });
  EXPECT_EQ(Txn(env_, JOHNNY_READ).Snapshots().size(), 1u);
  commit_after([](Txn* txn) { EXPECT_OK(txn->DeleteSnapshot("kept")); });
  EXPECT_EQ(Txn(env_, JOHNNY_READ).Snapshots().size(), 0u);
  commit_after([](Txn* txn) { txn->Table("table"); });
  EXPECT_EQ(Txn(env_, JOHNNY_READ).TableNames(), std::vector<std::string>{"table"});
  commit_after([](Txn* txn) { EXPECT_OK(Result(johnny_table_drop(txn->get(), txn->Table("table")))); });
  EXPECT_TRUE(Txn(env_, JOHNNY_READ).TableNames().empty());
}

TEST_F(NestedTest, TheParentCanOnlyWait) {
  Txn outer(env_);
  johnny_table* table = outer.Table("t");
  Cursor cursor(outer);
  EXPECT_OK(cursor.First());
  Txn inner = Txn::In(outer);
  Result result = outer.Put("a", "b");
  EXPECT_EQ(result, JOHNNY_IN_USE);
  EXPECT_NE(result.message().find("nested"), std::string::npos) << result.message();
  std::string value;
  EXPECT_EQ(outer.Get("a", &value), JOHNNY_IN_USE);
  EXPECT_EQ(outer.Delete("a"), JOHNNY_IN_USE);
  EXPECT_EQ(outer.OpenTable("u", JOHNNY_TABLE_CREATE, &table), JOHNNY_IN_USE);
  EXPECT_EQ(Result(johnny_table_clear(outer.get(), nullptr)), JOHNNY_IN_USE);
  EXPECT_EQ(Result(johnny_table_drop(outer.get(), table)), JOHNNY_IN_USE);
  EXPECT_EQ(outer.CreateSnapshot("s"), JOHNNY_IN_USE);
  EXPECT_EQ(cursor.Next(), JOHNNY_IN_USE);
  EXPECT_EQ(cursor.Put("x"), JOHNNY_IN_USE);
  EXPECT_EQ(outer.Reset(), JOHNNY_IN_USE);
  EXPECT_EQ(outer.Renew(), JOHNNY_WRONG_TXN);
  johnny_txn_info info{};
  info.struct_size = sizeof info;
  EXPECT_EQ(Result(johnny_txn_get_info(outer.get(), &info)), JOHNNY_IN_USE);
  Txn second;
  EXPECT_EQ(second.BeginIn(outer), JOHNNY_IN_USE);
  EXPECT_NE(outer.Id(), 0u);
  cursor.Close();
  EXPECT_OK(inner.Abort());
  EXPECT_OK(outer.Put("a", "b"));
}

TEST_F(NestedTest, OnlyALiveWriteTransactionCanBeAParent) {
  Txn second;
  Txn reader(env_, JOHNNY_READ);
  EXPECT_EQ(second.BeginIn(reader), JOHNNY_WRONG_TXN);
  Txn writer(env_);
  johnny_txn* out = nullptr;
  EXPECT_EQ(Result(johnny_begin_nested(writer.get(), JOHNNY_READ, &out)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_begin_nested(writer.get(), 0, nullptr)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_begin_nested(nullptr, 0, &out)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(out, nullptr);
  EXPECT_OK(writer.Put("a", "b")) << "none of these has paused it";
  EXPECT_OK(writer.Abort());
  EXPECT_EQ(second.BeginIn(writer), JOHNNY_TXN_ENDED);
}

TEST_F(NestedTest, DepthIsLimited) {
  std::vector<Txn> nest;
  nest.emplace_back(env_);
  for (uint32_t depth = 1; depth <= JOHNNY_MAX_NESTING; ++depth) {
    nest.push_back(Txn::In(nest.back()));
    EXPECT_OK(nest.back().Put("a", std::to_string(depth)));
  }
  Txn one_more;
  EXPECT_EQ(one_more.BeginIn(nest.back()), JOHNNY_INVALID_ARGUMENT);
  for (uint32_t depth = JOHNNY_MAX_NESTING; depth > 0; --depth) {
    EXPECT_EQ(nest.back().Find("a"), std::to_string(depth));
    EXPECT_OK(nest.back().Abort());
    nest.pop_back();
  }
  EXPECT_EQ(nest.back().Find("a"), std::nullopt);
}

TEST_F(NestedTest, AnOpenOneKeepsTheEnvironmentOpen) {
  Txn outer(env_);
  Txn inner = Txn::In(outer);
  EXPECT_EQ(env_.Close(), JOHNNY_IN_USE);
  EXPECT_OK(outer.Abort());
  EXPECT_EQ(inner.Abort(), JOHNNY_TXN_ENDED);  // not later, when closing has freed the handle
  EXPECT_OK(env_.Close());
}

// ---- Cursors ----

TEST_F(NestedTest, CursorsOfTheParentKeepTheirPlaces) {
  Txn outer(env_);
  EXPECT_OK(outer.Put(NumberedKey(10), "outer"));
  Cursor frame(outer), page(outer), deleted(outer);
  ASSERT_EQ(frame.SeekKey(NumberedKey(10), JOHNNY_SEEK_EXACT), NumberedKey(10));
  ASSERT_EQ(page.SeekKey(NumberedKey(90), JOHNNY_SEEK_EXACT), NumberedKey(90));
  ASSERT_EQ(deleted.SeekKey(NumberedKey(20), JOHNNY_SEEK_EXACT), NumberedKey(20));
  for (bool commit : {false, true}) {
    Txn inner = Txn::In(outer);
    for (int i = 0; i < 2000; ++i) {
      EXPECT_OK(inner.Put("new" + NumberedKey(i), Pattern(100, 1)));
    }
    EXPECT_OK(inner.Delete(NumberedKey(20)));
    EXPECT_OK(inner.Delete(NumberedKey(9)));
    EXPECT_OK(commit ? inner.Commit() : inner.Abort());
    EXPECT_EQ(frame.Key(), NumberedKey(10));
    EXPECT_EQ(page.Key(), NumberedKey(90));
    EXPECT_EQ(deleted.Key(), commit ? "<JOHNNY_NOT_FOUND>" : NumberedKey(20));
    EXPECT_EQ(frame.PrevKey(), NumberedKey(commit ? 8 : 9));
    EXPECT_EQ(frame.NextKey(), NumberedKey(10));
  }
  EXPECT_EQ(deleted.NextKey(), NumberedKey(21));
}

TEST_F(NestedTest, CursorsOfANestedOneEndWithIt) {
  Txn outer(env_);
  Txn inner = Txn::In(outer);
  Cursor cursor(inner);
  EXPECT_OK(cursor.First());
  EXPECT_OK(outer.Abort());
  EXPECT_EQ(cursor.Next(), JOHNNY_TXN_ENDED);
}

TEST_F(NestedTest, ATableThatTheParentHasCursorsOnCannotBeDropped) {
  Txn outer(env_);
  johnny_table* table = outer.Table("t");
  Cursor cursor(outer, table);
  Txn middle = Txn::In(outer);
  Txn inner = Txn::In(middle);
  EXPECT_EQ(Result(johnny_table_drop(inner.get(), table)), JOHNNY_IN_USE);
  EXPECT_EQ(Result(johnny_table_rename(inner.get(), table, "u")), JOHNNY_IN_USE);
  cursor.Close();
  EXPECT_OK(Result(johnny_table_drop(inner.get(), table)));
}

// ---- Tables and named snapshots ----

TEST_F(NestedTest, TablesComeAndGoWithTheNestedOne) {
  Txn outer(env_);
  johnny_table* kept = outer.Table("kept");
  EXPECT_OK(outer.Put("k", "outer", 0, kept));
  for (bool commit : {false, true}) {
    Txn inner = Txn::In(outer);
    johnny_table* made = inner.Table("made");
    EXPECT_OK(inner.Put("m", "inner", 0, made));
    EXPECT_OK(inner.Put("k", "inner", 0, kept));
    EXPECT_OK(Result(johnny_table_rename(inner.get(), kept, "renamed")));
    EXPECT_EQ(inner.TableNames(), (std::vector<std::string>{"made", "renamed"}));
    EXPECT_OK(commit ? inner.Commit() : inner.Abort());
    std::vector<std::string> names = {"kept"};
    if (commit) {
      names = {"made", "renamed"};
      EXPECT_EQ(outer.Find("m", made), "inner");
      EXPECT_EQ(outer.Find("k", outer.Table("renamed", 0)), "inner");
    } else {
      EXPECT_EQ(outer.Find("k", kept), "outer");
      johnny_table* table = nullptr;
      EXPECT_EQ(outer.OpenTable("made", 0, &table), JOHNNY_NO_TABLE);
    }
    EXPECT_EQ(outer.TableNames(), names);
  }
  EXPECT_OK(outer.Commit());
  EXPECT_EQ(env_.Info().tables, 2u);
  Txn reader(env_, JOHNNY_READ);
  EXPECT_EQ(reader.Find("k", reader.Table("renamed", 0)), "inner");
}

TEST_F(NestedTest, ATableOnlyANestedOneChangedIsCommitted) {
  Txn first(env_);
  johnny_table* table = first.Table("t");
  EXPECT_OK(first.Commit());
  Txn outer(env_);
  Txn middle = Txn::In(outer);
  Txn inner = Txn::In(middle);
  EXPECT_OK(inner.Put("k", "v", 0, table));
  EXPECT_OK(outer.Commit());
  Txn reader(env_, JOHNNY_READ);
  EXPECT_EQ(reader.Find("k", table), "v");
}

TEST_F(NestedTest, NamedSnapshotsComeAndGoWithTheNestedOne) {
  Txn outer(env_);
  EXPECT_OK(outer.Put("a", "1"));
  Txn inner = Txn::In(outer);
  EXPECT_OK(inner.CreateSnapshot("s"));
  EXPECT_EQ(inner.Snapshots().size(), 1u);
  EXPECT_OK(inner.Abort());
  EXPECT_EQ(outer.Snapshots().size(), 0u);
  inner = Txn::In(outer);
  EXPECT_OK(inner.CreateSnapshot("s"));
  EXPECT_OK(inner.Commit());
  EXPECT_EQ(outer.CreateSnapshot("s"), JOHNNY_EXISTS);
  EXPECT_OK(outer.Commit());
  Txn reader = Txn::On(env_, "s");
  EXPECT_EQ(reader.Find("a"), std::nullopt) << "it keeps what the outermost transaction began with";
  EXPECT_EQ(reader.Entries(), 100u);
}

// ---- Space and memory ----

TEST_F(NestedTest, AbortsUseNothingUp) {
  options_.memory_budget = 64 * options_.page_size;
  Reopen();
  Txn outer(env_);
  EXPECT_OK(outer.Put("a", Pattern(20000, 1)));
  uint64_t early = 0;
  johnny_txn_info before = outer.Info();
  for (int i = 0; i < 50; ++i) {
    Txn inner = Txn::In(outer);
    EXPECT_OK(inner.Put("a", Pattern(30000, 2)));
    for (int k = 0; k < 300; ++k) {
      EXPECT_OK(inner.Put("new" + NumberedKey(k), Pattern(1000, 3)));
    }
    EXPECT_GT(inner.Info().spilled_pages, 0u);
    EXPECT_GT(inner.Info().extent_pages, before.extent_pages);
    EXPECT_OK(inner.Abort());
    uint64_t size = env_.Info().file_size;
    early = i == 0 ? size : early;
    EXPECT_EQ(size, early);
  }
  johnny_txn_info after = outer.Info();
  EXPECT_EQ(after.changed_pages, before.changed_pages);
  EXPECT_EQ(after.spilled_pages, before.spilled_pages);
  EXPECT_EQ(after.freed_pages, before.freed_pages);
  EXPECT_EQ(after.extent_pages, before.extent_pages);
  EXPECT_EQ(outer.Find("a"), Pattern(20000, 1));
  EXPECT_OK(outer.Commit());
}

TEST_F(NestedTest, FiguresGoOnFromTheParentsAndBackToIt) {
  options_.memory_budget = 64 * options_.page_size;
  Reopen();
  Txn outer(env_);
  auto put_many = [](Txn* txn, const std::string& prefix) {
    for (int k = 0; k < 300; ++k) {
      EXPECT_OK(txn->Put(prefix + NumberedKey(k), Pattern(1000, 3)));
    }
  };
  put_many(&outer, "outer");
  uint64_t before = outer.Info().spilled_pages;
  EXPECT_GT(before, 0u);
  Txn inner = Txn::In(outer);
  EXPECT_EQ(inner.Info().spilled_pages, before);
  put_many(&inner, "inner");
  uint64_t within = inner.Info().spilled_pages;
  EXPECT_GT(within, before);
  EXPECT_OK(inner.Commit());
  EXPECT_EQ(outer.Info().spilled_pages, within);
  EXPECT_OK(outer.Commit());
}

TEST_F(NestedTest, ASizeLimitHitInsideCanBeUndone) {
  ASSERT_OK(env_.Close());
  options_.size_limit = 4 << 20;
  ASSERT_OK(env_.Open(path_, options_));
  Txn outer(env_);
  EXPECT_OK(outer.Put("a", "outer"));
  for (int i = 0; i < 3; ++i) {
    Txn inner = Txn::In(outer);
    Result result = JOHNNY_OK;
    int puts = 0;
    for (; result == JOHNNY_OK; ++puts) {
      result = inner.Put("new" + NumberedKey(puts), Pattern(1000, 3));
    }
    EXPECT_EQ(result, JOHNNY_SIZE_LIMIT);
    EXPECT_GT(puts, 2000) << "round " << i;
    EXPECT_EQ(inner.Info().failed, 0u);
    EXPECT_OK(inner.Abort());
  }
  EXPECT_OK(outer.Put("b", Pattern(100000, 1)));
  EXPECT_OK(outer.Commit());
}

TEST_F(NestedTest, ArgumentsMayPointIntoTheParentsPages) {
  Txn outer(env_);
  EXPECT_OK(outer.Put("a", "value"));
  johnny_slice value{};
  ASSERT_OK(Result(johnny_get(outer.get(), nullptr, "a", 1, &value)));
  Txn inner = Txn::In(outer);
  EXPECT_EQ(View(value), "value") << "beginning changes nothing";
  EXPECT_OK(Result(johnny_put(inner.get(), nullptr, "b", 1, value.data, value.size, 0)));
  EXPECT_EQ(inner.Find("b"), "value");
  EXPECT_OK(inner.Commit());
  EXPECT_EQ(outer.Find("b"), "value");
}

TEST_F(NestedTest, CountsAreExactAtEveryLevel) {
  Txn outer(env_);
  for (int i = 0; i < 5000; ++i) {
    EXPECT_OK(outer.Put("x" + NumberedKey(i), "v"));
  }
  Txn inner = Txn::In(outer);
  for (int i = 0; i < 5000; i += 2) {
    EXPECT_OK(inner.Delete("x" + NumberedKey(i)));
  }
  uint64_t rank = 0;
  EXPECT_OK(inner.Rank("x" + NumberedKey(4000), &rank));
  EXPECT_EQ(rank, 100u + 2000u);
  EXPECT_OK(inner.Abort());
  EXPECT_OK(outer.Rank("x" + NumberedKey(4000), &rank));
  EXPECT_EQ(rank, 100u + 4000u);
  Entry entry;
  EXPECT_OK(outer.Nth(100 + 4321, &entry));
  EXPECT_EQ(entry.first, "x" + NumberedKey(4321));
}

}  // namespace
}  // namespace johnny::test
