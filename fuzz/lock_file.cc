// The lock file, scribbled over while nobody or somebody has the database open, by the script that the input is: up to three
// processes open and close the database, die, read, write and reap each other, and between that words and bytes of the lock file
// change as no process of ours would change them.
//
// Whatever it says: no crash, no hang, no defect reported. A snapshot shows what some commit left, or an error. And when all are
// gone, the file is sound and holds the last acknowledged commit, or one that was in flight since. Of this, only the first
// sentence holds after somebody has changed, while the database was open, what the lock file says of the newest commit: whoever
// can present an older state of it as the present one (which is also a way to write to the database) makes writers build on that.
#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <vector>

#include "packed_file.h"
#include "readers/shared_memory.h"
#include "support.h"

namespace johnny::fuzz {
namespace {

using readers::ReaderSlot;
using readers::SharedMemory;
using readers::SharedState;
using test::Contents;
using test::Cursor;
using test::Entry;
using test::Env;
using test::Result;
using test::Txn;

// JOHNNY_FUZZ_TRACE: tell what is done, to understand a finding.
const bool g_trace = std::getenv("JOHNNY_FUZZ_TRACE") != nullptr;

constexpr size_t kMostActions = 24;
constexpr uint32_t kMaxReaders = 8;
constexpr size_t kLockFileSize = SharedMemory::SizeFor(kMaxReaders);
constexpr size_t kKeys = 12;

std::string KeyOf(uint64_t n) { return test::NumberedKey(n % kKeys, 3); }

// The database that every run begins with, as its creator left it.
struct Base {
  sim::DiskImage image;
  Contents contents;
};

Base MakeBase() {
  Base base;
  sim::SimSystem system;
  Env env;
  Require(env.Open(&system, kDatabase, SmallOptions()).ok(), "cannot create the database");
  for (uint32_t commit = 0; commit < 3; ++commit) {
    Txn txn(env);
    for (uint32_t i = commit; i < kKeys; ++i) {
      base.contents[KeyOf(i)] = test::Pattern(300, commit * 100 + i);
      EXPECT_OK(txn.Put(KeyOf(i), base.contents[KeyOf(i)]));
    }
    EXPECT_OK(txn.Commit());
  }
  EXPECT_OK(env.Close());
  base.image = system.Snapshot();
  return base;
}

class Script {
 public:
  Script(const Base& base, InputReader* input) : system_(base.image, 1, 1), input_(*input), possible_{base.contents} {
    system_.set_recording(false);
    system_.set_single_threaded();
    history_ = possible_;
    for (Process& process : processes_) {
      process.os = system_.NewProcess();
    }
  }

  void Run() {
    for (size_t i = 0; i < kMostActions && !input_.empty(); ++i) {
      Step();
    }
    for (Process& process : processes_) {
      Kill(&process);
    }
    CheckWhatIsLeft();
  }

 private:
  struct Process {
    std::unique_ptr<sim::SimProcess> os;
    Env env;
    bool read_only = false;
    std::array<Txn, 2> readers;
    std::array<bool, 2> reads{};
    bool is_open() const { return env.get() != nullptr; }
  };

