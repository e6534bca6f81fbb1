#include "api/handles.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <map>
#include <new>
#include <tuple>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "os/descriptor.h"

namespace johnny::api {
namespace {

// An ended handle is used again only after so many others have ended, so that its use can be told.
constexpr size_t kQuarantine = 64;
constexpr size_t kThreadQuarantine = 4;  // of those that a thread keeps for itself

using FileKey = std::tuple<os::System*, uint64_t, uint64_t>;

// Environments of this process; lives for ever.
//
// Recovery and the last syncs may take long. So the mutex is not held while a database is opened or closed: its entry says so
// meanwhile, and who wants the same file waits for that to end.
struct Registry {
  Mutex mutex;
  std::condition_variable changed;             // an opening or closing ended
  uint64_t generation = os::ForkGeneration();  // of these
  std::map<FileKey, johnny_env*> by_file;      // null: being opened or closed
  uint64_t next_id = 1;
  std::map<uint64_t, johnny_env*> by_id;

  // What a forked child inherits is not open there, and who opens or waits is not there.
  void Refresh() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (generation != os::ForkGeneration()) {
      generation = os::ForkGeneration();
      by_file.clear();
      new (&changed) std::condition_variable;  // not destroyed, which would wait for those who are not there
    }
  }
  // The environment open on the file, once nobody opens or closes it; null: there is none.
  johnny_env* Find(const FileKey& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    for (;;) {
      auto at = by_file.find(key);
      if (at == by_file.end() || at->second != nullptr) {
        return at == by_file.end() ? nullptr : at->second;
      }
      std::unique_lock<std::mutex> lock(mutex.native(), std::adopt_lock);
      changed.wait(lock);
      lock.release();
    }
  }
  // The file's opening or closing has ended; null: it is not open.
  void Settle(const FileKey& key, johnny_env* env) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (env != nullptr) {
      by_file.at(key) = env;
    } else {
      by_file.erase(key);
    }
    changed.notify_all();
  }
};

Registry* TheRegistry() {
  static Registry* const kRegistry = [] {
    static Registry* registry = new Registry;
    // First: handlers that run before a fork do so in reverse order, so that this mutex is always taken before that of
    // descriptors.
    os::RegisterForkHandlers();
    // Held across a fork, so that the child gets it free and whole. (Nothing the analysis can follow.)
    ::pthread_atfork([] { registry->mutex.native().lock(); }, [] { registry->mutex.native().unlock(); },
                     [] { registry->mutex.native().unlock(); });
    return registry;
  }();
  return kRegistry;
}

void GiveToEnv(johnny_txn* txn) {
  johnny_env* env = txn->env;
  MutexLock lock(&env->mutex);
  txn->next_idle = nullptr;
  (env->newest_idle != nullptr ? env->newest_idle->next_idle : env->oldest_idle) = txn;
  env->newest_idle = txn;
  ++env->idle_count;
}

// The one that ended longest ago, if enough others have since; else nullptr.
johnny_txn* TakeIdle(johnny_env* env) ABSL_EXCLUSIVE_LOCKS_REQUIRED(env->mutex) {
  if (env->idle_count <= kQuarantine) {
    return nullptr;
  }
  --env->idle_count;
  return std::exchange(env->oldest_idle, env->oldest_idle->next_idle);
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

// Found without a call, unlike what a library has of threads' memory by default: each begin and each end of a read transaction
// looks here. It takes a few of the bytes that the C library keeps for libraries loaded later.
thread_local ThreadHandles t_handles __attribute__((tls_model("initial-exec")));

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
    txn = TakeIdle(env);
    if (txn == nullptr) {
      env->txns.push_back(std::make_unique<johnny_txn>(env, env->db.get()));
      txn = env->txns.back().get();
    }
  }
  txn->in_use.store(true, std::memory_order_relaxed);
  return txn;
}

void GiveHandleBack(johnny_txn* txn) {
  if (txn->txn.active()) {  // memory ran out on the way
    txn->txn.Abort();
  }
  for (johnny_cursor* cursor : txn->cursors) {
    cursor->owner = nullptr;
  }
  txn->cursors.clear();
  for (johnny_builder* builder : txn->builders) {
    builder->owner = nullptr;
  }
  txn->builders.clear();
  bool kept = !txn->txn.write() && t_handles.Keep(txn);
  if (!kept) {
    GiveToEnv(txn);
  }
  txn->in_use.store(false, std::memory_order_release);  // from here on the environment may be gone
}

