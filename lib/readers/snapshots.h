// Which snapshots readers may enter, and which ones are in use.
//
// Announcement: a ring of snapshot descriptors and the id of the newest. A reader stores the newest id in its slot, copies the
// descriptor, and retries if the newest has moved on meanwhile.
//
// Invariants
//   1. The descriptor of the newest snapshot is complete before its sequence number is, and is not overwritten while it is the
//   newest.
//   2. A slot whose snapshot is s was stored before s ceased to be the newest, or its owner will notice and retry; so a writer
//   that
//      scans the slots after it announced a newer snapshot sees every reader of s. (All these accesses are sequentially
//      consistent.)
//
// Everything a reader or writer shares lies in one block of plain memory, addressed by index, so that it can live in the lock
// file.
#ifndef JOHNNY_READERS_SNAPSHOTS_H_
#define JOHNNY_READERS_SNAPSHOTS_H_

#include <atomic>
#include <vector>

#include "absl/status/statusor.h"
#include "format/layout.h"
#include "os/memory.h"

namespace johnny::readers {

// What a transaction needs to know of a snapshot.
struct Snapshot {
  TxnId txn = 0;
  PageNumber page_count = 0;
  uint64_t table_count = 0;
  format::TableRecord main;
  format::TableRecord catalog;
};

// One reader, one cache line.
struct alignas(64) ReaderSlot {
  std::atomic<uint64_t> snapshot;  // 0: none
  std::atomic<uint32_t> taken;
  std::atomic<uint32_t> generation;
  std::atomic<uint64_t> process;
  std::atomic<uint64_t> thread;
  std::atomic<uint64_t> since_ms;
};
static_assert(sizeof(ReaderSlot) == 64);

// Thread-safe, but Announce() belongs to the holder of the writer lock.
class SnapshotBoard {
 public:
  static absl::StatusOr<SnapshotBoard> Create(uint32_t max_readers);

  void Announce(const Snapshot& snapshot);
  TxnId newest() const { return Newest().txn; }
  // The newest snapshot, without pinning it: for the holder of the writer lock.
  Snapshot Newest() const;

  static constexpr uint32_t kNoSlot = UINT32_MAX;
  // Takes a slot; kNoSlot when all are taken. `hint` is tried first.
  uint32_t TakeSlot(uint32_t hint);
  void ReleaseSlot(uint32_t slot);
  // Pins the newest snapshot in the slot and returns it. / Unpins.
  Snapshot Enter(uint32_t slot);
  void Leave(uint32_t slot) { slots()[slot].snapshot.store(0, std::memory_order_release); }

  ReaderSlot& slot(uint32_t index) const { return slots()[index]; }
  uint32_t max_readers() const { return max_readers_; }
  // No slot at or beyond this one was ever taken.
  uint32_t used_slots() const { return control()->used_slots.load(std::memory_order_seq_cst); }
  // Appends the snapshots of all live readers, in no order, with repeats.
  void AppendPinned(std::vector<TxnId>* pinned) const;

 private:
  static constexpr uint32_t kRing = 16;
  static constexpr size_t kWords = sizeof(Snapshot) / 8;
  static_assert(sizeof(Snapshot) % 8 == 0);

  struct alignas(64) Control {
    std::atomic<uint64_t> newest;  // sequence number
    alignas(64) std::atomic<uint32_t> used_slots;
  };
  struct alignas(64) Descriptor {
    std::atomic<uint64_t> words[kWords];
  };

  Control* control() const { return reinterpret_cast<Control*>(memory_.data()); }
  Descriptor* ring() const { return reinterpret_cast<Descriptor*>(memory_.data() + sizeof(Control)); }
  ReaderSlot* slots() const {
    return reinterpret_cast<ReaderSlot*>(memory_.data() + sizeof(Control) + kRing * sizeof(Descriptor));
  }
  Snapshot Copy(uint64_t sequence) const;

  os::ReservedMemory memory_;
  uint32_t max_readers_ = 0;
};

}  // namespace johnny::readers

#endif  // JOHNNY_READERS_SNAPSHOTS_H_
