// Reads a live database again and again in the background, so that a page that goes bad on the disk is noticed before it is
// needed, and while a backup still has it.
//
// A pass goes through the newest snapshot in key order, the free log, the master pages and the named snapshots. It is cut into
// slices of a tenth of a second or so, each with the snapshot that is newest when it begins: so no snapshot is held for long, and
// nobody waits. What is committed behind the place where the pass is, the next one sees. What the whole-file checker proves of
// pages together (that each has one owner) is not checked here.
#ifndef JOHNNY_VERIFY_SCRUB_H_
#define JOHNNY_VERIFY_SCRUB_H_

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "txn/txn.h"
#include "verify/finding.h"

namespace johnny::verify {

// Start() and Stop() must not race with each other.
class Scrubber {
 public:
  struct Options {
    uint64_t bytes_per_second = 0;                   // to read at most
    std::chrono::seconds interval{0};                // between passes; 0: one pass
    std::function<bool(const Finding&)> on_finding;  // by the scrubbing thread; false stops it
  };
  struct Progress {
    bool running = false;
    uint64_t passes = 0;    // completed
    uint64_t pages = 0;     // read, in all passes
    uint64_t findings = 0;  // reported, in all passes
  };

  explicit Scrubber(txn::Database* db) : db_(*db) {}
  ~Scrubber() { Stop(); }
  Scrubber(const Scrubber&) = delete;
  Scrubber& operator=(const Scrubber&) = delete;

  // REQUIRES: it does not run. False: the system gives us no thread.
  bool Start(Options options);
  // Waits for the slice and the callback under way.
  void Stop();
  Progress progress();

 private:
  class SliceVisitor;
  // Where in a snapshot the pass is.
  struct Position {
    std::string table;  // "" the main table
    bool catalog = true;
    bool inside = false;  // what lies before `key` is done
    std::string key;
  };

  void Run();
  // These return false when the thread is to end.
  bool Pass();
  bool ScrubSnapshot(const std::string* name);  // null: the newest
  bool ScrubNames(std::vector<std::string>* names);
  bool CheckAround();
  bool CheckMasters(TxnId snapshot);
  // One slice, which reads *pages; *done: the snapshot has no more.
  bool Slice(const txn::Txn& reader, const std::string* name, Position* position, uint64_t* pages, bool* done);
  bool NextTable(const txn::Txn& reader, Position* position, format::TableRecord* record, TxnId* birth);
  // Begins to read, waiting for a free slot. *there: false if there is no snapshot of that name (any more).
  bool Begin(const std::string* name, txn::Txn* reader, bool* there);
  bool Report(FindingKind kind, PageNumber page, const char* table, const std::string& message);
  bool Pause(std::chrono::microseconds time);
  void MarkChecked(PageNumber page);
  bool WasChecked(PageNumber page) const { return page < checked_.size() && checked_[page]; }

  txn::Database& db_;
  Options options_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;
  Progress progress_;

  // Of the pass under way.
  std::vector<bool> checked_;                              // pages
  std::set<std::pair<PageNumber, std::string>> reported_;  // upper pages are met in each slice
};

}  // namespace johnny::verify

#endif  // JOHNNY_VERIFY_SCRUB_H_
