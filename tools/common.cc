#include "common.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <stdexcept>
#include <thread>

#include "text.h"

namespace johnny::tools {
namespace {

constexpr size_t kOutputBuffer = 64 * 1024;
constexpr auto kProgressInterval = std::chrono::milliseconds(100);

const char* tool_name = "johnny";
std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler stores to it");

void OnInterrupt(int) { interrupted.store(true, std::memory_order_relaxed); }

const std::map<std::string, uint32_t>& Durabilities() {
  static const std::map<std::string, uint32_t> names = {
      {"two-phase", JOHNNY_TWO_PHASE}, {"single-sync", JOHNNY_SINGLE_SYNC}, {"lazy", JOHNNY_LAZY}};
  return names;
}

}  // namespace

// ---- Errors ----

std::string ErrorName(int error) {
  const std::string text = johnny_strerror(error);
  return text.substr(0, text.find(':'));
}

int ExitCodeFor(int error) {
  switch (error) {
    case JOHNNY_OK:
      return kExitClean;
    case JOHNNY_CORRUPT:
    case JOHNNY_INTERNAL:
      return kExitCorrupt;
    case JOHNNY_NO_TABLE:
    case JOHNNY_NOT_FOUND:
    case JOHNNY_INVALID_ARGUMENT:
    case JOHNNY_KEY_TOO_LARGE:
      return kExitUsage;
    default:
      return kExitCannotOpen;
  }
}

ToolError LastError(int error, std::string_view context) {
  std::string message = johnny_last_error_message();
  if (message.empty()) message = johnny_strerror(error);
  if (!context.empty()) message = std::string(context) + ": " + message;
  return ToolError(ExitCodeFor(error), message, error);
}

void Check(int error, std::string_view context) {
  if (error != JOHNNY_OK) throw LastError(error, context);
}

void Complain(std::string_view message) {
  const std::string line = std::string(tool_name) + ": " + Printable(message) + "\n";
  std::fputs(line.c_str(), stderr);
}

int RunTool(const char* name, const std::function<int()>& body) {
  tool_name = name;
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return body();
  } catch (const ToolError& error) {
    Complain(error.what());
    return error.exit_code();
  } catch (const OutputClosed&) {
    return kExitClean;
  } catch (const std::exception& error) {
    Complain(error.what());
    return kExitCannotOpen;
  }
}

// ---- The library's handles ----

Env Open(const std::string& path, const johnny_options& options) {
  johnny_env* env = nullptr;
  const int error = johnny_open(path.c_str(), &options, &env);
  if (error == JOHNNY_OK) return Env(env);
  ToolError failure = LastError(error);
  // Whatever is wrong with the path, the command line itself was fine.
  const int exit_code = failure.exit_code() == kExitUsage ? kExitCannotOpen : failure.exit_code();
  std::string message = failure.what();
  if (message.find(path) == std::string::npos) message = path + ": " + message;
  throw ToolError(exit_code, message, error);
}

void Close(Env env) {
  johnny_env* raw = env.release();
  const int error = johnny_close(raw);
  Check(error, "closing the database");
}

Txn Begin(johnny_env* env, uint32_t flags) {
  johnny_txn* txn = nullptr;
  Check(johnny_begin(env, flags, &txn));
  return Txn(txn);
}

void Commit(Txn txn) { Check(johnny_commit(txn.release()), "commit"); }

Cursor OpenCursor(johnny_txn* txn, johnny_table* table) {
  johnny_cursor* cursor = nullptr;
  Check(johnny_cursor_open(txn, table, &cursor));
  return Cursor(cursor);
}

johnny_table* OpenTable(johnny_txn* txn, const std::string& name, uint32_t flags) {
  if (name.empty()) return nullptr;
  johnny_table* table = nullptr;
  Check(johnny_table_open(txn, name.c_str(), flags, &table), "table \"" + EscapeBytes(name) + "\"");
  return table;
}

// ---- Output ----

void Output::Write(std::string_view text) {
  buffer_.append(text);
  if (buffer_.size() >= kOutputBuffer) Flush();
}

