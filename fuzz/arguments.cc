// Command lines of the tools: what is accepted is within the bounds that --help gives, what is refused comes with a word on it.
// The first byte chooses the tool; arguments are separated by newlines.
#include "../tools/stat/arguments.h"

#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "../tools/common.h"
#include "../tools/ledger_arguments.h"
#include "../tools/load_input.h"
#include "support.h"

namespace johnny::fuzz {
namespace {

constexpr size_t kMostArguments = 32;

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

void Run(InputReader* input) {
  switch (input->Byte() % 3) {
    case 0:
      return ParseStat(input->Rest());
    case 1:
      return ParseLoad(input->Rest());
    default:
      return ParseLedger(input->Rest());
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
