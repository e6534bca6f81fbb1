#include "verify/scrub.h"

#include <algorithm>
#include <new>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/thread.h"
#include "cursor/cursor.h"
#include "format/snapshot_record.h"
#include "pager/extent.h"
#include "space/free_log.h"
#include "verify/page_checks.h"
#include "verify/walk.h"

namespace johnny::verify {
namespace {

using tree::Lookup;

constexpr uint64_t kSlicesPerSecond = 10;
constexpr uint64_t kLeastPagesPerSlice = 16;
constexpr std::chrono::milliseconds kRetry(200);
constexpr size_t kMostReported = 4096;  // findings remembered per pass
constexpr int kMasterTries = 5;         // a master page may be read while it is written

}  // namespace

// Checks leaves from the position on, and the branches above them, until it has read enough.
class Scrubber::SliceVisitor : public Visitor {
 public:
  SliceVisitor(Scrubber* scrubber, const pager::View& view, uint64_t budget, const std::string* name, Position* position)
      : scrubber_(*scrubber), view_(view), budget_(budget), name_(name), position_(*position) {}

  uint64_t pages() const { return pages_; }
  bool more() const { return more_; }  // the walk was stopped because enough was read

 private:
  bool Report(FindingKind kind, PageNumber page, const char* table, absl::string_view message) {
    std::string where = name_ == nullptr ? "" : absl::StrCat("named snapshot '", *name_, "': ");
    return scrubber_.Report(kind, page, table, absl::StrCat(where, table == nullptr ? "catalog: " : "", message));
  }

  Next BeforePage(const Place& place) override {
    if (position_.inside && place.upper != nullptr && node::CompareKeys(*place.upper, position_.key) <= 0) {
      return Next::kSkip;
    }
    if (place.level == 0) {
      if (pages_ >= budget_ && leaves_ > 0) {
        position_.key = place.lower == nullptr ? "" : *place.lower;
        position_.inside = more_ = true;
        return Next::kStop;
      }
      ++leaves_;
      if (name_ != nullptr && scrubber_.WasChecked(place.ref.page)) {
        return Next::kSkip;  // shared with the newest snapshot, or with another one
      }
    }
    ++pages_;
    scrubber_.MarkChecked(place.ref.page);
    absl::Status sound = view_.store()->CheckNode(place.ref.page, static_cast<int>(place.level));
    if (!sound.ok()) {
      return OnDamage(place, sound) == Next::kStop ? Next::kStop : Next::kSkip;
    }
    return Next::kGoOn;
  }

  Next OnDamage(const Place& place, const absl::Status& damage) override {
    auto [page, message] = SplitMessage(damage);
    return Report(FindingKind::kPage, page, place.tree->name, message) ? Next::kGoOn : Next::kStop;
  }

  Next OnPage(const Place& place, const Byte* page) override {
    auto report = [this](const Place& at, FindingKind kind, absl::string_view message) {
      return Report(kind, at.ref.page, at.tree->name, message);
    };
    return CheckPage(place, page, report) ? Next::kGoOn : Next::kStop;
  }

  Next OnExtent(const Place& leaf, const Byte*, const format::ExtentRef& extent) override {
    absl::Status sound = pager::VerifyExtent(view_, extent);
    if (sound.ok()) {
      pages_ += format::ExtentPages(extent.length, view_.page_size());
      return Next::kGoOn;
    }
    auto [page, message] = SplitMessage(sound);
    return Report(FindingKind::kValue, page, leaf.tree->name, message) ? Next::kGoOn : Next::kStop;
  }

  Scrubber& scrubber_;
  const pager::View& view_;
  const uint64_t budget_;
  const std::string* const name_;
  Position& position_;
  uint64_t pages_ = 0;
  uint64_t leaves_ = 0;
  bool more_ = false;
};

bool Scrubber::Start(Options options) {
  Stop();
  std::lock_guard<std::mutex> lock(mutex_);
  options_ = std::move(options);
  stopping_ = false;
  progress_ = {};
  progress_.running = StartThread([this] { Run(); }, &thread_);
  return progress_.running;
}

void Scrubber::Stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
}

