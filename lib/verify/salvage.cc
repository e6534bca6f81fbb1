#include "verify/salvage.h"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "env/env.h"
#include "format/snapshot_record.h"
#include "node/branch.h"
#include "pager/extent.h"
#include "verify/page_checks.h"
#include "verify/walk.h"

namespace johnny::verify {
namespace {

using format::MasterPage;
using node::Header;

// The keys below an orphan, and whether they may be those of a catalog.
class RangeOf : public Visitor {
 public:
  // `seen`: pages below other orphans, which are none of this one's in a sound file.
  RangeOf(PageNumber pages, uint32_t page_size, std::vector<bool>* seen) : pages_(pages), page_size_(page_size), seen_(*seen) {}

  Next BeforePage(const Place& place) override {
    if (seen_[place.ref.page]) {
      return Next::kSkip;
    }
    seen_[place.ref.page] = true;
    return Next::kGoOn;
  }
  Next OnPage(const Place& place, const Byte* page) override {
    if (place.level > 0) {
      return Next::kGoOn;
    }
    for (uint32_t i = 0; i < Header(page)->count; ++i) {
      node::LeafEntry entry = node::GetLeafEntry(page, i);
      if (!first) {
        first = std::string(entry.key);
      }
      last = std::string(entry.key);
      is_catalog &= MayBeOfCatalog(entry);
    }
    return Next::kGoOn;
  }
  Next OnExtent(const Place&, const Byte*, const format::ExtentRef&) override { return Next::kGoOn; }
  Next OnDamage(const Place&, const absl::Status&) override { return Next::kGoOn; }

  std::optional<std::string> first;
  std::string last;
  bool is_catalog = true;

 private:
  bool MayBeOfCatalog(const node::LeafEntry& entry) const {
    if (entry.value.is_extent || format::IsSnapshotKey(entry.key)) {
      return !entry.value.is_extent;
    }
    if (entry.key.empty() || entry.key.find('\0') != Slice::npos || entry.value.bytes.size() != format::kTableRecordSize) {
      return false;
    }
    format::TableRecord record = format::LoadTableRecord(entry.value.bytes.data());
    return record.empty() ? record.level == 0 && record.root.entries == 0
                          : record.level <= format::kMaxLevel && record.root.page >= format::FirstPage(page_size_) &&
                                record.root.page < pages_;
  }

  const PageNumber pages_;
  const uint32_t page_size_;
  std::vector<bool>& seen_;
};

class Salvager : public Visitor {
 public:
  Salvager(txn::Database* db, const MasterPage& master, PageNumber pages, Rescuer* rescuer)
      : db_(*db), master_(master), rescuer_(*rescuer), view_(db->store.get(), pages, nullptr), reached_(pages) {}

  absl::Status Run() {
    if (view_.page_count() < master_.page_count) {
      AddLoss(
          {{}, 0, {}, {}, 0, absl::StrCat("the file is cut short: ", view_.page_count(), " of ", master_.page_count, " pages")});
    }
    WalkSnapshot(view_, txn::SnapshotOf(master_), this);
    JOHNNY_RETURN_IF_ERROR(status_);
    if (!lost_branches_.empty()) {
      JOHNNY_RETURN_IF_ERROR(FindOrphans());
    }
    for (Lost& lost : lost_) {
      lost.loss.entries -= std::min(lost.loss.entries, lost.found);
      JOHNNY_RETURN_IF_ERROR(rescuer_.OnLoss(lost.loss));
    }
    return absl::OkStatus();
  }

 private:
  // A reference behind which nothing could be read.
  struct Lost {
    Loss loss;
    uint32_t level = 0;  // of the page
    bool in_catalog = false;
    uint64_t found = 0;  // entries
  };
  struct Orphan {
    PageNumber page;
    TxnId birth;
    uint32_t level;
    uint32_t checksum;
    // Of the entries below it.
    bool has_entries = false;
    bool is_catalog = false;
    std::string first = {}, last = {};
  };

  void AddLoss(Loss loss) { lost_.push_back({std::move(loss)}); }

  Next Ended(absl::Status status) {
    status_ = std::move(status);
    return status_.ok() ? Next::kGoOn : Next::kStop;
  }

  // ---- The walk ----

  Next BeforeTree(const Tree& tree) override {
    if (tree.name == nullptr || *tree.name == '\0' || into_) {
      return Next::kGoOn;
    }
    names_.insert(tree.name);
    return Ended(rescuer_.OnTable(tree.name));
  }

  Next BeforePage(const Place& place) override {
    if (reached_[place.ref.page]) {
      OnDamage(place, CorruptPage(place.ref.page, "referred to twice"));
      return Next::kSkip;
    }
    return Next::kGoOn;
  }

