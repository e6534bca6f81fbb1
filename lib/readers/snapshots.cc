#include "readers/snapshots.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace johnny::readers {

static_assert(std::is_trivially_copyable_v<Snapshot>);

void SnapshotBoard::Announce(const Snapshot& snapshot) {
  uint64_t words[kSnapshotWords];
  std::memcpy(words, &snapshot, sizeof words);
  std::atomic<uint64_t>& newest = memory_.control().newest;
  uint64_t sequence = newest.load(std::memory_order_relaxed) + 1;
  Descriptor& descriptor = memory_.descriptor(sequence);
  for (size_t i = 0; i < kSnapshotWords; ++i) {
    descriptor.words[i].store(words[i], std::memory_order_relaxed);
  }
  newest.store(sequence, std::memory_order_seq_cst);
}

Snapshot SnapshotBoard::Copy(uint64_t sequence) const {
  uint64_t words[kSnapshotWords];
  const Descriptor& descriptor = memory_.descriptor(sequence);
  for (size_t i = 0; i < kSnapshotWords; ++i) {
    words[i] = descriptor.words[i].load(std::memory_order_acquire);
  }
  Snapshot snapshot;
  std::memcpy(static_cast<void*>(&snapshot), words, sizeof snapshot);
  return snapshot;
}

Snapshot SnapshotBoard::Newest() const {
  const std::atomic<uint64_t>& newest = memory_.control().newest;
  for (;;) {
    uint64_t sequence = newest.load(std::memory_order_seq_cst);
    Snapshot snapshot = Copy(sequence);
    if (newest.load(std::memory_order_seq_cst) == sequence) {
      return snapshot;
    }
  }
}

uint32_t SnapshotBoard::used_slots() const {
  return std::min(memory_.control().used_slots.load(std::memory_order_seq_cst), memory_.max_readers());
}

// Takes slot `index` if it is in `state`, whoever had it last.
bool SnapshotBoard::TakeIf(uint32_t index, uint64_t state, SlotHold* hold) {
  ReaderSlot& slot = memory_.reader(index);
  uint64_t owner = slot.owner.load(std::memory_order_relaxed);
  if ((owner & ReaderSlot::kStateMask) != state) {
    return false;
  }
  // Before the slot is taken: whoever frees a dead process's slots must find it.
  std::atomic<uint32_t>& used_slots = memory_.control().used_slots;
  uint32_t used = used_slots.load(std::memory_order_seq_cst);
  while (used <= index && !used_slots.compare_exchange_weak(used, index + 1, std::memory_order_seq_cst)) {
  }
  uint64_t generation = (owner >> 32) + 1;
  uint64_t mine = generation << 32 | uint64_t{process_} << 2 | ReaderSlot::kActive;
  if (!slot.owner.compare_exchange_strong(owner, mine, std::memory_order_seq_cst)) {
    return false;
  }
  *hold = {index, mine};
  return true;
}

bool SnapshotBoard::TakeSlot(SlotHold* hold, bool* fresh) {
  if (hold->index != SlotHold::kNone) {
    uint64_t idle = (hold->owner & ~ReaderSlot::kStateMask) | ReaderSlot::kIdle;
    if (memory_.reader(hold->index).owner.compare_exchange_strong(idle, hold->owner, std::memory_order_acquire)) {
      *fresh = false;
      return true;
    }
  }
  *fresh = true;
  for (uint64_t state : {ReaderSlot::kFree, ReaderSlot::kIdle}) {
    for (uint32_t index = 0; index < memory_.max_readers(); ++index) {
      if (TakeIf(index, state, hold)) {
        return true;
      }
    }
  }
  hold->index = SlotHold::kNone;
  return false;
}

void SnapshotBoard::ReleaseSlot(const SlotHold& hold) {
  ReaderSlot& slot = memory_.reader(hold.index);
  slot.snapshot.store(0, std::memory_order_release);
  slot.owner.store((hold.owner & ~ReaderSlot::kStateMask) | ReaderSlot::kIdle, std::memory_order_release);
}

void SnapshotBoard::DropSlot(SlotHold* hold) {
  if (hold->index != SlotHold::kNone) {
    uint64_t base = hold->owner & ~ReaderSlot::kStateMask;
    uint64_t idle = base | ReaderSlot::kIdle;
    memory_.reader(hold->index).owner.compare_exchange_strong(idle, base | ReaderSlot::kFree, std::memory_order_release);
    hold->index = SlotHold::kNone;
  }
}

uint32_t SnapshotBoard::FreeSlotsOf(uint32_t process) {
  uint32_t freed = 0;
  uint32_t used = used_slots();
  for (uint32_t i = 0; i < used; ++i) {
    ReaderSlot& slot = memory_.reader(i);
    uint64_t owner = slot.owner.load(std::memory_order_seq_cst);
    if ((owner & ReaderSlot::kStateMask) == ReaderSlot::kFree || ReaderSlot::ProcessOf(owner) != process) {
      continue;
    }
    bool active = (owner & ReaderSlot::kStateMask) == ReaderSlot::kActive;
    if (active) {  // nobody but its dead owner and us may touch it; an idle one may be taken by others at this moment
      slot.snapshot.store(0, std::memory_order_seq_cst);
      ++freed;
    }
    slot.owner.compare_exchange_strong(owner, owner & ~ReaderSlot::kStateMask, std::memory_order_seq_cst);
  }
  return freed;
}

bool SnapshotBoard::Enter(uint32_t index, uint64_t* sequence, Snapshot* snapshot) {
  std::atomic<uint64_t>& pinned = memory_.reader(index).snapshot;
  const std::atomic<uint64_t>& newest = memory_.control().newest;
  bool changed = false;
  for (;;) {
    uint64_t now = newest.load(std::memory_order_acquire);
    if (now != *sequence || now == 0) {  // 0: only in damaged shared memory
      *snapshot = Copy(now);
      *sequence = now;
      changed = true;
    }
    pinned.store(snapshot->txn, std::memory_order_seq_cst);
    if (newest.load(std::memory_order_seq_cst) == now) {
      return changed;
    }
  }
}

bool SnapshotBoard::AppendPinned(std::vector<TxnId>* pinned) const {
  TxnId newest_id = newest();
  uint32_t used = used_slots();
  bool others = false;
  for (uint32_t i = 0; i < used; ++i) {
    ReaderSlot& slot = memory_.reader(i);
    TxnId txn = slot.snapshot.load(std::memory_order_seq_cst);
    if (txn != 0) {
      pinned->push_back(txn);
      others |= txn < newest_id && ReaderSlot::ProcessOf(slot.owner.load(std::memory_order_relaxed)) != process_;
    }
  }
  return others;
}

void SnapshotBoard::SetLabel(ReaderSlot* slot, absl::string_view label) {
  char bytes[kLabelSize] = {};
  std::memcpy(bytes, label.data(), std::min(label.size(), kLabelSize));
  for (size_t i = 0; i < kLabelSize / 8; ++i) {
    uint64_t word;
    std::memcpy(&word, bytes + 8 * i, 8);
    slot->label[i].store(word, std::memory_order_relaxed);
  }
}

void SnapshotBoard::GetLabel(const ReaderSlot& slot, char label[kLabelSize + 1]) {
  for (size_t i = 0; i < kLabelSize / 8; ++i) {
    uint64_t word = slot.label[i].load(std::memory_order_relaxed);
    std::memcpy(label + 8 * i, &word, 8);
  }
  label[kLabelSize] = '\0';
}

}  // namespace johnny::readers
