#include "faults/allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

#include "absl/strings/str_cat.h"

namespace johnny::faults {
namespace {

thread_local const char* t_function = nullptr;  // of the C API, that this thread is in

std::atomic<int64_t> g_live{0};
bool g_armed = false;  // this and the rest: of the thread that runs the test
bool g_for_ever = false;
uint64_t g_skip = 0;
uint64_t g_seen = 0;
uint64_t g_fired = 0;
const char* g_first = nullptr;
std::atomic<const void*> g_thread{nullptr};  // by the address of its t_function

bool MustFail() {
  if (t_function == nullptr || g_thread.load(std::memory_order_relaxed) != &t_function || !g_armed) {
    return false;
  }
  uint64_t index = g_seen++;
  if (index < g_skip || (index > g_skip && !g_for_ever)) {
    return false;
  }
  if (g_fired++ == 0) {
    g_first = t_function;
  }
  return true;
}

void* Allocate(size_t size, size_t alignment) noexcept {
  void* memory = nullptr;
  if (MustFail() || ::posix_memalign(&memory, alignment, size == 0 ? 1 : size) != 0) {
    return nullptr;
  }
  g_live.fetch_add(1, std::memory_order_relaxed);
  return memory;
}

void* AllocateOrThrow(size_t size, size_t alignment) {
  void* memory = Allocate(size, alignment);
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  return memory;
}

void Release(void* memory) noexcept {
  if (memory != nullptr) {
    g_live.fetch_sub(1, std::memory_order_relaxed);
    std::free(memory);
  }
}

std::map<std::string, uint64_t>& Calls() {
  static auto* const kCalls = new std::map<std::string, uint64_t>;
  return *kCalls;
}

}  // namespace

// From the generated file.
extern const char* const kApiFunctions[];

ApiCall::ApiCall(const char* function) : outer_(t_function) {
  t_function = nullptr;
  ++Calls()[function];
  t_function = function;
}

ApiCall::~ApiCall() { t_function = outer_; }

void StartAllocationFault(uint64_t skip, bool for_ever) {
  g_thread = &t_function;
  g_skip = skip;
  g_for_ever = for_ever;
  g_seen = g_fired = 0;
  g_first = nullptr;
  g_armed = true;
}

uint64_t StopAllocationFault() {
  g_armed = false;
  return g_fired;
}

std::string FirstFailedAllocation() { return g_first != nullptr ? g_first : "nowhere"; }

int64_t LiveAllocations() { return g_live.load(std::memory_order_relaxed); }

const std::map<std::string, uint64_t>& ApiCalls() {
  for (const char* const* name = kApiFunctions; *name != nullptr; ++name) {
    Calls().try_emplace(*name, 0);
  }
  return Calls();
}

}  // namespace johnny::faults

// ---- The replaced operators ----

namespace {

constexpr size_t kDefault = __STDCPP_DEFAULT_NEW_ALIGNMENT__;
size_t Of(std::align_val_t alignment) { return static_cast<size_t>(alignment); }

}  // namespace

using johnny::faults::Allocate;
using johnny::faults::AllocateOrThrow;
using johnny::faults::Release;

void* operator new(size_t size) { return AllocateOrThrow(size, kDefault); }
void* operator new[](size_t size) { return AllocateOrThrow(size, kDefault); }
void* operator new(size_t size, std::align_val_t alignment) { return AllocateOrThrow(size, Of(alignment)); }
void* operator new[](size_t size, std::align_val_t alignment) { return AllocateOrThrow(size, Of(alignment)); }
void* operator new(size_t size, const std::nothrow_t&) noexcept { return Allocate(size, kDefault); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept { return Allocate(size, kDefault); }
void operator delete(void* memory) noexcept { Release(memory); }
void operator delete[](void* memory) noexcept { Release(memory); }
void operator delete(void* memory, size_t) noexcept { Release(memory); }
void operator delete[](void* memory, size_t) noexcept { Release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { Release(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { Release(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { Release(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { Release(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { Release(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { Release(memory); }
