#include "base/node_reserve.h"

#include <array>

#include "base/check.h"

namespace johnny {
namespace {

constexpr size_t kNodeBytes = 512;  // absl's leaves have 256 bytes, its branches that and pointers
// An insertion splits at most one node of each level and makes a new root; each branch has two children or more. For two trees.
constexpr size_t kNodes = 64;

constinit thread_local size_t t_count = 0;  // apart from what needs a destructor: it is looked at with every insertion

struct Reserve {
  Reserve() = default;
  Reserve(const Reserve&) = delete;
  Reserve& operator=(const Reserve&) = delete;
  ~Reserve() {
    while (t_count > 0) {
      ::operator delete(nodes[--t_count]);
    }
  }
  std::array<void*, kNodes> nodes;
};

thread_local Reserve t_reserve;

[[gnu::noinline]] void FillUp() {
  while (t_count < kNodes) {
    t_reserve.nodes[t_count] = ::operator new(kNodeBytes);
    ++t_count;
  }
}

[[gnu::noinline]] void* TakeReserved() {
  JOHNNY_CHECK(t_count > 0);
  return t_reserve.nodes[--t_count];
}

}  // namespace

void ReserveNodes() {
  if (t_count < kNodes) {
    FillUp();
  }
}

void* AllocateNode(size_t bytes) {
  JOHNNY_CHECK(bytes <= kNodeBytes);
  void* node = ::operator new(bytes, std::nothrow);
  return node != nullptr ? node : TakeReserved();
}

}  // namespace johnny
