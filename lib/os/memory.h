// Address space for private memory: reserved whole, backed only where touched.
#ifndef JOHNNY_OS_MEMORY_H_
#define JOHNNY_OS_MEMORY_H_

#include <cstddef>

#include "absl/status/statusor.h"
#include "base/bytes.h"

namespace johnny::os {

// Move-only. The memory reads as zeros until written.
class ReservedMemory {
 public:
  ReservedMemory() = default;
  ~ReservedMemory();
  ReservedMemory(ReservedMemory&& other) noexcept;
  ReservedMemory& operator=(ReservedMemory&& other) noexcept;

  // kNoMemory when the address space does not have `size` bytes.
  static absl::StatusOr<ReservedMemory> Reserve(size_t size);

  Byte* data() const { return data_; }
  size_t size() const { return size_; }
  // Has memory from `offset` on backed by huge pages where the system can: for what is used in large pieces.
  void PreferHugePages(size_t offset);
  // Gives the memory of [offset, offset + size) back; it reads as zeros again. Both are multiples of the system's page size.
  void Release(size_t offset, size_t size);

 private:
  Byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace johnny::os

#endif  // JOHNNY_OS_MEMORY_H_
