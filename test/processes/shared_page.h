// The memory that the parent of a kill campaign shares with all its processes. It survives any of them, so it says what the
// database must hold: nothing in it is ever read back from the database.
//
//   1. `begun` grows only inside a write transaction, so the numbers are in the order of the commits.
//   2. A number is `acknowledged` only after its commit returned JOHNNY_OK; a number that will be aborted is marked so before the
//      transaction makes its first change.
#ifndef JOHNNY_TEST_PROCESSES_SHARED_PAGE_H_
#define JOHNNY_TEST_PROCESSES_SHARED_PAGE_H_

#include <atomic>
#include <cstdint>

namespace johnny::test {

// Where a process was last seen, for the table of kills.
enum class Phase : uint32_t { kStarting, kOpening, kIdle, kWaiting, kInside, kCommitting, kReading, kClosing, kEnded };
inline constexpr uint32_t kPhases = 9;
inline constexpr const char* kPhaseNames[kPhases] = {"starting",   "opening", "idle",    "waiting", "inside",
                                                     "committing", "reading", "closing", "ended"};

struct SharedPage {
  static constexpr uint32_t kSlots = 64;     // processes at a time
  static constexpr uint64_t kFates = 65536;  // transactions that are remembered

  struct alignas(64) Slot {
    std::atomic<Phase> phase;
    std::atomic<uint64_t> last_number;  // writers: the last transaction this process began
  };

  std::atomic<uint64_t> begun;
  std::atomic<uint64_t> acknowledged;
  std::atomic<uint32_t> stop;  // 1: end as soon as possible, cleanly
  std::atomic<uint32_t> cut;   // 1: the power is being cut
  std::atomic<uint64_t> commits, aborts, reader_checks, holds, freed_readers;
  // By number: the launch that began it, shifted left by one, and 1 if it is to be aborted.
  std::atomic<uint64_t> fates[kFates];
  Slot slots[kSlots];
  std::atomic<uint32_t> found;  // 1: `finding` is being written; 2: it is complete
  char finding[4096];

  void RecordFate(uint64_t number, uint64_t launch, bool aborted) {
    fates[number % kFates].store(launch << 1 | (aborted ? 1 : 0));
  }
  bool WasAborted(uint64_t number) const { return (fates[number % kFates].load() & 1) != 0; }
  uint64_t LaunchOf(uint64_t number) const { return fates[number % kFates].load() >> 1; }

  // Two writers' acknowledgements may come in either order.
  void Acknowledge(uint64_t number) {
    uint64_t seen = acknowledged.load();
    while (seen < number && !acknowledged.compare_exchange_weak(seen, number)) {
    }
  }
};
static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<Phase>::is_always_lock_free);

}  // namespace johnny::test

#endif  // JOHNNY_TEST_PROCESSES_SHARED_PAGE_H_
