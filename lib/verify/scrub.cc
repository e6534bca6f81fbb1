#include "verify/scrub.h"

#include <algorithm>
#include <new>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/thread.h"
#include "format/snapshot_record.h"
#include "pager/extent.h"
#include "space/free_log.h"
#include "verify/page_checks.h"
#include "verify/walk.h"

namespace johnny::verify {
namespace {

constexpr std::chrono::milliseconds kSlice(100);  // about
constexpr uint64_t kLeastPagesPerSlice = 16;
constexpr std::chrono::milliseconds kRetry(200);
constexpr std::chrono::hours kLongestPause(24);
constexpr size_t kMostReported = 4096;  // findings remembered per pass
constexpr int kMasterTries = 5;         // a master page may be read while it is written
constexpr uint64_t kChunk = 1 << 20;    // bytes read at a time

uint16_t TagOf(const format::ChildRef& ref) { return static_cast<uint16_t>(ref.checksum >> 16 | 1); }

}  // namespace

// Finds the first of the catalog's entries at or after a key, behind damage if need be.
class Scrubber::CatalogSearch : public Visitor {
 public:
  explicit CatalogSearch(std::string from) : from_(std::move(from)) {}

  bool Find(const txn::Txn& reader) {
    WalkTree(reader.view(), {nullptr, reader.snapshot().catalog, reader.snapshot().txn}, this);
    return found_;
  }
  const std::string& key() const { return key_; }
  const std::string& value() const { return value_; }  // empty if it is an extent

 private:
  Next BeforePage(const Place& place) override {
    return place.upper != nullptr && node::CompareKeys(*place.upper, from_) <= 0 ? Next::kSkip : Next::kGoOn;
  }
  Next OnPage(const Place& place, const Byte* page) override {
    uint32_t count = place.level == 0 ? node::Header(page)->count : 0;
    for (uint32_t i = 0; i < count; ++i) {
      node::LeafEntry entry = node::GetLeafEntry(page, i);
      if (node::CompareKeys(entry.key, from_) >= 0) {
        found_ = true;
        key_ = std::string(entry.key);
        value_ = entry.value.is_extent ? std::string() : std::string(entry.value.bytes);
        return Next::kStop;
      }
    }
    return Next::kGoOn;
  }
  Next OnExtent(const Place&, const Byte*, const format::ExtentRef&) override { return Next::kGoOn; }
  Next OnDamage(const Place&, const absl::Status&) override { return Next::kGoOn; }  // reported with the catalog

  const std::string from_;
  bool found_ = false;
  std::string key_, value_;
};

// Checks leaves from the position on, and the branches above them, until the slice is over.
class Scrubber::SliceVisitor : public Visitor {
 public:
  struct Limits {
    uint64_t pages;
    std::chrono::steady_clock::time_point end;
  };

  SliceVisitor(Scrubber* scrubber, const pager::View& view, const Limits& limits, const std::string* name, Position* position)
      : scrubber_(*scrubber), view_(view), limits_(limits), name_(name), position_(*position) {}

  uint64_t pages() const { return pages_; }
  bool more() const { return more_; }        // the slice was over before the tree
  bool stopped() const { return stopped_; }  // the whole thread is to end

 private:
  Next Stop() {
    stopped_ = true;
    return Next::kStop;
  }

  Next Report(FindingKind kind, PageNumber page, const char* table, absl::string_view message) {
    std::string where = name_ == nullptr ? "" : absl::StrCat("named snapshot '", *name_, "': ");
    bool on = scrubber_.Report(kind, page, table, absl::StrCat(where, table == nullptr ? "catalog: " : "", message));
    return on ? Next::kGoOn : Stop();
  }

  Next ReportStatus(FindingKind kind, const char* table, const absl::Status& status) {
    auto [page, message] = SplitMessage(status);
    return Report(kind, page, table, message);
  }

  bool IsOver() const { return pages_ >= limits_.pages || std::chrono::steady_clock::now() >= limits_.end; }

