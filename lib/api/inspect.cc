// Inspection and verification in the C API.
#include <johnny/johnny.h>

#include <algorithm>
#include <array>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "api/internal.h"
#include "node/branch.h"
#include "node/vet.h"
#include "verify/walk.h"

namespace johnny::api {
namespace {

using node::Header;
using verify::Next;
using verify::Place;

int UseReadTxn(johnny_txn* txn) {
  if (int code = UseTxn(txn); code != JOHNNY_OK) {
    return code;
  }
  return txn->txn.write() ? Fail(Code::kWrongTxn, "this needs a read transaction") : JOHNNY_OK;
}

// ---- Tables ----

// Adds up sizes for johnny_table_scan().
class Scanner : public verify::Visitor {
 public:
  Next OnPage(const Place& place, const Byte* page) override {
    if (place.level > 0) {
      info.branch_bytes_used += node::BranchBytesUsed(page);
      return Next::kGoOn;
    }
    size_t used = node::LeafBytesUsed(page);
    info.leaf_bytes_used += used;
    info.smallest_leaf_fill = info.smallest_leaf_fill == 0 ? used : std::min<uint64_t>(info.smallest_leaf_fill, used);
    for (uint32_t i = 0; i < Header(page)->count; ++i) {
      node::LeafEntry entry = node::GetLeafEntry(page, i);
      info.key_bytes += entry.key.size();
      info.largest_key = std::max<uint64_t>(info.largest_key, entry.key.size());
      if (!entry.value.is_extent) {
        AddValue(entry.value.bytes.size());
      }
    }
    return Next::kGoOn;
  }
  Next OnExtent(const Place&, const Byte*, const format::ExtentRef& extent) override {
    AddValue(extent.length);
    return Next::kGoOn;
  }
  Next OnDamage(const Place&, const absl::Status& found) override {
    damage = found;
    return Next::kStop;
  }

  johnny_table_scan_info info = {};
  absl::Status damage;

 private:
  void AddValue(uint64_t size) {
    info.value_bytes += size;
    info.largest_value = std::max(info.largest_value, size);
  }
};

// ---- Lists ----

// Hands pages out for johnny_page_list().
class PageLister : public verify::Visitor {
 public:
  PageLister(uint32_t page_size, johnny_page_run_callback visit, void* context)
      : page_size_(page_size), visit_(visit), context_(context) {}

  Next OnPage(const Place& place, const Byte*) override {
    uint32_t kind = place.level > 0 ? JOHNNY_PAGE_BRANCH : JOHNNY_PAGE_LEAF;
    return List(place.ref.page, 1, kind, place.level, place.tree->name);
  }
  Next OnExtent(const Place& leaf, const Byte*, const format::ExtentRef& extent) override {
    return List(extent.first, format::ExtentPages(extent.length, page_size_), JOHNNY_PAGE_EXTENT, 0, leaf.tree->name);
  }
  Next OnDamage(const Place&, const absl::Status& found) override {
    damage = found;
    return Next::kStop;
  }
  bool ListLogPages(const std::vector<PageNumber>& pages) {
    return std::all_of(pages.begin(), pages.end(),
                       [this](PageNumber page) { return List(page, 1, JOHNNY_PAGE_FREE_LOG, 0, nullptr) == Next::kGoOn; });
  }

  absl::Status damage;

 private:
  Next List(PageNumber first, uint64_t pages, uint32_t kind, uint32_t level, const char* table) {
    johnny_page_run run = {sizeof run, first, pages, kind, level, table};
    return visit_(context_, &run) == 0 ? Next::kGoOn : Next::kStop;
  }

  uint32_t page_size_;
  johnny_page_run_callback visit_;
  void* context_;
};

// The newest snapshot's free space, loaded beside whoever writes.
class Inspection {
 public:
  explicit Inspection(txn::Database* db) : db_(db), reader_(db) {}
  absl::Status Load() {
    JOHNNY_RETURN_IF_ERROR(reader_.BeginRead());
    JOHNNY_ASSIGN_OR_RETURN(space_, db_->LoadSpaceOf(reader_.snapshot()));
    return absl::OkStatus();
  }
  const space::FreeSpace& space() const { return *space_; }
  uint32_t slot() const { return reader_.slot_index(); }  // of its own reader

