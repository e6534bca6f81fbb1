#include "support/sim_system.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "support/sim_file.h"

namespace johnny::sim {
namespace {

using Guard = std::lock_guard<std::mutex>;

constexpr uint64_t kBlock = FileImage::kBlock;

const char* NameOf(Call call) {
  static const char* const kNames[] = {"open",
                                       "link",
                                       "unlink",
                                       "look at the name",
                                       "sync of the directory",
                                       "read",
                                       "write",
                                       "sync",
                                       "size",
                                       "resize",
                                       "preallocate",
                                       "map",
                                       "shared map",
                                       "identity",
                                       "set permissions",
                                       "lock",
                                       "look at the locks"};
  static_assert(std::size(kNames) == kCallKinds);
  return kNames[static_cast<int>(call)];
}

bool IsLockName(const std::string& name) { return absl::EndsWith(name, kLockSuffix); }

}  // namespace

SimSystem::SimSystem(uint64_t seed, uint64_t boot_id)
    : boot_id_(boot_id), random_(seed * 0x9e3779b97f4a7c15u + boot_id), first_(std::make_unique<SimProcess>(this, this)) {}

SimSystem::SimSystem(const DiskImage& image, uint64_t seed, uint64_t boot_id) : SimSystem(seed, boot_id) {
  std::map<int, std::shared_ptr<SimInode>> inodes;
  for (const auto& [name, file] : image.names) {
    auto& inode = inodes[file];
    if (inode == nullptr) {
      const FileImage& content = image.files.at(file);
      inode = std::make_shared<SimInode>(file);
      inode->SetSize(content.size());
      inode->allocated.assign(Blocks(content.size()), true);
      allocated_ += Blocks(content.size()) * kBlock;
      content.CopyTo(inode->base);
      inode->used = content.size();
      next_inode_ = std::max(next_inode_, file + 1);
    }
    inode->is_lock_file |= IsLockName(name);
    names_[name] = inode;
  }
}

SimSystem::~SimSystem() = default;

std::unique_ptr<SimProcess> SimSystem::NewProcess() { return std::make_unique<SimProcess>(this, nullptr); }

absl::Status SimSystem::Enter(SimProcess* process, const SimLife& life, Call call, const std::string& path) {
  if (life.dead) {
    RunDeathHook(life);
    return MakeStatus(Code::kIoError, absl::StrCat(path, ": the process is dead"));
  }
  ++calls_;
  ++calls_by_kind_[static_cast<int>(call)];
  if (!fault_.has_value() || (fault_->call.has_value() && *fault_->call != call) ||
      (fault_->process != nullptr && fault_->process != process->identity_)) {
    return absl::OkStatus();
  }
  uint64_t index = fault_seen_++;
  if (index < fault_->skip || (index - fault_->skip >= fault_->times && !fault_->for_ever)) {
    return absl::OkStatus();
  }
  if (faults_fired_++ == 0) {
    first_fired_ = call;
  }
  ++fired_by_kind_[static_cast<int>(call)];
  if (fault_->kills) {
    Kill(process);
    RunDeathHook(life);
    return MakeStatus(Code::kIoError, absl::StrCat(path, ": the process dies"));
  }
  return MakeStatus(fault_->code, absl::StrCat(path, ": ", fault_->words, " (", NameOf(call), ", number ", index, ")"));
}

void SimSystem::Kill(SimProcess* process) {
  process->life_->dead = true;  // whereby its locks are gone, see SimFile::IsExcluded()
  lock_released_.notify_all();
}

void SimSystem::RunDeathHook(const SimLife& life) {
  if (life.death_hook) {
    mutex_.unlock();
    life.death_hook();
    mutex_.lock();
  }
}

void SimSystem::Record(Event event) {
  if (recording_) {
    events_.push_back(std::move(event));
  }
}

void SimSystem::RecordData(const SimInode& inode, Event event) {
  if (!inode.is_lock_file) {
    event.file = inode.id;
    Record(std::move(event));
  }
}

void SimSystem::RecordName(Event::Kind kind, const SimInode& inode, const std::string& name) {
  if (!IsLockName(name)) {
    Record({.kind = kind, .file = inode.id, .name = name});
  }
}

absl::StatusOr<SimSystem::Names::iterator> SimSystem::Find(const std::string& path) {
  auto at = names_.find(path);
  if (at == names_.end()) {
    return MakeStatus(Code::kNoSuchFile, absl::StrCat(path, ": No such file or directory"));
  }
  return at;
}

void SimSystem::Bind(const std::string& name, std::shared_ptr<SimInode> inode, Event::Kind kind) {
  RecordName(kind, *inode, name);
  inode->is_lock_file |= IsLockName(name);
  names_[name] = std::move(inode);
}

absl::Status SimSystem::Unbind(const std::string& name) {
  JOHNNY_ASSIGN_OR_RETURN(auto at, Find(name));
  RecordName(Event::Kind::kUnlink, *at->second, name);
  names_.erase(at);
  return absl::OkStatus();
}

absl::Status SimSystem::Allocate(SimInode* inode, uint64_t offset, uint64_t size) {
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

absl::Status SimSystem::Write(SimInode* inode, uint64_t offset, Slice bytes) {
  JOHNNY_RETURN_IF_ERROR(Allocate(inode, offset, bytes.size()));
  inode->SetSize(std::max(inode->size, offset + bytes.size()));
  inode->used = std::max(inode->used, offset + bytes.size());
  std::memcpy(inode->base + offset, bytes.data(), bytes.size());
  if (recording_) {
    RecordData(*inode, {.kind = Event::Kind::kWrite, .offset = offset, .data = std::string(bytes)});
  }
  return absl::OkStatus();
}

absl::Status SimSystem::Rename(const std::string& from, const std::string& to) {
  if (Exists(to)) {
    return MakeStatus(Code::kExists, absl::StrCat(to, ": File exists"));
  }
  return Replace(from, to);
}

absl::Status SimSystem::Replace(const std::string& from, const std::string& to) {
  Guard guard(mutex_);
  JOHNNY_ASSIGN_OR_RETURN(auto at, Find(from));
  auto inode = at->second;
  if (names_.contains(to)) {
    JOHNNY_RETURN_IF_ERROR(Unbind(to));
  }
  Bind(to, inode, Event::Kind::kLink);
  return Unbind(from);
}

void SimSystem::ChangePermissions(const std::string& path, uint32_t permissions) {
  Guard guard(mutex_);
  if (auto at = names_.find(path); at != names_.end()) {
    at->second->permissions = permissions;
  }
}

bool SimSystem::Exists(const std::string& path) const {
  Guard guard(mutex_);
  return names_.contains(path);
}

void SimSystem::Mark(MarkKind kind, int64_t value) {
  Guard guard(mutex_);
  Record({.kind = Event::Kind::kMark, .mark = kind, .value = value});
}

void SimSystem::set_recording(bool recording) {
  Guard guard(mutex_);
  recording_ = recording;
}

void SimSystem::SetFault(const Fault& fault) {
  Guard guard(mutex_);
  fault_ = fault;
  fault_seen_ = 0;
  faults_fired_ = 0;
  first_fired_.reset();
  std::fill(std::begin(fired_by_kind_), std::end(fired_by_kind_), 0);
}

void SimSystem::ClearFault() {
  Guard guard(mutex_);
  fault_.reset();
}

uint64_t SimSystem::faults_fired() const {
  Guard guard(mutex_);
  return faults_fired_;
}

std::optional<Call> SimSystem::first_fired() const {
  Guard guard(mutex_);
  return first_fired_;
}

bool SimSystem::failed(Call call) const {
  Guard guard(mutex_);
  return fired_by_kind_[static_cast<int>(call)] != 0;
}

uint64_t SimSystem::calls() const {
  Guard guard(mutex_);
  return calls_;
}

uint64_t SimSystem::calls(Call call) const {
  Guard guard(mutex_);
  return calls_by_kind_[static_cast<int>(call)];
}

void SimSystem::set_capacity(uint64_t bytes) {
  Guard guard(mutex_);
  capacity_ = bytes;
}

std::vector<std::pair<uint64_t, uint64_t>> SimSystem::TakeSetOut() {
  Guard guard(mutex_);
  return std::exchange(set_out_, {});
}

uint64_t SimSystem::allocated_bytes() const {
  Guard guard(mutex_);
  return allocated_;
}

DiskImage SimSystem::Snapshot(bool with_lock_files) const {
  Guard guard(mutex_);
  DiskImage image;
  for (const auto& [name, inode] : names_) {
    if (inode->is_lock_file && !with_lock_files) {
      continue;
    }
    image.names[name] = inode->id;
    FileImage& file = image.files[inode->id];
    if (file.size() == 0 && inode->size > 0) {
      file.Write(0, MakeSlice(inode->base, inode->size));
    }
  }
  return image;
}

}  // namespace johnny::sim
