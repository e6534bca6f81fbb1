#include "load_input.h"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "common.h"
#include "text.h"

namespace johnny::tools::load {

namespace {

// CLI::IsMember lets an empty word pass.
std::string NotEmpty(const std::string& word) { return word.empty() ? "a number is needed" : ""; }

}  // namespace

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
      ->check(NotEmpty)
      ->type_name("BYTES");
  app.add_option("--readers", a->readers, "threads that check snapshots meanwhile")->check(CLI::Range(0, 1000))->type_name("N");
  app.footer("Exit codes: 0 loaded, 1 wrong input or interrupted, 2 usage, 3 cannot open or write, 4 corrupt.");
  if (const auto code = ParseArguments(&app, argc, argv)) return code;
  a->table = TableArgument(a->table, "--table");
  return std::nullopt;
}

namespace {

[[noreturn]] void BadInput(uint64_t line, const std::string& what) {
  throw ToolError(kExitWarning, "line " + std::to_string(line) + ": " + what);
}

}  // namespace

LineReader::~LineReader() { std::free(buffer_); }

bool LineReader::Next(std::string_view* line) {
  errno = 0;
  const ssize_t length = Interrupted() ? -1 : ::getline(&buffer_, &capacity_, file_);
  if (length < 0) {
    if (std::ferror(file_) && errno != EINTR) {
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

bool PairReader::Next(std::string* key, std::string* value) {
  if (!Line(key)) return false;
  key_line_ = lines_.number();
  if (Line(value)) return true;
  if (Interrupted()) return false;
  BadInput(key_line_, "a key without a value: the number of lines is odd");
}

bool PairReader::Line(std::string* bytes) {
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

}  // namespace johnny::tools::load
