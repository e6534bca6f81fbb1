#include "text.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

namespace johnny::tools {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";

bool IsPlain(unsigned char c) { return c >= 0x20 && c < 0x7f; }

void AppendEscape(std::string* text, unsigned char c) {
  text->push_back('\\');
  text->push_back(kHexDigits[c >> 4]);
  text->push_back(kHexDigits[c & 15]);
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Not less than 0; the greatest number for what is larger still.
uint64_t ToWhole(double value) { return value < 18446744073709549568.0 ? static_cast<uint64_t>(value) : UINT64_MAX; }

std::string HexDumpLine(const unsigned char* bytes, size_t offset, size_t count) {
  std::string hex, ascii;
  for (size_t i = 0; i < 16; ++i) {
    if (i == 8) hex += ' ';
    if (i < count) {
      const unsigned char c = bytes[offset + i];
      hex += kHexDigits[c >> 4];
      hex += kHexDigits[c & 15];
      hex += ' ';
      ascii += IsPlain(c) ? static_cast<char>(c) : '.';
    } else {
      hex += "   ";
    }
  }
  return Format("%06zx  ", offset) + hex + " |" + ascii + "|\n";
}

}  // namespace

std::string Format(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  va_list again;
  va_copy(again, arguments);
  const int length = std::vsnprintf(nullptr, 0, format, arguments);
  va_end(arguments);
  std::string text(length > 0 ? static_cast<size_t>(length) : 0, '\0');
  if (length > 0) std::vsnprintf(text.data(), text.size() + 1, format, again);
  va_end(again);
  return text;
}

std::string WithThousands(uint64_t number) {
  std::string digits = std::to_string(number);
  for (size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, 1, ',');
  return digits;
}

std::string HumanBytes(uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return Format("%u B", static_cast<unsigned>(bytes));
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return Format(value < 10 ? "%.2f %s" : value < 100 ? "%.1f %s" : "%.0f %s", value, kUnits[unit]);
}

std::string HumanSeconds(double seconds) {
  if (seconds < 1) return Format("%.0f ms", seconds * 1000);
  if (seconds < 60) return Format("%.1f s", seconds);
  const uint64_t whole = ToWhole(seconds);
  if (whole < 3600) return Format("%d min %02d s", static_cast<int>(whole / 60), static_cast<int>(whole % 60));
  if (whole < 86400) return Format("%d h %02d min", static_cast<int>(whole / 3600), static_cast<int>(whole % 3600 / 60));
  return Counted(whole / 86400, "day") + Format(" %d h", static_cast<int>(whole % 86400 / 3600));
}

std::string Percent(uint64_t part, uint64_t whole) {
  if (whole == 0) return "-";
  return Format("%.1f %%", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string Rate(uint64_t count, double seconds) {
  return seconds > 0 ? WithThousands(ToWhole(static_cast<double>(count) / seconds)) : "-";
}

std::string Counted(uint64_t count, std::string_view singular, std::string_view plural) {
  std::string text = WithThousands(count) + " ";
  if (count == 1) return text.append(singular);
  return plural.empty() ? text.append(singular) + "s" : text.append(plural);
}

std::string EscapeBytes(const void* data, size_t size, size_t limit) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  std::string text;
  for (size_t i = 0; i < size; ++i) {
    if (text.size() >= limit) return text + "...";
    if (bytes[i] == '\\') {
      text += "\\\\";
    } else if (IsPlain(bytes[i])) {
      text.push_back(static_cast<char>(bytes[i]));
    } else {
      AppendEscape(&text, bytes[i]);
    }
  }
  return text;
}

std::string EscapeBytes(std::string_view bytes, size_t limit) { return EscapeBytes(bytes.data(), bytes.size(), limit); }

std::string Printable(std::string_view message) {
  std::string text;
  for (const char c : message) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      AppendEscape(&text, byte);
    } else {
      text.push_back(c);
    }
  }
  return text;
}

bool UnescapeBytes(std::string_view text, std::string* bytes, std::string* error) {
  bytes->clear();
  bytes->reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      bytes->push_back(text[i]);
      continue;
    }
    if (i + 1 < text.size() && text[i + 1] == '\\') {
      bytes->push_back('\\');
      ++i;
      continue;
    }
    const int high = i + 1 < text.size() ? HexValue(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? HexValue(text[i + 2]) : -1;
    if (high < 0 || low < 0) {
      *error = Format("column %zu: a backslash must be followed by another one or by two hexadecimal digits", i + 1);
      return false;
    }
    bytes->push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return true;
}

std::string HexDump(const void* data, size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  std::string text;
  bool starred = false;
  for (size_t offset = 0; offset < size; offset += 16) {
    const size_t count = std::min<size_t>(16, size - offset);
    const bool repeats = offset >= 16 && count == 16 && std::equal(bytes + offset, bytes + offset + 16, bytes + offset - 16);
    if (!repeats) text += HexDumpLine(bytes, offset, count);
    if (repeats && !starred) text += "*\n";
    starred = repeats;
  }
  return text + Format("%06zx\n", size);
}

std::string Hex(const void* data, size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  std::string text;
  text.reserve(size * 2);
  for (size_t i = 0; i < size; ++i) {
    text += kHexDigits[bytes[i] >> 4];
    text += kHexDigits[bytes[i] & 15];
  }
  return text;
}

std::string Columns::Render(size_t indent) const {
  std::vector<size_t> widths(alignment_.size(), 0);
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size() && i < widths.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows_) {
    std::string line(indent, ' ');
    for (size_t i = 0; i < row.size() && i < widths.size(); ++i) {
      if (i > 0) line += "  ";
      const std::string padding(widths[i] - row[i].size(), ' ');
      line += alignment_[i] == 'r' ? padding + row[i] : row[i] + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace johnny::tools
