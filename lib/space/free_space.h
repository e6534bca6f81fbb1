// Which pages are free, pending or reusable; what a write transaction takes and frees; the policy of what it gets.
//
// Invariants
//   1. Every page below page_count() is exactly one of: in use, reusable (data or meta region), pending, or taken by the running
//      transaction.
//   2. A pending run becomes reusable only when no pinned snapshot s has birth <= s < death. Runs wait under the newest such
//   snapshot
//      and are looked at again only when that one ends, so a stalled reader costs the pages of its own snapshot, once.
//   3. Only Seal() makes page_count() smaller: by pages that are reusable, so that no pinned snapshot sees them, and once it has
//   the free log's own pages. Rollback() takes that back. The file is not cut here: that must wait until the smaller count is
//   durable.
//   4. What frames will need at commit is reserved when they are made: Allocate() after Reserve() does not fail for lack of room.
//   5. Pages that a nested transaction gives up and that one around it has taken are nobody else's before it commits, since
//   AbortNested() gives them back to that one. What the nested one has taken itself it may use again at once.
//
// Thread rules: belongs to the holder of the writer lock.
#ifndef JOHNNY_SPACE_FREE_SPACE_H_
#define JOHNNY_SPACE_FREE_SPACE_H_

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "os/os.h"
#include "space/free_log.h"
#include "space/pending_map.h"
#include "space/run_set.h"

namespace johnny::space {

enum class Use { kData, kMeta };  // leaves and large values; branches and free-log pages

// Pages that deletes may use and puts may not: enough for commits of one delete each, whose own freed pages come back two commits
// later, and for condensing the free log meanwhile.
inline constexpr uint64_t kDeleteReserve = 48;

// Bytes of one taken or freed run in a log record, at most, as file sizes and transaction ids go.
inline constexpr uint64_t kMaxLoggedRunBytes = 22;

struct FreeSpaceOptions {
  uint64_t limit_pages = 0;  // the file never grows past these
  uint32_t slack_percent = 30;
  bool has_size_limit = false;   // whether running into limit_pages is the user's limit or the address space's
  bool shrink = true;            // give back the free tail of the file
  os::System* system = nullptr;  // for its yield points; null: none
};

// A commit's part of the free log, sealed: pages to write beside the tree's.
struct SealedLog {
  format::ChildRef newest;        // for the master page; entries = pages of the whole free log
  std::vector<PageNumber> pages;  // those of the record first
  std::unique_ptr<Byte[]> bytes;  // pages.size() pages
};

class FreeSpace {
 public:
  // `pinned` returns the ids of all pinned snapshots, ascending. It is asked only when free space runs short.
  using PinnedSource = std::function<std::vector<TxnId>()>;

  FreeSpace(os::File* file, const pager::PageStore* store, FreeSpaceOptions options, PinnedSource pinned);

  // Reads the state after `txn` from its free log.
  absl::Status Load(const pager::View& view, const format::ChildRef& newest, TxnId txn);

  // Outside of a transaction: goes on from the commit that this object knows to the newest, `txn`, by the records in between.
  // `view` shows the newest master's pages. REQUIRES: `txn` is announced, and the pinned source tells what is pinned now; one
  // that still names a snapshot of the past makes this fail. False: it is not possible (the known commit was rejected, or what
  // followed it has been condensed), and only Load() of a new object helps.
  absl::StatusOr<bool> CatchUp(const pager::View& view, const format::ChildRef& newest, TxnId txn);
  // Asks for the file's size, which other processes may have changed.
  absl::Status RefreshFileSize();

  // ---- One write transaction at a time ----
  void Begin(TxnId txn);
  // Promises `pages` more pages to frames, growing the file if need be. Deletes may use a small reserve that puts may not, so
  // that a full database can be emptied. kSizeLimit, kDiskFull, kIoError.
  absl::Status Reserve(uint64_t pages, bool may_use_reserve);
  void Unreserve(uint64_t pages) { reserved_ -= pages; }
  // Pages for reserved frames, in as few runs as the free space allows.
  absl::Status Allocate(uint64_t pages, Use use, std::vector<Run>* runs);
  // Whether there is a run of so many free pages for branches: what it is not worth enlarging their region for.
  bool HasMetaRun(uint64_t pages) const { return meta_.HasRun(pages); }
  // How many commits are likely to reach the disk with the same sync as the next one: their pages are placed side by side then,
  // since a separate place costs the disk ten times what one more page does (25 us to 2 us, measured as DESIGN section 5 has it).
  void ExpectGroup(uint64_t commits) { group_ = commits; }
  // One contiguous run, not reserved before.
  absl::StatusOr<PageNumber> AllocateRun(uint64_t pages);
  // Gives up pages: those of this transaction are reusable at once, others when it has committed and nobody sees them. kCorrupt
  // when they cannot be what a sound file refers to; what only shows in comparison with all others is found by Seal().
  absl::Status Free(PageNumber first, uint64_t pages, TxnId birth);

