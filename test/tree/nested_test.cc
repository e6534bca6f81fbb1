// Trees changed at nested levels: what an abort leaves, what a commit hands over, with spills and large values.
#include <gtest/gtest.h>

#include <random>

#include "support/test_db.h"
#include "tree/tree_fixture.h"

namespace johnny::tree {
namespace {

std::string KeyOf(uint64_t number) { return test::NumberedKey(number, 6); }

void Fill(TreeFile* tree, uint64_t from, uint64_t to, const std::string& value) {
  for (uint64_t i = from; i < to; ++i) {
    absl::Status status = tree->Put(KeyOf(i), value);
    ASSERT_TRUE(status.ok()) << status;
  }
}

TEST(NestedTreeTest, AbortLeavesTheTreeAsItWas) {
  TreeFile tree;
  tree.Begin();
  Fill(&tree, 0, 2000, "committed");
  tree.Commit();
  tree.Begin();
  Fill(&tree, 500, 600, "outer");
  Model before = tree.Contents();
  TableRecord record = tree.record();
  size_t live = tree.frames().live();
  tree.BeginNested();
  Fill(&tree, 0, 1000, "inner");
  for (uint64_t i = 1000; i < 2000; ++i) {
    ASSERT_TRUE(tree.Erase(KeyOf(i)));
  }
  tree.Check();
  tree.AbortNested();
  EXPECT_EQ(std::memcmp(&tree.record().root, &record.root, sizeof record.root), 0);
  EXPECT_EQ(tree.frames().live(), live);
  EXPECT_EQ(tree.Contents(), before);
  tree.Check();
  tree.Commit();
  tree.CheckSpace();
}

TEST(NestedTreeTest, CommitHandsTheTreeOver) {
  TreeFile tree;
  tree.Begin();
  Fill(&tree, 0, 1000, "outer");
  tree.BeginNested();
  Fill(&tree, 500, 1500, "inner");
  Model expected = tree.Contents();
  tree.CommitNested();
  EXPECT_EQ(tree.Contents(), expected);
  tree.Check();
  tree.Commit();
  EXPECT_EQ(tree.Contents(), expected);
  tree.CheckSpace();
}

TEST(NestedTreeTest, FramesOfTheOuterLevelAreNotChanged) {
  TreeFile tree;
  tree.Begin();
  Fill(&tree, 0, 1000, "outer");
  TableRecord record = tree.record();
  SettleCounts(&tree.frames(), record);
  std::vector<std::string> frames;
  for (uint32_t frame = 0; frame < tree.frames().live(); ++frame) {
    frames.emplace_back(reinterpret_cast<const char*>(tree.frames().At(frame)), tree.page_size());
  }
  tree.BeginNested();
  Fill(&tree, 200, 1200, "inner");
  for (uint64_t i = 0; i < 700; ++i) {
    ASSERT_TRUE(tree.Erase(KeyOf(i)));
  }
  SettleCounts(&tree.frames(), tree.record());
  ASSERT_TRUE(tree.Clear().ok());
  for (uint32_t frame = 0; frame < frames.size(); ++frame) {
    EXPECT_EQ(Slice(frames[frame]), MakeSlice(tree.frames().At(frame), tree.page_size())) << "frame " << frame;
  }
  tree.AbortNested();
  tree.Commit();
  tree.CheckSpace();
}

// What the level around has changed and the nested one changes again needs no more room than without nesting.
TEST(NestedTreeTest, ACopiedFrameNeedsNoRoomOfItsOwn) {
  TreeFile tree({.limit_pages = 400});
  tree.Begin();
  uint64_t keys = 0;
  while (tree.Put(KeyOf(keys), std::string(300, 'a')).ok()) {
    ++keys;
  }
  ASSERT_GT(keys, 1000u);
  tree.BeginNested();
  Fill(&tree, 0, keys, std::string(300, 'b'));
  tree.BeginNested();
  Fill(&tree, 0, keys, std::string(300, 'c'));
  tree.CommitNested();
  tree.AbortNested();
  EXPECT_FALSE(tree.Put(KeyOf(keys), std::string(300, 'a')).ok()) << "the room is taken still";
  tree.BeginNested();
  Fill(&tree, 0, keys, std::string(300, 'd'));
  tree.CommitNested();
  tree.Commit();
  tree.CheckSpace();
}

TEST(NestedTreeTest, RoomThatANestedDeleteGivesUpCanBeUsedInIt) {
  TreeFile tree({.limit_pages = 400});
  tree.Begin();
  uint64_t keys = 0;
  while (tree.Put(KeyOf(keys), std::string(1000, 'a')).ok()) {
    ++keys;
  }
  tree.BeginNested();
  ASSERT_TRUE(tree.Clear().ok());
  Fill(&tree, 0, keys - 5, std::string(1000, 'b'));
  tree.AbortNested();
  EXPECT_EQ(tree.Contents().size(), keys);
  tree.Commit();
  tree.CheckSpace();
}

TEST(NestedTreeTest, SpillingLeavesFramesOfTheOuterLevelInMemory) {
  TreeFile tree({.memory_budget = 1});
  tree.Begin();
  Fill(&tree, 0, 500, std::string(200, 'a'));
  Model before = tree.Contents();
  size_t live = tree.frames().live();
  uint64_t spilled = tree.spilled();
  tree.BeginNested();
  Fill(&tree, 0, 3000, std::string(200, 'b'));
  EXPECT_GT(tree.spilled(), spilled + 50);
  EXPECT_LE(tree.frames().live(), live + 64) << "a nested level keeps to its share";
  tree.AbortNested();
  EXPECT_EQ(tree.Contents(), before);
  tree.Check();
  tree.Commit();
  tree.CheckSpace();
}

// A branch of the outer level that the nested one has not copied must go on referring to its frames.
TEST(NestedTreeTest, SpillingLeavesBranchesOfTheOuterLevelAsTheyAre) {
  TreeFile tree({.memory_budget = 1});
  tree.Begin();
  Fill(&tree, 0, 40000, std::string(100, 'a'));
  tree.Commit();
  ASSERT_GE(tree.record().level, 2u);
  tree.Begin();
  for (uint64_t i = 0; i < 40; ++i) {
    ASSERT_TRUE(tree.Put(KeyOf(1000 * i), "outer").ok());
  }
  Model before = tree.Contents();
  std::vector<std::string> frames;
  for (uint32_t frame = 0; frame < tree.frames().live(); ++frame) {
    frames.emplace_back(reinterpret_cast<const char*>(tree.frames().At(frame)), tree.page_size());
  }
  tree.BeginNested();
  Fill(&tree, 0, 8000, std::string(100, 'b'));
  EXPECT_GT(tree.spilled(), 100u);
  for (uint32_t frame = 0; frame < frames.size(); ++frame) {
    EXPECT_TRUE(Slice(frames[frame]) == MakeSlice(tree.frames().At(frame), tree.page_size())) << "frame " << frame;
  }
  tree.AbortNested();
  EXPECT_EQ(tree.Contents(), before);
  tree.Commit();
  tree.CheckSpace();
}

// Page size, spilling, seed.
class NestedTreeModelTest : public testing::TestWithParam<std::tuple<uint32_t, bool, uint32_t>> {
 protected:
  void Change(Model* model) {
    std::string key = test::NumberedKey(random_() % 3000, 4, std::string(random_() % 3 == 0 ? 60 : 1, 'p'));
    switch (random_() % 16) {
      case 0:
        for (uint64_t i = 0, first = random_() % 3000; i < 200; ++i) {
          key = test::NumberedKey(first + i, 4, "p");
          ASSERT_EQ(tree_.Erase(key), model->erase(key) != 0);
        }
        return;
      case 1:
        (*model)[key] = test::Pattern(random_() % 30000, static_cast<uint32_t>(random_()));
        break;
      case 2:
      case 3:
      case 4:
        ASSERT_EQ(tree_.Erase(key), model->erase(key) != 0);
        return;
      case 5:
        if (random_() % 40 == 0) {
          ASSERT_TRUE(tree_.Clear().ok());
          model->clear();
        }
        return;
      default:
        (*model)[key] = std::string(random_() % 400, static_cast<char>('a' + random_() % 26));
    }
    absl::Status status = tree_.Put(key, (*model)[key]);
    ASSERT_TRUE(status.ok()) << status;
  }
  void Level(int depth, Model* model) {
    for (size_t steps = 1 + random_() % 4; steps > 0 && !HasFatalFailure(); --steps) {
      for (size_t changes = random_() % 80; changes > 0 && !HasFatalFailure(); --changes) {
        Change(model);
      }
      if (random_() % 4 == 0) {
        SettleCounts(&tree_.frames(), tree_.record());
      }
      if (depth < 4 && random_() % 2 == 0) {
        Model inner = *model;
        tree_.BeginNested();
        Level(depth + 1, &inner);
        if (random_() % 2 == 0) {
          tree_.CommitNested();
          *model = inner;
        } else {
          tree_.AbortNested();
        }
        EXPECT_EQ(tree_.Contents(), *model);
        tree_.Check();
      }
    }
  }

  std::mt19937 random_{std::get<2>(GetParam())};
  TreeFile tree_{{.page_size = std::get<0>(GetParam()), .memory_budget = std::get<1>(GetParam()) ? 1u : 64u << 20}};
};
INSTANTIATE_TEST_SUITE_P(All, NestedTreeModelTest,
                         testing::Combine(testing::Values(4096u, 32768u), testing::Bool(), testing::Range(1u, 4u)));

TEST_P(NestedTreeModelTest, EveryLevelAgreesWithAMap) {
  Model committed;
  for (int i = 0; i < 12 * test::Scale() && !HasFailure(); ++i) {
    Model model = committed;
    tree_.Begin();
    Level(0, &model);
    if (random_() % 4 == 0) {
      tree_.Abort();
      continue;
    }
    EXPECT_EQ(tree_.Contents(), model);
    tree_.Check();
    tree_.Commit();
    committed = model;
    EXPECT_EQ(tree_.Contents(), committed);
    tree_.CheckSpace();
  }
}

}  // namespace
}  // namespace johnny::tree
