// The script's commits: alone, in groups, and nested transactions.
#include <algorithm>
#include <thread>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "support/crash_script.h"

namespace johnny::sim {

int Script::BeginCommit(johnny_txn** txn) {
  int index = static_cast<int>(history_.commits.size());
  history_.commits.push_back(MakeCommitRecord(johnny_txn_id(txn_), working_));
  possible_[index] = working_;
  Mark(MarkKind::kCommitBegan, index);
  *txn = TakeOutermost();
  return index;
}

void Script::Commit(uint32_t durability) {
  if (txn_ == nullptr) {
    return;
  }
  if (txn_failed_) {
    Abort();
    return;
  }
  johnny_txn* txn = nullptr;
  int index = BeginCommit(&txn);
  uint64_t id = history_.commits.back().id;
  uint32_t asked = durability == JOHNNY_DURABILITY_DEFAULT ? options_.durability : durability;
  last_commit_code_ = johnny_commit_with(txn, durability);
  if (last_commit_code_ == JOHNNY_OK) {
    // A commit without changes makes no snapshot: its content is found under the id of an earlier one.
    history_.commits.back().id = std::min(id, NewestId());
    Mark(asked >= JOHNNY_LAZY ? MarkKind::kCommitLazy : MarkKind::kCommitDurable, index);
    contents_ = working_;
    largest_committed_id_ = id;
    return;
  }
  Expect(last_commit_code_, "johnny_commit");
  if (last_commit_code_ == JOHNNY_OUTCOME_UNKNOWN) {
    Mark(MarkKind::kCommitUnknown, index);
    writes_refused_ = true;
    largest_committed_id_ = id;
  } else {
    Mark(MarkKind::kCommitFailed, index);
  }
}

void Script::CommitGroup(const std::vector<std::function<void()>>& edits) {
  if (txn_ == nullptr || txn_failed_) {
    Abort();
    return;
  }
  ended_ = 0;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    while_syncing_ = [this, edits] {
      for (const auto& edit : edits) {
        SealOneMore(edit);
      }
    };
  }
  CommitOfGroup();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (std::exchange(while_syncing_, nullptr) && !working_process_->dead()) {
      problems_.push_back("a durable commit did without a sync");
      return;
    }
  }
  while (ended_ < edits.size() && !working_process_->dead()) {
    std::this_thread::yield();
  }
  working_process_->StayIfDead();
}

// By the thread whose syncs are under way. Returns when the commit waits to be published.
void Script::SealOneMore(const std::function<void()>& edit) {
  VirtualProcess* process = working_process_;
  auto begun = std::make_shared<std::atomic<bool>>(false);
  process->RunBeside([this, process, edit, begun] {
    Begin(/*flags=*/0);
    *begun = true;
    edit();
    CommitOfGroup();
    EndOrphan(process);
    ++ended_;
  });
  while (!*begun && !process->dead()) {
    std::this_thread::yield();
  }
  process->StayIfDead();
  johnny_env* env = env_;
  johnny_txn* probe = nullptr;
  if (env == nullptr) {
    return;
  }
  if (Expect(johnny_begin(env, 0, &probe), "johnny_begin behind a sealed commit")) {
    Mark(MarkKind::kIdHandedOut, static_cast<int64_t>(johnny_txn_id(probe)));
    johnny_abort(probe);
  }
}

void Script::CommitOfGroup() {
  if (txn_ == nullptr || txn_failed_) {
    Abort();
    return;
  }
  johnny_txn* txn = nullptr;
  int index = BeginCommit(&txn);
  contents_ = working_;  // what the next one builds on
  int code = johnny_commit_with(txn, JOHNNY_TWO_PHASE);
  working_process_->StayIfDead();
  std::lock_guard<std::mutex> lock(mutex_);
  if (Expect(code, "johnny_commit in a group")) {
    largest_committed_id_ = std::max(largest_committed_id_, history_.commits[static_cast<size_t>(index)].id);
    Mark(MarkKind::kCommitDurable, index);
  }
}

void Script::Abort() {
  if (txn_ != nullptr && johnny_abort(TakeOutermost()) != JOHNNY_OK) {
    problems_.push_back("johnny_abort failed");  // which it never does
  }
}

johnny_txn* Script::TakeOutermost() {
  johnny_txn* outermost = outer_.empty() ? txn_ : outer_.front().first;
  outer_.clear();
  txn_ = nullptr;
  return outermost;
}

void Script::BeginNested() {
  johnny_txn* inner = nullptr;
  if (txn_ != nullptr && !txn_failed_ && Changed(johnny_begin_nested(txn_, 0, &inner), "johnny_begin_nested")) {
    outer_.emplace_back(std::exchange(txn_, inner), working_);
  }
}

void Script::CommitNested() {
  if (outer_.empty() || txn_failed_) {
    AbortNested();
    return;
  }
  int code = johnny_commit(txn_);
  txn_ = outer_.back().first;
  outer_.pop_back();
  Changed(code, "johnny_commit (nested)");
}

void Script::AbortNested() {
  if (outer_.empty()) {
    return;
  }
  Expect(johnny_abort(txn_), "johnny_abort (nested)");
  std::tie(txn_, working_) = std::move(outer_.back());
  outer_.pop_back();
  johnny_txn_info info{};
  info.struct_size = sizeof info;
  Expect(johnny_txn_get_info(txn_, &info), "johnny_txn_get_info");
  if (info.failed != 0 && cause_ != JOHNNY_NO_MEMORY) {
    problems_.push_back("a failed nested transaction made the one around it fail");
  }
  txn_failed_ = info.failed != 0;
}

}  // namespace johnny::sim
