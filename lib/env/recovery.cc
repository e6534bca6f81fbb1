// Proving a commit that was not synced whole: the Merkle walk.
//
// Both trees are walked level by level. A reference that both have (same page, same checksum) needs no look: what the other
// master's snapshot can see is pinned. A page born no later than the master's durable_txn was synced with everything below it
// before. The rest must verify. Work and memory are proportional to what differs.
#include <tuple>
#include <unordered_set>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "env/env.h"
#include "format/snapshot_record.h"
#include "node/branch.h"
#include "pager/extent.h"
#include "space/free_log.h"

namespace johnny::env {
namespace {

using format::ChildRef;
using format::MasterPage;
using format::TableRecord;

// Not absl's sets: when memory runs out while one of these grows, not even its destructor can be called.
using RefKey = std::pair<PageNumber, uint32_t>;
using RefSet = std::unordered_set<RefKey, absl::Hash<RefKey>>;
using ExtentKey = std::tuple<PageNumber, uint64_t, TxnId, uint64_t>;

// The references of one side, by level.
struct Side {
  pager::View view;
  RefSet levels[format::kMaxLevel + 1];
  std::unordered_set<ExtentKey, absl::Hash<ExtentKey>> extents;
  std::vector<TableRecord> tables;  // found in the catalog's leaves
  TxnId known_durable = 0;
  TxnId newest_nameable = UINT64_MAX;  // only durable snapshots get names

  absl::Status AddTree(const TableRecord& record) {
    if (record.empty()) {
      return absl::OkStatus();
    }
    if (record.level > format::kMaxLevel || record.root.page > format::kMaxPageNumber) {
      return MakeStatus(Code::kCorrupt, "impossible root of a tree");
    }
    levels[record.level].emplace(record.root.page, record.root.checksum);
    return absl::OkStatus();
  }
};

// A named snapshot was durable before it got its name, so its trees need no look.
absl::Status CheckNamed(PageNumber page, const node::LeafValue& value, const Side& side) {
  if (value.bytes.size() != format::kSnapshotRecordSize) {
    return CorruptPage(page, "the record of a named snapshot has the wrong size");
  }
  return format::LoadSnapshotRecord(value.bytes.data()).txn <= side.newest_nameable
             ? absl::OkStatus()
             : CorruptPage(page, "a named snapshot is newer than what is durable");
}

// Adds what `key`'s page refers to. `catalog`: leaf values are table records.
absl::Status Expand(const RefKey& key, uint32_t level, bool catalog, Side* side) {
  const Byte* page = side->view.Resolve({key.first, key.second, 0}, level);
  if (page == nullptr) {
    return side->view.TakeError();
  }
  const format::PageHeader* header = node::Header(page);
  if (header->birth <= side->known_durable) {
    return absl::OkStatus();
  }
  for (uint32_t i = 0; i < header->count; ++i) {
    if (level > 0) {
      ChildRef child = node::GetChild(page, i);
      side->levels[level - 1].emplace(child.page, child.checksum);
      continue;
    }
    node::LeafValue value = node::GetLeafEntry(page, i).value;
    if (value.is_extent) {
      format::ExtentRef extent = format::LoadExtentRef(value.bytes.data());
      side->extents.emplace(extent.first, extent.length, extent.birth, extent.checksum);
    } else if (catalog && format::IsSnapshotKey(node::LeafKey(page, i))) {
      JOHNNY_RETURN_IF_ERROR(CheckNamed(key.first, value, *side));
    } else if (catalog) {
      if (value.bytes.size() != format::kTableRecordSize) {
        return CorruptPage(key.first, "a table record has the wrong size");
      }
      side->tables.push_back(format::LoadTableRecord(value.bytes.data()));
    }
  }
  return absl::OkStatus();
}

// Walks both sides down, verifying what only `fresh` has.
absl::Status Walk(bool catalog, Side* fresh, Side* old) {
  for (int level = format::kMaxLevel; level >= 0; --level) {
    auto height = static_cast<uint32_t>(level);
    for (const RefKey& key : fresh->levels[level]) {
      if (!old->levels[level].contains(key)) {
        JOHNNY_RETURN_IF_ERROR(Expand(key, height, catalog, fresh));
      }
    }
    for (const RefKey& key : old->levels[level]) {
      if (!fresh->levels[level].contains(key)) {
        Expand(key, height, catalog, old).IgnoreError();  // damage there only means that less can be skipped here
      }
    }
    fresh->levels[level].clear();
    old->levels[level].clear();
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status VerifyChanges(const pager::PageStore& store, const MasterPage& master, const MasterPage* other) {
  Side fresh, old;
  fresh.view = pager::View(&store, master.page_count, nullptr);
  fresh.known_durable = fresh.newest_nameable = master.durable_txn;
  old.view = pager::View(&store, other != nullptr ? other->page_count : 0, nullptr);

  JOHNNY_RETURN_IF_ERROR(fresh.AddTree(master.catalog));
  if (other != nullptr) {
    old.AddTree(other->catalog).IgnoreError();
  }
  JOHNNY_RETURN_IF_ERROR(Walk(/*catalog=*/true, &fresh, &old));

  JOHNNY_RETURN_IF_ERROR(fresh.AddTree(master.main));
  for (const TableRecord& table : fresh.tables) {
    JOHNNY_RETURN_IF_ERROR(fresh.AddTree(table));
  }
  if (other != nullptr) {
    old.AddTree(other->main).IgnoreError();
  }
  for (const TableRecord& table : old.tables) {
    old.AddTree(table).IgnoreError();
  }
  JOHNNY_RETURN_IF_ERROR(Walk(/*catalog=*/false, &fresh, &old));

  uint64_t pages_left = master.page_count;  // so that overlapping extents of a hostile file cannot make this quadratic
  for (const ExtentKey& key : fresh.extents) {
    auto [first, length, birth, checksum] = key;
    if (birth > master.durable_txn && !old.extents.contains(key)) {
      uint64_t pages = format::ExtentPages(std::min(length, store.reserved()), master.page_size);
      if (pages > pages_left) {
        return CorruptPage(first, "large values overlap");
      }
      pages_left -= pages;
      JOHNNY_RETURN_IF_ERROR(pager::VerifyExtent(fresh.view, {first, length, birth, checksum}));
    }
  }
  return space::LoadFreeLog(fresh.view, master.free_log, master.txn, master.page_count).status();
}

}  // namespace johnny::env
