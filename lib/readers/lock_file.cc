#include "readers/lock_file.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace johnny::readers {
namespace {

using LockKind = os::File::LockKind;

constexpr int kEntranceTries = 100;  // each one means that somebody replaced or removed the lock file just now
constexpr int kPresenceTries = 20;
constexpr uint32_t kBackOffMs = 5;
constexpr uint32_t kRootUser = 0;

}  // namespace

absl::Status LockFile::Misfit(absl::string_view why) const { return MakeStatus(Code::kLockFile, absl::StrCat(path_, ": ", why)); }

// Opens or creates the lock file, with the permissions of the database, whatever the umask.
absl::Status LockFile::OpenFile(const os::FileIdentity& data, const std::string& data_path) {
  // A database that others than its owner may write can have a lock file of theirs; else it would be a way to keep the owner out.
  bool shared = (data.permissions & 022) != 0;
  for (int i = 0; i < kEntranceTries; ++i) {
    auto opened = system_->Open(path_, os::OpenMode::kReadWrite, 0);
    if (CodeOf(opened.status()) == Code::kNoSuchFile) {
      if (!shared && system_->UserId() != data.owner && system_->UserId() != kRootUser) {
        return MakeStatus(Code::kPermission, absl::StrCat(path_, ": only who may write the database may create its lock file"));
      }
      opened = system_->Open(path_, os::OpenMode::kCreateNew, data.permissions);
    }
    if (CodeOf(opened.status()) == Code::kExists) {
      continue;  // created by somebody else meanwhile
    }
    if (!opened.ok()) {
      return MakeStatus(CodeOf(opened.status()),
                        absl::StrCat("the lock file of ", data_path, ": ", std::string(opened.status().message())));
    }
    JOHNNY_ASSIGN_OR_RETURN(os::FileIdentity own, (*opened)->Identity());
    if (!shared && own.owner != data.owner && own.owner != system_->UserId() && own.owner != kRootUser) {
      return MakeStatus(Code::kPermission,
                        absl::StrCat(path_, ": the lock file belongs to user ", own.owner, ", the database to ", data.owner));
    }
    if (own.permissions != data.permissions && own.owner == system_->UserId()) {
      JOHNNY_RETURN_IF_ERROR((*opened)->SetPermissions(data.permissions));
    }
    file_ = *std::move(opened);
    return absl::OkStatus();
  }
  return Misfit("the lock file keeps being created and removed by others");
}

// Holds the open lock on the file that the path stands for, so that whoever comes later waits at the same one.
absl::Status LockFile::LockEntrance() {
  JOHNNY_RETURN_IF_ERROR(file_->Lock(kOpenLock, LockKind::kExclusive, os::kWaitForEver));
  JOHNNY_ASSIGN_OR_RETURN(os::FileIdentity own, file_->Identity());
  auto named = system_->IdentityOf(path_);
  if (!named.ok() && CodeOf(named.status()) != Code::kNoSuchFile) {
    return named.status();
  }
  if (!named.ok() || !named->SameFile(own)) {
    file_->Unlock(kOpenLock);
    file_.reset();  // tells the caller to try again
  }
  return absl::OkStatus();
}

absl::Status LockFile::TakePresence() {
  for (int i = 0;; ++i) {
    JOHNNY_RETURN_IF_ERROR(file_->Lock(kPresence, LockKind::kShared));
    JOHNNY_RETURN_IF_ERROR(data_->Lock(kPresence, LockKind::kShared));
    JOHNNY_ASSIGN_OR_RETURN(bool others_here, file_->IsLockedByOthers(kPresence));
    JOHNNY_ASSIGN_OR_RETURN(bool others_have_data, data_->IsLockedByOthers(kPresence));
    first_ = !others_here && !others_have_data;
    if (others_here == others_have_data) {
      return absl::OkStatus();
    }
    data_->Unlock(kPresence);
    file_->Unlock(kPresence);
    if (i == kPresenceTries) {  // not just somebody who comes, goes or dies at this moment
      return others_have_data
                 ? Misfit(
                       "the database is open elsewhere with another lock file (this one was removed or replaced, or the database "
                       "has a second name); close it there first")
                 : Misfit(
                       "the lock file is in use for another database file, which was open when this one took its name; close it "
                       "there first");
    }
    system_->Sleep(kBackOffMs);
  }
}

