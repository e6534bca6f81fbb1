// LEB128 variable-length integers, for the free log's records.
#ifndef JOHNNY_BASE_VARINT_H_
#define JOHNNY_BASE_VARINT_H_

#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace johnny {

inline constexpr size_t kMaxVarintSize = 10;

// Writes at most kMaxVarintSize bytes; returns their end.
inline char* PutVarint(char* to, uint64_t value) {
  for (; value >= 0x80; value >>= 7) {
    *to++ = static_cast<char>(value | 0x80);
  }
  *to++ = static_cast<char>(value);
  return to;
}

inline void AppendVarint(std::string* out, uint64_t value) {
  char bytes[kMaxVarintSize];
  out->append(bytes, static_cast<size_t>(PutVarint(bytes, value) - bytes));
}

// Takes an integer from the front of *in. False, and *in unspecified, when it is cut short or longer than 64 bits.
inline bool TakeVarint(Slice* in, uint64_t* value) {
  uint64_t result = 0;
  for (unsigned shift = 0; shift < 64 && !in->empty(); shift += 7) {
    uint64_t byte = static_cast<Byte>(in->front());
    in->remove_prefix(1);
    if (shift == 63 && byte > 1) {
      return false;
    }
    result |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      *value = result;
      return true;
    }
  }
  return false;
}

}  // namespace johnny

#endif  // JOHNNY_BASE_VARINT_H_
