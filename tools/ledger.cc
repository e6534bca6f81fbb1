// johnny-ledger: 2004 coins in all, moved between accounts by threads in atomic transactions, while auditors sum every
// account of a snapshot over and over. Invariant, in every snapshot: the accounts hold 2004 coins in all, and there are
// as many accounts as at the start.
#include <charconv>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "common.h"
#include "ledger_arguments.h"
#include "text.h"

namespace johnny::tools {

using ledger::Arguments;

namespace {

constexpr int64_t kCoins = 2004;
constexpr char kTableName[] = "ledger";

// ---- Accounts ----

std::string AccountKey(uint64_t account) { return Format("account %07llu", static_cast<unsigned long long>(account)); }

[[noreturn]] void Loud(const std::string& what) { throw ToolError(kExitCorrupt, "THE LEDGER IS WRONG: " + what, JOHNNY_CORRUPT); }

// The coins in an account's value, a decimal number.
int64_t Coins(const johnny_slice& value, std::string_view key) {
  const std::string_view text = View(value);
  int64_t coins = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), coins);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || coins < 0 || coins > kCoins) {
    Loud("\"" + EscapeBytes(key, 40) + "\" holds \"" + EscapeBytes(text, 40) + "\"");
  }
  return coins;
}

int64_t Balance(johnny_txn* txn, johnny_table* table, const std::string& key) {
  johnny_slice value{};
  const int error = johnny_get(txn, table, key.data(), key.size(), &value);
  if (error == JOHNNY_NOT_FOUND) Loud("\"" + key + "\" is missing");
  Check(error, key);
  return Coins(value, key);
}

void SetBalance(johnny_txn* txn, johnny_table* table, const std::string& key, int64_t coins) {
  const std::string value = std::to_string(coins);
  Check(johnny_put(txn, table, key.data(), key.size(), value.data(), value.size(), 0), key);
}

// ---- Auditing ----

// Sums every account of the snapshot, and checks the sum; the number of accounts.
uint64_t Audit(johnny_txn* txn, johnny_table* table) {
  const Cursor cursor = OpenCursor(txn, table);
  johnny_slice key{}, value{};
  int64_t sum = 0;
  uint64_t accounts = 0;
  int error;
  while ((error = johnny_cursor_next(cursor.get(), &key, &value)) == JOHNNY_OK) {
    sum += Coins(value, View(key));
    ++accounts;
  }
  if (error != JOHNNY_NOT_FOUND) throw LastError(error, "audit");
  const std::string snapshot = "snapshot " + WithThousands(johnny_txn_id(txn)) + " ";
  if (sum != kCoins) {
    Loud(snapshot + "holds " + std::to_string(sum) + " coins in " + Counted(accounts, "account") + ", not " +
         std::to_string(kCoins));
  }
  uint64_t counted = 0;
  Check(johnny_count(txn, table, nullptr, nullptr, &counted), "audit");
  if (counted != accounts) Loud(snapshot + "has " + WithThousands(accounts) + " accounts, but counts " + WithThousands(counted));
  return accounts;
}

// What all threads share.
struct Ledger {
  johnny_env* env = nullptr;
  johnny_table* table = nullptr;
  uint64_t accounts = 0;
  SharedStop stop;
  std::atomic<uint64_t> transfers{0};
  std::atomic<uint64_t> audits{0};
};

void RunAuditor(Ledger* ledger) {
  uint64_t last = 0;
  while (!ledger->stop.stopped()) {
    const Txn txn = Begin(ledger->env, JOHNNY_READ);
    const uint64_t id = johnny_txn_id(txn.get());
    if (id < last) Loud("snapshot " + WithThousands(id) + " was given out after snapshot " + WithThousands(last));
    const uint64_t accounts = Audit(txn.get(), ledger->table);
    if (accounts != ledger->accounts) {
      Loud("snapshot " + WithThousands(id) + " has " + WithThousands(accounts) + " accounts, not " +
           WithThousands(ledger->accounts));
    }
    last = id;
    ledger->audits.fetch_add(1, std::memory_order_relaxed);
  }
}

// ---- Moving ----

using Random = std::mt19937_64;

uint64_t Below(Random* random, uint64_t limit) { return std::uniform_int_distribution<uint64_t>(0, limit - 1)(*random); }

// Moves a random amount between two random accounts; false if the first of them has none.
bool Transfer(Ledger* ledger, Random* random) {
  const uint64_t from = Below(random, ledger->accounts);
  const uint64_t to = (from + 1 + Below(random, ledger->accounts - 1)) % ledger->accounts;
  Txn txn = Begin(ledger->env);
  const std::string from_key = AccountKey(from), to_key = AccountKey(to);
  const int64_t from_coins = Balance(txn.get(), ledger->table, from_key);
  if (from_coins == 0) return false;
  const int64_t to_coins = Balance(txn.get(), ledger->table, to_key);
  const int64_t amount = 1 + static_cast<int64_t>(Below(random, static_cast<uint64_t>(from_coins)));
  SetBalance(txn.get(), ledger->table, from_key, from_coins - amount);
  SetBalance(txn.get(), ledger->table, to_key, to_coins + amount);
  Commit(std::move(txn));
  return true;
}

void RunMover(Ledger* ledger) {
  Random random(std::random_device{}());
  while (!ledger->stop.stopped()) {
    if (Transfer(ledger, &random)) ledger->transfers.fetch_add(1, std::memory_order_relaxed);
  }
}

// ---- The run ----