absl::Status LockFile::Map(uint32_t max_readers) {
  JOHNNY_ASSIGN_OR_RETURN(mapping_, file_->MapShared(SharedMemory::SizeFor(max_readers)));
  memory_ = SharedMemory(mapping_->data(), max_readers);
  return absl::OkStatus();
}

// Makes the file `size` zeros, written: a full disk must not show as SIGBUS later. One of that size is mostly zeros since whoever
// had the database open last, and what is zero is left as it is. One that cannot be read
// is written anew.
absl::Status LockFile::Clear(size_t size) {
  static constexpr Byte kZeros[4096] = {};
  std::vector<Byte> bytes(size);
  auto write = [&](size_t at, size_t count) {
    Slice piece = MakeSlice(bytes.data() + at, count);
    return file_->WriteAt(at, absl::MakeConstSpan(&piece, 1));
  };
  JOHNNY_ASSIGN_OR_RETURN(uint64_t present, file_->Size());
  if (present != size || !file_->FillHoles(size) || !file_->ReadAt(0, bytes.data(), size).ok()) {
    std::fill(bytes.begin(), bytes.end(), 0);
    JOHNNY_RETURN_IF_ERROR(file_->Resize(0));
    return write(0, size);
  }
  for (size_t at = 0; at < size; at += sizeof kZeros) {
    const size_t part = std::min(sizeof kZeros, size - at);
    if (std::memcmp(bytes.data() + at, kZeros, part) != 0) {
      std::memset(bytes.data() + at, 0, part);
      JOHNNY_RETURN_IF_ERROR(write(at, part));
    }
  }
  return absl::OkStatus();
}

absl::Status LockFile::Build(const os::FileIdentity& data, uint32_t max_readers) {
  JOHNNY_RETURN_IF_ERROR(Clear(SharedMemory::SizeFor(max_readers)));
  JOHNNY_RETURN_IF_ERROR(Map(max_readers));
  JOHNNY_ASSIGN_OR_RETURN(os::FileIdentity own, file_->Identity());
  LockHeader& header = memory_.header();
  header.layout_version = kLockLayoutVersion;
  header.max_readers = max_readers;
  header.boot_id = system_->BootId();
  header.own_inode = own.inode;
  header.data_device = data.device;
  header.data_inode = data.inode;
  header.magic = kLockFileMagic;
  return absl::OkStatus();
}

absl::Status LockFile::Join(const os::FileIdentity& data) {
  JOHNNY_ASSIGN_OR_RETURN(uint64_t size, file_->Size());
  if (size < SharedMemory::SizeFor(1)) {
    return Misfit("the lock file has been cut short while the database is open elsewhere");
  }
  JOHNNY_RETURN_IF_ERROR(Map(1));
  LockHeader& header = memory_.header();
  if (header.magic == kLockFileMagic && header.layout_version != kLockLayoutVersion) {
    return MakeStatus(Code::kVersionMismatch,
                      absl::StrCat(path_, ": the database is open elsewhere with another version of the library"));
  }
  JOHNNY_ASSIGN_OR_RETURN(os::FileIdentity own, file_->Identity());
  uint32_t max_readers = header.max_readers;
  if (header.magic != kLockFileMagic || header.boot_id != system_->BootId() || header.own_inode != own.inode ||
      max_readers == 0 || max_readers > kMaxReaders || size < SharedMemory::SizeFor(max_readers)) {
    return Misfit("the lock file has been damaged while the database is open elsewhere");
  }
  if (header.data_device != data.device || header.data_inode != data.inode) {
    return Misfit("the lock file is in use for another database file");
  }
  return Map(max_readers);
}

absl::Status LockFile::TakeProcessSlot() {
  for (uint32_t i = 0; i < kMaxProcesses; ++i) {
    absl::Status locked = file_->Lock(kProcessLocks + i, LockKind::kExclusive);
    if (CodeOf(locked) == Code::kBusy) {
      continue;
    }
    JOHNNY_RETURN_IF_ERROR(locked);
    ProcessSlot& slot = memory_.process(i);
    std::atomic<uint32_t>& used = memory_.state().used_processes;  // the open lock is held
    used.store(std::max(used.load(std::memory_order_relaxed), i + 1), std::memory_order_relaxed);
    SnapshotBoard(memory_, i).FreeSlotsOf(i);  // of an owner that died
    slot.process.store(system_->ProcessId(), std::memory_order_relaxed);
    slot.taken.store(1, std::memory_order_seq_cst);
    process_ = i;
    return absl::OkStatus();
  }
  return MakeStatus(Code::kReadersFull, absl::StrCat(path_, ": ", kMaxProcesses, " processes have the database open already"));
}

