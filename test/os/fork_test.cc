// What is left of files and locks in forked children: nothing that works, and nothing that matters to the parent.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <limits.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
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

class ForkTest : public PosixTest {
 protected:
  bool IsFree(uint64_t offset) { return CodeOf(Open("f", OpenMode::kReadWrite)->Lock(offset, Kind::kExclusive)) == Code::kOk; }
  // How many descriptors lead into the test's directory. Allocates nothing, so that it may run in any child.
  int OpenDescriptors() const {
    int found = 0;
    for (int fd = 0; fd < 256; ++fd) {
      char name[32], target[PATH_MAX];
      snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
      ssize_t size = ::readlink(name, target, sizeof target);
      found += size > static_cast<ssize_t>(dir_.path().size()) &&
               dir_.path().compare(0, std::string::npos, target, dir_.path().size()) == 0;
    }
    return found;
  }
};

TEST_F(ForkTest, AChildHasItsOwnIds) {
  EXPECT_EQ(system_->ProcessId(), static_cast<uint64_t>(getpid()));
  const uint64_t generation = ForkGeneration();
  pid_t child = Fork([&] {
    return system_->ProcessId() == static_cast<uint64_t>(::getpid()) &&
                   system_->ThreadId() == static_cast<uint64_t>(::gettid()) && ForkGeneration() != generation
               ? 0
               : 1;
  });
  EXPECT_EQ(ExitCodeOf(child), 0);
  EXPECT_EQ(ForkGeneration(), generation);
}

TEST_F(ForkTest, EveryMethodOfAnInheritedFileIsRefused) {
  auto file = Open("f", OpenMode::kCreateNew);
  ASSERT_TRUE(Write(file.get(), 0, {"abc"}).ok());
  char byte;
  const std::vector<std::function<absl::Status()>> calls = {
      [&] { return file->ReadAt(0, &byte, 1); },
      [&] { return Write(file.get(), 0, {"x"}); },
      [&] { return file->SyncData(); },
      [&] { return file->Size().status(); },
      [&] { return file->Resize(0); },
      [&] { return file->Preallocate(0, 100); },
      [&] { return file->Map(4096).status(); },
      [&] { return file->MapShared(1).status(); },
      [&] { return file->Identity().status(); },
      [&] { return file->SetPermissions(0); },
      [&] { return file->Lock(0, Kind::kShared); },
      [&] { return file->Lock(0, Kind::kShared, 1); },
      [&] { return file->Lock(0, Kind::kShared, kWaitForEver); },
      [&] { return file->IsLockedByOthers(0).status(); },
  };
  pid_t child = Fork([&] {
    for (size_t i = 0; i < calls.size(); ++i) {
      absl::Status status = calls[i]();
      if (CodeOf(status) != Code::kForked ||
          status.message().find("was opened by the parent process") == absl::string_view::npos) {
        return static_cast<int>(i) + 1;
      }
    }
    file->Unlock(0);
    return file->IsOnNetwork() ? 100 : 0;
  });
  EXPECT_EQ(ExitCodeOf(child), 0);
  EXPECT_EQ(Read(file.get(), 0, 3), "abc");
}

TEST_F(ForkTest, AChildClosesNothingTwice) {
  auto file = Open("f", OpenMode::kCreateNew);
  ASSERT_TRUE(file->Lock(0, Kind::kExclusive).ok());
  pid_t child = Fork([&] {
    if (OpenDescriptors() != 0) {
      return 1;
    }
    auto own = Open("g", OpenMode::kCreateNew);  // gets the numbers that have become free
    if (!own->Lock(0, Kind::kExclusive).ok()) {
      return 2;
    }
    file.reset();
    return Write(own.get(), 0, {"own"}).ok() && Read(own.get(), 0, 3) == "own" && own->Lock(1, Kind::kShared).ok() ? 0 : 3;
  });
  ASSERT_EQ(ExitCodeOf(child), 0);
  EXPECT_EQ(Read(Open("g", OpenMode::kReadOnly).get(), 0, 3), "own");
}

TEST_F(ForkTest, NothingThatAChildDoesReleasesTheParentsLocks) {
  auto file = Open("f", OpenMode::kCreateNew);
  ASSERT_TRUE(file->Lock(0, Kind::kExclusive).ok());
  pid_t child = Fork([&] {
    file->Unlock(0);
    file.reset();
    return 0;
  });
  EXPECT_EQ(ExitCodeOf(child), 0);
  EXPECT_FALSE(IsFree(0));
  EXPECT_TRUE(Write(file.get(), 0, {"x"}).ok());
}

