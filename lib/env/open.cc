#include <algorithm>
#include <array>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/seeded_bug.h"
#include "base/status.h"
#include "env/env.h"

namespace johnny::env {
namespace {

using format::MasterPage;
using txn::Database;

// Locked by everybody who has the file open: exclusively for writing, shared for reading.
constexpr uint64_t kOpenLockOffset = uint64_t{1} << 62;
constexpr TxnId kFirstTxn = 1;

absl::Status CreateFile(os::System* system, const std::string& path, const OpenOptions& options) {
  std::string temporary = absl::StrCat(path, ".new-", absl::Hex(system->RandomNumber(), absl::kZeroPad16));
  MasterPage master;
  master.page_size = options.page_size;
  master.database_id = system->RandomNumber();
  master.txn = master.durable_txn = kFirstTxn;
  master.id_ceiling = kFirstTxn + 1024;
  master.page_count = format::FirstPage(options.page_size);
  master.flags = format::kMasterDurable | format::kMasterClean;
  std::vector<Byte> region(format::kMasterRegion);
  for (uint64_t offset : format::kMasterSlotOffset) {
    format::EncodeMasterPage(master, region.data() + offset);
  }
  JOHNNY_ASSIGN_OR_RETURN(auto file, system->Open(temporary, os::OpenMode::kCreateNew, options.permissions));
  Slice piece = MakeSlice(region.data(), region.size());
  absl::Status status = file->WriteAt(0, absl::MakeConstSpan(&piece, 1));
  if (status.ok()) {
    status = file->SyncData();
  }
  if (status.ok()) {
    status = system->Link(temporary, path);
  }
  absl::Status unlinked = system->Unlink(temporary);
  JOHNNY_RETURN_IF_ERROR(status);
  return unlinked;  // the name is made durable by opening the new database
}

absl::StatusOr<std::unique_ptr<os::File>> OpenOrCreate(os::System* system, const std::string& path, const OpenOptions& options) {
  os::OpenMode mode = options.database.read_only ? os::OpenMode::kReadOnly : os::OpenMode::kReadWrite;
  auto file = system->Open(path, mode, options.permissions);
  if (file.ok()) {
    if (options.create && options.exclusive) {
      return MakeStatus(Code::kExists, absl::StrCat(path, ": the file exists already"));
    }
    return file;
  }
  if (CodeOf(file.status()) != Code::kNoSuchFile || !options.create || options.database.read_only) {
    return file;
  }
  absl::Status created = CreateFile(system, path, options);
  if (!created.ok() && (CodeOf(created) != Code::kExists || options.exclusive)) {
    return created;
  }
  return system->Open(path, mode, options.permissions);
}

// What the two slots hold.
struct Masters {
  absl::StatusOr<MasterPage> slots[2] = {MakeStatus(Code::kCorrupt, "not read"), MakeStatus(Code::kCorrupt, "not read")};
  format::SyncMark mark;
  bool marked = false;  // a sync failed in this boot
};

absl::StatusOr<Masters> ReadMasters(os::File* file, const std::string& path, uint64_t boot_id) {
  JOHNNY_ASSIGN_OR_RETURN(uint64_t size, file->Size());
  if (size < format::kMasterRegion) {
    return MakeStatus(Code::kNotADatabase, absl::StrCat(path, ": too short for a JohnnyDB database (", size, " bytes)"));
  }
  Masters masters;
  std::vector<Byte> page(format::kMasterPageSize);
  for (int slot = 0; slot < 2; ++slot) {
    JOHNNY_RETURN_IF_ERROR(file->ReadAt(format::kMasterSlotOffset[slot], page.data(), page.size()));
    masters.slots[slot] = format::DecodeMasterPage(page.data(), slot);
  }
  JOHNNY_RETURN_IF_ERROR(file->ReadAt(format::kSyncMarkOffset, page.data(), format::kSyncMarkSize));
  masters.marked = format::DecodeSyncMark(page.data(), &masters.mark) && masters.mark.boot_id == boot_id;
  return masters;
}

// The error to report when no slot has a usable master page.
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

// Chooses the newest master that counts and sets db's store and commit state from it.
absl::Status Recover(const Masters& masters, const OpenOptions& options, Database* db) {
  JOHNNY_ASSIGN_OR_RETURN(uint64_t file_size, db->file->Size());
  std::vector<int> slots = Candidates(masters, &db->discarded_txn);
  absl::Status reason = NoMaster(masters, db->path);
  for (size_t i = 0; i < slots.size(); ++i) {
    const MasterPage& master = *masters.slots[slots[i]];
    if (db->store == nullptr) {
      JOHNNY_ASSIGN_OR_RETURN(
          db->store, pager::PageStore::Create(db->file.get(), master.page_size, master.database_id, options.address_space));
    }
    if (master.page_count > db->store->reserved() / master.page_size) {
      return MakeStatus(Code::kNoMemory, absl::StrCat(db->path, ": ", master.page_count, " pages of ", master.page_size,
                                                      " bytes do not fit the address space of ", db->store->reserved(),
                                                      " bytes that could be reserved"));
    }
    absl::Status usable = CheckFileSize(master, file_size, db->path);
    if (usable.ok() && !master.durable() && !IsSeeded(SeededBug::kLazyUnverified)) {
      const MasterPage* other = i + 1 < slots.size() ? &*masters.slots[slots[i + 1]] : nullptr;
      if (other != nullptr && !CheckFileSize(*other, file_size, db->path).ok()) {
        other = nullptr;
      }
      usable = VerifyChanges(*db->store, master, other);
    }
    if (usable.ok()) {
      db->newest_master = master;
      db->newest_slot = db->durable_slot = slots[i];
      db->opened_clean = master.clean() && db->discarded_txn == 0;
      return absl::OkStatus();
    }
    if (master.durable()) {
      return usable;  // damage, not a crash: falling back would silently drop a commit that was promised
    }
    db->discarded_txn = std::max(db->discarded_txn, master.txn);
    reason = usable;
  }
  return reason;
}

absl::Status SetUp(const Masters& masters, Database* db) {
  const MasterPage& master = db->newest_master;
  // Ids go on above every ceiling in sight, so none is used twice, not even one of a commit that was discarded.
  db->last_id = db->id_ceiling = master.id_ceiling;
  for (const auto& slot : masters.slots) {
    if (slot.ok() && slot->database_id == master.database_id) {
      db->last_id = std::max(db->last_id, slot->id_ceiling);
    }
  }
  if (IsSeeded(SeededBug::kIdsUsedTwice)) {
    db->last_id = master.txn;
  }
  db->durable_txn.store(master.txn, std::memory_order_relaxed);
  db->on_disk_clean = db->opened_clean;
  JOHNNY_ASSIGN_OR_RETURN(db->board, readers::SnapshotBoard::Create(db->options.max_readers));
  if (!db->options.read_only) {
    JOHNNY_ASSIGN_OR_RETURN(db->frames, pager::FrameArena::Create(master.page_size, db->options.memory_budget));
  }
  db->board.Announce({master.txn, master.page_count, master.table_count, master.main, master.catalog});
  return absl::OkStatus();
}

// The sync at opening failed, so what the page cache shows of the last commits may never have reached the disk, and nobody can
// tell a commit that was acknowledged from one in flight. Whichever master were trusted, the next commit would overwrite the
// other one, which may be all that the disk has. So opening has to wait for a restart, which shows the disk as it is.
void MarkFailedSyncAtOpening(os::System* system, os::File* file, const std::string& path) {
  absl::StatusOr<Masters> masters = ReadMasters(file, path, system->BootId());
  if (!masters.ok() || masters->marked) {
    return;
  }
  const auto& [a, b] = masters->slots;
  if (a.ok() && b.ok() && a->txn == kFirstTxn && a->id_ceiling == b->id_ceiling && a->flags == b->flags) {
    return;  // as created: both were synced before the file got its name
  }
  std::vector<Byte> mark(format::kSyncMarkSize);
  format::EncodeSyncMark({system->BootId(), 0, format::kNoDurableSlot}, mark.data());
  Slice piece = MakeSlice(mark.data(), mark.size());
  file->WriteAt(format::kSyncMarkOffset, absl::MakeConstSpan(&piece, 1)).IgnoreError();
}

// A rejected master must never come back: after a restart of the machine the mark that rejects it means nothing, and pages that
// its trees refer to will be used again. So the newest good master takes its slot before anybody is told what the database holds.
absl::Status OverwriteRejected(const Masters& masters, Database* db) {
  if (db->discarded_txn == 0 && !masters.marked) {
    return absl::OkStatus();
  }
  MutexLock lock(&db->publish);
  JOHNNY_RETURN_IF_ERROR(db->RewriteMaster(db->last_id + db->IdWindow(), format::kMasterDurable));
  if (masters.marked) {
    // Blocks past the durable end may never have reached the disk, whatever the page cache shows of them.
    JOHNNY_RETURN_IF_ERROR(db->file->Resize(db->newest_master.page_count * db->page_size()));
    std::vector<Byte> zeros(format::kSyncMarkSize);
    Slice piece = MakeSlice(zeros.data(), zeros.size());
    JOHNNY_RETURN_IF_ERROR(db->file->WriteAt(format::kSyncMarkOffset, absl::MakeConstSpan(&piece, 1)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Database>> Open(os::System* system, const std::string& path, const OpenOptions& options) {
  auto db = std::make_unique<Database>();
  db->system = system;
  db->path = path;
  db->options = options.database;
  JOHNNY_ASSIGN_OR_RETURN(db->file, OpenOrCreate(system, path, options));
  bool read_only = options.database.read_only;
  absl::Status locked = db->file->Lock(kOpenLockOffset, read_only ? os::File::LockKind::kShared : os::File::LockKind::kExclusive);
  if (CodeOf(locked) == Code::kBusy) {
    return MakeStatus(Code::kBusy, absl::StrCat(path, ": the database is open elsewhere, in this process or another"));
  }
  JOHNNY_RETURN_IF_ERROR(locked);
  if (!read_only && !IsSeeded(SeededBug::kTakeoverWithoutSync)) {
    // A master page seen in the page cache is not yet durable.
    absl::Status synced = db->file->SyncData();
    if (!synced.ok()) {
      MarkFailedSyncAtOpening(system, db->file.get(), path);
      return synced;
    }
  }
  JOHNNY_ASSIGN_OR_RETURN(Masters masters, ReadMasters(db->file.get(), path, system->BootId()));
  if (masters.marked && masters.mark.durable_slot == format::kNoDurableSlot) {
    return MakeStatus(Code::kIoError, absl::StrCat(path,
                                                   ": a sync failed when the database was opened; what "
                                                   "reached the disk will show when the machine has been restarted"));
  }
  for (const auto& slot : masters.slots) {
    if (!slot.ok() && CodeOf(slot.status()) == Code::kVersionMismatch) {
      return NoMaster(masters, path);
    }
    if (slot.ok() && !read_only && slot->read_only_compatible_features != 0) {
      return MakeStatus(Code::kVersionMismatch,
                        absl::StrCat(path, ": the file uses features with which this library can only read it"));
    }
  }
  JOHNNY_RETURN_IF_ERROR(Recover(masters, options, db.get()));
  JOHNNY_RETURN_IF_ERROR(SetUp(masters, db.get()));
  if (!read_only) {
    JOHNNY_RETURN_IF_ERROR(OverwriteRejected(masters, db.get()));
    if (db->newest_master.txn == kFirstTxn) {
      // Whoever created the file may have died before its name was durable.
      JOHNNY_RETURN_IF_ERROR(system->SyncDirectoryOf(path));
    }
  }
  return db;
}

absl::Status Close(Database* db) { return db->options.read_only ? absl::OkStatus() : db->MarkClean(); }

}  // namespace johnny::env
