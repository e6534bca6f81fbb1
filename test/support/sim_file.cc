#include "support/sim_file.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/guard.h"

namespace johnny::sim {
namespace {

constexpr uint64_t kEndGuard = 1 << 16;  // bytes behind the end of a file that are poisoned

class SimMapping : public os::Mapping {
 public:
  SimMapping(std::shared_ptr<SimInode> inode, uint64_t reserved) : inode_(std::move(inode)), reserved_(reserved) {}
  const Byte* data() const override { return inode_->base; }
  uint64_t reserved() const override { return reserved_; }

 private:
  std::shared_ptr<SimInode> inode_;  // keeps the memory
  uint64_t reserved_;
};

class SimSharedMapping : public os::SharedMapping {
 public:
  SimSharedMapping(std::shared_ptr<SimInode> inode, uint64_t size) : inode_(std::move(inode)), size_(size) {}
  Byte* data() const override { return inode_->base; }
  uint64_t size() const override { return size_; }

 private:
  std::shared_ptr<SimInode> inode_;
  uint64_t size_;
};

// Address space for files, used again with what is mapped there: page faults would be most of what opening a small disk costs.
class Spaces {
 public:
  static Spaces& Instance() {
    static auto* spaces = new Spaces;
    return *spaces;
  }

  // SimSystem::kReserve zeros.
  Byte* Take() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!free_.empty()) {
      Free last = free_.back();
      free_.pop_back();
      Unpoison(last.space, last.poisoned);
      return last.space;
    }
    void* memory =
        ::mmap(nullptr, SimSystem::kReserve, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    JOHNNY_CHECK(memory != MAP_FAILED);
    return static_cast<Byte*>(memory);
  }

  // Of which no more than the first `used` bytes were written to.
  void Give(Byte* space, uint64_t used) {
    if (used > kKept) {
      JOHNNY_CHECK(::madvise(space + kKept, used - kKept, MADV_DONTNEED) == 0);
    }
    used = std::min(Blocks(used) * FileImage::kBlock, kKept);
    std::memset(space, 0, used);
    Poison(space, used);  // nobody may have it mapped any more
    std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back({space, used});
  }

 private:
  static constexpr uint64_t kKept = 1 << 20;  // bytes
  struct Free {
    Byte* space;
    uint64_t poisoned;
  };

  std::mutex mutex_;
  std::vector<Free> free_;
};

}  // namespace

SimInode::SimInode(int inode_id) : id(inode_id), base(Spaces::Instance().Take()) { SetSize(0); }

SimInode::~SimInode() {
  SetSize(0);  // nothing behind stays poisoned
  Unpoison(base, kEndGuard);
  Spaces::Instance().Give(base, used);
}

void SimInode::SetSize(uint64_t bytes) {
  auto end = [](uint64_t offset) { return std::min(Blocks(offset) * FileImage::kBlock, SimSystem::kReserve); };
  uint64_t guard_end = std::min(end(size) + kEndGuard, SimSystem::kReserve);
  Unpoison(base + end(size), guard_end - end(size));
  guard_end = std::min(end(bytes) + kEndGuard, SimSystem::kReserve);
  Poison(base + end(bytes), guard_end - end(bytes));
  size = bytes;
}

SimFile::SimFile(SimProcess* process, std::shared_ptr<SimInode> inode, std::string path, bool writable)
    : system_(process->system_),
      process_(process),
      life_(process->life_),
      inode_(std::move(inode)),
      path_(std::move(path)),
      writable_(writable) {}

SimFile::~SimFile() {
  Guard guard(system_->mutex_);
  std::erase_if(inode_->locks, [this](const auto& lock) { return lock.owner == this; });
  system_->lock_released_.notify_all();
}

absl::Status SimFile::Enter(Call call, bool writes) {
  if (!IsDead() && writes && !writable_) {
    return MakeStatus(Code::kPermission, absl::StrCat(path_, ": opened read-only"));
  }
  return system_->Enter(process_, *life_, call, path_);
}

