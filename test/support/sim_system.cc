#include "support/sim_system.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace johnny::sim {
namespace {

constexpr uint64_t kBlock = FileImage::kBlock;

const char* NameOf(Call call) {
  static const char* const kNames[] = {"open", "link", "unlink", "sync of the directory", "read", "write",
                                       "sync", "size", "resize", "preallocate",           "map",  "lock"};
  return kNames[static_cast<int>(call)];
}

std::string DirectoryOf(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }

uint64_t Blocks(uint64_t bytes) { return (bytes + kBlock - 1) / kBlock; }

}  // namespace

// One file's contents now. Bytes behind `size` are zeros.
struct SimSystem::Inode {
  Inode() {
    void* memory = ::mmap(nullptr, kReserve, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    JOHNNY_CHECK(memory != MAP_FAILED);
    base = static_cast<Byte*>(memory);
  }
  ~Inode() { ::munmap(base, kReserve); }
  Inode(const Inode&) = delete;
  Inode& operator=(const Inode&) = delete;

  struct HeldLock {
    const void* owner;
    uint64_t offset;
    os::File::LockKind kind;
    uint64_t process;
  };

  int id = 0;
  Byte* base = nullptr;
  uint64_t size = 0;
  std::vector<bool> allocated;  // blocks with room on the disk
  std::vector<HeldLock> locks;
};

namespace {

class SimMapping : public os::Mapping {
 public:
  SimMapping(std::shared_ptr<void> inode, const Byte* base, uint64_t reserved)
      : inode_(std::move(inode)), base_(base), reserved_(reserved) {}
  const Byte* data() const override { return base_; }
  uint64_t reserved() const override { return reserved_; }

 private:
  std::shared_ptr<void> inode_;  // keeps the memory
  const Byte* base_;
  uint64_t reserved_;
};

}  // namespace

class SimFile : public os::File {
 public:
  SimFile(SimSystem* system, std::shared_ptr<SimSystem::Inode> inode, std::string path, bool writable)
      : system_(system), inode_(std::move(inode)), path_(std::move(path)), writable_(writable), process_(system->process_) {}
  ~SimFile() override;

  absl::Status ReadAt(uint64_t offset, void* to, size_t size) override;
  absl::Status WriteAt(uint64_t offset, absl::Span<const Slice> pieces) override;
  absl::Status SyncData() override;
  absl::StatusOr<uint64_t> Size() override;
  absl::Status Resize(uint64_t size) override;
  absl::Status Preallocate(uint64_t offset, uint64_t size) override;
  absl::StatusOr<std::unique_ptr<os::Mapping>> Map(uint64_t reserve) override;
  absl::Status Lock(uint64_t offset, LockKind kind) override;

 private:
  using Guard = std::lock_guard<std::recursive_mutex>;
  absl::Status Enter(Call call, bool writes) {
    if (process_ != system_->process_) {
      return MakeStatus(Code::kIoError, absl::StrCat(path_, ": the process is dead"));
    }
    if (writes && !writable_) {
      return MakeStatus(Code::kPermission, absl::StrCat(path_, ": opened read-only"));
    }
    return system_->Enter(call, path_);
  }

  SimSystem* system_;
  std::shared_ptr<SimSystem::Inode> inode_;
  std::string path_;
  bool writable_;
  uint64_t process_;
};

SimFile::~SimFile() {
  Guard guard(system_->mutex_);
  std::erase_if(inode_->locks, [this](const auto& lock) { return lock.owner == this; });
}

absl::Status SimFile::ReadAt(uint64_t offset, void* to, size_t size) {
  Guard guard(system_->mutex_);
  JOHNNY_RETURN_IF_ERROR(Enter(Call::kRead, false));
  if (offset + size > inode_->size) {
    return MakeStatus(Code::kIoError, absl::StrCat(path_, ": the file ends before offset ", offset + size));
  }
  std::memcpy(to, inode_->base + offset, size);
  return absl::OkStatus();
}

absl::Status SimFile::WriteAt(uint64_t offset, absl::Span<const Slice> pieces) {
  Guard guard(system_->mutex_);
  std::string data;
  for (Slice piece : pieces) {
    data.append(piece);
  }
  bool partial = system_->fault_.has_value() && system_->fault_->partial && !system_->dead_ && process_ == system_->process_;
  uint64_t fired = system_->faults_fired_;
  absl::Status status = Enter(Call::kWrite, true);
  if (status.ok()) {
    return system_->Write(inode_.get(), offset, data);
  }
  if (partial && system_->faults_fired_ > fired) {
    (void)system_->Write(inode_.get(), offset, Slice(data).substr(0, data.size() / 2));
  }
  return status;
}

absl::Status SimFile::SyncData() {
  Guard guard(system_->mutex_);
  bool drops = system_->fault_.has_value() && system_->fault_->drops && !system_->fault_->kills && !system_->dead_;
  uint64_t fired = system_->faults_fired_;
  absl::Status status = Enter(Call::kSync, false);
  if (status.ok()) {
    system_->Record({.kind = Event::Kind::kSync, .file = inode_->id});
  } else if (drops && system_->faults_fired_ > fired) {
    system_->Record({.kind = Event::Kind::kSyncDropped, .file = inode_->id});
  }
  return status;
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
      system_->allocated_ -= inode_->allocated[i] ? kBlock : 0;
    }
    inode_->allocated.resize(std::min<uint64_t>(inode_->allocated.size(), Blocks(size)));
  }
  inode_->size = size;
  system_->Record({.kind = Event::Kind::kResize, .file = inode_->id, .size = size});
  return absl::OkStatus();
}

