#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "env/env.h"

namespace johnny::env {
namespace {

using format::MasterPage;
using readers::LockFile;
using txn::Database;
using LockKind = os::File::LockKind;

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

// Without a lock file: for writing with the file to ourselves, for reading beside others who only read.
absl::Status EnterAlone(bool required, Database* db) {
  bool read_only = db->options.read_only;
  uint64_t byte = read_only ? readers::kAlone : readers::kPresence;
  absl::Status locked = db->file->Lock(byte, read_only ? LockKind::kShared : LockKind::kExclusive);
  if (locked.ok()) {
    JOHNNY_ASSIGN_OR_RETURN(bool others, db->file->IsLockedByOthers(read_only ? readers::kPresence : readers::kAlone));
    locked = others ? MakeStatus(Code::kBusy, "") : absl::OkStatus();
  }
  if (CodeOf(locked) == Code::kBusy) {
    return MakeStatus(Code::kBusy, absl::StrCat(db->path, ": the database is open elsewhere, in this process or another"));
  }
  // A file system without locks: whoever asked for none sees to it that nobody else is there.
  JOHNNY_RETURN_IF_ERROR(required ? locked : absl::OkStatus());
  JOHNNY_ASSIGN_OR_RETURN(db->private_memory, readers::PrivateMemory::Create(db->options.max_readers));
  db->board = readers::SnapshotBoard(db->private_memory.memory(), 0);
  return absl::OkStatus();
}

// Becomes one of the processes that have the database open.
absl::Status EnterWithLockFile(const OpenOptions& options, Database* db) {
  std::string lock_path = options.lock_path.empty() ? db->path + "-lock" : options.lock_path;
  auto entered = LockFile::Enter(db->system, lock_path, db->file.get(), db->path, db->options.max_readers);
  if (CodeOf(entered.status()) == Code::kPermission && db->options.read_only) {
    absl::Status alone = EnterAlone(/*required=*/true, db);
    if (CodeOf(alone) == Code::kBusy) {
      return MakeStatus(Code::kPermission, absl::StrCat(std::string(entered.status().message()),
                                                        "; without it the database can be read only while nobody has it open"));
    }
    return alone;
  }
  JOHNNY_RETURN_IF_ERROR(entered.status());
  db->lock_file = *std::move(entered);
  db->board = readers::SnapshotBoard(db->lock_file->memory(), db->lock_file->process());
  if (db->options.read_only) {
    return absl::OkStatus();
  }
  db->writer.Attach(db->file.get(), &db->state());
  JOHNNY_ASSIGN_OR_RETURN(bool alone, db->file->IsLockedByOthers(readers::kAlone));
  return !alone ? absl::OkStatus()
                : MakeStatus(Code::kBusy,
                             absl::StrCat(db->path, ": a process that may not use the lock file is reading the database"));
}

// Others have the database open, and it is as they announce it.
absl::Status Join(Database* db) {
  if (!db->options.read_only && db->writes_refused()) {
    return MakeStatus(Code::kWritesRefused, absl::StrCat(db->path,
                                                         ": a sync or commit failed in another process; the database must be "
                                                         "closed in all processes before it can be opened for writing"));
  }
  JOHNNY_ASSIGN_OR_RETURN(Masters masters, ReadMasters(*db));
  JOHNNY_RETURN_IF_ERROR(CheckVersions(masters, *db));
  const MasterPage* any = nullptr;
  for (const auto& slot : masters.slots) {
    if (slot.ok()) {
      any = &*slot;
    }
  }
  if (any == nullptr) {
    return NoMaster(masters, db->path);
  }
  JOHNNY_RETURN_IF_ERROR(CreateStore(*any, db));
  db->options.max_readers = db->board.max_readers();
  db->seen_publications = UINT64_MAX;  // the first write transaction reads the rest
  for (;;) {
    readers::Snapshot newest = db->board.Newest();
    db->system->YieldPoint("join");
    absl::Status admitted = db->Admit(newest);
    if (admitted.ok() || db->board.newest() == newest.txn) {
      return admitted;
    }  // the file has been cut for a newer snapshot meanwhile
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<os::File>> OpenFile(os::System* system, const std::string& path, const OpenOptions& options) {
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

absl::StatusOr<std::unique_ptr<Database>> Open(os::System* system, const std::string& path, const OpenOptions& options) {
  JOHNNY_ASSIGN_OR_RETURN(auto file, OpenFile(system, path, options));
  return Open(system, path, options, std::move(file));
}

absl::StatusOr<std::unique_ptr<Database>> Open(os::System* system, const std::string& path, const OpenOptions& options,
                                               std::unique_ptr<os::File> file) {
  auto db = std::make_unique<Database>();
  db->system = system;
  db->path = path;
  db->options = options.database;
  db->adopt = Adopt;
  db->file = std::move(file);
  if (!options.allow_network && db->file->IsOnNetwork()) {
    return MakeStatus(Code::kNetwork, absl::StrCat(path,
                                                   ": on a network file system, whose locks and mappings other machines do not "
                                                   "share; only one machine may use it at a time, and only if told so"));
  }
  JOHNNY_RETURN_IF_ERROR(options.use_lock_file ? EnterWithLockFile(options, db.get()) : EnterAlone(/*required=*/false, db.get()));
  bool first = db->lock_file == nullptr || db->lock_file->first();
  JOHNNY_RETURN_IF_ERROR(first ? Recover(db.get()) : Join(db.get()));
  if (!db->options.read_only) {
    JOHNNY_ASSIGN_OR_RETURN(db->frames, pager::FrameArena::Create(db->page_size(), db->options.memory_budget));
  }
  if (db->lock_file != nullptr) {
    JOHNNY_RETURN_IF_ERROR(db->lock_file->CheckDatabase(db->store->database_id()));
    db->lock_file->FinishEntering();
  }
  return db;
}

absl::Status Close(Database* db) {
  if (db->options.read_only) {
    return absl::OkStatus();
  }
  db->background.Stop();
  if (db->lock_file == nullptr) {
    return db->MarkClean();
  }
  JOHNNY_ASSIGN_OR_RETURN(bool last, db->lock_file->BeginLeaving());
  if (db->writes_refused()) {
    return absl::OkStatus();
  }
  if (!last) {
    db->lock_file->FinishEntering();  // a sync may take long, and others shall come and go meanwhile
    return db->Sync();
  }
  JOHNNY_RETURN_IF_ERROR(db->BecomeWriter(os::kWaitForEver));
  absl::Status status = db->MarkClean();
  db->writer.Release();
  return status;
}

}  // namespace johnny::env
