// Many changes at a time.
#include <random>

#include "model/op.h"
#include "support/bulk.h"

namespace johnny::test {
namespace {

class BatchTest : public DbTest {
 protected:
  explicit BatchTest(const johnny_options& options = TestOptions()) : DbTest(options) { Fill(0, 100); }
  ~BatchTest() override {
    if (env_.get() != nullptr) {
      EXPECT_TRUE(env_.VerifyClean());
    }
  }
  Contents Committed() {
    Txn reader(env_, JOHNNY_READ);
    return reader.All();
  }
};

void Apply(const std::vector<Change>& changes, Contents* contents) {
  for (const Change& change : changes) {
    if (change.value) {
      (*contents)[change.key] = *change.value;
    } else {
      contents->erase(change.key);
    }
  }
}

TEST_F(BatchTest, MakesAllChangesWhateverTheirOrder) {
  Txn txn(env_);
  Contents contents = txn.All();
  std::vector<Change> changes = {
      {NumberedKey(70), "x"},   {"zz", "last"},        {NumberedKey(5), std::nullopt}, {"", "empty key"},
      {"absent", std::nullopt}, {NumberedKey(50), ""}, {"large", Pattern(100000, 1)}};
  ASSERT_OK(WriteBatch(txn, changes));
  Apply(changes, &contents);
  EXPECT_EQ(txn.All(), contents);
  EXPECT_EQ(txn.Entries(), contents.size());
  ASSERT_OK(txn.Commit());
  EXPECT_EQ(Committed(), contents);
}

TEST_F(BatchTest, TheLastOfSeveralForOneKeyCounts) {
  Txn txn(env_);
  Contents contents = txn.All();
  std::vector<Change> changes = {{"a", "1"},
                                 {"b", std::nullopt},
                                 {"c", "1"},
                                 {"a", "2"},
                                 {"b", "1"},
                                 {"c", std::nullopt},
                                 {"a", "3"},
                                 {"d", Pattern(100000, 1)},
                                 {"d", "small"},
                                 {NumberedKey(7), std::nullopt},
                                 {NumberedKey(7), "back"}};
  ASSERT_OK(WriteBatch(txn, changes));
  Apply(changes, &contents);
  EXPECT_EQ(txn.All(), contents);
  EXPECT_EQ(txn.TableInfo().large_values, 0u) << "what does not count is not stored";
  ASSERT_OK(txn.Commit());
}

TEST_F(BatchTest, AnEmptyOneAndOneOfNothingButAbsentKeysChangeNothing) {
  Contents before = Committed();
  Txn txn(env_);
  EXPECT_OK(Result(johnny_write_batch(txn.get(), nullptr, nullptr, 0)));
  EXPECT_OK(WriteBatch(txn, {}));
  EXPECT_OK(WriteBatch(txn, {{"absent", std::nullopt}, {"absent too", std::nullopt}, {std::string(10000, 'k'), std::nullopt}}));
  EXPECT_EQ(txn.All(), before);
  EXPECT_OK(txn.Commit());
  EXPECT_EQ(Committed(), before);
}

TEST_F(BatchTest, WhatIsRefusedChangesNothing) {
  Txn txn(env_);
  ASSERT_OK(txn.Put("own", "change"));
  Contents before = txn.All();
  johnny_env_info info = env_.Info();
  EXPECT_EQ(WriteBatch(txn, {{"a", "1"}, {std::string(info.max_key_size + 1, 'k'), "1"}}), JOHNNY_KEY_TOO_LARGE);
  johnny_write writes[2] = {{ToSlice("a"), ToSlice("b"), 0, 0}, {ToSlice("c"), ToSlice("d"), 0, 0}};
  auto refused = [&](int code) {
    EXPECT_EQ(Result(johnny_write_batch(txn.get(), nullptr, writes, 2)), code);
    writes[1] = {ToSlice("c"), ToSlice("d"), 0, 0};
  };
  writes[1].value.size = info.max_value_size + 1;
  refused(JOHNNY_VALUE_TOO_LARGE);
  writes[1].flags = 2;
  refused(JOHNNY_INVALID_ARGUMENT);
  writes[1].flags = JOHNNY_WRITE_DELETE | 1u << 31;
  refused(JOHNNY_INVALID_ARGUMENT);
  writes[1].key.data = nullptr;
  refused(JOHNNY_INVALID_ARGUMENT);
  writes[1].value.data = nullptr;
  refused(JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_write_batch(txn.get(), nullptr, nullptr, 1)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_write_batch(nullptr, nullptr, writes, 1)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(txn.Info().failed, 0u);
  EXPECT_EQ(txn.All(), before);
  ASSERT_OK(txn.Commit());
  EXPECT_EQ(Committed(), before);
}

TEST_F(BatchTest, ADeletedKeyWithoutDataIsRefusedHoweverLong) {
  Txn txn(env_);
  for (size_t size : {size_t{1}, size_t{env_.Info().max_key_size} + 1}) {
    johnny_write write = {{nullptr, size}, {}, JOHNNY_WRITE_DELETE, 0};
    EXPECT_EQ(Result(johnny_write_batch(txn.get(), nullptr, &write, 1)), JOHNNY_INVALID_ARGUMENT) << size;
  }
}

TEST_F(BatchTest, ADeletionsValueIsIgnored) {
  Txn txn(env_);
  std::string key = NumberedKey(3);
  johnny_write write = {ToSlice(key), {nullptr, SIZE_MAX}, JOHNNY_WRITE_DELETE, 0};
  EXPECT_OK(Result(johnny_write_batch(txn.get(), nullptr, &write, 1)));
  EXPECT_EQ(txn.Find(key), std::nullopt);
}

TEST_F(BatchTest, OnlyALiveWriteTransactionTakesOne) {
  Txn reader(env_, JOHNNY_READ);
  EXPECT_EQ(WriteBatch(reader, {{"a", "b"}}), JOHNNY_READ_ONLY_TXN);
  EXPECT_EQ(WriteBatch(reader, {}), JOHNNY_READ_ONLY_TXN);
  Txn writer(env_);
  johnny_table* table = writer.Table("t");
  EXPECT_OK(WriteBatch(writer, {{"a", "b"}}, table));
  EXPECT_EQ(writer.Find("a", table), "b");
  EXPECT_EQ(writer.Find("a"), std::nullopt);
  ASSERT_OK(Result(johnny_table_drop(writer.get(), table)));
  EXPECT_EQ(WriteBatch(writer, {{"a", "b"}}, table), JOHNNY_NO_TABLE);
  EXPECT_EQ(writer.Info().failed, 0u);
}

TEST_F(BatchTest, CursorsKeepTheirPlaces) {
  Txn txn(env_);
  Cursor on(txn);
  Cursor gone(txn);
  ASSERT_EQ(on.SeekKey(NumberedKey(50), JOHNNY_SEEK_EXACT), NumberedKey(50));
  ASSERT_EQ(gone.SeekKey(NumberedKey(60), JOHNNY_SEEK_EXACT), NumberedKey(60));
  std::vector<Change> changes = {{NumberedKey(60), std::nullopt}, {NumberedKey(51), std::nullopt}};
  for (uint64_t i = 0; i < 500; ++i) {
    changes.push_back({NumberedKey(50) + NumberedKey(i), Pattern(200, static_cast<uint32_t>(i))});
  }
  ASSERT_OK(WriteBatch(txn, changes));
  EXPECT_EQ(on.Key(), NumberedKey(50));
  EXPECT_EQ(on.NextKey(), NumberedKey(50) + NumberedKey(0));
  EXPECT_EQ(gone.Key(), "<JOHNNY_NOT_FOUND>");
  EXPECT_EQ(gone.PrevKey(), NumberedKey(59));
}

// Keys and values are copied, so that they may be those of the transaction itself, which the batch moves about.
TEST_F(BatchTest, ArgumentsMayBeOfTheTransactionItself) {
  Txn txn(env_);
  Contents contents = txn.All();
  std::vector<Change> changes;
  for (uint64_t i = 0; i < 100; ++i) {
    changes.push_back({NumberedKey(i), Pattern(10 + i, static_cast<uint32_t>(i))});
  }
  ASSERT_OK(WriteBatch(txn, changes));
  Apply(changes, &contents);
  std::vector<johnny_slice> keys(100);
  std::vector<johnny_slice> values(100);
  size_t count = 0;
  Cursor cursor(txn);
  ASSERT_OK(Result(johnny_cursor_next_many(cursor.get(), 100, keys.data(), values.data(), &count)));
  ASSERT_EQ(count, 100u);
  // Each key gets the value of its counterpart at the other end.
  std::vector<johnny_write> writes(100);
  for (size_t i = 0; i < 100; ++i) {
    writes[i] = {keys[i], values[99 - i], 0, 0};
  }
  Contents swapped;
  for (uint64_t i = 0; i < 100; ++i) {
    swapped[NumberedKey(i)] = contents[NumberedKey(99 - i)];
  }
  ASSERT_OK(Result(johnny_write_batch(txn.get(), nullptr, writes.data(), writes.size())));
  EXPECT_TRUE(txn.All() == swapped);
  ASSERT_OK(txn.Commit());
}

TEST_F(BatchTest, ArgumentsMayBeLargeValuesOfTheTransactionItself) {
  Txn txn(env_);
  std::string first = Pattern(50000, 1), second = Pattern(50000, 2), third = Pattern(50000, 3);
  ASSERT_OK(WriteBatch(txn, {{"a", first}, {"b", second}, {"c", third}}));
  johnny_slice keys[3] = {ToSlice("a"), ToSlice("b"), ToSlice("c")};
  johnny_slice values[3];
  ASSERT_OK(Result(johnny_get_many(txn.get(), nullptr, keys, 3, values, nullptr)));
  johnny_write writes[3] = {{keys[0], values[1], 0, 0}, {keys[1], values[2], 0, 0}, {keys[2], values[0], 0, 0}};
  ASSERT_OK(Result(johnny_write_batch(txn.get(), nullptr, writes, 3)));
  EXPECT_TRUE(txn.Find("a") == second);
  EXPECT_TRUE(txn.Find("b") == third);
  EXPECT_TRUE(txn.Find("c") == first);
}

TEST_F(BatchTest, RandomOnesAgreeWithAMap) {
  std::mt19937 random(7);
  Contents contents = Committed();
  size_t limit = env_.Info().max_key_size;
  for (int round = 0; round < 40; ++round) {
    Contents changed = contents;
    Txn txn(env_);
    for (int batch = 0; batch < 3; ++batch) {
      std::vector<Change> changes;
      size_t size = random() % 4 == 0 ? random() % 2000 : random() % 50;
      for (size_t i = 0; i < size; ++i) {
        std::string key = KeyOf(static_cast<uint32_t>(random() % 20000), limit);
        std::string value = ValueOf(static_cast<uint32_t>(random()), 4096, key.size());
        value.resize(value.size() > 20000 ? value.size() / 50 : value.size());
        changes.push_back({key, random() % 3 == 0 ? std::nullopt : std::optional(value)});
      }
      ASSERT_OK(WriteBatch(txn, changes));
      Apply(changes, &changed);
      ASSERT_EQ(txn.Entries(), changed.size());
    }
    ASSERT_TRUE(txn.All() == changed) << "in round " << round;
    if (round % 4 == 0) {
      ASSERT_OK(txn.Abort());
    } else {
      ASSERT_OK(txn.Commit());
      contents = changed;
    }
    ASSERT_TRUE(Committed() == contents) << "in round " << round;
    ASSERT_TRUE(env_.VerifyClean()) << "in round " << round;
  }
}

// ---- Errors in the middle ----

johnny_options SmallDatabase() {
  johnny_options options = TestOptions();
  options.size_limit = uint64_t{2} << 20;
  return options;
}

class FullBatchTest : public BatchTest {
 protected:
  FullBatchTest() : BatchTest(SmallDatabase()) {}
  // More than the database may hold.
  static std::vector<Change> TooMuch() {
    std::vector<Change> changes;
    for (uint64_t i = 0; i < 3000; ++i) {
      changes.push_back({NumberedKey(i, 8, "full"), Pattern(1000, static_cast<uint32_t>(i))});
    }
    return changes;
  }
};

TEST_F(FullBatchTest, LeaveTheTransactionOnlyToAbort) {
  Contents before = Committed();
  Txn txn(env_);
  ASSERT_OK(txn.Put("own", "change"));
  EXPECT_EQ(WriteBatch(txn, TooMuch()), JOHNNY_SIZE_LIMIT);
  EXPECT_EQ(txn.Info().failed, 1u);
  EXPECT_EQ(txn.Put("a", "b"), JOHNNY_TXN_FAILED);
  EXPECT_EQ(WriteBatch(txn, {{"a", "b"}}), JOHNNY_TXN_FAILED);
  EXPECT_EQ(WriteBatch(txn, {}), JOHNNY_TXN_FAILED);
  EXPECT_EQ(txn.Commit(), JOHNNY_TXN_FAILED);
  EXPECT_EQ(Committed(), before);
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(FullBatchTest, AreUndoneByANestedTransaction) {
  Txn txn(env_);
  ASSERT_OK(WriteBatch(txn, {{"own", "change"}, {NumberedKey(1), std::nullopt}}));
  Contents before = txn.All();
  for (int round = 0; round < 3; ++round) {
    Txn inner = Txn::In(txn);
    EXPECT_EQ(WriteBatch(inner, TooMuch()), JOHNNY_SIZE_LIMIT);
    EXPECT_EQ(round == 1 ? inner.Commit() : inner.Abort(), round == 1 ? JOHNNY_TXN_FAILED : JOHNNY_OK);
    EXPECT_EQ(txn.Info().failed, 0u);
    EXPECT_EQ(txn.All(), before);
  }
  ASSERT_OK(txn.Commit());
  EXPECT_EQ(Committed(), before);
}

TEST_F(BatchTest, NestedOnesAreHandedToTheParentOrDropped) {
  Txn txn(env_);
  Contents contents = txn.All();
  for (int round = 0; round < 6; ++round) {
    Txn inner = Txn::In(txn);
    std::vector<Change> changes = {{"large", Pattern(30000, static_cast<uint32_t>(round))}};
    for (uint64_t i = 0; i < 300; ++i) {
      changes.push_back({NumberedKey(i * 37 % 200 + 10 * static_cast<uint64_t>(round)),
                         i % 3 == 0 ? std::nullopt : std::optional(Pattern(i, static_cast<uint32_t>(round)))});
    }
    ASSERT_OK(WriteBatch(inner, changes));
    if (round % 2 == 0) {
      ASSERT_OK(inner.Commit());
      Apply(changes, &contents);
    } else {
      ASSERT_OK(inner.Abort());
    }
    ASSERT_EQ(txn.All(), contents) << "in round " << round;
  }
  ASSERT_OK(txn.Commit());
  EXPECT_EQ(Committed(), contents);
}

}  // namespace
}  // namespace johnny::test