 private:
  txn::Database* db_;
  txn::Txn reader_;
  std::unique_ptr<space::FreeSpace> space_;
};

std::vector<johnny_reader_info> ListReaders(txn::Database* db) {
  Inspection inspection(db);
  bool loaded = inspection.Load().ok();  // damage there is no reason to hide the readers
  std::vector<johnny_reader_info> readers;
  for (uint32_t i = 0; i < db->board.used_slots(); ++i) {
    johnny_reader_info info = DescribeReader(*db, i);
    if (info.snapshot != 0 && i != inspection.slot()) {
      info.pages_held_back = loaded ? inspection.space().PagesWaitingFor(info.snapshot) : 0;
      readers.push_back(info);
    }
  }
  return readers;
}

// ---- Single pages ----

// A copy of one page: what a writer does to a page that is not of our snapshot cannot change it between check and use.
struct PageCopy {
  std::vector<Byte> bytes;
  const Byte* mapped = nullptr;
  std::string finding;  // why it is not sound

  const format::PageHeader* header() const { return Header(bytes.data()); }
  // The same bytes where they stay until the transaction ends.
  Slice Mapped(Slice slice) const { return MakeSlice(mapped + (Data(slice) - bytes.data()), slice.size()); }
};
thread_local PageCopy t_page;
thread_local std::string t_separator;

uint32_t KindOf(const format::PageHeader& header) {
  switch (static_cast<format::PageType>(header.type)) {
    case format::PageType::kBranch:
      return JOHNNY_PAGE_BRANCH;
    case format::PageType::kLeaf:
      return JOHNNY_PAGE_LEAF;
    case format::PageType::kFreeLogRecord:
    case format::PageType::kFreeLogSegment:
      return JOHNNY_PAGE_FREE_LOG;
  }
  return JOHNNY_PAGE_UNKNOWN;
}

bool IsNode(uint32_t kind) { return kind == JOHNNY_PAGE_BRANCH || kind == JOHNNY_PAGE_LEAF; }

// Fills *info and the finding for a page inside the first 64 KiB.
void DescribeMasterPage(const PageCopy& page, uint32_t page_size, johnny_page_info* info, std::string* finding) {
  info->kind = JOHNNY_PAGE_MASTER;
  uint64_t offset = info->page * page_size;
  if (offset != format::kMasterSlotOffset[0] && offset != format::kMasterSlotOffset[1]) {
    info->sound = 1;
    return;
  }
  constexpr size_t kSummed = format::kMasterPageSize - 8;
  info->checksum = Load64(page.bytes.data() + kSummed);
  info->computed_checksum = Checksum(page.bytes.data(), kSummed, format::kMagic);
  info->stored_number = info->page;
  auto master = format::DecodeMasterPage(page.bytes.data(), offset == 0 ? 0 : 1);
  if (master.ok()) {
    info->birth = master->txn;
    info->sound = 1;
  } else {
    *finding = std::string(master.status().message());
  }
}

void DescribePage(const PageCopy& page, const txn::Database& db, johnny_page_info* info, std::string* finding) {
  const format::PageHeader* header = page.header();
  info->kind = KindOf(*header);
  info->birth = header->birth;
  info->stored_number = header->page();
  info->checksum = header->checksum;
  info->computed_checksum = format::PageChecksum(page.bytes.data(), db.page_size(), db.store->database_id(), info->page);
  info->level = header->level;
  info->count = header->count;
  info->prefix_size = header->prefix;
  info->lower = header->lower;
  info->upper = header->upper;
  if (info->kind == JOHNNY_PAGE_UNKNOWN) {
    *finding = "no page header: part of a large value, never used, or damaged";
  } else if (info->checksum != info->computed_checksum) {
    *finding = "checksum mismatch";
  } else if (info->stored_number != info->page) {
    *finding = absl::StrCat("the page says it is page ", info->stored_number);
  } else if (IsNode(info->kind)) {
    const char* reason = node::VetNode(page.bytes.data(), db.page_size());
    *finding = reason != nullptr ? reason : "";
  }
  info->sound = finding->empty() ? 1 : 0;
}

// Copies and describes the page in t_page.
int Examine(johnny_txn* txn, uint64_t number, johnny_page_info* info) {
  if (int code = UseTxn(txn); code != JOHNNY_OK) {
    return code;
  }
  if (PageNumber pages = txn->txn.snapshot().page_count; number >= pages) {
    return Fail(Code::kNotFound, absl::StrCat("page ", number, " is past the snapshot's ", pages, " pages"));
  }
  const txn::Database& db = *txn->txn.db();
  t_page.mapped = db.store->page(number);
  t_page.bytes.assign(t_page.mapped, t_page.mapped + db.page_size());
  t_page.finding.clear();
  info->page = number;
  info->bytes = t_page.mapped;
  if (number < format::FirstPage(db.page_size())) {
    DescribeMasterPage(t_page, db.page_size(), info, &t_page.finding);
  } else {
    DescribePage(t_page, db, info, &t_page.finding);
  }
  info->finding = t_page.finding.c_str();
  return JOHNNY_OK;
}

johnny_page_entry LeafEntryOf(const PageCopy& page, uint32_t index) {
  node::LeafEntry stored = node::GetLeafEntry(page.bytes.data(), index);
  johnny_page_entry entry = {};
  entry.key = ToSlice(page.Mapped(stored.key));
  if (stored.value.is_extent) {
    format::ExtentRef extent = format::LoadExtentRef(stored.value.bytes.data());
    entry.child_page = extent.first;
    entry.child_entries = extent.length;
  } else {
    entry.value = ToSlice(page.Mapped(stored.value.bytes));
  }
  return entry;
}

johnny_page_entry BranchEntryOf(const PageCopy& page, uint32_t index) {
  t_separator.clear();
  node::AppendSeparator(page.bytes.data(), index, &t_separator);
  format::ChildRef child = node::GetChild(page.bytes.data(), index);
  johnny_page_entry entry = {};
  entry.key = ToSlice(t_separator);
  entry.child_page = child.page;
  entry.child_checksum = child.checksum;
  entry.child_entries = child.entries;
  return entry;
}

}  // namespace
}  // namespace johnny::api

