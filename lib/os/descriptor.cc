#include "os/descriptor.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <utility>
#include <vector>

#include "os/os.h"
#include "os/posix_error.h"

namespace johnny::os {
namespace {

struct OpenList {
  std::mutex mutex;
  std::vector<int> fds;
};

// Never destroyed: other threads may close files while the process exits.
OpenList& List() {
  static OpenList* const kList = new OpenList;
  return *kList;
}

void BeforeFork() { List().mutex.lock(); }

void AfterForkInParent() { List().mutex.unlock(); }

// Only what is safe in a signal handler: other threads' locks (malloc's, say) may be held for ever in here.
void AfterForkInChild() {
  const int error = errno;
  for (int fd : List().fds) {
    ::close(fd);
  }
  List().fds.clear();  // frees nothing
  g_fork_generation.fetch_add(1, std::memory_order_relaxed);
  List().mutex.unlock();
  errno = error;
}

}  // namespace

int RegisterForkHandlers() {
  static const int kResult = [] {
    List();  // exists before the first handler runs
    return ::pthread_atfork(BeforeFork, AfterForkInParent, AfterForkInChild);
  }();
  return kResult;
}

Descriptor Descriptor::Open(const char* path, int flags, mode_t permissions) {
  Descriptor descriptor;
  errno = RegisterForkHandlers();
  if (errno != 0) {
    return descriptor;
  }
  std::lock_guard guard(List().mutex);  // a fork waits until the new descriptor is in the list
  if (List().fds.size() == List().fds.capacity()) {
    List().fds.reserve(2 * List().fds.size() + 16);  // so that nothing fails once the descriptor is there
  }
  descriptor.fd_ = Retry([&] { return ::open(path, flags | O_CLOEXEC, permissions); });
  if (descriptor.valid()) {
    descriptor.generation_ = ForkGeneration();
    List().fds.push_back(descriptor.fd_);
  }
  return descriptor;
}

Descriptor::~Descriptor() {
  if (!valid() || inherited()) {
    return;  // a child's copy was closed at the fork
  }
  std::lock_guard guard(List().mutex);
  auto& fds = List().fds;
  fds.erase(std::find(fds.begin(), fds.end(), fd_));
  ::close(fd_);
}

Descriptor::Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)), generation_(other.generation_) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(generation_, other.generation_);
  return *this;
}

bool Descriptor::inherited() const { return generation_ != ForkGeneration(); }

}  // namespace johnny::os
