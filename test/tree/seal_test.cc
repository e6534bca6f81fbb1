// Numbering, writing and spilling of frames.
#include <gtest/gtest.h>

#include <random>

#include "tree/tree_fixture.h"

namespace johnny::tree {
namespace {

TEST(SealTest, PageNumbersAscendWhateverTheOrderOfRuns) {
  PageNumbers numbers({{50, 2}, {7, 1}, {20, 3}});
  for (PageNumber expected : {7u, 20u, 21u, 22u, 50u, 51u}) {
    EXPECT_EQ(numbers.Next(), expected);
  }
}

TEST(SealTest, NeighbouringPagesAreWrittenWithOneCall) {
  TreeFile tree;
  std::vector<std::string> bytes;
  SealedPages pages;
  std::vector<PageNumber> order = {30, 18, 31, 40, 17, 32};
  for (PageNumber number : order) {
    bytes.push_back(std::string(4096, static_cast<char>(number)));
  }
  for (size_t i = 0; i < order.size(); ++i) {
    pages.emplace_back(order[i], Data(bytes[i]));
  }
  uint64_t before = tree.system().calls(sim::Call::kWrite);
  ASSERT_TRUE(WritePages(tree.file(), 4096, &pages).ok());
  EXPECT_EQ(tree.system().calls(sim::Call::kWrite) - before, 3u) << "17-18, 30-32, 40";
  for (size_t i = 0; i < order.size(); ++i) {
    EXPECT_EQ(MakeSlice(tree.store().page(order[i]), 4096), bytes[i]);
  }
  tree.system().SetFault({.call = sim::Call::kWrite, .skip = 1});
  EXPECT_EQ(CodeOf(WritePages(tree.file(), 4096, &pages)), Code::kIoError);
}

TEST(SealTest, ChildrenAreCollectedBeforeParents) {
  TreeFile tree;
  tree.Begin();
  for (uint64_t i = 0; i < 40000; ++i) {
    ASSERT_PUT(tree, Key(i), "value");
  }
  ASSERT_EQ(tree.record().level, 2);
  std::vector<FrameToSeal> all;
  CollectFrames(tree.frames(), &tree.record(), UINT32_MAX, &all);
  EXPECT_EQ(all.size(), tree.frames().live());
  std::set<const Byte*> seen;
  for (const FrameToSeal& frame : all) {
    EXPECT_EQ(seen.count(frame.parent), 0u) << "the parent came first";
    seen.insert(tree.frames().At(frame.frame));
  }
  EXPECT_EQ(all.back().parent, nullptr) << "the root is last";
}

TEST(SealTest, SealedPagesCarryBirthNumberAndChecksum) {
  TreeFile tree;
  tree.Begin();
  for (uint64_t i = 0; i < 1000; ++i) {
    ASSERT_PUT(tree, Key(i), "value");
  }
  tree.Commit();
  tree.Begin();
  ASSERT_PUT(tree, Key(500), "changed");
  tree.Commit();
  uint64_t fresh = 0;
  for (PageNumber page : tree.Check().pages) {
    const Byte* bytes = tree.store().page(page);
    const format::PageHeader* header = node::Header(bytes);
    EXPECT_EQ(header->page(), page);
    EXPECT_EQ(header->checksum, format::PageChecksum(bytes, 4096, tree.store().database_id(), page));
    EXPECT_LE(header->birth, tree.newest());
    fresh += header->birth == tree.newest() ? 1 : 0;
  }
  EXPECT_EQ(fresh, tree.record().level + 1u) << "only the path to the change is new";
  const Byte* root = tree.store().page(tree.record().root.page);
  EXPECT_EQ(node::Header(root)->birth, tree.newest());
  EXPECT_EQ(tree.record().root.checksum, static_cast<uint32_t>(node::Header(root)->checksum));
}

TEST(SpillTest, ColdFramesAreWrittenAndHotOnesStay) {
  TreeFile tree;
  tree.Begin();
  for (uint64_t i = 0; i < 10000; ++i) {
    ASSERT_PUT(tree, Key(i), std::string(50, 'v'));
  }
  size_t before = tree.frames().live();
  tree.Spill();
  size_t after = tree.frames().live();
  EXPECT_LT(after, before * 2 / 3);
  EXPECT_GT(after, before / 3);
  EXPECT_EQ(tree.spilled(), before - after);
  EXPECT_TRUE(pager::IsFrame(tree.record().root)) << "the root is the hottest";
  tree.Check();
  Path path;
  ASSERT_EQ(SearchEdge(tree.view(), tree.record(), false, &path), Lookup::kFound);
  EXPECT_FALSE(tree.frames().Contains(path.leaf().page)) << "the leaf written first is the coldest";
  ASSERT_EQ(SearchEdge(tree.view(), tree.record(), true, &path), Lookup::kFound);
  EXPECT_TRUE(tree.frames().Contains(path.leaf().page));
  // Changing a spilled page copies it back and gives its number up.
  uint64_t free = tree.space().free_pages();
  ASSERT_PUT(tree, Key(0), "changed");
  EXPECT_GT(tree.space().free_pages(), free);
  EXPECT_EQ(tree.space().freed_pages(), 0u) << "nobody else has seen it";
  tree.Check();
  tree.Commit();
  tree.CheckSpace();
  EXPECT_EQ(tree.Contents().size(), 10000u);
}

TEST(SpillTest, TransactionsMuchLargerThanTheirBudgetCommit) {
  TreeFile tree({.memory_budget = 1});  // the least there is
  std::mt19937 random(8);
  Model model;
  tree.Begin();
  for (int i = 0; i < 20000; ++i) {
    std::string key = Key(random() % 30000);
    std::string value(random() % 60, 'v');
    ASSERT_PUT(tree, key, value);
    model[key] = value;
    ASSERT_LE(tree.frames().live(), tree.frames().budget() + 16);
  }
  EXPECT_GT(tree.spilled(), 4 * tree.frames().budget());
  EXPECT_TRUE(tree.Contents() == model);
  tree.Commit();
  tree.CheckSpace();
  EXPECT_TRUE(tree.Contents() == model);
}

TEST(SpillTest, AbortGivesSpilledPagesBack) {
  TreeFile tree({.memory_budget = 1});
  tree.Begin();
  for (uint64_t i = 0; i < 3000; ++i) {
    ASSERT_PUT(tree, Key(i), std::string(50, 'v'));
  }
  tree.Commit();
  tree.Begin();
  for (uint64_t i = 0; i < 6000; ++i) {
    ASSERT_PUT(tree, Key(i), std::string(70, 'w'));
  }
  ASSERT_GT(tree.spilled(), 50u);
  tree.Abort();
  EXPECT_EQ(tree.Contents().size(), 3000u);
  tree.CheckSpace();
}

TEST(SpillTest, AFailedWriteIsReported) {
  TreeFile tree;
  tree.Begin();
  for (uint64_t i = 0; i < 5000; ++i) {
    ASSERT_PUT(tree, Key(i), "value");
  }
  TableRecord* record = &tree.record();
  uint64_t spilled = 0;
  tree.system().SetFault({.call = sim::Call::kWrite});
  EXPECT_EQ(CodeOf(Spill(tree.context(), absl::MakeConstSpan(&record, 1), &spilled)), Code::kIoError);
  EXPECT_EQ(spilled, 0u);
  tree.Abort();
  tree.CheckSpace();
}

}  // namespace
}  // namespace johnny::tree
