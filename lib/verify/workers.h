// Threads that check parts of trees for one that walks the upper levels and hands them out.
//
// What they find is delivered by that one thread, while it waits for them. Memory is bounded: at most kMostTasks parts and
// kMostFindings findings wait.
#ifndef JOHNNY_VERIFY_WORKERS_H_
#define JOHNNY_VERIFY_WORKERS_H_

#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "verify/finding.h"
#include "verify/tree_checker.h"

namespace johnny::verify {

class Workers {
 public:
  // Both are called by the thread that calls Push() and Drain(); false stops everything. `while_waiting` is called now and then.
  struct Sink {
    std::function<bool(const Finding&)> report;
    std::function<bool()> while_waiting;
  };

  Workers(const pager::View& view, OwnerMap* owners, size_t threads, Sink sink)
      : view_(view), owners_(owners), threads_wanted_(threads), sink_(std::move(sink)) {}
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Whether there are any; the first call starts them. If the system gives no threads, there are none.
  bool Start();
  // Hands out what is at and below `place`. False: stopped.
  bool Push(const Place& place);
  // Waits until all is done, and adds what was met to *totals. False: stopped. Throws bad_alloc when a worker ran out of memory.
  bool Drain(Totals* totals);

 private:
  // A copy: the walk that hands out a part may be over before it is looked at.
  struct OwnTree {
    std::string name;
    Tree tree;
  };
  struct Task {
    Place place;
    std::optional<std::string> lower, upper;
  };
  class Checker;

  void Run();
  // By a worker. False: stopped.
  bool Post(Finding finding);
  // Delivers findings until `done` holds. False: stopped.
  bool WaitUntil(std::unique_lock<std::mutex>* lock, const std::function<bool()>& done);
  bool Deliver(std::unique_lock<std::mutex>* lock);
  void Stop();

  const pager::View view_;
  OwnerMap* const owners_;
  const size_t threads_wanted_;
  const Sink sink_;

  std::mutex mutex_;
  std::condition_variable work_;     // there is a task, room for findings, or an end
  std::condition_variable news_;     // a finding, a task taken or done
  const Tree* last_tree_ = nullptr;  // as Push() got it
  std::deque<OwnTree> trees_;        // of tasks and findings
  std::deque<Task> tasks_;
  std::deque<Finding> findings_;
  size_t busy_ = 0;  // workers
  std::atomic<bool> stopping_ = false;
  std::exception_ptr thrown_;
  Totals totals_;
  bool started_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace johnny::verify

#endif  // JOHNNY_VERIFY_WORKERS_H_
