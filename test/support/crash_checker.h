// Tries every point of a recorded run as the moment of a power cut: builds the disks that may be left (crash_disk.h), opens each
// distinct one, and judges what it finds.
//
// For each disk: it opens (or is rightly absent, and can be created); holds one of the states allowed at that point; verifies;
// takes a further commit under an id that was never used; shows that commit after reopening. Some disks are cut off again during
// this recovery and first commit. Nothing here calls EXPECT: failures are returned, so that seeded bugs can be required to give
// some.
#ifndef JOHNNY_TEST_SUPPORT_CRASH_CHECKER_H_
#define JOHNNY_TEST_SUPPORT_CRASH_CHECKER_H_

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "support/crash_disk.h"
#include "support/crash_script.h"

namespace johnny::sim {

struct CrashOptions {
  uint64_t seed = 1;
  VariantOptions variants;
  bool again = true;        // crash a second time, during recovery, for some
  size_t max_failures = 5;  // stop there
};

// What is left out at no point of a run, whatever number of disks is asked for.
struct Exhaustive {
  size_t subsets_up_to = 0;   // pending changes of which all subsets are tried
  bool master_tears = false;  // each master page is torn at every byte
};

// What came of opening one disk and writing to it; the same at whatever point of the run the disk is met.
struct Outcome {
  bool present = true;
  std::string problem;     // wrong at any point: does not open, does not verify, loses the new commit
  Hash128 digest;          // as opened
  uint64_t last_id = 0;    // johnny_env_info.last_txn_id as opened
  uint64_t discarded = 0;  // johnny_env_info.discarded_txn_id
  uint64_t next_id = 0;    // of the first transaction begun
  Hash128 digest_after;    // after that one put the probe, and reopening
};

// Opens `image` on a system of its own. `events`, if not null, receives the log of the session up to the clean close, as a
// recording whose commit 0 is the state found.
Outcome CheckDisk(const DiskImage& image, const johnny_options& options, uint64_t boot_id, std::vector<Event>* events);
// "" or what is wrong with this outcome at a point of which `expectation` holds.
std::string JudgeOutcome(const Outcome& outcome, const History& history, const Expectation& expectation);

class CrashChecker {
 public:
  explicit CrashChecker(const CrashOptions& options) : options_(options), random_(options.seed) {}

  // Adds the crashes of one run: all that `exhaustive` says, and about `states` more. May be called for several runs.
  void Run(const Recording& recording, uint64_t states, const Exhaustive& exhaustive = {});

  uint64_t distinct_states() const { return outcomes_.size(); }
  uint64_t second_crashes() const { return second_crashes_; }
  uint64_t points() const { return points_; }
  const std::vector<std::string>& failures() const { return failures_; }
  bool done() const { return failures_.size() >= options_.max_failures; }

 private:
  // A disk that is still possible as long as nothing more is synced.
  struct Live {
    Hash128 hash;
    Variant variant;
  };
  // Where a run is.
  struct Place {
    const Recording& recording;
    CrashDisk disk;
    Expectation expectation;
    uint64_t boot_id;  // of the boot that follows
    size_t event = 0;
    std::vector<Live> live;
  };

  void RunAt(const Recording& recording, uint64_t states, const Exhaustive& exhaustive, uint64_t boot_id);
  void CheckExhaustively(const Exhaustive& exhaustive, Place* place);
  void CheckSome(const Exhaustive& exhaustive, double* allowance, Place* place);
  // True if the disk was not met before.
  bool CheckVariant(const Variant& variant, Place* place);
  // The disk's outcome, from memory if it was met before.
  const Outcome& OutcomeOf(const Place& place, const DiskImage& image, const Hash128& hash);
  void CrashAgain(const Place& place, const DiskImage& image, const Outcome& outcome, std::vector<Event> events);
  void Judge(const Place& place, const Outcome& outcome, const Variant& variant);

  CrashOptions options_;
  Random random_;
  std::unordered_map<Hash128, Outcome, Hash128Hash> outcomes_;
  uint64_t second_crashes_ = 0;
  uint64_t points_ = 0;
  std::vector<std::string> failures_;
};

}  // namespace johnny::sim

#endif  // JOHNNY_TEST_SUPPORT_CRASH_CHECKER_H_
