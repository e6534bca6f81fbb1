// Frames of nested levels.
#include <gtest/gtest.h>

#include <set>
#include <utility>

#include "base/status.h"
#include "pager/frames.h"

namespace johnny::pager {
namespace {

class NestedFramesTest : public testing::Test {
 protected:
  uint32_t Allocate() {
    auto frame = arena_.Allocate();
    EXPECT_TRUE(frame.ok()) << frame.status();
    return *frame;
  }

  FrameArena arena_ = *FrameArena::Create(4096, 100 * 4096);
};

TEST_F(NestedFramesTest, AFrameBelongsToTheLevelThatMadeIt) {
  uint32_t outer = Allocate();
  EXPECT_TRUE(arena_.IsOwn(outer));
  arena_.BeginNested();
  EXPECT_EQ(arena_.depth(), 1u);
  EXPECT_FALSE(arena_.IsOwn(outer));
  uint32_t inner = Allocate();
  EXPECT_TRUE(arena_.IsOwn(inner));
  arena_.CommitNested();
  EXPECT_EQ(arena_.depth(), 0u);
  EXPECT_TRUE(arena_.IsOwn(outer));
  EXPECT_TRUE(arena_.IsOwn(inner)) << "a commit hands frames over";
}

TEST_F(NestedFramesTest, AbortDropsWhatTheLevelMadeAndKeepsWhatItGaveUp) {
  uint32_t outer = Allocate();
  arena_.BeginNested();
  uint32_t first = Allocate();
  Allocate();
  arena_.Free(first);
  EXPECT_EQ(Allocate(), first) << "its own are used again at once";
  arena_.Free(outer);
  EXPECT_EQ(arena_.live(), 3u) << "not those of the level around it";
  arena_.AbortNested();
  EXPECT_EQ(arena_.live(), 1u);
  EXPECT_TRUE(arena_.IsOwn(outer));
  std::set<uint32_t> frames = {outer};
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(frames.insert(Allocate()).second) << "a frame was given out twice";
  }
}

TEST_F(NestedFramesTest, CommitFreesWhatTheLevelGaveUp) {
  uint32_t outer = Allocate();
  arena_.BeginNested();
  arena_.Free(outer);
  uint32_t inner = Allocate();
  EXPECT_NE(inner, outer);
  arena_.CommitNested();
  EXPECT_EQ(arena_.live(), 1u);
  EXPECT_EQ(Allocate(), outer);
}

TEST_F(NestedFramesTest, WhatIsGivenUpStaysWithTheLevelThatMadeIt) {
  uint32_t outer = Allocate();
  arena_.BeginNested();
  uint32_t middle = Allocate();
  arena_.BeginNested();
  arena_.Free(outer);
  arena_.Free(middle);
  uint32_t inner = Allocate();
  arena_.CommitNested();
  EXPECT_EQ(arena_.live(), 2u) << "middle went, outer is still kept";
  EXPECT_TRUE(arena_.IsOwn(inner));
  EXPECT_EQ(Allocate(), middle);
  arena_.AbortNested();
  EXPECT_EQ(arena_.live(), 1u);
  EXPECT_TRUE(arena_.IsOwn(outer));
}

TEST_F(NestedFramesTest, FramesHandedOverGoWithAnAbortFurtherOut) {
  arena_.BeginNested();
  arena_.BeginNested();
  Allocate();
  arena_.BeginNested();
  Allocate();
  arena_.CommitNested();
  arena_.CommitNested();
  EXPECT_EQ(arena_.live(), 2u);
  arena_.AbortNested();
  EXPECT_EQ(arena_.live(), 0u);
}

TEST_F(NestedFramesTest, ResetEndsAllLevels) {
  Allocate();
  arena_.BeginNested();
  Allocate();
  arena_.Reset();
  EXPECT_EQ(arena_.depth(), 0u);
  EXPECT_EQ(arena_.live(), 0u);
  EXPECT_TRUE(arena_.IsOwn(Allocate()));
}

TEST_F(NestedFramesTest, ANestedLevelHasSomeRoomOfItsOwn) {
  for (int i = 0; i < 101; ++i) {
    Allocate();
  }
  EXPECT_TRUE(arena_.over_budget());
  for (uint32_t depth = 1; depth <= FrameArena::kMaxDepth; ++depth) {
    arena_.BeginNested();
    EXPECT_FALSE(arena_.over_budget());
    int room = 0;
    for (; !arena_.over_budget(); ++room) {
      Allocate();
    }
    EXPECT_GE(room, 16);
    EXPECT_LE(room, 17);
  }
  while (arena_.depth() > 0) {
    arena_.AbortNested();
  }
  EXPECT_TRUE(arena_.over_budget());
  EXPECT_EQ(arena_.live(), 101u);
}

TEST_F(NestedFramesTest, ALevelWithinTheBudgetMayUseTheRestOfIt) {
  Allocate();
  arena_.BeginNested();
  int room = 0;
  for (; !arena_.over_budget(); ++room) {
    Allocate();
  }
  EXPECT_EQ(room, 100);
}

TEST_F(NestedFramesTest, ACommittedLevelsRoomIsGone) {
  for (int i = 0; i < 101; ++i) {
    Allocate();
  }
  arena_.BeginNested();
  EXPECT_FALSE(arena_.over_budget());
  arena_.CommitNested();
  EXPECT_TRUE(arena_.over_budget());
}

TEST_F(NestedFramesTest, ALargeBudgetGivesLevelsLargerRooms) {
  FrameArena large = *FrameArena::Create(4096, 3200 * 4096);
  while (!large.over_budget()) {
    ASSERT_TRUE(large.Allocate().ok());
  }
  large.BeginNested();
  int room = 0;
  for (; !large.over_budget(); ++room) {
    ASSERT_TRUE(large.Allocate().ok());
  }
  EXPECT_GE(room, 100);
  EXPECT_LE(room, 101);
}

TEST_F(NestedFramesTest, WhatALevelGaveUpOfItsOwnIsNotHandedOver) {
  arena_.BeginNested();
  uint32_t inner = Allocate();
  arena_.Free(inner);
  arena_.CommitNested();
  EXPECT_FALSE(arena_.IsOwn(inner));
  EXPECT_EQ(arena_.live(), 0u);
  EXPECT_EQ(Allocate(), inner);
}

// Whoever remembers a place in a frame compares epochs.
TEST_F(NestedFramesTest, WhateverChangesWhoOwnsFramesBeginsAnEpoch) {
  uint64_t last = arena_.epoch();
  auto began = [&] { return std::exchange(last, arena_.epoch()) < arena_.epoch(); };
  uint32_t outer = Allocate();
  arena_.BeginNested();
  EXPECT_TRUE(began());
  arena_.BeginNested();
  EXPECT_TRUE(began());
  arena_.CommitNested();
  EXPECT_TRUE(began());
  arena_.AbortNested();
  EXPECT_TRUE(began());
  arena_.Free(outer);
  EXPECT_TRUE(began());
  arena_.Reset();
  EXPECT_TRUE(began());
}

TEST_F(NestedFramesTest, MedianStampLooksAtTheInnermostLevelOnly) {
  for (int i = 0; i < 50; ++i) {
    Allocate();
  }
  arena_.Tick();
  arena_.BeginNested();
  std::vector<uint32_t> own;
  for (int i = 0; i < 20; ++i) {
    own.push_back(Allocate());
    arena_.Tick();
  }
  int not_newer = 0;
  for (uint32_t frame : own) {
    not_newer += arena_.stamp(frame) <= arena_.MedianStamp() ? 1 : 0;
  }
  EXPECT_NEAR(not_newer, 10, 2);
}

}  // namespace
}  // namespace johnny::pager