  Next BeforePage(const Place& place) override {
    if (scrubber_.stopping()) {
      return Stop();
    }
    if (position_.inside && place.upper != nullptr && node::CompareKeys(*place.upper, position_.key) <= 0) {
      return Next::kSkip;
    }
    if (place.level == 0) {
      // Each slice gets further, or a damaged tree could hold the pass for ever.
      bool further = place.lower != nullptr && (!position_.inside || node::CompareKeys(*place.lower, position_.key) > 0);
      if (leaves_ > 0 && further && IsOver()) {
        position_.key = *place.lower;
        position_.inside = more_ = true;
        return Next::kStop;
      }
      ++leaves_;
      if (name_ != nullptr && scrubber_.WasChecked(place.ref)) {
        return Next::kSkip;  // shared with the newest snapshot, or with another one
      }
    }
    ++pages_;
    scrubber_.MarkChecked(place.ref);
    if (!scrubber_.Prefetch(place.ref.page, view_.page_size(), place.tree->name)) {
      return scrubber_.stopping() ? Stop() : Next::kSkip;
    }
    absl::Status sound = view_.store()->CheckNode(place.ref.page, static_cast<int>(place.level));
    if (!sound.ok()) {
      return OnDamage(place, sound) == Next::kStop ? Next::kStop : Next::kSkip;
    }
    return Next::kGoOn;
  }

  Next OnDamage(const Place& place, const absl::Status& damage) override {
    return ReportStatus(FindingKind::kPage, place.tree->name, damage);
  }

  Next OnPage(const Place& place, const Byte* page) override {
    auto report = [this](const Place& at, FindingKind kind, absl::string_view message) {
      return Report(kind, at.ref.page, at.tree->name, message) == Next::kGoOn;
    };
    return CheckPage(place, page, report) ? Next::kGoOn : Next::kStop;
  }

  Next OnExtent(const Place& leaf, const Byte*, const format::ExtentRef& extent) override {
    if (scrubber_.stopping()) {
      return Stop();
    }
    if (absl::Status bounds = pager::CheckExtentBounds(view_, extent); !bounds.ok()) {
      return ReportStatus(FindingKind::kValue, leaf.tree->name, bounds);
    }
    pages_ += format::ExtentPages(extent.length, view_.page_size());
    if (!scrubber_.Prefetch(extent.first, extent.length, leaf.tree->name)) {
      return scrubber_.stopping() ? Stop() : Next::kGoOn;
    }
    absl::Status sound = pager::VerifyExtent(view_, extent, [this](uint64_t) { return !scrubber_.stopping(); });
    return sound.ok() ? Next::kGoOn : ReportStatus(FindingKind::kValue, leaf.tree->name, sound);
  }

