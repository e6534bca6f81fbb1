// File descriptors that forked children do not keep.
//
// A child's copy of a descriptor shares its open file description, and a lock lives as long as the description: a child that
// merely goes on living would hold its dead parent's locks. So all descriptors are in a list, and a fork handler closes the
// child's copies before fork() returns there. (Raw clone(2) and vfork(2) run no handlers; O_CLOEXEC covers those who exec.)
//
// Invariant: outside the list's mutex, which is held during a fork, every open Descriptor is in the list.
#ifndef JOHNNY_OS_DESCRIPTOR_H_
#define JOHNNY_OS_DESCRIPTOR_H_

#include <sys/types.h>

#include <cstdint>

namespace johnny::os {

// Move-only.
class Descriptor {
 public:
  Descriptor() = default;
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;

  // open(2) with O_CLOEXEC; not valid() and errno set when it fails.
  static Descriptor Open(const char* path, int flags, mode_t permissions = 0);

  bool valid() const { return fd_ >= 0; }
  int get() const { return fd_; }
  // Whether the process that opened it is a forebear of this one. The number may stand for another file then.
  bool inherited() const;

 private:
  int fd_ = -1;
  uint64_t generation_ = 0;
};

// Registers the handlers that close descriptors and count os::g_fork_generation up in children. 0, or an error number.
int RegisterForkHandlers();

}  // namespace johnny::os

#endif  // JOHNNY_OS_DESCRIPTOR_H_
