#include "verify/verify.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "node/branch.h"
#include "node/vet.h"
#include "pager/extent.h"
#include "verify/named.h"
#include "verify/owner_map.h"
#include "verify/page_checks.h"
#include "verify/walk.h"

namespace johnny::verify {
namespace {

using node::Header;

constexpr uint64_t kProgressEvery = 512;  // pages

Next GoOnIf(bool on) { return on ? Next::kGoOn : Next::kStop; }

bool SameTree(const format::TableRecord& a, const format::TableRecord& b) {
  return a.root.page == b.root.page && a.root.checksum == b.root.checksum && a.root.entries == b.root.entries &&
         a.level == b.level;
}

std::string Pages(uint64_t count) { return count == 1 ? "1 page" : absl::StrCat(count, " pages"); }

// Methods that return bool return false to stop.
class Verifier : public Visitor {
 public:
  Verifier(txn::Database* db, const readers::Snapshot& snapshot, space::FreeSpace* space, const Callbacks& callbacks)
      : db_(*db), callbacks_(callbacks), snapshot_(snapshot), space_(space) {}

  absl::StatusOr<Result> Check() {
    JOHNNY_RETURN_IF_ERROR(Prepare());
    JOHNNY_ASSIGN_OR_RETURN(bool loaded, LoadSpace());
    result_.stopped =
        !(Progress() && CheckMaster() && WalkSnapshot(view_, snapshot_, this) && CheckTableCount() &&
          (!loaded || (ClaimSpace() && CheckFreeLog())) && CheckNamed(loaded) && (!loaded || CheckLost()) && Progress());
    return result_;
  }

 private:
  // ---- Reports ----

  bool Report(PageNumber page, const char* table, std::string message) {
    ++result_.findings;
    return !callbacks_.on_finding || callbacks_.on_finding({page, table, std::move(message)});
  }

  bool ReportStatus(const char* table, const absl::Status& status) {
    auto [page, message] = SplitMessage(status);
    return Report(page, table, std::move(message));
  }

  bool ReportAt(const Place& place, absl::string_view message) {
    return Report(place.ref.page, place.tree->name, absl::StrCat(place.tree->name == nullptr ? "catalog: " : "", message));
  }

  bool Progress() {
    next_progress_ = owners_.claimed() + kProgressEvery;
    return !callbacks_.on_progress || callbacks_.on_progress(owners_.claimed(), owners_.pages());
  }
  bool ProgressIfDue() { return owners_.claimed() < next_progress_ || Progress(); }

  // ---- Before and after the walk ----

  absl::Status Prepare() {
    JOHNNY_ASSIGN_OR_RETURN(uint64_t file_size, db_.file->Size());
    uint64_t readable = std::min(file_size, db_.store->reserved()) >> db_.store->shift();
    PageNumber pages = std::min(snapshot_.page_count, readable);
    view_ = pager::View(db_.store.get(), pages, nullptr);
    owners_.Resize(pages);
    owners_.Claim({0, std::min(pages, format::FirstPage(db_.page_size()))}, Owner::kMasters);
    return absl::OkStatus();
  }

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
    }
    space_->ReleasePending();
    return true;
  }

  bool CheckMaster() {
    if (view_.page_count() < snapshot_.page_count &&
        !Report(0, nullptr,
                absl::StrCat("the snapshot has ", Pages(snapshot_.page_count), ", the file holds ", view_.page_count()))) {
      return false;
    }
    if (!space_damage_.ok() && !ReportStatus(nullptr, space_damage_)) {
      return false;
    }
    absl::Status why;
    for (int slot = 0; slot < 2; ++slot) {
      PageNumber page = format::kMasterSlotOffset[slot] >> db_.store->shift();
      std::vector<Byte> bytes(format::kMasterPageSize);
      if (absl::Status read = db_.file->ReadAt(format::kMasterSlotOffset[slot], bytes.data(), bytes.size()); !read.ok()) {
        return Report(page, nullptr, std::string(read.message()));
      }
      absl::StatusOr<format::MasterPage> master = format::DecodeMasterPage(bytes.data(), slot);
      if (!master.ok()) {
        why = master.status();
      } else if (master->txn == snapshot_.txn && SameMaster(*master)) {
        return true;
      } else if (master->txn >= snapshot_.txn) {
        bool is_newest = master->txn == snapshot_.txn;
        return !is_newest || Report(page, nullptr, absl::StrCat("master page ", slot, ": is not as its snapshot is in use"));
      }
    }
    return Report(0, nullptr,
                  absl::StrCat("no master page holds transaction ", snapshot_.txn, " or a newer one", why.ok() ? "" : "; ",
                               std::string(why.message())));
  }

