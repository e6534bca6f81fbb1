// Several processes on one simulated system: their files, locks, shared memory and deaths.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/status.h"
#include "support/sim_system.h"

namespace johnny::sim {
namespace {

using os::OpenMode;
using Kind = os::File::LockKind;

constexpr char kFile[] = "/d/f";

class SimProcessTest : public testing::Test {
 protected:
  SimProcessTest() {
    auto file = *system_.Open(kFile, OpenMode::kCreateNew, 0644);
    EXPECT_TRUE(file->Resize(8192).ok());
  }
  static std::unique_ptr<os::File> Open(os::System* process, const std::string& path = kFile,
                                        OpenMode mode = OpenMode::kReadWrite) {
    auto file = process->Open(path, mode, 0644);
    EXPECT_TRUE(file.ok()) << file.status();
    return *std::move(file);
  }
  static absl::Status Write(os::File* file, uint64_t offset, const std::string& bytes) {
    Slice piece(bytes);
    return file->WriteAt(offset, absl::MakeConstSpan(&piece, 1));
  }

  SimSystem system_;
  std::unique_ptr<SimProcess> one_ = system_.NewProcess();
  std::unique_ptr<SimProcess> two_ = system_.NewProcess();
};

TEST_F(SimProcessTest, ProcessesShareTheMachineAndDifferInIds) {
  EXPECT_NE(one_->ProcessId(), two_->ProcessId());
  EXPECT_NE(one_->ProcessId(), system_.ProcessId());
  EXPECT_EQ(one_->BootId(), system_.BootId());
  const uint64_t now = one_->MonotonicMillis();
  EXPECT_LT(now, two_->MonotonicMillis());
  EXPECT_EQ(one_->UserId(), 1000u);
  one_->set_user_id(7);
  EXPECT_EQ(one_->UserId(), 7u);
  EXPECT_EQ(two_->UserId(), 1000u);

  one_->set_user_id(1000);
  ASSERT_TRUE(Write(Open(one_.get()).get(), 0, "x").ok());
  char byte = 0;
  EXPECT_TRUE(Open(two_.get())->ReadAt(0, &byte, 1).ok());
  EXPECT_EQ(byte, 'x');
}

TEST_F(SimProcessTest, OneProcessDiesAlone) {
  auto mine = Open(one_.get());
  auto others = Open(two_.get());
  const uint64_t id = one_->ProcessId();
  one_->Kill();
  EXPECT_TRUE(one_->dead());
  EXPECT_FALSE(two_->dead());
  const uint64_t calls = system_.calls();
  EXPECT_EQ(CodeOf(Write(mine.get(), 0, "x")), Code::kIoError);
  EXPECT_EQ(CodeOf(mine->Lock(0, Kind::kShared)), Code::kIoError);
  EXPECT_EQ(CodeOf(mine->MapShared(1).status()), Code::kIoError);
  EXPECT_EQ(CodeOf(mine->Identity().status()), Code::kIoError);
  EXPECT_EQ(CodeOf(one_->Open(kFile, OpenMode::kReadOnly, 0).status()), Code::kIoError);
  EXPECT_EQ(CodeOf(one_->IdentityOf(kFile).status()), Code::kIoError);
  EXPECT_EQ(system_.calls(), calls) << "what the dead do does not count";
  EXPECT_TRUE(Write(others.get(), 0, "y").ok());
  EXPECT_TRUE(system_.Open(kFile, OpenMode::kReadOnly, 0).ok());

  one_->Revive();
  EXPECT_NE(one_->ProcessId(), id);
  EXPECT_TRUE(Write(Open(one_.get()).get(), 0, "z").ok());
  EXPECT_EQ(CodeOf(Write(mine.get(), 0, "x")), Code::kIoError) << "of the process before";
  system_.Kill();
  EXPECT_TRUE(Write(others.get(), 0, "y").ok()) << "the first process dies alone, too";
}

TEST_F(SimProcessTest, AProcessObjectThatGoesIsAProcessThatExits) {
  auto file = Open(one_.get());
  ASSERT_TRUE(file->Lock(0, Kind::kExclusive).ok());
  one_.reset();
  EXPECT_EQ(CodeOf(file->SyncData()), Code::kIoError);
  EXPECT_TRUE(Open(two_.get())->Lock(0, Kind::kExclusive).ok());
}

TEST_F(SimProcessTest, FaultsMayHitOneProcess) {
  auto mine = Open(one_.get());
  auto others = Open(two_.get());
  auto first = Open(&system_);
  system_.SetFault({.call = Call::kSync, .for_ever = true, .process = one_.get()});
  EXPECT_TRUE(others->SyncData().ok());
  EXPECT_TRUE(first->SyncData().ok());
  EXPECT_FALSE(mine->SyncData().ok());
  system_.SetFault({.call = Call::kSync, .kills = true, .process = &system_});
  EXPECT_TRUE(mine->SyncData().ok());
  EXPECT_FALSE(first->SyncData().ok());
  EXPECT_FALSE(system_.Open(kFile, OpenMode::kReadOnly, 0).ok());
  EXPECT_TRUE(mine->SyncData().ok());
}

// ---- Yield points ----

TEST_F(SimProcessTest, YieldPointsTellWhoMetThem) {
  std::vector<std::string> met;
  system_.set_yield_hook([&](const char* name) { met.push_back(name); });
  one_->set_yield_hook([&](SimProcess* process, const char* name) {
    EXPECT_EQ(process, one_.get());
    met.push_back(std::string("one: ") + name);
  });
  system_.YieldPoint("a");
  one_->YieldPoint("b");
  two_->YieldPoint("c");
  EXPECT_EQ(met, (std::vector<std::string>{"a", "one: b", "c"}));
}

TEST_F(SimProcessTest, AYieldPointMayBeWhereAProcessDies) {
  auto file = Open(one_.get());
  one_->set_yield_hook([](SimProcess* process, const char*) { process->Kill(); });
  ASSERT_TRUE(Write(file.get(), 0, "x").ok());
  one_->YieldPoint("here");
  EXPECT_EQ(CodeOf(Write(file.get(), 0, "y")), Code::kIoError);
}

// ---- Locks ----

TEST_F(SimProcessTest, LocksExcludeOtherFilesAndProcesses) {
  auto mine = Open(one_.get());
  auto also_mine = Open(one_.get());
  auto others = Open(two_.get(), kFile, OpenMode::kReadOnly);
  ASSERT_TRUE(mine->Lock(1, Kind::kExclusive).ok());
  EXPECT_EQ(CodeOf(also_mine->Lock(1, Kind::kShared)), Code::kBusy);
  EXPECT_EQ(CodeOf(others->Lock(1, Kind::kShared, 1)), Code::kBusy);
  EXPECT_TRUE(*others->IsLockedByOthers(1));
  EXPECT_FALSE(*mine->IsLockedByOthers(1));
  EXPECT_FALSE(*others->IsLockedByOthers(2));
  ASSERT_TRUE(mine->Lock(1, Kind::kShared).ok()) << "made shared";
  EXPECT_TRUE(others->Lock(1, Kind::kShared).ok());
  EXPECT_EQ(CodeOf(mine->Lock(1, Kind::kExclusive, 1)), Code::kBusy);
  EXPECT_TRUE(*others->IsLockedByOthers(1)) << "still held, shared";
  EXPECT_EQ(CodeOf(others->Lock(2, Kind::kExclusive)), Code::kPermission) << "read-only";
  others->Unlock(1);
  EXPECT_TRUE(mine->Lock(1, Kind::kExclusive).ok());
  mine->Unlock(1);
  EXPECT_TRUE(also_mine->Lock(1, Kind::kExclusive).ok());
}

TEST_F(SimProcessTest, WaitersGetTheLockWhenItIsReleased) {
  const std::vector<void (*)(std::unique_ptr<os::File>*, SimProcess*)> releases = {
      [](std::unique_ptr<os::File>* file, SimProcess*) { (*file)->Unlock(5); },
      [](std::unique_ptr<os::File>* file, SimProcess*) { file->reset(); },
      [](std::unique_ptr<os::File>* file, SimProcess*) { (void)(*file)->Lock(5, Kind::kShared); },
      [](std::unique_ptr<os::File>*, SimProcess* process) { process->Kill(); },
  };
  for (uint32_t timeout : {60000u, os::kWaitForEver}) {
    for (auto release : releases) {
      auto holder = system_.NewProcess();
      auto held = Open(holder.get());
      auto file = Open(two_.get());
      ASSERT_TRUE(held->Lock(5, Kind::kExclusive).ok());
      std::atomic<bool> released{false};
      std::thread waiter([&] {
        EXPECT_TRUE(file->Lock(5, Kind::kShared, timeout).ok());
        EXPECT_TRUE(released);
      });
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      released = true;
      release(&held, holder.get());
      waiter.join();
    }
  }
}

TEST_F(SimProcessTest, AWaiterWhoseProcessIsKilledStopsWaiting) {
  auto held = Open(one_.get());
  ASSERT_TRUE(held->Lock(5, Kind::kExclusive).ok());
  for (uint32_t timeout : {60000u, os::kWaitForEver}) {
    auto process = system_.NewProcess();
    auto file = Open(process.get());
    std::thread waiter([&] { EXPECT_EQ(CodeOf(file->Lock(5, Kind::kExclusive, timeout)), Code::kIoError); });
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    process->Kill();
    process->Revive();  // the waiter belongs to the process that died all the same
    waiter.join();
  }
}

TEST_F(SimProcessTest, OneHolderAtATimeAmongDyingProcesses) {
  constexpr int kRounds = 100;
  int guarded = 0;  // TSan sees that the lock protects it
  std::atomic<int> deaths{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      auto process = system_.NewProcess();
      auto file = Open(process.get());
      for (int round = 0; round < kRounds; ++round) {
        ASSERT_TRUE(file->Lock(9, Kind::kExclusive, round % 2 == 0 ? os::kWaitForEver : 60000).ok());
        ++guarded;
        process->YieldPoint("in between");
        if ((round + i) % 3 == 0) {
          file->Unlock(9);
        } else if ((round + i) % 3 == 1) {
          file = nullptr;
          file = Open(process.get());
        } else {
          process->Kill();
          ++deaths;
          process->Revive();
          file = Open(process.get());
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(guarded, 4 * kRounds);
  EXPECT_GT(deaths, kRounds);
}

// ---- Shared memory ----

TEST_F(SimProcessTest, SharedMappingsAreTheSameMemoryAndLeaveNoEvents) {
  auto mine = Open(one_.get());
  auto others = Open(two_.get());
  auto first = *mine->MapShared(8192);
  auto second = *others->MapShared(100);
  EXPECT_EQ(first->size(), 8192u);
  EXPECT_EQ(second->size(), 100u);
  const size_t events = system_.events().size();
  first->data()[50] = 'x';
  EXPECT_EQ(second->data()[50], 'x');
  EXPECT_EQ(system_.events().size(), events);
  one_->Kill();
  mine.reset();
  EXPECT_EQ(second->data()[50], 'x') << "what a dead process wrote stays";
  EXPECT_EQ(CodeOf(others->MapShared(8193).status()), Code::kIoError);
  EXPECT_EQ(CodeOf(Open(two_.get(), kFile, OpenMode::kReadOnly)->MapShared(1).status()), Code::kPermission);
}

// ---- Lock files ----

TEST_F(SimProcessTest, LockFilesLeaveNoEvents) {
  const size_t events = system_.events().size();
  const DiskImage before = system_.Snapshot();
  auto lock = Open(one_.get(), "/d/f-lock", OpenMode::kCreateNew);
  ASSERT_TRUE(Write(lock.get(), 0, "x").ok());
  ASSERT_TRUE(lock->Resize(4096).ok());
  ASSERT_TRUE(lock->Preallocate(0, 8192).ok());
  ASSERT_TRUE(lock->SyncData().ok());
  system_.SetFault({.call = Call::kSync});
  EXPECT_FALSE(lock->SyncData().ok()) << "they fail like others";
  EXPECT_TRUE(system_.Snapshot().Hash() == before.Hash());
  const DiskImage with = system_.Snapshot(true);
  EXPECT_EQ(with.names.size(), 2u);
  SimSystem next(with, 1, 2);
  EXPECT_TRUE(next.Exists("/d/f-lock"));
  EXPECT_TRUE(next.Snapshot().Hash() == before.Hash()) << "a lock file stays one";
  ASSERT_TRUE(one_->Unlink("/d/f-lock").ok());
  EXPECT_EQ(system_.events().size(), events);
}

// ---- Identities ----

TEST_F(SimProcessTest, IdentityIsTheFilesAndNotTheNames) {
  auto file = Open(one_.get());
  const os::FileIdentity identity = *file->Identity();
  EXPECT_EQ(identity.device, 1u);
  EXPECT_NE(identity.inode, 0u);
  EXPECT_TRUE(identity.SameFile(*two_->IdentityOf(kFile)));
  ASSERT_TRUE(one_->Link(kFile, "/d/hard").ok());
  EXPECT_TRUE(identity.SameFile(*two_->IdentityOf("/d/hard")));
  ASSERT_TRUE(system_.Rename(kFile, "/d/renamed").ok());
  EXPECT_TRUE(identity.SameFile(*two_->IdentityOf("/d/renamed")));
  EXPECT_EQ(CodeOf(two_->IdentityOf(kFile).status()), Code::kNoSuchFile);

  auto other = Open(two_.get(), kFile, OpenMode::kCreateNew);
  EXPECT_EQ(CodeOf(system_.Rename(kFile, "/d/renamed")), Code::kExists);
  ASSERT_TRUE(system_.Replace(kFile, "/d/renamed").ok());
  EXPECT_FALSE(identity.SameFile(*two_->IdentityOf("/d/renamed"))) << "another file moved into its place";
  EXPECT_TRUE(other->Identity()->SameFile(*two_->IdentityOf("/d/renamed")));
  EXPECT_TRUE(identity.SameFile(*file->Identity()));
  EXPECT_EQ(CodeOf(system_.Replace("/d/none", "/d/renamed")), Code::kNoSuchFile);
}

TEST_F(SimProcessTest, FilesHaveOwnersAndPermissions) {
  one_->set_user_id(7);
  auto file = *one_->Open("/d/private", OpenMode::kCreateNew, 0600);
  EXPECT_EQ(file->Identity()->owner, 7u);
  EXPECT_EQ(file->Identity()->permissions, 0600u);
  EXPECT_EQ(CodeOf(two_->Open("/d/private", OpenMode::kReadOnly, 0).status()), Code::kPermission);
  ASSERT_TRUE(file->SetPermissions(0644).ok());
  EXPECT_EQ(two_->IdentityOf("/d/private")->permissions, 0644u);
  EXPECT_EQ(CodeOf(two_->Open("/d/private", OpenMode::kReadWrite, 0).status()), Code::kPermission);
  auto others = Open(two_.get(), "/d/private", OpenMode::kReadOnly);
  EXPECT_EQ(CodeOf(others->SetPermissions(0666)), Code::kPermission);
  two_->set_user_id(0);
  EXPECT_TRUE(others->SetPermissions(0).ok());
  EXPECT_TRUE(two_->Open("/d/private", OpenMode::kReadWrite, 0).ok());
}

TEST_F(SimProcessTest, FilesMayLieOnANetwork) {
  auto file = Open(one_.get());
  EXPECT_FALSE(file->IsOnNetwork());
  system_.set_on_network(true);
  EXPECT_TRUE(file->IsOnNetwork());
}

TEST_F(SimProcessTest, NewCallsFailOnCommand) {
  auto file = Open(one_.get());
  const auto fails = [&](Call call, const auto& run) {
    const uint64_t before = system_.calls(call);
    system_.SetFault({.call = call, .code = Code::kNoMemory});
    EXPECT_EQ(CodeOf(run()), Code::kNoMemory);
    EXPECT_EQ(CodeOf(run()), Code::kOk);
    EXPECT_EQ(system_.calls(call), before + 2);
  };
  fails(Call::kIdentityOf, [&] { return one_->IdentityOf(kFile).status(); });
  fails(Call::kMapShared, [&] { return file->MapShared(4096).status(); });
  fails(Call::kIdentity, [&] { return file->Identity().status(); });
  fails(Call::kSetPermissions, [&] { return file->SetPermissions(0600); });
  fails(Call::kLock, [&] { return file->Lock(0, Kind::kShared); });
  fails(Call::kQueryLock, [&] { return file->IsLockedByOthers(0).status(); });
}

}  // namespace
}  // namespace johnny::sim