absl::Status SimFile::ReadAt(uint64_t offset, void* to, size_t size) {
  Guard guard(system_->mutex_);
  bool partial = system_->fault_.has_value() && system_->fault_->partial;
  if (absl::Status status = Enter(Call::kRead, false); !status.ok()) {
    if (partial && offset + size <= inode_->size) {
      std::memcpy(to, inode_->base + offset, size / 2);
    }
    return status;
  }
  if (offset + size > inode_->size) {
    return MakeStatus(Code::kIoError, absl::StrCat(path_, ": the file ends before offset ", offset + size));
  }
  std::memcpy(to, inode_->base + offset, size);
  return absl::OkStatus();
}

absl::Status SimFile::WriteAt(uint64_t offset, absl::Span<const Slice> pieces) {
  Guard guard(system_->mutex_);
  std::string joined;
  Slice data = pieces.size() == 1 ? pieces[0] : Slice();
  if (pieces.size() != 1) {
    for (Slice piece : pieces) {
      joined.append(piece);
    }
    data = joined;
  }
  bool partial = system_->fault_.has_value() && system_->fault_->partial;
  uint64_t fired = system_->faults_fired_;
  absl::Status status = Enter(Call::kWrite, true);
  if (status.ok()) {
    return system_->Write(inode_.get(), offset, data);
  }
  if (partial && system_->faults_fired_ > fired) {
    (void)system_->Write(inode_.get(), offset, data.substr(0, data.size() / 2));
  }
  return status;
}

absl::Status SimFile::SyncData() {
  Guard guard(system_->mutex_);
  bool drops = system_->fault_.has_value() && system_->fault_->drops && !system_->fault_->kills;
  uint64_t fired = system_->faults_fired_;
  absl::Status status = Enter(Call::kSync, false);
  if (status.ok()) {
    system_->RecordData(*inode_, {.kind = Event::Kind::kSync});
  } else if (drops && system_->faults_fired_ > fired) {
    system_->RecordData(*inode_, {.kind = Event::Kind::kSyncDropped});
  }
  return status;
}

// Until a sync anything may have reached the disk as it is.
void SimFile::StartWriting(uint64_t offset, uint64_t size) {
  Guard guard(system_->mutex_);
  system_->set_out_.push_back({offset, size});
}

absl::StatusOr<uint64_t> SimFile::Size() {
  Guard guard(system_->mutex_);
  JOHNNY_RETURN_IF_ERROR(Enter(Call::kSize, false));
  return inode_->size;
}

absl::Status SimFile::Resize(uint64_t size) {
  Guard guard(system_->mutex_);
  JOHNNY_RETURN_IF_ERROR(Enter(Call::kResize, true));
  if (size > SimSystem::kReserve) {
    return MakeStatus(Code::kDiskFull, absl::StrCat(path_, ": larger than the simulation allows"));
  }
  if (size < inode_->size) {
    std::memset(inode_->base + size, 0, inode_->size - size);
    for (uint64_t i = Blocks(size); i < inode_->allocated.size(); ++i) {
      system_->allocated_ -= inode_->allocated[i] ? FileImage::kBlock : 0;
    }
    inode_->allocated.resize(std::min<uint64_t>(inode_->allocated.size(), Blocks(size)));
  }
  inode_->SetSize(size);
  system_->RecordData(*inode_, {.kind = Event::Kind::kResize, .size = size});
  return absl::OkStatus();
}

