#include "txn/writer_lock.h"

#include <algorithm>
#include <chrono>

#include "absl/cleanup/cleanup.h"
#include "base/status.h"
#include "readers/lock_file.h"

namespace johnny::txn {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

constexpr int kSpins = 100;  // of who waits within the process, before it sleeps
// Together longer than a waiter's longest pause between two tries (os/posix_lock.cc).
constexpr int kYieldTries = 100;
constexpr std::chrono::microseconds kYieldPause{50};

}  // namespace

absl::Status WriterLock::Acquire(uint32_t timeout_ms, bool* fresh) {
  *fresh = false;
  auto deadline = steady_clock::now() + milliseconds(timeout_ms);
  std::unique_lock<std::mutex> lock(mutex_);
  // Small transactions soon end, and to sleep and be woken takes longer.
  for (int i = 0; i < kSpins && held_ && waiters_.empty() && timeout_ms != 0; ++i) {
    lock.unlock();
    std::this_thread::yield();
    lock.lock();
  }
  if (held_) {
    Waiter waiter;
    waiters_.push_back(&waiter);
    auto granted = [&waiter] { return waiter.has_it; };
    if (timeout_ms == os::kWaitForEver) {
      waiter.granted.wait(lock, granted);
    } else if (timeout_ms == 0 || !waiter.granted.wait_until(lock, deadline, granted)) {
      waiters_.erase(std::find(waiters_.begin(), waiters_.end(), &waiter));
      return MakeStatus(Code::kBusy, "another write transaction is running");
    }
  }
  held_ = true;
  absl::Cleanup pass_on = [&] {
    if (!lock.owns_lock()) {
      lock.lock();
    }
    PassOn();
  };
  absl::Status status;
  if (file_ != nullptr) {
    if (MustYield()) {
      auto unkept = [this] { return kept_ == 0; };
      if (timeout_ms == os::kWaitForEver) {
        unkept_.wait(lock, unkept);
      } else if (!unkept_.wait_until(lock, deadline, unkept)) {
        status = MakeStatus(Code::kBusy, "another process waits to run a write transaction");
      }
      if (status.ok()) {
        Yield(&lock);
      }
    }
    if (status.ok() && !file_locked_) {
      uint32_t left = timeout_ms;
      if (timeout_ms != 0 && timeout_ms != os::kWaitForEver) {
        auto rest = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now()).count();
        left = static_cast<uint32_t>(std::clamp<int64_t>(rest, 0, timeout_ms));
      }
      status = LockFile(&lock, left, fresh);
    }
  }
  JOHNNY_RETURN_IF_ERROR(status);
  std::move(pass_on).Cancel();
  ++turns_;
  owner_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  return absl::OkStatus();
}

// Held by this thread within the process; gives the mutex up while it waits.
absl::Status WriterLock::LockFile(std::unique_lock<std::mutex>* lock, uint32_t timeout_ms, bool* fresh) {
  lock->unlock();
  absl::Status status = file_->Lock(readers::kWriterLock, os::File::LockKind::kExclusive);
  bool others_had_it = CodeOf(status) == Code::kBusy;
  if (others_had_it && timeout_ms != 0) {
    state_->waiting_writers.fetch_add(1, std::memory_order_relaxed);
    absl::Cleanup no_more = [this] { state_->waiting_writers.fetch_sub(1, std::memory_order_relaxed); };
    status = file_->Lock(readers::kWriterLock, os::File::LockKind::kExclusive, timeout_ms);
  }
  lock->lock();
  if (status.ok()) {
    file_locked_ = true;
    turns_ = others_had_it ? 0 : turns_;
    *fresh = true;
  } else if (CodeOf(status) == Code::kBusy) {
    status = MakeStatus(Code::kBusy, "another process is running a write transaction");
  }
  return status;
}

// Lets another process have the file's lock. Such a lock goes to whoever asks first, which would be this process again, so it
// does not ask before another one has it. If none takes it, the count may be what a dead process has left: the next try is later.
void WriterLock::Yield(std::unique_lock<std::mutex>* lock) {
  if (file_locked_) {
    UnlockFile();
  }
  lock->unlock();
  bool taken = false;
  for (int i = 0; i < kYieldTries && !taken; ++i) {
    auto locked = file_->IsLockedByOthers(readers::kWriterLock);
    taken = !locked.ok() || *locked || state_->waiting_writers.load(std::memory_order_relaxed) == 0;
    if (!taken) {
      std::this_thread::sleep_for(kYieldPause);
    }
  }
  lock->lock();
  turns_ = 0;
  turns_until_yield_ = taken ? kTurns : std::min(2 * turns_until_yield_, kMostTurns);
}

void WriterLock::UnlockFile() {
  file_->Unlock(readers::kWriterLock);
  file_locked_ = false;
}

// To the next who waits in this process, if any; else to the others.
void WriterLock::PassOn() {
  if (!waiters_.empty()) {
    Waiter* next = waiters_.front();
    waiters_.pop_front();
    next->has_it = true;
    next->granted.notify_one();
    return;
  }
  held_ = false;
  if (file_locked_ && kept_ == 0) {
    UnlockFile();
  }
}

void WriterLock::Release() {
  std::lock_guard<std::mutex> lock(mutex_);
  owner_.store(std::thread::id(), std::memory_order_relaxed);
  PassOn();
}

void WriterLock::Keep() {
  std::lock_guard<std::mutex> lock(mutex_);
  ++kept_;
}

void WriterLock::Unkeep() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (--kept_ == 0) {
    unkept_.notify_all();
    if (!held_ && file_locked_) {
      UnlockFile();
    }
  }
}

bool WriterLock::IsAwaited() {
  std::lock_guard<std::mutex> lock(mutex_);
  return !waiters_.empty();
}

bool WriterLock::IsHeld() {
  std::lock_guard<std::mutex> lock(mutex_);
  return held_;
}

}  // namespace johnny::txn
