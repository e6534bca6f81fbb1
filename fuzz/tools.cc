// What the tools parse and print: their command lines, the lines that johnny-load reads, escaped bytes. The first byte chooses.
// Arguments are separated by newlines.
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <vector>

#include "../tools/common.h"
#include "../tools/ledger_arguments.h"
#include "../tools/load_input.h"
#include "../tools/stat/arguments.h"
#include "../tools/text.h"
#include "support.h"

namespace johnny::fuzz {
namespace {

using tools::ToolError;

constexpr size_t kMostArguments = 32;

bool IsPrintable(std::string_view text) {
  return text.find_first_of(
             std::string_view("\0\1\2\3\4\5\6\7\b\t\v\f\r\16\17\20\21\22\23\24\25\26\27\30\31\32\33\34\35\36\37\177", 32)) ==
         std::string_view::npos;
}

// The words of a command line, each in an allocation of its own, as argv has them.
class CommandLine {
 public:
  CommandLine(const char* tool, std::string_view text) {
    Add(tool);
    while (!text.empty() && words_.size() < kMostArguments) {
      std::string_view word = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(word.size() + 1, text.size()));
      Add(word.substr(0, word.find('\0')));
    }
    pointers_.push_back(nullptr);
  }

  int argc() const { return static_cast<int>(words_.size()); }
  char** argv() { return pointers_.data(); }

 private:
  void Add(std::string_view word) {
    words_.emplace_back(new char[word.size() + 1]);
    std::memcpy(words_.back().get(), word.data(), word.size());
    words_.back()[word.size()] = '\0';
    pointers_.push_back(words_.back().get());
  }

  std::vector<std::unique_ptr<char[]>> words_;
  std::vector<char*> pointers_;
};

// What is accepted is within the bounds that --help gives.
void ParseStat(std::string_view text) {
  CommandLine line("johnny-stat", text);
  tools::stat::Arguments a;
  if (tools::stat::Parse(line.argc(), line.argv(), &a).has_value()) {
    return;
  }
  Require(a.page <= uint64_t{1} << 48, "--page");
  Require(!a.has_watch || (a.watch >= 0.01 && a.watch <= 1e6), "--watch");
  Require(a.color == "auto" || a.color == "always" || a.color == "never", "--color");
  Require(!a.has_table || a.has_key || a.tables, "--table without a form for it");
  tools::UnescapeArgument(a.key, "--path");
  Require(tools::TableArgument(a.table, "--table").find('\0') == std::string::npos, "a zero byte in a name");
}

void ParseLoad(std::string_view text) {
  CommandLine line("johnny-load", text);
  tools::load::Arguments a;
  if (tools::load::Parse(line.argc(), line.argv(), &a).has_value()) {
    return;
  }
  Require(a.batch >= 1 && a.batch <= 1000000000, "--batch");
  Require(a.page_size == 4096 || a.page_size == 8192 || a.page_size == 16384 || a.page_size == 32768, "--page-size");
  Require(a.readers <= 1000, "--readers");
  Require(a.durability >= JOHNNY_TWO_PHASE && a.durability <= JOHNNY_LAZY, "--durability");
  Require(!(a.append && a.no_overwrite), "--append with --no-overwrite");
  Require(a.table.find('\0') == std::string::npos, "a zero byte in a name");
}

void ParseLedger(std::string_view text) {
  CommandLine line("johnny-ledger", text);
  tools::ledger::Arguments a;
  if (tools::ledger::Parse(line.argc(), line.argv(), &a).has_value()) {
    return;
  }
  Require(a.accounts >= 2 && a.accounts <= 1000000, "--accounts");
  Require(a.threads <= 1000 && a.auditors <= 1000, "--threads, --auditors");
  Require(a.seconds >= 0 && a.seconds <= 1e9, "--seconds");
}

// Every line is in some pair, or the number of a line is given.
void ReadLines(std::string_view text, bool escapes) {
  std::vector<char> bytes(text.begin(), text.end());
  std::FILE* file = bytes.empty() ? nullptr : ::fmemopen(bytes.data(), bytes.size(), "r");
  if (file == nullptr) {
    return;
  }
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> closer(file, std::fclose);
  tools::load::PairReader reader(file, escapes);
  std::string key, value;
  size_t total = 0, pairs = 0;
  while (reader.Next(&key, &value)) {
    total += key.size() + value.size() + 2;
    ++pairs;
    Require(reader.key_line() == 2 * pairs - 1, "the line's number is wrong");
  }
  Require(escapes || total == text.size() + (text.back() == '\n' ? 0 : 1), "bytes are missing");
}

void Escape(std::string_view bytes) {
  std::string text = tools::EscapeBytes(bytes);
  std::string back, error;
  Require(IsPrintable(text), "an escaped text is not printable");
  Require(tools::UnescapeBytes(text, &back, &error) && back == bytes, "escaping loses bytes");
  Require(tools::EscapeBytes(bytes, 20).size() <= 20 + 2 + 3, "the limit is exceeded");
  Require(IsPrintable(tools::Printable(bytes)), "a message is not printable");
  if (tools::UnescapeBytes(bytes, &back, &error)) {
    std::string again;
    Require(tools::UnescapeBytes(tools::EscapeBytes(back), &again, &error) && again == back, "unescaped bytes change");
  } else {
    Require(!error.empty(), "no reason is given");
  }
}

void Show(std::string_view bytes) {
  Require(tools::Hex(bytes.data(), bytes.size()).size() == 2 * bytes.size(), "hex digits are missing");
  Require(!tools::HexDump(bytes.data(), bytes.size()).empty(), "no dump");
  InputReader input(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  uint64_t whole = input.Word();
  uint64_t part = input.Word();
  double seconds = static_cast<double>(whole) / (1 + input.Byte());
  tools::HumanBytes(whole);
  tools::HumanSeconds(seconds);
  tools::Percent(part, whole);
  tools::Rate(part, seconds);
  tools::Counted(part, "page");
  tools::Columns columns(input.Byte() % 2 == 0 ? "lr" : "rll");
  while (!input.empty()) {
    std::vector<std::string> row;
    for (uint8_t cells = input.Byte() % 5; cells > 0; --cells) {
      row.emplace_back(input.Take(input.Byte() % 16));
    }
    columns.AddRow(row);
  }
  columns.Render(input.Byte() % 8);
}

void Run(InputReader* input) {
  switch (input->Byte() % 7) {
    case 0:
      return ParseStat(input->Rest());
    case 1:
      return ParseLoad(input->Rest());
    case 2:
      return ParseLedger(input->Rest());
    case 3:
      return ReadLines(input->Rest(), true);
    case 4:
      return ReadLines(input->Rest(), false);
    case 5:
      return Escape(input->Rest());
    default:
      return Show(input->Rest());
  }
}

}  // namespace
}  // namespace johnny::fuzz

int LLVMFuzzerInitialize(int*, char***) {
  std::cout.rdbuf(nullptr);  // usage and errors are of no interest
  std::cerr.rdbuf(nullptr);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  johnny::fuzz::InputReader input(data, size);
  try {
    johnny::fuzz::Run(&input);
  } catch (const johnny::tools::ToolError& error) {
    johnny::fuzz::Require(*error.what() != '\0', "an error without words");
  }
  return 0;
}
