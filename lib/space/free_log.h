// The free set on disk (FORMAT.md section 8): a checkpoint in segments by page range, and one record per commit.
//
// Invariants
//   1. A segment holds the state of its page range after commit `as_of`; a record holds what its commit changed. The state after
//   the
//      newest commit is every segment with the later records applied to it.
//   2. Records no younger than the oldest `as_of` are not needed; nothing is ever read back from a freed page.
//   3. Every page of the log was taken by the commit that wrote it, and is freed by the commit that drops it.
//   4. A record's page count before is the page count after of the record before it; the newest one's after is the master's.
#ifndef JOHNNY_SPACE_FREE_LOG_H_
#define JOHNNY_SPACE_FREE_LOG_H_

#include <string>
#include <vector>

#include "pager/view.h"
#include "space/page_bitmap.h"

namespace johnny::space {

// Pages that a commit freed, or that wait for a snapshot. Visible to snapshots in [birth, death).
struct PendingRun {
  Run run;
  TxnId birth = 0;
  TxnId death = 0;  // 0: reusable (in segments and loaded states only)
};

struct SegmentRef {
  PageNumber start = 0;  // the segment covers pages from here to the next segment's start
  format::ChildRef first;
  TxnId as_of = 0;
  std::vector<PageNumber> pages;  // known once read or written
};

struct LogRecord {
  TxnId txn = 0;
  PageNumber old_page_count = 0;  // pages between the two counts were added, and are free unless taken;
  PageNumber new_page_count = 0;  // or, when this one is smaller, were free and have ceased to exist
  std::vector<Run> taken;
  std::vector<PendingRun> freed;  // death == txn
  std::vector<Run> meta_region;   // the whole region, not a change
  std::vector<SegmentRef> segments;
  format::ChildRef previous;  // record before this one; page 0: none
  TxnId previous_txn = 0;
};

// With these segments, whatever those of the record are.
std::string EncodeRecord(const LogRecord& record, absl::Span<const SegmentRef> segments);
inline std::string EncodeRecord(const LogRecord& record) { return EncodeRecord(record, record.segments); }
// kCorrupt with a reason when the bytes do not parse or name pages outside the file.
absl::StatusOr<LogRecord> DecodeRecord(Slice bytes, PageNumber page);

// Encodes a segment run by run, in ascending order.
class SegmentEncoder {
 public:
  explicit SegmentEncoder(TxnId as_of) : as_of_(as_of) {}
  void Add(const PendingRun& run);
  uint64_t runs() const { return runs_; }
  std::string Finish();

 private:
  TxnId as_of_;
  uint64_t runs_ = 0;
  PageNumber at_ = 0;
  std::string body_;
  size_t chunk_used_ = 0;
  char chunk_[1024];  // what body_ gets next: appending run by run would cost more than encoding
};
std::string EncodeSegment(absl::Span<const PendingRun> runs, TxnId as_of);
absl::StatusOr<std::vector<PendingRun>> DecodeSegment(Slice bytes, TxnId as_of, PageNumber page);

// Streams: bytes over a chain of free-log pages.
size_t StreamPages(size_t bytes, uint32_t page_size);  // at least 1
// Builds the chain's pages, one after the other, in `out` (pages.size() * page_size bytes). Returns the reference to the first
// page.
format::ChildRef BuildStream(Slice bytes, format::PageType type, TxnId birth, absl::Span<const PageNumber> pages,
                             uint32_t page_size, uint64_t database_id, Byte* out);
struct Stream {
  std::string bytes;
  std::vector<PageNumber> pages;
  TxnId birth = 0;
};
absl::StatusOr<Stream> ReadStream(const pager::View& view, const format::ChildRef& first, format::PageType type);

struct StoredRecord {
  LogRecord record;
  std::vector<PageNumber> pages;
};
// The oldest as_of of the record's segments: records no younger are not needed, and their pages may hold something else.
TxnId OldestNeeded(const LogRecord& newest);
// The records that are needed and younger than `known`, newest first, and always the newest. `master_txn` and `page_count` are
// those of the master that refers to it.
absl::StatusOr<std::vector<StoredRecord>> ReadRecords(const pager::View& view, const format::ChildRef& newest, TxnId master_txn,
                                                      PageNumber page_count, TxnId known);
// Reads a segment's runs and sets its `pages`.
absl::StatusOr<std::vector<PendingRun>> ReadSegment(const pager::View& view, SegmentRef* segment);

// Everything that a master's free log says.
struct LoadedLog {
  std::vector<PendingRun> runs;  // by page; death 0: reusable
  std::vector<Run> meta_region;
  std::vector<SegmentRef> segments;
  struct Record {
    TxnId txn;
    std::vector<PageNumber> pages;
  };
  std::vector<Record> records;  // oldest first
};
// Reads and checks the whole free log.
absl::StatusOr<LoadedLog> LoadFreeLog(const pager::View& view, const format::ChildRef& newest, TxnId master_txn,
                                      PageNumber page_count);

}  // namespace johnny::space

#endif  // JOHNNY_SPACE_FREE_LOG_H_
