#include "tree/tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "tree/tree_fixture.h"

namespace johnny::tree {
namespace {

Slice KeyAt(const Path& path) { return node::LeafKey(path.leaf().page, path.leaf().index); }

class TreeTest : public testing::Test {
 protected:
  // Even numbers below 2n, in random order.
  void Load(uint64_t n) {
    std::vector<uint64_t> numbers;
    for (uint64_t i = 0; i < n; ++i) {
      numbers.push_back(2 * i);
    }
    std::shuffle(numbers.begin(), numbers.end(), std::mt19937(5));
    for (uint64_t number : numbers) {
      ASSERT_PUT(tree_, Key(number), "v" + std::to_string(number));
    }
  }
  // Rank and n-th entry against the ordered list of keys.
  void CheckRanks() {
    Model contents = tree_.Contents();
    std::vector<std::string> keys;
    for (const auto& [key, value] : contents) {
      keys.push_back(key);
    }
    ASSERT_EQ(tree_.record().root.entries, keys.size());
    for (size_t i = 0; i < keys.size(); i += 1 + keys.size() / 300) {
      uint64_t rank = 0;
      EXPECT_EQ(Rank(tree_.view(), tree_.record(), keys[i], &rank), Lookup::kFound);
      ASSERT_EQ(rank, i);
      EXPECT_EQ(Rank(tree_.view(), tree_.record(), keys[i] + std::string(1, '\0'), &rank), Lookup::kNotFound);
      ASSERT_EQ(rank, i + 1);
      Path path;
      ASSERT_EQ(SearchNth(tree_.view(), tree_.record(), i, &path), Lookup::kFound);
      ASSERT_EQ(KeyAt(path), keys[i]);
    }
    Path path;
    EXPECT_EQ(SearchNth(tree_.view(), tree_.record(), keys.size(), &path), Lookup::kNotFound);
    EXPECT_EQ(SearchNth(tree_.view(), tree_.record(), UINT64_MAX, &path), Lookup::kNotFound);
  }

