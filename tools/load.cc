// johnny-load: puts alternating key and value lines from standard input into a table, in batches, while snapshot readers
// may check the database beside it.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "common.h"
#include "load_input.h"
#include "text.h"

namespace johnny::tools {

using load::Arguments;
using load::PairReader;

namespace {

struct Totals {
  uint64_t entries = 0;  // put, in committed transactions
  uint64_t bytes = 0;    // of their keys and values
  uint64_t skipped = 0;  // by --no-overwrite
  uint64_t commits = 0;
};

// ---- Readers beside the writer ----

// What a reader has found wrong with a snapshot.
[[noreturn]] void Inconsistent(johnny_txn* txn, const std::string& what) {
  throw ToolError(kExitCorrupt, "INCONSISTENT SNAPSHOT " + WithThousands(johnny_txn_id(txn)) + ": " + what, JOHNNY_CORRUPT);
}

// The entries that a whole scan finds; checks their order, and that the entry in the middle is where rank and n-th say.
uint64_t ScanAll(johnny_txn* txn, johnny_table* table, uint64_t middle, const std::string& middle_key) {
  const Cursor cursor = OpenCursor(txn, table);
  johnny_slice key{};
  std::string previous;
  uint64_t entries = 0;
  int error;
  while ((error = johnny_cursor_next(cursor.get(), &key, nullptr)) == JOHNNY_OK) {
    if (entries > 0 && View(key) <= previous) Inconsistent(txn, "keys out of order at entry " + WithThousands(entries));
    if (entries == middle && View(key) != middle_key) Inconsistent(txn, "the scan meets another middle key than n-th gives");
    previous.assign(View(key));
    ++entries;
  }
  if (error != JOHNNY_NOT_FOUND) throw LastError(error, "reader");
  return entries;
}

// Checks one snapshot against itself; the number of its entries.
uint64_t CheckSnapshot(johnny_txn* txn, johnny_table* table) {
  uint64_t count = 0;
  Check(johnny_count(txn, table, nullptr, nullptr, &count), "reader");
  const uint64_t middle = count / 2;
  std::string middle_key;
  if (count > 0) {
    johnny_slice key{};
    Check(johnny_nth(txn, table, middle, &key, nullptr), "reader");
    middle_key.assign(View(key));
    const johnny_slice bound{middle_key.data(), middle_key.size()};
    uint64_t below = 0, above = 0;
    Check(johnny_count(txn, table, nullptr, &bound, &below), "reader");
    Check(johnny_count(txn, table, &bound, nullptr, &above), "reader");
    if (below != middle || below + above != count) {
      Inconsistent(txn, "the counts of its two halves, " + WithThousands(below) + " and " + WithThousands(above) +
                            ", do not make " + WithThousands(count));
    }
  }
  const uint64_t scanned = ScanAll(txn, table, middle, middle_key);
  if (scanned != count) {
    Inconsistent(txn, "count says " + WithThousands(count) + " entries, a scan finds " + WithThousands(scanned));
  }
  return count;
}

// Takes one snapshot after the other until `stop`, and the last one after it.
void ReadSnapshots(johnny_env* env, johnny_table* table, const SharedStop& stop, std::atomic<uint64_t>* checked) {
  uint64_t last_id = 0, last_count = 0;
  for (bool last = false; !last;) {
    last = stop.stopped();
    const Txn txn = Begin(env, JOHNNY_READ);
    const uint64_t id = johnny_txn_id(txn.get());
    if (id < last_id) Inconsistent(txn.get(), "older than snapshot " + WithThousands(last_id) + ", which this reader saw before");
    if (id == last_id) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      continue;
    }
    const uint64_t count = CheckSnapshot(txn.get(), table);
    if (count < last_count) {
      Inconsistent(txn.get(), WithThousands(count) + " entries, but an older snapshot had " + WithThousands(last_count));
    }
    last_id = id;
    last_count = count;
    checked->fetch_add(1, std::memory_order_relaxed);
  }
}

class ReaderThreads {
 public:
  ReaderThreads(johnny_env* env, johnny_table* table, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) {
      threads_.emplace_back([this, env, table] { stop_.Guard([&] { ReadSnapshots(env, table, stop_, &checked_); }); });
    }
  }
  ~ReaderThreads() { Join(); }
  ReaderThreads(const ReaderThreads&) = delete;
  ReaderThreads& operator=(const ReaderThreads&) = delete;

  // Before the end only a failure stops them.
  bool failed() const { return stop_.stopped(); }
  uint64_t checked() const { return checked_.load(std::memory_order_relaxed); }

  // Lets each check a last snapshot; throws what one of them found.
  void Finish() {
    Join();
    stop_.Rethrow();
  }

 private:
  void Join() {
    stop_.Stop();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  SharedStop stop_;
  std::atomic<uint64_t> checked_{0};
  std::vector<std::thread> threads_;
};

// ---- The writer ----

class Loader {
 public:
  Loader(const Arguments& arguments, johnny_env* env, johnny_table* table) : arguments_(arguments), env_(env), table_(table) {
    if (arguments.append) flags_ |= JOHNNY_APPEND;
    if (arguments.no_overwrite) flags_ |= JOHNNY_NO_OVERWRITE;
  }

