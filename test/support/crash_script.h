// Drives a database on a SimSystem through the C API, keeps what it should hold beside it, and marks each step in the system's
// log.
#ifndef JOHNNY_TEST_SUPPORT_CRASH_SCRIPT_H_
#define JOHNNY_TEST_SUPPORT_CRASH_SCRIPT_H_

#include <johnny/johnny.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "support/crash_disk.h"
#include "support/crash_model.h"
#include "support/sim_system.h"
#include "support/virtual_process.h"

namespace johnny::sim {

inline constexpr char kPath[] = "/db/crash.jdb";

// 4 KiB pages, small address space.
johnny_options SmallOptions(uint32_t durability = JOHNNY_TWO_PHASE);

// Everything that is needed to enumerate the crashes of a run.
struct Recording {
  std::string name;
  uint64_t seed = 0;
  johnny_options options{};
  DiskImage start;
  bool starts_absent = true;
  uint64_t largest_id = 0;  // handed out before
  size_t from_event = 0;    // the power does not fail earlier
  std::vector<Event> events;
  History history;
  std::vector<std::string> problems;  // what went wrong already in the run itself
};

class Script {
 public:
  Script(std::string name, uint64_t seed, const johnny_options& options);
  ~Script();
  Script(const Script&) = delete;
  Script& operator=(const Script&) = delete;

  SimSystem* system() { return &system_; }
  johnny_options* options() { return &options_; }  // for the next Open
  Random* random() { return &random_; }
  uint64_t Below(uint64_t bound) { return sim::Below(&random_, bound); }
  bool is_open() const { return env_ != nullptr; }
  johnny_env* env() { return env_; }
  johnny_txn* txn() { return txn_; }

  // Errors are part of the test from now on (or no longer): they are taken as they come, and only broken promises are problems.
  void ExpectFaults(bool expected) { faults_expected_ = expected; }
  // Of the errors that are part of the test, the first must have this code, or be an unknown outcome, and say these words. Later
  // ones may be its consequences.
  void ExpectCause(Code code, std::string words);
  bool saw_cause() const { return cause_seen_; }
  // Works on this file of the real system from now on. Kill() then closes the database, as nothing else ends a process here.
  void UseRealFile(std::string path) { real_path_ = std::move(path); }
  bool is_real() const { return !real_path_.empty(); }
  std::string path() const { return is_real() ? real_path_ : kPath; }

  // Each does nothing when the one before it left nothing to work on.
  void Open(uint32_t flags = 0);
  void Close();
  void Kill();                                   // ends the process; Open() starts the next one
  void ChangePermissions(uint32_t permissions);  // of the database, from outside
  // ---- Several processes; instead of Open() and Kill() ----
  // The first call opens the database in the process that works from now on; later ones in one that waits to take over.
  void StartProcess(uint32_t flags = 0);
  // Runs `work` in the process that works, and kills that at the nth time it reaches the yield point, or in the end. True if it
  // came to the end.
  bool RunAndKill(const std::string& yield_point, uint64_t nth, const std::function<void()>& work);
  // How often the last RunAndKill() reached each yield point.
  const std::map<std::string, uint64_t>& reached() const { return reached_; }
  // Within RunAndKill(): commits the running transaction and, while its syncs are under way, one more for each of `edits` on top
  // of it, by threads of their own; those are published together.
  void CommitGroup(const std::vector<std::function<void()>>& edits);
  // The first process that lives works from now on, and finds out which of the possible states it is to build on.
  void TakeOver();
  // Within RunAndKill(): closes the database, and opens it again beside the process that waits.
  void Rejoin();
  // Within RunAndKill(): the process that waits does something meanwhile.
  void InOtherProcess(const std::function<void()>& work);

  void Begin(uint32_t flags = JOHNNY_NO_WAIT);
  void Put(const std::string& table, const std::string& key, const std::string& value, uint32_t flags = 0);
  void Delete(const std::string& table, const std::string& key);
  void CreateTable(const std::string& table);
  void ClearTable(const std::string& table);
  // Builds a tree of the entries; the table gets it in place of its own, or, without `finish`, the builder is left open.
  void BuildTable(const std::string& table, const TableContents& entries, bool finish);
  void DropTable(const std::string& table);
  void RenameTable(const std::string& table, const std::string& name);
  void CreateSnapshot(const std::string& name);  // deletes it if it is there
  void DeleteSnapshot(const std::string& name);
  void Commit(uint32_t durability = JOHNNY_DURABILITY_DEFAULT);
  void Abort();
  // What follows is done in a transaction nested in the running one. Commit() and Abort() end all of them.
  void BeginNested();
  void CommitNested();
  void AbortNested();
  // What the named snapshot holds is read and compared.
  void ReadSnapshot(const std::string& name);
  // Of the newest snapshot, without a call to the system.
  uint64_t NewestId();
  void Sync();
  void WaitDurable();  // for the newest snapshot
  // A read transaction that is held; EndReader checks that it still sees what it saw.
  void BeginReader();
  void EndReader();
  // Compares the newest snapshot with the model, and verifies.
  void CheckNow();

