// B-trees that stay whole when memory runs out.
//
// absl's B-trees are the fastest there are for sets of pages, but an insertion that gets no memory in the middle of splitting
// nodes leaks the rest of the tree, or leaves it beyond use. So each thread keeps a few nodes in reserve, and fills the reserve
// up before it inserts: that is where memory runs out, with nothing changed yet.
//
// 1. Who inserts, into one tree with NodeAllocator or into two, has called ReserveNodes() in this thread since the last time.
// 2. Erasing takes no memory.
#ifndef JOHNNY_BASE_NODE_RESERVE_H_
#define JOHNNY_BASE_NODE_RESERVE_H_

#include <cstddef>
#include <new>

namespace johnny {

// Makes sure that this thread's next insertions, one into each of two trees at most, get their memory. Throws std::bad_alloc.
void ReserveNodes();

// Takes from the reserve what operator new does not give.
void* AllocateNode(size_t bytes);

template <typename T>
struct NodeAllocator {
  using value_type = T;

  NodeAllocator() = default;
  template <typename Other>
  NodeAllocator(const NodeAllocator<Other>&) {}  // NOLINT(google-explicit-constructor): allocators convert

  T* allocate(size_t count) { return static_cast<T*>(AllocateNode(count * sizeof(T))); }
  void deallocate(T* node, size_t) { ::operator delete(node); }

  template <typename Other>
  bool operator==(const NodeAllocator<Other>&) const {
    return true;
  }
};

}  // namespace johnny

#endif  // JOHNNY_BASE_NODE_RESERVE_H_
