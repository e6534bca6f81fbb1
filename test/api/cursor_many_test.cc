// Cursors that move by many entries at a time do what as many single steps do.
#include <random>

#include "model/op.h"
#include "support/bulk.h"

namespace johnny::test {
namespace {

constexpr size_t kLimits[] = {1, 2, 7, 1000, 100000};

// Two cursors of one transaction in the same place: one goes many at a time, the other singly.
class Pair {
 public:
  explicit Pair(const Txn& txn, johnny_table* table = nullptr) : many_(txn, table), single_(txn, table) {}

  // Both do the same.
  template <typename Step>
  void Both(Step step) {
    auto expected = step(&single_);
    EXPECT_EQ(step(&many_), expected);
  }

  void Move(bool forward, size_t limit) {
    std::vector<Entry> expected, entries;
    Entry entry;
    Result result = JOHNNY_OK;
    while (expected.size() < limit && (result = forward ? single_.Next(&entry) : single_.Prev(&entry)).ok()) {
      expected.push_back(entry);
    }
    int code = expected.empty() ? result.code() : int{JOHNNY_OK};
    Result moved = MoveMany(many_, forward, limit, &entries);
    ASSERT_EQ(moved, code);
    ASSERT_EQ(entries.size(), expected.size());
    ASSERT_TRUE(entries == expected);
    ExpectSamePlace();
  }
  void ExpectSamePlace() { ASSERT_EQ(many_.Key(), single_.Key()); }
  // Where they are shows in where they go, too.
  void ExpectSameNeighbours() {
    ExpectSamePlace();
    Both([](Cursor* cursor) { return cursor->NextKey(); });
    Both([](Cursor* cursor) { return cursor->PrevKey(); });
    Both([](Cursor* cursor) { return cursor->PrevKey(); });
    Both([](Cursor* cursor) { return cursor->NextKey(); });
  }