  // ---- Nested transactions (free_space_nested.cc); the cost of each is that of what the level has changed ----
  void BeginNested();   // does not throw
  void CommitNested();  // what it has taken and freed is as if the level around it had
  void AbortNested();   // as it was at BeginNested(), but that the file may have grown and pending pages may have been released

  // Seals the transaction's changes into free-log pages. Nothing may be taken or freed afterwards. REQUIRES: no nested level.
  // kCorrupt when pages were freed that are free already. `record_page`: where the record begins, allocated with pages that it
  // is to be written beside; 0: anywhere.
  absl::StatusOr<SealedLog> Seal(PageNumber record_page = 0);
  void Commit();    // the sealed state is the newest snapshot's
  void Rollback();  // as it was at Begin()

  // ---- Figures ----
  PageNumber page_count() const { return page_count_; }
  uint64_t free_pages() const { return data_.pages() + meta_.pages(); }
  uint64_t pending_pages() const { return pending_pages_; }
  uint64_t freed_pages() const { return freed_pages_; }
  uint64_t TakenPages() const;                       // by this transaction, for pages that are or will be written
  uint64_t run_pages() const { return run_pages_; }  // given out by AllocateRun in this transaction
  bool grew() const { return grown_pages_ > 0; }
  uint64_t file_pages() const { return file_pages_; }
  // After a commit: pages at the end of the file that it can be cut by once no master that may still be needed has them, because
  // they are more than growth keeps ahead. Then FileShrunk() tells how many pages are left.
  uint64_t surplus_pages() const;
  void FileShrunk(uint64_t file_pages) { file_pages_ = std::min(file_pages, options_.limit_pages); }
  // Releases what no snapshot needs any more.
  void ReleasePending();
  std::vector<Run> FreeRuns() const;
  // `waits_for` of each run: the newest pinned snapshot that still sees it.
  struct Waiting {
    PendingRun run;
    TxnId waits_for;
  };
  std::vector<Waiting> PendingRuns() const;
  uint64_t PagesWaitingFor(TxnId snapshot) const;
  const std::vector<SegmentRef>& segments() const { return segments_; }
  const std::deque<LoadedLog::Record>& records() const { return records_; }

 private:
  void Reach(const char* yield_point) const;
  void AddFree(Run run);
  void AddPending(const PendingRun& run);
  bool RemoveFree(Run run);
  bool IsFreeOrPending(Run run) const;
  void RemoveFrom(PageNumber end);
  uint64_t TakenRuns() const;
  bool KeepForOuter(Run run);
  uint64_t Overhead() const;
  uint64_t GrowthStep() const;
  absl::Status Grow(uint64_t pages);
  bool TryExtend(uint64_t pages);
  uint64_t SlackTarget(uint64_t commit_pages) const;
  bool WantsSlack(uint64_t pages) const;
  void RefreshOnce();
  std::optional<Run> TakeData(uint64_t pages);
  std::optional<Run> TakeMeta(uint64_t pages);
  std::optional<Run> TakeBesideGroup(uint64_t pages, Use use);
  std::optional<Run> TakeAny(uint64_t pages);
  std::optional<Run> TakeLow(uint64_t pages);
  void AddMetaRegion(uint64_t pages);
  void Took(Run run);

  void NoteCommit(uint64_t pages);
  uint64_t PeakCommit() const { return std::max(peak_commit_pages_, TakenPages()); }
  uint64_t LeastTail() const;
  uint64_t FreeToKeep() const;
  PageNumber PreferredEnd() const;
  void TrimMetaRegion(PageNumber end);
  PageNumber TailStart() const;
  void ReleaseIfSurplus();
  bool LogHoldsTail();
  bool CutTail();

