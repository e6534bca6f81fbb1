#include "os/memory.h"

#include <sys/mman.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace johnny::os {

ReservedMemory::~ReservedMemory() {
  if (data_ != nullptr) {
    ::munmap(data_, size_);
  }
}

ReservedMemory::ReservedMemory(ReservedMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

ReservedMemory& ReservedMemory::operator=(ReservedMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

absl::StatusOr<ReservedMemory> ReservedMemory::Reserve(size_t size) {
  void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) {
    return MakeStatus(Code::kNoMemory, absl::StrCat("cannot reserve ", size, " bytes of address space"));
  }
  ReservedMemory memory;
  memory.data_ = static_cast<Byte*>(data);
  memory.size_ = size;
  return memory;
}

void ReservedMemory::PreferHugePages(size_t offset) {
  if (offset < size_) {
    ::madvise(data_ + offset, size_ - offset, MADV_HUGEPAGE);  // a kernel without them refuses, and all is as before
  }
}

void ReservedMemory::Release(size_t offset, size_t size) {
  if (size > 0) {
    ::madvise(data_ + offset, size, MADV_DONTNEED);
  }
}

}  // namespace johnny::os
