#include "txn/writer_lock.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "base/status.h"
#include "readers/lock_file.h"
#include "support/sim_system.h"

namespace johnny::txn {
namespace {

// A process with its lock, on the machine's one file.
struct Process {
  Process(sim::SimSystem* system, readers::SharedState* state) : os(system->NewProcess()) {
    file = *os->Open("/db", os::OpenMode::kReadWrite, 0);
    lock.Attach(file.get(), state);
  }
  absl::Status Acquire(uint32_t timeout_ms = 0) { return lock.Acquire(timeout_ms, &fresh); }

  std::unique_ptr<sim::SimProcess> os;
  std::unique_ptr<os::File> file;
  WriterLock lock;
  bool fresh = false;
};

class WriterLockTest : public testing::Test {
 protected:
  WriterLockTest() {
    memory_ = *readers::PrivateMemory::Create(1);
    EXPECT_TRUE(system_.Open("/db", os::OpenMode::kCreateNew, 0644).ok());
  }
  readers::SharedState& state() { return memory_.memory().state(); }
  Process NewProcess() { return Process(&system_, &state()); }
  // Until so many processes wait for the file's lock.
  void AwaitWaiting(uint32_t processes) {
    while (state().waiting_writers != processes) {
      std::this_thread::yield();
    }
  }
  static void AwaitWaiter(WriterLock* lock) {
    while (!lock->IsAwaited()) {
      std::this_thread::yield();
    }
  }

  sim::SimSystem system_;
  readers::PrivateMemory memory_;
};

TEST_F(WriterLockTest, OneHolderAtATime) {
  for (bool with_file : {false, true}) {
    WriterLock lock;
    auto file = *system_.Open("/db", os::OpenMode::kReadWrite, 0);
    if (with_file) {
      lock.Attach(file.get(), &state());
    }
    bool fresh = false;
    EXPECT_FALSE(lock.HeldByThisThread());
    ASSERT_TRUE(lock.Acquire(0, &fresh).ok());
    EXPECT_EQ(fresh, with_file);
    EXPECT_TRUE(lock.HeldByThisThread());
    std::thread([&] {
      bool other_fresh = false;
      EXPECT_FALSE(lock.HeldByThisThread());
      EXPECT_EQ(CodeOf(lock.Acquire(0, &other_fresh)), Code::kBusy);
      EXPECT_EQ(CodeOf(lock.Acquire(1, &other_fresh)), Code::kBusy);
      EXPECT_FALSE(lock.IsAwaited()) << "who gave up waits no longer";
      lock.Release();  // another thread may
    }).join();
    EXPECT_FALSE(lock.HeldByThisThread());
    EXPECT_TRUE(lock.Acquire(0, &fresh).ok());
    lock.Release();
  }
}

TEST_F(WriterLockTest, FirstComeFirstServed) {
  for (bool with_file : {false, true}) {
    WriterLock lock;
    auto file = *system_.Open("/db", os::OpenMode::kReadWrite, 0);
    if (with_file) {
      lock.Attach(file.get(), &state());
    }
    bool fresh = false;
    ASSERT_TRUE(lock.Acquire(0, &fresh).ok());
    std::vector<int> order;  // guarded by the lock
    std::vector<std::thread> threads;
    std::atomic<int> arriving{0};
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&, i] {
        arriving = i + 1;
        bool mine_fresh = true;
        ASSERT_TRUE(lock.Acquire(i % 2 == 0 ? os::kWaitForEver : 60000, &mine_fresh).ok());
        EXPECT_FALSE(mine_fresh) << "handed over within the process";
        order.push_back(i);
        lock.Release();
      });
      // There is no telling from outside that one more waits, but that it had time to.
      while (arriving != i + 1 || !lock.IsAwaited()) {
        std::this_thread::yield();
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    lock.Release();
    for (std::thread& thread : threads) {
      thread.join();
    }
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7}));
  }
}

TEST_F(WriterLockTest, ProcessesExcludeEachOther) {
  Process one = NewProcess(), two = NewProcess();
  ASSERT_TRUE(one.Acquire().ok());
  EXPECT_TRUE(one.fresh);
  EXPECT_EQ(CodeOf(two.Acquire()), Code::kBusy);
  EXPECT_EQ(CodeOf(two.Acquire(1)), Code::kBusy);
  EXPECT_EQ(state().waiting_writers, 0u);
  one.lock.Release();
  ASSERT_TRUE(two.Acquire().ok()) << "a failed attempt leaves nothing behind";
  EXPECT_TRUE(two.fresh);
  EXPECT_EQ(CodeOf(one.Acquire()), Code::kBusy);
  two.lock.Release();
  ASSERT_TRUE(one.Acquire().ok());
  EXPECT_TRUE(one.fresh) << "another one may have written";
  one.lock.Release();
}

TEST_F(WriterLockTest, AWaitingProcessGetsItWhenItIsReleased) {
  Process one = NewProcess(), two = NewProcess();
  ASSERT_TRUE(one.Acquire().ok());
  std::thread waiter([&] { EXPECT_TRUE(two.Acquire(os::kWaitForEver).ok()); });
  AwaitWaiting(1);
  one.lock.Release();
  waiter.join();
  EXPECT_TRUE(two.fresh);
  EXPECT_EQ(state().waiting_writers, 0u);
}

