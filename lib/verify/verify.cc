#include "verify/verify.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "node/branch.h"
#include "node/vet.h"
#include "pager/extent.h"
#include "verify/named.h"
#include "verify/owner_map.h"
#include "verify/tree_checker.h"
#include "verify/workers.h"

namespace johnny::verify {
namespace {

using node::Header;

constexpr uint64_t kProgressEvery = 512;   // pages claimed or hashed
constexpr uint32_t kLevelsWalkedHere = 2;  // of a large tree; what is below goes to other threads
constexpr int kMasterTries = 10;           // in a second; a writer in another process may be at a master page while it is read

Next GoOnIf(bool on) { return on ? Next::kGoOn : Next::kStop; }

bool SameTree(const format::TableRecord& a, const format::TableRecord& b) {
  return a.root.page == b.root.page && a.root.checksum == b.root.checksum && a.root.entries == b.root.entries &&
         a.level == b.level;
}

// Methods that return bool return false to stop.
class Verifier : public TreeChecker {
 public:
  // `owners` knows the pages of `view`, which are those of the snapshot that the file holds.
  Verifier(txn::Database* db, const readers::Snapshot& snapshot, space::FreeSpace* space, size_t threads,
           const Callbacks& callbacks, const pager::View& view, OwnerMap* owners)
      : TreeChecker(view, owners),
        db_(*db),
        callbacks_(callbacks),
        snapshot_(snapshot),
        space_(space),
        owners_(*owners),
        workers_(view, owners, threads,
                 {[this](const Finding& finding) { return Deliver(finding); }, [this] { return Progress(); }}) {}

  absl::StatusOr<Result> Check() {
    JOHNNY_ASSIGN_OR_RETURN(bool loaded, LoadSpace());
    result_.stopped =
        !(Progress() && CheckMaster() && WalkSnapshot(view(), snapshot_, this) && CheckTableCount() &&
          (!loaded || (ClaimSpace() && CheckFreeLog())) && CheckNamed(loaded) && (!loaded || CheckLost()) && Progress());
    JOHNNY_RETURN_IF_ERROR(unreadable_);
    return result_;
  }

 private:
  // ---- Reports ----

  bool Deliver(const Finding& finding) {
    ++result_.findings;
    return !callbacks_.on_finding || callbacks_.on_finding(finding);
  }

  bool Report(FindingKind kind, PageNumber page, const char* table, std::string message) override {
    return Deliver({kind, page, table, std::move(message)});
  }

  bool Progress() {
    worked_ = 0;
    return !callbacks_.on_progress || callbacks_.on_progress(owners_.done(), owners_.pages());
  }
  bool Worked(uint64_t pages) override {
    worked_ += pages;
    return worked_ < kProgressEvery || Progress();
  }

  // ---- Before and after the walk ----

  // False: the free log is damaged (which is reported), so nothing is known of the free space.
  absl::StatusOr<bool> LoadSpace() {
    if (space_ == nullptr) {
      auto loaded = db_.LoadSpaceOf(snapshot_, &pinned_);
      if (CodeOf(loaded.status()) == Code::kCorrupt) {
        space_damage_ = loaded.status();
        return false;
      }
      JOHNNY_RETURN_IF_ERROR(loaded.status());
      loaded_space_ = *std::move(loaded);
      space_ = loaded_space_.get();
    } else {
      pinned_ = db_.Pinned();
      db_.ReleasePending();
    }
    return true;
  }

  bool CheckMaster() {
    if (view().page_count() < snapshot_.page_count &&
        !Report(FindingKind::kFile, 0, nullptr,
                absl::StrCat("the snapshot has ", Pages(snapshot_.page_count), ", the file holds ", view().page_count()))) {
      return false;
    }
    if (!space_damage_.ok() && !ReportStatus(FindingKind::kFreeLog, nullptr, space_damage_)) {
      return false;
    }
    for (int i = 1;; ++i) {
      auto wrong = FindWrongMaster();
      if (!wrong.ok()) {
        unreadable_ = wrong.status();  // the system's error says nothing of what is in the file
        return false;
      }
      if (!wrong->has_value()) {
        return true;
      }
      if (i == kMasterTries || db_.writer.HeldByThisThread()) {
        return Deliver(**wrong);
      }
      db_.system->Sleep(uint32_t{1} << i);
      if (!Progress()) {
        return false;
      }
    }
  }

