// Cursors over a table that stands still: movements, seeks, ranges, prefixes.
#include "support/test_db.h"

namespace johnny::test {
namespace {

constexpr char kNotFound[] = "<JOHNNY_NOT_FOUND>";
constexpr char kNotPositioned[] = "<JOHNNY_NOT_POSITIONED>";

class CursorTest : public DbTest {
 protected:
  // Commits the keys, each with itself as value.
  void PutKeys(std::initializer_list<std::string> keys) {
    Txn txn(env_);
    for (const std::string& key : keys) {
      ASSERT_OK(txn.Put(key, key));
    }
    ASSERT_OK(txn.Commit());
  }
};

TEST_F(CursorTest, NextFromNowhereIsFirstAndPrevIsLast) {
  PutKeys({"a", "b", "c"});
  Txn txn(env_, JOHNNY_READ);
  EXPECT_EQ(Cursor(txn).NextKey(), "a");
  EXPECT_EQ(Cursor(txn).PrevKey(), "c");
}

TEST_F(CursorTest, NextPastTheLastStaysThere) {
  PutKeys({"a", "b"});
  Txn txn(env_, JOHNNY_READ);
  Cursor cursor(txn);
  EXPECT_EQ(cursor.LastKey(), "b");
  EXPECT_EQ(cursor.NextKey(), kNotFound);
  EXPECT_EQ(cursor.Key(), kNotPositioned);
  EXPECT_EQ(cursor.NextKey(), kNotFound);
  EXPECT_EQ(cursor.PrevKey(), "b");
}

TEST_F(CursorTest, PrevBeforeTheFirstStaysThere) {
  PutKeys({"a", "b"});
  Txn txn(env_, JOHNNY_READ);
  Cursor cursor(txn);
  EXPECT_EQ(cursor.FirstKey(), "a");
  EXPECT_EQ(cursor.PrevKey(), kNotFound);
  EXPECT_EQ(cursor.Key(), kNotPositioned);
  EXPECT_EQ(cursor.PrevKey(), kNotFound);
  EXPECT_EQ(cursor.NextKey(), "a");
}

TEST_F(CursorTest, NextFromBeforeTheFirstOfAnEmptiedTableGoesAfterTheLast) {
  Txn txn(env_);
  ASSERT_OK(txn.Put("a", "v"));
  Cursor cursor(txn);
  EXPECT_EQ(cursor.FirstKey(), "a");
  EXPECT_EQ(cursor.PrevKey(), kNotFound);
  ASSERT_OK(txn.Delete("a"));
  EXPECT_EQ(cursor.NextKey(), kNotFound);
  ASSERT_OK(txn.Put("a", "v"));
  EXPECT_EQ(cursor.NextKey(), kNotFound);
  EXPECT_EQ(cursor.PrevKey(), "a");
}

TEST_F(CursorTest, AnEmptyTableHasNoPositions) {
  Txn txn(env_, JOHNNY_READ);
  Cursor cursor(txn);
  EXPECT_EQ(cursor.FirstKey(), kNotFound);
  EXPECT_EQ(cursor.LastKey(), kNotFound);
  EXPECT_EQ(cursor.NextKey(), kNotFound);
  EXPECT_EQ(cursor.PrevKey(), kNotFound);
  EXPECT_EQ(cursor.SeekKey("", JOHNNY_SEEK_AT_OR_AFTER), kNotFound);
  EXPECT_EQ(cursor.Key(), kNotPositioned);
}

TEST_F(CursorTest, OutputsMayBeLeftOut) {
  PutKeys({"a"});
  Txn txn(env_, JOHNNY_READ);
  Cursor cursor(txn);
  EXPECT_OK(Result(johnny_cursor_first(cursor.get(), nullptr, nullptr)));
  EXPECT_OK(Result(johnny_cursor_get(cursor.get(), nullptr, nullptr)));
  EXPECT_OK(Result(johnny_cursor_seek(cursor.get(), "a", 1, JOHNNY_SEEK_EXACT, nullptr, nullptr)));
}

TEST_F(CursorTest, SeeksFindExactAfterAndBefore) {
  PutKeys({"b", "d", "f"});
  Txn txn(env_, JOHNNY_READ);
  Cursor cursor(txn);
  EXPECT_EQ(cursor.SeekKey("d", JOHNNY_SEEK_EXACT), "d");
  EXPECT_EQ(cursor.SeekKey("d", JOHNNY_SEEK_AT_OR_AFTER), "d");
  EXPECT_EQ(cursor.SeekKey("d", JOHNNY_SEEK_AT_OR_BEFORE), "d");
  EXPECT_EQ(cursor.SeekKey("c", JOHNNY_SEEK_AT_OR_AFTER), "d");
  EXPECT_EQ(cursor.SeekKey("c", JOHNNY_SEEK_AT_OR_BEFORE), "b");
  EXPECT_EQ(cursor.SeekKey("z", JOHNNY_SEEK_AT_OR_BEFORE), "f");
  EXPECT_EQ(cursor.SeekKey("", JOHNNY_SEEK_AT_OR_AFTER), "b");
  EXPECT_EQ(cursor.Key(), "b");
}

TEST_F(CursorTest, AFailedSeekUnpositions) {
  PutKeys({"b", "d"});
  Txn txn(env_, JOHNNY_READ);
  Cursor cursor(txn);
  ASSERT_OK(cursor.Last());
  EXPECT_EQ(cursor.SeekKey("c", JOHNNY_SEEK_EXACT), kNotFound);
  EXPECT_EQ(cursor.Key(), kNotPositioned);
  EXPECT_EQ(cursor.NextKey(), "b");  // from nowhere
  EXPECT_EQ(cursor.SeekKey("e", JOHNNY_SEEK_AT_OR_AFTER), kNotFound);
  EXPECT_EQ(cursor.PrevKey(), "d");
  EXPECT_EQ(cursor.SeekKey("a", JOHNNY_SEEK_AT_OR_BEFORE), kNotFound);
  EXPECT_EQ(cursor.Key(), kNotPositioned);
}

TEST_F(CursorTest, ARangeHidesWhatIsOutside) {
  PutKeys({"a", "b", "c", "d", "e"});
  Txn txn(env_, JOHNNY_READ);
  Cursor cursor(txn);
  ASSERT_OK(cursor.SetRange("b", "d"));
  EXPECT_EQ(cursor.FirstKey(), "b");
  EXPECT_EQ(cursor.PrevKey(), kNotFound);
  EXPECT_EQ(cursor.LastKey(), "c");
  EXPECT_EQ(cursor.NextKey(), kNotFound);
  EXPECT_EQ(cursor.PrevKey(), "c");
  EXPECT_EQ(cursor.SeekKey("a", JOHNNY_SEEK_EXACT), kNotFound);
  EXPECT_EQ(cursor.SeekKey("d", JOHNNY_SEEK_EXACT), kNotFound);
  EXPECT_EQ(cursor.SeekKey("a", JOHNNY_SEEK_AT_OR_AFTER), "b");
  EXPECT_EQ(cursor.SeekKey("a", JOHNNY_SEEK_AT_OR_BEFORE), kNotFound);
  EXPECT_EQ(cursor.SeekKey("z", JOHNNY_SEEK_AT_OR_BEFORE), "c");
  EXPECT_EQ(cursor.SeekKey("d", JOHNNY_SEEK_AT_OR_AFTER), kNotFound);
}

TEST_F(CursorTest, OpenBoundsAreOpen) {
  PutKeys({"a", "b", "c"});
  Txn txn(env_, JOHNNY_READ);
  Cursor cursor(txn);
  ASSERT_OK(cursor.SetRange("b", std::nullopt));
  EXPECT_EQ(cursor.FirstKey(), "b");
  EXPECT_EQ(cursor.LastKey(), "c");
  ASSERT_OK(cursor.SetRange(std::nullopt, "b"));
  EXPECT_EQ(cursor.LastKey(), "a");
  ASSERT_OK(cursor.SetRange(std::nullopt, std::nullopt));
  EXPECT_EQ(cursor.LastKey(), "c");
}

TEST_F(CursorTest, AnEmptyOrInvertedRangeHasNoEntries) {
  PutKeys({"a", "b", "c"});
  Txn txn(env_, JOHNNY_READ);
  Cursor cursor(txn);
  for (const char* to : {"b", "a", ""}) {
    ASSERT_OK(cursor.SetRange("b", to));
    EXPECT_EQ(cursor.FirstKey(), kNotFound);
    EXPECT_EQ(cursor.LastKey(), kNotFound);
    EXPECT_EQ(cursor.NextKey(), kNotFound);
    EXPECT_EQ(cursor.SeekKey("b", JOHNNY_SEEK_AT_OR_AFTER), kNotFound);
  }
}

TEST_F(CursorTest, SettingTheRangeUnpositionsAndCopiesItsBounds) {
  PutKeys({"a", "b", "c"});
  Txn txn(env_, JOHNNY_READ);
  Cursor cursor(txn);
  ASSERT_OK(cursor.Last());
  std::string bound = "b";
  ASSERT_OK(cursor.SetRange(bound, std::nullopt));
  bound = "c";
  EXPECT_EQ(cursor.Key(), kNotPositioned);
  EXPECT_EQ(cursor.NextKey(), "b");
}

TEST_F(CursorTest, APrefixLimitsToItsKeys) {
  PutKeys({"a", "ab", "ab\x01", "ab\xff", "ab\xff\xff", "ac", "b"});
  Txn txn(env_, JOHNNY_READ);
  Cursor cursor(txn);
  ASSERT_OK(cursor.SetPrefix("ab"));
  EXPECT_EQ(cursor.FirstKey(), "ab");
  EXPECT_EQ(cursor.LastKey(), "ab\xff\xff");
  EXPECT_EQ(cursor.NextKey(), kNotFound);
  ASSERT_OK(cursor.SetPrefix("ab\xff"));
  EXPECT_EQ(cursor.FirstKey(), "ab\xff");
  EXPECT_EQ(cursor.LastKey(), "ab\xff\xff");
  ASSERT_OK(cursor.SetPrefix(""));
  EXPECT_EQ(cursor.LastKey(), "b");
  ASSERT_OK(cursor.SetPrefix("x"));
  EXPECT_EQ(cursor.NextKey(), kNotFound);
}

TEST_F(CursorTest, APrefixOfHighBytesHasNoUpperBound) {
  PutKeys({"\xfe", "\xff", "\xff\x01", "\xff\xff", "\xff\xff\xff"});
  Txn txn(env_, JOHNNY_READ);
  Cursor cursor(txn);
  ASSERT_OK(cursor.SetPrefix("\xff\xff"));
  EXPECT_EQ(cursor.FirstKey(), "\xff\xff");
  EXPECT_EQ(cursor.LastKey(), "\xff\xff\xff");
}

TEST_F(CursorTest, ScansOfManyPagesSeeEverythingBothWays) {
  Fill(0, 30000);
  Txn txn(env_, JOHNNY_READ);
  Cursor cursor(txn);
  for (uint64_t i = 0; i < 30000; ++i) {
    ASSERT_EQ(cursor.NextKey(), NumberedKey(i));
  }
  EXPECT_EQ(cursor.NextKey(), kNotFound);
  for (uint64_t i = 30000; i-- > 0;) {
    ASSERT_EQ(cursor.PrevKey(), NumberedKey(i));
  }
  EXPECT_EQ(cursor.PrevKey(), kNotFound);
}

TEST_F(CursorTest, SeeksInManyPagesFindNeighbours) {
  Fill(0, 10000);
  Txn txn(env_, JOHNNY_READ);
  Cursor cursor(txn);
  for (uint64_t i = 0; i < 9999; i += 7) {
    std::string between = NumberedKey(i) + "x";
    ASSERT_EQ(cursor.SeekKey(between, JOHNNY_SEEK_AT_OR_AFTER), NumberedKey(i + 1));
    ASSERT_EQ(cursor.PrevKey(), NumberedKey(i));
    ASSERT_EQ(cursor.SeekKey(between, JOHNNY_SEEK_AT_OR_BEFORE), NumberedKey(i));
    ASSERT_EQ(cursor.NextKey(), NumberedKey(i + 1));
    ASSERT_EQ(cursor.SeekKey(between, JOHNNY_SEEK_EXACT), kNotFound);
  }
}

TEST_F(CursorTest, LargeValuesAreReadAtTheCursor) {
  Txn writer(env_);
  ASSERT_OK(writer.Put("a", Pattern(100000, 1)));
  ASSERT_OK(writer.Put("b", Pattern(600000, 2)));
  ASSERT_OK(writer.Commit());
  Txn txn(env_, JOHNNY_READ);
  Cursor cursor(txn);
  Entry entry;
  ASSERT_OK(cursor.Next(&entry));
  EXPECT_TRUE(entry.second == Pattern(100000, 1));
  ASSERT_OK(cursor.Next(&entry));
  EXPECT_TRUE(entry.second == Pattern(600000, 2));
}

TEST_F(CursorTest, SlicesOfAReaderStayValidWhileItLives) {
  Fill(0, 5000);
  Txn txn(env_, JOHNNY_READ);
  std::vector<std::pair<johnny_slice, johnny_slice>> slices;
  Cursor cursor(txn);
  johnny_slice key{};
  johnny_slice value{};
  while (johnny_cursor_next(cursor.get(), &key, &value) == JOHNNY_OK) {
    slices.emplace_back(key, value);
  }
  cursor.Close();
  for (int round = 0; round < 3; ++round) {
    Txn writer(env_);
    for (uint64_t i = 0; i < 5000; ++i) {
      ASSERT_OK(writer.Put(NumberedKey(i), "new"));
    }
    ASSERT_OK(writer.Commit());
  }
  ASSERT_EQ(slices.size(), 5000u);
  for (uint64_t i = 0; i < 5000; ++i) {
    ASSERT_EQ(View(slices[i].first), NumberedKey(i));
    ASSERT_EQ(View(slices[i].second), NumberedKey(i));
  }
}

TEST_F(CursorTest, ACursorOfAResetReaderLosesItsPositionAndSeesTheNewSnapshot) {
  PutKeys({"b"});
  Txn txn(env_, JOHNNY_READ);
  Cursor cursor(txn);
  ASSERT_OK(cursor.First());
  ASSERT_OK(txn.Reset());
  PutKeys({"a"});
  ASSERT_OK(txn.Renew());
  EXPECT_EQ(cursor.Key(), kNotPositioned);
  EXPECT_EQ(cursor.NextKey(), "a");
  EXPECT_EQ(cursor.NextKey(), "b");
}

TEST_F(CursorTest, CursorsAreIndependent) {
  PutKeys({"a", "b", "c"});
  Txn txn(env_, JOHNNY_READ);
  Cursor first(txn);
  Cursor second(txn);
  EXPECT_EQ(first.NextKey(), "a");
  EXPECT_EQ(second.LastKey(), "c");
  EXPECT_EQ(first.NextKey(), "b");
  EXPECT_EQ(second.PrevKey(), "b");
}

}  // namespace
}  // namespace johnny::test