TEST_F(WriterLockTest, ADeadHolderLetsTheNextOneIn) {
  Process one = NewProcess(), two = NewProcess();
  ASSERT_TRUE(one.Acquire().ok());
  one.lock.Keep();
  std::thread waiter([&] { EXPECT_TRUE(two.Acquire(os::kWaitForEver).ok()); });
  AwaitWaiting(1);
  one.os->Kill();
  waiter.join();
  EXPECT_TRUE(two.fresh);
}

TEST_F(WriterLockTest, AnErrorOfTheFileLetsTheNextThreadTry) {
  Process one = NewProcess();
  system_.SetFault({.call = sim::Call::kLock});
  EXPECT_EQ(CodeOf(one.Acquire()), Code::kIoError);
  system_.ClearFault();
  EXPECT_TRUE(one.Acquire().ok());
  EXPECT_TRUE(one.fresh);
}

TEST_F(WriterLockTest, KeptItStaysWithTheProcess) {
  Process one = NewProcess(), two = NewProcess();
  ASSERT_TRUE(one.Acquire().ok());
  one.lock.Keep();
  one.lock.Release();
  EXPECT_EQ(CodeOf(two.Acquire()), Code::kBusy);
  ASSERT_TRUE(one.Acquire().ok());
  EXPECT_FALSE(one.fresh) << "nobody else can have written";
  one.lock.Keep();
  one.lock.Unkeep();
  EXPECT_EQ(CodeOf(two.Acquire()), Code::kBusy);
  one.lock.Release();
  EXPECT_EQ(CodeOf(two.Acquire()), Code::kBusy) << "kept twice";
  std::thread([&] { one.lock.Unkeep(); }).join();
  ASSERT_TRUE(two.Acquire().ok());
  EXPECT_TRUE(two.fresh);
  two.lock.Release();

  ASSERT_TRUE(one.Acquire().ok());
  EXPECT_TRUE(one.fresh);
  one.lock.Keep();
  one.lock.Unkeep();
  EXPECT_EQ(CodeOf(two.Acquire()), Code::kBusy) << "it is held, if not kept";
  one.lock.Release();
  EXPECT_TRUE(two.Acquire().ok());
}

// A process with much to write lets others in now and then.
TEST_F(WriterLockTest, ProcessesTakeTurns) {
  Process one = NewProcess(), two = NewProcess();
  for (int round = 0; round < 5; ++round) {
    ASSERT_TRUE(one.Acquire(os::kWaitForEver).ok());
    std::atomic<bool> served{false};
    std::thread waiter([&] {
      ASSERT_TRUE(two.Acquire(os::kWaitForEver).ok());
      served = true;
      two.lock.Release();
    });
    AwaitWaiting(1);
    // There is always a thread of the first process that waits, so that it need not let the file's lock go.
    std::atomic<int> turns{0};
    std::vector<std::thread> busy;
    for (int i = 0; i < 2; ++i) {
      busy.emplace_back([&] {
        while (!served && turns < 2000) {
          bool fresh = false;
          ASSERT_TRUE(one.lock.Acquire(os::kWaitForEver, &fresh).ok());
          ++turns;
          one.lock.Release();
        }
      });
    }
    AwaitWaiter(&one.lock);
    one.lock.Release();
    for (std::thread& thread : busy) {
      thread.join();
    }
    EXPECT_TRUE(served) << "starved for " << turns << " turns";
    waiter.join();
    EXPECT_LT(turns, 500) << "a turn is 16 transactions";
  }
}

// It would have to give the file's lock up, but may not, and was told not to wait.
TEST_F(WriterLockTest, WhoMustYieldWhatIsKeptDoesNotWaitLongerThanAsked) {
  Process one = NewProcess();
  state().waiting_writers = 1;
  ASSERT_TRUE(one.Acquire().ok());
  one.lock.Keep();
  one.lock.Release();
  for (int i = 0; i < 15; ++i) {
    ASSERT_TRUE(one.Acquire().ok());
    one.lock.Release();
  }
  EXPECT_EQ(CodeOf(one.Acquire(0)), Code::kBusy);
  EXPECT_EQ(CodeOf(one.Acquire(1)), Code::kBusy);
  state().waiting_writers = 0;
  EXPECT_TRUE(one.Acquire(0).ok());
  one.lock.Release();
  one.lock.Unkeep();
}

// Each yielding in vain costs some milliseconds, so there must be few of them.
TEST_F(WriterLockTest, ACountLeftByADeadProcessCostsLittle) {
  Process one = NewProcess();
  state().waiting_writers = 3;  // they died while they waited
  ASSERT_TRUE(one.Acquire().ok());
  one.lock.Keep();  // between yields
  one.lock.Release();
  int yields = 0;
  for (int i = 0; i < 3000; ++i) {
    uint64_t queries = system_.calls(sim::Call::kQueryLock);
    if (CodeOf(one.Acquire()) == Code::kBusy) {
      one.lock.Unkeep();
      ASSERT_TRUE(one.Acquire().ok());
      one.lock.Keep();
    }
    one.lock.Release();
    yields += system_.calls(sim::Call::kQueryLock) != queries ? 1 : 0;
  }
  EXPECT_GT(yields, 0);
  EXPECT_LT(yields, 12);
  one.lock.Unkeep();
}

}  // namespace
}  // namespace johnny::txn
