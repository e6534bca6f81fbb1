// The writer lock: first come, first served within the process, an open-file-description lock on the data file between processes.
//
// The lock between processes passes on within this one from writer to writer, as long as some wait and no other process has
// waited for kTurns of them (more, when nobody took it the last time: the count of those that wait may be of the dead). It is
// also kept while commits of this process are sealed but not announced (Keep): their pages are known to nobody else.
#ifndef JOHNNY_TXN_WRITER_LOCK_H_
#define JOHNNY_TXN_WRITER_LOCK_H_

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "os/os.h"
#include "readers/shared_memory.h"

namespace johnny::txn {

// Thread-safe; may be released by another thread than took it.
class WriterLock {
 public:
  // `file` null: there are no other processes.
  void Attach(os::File* file, readers::SharedState* state) {
    file_ = file;
    state_ = state;
  }

  // kBusy after `timeout_ms`; kIoError. *fresh: other processes may have written since this one last held it.
  absl::Status Acquire(uint32_t timeout_ms, bool* fresh);
  void Release();
  // The holder asks that the lock between processes be kept after Release(), until as many Unkeep(). Any thread may unkeep.
  void Keep();
  void Unkeep();
  // Whether this thread took it and nobody has released it since: to wait for it here might last for ever.
  bool HeldByThisThread() const { return owner_.load(std::memory_order_relaxed) == std::this_thread::get_id(); }
  // Whether a thread of this process holds it.
  bool IsHeld();
  // Whether one waits for it.
  bool IsAwaited();

 private:
  struct Waiter {
    std::condition_variable granted;
    bool has_it = false;
  };
  static constexpr int kTurns = 16;
  static constexpr int kMostTurns = 1024;

  absl::Status LockFile(std::unique_lock<std::mutex>* lock, uint32_t timeout_ms, bool* fresh);
  void Yield(std::unique_lock<std::mutex>* lock);
  void PassOn();
  void UnlockFile();
  bool MustYield() const { return turns_ >= turns_until_yield_ && state_->waiting_writers.load(std::memory_order_relaxed) != 0; }

  os::File* file_ = nullptr;
  readers::SharedState* state_ = nullptr;
  std::atomic<std::thread::id> owner_;
  std::mutex mutex_;
  std::condition_variable unkept_;
  std::deque<Waiter*> waiters_;
  bool held_ = false;
  bool file_locked_ = false;
  int kept_ = 0;
  int turns_ = 0;  // of this process since another one is known to have had its turn
  int turns_until_yield_ = kTurns;
};

}  // namespace johnny::txn

#endif  // JOHNNY_TXN_WRITER_LOCK_H_
