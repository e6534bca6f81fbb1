// Locks of files: between files of one process, and between processes.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"
#include "os/os.h"
#include "os/posix_fixture.h"

namespace johnny::os {
namespace {

using Kind = File::LockKind;

constexpr uint64_t kFar = uint64_t{1} << 62;  // where no file reaches

class LockTest : public PosixTest {
 protected:
  bool IsFree(uint64_t offset) { return CodeOf(Open("f", OpenMode::kReadWrite)->Lock(offset, Kind::kExclusive)) == Code::kOk; }
};

TEST_F(LockTest, LocksBelongToTheOpenFile) {
  auto one = Open("f", OpenMode::kCreateNew);
  auto two = Open("f", OpenMode::kReadWrite);
  EXPECT_TRUE(one->Lock(kFar, Kind::kShared).ok());
  EXPECT_TRUE(two->Lock(kFar, Kind::kShared).ok());
  EXPECT_EQ(CodeOf(two->Lock(kFar, Kind::kExclusive)), Code::kBusy);
  EXPECT_TRUE(two->Lock(kFar + 1, Kind::kExclusive).ok()) << "another byte";
  EXPECT_EQ(CodeOf(one->Lock(kFar + 1, Kind::kShared)), Code::kBusy);
  one.reset();
  EXPECT_TRUE(two->Lock(kFar, Kind::kExclusive).ok()) << "closing the file released its locks";
  EXPECT_EQ(CodeOf(Open("f", OpenMode::kReadWrite)->Lock(kFar, Kind::kShared)), Code::kBusy);
  EXPECT_EQ(CodeOf(Open("f", OpenMode::kReadOnly)->Lock(kFar, Kind::kShared)), Code::kBusy);
}

TEST_F(LockTest, WhoIsRefusedLearnsWhere) {
  auto one = Open("f", OpenMode::kCreateNew);
  auto two = Open("f", OpenMode::kReadWrite);
  ASSERT_TRUE(one->Lock(0, Kind::kShared).ok());
  absl::Status status = two->Lock(0, Kind::kExclusive);
  EXPECT_EQ(CodeOf(status), Code::kBusy);
  EXPECT_NE(status.message().find(Path("f")), absl::string_view::npos) << status;
}

TEST_F(LockTest, UnlockGivesOneByteBack) {
  auto file = Open("f", OpenMode::kCreateNew);
  file->Unlock(1);  // nothing held, nothing opened
  ASSERT_TRUE(file->Lock(1, Kind::kExclusive).ok());
  ASSERT_TRUE(file->Lock(2, Kind::kExclusive).ok());
  file->Unlock(3);
  EXPECT_FALSE(IsFree(1));
  file->Unlock(1);
  EXPECT_TRUE(IsFree(1));
  EXPECT_FALSE(IsFree(2));
}

TEST_F(LockTest, AHeldLockTurnsIntoTheOtherKind) {
  auto one = Open("f", OpenMode::kCreateNew);
  auto two = Open("f", OpenMode::kReadWrite);
  ASSERT_TRUE(one->Lock(5, Kind::kExclusive).ok());
  EXPECT_TRUE(one->Lock(5, Kind::kExclusive).ok()) << "again";
  ASSERT_TRUE(one->Lock(5, Kind::kShared).ok());
  ASSERT_TRUE(two->Lock(5, Kind::kShared).ok());
  EXPECT_EQ(CodeOf(one->Lock(5, Kind::kExclusive)), Code::kBusy);
  EXPECT_EQ(CodeOf(two->Lock(5, Kind::kExclusive, 2)), Code::kBusy);
  two->Unlock(5);
  EXPECT_FALSE(IsFree(5)) << "a conversion that failed has left the shared lock";
  EXPECT_TRUE(one->Lock(5, Kind::kExclusive).ok());
  EXPECT_EQ(CodeOf(two->Lock(5, Kind::kShared)), Code::kBusy);
}

TEST_F(LockTest, OthersLocksAreSeenAndOwnOnesAreNot) {
  auto one = Open("f", OpenMode::kCreateNew);
  auto two = Open("f", OpenMode::kReadOnly);
  EXPECT_FALSE(*one->IsLockedByOthers(7));
  ASSERT_TRUE(two->Lock(7, Kind::kShared).ok());
  EXPECT_TRUE(*one->IsLockedByOthers(7)) << "a shared one counts";
  EXPECT_FALSE(*two->IsLockedByOthers(7));
  EXPECT_FALSE(*one->IsLockedByOthers(8));
  ASSERT_TRUE(one->Lock(8, Kind::kExclusive).ok());
  EXPECT_TRUE(*two->IsLockedByOthers(8)) << "a read-only file may ask";
  EXPECT_FALSE(*one->IsLockedByOthers(8));
}

TEST_F(LockTest, AReadOnlyFileTakesNoExclusiveLock) {
  Open("f", OpenMode::kCreateNew);
  auto file = Open("f", OpenMode::kReadOnly);
  EXPECT_EQ(CodeOf(file->Lock(0, Kind::kExclusive)), Code::kPermission);
  EXPECT_EQ(CodeOf(file->Lock(0, Kind::kExclusive, kWaitForEver)), Code::kPermission);
  EXPECT_EQ(CodeOf(file->Lock(UINT64_MAX, Kind::kShared)), Code::kIoError) << "no such byte";
}

TEST_F(LockTest, WaitsUntilTheTimeoutOrTheRelease) {
  auto one = Open("f", OpenMode::kCreateNew);
  auto two = Open("f", OpenMode::kReadWrite);
  ASSERT_TRUE(one->Lock(0, Kind::kExclusive).ok());
  EXPECT_EQ(CodeOf(two->Lock(0, Kind::kShared, 1)), Code::kBusy);
  EXPECT_EQ(CodeOf(two->Lock(0, Kind::kShared, 20)), Code::kBusy);
  for (uint32_t timeout : {60000u, kWaitForEver}) {
    ASSERT_TRUE(one->Lock(0, Kind::kExclusive).ok());
    std::atomic<bool> released{false};
    std::thread waiter([&] {
      EXPECT_TRUE(two->Lock(0, Kind::kExclusive, timeout).ok());
      EXPECT_TRUE(released);
      two->Unlock(0);
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    released = true;
    one->Unlock(0);
    waiter.join();
  }
}

TEST_F(LockTest, OneHolderAtATime) {
  Open("f", OpenMode::kCreateNew);
  int guarded = 0;
  std::atomic<int> inside{0};  // also orders the accesses for TSan, which knows nothing of these locks
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      auto file = Open("f", OpenMode::kReadWrite);
      for (int round = 0; round < 200; ++round) {
        ASSERT_TRUE(file->Lock(kFar, Kind::kExclusive, i % 2 == 0 ? kWaitForEver : 60000).ok());
        EXPECT_EQ(inside.fetch_add(1), 0);
        ++guarded;
        inside.fetch_sub(1);
        file->Unlock(kFar);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(guarded, 800);
}

// ---- Which file the locks are on ----

TEST_F(LockTest, LocksFollowTheFileWhenItsNameMovesOn) {
  auto renamed = Open("f", OpenMode::kCreateNew);
  auto second = Open("f", OpenMode::kReadWrite);
  ASSERT_EQ(rename(Path("f").c_str(), Path("g").c_str()), 0);
  Open("f", OpenMode::kCreateNew);  // another one under the old name
  ASSERT_TRUE(renamed->Lock(0, Kind::kExclusive).ok());
  EXPECT_TRUE(IsFree(0)) << "the other file";
  EXPECT_EQ(CodeOf(Open("g", OpenMode::kReadWrite)->Lock(0, Kind::kExclusive)), Code::kBusy);
  EXPECT_EQ(CodeOf(second->Lock(0, Kind::kExclusive)), Code::kBusy);
  EXPECT_TRUE(*second->IsLockedByOthers(0));
}

TEST_F(LockTest, AFileWithoutANameCanBeLocked) {
  auto one = Open("f", OpenMode::kCreateNew);
  auto two = Open("f", OpenMode::kReadOnly);
  ASSERT_TRUE(system_->Unlink(Path("f")).ok());
  ASSERT_TRUE(one->Lock(0, Kind::kExclusive).ok());
  EXPECT_EQ(CodeOf(two->Lock(0, Kind::kShared)), Code::kBusy);
}

TEST_F(LockTest, ARelativeNameMayLeadElsewhereByNow) {
  const std::string before = std::filesystem::current_path();
  ASSERT_EQ(chdir(dir_.path().c_str()), 0);
  auto file = *system_->Open("f", OpenMode::kCreateNew, 0600);
  ASSERT_EQ(chdir(before.c_str()), 0);
  ASSERT_TRUE(file->Lock(0, Kind::kExclusive).ok());
  EXPECT_FALSE(IsFree(0));
}

TEST_F(LockTest, WhatLiesUnderTheOldNameDoesNotMatter) {
  auto file = Open("f", OpenMode::kCreateNew);
  ASSERT_TRUE(system_->Unlink(Path("f")).ok());
  ASSERT_EQ(mkfifo(Path("f").c_str(), 0600), 0);
  EXPECT_TRUE(file->Lock(0, Kind::kShared).ok());
  auto linked = Open("g", OpenMode::kCreateNew);
  ASSERT_EQ(rename(Path("g").c_str(), Path("h").c_str()), 0);
  ASSERT_EQ(symlink(Path("h").c_str(), Path("g").c_str()), 0);
  ASSERT_TRUE(linked->Lock(0, Kind::kExclusive).ok());
  EXPECT_EQ(CodeOf(Open("h", OpenMode::kReadWrite)->Lock(0, Kind::kShared)), Code::kBusy);
}

// ---- Between processes ----

TEST_F(LockTest, ProcessesExcludeEachOther) {
  auto file = Open("f", OpenMode::kCreateNew);
  ASSERT_TRUE(file->Lock(0, Kind::kExclusive).ok());
  ASSERT_TRUE(file->Lock(1, Kind::kShared).ok());
  pid_t child = Fork([&] {
    auto own = Open("f", OpenMode::kReadWrite);
    return CodeOf(own->Lock(0, Kind::kShared, 5)) == Code::kBusy && own->Lock(1, Kind::kShared).ok() &&
                   CodeOf(own->Lock(1, Kind::kExclusive)) == Code::kBusy && *own->IsLockedByOthers(0) &&
                   own->Lock(2, Kind::kExclusive).ok()
               ? 0
               : 1;
  });
  EXPECT_EQ(ExitCodeOf(child), 0);
}

TEST_F(LockTest, DeathReleasesLocks) {
  Open("f", OpenMode::kCreateNew);
  Signal locked;
  pid_t child = Fork([&] {
    auto file = Open("f", OpenMode::kReadWrite);
    locked.Send(file->Lock(0, Kind::kExclusive).ok() ? 'y' : 'n');
    for (;;) {
      ::pause();
    }
    return 0;
  });
  EXPECT_EQ(locked.Wait(), 'y');
  EXPECT_FALSE(IsFree(0));
  ::kill(child, SIGKILL);
  EXPECT_TRUE(Open("f", OpenMode::kReadWrite)->Lock(0, Kind::kExclusive, kWaitForEver).ok());
  ::waitpid(child, nullptr, 0);
}

}  // namespace
}  // namespace johnny::os
