// Publishing master pages and making commits durable.
#include <algorithm>
#include <array>
#include <new>

#include "absl/cleanup/cleanup.h"
#include "absl/container/inlined_vector.h"
#include "base/seeded_bug.h"
#include "base/status.h"
#include "txn/database.h"

namespace johnny::txn {
namespace {

using readers::SharedState;

constexpr int kSyncTries = 4;  // before a sync that others keep overtaking asks for the writer lock

// Where writes are refused from now on. kDiskFull, among others, would promise that they go on.
absl::Status AsIoError(const absl::Status& error) { return MakeStatus(Code::kIoError, error.message()); }

}  // namespace

// ---- Syncs ----

// The system tells of a failure once: if there is no memory for its words, that must not be all that is left of it.
absl::Status Database::SyncData() {
  try {
    return file->SyncData();
  } catch (const std::bad_alloc&) {
    NoteFailedSync();
    throw;
  }
}

absl::Status Database::SyncFile() {
  system->YieldPoint("sync");
  absl::Status status = SyncData();
  if (!status.ok() && IsSeeded(SeededBug::kRetriedSync)) {
    status = file->SyncData();
  }
  return status.ok() ? CheckNothingFailed() : status;
}

// After a sync that succeeded. If another process saw one fail meanwhile, the two may have written the same pages back, and only
// that one was told.
absl::Status Database::CheckNothingFailed() const {
  return !writes_refused()
             ? absl::OkStatus()
             : MakeStatus(Code::kIoError, "a sync failed in another process at the same time; what it lost is not known");
}

absl::Status Database::SyncOrRefuse() {
  absl::Status status = SyncFile();
  return status.ok() ? status : RefuseWrites(status);
}

absl::Status Database::RefuseWrites(const absl::Status& failed_sync) {
  NoteFailedSync();
  return AsIoError(failed_sync);
}

void Database::NoteFailedSync() {
  Refuse();
  // Others, now or when the lock file has been built anew, would see in the page cache what the disk never got. The mark tells
  // them where to stop; that it may not reach the disk does not matter, for after a restart the disk is the truth.
  // Who makes a commit durable looks after that whether a sync has failed: so what this load does not see is not acknowledged.
  uint64_t word = state().commit.load(std::memory_order_seq_cst);
  bool newest_is_durable = (word & SharedState::kDurable) != 0;
  TxnId durable = newest_is_durable ? SharedState::IdOf(word) : state().durable_txn.load(std::memory_order_seq_cst);
  auto slot = static_cast<uint64_t>(SharedState::SlotOf(word));
  std::array<Byte, format::kSyncMarkSize> mark;
  format::EncodeSyncMark({system->BootId(), durable, newest_is_durable ? slot : 1 - slot}, mark.data());
  Slice piece = MakeSlice(mark.data(), mark.size());
  try {
    file->WriteAt(format::kSyncMarkOffset, absl::MakeConstSpan(&piece, 1)).IgnoreError();
  } catch (const std::bad_alloc&) {  // for the words of its own failure
  }
}

void Database::Refuse() {
  refused_here.store(true, std::memory_order_relaxed);
  state().writes_refused.store(1, std::memory_order_seq_cst);
}

absl::Status Database::RefuseAfterWrite(const absl::Status& failed_write) {
  Refuse();
  return AsIoError(failed_write);
}

absl::Status Database::Sync() {
  JOHNNY_RETURN_IF_ERROR(SyncCommits());
  if (!writer.HeldByThisThread()) {
    ShrinkIfIdle();
  }
  return absl::OkStatus();
}

absl::Status Database::SyncCommits() {
  bool is_writer = false;
  absl::Cleanup release = [&] {
    if (is_writer) {
      writer.Release();
    }
  };
  for (int i = 0;; ++i) {
    MutexLock lock(&publish);
    uint64_t word = 0;
    for (;; Await()) {
      if (writes_refused()) {
        return WritesRefused();
      }
      // Asked even while others sync: under load somebody always does.
      word = state().commit.load(std::memory_order_seq_cst);
      if ((word & SharedState::kDurable) != 0 && board.newest() <= SharedState::IdOf(word)) {
        return absl::OkStatus();
      }
      if (!syncing) {
        break;
      }
    }
    bool last_try = i == kSyncTries && (is_writer || writer.HeldByThisThread());
    if (last_try) {
      AwaitSealed();
      AwaitSync();
      return SyncLocked();  // holding everybody up; little is left to write
    }
    if (i == kSyncTries) {
      absl::Status became;
      {
        MutexUnlock released(&publish);
        became = BecomeWriter(os::kWaitForEver);
      }
      JOHNNY_RETURN_IF_ERROR(became);
      is_writer = true;
      --i;
      continue;
    }
    absl::Status status = BulkSync();
    if (!status.ok()) {
      return RefuseWrites(status);
    }
    // Not if somebody has begun to overwrite the master page meanwhile: then what was synced may be gone. `durable_txn` is left
    // to the writer, who may have gone on by now: set here, it might go back.
    word &= ~SharedState::kPublishing;
    if (state().commit.compare_exchange_strong(word, word | SharedState::kDurable, std::memory_order_seq_cst)) {
      lazy_bytes.store(0, std::memory_order_relaxed);
      return CheckNothingFailed();
    }
  }
}

// With `publish` released: commits go on.
absl::Status Database::BulkSync() {
  syncing = true;
  absl::Status status;
  try {
    MutexUnlock released(&publish);
    system->YieldPoint("bulk sync");
    status = SyncData();
    if (status.ok()) {
      status = CheckNothingFailed();
    }
  } catch (const std::bad_alloc&) {  // for an error's words
    EndSync();
    throw;
  }
  EndSync();
  return status;
}

absl::Status Database::WaitDurable(TxnId id) {
  while (durable_txn() < id) {
    if (board.newest() < id) {
      return MakeStatus(Code::kInvalidArgument, "no transaction with this id has committed");
    }
    if (options.read_only) {
      return MakeStatus(Code::kReadOnlyEnv,
                        "the transaction is not durable yet, and an environment opened read-only cannot make it so");
    }
    JOHNNY_RETURN_IF_ERROR(Sync());
  }
  return absl::OkStatus();
}

void Database::SyncInBackground(uint64_t bytes, bool now) {
  uint64_t written = lazy_bytes.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  now |= options.sync_bytes != 0 && written >= options.sync_bytes;
  if (now || options.sync_interval_ms != 0) {
    background.Start(std::chrono::milliseconds(options.sync_interval_ms), [this] { Sync().IgnoreError(); });
  }
  if (now) {
    background.SyncNow();
  }
}

// With nobody publishing: what is the newest stays it.
absl::Status Database::SyncLocked() {
  if (writes_refused()) {
    return WritesRefused();
  }
  uint64_t word = state().commit.load(std::memory_order_seq_cst);
  if ((word & SharedState::kDurable) == 0) {
    JOHNNY_RETURN_IF_ERROR(SyncOrRefuse());
    lazy_bytes.store(0, std::memory_order_relaxed);
    state().commit.store(word | SharedState::kDurable, std::memory_order_seq_cst);
    state().durable_txn.store(SharedState::IdOf(word), std::memory_order_seq_cst);
  }
  id_ceiling = newest_master.id_ceiling;
  return CheckNothingFailed();
}

// ---- Waiting ----

void Database::Await() {
  std::unique_lock<std::mutex> lock(publish.native(), std::adopt_lock);
  published.wait(lock);
  lock.release();
}

void Database::AwaitSync() {
  while (syncing) {
    Await();
  }
}

void Database::AwaitSealed() {
  while (!sealed.empty() && !writes_refused()) {
    if (syncing) {
      Await();
    } else {
      PublishSealed();
    }
  }
}

// ---- Publishing ----

absl::Status Database::WriteMaster(const format::MasterPage& master, int slot) {
  std::array<Byte, format::kMasterPageSize> page;
  format::EncodeMasterPage(master, page.data());
  Slice piece = MakeSlice(page.data(), page.size());
  system->YieldPoint("master");
  return file->WriteAt(format::kMasterSlotOffset[slot], absl::MakeConstSpan(&piece, 1));
}

int Database::BeginPublishing() {
  uint64_t word = state().commit.fetch_or(SharedState::kPublishing, std::memory_order_seq_cst);
  if ((word & SharedState::kDurable) == 0) {
    return IsSeeded(SeededBug::kOneMasterSlot) ? 0 : newest_slot;
  }
  state().durable_txn.store(SharedState::IdOf(word), std::memory_order_seq_cst);
  id_ceiling = newest_master.id_ceiling;
  return IsSeeded(SeededBug::kOneMasterSlot) ? 0 : 1 - newest_slot;
}

void Database::EndPublishing(const format::MasterPage& master, int slot, bool durable) {
  newest_master = master;
  newest_slot = slot;
  // Before it counts as durable: what a name kept until then may only be released when nobody can enter it any more.
  board.Announce(SnapshotOf(master));
  system->YieldPoint("announced");
  if (durable) {
    id_ceiling = master.id_ceiling;
    state().durable_txn.store(master.txn, std::memory_order_seq_cst);
    lazy_bytes.store(0, std::memory_order_relaxed);
  }
  seen_publications = state().publications.fetch_add(1, std::memory_order_seq_cst) + 1;
  state().commit.store(SharedState::Word(master.txn, slot, durable ? SharedState::kDurable : 0), std::memory_order_seq_cst);
}

absl::Status Database::AwaitPublished(TxnId id, Committing* committer) {
  for (int state = Committing::kWaiting; state != Committing::kPublished;) {
    {
      MutexLock lock(&publish);
      if (!syncing && published_txn < id && !writes_refused()) {
        PublishSealed();
      }
      if (published_txn >= id) {
        return absl::OkStatus();
      }
      if (!syncing && writes_refused()) {
        DropSealed(UINT64_MAX, /*were_published=*/false);
        if (failure.empty()) {
          failure = "a sync failed elsewhere; the transaction was not committed";
        }
        return id <= unknown_outcome_to ? MakeStatus(Code::kOutcomeUnknown, failure) : MakeStatus(Code::kIoError, failure);
      }
    }
    committer->state.wait(Committing::kWaiting, std::memory_order_acquire);
    state = Committing::kToPublish;
    committer->state.compare_exchange_strong(state, Committing::kWaiting, std::memory_order_acquire);
  }
  return absl::OkStatus();
}

void Database::Reach(const char* yield_point) {
  MutexUnlock released(&publish);
  system->YieldPoint(yield_point);
}

absl::Status Database::SyncUnlocked() {
  // A commit is sealed once its pages are written, so this sync has them, too, whatever it is made for.
  const TxnId covered = sealed.back().master.txn;
  absl::Status status;
  {
    MutexUnlock released(&publish);
    status = SyncFile();
  }
  if (!status.ok()) {
    return RefuseWrites(status);
  }
  pages_synced = covered;
  return status;
}

// The two phases. An error: writes are refused.
absl::Status Database::WriteSealed(format::MasterPage* master, bool two_phase, bool grew, int* slot) {
  bool swapped = IsSeeded(SeededBug::kSyncsSwapped);
  bool sync_data = two_phase && master->txn > pages_synced && !IsSeeded(SeededBug::kNoFirstSync) &&
                   !(IsSeeded(SeededBug::kNoSyncAfterGrowth) && grew);
  if (sync_data && !swapped) {
    JOHNNY_RETURN_IF_ERROR(SyncUnlocked());
  }
  if (writes_refused()) {
    return RefuseAfterWrite(MakeStatus(Code::kIoError, "a sync failed elsewhere; the transaction was not committed"));
  }
  Reach("commit: data written");
  *slot = BeginPublishing();
  master->id_ceiling = std::max(id_ceiling, master->txn + IdWindow());
  master->flags = two_phase ? format::kMasterDurable : 0;
  master->durable_txn = two_phase ? master->txn : durable_txn();
  unknown_outcome_to = master->txn;  // if anything fails from here on
  absl::Status written;
  {
    MutexUnlock released(&publish);
    written = WriteMaster(*master, *slot);
  }
  if (!written.ok()) {
    return RefuseAfterWrite(written);
  }
  if (!IsSeeded(SeededBug::kNoSecondSync)) {
    JOHNNY_RETURN_IF_ERROR(SyncUnlocked());
  }
  if (sync_data && swapped) {
    JOHNNY_RETURN_IF_ERROR(SyncUnlocked());
  }
  Reach("commit: master published");
  return absl::OkStatus();
}

// When other threads commit, too, their commits can share the syncs: those of who is writing now, and of who was published just
// before and may be about to come again. That is worth waiting for, but not for longer than half of what the syncs take. A thread
// that is alone with its commits does not wait.
void Database::Gather() {
  if (writer.HeldByThisThread()) {
    return;  // nothing can be sealed meanwhile
  }
  auto now = std::chrono::steady_clock::now();
  absl::InlinedVector<std::thread::id, 2 * kMostGathered> threads;
  if (now - published_at < publish_time) {
    threads.assign(last_group.begin(), last_group.end());
  }
  for (const Sealed& commit : sealed) {
    threads.push_back(commit.thread);
  }
  std::sort(threads.begin(), threads.end());
  gathering = static_cast<size_t>(std::unique(threads.begin(), threads.end()) - threads.begin());
  std::unique_lock<std::mutex> lock(publish.native(), std::adopt_lock);
  while ((sealed.size() < gathering || writer.IsHeld()) &&
         gathered.wait_until(lock, now + publish_time / 2) == std::cv_status::no_timeout) {
  }
  lock.release();
  gathering = 0;
}

// Publishes the newest sealed commit, and with it those before it. `publish` is released during the syncs, so that more can be
// sealed meanwhile.
void Database::PublishSealed() {
  syncing = true;
  TxnId published_id = 0;
  try {
    published_id = TryPublishSealed();
  } catch (const std::bad_alloc&) {  // no reason to leave those waiting who wait for this
    Refuse();
    failure = "no memory left";  // short enough to need none
  }
  last_group.clear();
  DropSealed(published_id != 0 ? published_id : UINT64_MAX, published_id != 0);
  group_size.store(last_group.size(), std::memory_order_relaxed);
  EndSync();
}

// The newest commit that was published; 0: none, and writes are refused.
//
// Under load there is one sync for each group: that of a group's master page also has the pages of the commits that were sealed
// meanwhile, which are the next group.
TxnId Database::TryPublishSealed() {
  auto is_covered = [this](const Sealed& commit) { return commit.master.txn <= pages_synced; };
  auto is_two_phase = [](const Sealed& commit) { return commit.two_phase; };
  auto end = sealed.end();
  if (is_covered(sealed.front()) && std::any_of(sealed.begin(), sealed.end(), is_two_phase)) {
    end = std::partition_point(sealed.begin(), sealed.end(), is_covered);
  } else {
    Gather();
    end = sealed.end();
  }
  auto begin = std::chrono::steady_clock::now();
  format::MasterPage master = std::prev(end)->master;
  bool two_phase = std::any_of(sealed.begin(), end, is_two_phase);
  bool grew = std::any_of(sealed.begin(), end, [](const Sealed& commit) { return commit.grew; });
  int slot = 0;
  absl::Status status = WriteSealed(&master, two_phase, grew, &slot);
  if (!status.ok()) {
    failure = std::string(status.message());
    return 0;
  }
  EndPublishing(master, slot, /*durable=*/true);
  if (status = CheckNothingFailed(); !status.ok()) {
    failure = std::string(status.message());
    return 0;
  }
  published_txn = master.txn;
  published_at = std::chrono::steady_clock::now();
  publish_time = (7 * publish_time + (published_at - begin)) / 8;
  return master.txn;
}

void Database::DropSealed(TxnId up_to, bool were_published) {
  while (!sealed.empty() && sealed.front().master.txn <= up_to) {
    Committing* committer = sealed.front().committer;
    if (last_group.size() < kMostGathered) {
      last_group.push_back(sealed.front().thread);
    }
    sealed.pop_front();
    writer.Unkeep();
    committer->state.store(were_published ? Committing::kPublished : Committing::kFailed, std::memory_order_release);
    committer->state.notify_one();  // it may be gone by now: only its address is used
  }
}

// Lets those who wait for the end of a sync go on, and one of those whose commits are sealed publish.
void Database::EndSync() {
  syncing = false;
  published.notify_all();
  if (sealed.empty()) {
    return;
  }
  std::atomic<int>& state = sealed.front().committer->state;
  int waiting = Committing::kWaiting;
  if (state.compare_exchange_strong(waiting, Committing::kToPublish, std::memory_order_release)) {
    state.notify_one();
  }
}

absl::Status Database::RewriteMaster(TxnId ceiling, uint32_t flags) {
  if (ceiling < newest_master.txn || ceiling > format::kMaxTxnId) {  // nobody could read such a master page
    return NoIdsLeft();
  }
  JOHNNY_RETURN_IF_ERROR(SyncLocked());
  format::MasterPage master = newest_master;
  master.id_ceiling = ceiling;
  master.flags = flags;
  master.durable_txn = master.txn;
  int slot = BeginPublishing();
  absl::Status status = WriteMaster(master, slot);
  JOHNNY_RETURN_IF_ERROR(status.ok() ? SyncOrRefuse() : RefuseAfterWrite(status));
  EndPublishing(master, slot, /*durable=*/true);
  return absl::OkStatus();
}

}  // namespace johnny::txn
