#include "verify/named.h"

#include <algorithm>
#include <tuple>
#include <unordered_set>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "node/leaf.h"
#include "pager/extent.h"
#include "verify/page_checks.h"

namespace johnny::verify {
namespace {

using format::SnapshotRecord;
using node::Header;
using ExtentKey = std::tuple<PageNumber, uint64_t, TxnId, uint64_t>;

constexpr uint64_t kProgressEvery = 512;  // pages met or hashed

Next GoOnIf(bool on) { return on ? Next::kGoOn : Next::kStop; }

// Methods that return bool return false to stop.
class NamedVerifier : public Visitor {
 public:
  explicit NamedVerifier(const NamedCheck& check) : check_(check), owners_(*check.owners) {
    if (check_.space != nullptr && !check_.owners_incomplete) {
      pending_ = check_.space->PendingRuns();
      pinned_ = check_.pinned;
    }
  }

  bool Check(const std::vector<NamedEntry>& entries) {
    for (const NamedEntry& entry : entries) {
      if (!CheckOne(entry)) {
        return false;
      }
    }
    return damaged_ || check_.owners_incomplete || CheckUnreachable();
  }

 private:
  bool CheckOne(const NamedEntry& entry) {
    name_ = &entry.name;
    const char* reason = "its size is wrong";
    if (!format::IsSnapshotName(entry.name)) {
      reason = "its name is impossible";
    } else if (entry.value.size() == format::kSnapshotRecordSize) {
      record_ = format::LoadSnapshotRecord(entry.value.data());
      reason = format::VetSnapshotRecord(record_, entry.leaf_birth, check_.view.page_size());
    }
    if (reason != nullptr) {
      damaged_ = true;
      return Report(FindingKind::kSnapshot, entry.leaf, nullptr,
                    absl::StrCat("its record in the catalog makes no sense: ", reason));
    }
    ids_.push_back(record_.txn);
    if (!pinned_.empty() && !std::binary_search(pinned_.begin(), pinned_.end(), record_.txn) &&
        !Report(FindingKind::kSnapshot, 0, nullptr, "nothing keeps its pages from being used again")) {
      return false;
    }
    view_ = pager::View(check_.db->store.get(), std::min(record_.page_count, check_.view.page_count()), nullptr);
    extent_pages_left_ = view_.page_count();
    return WalkSnapshot(view_, {record_.txn, view_.page_count(), record_.table_count, record_.main, record_.catalog}, this);
  }

  bool Report(FindingKind kind, PageNumber page, const char* table, absl::string_view message) {
    return check_.report(kind, page, table, absl::StrCat("named snapshot '", *name_, "': ", message));
  }
  bool ReportStatus(FindingKind kind, const char* table, const absl::Status& status) {
    auto [page, message] = SplitMessage(status);
    return Report(kind, page, table, message);
  }
  bool ReportAt(const Place& place, FindingKind kind, absl::string_view message) {
    return Report(kind, place.ref.page, place.tree->name, absl::StrCat(place.tree->name == nullptr ? "catalog: " : "", message));
  }

  bool Worked(uint64_t pages) {
    worked_ += pages;
    if (worked_ < kProgressEvery) {
      return true;
    }
    worked_ = 0;
    return check_.progress();
  }

  const space::PendingRun* PendingAt(PageNumber page) const {
    auto next = std::upper_bound(pending_.begin(), pending_.end(), page,
                                 [](PageNumber number, const auto& waiting) { return number < waiting.run.run.first; });
    return next == pending_.begin() || std::prev(next)->run.run.end() <= page ? nullptr : &std::prev(next)->run;
  }

  // Why this snapshot cannot rely on a page, or nullptr.
  std::string WhyNotKept(PageNumber page, Owner in_use) const {
    Owner owner = owners_.at(page);
    if (owner == in_use || (owner == Owner::kNobody && check_.owners_incomplete)) {
      return "";
    }
    if (owner != Owner::kPending) {
      return absl::StrCat("needs a page that is ", OwnerName(owner), " now");
    }
    const space::PendingRun* run = PendingAt(page);
    if (run != nullptr && (run->birth > record_.txn || run->death <= record_.txn)) {
      return absl::StrCat("needs a page that is pending from transaction ", run->birth, " to ", run->death,
                          ", but the snapshot is of ", record_.txn);
    }
    return "";
  }

  Next Damaged(bool on) {
    damaged_ = true;
    return on ? Next::kSkip : Next::kStop;
  }

