#include "pager/frames.h"

#include <gtest/gtest.h>

#include <set>

#include "base/status.h"

namespace johnny::pager {
namespace {

FrameArena Arena(uint64_t budget_frames, uint32_t page_size = 4096) {
  auto arena = FrameArena::Create(page_size, budget_frames * page_size);
  EXPECT_TRUE(arena.ok()) << arena.status();
  return *std::move(arena);
}
uint32_t Allocate(FrameArena* arena) {
  auto frame = arena->Allocate();
  EXPECT_TRUE(frame.ok()) << frame.status();
  return *frame;
}

TEST(FrameArenaTest, FramesAreSeparateAndAligned) {
  for (uint32_t page_size : {4096u, 8192u, 16384u, 32768u}) {
    FrameArena arena = Arena(100, page_size);
    std::vector<uint32_t> frames;
    for (int i = 0; i < 20; ++i) {
      frames.push_back(Allocate(&arena));
      std::memset(arena.At(frames.back()), i, page_size);
    }
    for (size_t i = 0; i < frames.size(); ++i) {
      const Byte* frame = arena.At(frames[i]);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(frame) % 4096, 0u);
      EXPECT_EQ(frame[0], i);
      EXPECT_EQ(frame[page_size - 1], i);
      EXPECT_TRUE(arena.Contains(frame));
      EXPECT_TRUE(arena.Contains(frame + page_size - 1));
    }
    int elsewhere = 0;
    EXPECT_FALSE(arena.Contains(&elsewhere));
    EXPECT_FALSE(arena.Contains(nullptr));
    EXPECT_EQ(arena.live(), 20u);
  }
}

TEST(FrameArenaTest, ReferencesTellFramesFromPages) {
  EXPECT_FALSE(IsFrame({format::kMaxPageNumber, 0, 0}));
  EXPECT_FALSE(IsFrame({}));
  EXPECT_TRUE(IsFrame({kFrameBit, 0, 0}));
  EXPECT_EQ(FrameIndex({kFrameBit | 0xfffffffe, 0, 0}), 0xfffffffeu);
}

TEST(FrameArenaTest, FreedFramesAreUsedAgain) {
  FrameArena arena = Arena(100);
  std::set<uint32_t> frames;
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(frames.insert(Allocate(&arena)).second);
  }
  arena.Free(3);
  arena.Free(7);
  EXPECT_EQ(arena.live(), 8u);
  EXPECT_EQ((std::set<uint32_t>{Allocate(&arena), Allocate(&arena)}), (std::set<uint32_t>{3, 7}));
  EXPECT_EQ(arena.live(), 10u);
  arena.Free(5);
  arena.Reset();
  EXPECT_EQ(arena.live(), 0u);
  frames.clear();
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(frames.insert(Allocate(&arena)).second) << "a reset forgets what was freed";
  }
}

TEST(FrameArenaTest, BudgetHasAMinimumAndIsCountedInLiveFrames) {
  FrameArena small = Arena(0);
  EXPECT_EQ(small.budget(), 64u);
  FrameArena arena = Arena(70);
  EXPECT_EQ(arena.budget(), 70u);
  for (int i = 0; i < 70; ++i) {
    Allocate(&arena);
  }
  EXPECT_FALSE(arena.over_budget());
  uint32_t frame = Allocate(&arena);
  EXPECT_TRUE(arena.over_budget());
  arena.Free(frame);
  EXPECT_FALSE(arena.over_budget());
}

TEST(FrameArenaTest, RunsOutWithAnErrorAndRecovers) {
  FrameArena arena = Arena(0);
  uint64_t frames = 0;
  auto frame = arena.Allocate();
  for (; frame.ok(); frame = arena.Allocate()) {
    ++frames;
  }
  EXPECT_EQ(CodeOf(frame.status()), Code::kNoMemory);
  EXPECT_GE(frames, arena.budget() * 4);
  arena.Free(5);
  EXPECT_EQ(Allocate(&arena), 5u);
  arena.Reset();
  EXPECT_TRUE(arena.Allocate().ok());
}

TEST(FrameArenaTest, StampsTellTheLastUse) {
  FrameArena arena = Arena(100);
  uint32_t old = Allocate(&arena);
  arena.Tick();
  uint32_t young = Allocate(&arena);
  EXPECT_LT(arena.stamp(old), arena.stamp(young));
  arena.Tick();
  arena.Touch(old);
  EXPECT_GT(arena.stamp(old), arena.stamp(young));
  arena.Tick();
  arena.Free(young);
  EXPECT_EQ(Allocate(&arena), young);
  EXPECT_GT(arena.stamp(young), arena.stamp(old)) << "a frame is as young as its allocation";
}

TEST(FrameArenaTest, MedianStampSplitsLiveFramesInHalves) {
  FrameArena arena = Arena(100);
  EXPECT_EQ(arena.MedianStamp(), 0u);
  for (int i = 0; i < 101; ++i) {
    Allocate(&arena);
    arena.Tick();
  }
  for (uint32_t frame = 0; frame < 10; ++frame) {  // the ten oldest become the ten youngest
    arena.Touch(frame);
  }
  int not_newer = 0;
  for (uint32_t frame = 0; frame < 101; ++frame) {
    not_newer += arena.stamp(frame) <= arena.MedianStamp() ? 1 : 0;
  }
  EXPECT_NEAR(not_newer, 50, 2);
}

// The stamps of freed frames count, too: after a spill, and before their reuse, nearly no live frame is as old as the "median".
TEST(FrameArenaTest, MedianStampLooksAtLiveFramesOnly) {
  FrameArena arena = Arena(100);
  for (int i = 0; i < 100; ++i) {
    Allocate(&arena);
    arena.Tick();
  }
  for (uint32_t frame = 0; frame < 50; ++frame) {
    arena.Free(frame);
  }
  int not_newer = 0;
  for (uint32_t frame = 50; frame < 100; ++frame) {
    not_newer += arena.stamp(frame) <= arena.MedianStamp() ? 1 : 0;
  }
  EXPECT_NEAR(not_newer, 25, 2);
}

TEST(FrameArenaTest, CountsOfAFreshFrameAreSettled) {
  FrameArena arena = Arena(100);
  uint32_t frame = Allocate(&arena);
  EXPECT_FALSE(arena.CountsStale(frame));
  arena.MarkCountsStale(frame);
  EXPECT_TRUE(arena.CountsStale(frame));
  arena.MarkCountsSettled(frame);
  EXPECT_FALSE(arena.CountsStale(frame));
  arena.MarkCountsStale(frame);
  arena.Free(frame);
  EXPECT_EQ(Allocate(&arena), frame);
  EXPECT_FALSE(arena.CountsStale(frame));
}

}  // namespace
}  // namespace johnny::pager
