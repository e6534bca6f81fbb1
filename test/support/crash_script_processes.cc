// The script's further processes: one of them dies at a yield point and another takes over.
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/internal.h"
#include "support/crash_script.h"

namespace johnny::sim {

void Script::Kill() {
  system_.Kill();
  DropHandles();
}

void Script::StartProcess(uint32_t flags) {
  ++started_;
  auto process = std::make_unique<VirtualProcess>(&system_);
  bool first = processes_.empty();
  if (first) {
    Mark(MarkKind::kCreateBegan);
  }
  johnny_options options = options_;
  options.flags = flags;
  if (!Expect(process->Open(kPath, options).code(), "johnny_open in a further process")) {
    return;
  }
  processes_.push_back(std::move(process));
  if (first) {
    env_ = processes_.front()->env().get();
    TakeStateOfOpened();
  }
}

bool Script::RunAndKill(const std::string& yield_point, uint64_t nth, const std::function<void()>& work) {
  if (processes_.size() < 2) {
    if (started_ < 2) {  // not because opening failed
      problems_.push_back("RunAndKill() needs another process, which goes on: nothing was run");
    }
    return false;
  }
  working_process_ = processes_[processes_.size() - 2].get();
  VirtualProcess* working = working_process_;
  reached_.clear();
  working->AtYieldPoints([this, yield_point, nth](const std::string& where) { Reached(where, yield_point, nth); });
  bool ended = working->Run([this, working, work] {
    work();
    EndOrphan(working);
  });
  if (ended) {
    Abort();
    working->Kill();
  } else if (txn_ != nullptr) {
    orphans_[working] = TakeOutermost();
  }
  return ended;
}

void Script::Reached(const std::string& where, const std::string& kill_at, uint64_t nth) {
  std::function<void()> job;
  bool dies = false;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    dies = reached_[where]++ == nth && where == kill_at;
    if (where == "sync" && !dies) {
      job.swap(while_syncing_);
    }
  }
  if (dies) {
    working_process_->Kill();
  } else if (job) {
    job();
  }
}

void Script::EndOrphan(const VirtualProcess* process) {
  if (auto orphan = orphans_.extract(process); !orphan.empty()) {
    johnny_abort(orphan.mapped());
  }
}

void Script::Rejoin() {
  if (env_ == nullptr || txn_ != nullptr) {
    return;
  }
  test::Env& env = working_process_->env();
  if (Expect(env.Close().code(), "johnny_close beside others")) {
    Mark(MarkKind::kSynced);
  }
  johnny_options options = options_;
  options.flags = 0;
  if (Expect(working_process_->Open(kPath, options).code(), "johnny_open beside others")) {
    env_ = env.get();
  }
}

void Script::InOtherProcess(const std::function<void()>& work) {
  johnny_env* own = env_;
  if (own != nullptr && txn_ == nullptr) {
    env_ = processes_.back()->env().get();
    work();
    env_ = own;
  }
}

void Script::TakeOver() {
  auto heir = std::find_if(processes_.begin(), processes_.end(), [](const auto& process) { return !process->dead(); });
  if (heir == processes_.end()) {
    return;
  }
  env_ = (*heir)->env().get();
  uint64_t largest = expectation_.largest_id();
  Begin();
  if (txn_ == nullptr) {
    return;
  }
  if (johnny_txn_id(txn_) <= largest) {
    problems_.push_back("who took over gave an id again");
  }
  Abort();
  Hash128 digest;
  std::string problem;
  int found = -1;
  if (Expect(DigestOf(env_, &digest, &problem), "reading after taking over")) {
    found = FindState(digest, &problem);
  }
  if (found < 0 || !problem.empty()) {
    problems_.push_back(absl::StrCat("after taking over, ", problem));
    env_ = nullptr;
    return;
  }
  Mark(MarkKind::kTakenOver, found);
  contents_ = possible_[found];
}

}  // namespace johnny::sim