  Next BeforePage(const Place& place) override {
    PageNumber page = place.ref.page;
    if (std::string reason = WhyNotKept(page, Owner::kTree); !reason.empty()) {
      return Damaged(ReportAt(place, FindingKind::kSnapshot, reason));
    }
    bool known = owners_.at(page) == Owner::kTree || owners_.IsSeen(page);
    if (known) {  // with all below it, if this is the same version
      const format::PageHeader* header = Header(check_.db->store->page(page));
      bool same = static_cast<uint32_t>(header->checksum) == place.ref.checksum && header->level == place.level;
      return same ? Next::kSkip : Damaged(ReportAt(place, FindingKind::kSnapshot, "needs a version of the page that is gone"));
    }
    owners_.MarkSeen(page);
    ++check_.result->pages_checked;
    if (!Worked(1)) {
      return Next::kStop;
    }
    absl::Status status = check_.db->store->CheckNode(page, static_cast<int>(place.level));
    return status.ok() ? Next::kGoOn : Damaged(OnDamage(place, status) != Next::kStop);
  }

  Next OnDamage(const Place& place, const absl::Status& damage) override {
    damaged_ = true;
    return GoOnIf(ReportStatus(FindingKind::kPage, place.tree->name, damage));
  }

  Next OnPage(const Place& place, const Byte* page) override {
    check_.result->entries_checked += place.level == 0 ? Header(page)->count : 0;
    return GoOnIf(CheckPage(place, page, [this](const Place& at, FindingKind kind, absl::string_view message) {
      return ReportAt(at, kind, message);
    }));
  }

  Next OnExtent(const Place& leaf, const Byte* page, const format::ExtentRef& extent) override {
    if (absl::Status bounds = pager::CheckExtentBounds(view_, extent); !bounds.ok()) {
      return OnDamage(leaf, bounds);
    }
    uint64_t pages = format::ExtentPages(extent.length, view_.page_size());
    if (pages > extent_pages_left_) {
      return OnDamage(leaf, CorruptPage(extent.first, "large values overlap"));
    }
    extent_pages_left_ -= pages;
    const char* table = leaf.tree->name;
    if (extent.birth > Header(page)->birth &&
        !Report(FindingKind::kBirth, extent.first, table,
                absl::StrCat("large value born in transaction ", extent.birth, ", but its leaf in ", Header(page)->birth))) {
      return Next::kStop;
    }
    for (PageNumber at = extent.first; at < extent.first + pages; ++at) {
      if (std::string reason = WhyNotKept(at, Owner::kExtent); !reason.empty()) {
        damaged_ = true;
        return GoOnIf(Report(FindingKind::kSnapshot, at, table, reason));
      }
      owners_.MarkSeen(at);
      if (!Worked(1)) {
        return Next::kStop;
      }
    }
    if (!verified_.emplace(extent.first, extent.length, extent.birth, extent.checksum).second) {
      return Next::kGoOn;
    }
    check_.result->pages_checked += pages;
    bool on = true;
    absl::Status sound = pager::VerifyExtent(view_, extent, [&](uint64_t hashed) { return on = Worked(hashed); });
    damaged_ |= !sound.ok();
    return GoOnIf(on && (sound.ok() || ReportStatus(FindingKind::kValue, table, sound)));
  }

  // ---- After all of them ----

  bool IsFreeLogPage(PageNumber page) const {
    const format::PageHeader* header = Header(check_.db->store->page(page));
    auto type = static_cast<format::PageType>(header->type);
    return header->page() == page && (type == format::PageType::kFreeLogRecord || type == format::PageType::kFreeLogSegment);
  }

  bool CheckUnreachable() {
    std::sort(ids_.begin(), ids_.end());
    for (const auto& [pending, waits_for] : pending_) {
      auto id = std::lower_bound(ids_.begin(), ids_.end(), pending.birth);
      if (id == ids_.end() || *id >= pending.death) {
        continue;
      }
      auto first = pending.run.first;
      auto end = std::min(pending.run.end(), owners_.pages());
      auto unreachable = [this](PageNumber page) { return !owners_.IsSeen(page) && !IsFreeLogPage(page); };
      for (PageNumber page = first; page < end; ++page) {
        if (!Worked(1)) {
          return false;
        }
        if (unreachable(page) &&
            !check_.report(FindingKind::kSnapshot, page, nullptr,
                           absl::StrCat("kept for a named snapshot of transaction ", *id, ", which does not refer to it"))) {
          return false;
        }
      }
    }
    return true;
  }

  const NamedCheck& check_;
  OwnerMap& owners_;
  std::vector<space::FreeSpace::Waiting> pending_;  // by place
  std::vector<TxnId> pinned_;
  std::vector<TxnId> ids_;                                         // of those checked so far
  std::unordered_set<ExtentKey, absl::Hash<ExtentKey>> verified_;  // large values
  bool damaged_ = false;
  uint64_t worked_ = 0;  // pages since the last call for progress
  // The one under way.
  const std::string* name_ = nullptr;
  SnapshotRecord record_;
  pager::View view_;
  uint64_t extent_pages_left_ = 0;
};

}  // namespace

bool CheckNamedSnapshots(const NamedCheck& check, const std::vector<NamedEntry>& entries) {
  return entries.empty() || NamedVerifier(check).Check(entries);
}

}  // namespace johnny::verify