absl::Status SimFile::Preallocate(uint64_t offset, uint64_t size) {
  Guard guard(system_->mutex_);
  JOHNNY_RETURN_IF_ERROR(Enter(Call::kPreallocate, true));
  JOHNNY_RETURN_IF_ERROR(system_->Allocate(inode_.get(), offset, size));
  inode_->size = std::max(inode_->size, offset + size);
  system_->Record({.kind = Event::Kind::kPreallocate, .file = inode_->id, .size = inode_->size});
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<os::Mapping>> SimFile::Map(uint64_t reserve) {
  Guard guard(system_->mutex_);
  JOHNNY_RETURN_IF_ERROR(Enter(Call::kMap, false));
  return std::make_unique<SimMapping>(inode_, inode_->base, std::min(reserve, SimSystem::kReserve));
}

absl::Status SimFile::Lock(uint64_t offset, LockKind kind) {
  Guard guard(system_->mutex_);
  JOHNNY_RETURN_IF_ERROR(Enter(Call::kLock, false));
  for (const auto& lock : inode_->locks) {
    bool conflicts = kind == LockKind::kExclusive || lock.kind == LockKind::kExclusive;
    if (lock.owner != this && lock.offset == offset && lock.process == system_->process_ && conflicts) {
      return MakeStatus(Code::kBusy, absl::StrCat(path_, ": locked"));
    }
  }
  std::erase_if(inode_->locks, [&](const auto& lock) { return lock.owner == this && lock.offset == offset; });
  inode_->locks.push_back({this, offset, kind, process_});
  return absl::OkStatus();
}

SimSystem::SimSystem(uint64_t seed, uint64_t boot_id) : boot_id_(boot_id), random_(seed * 0x9e3779b97f4a7c15u + boot_id) {}

SimSystem::SimSystem(const DiskImage& image, uint64_t seed, uint64_t boot_id) : SimSystem(seed, boot_id) {
  std::map<int, std::shared_ptr<Inode>> inodes;
  for (const auto& [name, file] : image.names) {
    auto& inode = inodes[file];
    if (inode == nullptr) {
      const FileImage& content = image.files.at(file);
      inode = std::make_shared<Inode>();
      inode->id = file;
      inode->size = content.size();
      inode->allocated.assign(Blocks(content.size()), true);
      allocated_ += Blocks(content.size()) * kBlock;
      content.CopyTo(inode->base);
      next_inode_ = std::max(next_inode_, file + 1);
    }
    names_[name] = inode;
  }
}

SimSystem::~SimSystem() = default;

absl::Status SimSystem::Enter(Call call, const std::string& path) {
  if (dead_) {
    return MakeStatus(Code::kIoError, absl::StrCat(path, ": the process is dead"));
  }
  ++calls_;
  ++calls_by_kind_[static_cast<int>(call)];
  if (!fault_.has_value() || (fault_->call.has_value() && *fault_->call != call)) {
    return absl::OkStatus();
  }
  uint64_t index = fault_seen_++;
  if (index < fault_->skip || (index > fault_->skip && !fault_->for_ever)) {
    return absl::OkStatus();
  }
  ++faults_fired_;
  if (fault_->kills) {
    Kill();
    return MakeStatus(Code::kIoError, absl::StrCat(path, ": the process dies"));
  }
  return MakeStatus(fault_->code, absl::StrCat(path, ": injected failure of ", NameOf(call), " number ", index));
}

void SimSystem::Record(Event event) {
  if (recording_) {
    events_.push_back(std::move(event));
  }
}

std::shared_ptr<SimSystem::Inode> SimSystem::NewInode() {
  auto inode = std::make_shared<Inode>();
  inode->id = next_inode_++;
  return inode;
}

absl::Status SimSystem::Allocate(Inode* inode, uint64_t offset, uint64_t size) {
  uint64_t end = Blocks(offset + size);
  if (end * kBlock > kReserve) {
    return MakeStatus(Code::kDiskFull, "larger than the simulation allows");
  }
  uint64_t needed = 0;
  for (uint64_t i = offset / kBlock; i < end; ++i) {
    needed += i >= inode->allocated.size() || !inode->allocated[i] ? kBlock : 0;
  }
  if (capacity_ != 0 && allocated_ + needed > capacity_) {
    return MakeStatus(Code::kDiskFull, "No space left on device (simulated)");
  }
  inode->allocated.resize(std::max<uint64_t>(inode->allocated.size(), end));
  for (uint64_t i = offset / kBlock; i < end; ++i) {
    inode->allocated[i] = true;
  }
  allocated_ += needed;
  return absl::OkStatus();
}

absl::Status SimSystem::Write(Inode* inode, uint64_t offset, Slice bytes) {
  JOHNNY_RETURN_IF_ERROR(Allocate(inode, offset, bytes.size()));
  std::memcpy(inode->base + offset, bytes.data(), bytes.size());
  inode->size = std::max(inode->size, offset + bytes.size());
  Record({.kind = Event::Kind::kWrite, .file = inode->id, .offset = offset, .data = std::string(bytes)});
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<os::File>> SimSystem::Open(const std::string& path, os::OpenMode mode, uint32_t) {
  std::lock_guard guard(mutex_);
  JOHNNY_RETURN_IF_ERROR(Enter(Call::kOpen, path));
  auto at = names_.find(path);
  if (mode == os::OpenMode::kCreateNew) {
    if (at != names_.end()) {
      return MakeStatus(Code::kExists, absl::StrCat(path, ": File exists"));
    }
    at = names_.emplace(path, NewInode()).first;
    Record({.kind = Event::Kind::kCreate, .file = at->second->id, .name = path});
  } else if (at == names_.end()) {
    return MakeStatus(Code::kNoSuchFile, absl::StrCat(path, ": No such file or directory"));
  }
  return std::make_unique<SimFile>(this, at->second, path, mode != os::OpenMode::kReadOnly);
}

absl::Status SimSystem::Link(const std::string& from, const std::string& to) {
  std::lock_guard guard(mutex_);
  JOHNNY_RETURN_IF_ERROR(Enter(Call::kLink, to));
  auto at = names_.find(from);
  if (at == names_.end()) {
    return MakeStatus(Code::kNoSuchFile, absl::StrCat(from, ": No such file or directory"));
  }
  if (!names_.emplace(to, at->second).second) {
    return MakeStatus(Code::kExists, absl::StrCat(to, ": File exists"));
  }
  Record({.kind = Event::Kind::kLink, .file = at->second->id, .name = to});
  return absl::OkStatus();
}

absl::Status SimSystem::Unlink(const std::string& path) {
  std::lock_guard guard(mutex_);
  JOHNNY_RETURN_IF_ERROR(Enter(Call::kUnlink, path));
  auto at = names_.find(path);
  if (at == names_.end()) {
    return MakeStatus(Code::kNoSuchFile, absl::StrCat(path, ": No such file or directory"));
  }
  Record({.kind = Event::Kind::kUnlink, .file = at->second->id, .name = path});
  names_.erase(at);
  return absl::OkStatus();
}

absl::Status SimSystem::SyncDirectoryOf(const std::string& path) {
  std::lock_guard guard(mutex_);
  JOHNNY_RETURN_IF_ERROR(Enter(Call::kSyncDirectory, path));
  Record({.kind = Event::Kind::kSyncDirectory, .name = DirectoryOf(path)});
  return absl::OkStatus();
}

uint64_t SimSystem::MonotonicMillis() {
  std::lock_guard guard(mutex_);
  return clock_++;
}

uint64_t SimSystem::ProcessId() {
  std::lock_guard guard(mutex_);
  return 100 + process_;
}

uint64_t SimSystem::ThreadId() {
  static std::atomic<uint64_t> next{1};
  thread_local uint64_t id = next++;
  return id;
}

uint64_t SimSystem::RandomNumber() {
  std::lock_guard guard(mutex_);
  random_ += 0x9e3779b97f4a7c15u;
  uint64_t z = random_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

void SimSystem::YieldPoint(const char* name) {
  if (yield_hook_) {
    yield_hook_(name);
  }
}

void SimSystem::Mark(MarkKind kind, int64_t value) {
  std::lock_guard guard(mutex_);
  Record({.kind = Event::Kind::kMark, .mark = kind, .value = value});
}

void SimSystem::SetFault(const Fault& fault) {
  std::lock_guard guard(mutex_);
  fault_ = fault;
  fault_seen_ = 0;
  faults_fired_ = 0;
}

void SimSystem::Kill() {
  std::lock_guard guard(mutex_);
  dead_ = true;
  ++process_;
}

uint64_t SimSystem::allocated_bytes() const {
  std::lock_guard guard(mutex_);
  return allocated_;
}

DiskImage SimSystem::Snapshot() const {
  std::lock_guard guard(mutex_);
  DiskImage image;
  for (const auto& [name, inode] : names_) {
    image.names[name] = inode->id;
    FileImage& file = image.files[inode->id];
    if (file.size() == 0 && inode->size > 0) {
      file.Write(0, MakeSlice(inode->base, inode->size));
    }
  }
  return image;
}

}  // namespace johnny::sim
