#include "cursor/cursor.h"

#include <gtest/gtest.h>

#include "tree/tree_fixture.h"

namespace johnny::cursor {
namespace {

using tree::Key;
using tree::TreeFile;

class CursorTest : public testing::Test {
 protected:
  CursorTest() { tree_.Begin(); }
  // Numbers 0, 10, 20 ... as keys; several leaves.
  void Load(uint64_t n) {
    for (uint64_t i = 0; i < n; ++i) {
      ASSERT_PUT(tree_, Key(i * 10), "v");
    }
  }
  void Erase(uint64_t number) {
    cursor_.Save();
    ASSERT_TRUE(tree_.Erase(Key(number)));
  }
  void Put(uint64_t number) {
    cursor_.Save();
    ASSERT_PUT(tree_, Key(number), "new");
  }
  // The key after a movement, as a number; -1 for kNotFound.
  int64_t At(Lookup result) const {
    EXPECT_NE(result, Lookup::kError);
    return result == Lookup::kFound ? std::stoll(std::string(cursor_.entry().key)) : -1;
  }

  TreeFile tree_;
  Cursor cursor_{&tree_.view(), &tree_.record()};
};

TEST_F(CursorTest, AnEmptyTreeHasNoPlaceToBe) {
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(At(cursor_.Next()), -1);
    EXPECT_EQ(At(cursor_.Prev()), -1);
    EXPECT_EQ(At(cursor_.First()), -1);
    EXPECT_EQ(At(cursor_.Last()), -1);
    EXPECT_EQ(At(cursor_.SeekExact("")), -1);
    EXPECT_EQ(At(cursor_.SeekAtOrAfter("")), -1);
    EXPECT_EQ(At(cursor_.SeekAtOrBefore("\xff")), -1);
    EXPECT_TRUE(cursor_.nowhere());
    EXPECT_EQ(cursor_.Restore(), Lookup::kNotFound);
  }
}

TEST_F(CursorTest, WalksOverLeavesBothWays) {
  Load(1000);
  ASSERT_GE(tree_.record().leaf_pages, 5u);
  for (int64_t i = 0; i < 1000; ++i) {
    ASSERT_EQ(At(cursor_.Next()), i * 10);
  }
  EXPECT_EQ(At(cursor_.Next()), -1);
  EXPECT_EQ(At(cursor_.Next()), -1) << "after the last it stays";
  for (int64_t i = 1000; i-- > 0;) {
    ASSERT_EQ(At(cursor_.Prev()), i * 10) << "from after the last, back to the last";
  }
  EXPECT_EQ(At(cursor_.Prev()), -1);
  EXPECT_TRUE(cursor_.nowhere());
  EXPECT_EQ(At(cursor_.Next()), 0) << "and from before the first to the first";
}

TEST_F(CursorTest, SeeksGoToTheNearestEntry) {
  Load(1000);
  EXPECT_EQ(At(cursor_.SeekExact(Key(500))), 500);
  EXPECT_EQ(At(cursor_.SeekAtOrAfter(Key(501))), 510);
  EXPECT_EQ(At(cursor_.SeekAtOrAfter(Key(510))), 510);
  EXPECT_EQ(At(cursor_.SeekAtOrBefore(Key(509))), 500);
  EXPECT_EQ(At(cursor_.SeekAtOrBefore(Key(510))), 510);
  EXPECT_EQ(At(cursor_.SeekAtOrAfter(Key(9991))), -1);
  EXPECT_TRUE(cursor_.nowhere());
  EXPECT_EQ(At(cursor_.SeekAtOrBefore("")), -1);
  EXPECT_EQ(At(cursor_.SeekExact(Key(501))), -1);
  EXPECT_TRUE(cursor_.nowhere());
  for (int64_t i = 0; i < 9990; i += 7) {  // over all borders of leaves
    EXPECT_EQ(At(cursor_.SeekAtOrAfter(Key(static_cast<uint64_t>(i)))), (i + 9) / 10 * 10);
    EXPECT_EQ(At(cursor_.SeekAtOrBefore(Key(static_cast<uint64_t>(i)))), i / 10 * 10);
  }
}

TEST_F(CursorTest, BoundsLimitEveryMovement) {
  Load(1000);
  cursor_.SetLower(Key(2005));
  cursor_.SetUpper(Key(7000));
  EXPECT_TRUE(cursor_.nowhere());
  EXPECT_EQ(At(cursor_.First()), 2010);
  EXPECT_EQ(At(cursor_.Prev()), -1);
  EXPECT_EQ(At(cursor_.Next()), 2010);
  EXPECT_EQ(At(cursor_.Last()), 6990) << "the upper bound is not inside";
  EXPECT_EQ(At(cursor_.Next()), -1);
  EXPECT_EQ(At(cursor_.Prev()), 6990);
  EXPECT_EQ(At(cursor_.SeekAtOrAfter(Key(0))), 2010);
  EXPECT_EQ(At(cursor_.SeekAtOrBefore(Key(9000))), 6990);
  EXPECT_EQ(At(cursor_.SeekAtOrBefore(Key(2000))), -1);
  EXPECT_EQ(At(cursor_.SeekAtOrAfter(Key(7000))), -1);
  EXPECT_EQ(At(cursor_.SeekExact(Key(2000))), -1);
  EXPECT_EQ(At(cursor_.SeekExact(Key(3000))), 3000);
  cursor_.ClearBounds();
  EXPECT_TRUE(cursor_.nowhere());
  EXPECT_EQ(At(cursor_.Next()), 0);
  cursor_.SetLower(Key(8000));
  cursor_.SetUpper(Key(8000));
  EXPECT_EQ(At(cursor_.First()), -1) << "an empty range";
  EXPECT_EQ(At(cursor_.Last()), -1);
}

TEST_F(CursorTest, FirstAndLastLeaveItWhereItIsWhenTheRangeIsEmpty) {
  Load(10);
  EXPECT_EQ(At(cursor_.SeekExact(Key(50))), 50);
  for (uint64_t i = 0; i < 10; ++i) {
    Erase(i * 10);
  }
  EXPECT_EQ(At(cursor_.First()), -1);
  Put(70);
  EXPECT_EQ(At(cursor_.Next()), 70) << "it was still in the gap at 50";
}

TEST_F(CursorTest, PrefixesEndAtTheNextOneOfTheirLength) {
  for (const char* key : {"a", "ab", "ab\x01", "ab\xff", "ab\xff\xff", "ac", "b", "\xff", "\xff\xff", "\xff\xff\x01"}) {
    ASSERT_PUT(tree_, key, "v");
  }
  auto count = [&](Slice prefix) {
    cursor_.SetPrefix(prefix);
    int n = 0;
    while (cursor_.Next() == Lookup::kFound) {
      EXPECT_EQ(cursor_.entry().key.substr(0, prefix.size()), prefix);
      ++n;
    }
    int backwards = 0;
    while (cursor_.Prev() == Lookup::kFound) {
      ++backwards;
    }
    EXPECT_EQ(n, backwards);
    return n;
  };
  EXPECT_EQ(count(""), 10);
  EXPECT_EQ(count("a"), 6);
  EXPECT_EQ(count("ab"), 4);
  EXPECT_EQ(count("ab\xff"), 2);
  EXPECT_EQ(count("\xff"), 3);
  EXPECT_EQ(count("\xff\xff"), 2);
  EXPECT_EQ(count("\xff\xff\xff"), 0);
  EXPECT_EQ(count("c"), 0);
}

TEST_F(CursorTest, ADeletedEntryLeavesAGap) {
  Load(100);
  EXPECT_EQ(At(cursor_.SeekExact(Key(500))), 500);
  Erase(500);
  EXPECT_FALSE(cursor_.nowhere());
  EXPECT_EQ(cursor_.Restore(), Lookup::kNotFound);
  EXPECT_EQ(At(cursor_.Next()), 510);
  EXPECT_EQ(At(cursor_.SeekExact(Key(520))), 520);
  Erase(520);
  EXPECT_EQ(At(cursor_.Prev()), 510);
  // Into the gap comes something else: nothing is passed over.
  EXPECT_EQ(At(cursor_.SeekExact(Key(600))), 600);
  Erase(600);
  Put(605);
  EXPECT_EQ(At(cursor_.Next()), 605);
  // The entry comes back: the cursor is on it again.
  EXPECT_EQ(At(cursor_.SeekExact(Key(700))), 700);
  Erase(700);
  EXPECT_EQ(cursor_.Restore(), Lookup::kNotFound);
  Put(700);
  EXPECT_EQ(cursor_.Restore(), Lookup::kFound);
  EXPECT_EQ(cursor_.entry().value.bytes, "new");
}

TEST_F(CursorTest, GapsAtTheEndsLeadOut) {
  Load(3);
  EXPECT_EQ(At(cursor_.Last()), 20);
  Erase(20);
  EXPECT_EQ(At(cursor_.Next()), -1);
  EXPECT_EQ(At(cursor_.Prev()), 10);
  EXPECT_EQ(At(cursor_.First()), 0);
  Erase(0);
  EXPECT_EQ(At(cursor_.Prev()), -1);
  EXPECT_EQ(At(cursor_.Next()), 10);
  Erase(10);
  EXPECT_EQ(At(cursor_.Next()), -1) << "the tree is empty";
  EXPECT_EQ(At(cursor_.Prev()), -1);
}

TEST_F(CursorTest, SavingTwiceKeepsThePlace) {
  Load(100);
  EXPECT_EQ(At(cursor_.SeekExact(Key(500))), 500);
  Erase(500);
  cursor_.Save();
  cursor_.Save();
  Put(501);
  EXPECT_EQ(At(cursor_.Next()), 501);
  cursor_.Save();
  EXPECT_EQ(cursor_.Restore(), Lookup::kFound);
  EXPECT_EQ(At(cursor_.Next()), 510);
  cursor_.Unposition();
  cursor_.Save();
  EXPECT_TRUE(cursor_.nowhere());
}

class DamagedCursorTest : public CursorTest {
 protected:
  // Damages the leaf of `number` and forgets that it was checked.
  void Damage(uint64_t number) {
    tree::Path path;
    ASSERT_EQ(tree::Search(tree_.view(), tree_.record(), Key(number), &path), Lookup::kFound);
    PageNumber page = node::Header(path.leaf().page)->page();
    Slice rubbish("rubbish!");
    ASSERT_TRUE(tree_.file()->WriteAt(page * 4096, absl::MakeConstSpan(&rubbish, 1)).ok());
  }
};

TEST_F(DamagedCursorTest, ErrorsAreReportedAndTheCursorIsNowhere) {
  Load(1000);
  tree_.Commit();
  Damage(5000);
  EXPECT_EQ(cursor_.SeekExact(Key(5000)), Lookup::kError);
  EXPECT_EQ(CodeOf(tree_.view().TakeError()), Code::kCorrupt);
  EXPECT_TRUE(cursor_.nowhere());
  Lookup result = cursor_.First();
  while (result == Lookup::kFound) {
    result = cursor_.Next();
  }
  EXPECT_EQ(result, Lookup::kError);
  EXPECT_TRUE(cursor_.nowhere());
  EXPECT_EQ(CodeOf(tree_.view().TakeError()), Code::kCorrupt);
  result = cursor_.Last();
  while (result == Lookup::kFound) {
    result = cursor_.Prev();
  }
  EXPECT_EQ(result, Lookup::kError);
  EXPECT_TRUE(cursor_.nowhere());
}

// Next() returns from a failed Restore() without unpositioning, and First() and Last() keep the old place; the header says
// nowhere.
TEST_F(DamagedCursorTest, ErrorsFromASavedPlaceLeaveItNowhereToo) {
  Load(1000);
  tree_.Commit();
  ASSERT_EQ(At(cursor_.SeekExact(Key(5000))), 5000);
  cursor_.Save();
  Damage(5000);
  EXPECT_EQ(cursor_.Next(), Lookup::kError);
  EXPECT_TRUE(cursor_.nowhere());
  EXPECT_EQ(At(cursor_.SeekExact(Key(0))), 0);
  Damage(9990);
  EXPECT_EQ(cursor_.Last(), Lookup::kError);
  EXPECT_TRUE(cursor_.nowhere());
}

}  // namespace
}  // namespace johnny::cursor
