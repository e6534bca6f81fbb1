// A virtual process with its own environment, for tests in which processes die while others go on.
//
// A real process that is killed stops at once, in all its threads. So a thread of a virtual one that finds it dead stays where it
// is, holding what it holds, until Bury(). To be called when no other process has the database open any more: a dead process's
// handles can be ended only by code that also clears what they have in shared memory.
#ifndef JOHNNY_TEST_SUPPORT_VIRTUAL_PROCESS_H_
#define JOHNNY_TEST_SUPPORT_VIRTUAL_PROCESS_H_

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/sim_system.h"
#include "support/test_db.h"

namespace johnny::sim {

class VirtualProcess {
 public:
  explicit VirtualProcess(SimSystem* system);
  ~VirtualProcess() { Bury(); }
  VirtualProcess(const VirtualProcess&) = delete;
  VirtualProcess& operator=(const VirtualProcess&) = delete;

  SimProcess* os() { return os_.get(); }
  test::Env& env() { return env_; }
  test::Result Open(const std::string& path, const johnny_options& options) { return env_.Open(os(), path, options); }

  // Called at every yield point of the process, by the thread that reached it.
  void AtYieldPoints(std::function<void(const std::string& where)> hook) { hook_ = std::move(hook); }

  // Runs each function in a thread of its own. Returns when they have all ended, or the process has died: true if it lives.
  bool Run(const std::vector<std::function<void()>>& bodies);
  bool Run(const std::function<void()>& body) { return Run(std::vector<std::function<void()>>{body}); }
  // For a thread that Run() has started: one more beside it, for whose end Run() waits, too.
  void RunBeside(const std::function<void()>& body);

  // Kills the process. Called by one of its own threads it does not return before Bury().
  void Kill();
  bool dead() const { return os_->dead(); }
  // For what a thread of the process does without calling the system: if dead, it stays here.
  void StayIfDead();
  // Closes the environment if the process lives; else lets its threads run to their ends and frees what it had.
  void Bury();

 private:
  void Start(const std::function<void()>& body);  // with mutex_ held
  void Stay();

  std::unique_ptr<SimProcess> os_;
  test::Env env_;
  std::function<void(const std::string&)> hook_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::thread> threads_;
  size_t running_ = 0;
  size_t staying_ = 0;  // of these, since the process died
  bool died_ = false;
  std::atomic<bool> buried_{false};
};

}  // namespace johnny::sim

#endif  // JOHNNY_TEST_SUPPORT_VIRTUAL_PROCESS_H_