namespace johnny::api {

johnny_reader_info DescribeReader(const txn::Database& db, uint32_t index) {
  const readers::ReaderSlot& slot = db.board.slot(index);
  johnny_reader_info info = {};
  info.struct_size = sizeof info;
  info.snapshot = slot.snapshot.load(std::memory_order_acquire);
  info.process_id = db.ProcessIdOf(readers::ReaderSlot::ProcessOf(slot.owner.load(std::memory_order_relaxed)));
  info.thread_id = slot.thread.load(std::memory_order_relaxed);
  TxnId newest = db.board.newest();
  uint64_t now = db.system->MonotonicMillis();
  info.lag = newest - std::min(newest, info.snapshot);
  info.age_ms = now - std::min(now, slot.since_ms.load(std::memory_order_relaxed));
  info.asked_to_go = slot.asked.load(std::memory_order_relaxed) == info.snapshot ? 1 : 0;
  readers::SnapshotBoard::GetLabel(slot, info.label);
  return info;
}

}  // namespace johnny::api

using namespace johnny::api;  // NOLINT: this file is the C side of the names above
using johnny::Code;

int johnny_table_scan(johnny_txn* txn, johnny_table* table, johnny_table_scan_info* out) {
  return Guard([&] {
    johnny::txn::TableState* state = nullptr;
    if (int code = UseReadTxn(txn); code != JOHNNY_OK) {
      return code;
    }
    if (int code = UseTable(txn, table, &state); code != JOHNNY_OK) {
      return code;
    }
    if (out == nullptr) {
      return NullPointer();
    }
    Scanner scanner;
    johnny::verify::WalkTree(txn->txn.view(), {johnny_table_name(table), state->record, txn->txn.id()}, &scanner);
    return scanner.damage.ok() ? FillStruct(scanner.info, out) : Fail(scanner.damage);
  });
}

int johnny_reader_list(johnny_env* env, johnny_reader_callback visit, void* context) {
  return Guard([&] {
    if (int code = UseEnv(env); code != JOHNNY_OK) {
      return code;
    }
    if (visit == nullptr) {
      return NullPointer();
    }
    johnny::txn::Database* db = env->db.get();
    std::vector<johnny_reader_info> readers = ListReaders(db);
    for (const johnny_reader_info& reader : readers) {
      if (visit(context, &reader) != 0) {
        return Stopped();
      }
    }
    return static_cast<int>(JOHNNY_OK);
  });
}

int johnny_free_run_list(johnny_env* env, johnny_free_run_callback visit, void* context) {
  return Guard([&] {
    if (int code = UseEnv(env); code != JOHNNY_OK) {
      return code;
    }
    if (visit == nullptr) {
      return NullPointer();
    }
    std::vector<johnny_free_run> runs;
    {
      // The callbacks come after the snapshot is given up, so that they may use the environment.
      Inspection inspection(env->db.get());
      if (absl::Status loaded = inspection.Load(); !loaded.ok()) {
        return Fail(loaded);
      }
      for (const johnny::space::Run& run : inspection.space().FreeRuns()) {
        runs.push_back({sizeof(johnny_free_run), run.first, run.pages, 0, 0, 0});
      }
      for (const auto& [run, waits_for] : inspection.space().PendingRuns()) {
        runs.push_back({sizeof(johnny_free_run), run.run.first, run.run.pages, run.birth, run.death, waits_for});
      }
    }
    for (const johnny_free_run& run : runs) {
      if (visit(context, &run) != 0) {
        return Stopped();
      }
    }
    return static_cast<int>(JOHNNY_OK);
  });
}