  absl::StatusOr<std::optional<Finding>> FindWrongMaster() const {
    absl::Status why;
    for (int slot = 0; slot < 2; ++slot) {
      PageNumber page = format::kMasterSlotOffset[slot] >> db_.store->shift();
      std::vector<Byte> bytes(format::kMasterPageSize);
      JOHNNY_RETURN_IF_ERROR(db_.file->ReadAt(format::kMasterSlotOffset[slot], bytes.data(), bytes.size()));
      absl::StatusOr<format::MasterPage> master = format::DecodeMasterPage(bytes.data(), slot);
      if (!master.ok()) {
        why = master.status();
      } else if (master->txn > snapshot_.txn || (master->txn == snapshot_.txn && SameMaster(*master))) {
        return std::nullopt;
      } else if (master->txn == snapshot_.txn) {
        return Finding{FindingKind::kMaster, page, nullptr,
                       absl::StrCat("master page ", slot, ": is not as its snapshot is in use")};
      }
    }
    // Of a commit of unknown outcome, half a master page may have been written over that of a lazy one. Who opens next finds out.
    if (db_.writes_refused()) {
      return std::nullopt;
    }
    return Finding{FindingKind::kMaster, 0, nullptr,
                   absl::StrCat("no master page holds transaction ", snapshot_.txn, " or a newer one", why.ok() ? "" : "; ",
                                std::string(why.message()))};
  }

  bool SameMaster(const format::MasterPage& master) const {
    return master.page_count == snapshot_.page_count && master.page_size == db_.page_size() &&
           master.database_id == db_.store->database_id() && master.table_count == snapshot_.table_count &&
           SameTree(master.main, snapshot_.main) && SameTree(master.catalog, snapshot_.catalog) &&
           master.free_log.page == snapshot_.free_log.page;
  }

  bool CheckTableCount() {
    return catalog_hidden_ || tables_ == snapshot_.table_count ||
           Report(FindingKind::kCount, 0, nullptr,
                  absl::StrCat("the catalog has ", tables_, " tables, the master page counts ", snapshot_.table_count));
  }

  // ---- The walk ----

  Next BeforeTree(const Tree&) override {
    Take();
    return Next::kGoOn;
  }

  Next BeforePage(const Place& place) override {
    uint32_t height = place.tree->record.level;
    bool large = place.tree->name != nullptr && height >= kLevelsWalkedHere;
    if (large && place.level == std::max(height - kLevelsWalkedHere, 1u) && workers_.Start()) {
      return workers_.Push(place) ? Next::kSkip : Next::kStop;
    }
    return TreeChecker::BeforePage(place);
  }

  Next OnNamedSnapshot(const Place& place, const Byte* page, const node::LeafEntry& entry) override {
    named_.push_back({std::string(format::SnapshotName(entry.key)), place.ref.page, Header(page)->birth,
                      entry.value.is_extent ? std::string() : std::string(entry.value.bytes)});
    return Next::kGoOn;
  }

  Next AfterTree(const Tree& tree) override {
    Totals met = Take();
    if (tree.name == nullptr) {
      catalog_hidden_ = met.hidden;
      tables_ = met.entries - named_.size();
    } else if (!workers_.Drain(&met)) {
      return Next::kStop;
    }
    result_.pages_checked += met.pages;
    result_.entries_checked += met.entries;
    any_hidden_ |= met.hidden;
    if (met.hidden) {
      return Next::kGoOn;  // what could not be read cannot be counted
    }
    const format::TableRecord& record = tree.record;
    if (record.empty() && (record.root.entries != 0 || record.level != 0) &&
        !Report(FindingKind::kCount, 0, tree.name, "the table has no pages, but its record says that it has entries or levels")) {
      return Next::kStop;
    }
    return GoOnIf(CheckFigure(tree, "branch pages", record.branch_pages, met.counted.branch_pages) &&
                  CheckFigure(tree, "leaf pages", record.leaf_pages, met.counted.leaf_pages) &&
                  CheckFigure(tree, "pages of large values", record.extent_pages, met.counted.extent_pages) &&
                  CheckFigure(tree, "large values", record.large_values, met.counted.large_values));
  }

  bool CheckFigure(const Tree& tree, const char* what, uint64_t recorded, uint64_t counted) {
    return recorded == counted || Report(FindingKind::kCount, 0, tree.name,
                                         absl::StrCat(tree.name == nullptr ? "catalog: " : "", "its record says ", recorded, " ",
                                                      what, ", there are ", counted));
  }

  // ---- Free space ----

  bool ClaimSpace() {
    bool alone = false;
    for (const space::Run& run : space_->FreeRuns()) {
      if (!Claim(run, Owner::kFree, nullptr, &alone)) {
        return false;
      }
    }
    for (const auto& [pending, waits_for] : space_->PendingRuns()) {
      if (!Claim(pending.run, Owner::kPending, nullptr, &alone)) {
        return false;
      }
      if ((pending.birth >= pending.death || pending.death > snapshot_.txn) &&
          !Report(FindingKind::kFreeLog, pending.run.first, nullptr,
                  absl::StrCat("pending, but born in transaction ", pending.birth, " and freed in ", pending.death))) {
        return false;
      }
    }
    for (const auto& record : space_->records()) {
      if (!ClaimLogPages(record.pages)) {
        return false;
      }
    }
    for (const auto& segment : space_->segments()) {
      if (!ClaimLogPages(segment.pages)) {
        return false;
      }
    }
    return true;
  }