  const Totals& totals() const { return totals_; }
  double seconds() const { return seconds_; }

  // Until the input ends. An error drops the current batch; earlier ones stay.
  void Run(const ReaderThreads& readers) {
    PairReader pairs(stdin, arguments_.text);
    std::string key, value;
    while (!readers.failed() && pairs.Next(&key, &value)) {
      Put(pairs.key_line(), key, value);
      if (batch_.entries + batch_.skipped >= arguments_.batch) CommitBatch();
      if ((++puts_ & 255) == 0 && progress_.Due()) ShowProgress(readers);
    }
    CommitBatch();
    progress_.Clear();
    seconds_ = watch_.Seconds();
  }

 private:
  void Put(uint64_t line, const std::string& key, const std::string& value) {
    if (!txn_) txn_ = Begin(env_);
    const int error = johnny_put(txn_.get(), table_, key.data(), key.size(), value.data(), value.size(), flags_);
    if (error == JOHNNY_EXISTS) {
      ++batch_.skipped;
      return;
    }
    if (error != JOHNNY_OK) {
      ToolError failure = LastError(error, "line " + std::to_string(line));
      throw ToolError(IsInputError(error) ? kExitWarning : failure.exit_code(), failure.what(), error);
    }
    ++batch_.entries;
    batch_.bytes += key.size() + value.size();
  }

  static bool IsInputError(int error) {
    return error == JOHNNY_KEY_TOO_LARGE || error == JOHNNY_VALUE_TOO_LARGE || error == JOHNNY_NOT_ASCENDING;
  }

  void CommitBatch() {
    if (!txn_) return;
    Commit(std::move(txn_));
    totals_.entries += batch_.entries;
    totals_.bytes += batch_.bytes;
    totals_.skipped += batch_.skipped;
    ++totals_.commits;
    batch_ = {};
  }

  void ShowProgress(const ReaderThreads& readers) {
    const uint64_t entries = totals_.entries + batch_.entries;
    std::string line = "loading: " + Counted(entries, "entry", "entries") + ", " + HumanBytes(totals_.bytes + batch_.bytes) +
                       ", " + Rate(entries, watch_.Seconds()) + " entries/s, " + Counted(totals_.commits, "commit");
    if (arguments_.readers > 0) line += ", " + Counted(readers.checked(), "snapshot") + " checked";
    progress_.Show(line);
  }

  const Arguments& arguments_;
  johnny_env* env_;
  johnny_table* table_;
  uint32_t flags_ = 0;  // enum johnny_put_flag
  Txn txn_;
  Totals totals_, batch_;
  uint64_t puts_ = 0;
  ProgressLine progress_;
  Stopwatch watch_;
  double seconds_ = 0;
};

// ---- All of it ----

Env OpenForLoading(const Arguments& a) {
  johnny_options options;
  johnny_options_init(&options);
  options.struct_size = sizeof(options);
  if (a.create) options.flags = JOHNNY_CREATE;
  options.durability = a.durability;
  options.page_size = a.page_size;
  return Open(a.path, options);
}

johnny_table* CreateTable(johnny_env* env, const std::string& name) {
  if (name.empty()) return nullptr;
  Txn txn = Begin(env);
  johnny_table* table = OpenTable(txn.get(), name, JOHNNY_TABLE_CREATE);
  Commit(std::move(txn));
  return table;
}

std::string Summary(const Totals& totals, double seconds) {
  std::string text = "loaded " + Counted(totals.entries, "entry", "entries") + ", " + HumanBytes(totals.bytes) + ", in " +
                     HumanSeconds(seconds) + ": " + Rate(totals.entries, seconds) + " entries/s, " +
                     Counted(totals.commits, "commit");
  if (totals.skipped > 0) text += "; skipped " + Counted(totals.skipped, "key") + " already there";
  return text + "\n";
}

int Main(int argc, char** argv) {
  Arguments arguments;
  if (const auto code = load::Parse(argc, argv, &arguments)) return *code;
  CatchInterrupts();
  Output output;
  Env env = OpenForLoading(arguments);
  johnny_table* table = CreateTable(env.get(), arguments.table);
  {
    ReaderThreads readers(env.get(), table, arguments.readers);
    Loader loader(arguments, env.get(), table);
    try {
      loader.Run(readers);
      readers.Finish();
    } catch (const ToolError& error) {
      throw ToolError(
          error.exit_code(),
          std::string(error.what()) + "; " + Counted(loader.totals().entries, "entry", "entries") + " committed before stay",
          error.error());
    }
    output.Write(Summary(loader.totals(), loader.seconds()));
    if (arguments.readers > 0) {
      output.Write(Counted(arguments.readers, "reader") + " checked " + Counted(readers.checked(), "snapshot") +
                   ": all consistent\n");
    }
  }
  Close(std::move(env));
  output.Flush();
  if (!Interrupted()) return kExitClean;
  Complain("interrupted: the rest of the input was not loaded");
  return kExitWarning;
}

}  // namespace
}  // namespace johnny::tools

int main(int argc, char** argv) {
  return johnny::tools::RunTool("johnny-load", [&] { return johnny::tools::Main(argc, argv); });
}
