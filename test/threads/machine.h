// Several virtual processes on one simulated machine, and the ledger whose accounts always hold 2004 coins.
#ifndef JOHNNY_TEST_THREADS_MACHINE_H_
#define JOHNNY_TEST_THREADS_MACHINE_H_

#include <atomic>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "support/crash_script.h"
#include "support/test_db.h"
#include "support/virtual_process.h"

namespace johnny::test {

inline constexpr int kCoins = 2004;
inline constexpr char kMachinePath[] = "/machine/db";

class Machine {
 public:
  Machine() {
    system_.set_recording(false);
    options_.flags = JOHNNY_CREATE;
  }
  ~Machine() { EndAll(); }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // A new process that has the database open.
  sim::VirtualProcess& Start(uint32_t flags = JOHNNY_CREATE) {
    processes_.push_back(std::make_unique<sim::VirtualProcess>(&system_));
    johnny_options options = options_;
    options.flags = flags;
    EXPECT_OK(processes_.back()->Open(kMachinePath, options));
    return *processes_.back();
  }
  // Closes all living processes, then buries the dead.
  void EndAll() {
    for (bool dead : {false, true}) {
      for (auto& process : processes_) {
        if (process->dead() == dead) {
          process->Bury();
        }
      }
    }
    processes_.clear();
  }

  // ---- The ledger ----

  void SetUpLedger(const Env& env, uint64_t accounts) {
    accounts_ = accounts;
    Txn txn(env);
    for (uint64_t i = 0; i < accounts; ++i) {
      ASSERT_OK(txn.Put(NumberedKey(i), std::to_string(i == 0 ? kCoins : 0)));
    }
    ASSERT_OK(txn.CommitWith(JOHNNY_TWO_PHASE));
  }
  static int SumOf(const Txn& txn) {
    int sum = 0;
    for (const auto& [key, coins] : txn.All()) {
      sum += std::stoi(coins);
    }
    return sum;
  }
  // Moves some coins within `txn`.
  void Move(Txn* txn, std::minstd_rand* random) const {
    std::string from = NumberedKey((*random)() % accounts_);
    std::string to = NumberedKey((*random)() % accounts_);
    int has = std::stoi(txn->Find(from).value_or("-1000000"));
    int moved = has == 0 ? 0 : 1 + static_cast<int>((*random)() % static_cast<unsigned>(has));
    EXPECT_OK(txn->Put(from, std::to_string(has - moved)));
    int other = std::stoi(txn->Find(to).value_or("-1000000"));
    EXPECT_OK(txn->Put(to, std::to_string(other + moved)));
  }
  static uint32_t AnyDurability(std::minstd_rand* random) { return JOHNNY_TWO_PHASE + static_cast<uint32_t>((*random)() % 4); }

  sim::SimSystem system_;
  johnny_options options_ = sim::SmallOptions();
  std::vector<std::unique_ptr<sim::VirtualProcess>> processes_;
  uint64_t accounts_ = 0;
};

class MachineTest : public testing::Test, protected Machine {};

}  // namespace johnny::test

#endif  // JOHNNY_TEST_THREADS_MACHINE_H_
