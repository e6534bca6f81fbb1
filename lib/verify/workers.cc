#include "verify/workers.h"

#include <chrono>
#include <new>
#include <utility>

#include "base/thread.h"

namespace johnny::verify {
namespace {

constexpr size_t kMostTasks = 256;
constexpr size_t kMostFindings = 256;
constexpr std::chrono::milliseconds kTick(50);

}  // namespace

class Workers::Checker : public TreeChecker {
 public:
  explicit Checker(Workers* workers) : TreeChecker(workers->view_, workers->owners_), workers_(workers) {}

 private:
  bool Report(FindingKind kind, PageNumber page, const char* table, std::string message) override {
    return workers_->Post({kind, page, table, std::move(message)});
  }
  bool Worked(uint64_t) override { return !workers_->stopping_.load(std::memory_order_relaxed); }

  Workers* workers_;
};

Workers::~Workers() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    Stop();
  }
  for (std::thread& thread : threads_) {
    thread.join();
  }
}

void Workers::Stop() {
  stopping_ = true;
  tasks_.clear();
  work_.notify_all();
}

bool Workers::Start() {
  if (!std::exchange(started_, true) && threads_wanted_ > 1) {
    threads_.reserve(threads_wanted_);
    while (threads_.size() < threads_wanted_) {
      std::thread thread;
      if (!StartThread([this] { Run(); }, &thread)) {
        break;
      }
      threads_.push_back(std::move(thread));
    }
  }
  return !threads_.empty();
}

bool Workers::Push(const Place& place) {
  Task task{place, std::nullopt, std::nullopt};
  if (place.lower != nullptr) {
    task.lower = *place.lower;
  }
  if (place.upper != nullptr) {
    task.upper = *place.upper;
  }
  std::unique_lock<std::mutex> lock(mutex_);
  if (!WaitUntil(&lock, [this] { return tasks_.size() < kMostTasks; })) {
    return false;
  }
  if (std::exchange(last_tree_, place.tree) != place.tree) {
    OwnTree& own = trees_.emplace_back(OwnTree{place.tree->name, *place.tree});
    own.tree.name = own.name.c_str();
  }
  task.place.tree = &trees_.back().tree;
  tasks_.push_back(std::move(task));
  work_.notify_one();
  return true;
}

bool Workers::Drain(Totals* totals) {
  std::unique_lock<std::mutex> lock(mutex_);
  bool on = WaitUntil(&lock, [this] { return tasks_.empty() && busy_ == 0; });
  totals->Add(std::exchange(totals_, {}));
  if (on) {
    trees_.clear();
    last_tree_ = nullptr;
  }
  return on;
}

bool Workers::WaitUntil(std::unique_lock<std::mutex>* lock, const std::function<bool()>& done) {
  for (;;) {
    if (!Deliver(lock)) {
      Stop();
      return false;
    }
    if (thrown_ != nullptr) {
      Stop();
      std::rethrow_exception(thrown_);
    }
    if (done()) {
      return true;
    }
    news_.wait_for(*lock, kTick);
    lock->unlock();
    bool on = !sink_.while_waiting || sink_.while_waiting();
    lock->lock();
    if (!on) {
      Stop();
      return false;
    }
  }
}

bool Workers::Deliver(std::unique_lock<std::mutex>* lock) {
  while (!findings_.empty() && !stopping_) {
    Finding finding = std::move(findings_.front());
    findings_.pop_front();
    work_.notify_all();
    lock->unlock();
    bool on = sink_.report(finding);
    lock->lock();
    if (!on) {
      return false;
    }
  }
  return !stopping_;
}

bool Workers::Post(Finding finding) {
  std::unique_lock<std::mutex> lock(mutex_);
  work_.wait(lock, [this] { return stopping_ || findings_.size() < kMostFindings; });
  if (stopping_) {
    return false;
  }
  findings_.push_back(std::move(finding));
  news_.notify_one();
  return true;
}

void Workers::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    work_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
    if (stopping_) {
      return;
    }
    Task task = std::move(tasks_.front());
    tasks_.pop_front();
    ++busy_;
    lock.unlock();
    Totals met;
    std::exception_ptr thrown;
    try {
      Checker checker(this);
      task.place.lower = task.lower.has_value() ? &*task.lower : nullptr;
      task.place.upper = task.upper.has_value() ? &*task.upper : nullptr;
      WalkBelow(checker.view(), task.place, &checker);
      met = checker.Take();
    } catch (const std::bad_alloc&) {
      thrown = std::current_exception();
    }
    lock.lock();
    --busy_;
    totals_.Add(met);
    if (thrown != nullptr) {
      thrown_ = thrown;
    }
    news_.notify_one();
  }
}

}  // namespace johnny::verify
