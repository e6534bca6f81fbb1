#include "tree/writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "support/test_db.h"
#include "tree/tree_fixture.h"

namespace johnny::tree {
namespace {

std::vector<uint64_t> Shuffled(size_t n, uint32_t seed = 1) {
  std::vector<uint64_t> numbers(n);
  std::iota(numbers.begin(), numbers.end(), 0);
  std::shuffle(numbers.begin(), numbers.end(), std::mt19937(seed));
  return numbers;
}

class WriterTest : public testing::TestWithParam<uint32_t> {
 protected:
  // All but the one at the growing edge.
  void ExpectFullLeaves() {
    TreeFile::Shape shape = tree_.Check();
    EXPECT_GE(shape.leaf_bytes + 50 * shape.leaves, (shape.leaves - 1) * GetParam());
  }
  TreeFile tree_{{.page_size = GetParam()}};
};
INSTANTIATE_TEST_SUITE_P(PageSizes, WriterTest, testing::Values(4096u, 8192u, 16384u, 32768u), testing::PrintToStringParamName());

TEST_P(WriterTest, AscendingKeysLeaveFullPages) {
  tree_.Begin();
  for (uint64_t i = 0; i < 20000; ++i) {
    ASSERT_PUT(tree_, Key(i), "twenty bytes of data");
  }
  ExpectFullLeaves();
  uint64_t children = tree_.record().leaf_pages + tree_.record().branch_pages - 1;
  uint64_t most = (GetParam() - format::kPageHeaderSize) / format::kBranchSlotSize;
  EXPECT_LE(tree_.record().branch_pages, children / most + 1 + children / most / 8 + tree_.record().level)
      << "branches split at the edge, too";
  EXPECT_EQ(tree_.record().root.entries, 20000u);
}

TEST_P(WriterTest, DescendingKeysLeaveFullPages) {
  tree_.Begin();
  for (uint64_t i = 20000; i-- > 0;) {
    ASSERT_PUT(tree_, Key(i), "twenty bytes of data");
  }
  ExpectFullLeaves();
}

TEST_P(WriterTest, RandomLoadsFillAbove80Percent) {
  tree_.Begin();
  for (uint64_t number : Shuffled(30000)) {
    ASSERT_PUT(tree_, Key(number), "twenty bytes of data");
  }
  EXPECT_GT(tree_.Check().fill(GetParam()), 0.80);
}

TEST_P(WriterTest, PutModes) {
  tree_.Begin();
  ASSERT_PUT(tree_, "b", "1", PutMode::kNoOverwrite);
  EXPECT_EQ(CodeOf(tree_.Put("b", "2", PutMode::kNoOverwrite)), Code::kExists);
  EXPECT_EQ(CodeOf(tree_.Put("b", "2", PutMode::kAppend)), Code::kNotAscending) << "equal is not greater";
  EXPECT_EQ(CodeOf(tree_.Put("a", "2", PutMode::kAppend)), Code::kNotAscending);
  ASSERT_PUT(tree_, "ba", "3", PutMode::kAppend);
  ASSERT_PUT(tree_, "c", "4", PutMode::kAppend);
  ASSERT_PUT(tree_, "c", "5", PutMode::kUpsert);
  tree_.Check();
  EXPECT_EQ(tree_.Contents().at("c"), "5");
  // A refused large value must not leave its extent behind.
  std::string large(GetParam() * 3, 'x');
  EXPECT_EQ(CodeOf(tree_.Put("c", large, PutMode::kNoOverwrite)), Code::kExists);
  EXPECT_EQ(tree_.record().extent_pages, 0u);
  tree_.Commit();
  tree_.CheckSpace();
}

TEST_P(WriterTest, LargestAndEmptyKeysAndValues) {
  tree_.Begin();
  Model model;
  size_t longest = format::MaxKeySize(GetParam());
  for (int i = 0; i < 12; ++i) {
    std::string key(longest, static_cast<char>('a' + i));
    size_t inline_most = format::MaxInlineEntry(GetParam()) - format::kLeafEntryHeader - longest;
    model[key] = std::string(inline_most + static_cast<size_t>(i % 2), 'v');  // every second one is an extent
  }
  model[""] = "";
  model["nothing"] = "";
  for (const auto& [key, value] : model) {
    ASSERT_PUT(tree_, key, value);
  }
  EXPECT_EQ(tree_.record().large_values, 6u);
  EXPECT_TRUE(tree_.Contents() == model);
  tree_.Commit();
  tree_.CheckSpace();
  EXPECT_TRUE(tree_.Contents() == model);
}

TEST_P(WriterTest, ErasesToNothingInAnyOrder) {
  std::vector<uint64_t> forward(4000), random = Shuffled(4000, 3);
  std::iota(forward.begin(), forward.end(), 0);
  std::vector<uint64_t> backward(forward.rbegin(), forward.rend());
  for (const auto& order : {forward, backward, random}) {
    tree_.Begin();
    for (uint64_t number : Shuffled(4000)) {
      ASSERT_PUT(tree_, Key(number), std::string(number % 97, 'v'));
    }
    tree_.Commit();
    tree_.Begin();
    for (size_t i = 0; i < order.size(); ++i) {
      ASSERT_TRUE(tree_.Erase(Key(order[i])));
      if (i % 500 == 0) {
        tree_.Check();
      }
    }
    EXPECT_TRUE(tree_.record().empty());
    EXPECT_EQ(tree_.record().level, 0);
    EXPECT_EQ(tree_.frames().live(), 0u);
    tree_.Check();
    tree_.Commit();
    tree_.CheckSpace();
  }
}

TEST_P(WriterTest, MostlyErasedTreesShrink) {
  tree_.Begin();
  for (uint64_t i = 0; i < 20000; ++i) {
    ASSERT_PUT(tree_, Key(i), "twenty bytes of data");
  }
  uint64_t full = tree_.record().leaf_pages;
  for (uint64_t number : Shuffled(20000)) {
    if (number % 20 != 0) {
      ASSERT_TRUE(tree_.Erase(Key(number)));
    }
  }
  tree_.Check();
  EXPECT_LT(tree_.record().leaf_pages, full / 4) << "pages below a quarter full are merged";
}

TEST_P(WriterTest, ErasingWhatIsNotThereChangesNothing) {
  tree_.Begin();
  EXPECT_FALSE(tree_.Erase("x"));
  ASSERT_PUT(tree_, "a", "1");
  tree_.Commit();
  tree_.Begin();
  EXPECT_FALSE(tree_.Erase("x"));
  EXPECT_EQ(tree_.frames().live(), 0u);
}

// Leaves of four entries whose keys share all but the last byte; between leaves two bytes tell apart. When two leaves even out,
// the new separator is long, and the full branch has no room for it.
TEST(SeparatorTest, ALengthenedSeparatorSplitsTheParent) {
  TreeFile tree;
  auto key = [](uint64_t group, char c) {
    return std::string{static_cast<char>(group >> 8), static_cast<char>(group)} + std::string(900, 'x') + c;
  };
  tree.Begin();
  uint64_t groups = (4096 - format::kPageHeaderSize) / format::kBranchSlotSize;
  Model model;
  for (uint64_t group = 0; group < groups; ++group) {
    for (char c : {'1', '2', '3', '4'}) {
      ASSERT_PUT(tree, key(group, c), std::string(60, 'v'));
      model[key(group, c)] = std::string(60, 'v');
    }
  }
  ASSERT_EQ(tree.record().leaf_pages, groups);
  ASSERT_EQ(tree.record().level, 1) << "the only branch is full";
  for (uint64_t group : {groups / 2, groups - 1, uint64_t{1}}) {
    for (char c : {'2', '3', '4'}) {
      ASSERT_TRUE(tree.Erase(key(group, c)));
      model.erase(key(group, c));
    }
    tree.Check();
    EXPECT_EQ(tree.record().level, 2);
  }
  EXPECT_TRUE(tree.Contents() == model);
  tree.Commit();
  tree.CheckSpace();
}

// Separators that share a prefix of nearly a quarter page store it once. One without it, from either side, leaves no room for the
// others.
TEST(SeparatorTest, ASeparatorWithoutTheLongPrefixSplitsTheBranch) {
  for (const char* outside : {"a", "z"}) {
    TreeFile tree;
    tree.Begin();
    std::string shared(1000, 'm');
    Model model;
    for (uint64_t i = 0; i < 360; ++i) {
      model[shared + Key(i * 3 % 360, 6)] = std::string(300, 'v');
    }
    for (const auto& [key, value] : model) {
      ASSERT_PUT(tree, key, value);
    }
    ASSERT_EQ(tree.record().level, 1);
    for (uint64_t i = 0; i < 10; ++i) {
      std::string key = outside + Key(i * 7 % 10, 6);
      ASSERT_PUT(tree, key, std::string(800, 'w'));
      model[key] = std::string(800, 'w');
      tree.Check();
    }
    EXPECT_EQ(tree.record().level, 2);
    EXPECT_TRUE(tree.Contents() == model);
    for (const auto& [key, value] : Model(model)) {
      ASSERT_TRUE(tree.Erase(key));
    }
    EXPECT_TRUE(tree.record().empty());
    tree.Check();
  }
}

TEST(ExtentValueTest, PagesAreCountedAndGivenUp) {
  TreeFile tree;
  tree.Begin();
  std::string large = test::Pattern(300000, 1);  // more than one chunk: a table of checksums, too
  ASSERT_PUT(tree, "k", large);
  uint64_t pages = format::ExtentPages(large.size(), 4096);
  EXPECT_EQ(tree.record().extent_pages, pages);
  EXPECT_EQ(tree.record().large_values, 1u);
  std::string larger = test::Pattern(500000, 2);
  ASSERT_PUT(tree, "k", larger);
  EXPECT_EQ(tree.record().extent_pages, format::ExtentPages(larger.size(), 4096));
  EXPECT_TRUE(tree.Contents() == (Model{{"k", larger}}));
  tree.Commit();
  tree.CheckSpace();
  tree.Begin();
  ASSERT_PUT(tree, "k", "small now");
  EXPECT_EQ(tree.record().extent_pages, 0u);
  EXPECT_GE(tree.space().freed_pages(), format::ExtentPages(larger.size(), 4096));
  ASSERT_PUT(tree, "l", large);
  EXPECT_TRUE(tree.Erase("l"));
  tree.Commit();
  tree.CheckSpace();
  EXPECT_EQ(tree.record().large_values, 0u);
}

TEST(ExtentValueTest, AFailedWriteLeavesTheTreeAsItWas) {
  TreeFile tree;
  tree.Begin();
  ASSERT_PUT(tree, "k", std::string(200000, 'x'));  // so that the file has grown
  tree.Erase("k");
  tree.system().SetFault({.call = sim::Call::kWrite});
  EXPECT_EQ(CodeOf(tree.Put("k", std::string(100000, 'y'))), Code::kIoError);
  EXPECT_EQ(tree.record().extent_pages, 0u);
  tree.Check();
  tree.Commit();
  tree.CheckSpace();
}

TEST(ClearTest, FreesEverything) {
  for (bool committed : {false, true}) {
    TreeFile tree;
    tree.Begin();
    for (uint64_t number : Shuffled(3000)) {
      ASSERT_PUT(tree, Key(number), std::string(number % 100 == 0 ? 10000 : 20, 'v'));
    }
    if (committed) {
      tree.Commit();
      tree.Begin();
      ASSERT_PUT(tree, Key(17), "a path of frames above committed pages");
    }
    ASSERT_TRUE(tree.Clear().ok());
    EXPECT_TRUE(tree.record().empty());
    tree.Check();
    EXPECT_EQ(tree.frames().live(), 0u);
    tree.Commit();
    tree.CheckSpace();
    ASSERT_TRUE(tree.Clear().ok()) << "an empty one, too";
  }
}

TEST(LimitTest, AFailedPutLeavesTheTreeAsItWasAndDeletesEmptyIt) {
  for (uint64_t limit : {120u, 300u}) {
    TreeFile tree({.limit_pages = limit});
    Model model, committed;
    absl::Status status;
    for (uint64_t i = 0; status.ok(); ++i) {
      tree.Begin();
      model = committed;
      for (uint64_t j = 0; j < 40 && status.ok(); ++j) {
        std::string key = Key((i * 40 + j) * 7919 % 100003);
        std::string value(j == 3 ? 9000 : j * 10, 'v');
        status = tree.Put(key, value);
        if (status.ok()) {
          model[key] = value;
        }
      }
      tree.Check();
      ASSERT_TRUE(tree.Contents() == model);
      tree.Commit();  // the failed put took nothing that the commit needs
      committed = model;
    }
    EXPECT_EQ(CodeOf(status), Code::kSizeLimit);
    tree.CheckSpace();
    EXPECT_GT(model.size(), limit / 4);
    int transactions = 0;
    for (const auto& [key, value] : model) {  // one delete to a transaction costs most
      tree.Begin();
      ASSERT_TRUE(tree.Erase(key)) << transactions;
      tree.Commit();
      ++transactions;
    }
    EXPECT_TRUE(tree.record().empty());
    tree.CheckSpace();
    EXPECT_LE(*tree.file()->Size(), limit * 4096);
  }
}

TEST(DamageTest, IsReportedByEveryOperation) {
  TreeFile tree;
  tree.Begin();
  for (uint64_t i = 0; i < 1000; ++i) {
    ASSERT_PUT(tree, Key(i), "value");
  }
  tree.Commit();
  Path path;
  ASSERT_EQ(Search(tree.view(), tree.record(), Key(500), &path), Lookup::kFound);
  uint64_t offset = node::Header(path.leaf().page)->page() * 4096;
  Slice rubbish("rubbish");
  ASSERT_TRUE(tree.file()->WriteAt(offset, absl::MakeConstSpan(&rubbish, 1)).ok());
  tree.Begin();
  EXPECT_EQ(CodeOf(tree.Put(Key(500), "x")), Code::kCorrupt);
  bool found = false;
  EXPECT_EQ(CodeOf(tree.Erase(Key(500), &found)), Code::kCorrupt);
  EXPECT_EQ(CodeOf(tree.Clear()), Code::kCorrupt);
  node::LeafValue value;
  EXPECT_EQ(Get(tree.view(), tree.record(), Key(500), &value), Lookup::kError);
  EXPECT_EQ(CodeOf(tree.view().TakeError()), Code::kCorrupt);
  tree.Abort();
}

}  // namespace
}  // namespace johnny::tree
