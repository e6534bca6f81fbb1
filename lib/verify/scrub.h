// Reads a live database again and again in the background, so that a page that goes bad on the disk is noticed before it is
// needed, and while a backup still has it.
//
// A pass goes through the newest snapshot in key order, the free log, the master pages and the named snapshots. It is cut into
// slices of a tenth of a second or so, each with the snapshot that is newest when it begins: so no snapshot is held for long, and
// nobody waits. What is committed behind the place where the pass is, the next one sees. What the whole-file checker proves of
// pages together (that each has one owner) is not checked here.
//
// Bytes are read by a call of the system before they are looked at through the mapping, where an error of the disk would be a
// SIGBUS. Pages that are in the page cache are checked there.
#ifndef JOHNNY_VERIFY_SCRUB_H_
#define JOHNNY_VERIFY_SCRUB_H_

#include <atomic>
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

// Start() and Stop() must not race with each other, nor be called by the scrubbing thread.
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

  Scrubber() = default;
  ~Scrubber() { Stop(); }
  Scrubber(const Scrubber&) = delete;
  Scrubber& operator=(const Scrubber&) = delete;

  // REQUIRES: it does not run. False: the system gives us no thread.
  bool Start(txn::Database* db, Options options);
  // Waits for the page and the callback under way.
  void Stop();
  Progress progress();
  bool IsThisThread() const { return thread_id_.load(std::memory_order_relaxed) == std::this_thread::get_id(); }

 private:
  class CatalogSearch;
  class SliceVisitor;
  // Where in a snapshot the pass is.
  struct Position {
    std::string table;  // "" the main table
    bool catalog = true;
    bool inside = false;  // what lies before `key` is done
    std::string key;
    uint64_t pages = 0;  // read so far
  };

  void Run();
  // These return false when the thread is to end.
  bool Pass();
  bool ScrubSnapshot(const std::string* name);  // null: the newest
  bool ScrubNamed();
  bool CheckAround();
  bool CheckMasters(TxnId snapshot);
  // One slice; *done: the snapshot has no more.
  bool Slice(const txn::Txn& reader, const std::string* name, Position* position, bool* done);
  // Begins to read, waiting for a free slot. *there: false if there is no snapshot of that name (any more), or it cannot be read.
  bool Begin(const std::string* name, txn::Txn* reader, bool* there);
  bool Report(FindingKind kind, PageNumber page, const char* table, const std::string& message);
  // Reads bytes of the file so that they are in the page cache; false: that failed, and was reported.
  bool Prefetch(PageNumber first, uint64_t bytes, const char* table);
  bool Pause(std::chrono::microseconds time);
  bool stopping() const { return stopping_.load(std::memory_order_relaxed); }
  void MarkChecked(const format::ChildRef& ref);
  bool WasChecked(const format::ChildRef& ref) const;

  txn::Database* db_ = nullptr;
  Options options_;
  std::thread thread_;
  std::atomic<std::thread::id> thread_id_;
  std::mutex mutex_;
  std::condition_variable stop_;
  std::atomic<bool> stopping_ = false;
  Progress progress_;

  // Of the pass under way.
  std::vector<uint16_t> checked_;                          // for each page, part of the checksum that it had; 0: none
  std::set<std::pair<PageNumber, std::string>> reported_;  // upper pages are met in each slice
  std::vector<Byte> buffer_;
};

}  // namespace johnny::verify

#endif  // JOHNNY_VERIFY_SCRUB_H_
