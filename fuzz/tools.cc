// What the tools read and print: the lines that johnny-load gets, escaped bytes, dumps, figures. The first byte chooses.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "../tools/common.h"
#include "../tools/load_input.h"
#include "../tools/text.h"
#include "support.h"

namespace johnny::fuzz {
namespace {

bool IsPrintable(std::string_view text) {
  return text.find_first_of(
             std::string_view("\0\1\2\3\4\5\6\7\b\t\v\f\r\16\17\20\21\22\23\24\25\26\27\30\31\32\33\34\35\36\37\177", 32)) ==
         std::string_view::npos;
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
  switch (input->Byte() % 4) {
    case 0:
      return ReadLines(input->Rest(), true);
    case 1:
      return ReadLines(input->Rest(), false);
    case 2:
      return Escape(input->Rest());
    default:
      return Show(input->Rest());
  }
}

}  // namespace
}  // namespace johnny::fuzz

int LLVMFuzzerInitialize(int*, char***) { return 0; }

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  johnny::fuzz::InputReader input(data, size);
  try {
    johnny::fuzz::Run(&input);
  } catch (const johnny::tools::ToolError& error) {
    johnny::fuzz::Require(*error.what() != '\0', "an error without words");
  }
  return 0;
}