Scrubber::Progress Scrubber::progress() {
  std::lock_guard<std::mutex> lock(mutex_);
  return progress_;
}

void Scrubber::Run() {
  bool on = true;
  while (on) {
    try {
      on = Pass();
      if (on) {
        std::lock_guard<std::mutex> lock(mutex_);
        ++progress_.passes;
        on = options_.interval.count() != 0;
      }
    } catch (const std::bad_alloc&) {  // the next pass may have more luck
      on = options_.interval.count() != 0;
    }
    on = on && Pause(options_.interval);
  }
  std::lock_guard<std::mutex> lock(mutex_);
  progress_.running = false;
}

bool Scrubber::Pass() {
  checked_.clear();
  reported_.clear();
  std::vector<std::string> names;
  if (!ScrubSnapshot(nullptr) || !CheckAround() || !ScrubNames(&names)) {
    return false;
  }
  return std::all_of(names.begin(), names.end(), [this](const std::string& name) { return ScrubSnapshot(&name); });
}

bool Scrubber::ScrubSnapshot(const std::string* name) {
  Position position;
  for (bool done = false; !done;) {
    uint64_t pages = 0;
    {
      txn::Txn reader(&db_);
      bool there = false;
      if (!Begin(name, &reader, &there)) {
        return false;
      }
      if (!there) {
        return true;
      }
      if (!Slice(reader, name, &position, &pages, &done)) {
        return false;
      }
    }
    uint64_t bytes = pages << db_.store->shift();
    if (!Pause(std::chrono::microseconds(
            static_cast<uint64_t>(1e6 * static_cast<double>(bytes) / static_cast<double>(options_.bytes_per_second))))) {
      return false;
    }
  }
  return true;
}

bool Scrubber::Slice(const txn::Txn& reader, const std::string* name, Position* position, uint64_t* read, bool* done) {
  const uint64_t pages_per_second = options_.bytes_per_second >> db_.store->shift();
  const uint64_t budget = std::max(kLeastPagesPerSlice, pages_per_second / kSlicesPerSecond);
  uint64_t& pages = *read;
  bool on = true;
  while (on && pages < budget) {
    Tree tree{nullptr, reader.snapshot().catalog, reader.snapshot().txn};
    if (!position->catalog && !NextTable(reader, position, &tree.record, &tree.birth)) {
      *done = true;
      break;
    }
    tree.name = position->catalog ? nullptr : position->table.c_str();
    SliceVisitor visitor(this, reader.view(), budget - pages, name, position);
    bool walked = WalkTree(reader.view(), tree, &visitor);
    pages += std::max<uint64_t>(visitor.pages(), 1);
    on = walked || visitor.more();
    if (walked) {  // on with the next table
      position->table = position->catalog ? "" : position->table.append(1, '\0');
      position->catalog = position->inside = false;
    }
  }
  std::lock_guard<std::mutex> lock(mutex_);
  progress_.pages += pages;
  return on;
}

// The table at position->table, which gets its name, or the next one. "" is always there.
bool Scrubber::NextTable(const txn::Txn& reader, Position* position, format::TableRecord* record, TxnId* birth) {
  if (position->table.empty()) {
    *record = reader.snapshot().main;
    *birth = reader.snapshot().txn;
    return true;
  }
  cursor::Cursor cursor(&reader.view(), &reader.snapshot().catalog);
  std::string from = std::max(position->table, std::string(format::kFirstTableKey));
  for (Lookup at = cursor.SeekAtOrAfter(from); at == Lookup::kFound; at = cursor.Next()) {
    node::LeafEntry entry = cursor.entry();
    if (entry.value.is_extent || entry.value.bytes.size() != format::kTableRecordSize) {
      continue;  // reported with the catalog
    }
    if (std::string name(entry.key); name != position->table) {
      position->table = std::move(name);
      position->inside = false;
    }
    *record = format::LoadTableRecord(entry.value.bytes.data());
    *birth = reader.snapshot().txn;
    return true;
  }
  reader.view().TakeError().IgnoreError();  // reported with the catalog, too
  return false;
}

