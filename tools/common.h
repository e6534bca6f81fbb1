// What johnny-stat, johnny-load and johnny-ledger share: exit codes, errors, handles that close themselves, output,
// progress, interruption and the common command-line options.
//
// 1. A tool uses the C API only.
// 2. A failure is a ToolError, thrown where it happens and reported by RunTool() as one line on standard error. No
//    exception passes through the library: callbacks go through Visitor.
// 3. Nothing is durable because of a destructor: what must be committed or closed with success is committed or closed
//    by Commit() and Close().
#ifndef JOHNNY_TOOLS_COMMON_H_
#define JOHNNY_TOOLS_COMMON_H_

#include <johnny/johnny.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace CLI {
class App;
}

namespace johnny::tools {

enum ExitCode {
  kExitClean = 0,
  kExitWarning = 1,     // done, with something to look at; or the input was wrong
  kExitUsage = 2,       // the command line is wrong
  kExitCannotOpen = 3,  // the database could not be opened, read or written
  kExitCorrupt = 4,     // the database is damaged
};

// ---- Errors ----

class ToolError : public std::runtime_error {
 public:
  ToolError(int exit_code, const std::string& message, int error = JOHNNY_OK)
      : std::runtime_error(message), exit_code_(exit_code), error_(error) {}

  int exit_code() const { return exit_code_; }
  int error() const { return error_; }  // enum johnny_error, or JOHNNY_OK for a failure outside the library

 private:
  int exit_code_;
  int error_;
};

// "JOHNNY_BUSY"
std::string ErrorName(int error);

// The exit code that a library error leads to.
int ExitCodeFor(int error);

// The library's last error of this thread as a ToolError. `context`, if any, comes before the message.
ToolError LastError(int error, std::string_view context = {});

// Throws LastError() unless `error` is JOHNNY_OK.
void Check(int error, std::string_view context = {});

// Runs `body`, which returns the exit code; reports what it throws. The main function of every tool. Ignores SIGPIPE:
// when the reader of standard output goes away, the tool ends quietly.
int RunTool(const char* name, const std::function<int()>& body);

// One line on standard error, "name: message", control characters escaped.
void Complain(std::string_view message);

// ---- The library's handles ----

template <typename Struct>
Struct Sized() {
  Struct value{};
  value.struct_size = sizeof(Struct);
  return value;
}

struct EnvDeleter {
  void operator()(johnny_env* env) const { johnny_close(env); }
};
struct TxnDeleter {
  void operator()(johnny_txn* txn) const { johnny_abort(txn); }
};
struct CursorDeleter {
  void operator()(johnny_cursor* cursor) const { johnny_cursor_close(cursor); }
};
using Env = std::unique_ptr<johnny_env, EnvDeleter>;
using Txn = std::unique_ptr<johnny_txn, TxnDeleter>;
using Cursor = std::unique_ptr<johnny_cursor, CursorDeleter>;

Env Open(const std::string& path, const johnny_options& options);
void Close(Env env);

Txn Begin(johnny_env* env, uint32_t flags = 0);
void Commit(Txn txn);

Cursor OpenCursor(johnny_txn* txn, johnny_table* table);

// The table handle for `name`; nullptr, the main table, for "". `flags` as for johnny_table_open().
johnny_table* OpenTable(johnny_txn* txn, const std::string& name, uint32_t flags = 0);

inline std::string_view View(const johnny_slice& slice) { return {static_cast<const char*>(slice.data), slice.size}; }

// Carries a C++ callable, which may throw and returns whether to go on, through a C callback:
//   Visitor<const johnny_reader_info*> visitor([&](const johnny_reader_info* reader) { ...; return true; });
//   visitor.Finish(johnny_reader_list(env, visitor.Call, &visitor));
template <typename Argument>
class Visitor {
 public:
  explicit Visitor(std::function<bool(Argument)> visit) : visit_(std::move(visit)) {}

  static int Call(void* context, Argument argument) noexcept {
    auto* self = static_cast<Visitor*>(context);
    try {
      return self->visit_(argument) ? 0 : 1;
    } catch (...) {
      self->thrown_ = std::current_exception();
      return 1;
    }
  }

  // Throws what the callable threw, or the library's error. True if every element was visited, false if the callable
  // stopped.
  bool Finish(int error) {
    if (thrown_) std::rethrow_exception(thrown_);
    if (error == JOHNNY_STOPPED) return false;
    Check(error);
    return true;
  }

 private:
  std::function<bool(Argument)> visit_;
  std::exception_ptr thrown_;
};

// ---- Output ----

// Thrown when nobody reads standard output any more.
class OutputClosed {};

// Standard output, buffered. One thread at a time.
class Output {
 public:
  void Write(std::string_view text);
  void Flush();

 private:
  std::string buffer_;
};

bool IsTerminal(int fd);

// Columns of the terminal, else of $COLUMNS, else 80.
size_t TerminalWidth();

// One line on standard error that is rewritten in place, at most ten times a second; nothing unless it is a terminal.
class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine() { Clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // Whether it is time for a new line; ask before composing one.
  bool Due();
  void Show(const std::string& line);
  void Clear();

 private:
  bool enabled_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point next_;
};

class Stopwatch {
 public:
  double Seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// ---- Interruption and threads ----

// From now on SIGINT and SIGTERM set the flag that Interrupted() reads, and system calls end with EINTR.
void CatchInterrupts();
bool Interrupted();

// Waits that long, less when interrupted.
void SleepFor(double seconds);

// Lets threads stop each other and keeps the first error. Any thread may call anything.
class SharedStop {
 public:
  void Stop() { stop_.store(true, std::memory_order_relaxed); }
  bool stopped() const { return stop_.load(std::memory_order_relaxed); }

  // Runs a thread's body; what it throws stops all.
  void Guard(const std::function<void()>& body) noexcept;

  // Throws the first error, if there was one. Once the threads have been joined.
  void Rethrow();

 private:
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::exception_ptr first_;
};

// ---- Command line ----

// Sets --help, --version and the layout of the help text.
void DescribeTool(CLI::App* app, const char* name);

// Adds --durability; *durability keeps its value unless the option is given.
void AddDurabilityOption(CLI::App* app, uint32_t* durability);

// "two-phase", "single-sync" or "lazy"; "unknown".
const char* DurabilityName(uint32_t durability);

// Parses; the exit code if the tool is to end now, be it for --help or for an error.
std::optional<int> ParseArguments(CLI::App* app, int argc, char** argv);

// An argument in which bytes may be escaped. Throws a usage error that names `option`.
std::string UnescapeArgument(const std::string& text, const char* option);

// The same for the name of a table: no zero bytes.
std::string TableArgument(const std::string& text, const char* option);

}  // namespace johnny::tools

#endif  // JOHNNY_TOOLS_COMMON_H_
