#include "txn/database.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/seeded_bug.h"
#include "base/status.h"

namespace johnny::txn {
namespace {

constexpr uint32_t kMaxTables = 1u << 20;
// Ids that may be handed out before a durable master page has to say so. Lazy commits must not be forced to sync often.
constexpr TxnId kIdWindow = 1024;
constexpr TxnId kLazyIdWindow = TxnId{1} << 20;

}  // namespace

void WriterQueue::Acquire() {
  std::unique_lock<std::mutex> lock(mutex_);
  uint64_t ticket = next_ticket_++;
  changed_.wait(lock, [&] { return serving_ == ticket; });
  owner_.store(std::this_thread::get_id(), std::memory_order_relaxed);
}

bool WriterQueue::TryAcquire() {
  std::unique_lock<std::mutex> lock(mutex_);
  if (serving_ != next_ticket_) {
    return false;
  }
  ++next_ticket_;
  owner_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  return true;
}

void WriterQueue::Release() {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    owner_.store(std::thread::id(), std::memory_order_relaxed);
    ++serving_;
  }
  changed_.notify_all();
}

Table* Database::FindTable(const std::string& name) {
  MutexLock lock(&tables_mutex);
  auto at = table_index.find(name);
  return at == table_index.end() ? nullptr : &tables[at->second - 1];
}

absl::StatusOr<Table*> Database::InternTable(const std::string& name, const void* env) {
  MutexLock lock(&tables_mutex);
  auto [at, fresh] = table_index.try_emplace(name, static_cast<uint32_t>(tables.size()) + 1);
  if (fresh) {
    if (tables.size() >= kMaxTables) {
      table_index.erase(at);
      return MakeStatus(Code::kTablesFull, absl::StrCat("the environment already has ", kMaxTables, " table handles"));
    }
    tables.push_back({env, name, at->second});
  }
  return &tables[at->second - 1];
}

TxnId Database::IdWindow() const { return options.durability == Durability::kLazy ? kLazyIdWindow : kIdWindow; }

std::vector<TxnId> Database::Pinned() const {
  std::vector<TxnId> pinned = {board.newest(), durable_txn.load(std::memory_order_acquire)};
  board.AppendPinned(&pinned);
  named.AppendPinned(durable_txn.load(std::memory_order_acquire), &pinned);
  std::sort(pinned.begin(), pinned.end());
  pinned.erase(std::unique(pinned.begin(), pinned.end()), pinned.end());
  return pinned;
}

absl::Status Database::LoadSpace() {
  if (space != nullptr) {
    return absl::OkStatus();
  }
  space::FreeSpaceOptions space_options;
  space_options.has_size_limit = options.size_limit != 0;
  uint64_t limit = std::min(options.size_limit != 0 ? options.size_limit : UINT64_MAX, store->reserved());
  space_options.limit_pages = limit >> store->shift();
  space_options.slack_percent = options.slack_percent;
  auto loaded = std::make_unique<space::FreeSpace>(file.get(), store.get(), space_options, [this] { return Pinned(); });
  pager::View view(store.get(), newest_master.page_count, nullptr);
  JOHNNY_RETURN_IF_ERROR(loaded->Load(view, newest_master.free_log, newest_master.txn));
  JOHNNY_RETURN_IF_ERROR(named.Load(view, newest_master.catalog, newest_master.txn));
  space = std::move(loaded);
  NoteFreeSpace();
  return absl::OkStatus();
}

void Database::NoteFreeSpace() {
  free_pages.store(space->free_pages(), std::memory_order_relaxed);
  pending_pages.store(space->pending_pages(), std::memory_order_relaxed);
}

absl::Status Database::SyncOrRefuse() {
  system->YieldPoint("sync");
  absl::Status status = file->SyncData();
  if (!status.ok() && IsSeeded(SeededBug::kRetriedSync)) {
    status = file->SyncData();
  }
  return status.ok() ? status : RefuseWrites(std::move(status));
}

absl::Status Database::RefuseWrites(absl::Status failed_sync) {
  writes_refused.store(true, std::memory_order_relaxed);
  // Other processes of this boot would see in the page cache what the disk never got. The mark tells them where to stop; that
  // it may not reach the disk does not matter, for after a restart the disk is the truth.
  std::array<Byte, format::kSyncMarkSize> mark;
  format::EncodeSyncMark({system->BootId(), durable_txn.load(std::memory_order_relaxed), static_cast<uint64_t>(durable_slot)},
                         mark.data());
  Slice piece = MakeSlice(mark.data(), mark.size());
  file->WriteAt(format::kSyncMarkOffset, absl::MakeConstSpan(&piece, 1)).IgnoreError();
  return failed_sync;
}