  Next OnDamage(const Place& place, const absl::Status& damage) override {
    auto [page, message] = SplitMessage(damage);
    Lost& lost = lost_.emplace_back();
    lost.in_catalog = place.tree->name == nullptr;
    lost.level = place.level;
    lost.loss = {{}, page, {}, {}, place.ref.entries, std::move(message)};
    if (lost.in_catalog) {
      lost.loss.message = absl::StrCat("catalog: ", lost.loss.message);
    } else {
      lost.loss.table = TableOf(place);
    }
    if (lost.level > 0 || lost.in_catalog) {
      lost_branches_.push_back(lost_.size() - 1);
    }
    if (place.lower != nullptr) {
      lost.loss.from = *place.lower;
    }
    if (place.upper != nullptr) {
      lost.loss.to = *place.upper;
    }
    return Next::kGoOn;
  }

  std::string TableOf(const Place& place) const { return into_ ? *into_ : place.tree->name; }

  Next OnPage(const Place& place, const Byte* page) override {
    reached_[place.ref.page] = true;
    if (place.level > 0 || place.tree->name == nullptr) {
      return Next::kGoOn;
    }
    std::string table = TableOf(place);
    for (uint32_t i = 0; i < Header(page)->count; ++i) {
      node::LeafEntry entry = node::GetLeafEntry(page, i);
      absl::StatusOr<Slice> value = entry.value.bytes;
      if (entry.value.is_extent) {
        value = LargeValue(format::LoadExtentRef(entry.value.bytes.data()));
      }
      if (!value.ok()) {
        auto [at, message] = SplitMessage(value.status());
        std::string key(entry.key);
        AddLoss({table, at, key, key + '\0', 1, std::move(message)});
      } else if (Next next = Ended(rescuer_.OnEntry(table, entry.key, *value)); next != Next::kGoOn) {
        return next;
      } else {
        ++found_;
      }
    }
    return Next::kGoOn;
  }

  absl::StatusOr<Slice> LargeValue(const format::ExtentRef& extent) {
    JOHNNY_RETURN_IF_ERROR(pager::CheckExtentBounds(view_, extent));
    uint64_t pages = format::ExtentPages(extent.length, db_.page_size());
    std::fill_n(reached_.begin() + static_cast<ptrdiff_t>(extent.first), pages, true);
    return pager::ReadExtent(view_, extent);
  }

  Next OnExtent(const Place&, const Byte*, const format::ExtentRef&) override { return Next::kGoOn; }

  Next OnNamedSnapshot(const Place&, const Byte*, const node::LeafEntry& entry) override {
    AddLoss({{},
             0,
             {},
             {},
             0,
             absl::StrCat("the named snapshot \"", std::string(format::SnapshotName(entry.key)), "\" is not carried over")});
    return Next::kGoOn;
  }

  // ---- Orphans ----

  absl::Status FindOrphans() {
    MarkFreePages();
    std::vector<Orphan> orphans;
    std::vector<bool> has_parent(reached_.size());
    std::map<PageNumber, uint32_t> children;  // with the checksums that their parents mean
    for (PageNumber page = format::FirstPage(db_.page_size()); page < reached_.size(); ++page) {
      const format::PageHeader* header = Header(db_.store->page(page));
      if (reached_[page] || !db_.store->CheckNode(page, -1).ok() || header->birth > master_.txn) {
        continue;
      }
      orphans.push_back({page, header->birth, header->level, static_cast<uint32_t>(header->checksum)});
      for (uint32_t i = 0; header->level > 0 && i < header->count; ++i) {
        format::ChildRef child = node::GetChild(db_.store->page(page), i);
        children[child.page] = child.checksum;
      }
    }
    auto below_another = [&](const Orphan& orphan) {
      auto child = children.find(orphan.page);
      return child != children.end() && child->second == orphan.checksum;
    };
    orphans.erase(std::remove_if(orphans.begin(), orphans.end(), below_another), orphans.end());
    // The older first, so that the newest version of an entry is what stays. Catalogs before what they lead to.
    std::sort(orphans.begin(), orphans.end(), [](const Orphan& a, const Orphan& b) { return a.birth < b.birth; });
    std::vector<bool> seen(reached_);
    for (Orphan& orphan : orphans) {
      RangeOf range(view_.page_count(), db_.page_size(), &seen);
      WalkTree(view_, {"", RecordOf(orphan), master_.txn}, &range);
      orphan.has_entries = range.first.has_value();
      orphan.is_catalog = range.is_catalog;
      orphan.first = range.first.value_or("");
      orphan.last = std::move(range.last);
    }
    for (bool catalogs : {true, false}) {
      for (const Orphan& orphan : orphans) {
        if (orphan.has_entries && !reached_[orphan.page]) {
          JOHNNY_RETURN_IF_ERROR(Take(orphan, catalogs));
        }
      }
    }
    return absl::OkStatus();
  }

