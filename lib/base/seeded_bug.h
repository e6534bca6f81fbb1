// Bugs that can be switched on, to prove that the test suite catches them. Only builds with the meson option
// `seeded_bugs` have them; elsewhere IsSeeded() is a constant false and the compiler removes the branch.
#ifndef JOHNNY_BASE_SEEDED_BUG_H_
#define JOHNNY_BASE_SEEDED_BUG_H_

#include <atomic>

namespace johnny {

enum class SeededBug {
  kNone = 0,
  kNoFirstSync,           // two-phase commit without the sync of its pages
  kNoSecondSync,          // two-phase commit without the sync of its master page
  kSyncsSwapped,          // the master page is written and synced before the pages
  kOneMasterSlot,         // every commit writes the same master slot
  kNoMasterChecksum,      // recovery does not check the master page's checksum
  kReuseOneTxnEarly,      // pages that the commit after a pinned snapshot freed are reused
  kNoSyncAfterGrowth,     // a commit that extended the file is acknowledged without its data sync
  kRollbackLeaksPages,    // abort forgets the pages that the transaction had taken
  kNestedAbortLeaks,      // abort of a nested transaction forgets the pages that it had taken
  kNestedReusesOuter,     // pages of the transaction around a nested one are reused before the nested one has committed
  kRetriedSync,           // a failed sync is called again and believed
  kStalePinnedSnapshot,   // the set of pinned snapshots is not refreshed before pages are released
  kPageFreedTwice,        // a freed page is recorded twice
  kTakeoverWithoutSync,   // opening for writing does not sync before it decides
  kIdsUsedTwice,          // ids go on from the last master's after an unclean end
  kLazyUnverified,        // recovery believes a master that is not flagged durable without verifying its pages
  kNamePinsNothing,       // a snapshot's name does not keep its pages
  kDeletedNameForgotten,  // pages of a named snapshot are reused before the deletion of its name is durable
  kNamedBeforeDurable,    // a snapshot gets its name before it is durable
};

#ifdef JOHNNY_SEEDED_BUGS
inline std::atomic<SeededBug> g_seeded_bug{SeededBug::kNone};
inline bool IsSeeded(SeededBug bug) { return g_seeded_bug.load(std::memory_order_relaxed) == bug; }
#else
constexpr bool IsSeeded(SeededBug) { return false; }
#endif

}  // namespace johnny

#endif  // JOHNNY_BASE_SEEDED_BUG_H_
