// What johnny-load is told: its command line, and the pairs of lines on its standard input.
#ifndef JOHNNY_TOOLS_LOAD_INPUT_H_
#define JOHNNY_TOOLS_LOAD_INPUT_H_

#include <johnny/johnny.h>

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

namespace johnny::tools::load {

struct Arguments {
  std::string path, table;
  bool text = false, append = false, no_overwrite = false, create = true;
  uint64_t batch = 10000;
  uint32_t durability = JOHNNY_TWO_PHASE, page_size = 4096, readers = 0;
};

// The exit code if the tool is to end now, be it for --help or for an error. Throws ToolError for a bad table name.
std::optional<int> Parse(int argc, char** argv, Arguments* a);

// Lines of a file, of any length and with any bytes; the last one may lack its newline.
class LineReader {
 public:
  explicit LineReader(std::FILE* file) : file_(file) {}
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  // The next line without its newline, valid until the next call; false at the end of the input or when interrupted.
  bool Next(std::string_view* line);
  uint64_t number() const { return number_; }  // of the line last read, from 1

 private:
  std::FILE* file_;
  char* buffer_ = nullptr;
  size_t capacity_ = 0;
  uint64_t number_ = 0;
};

// Pairs of lines. The first of a pair is the key, the second the value.
class PairReader {
 public:
  // `text`: lines have escapes.
  PairReader(std::FILE* file, bool text) : text_(text), lines_(file) {}

  // False at the end of the input or when interrupted. Throws ToolError, with the line's number, for what is no pair.
  bool Next(std::string* key, std::string* value);
  uint64_t key_line() const { return key_line_; }

 private:
  bool Line(std::string* bytes);

  bool text_;
  LineReader lines_;
  uint64_t key_line_ = 0;
};

}  // namespace johnny::tools::load

#endif  // JOHNNY_TOOLS_LOAD_INPUT_H_
