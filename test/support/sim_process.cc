#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "support/sim_file.h"
#include "support/sim_system.h"

namespace johnny::sim {
namespace {

using Guard = std::lock_guard<std::mutex>;

std::string DirectoryOf(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }

// Whether `user` may open the file. There are no groups.
bool MayOpen(uint32_t user, const SimInode& inode, bool writes) {
  const uint32_t wanted = writes ? 6 : 4;
  const uint32_t granted = user == inode.owner ? inode.permissions >> 6 : inode.permissions;
  return user == 0 || (granted & wanted) == wanted;
}

}  // namespace

SimProcess::SimProcess(SimSystem* system, const os::System* identity)
    : system_(system), identity_(identity != nullptr ? identity : this), id_(system->next_process_id_++) {}

SimProcess::~SimProcess() {
  Kill();
  Guard guard(system_->mutex_);
  life_->death_hook = nullptr;  // files may outlive the process
}

absl::StatusOr<std::unique_ptr<os::File>> SimProcess::Open(const std::string& path, os::OpenMode mode, uint32_t permissions) {
  Guard guard(system_->mutex_);
  JOHNNY_RETURN_IF_ERROR(system_->Enter(this, *life_, Call::kOpen, path));
  const bool writable = mode != os::OpenMode::kReadOnly;
  if (mode == os::OpenMode::kCreateNew) {
    if (system_->names_.contains(path)) {
      return MakeStatus(Code::kExists, absl::StrCat(path, ": File exists"));
    }
    auto inode = std::make_shared<SimInode>(system_->next_inode_++);
    inode->owner = UserId();
    inode->permissions = permissions & 0777;
    system_->Bind(path, inode, Event::Kind::kCreate);
    return std::make_unique<SimFile>(this, std::move(inode), path, writable);
  }
  JOHNNY_ASSIGN_OR_RETURN(auto at, system_->Find(path));
  if (!MayOpen(UserId(), *at->second, writable)) {
    return MakeStatus(Code::kPermission, absl::StrCat(path, ": Permission denied"));
  }
  return std::make_unique<SimFile>(this, at->second, path, writable);
}

absl::Status SimProcess::Link(const std::string& from, const std::string& to) {
  Guard guard(system_->mutex_);
  JOHNNY_RETURN_IF_ERROR(system_->Enter(this, *life_, Call::kLink, to));
  JOHNNY_ASSIGN_OR_RETURN(auto at, system_->Find(from));
  if (system_->names_.contains(to)) {
    return MakeStatus(Code::kExists, absl::StrCat(to, ": File exists"));
  }
  system_->Bind(to, at->second, Event::Kind::kLink);
  return absl::OkStatus();
}

absl::Status SimProcess::Unlink(const std::string& path) {
  Guard guard(system_->mutex_);
  JOHNNY_RETURN_IF_ERROR(system_->Enter(this, *life_, Call::kUnlink, path));
  return system_->Unbind(path);
}

absl::StatusOr<os::FileIdentity> SimProcess::IdentityOf(const std::string& path) {
  Guard guard(system_->mutex_);
  JOHNNY_RETURN_IF_ERROR(system_->Enter(this, *life_, Call::kIdentityOf, path));
  JOHNNY_ASSIGN_OR_RETURN(auto at, system_->Find(path));
  return at->second->Identity();
}

absl::Status SimProcess::SyncDirectoryOf(const std::string& path) {
  Guard guard(system_->mutex_);
  JOHNNY_RETURN_IF_ERROR(system_->Enter(this, *life_, Call::kSyncDirectory, path));
  system_->Record({.kind = Event::Kind::kSyncDirectory, .name = DirectoryOf(path)});
  return absl::OkStatus();
}

// No time passes in tests.
void SimProcess::Sleep(uint32_t) {
  if (!system_->single_threaded_) {
    std::this_thread::yield();
  }
}

uint64_t SimProcess::MonotonicMillis() { return system_->clock_.fetch_add(1, std::memory_order_relaxed); }

uint64_t SimProcess::ThreadId() {
  static std::atomic<uint64_t> next{1};
  thread_local uint64_t id = next.fetch_add(1, std::memory_order_relaxed);
  return id;
}

uint64_t SimProcess::BootId() { return system_->boot_id_; }

uint64_t SimProcess::RandomNumber() {
  Guard guard(system_->mutex_);
  system_->random_ += 0x9e3779b97f4a7c15u;
  uint64_t z = system_->random_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

void SimProcess::YieldPoint(const char* name) {
  if (yield_hook_) {
    yield_hook_(this, name);
  } else if (system_->yield_hook_) {
    system_->yield_hook_(name);
  }
}

void SimProcess::Kill() {
  Guard guard(system_->mutex_);
  system_->Kill(this);
}

void SimProcess::Revive() {
  Guard guard(system_->mutex_);
  if (life_->dead) {
    life_ = std::make_shared<SimLife>(SimLife{false, life_->death_hook});
    id_ = system_->next_process_id_++;
  }
}

bool SimProcess::dead() const {
  Guard guard(system_->mutex_);
  return life_->dead;
}

}  // namespace johnny::sim
