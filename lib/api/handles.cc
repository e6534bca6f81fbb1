#include "api/handles.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "os/descriptor.h"

namespace johnny::api {
namespace {

// An ended handle is used again only after so many others have ended, so that its use can be told.
constexpr size_t kQuarantine = 64;
constexpr size_t kThreadQuarantine = 4;  // of those that a thread keeps for itself

using FileKey = std::tuple<os::System*, uint64_t, uint64_t>;

// Environments of this process; lives for ever.
struct Registry {
  Mutex mutex;
  uint64_t generation = 0;  // of `by_file`: what a forked child inherits is not open there
  uint64_t next_id = 1;
  std::map<FileKey, johnny_env*> by_file;
  std::map<uint64_t, johnny_env*> by_id;
};

Registry* TheRegistry() {
  static Registry* const kRegistry = [] {
    static Registry* registry = new Registry;
    // First: handlers that run before a fork do so in reverse order, and descriptors are opened and closed under this mutex.
    os::RegisterForkHandlers();
    // Held across a fork, so that the child gets it free and whole. (Nothing the analysis can follow.)
    ::pthread_atfork([] { registry->mutex.native().lock(); }, [] { registry->mutex.native().unlock(); },
                     [] { registry->mutex.native().unlock(); });
    return registry;
  }();
  return kRegistry;
}

void GiveToEnv(johnny_txn* txn) {
  MutexLock lock(&txn->env->mutex);
  txn->env->idle.push_back(txn);
}

// Ended read handles of one thread, oldest first.
class ThreadHandles {
 public:
  ThreadHandles() = default;
  ThreadHandles(const ThreadHandles&) = delete;
  ThreadHandles& operator=(const ThreadHandles&) = delete;
  ~ThreadHandles() {
    Registry* registry = TheRegistry();
    MutexLock lock(&registry->mutex);
    for (size_t i = 0; i < count_; ++i) {
      auto env = registry->by_id.find(kept_[i].env_id);
      if (env != registry->by_id.end() && env->second->fork_generation == os::ForkGeneration()) {
        GiveToEnv(kept_[i].txn);
      }
    }
  }

  johnny_txn* Take(uint64_t env_id) {
    size_t oldest = count_;
    size_t of_env = 0;
    for (size_t i = count_; i-- > 0;) {
      if (kept_[i].env_id == env_id) {
        oldest = i;
        ++of_env;
      }
    }
    if (of_env < kThreadQuarantine) {
      return nullptr;
    }
    johnny_txn* txn = kept_[oldest].txn;
    std::copy(kept_.begin() + oldest + 1, kept_.begin() + count_, kept_.begin() + oldest);
    --count_;
    return txn;
  }
  // False when there is no room.
  bool Keep(johnny_txn* txn) {
    if (count_ == kept_.size()) {
      DropClosed();
    }
    if (count_ == kept_.size()) {
      return false;
    }
    kept_[count_++] = {txn->env->id, txn};
    return true;
  }

 private:
  struct Kept {
    uint64_t env_id;
    johnny_txn* txn;
  };
  void DropClosed() {
    Registry* registry = TheRegistry();
    MutexLock lock(&registry->mutex);
    auto closed = [&](const Kept& kept) { return registry->by_id.count(kept.env_id) == 0; };
    count_ = static_cast<size_t>(std::remove_if(kept_.begin(), kept_.begin() + count_, closed) - kept_.begin());
  }

  std::array<Kept, 2 * kThreadQuarantine> kept_;
  size_t count_ = 0;
};

thread_local ThreadHandles t_handles;

// Live transactions, those that wait to begin or are ending among them.
uint64_t CountLive(johnny_env* env) {
  MutexLock lock(&env->mutex);
  return static_cast<uint64_t>(std::count_if(env->txns.begin(), env->txns.end(),
                                             [](const auto& txn) { return txn->in_use.load(std::memory_order_acquire); }));
}

}  // namespace

johnny_txn* TakeHandle(johnny_env* env, bool read, bool* own) {
  johnny_txn* txn = read ? t_handles.Take(env->id) : nullptr;
  *own = txn != nullptr;
  if (txn == nullptr) {
    MutexLock lock(&env->mutex);
    if (env->idle.size() > kQuarantine) {
      txn = env->idle.front();
      env->idle.pop_front();
    } else {
      env->txns.push_back(std::make_unique<johnny_txn>(env, env->db.get()));
      txn = env->txns.back().get();
    }
  }
  txn->in_use.store(true, std::memory_order_relaxed);
  return txn;
}

void GiveHandleBack(johnny_txn* txn) {
  for (johnny_cursor* cursor : txn->cursors) {
    cursor->owner = nullptr;
  }
  txn->cursors.clear();
  bool kept = !txn->txn.write() && t_handles.Keep(txn);
  if (!kept) {
    GiveToEnv(txn);
  }
  txn->in_use.store(false, std::memory_order_release);  // from here on the environment may be gone
}

absl::StatusOr<johnny_env*> ShareOrOpen(os::System* system, const std::string& path, bool read_only, bool must_be_new,
                                        const std::function<absl::StatusOr<std::unique_ptr<txn::Database>>()>& open) {
  Registry* registry = TheRegistry();
  MutexLock lock(&registry->mutex);
  if (registry->generation != os::ForkGeneration()) {
    registry->generation = os::ForkGeneration();
    registry->by_file.clear();
  }
  if (auto named = system->IdentityOf(path); named.ok() && !must_be_new) {
    auto at = registry->by_file.find({system, named->device, named->inode});
    if (at != registry->by_file.end()) {
      johnny_env* env = at->second;
      if (env->db->options.read_only != read_only) {
        return MakeStatus(Code::kBusy,
                          absl::StrCat(path, ": open in this process already, ", read_only ? "for writing" : "read-only",
                                       "; both openings must be of one kind"));
      }
      ++env->uses;
      return env;
    }
  }
  auto made = std::make_unique<johnny_env>();
  JOHNNY_ASSIGN_OR_RETURN(made->db, open());
  JOHNNY_ASSIGN_OR_RETURN(os::FileIdentity identity, made->db->file->Identity());
  made->id = registry->next_id++;
  made->fork_generation = os::ForkGeneration();
  made->file_key = {system, identity.device, identity.inode};
  registry->by_id[made->id] = made.get();
  registry->by_file[made->file_key] = made.get();
  return made.release();
}

absl::Status Release(johnny_env* env) {
  if (env->fork_generation != os::ForkGeneration()) {
    return absl::OkStatus();  // the parent's; its threads and locks do not exist here, so its memory is left as it is
  }
  Registry* registry = TheRegistry();
  MutexLock lock(&registry->mutex);
  if (env->uses > 1) {
    --env->uses;
    return absl::OkStatus();
  }
  if (uint64_t live = CountLive(env); live != 0) {
    return MakeStatus(Code::kInUse, absl::StrCat("the environment has ", live, " open transactions"));
  }
  absl::Status status = env::Close(env->db.get());
  registry->by_id.erase(env->id);
  registry->by_file.erase(env->file_key);
  delete env;
  return status;
}

int CheckProcess(uint64_t fork_generation) {
  return fork_generation == os::ForkGeneration()
             ? JOHNNY_OK
             : Fail(Code::kForked, "the handle belongs to the parent process; open the database anew in this one");
}

}  // namespace johnny::api
