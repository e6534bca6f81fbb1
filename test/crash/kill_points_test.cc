// A writer dies at every yield point of the library, one that lives takes over, and then the power fails.
//
// The points are not listed here: a run that nobody kills tells which there are and how often each is reached, and one test
// holds that these are all that the library has. JOHNNY_CRASH_STATES sets how many disks are checked (default 200,000, of which
// this test's share is a tenth); JOHNNY_TEST_SCALE how often a process is killed at one point.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <regex>
#include <set>

#include "absl/strings/str_cat.h"
#include "support/crash_checker.h"
#include "support/test_db.h"

namespace johnny::sim {
namespace {

constexpr uint64_t kAccounts = 8;
constexpr uint64_t kCoins = 2004;
constexpr char kLedger[] = "ledger";

std::string KeyOf(uint64_t number) { return test::NumberedKey(number, 5, "key"); }

// ---- The ledger ----

// What it leaves is no other commit's.
void MoveCoins(Script* script) {
  const TableContents& ledger = script->working()->tables.at(kLedger);
  uint64_t from = script->Below(kAccounts);
  while (ledger.at(KeyOf(from)) == "0") {
    from = (from + 1) % kAccounts;
  }
  uint64_t to = (from + 1 + script->Below(kAccounts - 1)) % kAccounts;
  uint64_t has = std::stoull(ledger.at(KeyOf(from)));
  uint64_t moved = 1 + script->Below(has);
  script->Put(kLedger, KeyOf(from), std::to_string(has - moved));
  script->Put(kLedger, KeyOf(to), std::to_string(std::stoull(ledger.at(KeyOf(to))) + moved));
  script->Put(kLedger, "moves", std::to_string(script->history().commits.size()));
}

void CommitMove(Script* script, uint32_t durability = JOHNNY_DURABILITY_DEFAULT) {
  script->Begin();
  if (script->txn() != nullptr) {
    MoveCoins(script);
  }
  script->Commit(durability);
}

// Of the newest snapshot, whatever the model says.
uint64_t CountCoins(Script* script) {
  uint64_t sum = 0;
  johnny_txn* txn = nullptr;
  johnny_table* table = nullptr;
  EXPECT_OK(johnny_begin(script->env(), JOHNNY_READ, &txn));
  EXPECT_OK(johnny_table_open(txn, kLedger, 0, &table));
  for (uint64_t i = 0; i < kAccounts; ++i) {
    johnny_slice coins{};
    std::string key = KeyOf(i);
    EXPECT_OK(johnny_get(txn, table, key.data(), key.size(), &coins));
    sum += std::stoull(std::string(test::View(coins)));
  }
  johnny_abort(txn);
  return sum;
}

// ---- The run ----

// Two processes: one that became the second writer of this database, and one that waits. The first one died while it published.
void Prepare(Script* script) {
  script->StartProcess(JOHNNY_CREATE);
  script->Begin();
  script->CreateTable(kLedger);
  for (uint64_t i = 0; i < kAccounts; ++i) {
    script->Put(kLedger, KeyOf(i), std::to_string(i == 0 ? kCoins : 0));
  }
  script->Commit(JOHNNY_TWO_PHASE);
  script->StartProcess();
  script->RunAndKill("master", 0, [script] { CommitMove(script, JOHNNY_SINGLE_SYNC); });
  script->StartProcess();
}

void CommitLarge(Script* script, uint64_t number) {
  script->Begin();
  script->Put("", KeyOf(1000 + number), script->RandomBytes(200000));
  script->Commit(JOHNNY_LAZY);
}

// Everything that a writer does: takes over, commits of all kinds, grows the file, spills, names a snapshot, leaves and joins
// again, catches up with another process, and cuts the file.
void Work(Script* script) {
  script->TakeOver();
  CommitMove(script, JOHNNY_TWO_PHASE);
  script->Begin();
  for (uint64_t i = 0; i < 230; ++i) {
    script->Put("", KeyOf(i), script->RandomBytes(1000));
  }
  script->Commit();
  CommitMove(script, JOHNNY_SINGLE_SYNC);
  script->Begin();
  script->CreateSnapshot("kept");
  script->Commit();
  script->ReadSnapshot("kept");
  CommitMove(script, JOHNNY_LAZY);
  CommitMove(script, JOHNNY_LAZY);
  script->Sync();
  script->Begin();
  if (script->txn() != nullptr) {
    MoveCoins(script);
  }
  script->CommitGroup({[script] { MoveCoins(script); }, [script] { MoveCoins(script); }});
  CommitMove(script, JOHNNY_LAZY);
  script->Rejoin();
  CommitMove(script);
  script->InOtherProcess([script] { CommitMove(script); });
  CommitMove(script);
  for (uint64_t i = 0; i < 18; ++i) {
    CommitLarge(script, i);
  }
  script->Begin();
  script->DeleteSnapshot("kept");
  script->ClearTable("");
  script->Commit(JOHNNY_TWO_PHASE);
  for (int i = 0; i < 4; ++i) {
    CommitMove(script, JOHNNY_TWO_PHASE);
  }
}

// The one that waits takes over, and works for a while.
void GoOn(Script* script) {
  script->TakeOver();
  if (script->env() == nullptr) {
    return;  // a problem, and reported as such
  }
  EXPECT_EQ(CountCoins(script), kCoins);
  script->CheckNow();
  CommitMove(script);
  script->Begin();
  for (uint64_t i = 0; i < 20; ++i) {
    script->Put("", KeyOf(500 + i), script->RandomBytes(1000));
  }
  script->Commit();
  CommitMove(script, JOHNNY_SINGLE_SYNC);
  script->Sync();
  EXPECT_EQ(CountCoins(script), kCoins);
  script->CheckNow();
}

johnny_options LedgerOptions(uint32_t durability) {
  johnny_options options = SmallOptions(durability);
  options.memory_budget = 64 * 4096;
  return options;
}

// Every point that the run reaches, and how often.
std::map<std::string, uint64_t> PointsOf(uint32_t durability) {
  Script script("kill_points", 1, LedgerOptions(durability));
  Prepare(&script);
  EXPECT_TRUE(script.RunAndKill("", 0, [&script] { Work(&script); }));
  std::map<std::string, uint64_t> points = script.reached();
  GoOn(&script);
  Recording recording = script.Finish();
  EXPECT_THAT(recording.problems, testing::IsEmpty());
  return points;
}

class KillPointsTest : public testing::TestWithParam<uint32_t> {};

INSTANTIATE_TEST_SUITE_P(Durability, KillPointsTest, testing::Values(JOHNNY_TWO_PHASE, JOHNNY_LAZY),
                         [](const auto& test) { return std::string(test.param == JOHNNY_LAZY ? "lazy" : "two_phase"); });

TEST_P(KillPointsTest, WhoTakesOverAndThenLosesPowerHasAllThatWasAcknowledged) {
  const char* given = std::getenv("JOHNNY_CRASH_STATES");
  const uint64_t total = given == nullptr ? 200000 : std::strtoull(given, nullptr, 10);
  // Spread over all times that a point is reached; fewer where few disks are wanted, since most of the time goes into the runs.
  const auto most = static_cast<uint64_t>((total < 20000 ? 2 : 8) * test::Scale());
  const std::map<std::string, uint64_t> points = PointsOf(GetParam());
  uint64_t kills = 0;
  for (const auto& [point, times] : points) {
    kills += std::min(times, most);
  }
  uint64_t states = total / 10 / kills + 1;
  CrashChecker checker(CrashOptions{});
  for (const auto& [point, times] : points) {
    for (uint64_t i = 0; i < std::min(times, most) && !checker.done(); ++i) {
      uint64_t nth = times <= most ? i : i * (times - 1) / (most - 1);
      SCOPED_TRACE(absl::StrCat(point, ", time ", nth));
      Script script(absl::StrCat("killed at '", point, "', time ", nth), 1, LedgerOptions(GetParam()));
      Prepare(&script);
      EXPECT_FALSE(script.RunAndKill(point, nth, [&script] { Work(&script); })) << "runs repeat";
      script.PowerStaysUntilNow();
      GoOn(&script);
      checker.Run(script.Finish(), states);
    }
  }
  for (const std::string& failure : checker.failures()) {
    ADD_FAILURE() << failure;
  }
  std::printf("%llu points, %llu kills, %llu distinct disks\n", static_cast<unsigned long long>(points.size()),
              static_cast<unsigned long long>(kills), static_cast<unsigned long long>(checker.distinct_states()));
}

// The names of all yield points in the sources below `folder`.
std::set<std::string> PointsIn(const std::filesystem::path& folder) {
  static const std::regex call(R"re(\b(?:YieldPoint|Reach)\("([^"]*)"\))re");
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) {
      std::string text = test::ReadFile(entry.path());
      for (std::sregex_iterator at(text.begin(), text.end(), call), end; at != end; ++at) {
        names.insert((*at)[1]);
      }
    }
  }
  return names;
}

// A new one in the library is killed at by the test above, or this fails.
TEST(KillPointsHouseTest, TheRunReachesEveryYieldPointOfTheLibrary) {
  const char* root = std::getenv("JOHNNY_SOURCE_ROOT");
  ASSERT_NE(root, nullptr) << "run this by `meson test`, or set it to where the sources are";
  std::set<std::string> reached;
  for (const auto& [point, times] : PointsOf(JOHNNY_TWO_PHASE)) {
    reached.insert(point);
  }
  std::set<std::string> all = PointsIn(std::filesystem::path(root) / "lib");
  EXPECT_GT(all.size(), 10u);
  EXPECT_EQ(reached, all);
}

}  // namespace
}  // namespace johnny::sim
