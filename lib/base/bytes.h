// Byte spans and little-endian loads and stores of unaligned integers.
#ifndef JOHNNY_BASE_BYTES_H_
#define JOHNNY_BASE_BYTES_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace johnny {

static_assert(std::endian::native == std::endian::little, "loads and stores below assume a little-endian machine");

using Byte = unsigned char;
using Slice = std::string_view;  // bytes that belong to somebody else

inline Slice MakeSlice(const void* data, size_t size) { return Slice(static_cast<const char*>(data), size); }
inline const Byte* Data(Slice slice) { return reinterpret_cast<const Byte*>(slice.data()); }

template <typename T>
inline T Load(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <typename T>
inline void Store(void* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

inline uint16_t Load16(const void* from) { return Load<uint16_t>(from); }
inline uint32_t Load32(const void* from) { return Load<uint32_t>(from); }
inline uint64_t Load64(const void* from) { return Load<uint64_t>(from); }
inline void Store16(void* to, uint16_t value) { Store(to, value); }
inline void Store32(void* to, uint32_t value) { Store(to, value); }
inline void Store64(void* to, uint64_t value) { Store(to, value); }

inline constexpr uint64_t kMax48 = (uint64_t{1} << 48) - 1;

inline uint64_t Load48(const void* from) {
  const Byte* bytes = static_cast<const Byte*>(from);
  return Load32(bytes) | (uint64_t{Load16(bytes + 4)} << 32);
}
inline void Store48(void* to, uint64_t value) {
  Byte* bytes = static_cast<Byte*>(to);
  Store32(bytes, static_cast<uint32_t>(value));
  Store16(bytes + 4, static_cast<uint16_t>(value >> 32));
}

}  // namespace johnny

#endif  // JOHNNY_BASE_BYTES_H_
