// The lock file among virtual processes; what becomes of real ones is in test/processes/lock_file_test.cc.
#include "readers/lock_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <thread>

#include "base/status.h"
#include "env/env.h"
#include "support/sim_system.h"
#include "support/test_db.h"

namespace johnny::readers {
namespace {

constexpr char kData[] = "/db";
constexpr char kLock[] = "/db-lock";

// A process that has the data file open.
struct Process {
  explicit Process(sim::SimSystem* system, const std::string& data_path = kData, uint32_t user = 1000)
      : os(system->NewProcess()) {
    os->set_user_id(user);
    auto opened = os->Open(data_path, os::OpenMode::kReadWrite, 0);
    EXPECT_TRUE(opened.ok()) << opened.status();
    data = *std::move(opened);
  }
  // Enters, and stops there.
  absl::Status Begin(const std::string& path = kLock, uint32_t max_readers = 8) {
    auto entered = LockFile::Enter(os.get(), path, data.get(), kData, max_readers);
    if (entered.ok()) {
      lock = *std::move(entered);
    }
    return entered.status();
  }
  absl::Status Enter(const std::string& path = kLock, uint32_t max_readers = 8) {
    absl::Status status = Begin(path, max_readers);
    if (status.ok()) {
      status = lock->CheckDatabase(77);
    }
    if (status.ok()) {
      lock->FinishEntering();
    }
    return status;
  }
  void MustEnter(const std::string& path = kLock) {
    absl::Status status = Enter(path);
    EXPECT_TRUE(status.ok()) << status;
  }
  SnapshotBoard Board() { return SnapshotBoard(lock->memory(), lock->process()); }
  // A reader of the newest snapshot.
  SlotHold Read() {
    SlotHold hold;
    bool fresh = false;
    EXPECT_TRUE(Board().TakeSlot(&hold, &fresh));
    uint64_t sequence = 0;
    Snapshot snapshot;
    Board().Enter(hold.index, &sequence, &snapshot);
    return hold;
  }

  std::unique_ptr<sim::SimProcess> os;
  std::unique_ptr<os::File> data;
  std::unique_ptr<LockFile> lock;
};

class LockFileTest : public testing::Test {
 protected:
  LockFileTest() {
    auto file = system_.Open(kData, os::OpenMode::kCreateNew, 0640);
    EXPECT_TRUE(file.ok()) << file.status();
  }
  std::unique_ptr<os::File> File(const std::string& path, os::OpenMode mode = os::OpenMode::kReadWrite) {
    auto file = system_.Open(path, mode, 0640);
    EXPECT_TRUE(file.ok()) << file.status();
    return *std::move(file);
  }
  std::string Bytes(const std::string& path) {
    auto file = File(path);
    std::string bytes(*file->Size(), '\0');
    EXPECT_TRUE(file->ReadAt(0, bytes.data(), bytes.size()).ok());
    return bytes;
  }
  void Write(os::File* file, Slice bytes) { EXPECT_TRUE(file->WriteAt(0, absl::MakeConstSpan(&bytes, 1)).ok()); }
  // Puts another file with these bytes in the place of the lock file.
  void Replace(const std::string& bytes) {
    Write(File("/other-lock", os::OpenMode::kCreateNew).get(), bytes);
    ASSERT_TRUE(system_.Replace("/other-lock", kLock).ok());
  }
  static std::string RandomBytes(size_t size) {
    std::mt19937_64 random(size);
    std::string bytes(size, '\0');
    for (char& byte : bytes) {
      byte = static_cast<char>(random());
    }
    return bytes;
  }
  static Code CodeAfter(Process* process) { return CodeOf(process->Enter()); }