  bool SameMaster(const format::MasterPage& master) const {
    return master.page_count == snapshot_.page_count && master.page_size == db_.page_size() &&
           master.database_id == db_.store->database_id() && master.table_count == snapshot_.table_count &&
           SameTree(master.main, snapshot_.main) && SameTree(master.catalog, snapshot_.catalog) &&
           master.free_log.page == snapshot_.free_log.page;
  }

  bool CheckTableCount() {
    return catalog_hidden_ || tables_ == snapshot_.table_count ||
           Report(0, nullptr,
                  absl::StrCat("the catalog has ", tables_, " tables, the master page counts ", snapshot_.table_count));
  }

  bool Claim(space::Run run, Owner owner, const char* table, bool* alone) {
    *alone = false;
    if (!owners_.Contains(run)) {
      return Report(run.first, table, absl::StrCat(OwnerName(owner), " lies outside the snapshot's ", Pages(owners_.pages())));
    }
    OwnerMap::Conflict conflict = owners_.Claim(run, owner);
    *alone = conflict.pages == 0;
    if (*alone) {
      return ProgressIfDue();
    }
    std::string more = conflict.pages > 1 ? absl::StrCat(", as are ", conflict.pages - 1, " more behind it") : "";
    return Report(conflict.first, table,
                  absl::StrCat("owned twice: it is ", OwnerName(conflict.owner), " and ", OwnerName(owner), more));
  }

  // ---- The walk ----

  Next BeforeTree(const Tree&) override {
    counted_ = {};
    hidden_ = false;
    return Next::kGoOn;
  }

  Next BeforePage(const Place& place) override {
    bool alone = false;
    if (!Claim({place.ref.page, 1}, Owner::kTree, place.tree->name, &alone)) {
      return Next::kStop;
    }
    if (!alone) {
      Hide();
      return Next::kSkip;
    }
    ++result_.pages_checked;
    // From the bytes, not from what is remembered of them. Resolve() then compares with the reference.
    absl::Status status = db_.store->CheckNode(place.ref.page, static_cast<int>(place.level));
    if (!status.ok()) {
      return OnDamage(place, status) == Next::kStop ? Next::kStop : Next::kSkip;
    }
    return Next::kGoOn;
  }

  Next OnDamage(const Place& place, const absl::Status& damage) override {
    Hide();
    return GoOnIf(ReportStatus(place.tree->name, damage));
  }

  void Hide() { hidden_ = any_hidden_ = true; }

  Next OnPage(const Place& place, const Byte* page) override {
    uint32_t count = Header(page)->count;
    (place.level == 0 ? counted_.leaf_pages : counted_.branch_pages) += 1;
    result_.entries_checked += place.level == 0 ? count : 0;
    tables_ += place.level == 0 && place.tree->name == nullptr ? count : 0;
    return GoOnIf(CheckPage(place, page, [this](const Place& at, absl::string_view message) { return ReportAt(at, message); }));
  }

  Next OnNamedSnapshot(const Place& place, const Byte* page, const node::LeafEntry& entry) override {
    --tables_;
    named_.push_back({std::string(format::SnapshotName(entry.key)), place.ref.page, Header(page)->birth,
                      entry.value.is_extent ? std::string() : std::string(entry.value.bytes)});
    return Next::kGoOn;
  }

  Next OnExtent(const Place& leaf, const Byte* page, const format::ExtentRef& extent) override {
    if (absl::Status bounds = pager::CheckExtentBounds(view_, extent); !bounds.ok()) {
      return OnDamage(leaf, bounds);
    }
    uint64_t pages = format::ExtentPages(extent.length, db_.page_size());
    counted_.extent_pages += pages;
    counted_.large_values += 1;
    bool alone = false;
    bool on = Claim({extent.first, pages}, Owner::kExtent, leaf.tree->name, &alone);
    if (on && extent.birth > Header(page)->birth) {
      on = Report(extent.first, leaf.tree->name,
                  absl::StrCat("large value born in transaction ", extent.birth, ", but its leaf in ", Header(page)->birth));
    }
    result_.pages_checked += pages;
    if (on && alone) {
      absl::Status sound = pager::VerifyExtent(view_, extent);
      on = sound.ok() || ReportStatus(leaf.tree->name, sound);
    }
    return GoOnIf(on);
  }

