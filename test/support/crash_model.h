// What a database should hold, kept beside it in maps, and a digest to compare the two by.
#ifndef JOHNNY_TEST_SUPPORT_CRASH_MODEL_H_
#define JOHNNY_TEST_SUPPORT_CRASH_MODEL_H_

#include <johnny/johnny.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "support/sim_image.h"
#include "support/sim_system.h"

namespace johnny::sim {

using TableContents = std::map<std::string, std::string>;
struct DatabaseContents {
  std::map<std::string, TableContents> tables;  // "": the main table, if it has entries or not
  std::map<std::string, Hash128> named;         // named snapshots: digests of their tables

  Hash128 Digest() const;
  Hash128 TablesDigest() const;
};

// The digest of the tables that `txn` sees. An error of the library is returned, with its message in *problem.
int DigestOf(johnny_txn* txn, Hash128* digest, std::string* problem);
// The same of the newest snapshot, with what its named snapshots hold.
int DigestOf(johnny_env* env, Hash128* digest, std::string* problem);
// "" or the findings of johnny_verify.
std::string FindingsOf(johnny_env* env);
// "JOHNNY_CORRUPT: ... (page 17: ...)" for the thread's last failure.
std::string Explain(int code);

// The entry that every check writes to a reopened database.
inline constexpr char kProbeKey[] = "~probe";
inline constexpr char kProbeValue[] = "written after the crash";

// A state that a commit made, or was about to make.
struct CommitRecord {
  uint64_t id = 0;  // its transaction's
  Hash128 digest;
  Hash128 digest_with_probe;
};
CommitRecord MakeCommitRecord(uint64_t id, const DatabaseContents& contents);

// States of one run; the first is the empty database.
struct History {
  std::vector<CommitRecord> commits;
};

// What a reopened database may hold at one point of a run, from the marks up to there.
class Expectation {
 public:
  // Of a run that starts from no file at all, or from a database that holds commit 0.
  explicit Expectation(bool starts_absent) : may_be_absent_(starts_absent), allowed_(starts_absent ? 0 : 1, 0) {}

  void Apply(MarkKind mark, int64_t value);

  bool may_be_absent() const { return may_be_absent_; }
  const std::vector<int>& allowed() const { return allowed_; }
  int last_acknowledged() const { return last_acknowledged_; }
  uint64_t largest_id() const { return largest_id_; }
  void set_largest_id(uint64_t id) { largest_id_ = id; }
  // The allowed commit that made `digest`, or -1. In doubt the newest.
  int Find(const History& history, const Hash128& digest) const;
  // "" or why a database that shows `digest` and says that its newest transaction is `last_id` is wrong.
  std::string Judge(const History& history, const Hash128& digest, uint64_t last_id) const;

 private:
  // The same for one commit taken as the newest there.
  std::string JudgeId(const History& history, int found, uint64_t last_id) const;

  bool may_be_absent_;
  std::vector<int> allowed_;
  int last_acknowledged_ = 0;
  uint64_t largest_id_ = 0;
};

}  // namespace johnny::sim

#endif  // JOHNNY_TEST_SUPPORT_CRASH_MODEL_H_
