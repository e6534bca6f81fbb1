#include "support/crash_model.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <memory>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace johnny::sim {
namespace {

class Hasher {
 public:
  Hasher() : state_(XXH3_createState()) { XXH3_128bits_reset(state_); }
  ~Hasher() { XXH3_freeState(state_); }
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  void Add(std::string_view bytes) {
    uint64_t size = bytes.size();
    XXH3_128bits_update(state_, &size, sizeof size);
    XXH3_128bits_update(state_, bytes.data(), bytes.size());
  }
  void AddEntry(std::string_view key, std::string_view value) {
    Add("entry");
    Add(key);
    Add(value);
  }
  void AddTable(std::string_view name) {
    Add("table");
    Add(name);
  }
  void AddNamed(std::string_view name, const Hash128& digest) {
    Add("named");
    Add(name);
    XXH3_128bits_update(state_, &digest, sizeof digest);
  }
  Hash128 Finish() const {
    XXH128_hash_t hash = XXH3_128bits_digest(state_);
    return {hash.low64, hash.high64};
  }

 private:
  XXH3_state_t* state_;
};

std::string_view View(const johnny_slice& slice) {
  return slice.size == 0 ? std::string_view() : std::string_view(static_cast<const char*>(slice.data), slice.size);
}

int AddTableOf(johnny_txn* txn, johnny_table* table, Hasher* hasher, std::string* problem) {
  johnny_cursor* cursor = nullptr;
  int code = johnny_cursor_open(txn, table, &cursor);
  johnny_slice key;
  johnny_slice value;
  while (code == JOHNNY_OK && (code = johnny_cursor_next(cursor, &key, &value)) == JOHNNY_OK) {
    hasher->AddEntry(View(key), View(value));
  }
  if (code == JOHNNY_NOT_FOUND) {
    code = JOHNNY_OK;
  }
  if (code != JOHNNY_OK) {
    *problem = absl::StrCat("scanning table '", johnny_table_name(table), "': ", Explain(code));
  }
  johnny_cursor_close(cursor);
  return code;
}

int CollectName(void* context, const char* name) {
  static_cast<std::vector<std::string>*>(context)->push_back(name);
  return 0;
}

int CollectFinding(void* context, const johnny_finding* finding) {
  auto* text = static_cast<std::string*>(context);
  if (text->size() < 1000) {
    absl::StrAppend(text, text->empty() ? "" : "; ", "page ", finding->page, ": ", finding->message);
  }
  return 0;
}

// Of tables and named snapshots together.
Hash128 Join(const Hash128& tables, const std::map<std::string, Hash128>& named) {
  Hasher hasher;
  hasher.AddNamed("", tables);
  for (const auto& [name, digest] : named) {
    hasher.AddNamed(name, digest);
  }
  return hasher.Finish();
}

int CollectNamed(void* context, const johnny_snapshot_info* info) {
  (*static_cast<std::map<std::string, Hash128>*>(context))[info->name] = {};
  return 0;
}

}  // namespace

Hash128 DatabaseContents::Digest() const { return Join(TablesDigest(), named); }

Hash128 DatabaseContents::TablesDigest() const {
  Hasher hasher;
  auto add = [&](const TableContents& table) {
    for (const auto& [key, value] : table) {
      hasher.AddEntry(key, value);
    }
  };
  if (auto main = tables.find(""); main != tables.end()) {
    add(main->second);
  }
  for (const auto& [name, table] : tables) {
    if (!name.empty()) {
      hasher.AddTable(name);
      add(table);
    }
  }
  return hasher.Finish();
}

std::string Explain(int code) { return absl::StrCat(johnny_strerror(code), " (", johnny_last_error_message(), ")"); }

int DigestOf(johnny_txn* txn, Hash128* digest, std::string* problem) {
  Hasher hasher;
  int code = AddTableOf(txn, nullptr, &hasher, problem);
  std::vector<std::string> names;
  if (code == JOHNNY_OK) {
    code = johnny_table_list(txn, CollectName, &names);
  }
  for (size_t i = 0; i < names.size() && code == JOHNNY_OK; ++i) {
    johnny_table* table = nullptr;
    code = johnny_table_open(txn, names[i].c_str(), 0, &table);
    if (code == JOHNNY_OK) {
      hasher.AddTable(names[i]);
      code = AddTableOf(txn, table, &hasher, problem);
    }
  }
  if (code != JOHNNY_OK && problem->empty()) {
    *problem = absl::StrCat("listing and opening tables: ", Explain(code));
  }
  *digest = hasher.Finish();
  return code;
}