absl::Status Database::WriteMaster(const format::MasterPage& master, int slot) {
  std::array<Byte, format::kMasterPageSize> page;
  format::EncodeMasterPage(master, page.data());
  Slice piece = MakeSlice(page.data(), page.size());
  system->YieldPoint("master");
  return file->WriteAt(format::kMasterSlotOffset[slot], absl::MakeConstSpan(&piece, 1));
}

void Database::AwaitBulkSync() {
  std::unique_lock<std::mutex> lock(publish.native(), std::adopt_lock);
  bulk_sync_ended.wait(lock, [this] { return !bulk_sync; });
  lock.release();
}

absl::Status Database::Sync() {
  TxnId newest = 0;
  {
    MutexLock lock(&publish);
    AwaitBulkSync();
    newest = newest_master.txn;
    if (writes_refused.load(std::memory_order_relaxed) || durable_txn.load(std::memory_order_relaxed) == newest) {
      return SyncLocked();
    }
    bulk_sync = true;
  }
  system->YieldPoint("bulk sync");
  absl::Status status = file->SyncData();
  MutexLock lock(&publish);
  bulk_sync = false;
  bulk_sync_ended.notify_all();
  if (!status.ok()) {
    return RefuseWrites(std::move(status));
  }
  if (newest_master.txn == newest) {
    MadeDurable();
    return absl::OkStatus();
  }
  return SyncLocked();  // commits went on meanwhile and have overwritten the master page; this time little is left to write
}

absl::Status Database::SyncLocked() {
  if (writes_refused.load(std::memory_order_relaxed)) {
    return MakeStatus(Code::kWritesRefused, "an earlier sync or commit failed with an unknown outcome; reopen the environment");
  }
  if (durable_txn.load(std::memory_order_relaxed) == newest_master.txn) {
    return absl::OkStatus();
  }
  JOHNNY_RETURN_IF_ERROR(SyncOrRefuse());
  MadeDurable();
  return absl::OkStatus();
}

void Database::MadeDurable() {
  durable_txn.store(newest_master.txn, std::memory_order_release);
  durable_slot = newest_slot;
  id_ceiling = newest_master.id_ceiling;
  on_disk_clean = false;
}

void Database::SyncInBackground() {
  if (options.sync_interval_ms != 0) {
    background.Start(std::chrono::milliseconds(options.sync_interval_ms), [this] { Sync().IgnoreError(); });
  }
}

absl::Status Database::RewriteMaster(TxnId ceiling, uint32_t flags) {
  JOHNNY_RETURN_IF_ERROR(SyncLocked());
  format::MasterPage master = newest_master;
  master.id_ceiling = ceiling;
  master.flags = flags;
  master.durable_txn = master.txn;
  int slot = 1 - durable_slot;
  absl::Status status = WriteMaster(master, slot);
  if (!status.ok()) {
    writes_refused.store(true, std::memory_order_relaxed);
    return status;
  }
  JOHNNY_RETURN_IF_ERROR(SyncOrRefuse());
  newest_master = master;
  newest_slot = durable_slot = slot;
  id_ceiling = ceiling;
  on_disk_clean = master.clean();
  return absl::OkStatus();
}

absl::Status Database::MarkClean() {
  background.Stop();
  MutexLock lock(&publish);
  if (writes_refused.load(std::memory_order_relaxed) ||
      (on_disk_clean && durable_txn.load(std::memory_order_relaxed) == newest_master.txn)) {
    return absl::OkStatus();
  }
  return RewriteMaster(last_id + IdWindow(), format::kMasterDurable | format::kMasterClean);
}

absl::StatusOr<TxnId> Database::NextId() {
  MutexLock lock(&publish);
  if (last_id >= id_ceiling) {
    AwaitBulkSync();
    JOHNNY_RETURN_IF_ERROR(SyncLocked());
  }
  if (last_id >= id_ceiling) {
    JOHNNY_RETURN_IF_ERROR(RewriteMaster(last_id + IdWindow(), format::kMasterDurable));
  }
  return ++last_id;
}

}  // namespace johnny::txn