  sim::SimSystem system_;
};

TEST_F(LockFileTest, TheFirstBuildsItAndTheNextJoin) {
  Process one(&system_);
  one.MustEnter();
  EXPECT_TRUE(one.lock->first());
  EXPECT_EQ(one.lock->memory().max_readers(), 8u);
  one.lock->memory().state().last_id = 4711;
  Process two(&system_);
  ASSERT_TRUE(two.Enter(kLock, 5000).ok());
  EXPECT_FALSE(two.lock->first());
  EXPECT_EQ(two.lock->memory().max_readers(), 8u) << "as the first has it";
  EXPECT_EQ(two.lock->memory().state().last_id, 4711u);
  EXPECT_NE(one.lock->process(), two.lock->process());
  EXPECT_EQ(one.lock->memory().process(two.lock->process()).process, two.os->ProcessId());

  // The first leaves, the file lives on with the other; then it begins anew.
  EXPECT_FALSE(*one.lock->BeginLeaving());
  one.lock.reset();
  Process three(&system_);
  three.MustEnter();
  EXPECT_FALSE(three.lock->first());
  EXPECT_EQ(three.lock->process(), 0u) << "the first one's slot";
  three.lock.reset();
  EXPECT_TRUE(*two.lock->BeginLeaving());
  two.lock.reset();
  one.MustEnter();
  EXPECT_TRUE(one.lock->first());
  EXPECT_EQ(one.lock->memory().state().last_id, 0u);
}

TEST_F(LockFileTest, NobodyEntersWhileSomebodyIsEnteringOrLeaving) {
  Process one(&system_);
  ASSERT_TRUE(one.Begin().ok());
  ASSERT_TRUE(one.lock->CheckDatabase(77).ok());
  std::atomic<bool> in{false};
  Process two(&system_);
  std::thread enterer([&] {
    two.MustEnter();
    EXPECT_TRUE(in) << "while the first was entering";
  });
  for (int i = 0; i < 1000; ++i) {
    std::this_thread::yield();
  }
  in = true;
  one.lock->FinishEntering();
  enterer.join();
  EXPECT_FALSE(two.lock->first());
  two.lock.reset();

  ASSERT_TRUE(*one.lock->BeginLeaving());
  std::atomic<bool> left{false};
  std::thread late([&] {
    two.MustEnter();
    EXPECT_TRUE(left);
    EXPECT_TRUE(two.lock->first());
  });
  for (int i = 0; i < 1000; ++i) {
    std::this_thread::yield();
  }
  left = true;
  one.lock.reset();
  late.join();
}

TEST_F(LockFileTest, WhoWaitsAtALockFileThatIsReplacedGoesToTheNewOne) {
  Process one(&system_);
  ASSERT_TRUE(one.Begin().ok());
  const uint64_t before = system_.calls(sim::Call::kLock);
  Process two(&system_);
  std::thread enterer([&] { two.MustEnter(); });
  while (system_.calls(sim::Call::kLock) == before) {
    std::this_thread::yield();
  }
  Replace(RandomBytes(300));
  const uint64_t replacement = system_.IdentityOf(kLock)->inode;
  one.lock.reset();
  enterer.join();
  EXPECT_TRUE(two.lock->first());
  EXPECT_EQ(system_.IdentityOf(kLock)->inode, replacement);
  Process three(&system_);
  three.MustEnter();
  EXPECT_FALSE(three.lock->first()) << "both stand at the same one";
}

TEST_F(LockFileTest, ManyEnterAndLeaveAtOnce) {
  std::atomic<int> firsts{0}, inside{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        Process process(&system_);
        absl::Status entered = process.Begin();
        ASSERT_TRUE(entered.ok()) << entered;
        if (process.lock->first()) {
          ++firsts;
          EXPECT_EQ(inside, 0) << "first, while another is in";
        }
        ++inside;
        EXPECT_TRUE(process.lock->CheckDatabase(77).ok());
        process.lock->FinishEntering();
        std::this_thread::yield();
        auto last = process.lock->BeginLeaving();
        EXPECT_TRUE(last.ok() && *last == (inside == 1));
        --inside;
        process.lock.reset();
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_GT(firsts, 0);
}

// ---- Misfits: invariant 1 ----

TEST_F(LockFileTest, ALockFileRemovedOrReplacedMeanwhileKeepsOthersOut) {
  Process first(&system_);
  first.MustEnter();
  std::string copy = Bytes(kLock);
  ASSERT_TRUE(system_.Unlink(kLock).ok());
  Process other(&system_);
  EXPECT_EQ(CodeAfter(&other), Code::kLockFile) << "removed";
  for (const std::string& bytes : {std::string(), copy, RandomBytes(copy.size()), copy.substr(0, 100)}) {
    Replace(bytes);
    EXPECT_EQ(CodeAfter(&other), Code::kLockFile) << "replaced by " << bytes.size() << " bytes";
    EXPECT_EQ(CodeAfter(&other), Code::kLockFile) << "again";
  }
  first.lock.reset();
  other.MustEnter();
  EXPECT_TRUE(other.lock->first()) << "nobody is left who uses another";
}

TEST_F(LockFileTest, ALockFileDamagedInPlaceKeepsOthersOut) {
  Process first(&system_);
  first.MustEnter();
  std::string whole = Bytes(kLock);
  auto file = File(kLock);
  for (size_t size : {whole.size() - 1, size_t{5000}, size_t{10}, size_t{0}}) {
    ASSERT_TRUE(file->Resize(size).ok());
    Process other(&system_);
    EXPECT_EQ(CodeAfter(&other), Code::kLockFile) << "cut to " << size;
    Write(file.get(), whole);
  }
  for (size_t field = 0; field < 56; field += 8) {  // the header's, the database's id included
    std::string bytes = whole;
    bytes[field + 3] = static_cast<char>(bytes[field + 3] ^ 0x40);
    Write(file.get(), bytes);
    Process other(&system_);
    Code code = CodeAfter(&other);
    EXPECT_TRUE(code == Code::kLockFile || (field == 8 && code == Code::kVersionMismatch)) << "field at " << field;
  }
  Write(file.get(), RandomBytes(whole.size()));
  {
    Process other(&system_);
    EXPECT_EQ(CodeAfter(&other), Code::kLockFile);
  }
  Write(file.get(), whole);
  Process other(&system_);
  other.MustEnter();
}

TEST_F(LockFileTest, AnotherVersionOfTheLibraryIsTold) {
  Process first(&system_);
  first.MustEnter();
  first.lock->memory().header().layout_version = kLockLayoutVersion + 1;
  Process other(&system_);
  EXPECT_EQ(CodeAfter(&other), Code::kVersionMismatch);
  first.lock.reset();
  other.MustEnter();
  EXPECT_TRUE(other.lock->first()) << "what dead processes of another version left does not matter";
}

TEST_F(LockFileTest, AHardLinkWithALockFileOfItsOwnIsRefused) {
  ASSERT_TRUE(system_.Link(kData, "/second").ok());
  Process first(&system_);
  first.MustEnter();
  Process other(&system_, "/second");
  EXPECT_EQ(CodeOf(other.Enter("/second-lock")), Code::kLockFile);
  EXPECT_TRUE(other.Enter(kLock).ok()) << "it is the same file";
}

TEST_F(LockFileTest, AnotherDatabaseMovedIntoPlaceIsRefused) {
  Process first(&system_);
  first.MustEnter();
  File("/new", os::OpenMode::kCreateNew);
  ASSERT_TRUE(system_.Replace("/new", kData).ok());
  Process other(&system_);
  EXPECT_EQ(CodeAfter(&other), Code::kLockFile);
  first.lock.reset();
  other.MustEnter();
  EXPECT_TRUE(other.lock->first());
}

TEST_F(LockFileTest, AnotherDatabaseInTheSameFileIsRefused) {
  Process first(&system_);
  first.MustEnter();
  Process other(&system_);
  ASSERT_TRUE(other.Begin().ok());
  EXPECT_EQ(CodeOf(other.lock->CheckDatabase(78)), Code::kLockFile);
}

TEST_F(LockFileTest, AStrangersLockFileIsRefused) {
  auto stranger = system_.NewProcess();
  stranger->set_user_id(2000);
  ASSERT_TRUE(stranger->Open(kLock, os::OpenMode::kCreateNew, 0666).ok());
  Process process(&system_);
  EXPECT_EQ(CodeAfter(&process), Code::kPermission);
  ASSERT_TRUE(system_.Unlink(kLock).ok());
  auto root = system_.NewProcess();
  root->set_user_id(0);
  ASSERT_TRUE(root->Open(kLock, os::OpenMode::kCreateNew, 0666).ok());
  process.MustEnter();
}

// Else anybody who may read a database could keep its owner out of it.
TEST_F(LockFileTest, WhoMayOnlyReadADatabaseMakesNoLockFileForIt) {
  ASSERT_TRUE(File(kData)->SetPermissions(0644).ok());
  auto guest = system_.NewProcess();
  guest->set_user_id(2000);
  auto data = guest->Open(kData, os::OpenMode::kReadOnly, 0);
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(CodeOf(LockFile::Enter(guest.get(), kLock, data->get(), kData, 8).status()), Code::kPermission);
  EXPECT_FALSE(system_.Exists(kLock));
  Process owner(&system_), root(&system_, kData, 0);
  owner.MustEnter();
  EXPECT_EQ(system_.IdentityOf(kLock)->owner, 1000u);
  root.MustEnter();
  EXPECT_FALSE(root.lock->first());
}

// Whoever may write it anyway may own the lock file, and the owner joins there.
TEST_F(LockFileTest, ADatabaseThatOthersMayWriteCanHaveALockFileOfTheirs) {
  for (uint32_t permissions : {0666u, 0662u}) {
    ASSERT_TRUE(File(kData)->SetPermissions(permissions | 0600).ok());
    Process owner(&system_);
    auto other = system_.NewProcess();
    other->set_user_id(2000);
    ASSERT_TRUE(other->Open(kLock, os::OpenMode::kCreateNew, 0666).ok());
    EXPECT_EQ(system_.IdentityOf(kLock)->owner, 2000u);
    owner.MustEnter();
    EXPECT_TRUE(owner.lock->first());
    owner.lock.reset();
    ASSERT_TRUE(system_.Unlink(kLock).ok());
  }
  ASSERT_TRUE(File(kData)->SetPermissions(0666).ok());
  Process other(&system_, kData, 2000), owner(&system_);
  other.MustEnter();
  EXPECT_EQ(system_.IdentityOf(kLock)->owner, 2000u) << "and make it";
  owner.MustEnter();
  EXPECT_FALSE(owner.lock->first());
}

TEST_F(LockFileTest, ASymbolicLinkIsNotFollowed) {
  test::TempDir directory;
  os::System* posix = os::PosixSystem();
  std::string path = directory.File("db"), target = directory.File("target");
  auto data = *posix->Open(path, os::OpenMode::kCreateNew, 0600);
  test::WriteFile(target, "precious");
  std::filesystem::create_symlink(target, path + "-lock");
  auto entered = LockFile::Enter(posix, path + "-lock", data.get(), path, 8);
  EXPECT_EQ(CodeOf(entered.status()), Code::kInvalidArgument) << entered.status();
  EXPECT_EQ(test::ReadFile(target), "precious");
}

// ---- Nobody is there ----

TEST_F(LockFileTest, WhateverTheDeadLeftIsBuiltAnew) {
  for (const std::string& bytes : {std::string(), std::string("x"), RandomBytes(3000), RandomBytes(500000),
                                   RandomBytes(SharedMemory::SizeFor(8)), std::string(SharedMemory::SizeFor(8), 0)}) {
    Replace(bytes);
    Process one(&system_), two(&system_);
    one.MustEnter();
    EXPECT_TRUE(one.lock->first());
    EXPECT_EQ(one.lock->memory().state().commit, 0u);
    EXPECT_EQ(one.Board().used_slots(), 0u);
    two.MustEnter();
    EXPECT_FALSE(two.lock->first());
  }
}

TEST_F(LockFileTest, ItTakesTheDatabasesPermissions) {
  Process one(&system_);
  one.MustEnter();
  EXPECT_EQ(system_.IdentityOf(kLock)->permissions, 0640u);
  one.lock.reset();
  // As a umask, or an older permission of the database, may have left it.
  ASSERT_TRUE(File(kLock)->SetPermissions(0600).ok());
  one.MustEnter();
  EXPECT_EQ(system_.IdentityOf(kLock)->permissions, 0640u);
}

TEST_F(LockFileTest, TheLockPathIsAnOption) {
  env::OpenOptions options;
  options.create = true;
  options.database.address_space = sim::SimSystem::kReserve;
  options.lock_path = "/elsewhere-lock";
  auto one = system_.NewProcess(), two = system_.NewProcess();
  auto first = env::Open(one.get(), "/new", options);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_TRUE(system_.Exists("/elsewhere-lock"));
  EXPECT_FALSE(system_.Exists("/new-lock"));
  EXPECT_TRUE(env::Open(two.get(), "/new", options).ok());
  options.lock_path = "";
  EXPECT_EQ(CodeOf(env::Open(two.get(), "/new", options).status()), Code::kLockFile) << "all must agree";
}

// ---- Death ----

TEST_F(LockFileTest, ADeadProcessesReadersAreFreedByALivingOne) {
  Process living(&system_), dying(&system_);
  living.MustEnter();
  dying.MustEnter();
  living.Board().Announce({.txn = 5});
  SlotHold active = dying.Read(), also_active = dying.Read(), idle = dying.Read(), mine = living.Read();
  dying.Board().ReleaseSlot(idle);
  EXPECT_EQ(living.lock->FreeDeadProcesses(), 0u) << "it lives";
  uint32_t slot = dying.lock->process();
  dying.os->Kill();
  EXPECT_EQ(living.lock->FreeDeadProcesses(), 2u);
  EXPECT_EQ(living.lock->FreeDeadProcesses(), 0u);
  EXPECT_EQ(living.lock->memory().process(slot).taken, 0u);
  const SharedMemory& memory = living.lock->memory();
  for (const SlotHold& hold : {active, also_active, idle}) {
    EXPECT_EQ(memory.reader(hold.index).owner & ReaderSlot::kStateMask, ReaderSlot::kFree);
  }
  EXPECT_EQ(memory.reader(mine.index).owner, mine.owner);
  std::vector<TxnId> pinned;
  living.Board().AppendPinned(&pinned);
  EXPECT_EQ(pinned, std::vector<TxnId>{5});
}

TEST_F(LockFileTest, ADeadProcessesReadersAreFreedByWhoTakesItsSlot) {
  Process living(&system_), dying(&system_);
  living.MustEnter();
  dying.MustEnter();
  living.Board().Announce({.txn = 5});
  SlotHold active = dying.Read();
  dying.os->Kill();
  Process next(&system_);
  next.MustEnter();
  EXPECT_EQ(next.lock->process(), dying.lock->process());
  EXPECT_EQ(next.lock->memory().reader(active.index).snapshot, 0u);
  EXPECT_EQ(next.lock->memory().reader(active.index).owner & ReaderSlot::kStateMask, ReaderSlot::kFree);
  EXPECT_EQ(living.lock->FreeDeadProcesses(), 0u) << "the slot is a living one's now";
  EXPECT_EQ(next.lock->memory().process(next.lock->process()).process, next.os->ProcessId());
}

TEST_F(LockFileTest, ReapersDoNotDisturbEachOtherOrNewcomers) {
  Process one(&system_), two(&system_);
  one.MustEnter();
  two.MustEnter();
  std::atomic<bool> done{false};
  std::atomic<uint32_t> freed{0};
  std::vector<std::thread> reapers;
  for (Process* process : {&one, &one, &two}) {
    reapers.emplace_back([&, process] {
      while (!done) {
        freed += process->lock->FreeDeadProcesses();
      }
    });
  }
  std::vector<std::unique_ptr<Process>> dead;
  for (int i = 0; i < 30; ++i) {
    Process living(&system_);
    living.MustEnter();
    SlotHold held = living.Read();
    for (int k = 0; k < 50; ++k) {
      EXPECT_EQ(living.lock->memory().reader(held.index).owner, held.owner) << "a living process's slot was freed";
      std::this_thread::yield();
    }
    living.Board().ReleaseSlot(held);
  }
  done = true;
  for (std::thread& reaper : reapers) {
    reaper.join();
  }
  EXPECT_EQ(freed, 0u);
}

TEST_F(LockFileTest, ProcessSlotsRunOut) {
  Process holder(&system_);
  holder.MustEnter();
  auto others = File(kLock);
  for (uint32_t i = 0; i < kMaxProcesses; ++i) {
    if (i != holder.lock->process()) {
      ASSERT_TRUE(others->Lock(kProcessLocks + i, os::File::LockKind::kExclusive).ok());
    }
  }
  Process late(&system_);
  EXPECT_EQ(CodeAfter(&late), Code::kReadersFull);
  others->Unlock(kProcessLocks + 1023);
  late.MustEnter();
  EXPECT_EQ(late.lock->process(), 1023u);
  EXPECT_EQ(late.lock->memory().state().used_processes, 1024u);
}

TEST_F(LockFileTest, AFailingCallIsReportedAndLeavesNothingBehind) {
  uint64_t index = 0, failed = 0, written_anew = 0;
  for (bool fired = true; fired; ++index) {
    Process process(&system_);
    system_.SetFault({.skip = index, .process = process.os.get()});
    absl::Status status = process.Enter();
    fired = system_.faults_fired() != 0;
    system_.ClearFault();
    EXPECT_EQ(CodeOf(status), fired && !status.ok() ? Code::kIoError : Code::kOk) << "call " << index << ": " << status;
    written_anew += fired && status.ok() ? 1 : 0;
    failed += status.ok() ? 0 : 1;
    process.lock.reset();
    Process next(&system_);
    next.MustEnter();
    EXPECT_TRUE(next.lock->first()) << "call " << index;
  }
  EXPECT_GT(failed, 8u);
  EXPECT_EQ(written_anew, 2u) << "an old lock file that cannot be read, or whose holes cannot be filled; nothing else may fail";
}

// Beside a living process, and alone.
TEST_F(LockFileTest, WhoeverDiesWhileEnteringStandsInNobodysWay) {
  for (bool beside : {false, true}) {
    uint64_t index = 0;
    for (bool died = true; died; ++index) {
      Process living(&system_);
      if (beside) {
        living.MustEnter();
        living.lock->memory().state().last_id = 42;
      }
      Process dying(&system_);
      system_.SetFault({.skip = index, .kills = true, .process = dying.os.get()});
      absl::Status status = dying.Enter();
      died = system_.faults_fired() != 0;
      system_.ClearFault();
      EXPECT_EQ(status.ok(), !died);
      dying.os->Kill();
      Process next(&system_);
      next.MustEnter();
      EXPECT_EQ(next.lock->first(), !beside) << "died at call " << index;
      EXPECT_EQ(next.lock->memory().state().last_id, beside ? 42u : 0u);
      if (beside) {
        living.lock->FreeDeadProcesses();
        EXPECT_EQ(living.lock->memory().process(living.lock->process()).taken, 1u);
        EXPECT_EQ(living.lock->memory().process(next.lock->process()).taken, 1u);
      }
    }
    EXPECT_GT(index, 8u);
  }
}

}  // namespace
}  // namespace johnny::readers