int DigestOf(johnny_env* env, Hash128* digest, std::string* problem) {
  johnny_txn* txn = nullptr;
  int code = johnny_begin(env, JOHNNY_READ, &txn);
  if (code != JOHNNY_OK) {
    *problem = absl::StrCat("beginning to read: ", Explain(code));
    return code;
  }
  Hash128 tables;
  code = DigestOf(txn, &tables, problem);
  std::map<std::string, Hash128> named;
  if (code == JOHNNY_OK && (code = johnny_snapshot_list(txn, CollectNamed, &named)) != JOHNNY_OK) {
    *problem = absl::StrCat("listing named snapshots: ", Explain(code));
  }
  johnny_abort(txn);
  for (auto at = named.begin(); at != named.end() && code == JOHNNY_OK; ++at) {
    code = johnny_begin_snapshot(env, at->first.c_str(), &txn);
    if (code == JOHNNY_OK) {
      code = DigestOf(txn, &at->second, problem);
      johnny_abort(txn);
    }
    if (code != JOHNNY_OK) {
      *problem = absl::StrCat("named snapshot '", at->first, "': ", problem->empty() ? Explain(code) : *problem);
    }
  }
  *digest = Join(tables, named);
  return code;
}

std::string FindingsOf(johnny_env* env) {
  std::string findings;
  johnny_verify_options options = {.struct_size = sizeof options, .on_finding = CollectFinding, .context = &findings};
  int code = johnny_verify(env, &options, nullptr);
  if (code == JOHNNY_OK && findings.empty()) {
    return "";
  }
  return absl::StrCat("verify: ", Explain(code), " ", findings);
}

CommitRecord MakeCommitRecord(uint64_t id, const DatabaseContents& contents) {
  DatabaseContents with_probe = contents;
  with_probe.tables[""][kProbeKey] = kProbeValue;
  return {id, contents.Digest(), with_probe.Digest()};
}

void Expectation::Apply(MarkKind mark, int64_t value) {
  int commit = static_cast<int>(value);
  switch (mark) {
    case MarkKind::kIdHandedOut:
      largest_id_ = std::max(largest_id_, static_cast<uint64_t>(value));
      break;
    case MarkKind::kCreateBegan:
      if (allowed_.empty()) {
        allowed_ = {0};
      }
      break;
    case MarkKind::kOpened:
      may_be_absent_ = false;
      allowed_ = {commit};
      last_acknowledged_ = commit;
      break;
    case MarkKind::kCommitDurable:
      may_be_absent_ = false;
      std::erase_if(allowed_, [commit](int other) { return other < commit; });  // others may be in flight on top of it
      last_acknowledged_ = std::max(last_acknowledged_, commit);
      break;
    case MarkKind::kTakenOver:
      if (commit > last_acknowledged_) {
        allowed_ = {commit};  // what was in flight counts only once it is durable
      } else {
        std::erase_if(allowed_, [commit](int other) { return other > commit; });
      }
      last_acknowledged_ = commit;
      break;
    case MarkKind::kCommitBegan:
      allowed_.push_back(commit);
      break;
    case MarkKind::kCommitLazy:
      last_acknowledged_ = commit;
      break;
    case MarkKind::kCommitFailed:
      std::erase(allowed_, commit);
      break;
    case MarkKind::kCommitUnknown:
      break;
    case MarkKind::kSynced:
      allowed_ = {last_acknowledged_};
      break;
  }
}

int Expectation::Find(const History& history, const Hash128& digest) const {
  for (size_t i = allowed_.size(); i-- > 0;) {
    if (history.commits[static_cast<size_t>(allowed_[i])].digest == digest) {
      return allowed_[i];
    }
  }
  return -1;
}

std::string Expectation::Judge(const History& history, const Hash128& digest, uint64_t last_id) const {
  int found = Find(history, digest);
  if (found < 0) {
    std::string other = "no commit's";
    for (size_t i = 0; i < history.commits.size(); ++i) {
      if (history.commits[i].digest == digest) {
        other = absl::StrCat("that of commit ", i, " (transaction ", history.commits[i].id, ")");
      }
    }
    return absl::StrCat("the content is ", other, "; allowed are the commits {", absl::StrJoin(allowed_, ", "), "}");
  }
  // A caller with an unknown outcome asks last_txn_id whether its transaction counts. Commits may leave the content as it was, so
  // any of those that made it may be the one found.
  std::string problem;
  for (int candidate : allowed_) {
    if (history.commits[static_cast<size_t>(candidate)].digest == digest) {
      problem = JudgeId(history, candidate, last_id);
      if (problem.empty()) {
        break;
      }
    }
  }
  return problem;
}

std::string Expectation::JudgeId(const History& history, int found, uint64_t last_id) const {
  for (int commit : allowed_) {
    const CommitRecord& record = history.commits[static_cast<size_t>(commit)];
    bool says_committed = last_id >= record.id;
    if (says_committed != (commit <= found)) {
      return absl::StrCat("last_txn_id is ", last_id, " but commit ", commit, " (transaction ", record.id, ") is ",
                          commit <= found ? "" : "not ", "there");
    }
  }
  return "";
}

}  // namespace johnny::sim
