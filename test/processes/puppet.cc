#include "processes/puppet.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>

namespace johnny::test {
namespace {

constexpr int kPatienceMs = 60000;

// fork(), with a certain process id if that is not 0.
pid_t Fork(pid_t process_id) {
  if (process_id == 0) {
    return ::fork();
  }
  clone_args arguments{};
  arguments.exit_signal = SIGCHLD;
  arguments.set_tid = reinterpret_cast<uintptr_t>(&process_id);
  arguments.set_tid_size = 1;
  return static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
}

[[noreturn]] void BecomePuppet(int in, int out) {
  ::dup2(in, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const char* argv[] = {"puppet", "--puppet", nullptr};
  ::execv("/proc/self/exe", const_cast<char**>(argv));
  std::_Exit(127);
}

// Stands between the test and a puppet in a process namespace of its own: says the puppet's id, and ends with it.
[[noreturn]] void StandBetween(int in, int out, int report) {
  pid_t pid = -1;
  if (::unshare(CLONE_NEWPID) == 0) {
    pid = ::fork();
    if (pid == 0) {
      BecomePuppet(in, out);
    }
  }
  ::close(in);
  ::close(out);
  if (::write(report, &pid, sizeof pid) == sizeof pid && pid > 0) {
    ::waitpid(pid, nullptr, 0);
  }
  std::_Exit(0);
}

}  // namespace

unsigned long long Answer::number() const {
  char* end = nullptr;
  unsigned long long value = std::strtoull(text.c_str(), &end, 10);
  EXPECT_TRUE(!text.empty() && *end == '\0') << *this;
  return value;
}

Puppet::Puppet(Namespace process_namespace, pid_t process_id) {
  int to[2], from[2], report[2];
  if (::pipe2(to, O_CLOEXEC) != 0 || ::pipe2(from, O_CLOEXEC) != 0 || ::pipe2(report, O_CLOEXEC) != 0) {
    ADD_FAILURE() << "pipe: " << std::strerror(errno);
    return;
  }
  parent_ = Fork(process_id);
  if (parent_ == 0) {
    process_namespace == Namespace::kOwn ? StandBetween(to[0], from[1], report[1]) : BecomePuppet(to[0], from[1]);
  }
  ::close(to[0]);
  ::close(from[1]);
  ::close(report[1]);
  to_ = to[1];
  from_ = from[0];
  pid_ = parent_;
  if (parent_ > 0 && process_namespace == Namespace::kOwn && ::read(report[0], &pid_, sizeof pid_) != sizeof pid_) {
    pid_ = -1;
  }
  ::close(report[0]);
}

void Puppet::Kill() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
  }
  if (parent_ > 0) {
    ::waitpid(parent_, nullptr, 0);
  }
  pid_ = parent_ = 0;
  for (int* fd : {&to_, &from_}) {
    if (*fd >= 0) {
      ::close(*fd);
    }
    *fd = -1;
  }
}

void Puppet::Send(const std::string& command) {
  std::string line = command + "\n";
  if (::write(to_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
    buffer_ += "DEAD\t\n";
  }
}

bool Puppet::Answers(int milliseconds) {
  if (buffer_.find('\n') != std::string::npos) {
    return true;
  }
  pollfd ready{from_, POLLIN, 0};
  return ::poll(&ready, 1, milliseconds) > 0;
}

Answer Puppet::Receive(int milliseconds) {
  auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
  size_t line;
  while ((line = buffer_.find('\n')) == std::string::npos) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
    if (left < 0 || !Answers(static_cast<int>(left))) {
      return Answer{"LATE", ""};
    }
    char bytes[4096];
    ssize_t size = ::read(from_, bytes, sizeof bytes);
    if (size <= 0) {
      return Answer{"DEAD", ""};
    }
    buffer_.append(bytes, static_cast<size_t>(size));
  }
  std::string text = buffer_.substr(0, line);
  buffer_.erase(0, line + 1);
  size_t tab = text.find('\t');
  return tab == std::string::npos ? Answer{text, ""} : Answer{text.substr(0, tab), text.substr(tab + 1)};
}

Answer Puppet::Do(const std::string& command) {
  Send(command);
  return Receive(kPatienceMs);
}

}  // namespace johnny::test
