// A disk that is full for a time: nothing is lost, and the environment that met it goes on without being reopened once there is
// room again, unless a sync or a master page met it.
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "support/crash_checker.h"
#include "support/fault_script.h"

namespace johnny::sim {
namespace {

constexpr uint64_t kMostBlocks = 260;  // TouchEverything() does with less

void Report(Script* script, const std::string& where) {
  for (const std::string& problem : script->Finish().problems) {
    ADD_FAILURE() << where << ": " << problem;
  }
}

// Commits, and finds what is to be found, in the environment that is open; then the same after a kill.
void GoOn(Script* script) {
  script->ExpectFaults(false);
  for (uint32_t durability : {JOHNNY_TWO_PHASE, JOHNNY_SINGLE_SYNC, JOHNNY_LAZY}) {
    CommitSome(script, durability);
    EXPECT_EQ(script->last_commit_code(), JOHNNY_OK);
    script->CheckNow();
  }
  script->Sync();
  script->Kill();
  script->Open(JOHNNY_CREATE);
  script->CheckNow();
  CommitSome(script);
  script->CheckNow();
}

// The disk has so many blocks until the run is over, all of its openings and recoveries among it.
TEST(FullDiskTest, ARunOnAFullDiskLosesNothing) {
  uint64_t refused = 0;
  for (uint64_t blocks = 2; blocks < kMostBlocks; blocks += 4) {
    Script script("full disk", blocks, FaultOptions());
    script.ExpectFaults(true);
    script.ExpectCause(Code::kDiskFull, "No space left on device");
    script.system()->set_capacity(blocks * 4096);
    TouchEverything(&script);
    script.Kill();
    script.system()->set_capacity(0);
    script.ExpectFaults(false);
    script.Open(JOHNNY_CREATE);
    GoOn(&script);
    Report(&script, absl::StrCat("capacity of ", blocks, " blocks"));
    refused += script.saw_cause() ? 1 : 0;
  }
  EXPECT_GT(refused, kMostBlocks / 8);
}

// Puts of small and large values, in commits of every kind, until the disk is full.
void FillUp(Script* script, uint64_t entries) {
  constexpr uint32_t kDurabilities[] = {JOHNNY_TWO_PHASE, JOHNNY_SINGLE_SYNC, JOHNNY_LAZY};
  for (uint64_t i = 0; i < entries && !script->saw_cause(); ++i) {
    script->Begin();
    script->Put("", absl::StrCat("key", i), script->RandomBytes(100 + script->Below(3000)));
    script->Put("", absl::StrCat("large", i), script->RandomBytes(4000 + script->Below(30000)));
    if (!script->saw_cause()) {
      script->Commit(kDurabilities[i % 3]);
    }
  }
}

// Fills a disk that has room for `blocks` of 4 KiB. Faults are expected from then on.
void MeetFullDisk(Script* script, uint64_t blocks) {
  script->Open(JOHNNY_CREATE);
  CommitSome(script);
  script->ExpectFaults(true);
  script->ExpectCause(Code::kDiskFull, "No space left on device");
  script->system()->set_capacity(blocks * 4096);
  FillUp(script, 200);
}

// The disk is full when the environment wants to grow. The transaction that met it goes on when there is room.
TEST(FullDiskTest, TheTransactionThatMetItGoesOn) {
  uint64_t put_again = 0;
  for (uint64_t blocks = 60; blocks < 200; blocks += 2) {
    Script script("full disk", blocks, FaultOptions());
    MeetFullDisk(&script, blocks);
    EXPECT_TRUE(script.saw_cause()) << blocks;
    script.system()->set_capacity(0);
    EXPECT_FALSE(script.writes_refused()) << blocks;
    script.ExpectFaults(false);
    if (script.can_change()) {
      ++put_again;
      script.Put("", "once more", script.RandomBytes(20000));
      script.Commit();
      EXPECT_EQ(script.last_commit_code(), JOHNNY_OK);
    }
    script.CheckNow();
    GoOn(&script);
    Report(&script, absl::StrCat("capacity of ", blocks, " blocks"));
  }
  EXPECT_GT(put_again, 50u);
}

// A full database can be emptied, and that makes room for others.
TEST(FullDiskTest, DeletingGoesOnAndMakesRoom) {
  for (uint64_t blocks = 140; blocks < 260; blocks += 5) {  // room for what is kept for deletes, and more
    Script script("full disk", blocks, FaultOptions());
    MeetFullDisk(&script, blocks);
    script.Abort();
    script.ExpectFaults(false);
    for (int i = 0; i < 60; ++i) {
      script.Begin();
      script.Delete("", absl::StrCat("key", i));
      script.Delete("", absl::StrCat("large", i));
      script.Commit();
      EXPECT_EQ(script.last_commit_code(), JOHNNY_OK) << "capacity of " << blocks << " blocks, entry " << i;
    }
    script.CheckNow();
    script.Begin();
    script.Put("", "again", script.RandomBytes(3000));
    script.Commit();
    script.CheckNow();
    GoOn(&script);
    Report(&script, absl::StrCat("capacity of ", blocks, " blocks"));
  }
}

// A number of calls in a row fail with ENOSPC, wherever they come, while the environment is open.
TEST(FullDiskTest, TheEnvironmentGoesOnUnlessASyncOrAMasterPageMetIt) {
  uint64_t went_on = 0;
  uint64_t refused = 0;
  for (uint64_t times : {1u, 4u, 20u}) {
    bool fired = true;
    for (uint64_t skip = 0; fired; ++skip) {
      Script script("full for a time", skip, FaultOptions());
      script.Open(JOHNNY_CREATE);
      CommitSome(&script);
      script.ExpectFaults(true);
      script.ExpectCause(Code::kDiskFull, "No space left on device");
      script.system()->SetFault(
          {.skip = skip, .times = times, .code = Code::kDiskFull, .words = "No space left on device", .partial = skip % 2 == 1});
      for (uint32_t durability : {JOHNNY_TWO_PHASE, JOHNNY_SINGLE_SYNC, JOHNNY_LAZY}) {
        script.Begin();
        script.Put("", absl::StrCat("large", durability), script.RandomBytes(20000));
        script.Put("", absl::StrCat("key", durability), script.RandomBytes(2000));
        script.Commit(durability);
      }
      script.Sync();
      fired = script.system()->faults_fired() > 0;
      script.system()->ClearFault();
      std::string where = absl::StrCat(times, " calls from ", skip, " on");
      script.Abort();
      if (script.writes_refused()) {
        ++refused;
        EXPECT_TRUE(script.system()->failed(Call::kSync) || script.system()->failed(Call::kWrite)) << where;
      } else {
        ++went_on;
        script.CheckNow();
        GoOn(&script);
      }
      Report(&script, where);
    }
  }
  EXPECT_GT(went_on, 20u);
  EXPECT_GT(refused, 10u);
}

}  // namespace
}  // namespace johnny::sim
