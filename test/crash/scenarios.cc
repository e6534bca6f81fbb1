#include "crash/scenarios.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace johnny::sim {
namespace {

std::string KeyOf(uint64_t number) { return absl::StrCat("key", absl::Dec(number, absl::kZeroPad5)); }

// Puts and deletes among `keys` keys.
void ChangeSome(Script* script, uint64_t changes, uint64_t keys, size_t value_size, const std::string& table = "") {
  for (uint64_t i = 0; i < changes; ++i) {
    std::string key = KeyOf(script->Below(keys));
    if (script->Below(6) == 0) {
      script->Delete(table, key);
    } else {
      script->Put(table, key, script->RandomBytes(1 + script->Below(value_size)));
    }
  }
}

void Fill(Script* script, uint64_t keys, size_t value_size) {
  script->Begin();
  for (uint64_t i = 0; i < keys; ++i) {
    script->Put("", KeyOf(i), script->RandomBytes(value_size));
  }
  script->Commit();
}

// Commits with an abort now and then.
void CommitSome(Script* script, int commits, uint64_t keys, size_t value_size) {
  for (int i = 0; i < commits; ++i) {
    script->Begin();
    ChangeSome(script, 1 + script->Below(8), keys, value_size);
    if (script->Below(5) == 0) {
      script->Abort();
    } else {
      script->Commit();
    }
  }
}

void Creation(Script* script) {
  if (script->Below(2) == 0) {
    Fault fault;
    fault.kills = true;
    fault.skip = script->Below(14);
    fault.partial = script->Below(2) == 0;
    script->ExpectFaults(true);
    script->system()->SetFault(fault);
    script->Open(JOHNNY_CREATE);
    script->Kill();
    script->system()->ClearFault();
    script->ExpectFaults(false);
  }
  script->Open(JOHNNY_CREATE);
  CommitSome(script, 2, 10, 100);
  script->Close();
  script->Open(JOHNNY_CREATE);
  CommitSome(script, 1, 10, 100);
}

void Commits(Script* script) {
  script->Open(JOHNNY_CREATE);
  Fill(script, 60, 150);
  CommitSome(script, 12, 80, 250);
  script->CheckNow();
}

void Lazy(Script* script) {
  script->Open(JOHNNY_CREATE);
  Fill(script, 60, 150);
  for (int i = 0; i < 5; ++i) {
    CommitSome(script, 1 + static_cast<int>(script->Below(5)), 80, 250);
    if (script->Below(3) != 0) {
      script->Sync();
    }
  }
  script->CheckNow();
}

// Commits go on while a sync is under way: what it makes durable may have been overwritten meanwhile.
void CommitsDuringSync(Script* script) {
  script->Open(JOHNNY_CREATE);
  Fill(script, 60, 150);
  script->system()->set_yield_hook([script](const char* where) {
    if (std::string(where) == "bulk sync") {
      CommitSome(script, static_cast<int>(script->Below(3)), 80, 250);
    }
  });
  for (int i = 0; i < 6; ++i) {
    CommitSome(script, 1 + static_cast<int>(script->Below(3)), 80, 250);
    script->Sync();
  }
  script->system()->set_yield_hook(nullptr);
  script->CheckNow();
}

void MixedDurability(Script* script) {
  script->Open(JOHNNY_CREATE);
  Fill(script, 40, 150);
  for (int i = 0; i < 16; ++i) {
    script->Begin();
    ChangeSome(script, 1 + script->Below(6), 60, 250);
    script->Commit(JOHNNY_TWO_PHASE + static_cast<uint32_t>(script->Below(3)));
    if (script->Below(8) == 0) {
      script->Sync();
    }
  }
  script->CheckNow();
}

// Each commit adds more than free space can hold.
void Growth(Script* script) {
  script->Open(JOHNNY_CREATE);
  for (uint64_t i = 0; i < 8; ++i) {
    script->Begin();
    uint64_t entries = 5 + script->Below(40);
    for (uint64_t k = 0; k < entries; ++k) {
      script->Put("", KeyOf(i * 100 + k), script->RandomBytes(1000));
    }
    script->Commit();
  }
  script->CheckNow();
}

// Overwrites in a file that has reached its size, so that every page is soon used again; a reader holds some back.
void Reuse(Script* script) {
  script->Open(JOHNNY_CREATE);
  Fill(script, 120, 300);
  for (int i = 0; i < 25; ++i) {
    script->Begin();
    ChangeSome(script, 1 + script->Below(20), 120, 300);
    if (script->Below(6) == 0) {
      script->Abort();
    } else {
      script->Commit();
    }
    if (script->Below(7) == 0) {
      script->BeginReader();
    }
    if (script->Below(7) == 0) {
      script->EndReader();
    }
  }
  script->EndReader();
  script->CheckNow();
}

// Most of the file becomes free, and is given back, while commits go on.
void Shrink(Script* script) {
  script->Open(JOHNNY_CREATE);
  Fill(script, 20, 100);
  for (int round = 0; round < 2; ++round) {
    uint64_t values = 14 + script->Below(10);
    for (uint64_t i = 0; i < values; ++i) {
      script->Begin();
      script->Put("", KeyOf(1000 + i), script->RandomBytes(200000));
      script->Commit(JOHNNY_LAZY);
    }
    script->Begin();
    for (uint64_t i = 0; i < values; ++i) {
      script->Delete("", KeyOf(1000 + i));
    }
    script->Commit(JOHNNY_TWO_PHASE);
    script->PowerStaysUntilNow();  // growth has a scenario of its own
    CommitSome(script, 6, 40, 200);
    script->Sync();
    CommitSome(script, 3, 40, 200);
    if (script->Below(3) == 0) {
      script->Close();
      script->Open();
    }
  }
  script->CheckNow();
}

// A sync is begun by each commit, and nobody waits for it but now and then.
void Async(Script* script) {
  script->Open(JOHNNY_CREATE);
  Fill(script, 40, 150);
  for (int i = 0; i < 8; ++i) {
    CommitSome(script, 1 + static_cast<int>(script->Below(4)), 60, 250);
    if (script->Below(2) == 0) {
      script->WaitDurable();
    }
  }
  script->CheckNow();
}

// Commits that are published together, between others.
void Group(Script* script) {
  auto change = [script] { ChangeSome(script, 1 + script->Below(6), 60, 200); };
  script->StartProcess(JOHNNY_CREATE);
  Fill(script, 40, 200);
  script->StartProcess();
  script->RunAndKill("", 0, [&] {
    for (int i = 0; i < 4; ++i) {
      script->Begin();
      script->Put("", "first", script->RandomBytes(20));  // else nothing may be left to sync
      script->CommitGroup(std::vector<std::function<void()>>(1 + script->Below(3), change));
      CommitSome(script, static_cast<int>(script->Below(2)), 60, 200);
    }
  });
  script->TakeOver();
  script->CheckNow();
}

void LargeValues(Script* script) {
  script->Open(JOHNNY_CREATE);
  Fill(script, 10, 100);
  for (int i = 0; i < 8; ++i) {
    script->Begin();
    script->Put("", KeyOf(script->Below(6)), script->RandomBytes(3000 + script->Below(20000)));
    if (i == 3) {
      script->Put("", KeyOf(20), script->RandomBytes(300000));  // more than one checksummed chunk
    }
    if (i == 5) {
      script->Delete("", KeyOf(20));
    }
    if (script->Below(5) == 0) {
      script->Abort();
    } else {
      script->Commit();
    }
  }
  script->CheckNow();
}

void Spill(Script* script) {
  script->options()->memory_budget = 64 * 4096;
  script->Open(JOHNNY_CREATE);
  Fill(script, 20, 200);
  for (int i = 0; i < 3; ++i) {
    script->Begin();
    for (uint64_t k = 0; k < 320; ++k) {
      script->Put("", KeyOf(script->Below(400)), script->RandomBytes(1100));
    }
    if (i == 1 || script->Below(4) == 0) {
      script->Abort();
      CommitSome(script, 2, 400, 1100);
    } else {
      script->Commit();
    }
  }
  script->CheckNow();
}

void Tables(Script* script) {
  script->Open(JOHNNY_CREATE);
  Fill(script, 20, 100);
  for (int i = 0; i < 14; ++i) {
    script->Begin();
    std::string table = absl::StrCat("table", script->Below(4));
    std::string other = absl::StrCat("table", 10 + i);
    script->CreateTable(table);
    ChangeSome(script, 1 + script->Below(30), 40, 200, table);
    switch (script->Below(6)) {
      case 0:
        script->DropTable(table);
        break;
      case 1:
        script->ClearTable(table);
        break;
      case 2:
        script->RenameTable(table, other);
        break;
      case 3:
        script->ClearTable("");
        break;
      default:
        ChangeSome(script, 2, 20, 100);
    }
    if (script->Below(6) == 0) {
      script->Abort();
    } else {
      script->Commit();
    }
  }
  script->CheckNow();
}

// Changes of all kinds in transactions that nest, end either way, or are open still when the outermost ends.
void ChangeNested(Script* script, int depth) {
  for (uint64_t steps = 1 + script->Below(3); steps > 0; --steps) {
    ChangeSome(script, 1 + script->Below(40), 150, 700);
    std::string table = absl::StrCat("table", script->Below(3));
    switch (script->Below(9)) {
      case 0:
        script->Put("", KeyOf(script->Below(6)), script->RandomBytes(3000 + script->Below(20000)));
        break;
      case 1:
        script->CreateSnapshot(absl::StrCat("snapshot", script->Below(2)));
        break;
      case 2:
        script->CreateTable(table);
        script->DropTable(table);
        break;
      case 3:
        script->CreateTable(table);
        script->ClearTable(table);
        break;
      case 4:
      case 5:
        script->CreateTable(table);
        ChangeSome(script, 1 + script->Below(30), 60, 300, table);
        break;
      default:
        break;
    }
    if (depth < 4 && script->Below(2) == 0) {
      script->BeginNested();
      ChangeNested(script, depth + 1);
      uint64_t end = script->Below(7);
      if (end < 3) {
        script->AbortNested();
      } else if (end < 6) {
        script->CommitNested();
      }
    }
  }
}

void CommitNested(Script* script, int commits) {
  for (int i = 0; i < commits; ++i) {
    script->Begin();
    ChangeNested(script, 0);
    if (script->Below(6) == 0) {
      script->Abort();
    } else {
      script->Commit();
    }
  }
}

void Nested(Script* script) {
  script->options()->memory_budget = 64 * 4096;
  script->Open(JOHNNY_CREATE);
  Fill(script, 100, 500);
  for (int i = 0; i < 3; ++i) {
    CommitNested(script, 3);
    script->CheckNow();
    if (script->Below(3) == 0) {
      script->Kill();
      script->Open();
    }
  }
}

// A write fails in a nested transaction, which is aborted, and the one around it goes on; or in its commit.
void NestedFailedWrite(Script* script) {
  script->options()->memory_budget = 64 * 4096;
  script->Open(JOHNNY_CREATE);
  Fill(script, 100, 500);
  for (int i = 0; i < 4; ++i) {
    script->ExpectFaults(true);
    script->system()->SetFault({.call = Call::kWrite, .skip = script->Below(12), .partial = script->Below(2) == 0});
    CommitNested(script, 2);
    script->Kill();
    script->system()->ClearFault();
    script->ExpectFaults(false);
    script->Open();
  }
  script->CheckNow();
}

// Commits of all kinds, in which names come and go while every page is soon used again.
void CommitNamed(Script* script, int commits) {
  for (int i = 0; i < commits; ++i) {
    script->Begin();
    ChangeSome(script, 1 + script->Below(20), 80, 250);
    if (script->Below(2) == 0) {
      script->CreateSnapshot(absl::StrCat("snapshot", script->Below(3)));
    }
    if (script->Below(3) == 0) {
      script->DeleteSnapshot(absl::StrCat("snapshot", script->Below(3)));
    }
    if (script->Below(8) == 0) {
      script->Abort();
    } else if (script->Below(3) == 0) {
      script->Commit(JOHNNY_TWO_PHASE + static_cast<uint32_t>(script->Below(3)));
    } else {
      script->Commit();
    }
    if (script->Below(8) == 0) {
      script->Sync();
    }
  }
}

void NamedSnapshots(Script* script) {
  script->Open(JOHNNY_CREATE);
  Fill(script, 80, 250);
  for (int i = 0; i < 3; ++i) {
    CommitNamed(script, 8);
    if (script->Below(2) == 0) {
      script->Kill();
      script->Open();
    }
  }
  script->CheckNow();
}

void NamedFailedSync(Script* script) {
  script->Open(JOHNNY_CREATE);
  Fill(script, 60, 250);
  for (int i = 0; i < 5; ++i) {
    CommitNamed(script, 3);
    script->ExpectFaults(true);
    script->system()->SetFault({.call = Call::kSync, .skip = script->Below(5), .for_ever = script->Below(3) == 0});
    CommitNamed(script, 5);
    if (script->Below(3) == 0) {
      script->Kill();
    } else {
      script->Close();
    }
    script->system()->ClearFault();
    script->ExpectFaults(false);
    script->Open();
  }
  script->CheckNow();
}

void Reopening(Script* script) {
  script->Open(JOHNNY_CREATE);
  Fill(script, 40, 200);
  for (int i = 0; i < 6; ++i) {
    CommitSome(script, 1 + static_cast<int>(script->Below(3)), 60, 200);
    if (script->Below(3) == 0) {
      script->Kill();
    } else {
      script->Close();
    }
    script->Open();
  }
  CommitSome(script, 1, 60, 200);
  script->CheckNow();
}

// A process dies in the middle; the next one takes over in the same boot, and only then the power fails.
void Takeover(Script* script) {
  script->Open(JOHNNY_CREATE);
  Fill(script, 40, 200);
  for (int i = 0; i < 6; ++i) {
    Fault fault;
    fault.kills = true;
    fault.partial = script->Below(2) == 0;
    fault.skip = script->Below(16);
    script->ExpectFaults(true);
    script->system()->SetFault(fault);
    CommitSome(script, 3, 60, 200);
    script->Kill();
    script->system()->ClearFault();
    script->ExpectFaults(false);
    script->Open();
    CommitSome(script, static_cast<int>(script->Below(3)), 60, 200);
  }
  script->CheckNow();
}

// A process dies somewhere in its commits and syncs, one that was there all along becomes the writer, and so on; then the power
// fails. Where it may die shows in what the first one reaches, which lives to the end of its work.
void LiveTakeover(Script* script) {
  auto work = [script] {
    for (int k = 0; k < 6; ++k) {
      script->Begin();
      ChangeSome(script, 1 + script->Below(6), 60, 200);
      script->Commit(script->Below(2) == 0 ? uint32_t{JOHNNY_DURABILITY_DEFAULT}
                                           : JOHNNY_TWO_PHASE + static_cast<uint32_t>(script->Below(3)));
      if (script->Below(3) == 0) {
        script->Sync();
      }
    }
  };
  script->StartProcess(JOHNNY_CREATE);
  Fill(script, 40, 200);
  script->StartProcess();
  script->RunAndKill("", 0, work);
  std::vector<std::pair<std::string, uint64_t>> points(script->reached().begin(), script->reached().end());
  for (int i = 0; i < 5; ++i) {
    script->TakeOver();
    CommitSome(script, static_cast<int>(script->Below(3)), 60, 200);
    script->StartProcess();
    const auto& [point, times] = points[script->Below(points.size())];
    script->RunAndKill(point, script->Below(std::min<uint64_t>(times, 4)), work);
  }
  script->TakeOver();
  script->CheckNow();
}

void FailedSync(Script* script) {
  script->Open(JOHNNY_CREATE);
  Fill(script, 40, 200);
  for (int i = 0; i < 5; ++i) {
    script->ExpectFaults(true);
    script->system()->SetFault({.call = Call::kSync, .skip = script->Below(5), .for_ever = script->Below(3) == 0});
    CommitSome(script, 4, 60, 200);
    script->Sync();
    if (script->Below(3) == 0) {
      script->Kill();
    } else {
      script->Close();
    }
    script->system()->ClearFault();
    script->ExpectFaults(false);
    script->Open();
    CommitSome(script, static_cast<int>(script->Below(3)), 60, 200);
  }
  script->CheckNow();
}

// Trees built bottom-up, whose pages are written long before the commit; some are never finished.
void Built(Script* script) {
  script->Open(JOHNNY_CREATE);
  Fill(script, 20, 100);
  for (int i = 0; i < 8; ++i) {
    script->Begin();
    std::string table = script->Below(2) == 0 ? "" : "table";
    script->CreateTable("table");
    TableContents entries;
    for (uint64_t keys = script->Below(60); keys > 0; --keys) {
      entries[KeyOf(script->Below(200))] = script->RandomBytes(script->Below(12) == 0 ? 5000 : 400);
    }
    script->BuildTable(table, entries, script->Below(4) != 0);
    ChangeSome(script, script->Below(6), 40, 200, table);
    script->Below(6) == 0 ? script->Abort() : script->Commit();
    CommitSome(script, static_cast<int>(script->Below(3)), 40, 200);
  }
  script->CheckNow();
}

}  // namespace

