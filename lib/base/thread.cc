#include "base/thread.h"

#include <signal.h>

#include <new>
#include <system_error>
#include <utility>

namespace johnny {

bool StartThread(std::function<void()> body, std::thread* thread) {
  sigset_t all, before;
  ::sigfillset(&all);
  for (int fault : {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGABRT}) {
    ::sigdelset(&all, fault);  // blocked, they would end the process without asking its handlers
  }
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  bool started = false;
  try {
    *thread = std::thread(std::move(body));
    started = true;
  } catch (const std::system_error&) {
  } catch (const std::bad_alloc&) {
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

}  // namespace johnny
