// What the kill campaign keeps in its database, and how every snapshot of it can be told to be whole:
//
//   1. 100 accounts hold 2004 coins: one half in the main table, the other in the table "vault".
//   2. 16 marks, half in either table, hold one and the same number: that of the transaction that wrote the snapshot.
//   3. The number of fillers in each table is stored beside them, and equals the exact count of the tree.
//   4. Large values and paddings can be told to be right from the number stored in them.
//
// C API only. What is wrong is thrown as a Finding; so is an error of the library that nobody expects.
#ifndef JOHNNY_TEST_PROCESSES_LEDGER_H_
#define JOHNNY_TEST_PROCESSES_LEDGER_H_

#include <johnny/johnny.h>

#include <cstdint>
#include <random>
#include <stdexcept>
#include <string>

namespace johnny::test {

using Random = std::mt19937_64;

inline uint64_t Below(Random* random, uint64_t limit) { return (*random)() % limit; }
inline bool OneIn(Random* random, uint64_t n) { return Below(random, n) == 0; }

class Finding : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Throws a Finding, with the library's words, unless `code` is JOHNNY_OK.
void MustBeOk(int code, const std::string& what);

// What a correct program would never do: each must be found, which proves that the checks see something.
enum class Lie {
  kNone,
  kCoin,  // a coin is made out of nothing
  kMark,  // one mark is left as it was
  kAck,   // a transaction is acknowledged and then aborted
  kTorn,  // a transaction that will be aborted is committed
};

class Ledger {
 public:
  static constexpr int kCoins = 2004;

  explicit Ledger(johnny_env* env) : env_(env) {}

  // The first transaction, with number 0, if the database is empty.
  void Create();
  // Makes the changes of transaction `number` in `txn`, which Create() has prepared. A `poisoned` one is to be aborted and leaves
  // the accounts in disorder.
  void Change(johnny_txn* txn, uint64_t number, bool poisoned, Lie lie, Random* random);

  // Checks 1 to 4 in the snapshot and returns its number. `deep` reads every entry, fillers and large values included.
  uint64_t Check(johnny_txn* txn, bool deep);

 private:
  struct Half;  // one of the two tables

  johnny_table* Vault(johnny_txn* txn, uint32_t flags);
  johnny_table* TableOf(uint64_t account) const { return account % 2 == 0 ? nullptr : vault_; }
  void Transfer(johnny_txn* txn, uint64_t number, bool poisoned, Random* random);
  void ChangeFillers(johnny_txn* txn, johnny_table* table, uint64_t number, uint64_t changes, Random* random);
  void ChangeLarge(johnny_txn* txn, johnny_table* table, uint64_t number, Random* random);
  void CheckHalf(johnny_txn* txn, johnny_table* table, bool deep, Half* half);

  johnny_env* env_;
  johnny_table* vault_ = nullptr;
};

}  // namespace johnny::test

#endif  // JOHNNY_TEST_PROCESSES_LEDGER_H_
