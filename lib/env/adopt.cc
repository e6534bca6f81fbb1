// Making a process's state that of the file: recovery, and what other writers left.
#include <algorithm>
#include <array>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/seeded_bug.h"
#include "base/status.h"
#include "env/env.h"

namespace johnny::env {
namespace {

using format::MasterPage;
using readers::SharedState;
using txn::Database;

}  // namespace

absl::StatusOr<Masters> ReadMasters(const Database& db) {
  JOHNNY_ASSIGN_OR_RETURN(uint64_t size, db.file->Size());
  if (size < format::kMasterRegion) {
    return MakeStatus(Code::kNotADatabase, absl::StrCat(db.path, ": too short for a JohnnyDB database (", size, " bytes)"));
  }
  Masters masters;
  std::vector<Byte> page(format::kMasterPageSize);
  for (int slot = 0; slot < 2; ++slot) {
    JOHNNY_RETURN_IF_ERROR(db.file->ReadAt(format::kMasterSlotOffset[slot], page.data(), page.size()));
    masters.slots[slot] = format::DecodeMasterPage(page.data(), slot);
  }
  JOHNNY_RETURN_IF_ERROR(db.file->ReadAt(format::kSyncMarkOffset, page.data(), format::kSyncMarkSize));
  masters.marked = format::DecodeSyncMark(page.data(), &masters.mark) && masters.mark.boot_id == db.system->BootId();
  return masters;
}

absl::Status NoMaster(const Masters& masters, const std::string& path) {
  for (Code code : {Code::kVersionMismatch, Code::kCorrupt, Code::kNotADatabase}) {
    for (const auto& slot : masters.slots) {
      if (!slot.ok() && CodeOf(slot.status()) == code) {
        return MakeStatus(code, absl::StrCat(path, ": ", std::string(slot.status().message())));
      }
    }
  }
  return MakeStatus(Code::kCorrupt, absl::StrCat(path, ": no usable master page"));
}

absl::Status CheckVersions(const Masters& masters, const Database& db) {
  for (const auto& slot : masters.slots) {
    if (!slot.ok() && CodeOf(slot.status()) == Code::kVersionMismatch) {
      return NoMaster(masters, db.path);
    }
    if (slot.ok() && !db.options.read_only && slot->read_only_compatible_features != 0) {
      return MakeStatus(Code::kVersionMismatch,
                        absl::StrCat(db.path, ": the file uses features with which this library can only read it"));
    }
  }
  return absl::OkStatus();
}

namespace {

// Slots that may count, newest first.
std::vector<int> Candidates(const Masters& masters, TxnId* discarded) {
  std::vector<int> slots;
  for (int slot = 0; slot < 2; ++slot) {
    if (!masters.slots[slot].ok()) {
      continue;
    }
    if (masters.marked && slot != static_cast<int>(masters.mark.durable_slot)) {
      if (masters.slots[slot]->txn > masters.mark.durable_txn) {
        *discarded = masters.slots[slot]->txn;
      }
      continue;
    }
    slots.push_back(slot);
  }
  if (slots.size() == 2) {
    const MasterPage& a = *masters.slots[0];
    const MasterPage& b = *masters.slots[1];
    auto rank = [](const MasterPage& m) { return std::make_tuple(m.txn, m.id_ceiling, m.durable(), m.clean()); };
    if (rank(b) > rank(a)) {
      std::swap(slots[0], slots[1]);
    }
    // Slots of different databases: something copied one over. Only the newer one's own kind counts.
    if (a.database_id != b.database_id || a.page_size != b.page_size) {
      slots.resize(1);
    }
  }
  return slots;
}

absl::Status CheckFileSize(const MasterPage& master, uint64_t file_size, const std::string& path) {
  if (master.page_count > file_size / master.page_size) {
    return MakeStatus(Code::kCorrupt, absl::StrCat(path, ": the file is cut short: ", file_size, " bytes, but transaction ",
                                                   master.txn, " has ", master.page_count, " pages of ", master.page_size));
  }
  return absl::OkStatus();
}

absl::Status CheckAddressSpace(const MasterPage& master, const Database& db) {
  if (master.page_count > db.store->reserved() / master.page_size) {
    return MakeStatus(Code::kNoMemory, absl::StrCat(db.path, ": ", master.page_count, " pages of ", master.page_size,
                                                    " bytes do not fit the address space of ", db.store->reserved(),
                                                    " bytes that could be reserved"));
  }
  return absl::OkStatus();
}

// Chooses the newest master that counts.
absl::Status Choose(const Masters& masters, Database* db) {
  JOHNNY_ASSIGN_OR_RETURN(uint64_t file_size, db->file->Size());
  bool opening = db->store == nullptr;
  TxnId discarded = 0;
  std::vector<int> slots = Candidates(masters, &discarded);
  db->discarded_txn = discarded;
  absl::Status reason = NoMaster(masters, db->path);
  for (size_t i = 0; i < slots.size(); ++i) {
    const MasterPage& master = *masters.slots[slots[i]];
    JOHNNY_RETURN_IF_ERROR(CreateStore(master, db));
    JOHNNY_RETURN_IF_ERROR(CheckAddressSpace(master, *db));
    absl::Status usable = CheckFileSize(master, file_size, db->path);
    if (usable.ok() && !master.durable() && !IsSeeded(SeededBug::kLazyUnverified)) {
      const MasterPage* other = i + 1 < slots.size() ? &*masters.slots[slots[i + 1]] : nullptr;
      if (other != nullptr && !CheckFileSize(*other, file_size, db->path).ok()) {
        other = nullptr;
      }
      usable = VerifyChanges(*db->store, master, other);
    }
    if (usable.ok()) {
      if (opening) {
        db->opened_clean = master.clean() && db->discarded_txn == 0;
      }
      MutexLock lock(&db->publish);
      db->newest_master = master;
      db->newest_slot = slots[i];
      return absl::OkStatus();
    }
    if (master.durable()) {
      return usable;  // damage, not a crash: falling back would silently drop a commit that was promised
    }
    db->discarded_txn = std::max(db->discarded_txn.load(), master.txn);
    reason = usable;
  }
  return reason;
}

// The sync at opening failed, so what the page cache shows of the last commits may never have reached the disk, and nobody can
// tell a commit that was acknowledged from one in flight. Whichever master were trusted, the next commit would overwrite the
// other one, which may be all that the disk has. So opening has to wait for a restart, which shows the disk as it is.
void MarkFailedSync(const Database& db) {
  absl::StatusOr<Masters> masters = ReadMasters(db);
  if (!masters.ok() || masters->marked) {
    return;
  }
  const auto& [a, b] = masters->slots;
  if (a.ok() && b.ok() && a->txn == kFirstTxn && a->id_ceiling == b->id_ceiling && a->flags == b->flags) {
    return;  // as created: both were synced before the file got its name
  }
  std::vector<Byte> mark(format::kSyncMarkSize);
  format::EncodeSyncMark({db.system->BootId(), 0, format::kNoDurableSlot}, mark.data());
  Slice piece = MakeSlice(mark.data(), mark.size());
  db.file->WriteAt(format::kSyncMarkOffset, absl::MakeConstSpan(&piece, 1)).IgnoreError();
}

// Announces the chosen master; everything the page cache shows has just been synced.
//
// A rejected master must never come back: after a restart of the machine the mark that rejects it means nothing, and pages that
// its trees refer to will be used again. So the newest good master takes its slot before anybody is told what the database holds.
absl::Status AnnounceRecovered(const Masters& masters, Database* db) {
  const MasterPage master = db->newest_master;
  MutexLock lock(&db->publish);
  SharedState& state = db->state();
  state.durable_txn = master.txn;
  state.commit = SharedState::Word(master.txn, db->newest_slot, SharedState::kDurable | SharedState::kPublishing);
  db->id_ceiling = master.id_ceiling;
  if (db->discarded_txn == 0 && !masters.marked) {
    db->EndPublishing(master, db->newest_slot, /*durable=*/true);
    return absl::OkStatus();
  }
  JOHNNY_RETURN_IF_ERROR(db->RewriteMaster(state.last_id + db->IdWindow(), format::kMasterDurable));
  if (masters.marked) {
    // Blocks past the durable end may never have reached the disk, whatever the page cache shows of them.
    JOHNNY_RETURN_IF_ERROR(db->file->Resize(master.page_count * db->page_size()));
    std::vector<Byte> zeros(format::kSyncMarkSize);
    Slice piece = MakeSlice(zeros.data(), zeros.size());
    JOHNNY_RETURN_IF_ERROR(db->file->WriteAt(format::kSyncMarkOffset, absl::MakeConstSpan(&piece, 1)));
  }
  return absl::OkStatus();
}

// What a reader may go by: seen in the page cache, not known to be durable. Leaves recovery to the first writer.
void AnnounceForReading(const Masters& masters, Database* db) {
  const MasterPage& master = db->newest_master;
  // Without a sync only what a clean end left, or what was durable before this master was written, is known to be.
  const auto& other = masters.slots[1 - db->newest_slot];
  TxnId before = other.ok() && other->database_id == master.database_id ? std::min(other->txn, master.durable_txn) : 0;
  db->state().durable_txn = master.clean() ? master.txn : before;
  db->state().commit = SharedState::Word(master.txn, db->newest_slot, SharedState::kPublishing);
  db->board.Announce(txn::SnapshotOf(master));
}

}  // namespace

absl::Status CreateStore(const MasterPage& master, Database* db) {
  if (db->store == nullptr) {
    JOHNNY_ASSIGN_OR_RETURN(
        db->store, pager::PageStore::Create(db->file.get(), master.page_size, master.database_id, db->options.address_space));
  }
  return absl::OkStatus();
}

absl::Status Recover(Database* db) {
  bool read_only = db->options.read_only;
  if (!read_only && !IsSeeded(SeededBug::kTakeoverWithoutSync)) {
    // A master page seen in the page cache is not yet durable.
    absl::Status synced = db->file->SyncData();
    if (!synced.ok()) {
      MarkFailedSync(*db);
      db->state().writes_refused = 1;
      return MakeStatus(Code::kIoError, synced.message());
    }
  }
  db->system->YieldPoint("recover");
  JOHNNY_ASSIGN_OR_RETURN(Masters masters, ReadMasters(*db));
  if (masters.marked && masters.mark.durable_slot == format::kNoDurableSlot) {
    return MakeStatus(Code::kIoError, absl::StrCat(db->path,
                                                   ": a sync failed when the database was opened; what "
                                                   "reached the disk will show when the machine has been restarted"));
  }
  JOHNNY_RETURN_IF_ERROR(CheckVersions(masters, *db));
  JOHNNY_RETURN_IF_ERROR(Choose(masters, db));
  const MasterPage& master = db->newest_master;
  TxnId announced = db->board.newest();
  if (master.txn < announced) {
    db->state().writes_refused = 1;
    return MakeStatus(Code::kLockFile, absl::StrCat(db->path, ": the lock file announces transaction ", announced,
                                                    ", but the newest in the file is ", master.txn, "; close it everywhere"));
  }
  // Ids go on above every ceiling in sight, so none is used twice, not even one of a commit that was discarded.
  TxnId last_id = std::max<TxnId>(db->state().last_id, master.id_ceiling);
  for (const auto& slot : masters.slots) {
    if (slot.ok() && slot->database_id == master.database_id) {
      last_id = std::max(last_id, slot->id_ceiling);
    }
  }
  db->state().last_id = IsSeeded(SeededBug::kIdsUsedTwice) ? master.txn : last_id;
  db->space.reset();
  db->last_cut = master.txn;
  if (read_only) {
    AnnounceForReading(masters, db);
    return absl::OkStatus();
  }
  JOHNNY_RETURN_IF_ERROR(AnnounceRecovered(masters, db));
  db->tip = db->newest_master;
  // Whoever created the file may have died before its name was durable.
  return master.txn == kFirstTxn ? db->system->SyncDirectoryOf(db->path) : absl::OkStatus();
}

absl::Status Adopt(Database* db, bool take_over) {
  if (take_over) {
    return Recover(db);
  }
  db->system->YieldPoint("adopt");
  JOHNNY_ASSIGN_OR_RETURN(Masters masters, ReadMasters(*db));
  SharedState& state = db->state();
  uint64_t word = state.commit;
  int slot = SharedState::SlotOf(word);
  const auto& newest = masters.slots[slot];
  const auto& other = masters.slots[1 - slot];
  bool outdated = newest.ok() && other.ok() && other->txn > newest->txn;  // what the lock file says is of an earlier time
  if (!newest.ok() || newest->txn != SharedState::IdOf(word) || newest->txn != db->board.newest() || outdated ||
      newest->database_id != db->store->database_id() || newest->page_size != db->page_size()) {
    return Recover(db);  // not what a living predecessor leaves
  }
  JOHNNY_RETURN_IF_ERROR(CheckAddressSpace(*newest, *db));
  {
    MutexLock lock(&db->publish);
    db->newest_master = *newest;
    db->newest_slot = slot;
    bool durable = (word & SharedState::kDurable) != 0;
    db->id_ceiling = durable ? newest->id_ceiling : other.ok() ? other->id_ceiling : 0;
  }
  db->tip = *newest;
  TxnId ceiling = std::max(newest->id_ceiling, other.ok() ? other->id_ceiling : 0);
  state.last_id = std::clamp<TxnId>(state.last_id, newest->txn, ceiling);
  uint64_t publications = state.publications;
  db->last_cut = newest->txn;  // for all this process knows
  pager::View view(db->store.get(), newest->page_count, nullptr);
  if (const MasterPage* durable = other.ok() ? &*other : nullptr; db->durable_txn() < newest->txn && durable != nullptr) {
    pager::View old_view(db->store.get(), durable->page_count, nullptr);
    JOHNNY_RETURN_IF_ERROR(db->named.Load(old_view, durable->catalog, durable->txn));
  }
  JOHNNY_RETURN_IF_ERROR(db->named.Load(view, newest->catalog, newest->txn));
  if (db->space != nullptr) {
    auto caught_up = db->space->CatchUp(view, newest->free_log, newest->txn);
    if (caught_up.ok() && *caught_up) {
      db->NoteFreeSpace();
    } else {
      db->space.reset();  // whatever stood in the way, loading it anew will tell
    }
  }
  db->seen_publications = publications;
  return absl::OkStatus();
}

}  // namespace johnny::env
