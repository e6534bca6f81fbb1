// Makes lazy commits durable every so often, in a thread of its own that begins with the first of them.
#ifndef JOHNNY_TXN_BACKGROUND_SYNC_H_
#define JOHNNY_TXN_BACKGROUND_SYNC_H_

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace johnny::txn {

// Thread-safe, but Start() must not race with Stop().
class BackgroundSync {
 public:
  BackgroundSync() = default;
  ~BackgroundSync() { Stop(); }
  BackgroundSync(const BackgroundSync&) = delete;
  BackgroundSync& operator=(const BackgroundSync&) = delete;

  // Calls `sync` every `interval` from now on (0: only when SyncNow() says so); nothing if it does so already. If the
  // system gives us no thread, the next call tries again; until then lazy commits wait for johnny_sync or the close.
  void Start(std::chrono::milliseconds interval, std::function<void()> sync);
  // Calls it as soon as possible, too. After Start().
  void SyncNow();
  // Waits for a running call.
  void Stop();

 private:
  void Run(std::chrono::milliseconds interval, const std::function<void()>& sync);

  std::mutex mutex_;
  std::condition_variable changed_;
  bool started_ = false;
  bool stopping_ = false;
  bool now_ = false;
  std::thread thread_;
};

}  // namespace johnny::txn

#endif  // JOHNNY_TXN_BACKGROUND_SYNC_H_