absl::StatusOr<std::unique_ptr<LockFile>> LockFile::Enter(os::System* system, const std::string& path, os::File* data,
                                                          const std::string& data_path, uint32_t max_readers) {
  std::unique_ptr<LockFile> lock(new LockFile(system, path, data));
  JOHNNY_ASSIGN_OR_RETURN(os::FileIdentity identity, data->Identity());
  for (int i = 0; i < kEntranceTries && lock->file_ == nullptr; ++i) {
    JOHNNY_RETURN_IF_ERROR(lock->OpenFile(identity, data_path));
    JOHNNY_RETURN_IF_ERROR(lock->LockEntrance());
  }
  if (lock->file_ == nullptr) {
    return lock->Misfit("the lock file keeps being replaced by others");
  }
  JOHNNY_RETURN_IF_ERROR(lock->TakePresence());
  JOHNNY_RETURN_IF_ERROR(lock->first_ ? lock->Build(identity, max_readers) : lock->Join(identity));
  JOHNNY_RETURN_IF_ERROR(lock->TakeProcessSlot());
  return lock;
}

absl::Status LockFile::CheckDatabase(uint64_t database_id) {
  std::atomic<uint64_t>& known = memory_.header().database_id;
  if (first_) {
    known = database_id;
    return absl::OkStatus();
  }
  return known == database_id ? absl::OkStatus() : Misfit("the lock file is in use for another database");
}

void LockFile::FinishEntering() { file_->Unlock(kOpenLock); }

absl::StatusOr<bool> LockFile::BeginLeaving() {
  JOHNNY_RETURN_IF_ERROR(file_->Lock(kOpenLock, LockKind::kExclusive, os::kWaitForEver));
  JOHNNY_ASSIGN_OR_RETURN(bool others, file_->IsLockedByOthers(kPresence));
  return !others;
}

LockFile::~LockFile() {
  if (process_ != kNoProcess) {
    SnapshotBoard(memory_, process_).FreeSlotsOf(process_);
    memory_.process(process_).taken.store(0, std::memory_order_seq_cst);
  }
  data_->Unlock(kPresence);
}

bool LockFile::FreeIfDead(uint32_t process, uint32_t* freed_readers) {
  ProcessSlot& slot = memory_.process(process);
  if (process == process_ || slot.taken.load(std::memory_order_seq_cst) == 0 ||
      !file_->Lock(kProcessLocks + process, LockKind::kExclusive).ok()) {
    return false;
  }
  bool dead = slot.taken.load(std::memory_order_seq_cst) != 0;
  if (dead) {
    *freed_readers += SnapshotBoard(memory_, process_).FreeSlotsOf(process);
    slot.taken.store(0, std::memory_order_seq_cst);
  }
  file_->Unlock(kProcessLocks + process);
  return dead;
}

uint32_t LockFile::FreeDeadProcesses() {
  std::lock_guard<std::mutex> guard(reaping_);
  uint32_t freed = 0;
  uint32_t used = std::min(memory_.state().used_processes.load(std::memory_order_relaxed), kMaxProcesses);
  for (uint32_t i = 0; i < used; ++i) {
    FreeIfDead(i, &freed);
  }
  return freed;
}

uint32_t LockFile::CountProcesses() const {
  uint32_t used = std::min(memory_.state().used_processes.load(std::memory_order_relaxed), kMaxProcesses);
  uint32_t count = 0;
  for (uint32_t i = 0; i < used; ++i) {
    count += memory_.process(i).taken.load(std::memory_order_relaxed) != 0 ? 1 : 0;
  }
  return count;
}

absl::StatusOr<PrivateMemory> PrivateMemory::Create(uint32_t max_readers) {
  PrivateMemory made;
  JOHNNY_ASSIGN_OR_RETURN(made.reserved_, os::ReservedMemory::Reserve(SharedMemory::SizeFor(max_readers)));
  made.memory_ = SharedMemory(made.reserved_.data(), max_readers);
  return made;
}

}  // namespace johnny::readers