  Scrubber& scrubber_;
  const pager::View& view_;
  const Limits limits_;
  const std::string* const name_;
  Position& position_;
  uint64_t pages_ = 0;
  uint64_t leaves_ = 0;
  bool more_ = false;
  bool stopped_ = false;
};

bool Scrubber::Start(txn::Database* db, Options options) {
  Stop();
  std::lock_guard<std::mutex> lock(mutex_);
  db_ = db;
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
  thread_id_ = std::this_thread::get_id();
  bool on = true;
  while (on) {
    try {
      on = Pass();
      std::lock_guard<std::mutex> lock(mutex_);
      progress_.passes += on ? 1 : 0;
    } catch (const std::bad_alloc&) {  // the next pass may have more luck
    }
    on = on && options_.interval.count() != 0 && Pause(options_.interval);
  }
  thread_id_ = std::thread::id();
  std::lock_guard<std::mutex> lock(mutex_);
  progress_.running = false;
}

bool Scrubber::Pass() {
  checked_.clear();
  reported_.clear();
  return ScrubSnapshot(nullptr) && CheckAround() && ScrubNamed();
}

bool Scrubber::ScrubSnapshot(const std::string* name) {
  Position position;
  for (bool done = false; !done;) {
    uint64_t before = position.pages;
    {
      txn::Txn reader(db_);
      bool there = false;
      if (!Begin(name, &reader, &there)) {
        return false;
      }
      if (!there) {
        return true;
      }
      if (!Slice(reader, name, &position, &done)) {
        return false;
      }
      if (position.pages > 4 * reader.snapshot().page_count + 4096) {  // more than upper pages in each slice explain
        return Report(FindingKind::kOwnedTwice, 0, nullptr, "the trees have more pages than the file");
      }
    }
    auto bytes = static_cast<double>((position.pages - before) << db_->store->shift());
    double seconds =
        std::min(bytes / static_cast<double>(options_.bytes_per_second), std::chrono::duration<double>(kLongestPause).count());
    if (!Pause(std::chrono::microseconds(static_cast<int64_t>(1e6 * seconds)))) {
      return false;
    }
  }
  return true;
}

bool Scrubber::Slice(const txn::Txn& reader, const std::string* name, Position* position, bool* done) {
  uint64_t pages_per_slice = (options_.bytes_per_second >> db_->store->shift()) * static_cast<uint64_t>(kSlice.count()) / 1000;
  uint64_t budget = std::max(kLeastPagesPerSlice, pages_per_slice);
  auto end = std::chrono::steady_clock::now() + kSlice;
  uint64_t pages = 0;
  bool on = true;
  while (on && pages < budget && std::chrono::steady_clock::now() < end) {
    Tree tree{nullptr, reader.snapshot().catalog, reader.snapshot().txn};
    if (!position->catalog && position->table.empty()) {
      tree.record = reader.snapshot().main;
    } else if (!position->catalog) {
      CatalogSearch next(std::max(position->table, std::string(format::kFirstTableKey)));
      if (!next.Find(reader)) {
        *done = true;
        break;
      }
      position->inside &= next.key() == position->table;
      position->table = next.key();
      bool is_table = next.value().size() == format::kTableRecordSize;  // else it was reported with the catalog
      tree.record = is_table ? format::LoadTableRecord(next.value().data()) : format::TableRecord();
    }
    tree.name = position->catalog ? nullptr : position->table.c_str();
    SliceVisitor visitor(this, reader.view(), {budget - pages, end}, name, position);
    WalkTree(reader.view(), tree, &visitor);
    pages += std::max<uint64_t>(visitor.pages(), 1);
    on = !visitor.stopped();
    if (!visitor.more()) {  // on with the next table
      position->table = position->catalog ? "" : position->table.append(1, '\0');
      position->catalog = position->inside = false;
    }
  }
  position->pages += pages;
  std::lock_guard<std::mutex> lock(mutex_);
  progress_.pages += pages;
  return on;
}

// The free log and the master pages.
bool Scrubber::CheckAround() {
  txn::Txn reader(db_);
  bool there = false;
  if (!Begin(nullptr, &reader, &there)) {
    return false;
  }
  if (!there) {
    return true;
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
      absl::Status read = db_->file->ReadAt(format::kMasterSlotOffset[slot], bytes.data(), bytes.size());
      if (!read.ok()) {
        return Report(FindingKind::kFile, format::kMasterSlotOffset[slot] >> db_->store->shift(), nullptr,
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
  // Of a commit of unknown outcome, half a master page may have been written over that of a lazy one.
  return db_->writes_refused() ||
         Report(FindingKind::kMaster, 0, nullptr,
                absl::StrCat("no master page holds transaction ", snapshot, " or a newer one", why.empty() ? "" : "; ", why));
}

bool Scrubber::ScrubNamed() {
  for (std::string from = format::SnapshotKey("");;) {
    std::string name;
    {
      txn::Txn reader(db_);
      bool there = false;
      if (!Begin(nullptr, &reader, &there)) {
        return false;
      }
      CatalogSearch next(from);
      if (!there || !next.Find(reader) || !format::IsSnapshotKey(next.key())) {
        return true;
      }
      name = std::string(format::SnapshotName(next.key()));
    }
    if (!ScrubSnapshot(&name)) {
      return false;
    }
    from = format::SnapshotKey(name).append(1, '\0');
  }
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
  if (reported_.contains({page, message})) {
    return true;
  }
  if (reported_.size() < kMostReported) {
    reported_.emplace(page, message);
  }
  {
    std::lock_guard<std::mutex> lock(mutex_);
    ++progress_.findings;
  }
  if (options_.on_finding && !options_.on_finding({kind, page, table, message})) {
    stopping_ = true;
    return false;
  }
  return true;
}

bool Scrubber::Prefetch(PageNumber first, uint64_t bytes, const char* table) {
  buffer_.resize(std::min(std::max(bytes, uint64_t{buffer_.size()}), kChunk));
  for (uint64_t at = 0; at < bytes; at += kChunk) {
    if (stopping()) {
      return false;
    }
    absl::Status read = db_->file->ReadAt((first << db_->store->shift()) + at, buffer_.data(), std::min(kChunk, bytes - at));
    if (!read.ok()) {
      Report(FindingKind::kFile, first, table, std::string(read.message()));
      return false;
    }
  }
  return true;
}

bool Scrubber::Pause(std::chrono::microseconds time) {
  std::unique_lock<std::mutex> lock(mutex_);
  return !stop_.wait_for(lock, time, [this] { return stopping(); });
}

void Scrubber::MarkChecked(const format::ChildRef& ref) {
  if (ref.page >= checked_.size()) {
    checked_.resize(ref.page + ref.page / 8 + 1024);
  }
  checked_[ref.page] = TagOf(ref);
}

bool Scrubber::WasChecked(const format::ChildRef& ref) const {
  return ref.page < checked_.size() && checked_[ref.page] == TagOf(ref);
}

}  // namespace johnny::verify