absl::Status SimFile::Preallocate(uint64_t offset, uint64_t size) {
  Guard guard(system_->mutex_);
  JOHNNY_RETURN_IF_ERROR(Enter(Call::kPreallocate, true));
  JOHNNY_RETURN_IF_ERROR(system_->Allocate(inode_.get(), offset, size));
  inode_->SetSize(std::max(inode_->size, offset + size));
  system_->RecordData(*inode_, {.kind = Event::Kind::kPreallocate, .size = inode_->size});
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<os::Mapping>> SimFile::Map(uint64_t reserve) {
  Guard guard(system_->mutex_);
  JOHNNY_RETURN_IF_ERROR(Enter(Call::kMap, false));
  return std::make_unique<SimMapping>(inode_, std::min(reserve, SimSystem::kReserve));
}

absl::StatusOr<std::unique_ptr<os::SharedMapping>> SimFile::MapShared(uint64_t size) {
  Guard guard(system_->mutex_);
  JOHNNY_RETURN_IF_ERROR(Enter(Call::kMapShared, true));
  if (size > inode_->size) {
    return MakeStatus(Code::kIoError, absl::StrCat(path_, ": has ", inode_->size, " bytes where ", size, " were expected"));
  }
  inode_->used = std::max(inode_->used, size);
  return std::make_unique<SimSharedMapping>(inode_, size);
}

absl::StatusOr<os::FileIdentity> SimFile::Identity() {
  Guard guard(system_->mutex_);
  JOHNNY_RETURN_IF_ERROR(Enter(Call::kIdentity, false));
  return inode_->Identity();
}

absl::Status SimFile::SetPermissions(uint32_t permissions) {
  Guard guard(system_->mutex_);
  JOHNNY_RETURN_IF_ERROR(Enter(Call::kSetPermissions, false));
  if (process_->UserId() != inode_->owner && process_->UserId() != 0) {
    return MakeStatus(Code::kPermission, absl::StrCat(path_, ": Operation not permitted"));
  }
  inode_->permissions = permissions & 0777;
  return absl::OkStatus();
}

bool SimFile::IsExcluded(uint64_t offset, LockKind kind) const {
  return std::any_of(inode_->locks.begin(), inode_->locks.end(), [&](const SimInode::HeldLock& lock) {
    bool conflicts = kind == LockKind::kExclusive || lock.kind == LockKind::kExclusive;
    return conflicts && lock.owner != this && lock.offset == offset && !lock.life->dead;
  });
}

void SimFile::Release(uint64_t offset) {
  std::erase_if(inode_->locks, [&](const auto& lock) { return lock.owner == this && lock.offset == offset; });
}

absl::Status SimFile::Lock(uint64_t offset, LockKind kind, uint32_t timeout_ms) {
  Guard guard(system_->mutex_);
  JOHNNY_RETURN_IF_ERROR(Enter(Call::kLock, kind == LockKind::kExclusive));
  const auto can_go_on = [&] { return IsDead() || !IsExcluded(offset, kind); };
  if (timeout_ms == os::kWaitForEver) {
    system_->lock_released_.wait(guard, can_go_on);
  } else if (timeout_ms > 0) {  // of real time: the simulated clock stands still while nobody asks for it
    system_->lock_released_.wait_for(guard, std::chrono::milliseconds(timeout_ms), can_go_on);
  }
  if (IsDead()) {
    system_->RunDeathHook(*life_);
    return MakeStatus(Code::kIoError, absl::StrCat(path_, ": the process is dead"));
  }
  if (IsExcluded(offset, kind)) {
    return MakeStatus(Code::kBusy, absl::StrCat(path_, ": locked"));
  }
  Release(offset);
  inode_->locks.push_back({this, life_.get(), offset, kind});
  system_->lock_released_.notify_all();  // an exclusive lock may have become a shared one
  return absl::OkStatus();
}

void SimFile::Unlock(uint64_t offset) {
  Guard guard(system_->mutex_);
  Release(offset);
  system_->lock_released_.notify_all();
}

absl::StatusOr<bool> SimFile::IsLockedByOthers(uint64_t offset) {
  Guard guard(system_->mutex_);
  JOHNNY_RETURN_IF_ERROR(Enter(Call::kQueryLock, false));
  return IsExcluded(offset, LockKind::kExclusive);
}

}  // namespace johnny::sim
