// std::mutex with Abseil's thread-safety annotations. (TSan does not know Debian's absl::Mutex.)
#ifndef JOHNNY_BASE_MUTEX_H_
#define JOHNNY_BASE_MUTEX_H_

#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"

namespace johnny {

class ABSL_LOCKABLE Mutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }
  std::mutex& native() { return mutex_; }

 private:
  std::mutex mutex_;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) { mutex_->Lock(); }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* mutex_;
};

// Gives up a held mutex for its scope. (For functions that require the mutex: to the analysis nothing changes.)
class MutexUnlock {
 public:
  explicit MutexUnlock(Mutex* mutex) ABSL_NO_THREAD_SAFETY_ANALYSIS : mutex_(mutex) { mutex_->Unlock(); }
  ~MutexUnlock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex_->Lock(); }
  MutexUnlock(const MutexUnlock&) = delete;
  MutexUnlock& operator=(const MutexUnlock&) = delete;

 private:
  Mutex* mutex_;
};

}  // namespace johnny

#endif  // JOHNNY_BASE_MUTEX_H_