// The free log and the master pages.
bool Scrubber::CheckAround() {
  txn::Txn reader(&db_);
  bool there = false;
  if (!Begin(nullptr, &reader, &there) || !there) {
    return there;
  }
  const readers::Snapshot& snapshot = reader.snapshot();
  auto log = space::LoadFreeLog(reader.view(), snapshot.free_log, snapshot.txn, snapshot.page_count);
  if (!log.ok()) {
    auto [page, message] = SplitMessage(log.status());
    if (!Report(FindingKind::kFreeLog, page, nullptr, message)) {
      return false;
    }
  }
  return CheckMasters(snapshot.txn);
}

bool Scrubber::CheckMasters(TxnId snapshot) {
  std::string why;
  for (int i = 0; i < kMasterTries; ++i) {
    for (int slot = 0; slot < 2; ++slot) {
      std::vector<Byte> bytes(format::kMasterPageSize);
      absl::Status read = db_.file->ReadAt(format::kMasterSlotOffset[slot], bytes.data(), bytes.size());
      if (!read.ok()) {
        return Report(FindingKind::kFile, format::kMasterSlotOffset[slot] >> db_.store->shift(), nullptr,
                      std::string(read.message()));
      }
      absl::StatusOr<format::MasterPage> master = format::DecodeMasterPage(bytes.data(), slot);
      if (master.ok() && master->txn >= snapshot) {
        return true;
      }
      why = master.ok() ? why : std::string(master.status().message());
    }
    if (!Pause(kRetry)) {
      return false;
    }
  }
  return Report(FindingKind::kMaster, 0, nullptr,
                absl::StrCat("no master page holds transaction ", snapshot, " or a newer one", why.empty() ? "" : "; ", why));
}

bool Scrubber::ScrubNames(std::vector<std::string>* names) {
  txn::Txn reader(&db_);
  bool there = false;
  if (!Begin(nullptr, &reader, &there) || !there) {
    return there;
  }
  cursor::Cursor cursor(&reader.view(), &reader.snapshot().catalog);
  cursor.SetUpper(format::kFirstTableKey);
  for (Lookup at = cursor.First(); at == Lookup::kFound; at = cursor.Next()) {
    names->emplace_back(format::SnapshotName(cursor.entry().key));
  }
  reader.view().TakeError().IgnoreError();  // reported with the catalog
  return true;
}

bool Scrubber::Begin(const std::string* name, txn::Txn* reader, bool* there) {
  for (;;) {
    absl::Status begun = name == nullptr ? reader->BeginRead() : reader->BeginNamed(*name);
    *there = begun.ok();
    if (begun.ok() || CodeOf(begun) == Code::kNoSnapshot) {
      return true;
    }
    if (CodeOf(begun) != Code::kReadersFull) {
      auto [page, message] = SplitMessage(begun);
      return Report(page != 0 ? FindingKind::kPage : FindingKind::kFile, page, nullptr, message);
    }
    if (!Pause(kRetry)) {
      return false;
    }
  }
}

bool Scrubber::Report(FindingKind kind, PageNumber page, const char* table, const std::string& message) {
  if (reported_.size() < kMostReported && !reported_.emplace(page, message).second) {
    return true;
  }
  {
    std::lock_guard<std::mutex> lock(mutex_);
    ++progress_.findings;
  }
  return !options_.on_finding || options_.on_finding({kind, page, table, message});
}

bool Scrubber::Pause(std::chrono::microseconds time) {
  std::unique_lock<std::mutex> lock(mutex_);
  return !stop_.wait_for(lock, time, [this] { return stopping_; });
}

void Scrubber::MarkChecked(PageNumber page) {
  if (page >= checked_.size()) {
    checked_.resize(page + page / 8 + 1024);
  }
  checked_[page] = true;
}

}  // namespace johnny::verify