  Next AfterTree(const Tree& tree) override {
    if (tree.name == nullptr) {
      catalog_hidden_ = hidden_;
    }
    if (hidden_) {
      return Next::kGoOn;  // what could not be read cannot be counted
    }
    const format::TableRecord& record = tree.record;
    if (record.empty() && (record.root.entries != 0 || record.level != 0) &&
        !Report(0, tree.name, "the table has no pages, but its record says that it has entries or levels")) {
      return Next::kStop;
    }
    return GoOnIf(CheckFigure(tree, "branch pages", record.branch_pages, counted_.branch_pages) &&
                  CheckFigure(tree, "leaf pages", record.leaf_pages, counted_.leaf_pages) &&
                  CheckFigure(tree, "pages of large values", record.extent_pages, counted_.extent_pages) &&
                  CheckFigure(tree, "large values", record.large_values, counted_.large_values));
  }

  bool CheckFigure(const Tree& tree, const char* what, uint64_t recorded, uint64_t counted) {
    return recorded == counted || Report(0, tree.name,
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
          !Report(pending.run.first, nullptr,
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
    auto log = space::LoadFreeLog(view_, snapshot_.free_log, snapshot_.txn, view_.page_count());
    if (!log.ok()) {
      return ReportStatus(nullptr, log.status());
    }
    for (const space::PendingRun& run : log->runs) {
      for (PageNumber page = run.run.first; page < run.run.end(); ++page) {
        owners_.Mark(page);
      }
    }
    return ReportRuns("free in the free log, but not in memory",
                      [this](PageNumber page) { return owners_.IsMarked(page) && !IsUnused(page); }) &&
           ReportRuns("free in memory, but not in the free log",
                      [this](PageNumber page) { return !owners_.IsMarked(page) && IsUnused(page); });
  }

  template <typename Test>
  bool ReportRuns(absl::string_view message, Test test) {
    for (space::Run run = owners_.FindRun(0, test); run.pages > 0; run = owners_.FindRun(run.end(), test)) {
      if (!Report(run.first, nullptr, absl::StrCat(message, run.pages > 1 ? absl::StrCat(" (", run.pages, " pages)") : ""))) {
        return false;
      }
    }
    return true;
  }

  bool CheckNamed(bool space_known) {
    NamedCheck check;
    check.db = &db_;
    check.view = view_;
    check.owners = &owners_;
    check.owners_incomplete = any_hidden_ || !space_known;
    check.report = [this](PageNumber page, const char* table, std::string message) {
      return Report(page, table, std::move(message));
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
      return ReportRuns("lost: neither in use nor free nor pending", lost);
    }
    return Report(owners_.FindRun(0, lost).first, nullptr,
                  absl::StrCat(Pages(pages), " from here on cannot be accounted for behind the damage reported above"));
  }

  txn::Database& db_;
  const Callbacks& callbacks_;
  Result result_;
  readers::Snapshot snapshot_;
  std::unique_ptr<space::FreeSpace> loaded_space_;
  space::FreeSpace* space_;
  std::vector<TxnId> pinned_;
  pager::View view_;
  OwnerMap owners_;
  uint64_t next_progress_ = 0;
  absl::Status space_damage_;
  // Of the tree under way.
  format::TableRecord counted_;
  bool hidden_ = false;  // part of it could not be read
  bool any_hidden_ = false;
  bool catalog_hidden_ = false;
  uint64_t tables_ = 0;
  std::vector<NamedEntry> named_;
};

}  // namespace

absl::StatusOr<Result> Verify(txn::Database* db, const readers::Snapshot& snapshot, space::FreeSpace* space,
                              const Callbacks& callbacks) {
  return Verifier(db, snapshot, space, callbacks).Check();
}

}  // namespace johnny::verify