int johnny_page_list(johnny_txn* txn, johnny_page_run_callback visit, void* context) {
  return Guard([&] {
    if (int code = UseReadTxn(txn); code != JOHNNY_OK) {
      return code;
    }
    if (visit == nullptr) {
      return NullPointer();
    }
    PageLister lister(txn->txn.view().page_size(), visit, context);
    if (!johnny::verify::WalkSnapshot(txn->txn.view(), txn->txn.snapshot(), &lister)) {
      return lister.damage.ok() ? Stopped() : Fail(lister.damage);
    }
    const johnny::readers::Snapshot& snapshot = txn->txn.snapshot();
    auto log = johnny::space::LoadFreeLog(txn->txn.view(), snapshot.free_log, snapshot.txn, snapshot.page_count);
    if (!log.ok()) {
      return Fail(log.status());
    }
    bool listed = std::all_of(log->records.begin(), log->records.end(),
                              [&](const auto& record) { return lister.ListLogPages(record.pages); }) &&
                  std::all_of(log->segments.begin(), log->segments.end(),
                              [&](const auto& segment) { return lister.ListLogPages(segment.pages); });
    return listed ? static_cast<int>(JOHNNY_OK) : Stopped();
  });
}

int johnny_page_get_info(johnny_txn* txn, uint64_t page, johnny_page_info* out) {
  return Guard([&] {
    johnny_page_info info = {};
    if (int code = Examine(txn, page, &info); code != JOHNNY_OK) {
      return code;
    }
    return out == nullptr ? NullPointer() : FillStruct(info, out);
  });
}

int johnny_page_get_entry(johnny_txn* txn, uint64_t page, uint32_t index, johnny_page_entry* out) {
  return Guard([&] {
    johnny_page_info info = {};
    if (int code = Examine(txn, page, &info); code != JOHNNY_OK) {
      return code;
    }
    if (out == nullptr) {
      return NullPointer();
    }
    if (!IsNode(info.kind) || info.sound == 0) {
      return Fail(Code::kInvalidArgument, absl::StrCat("page ", page, " is not a sound branch or leaf"));
    }
    if (index >= info.count) {
      return Fail(Code::kNotFound, absl::StrCat("page ", page, " has ", info.count, " entries"));
    }
    return FillStruct(info.kind == JOHNNY_PAGE_LEAF ? LeafEntryOf(t_page, index) : BranchEntryOf(t_page, index), out);
  });
}

int johnny_path(johnny_txn* txn, johnny_table* table, const void* key, size_t key_size, johnny_path_callback visit,
                void* context) {
  return Guard([&] {
    johnny::txn::TableState* state = nullptr;
    if (int code = UseTable(txn, table, &state); code != JOHNNY_OK) {
      return code;
    }
    if (visit == nullptr || (key == nullptr && key_size > 0)) {
      return NullPointer();
    }
    johnny::tree::Path path;
    const johnny::pager::View& view = txn->txn.view();
    johnny::tree::Lookup result = johnny::tree::Search(view, state->record, johnny::MakeSlice(key, key_size), &path);
    if (result == johnny::tree::Lookup::kError) {
      return Fail(txn->txn.TakeError());
    }
    for (int level = path.top; level >= 0; --level) {
      const johnny::tree::Path::Step& at = path.steps[level];
      const johnny::format::PageHeader* header = johnny::node::Header(at.page);
      bool is_frame = txn->txn.write() && txn->txn.db()->frames.Contains(at.page);
      johnny_path_step step = {};
      step.struct_size = sizeof step;
      step.page = is_frame ? 0 : header->page();
      step.birth = is_frame ? txn->txn.id() : header->birth;
      step.level = static_cast<uint32_t>(level);
      step.count = header->count;
      step.index = at.index;
      step.found = level == 0 && result == johnny::tree::Lookup::kFound ? 1 : 0;
      if (visit(context, &step) != 0) {
        return Stopped();
      }
    }
    return static_cast<int>(JOHNNY_OK);
  });
}
