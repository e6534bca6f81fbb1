#include "space/free_space.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/guard.h"
#include "base/seeded_bug.h"
#include "base/status.h"

namespace johnny::space {
namespace {

// Growth: steps of a sixteenth of the file within these bounds, written with zeros so that later syncs find written blocks; a
// transaction that grows the file by more preallocates the rest in steps of a quarter, since it will write the blocks itself.
constexpr uint64_t kMinGrowth = kGuardPages ? 4 : 16;  // fuzzing copies files, and is to see them grow
constexpr uint64_t kMaxGrowth = 1024;
constexpr uint64_t kZeroedGrowthPerTxn = 256;
constexpr uint64_t kMaxPreallocatedGrowth = 4096;
// The meta region: about four times what lives in it, at most a sixteenth of the file but for small files.
constexpr uint64_t kMinMetaRegion = 64;
constexpr uint64_t kMetaChunk = 16;

}  // namespace

FreeSpace::FreeSpace(os::File* file, const pager::PageStore* store, FreeSpaceOptions options, PinnedSource pinned)
    : file_(file), store_(store), options_(options), pinned_(std::move(pinned)), page_size_(store->page_size()) {
  outer_.reserve(pager::FrameArena::kMaxDepth);
}

absl::Status FreeSpace::Load(const pager::View& view, const format::ChildRef& newest, TxnId txn) {
  JOHNNY_ASSIGN_OR_RETURN(LoadedLog log, LoadFreeLog(view, newest, txn, view.page_count()));
  JOHNNY_RETURN_IF_ERROR(RefreshFileSize());
  page_count_ = view.page_count();
  for (const Run& run : log.meta_region) {
    meta_region_.Add(run);
  }
  for (const PendingRun& run : log.runs) {
    if (run.death == 0) {
      AddFree(run.run);
    } else {
      AddPending(run);
    }
  }
  segments_ = std::move(log.segments);
  records_.assign(log.records.begin(), log.records.end());
  newest_record_ = newest;
  newest_record_txn_ = records_.empty() ? 0 : records_.back().txn;
  CountLogPages();
  return absl::OkStatus();
}

absl::Status FreeSpace::RefreshFileSize() {
  JOHNNY_ASSIGN_OR_RETURN(uint64_t file_size, file_->Size());
  file_pages_ = std::min(file_size >> store_->shift(), options_.limit_pages);
  return absl::OkStatus();
}

void FreeSpace::Begin(TxnId txn) {
  txn_ = txn;
  old_page_count_ = page_count_;
  taken_.Clear();
  kept_.clear();
  outer_.clear();
  freed_.clear();
  freed_pages_ = 0;
  run_pages_ = 0;
  reserved_ = 0;
  grown_pages_ = 0;
  refreshed_ = false;
}

void FreeSpace::Reach(const char* yield_point) const {
  if (options_.system != nullptr) {
    options_.system->YieldPoint(yield_point);
  }
}

// ---- The free sets ----

void FreeSpace::AddFree(Run run) {
  while (run.pages > 0) {
    PageNumber region = meta_region_.bits().NextSet(run.first);
    bool inside = region == run.first;
    PageNumber end = std::min(run.end(), inside ? meta_region_.bits().NextUnset(region) : region);
    bool added = (inside ? meta_ : data_).Add({run.first, end - run.first});
    JOHNNY_CHECK(added);
    run = {end, run.end() - end};
  }
}

// Of what is free, and of the meta region.
void FreeSpace::RemoveFrom(PageNumber end) {
  data_.RemoveFrom(end);
  meta_.RemoveFrom(end);
  meta_region_.RemoveFrom(end);
}

// Removes pages that must all be free. False, with some of them removed, if one is not.
bool FreeSpace::RemoveFree(Run run) {
  while (run.pages > 0) {
    RunSet& set = data_.Has(run.first) ? data_ : meta_;
    if (!set.Has(run.first)) {
      return false;
    }
    PageNumber end = std::min(run.end(), set.bits().NextUnset(run.first));
    set.Remove({run.first, end - run.first});
    run = {end, run.end() - end};
  }
  return true;
}

bool FreeSpace::IsFreeOrPending(Run run) const { return pending_by_place_.HasAny(run) || data_.HasAny(run) || meta_.HasAny(run); }

void FreeSpace::AddPending(const PendingRun& run) {
  unseen_pending_.push_back(run);
  bool added = pending_by_place_.Add(run);
  JOHNNY_CHECK(added);
  pending_pages_ += run.run.pages;
}

void FreeSpace::ReleasePending() {
  std::vector<TxnId> pinned = pinned_();
  if (IsSeeded(SeededBug::kReuseOneTxnEarly)) {
    for (TxnId& snapshot : pinned) {
      ++snapshot;
    }
  }
  if (IsSeeded(SeededBug::kStalePinnedSnapshot)) {
    if (stale_pinned_.empty()) {
      stale_pinned_ = pinned;
    }
    pinned = stale_pinned_;
  }
  std::vector<std::pair<TxnId, PendingRun>> waiting;
  auto look_at = [&](const PendingRun& run) {
    auto newer = std::lower_bound(pinned.begin(), pinned.end(), run.death);
    TxnId newest_older = newer == pinned.begin() ? 0 : *std::prev(newer);
    if (newer == pinned.begin() || newest_older < run.birth) {
      AddFree(run.run);
      pending_by_place_.Remove(run.run.first);
      pending_pages_ -= run.run.pages;
    } else {
      waiting.emplace_back(newest_older, run);
    }
  };
  std::for_each(unseen_pending_.begin(), unseen_pending_.end(), look_at);
  unseen_pending_.clear();
  for (auto at = pending_.begin(); at != pending_.end();) {
    if (std::binary_search(pinned.begin(), pinned.end(), at->first)) {
      ++at;
      continue;
    }
    std::for_each(at->second.begin(), at->second.end(), look_at);
    at = pending_.erase(at);
  }
  for (const auto& [snapshot, run] : waiting) {
    pending_[snapshot].push_back(run);
  }
}

void FreeSpace::RefreshOnce() {
  if (!refreshed_) {
    refreshed_ = true;
    ReleasePending();
  }
}

// ---- Room ----

uint64_t FreeSpace::Overhead() const {
  // Free-log pages: the record, two segments, and their directory.
  uint64_t runs = reserved_ + freed_.size() + TakenRuns();
  uint64_t segment = segments_.empty() ? 1 : segment_pages_ / segments_.size() + 1;
  return 4 + runs * kMaxLoggedRunBytes / page_size_ + 2 * (segment + 1);
}

absl::Status FreeSpace::Reserve(uint64_t pages, bool may_use_reserve) {
  reserved_ += pages;
  uint64_t reserve = may_use_reserve ? 0 : kDeleteReserve;
  uint64_t wanted = reserved_ + Overhead() + reserve;
  uint64_t room = free_pages() + (file_pages_ > page_count_ ? file_pages_ - page_count_ : 0);
  if (room >= wanted) {
    return absl::OkStatus();
  }
  RefreshOnce();
  room = free_pages() + (file_pages_ > page_count_ ? file_pages_ - page_count_ : 0);
  if (room >= wanted) {
    return absl::OkStatus();
  }
  absl::Status grown = Grow(wanted - room);
  if (!grown.ok()) {
    reserved_ -= pages;
  }
  return grown;
}

uint64_t FreeSpace::GrowthStep() const { return std::clamp(page_count_ / 16, kMinGrowth, kMaxGrowth); }

// Adds at least `pages` pages to the file.
absl::Status FreeSpace::Grow(uint64_t pages) {
  uint64_t old_pages = std::max(file_pages_, page_count_);
  if (old_pages + pages > options_.limit_pages) {
    return MakeStatus(options_.has_size_limit ? Code::kSizeLimit : Code::kNoMemory,
                      absl::StrCat("the database would grow past its ",
                                   options_.has_size_limit ? "size limit of " : "reserved address space of ",
                                   options_.limit_pages << store_->shift(), " bytes"));
  }
  bool preallocate = grown_pages_ + pages > kZeroedGrowthPerTxn;
  uint64_t step = preallocate ? std::clamp(old_pages / 4, kZeroedGrowthPerTxn, kMaxPreallocatedGrowth)
                              : std::min(GrowthStep(), kZeroedGrowthPerTxn);
  step = std::min(std::max(step, pages), options_.limit_pages - old_pages);
  auto grow_by = [&](uint64_t count) -> absl::Status {
    uint64_t offset = old_pages << store_->shift();
    if (preallocate || kGuardPages) {  // fuzzing has better things to do than to write zeros
      return file_->Preallocate(offset, count << store_->shift());
    }
    return file_->WriteZeros(offset, count << store_->shift());
  };
  Reach("grow");
  absl::Status status = grow_by(step);
  if (!status.ok() && CodeOf(status) == Code::kDiskFull && step > pages) {
    step = pages;
    status = grow_by(step);
  }
  if (status.ok()) {
    file_pages_ = old_pages + step;
    grown_pages_ += step;
    Reach("grown");
  }
  return status;
}

// ---- Allocation ----

bool FreeSpace::TryExtend(uint64_t pages) {
  uint64_t end = page_count_ + pages;
  if (end > file_pages_ && !Grow(end - std::max(file_pages_, page_count_)).ok()) {
    return false;
  }
  AddFree({page_count_, pages});
  page_count_ = end;
  return true;
}

// Free pages that a file with commits of so many pages should have.
uint64_t FreeSpace::SlackTarget(uint64_t commit_pages) const {
  // Relative to what is live: pages held back by a reader need no slack of their own, and would double its price.
  uint64_t used = page_count_ - free_pages() - pending_pages_;
  uint64_t ceiling = std::max<uint64_t>(used * 45 / 100, 1024);
  return std::max(used * options_.slack_percent / 100, std::min(3 * commit_pages, ceiling));
}

// Whether the file should rather grow than have its scattered free pages used up.
bool FreeSpace::WantsSlack(uint64_t pages) const { return free_pages() < SlackTarget(recent_commit_pages_) + pages; }

void FreeSpace::Took(Run run) {
  bool added = taken_.Add(run);
  JOHNNY_CHECK(added);
}

std::optional<Run> FreeSpace::TakeAny(uint64_t pages) {
  std::optional<Run> run = data_.TakeLongest(pages);
  return run ? run : meta_.TakeLongest(pages);
}

std::optional<Run> FreeSpace::TakeData(uint64_t pages) {
  if (auto run = TakeLow(pages)) {
    return run;
  }
  if (auto run = data_.TakeBestFit(pages)) {
    return run;
  }
  RefreshOnce();
  if (auto run = data_.TakeBestFit(pages)) {
    return run;
  }
  if (WantsSlack(pages) && TryExtend(pages)) {
    if (auto run = data_.TakeBestFit(pages)) {
      return run;
    }
  }
  if (auto run = data_.TakeLongest(pages)) {
    return run;
  }
  if (TryExtend(pages)) {
    return TakeAny(pages);
  }
  return TakeAny(pages);
}

void FreeSpace::AddMetaRegion(uint64_t pages) {
  uint64_t live = meta_region_.pages() - meta_.pages();
  uint64_t chunk = std::max({pages, kMetaChunk, std::min<uint64_t>(live, kMaxGrowth)});
  std::optional<Run> run = TakeLow(chunk);
  if (!run) {
    run = data_.TakeBestFit(chunk);
  }
  if (!run && TryExtend(chunk)) {
    run = data_.TakeBestFit(chunk);
  }
  if (run) {
    meta_region_.Add(*run);
    AddFree(*run);
  }
}

std::optional<Run> FreeSpace::TakeMeta(uint64_t pages) {
  TrimMetaRegion(PreferredEnd());
  if (auto run = meta_.TakeBestFit(pages)) {
    return run;
  }
  RefreshOnce();
  if (auto run = meta_.TakeBestFit(pages)) {
    return run;
  }
  uint64_t live = meta_region_.pages() - meta_.pages();
  uint64_t most = std::max(kMinMetaRegion, page_count_ / 16);
  if (meta_.empty() || meta_region_.pages() < std::min(4 * (live + pages), most)) {
    AddMetaRegion(pages);
    if (auto run = meta_.TakeBestFit(pages)) {
      return run;
    }
  }
  if (auto run = meta_.TakeLongest(pages)) {
    return run;
  }
  return TakeData(pages);
}

// Behind the pages of the group's last commit; else at the begin of a run that has room for the whole group.
std::optional<Run> FreeSpace::TakeBesideGroup(uint64_t pages, Use use) {
  RunSet& set = use == Use::kMeta ? meta_ : data_;
  PageNumber& next = group_next_[static_cast<size_t>(use)];
  Run taken = {next, pages};
  if (auto run = set.Find(next); !run || run->end() < taken.end()) {
    auto room = set.TakeBestFit(pages * group_);
    if (!room) {
      room = set.TakeLongest(pages * group_);
    }
    if (room) {
      set.Add(*room);
    }
    if (!room || room->pages < pages) {
      return std::nullopt;
    }
    taken.first = room->first;
  }
  bool removed = set.Remove(taken);
  JOHNNY_CHECK(removed);
  next = taken.end();
  return taken;
}

absl::Status FreeSpace::Allocate(uint64_t pages, Use use, std::vector<Run>* runs) {
  ReleaseIfSurplus();
  while (pages > 0) {
    std::optional<Run> run;
    if (group_ > 1) {
      run = TakeBesideGroup(pages, use);
    }
    if (!run) {
      run = use == Use::kMeta ? TakeMeta(pages) : TakeData(pages);
    }
    if (!run) {
      return MakeStatus(Code::kInternal, "free space: a reserved page is not there");
    }
    Reach("allocate");
    Took(*run);
    runs->push_back(*run);
    pages -= run->pages;
    reserved_ -= std::min(reserved_, run->pages);
  }
  return absl::OkStatus();
}

absl::StatusOr<PageNumber> FreeSpace::AllocateRun(uint64_t pages) {
  // Reserving makes sure that what frames were promised stays there beside it.
  JOHNNY_RETURN_IF_ERROR(Reserve(pages, /*may_use_reserve=*/false));
  reserved_ -= pages;
  ReleaseIfSurplus();
  std::optional<Run> run = data_.TakeBestFitBelow(pages, PreferredEnd());
  if (!run) {
    run = data_.TakeBestFit(pages);
  }
  if (!run) {
    RefreshOnce();
    run = data_.TakeBestFit(pages);
  }
  if (!run) {
    uint64_t end = page_count_ + pages;
    if (end > file_pages_) {
      JOHNNY_RETURN_IF_ERROR(Grow(end - std::max(file_pages_, page_count_)));
    }
    AddFree({page_count_, pages});
    page_count_ = end;
    run = data_.TakeBestFit(pages);
    JOHNNY_CHECK(run.has_value());
  }
  Reach("allocate run");
  Took(*run);
  run_pages_ += pages;
  return run->first;
}

absl::Status FreeSpace::Free(PageNumber first, uint64_t pages, TxnId birth) {
  if (birth == txn_ && taken_.Remove({first, pages})) {
    AddFree({first, pages});
    return absl::OkStatus();
  }
  if (birth == txn_ && KeepForOuter({first, pages})) {
    return absl::OkStatus();
  }
  if (birth >= txn_ || first + pages > old_page_count_) {
    return CorruptPage(first, absl::StrCat("a page in use says that transaction ", birth, " wrote it"));
  }
  freed_.push_back({{first, pages}, birth, txn_});
  freed_pages_ += pages;
  if (IsSeeded(SeededBug::kPageFreedTwice) && freed_.size() == 3) {
    freed_.push_back({{first, pages}, birth, txn_});
  }
  return absl::OkStatus();
}

void FreeSpace::Rollback() {
  while (!outer_.empty()) {
    AbortNested();
  }
  PageNumber end = std::min(page_count_, old_page_count_);
  RemoveFrom(end);
  taken_.RemoveFrom(end);
  if (!IsSeeded(SeededBug::kRollbackLeaksPages)) {
    taken_.ForEach([this](Run run) { AddFree(run); });
  }
  AddFree({end, old_page_count_ - end});  // what Seal() cut: all of it was free at Begin(), or nobody saw it any more
  page_count_ = old_page_count_;
  if (segments_.size() == 1 && segments_.front().pages.empty()) {
    segments_.clear();
  }
  Begin(txn_);
}

// ---- Lists ----

std::vector<Run> FreeSpace::FreeRuns() const {
  std::vector<Run> runs;
  data_.ForEach([&](Run run) { runs.push_back(run); });
  meta_.ForEach([&](Run run) { runs.push_back(run); });
  std::sort(runs.begin(), runs.end(), [](const Run& a, const Run& b) { return a.first < b.first; });
  return runs;
}

uint64_t FreeSpace::PagesWaitingFor(TxnId snapshot) const {
  uint64_t pages = 0;
  if (auto at = pending_.find(snapshot); at != pending_.end()) {
    for (const PendingRun& run : at->second) {
      pages += run.run.pages;
    }
  }
  return pages;
}

std::vector<FreeSpace::Waiting> FreeSpace::PendingRuns() const {
  std::vector<Waiting> runs;
  for (const PendingRun& run : unseen_pending_) {
    runs.push_back({run, 0});
  }
  for (const auto& [snapshot, waiting] : pending_) {
    for (const PendingRun& run : waiting) {
      runs.push_back({run, snapshot});
    }
  }
  std::sort(runs.begin(), runs.end(), [](const Waiting& a, const Waiting& b) { return a.run.run.first < b.run.run.first; });
  return runs;
}

}  // namespace johnny::space
