// Trees built bottom-up: what they hold and how they look. How builders end: builder_end_test.cc.
#include <random>

#include "model/op.h"
#include "support/bulk.h"

namespace johnny::test {
namespace {

class BuilderTest : public PagedDbTest {
 protected:
  ~BuilderTest() override {
    if (env_.get() != nullptr) {
      EXPECT_TRUE(env_.VerifyClean());
    }
  }

  // The counts and orders of the tree agree with the contents.
  static void ExpectTree(const Txn& txn, const Contents& contents, johnny_table* table = nullptr) {
    ASSERT_TRUE(txn.All(table) == contents);
    ASSERT_EQ(txn.Entries(table), contents.size());
    ASSERT_EQ(txn.TableInfo(table).entries, contents.size());
    std::mt19937 random(3);
    for (int i = 0; i < 20 && !contents.empty(); ++i) {
      uint64_t n = i == 0 ? 0 : i == 1 ? contents.size() - 1 : random() % contents.size();
      Entry entry;
      ASSERT_OK(txn.Nth(n, &entry, table));
      ASSERT_TRUE(entry == Entry(*std::next(contents.begin(), static_cast<ptrdiff_t>(n))));
      uint64_t rank = 0;
      ASSERT_OK(txn.Rank(entry.first, &rank, table));
      ASSERT_EQ(rank, n);
      ASSERT_OK(txn.Rank(entry.first + '\0', &rank, table));
      ASSERT_EQ(rank, n + 1);
      ASSERT_TRUE(txn.Find(entry.first, table) == entry.second);
      ASSERT_EQ(txn.Find(entry.first + '\0', table).has_value(), contents.count(entry.first + '\0') > 0);
    }
    Cursor back(txn, table);
    auto expected = contents.rbegin();
    for (Entry entry; back.Prev(&entry).ok(); ++expected) {
      ASSERT_TRUE(entry == Entry(*expected));
    }
    ASSERT_TRUE(expected == contents.rend());
  }
  // Builds the main table, checks it before and after the commit, and returns what its information was.
  johnny_table_info Build(const Contents& contents, uint32_t fill = 0) {
    Txn txn(env_);
    {
      Builder builder(txn, nullptr, JOHNNY_BUILD_REPLACE, fill);
      EXPECT_OK(builder.AddAll(contents));
      EXPECT_OK(builder.Finish());
    }
    ExpectTree(txn, contents);
    EXPECT_OK(txn.Commit());
    EXPECT_TRUE(env_.VerifyClean());
    Txn reader(env_, JOHNNY_READ);
    ExpectTree(reader, contents);
    ExpectPageCounts(reader);
    return reader.TableInfo();
  }
  // The figures of the table are those of its pages.
  static void ExpectPageCounts(const Txn& reader) {
    std::map<uint32_t, uint64_t> pages;
    auto count = [](void* context, const johnny_page_run* run) {
      if (run->table != nullptr && *run->table == '\0') {
        (*static_cast<std::map<uint32_t, uint64_t>*>(context))[run->kind] += run->pages;
      }
      return 0;
    };
    EXPECT_OK(Result(johnny_page_list(reader.get(), count, &pages)));
    johnny_table_info info = reader.TableInfo();
    EXPECT_EQ(info.leaf_pages, pages[JOHNNY_PAGE_LEAF]);
    EXPECT_EQ(info.branch_pages, pages[JOHNNY_PAGE_BRANCH]);
    EXPECT_EQ(info.extent_pages, pages[JOHNNY_PAGE_EXTENT]);
  }
  // Puts and deletes all over a built tree, in several transactions.
  void Change(Contents contents, uint32_t seed, size_t key_size) {
    std::mt19937 random(seed);
    for (int round = 0; round < 4; ++round) {
      Txn txn(env_);
      for (int i = 0; i < 300; ++i) {
        std::string key = NumberedKey(random() % 100000, 8);
        auto near = contents.lower_bound(key);
        if (near != contents.end() && random() % 2 == 0) {
          key = near->first;
        }
        if (random() % 3 == 0) {
          ASSERT_EQ(txn.Delete(key), contents.erase(key) > 0 ? JOHNNY_OK : JOHNNY_NOT_FOUND);
          continue;
        }
        key += std::string(random() % 4 == 0 ? random() % (key_size - key.size() + 1) : 0, static_cast<char>('a' + random() % 3));
        std::string value = Pattern(random() % 200, static_cast<uint32_t>(random()));
        ASSERT_OK(txn.Put(key, value));
        contents[key] = value;
      }
      ASSERT_TRUE(txn.All() == contents);
      ASSERT_OK(txn.Commit());
      ASSERT_TRUE(env_.VerifyClean());
    }
    // Down to nothing, by runs that leave single entries in leaves.
    Txn txn(env_);
    while (!contents.empty()) {
      auto at = contents.lower_bound(NumberedKey(random() % 100000));
      for (int i = 0; i < 50 && at != contents.end(); ++i) {
        ASSERT_OK(txn.Delete(at->first));
        at = contents.erase(at);
      }
      if (at == contents.end() && !contents.empty()) {
        ASSERT_OK(txn.Delete(contents.begin()->first));
        contents.erase(contents.begin());
      }
    }
    ASSERT_EQ(txn.TableInfo().depth, 0u);
    ASSERT_OK(txn.Commit());
  }
  static Contents Numbered(uint64_t count, size_t value_size, uint64_t step = 1) {
    Contents contents;
    for (uint64_t i = 0; i < count; ++i) {
      contents[NumberedKey(i * step)] = Pattern(value_size, static_cast<uint32_t>(i));
    }
    return contents;
  }
};
INSTANTIATE_PAGE_SIZES(BuilderTest);

TEST_P(BuilderTest, FewEntries) {
  EXPECT_EQ(Build({}).depth, 0u);
  EXPECT_EQ(Build({{"", ""}}).depth, 1u);
  EXPECT_EQ(Build({{"", ""}, {std::string(1, '\0'), "zero"}}).depth, 1u);
  EXPECT_EQ(Build({{"a", "1"}, {"b", ""}, {"c", "3"}}).leaf_pages, 1u);
  EXPECT_EQ(Build({}).depth, 0u);
}

// Around the sizes at which a leaf, or the leaves, are full to the byte.
TEST_P(BuilderTest, LeavesThatAreExactlyFull) {
  // Header of 32 bytes; of each entry 6 bytes of slot, 4 of header, 8 of key: so many of them, and a last one that fills the
  // rest.
  const size_t room = GetParam() - 32;
  const size_t per_leaf = room / 100;
  for (int more = -2; more <= 2; ++more) {
    for (uint64_t leaves : {1, 2, 3}) {
      Contents contents;
      for (uint64_t i = 0; i < leaves * per_leaf; ++i) {
        bool last = i % per_leaf == per_leaf - 1;
        size_t cost = last ? room - 100 * (per_leaf - 1) : 100;
        contents[NumberedKey(i)] = Pattern(cost - 18 + static_cast<size_t>(last ? more : 0), static_cast<uint32_t>(i));
      }
      johnny_table_info info = Build(contents);
      if (more <= 0) {
        EXPECT_EQ(info.leaf_pages, leaves) << more;
      } else {
        EXPECT_GT(info.leaf_pages, leaves) << more;
      }
      ASSERT_FALSE(HasFailure()) << leaves << " leaves, " << more << " bytes more";
    }
  }
}

TEST_P(BuilderTest, TreesOfAllSizes) {
  for (uint64_t size : {10, 100, 200, 1000, 5000, 20000}) {
    for (size_t value_size : {0, 20, 150}) {
      Contents contents = Numbered(size, value_size);
      johnny_table_info info = Build(contents);
      uint64_t bytes = size * (6 + 4 + 8 + value_size);
      EXPECT_LE(info.leaf_pages, bytes / (GetParam() - 32 - 18 - value_size) + 1) << "every leaf is full";
      ASSERT_FALSE(HasFailure()) << size << " entries of " << value_size;
    }
  }
}

TEST_P(BuilderTest, LeavesAreFilledAsFarAsAsked) {
  Contents contents = Numbered(5000, 50);
  uint64_t full = Build(contents, 100).leaf_pages;
  EXPECT_EQ(Build(contents, 0).leaf_pages, full);
  uint64_t before = full;
  for (uint32_t fill : {99, 90, 75, 60, 50}) {
    uint64_t pages = Build(contents, fill).leaf_pages;
    EXPECT_GE(pages, before);
    before = pages;
  }
  EXPECT_GE(before, full * 19 / 10);
  EXPECT_LE(before, full * 22 / 10);
}

TEST_P(BuilderTest, EntriesAsLargeAsCanBe) {
  johnny_env_info info = env_.Info();
  for (uint32_t fill : {50, 77, 100}) {
    Contents contents;
    for (uint64_t i = 0; i < 60; ++i) {
      std::string key = NumberedKey(i);
      key.resize(info.max_key_size, 'k');
      // At and around the largest that goes into a leaf, and now and then a small one.
      contents[key] = Pattern(i % 5 == 4 ? 0 : (GetParam() - 32) / 2 - 10 - key.size() + i % 4 - 2, static_cast<uint32_t>(i));
    }
    Build(contents, fill);
    ASSERT_FALSE(HasFailure()) << fill;
  }
}

TEST_P(BuilderTest, LargeValues) {
  Contents contents;
  uint64_t large = 0;
  for (uint64_t i = 0; i < 120; ++i) {
    size_t size = i % 3 == 0 ? GetParam() * (i % 7) + i % 5 : i % 40;
    size = i == 60 ? 2000000 : size;
    large += size >= GetParam() / 2 ? 1 : 0;
    contents[NumberedKey(i)] = Pattern(size, static_cast<uint32_t>(i));
  }
  johnny_table_info info = Build(contents);
  EXPECT_EQ(info.large_values, large);
  Contents without;
  EXPECT_EQ(Build(without).extent_pages, 0u);
}

TEST_P(BuilderTest, ChangesOfABuiltTree) {
  for (uint32_t fill : {50, 80, 100}) {
    Contents contents = Numbered(4000, 40, 25);
    Build(contents, fill);
    Change(contents, fill, 100);
    ASSERT_FALSE(HasFailure()) << fill;
  }
}

// Separators of about 1000 bytes: branches have few children, and a separator that breaks their shared prefix many bytes more.
TEST_P(BuilderTest, LongKeysWithLongSharedPrefixes) {
  const size_t limit = std::min<size_t>(env_.Info().max_key_size, 1000);
  std::mt19937 random(GetParam());
  for (int kind = 0; kind < 6; ++kind) {
    Contents contents;
    for (uint64_t i = 0; i < 3000; ++i) {
      std::string key;
      switch (kind) {
        case 0:  // all share nearly all
          key = std::string(limit - 8, 'p') + NumberedKey(i);
          break;
        case 1:  // groups that share
          key = NumberedKey(i / 50, 4) + std::string(limit - 12, 'p') + NumberedKey(i);
          break;
        case 2:  // shared ones, and now and then a short one between
          key = i % 40 == 0 ? NumberedKey(i, 4) : NumberedKey(i - i % 40, 4) + std::string(limit - 12, 'q') + NumberedKey(i);
          break;
        case 3:  // prefixes of one another
          key = std::string(i % limit, 'a') + (i < limit ? "" : NumberedKey(i));
          break;
        case 4:  // of all lengths
          key = NumberedKey(i, 5) + std::string(random() % (limit - 5), static_cast<char>('x' + i % 3));
          break;
        default:  // differ late, in one of a few places
          key = std::string(limit, 'm');
          key[random() % 4 * (limit / 4) + random() % 8] = static_cast<char>('a' + random() % 26);
          key.replace(limit - 6, 6, NumberedKey(i, 6));
          break;
      }
      contents[key] = Pattern(i % 30, static_cast<uint32_t>(i));
    }
    johnny_table_info info = Build(contents, kind % 2 == 0 ? 100 : 60);
    EXPECT_GE(info.depth, GetParam() == 4096 ? 3u : 2u) << kind;
    Change(contents, static_cast<uint32_t>(kind), limit);
    ASSERT_FALSE(HasFailure()) << "kind " << kind;
  }
}

// Puts into built branches that are full to the last byte, with keys that share nothing with the separators there.
TEST_P(BuilderTest, SplitsOfFullBranches) {
  const size_t limit = std::min<size_t>(env_.Info().max_key_size, 1000);
  for (uint32_t seed = 0; seed < 6; ++seed) {
    Contents contents;
    for (uint64_t i = 0; i < 2000; ++i) {
      contents[std::string(limit - 8 - seed * 7, 'p') + NumberedKey(i)] = Pattern(200, static_cast<uint32_t>(i));
    }
    Build(contents);
    std::mt19937 random(seed);
    Txn txn(env_);
    for (int i = 0; i < 800; ++i) {
      auto at = contents.lower_bound(std::string(limit - 8 - seed * 7, 'p') + NumberedKey(random() % 2000));
      std::string key = at->first.substr(0, random() % 2 == 0 ? random() % limit : at->first.size()) +
                        std::string(random() % 8, static_cast<char>("\0op\xff"[random() % 4]));
      key.resize(std::min(key.size(), limit));
      std::string value = Pattern(random() % 3 == 0 ? 900 : 100, static_cast<uint32_t>(i));
      ASSERT_OK(txn.Put(key, value));
      contents[key] = value;
    }
    ASSERT_NO_FATAL_FAILURE(ExpectTree(txn, contents));
    ASSERT_OK(txn.Commit());
    ASSERT_TRUE(env_.VerifyClean()) << seed;
  }
}

TEST_P(BuilderTest, RandomContents) {
  std::mt19937 random(GetParam());
  size_t limit = env_.Info().max_key_size;
  for (int round = 0; round < 30; ++round) {
    Contents contents;
    for (size_t i = random() % 1500; i-- > 0;) {
      std::string key = KeyOf(static_cast<uint32_t>(random()), limit);
      std::string value = ValueOf(static_cast<uint32_t>(random()), GetParam(), key.size());
      contents[key] = value.size() > 5 * GetParam() ? value.substr(0, 100) : value;
    }
    Build(contents, static_cast<uint32_t>(50 + random() % 51));
    ASSERT_FALSE(HasFailure()) << "in round " << round;
  }
}

TEST_P(BuilderTest, ATableIsRebuiltFromItself) {
  std::mt19937 random(1);
  Contents contents;
  {
    Txn txn(env_);
    for (int i = 0; i < 8000; ++i) {
      std::string key = NumberedKey(random() % 20000);
      std::string value = Pattern(random() % 50 == 0 ? 10000 : random() % 100, static_cast<uint32_t>(i));
      ASSERT_OK(txn.Put(key, value));
      contents[key] = value;
    }
    ASSERT_OK(txn.Commit());
  }
  Txn txn(env_);
  for (int i = 0; i < 500; ++i) {  // of which some pages are changed already
    std::string key = NumberedKey(random() % 20000);
    ASSERT_OK(txn.Put(key, "new"));
    contents[key] = "new";
  }
  uint64_t before = txn.TableInfo().leaf_pages;
  Cursor cursor(txn);
  Builder builder(txn, nullptr, JOHNNY_BUILD_REPLACE);
  std::vector<johnny_slice> keys(100);
  std::vector<johnny_slice> values(100);
  size_t count = 0;
  while (johnny_cursor_next_many(cursor.get(), keys.size(), keys.data(), values.data(), &count) == JOHNNY_OK) {
    for (size_t i = 0; i < count; ++i) {
      ASSERT_OK(builder.Add(View(keys[i]), View(values[i])));
    }
  }
  ASSERT_OK(builder.Finish());
  EXPECT_LT(txn.TableInfo().leaf_pages, before);
  ExpectTree(txn, contents);
  EXPECT_EQ(cursor.PrevKey(), contents.rbegin()->first);
  builder.Close();
  ASSERT_OK(txn.Commit());
  Txn reader(env_, JOHNNY_READ);
  ExpectTree(reader, contents);
}

// Replacing again and again does not let the file grow without end.
TEST_P(BuilderTest, ReplacedPagesComeBack) {
  uint64_t after_some = 0;
  for (uint64_t round = 0; round < 20; ++round) {
    Build(Numbered(3000 + round % 3, 60));
    after_some = round == 5 ? env_.Info().page_count : after_some;
  }
  EXPECT_LE(env_.Info().page_count, after_some * 3 / 2);
}

}  // namespace
}  // namespace johnny::test
