// Giving back the free tail of the file.
//
// Hysteresis: growing costs dearly (DESIGN section 4), so a file in steady use must not shrink only to grow again. It grows when
// a commit finds less free than the slack target. So what is cut leaves more than that, counted for the largest commit of the
// last few hundred, and is a sixteenth of the file at least.
#include <algorithm>

#include "base/check.h"
#include "space/free_space.h"

namespace johnny::space {
namespace {

constexpr uint64_t kLeastTail = 256;
constexpr uint64_t kTailFraction = 16;
constexpr uint64_t kLeastSurplus = 64;  // of the file, worth a call to cut it

}  // namespace

void FreeSpace::NoteCommit(uint64_t pages) {
  recent_commit_pages_ = std::max(pages, recent_commit_pages_ - recent_commit_pages_ / 8);
  peak_commit_pages_ = std::max(pages, peak_commit_pages_ - (peak_commit_pages_ + 63) / 64);
}

uint64_t FreeSpace::LeastTail() const { return std::max(kLeastTail, page_count_ / kTailFraction); }

// What a cut leaves free: the slack, what the next commits take before their predecessors' pages come back, and what reservations
// want beside it.
uint64_t FreeSpace::FreeToKeep() const {
  uint64_t slack = SlackTarget(PeakCommit());
  return slack + std::min(slack, 2 * PeakCommit()) + 2 * kDeleteReserve + Overhead();
}

// With much more free than the slack, pages are placed as if the database ended here, where it would have twice the slack: room
// for runs as long as usual (DESIGN section 5), and what lies behind falls free as it is rewritten or deleted. Else
// kMaxPageNumber.
PageNumber FreeSpace::PreferredEnd() const {
  uint64_t keep = std::max(2 * SlackTarget(PeakCommit()), FreeToKeep());
  uint64_t free = free_pages();
  return options_.shrink && free >= keep + LeastTail() ? page_count_ - (free - keep) : format::kMaxPageNumber;
}

// Data pages below PreferredEnd(), when that matters.
std::optional<Run> FreeSpace::TakeLow(uint64_t pages) {
  PageNumber end = PreferredEnd();
  if (end == format::kMaxPageNumber) {
    return std::nullopt;
  }
  std::optional<Run> run = data_.TakeBestFitBelow(pages, end);
  return run ? run : data_.TakeLongestBelow(pages, end);
}

// The meta region gives up what lies past `end`, so that branches and the free log move down, too.
void FreeSpace::TrimMetaRegion(PageNumber end) {
  if (meta_region_.bits().NextSet(end) == PageBitmap::kNone) {
    return;
  }
  std::vector<Run> runs;
  meta_.ForEachIn(end, format::kMaxPageNumber, [&](Run run) {
    PageNumber first = std::max(run.first, end);
    runs.push_back({first, run.end() - first});
  });
  meta_region_.RemoveFrom(end);
  meta_.RemoveFrom(end);
  for (const Run& run : runs) {
    AddFree(run);
  }
}

// Where the free pages at the end of the database begin.
PageNumber FreeSpace::TailStart() const {
  PageNumber start = page_count_;
  while (data_.Has(start - 1) || meta_.Has(start - 1)) {
    start = (data_.Has(start - 1) ? data_ : meta_).bits().RunBegin(start - 1);
  }
  return start;
}

// Pending pages are looked at when room runs short, or here when they would make the database much larger than it need be.
void FreeSpace::ReleaseIfSurplus() {
  if (options_.shrink && pending_pages_ > 0 && free_pages() + pending_pages_ >= FreeToKeep() + LeastTail()) {
    RefreshOnce();
  }
}

// Whether pages of the free log keep what lies behind them from being given back. They move only when it is condensed.
bool FreeSpace::LogHoldsTail() {
  PageNumber end = PreferredEnd();
  if (log_end_ > end) {
    CountLogPages();  // it may have been lower for long
  }
  return log_end_ > end;
}

// Makes page_count() smaller if there is more free at the end than is worth keeping.
bool FreeSpace::CutTail() {
  uint64_t free = free_pages();
  uint64_t keep = FreeToKeep();
  if (!options_.shrink || grown_pages_ > 0 || page_count_ > old_page_count_ || free < keep + LeastTail()) {
    return false;
  }
  uint64_t tail = std::min(page_count_ - TailStart(), free - keep);
  if (tail < LeastTail()) {
    return false;
  }
  page_count_ -= tail;  // first, so that Rollback() knows, should memory run out
  RemoveFrom(page_count_);
  return true;
}

uint64_t FreeSpace::surplus_pages() const {
  // What the next transaction will reserve beside its pages would be grown again at once.
  uint64_t soon = kDeleteReserve + Overhead() + recent_commit_pages_;
  uint64_t ahead = GrowthStep() + (soon > free_pages() ? soon - free_pages() : 0);
  uint64_t behind = file_pages_ > page_count_ ? file_pages_ - page_count_ : 0;
  // A commit that grew the file is likely followed by others that do: what it has not used is theirs.
  bool wanted = !options_.shrink || last_commit_grew_ || behind < ahead + std::max(GrowthStep(), kLeastSurplus);
  return wanted ? 0 : behind - ahead;
}

}  // namespace johnny::space