  void Step() {
    uint8_t action = input_.Byte();
    if (g_trace) {
      std::fprintf(stderr, "action %u of process %u\n", action % 32u, action / 32u % 3);
    }
    Process* process = &processes_[action / 32 % processes_.size()];
    switch (action % 32) {
      case 0:
      case 1:
        return ChangeBytes();
      case 2:
      case 3:
      case 4:
      case 5:
        return ChangeWord();
      case 6:
        Unpack(input_.Take(input_.Number(2)), &packed_);
        return Overwrite(packed_.bytes);
      case 7:
        saved_ = LockFileBytes();
        return;
      case 8:
        return Overwrite(saved_);
      case 9:
        return Replace();
      case 10:
        system_.Unlink(kLockFile).IgnoreError();
        return;
      case 11:
        return Cut(input_.Number(3));
      case 12:
        return Open(process, JOHNNY_READ_ONLY);
      case 13:
      case 14:
      case 15:
        return Open(process, 0);
      case 16:
        return Close(process);
      case 17:
        return Kill(process);
      default:
        break;
    }
    if (!process->is_open()) {
      return Open(process, 0);
    }
    switch (action % 32) {
      case 18:
      case 19:
        return BeginRead(process, input_.Byte() % 2);
      case 20:
        return Read(process, input_.Byte() % 2);
      case 21:
        return EndRead(process, input_.Byte() % 2);
      case 22:
        return Renew(process, input_.Byte() % 2);
      case 23:
      case 24:
      case 25:
      case 26:
        return Write(process, input_.Byte());
      case 27:
        Failed(process->env.Sync());
        return;
      case 28:
        Failed(johnny_reader_check(process->env.get(), nullptr));
        return;
      case 29:
        return Inspect(process);
      case 30:
        Failed(johnny_verify(process->env.get(), nullptr, nullptr));
        return;
      default:
        Failed(johnny_wait_durable(process->env.get(), input_.Byte() % 2 == 0 ? 2 : UINT64_MAX));
        return;
    }
  }

  // ---- The lock file ----

  bool AnyOpen() const {
    return std::any_of(processes_.begin(), processes_.end(), [](const Process& process) { return process.is_open(); });
  }

  std::string LockFileBytes() {
    return system_.Exists(kLockFile) ? GetFile(&system_, kLockFile) : std::string(kLockFileSize, '\0');
  }

  // Bytes from `offset` on are about to change.
  void Touch(size_t offset, size_t size) {
    static constexpr size_t kState = sizeof(readers::LockHeader);
    static constexpr size_t kControl = kState + sizeof(SharedState);
    static constexpr size_t kRingAt = kControl + sizeof(readers::RingControl);
    static constexpr size_t kRingEnd = kRingAt + readers::kRing * sizeof(readers::Descriptor);
    auto touches = [&](size_t begin, size_t end) { return offset < end && offset + size > begin; };
    bool state = touches(kState, kState + 32);  // commit, publications, durable and last id
    misled_ |= AnyOpen() && (state || touches(kControl, kControl + 8) || touches(kRingAt, kRingEnd));
  }

  // Its bytes, where all processes have them mapped; null if it is not there or too short.
  Byte* Shared() {
    auto file = system_.Open(kLockFile, os::OpenMode::kReadWrite, 0);
    if (!file.ok()) {
      return nullptr;
    }
    auto mapping = (*file)->MapShared(kLockFileSize);
    if (!mapping.ok()) {
      return nullptr;
    }
    mapping_ = *std::move(mapping);
    return mapping_->data();
  }

  void Overwrite(std::string_view bytes) {
    if (!system_.Exists(kLockFile)) {
      return PutFile(&system_, kLockFile, bytes);
    }
    Touch(0, bytes.size());
    auto file = system_.Open(kLockFile, os::OpenMode::kReadWrite, 0);
    Slice piece = bytes;
    if (file.ok()) {
      (*file)->WriteAt(0, absl::MakeConstSpan(&piece, 1)).IgnoreError();
    }
  }

  void Replace() {
    std::string bytes = LockFileBytes();
    PutFile(&system_, kLockFile, bytes);
  }

  // Not while somebody has it mapped: touching it would be SIGBUS, as johnny.h has it.
  void Cut(uint32_t size) {
    auto file = system_.Open(kLockFile, os::OpenMode::kReadWrite, 0);
    if (file.ok() && !AnyOpen()) {
      (*file)->Resize(size % (2 * kLockFileSize)).IgnoreError();
    }
  }

  void ChangeBytes() {
    size_t offset = input_.Number(3) % kLockFileSize;
    std::string_view bytes = input_.Take(input_.Byte() % 64);
    if (Byte* shared = Shared(); shared != nullptr) {
      Touch(offset, bytes.size());
      std::memcpy(shared + offset, bytes.data(), std::min(bytes.size(), kLockFileSize - offset));
    }
  }

