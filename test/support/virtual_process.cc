#include "support/virtual_process.h"

#include <chrono>

namespace johnny::sim {
namespace {

thread_local const VirtualProcess* t_inside = nullptr;

}  // namespace

VirtualProcess::VirtualProcess(SimSystem* system) : os_(system->NewProcess()) {
  os_->set_death_hook([this] { Stay(); });
  os_->set_yield_hook([this](SimProcess*, const char* where) {
    if (hook_ && !buried_) {  // what it refers to may be gone by then
      hook_(where);
    }
  });
}

void VirtualProcess::Start(const std::function<void()>& body) {
  ++running_;
  threads_.emplace_back([this, body] {
    t_inside = this;
    body();
    std::lock_guard<std::mutex> ended(mutex_);
    --running_;
    changed_.notify_all();
  });
}

void VirtualProcess::RunBeside(const std::function<void()>& body) {
  std::lock_guard<std::mutex> lock(mutex_);
  Start(body);
}

bool VirtualProcess::Run(const std::vector<std::function<void()>>& bodies) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& body : bodies) {
      Start(body);
    }
  }
  std::vector<std::thread> ended;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return running_ == 0 || died_; });
    if (!died_) {
      ended.swap(threads_);
    }
  }
  for (std::thread& thread : ended) {
    thread.join();
  }
  if (!ended.empty() || bodies.empty()) {
    return true;
  }
  // The other threads of a dead process notice at their next call to the system. What they do until then harms nobody as long as
  // it is done before the others go on. Those that wait for one another never get there.
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait_for(lock, std::chrono::milliseconds(100), [this] { return staying_ >= running_; });
  return false;
}

void VirtualProcess::Kill() {
  os_->Kill();
  if (t_inside == this) {
    Stay();
  } else {
    std::lock_guard<std::mutex> lock(mutex_);
    died_ = true;
    changed_.notify_all();
  }
}

void VirtualProcess::StayIfDead() {
  if (dead()) {
    Stay();
  }
}

void VirtualProcess::Stay() {
  std::unique_lock<std::mutex> lock(mutex_);
  died_ = true;
  staying_ += t_inside == this ? 1 : 0;
  changed_.notify_all();
  if (t_inside == this) {
    changed_.wait(lock, [this] { return buried_.load(); });
  }
}

void VirtualProcess::Bury() {
  std::vector<std::thread> threads;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    buried_ = true;
    threads.swap(threads_);
    changed_.notify_all();
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  if (env_.get() != nullptr) {
    test::Result closed = env_.Close();
    EXPECT_TRUE(dead() || closed.ok()) << closed;
    EXPECT_EQ(env_.get(), nullptr) << "transactions were left open";
  }
}

}  // namespace johnny::sim