  TreeFile tree_;
};

TEST_F(TreeTest, AnEmptyTreeHasNothing) {
  tree_.Begin();
  Path path;
  node::LeafValue value;
  uint64_t rank = 9;
  EXPECT_EQ(Get(tree_.view(), tree_.record(), "", &value), Lookup::kNotFound);
  EXPECT_EQ(Search(tree_.view(), tree_.record(), "k", &path), Lookup::kNotFound);
  EXPECT_EQ(path.top, -1);
  EXPECT_EQ(SearchEdge(tree_.view(), tree_.record(), true, &path), Lookup::kNotFound);
  EXPECT_EQ(SearchNth(tree_.view(), tree_.record(), 0, &path), Lookup::kNotFound);
  EXPECT_EQ(Rank(tree_.view(), tree_.record(), "k", &rank), Lookup::kNotFound);
  EXPECT_EQ(rank, 0u);
}

// Find() as each kind of processor runs it, on one tree each: keys shorter than a head, prefixes longer and shorter than eight
// bytes, heads that are equal, values of all sizes so that leaves have few and many entries.
TEST_F(TreeTest, FindAgreesWithAMapOnEveryProcessor) {
  std::mt19937_64 random(2004);
  for (size_t shared : {0, 1, 5, 7, 8, 9, 30, 70}) {
    for (size_t largest : {3, 100, 900}) {
      TreeFile file;
      file.Begin();
      std::map<std::string, std::string> model;
      auto any_key = [&] {
        std::string key(random() % 8 == 0 ? random() % (shared + 1) : shared, 'p');
        for (size_t left = random() % 9; left > 0; --left) {
          key += "\0\1az\xff"[random() % 5];
        }
        return key;
      };
      for (int i = 0; i < 1500; ++i) {
        std::string key = any_key();
        model[key] = std::string(random() % largest, static_cast<char>('a' + i % 26));
        ASSERT_PUT(file, key, model[key]);
      }
      file.Commit();
      auto check = [&](auto find, const std::string& key) {
        const Found found = find(file.view(), file.record(), key);
        auto expected = model.find(key);
        ASSERT_EQ(found.result, expected == model.end() ? Lookup::kNotFound : Lookup::kFound) << testing::PrintToString(key);
        if (found.entry != nullptr) {
          const node::LeafEntry entry = node::LoadLeafEntry(found.entry);
          ASSERT_EQ(entry.key, key);
          ASSERT_EQ(entry.value.bytes, expected->second);
        }
      };
      for (int i = 0; i < 3000 + static_cast<int>(model.size()); ++i) {
        const std::string key = i < 3000 ? any_key() : std::next(model.begin(), i - 3000)->first;
        check(FindPortable, key);
#ifdef JOHNNY_HAS_AVX2_KERNEL
        if (kHasAvx2) {
          check(FindAvx2, key);
        }
#endif
      }
    }
  }
}

TEST_F(TreeTest, SearchFindsLowerBounds) {
  tree_.Begin();
  Load(5000);
  for (bool committed : {false, true}) {
    if (committed) {
      tree_.Commit();
    }
    ASSERT_GE(tree_.record().level, 1);
    for (uint64_t number = 0; number < 10000; ++number) {
      Path path;
      Lookup result = Search(tree_.view(), tree_.record(), Key(number), &path);
      ASSERT_EQ(result, number % 2 == 0 ? Lookup::kFound : Lookup::kNotFound);
      ASSERT_EQ(path.top, tree_.record().level);
      node::LeafValue value;
      ASSERT_EQ(Get(tree_.view(), tree_.record(), Key(number), &value), result);
      if (number % 2 == 0) {
        ASSERT_EQ(value.bytes, "v" + std::to_string(number));
        ASSERT_EQ(KeyAt(path), Key(number));
      } else {
        // The bound is in this leaf, or the first of the next.
        if (path.leaf().index == node::Header(path.leaf().page)->count) {
          Lookup step = StepLeaf(tree_.view(), true, &path);
          ASSERT_EQ(step, number == 9999 ? Lookup::kNotFound : Lookup::kFound);
        }
        if (number < 9999) {
          ASSERT_EQ(KeyAt(path), Key(number + 1));
        }
      }
    }
  }
}

TEST_F(TreeTest, LeavesAreSteppedThroughInBothDirections) {
  tree_.Begin();
  Load(5000);
  for (bool forward : {true, false}) {
    Path path;
    ASSERT_EQ(SearchEdge(tree_.view(), tree_.record(), !forward, &path), Lookup::kFound);
    EXPECT_EQ(KeyAt(path), Key(forward ? 0 : 9998));
    uint64_t leaves = 1;
    std::string last(KeyAt(path));
    while (StepLeaf(tree_.view(), forward, &path) == Lookup::kFound) {
      ++leaves;
      EXPECT_EQ(KeyAt(path) > last, forward);
      EXPECT_EQ(path.leaf().index, forward ? 0 : node::Header(path.leaf().page)->count - 1u);
      last = std::string(KeyAt(path));
    }
    EXPECT_EQ(leaves, tree_.record().leaf_pages);
  }
}

TEST_F(TreeTest, RankAndNthAreExactAfterCommit) {
  tree_.Begin();
  Load(8000);
  tree_.Commit();
  CheckRanks();
}

TEST_F(TreeTest, CountsSettleInsideATransaction) {
  tree_.Begin();
  Load(6000);
  tree_.Commit();
  std::mt19937 random(4);
  tree_.Begin();
  for (int round = 0; round < 12; ++round) {
    for (int i = 0; i < 150; ++i) {
      std::string key = Key(random() % 12000);
      if (round % 3 == 2) {
        tree_.Erase(key);
      } else {
        ASSERT_PUT(tree_, key, std::string(random() % 100, 'v'));
      }
    }
    if (round == 5) {
      tree_.Spill();
    }
    SettleCounts(&tree_.frames(), tree_.record());
    CheckRanks();
  }
  tree_.Commit();
  CheckRanks();
}

TEST_F(TreeTest, CountsThatDoNotAddUpAreReported) {
  tree_.Begin();
  Load(5000);
  tree_.Commit();
  TableRecord lying = tree_.record();
  lying.root.entries += 10;
  Path path;
  EXPECT_EQ(SearchNth(tree_.view(), lying, 5005, &path), Lookup::kError);
  EXPECT_EQ(CodeOf(tree_.view().TakeError()), Code::kCorrupt);
}

}  // namespace
}  // namespace johnny::tree