  // One of the words that mean something gets a value that might mean something there.
  void ChangeWord() {
    uint32_t place = input_.Number(2);
    uint32_t recipe = input_.Byte();
    if (Byte* shared = Shared(); shared != nullptr) {
      SharedMemory memory(shared, kMaxReaders);
      Byte* word = Word(memory, place);
      uint64_t value = Value(memory, Load64(word), recipe);
      if (g_trace) {
        std::fprintf(stderr, "word at %td: %" PRIx64 " becomes %" PRIx64 "\n", word - shared, Load64(word), value);
      }
      Touch(static_cast<size_t>(word - shared), 8);
      Store64(word, value);
    }
  }

  static Byte* Word(const SharedMemory& memory, uint32_t place) {
    uint32_t n = place / 8;
    auto at = [](void* base, uint32_t word) { return static_cast<Byte*>(base) + 8 * size_t{word}; };
    switch (place % 8) {
      case 0:
        return at(&memory.header(), n % 8);
      case 1:
      case 2:
        return at(&memory.state(), n % 8);
      case 3:
        return n % 2 == 0 ? at(&memory.control(), 0) : at(&memory.control(), 8);
      case 4: {
        uint64_t newest = memory.control().newest.load();
        return at(&memory.descriptor(newest + n / 64 % 3 - 1), n % readers::kSnapshotWords);
      }
      case 5:
        return at(&memory.process(n % 4), n / 4 % 2);
      default:
        return at(&memory.reader(n / 8 % kMaxReaders), n % 8);
    }
  }

  uint64_t Value(const SharedMemory& memory, uint64_t old, uint32_t recipe) {
    uint64_t newest = SharedState::IdOf(memory.state().commit.load());
    uint64_t choice = recipe / 16;
    switch (recipe % 16) {
      case 0:
        return choice;
      case 1:
        return ~uint64_t{0} - choice;
      case 2:
        return old + 1 + choice;
      case 3:
        return old - 1 - choice;
      case 4:
        return old ^ (uint64_t{1} << (choice * 4));
      case 5:
        return newest - choice;
      case 6:
        return newest + 1 + choice;
      case 7:
        return uint64_t{1} << (choice * 4 + 3);
      case 8:
        return SharedState::Word(newest - choice / 8, static_cast<int>(choice % 2), choice % 4);
      case 9:
        return old ^ (choice % 8);
      case 10:
        return choice << 32 | (choice % 4) << 2 | ReaderSlot::kActive;
      case 11:
        return choice << 32 | (choice % 4) << 2 | ReaderSlot::kIdle;
      case 12:
        return readers::kMaxProcesses + choice - 1;
      case 13:
        return readers::kMaxReaders + choice - 1;
      case 14:
        return uint64_t{kMaxReaders} + choice - 1;
      default:
        return input_.Word();
    }
  }

  // ---- The processes ----

  void Open(Process* process, uint32_t flags) {
    if (process->is_open()) {
      return;
    }
    johnny_options options = SmallOptions();
    options.flags = flags;
    options.max_readers = kMaxReaders;
    options.durability = input_.Byte() % 3 + uint32_t{JOHNNY_TWO_PHASE};
    process->read_only = flags != 0;
    Failed(process->env.Open(process->os.get(), kDatabase, options));
  }

  void EndReaders(Process* process) {
    for (size_t i = 0; i < process->readers.size(); ++i) {
      EndRead(process, i);
    }
  }

  void Close(Process* process) {
    if (process->is_open()) {
      EndReaders(process);
      Failed(process->env.Close());
      Require(!process->is_open(), "an environment without transactions does not close");
    }
  }

  void Kill(Process* process) {
    process->os->Kill();
    Close(process);
    process->os->Revive();
  }

  static bool Has(const std::vector<Contents>& states, const Contents& contents) {
    return std::find(states.begin(), states.end(), contents) != states.end();
  }