  bool Replay(const LogRecord& record);
  void SetMetaRegion(const std::vector<Run>& region);
  absl::StatusOr<std::vector<SegmentRef>> ReadDirectory(const pager::View& view, std::vector<SegmentRef> directory) const;

  absl::Status TakeLogPages(size_t count, std::vector<PageNumber>* pages);

  struct NewSegment;
  absl::Status CheckFreed();
  absl::StatusOr<std::vector<NewSegment>> ChooseSegments();
  bool HasRoomToCondense(const std::vector<uint64_t>& runs);
  PageNumber SegmentEnd(size_t index) const;
  uint64_t RunsIn(PageNumber start, PageNumber end) const;
  absl::Span<const PendingRun> FreedIn(PageNumber start, PageNumber end) const;
  template <typename Visitor>
  void VisitState(PageNumber start, PageNumber end, absl::Span<const PendingRun> freed, Visitor visit) const;
  void Encode(NewSegment* segment) const;
  absl::Status EncodeFitting(std::vector<NewSegment>* fresh, std::vector<PageNumber>* record_pages, LogRecord* record,
                             std::string* record_bytes);
  absl::Status DropObsoleteRecords(TxnId oldest_needed);
  LogRecord MakeRecord(const std::vector<NewSegment>& fresh) const;
  void CountLogPages();
  void NoteLogPages(absl::Span<const PageNumber> pages, uint64_t* count);

  os::File* file_;
  const pager::PageStore* store_;
  FreeSpaceOptions options_;
  PinnedSource pinned_;
  uint32_t page_size_;

  // The state.
  RunSet data_;
  RunSet meta_;
  PageSet meta_region_;                               // pages whose free runs belong to meta_
  std::vector<PendingRun> unseen_pending_;            // not looked at yet
  std::map<TxnId, std::vector<PendingRun>> pending_;  // the others, by the snapshot they wait for
  PendingMap pending_by_place_;                       // all of them
  uint64_t pending_pages_ = 0;
  PageNumber page_count_ = 0;
  uint64_t file_pages_ = 0;
  std::vector<SegmentRef> segments_;
  std::deque<LoadedLog::Record> records_;  // oldest first
  format::ChildRef newest_record_;
  TxnId newest_record_txn_ = 0;
  uint64_t record_pages_ = 0;         // of records_
  uint64_t segment_pages_ = 0;        // of segments_
  PageNumber log_end_ = 0;            // no page of either lies at or past it
  uint64_t segment_run_bytes_ = 96;   // sixteenths of a byte that a run has lately taken in a segment, and a little more
  uint64_t recent_commit_pages_ = 0;  // of the largest recent commit, decaying
  uint64_t peak_commit_pages_ = 0;    // the same, decaying slowly: over hundreds of commits
  bool last_commit_grew_ = false;     // the file
  std::vector<TxnId> stale_pinned_;   // only for SeededBug::kStalePinnedSnapshot

  // The running transaction.
  TxnId txn_ = 0;
  PageNumber old_page_count_ = 0;
  PageSet taken_;                  // by the innermost level
  std::vector<PendingRun> freed_;  // by all levels
  uint64_t freed_pages_ = 0;
  uint64_t run_pages_ = 0;
  uint64_t reserved_ = 0;
  // A run that the innermost level gave up and that level `level` had taken.
  struct Kept {
    Run run;
    size_t level;
  };
  std::vector<Kept> kept_;
  // What a nested level goes back to when it aborts.
  struct Level {
    PageSet taken;
    std::vector<Kept> kept;
    size_t freed;
    uint64_t freed_pages, run_pages, reserved;
    PageNumber page_count;
  };
  std::vector<Level> outer_;  // outermost first
  uint64_t grown_pages_ = 0;
  bool refreshed_ = false;
  // Of group commit, by Use: where the pages of the commit before end.
  uint64_t group_ = 1;
  PageNumber group_next_[2] = {};
  // Sealed but not committed.
  std::vector<SegmentRef> sealed_segments_;  // empty: as they were
  std::vector<PageNumber> sealed_record_pages_;
  TxnId sealed_oldest_needed_ = 0;
  format::ChildRef sealed_newest_;
};

}  // namespace johnny::space

#endif  // JOHNNY_SPACE_FREE_SPACE_H_
