// Words and figures for people: numbers, sizes, escaped keys, aligned columns, hex dumps.
//
// All functions are pure and may be called from any thread. Nothing that came from a database file reaches a terminal
// except through EscapeBytes() or Printable(), so that a key cannot send control sequences.
#ifndef JOHNNY_TOOLS_TEXT_H_
#define JOHNNY_TOOLS_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace johnny::tools {

inline constexpr size_t kNoLimit = static_cast<size_t>(-1);

// snprintf into a string.
[[gnu::format(printf, 1, 2)]] std::string Format(const char* format, ...);

// 1234567 -> "1,234,567"
std::string WithThousands(uint64_t number);

// 1288490188 -> "1.20 GiB"; below 1 KiB "512 B".
std::string HumanBytes(uint64_t bytes);

// 0.25 -> "250 ms", 12.3 -> "12.3 s", 4000 -> "1 h 06 min"
std::string HumanSeconds(double seconds);

// (1, 8) -> "12.5 %"; "-" when `whole` is 0.
std::string Percent(uint64_t part, uint64_t whole);

// count / seconds, with thousands separators.
std::string Rate(uint64_t count, double seconds);

// "1 page", "2 pages"; `plural` defaults to `singular` + "s".
std::string Counted(uint64_t count, std::string_view singular, std::string_view plural = {});

// ASCII as it is, a backslash as `\\`, every other byte as `\hh`. At most about `limit` characters, then "...".
// Without a limit, UnescapeBytes() gives the bytes back.
std::string EscapeBytes(const void* data, size_t size, size_t limit = kNoLimit);
std::string EscapeBytes(std::string_view bytes, size_t limit = kNoLimit);

// A message with its control characters escaped; other bytes, such as UTF-8 in a path, stay.
std::string Printable(std::string_view message);

// Undoes EscapeBytes(): `\\` is a backslash, `\hh` the byte with that hexadecimal number. False, and a reason in
// *error, for any other use of a backslash.
bool UnescapeBytes(std::string_view text, std::string* bytes, std::string* error);

// As `hexdump -C` shows bytes: offset, hex, ASCII; a line equal to the one before it is replaced by one "*".
std::string HexDump(const void* data, size_t size);

// "0123abff", two digits a byte.
std::string Hex(const void* data, size_t size);

// A table with aligned columns. `alignment` has one letter a column: 'l' or 'r'.
class Columns {
 public:
  explicit Columns(std::string alignment) : alignment_(std::move(alignment)) {}

  void AddRow(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

  // Every line starts with `indent` spaces; two spaces separate columns; no line ends in spaces.
  std::string Render(size_t indent = 0) const;

 private:
  std::string alignment_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace johnny::tools

#endif  // JOHNNY_TOOLS_TEXT_H_
