#include "processes/roles.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>

namespace johnny::test {
namespace {

// Few enough that the slots of dead readers are needed soon.
constexpr uint32_t kMaxReaders = 12;

void SleepMicros(uint64_t micros) { std::this_thread::sleep_for(std::chrono::microseconds(micros)); }

template <typename Struct>
Struct Sized() {
  Struct value{};
  value.struct_size = sizeof(Struct);
  return value;
}

class Role {
 public:
  Role(const RoleArguments& arguments, SharedPage* shared)
      : arguments_(arguments), shared_(shared), slot_(&shared->slots[arguments.slot]), random_(arguments.seed) {}

  void Write();
  void Read();
  void CheckLive();
  void CheckAlone();
  void CreateFile();

 private:
  void Enter(Phase phase) { slot_->phase.store(phase); }
  bool stopped() const { return shared_->stop.load() != 0; }
  void Open(uint32_t flags);
  void Close();
  void ReopenNowAndThen();
  void WriteOne();
  uint64_t ReadOne(johnny_txn* txn, bool deep);
  void CheckPages(johnny_txn* txn);
  void Verify();
  void FreeDeadReaders();
  void ExpectNoReaders(const char* when);

  const RoleArguments& arguments_;
  SharedPage* shared_;
  SharedPage::Slot* slot_;
  Random random_;
  johnny_env* env_ = nullptr;
  std::unique_ptr<Ledger> ledger_;
  uint64_t last_id_ = 0, last_mark_ = 0;
  uint64_t unsynced_ = 0;  // the last transaction that this process committed
};

void Role::Open(uint32_t flags) {
  johnny_options options;
  johnny_options_init(&options);
  options.flags = flags;
  options.page_size = arguments_.page_size;
  options.durability = arguments_.durability;
  options.address_space = uint64_t{4} << 30;
  options.max_readers = kMaxReaders;
  options.sync_interval_ms = static_cast<uint32_t>(1 + Below(&random_, 40));
  if (OneIn(&random_, 3)) {
    options.memory_budget = 64 * arguments_.page_size;  // so that transactions spill
  }
  Enter(Phase::kOpening);
  MustBeOk(johnny_open(arguments_.path.c_str(), &options, &env_), "open");
  ledger_ = std::make_unique<Ledger>(env_);
  Enter(Phase::kIdle);
}

void Role::Close() {
  Enter(Phase::kClosing);
  ledger_.reset();
  MustBeOk(johnny_close(env_), "close");
  env_ = nullptr;
}

void Role::ReopenNowAndThen() {
  if (OneIn(&random_, 100)) {
    Close();
    Open(0);
  }
}

// ---- Writing ----

void Role::WriteOne() {
  johnny_txn* txn = nullptr;
  bool wait = !OneIn(&random_, 5);
  Enter(Phase::kWaiting);
  int code = johnny_begin(env_, wait ? 0 : uint32_t{JOHNNY_NO_WAIT}, &txn);
  if (code == JOHNNY_BUSY && !wait) {
    Enter(Phase::kIdle);
    return SleepMicros(100);
  }
  MustBeOk(code, "begin a write transaction");
  uint64_t number = shared_->begun.load() + 1;
  bool poisoned = OneIn(&random_, 8);
  Lie lie = OneIn(&random_, 4) ? arguments_.lie : Lie::kNone;
  shared_->RecordFate(number, arguments_.launch, poisoned);
  slot_->last_number.store(number);
  Enter(Phase::kInside);
  shared_->begun.store(number);  // nobody else is inside
  ledger_->Change(txn, number, poisoned, lie, &random_);
  if (lie == Lie::kAck) {
    MustBeOk(johnny_abort(txn), "abort");
    shared_->Acknowledge(number);
  } else if (poisoned && lie != Lie::kTorn) {
    MustBeOk(johnny_abort(txn), "abort");
    ++shared_->aborts;
  } else {
    Enter(Phase::kCommitting);
    MustBeOk(johnny_commit(txn), "commit of transaction " + std::to_string(number));
    unsynced_ = number;
    if (!arguments_.power_cuts || arguments_.durability != JOHNNY_LAZY) {
      shared_->Acknowledge(number);
    }
    ++shared_->commits;
  }
  Enter(Phase::kIdle);
}

void Role::Write() {
  Open(0);
  while (!stopped()) {
    WriteOne();
    ReopenNowAndThen();
    if (OneIn(&random_, 100)) {
      FreeDeadReaders();
    }
    if (OneIn(&random_, 50)) {
      MustBeOk(johnny_sync(env_), "sync");
      shared_->Acknowledge(unsynced_);
    }
    if (OneIn(&random_, 8)) {
      SleepMicros(Below(&random_, 1500));
    }
  }
  Close();
}

// ---- Reading ----

// Checks the snapshot, and that neither this process nor any other has seen a later one before it began.
uint64_t Role::ReadOne(johnny_txn* txn, bool deep) {
  uint64_t id = johnny_txn_id(txn);
  uint64_t mark = ledger_->Check(txn, deep);
  std::string what = "snapshot " + std::to_string(id) + " holds transaction " + std::to_string(mark);
  if (id < last_id_ || mark < last_mark_) {
    throw Finding(what + " after this process saw snapshot " + std::to_string(last_id_) + " with transaction " +
                  std::to_string(last_mark_));
  }
  if (mark > shared_->begun.load()) {
    throw Finding(what + ", but none after " + std::to_string(shared_->begun.load()) + " has begun");
  }
  if (shared_->WasAborted(mark)) {
    throw Finding(what + ", which was aborted");
  }
  last_id_ = id;
  last_mark_ = mark;
  ++shared_->reader_checks;
  return mark;
}

void Role::Read() {
  Open(OneIn(&random_, 4) ? uint32_t{JOHNNY_READ_ONLY} : 0);
  johnny_txn* txn = nullptr;
  bool fresh = true;
  while (!stopped()) {
    uint64_t acknowledged = shared_->acknowledged.load();
    Enter(Phase::kReading);
    MustBeOk(fresh ? johnny_begin(env_, JOHNNY_READ, &txn) : johnny_renew(txn), "begin a read transaction");
    uint64_t mark = ReadOne(txn, OneIn(&random_, 10));
    if (mark < acknowledged) {
      throw Finding("a snapshot begun after transaction " + std::to_string(acknowledged) +
                    " was acknowledged or seen holds transaction " + std::to_string(mark));
    }
    shared_->Acknowledge(mark);  // what has been seen must not be lost either
    if (OneIn(&random_, 10)) {
      SleepMicros(Below(&random_, 15000));
      if (ReadOne(txn, true) != mark) {
        throw Finding("the snapshot of transaction " + std::to_string(mark) + " changed while it was held");
      }
      ++shared_->holds;
    }
    fresh = !OneIn(&random_, 4);
    MustBeOk(fresh ? johnny_abort(txn) : johnny_reset(txn), "end a read transaction");
    Enter(Phase::kIdle);
    if (fresh) {
      ReopenNowAndThen();
    }
    if (OneIn(&random_, 4)) {
      SleepMicros(Below(&random_, 500));
    }
  }
  if (!fresh) {
    MustBeOk(johnny_abort(txn), "end a reset read transaction");
  }
  Close();
}

// ---- Checking ----

void Role::Verify() {
  std::string findings;
  auto visit = [](void* context, const johnny_finding* finding) {
    auto* text = static_cast<std::string*>(context);
    *text += " page " + std::to_string(finding->page) + ": " + finding->message + ";";
    return text->size() > 2000 ? 1 : 0;
  };
  johnny_verify_options options = {.struct_size = sizeof options, .on_finding = visit, .context = &findings};
  int code = johnny_verify(env_, &options, nullptr);
  if (!findings.empty()) {
    throw Finding("verify:" + findings);
  }
  MustBeOk(code, "verify");
}

// Every page is in use, free or pending; none is lost. Only while nobody writes.
void Role::CheckPages(johnny_txn* txn) {
  auto info = Sized<johnny_env_info>();
  MustBeOk(johnny_env_get_info(env_, &info), "get information");
  uint64_t listed = 0;
  auto visit = [](void* context, const johnny_page_run* run) {
    *static_cast<uint64_t*>(context) += run->pages;
    return 0;
  };
  MustBeOk(johnny_page_list(txn, visit, &listed), "list the pages");
  uint64_t masters = 65536 / info.page_size;
  if (info.used_pages + info.free_pages + info.pending_pages != info.page_count || listed + masters != info.used_pages) {
    throw Finding("of " + std::to_string(info.page_count) + " pages " + std::to_string(info.free_pages) + " are free, " +
                  std::to_string(info.pending_pages) + " pending and " + std::to_string(info.used_pages) + " used, but " +
                  std::to_string(listed) + " reachable, besides the " + std::to_string(masters) + " of the master pages");
  }
}

void Role::FreeDeadReaders() {
  uint32_t freed = 0;
  MustBeOk(johnny_reader_check(env_, &freed), "reader check");
  shared_->freed_readers += freed;
}

void Role::ExpectNoReaders(const char* when) {
  std::string readers;
  auto visit = [](void* context, const johnny_reader_info* reader) {
    *static_cast<std::string*>(context) +=
        " process " + std::to_string(reader->process_id) + " on snapshot " + std::to_string(reader->snapshot) + ";";
    return 0;
  };
  MustBeOk(johnny_reader_list(env_, visit, &readers), "list the readers");
  if (!readers.empty()) {
    throw Finding(std::string("readers are listed though there are none, ") + when + ":" + readers);
  }
}

void Role::CheckLive() {
  uint64_t acknowledged = shared_->acknowledged.load();
  Open(OneIn(&random_, 2) ? uint32_t{JOHNNY_READ_ONLY} : 0);
  johnny_txn* txn = nullptr;
  MustBeOk(johnny_begin(env_, JOHNNY_READ, &txn), "begin a read transaction");
  uint64_t mark = ReadOne(txn, true);
  if (mark < acknowledged) {
    throw Finding("transaction " + std::to_string(acknowledged) + " is lost: the newest is " + std::to_string(mark));
  }
  shared_->Acknowledge(mark);
  Verify();
  MustBeOk(johnny_abort(txn), "end a read transaction");
  Close();
}

void Role::CheckAlone() {
  uint64_t acknowledged = shared_->acknowledged.load();
  Open(0);
  FreeDeadReaders();
  ExpectNoReaders("before the check");
  johnny_txn* txn = nullptr;
  MustBeOk(johnny_begin(env_, JOHNNY_READ, &txn), "begin a read transaction");
  uint64_t mark = ReadOne(txn, true);
  if (mark < acknowledged) {
    throw Finding("transaction " + std::to_string(acknowledged) + " was acknowledged or seen and is lost: the newest is " +
                  std::to_string(mark));
  }
  shared_->Acknowledge(mark);
  CheckPages(txn);
  Verify();
  MustBeOk(johnny_abort(txn), "end a read transaction");
  if (OneIn(&random_, 2)) {
    MustBeOk(johnny_begin(env_, JOHNNY_NO_WAIT, &txn), "begin a write transaction with nobody else about");
    MustBeOk(johnny_abort(txn), "abort");
    FreeDeadReaders();
  }
  ExpectNoReaders("after the check");
  Close();
}

void Role::CreateFile() {
  Open(JOHNNY_CREATE | JOHNNY_EXCLUSIVE);
  ledger_->Create();
  Close();
}

void LeaveFinding(SharedPage* shared, const std::string& text) {
  uint32_t none = 0;
  if (shared->found.compare_exchange_strong(none, 1)) {
    size_t size = std::min(text.size(), sizeof shared->finding - 1);
    std::copy_n(text.data(), size, shared->finding);
    shared->finding[size] = '\0';
    shared->found.store(2);
  }
}

}  // namespace

SharedPage* MapShared(int fd) {
  void* memory = ::mmap(nullptr, sizeof(SharedPage), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) {
    std::perror("cannot map the shared page");
    std::_Exit(2);
  }
  return static_cast<SharedPage*>(memory);
}

int RunRole(const RoleArguments& arguments) {
  SharedPage* shared = MapShared(arguments.shared_fd);
  Role role(arguments, shared);
  try {
    if (arguments.role == "writer") {
      role.Write();
    } else if (arguments.role == "reader") {
      role.Read();
    } else if (arguments.role == "check") {
      role.CheckAlone();
    } else if (arguments.role == "check-live") {
      role.CheckLive();
    } else if (arguments.role == "create") {
      role.CreateFile();
    } else {
      throw Finding("there is no such role");
    }
  } catch (const Finding& finding) {
    if (arguments.power_cuts && shared->cut.load() != 0) {
      std::_Exit(0);
    }
    LeaveFinding(shared, arguments.role + " (launch " + std::to_string(arguments.launch) + ", process " +
                             std::to_string(::getpid()) + "): " + finding.what());
    std::_Exit(1);  // with the transactions as they are
  }
  shared->slots[arguments.slot].phase.store(Phase::kEnded);
  return 0;
}

}  // namespace johnny::test
