#include "support/crash_script.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

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
  johnny_abort(TakeOutermost());
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
  johnny_abort(TakeOutermost());
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

void Script::ExpectCause(Code code, std::string words) {
  cause_ = static_cast<int>(code);
  cause_words_ = std::move(words);
  cause_seen_ = false;
}

bool Script::IsCaused(int code) {
  if (cause_ == 0) {
    return true;
  }
  bool says_so = std::string_view(johnny_last_error_message()).find(cause_words_) != std::string_view::npos;
  if ((code == cause_ || code == JOHNNY_OUTCOME_UNKNOWN || code == JOHNNY_IO_ERROR) && says_so) {
    cause_seen_ = true;
    refusal_told_ |= code == JOHNNY_OUTCOME_UNKNOWN || code == JOHNNY_IO_ERROR;
    johnny_env_info info{};
    info.struct_size = sizeof info;
    // After any other error than these two the environment goes on.
    return refusal_told_ || env_ == nullptr || (johnny_env_get_info(env_, &info), info.writes_refused == 0);
  }
  switch (code) {
    case JOHNNY_WRITES_REFUSED:
    case JOHNNY_TXN_FAILED:
    case JOHNNY_NO_TABLE:      // it was not created
    case JOHNNY_NO_SUCH_FILE:  // likewise
      return cause_seen_;
    case JOHNNY_IO_ERROR:  // the sync of an opening failed
      return cause_seen_ && std::string_view(johnny_last_error_message()).find("has been restarted") != std::string_view::npos;
    default:
      return false;
  }
}

bool Script::Expect(int code, std::string_view what) {
  if (code == JOHNNY_OK) {
    return true;
  }
  trouble_ = true;
  if (!faults_expected_ || !IsCaused(code)) {
    problems_.push_back(absl::StrCat(absl::string_view(what.data(), what.size()), ": ", Explain(code)));
  }
  return false;
}

bool Script::Changed(int code, std::string_view what) {
  if (code == JOHNNY_OK) {
    return true;
  }
  txn_failed_ |= code != JOHNNY_SIZE_LIMIT && code != JOHNNY_DISK_FULL;
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
  refusal_told_ = false;
  int code = real_path_.empty() ? api::OpenWithSystem(&system_, kPath, &options_, &env_)
                                : johnny_open(real_path_.c_str(), &options_, &env_);
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
  if (int code = DigestOf(env_, &digest, &problem); code != JOHNNY_OK) {
    trouble_ = true;
    if (!faults_expected_ || !IsCaused(code)) {
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
  johnny_abort(TakeOutermost());
  bool refused = writes_refused_;
  int code = johnny_close(std::exchange(env_, nullptr));
  if (refused) {
    return;  // whatever it says: the failed sync has been reported
  }
  if (Expect(code, "johnny_close")) {
    Mark(MarkKind::kSynced);
  }
}

void Script::ChangePermissions(uint32_t permissions) {
  if (!real_path_.empty()) {
    ::chmod(real_path_.c_str(), permissions);
  } else {
    system_.ChangePermissions(kPath, permissions);
  }
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

void Script::Put(const std::string& table, const std::string& key, const std::string& value, uint32_t flags) {
  if (txn_ == nullptr || txn_failed_) {
    return;
  }
  johnny_table* handle = Table(table, 0);
  if (handle == nullptr && !table.empty()) {
    return;
  }
  if (Changed(johnny_put(txn_, handle, key.data(), key.size(), value.data(), value.size(), flags), "johnny_put")) {
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

void Script::BuildTable(const std::string& table, const TableContents& entries, bool finish) {
  if (txn_ == nullptr || txn_failed_) {
    return;
  }
  johnny_table* handle = Table(table, 0);
  johnny_builder* builder = nullptr;
  if ((handle == nullptr && !table.empty()) ||
      !Changed(johnny_builder_open(txn_, handle, JOHNNY_BUILD_REPLACE, 0, &builder), "johnny_builder_open")) {
    return;
  }
  builders_.emplace_back(builder, &johnny_builder_close);
  bool added = std::all_of(entries.begin(), entries.end(), [&](const auto& entry) {
    const auto& [key, value] = entry;
    return Changed(johnny_builder_add(builder, key.data(), key.size(), value.data(), value.size()), "johnny_builder_add");
  });
  if (added && finish && Changed(johnny_builder_finish(builder), "johnny_builder_finish")) {
    working_.tables[table] = entries;
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

void Script::Sync() {
  if (env_ != nullptr) {
    Synced(johnny_sync(env_), "johnny_sync");
  }
}

void Script::WaitDurable() {
  uint64_t id = env_ != nullptr ? NewestId() : UINT64_MAX;
  if (id == UINT64_MAX) {
    return;
  }
  int code = johnny_wait_durable(env_, id);
  cause_seen_ |= code == JOHNNY_WRITES_REFUSED;  // the background sync has met the cause
  Synced(code, "johnny_wait_durable");
}

void Script::Synced(int code, std::string_view what) {
  if (code == JOHNNY_OK) {
    Mark(MarkKind::kSynced);
    return;
  }
  writes_refused_ = true;
  Expect(code, what);
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
  if (Expect(DigestOf(reader, &digest, &problem), "reading a held snapshot") && digest != expected) {
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