  void BeginRead(Process* process, size_t i) {
    if (!process->reads[i] && !Failed(process->readers[i].Begin(process->env, JOHNNY_READ))) {
      process->reads[i] = true;
      Read(process, i);
    }
  }

  void Read(Process* process, size_t i) {
    Contents contents;
    if (process->reads[i] && ReadAll(process->readers[i], &contents)) {
      Require(misled_ || Has(history_, contents), "a reader sees what nobody committed");
    }
  }

  void EndRead(Process* process, size_t i) {
    if (process->reads[i]) {
      Failed(process->readers[i].Abort());
      process->reads[i] = false;
    }
  }

  void Renew(Process* process, size_t i) {
    if (process->reads[i]) {
      Failed(process->readers[i].Reset());
      Failed(process->readers[i].Renew());
      Failed(johnny_txn_set_label(process->readers[i].get(), "label of twenty-four byt"));
    }
  }

  static bool ReadAll(const Txn& txn, Contents* contents) {
    Cursor cursor;
    if (Failed(cursor.Open(txn))) {
      return false;
    }
    Entry entry;
    Result result = cursor.First(&entry);
    for (; result.ok(); result = cursor.Next(&entry)) {
      contents->insert(entry);
    }
    return !Failed(result);
  }

  void Write(Process* process, uint32_t n) {
    Txn txn;
    Contents contents;
    if (process->read_only || Failed(txn.Begin(process->env, JOHNNY_NO_WAIT)) || !ReadAll(txn, &contents)) {
      return;
    }
    Require(misled_ || Has(possible_, contents), "a writer does not see the last commit");
    std::string value = test::Pattern(250 + n, ++writes_);
    bool good = !Failed(txn.Put(KeyOf(n), value));
    contents[KeyOf(n)] = value;
    good = good && !Failed(txn.Delete(KeyOf(n / 16)));
    contents.erase(KeyOf(n / 16));
    if (!good || n % 8 == 7) {
      Failed(txn.Abort());
      return;
    }
    history_.push_back(contents);
    if (Failed(txn.CommitWith(n / 8 % 4))) {
      possible_.push_back(contents);
    } else {
      possible_ = {contents};
    }
  }

  void Inspect(Process* process) {
    johnny_env_info info{};
    info.struct_size = sizeof info;
    Failed(johnny_env_get_info(process->env.get(), &info));
    auto visit = [](void* context, const johnny_reader_info* reader) {
      static_cast<std::string*>(context)->assign(reader->label);
      return 0;
    };
    std::string label;
    Failed(johnny_reader_list(process->env.get(), visit, &label));
  }

  void CheckWhatIsLeft() {
    Env env;
    Result opened = env.Open(&system_, kDatabase, SmallOptions());
    if (misled_) {
      if (!Failed(opened)) {
        env.Findings();
        Failed(env.Close());
      }
      return;
    }
    if (!opened.ok()) {
      Defect("the database does not open any more: " + opened.message());
    }
    std::string findings = env.Findings();
    if (!findings.empty()) {
      Defect("the database is damaged: " + findings);
    }
    {
      Txn txn(env, JOHNNY_READ);
      Require(Has(possible_, txn.All()), "the last commit is lost");
    }
    EXPECT_OK(env.Close());
  }

  sim::SimSystem system_;
  InputReader& input_;
  std::array<Process, 3> processes_;
  std::unique_ptr<os::SharedMapping> mapping_;
  std::string saved_;
  PackedFile packed_;
  bool misled_ = false;
  std::vector<Contents> possible_;  // what the newest commit may be
  std::vector<Contents> history_;   // what any was, or would have been
  uint32_t writes_ = 1000;
};

}  // namespace
}  // namespace johnny::fuzz

int LLVMFuzzerInitialize(int*, char***) {
  johnny::fuzz::AbortOnFailedExpectations();
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const johnny::fuzz::Base base = johnny::fuzz::MakeBase();
  johnny::fuzz::InputReader input(data, size);
  johnny::fuzz::Script(base, &input).Run();
  return 0;
}