TEST_F(ForkTest, ClosingReleasesLocksWhileAChildLives) {
  auto file = Open("f", OpenMode::kCreateNew);
  ASSERT_TRUE(file->Lock(0, Kind::kExclusive).ok());
  Signal done;
  pid_t child = Fork([&] { return done.Wait() == 'x' ? 0 : 1; });
  EXPECT_FALSE(IsFree(0));
  file.reset();
  EXPECT_TRUE(IsFree(0));
  done.Send();
  EXPECT_EQ(ExitCodeOf(child), 0);
}

// A process opens, locks and perhaps maps a file, forks, and is killed. Its child lives on, and must not keep the lock.
class OrphanTest : public ForkTest, public testing::WithParamInterface<const char*> {};

TEST_P(OrphanTest, AChildDoesNotKeepItsDeadParentsLocks) {
  {
    auto file = Open("f", OpenMode::kCreateNew);
    ASSERT_TRUE(file->Resize(8192).ok());
  }
  const std::string how = GetParam();
  Signal ready, ask, answer;
  pid_t parent = Fork([&] {
    auto file = Open("f", OpenMode::kReadWrite);
    std::unique_ptr<Mapping> mapping;
    std::unique_ptr<SharedMapping> shared;
    if (how == "Mapped" || how == "MappedBefore") {
      mapping = *file->Map(1 << 20);
    }
    if (how == "MappedShared") {
      shared = *file->MapShared(8192);
    }
    bool locked = file->Lock(0, Kind::kExclusive).ok() && file->Lock(4096, Kind::kShared).ok();
    if (how == "Mapped") {
      mapping = *file->Map(1 << 20);
    }
    Fork([&] {
      ready.Send(locked ? 'y' : 'n');
      while (ask.Wait() == '?') {
        answer.Send('!');
      }
      return 0;
    });
    for (;;) {
      ::pause();
    }
    return 0;
  });
  EXPECT_EQ(ready.Wait(), 'y');
  EXPECT_FALSE(IsFree(0));
  KillAndReap(parent);
  EXPECT_TRUE(IsFree(0));
  EXPECT_TRUE(IsFree(4096));
  ask.Send('?');
  EXPECT_EQ(answer.Wait(), '!') << "the child is still there";
  ask.Send('.');
}

INSTANTIATE_TEST_SUITE_P(Files, OrphanTest, testing::Values("Unmapped", "MappedBefore", "Mapped", "MappedShared"),
                         [](const auto& param) { return std::string(param.param); });

TEST_F(ForkTest, MappingsOfAChildOutliveItsFiles) {
  auto file = Open("f", OpenMode::kCreateNew);
  ASSERT_TRUE(Write(file.get(), 0, {std::string(4096, 'a')}).ok());
  auto mapping = *file->Map(1 << 20);
  auto shared = *file->MapShared(4096);
  pid_t child = Fork([&] {
    bool there = mapping->data()[0] == 'a' && shared->data()[1] == 'a';
    mapping.reset();
    shared.reset();
    return there ? 0 : 1;
  });
  EXPECT_EQ(ExitCodeOf(child), 0);
  EXPECT_EQ(mapping->data()[0], 'a');
}

TEST_F(ForkTest, GrandchildrenAreChildrenToo) {
  auto file = Open("f", OpenMode::kCreateNew);
  pid_t child = Fork([&] {
    auto own = Open("g", OpenMode::kCreateNew);
    pid_t grandchild = Fork([&] {
      return CodeOf(file->SyncData()) == Code::kForked && CodeOf(own->SyncData()) == Code::kForked && OpenDescriptors() == 0 ? 0
                                                                                                                             : 1;
    });
    return ExitCodeOf(grandchild) == 0 && own->SyncData().ok() ? 0 : 1;
  });
  EXPECT_EQ(ExitCodeOf(child), 0);
}

TEST_F(ForkTest, AForkBesideThreadsThatOpenAndLockInheritsNothing) {
  Open("f", OpenMode::kCreateNew);
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      while (!stop) {
        auto file = Open("f", OpenMode::kReadWrite);
        (void)file->Lock(0, Kind::kShared, 1);
      }
    });
  }
  for (int i = 0; i < 100; ++i) {
    pid_t child = ::fork();
    if (child == 0) {
      ::_exit(OpenDescriptors());
    }
    EXPECT_EQ(ExitCodeOf(child), 0);
  }
  stop = true;
  for (std::thread& thread : threads) {
    thread.join();
  }
}

}  // namespace
}  // namespace johnny::os
