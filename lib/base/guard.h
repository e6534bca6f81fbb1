// Guards around pages, for fuzzing: what a page's user reads or writes beyond it is found by AddressSanitizer, although pages lie
// side by side in the file's mapping and in the arena of frames. Only builds with the meson option `fuzz` have them (and only
// the sanitizer's notice); elsewhere kGuardPages is a constant false and the compiler removes the branches.
#ifndef JOHNNY_BASE_GUARD_H_
#define JOHNNY_BASE_GUARD_H_

#include <cstddef>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#define JOHNNY_HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define JOHNNY_HAS_ASAN 1
#endif
#endif

#ifdef JOHNNY_HAS_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace johnny {

#ifdef JOHNNY_GUARD_PAGES
inline constexpr bool kGuardPages = true;
#else
inline constexpr bool kGuardPages = false;
#endif

// From now on nobody may touch the bytes; and they may again.
inline void Poison([[maybe_unused]] const void* data, [[maybe_unused]] size_t size) {
#ifdef JOHNNY_HAS_ASAN
  __asan_poison_memory_region(data, size);
#endif
}
inline void Unpoison([[maybe_unused]] const void* data, [[maybe_unused]] size_t size) {
#ifdef JOHNNY_HAS_ASAN
  __asan_unpoison_memory_region(data, size);
#endif
}

// Reports the first of the bytes that is poisoned.
inline void MustBeReadable([[maybe_unused]] const void* data, [[maybe_unused]] size_t size) {
#ifdef JOHNNY_HAS_ASAN
  if (void* poisoned = __asan_region_is_poisoned(const_cast<void*>(data), size); poisoned != nullptr) {
    static_cast<void>(*static_cast<volatile char*>(poisoned));
  }
#endif
}

// Bytes some of which are poisoned: none is any more at the end, since others may get the memory.
class PoisonedRange {
 public:
  PoisonedRange() = default;
  ~PoisonedRange() { Unpoison(data_, size_); }
  PoisonedRange(PoisonedRange&& other) noexcept : PoisonedRange() { *this = std::move(other); }
  PoisonedRange& operator=(PoisonedRange&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }

  // The range is [data, data + size) from now on; poisoning is the caller's.
  void Grow(const void* data, size_t size) {
    data_ = data;
    size_ = size;
  }

 private:
  const void* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace johnny

#endif  // JOHNNY_BASE_GUARD_H_
