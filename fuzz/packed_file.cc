#include "packed_file.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace johnny::fuzz {
namespace {

constexpr std::string_view kMagic = "JPK";
constexpr unsigned char kRepairFlag = 1;
constexpr size_t kShortRun = 4;  // so many zeros are not worth leaving out

// Takes a varint off the front; what is missing is zeros.
size_t TakeVarint(std::string_view* input) {
  size_t value = 0;
  for (unsigned shift = 0; !input->empty() && shift < 28; shift += 7) {
    auto byte = static_cast<unsigned char>(input->front());
    input->remove_prefix(1);
    value |= size_t{byte & 127u} << shift;
    if (byte < 128) {
      break;
    }
  }
  return value;
}

void AppendVarint(size_t value, std::string* out) {
  for (; value >= 128; value >>= 7) {
    out->push_back(static_cast<char>(value | 128));
  }
  out->push_back(static_cast<char>(value));
}

// The first byte of [at, end) that is no zero. Most of a file is zeros, so this goes eight bytes at a time, and unwatched.
#ifdef __clang__
__attribute__((no_sanitize("address", "undefined", "coverage")))
#endif
size_t
SkipZeros(const char* bytes, size_t at, size_t end) {
  uint64_t word = 0;
  while (at + sizeof word <= end) {
    __builtin_memcpy(&word, bytes + at, sizeof word);
    if (word != 0) {
      break;
    }
    at += sizeof word;
  }
  while (at < end && bytes[at] == '\0') {
    ++at;
  }
  return at;
}

}  // namespace

void Unpack(std::string_view input, PackedFile* file) {
  file->repair = false;
  if (input.substr(0, kMagic.size()) != kMagic || input.size() == kMagic.size()) {
    file->bytes = input.substr(0, kMaxFile);
    return;
  }
  file->repair = (static_cast<unsigned char>(input[kMagic.size()]) & kRepairFlag) != 0;
  file->bytes.clear();
  input.remove_prefix(kMagic.size() + 1);
  while (!input.empty()) {
    size_t room = kMaxFile - file->bytes.size();
    file->bytes.append(std::min(TakeVarint(&input), room), '\0');
    room = kMaxFile - file->bytes.size();
    size_t length = TakeVarint(&input);
    std::string_view literal = input.substr(0, length);
    file->bytes.append(literal.substr(0, room));
    input.remove_prefix(literal.size());
  }
}

std::string Pack(const PackedFile& file) {
  std::string out(kMagic);
  out.push_back(static_cast<char>(file.repair ? kRepairFlag : 0));
  const std::string& bytes = file.bytes;
  for (size_t at = 0; at < bytes.size();) {
    size_t begin = SkipZeros(bytes.data(), at, bytes.size());
    size_t end = begin;
    while (end < bytes.size()) {
      size_t zeros = std::min(bytes.find('\0', end), bytes.size());
      size_t next = SkipZeros(bytes.data(), zeros, bytes.size());
      end = zeros;
      if (next == bytes.size() || next - zeros > kShortRun) {
        break;
      }
      end = next;
    }
    AppendVarint(begin - at, &out);
    AppendVarint(end - begin, &out);
    out.append(bytes, begin, end - begin);
    at = end;
  }
  return out;
}

}  // namespace johnny::fuzz