namespace {

absl::StatusOr<johnny_env*> Share(johnny_env* env, const std::string& path, bool read_only) {
  if (env->db->options.read_only != read_only) {
    return MakeStatus(Code::kBusy, absl::StrCat(path, ": open in this process already, ", read_only ? "for writing" : "read-only",
                                                "; both openings must be of one kind"));
  }
  ++env->uses;
  return env;
}

}  // namespace

absl::StatusOr<johnny_env*> ShareOrOpen(os::System* system, const std::string& path, const env::OpenOptions& options,
                                        const std::function<void(txn::Database*)>& prepare) {
  Registry* registry = TheRegistry();
  bool read_only = options.database.read_only;
  // What is open here is shared without opening the file again, for which this process may have given up the right.
  if (auto named = system->IdentityOf(path); named.ok() && !options.exclusive) {
    MutexLock lock(&registry->mutex);
    registry->Refresh();
    if (johnny_env* env = registry->Find({system, named->device, named->inode}); env != nullptr) {
      return Share(env, path, read_only);
    }
  }
  JOHNNY_ASSIGN_OR_RETURN(auto file, env::OpenFile(system, path, options));
  JOHNNY_ASSIGN_OR_RETURN(os::FileIdentity identity, file->Identity());
  const FileKey key = {system, identity.device, identity.inode};
  {
    MutexLock lock(&registry->mutex);
    registry->Refresh();
    if (johnny_env* env = registry->Find(key); env != nullptr) {  // opened, or even created, by another thread meanwhile
      return Share(env, path, read_only);
    }
    registry->by_file[key] = nullptr;
  }
  absl::Cleanup give_up = [registry, &key] {
    MutexLock lock(&registry->mutex);
    registry->Settle(key, nullptr);
  };
  auto made = std::make_unique<johnny_env>();
  JOHNNY_ASSIGN_OR_RETURN(made->db, env::Open(system, path, options, std::move(file)));
  prepare(made->db.get());
  made->fork_generation = os::ForkGeneration();
  made->file_key = key;
  MutexLock lock(&registry->mutex);
  made->id = registry->next_id++;
  registry->by_id[made->id] = made.get();
  registry->Settle(key, made.get());
  std::move(give_up).Cancel();
  return made.release();
}

absl::Status Release(johnny_env* env) {
  if (env->fork_generation != os::ForkGeneration()) {
    return absl::OkStatus();  // the parent's; its threads and locks do not exist here, so its memory is left as it is
  }
  if (env->scrubber.IsThisThread()) {
    return MakeStatus(Code::kBusy, "a scrub's callback cannot close the environment");
  }
  Registry* registry = TheRegistry();
  const FileKey key = env->file_key;
  for (bool closing = false; !closing;) {
    {
      MutexLock lock(&registry->mutex);
      if (env->uses > 1) {
        --env->uses;
        return absl::OkStatus();
      }
      if (!env->scrubber.progress().running) {
        if (uint64_t live = CountLive(env); live != 0) {
          return MakeStatus(Code::kInUse, absl::StrCat("the environment has ", live, " open transactions"));
        }
        registry->by_file.at(key) = nullptr;
        closing = true;
      }
    }
    if (!closing) {  // before the file counts as closing: a callback may open it
      MutexLock lock(&env->scrub_mutex);
      env->scrubber.Stop();
    }
  }
  absl::Status status;
  bool no_memory = false;
  try {
    status = env::Close(env->db.get());
  } catch (const std::bad_alloc&) {
    no_memory = true;  // closed all the same: half closed it would keep other processes out
  }
  {
    MutexLock lock(&registry->mutex);
    registry->by_id.erase(env->id);
  }
  delete env;
  MutexLock lock(&registry->mutex);
  registry->Settle(key, nullptr);
  if (no_memory) {
    throw std::bad_alloc();
  }
  return status;
}

int CheckProcess(uint64_t fork_generation) {
  return fork_generation == os::ForkGeneration()
             ? JOHNNY_OK
             : Fail(Code::kForked, "the handle belongs to the parent process; open the database anew in this one");
}

}  // namespace johnny::api
