// Numbering, writing and spilling of frames.
#include <gtest/gtest.h>

#include <deque>
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

class PageWriterTest : public testing::Test {
 protected:
  absl::Status Add(PageNumber number) {
    bytes_.push_back(std::string(4096, static_cast<char>(number)));
    return writer_.Add(number, Data(bytes_.back()));
  }
  uint64_t writes() { return tree_.system().calls(sim::Call::kWrite) - before_; }

  TreeFile tree_;
  uint64_t before_ = tree_.system().calls(sim::Call::kWrite);
  std::deque<std::string> bytes_;
  // What a commit that will be synced writes, unless it is `lazy`.
  static const WriteContext& Begin(TreeFile* tree, bool lazy = false) {
    tree->Begin();
    tree->set_soon_synced(!lazy);
    return tree->context();
  }
  PageWriter writer_{Begin(&tree_)};
};

TEST_F(PageWriterTest, NeighboursThatFollowEachOtherAreWrittenWithOneCall) {
  for (PageNumber number : {17u, 18u, 33u, 34u, 35u, 40u}) {
    ASSERT_TRUE(Add(number).ok());
  }
  EXPECT_EQ(writes(), 2u) << "17-18 and 33-35; 40 may have neighbours yet";
  ASSERT_TRUE(writer_.Flush().ok());
  ASSERT_TRUE(writer_.Flush().ok());
  EXPECT_EQ(writes(), 3u);
  for (PageNumber number : {17u, 18u, 33u, 34u, 35u, 40u}) {
    EXPECT_EQ(MakeSlice(tree_.store().page(number), 4096), std::string(4096, static_cast<char>(number)));
  }
}

TEST_F(PageWriterTest, LongRunsAreWrittenInPiecesThatBeginAtMultiplesOf64KiB) {
  for (PageNumber number = 20; number < 20 + 40; ++number) {
    ASSERT_TRUE(Add(number).ok());
    EXPECT_EQ(writes(), number < 32 ? 0u : number < 48 ? 1u : 2u) << number;
  }
  ASSERT_TRUE(writer_.Flush().ok());
  EXPECT_EQ(MakeSlice(tree_.store().page(59), 4096), std::string(4096, 59));
}

TEST_F(PageWriterTest, APageBeforeOrAfterAGapIsNoNeighbour) {
  for (PageNumber number : {30u, 29u, 31u}) {
    ASSERT_TRUE(Add(number).ok());
  }
  ASSERT_TRUE(writer_.Flush().ok());
  EXPECT_EQ(writes(), 3u);
}

TEST_F(PageWriterTest, WhatWillSoonBeSyncedSetsOut128KiBAtATime) {
  using Ranges = std::vector<std::pair<uint64_t, uint64_t>>;
  const std::string page(4096, 'p');
  auto write = [&](PageWriter* writer, PageNumber first, PageNumber end) {
    for (PageNumber number = first; number < end; ++number) {
      ASSERT_TRUE(writer->Add(number, Data(page)).ok());
    }
    ASSERT_TRUE(writer->Flush().ok());
  };
  write(&writer_, 32, 32 + 31);
  EXPECT_EQ(tree_.system().TakeSetOut(), Ranges{});
  write(&writer_, 100, 101);
  EXPECT_EQ(tree_.system().TakeSetOut(), (Ranges{{32 * 4096, (101 - 32) * 4096}})) << "and what lies between";
  write(&writer_, 112, 112 + 70);
  EXPECT_EQ(tree_.system().TakeSetOut(), (Ranges{{112 * 4096, 32 * 4096}, {144 * 4096, 32 * 4096}}));
  PageWriter lazy(Begin(&tree_, /*lazy=*/true));
  write(&lazy, 32, 32 + 70);
  EXPECT_EQ(tree_.system().TakeSetOut(), Ranges{});
}

TEST_F(PageWriterTest, AFailedWriteIsAnError) {
  ASSERT_TRUE(Add(20).ok());
  tree_.system().SetFault({.call = sim::Call::kWrite});
  EXPECT_EQ(CodeOf(Add(30)), Code::kIoError);
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
