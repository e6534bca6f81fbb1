// Put, get and delete of single entries, in memory, after commit and after reopening; keys at their limits.
#include <algorithm>
#include <random>

#include "support/test_db.h"

namespace johnny::test {
namespace {

class EntryTest : public PagedDbTest {
 protected:
  // Commits `txn`, and expects `expected` in the newest snapshot, before and after reopening.
  void CommitAndExpect(Txn* txn, const Contents& expected) {
    EXPECT_EQ(txn->All(), expected);
    ASSERT_OK(txn->Commit());
    EXPECT_EQ(Txn(env_, JOHNNY_READ).All(), expected);
    EXPECT_TRUE(env_.VerifyClean());
    Reopen();
    EXPECT_EQ(Txn(env_, JOHNNY_READ).All(), expected);
  }
};

INSTANTIATE_PAGE_SIZES(EntryTest);

TEST_P(EntryTest, GetReturnsWhatWasPut) {
  Txn txn(env_);
  ASSERT_OK(txn.Put("b", "2"));
  ASSERT_OK(txn.Put("a", "1"));
  ASSERT_OK(txn.Put("c", "3"));
  EXPECT_EQ(txn.Find("a"), "1");
  EXPECT_EQ(txn.Find("d"), std::nullopt);
  EXPECT_OK(txn.Exists("b"));
  EXPECT_EQ(txn.Exists("bb"), JOHNNY_NOT_FOUND);
  CommitAndExpect(&txn, {{"a", "1"}, {"b", "2"}, {"c", "3"}});
}

TEST_P(EntryTest, GetMayLeaveTheValueOut) {
  Txn txn(env_);
  ASSERT_OK(txn.Put("a", "1"));
  EXPECT_OK(Result(johnny_get(txn.get(), nullptr, "a", 1, nullptr)));
  EXPECT_EQ(Result(johnny_get(txn.get(), nullptr, "b", 1, nullptr)), JOHNNY_NOT_FOUND);
}

TEST_P(EntryTest, OutputsAreWrittenOnSuccessOnly) {
  Txn txn(env_);
  johnny_slice value{"untouched", 9};
  EXPECT_EQ(Result(johnny_get(txn.get(), nullptr, "b", 1, &value)), JOHNNY_NOT_FOUND);
  EXPECT_EQ(View(value), "untouched");
}

TEST_P(EntryTest, PutReplacesTheValue) {
  Txn txn(env_);
  for (size_t size : {3, 3, 100, 5, 0, 700, 1, 60000, 2, 60000, 59999, 0}) {
    ASSERT_OK(txn.Put("key", Pattern(size, 1)));
    EXPECT_EQ(txn.Find("key"), Pattern(size, 1));
  }
  EXPECT_EQ(txn.Entries(), 1u);
  ASSERT_OK(txn.Put("key", "last"));
  CommitAndExpect(&txn, {{"key", "last"}});
}

TEST_P(EntryTest, PutCopiesItsArguments) {
  Txn txn(env_);
  std::string key = "key";
  std::string value = "value";
  ASSERT_OK(txn.Put(key, value));
  key = value = "xxxxx";
  EXPECT_EQ(txn.Find("key"), "value");
}

TEST_P(EntryTest, AValueMayBePutFromTheDatabaseItself) {
  Txn txn(env_);
  ASSERT_OK(txn.Put("a", Pattern(500, 1)));
  ASSERT_OK(txn.Put("big", Pattern(100000, 2)));
  for (int i = 0; i < 100; ++i) {
    for (const char* from : {"a", "big"}) {
      johnny_slice value{};
      ASSERT_OK(Result(johnny_get(txn.get(), nullptr, from, std::string_view(from).size(), &value)));
      std::string expected(View(value));
      ASSERT_OK(txn.Put(from + NumberedKey(static_cast<uint64_t>(i)), View(value)));
      ASSERT_EQ(txn.Find(from + NumberedKey(static_cast<uint64_t>(i))), expected);
    }
  }
}

TEST_P(EntryTest, NoOverwriteStoresANewKey) {
  Txn txn(env_);
  EXPECT_OK(txn.Put("a", "1", JOHNNY_NO_OVERWRITE));
  EXPECT_EQ(txn.Put("a", "2", JOHNNY_NO_OVERWRITE), JOHNNY_EXISTS);
  EXPECT_OK(txn.Delete("a"));
  EXPECT_OK(txn.Put("a", "3", JOHNNY_NO_OVERWRITE));
  CommitAndExpect(&txn, {{"a", "3"}});
}

TEST_P(EntryTest, AppendStoresAscendingKeys) {
  Txn txn(env_);
  Contents expected;
  EXPECT_OK(txn.Put("", "first", JOHNNY_APPEND));
  expected[""] = "first";
  for (uint64_t i = 0; i < 5000; ++i) {
    ASSERT_OK(txn.Put(NumberedKey(i), Pattern(i % 50, 1), JOHNNY_APPEND));
    expected[NumberedKey(i)] = Pattern(i % 50, 1);
  }
  CommitAndExpect(&txn, expected);
}

TEST_P(EntryTest, AscendingKeysLeaveFullPages) {
  Txn txn(env_);
  for (uint64_t i = 0; i < 20000; ++i) {
    ASSERT_OK(txn.Put(NumberedKey(i), Pattern(100, 1), i % 2 == 0 ? uint32_t{JOHNNY_APPEND} : 0));
  }
  ASSERT_OK(txn.Commit());
  johnny_table_info info = Txn(env_, JOHNNY_READ).TableInfo();
  double bytes = 20000.0 * (8 + 100 + 10);
  EXPECT_GT(bytes / (static_cast<double>(info.leaf_pages) * GetParam()), 0.9);
}

TEST_P(EntryTest, DeleteRemovesTheEntry) {
  Txn txn(env_);
  ASSERT_OK(txn.Put("a", "1"));
  ASSERT_OK(txn.Put("b", "2"));
  EXPECT_OK(txn.Delete("a"));
  EXPECT_EQ(txn.Delete("a"), JOHNNY_NOT_FOUND);
  EXPECT_EQ(txn.Exists("a"), JOHNNY_NOT_FOUND);
  CommitAndExpect(&txn, {{"b", "2"}});
}

TEST_P(EntryTest, DeletingTheLastEntryLeavesAnEmptyTable) {
  Txn txn(env_);
  ASSERT_OK(txn.Put("a", "1"));
  ASSERT_OK(txn.Commit());
  ASSERT_OK(txn.Begin(env_));
  ASSERT_OK(txn.Delete("a"));
  CommitAndExpect(&txn, {});
  EXPECT_EQ(Txn(env_, JOHNNY_READ).TableInfo().depth, 0u);
  Fill(0, 10);
  EXPECT_EQ(Txn(env_, JOHNNY_READ).Entries(), 10u);
}

TEST_P(EntryTest, TheEmptyKeyIsTheFirst) {
  Txn txn(env_);
  ASSERT_OK(txn.Put(std::string(1, '\0'), "zero"));
  ASSERT_OK(txn.Put("", "empty"));
  Entry entry;
  ASSERT_OK(txn.Nth(0, &entry));
  EXPECT_EQ(entry, Entry("", "empty"));
  CommitAndExpect(&txn, {{"", "empty"}, {std::string(1, '\0'), "zero"}});
  ASSERT_OK(txn.Begin(env_));
  EXPECT_OK(txn.Delete(""));
  EXPECT_EQ(txn.Exists(""), JOHNNY_NOT_FOUND);
}

TEST_P(EntryTest, KeysAreOrderedAsUnsignedBytes) {
  Contents expected;
  Txn txn(env_);
  for (int first = 0; first < 256; ++first) {
    for (int second : {-1, 0, 1, 127, 128, 255}) {
      std::string key(1, static_cast<char>(first));
      if (second >= 0) {
        key.push_back(static_cast<char>(second));
      }
      ASSERT_OK(txn.Put(key, "v"));
      expected[key] = "v";
    }
  }
  Contents all = txn.All();  // std::string orders as memcmp does
  EXPECT_EQ(all, expected);
  CommitAndExpect(&txn, expected);
}

TEST_P(EntryTest, KeysThatArePrefixesOfEachOtherAreKeptApart) {
  Contents expected;
  Txn txn(env_);
  size_t limit = env_.Info().max_key_size;
  for (size_t size = 0; size <= limit; size += size < 40 ? 1 : 37) {
    for (char byte : {'\0', 'a', '\xff'}) {
      std::string key(size, byte);
      ASSERT_OK(txn.Put(key, std::to_string(size)));
      expected[key] = std::to_string(size);
    }
  }
  CommitAndExpect(&txn, expected);
}

TEST_P(EntryTest, KeysAtTheLimitFillManyLevels) {
  size_t limit = env_.Info().max_key_size;
  EXPECT_GE(limit, GetParam() / 5);
  Contents expected;
  Txn txn(env_);
  std::minstd_rand random(1);
  for (int i = 0; i < 400; ++i) {
    // Separators stay long: neighbours differ only at the end.
    std::string key(limit - 4, 'k');
    key += NumberedKey(random() % 10000, 4);
    size_t value_size = random() % 3 == 0 ? limit * 3 : 5;
    ASSERT_OK(txn.Put(key, Pattern(value_size, 7)));
    expected[key] = Pattern(value_size, 7);
  }
  CommitAndExpect(&txn, expected);
  ASSERT_OK(txn.Begin(env_));
  std::vector<std::string> keys;
  for (const auto& entry : expected) {
    keys.push_back(entry.first);
  }
  std::shuffle(keys.begin(), keys.end(), random);
  for (size_t i = 0; i < keys.size(); ++i) {
    ASSERT_OK(txn.Delete(keys[i]));
    expected.erase(keys[i]);
    if (i % 50 == 0) {
      ASSERT_EQ(txn.All(), expected);
    }
  }
  CommitAndExpect(&txn, {});
}

TEST_P(EntryTest, ReplacedSeparatorsMayLengthenAndSplitTheirParents) {
  // Leaves begin with short keys, so separators are short; deleting those makes long keys the separators.
  size_t limit = env_.Info().max_key_size;
  Contents expected;
  Txn txn(env_);
  for (int i = 0; i < 300; ++i) {
    std::string group = NumberedKey(static_cast<uint64_t>(i), 4);
    for (const std::string& key : {group, group + std::string(limit - 5, 'x') + "1", group + std::string(limit - 5, 'x') + "2"}) {
      ASSERT_OK(txn.Put(key, "v"));
      expected[key] = "v";
    }
  }
  ASSERT_OK(txn.Commit());
  ASSERT_OK(txn.Begin(env_));
  for (int i = 0; i < 300; ++i) {
    std::string group = NumberedKey(static_cast<uint64_t>(i), 4);
    ASSERT_OK(txn.Delete(group));
    expected.erase(group);
    if (i % 3 == 0) {
      ASSERT_OK(txn.Delete(group + std::string(limit - 5, 'x') + "1"));
      expected.erase(group + std::string(limit - 5, 'x') + "1");
    }
  }
  CommitAndExpect(&txn, expected);
}

TEST_P(EntryTest, RandomLoadsEndWellFilled) {
  std::vector<uint64_t> numbers(30000);
  for (size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = i;
  }
  std::shuffle(numbers.begin(), numbers.end(), std::minstd_rand(2));
  Txn txn(env_);
  for (uint64_t number : numbers) {
    ASSERT_OK(txn.Put(NumberedKey(number), Pattern(60, 1)));
  }
  ASSERT_OK(txn.Commit());
  johnny_table_info info = Txn(env_, JOHNNY_READ).TableInfo();
  EXPECT_EQ(info.entries, numbers.size());
  double bytes = 30000.0 * (8 + 60 + 10);
  EXPECT_GT(bytes / (static_cast<double>(info.leaf_pages) * GetParam()), 0.75);
}

TEST_P(EntryTest, DeletingMostEntriesGivesPagesBack) {
  Fill(0, 20000);
  johnny_table_info full = Txn(env_, JOHNNY_READ).TableInfo();
  Txn txn(env_);
  Contents expected;
  for (uint64_t i = 0; i < 20000; ++i) {
    if (i % 20 == 0) {
      expected[NumberedKey(i)] = NumberedKey(i);
    } else {
      ASSERT_OK(txn.Delete(NumberedKey(i)));
    }
  }
  CommitAndExpect(&txn, expected);
  johnny_table_info sparse = Txn(env_, JOHNNY_READ).TableInfo();
  EXPECT_LT(sparse.leaf_pages, full.leaf_pages / 4);
}

}  // namespace
}  // namespace johnny::test