 private:
  Cursor many_, single_;
};

class CursorManyTest : public DbTest {
 protected:
  // Several leaves, with values of all sizes, among them large ones.
  void FillMixed(uint64_t entries) {
    Txn txn(env_);
    for (uint64_t i = 0; i < entries; ++i) {
      ASSERT_OK(txn.Put(NumberedKey(i), Pattern(i % 97 == 0 ? 5000 : i % 50, static_cast<uint32_t>(i))));
    }
    ASSERT_OK(txn.Commit());
  }
};

// Each way to bring a cursor into a state, by name. Entries are 0 ... 999.
struct Place {
  const char* name;
  void (*go)(Pair* pair, Txn* txn);
};
const Place kPlaces[] = {
    {"nowhere", [](Pair*, Txn*) {}},
    {"first", [](Pair* pair, Txn*) { pair->Both([](Cursor* c) { return c->FirstKey(); }); }},
    {"last", [](Pair* pair, Txn*) { pair->Both([](Cursor* c) { return c->LastKey(); }); }},
    {"middle", [](Pair* pair, Txn*) { pair->Both([](Cursor* c) { return c->SeekKey(NumberedKey(500), JOHNNY_SEEK_EXACT); }); }},
    {"failed seek",
     [](Pair* pair, Txn*) { pair->Both([](Cursor* c) { return c->SeekKey(NumberedKey(500) + "x", JOHNNY_SEEK_EXACT); }); }},
    {"before first",
     [](Pair* pair, Txn*) {
       pair->Both([](Cursor* c) { return c->FirstKey(); });
       pair->Both([](Cursor* c) { return c->PrevKey(); });
     }},
    {"after last",
     [](Pair* pair, Txn*) {
       pair->Both([](Cursor* c) { return c->LastKey(); });
       pair->Both([](Cursor* c) { return c->NextKey(); });
     }},
    {"gap",
     [](Pair* pair, Txn* txn) {
       pair->Both([](Cursor* c) { return c->SeekKey(NumberedKey(500), JOHNNY_SEEK_EXACT); });
       txn->Delete(NumberedKey(500));
     }},
    {"gap of many",
     [](Pair* pair, Txn* txn) {
       pair->Both([](Cursor* c) { return c->SeekKey(NumberedKey(500), JOHNNY_SEEK_EXACT); });
       for (uint64_t i = 300; i < 700; ++i) {
         txn->Delete(NumberedKey(i));
       }
     }},
    {"gap at the end",
     [](Pair* pair, Txn* txn) {
       pair->Both([](Cursor* c) { return c->LastKey(); });
       txn->Delete(NumberedKey(999));
     }},
    {"gap at the beginning",
     [](Pair* pair, Txn* txn) {
       pair->Both([](Cursor* c) { return c->FirstKey(); });
       txn->Delete(NumberedKey(0));
     }},
    {"nothing left",
     [](Pair* pair, Txn* txn) {
       pair->Both([](Cursor* c) { return c->SeekKey(NumberedKey(500), JOHNNY_SEEK_EXACT); });
       johnny_table_clear(txn->get(), nullptr);
     }},
    {"saved",
     [](Pair* pair, Txn* txn) {
       pair->Both([](Cursor* c) { return c->SeekKey(NumberedKey(500), JOHNNY_SEEK_EXACT); });
       for (uint64_t i = 0; i < 1000; ++i) {
         txn->Put(NumberedKey(i) + "x", Pattern(100, 1));
       }
     }},
};

using Bounds = std::pair<std::optional<std::string>, std::optional<std::string>>;

TEST_F(CursorManyTest, FromEveryPlaceInEveryRange) {
  FillMixed(1000);
  const Bounds kBounds[] = {{std::nullopt, std::nullopt},
                            {NumberedKey(0), NumberedKey(1000)},
                            {NumberedKey(499), NumberedKey(501)},
                            {NumberedKey(500), NumberedKey(501)},
                            {NumberedKey(480), NumberedKey(520)},
                            {NumberedKey(100) + "x", NumberedKey(900) + "x"},
                            {std::nullopt, NumberedKey(500)},
                            {NumberedKey(500), std::nullopt},
                            {NumberedKey(600), NumberedKey(400)},
                            {"x", std::nullopt},
                            {std::nullopt, ""}};
  for (const Bounds& bounds : kBounds) {
    for (const Place& place : kPlaces) {
      for (size_t limit : kLimits) {
        for (bool forward : {true, false}) {
          SCOPED_TRACE(std::string(place.name) + ", limit " + std::to_string(limit) + (forward ? ", forward" : ", back") +
                       ", range " + bounds.first.value_or("-") + " to " + bounds.second.value_or("-"));
          Txn txn(env_);
          Pair pair(txn);
          pair.Both([&](Cursor* cursor) { return cursor->SetRange(bounds.first, bounds.second).code(); });
          place.go(&pair, &txn);
          for (int i = 0; i < 3; ++i) {
            pair.Move(forward, limit);
          }
          pair.Move(!forward, limit);
          pair.ExpectSameNeighbours();
          pair.Move(forward, limit);
          ASSERT_FALSE(HasFailure());
        }
      }
    }
  }
}

TEST_F(CursorManyTest, PrefixesLimitThem) {
  Txn writer(env_);
  for (uint64_t i = 0; i < 3000; ++i) {
    ASSERT_OK(writer.Put("p" + std::to_string(i % 3) + NumberedKey(i), "v"));
  }
  for (int i = 0; i < 400; ++i) {
    ASSERT_OK(writer.Put("\xff\xff" + NumberedKey(static_cast<uint64_t>(i)), "v"));
  }
  ASSERT_OK(writer.Commit());
  Txn reader(env_, JOHNNY_READ);
  for (const char* prefix : {"", "p", "p0", "p1", "p2", "p20000", "q", "\xff", "\xff\xff", "\xff\xff\xff"}) {
    for (size_t limit : kLimits) {
      SCOPED_TRACE(prefix);
      Pair pair(reader);
      pair.Both([&](Cursor* cursor) { return cursor->SetPrefix(prefix).code(); });
      for (bool forward : {true, true, false, true, false, false, false, true}) {
        pair.Move(forward, limit);
      }
      ASSERT_FALSE(HasFailure()) << limit;
    }
  }
}

TEST_F(CursorManyTest, OutputsMayBeLeftOut) {
  FillMixed(300);
  Txn txn(env_, JOHNNY_READ);
  Cursor cursor(txn);
  std::vector<johnny_slice> slices(300);
  size_t count = 0;
  ASSERT_OK(Result(johnny_cursor_next_many(cursor.get(), 100, nullptr, nullptr, &count)));
  EXPECT_EQ(count, 100u);
  EXPECT_EQ(cursor.Key(), NumberedKey(99));
  ASSERT_OK(Result(johnny_cursor_next_many(cursor.get(), 100, slices.data(), nullptr, &count)));
  EXPECT_EQ(View(slices[0]), NumberedKey(100));
  ASSERT_OK(Result(johnny_cursor_next_many(cursor.get(), 1000, nullptr, slices.data(), &count)));
  EXPECT_EQ(count, 100u);
  EXPECT_TRUE(View(slices[91]) == Pattern(5000, 291));
  ASSERT_OK(Result(johnny_cursor_prev_many(cursor.get(), SIZE_MAX, nullptr, nullptr, &count)));
  EXPECT_EQ(count, 300u);
}

TEST_F(CursorManyTest, WhatMakesNoSenseIsRefusedAndLeavesThePlace) {
  FillMixed(10);
  Txn txn(env_, JOHNNY_READ);
  Cursor cursor(txn);
  ASSERT_EQ(cursor.FirstKey(), NumberedKey(0));
  size_t count = 3;
  EXPECT_EQ(Result(johnny_cursor_next_many(cursor.get(), 0, nullptr, nullptr, &count)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_cursor_next_many(cursor.get(), 1, nullptr, nullptr, nullptr)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_cursor_prev_many(nullptr, 1, nullptr, nullptr, &count)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(cursor.Key(), NumberedKey(0));
  ASSERT_OK(txn.Reset());
  EXPECT_EQ(Result(johnny_cursor_next_many(cursor.get(), 1, nullptr, nullptr, &count)), JOHNNY_TXN_RESET);
  ASSERT_OK(txn.Renew());
  EXPECT_OK(Result(johnny_cursor_next_many(cursor.get(), 5, nullptr, nullptr, &count)));
  EXPECT_EQ(cursor.Key(), NumberedKey(4)) << "from nowhere";
  ASSERT_OK(txn.Abort());
  EXPECT_EQ(Result(johnny_cursor_next_many(cursor.get(), 1, nullptr, nullptr, &count)), JOHNNY_TXN_ENDED);
}

TEST_F(CursorManyTest, AnEmptyTableHasNone) {
  Txn txn(env_);
  Pair pair(txn);
  pair.Move(true, 10);
  pair.Move(false, 10);
  ASSERT_OK(txn.Put("a", "b"));
  pair.Move(true, 10);
  pair.Move(true, 10);
  ASSERT_OK(txn.Delete("a"));
  pair.Move(false, 10);
  pair.Move(true, 10);
}

TEST_F(CursorManyTest, WithANestedTransactionOpenTheyWait) {
  FillMixed(500);
  Txn outer(env_);
  Pair pair(outer);
  pair.Move(true, 100);
  {
    Txn inner = Txn::In(outer);
    pair.Move(true, 10);  // IN_USE, both
    for (uint64_t i = 50; i < 150; ++i) {
      ASSERT_OK(inner.Delete(NumberedKey(i)));
    }
    ASSERT_OK(inner.Commit());
  }
  pair.Move(true, 100);
  pair.Move(false, 1000);
}

TEST_F(CursorManyTest, SlicesOfAReaderStayValid) {
  FillMixed(5000);
  Txn reader(env_, JOHNNY_READ);
  Cursor cursor(reader);
  std::vector<johnny_slice> keys(5000);
  std::vector<johnny_slice> values(5000);
  size_t count = 0;
  ASSERT_OK(Result(johnny_cursor_next_many(cursor.get(), 5000, keys.data(), values.data(), &count)));
  cursor.Close();
  for (int round = 0; round < 3; ++round) {
    Txn writer(env_);
    ASSERT_OK(Result(johnny_table_clear(writer.get(), nullptr)));
    for (uint64_t i = 0; i < 5000; ++i) {
      ASSERT_OK(writer.Put(NumberedKey(i), "new"));
    }
    ASSERT_OK(writer.Commit());
  }
  for (uint64_t i = 0; i < count; ++i) {
    ASSERT_EQ(View(keys[i]), NumberedKey(i));
    ASSERT_TRUE(View(values[i]) == Pattern(i % 97 == 0 ? 5000 : i % 50, static_cast<uint32_t>(i)));
  }
}

// Movements, ranges and changes as they come, in tables of every shape of key.
TEST_F(CursorManyTest, RandomWalksAgreeWithSingleSteps) {
  const int rounds = 60 * Scale();
  for (int round = 0; round < rounds; ++round) {
    std::mt19937 random(static_cast<uint32_t>(round));
    auto key = [&] { return KeyOf(static_cast<uint32_t>(random() % 8000), env_.Info().max_key_size); };
    Txn txn(env_);
    auto put = [&] {
      std::string at = key();
      std::string value = ValueOf(static_cast<uint32_t>(random()), 4096, at.size());
      return txn.Put(at, value.substr(0, 20000));
    };
    for (size_t i = random() % 600; i-- > 0;) {
      ASSERT_OK(put());
    }
    Pair pair(txn);
    for (int step = 0; step < 150; ++step) {
      SCOPED_TRACE("round " + std::to_string(round) + ", step " + std::to_string(step));
      std::string first = key(), second = key();
      bool open = random() % 2 == 0;
      switch (random() % 12) {
        case 0:
          pair.Both([&](Cursor* cursor) {
            return cursor->SetRange(open ? std::nullopt : std::optional<std::string_view>(first), second).code();
          });
          break;
        case 1:
          pair.Both([&](Cursor* cursor) { return cursor->SetPrefix(first.substr(0, first.size() / 4)).code(); });
          break;
        case 2:
          pair.Both([&](Cursor* cursor) { return cursor->SetRange(std::nullopt, std::nullopt).code(); });
          break;
        case 3:
          pair.Both(
              [&](Cursor* cursor) { return cursor->SeekKey(first, open ? JOHNNY_SEEK_AT_OR_AFTER : JOHNNY_SEEK_AT_OR_BEFORE); });
          break;
        case 4:
          ASSERT_OK(put());
          break;
        case 5:
          txn.Delete(first);
          break;
        case 6:
        case 7: {
          // Of what is around the cursor, where changes hurt most.
          Entry entry;
          pair.Both([&](Cursor* cursor) { return cursor->Next(&entry).code(); });
          txn.Delete(entry.first);
          break;
        }
        default:
          pair.Move(open, kLimits[random() % std::size(kLimits)]);
          break;
      }
      pair.ExpectSamePlace();
      ASSERT_FALSE(HasFailure());
    }
    pair.ExpectSameNeighbours();
    ASSERT_OK(random() % 2 == 0 ? txn.Commit() : txn.Abort());
  }
}

}  // namespace
}  // namespace johnny::test