// Deals the coins out to new accounts, in one transaction.
void CreateAccounts(johnny_env* env, johnny_table* table, uint64_t accounts) {
  Txn txn = Begin(env);
  const auto count = static_cast<int64_t>(accounts);
  for (int64_t i = 0; i < count; ++i) {
    SetBalance(txn.get(), table, AccountKey(static_cast<uint64_t>(i)), kCoins / count + (i < kCoins % count ? 1 : 0));
  }
  Commit(std::move(txn));
}

johnny_table* CreateTable(johnny_env* env) {
  Txn txn = Begin(env);
  johnny_table* table = OpenTable(txn.get(), kTableName, JOHNNY_TABLE_CREATE);
  Commit(std::move(txn));
  return table;
}

// Opens the ledger in the database, with its accounts. An existing one is audited and goes on with the accounts it has.
void Prepare(const Arguments& arguments, Ledger* ledger) {
  ledger->table = CreateTable(ledger->env);
  uint64_t existing = 0;
  {
    const Txn txn = Begin(ledger->env, JOHNNY_READ);
    Check(johnny_count(txn.get(), ledger->table, nullptr, nullptr, &existing));
    if (existing > 0) Audit(txn.get(), ledger->table);
  }
  if (existing == 0) CreateAccounts(ledger->env, ledger->table, arguments.accounts);
  ledger->accounts = existing > 0 ? existing : arguments.accounts;
  if (ledger->accounts < 2) throw ToolError(kExitUsage, "the existing ledger has one account only; no coin can move");
}

// Waits for the end of the run, with progress once a second or so.
void Wait(const Arguments& arguments, const Ledger& ledger, const Stopwatch& watch) {
  ProgressLine progress;
  while (!ledger.stop.stopped() && !Interrupted()) {
    const double now = watch.Seconds();
    if (arguments.seconds > 0 && now >= arguments.seconds) return;
    if (progress.Due()) {
      const uint64_t transfers = ledger.transfers.load(std::memory_order_relaxed);
      const uint64_t audits = ledger.audits.load(std::memory_order_relaxed);
      progress.Show("ledger: " + HumanSeconds(now) + ", " + Rate(transfers, now) + " transfers/s, " + Rate(audits, now) +
                    " audits/s");
    }
    SleepFor(arguments.seconds > 0 ? std::min(0.1, arguments.seconds - now) : 0.1);
  }
}

// Runs all threads; the seconds it took. Throws the first error of a thread.
double RunThreads(const Arguments& arguments, Ledger* ledger) {
  const Stopwatch watch;
  std::vector<std::thread> threads;
  ledger->stop.Guard([&] {
    for (uint32_t i = 0; i < arguments.threads; ++i) {
      threads.emplace_back([ledger] { ledger->stop.Guard([&] { RunMover(ledger); }); });
    }
    for (uint32_t i = 0; i < arguments.auditors; ++i) {
      threads.emplace_back([ledger] { ledger->stop.Guard([&] { RunAuditor(ledger); }); });
    }
    Wait(arguments, *ledger, watch);
  });
  ledger->stop.Stop();
  for (std::thread& thread : threads) thread.join();
  const double seconds = watch.Seconds();
  ledger->stop.Rethrow();
  return seconds;
}

// The last word: what the file holds once it has been closed.
void AuditClosedFile(const std::string& path, uint64_t accounts) {
  johnny_options options;
  johnny_options_init(&options);
  options.struct_size = sizeof(options);
  options.flags = JOHNNY_READ_ONLY;
  const Env env = Open(path, options);
  const Txn txn = Begin(env.get(), JOHNNY_READ);
  const uint64_t found = Audit(txn.get(), OpenTable(txn.get(), kTableName));
  if (found != accounts) Loud("the closed file has " + WithThousands(found) + " accounts, not " + WithThousands(accounts));
}

Env OpenForLedger(const Arguments& arguments) {
  johnny_options options;
  johnny_options_init(&options);
  options.struct_size = sizeof(options);
  options.flags = JOHNNY_CREATE;
  options.durability = arguments.durability;
  return Open(arguments.path, options);
}

std::string Report(const Arguments& arguments, const Ledger& ledger, double seconds) {
  const uint64_t transfers = ledger.transfers.load(), audits = ledger.audits.load();
  Columns rows("lrrl");
  rows.AddRow({"transfers", WithThousands(transfers), Rate(transfers, seconds) + "/s",
               "by " + Counted(arguments.threads, "mover") + ", " + DurabilityName(arguments.durability)});
  rows.AddRow({"audits", WithThousands(audits), Rate(audits, seconds) + "/s", "by " + Counted(arguments.auditors, "auditor")});
  return Counted(ledger.accounts, "account") + Format(", %lld coins, ", static_cast<long long>(kCoins)) + HumanSeconds(seconds) +
         (Interrupted() ? ", interrupted" : "") + "\n" + rows.Render(2) + "every sum was " + std::to_string(kCoins) + "\n";
}

int Main(int argc, char** argv) {
  Arguments arguments;
  if (const auto code = ledger::Parse(argc, argv, &arguments)) return *code;
  CatchInterrupts();
  Env env = OpenForLedger(arguments);
  Ledger ledger;
  ledger.env = env.get();
  Prepare(arguments, &ledger);
  const double seconds = RunThreads(arguments, &ledger);
  Close(std::move(env));
  AuditClosedFile(arguments.path, ledger.accounts);
  Output output;
  output.Write(Report(arguments, ledger, seconds));
  output.Flush();
  return kExitClean;
}

}  // namespace
}  // namespace johnny::tools

int main(int argc, char** argv) {
  return johnny::tools::RunTool("johnny-ledger", [&] { return johnny::tools::Main(argc, argv); });
}
