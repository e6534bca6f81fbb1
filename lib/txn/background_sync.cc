#include "txn/background_sync.h"

#include <new>
#include <utility>

#include "base/thread.h"

namespace johnny::txn {

void BackgroundSync::Start(std::chrono::milliseconds interval, std::function<void()> sync) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (started_) {
    return;
  }
  started_ = StartThread([this, interval, sync = std::move(sync)] { Run(interval, sync); }, &thread_);
}

void BackgroundSync::Run(std::chrono::milliseconds interval, const std::function<void()>& sync) {
  std::unique_lock<std::mutex> lock(mutex_);
  auto called = [this] { return stopping_ || now_; };
  for (;;) {
    if (interval.count() == 0) {
      changed_.wait(lock, called);
    } else {
      changed_.wait_for(lock, interval, called);
    }
    if (stopping_) {
      return;
    }
    now_ = false;
    lock.unlock();
    try {
      sync();
    } catch (const std::bad_alloc&) {  // the next one may have more luck
    }
    lock.lock();
  }
}

void BackgroundSync::SyncNow() {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    now_ = true;
  }
  changed_.notify_all();
}

void BackgroundSync::Stop() {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
}

}  // namespace johnny::txn
