#include "readers/snapshots.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "base/status.h"

namespace johnny::readers {

static_assert(std::is_trivially_copyable_v<Snapshot>);

absl::StatusOr<SnapshotBoard> SnapshotBoard::Create(uint32_t max_readers) {
  SnapshotBoard board;
  board.max_readers_ = max_readers;
  size_t size = sizeof(Control) + kRing * sizeof(Descriptor) + size_t{max_readers} * sizeof(ReaderSlot);
  JOHNNY_ASSIGN_OR_RETURN(board.memory_, os::ReservedMemory::Reserve((size + 4095) & ~size_t{4095}));
  return board;
}

void SnapshotBoard::Announce(const Snapshot& snapshot) {
  uint64_t words[kWords];
  std::memcpy(words, &snapshot, sizeof words);
  uint64_t sequence = control()->newest.load(std::memory_order_relaxed) + 1;
  Descriptor& descriptor = ring()[sequence % kRing];
  for (size_t i = 0; i < kWords; ++i) {
    descriptor.words[i].store(words[i], std::memory_order_relaxed);
  }
  control()->newest.store(sequence, std::memory_order_seq_cst);
}

Snapshot SnapshotBoard::Copy(uint64_t sequence) const {
  uint64_t words[kWords];
  const Descriptor& descriptor = ring()[sequence % kRing];
  for (size_t i = 0; i < kWords; ++i) {
    words[i] = descriptor.words[i].load(std::memory_order_acquire);
  }
  Snapshot snapshot;
  std::memcpy(static_cast<void*>(&snapshot), words, sizeof snapshot);
  return snapshot;
}

Snapshot SnapshotBoard::Newest() const {
  for (;;) {
    uint64_t sequence = control()->newest.load(std::memory_order_seq_cst);
    Snapshot snapshot = Copy(sequence);
    if (control()->newest.load(std::memory_order_seq_cst) == sequence) {
      return snapshot;
    }
  }
}

uint32_t SnapshotBoard::TakeSlot(uint32_t hint) {
  for (uint32_t i = 0; i <= max_readers_; ++i) {
    uint32_t index = i == 0 ? hint % max_readers_ : i - 1;
    uint32_t free = 0;
    if (slots()[index].taken.load(std::memory_order_relaxed) == 0 &&
        slots()[index].taken.compare_exchange_strong(free, 1, std::memory_order_acq_rel)) {
      uint32_t used = control()->used_slots.load(std::memory_order_seq_cst);
      while (used <= index && !control()->used_slots.compare_exchange_weak(used, index + 1, std::memory_order_seq_cst)) {
      }
      return index;
    }
  }
  return kNoSlot;
}

void SnapshotBoard::ReleaseSlot(uint32_t index) {
  ReaderSlot& slot = slots()[index];
  slot.snapshot.store(0, std::memory_order_release);
  slot.generation.fetch_add(1, std::memory_order_relaxed);
  slot.taken.store(0, std::memory_order_release);
}

Snapshot SnapshotBoard::Enter(uint32_t index) {
  std::atomic<uint64_t>& pinned = slots()[index].snapshot;
  for (;;) {
    uint64_t sequence = control()->newest.load(std::memory_order_seq_cst);
    Snapshot snapshot = Copy(sequence);
    pinned.store(snapshot.txn, std::memory_order_seq_cst);
    if (control()->newest.load(std::memory_order_seq_cst) == sequence) {
      return snapshot;
    }
  }
}

void SnapshotBoard::AppendPinned(std::vector<TxnId>* pinned) const {
  uint32_t used = used_slots();
  for (uint32_t i = 0; i < used; ++i) {
    TxnId txn = slots()[i].snapshot.load(std::memory_order_seq_cst);
    if (txn != 0) {
      pinned->push_back(txn);
    }
  }
}

}  // namespace johnny::readers