  // ---- For further steps ----
  // Adds a problem when `code` is not OK and no fault was to be expected, or not this one. True for OK.
  bool Expect(int code, std::string_view what);
  // What a change returned: the transaction may be beyond use.
  bool Changed(int code, std::string_view what);
  // A write transaction is running and can go on.
  bool can_change() const { return txn_ != nullptr && !txn_failed_; }
  // What the running transaction sees, if it is right.
  DatabaseContents* working() { return &working_; }

  int last_commit_code() const { return last_commit_code_; }
  bool writes_refused() const { return writes_refused_; }
  std::string RandomBytes(size_t size);
  const DatabaseContents& contents() const { return contents_; }

  const std::vector<std::string>& problems() const { return problems_; }
  void AddProblem(std::string problem) { problems_.push_back(std::move(problem)); }
  const History& history() const { return history_; }
  const Expectation& expectation() const { return expectation_; }
  // From the next call on the power may fail; Recording::from_event.
  void PowerStaysUntilNow() { power_stays_until_ = system_.events().size(); }
  // Ends the run: nothing is closed, as if the power failed now.
  Recording Finish();

 private:
  void Mark(MarkKind kind, int64_t value = 0);
  void Synced(int code, std::string_view what);
  // Whether the error is what ExpectCause() says, or can follow from it.
  bool IsCaused(int code);
  johnny_table* Table(const std::string& name, uint32_t flags);
  void TakeStateOfOpened();
  // The part of a commit before the call: returns its index, and takes the transaction.
  int BeginCommit(johnny_txn** txn);
  void CommitOfGroup();
  void SealOneMore(const std::function<void()>& edit);
  void Reached(const std::string& where, const std::string& kill_at, uint64_t nth);
  // By the thread that it died in, once that is through.
  void EndOrphan(const VirtualProcess* process);
  int FindState(const Hash128& digest, std::string* problem);
  johnny_txn* TakeOutermost();
  void DropHandles();
  void BuryProcesses();

  std::string name_;
  uint64_t seed_;
  johnny_options options_;
  SimSystem system_;
  Random random_;
  std::string real_path_;  // "": the simulated system's
  bool faults_expected_ = false;
  int cause_ = 0;  // 0: any
  std::string cause_words_;
  bool cause_seen_ = false;
  bool refusal_told_ = false;  // an error that may make the environment refuse writes, since the last Open

  johnny_env* env_ = nullptr;
  johnny_txn* txn_ = nullptr;                                    // the innermost
  std::vector<std::pair<johnny_txn*, DatabaseContents>> outer_;  // what it is nested in, with what each holds
  bool txn_failed_ = false;
  std::vector<std::unique_ptr<johnny_builder, decltype(&johnny_builder_close)>>
      builders_;  // closed long after their transactions
  std::vector<std::pair<johnny_txn*, Hash128>> readers_;
  bool writes_refused_ = false;
  bool trouble_ = false;  // an error since the last Open
  int last_commit_code_ = 0;

  DatabaseContents contents_;                 // the newest commit's
  DatabaseContents working_;                  // the running transaction's
  std::map<int, DatabaseContents> possible_;  // of the allowed commits
  History history_;
  Expectation expectation_{true};
  uint64_t largest_committed_id_ = 0;
  std::vector<std::string> problems_;
  std::vector<std::unique_ptr<VirtualProcess>> processes_;  // all dead, but for one that works and one that waits
  int started_ = 0;                                         // calls of StartProcess()
  VirtualProcess* working_process_ = nullptr;               // of RunAndKill()
  std::map<const VirtualProcess*, johnny_txn*> orphans_;    // transactions that were running when their processes died
  size_t power_stays_until_ = 0;

  // Of groups, whose threads take turns but for their ends.
  std::mutex mutex_;
  std::map<std::string, uint64_t> reached_;
  std::function<void()> while_syncing_;  // once, at the next sync
  std::atomic<size_t> ended_{0};         // threads
};

}  // namespace johnny::sim

#endif  // JOHNNY_TEST_SUPPORT_CRASH_SCRIPT_H_
