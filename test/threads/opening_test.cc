// Opening and closing databases from several threads of one process: what takes long for one file holds nobody up at another.
#include <atomic>
#include <thread>
#include <vector>

#include "threads/machine.h"

namespace johnny::test {
namespace {

using sim::Call;
using sim::VirtualProcess;

constexpr char kOther[] = "/machine/other";

class OpeningTest : public testing::Test {
 protected:
  OpeningTest() {
    system_.set_recording(false);
    options_.flags = JOHNNY_CREATE;
    for (const char* path : {kMachinePath, kOther}) {
      Env env;
      EXPECT_OK(env.Open(process_.os(), path, options_));
      Txn txn(env);
      EXPECT_OK(txn.Put("key", path));
      EXPECT_OK(txn.Commit());
    }
  }
  Result Open(Env* env, const char* path) { return env->Open(process_.os(), path, options_); }

  // From here on the next thread to reach `point` stays there until LetGo().
  void StopAt(const std::string& point) {
    process_.AtYieldPoints([this, point](const std::string& where) {
      if (where == point && !stopped_.exchange(true)) {
        while (!let_go_) {
          std::this_thread::yield();
        }
      }
    });
  }
  void AwaitStop() {
    while (!stopped_) {
      std::this_thread::yield();
    }
  }
  void LetGo() { let_go_ = true; }
  // Starts `body` in a thread, and goes on when it has asked which file its path stands for and had time to wait for that one.
  std::thread StartAndLetWait(std::function<void()> body) {
    uint64_t asked = system_.calls(Call::kIdentityOf);
    std::thread thread(std::move(body));
    while (system_.calls(Call::kIdentityOf) == asked) {
      std::this_thread::yield();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return thread;
  }

  sim::SimSystem system_;
  VirtualProcess process_{&system_};
  johnny_options options_ = sim::SmallOptions();
  std::atomic<bool> stopped_{false}, let_go_{false};
};

TEST_F(OpeningTest, OfOneFileDoesNotWaitForThatOfAnother) {
  Env slow, fast;
  StopAt("recover");
  std::thread opening([&] { EXPECT_OK(Open(&slow, kMachinePath)); });
  AwaitStop();
  ASSERT_OK(Open(&fast, kOther));
  EXPECT_EQ(Txn(fast, JOHNNY_READ).Find("key"), kOther);
  ASSERT_OK(fast.Close());
  EXPECT_EQ(slow.get(), nullptr) << "all this time";
  LetGo();
  opening.join();
  EXPECT_EQ(Txn(slow, JOHNNY_READ).Find("key"), kMachinePath);
}

TEST_F(OpeningTest, DoesNotWaitForTheClosingOfAnotherFile) {
  Env slow, fast;
  ASSERT_OK(Open(&slow, kMachinePath));
  {
    Txn txn(slow);
    ASSERT_OK(txn.Put("key", "2"));
    ASSERT_OK(txn.CommitWith(JOHNNY_LAZY));
  }
  StopAt("sync");
  std::thread closing([&] { EXPECT_OK(slow.Close()); });
  AwaitStop();
  ASSERT_OK(Open(&fast, kOther));
  ASSERT_OK(fast.Close());
  // The same file is open again only when it has been closed.
  std::atomic<bool> opened{false};
  std::thread reopening = StartAndLetWait([&] {
    EXPECT_OK(Open(&fast, kMachinePath));
    opened = true;
  });
  EXPECT_FALSE(opened);
  LetGo();
  closing.join();
  reopening.join();
  EXPECT_EQ(Txn(fast, JOHNNY_READ).Find("key"), "2");
  EXPECT_EQ(fast.Info().processes, 1u);
}

TEST_F(OpeningTest, TwoThreadsShareTheEnvironmentThatOneOpens) {
  Env first, second;
  StopAt("recover");
  std::thread opening([&] { EXPECT_OK(Open(&first, kMachinePath)); });
  AwaitStop();
  std::thread waiting = StartAndLetWait([&] { EXPECT_OK(Open(&second, kMachinePath)); });
  EXPECT_EQ(second.get(), nullptr);
  LetGo();
  opening.join();
  waiting.join();
  EXPECT_EQ(first.get(), second.get());
  EXPECT_EQ(first.Info().processes, 1u);
  ASSERT_OK(first.Close());
  EXPECT_EQ(Txn(second, JOHNNY_READ).Find("key"), kMachinePath) << "the other one still has it";
}

TEST_F(OpeningTest, AFailureIsNotThatOfWhoWaited) {
  Env first, second;
  StopAt("recover");
  std::thread opening([&] { EXPECT_EQ(Open(&first, kMachinePath), JOHNNY_IO_ERROR); });
  AwaitStop();
  std::thread waiting = StartAndLetWait([&] { EXPECT_OK(Open(&second, kMachinePath)); });
  system_.SetFault({.call = Call::kRead});
  LetGo();
  opening.join();
  waiting.join();
  EXPECT_EQ(system_.faults_fired(), 1u);
  EXPECT_EQ(Txn(second, JOHNNY_READ).Find("key"), kMachinePath);
  Env third;
  ASSERT_OK(Open(&third, kMachinePath));
  EXPECT_EQ(third.get(), second.get());
}

TEST_F(OpeningTest, ManyThreadsCreateOpenAndCloseFewFiles) {
  constexpr int kThreads = 6;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 40 * Scale(); ++i) {
        std::string path = "/machine/new" + std::to_string((thread + i) % 3) + "-" + std::to_string(i / 10);
        Env env;
        ASSERT_OK(Open(&env, path.c_str()));
        Txn txn(env);
        ASSERT_OK(txn.Put(NumberedKey(static_cast<uint64_t>(thread)), std::to_string(i)));
        ASSERT_OK(txn.CommitWith(JOHNNY_LAZY));
        EXPECT_EQ(Txn(env, JOHNNY_READ).Find(NumberedKey(static_cast<uint64_t>(thread))), std::to_string(i));
        EXPECT_EQ(env.Info().processes, 1u) << "there never are two environments of one file";
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

}  // namespace
}  // namespace johnny::test
