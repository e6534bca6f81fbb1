// Threads of the library's own.
#ifndef JOHNNY_BASE_THREAD_H_
#define JOHNNY_BASE_THREAD_H_

#include <functional>
#include <thread>

namespace johnny {

// Runs `body` in a thread with all signals blocked but those that it may raise itself: the others are for the program's own
// threads. False: the system gives us none, or memory ran out for it.
bool StartThread(std::function<void()> body, std::thread* thread);

}  // namespace johnny

#endif  // JOHNNY_BASE_THREAD_H_
