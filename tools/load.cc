// johnny-load: puts alternating key and value lines from standard input into a table, in batches, while snapshot readers
// may check the database beside it.
#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "common.h"
#include "text.h"

namespace johnny::tools {
namespace {

struct Arguments {
  std::string path, table;
  bool text = false, append = false, no_overwrite = false, create = true;
  uint64_t batch = 10000;
  uint32_t durability = JOHNNY_TWO_PHASE, page_size = 4096, readers = 0;
};

struct Totals {
  uint64_t entries = 0;  // put, in committed transactions
  uint64_t bytes = 0;    // of their keys and values
  uint64_t skipped = 0;  // by --no-overwrite
  uint64_t commits = 0;
};

// ---- Input ----

// Lines of standard input, of any length and with any bytes; the last one may lack its newline.
class LineReader {
 public:
  LineReader() = default;
  ~LineReader() { std::free(buffer_); }
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  // The next line without its newline, valid until the next call; false at the end of the input or when interrupted.
  bool Next(std::string_view* line) {
    errno = 0;
    const ssize_t length = Interrupted() ? -1 : ::getline(&buffer_, &capacity_, stdin);
    if (length < 0) {
      if (std::ferror(stdin) && errno != EINTR) {
        throw ToolError(kExitWarning, std::string("standard input: ") + std::strerror(errno));
      }
      return false;
    }
    ++number_;
    *line = std::string_view(buffer_, static_cast<size_t>(length));
    const bool whole = line->back() == '\n';
    if (whole) line->remove_suffix(1);
    return whole || !Interrupted();  // an interruption may have cut the line short
  }

  uint64_t number() const { return number_; }  // of the line last read, from 1

 private:
  char* buffer_ = nullptr;
  size_t capacity_ = 0;
  uint64_t number_ = 0;
};

[[noreturn]] void BadInput(uint64_t line, const std::string& what) {
  throw ToolError(kExitWarning, "line " + std::to_string(line) + ": " + what);
}

// Pairs of lines. The first of a pair is the key, the second the value.
class PairReader {
 public:
  explicit PairReader(bool text) : text_(text) {}

  bool Next(std::string* key, std::string* value) {
    if (!Line(key)) return false;
    key_line_ = lines_.number();
    if (Line(value)) return true;
    if (Interrupted()) return false;
    BadInput(key_line_, "a key without a value: the number of lines is odd");
  }

  uint64_t key_line() const { return key_line_; }

 private:
  bool Line(std::string* bytes) {
    std::string_view line;
    if (!lines_.Next(&line)) return false;
    if (!text_) {
      bytes->assign(line);
      return true;
    }
    std::string error;
    if (!UnescapeBytes(line, bytes, &error)) BadInput(lines_.number(), error);
    return true;
  }

  bool text_;
  LineReader lines_;
  uint64_t key_line_ = 0;
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
    PairReader pairs(arguments_.text);
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

// ---- Command line ----

std::optional<int> Parse(int argc, char** argv, Arguments* a) {
  CLI::App app("Loads alternating key and value lines from standard input into a JohnnyDB database.");
  DescribeTool(&app, "johnny-load");
  app.add_option("PATH", a->path, "the database file")->required();
  app.add_flag("-T,--text", a->text, "lines have escapes: \\\\ is a backslash, \\hh a byte in hex");
  app.add_option("--table", a->table, "load into this named table, created if need be (default: the main table)")
      ->type_name("NAME");
  app.add_option("--batch", a->batch, "entries per transaction")
      ->check(CLI::Range(1ull, 1000000000ull))
      ->type_name("N")
      ->capture_default_str();
  CLI::Option* append = app.add_flag("--append", a->append, "keys ascend and follow those already there");
  app.add_flag("--no-overwrite", a->no_overwrite, "skip keys that are already there")->excludes(append);
  app.add_flag("--create,!--no-create", a->create, "create the file if there is none (default)");
  AddDurabilityOption(&app, &a->durability);
  app.add_option("--page-size", a->page_size, "of a created file: 4096, 8192, 16384 or 32768")
      ->check(CLI::IsMember({4096, 8192, 16384, 32768}))
      ->type_name("BYTES");
  app.add_option("--readers", a->readers, "threads that check snapshots meanwhile")->check(CLI::Range(0, 1000))->type_name("N");
  app.footer("Exit codes: 0 loaded, 1 wrong input or interrupted, 2 usage, 3 cannot open or write, 4 corrupt.");
  if (const auto code = ParseArguments(&app, argc, argv)) return code;
  a->table = TableArgument(a->table, "--table");
  return std::nullopt;
}

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
  if (const auto code = Parse(argc, argv, &arguments)) return *code;
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