  void MarkFreePages() {
    auto log = space::LoadFreeLog(view_, master_.free_log, master_.txn, view_.page_count());
    if (!log.ok()) {
      auto [page, message] = SplitMessage(log.status());
      AddLoss({{},
               page,
               {},
               {},
               0,
               absl::StrCat("the free log: ", message, "; old versions of entries may be among those in lost+found")});
      free_known_ = false;
      return;
    }
    for (const space::PendingRun& run : log->runs) {
      for (PageNumber page = run.run.first; page < run.run.end() && page < reached_.size(); ++page) {
        reached_[page] = true;
      }
    }
  }

  static format::TableRecord RecordOf(const Orphan& orphan) {
    format::TableRecord record;
    record.root = {orphan.page, orphan.checksum, 0};
    record.level = static_cast<uint8_t>(orphan.level);
    return record;
  }

  // Takes what lies below the orphan if it is a catalog's, or if it is not.
  absl::Status Take(const Orphan& orphan, bool catalogs) {
    std::optional<size_t> place = PlaceOf(orphan);
    bool of_catalog = place && lost_[*place].in_catalog;
    if (catalogs) {
      if (of_catalog) {
        readers::Snapshot snapshot = txn::SnapshotOf(master_);
        snapshot.main = {};
        snapshot.catalog = RecordOf(orphan);
        WalkSnapshot(view_, snapshot, this);
      }
      return status_;
    }
    bool known = place && !of_catalog;
    into_ = known ? *lost_[*place].loss.table : NewName(orphan.page);
    if (!known) {
      JOHNNY_RETURN_IF_ERROR(rescuer_.OnTable(*into_));
    }
    found_ = 0;
    WalkTree(view_, {"", RecordOf(orphan), master_.txn}, this);
    if (known) {
      lost_[*place].found += found_;
    }
    into_.reset();
    return status_;
  }

  // A table that is not there. (The damaged database may be the result of an earlier salvage.)
  std::string NewName(PageNumber page) {
    std::string name = absl::StrCat("lost+found/page-", page);
    while (!names_.insert(name).second) {
      name += '+';
    }
    return name;
  }

  // Where the orphan was: an index into lost_, if there is exactly one possibility. With a part of the catalog lost it may be of
  // a table that nothing is known of, and without the free log of the past.
  std::optional<size_t> PlaceOf(const Orphan& orphan) const {
    std::optional<size_t> only;
    for (size_t index : lost_branches_) {
      const Lost& lost = lost_[index];
      if (!free_known_ || (lost.in_catalog && !orphan.is_catalog)) {
        return std::nullopt;
      }
      bool fits = orphan.level < lost.level && (!lost.loss.from || orphan.first >= *lost.loss.from) &&
                  (!lost.loss.to || orphan.last < *lost.loss.to);
      if (fits && only) {
        return std::nullopt;
      }
      only = fits ? index : only;
    }
    return only;
  }

  txn::Database& db_;
  const MasterPage& master_;
  Rescuer& rescuer_;
  pager::View view_;
  std::vector<bool> reached_;  // or free: not looked at again
  std::vector<Lost> lost_;
  bool free_known_ = true;
  std::set<std::string> names_;        // of tables
  std::vector<size_t> lost_branches_;  // indices into lost_: where orphans may come from
  std::optional<std::string> into_;    // the table for an orphan's entries
  uint64_t found_ = 0;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<MasterPage> OpenDamaged(txn::Database* db) {
  JOHNNY_ASSIGN_OR_RETURN(env::Masters masters, env::ReadMasters(*db));
  JOHNNY_RETURN_IF_ERROR(env::CheckVersions(masters, *db));
  const auto& [a, b] = masters.slots;
  if (!a.ok() && !b.ok()) {
    return env::NoMaster(masters, db->path);
  }
  int newer = a.ok() && (!b.ok() || a->txn > b->txn) ? 0 : 1;
  const MasterPage& master = *masters.slots[newer];
  const auto& other = masters.slots[1 - newer];
  JOHNNY_RETURN_IF_ERROR(env::CreateStore(master, db));
  JOHNNY_ASSIGN_OR_RETURN(uint64_t size, db->file->Size());
  uint64_t pages = std::min(size, db->store->reserved()) >> db->store->shift();
  bool has_other = other.ok() && other->database_id == master.database_id && other->page_size == master.page_size &&
                   other->page_count <= pages;
  // One that was not synced may have been on its way: then the other one is the last whole commit.
  bool counts = master.durable() ||
                (master.page_count <= pages && env::VerifyChanges(*db->store, master, has_other ? &*other : nullptr).ok());
  return !counts && has_other ? *other : master;
}

absl::Status Salvage(txn::Database* db, const MasterPage& master, Rescuer* rescuer) {
  JOHNNY_ASSIGN_OR_RETURN(uint64_t size, db->file->Size());
  PageNumber pages = std::min(master.page_count, std::min(size, db->store->reserved()) >> db->store->shift());
  return Salvager(db, master, std::max(pages, format::FirstPage(master.page_size)), rescuer).Run();
}

}  // namespace johnny::verify
