// What the processes that have a database open share: the layout of the lock file, and of the private memory that stands in for
// it when there is none.
//
//   Header | SharedState | ring of announced snapshots | process slots | reader slots
//
// Everything is addressed by index. Nothing in here is trusted: the geometry is checked once against the file's size when it is
// mapped and remembered outside; indices read later are checked against it, snapshots against the data file (Database::Admit).
// Fields are atomics because other processes change them at any time.
#ifndef JOHNNY_READERS_SHARED_MEMORY_H_
#define JOHNNY_READERS_SHARED_MEMORY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "format/layout.h"

namespace johnny::readers {

// What a transaction needs to know of a snapshot.
struct Snapshot {
  TxnId txn = 0;
  PageNumber page_count = 0;
  uint64_t table_count = 0;
  format::TableRecord main;
  format::TableRecord catalog;
  format::ChildRef free_log;
};

inline constexpr uint64_t kLockFileMagic = 0x6b636f4c6e686f4au;  // "JohnLock"
inline constexpr uint32_t kLockLayoutVersion = 1;
inline constexpr uint32_t kMaxProcesses = 1024;
inline constexpr uint32_t kMaxReaders = 1u << 20;

// Written once, under the open lock, by whoever rebuilds the lock file; `magic` last.
struct alignas(64) LockHeader {
  std::atomic<uint64_t> magic;
  std::atomic<uint32_t> layout_version;
  std::atomic<uint32_t> max_readers;
  std::atomic<uint64_t> boot_id;
  std::atomic<uint64_t> own_inode;                // of the lock file: a copy does not count
  std::atomic<uint64_t> data_device, data_inode;  // of the database
  std::atomic<uint64_t> database_id;
};
static_assert(sizeof(LockHeader) == 64);

// The state of the commit protocol that survives the death of any process.
//
// `commit` is the newest announced transaction's id << 3, with the bits below. A writer sets kPublishing before it touches a
// master page and stores the new word when it has announced; whoever gets the writer lock and finds the bit set takes over from a
// dead one. A sync by anybody declares the newest commit durable by setting kDurable, if the word is still what it was when the
// sync began.
struct alignas(64) SharedState {
  static constexpr uint64_t kDurable = 1;
  static constexpr uint64_t kPublishing = 2;
  static constexpr uint64_t kSlot = 4;  // its master page is in slot 1
  static uint64_t Word(TxnId id, int slot, uint64_t flags) { return id << 3 | (slot != 0 ? kSlot : 0) | flags; }
  static TxnId IdOf(uint64_t word) { return word >> 3; }
  static int SlotOf(uint64_t word) { return (word & kSlot) != 0 ? 1 : 0; }

  std::atomic<uint64_t> commit;
  std::atomic<uint64_t> publications;  // how often a master page was published: tells the next writer that its state is old
  std::atomic<uint64_t> durable_txn;   // may lag behind `commit`
  std::atomic<uint64_t> last_id;       // newest transaction id handed out
  std::atomic<uint32_t> writes_refused;
  std::atomic<uint32_t> waiting_writers;  // processes that wait for the writer lock; a dead one may have left its count
  std::atomic<uint32_t> used_processes;   // no process slot at or beyond this one was ever taken
  uint32_t reserved;
  std::atomic<uint64_t> free_pages;  // as of the last commit or look, for figures only
  std::atomic<uint64_t> pending_pages;
};
static_assert(sizeof(SharedState) == 64);

// One process. Its owner holds the lock on its byte (kProcessLocks) as long as it lives.
struct alignas(64) ProcessSlot {
  std::atomic<uint32_t> taken;
  std::atomic<uint64_t> process;  // as its own pid namespace numbers it: for display
};
static_assert(sizeof(ProcessSlot) == 64);

// One reader, one cache line.
struct alignas(64) ReaderSlot {
  // generation << 32 | process slot << 2 | state. The generation changes whenever the slot changes hands.
  static constexpr uint64_t kFree = 0, kIdle = 1, kActive = 2, kStateMask = 3;
  static uint32_t ProcessOf(uint64_t owner) { return static_cast<uint32_t>(owner) >> 2; }

  std::atomic<uint64_t> owner;
  std::atomic<uint64_t> snapshot;  // pinned; 0: none
  std::atomic<uint64_t> asked;     // the snapshot that its reader is asked to give up; 0: none
  std::atomic<uint64_t> since_ms;
  std::atomic<uint64_t> thread;
  std::atomic<uint64_t> label[3];  // bytes, padded with zeros
};
static_assert(sizeof(ReaderSlot) == 64);

inline constexpr uint32_t kRing = 16;
inline constexpr size_t kSnapshotWords = sizeof(Snapshot) / 8;
static_assert(sizeof(Snapshot) % 8 == 0);
struct alignas(64) Descriptor {
  std::atomic<uint64_t> words[kSnapshotWords];
};
struct alignas(64) RingControl {
  std::atomic<uint64_t> newest;  // sequence number
  alignas(64) std::atomic<uint32_t> used_slots;
};

// The parts of one block of shared memory.
class SharedMemory {
 public:
  SharedMemory() = default;
  SharedMemory(Byte* data, uint32_t max_readers) : data_(data), max_readers_(max_readers) {}

  static constexpr size_t SizeFor(uint32_t max_readers) {
    size_t size = kReadersAt + size_t{max_readers} * sizeof(ReaderSlot);
    return (size + 4095) & ~size_t{4095};
  }

  uint32_t max_readers() const { return max_readers_; }
  LockHeader& header() const { return At<LockHeader>(0); }
  SharedState& state() const { return At<SharedState>(kStateAt); }
  RingControl& control() const { return At<RingControl>(kControlAt); }
  Descriptor& descriptor(uint64_t sequence) const { return At<Descriptor>(kRingAt + sequence % kRing * sizeof(Descriptor)); }
  ProcessSlot& process(uint32_t index) const { return At<ProcessSlot>(kProcessesAt + index * sizeof(ProcessSlot)); }
  ReaderSlot& reader(uint32_t index) const { return At<ReaderSlot>(kReadersAt + index * sizeof(ReaderSlot)); }

 private:
  static constexpr size_t kStateAt = sizeof(LockHeader);
  static constexpr size_t kControlAt = kStateAt + sizeof(SharedState);
  static constexpr size_t kRingAt = kControlAt + sizeof(RingControl);
  static constexpr size_t kProcessesAt = kRingAt + kRing * sizeof(Descriptor);
  static constexpr size_t kReadersAt = kProcessesAt + kMaxProcesses * sizeof(ProcessSlot);

  template <typename T>
  T& At(size_t offset) const {
    return *reinterpret_cast<T*>(data_ + offset);
  }

  Byte* data_ = nullptr;
  uint32_t max_readers_ = 0;
};

}  // namespace johnny::readers

#endif  // JOHNNY_READERS_SHARED_MEMORY_H_