  bool ClaimLogPages(const std::vector<PageNumber>& pages) {
    bool alone = false;
    result_.pages_checked += pages.size();
    return std::all_of(pages.begin(), pages.end(), [&](PageNumber page) {
      return Claim({page, 1}, Owner::kFreeLog, nullptr, &alone);
    });
  }

  bool IsUnused(PageNumber page) const { return owners_.at(page) == Owner::kFree || owners_.at(page) == Owner::kPending; }

  // What the file says of the free space must be what the writer goes by.
  bool CheckFreeLog() {
    auto log = space::LoadFreeLog(view(), snapshot_.free_log, snapshot_.txn, view().page_count());
    if (!log.ok()) {
      return ReportStatus(FindingKind::kFreeLog, nullptr, log.status());
    }
    for (const space::PendingRun& run : log->runs) {
      for (PageNumber page = run.run.first; page < run.run.end(); ++page) {
        owners_.Mark(page);
      }
    }
    return ReportRuns(FindingKind::kFreeLog, "free in the free log, but not in memory",
                      [this](PageNumber page) { return owners_.IsMarked(page) && !IsUnused(page); }) &&
           ReportRuns(FindingKind::kFreeLog, "free in memory, but not in the free log",
                      [this](PageNumber page) { return !owners_.IsMarked(page) && IsUnused(page); });
  }

  template <typename Test>
  bool ReportRuns(FindingKind kind, absl::string_view message, Test test) {
    for (space::Run run = owners_.FindRun(0, test); run.pages > 0; run = owners_.FindRun(run.end(), test)) {
      if (!Report(kind, run.first, nullptr,
                  absl::StrCat(message, run.pages > 1 ? absl::StrCat(" (", run.pages, " pages)") : ""))) {
        return false;
      }
    }
    return true;
  }

  bool CheckNamed(bool space_known) {
    NamedCheck check;
    check.db = &db_;
    check.view = view();
    check.owners = &owners_;
    check.owners_incomplete = any_hidden_ || !space_known;
    check.report = [this](FindingKind kind, PageNumber page, const char* table, std::string message) {
      return Report(kind, page, table, std::move(message));
    };
    check.progress = [this] { return Progress(); };
    check.result = &result_;
    check.space = space_;
    check.pinned = pinned_;
    return CheckNamedSnapshots(check, named_);
  }

  bool CheckLost() {
    auto lost = [this](PageNumber page) { return owners_.at(page) == Owner::kNobody; };
    uint64_t pages = owners_.pages() - owners_.claimed();
    if (!any_hidden_ || pages == 0) {
      return ReportRuns(FindingKind::kLost, "lost: neither in use nor free nor pending", lost);
    }
    return Report(FindingKind::kLost, owners_.FindRun(0, lost).first, nullptr,
                  absl::StrCat(Pages(pages), " from here on cannot be accounted for behind the damage reported above"));
  }

  txn::Database& db_;
  const Callbacks& callbacks_;
  Result result_;
  readers::Snapshot snapshot_;
  std::unique_ptr<space::FreeSpace> loaded_space_;
  space::FreeSpace* space_;
  std::vector<TxnId> pinned_;
  OwnerMap& owners_;
  uint64_t worked_ = 0;  // since the last call for progress
  absl::Status space_damage_;
  absl::Status unreadable_;
  bool any_hidden_ = false;
  bool catalog_hidden_ = false;
  uint64_t tables_ = 0;
  std::vector<NamedEntry> named_;
  Workers workers_;  // last: its threads end before anything goes
};

}  // namespace

absl::StatusOr<Result> Verify(txn::Database* db, const readers::Snapshot& snapshot, space::FreeSpace* space, size_t threads,
                              const Callbacks& callbacks) {
  JOHNNY_ASSIGN_OR_RETURN(uint64_t file_size, db->file->Size());
  uint64_t readable = std::min(file_size, db->store->reserved()) >> db->store->shift();
  PageNumber pages = std::min(snapshot.page_count, readable);
  OwnerMap owners;
  owners.Resize(pages);
  owners.Claim({0, std::min(pages, format::FirstPage(db->page_size()))}, Owner::kMasters);
  owners.AddDone(owners.claimed());
  pager::View view(db->store.get(), pages, nullptr);
  return Verifier(db, snapshot, space, threads, callbacks, view, &owners).Check();
}

}  // namespace johnny::verify