void Output::Flush() {
  const std::string pending = std::exchange(buffer_, {});
  size_t done = 0;
  while (done < pending.size()) {
    const ssize_t written = ::write(STDOUT_FILENO, pending.data() + done, pending.size() - done);
    if (written >= 0) {
      done += static_cast<size_t>(written);
    } else if (errno == EPIPE) {
      throw OutputClosed();
    } else if (errno != EINTR) {
      throw ToolError(kExitCannotOpen, std::string("standard output: ") + std::strerror(errno));
    }
  }
}

bool IsTerminal(int fd) { return ::isatty(fd) == 1; }

size_t TerminalWidth() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  unsigned columns = 0;
  if (const char* text = std::getenv("COLUMNS"); text != nullptr) std::from_chars(text, text + std::strlen(text), columns);
  return columns > 0 ? std::min(columns, 1000u) : 80;
}

ProgressLine::ProgressLine() : enabled_(IsTerminal(STDERR_FILENO)), next_(std::chrono::steady_clock::now() + kProgressInterval) {}

bool ProgressLine::Due() { return enabled_ && std::chrono::steady_clock::now() >= next_; }

void ProgressLine::Show(const std::string& line) {
  if (!enabled_) return;
  std::fprintf(stderr, "\r%s\x1b[K", line.c_str());
  std::fflush(stderr);
  shown_ = true;
  next_ = std::chrono::steady_clock::now() + kProgressInterval;
}

void ProgressLine::Clear() {
  if (!shown_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  shown_ = false;
}

// ---- Interruption and threads ----

void CatchInterrupts() {
  struct sigaction action {};
  action.sa_handler = OnInterrupt;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool Interrupted() { return interrupted.load(std::memory_order_relaxed); }

void SleepFor(double seconds) {
  // In short steps: the signal may have gone to another thread.
  const Stopwatch watch;
  for (double left = seconds; left > 0 && !Interrupted(); left = seconds - watch.Seconds()) {
    std::this_thread::sleep_for(std::chrono::duration<double>(std::min(left, 0.05)));
  }
}

void SharedStop::Guard(const std::function<void()>& body) noexcept {
  try {
    body();
  } catch (...) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!first_) first_ = std::current_exception();
    Stop();
  }
}

void SharedStop::Rethrow() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (first_) std::rethrow_exception(first_);
}

// ---- Command line ----

void DescribeTool(CLI::App* app, const char* name) {
  app->name(name);
  app->get_formatter()->column_width(32);
  app->set_version_flag("--version", std::string(name) + " " + johnny_version());
}

void AddDurabilityOption(CLI::App* app, uint32_t* durability) {
  app->add_option_function<std::string>(
         "--durability", [durability](const std::string& name) { *durability = Durabilities().at(name); },
         "what a commit promises: two-phase, single-sync or lazy")
      ->check(CLI::IsMember({"two-phase", "single-sync", "lazy"}))
      ->type_name("MODE");
}

const char* DurabilityName(uint32_t durability) {
  for (const auto& [name, value] : Durabilities()) {
    if (value == durability) return name.c_str();
  }
  return "unknown";
}

std::optional<int> ParseArguments(CLI::App* app, int argc, char** argv) {
  try {
    app->parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    return app->exit(error) == 0 ? kExitClean : kExitUsage;
  } catch (
      const std::out_of_range&) {  // CLI11 lets it out for a flag that is given a number, such as --json=99999999999999999999
    return app->exit(CLI::ConversionError("a number given to a flag is too large")) == 0 ? kExitClean : kExitUsage;
  }
}

std::string UnescapeArgument(const std::string& text, const char* option) {
  std::string bytes, error;
  if (!UnescapeBytes(text, &bytes, &error)) throw ToolError(kExitUsage, std::string(option) + ": " + error);
  return bytes;
}

std::string TableArgument(const std::string& text, const char* option) {
  std::string name = UnescapeArgument(text, option);
  if (name.find('\0') != std::string::npos) throw ToolError(kExitUsage, std::string(option) + ": a name has no zero bytes");
  return name;
}

}  // namespace johnny::tools
