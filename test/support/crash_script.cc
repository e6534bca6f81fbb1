#include "support/crash_script.h"

#include <algorithm>
#include <thread>

#include "absl/strings/str_cat.h"
#include "api/internal.h"

namespace johnny::sim {

johnny_options SmallOptions(uint32_t durability) {
  johnny_options options;
  johnny_options_init(&options);
  options.page_size = 4096;
  options.durability = durability;
  options.max_readers = 16;
  options.address_space = SimSystem::kReserve;
  options.memory_budget = 4 << 20;
  options.sync_interval_ms = 0;  // or recordings would not repeat
  return options;
}

Script::Script(std::string name, uint64_t seed, const johnny_options& options)
    : name_(std::move(name)), seed_(seed), options_(options), system_(seed), random_(seed) {
  history_.commits.push_back(MakeCommitRecord(0, contents_));
  possible_[0] = contents_;
}

Script::~Script() {
  system_.Kill();
  BuryProcesses();
  DropHandles();
}

void Script::BuryProcesses() {
  if (processes_.empty()) {
    return;
  }
  env_ = nullptr;  // which stops what goes on in the threads of the dead
  while_syncing_ = nullptr;
  johnny_abort(std::exchange(txn_, nullptr));
  for (auto& process : processes_) {
    process->Kill();
  }
  processes_.clear();
}

void Script::DropHandles() {
  for (auto& [reader, digest] : readers_) {
    johnny_abort(reader);
  }
  readers_.clear();
  johnny_abort(txn_);
  txn_ = nullptr;
  if (env_ != nullptr && johnny_close(env_) == JOHNNY_IN_USE) {
    problems_.push_back("johnny_close: JOHNNY_IN_USE although every transaction was ended");
  }
  env_ = nullptr;
}

void Script::Mark(MarkKind kind, int64_t value) {
  system_.Mark(kind, value);
  expectation_.Apply(kind, value);
  std::erase_if(possible_, [this](const auto& entry) {
    const auto& allowed = expectation_.allowed();
    return !allowed.empty() && std::find(allowed.begin(), allowed.end(), entry.first) == allowed.end();
  });
}

bool Script::Expect(int code, std::string_view what) {
  if (code == JOHNNY_OK) {
    return true;
  }
  trouble_ = true;
  if (!faults_expected_) {
    problems_.push_back(absl::StrCat(absl::string_view(what.data(), what.size()), ": ", Explain(code)));
  }
  return false;
}

bool Script::Changed(int code, std::string_view what) {
  if (code == JOHNNY_OK) {
    return true;
  }
  txn_failed_ |= code != JOHNNY_SIZE_LIMIT && code != JOHNNY_DISK_FULL;
  if (faults_expected_ && (code == JOHNNY_SIZE_LIMIT || code == JOHNNY_DISK_FULL)) {
    return false;
  }
  return Expect(code, what);
}

void Script::Open(uint32_t flags) {
  if (env_ != nullptr) {
    return;
  }
  system_.Revive();
  if ((flags & JOHNNY_CREATE) != 0 && expectation_.may_be_absent()) {
    Mark(MarkKind::kCreateBegan);
  }
  options_.flags = flags;
  trouble_ = false;
  writes_refused_ = false;
  int code = api::OpenWithSystem(&system_, kPath, &options_, &env_);
  if (!Expect(code, "johnny_open")) {
    env_ = nullptr;
    return;
  }
  TakeStateOfOpened();
}

int Script::FindState(const Hash128& digest, std::string* problem) {
  johnny_env_info info{};
  info.struct_size = sizeof info;
  if (johnny_env_get_info(env_, &info) == JOHNNY_OK) {
    *problem = expectation_.Judge(history_, digest, info.last_txn_id);
  }
  return expectation_.Find(history_, digest);
}

// Finds out which of the possible states the database shows, and goes on from there.
void Script::TakeStateOfOpened() {
  Hash128 digest;
  std::string problem;
  if (DigestOf(env_, &digest, &problem) != JOHNNY_OK) {
    trouble_ = true;
    if (!faults_expected_) {
      problems_.push_back(absl::StrCat("after opening, ", problem));
    }
    // The state is unknown, so nothing may be built on it.
    johnny_close(std::exchange(env_, nullptr));
    return;
  }
  int found = FindState(digest, &problem);
  if (found < 0 || !problem.empty()) {
    problems_.push_back(absl::StrCat("after opening in the same boot, ", problem));
    johnny_close(std::exchange(env_, nullptr));
    return;
  }
  Mark(MarkKind::kOpened, found);
  contents_ = possible_[found];
}

void Script::Close() {
  if (env_ == nullptr) {
    return;
  }
  for (auto& [reader, digest] : readers_) {
    johnny_abort(reader);
  }
  readers_.clear();
  johnny_abort(std::exchange(txn_, nullptr));
  bool refused = writes_refused_;
  int code = johnny_close(std::exchange(env_, nullptr));
  if (refused) {
    return;  // whatever it says: the failed sync has been reported
  }
  if (Expect(code, "johnny_close")) {
    Mark(MarkKind::kSynced);
  }
}

void Script::Kill() {
  system_.Kill();
  DropHandles();
}

void Script::StartProcess(uint32_t flags) {
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
    orphans_[working] = std::exchange(txn_, nullptr);
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

void Script::Begin(uint32_t flags) {
  if (env_ == nullptr || txn_ != nullptr) {
    return;
  }
  johnny_env* env = env_;
  johnny_txn* txn = nullptr;
  int code = johnny_begin(env, flags, &txn);
  if (env != env_) {  // this thread's process has died meanwhile
    johnny_abort(txn);
    return;
  }
  if (code != JOHNNY_OK) {
    writes_refused_ |= code == JOHNNY_WRITES_REFUSED;
    Expect(code, "johnny_begin");
    return;
  }
  txn_ = txn;
  if (writes_refused_) {
    problems_.push_back("a write transaction began although writes are to be refused");
  }
  uint64_t id = johnny_txn_id(txn_);
  if (id <= largest_committed_id_) {
    problems_.push_back(absl::StrCat("transaction id ", id, " is not above ", largest_committed_id_));
  }
  Mark(MarkKind::kIdHandedOut, static_cast<int64_t>(id));
  txn_failed_ = false;
  working_ = contents_;
}

johnny_table* Script::Table(const std::string& name, uint32_t flags) {
  johnny_table* table = nullptr;
  if (!name.empty() && !Changed(johnny_table_open(txn_, name.c_str(), flags, &table), "johnny_table_open")) {
    return nullptr;
  }
  return table;
}

void Script::Put(const std::string& table, const std::string& key, const std::string& value) {
  if (txn_ == nullptr || txn_failed_) {
    return;
  }
  johnny_table* handle = Table(table, 0);
  if (handle == nullptr && !table.empty()) {
    return;
  }
  if (Changed(johnny_put(txn_, handle, key.data(), key.size(), value.data(), value.size(), 0), "johnny_put")) {
    working_.tables[table][key] = value;
  }
}

void Script::Delete(const std::string& table, const std::string& key) {
  if (txn_ == nullptr || txn_failed_) {
    return;
  }
  johnny_table* handle = Table(table, 0);
  if (handle == nullptr && !table.empty()) {
    return;
  }
  int code = johnny_delete(txn_, handle, key.data(), key.size());
  bool expected = working_.tables[table].contains(key);
  if (code == JOHNNY_NOT_FOUND && !expected) {
    return;
  }
  if (Changed(code, "johnny_delete")) {
    working_.tables[table].erase(key);
  }
}

void Script::CreateTable(const std::string& table) {
  if (txn_ != nullptr && !txn_failed_ && Table(table, JOHNNY_TABLE_CREATE) != nullptr) {
    working_.tables.try_emplace(table);
  }
}

void Script::ClearTable(const std::string& table) {
  if (txn_ == nullptr || txn_failed_) {
    return;
  }
  johnny_table* handle = Table(table, 0);
  if ((handle != nullptr || table.empty()) && Changed(johnny_table_clear(txn_, handle), "johnny_table_clear")) {
    working_.tables[table].clear();
  }
}

void Script::DropTable(const std::string& table) {
  if (txn_ == nullptr || txn_failed_) {
    return;
  }
  johnny_table* handle = Table(table, 0);
  if (handle != nullptr && Changed(johnny_table_drop(txn_, handle), "johnny_table_drop")) {
    working_.tables.erase(table);
  }
}

void Script::RenameTable(const std::string& table, const std::string& name) {
  if (txn_ == nullptr || txn_failed_) {
    return;
  }
  johnny_table* handle = Table(table, 0);
  if (handle != nullptr && Changed(johnny_table_rename(txn_, handle, name.c_str()), "johnny_table_rename")) {
    working_.tables[name] = std::move(working_.tables[table]);
    working_.tables.erase(table);
  }
}

void Script::CreateSnapshot(const std::string& name) {
  if (txn_ == nullptr || txn_failed_) {
    return;
  }
  if (working_.named.contains(name)) {
    DeleteSnapshot(name);
    return;
  }
  int code = johnny_snapshot_create(txn_, name.c_str());
  writes_refused_ |= code == JOHNNY_IO_ERROR || code == JOHNNY_WRITES_REFUSED;
  if (Changed(code, "johnny_snapshot_create")) {
    Mark(MarkKind::kSynced);  // up to what the transaction began with
    working_.named[name] = contents_.TablesDigest();
  }
}

void Script::DeleteSnapshot(const std::string& name) {
  if (txn_ == nullptr || txn_failed_) {
    return;
  }
  int code = johnny_snapshot_delete(txn_, name.c_str());
  if (code == JOHNNY_NO_SNAPSHOT && !working_.named.contains(name)) {
    return;
  }
  if (Changed(code, "johnny_snapshot_delete")) {
    working_.named.erase(name);
  }
}

int Script::BeginCommit(johnny_txn** txn) {
  int index = static_cast<int>(history_.commits.size());
  history_.commits.push_back(MakeCommitRecord(johnny_txn_id(txn_), working_));
  possible_[index] = working_;
  Mark(MarkKind::kCommitBegan, index);
  *txn = std::exchange(txn_, nullptr);
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
    Mark(asked == JOHNNY_LAZY ? MarkKind::kCommitLazy : MarkKind::kCommitDurable, index);
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

void Script::ReadSnapshot(const std::string& name) {
  if (env_ == nullptr) {
    return;
  }
  johnny_txn* reader = nullptr;
  Hash128 digest;
  std::string problem;
  if (!Expect(johnny_begin_snapshot(env_, name.c_str(), &reader), "johnny_begin_snapshot")) {
    return;
  }
  if (!Expect(DigestOf(reader, &digest, &problem), "reading a named snapshot") || digest != contents_.named[name]) {
    problems_.push_back(absl::StrCat("named snapshot '", name, "' does not hold what was named"));
  }
  johnny_abort(reader);
}

uint64_t Script::NewestId() {
  johnny_txn* reader = nullptr;
  if (!Expect(johnny_begin(env_, JOHNNY_READ, &reader), "johnny_begin (read)")) {
    return UINT64_MAX;
  }
  uint64_t id = johnny_txn_id(reader);
  johnny_abort(reader);
  return id;
}

void Script::Abort() {
  if (txn_ != nullptr) {
    Expect(johnny_abort(std::exchange(txn_, nullptr)), "johnny_abort");
  }
}

void Script::Sync() {
  if (env_ == nullptr) {
    return;
  }
  int code = johnny_sync(env_);
  if (code == JOHNNY_OK) {
    Mark(MarkKind::kSynced);
    return;
  }
  writes_refused_ = true;
  Expect(code, "johnny_sync");
}

void Script::BeginReader() {
  johnny_txn* reader = nullptr;
  if (env_ == nullptr || !Expect(johnny_begin(env_, JOHNNY_READ, &reader), "johnny_begin (read)")) {
    return;
  }
  readers_.emplace_back(reader, contents_.TablesDigest());
}

void Script::EndReader() {
  if (readers_.empty()) {
    return;
  }
  auto [reader, expected] = readers_.front();
  readers_.erase(readers_.begin());
  Hash128 digest;
  std::string problem;
  if (DigestOf(reader, &digest, &problem) != JOHNNY_OK) {
    problems_.push_back(absl::StrCat("a held reader: ", problem));
  } else if (digest != expected) {
    problems_.push_back("a held reader no longer sees what it saw when it began");
  }
  johnny_abort(reader);
}

void Script::CheckNow() {
  if (env_ == nullptr) {
    return;
  }
  Hash128 digest;
  std::string problem;
  if (DigestOf(env_, &digest, &problem) != JOHNNY_OK) {
    problems_.push_back(problem);
  } else if (digest != contents_.Digest()) {
    problems_.push_back("the newest snapshot differs from the model");
  }
  problem = FindingsOf(env_);
  if (!problem.empty()) {
    problems_.push_back(problem);
  }
}

std::string Script::RandomBytes(size_t size) {
  std::string bytes(size, '\0');
  for (size_t at = 0; at < size; at += 8) {
    uint64_t word = random_();
    std::memcpy(bytes.data() + at, &word, std::min<size_t>(8, size - at));
  }
  return bytes;
}

Recording Script::Finish() {
  if (processes_.empty()) {
    Kill();
  }
  Recording recording;  // complete before threads of dead processes go on
  recording.name = name_;
  recording.seed = seed_;
  recording.options = options_;
  recording.options.flags = 0;
  recording.from_event = power_stays_until_;
  recording.events = system_.TakeEvents();
  recording.history = history_;
  recording.problems = problems_;
  BuryProcesses();
  return recording;
}

}  // namespace johnny::sim
