// Which snapshots readers may enter, and which ones are in use.
//
// Announcement: a ring of snapshot descriptors and the sequence number of the newest. A reader copies the newest descriptor,
// stores its id in its slot, and retries if the newest has moved on meanwhile.
//
// Invariants
//   1. The descriptor of the newest snapshot is complete before its sequence number is, and is not overwritten while it is the
//      newest.
//   2. A slot whose snapshot is s was stored before s ceased to be the newest, or its owner will notice and retry; so a writer
//   that
//      scans the slots after it announced a newer snapshot sees every reader of s. (All these accesses are sequentially
//      consistent.)
//   3. A slot belongs to whoever changed its owner word from another state; the word names the process slot of the owner, so that
//      the slots of a process that died at any instruction can be found.
//
// A slot stays with the handle that used it (idle) until somebody else needs it, so that a warm thread begins and ends a read
// transaction with one compare-and-swap and a few stores to a cache line of its own.
#ifndef JOHNNY_READERS_SNAPSHOTS_H_
#define JOHNNY_READERS_SNAPSHOTS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "os/memory.h"
#include "readers/shared_memory.h"

namespace johnny::readers {

// A slot as its owner remembers it.
struct SlotHold {
  static constexpr uint32_t kNone = UINT32_MAX;
  uint32_t index = kNone;
  uint64_t owner = 0;  // the word of the state kActive
};

// Thread-safe, but Announce() belongs to the holder of the writer lock. A slot may be used by one thread at a time.
class SnapshotBoard {
 public:
  SnapshotBoard() = default;
  // Over memory that lives longer; `process` is the caller's process slot.
  SnapshotBoard(SharedMemory memory, uint32_t process) : memory_(memory), process_(process) {}

  void Announce(const Snapshot& snapshot);
  TxnId newest() const { return Newest().txn; }
  // The newest snapshot, without pinning it: for the holder of the writer lock.
  Snapshot Newest() const;

  // Makes `hold` an active slot: the one it names if that is still idle and its owner's, else a free one, else one that is idle.
  // False when all are active. `fresh`: the slot was not this hold's before.
  bool TakeSlot(SlotHold* hold, bool* fresh);
  // Unpins and leaves the slot idle, or gives it up for good.
  void ReleaseSlot(const SlotHold& hold);
  void DropSlot(SlotHold* hold);
  // Pins the newest snapshot in the slot. *sequence (0: none) tells which one *snapshot is; both are left as they are, and the
  // answer is false, if that is still the newest.
  bool Enter(uint32_t slot, uint64_t* sequence, Snapshot* snapshot);
  // Unpins.
  void Leave(uint32_t slot) { memory_.reader(slot).snapshot.store(0, std::memory_order_release); }

  // Frees all slots of a process that is known to be dead; returns how many were active.
  uint32_t FreeSlotsOf(uint32_t process);

  ReaderSlot& slot(uint32_t index) const { return memory_.reader(index); }
  uint32_t max_readers() const { return memory_.max_readers(); }
  uint32_t process() const { return process_; }
  const SharedMemory& memory() const { return memory_; }
  // No slot at or beyond this one was ever taken.
  uint32_t used_slots() const;
  // Appends the snapshots of all readers, in no order, with repeats. Whether some belong to other processes and are not the
  // newest.
  bool AppendPinned(std::vector<TxnId>* pinned) const;

  static constexpr size_t kLabelSize = sizeof(ReaderSlot::label);
  static void SetLabel(ReaderSlot* slot, absl::string_view label);  // cut to kLabelSize bytes
  static void GetLabel(const ReaderSlot& slot, char label[kLabelSize + 1]);

 private:
  Snapshot Copy(uint64_t sequence) const;
  bool TakeIf(uint32_t index, uint64_t state, SlotHold* hold);

  SharedMemory memory_;
  uint32_t process_ = 0;
};

}  // namespace johnny::readers

#endif  // JOHNNY_READERS_SNAPSHOTS_H_
