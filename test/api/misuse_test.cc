// Each misuse that can be detected has its own code, and leaves everything as it was.
#include "support/test_db.h"

namespace johnny::test {
namespace {

class MisuseTest : public DbTest {
 protected:
  MisuseTest() { Fill(0, 10); }
  ~MisuseTest() override { EXPECT_TRUE(env_.VerifyClean()); }

  const std::string key_ = NumberedKey(3);
};

// ---- READ_ONLY_TXN ----

TEST_F(MisuseTest, ChangesInAReadTransactionAreReadOnlyTxn) {
  Txn txn(env_, JOHNNY_READ);
  EXPECT_EQ(txn.Put("a", "b"), JOHNNY_READ_ONLY_TXN);
  EXPECT_EQ(txn.Delete(key_), JOHNNY_READ_ONLY_TXN);
  EXPECT_EQ(txn.Delete("missing"), JOHNNY_READ_ONLY_TXN);
  EXPECT_EQ(Result(johnny_table_clear(txn.get(), nullptr)), JOHNNY_READ_ONLY_TXN);
  johnny_table* table = nullptr;
  EXPECT_EQ(txn.OpenTable("new", JOHNNY_TABLE_CREATE, &table), JOHNNY_READ_ONLY_TXN);
  EXPECT_EQ(txn.Find(key_), key_);
}

TEST_F(MisuseTest, ChangesAtACursorOfAReadTransactionAreReadOnlyTxn) {
  Txn txn(env_, JOHNNY_READ);
  Cursor cursor(txn);
  ASSERT_OK(cursor.First());
  EXPECT_EQ(cursor.Put("x"), JOHNNY_READ_ONLY_TXN);
  EXPECT_EQ(cursor.Delete(), JOHNNY_READ_ONLY_TXN);
  EXPECT_EQ(cursor.Key(), NumberedKey(0));
}

TEST_F(MisuseTest, TableChangesInAReadTransactionAreReadOnlyTxn) {
  Txn writer(env_);
  johnny_table* table = writer.Table("t");
  ASSERT_OK(writer.Commit());
  Txn txn(env_, JOHNNY_READ);
  EXPECT_EQ(Result(johnny_table_drop(txn.get(), table)), JOHNNY_READ_ONLY_TXN);
  EXPECT_EQ(Result(johnny_table_rename(txn.get(), table, "u")), JOHNNY_READ_ONLY_TXN);
}

// ---- READ_ONLY_ENV ----

TEST_F(MisuseTest, WritingInAReadOnlyEnvironmentIsReadOnlyEnv) {
  ASSERT_OK(env_.Close());
  options_.flags = JOHNNY_READ_ONLY;
  ASSERT_OK(env_.Open(path_, options_));
  Txn txn;
  EXPECT_EQ(txn.Begin(env_), JOHNNY_READ_ONLY_ENV);
  EXPECT_EQ(env_.Sync(), JOHNNY_READ_ONLY_ENV);
}

// ---- WRONG_ENV ----

TEST_F(MisuseTest, ATableOfAnotherEnvironmentIsWrongEnv) {
  Env other(dir_.File("other"));
  Txn setup(other);
  johnny_table* foreign = setup.Table("t");
  ASSERT_OK(setup.Commit());
  Txn txn(env_);
  std::string value;
  uint64_t number = 0;
  EXPECT_EQ(txn.Put("a", "b", 0, foreign), JOHNNY_WRONG_ENV);
  EXPECT_EQ(txn.Get("a", &value, foreign), JOHNNY_WRONG_ENV);
  EXPECT_EQ(txn.Exists("a", foreign), JOHNNY_WRONG_ENV);
  EXPECT_EQ(txn.Delete("a", foreign), JOHNNY_WRONG_ENV);
  EXPECT_EQ(txn.Rank("a", &number, foreign), JOHNNY_WRONG_ENV);
  EXPECT_EQ(txn.Count(std::nullopt, std::nullopt, &number, foreign), JOHNNY_WRONG_ENV);
  EXPECT_EQ(Cursor().Open(txn, foreign), JOHNNY_WRONG_ENV);
  EXPECT_EQ(Result(johnny_table_clear(txn.get(), foreign)), JOHNNY_WRONG_ENV);
  EXPECT_EQ(Result(johnny_table_drop(txn.get(), foreign)), JOHNNY_WRONG_ENV);
  EXPECT_EQ(Result(johnny_table_rename(txn.get(), foreign, "u")), JOHNNY_WRONG_ENV);
}

// ---- TXN_ENDED ----

TEST_F(MisuseTest, UseAfterCommitIsTxnEnded) {
  Txn txn(env_);
  ASSERT_OK(txn.Put("a", "b"));
  ASSERT_OK(txn.Commit());
  EXPECT_EQ(txn.Put("c", "d"), JOHNNY_TXN_ENDED);
  std::string value;
  EXPECT_EQ(txn.Get("a", &value), JOHNNY_TXN_ENDED);
  EXPECT_EQ(Result(johnny_commit(txn.get())), JOHNNY_TXN_ENDED);
  EXPECT_EQ(Result(johnny_abort(txn.get())), JOHNNY_TXN_ENDED);
  EXPECT_EQ(Cursor().Open(txn), JOHNNY_TXN_ENDED);
  EXPECT_EQ(txn.Id(), 0u);
}

TEST_F(MisuseTest, UseAfterAbortIsTxnEnded) {
  Txn txn(env_);
  ASSERT_OK(txn.Abort());
  EXPECT_EQ(txn.Put("c", "d"), JOHNNY_TXN_ENDED);
  EXPECT_EQ(Result(johnny_commit(txn.get())), JOHNNY_TXN_ENDED);
}

TEST_F(MisuseTest, UseOfAnEndedReaderIsTxnEnded) {
  Txn txn(env_, JOHNNY_READ);
  ASSERT_OK(txn.Abort());
  EXPECT_EQ(txn.Exists("a"), JOHNNY_TXN_ENDED);
  EXPECT_EQ(txn.Reset(), JOHNNY_TXN_ENDED);
  EXPECT_EQ(txn.Renew(), JOHNNY_TXN_ENDED);
}

TEST_F(MisuseTest, ACursorOfAnEndedTransactionIsTxnEnded) {
  Txn txn(env_);
  Cursor cursor(txn);
  ASSERT_OK(cursor.First());
  ASSERT_OK(txn.Commit());
  EXPECT_EQ(cursor.Next(), JOHNNY_TXN_ENDED);
  EXPECT_EQ(cursor.Get(), JOHNNY_TXN_ENDED);
  EXPECT_EQ(cursor.Put("x"), JOHNNY_TXN_ENDED);
  EXPECT_EQ(cursor.Delete(), JOHNNY_TXN_ENDED);
  EXPECT_EQ(cursor.Seek("a", JOHNNY_SEEK_EXACT), JOHNNY_TXN_ENDED);
  EXPECT_EQ(cursor.SetPrefix("a"), JOHNNY_TXN_ENDED);
}

TEST_F(MisuseTest, ACursorMayBeClosedAfterItsTransaction) {
  Txn txn(env_, JOHNNY_READ);
  Cursor first(txn);
  Cursor second(txn);
  ASSERT_OK(first.First());
  ASSERT_OK(txn.Abort());
  second.Close();
  first.Close();
}

// ---- TXN_RESET ----

TEST_F(MisuseTest, UseOfAResetReaderIsTxnReset) {
  Txn txn(env_, JOHNNY_READ);
  Cursor cursor(txn);
  ASSERT_OK(cursor.First());
  ASSERT_OK(txn.Reset());
  EXPECT_EQ(txn.Exists(key_), JOHNNY_TXN_RESET);
  EXPECT_EQ(cursor.Next(), JOHNNY_TXN_RESET);
  EXPECT_EQ(txn.Reset(), JOHNNY_TXN_RESET);
  EXPECT_OK(txn.Renew());
  EXPECT_EQ(txn.Find(key_), key_);
}

TEST_F(MisuseTest, AResetReaderCanBeAborted) {
  Txn txn(env_, JOHNNY_READ);
  ASSERT_OK(txn.Reset());
  EXPECT_OK(txn.Abort());
}

// ---- WRONG_TXN ----

TEST_F(MisuseTest, ResetAndRenewOfAWriteTransactionAreWrongTxn) {
  Txn txn(env_);
  EXPECT_EQ(txn.Reset(), JOHNNY_WRONG_TXN);
  EXPECT_EQ(txn.Renew(), JOHNNY_WRONG_TXN);
  EXPECT_OK(txn.Put("a", "b"));
}

TEST_F(MisuseTest, ScansOfAWriteTransactionAreWrongTxn) {
  Txn txn(env_);
  johnny_table_scan_info info{};
  info.struct_size = sizeof info;
  EXPECT_EQ(Result(johnny_table_scan(txn.get(), nullptr, &info)), JOHNNY_WRONG_TXN);
  auto visit = [](void*, const johnny_page_run*) { return 0; };
  EXPECT_EQ(Result(johnny_page_list(txn.get(), visit, nullptr)), JOHNNY_WRONG_TXN);
}

// ---- Sizes ----

TEST_F(MisuseTest, AnOversizedKeyIsKeyTooLarge) {
  std::string key(env_.Info().max_key_size + 1, 'k');
  Txn txn(env_);
  EXPECT_EQ(txn.Put(key, "v"), JOHNNY_KEY_TOO_LARGE);
  EXPECT_EQ(txn.Put(key, "v", JOHNNY_APPEND), JOHNNY_KEY_TOO_LARGE);
  EXPECT_OK(txn.Put(key.substr(1), "v"));
  EXPECT_OK(txn.Commit());
}

TEST_F(MisuseTest, AnOversizedKeyIsNowhereFound) {
  std::string key(env_.Info().max_key_size + 1, '1');
  Txn txn(env_);
  EXPECT_EQ(txn.Exists(key), JOHNNY_NOT_FOUND);
  EXPECT_EQ(txn.Delete(key), JOHNNY_NOT_FOUND);
  uint64_t rank = 0;
  EXPECT_OK(txn.Rank(key, &rank));
  EXPECT_EQ(rank, 10u);
  EXPECT_EQ(Cursor(txn).SeekKey(key, JOHNNY_SEEK_AT_OR_BEFORE), NumberedKey(9));
}

TEST_F(MisuseTest, AnOversizedValueIsValueTooLarge) {
  Txn txn(env_);
  char byte = 'v';
  size_t size = static_cast<size_t>(env_.Info().max_value_size) + 1;
  EXPECT_EQ(Result(johnny_put(txn.get(), nullptr, "a", 1, &byte, size, 0)), JOHNNY_VALUE_TOO_LARGE);
  EXPECT_EQ(Result(johnny_put(txn.get(), nullptr, "a", 1, &byte, ~size_t{0}, 0)), JOHNNY_VALUE_TOO_LARGE);
  Cursor cursor(txn);
  ASSERT_OK(cursor.First());
  EXPECT_EQ(Result(johnny_cursor_put(cursor.get(), &byte, size)), JOHNNY_VALUE_TOO_LARGE);
  EXPECT_OK(txn.Commit());
  EXPECT_EQ(Txn(env_, JOHNNY_READ).Entries(), 10u);
}

// ---- Order and position ----

TEST_F(MisuseTest, AppendOutOfOrderIsNotAscending) {
  Txn txn(env_);
  EXPECT_EQ(txn.Put(NumberedKey(9), "x", JOHNNY_APPEND), JOHNNY_NOT_ASCENDING);
  EXPECT_EQ(txn.Put(NumberedKey(5), "x", JOHNNY_APPEND), JOHNNY_NOT_ASCENDING);
  EXPECT_EQ(txn.Put("", "x", JOHNNY_APPEND), JOHNNY_NOT_ASCENDING);
  EXPECT_OK(txn.Put(NumberedKey(10), "x", JOHNNY_APPEND));
  EXPECT_EQ(txn.Find(NumberedKey(9)), NumberedKey(9));
}

TEST_F(MisuseTest, NoOverwriteOfAnExistingKeyIsExists) {
  Txn txn(env_);
  EXPECT_EQ(txn.Put(key_, "x", JOHNNY_NO_OVERWRITE), JOHNNY_EXISTS);
  EXPECT_EQ(txn.Find(key_), key_);
}

TEST_F(MisuseTest, UseOfAnUnpositionedCursorIsNotPositioned) {
  Txn txn(env_);
  Cursor cursor(txn);
  EXPECT_EQ(cursor.Get(), JOHNNY_NOT_POSITIONED);
  EXPECT_EQ(cursor.Put("x"), JOHNNY_NOT_POSITIONED);
  EXPECT_EQ(cursor.Delete(), JOHNNY_NOT_POSITIONED);
}

TEST_F(MisuseTest, UseOfADeletedEntryIsNotFound) {
  Txn txn(env_);
  Cursor cursor(txn);
  ASSERT_OK(cursor.Seek(key_, JOHNNY_SEEK_EXACT));
  ASSERT_OK(txn.Delete(key_));
  EXPECT_EQ(cursor.Get(), JOHNNY_NOT_FOUND);
  EXPECT_EQ(cursor.Put("x"), JOHNNY_NOT_FOUND);
  EXPECT_EQ(cursor.Delete(), JOHNNY_NOT_FOUND);
  EXPECT_EQ(txn.Exists(key_), JOHNNY_NOT_FOUND);
}

// ---- Tables ----

TEST_F(MisuseTest, DroppingATableWithOpenCursorsIsInUse) {
  Txn txn(env_);
  johnny_table* table = txn.Table("t");
  ASSERT_OK(txn.Put("a", "b", 0, table));
  Cursor cursor(txn, table);
  EXPECT_EQ(Result(johnny_table_drop(txn.get(), table)), JOHNNY_IN_USE);
  EXPECT_EQ(txn.Find("a", table), "b");
  cursor.Close();
  EXPECT_OK(Result(johnny_table_drop(txn.get(), table)));
}

TEST_F(MisuseTest, UseOfADroppedTableIsNoTable) {
  Txn txn(env_);
  johnny_table* table = txn.Table("t");
  ASSERT_OK(Result(johnny_table_drop(txn.get(), table)));
  EXPECT_EQ(txn.Put("a", "b", 0, table), JOHNNY_NO_TABLE);
  EXPECT_EQ(txn.Exists("a", table), JOHNNY_NO_TABLE);
  EXPECT_EQ(Cursor().Open(txn, table), JOHNNY_NO_TABLE);
  EXPECT_EQ(Result(johnny_table_drop(txn.get(), table)), JOHNNY_NO_TABLE);
}

TEST_F(MisuseTest, OpeningAMissingTableIsNoTable) {
  Txn txn(env_);
  johnny_table* table = nullptr;
  EXPECT_EQ(txn.OpenTable("t", 0, &table), JOHNNY_NO_TABLE);
  EXPECT_EQ(table, nullptr);
}

TEST_F(MisuseTest, BadTableNamesAreInvalid) {
  Txn txn(env_);
  johnny_table* table = nullptr;
  EXPECT_EQ(txn.OpenTable("", JOHNNY_TABLE_CREATE, &table), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(txn.OpenTable(std::string(256, 'n'), JOHNNY_TABLE_CREATE, &table), JOHNNY_INVALID_ARGUMENT);
  EXPECT_OK(txn.OpenTable(std::string(255, 'n'), JOHNNY_TABLE_CREATE, &table));
  EXPECT_EQ(Result(johnny_table_rename(txn.get(), table, "")), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_table_rename(txn.get(), table, std::string(256, 'm').c_str())), JOHNNY_INVALID_ARGUMENT);
}

TEST_F(MisuseTest, TheMainTableCannotBeDroppedOrRenamed) {
  Txn txn(env_);
  EXPECT_EQ(Result(johnny_table_drop(txn.get(), nullptr)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_table_rename(txn.get(), nullptr, "m")), JOHNNY_INVALID_ARGUMENT);
}

// ---- Arguments ----

TEST_F(MisuseTest, NullPointersAreInvalid) {
  johnny_txn* none = nullptr;
  EXPECT_EQ(Result(johnny_begin(nullptr, 0, &none)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_begin(env_.get(), 0, nullptr)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_commit(nullptr)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_OK(Result(johnny_abort(nullptr)));
  EXPECT_EQ(Result(johnny_reset(nullptr)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(johnny_txn_id(nullptr), 0u);
  johnny_slice slice{};
  EXPECT_EQ(Result(johnny_get(nullptr, nullptr, "a", 1, &slice)), JOHNNY_INVALID_ARGUMENT);
  johnny_cursor_close(nullptr);
  EXPECT_EQ(Result(johnny_cursor_first(nullptr, nullptr, nullptr)), JOHNNY_INVALID_ARGUMENT);
  Txn txn(env_);
  EXPECT_EQ(Result(johnny_get(txn.get(), nullptr, nullptr, 1, &slice)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_put(txn.get(), nullptr, nullptr, 1, "v", 1, 0)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_put(txn.get(), nullptr, "k", 1, nullptr, 1, 0)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_count(txn.get(), nullptr, nullptr, nullptr, nullptr)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_cursor_open(txn.get(), nullptr, nullptr)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_table_list(txn.get(), nullptr, nullptr)), JOHNNY_INVALID_ARGUMENT);
}

TEST_F(MisuseTest, NullStandsForEmptyBytes) {
  Txn txn(env_);
  EXPECT_OK(Result(johnny_put(txn.get(), nullptr, nullptr, 0, nullptr, 0, 0)));
  EXPECT_EQ(txn.Find(""), "");
}

TEST_F(MisuseTest, UnknownFlagsAreInvalid) {
  Txn txn;
  EXPECT_EQ(txn.Begin(env_, 0x100), JOHNNY_INVALID_ARGUMENT);
  ASSERT_OK(txn.Begin(env_));
  EXPECT_EQ(txn.Put("a", "b", 0x100), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Cursor(txn).Seek("a", 3), JOHNNY_INVALID_ARGUMENT);
  johnny_table* table = nullptr;
  EXPECT_EQ(txn.OpenTable("t", 0x100, &table), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(txn.Exists("a"), JOHNNY_NOT_FOUND);
}

TEST_F(MisuseTest, AnUnknownDurabilityEndsTheTransactionUncommitted) {
  Txn txn(env_);
  ASSERT_OK(txn.Put("a", "b"));
  EXPECT_EQ(txn.CommitWith(99), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_commit(txn.get())), JOHNNY_TXN_ENDED);
  EXPECT_EQ(Txn(env_, JOHNNY_READ).Exists("a"), JOHNNY_NOT_FOUND);
  Txn next;
  EXPECT_OK(next.Begin(env_, JOHNNY_NO_WAIT));
}

// ---- BUSY, READERS_FULL ----

TEST_F(MisuseTest, ASecondWriterThatWillNotWaitIsBusy) {
  Txn first(env_);
  Txn second;
  EXPECT_EQ(second.Begin(env_, JOHNNY_NO_WAIT), JOHNNY_BUSY);
  EXPECT_OK(second.Begin(env_, JOHNNY_READ | JOHNNY_NO_WAIT));
  ASSERT_OK(first.Abort());
  Txn third;
  EXPECT_OK(third.Begin(env_, JOHNNY_NO_WAIT));
}

TEST_F(MisuseTest, MoreReadersThanSlotsIsReadersFull) {
  ASSERT_OK(env_.Close());
  options_.max_readers = 2;
  ASSERT_OK(env_.Open(path_, options_));
  EXPECT_EQ(env_.Info().max_readers, 2u);
  Txn first(env_, JOHNNY_READ);
  Txn second(env_, JOHNNY_READ);
  Txn third;
  EXPECT_EQ(third.Begin(env_, JOHNNY_READ), JOHNNY_READERS_FULL);
  ASSERT_OK(second.Abort());
  EXPECT_OK(third.Begin(env_, JOHNNY_READ));
  Txn writer;
  EXPECT_OK(writer.Begin(env_));  // needs no slot
}

}  // namespace
}  // namespace johnny::test
