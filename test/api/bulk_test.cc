// Many lookups at a time, and ranges split into equal parts.
#include "support/bulk.h"

#include <random>

#include "model/op.h"

namespace johnny::test {
namespace {

// A table of about `size` entries of every shape of key.
Contents MixedTable(size_t size, uint32_t page_size, size_t key_limit, uint32_t seed) {
  std::mt19937 random(seed);
  Contents contents;
  for (size_t i = 0; i < size; ++i) {
    std::string key = size > 10000 ? NumberedKey(random() % (4 * size)) : KeyOf(static_cast<uint32_t>(random()), key_limit);
    std::string value = ValueOf(static_cast<uint32_t>(random()), page_size, key.size());
    if (value.size() > 16 * size_t{page_size} || (size > 1000 && random() % 20 != 0)) {
      value.resize(value.size() % 50);
    }
    contents[key] = value;
  }
  return contents;
}

void PutAll(Txn* txn, const Contents& contents, johnny_table* table = nullptr) {
  for (const auto& [key, value] : contents) {
    ASSERT_OK(txn->Put(key, value, 0, table));
  }
}

// `count` keys, of which half are there, some of them more than once.
std::vector<std::string> SomeKeys(const Contents& contents, size_t count, size_t key_limit, std::mt19937* random) {
  std::vector<std::string> present;
  for (const auto& [key, value] : contents) {
    present.push_back(key);
  }
  std::vector<std::string> keys;
  for (size_t i = 0; i < count; ++i) {
    std::string key = present.empty() ? "" : present[(*random)() % present.size()];
    switch ((*random)() % 8) {
      case 0:
        key = KeyOf(static_cast<uint32_t>((*random)()), key_limit);
        break;
      case 1:
        key.push_back('\0');
        break;
      case 2:
        key = key.substr(0, key.size() / 2);
        break;
      case 3:
        key = i > 0 ? keys[(*random)() % i] : key;
        break;
      default:
        break;
    }
    keys.push_back(key);
  }
  return keys;
}

void ExpectAgrees(const Txn& txn, const Contents& contents, const std::vector<std::string>& keys, johnny_table* table = nullptr) {
  Values values;
  size_t found = 12345;
  ASSERT_OK(GetMany(txn, keys, &values, &found, table));
  size_t there = 0;
  for (size_t i = 0; i < keys.size(); ++i) {
    auto expected = contents.find(keys[i]);
    there += expected != contents.end() ? 1 : 0;
    ASSERT_EQ(values[i].has_value(), expected != contents.end()) << i << " of " << keys.size();
    ASSERT_TRUE(!values[i] || *values[i] == expected->second) << i << " of " << keys.size();
    ASSERT_TRUE(txn.Find(keys[i], table) == values[i]);
  }
  EXPECT_EQ(found, there);
}

constexpr size_t kCounts[] = {0, 1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 1000};

class GetManyTest : public PagedDbTest {
 protected:
  size_t key_limit_ = env_.Info().max_key_size;
};
INSTANTIATE_PAGE_SIZES(GetManyTest);

TEST_P(GetManyTest, AgreesWithGetInTablesOfAllSizes) {
  std::mt19937 random(GetParam());
  for (size_t size : {0, 1, 2, 20, 300, 3000, 50000}) {
    Txn writer(env_);
    ASSERT_OK(Result(johnny_table_clear(writer.get(), nullptr)));
    Contents contents = MixedTable(size, GetParam(), key_limit_, static_cast<uint32_t>(size));
    PutAll(&writer, contents);
    ASSERT_OK(writer.Commit());
    Txn reader(env_, JOHNNY_READ);
    for (size_t count : kCounts) {
      std::vector<std::string> keys = SomeKeys(contents, count, key_limit_, &random);
      ExpectAgrees(reader, contents, keys);
      std::sort(keys.begin(), keys.end());
      ExpectAgrees(reader, contents, keys);
      ASSERT_FALSE(HasFailure()) << count << " keys of a table of " << size;
    }
  }
}

TEST_P(GetManyTest, SeesTheChangesOfItsWriteTransaction) {
  std::mt19937 random(GetParam());
  Contents contents = MixedTable(3000, GetParam(), key_limit_, 1);
  Txn setup(env_);
  PutAll(&setup, contents);
  ASSERT_OK(setup.Commit());
  Txn writer(env_);
  for (int round = 0; round < 20; ++round) {
    for (const auto& [key, value] : MixedTable(30, GetParam(), key_limit_, static_cast<uint32_t>(100 + round))) {
      ASSERT_OK(writer.Put(key, value));
      contents[key] = value;
    }
    for (const std::string& key : SomeKeys(contents, 50, key_limit_, &random)) {
      ASSERT_EQ(writer.Delete(key), contents.erase(key) > 0 ? JOHNNY_OK : JOHNNY_NOT_FOUND);
    }
    ExpectAgrees(writer, contents, SomeKeys(contents, 200, key_limit_, &random));
    ASSERT_FALSE(HasFailure()) << "in round " << round;
  }
}

class BulkTest : public DbTest {
 protected:
  ~BulkTest() override {
    if (env_.get() != nullptr) {
      EXPECT_TRUE(env_.VerifyClean());
    }
  }
};

TEST_F(BulkTest, EmptyValuesAreThereAndHaveData) {
  Txn txn(env_);
  ASSERT_OK(txn.Put("", ""));
  ASSERT_OK(txn.Put("a", ""));
  ASSERT_OK(txn.Put("large", Pattern(300000, 1)));
  Values values;
  size_t found = 0;
  ASSERT_OK(GetMany(txn, {"", "a", "b", "large", "", std::string(1 << 20, 'x')}, &values, &found));
  EXPECT_EQ(values, (Values{"", "", std::nullopt, Pattern(300000, 1), "", std::nullopt}));
  EXPECT_EQ(found, 4u);
  // An empty key may come without data.
  johnny_slice no_data{nullptr, 0};
  johnny_slice value{};
  EXPECT_OK(Result(johnny_get_many(txn.get(), nullptr, &no_data, 1, &value, nullptr)));
  EXPECT_NE(value.data, nullptr);
  EXPECT_EQ(value.size, 0u);
}

TEST_F(BulkTest, ManyAreLookedUpInNamedTables) {
  Txn writer(env_);
  johnny_table* table = writer.Table("t");
  Contents contents = MixedTable(500, 4096, env_.Info().max_key_size, 3);
  PutAll(&writer, contents, table);
  ASSERT_OK(writer.Commit());
  std::mt19937 random(1);
  {
    Txn reader(env_, JOHNNY_READ);
    std::vector<std::string> keys = SomeKeys(contents, 100, 100, &random);
    ExpectAgrees(reader, contents, keys, table);
    ExpectAgrees(reader, {}, keys);
  }
  Txn dropper(env_);
  ASSERT_OK(Result(johnny_table_drop(dropper.get(), table)));
  Values values;
  EXPECT_EQ(GetMany(dropper, {"a"}, &values, nullptr, table), JOHNNY_NO_TABLE);
  EXPECT_EQ(GetMany(dropper, {}, &values, nullptr, table), JOHNNY_NO_TABLE);
}

TEST_F(BulkTest, LookupsRefuseNullPointers) {
  Fill(0, 10);
  Txn txn(env_, JOHNNY_READ);
  johnny_slice key = ToSlice("a");
  johnny_slice value{};
  size_t found = 7;
  EXPECT_EQ(Result(johnny_get_many(nullptr, nullptr, &key, 1, &value, &found)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_get_many(txn.get(), nullptr, nullptr, 1, &value, &found)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_get_many(txn.get(), nullptr, &key, 1, nullptr, &found)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(found, 7u);
  EXPECT_OK(Result(johnny_get_many(txn.get(), nullptr, nullptr, 0, nullptr, &found)));
  EXPECT_EQ(found, 0u);
  EXPECT_OK(Result(johnny_get_many(txn.get(), nullptr, nullptr, 0, nullptr, nullptr)));
  johnny_slice keys[100];
  johnny_slice values[100];
  std::fill_n(keys, 100, key);
  keys[70] = {nullptr, 1};
  Result result = johnny_get_many(txn.get(), nullptr, keys, 100, values, nullptr);
  EXPECT_EQ(result, JOHNNY_INVALID_ARGUMENT);
  EXPECT_NE(result.message().find("70"), std::string::npos) << result.message();
}

TEST_F(BulkTest, TheyTellAnEndedResetOrWaitingTransaction) {
  Fill(0, 10);
  Values values;
  std::vector<std::string> bounds;
  auto use = [&](const Txn& txn) {
    Result result = GetMany(txn, {"a"}, &values);
    EXPECT_EQ(SplitRange(txn, std::nullopt, std::nullopt, 2, &bounds), result.code());
    return result;
  };
  Txn reader(env_, JOHNNY_READ);
  ASSERT_OK(reader.Reset());
  EXPECT_EQ(use(reader), JOHNNY_TXN_RESET);
  ASSERT_OK(reader.Renew());
  EXPECT_EQ(use(reader), JOHNNY_OK);
  ASSERT_OK(reader.Abort());
  EXPECT_EQ(use(reader), JOHNNY_TXN_ENDED);
  Txn writer(env_);
  {
    Txn inner = Txn::In(writer);
    EXPECT_EQ(use(writer), JOHNNY_IN_USE);
    EXPECT_EQ(WriteBatch(writer, {{"a", "b"}}), JOHNNY_IN_USE);
    EXPECT_EQ(use(inner), JOHNNY_OK);
  }
  ASSERT_OK(writer.Abort());
  EXPECT_EQ(use(writer), JOHNNY_TXN_ENDED);
  EXPECT_EQ(WriteBatch(writer, {{"a", "b"}}), JOHNNY_TXN_ENDED);
}

// What is in the file of the database once it is closed, changed.
TEST_F(BulkTest, LookupsReportDamage) {
  const std::string large = Pattern(20000, 9);
  Txn writer(env_);
  ASSERT_OK(writer.Put("large", large));
  ASSERT_OK(writer.Put("small", "small"));
  ASSERT_OK(writer.Commit());
  ASSERT_OK(env_.Close());
  std::string bytes = ReadFile(path_);
  std::string damaged = bytes;
  size_t at = damaged.find(large.substr(0, 100));
  ASSERT_NE(at, std::string::npos);
  damaged[at + 7] = static_cast<char>(damaged[at + 7] ^ 1);
  WriteFile(path_, damaged);
  ASSERT_OK(env_.Open(path_, options_));
  {
    Txn reader(env_, JOHNNY_READ);
    Values values;
    EXPECT_EQ(GetMany(reader, {"small", "large"}, &values), JOHNNY_CORRUPT);
    EXPECT_OK(GetMany(reader, {"small"}, &values));
    // The cursor stands on what it cannot read, and goes on from there.
    std::vector<Entry> entries;
    Cursor cursor(reader);
    EXPECT_EQ(MoveMany(cursor, true, 10, &entries), JOHNNY_CORRUPT);
    EXPECT_TRUE(entries.empty());
    size_t count = 0;
    EXPECT_OK(Result(johnny_cursor_next_many(cursor.get(), 10, nullptr, nullptr, &count)));
    EXPECT_EQ(count, 1u);
    Cursor back(reader);
    EXPECT_EQ(MoveMany(back, false, 10, &entries), JOHNNY_CORRUPT);
    EXPECT_EQ(entries, (std::vector<Entry>{{"small", "small"}}));
    johnny_slice key{};
    EXPECT_OK(Result(johnny_cursor_get(back.get(), &key, nullptr)));
    EXPECT_EQ(View(key), "large");
  }
  ASSERT_OK(env_.Close());
  WriteFile(path_, bytes);
  ASSERT_OK(env_.Open(path_, options_));
}

TEST_F(BulkTest, WarmingUpReadsAllPagesOrAsManyAsItMay) {
  uint64_t bytes = 77;
  {
    Txn reader(env_, JOHNNY_READ);
    EXPECT_OK(Result(johnny_table_warm_up(reader.get(), nullptr, 0, &bytes)));
    EXPECT_EQ(bytes, 0u);
  }
  Fill(0, 30000);
  const uint64_t page_size = env_.Info().page_size;
  Txn reader(env_, JOHNNY_READ);
  johnny_table_info info{};
  info.struct_size = sizeof info;
  ASSERT_OK(Result(johnny_table_get_info(reader.get(), nullptr, &info)));
  const uint64_t all = (info.leaf_pages + info.branch_pages) * page_size;
  for (uint64_t limit : {uint64_t{0}, uint64_t{1}, page_size, 2 * page_size, 7 * page_size + 1, all - 1, all, 10 * all}) {
    ASSERT_OK(Result(johnny_table_warm_up(reader.get(), nullptr, limit, &bytes)));
    EXPECT_EQ(bytes, limit == 0 ? all : std::min(limit / page_size * page_size, all)) << limit;
  }
  EXPECT_OK(Result(johnny_table_warm_up(reader.get(), nullptr, 0, nullptr)));
  Txn writer(env_);
  EXPECT_EQ(Result(johnny_table_warm_up(writer.get(), nullptr, 0, &bytes)), JOHNNY_WRONG_TXN);
}

TEST_F(BulkTest, WarmingUpReportsDamage) {
  Fill(0, 1000);
  ASSERT_OK(env_.Close());
  std::string bytes = ReadFile(path_);
  std::string damaged = bytes;
  size_t at = damaged.find(NumberedKey(700) + NumberedKey(700));
  ASSERT_NE(at, std::string::npos);
  damaged[at] = 'x';
  WriteFile(path_, damaged);
  ASSERT_OK(env_.Open(path_, options_));
  {
    Txn reader(env_, JOHNNY_READ);
    uint64_t read = 77;
    EXPECT_EQ(Result(johnny_table_warm_up(reader.get(), nullptr, 0, &read)), JOHNNY_CORRUPT);
    EXPECT_EQ(read, 77u);
    EXPECT_OK(Result(johnny_table_warm_up(reader.get(), nullptr, env_.Info().page_size, &read))) << "the root is sound";
  }
  ASSERT_OK(env_.Close());
  WriteFile(path_, bytes);
  ASSERT_OK(env_.Open(path_, options_));
}

TEST_F(BulkTest, MovementsOfManyReportADamagedLeaf) {
  Fill(0, 1000);
  ASSERT_OK(env_.Close());
  std::string bytes = ReadFile(path_);
  std::string damaged = bytes;
  size_t at = damaged.find(NumberedKey(700) + NumberedKey(700));  // the entry in its leaf
  ASSERT_NE(at, std::string::npos);
  damaged[at] = 'x';
  WriteFile(path_, damaged);
  ASSERT_OK(env_.Open(path_, options_));
  {
    Txn reader(env_, JOHNNY_READ);
    Cursor many(reader), single(reader);
    std::vector<Entry> entries, expected;
    EXPECT_EQ(MoveMany(many, true, 1000, &entries), JOHNNY_CORRUPT);
    Entry entry;
    Result result = JOHNNY_OK;
    while ((result = single.Next(&entry)).ok()) {
      expected.push_back(entry);
    }
    EXPECT_EQ(result, JOHNNY_CORRUPT);
    EXPECT_EQ(entries, expected);
    EXPECT_GT(entries.size(), 100u);
    EXPECT_EQ(many.Key(), single.Key());
    Values values;
    EXPECT_EQ(GetMany(reader, {NumberedKey(1), NumberedKey(700)}, &values), JOHNNY_CORRUPT);
  }
  ASSERT_OK(env_.Close());
  WriteFile(path_, bytes);
  ASSERT_OK(env_.Open(path_, options_));
}

// ---- Split ranges ----

// Splits, and checks the parts against the contents.
void ExpectEvenParts(const Txn& txn, const Contents& contents, const std::optional<std::string>& from,
                     const std::optional<std::string>& to, size_t parts, johnny_table* table = nullptr) {
  auto begin = from ? contents.lower_bound(*from) : contents.begin();
  auto end = to ? contents.lower_bound(*to) : contents.end();
  bool inverted = from && to && *to < *from;
  size_t entries = inverted ? 0 : static_cast<size_t>(std::distance(begin, end));
  std::vector<std::string> bounds;
  ASSERT_OK(SplitRange(txn, from, to, parts, &bounds, table));
  ASSERT_EQ(bounds.size(), entries == 0 ? 0 : std::min(parts, entries) - 1) << entries << " entries in " << parts << " parts";
  size_t least = SIZE_MAX, most = 0, sum = 0;
  auto at = begin;
  for (size_t i = 0; i <= bounds.size() && entries > 0; ++i) {
    auto next = i < bounds.size() ? contents.find(bounds[i]) : end;
    ASSERT_TRUE(i == bounds.size() || next != contents.end()) << "a bound is a key";
    auto size = static_cast<size_t>(std::distance(at, next));
    ASSERT_LE(size, entries) << "bounds ascend";
    least = std::min(least, size);
    most = std::max(most, size);
    sum += size;
    at = next;
  }
  if (entries > 0) {
    EXPECT_EQ(sum, entries);
    EXPECT_LE(most - least, 1u) << entries << " entries in " << parts << " parts";
  }
}

Contents Numbered(uint64_t count) {
  Contents contents;
  for (uint64_t i = 0; i < count; ++i) {
    contents[NumberedKey(3 * i)] = std::to_string(i);
  }
  return contents;
}

TEST_F(BulkTest, PartsDifferByOneEntryAtMost) {
  for (uint64_t size : {0, 1, 2, 3, 7, 99, 100, 101, 250, 5000}) {
    Txn txn(env_);
    Contents contents = Numbered(size);
    PutAll(&txn, contents);
    for (size_t parts = 1; parts <= 100; ++parts) {
      ExpectEvenParts(txn, contents, std::nullopt, std::nullopt, parts);
      ASSERT_FALSE(HasFailure()) << size;
    }
    ExpectEvenParts(txn, contents, std::nullopt, std::nullopt, 1000);
    ExpectEvenParts(txn, contents, std::nullopt, std::nullopt, size + 1);
    ExpectEvenParts(txn, contents, NumberedKey(1), NumberedKey(4), 5);
  }
}

TEST_F(BulkTest, RangesOfAllKindsAreSplit) {
  Contents contents = Numbered(2000);
  Txn writer(env_);
  johnny_table* table = writer.Table("t");
  PutAll(&writer, contents, table);
  ASSERT_OK(writer.Commit());
  Txn reader(env_, JOHNNY_READ);
  const std::optional<std::string> bounds[] = {
      std::nullopt,      "",   NumberedKey(0),        NumberedKey(1), NumberedKey(2997), "0000299701", NumberedKey(5997),
      NumberedKey(5998), "zz", std::string(5000, 'x')};
  for (const auto& from : bounds) {
    for (const auto& to : bounds) {
      for (size_t parts : {1, 2, 3, 16, 100, 1999, 2000, 2001}) {
        ExpectEvenParts(reader, contents, from, to, parts, table);
      }
      ASSERT_FALSE(HasFailure()) << from.value_or("-") << " to " << to.value_or("-");
    }
  }
}

// Counts of changed pages are not settled before somebody asks for them; and the next put must not rely on them either.
TEST_F(BulkTest, ChangesOfTheWriteTransactionAreSplitToo) {
  std::mt19937 random(5);
  Contents contents = Numbered(3000);
  Txn setup(env_);
  PutAll(&setup, contents);
  ASSERT_OK(setup.Commit());
  Txn writer(env_);
  for (int round = 0; round < 30; ++round) {
    uint64_t first = random() % 9000;
    for (uint64_t i = 0; i < random() % 100; ++i) {
      ASSERT_OK(writer.Put(NumberedKey(first + i), "new"));
      contents[NumberedKey(first + i)] = "new";
    }
    for (uint64_t i = 0; i < random() % 100; ++i) {
      std::string key = NumberedKey(random() % 9000);
      ASSERT_EQ(writer.Delete(key), contents.erase(key) > 0 ? JOHNNY_OK : JOHNNY_NOT_FOUND);
    }
    ExpectEvenParts(writer, contents, NumberedKey(random() % 9000), std::nullopt, 1 + random() % 50);
    ExpectEvenParts(writer, contents, std::nullopt, NumberedKey(random() % 9000), 1 + random() % 50);
    ASSERT_FALSE(HasFailure()) << "in round " << round;
  }
  ASSERT_OK(writer.Commit());
}

TEST_F(BulkTest, OneSliceMayBeBothBounds) {
  Fill(0, 100);
  Txn txn(env_, JOHNNY_READ);
  std::string key = NumberedKey(50);
  johnny_slice bound = ToSlice(key);
  johnny_slice bounds[9];
  size_t count = 99;
  ASSERT_OK(Result(johnny_split_range(txn.get(), nullptr, &bound, &bound, 10, bounds, &count)));
  EXPECT_EQ(count, 0u) << "there is nothing from a key to itself";
}

TEST_F(BulkTest, SplittingRefusesWhatMakesNoSense) {
  Fill(0, 100);
  Txn txn(env_, JOHNNY_READ);
  johnny_slice bounds[9];
  size_t count = 0;
  johnny_slice bad{nullptr, 3};
  auto split = [&](const johnny_slice* from, const johnny_slice* to, size_t parts, johnny_slice* out, size_t* how_many) {
    return Result(johnny_split_range(txn.get(), nullptr, from, to, parts, out, how_many));
  };
  EXPECT_EQ(split(nullptr, nullptr, 0, bounds, &count), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(split(nullptr, nullptr, 2, nullptr, &count), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(split(nullptr, nullptr, 2, bounds, nullptr), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(split(&bad, nullptr, 2, bounds, &count), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(split(nullptr, &bad, 2, bounds, &count), JOHNNY_INVALID_ARGUMENT);
  EXPECT_OK(split(nullptr, nullptr, 1, nullptr, &count));
  EXPECT_EQ(count, 0u);
  johnny_slice empty{nullptr, 0};
  EXPECT_OK(split(&empty, nullptr, 10, bounds, &count));
  EXPECT_EQ(count, 9u);
}

}  // namespace
}  // namespace johnny::test