const std::vector<Scenario>& Scenarios() {
  static const std::vector<Scenario> scenarios = {
      {"creation", 0.02, JOHNNY_TWO_PHASE, Creation},
      {"two_phase", 0.06, JOHNNY_TWO_PHASE, Commits},
      {"single_sync", 0.06, JOHNNY_SINGLE_SYNC, Commits},
      {"lazy", 0.06, JOHNNY_LAZY, Lazy},
      {"lazy_commits_during_sync", 0.05, JOHNNY_LAZY, CommitsDuringSync},
      {"mixed_durability", 0.07, JOHNNY_TWO_PHASE, MixedDurability},
      {"mixed_durability_lazy", 0.04, JOHNNY_LAZY, MixedDurability},
      {"growth", 0.05, JOHNNY_TWO_PHASE, Growth},
      {"growth_single_sync", 0.05, JOHNNY_SINGLE_SYNC, Growth},
      {"reuse", 0.06, JOHNNY_TWO_PHASE, Reuse},
      {"reuse_single_sync", 0.06, JOHNNY_SINGLE_SYNC, Reuse},
      {"reuse_lazy", 0.05, JOHNNY_LAZY, Reuse},
      {"shrink", 0.02, JOHNNY_TWO_PHASE, Shrink},
      {"shrink_lazy", 0.01, JOHNNY_LAZY, Shrink},
      {"async", 0.03, JOHNNY_ASYNC, Async},
      {"group", 0.03, JOHNNY_TWO_PHASE, Group},
      {"large_values", 0.04, JOHNNY_TWO_PHASE, LargeValues},
      {"large_values_lazy", 0.03, JOHNNY_LAZY, LargeValues},
      {"built", 0.02, JOHNNY_TWO_PHASE, Built},
      {"built_single_sync", 0.02, JOHNNY_SINGLE_SYNC, Built},
      {"built_lazy", 0.02, JOHNNY_LAZY, Built},
      {"spill", 0.02, JOHNNY_TWO_PHASE, Spill},
      {"spill_single_sync", 0.02, JOHNNY_SINGLE_SYNC, Spill},
      {"tables", 0.04, JOHNNY_TWO_PHASE, Tables},
      {"tables_lazy", 0.03, JOHNNY_LAZY, Tables},
      {"named_snapshots", 0.03, JOHNNY_TWO_PHASE, NamedSnapshots},
      {"named_snapshots_lazy", 0.05, JOHNNY_LAZY, NamedSnapshots},
      {"nested", 0.03, JOHNNY_TWO_PHASE, Nested},
      {"nested_lazy", 0.02, JOHNNY_LAZY, Nested},
      {"nested_failed_write", 0.02, JOHNNY_TWO_PHASE, NestedFailedWrite},
      {"reopening", 0.03, JOHNNY_TWO_PHASE, Reopening},
      {"reopening_lazy", 0.03, JOHNNY_LAZY, Reopening},
      {"takeover", 0.02, JOHNNY_TWO_PHASE, Takeover},
      {"takeover_lazy", 0.01, JOHNNY_LAZY, Takeover},
      {"live_takeover", 0.03, JOHNNY_TWO_PHASE, LiveTakeover},
      {"live_takeover_lazy", 0.03, JOHNNY_LAZY, LiveTakeover},
      {"failed_sync_named", 0.02, JOHNNY_LAZY, NamedFailedSync},
      {"failed_sync", 0.02, JOHNNY_TWO_PHASE, FailedSync},
      {"failed_sync_single", 0.02, JOHNNY_SINGLE_SYNC, FailedSync},
      {"failed_sync_lazy", 0.02, JOHNNY_LAZY, FailedSync},
  };
  return scenarios;
}

const Scenario& FindScenario(const std::string& name) {
  for (const Scenario& scenario : Scenarios()) {
    if (scenario.name == name) {
      return scenario;
    }
  }
  JOHNNY_CHECK(!"no such scenario");
}

Recording Record(const Scenario& scenario, uint64_t seed) {
  Script script(scenario.name, seed, SmallOptions(scenario.durability));
  scenario.run(&script);
  return script.Finish();
}

}  // namespace johnny::sim
