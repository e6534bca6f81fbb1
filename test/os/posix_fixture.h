// A directory of its own for each test, and files and children in it.
#ifndef JOHNNY_TEST_OS_POSIX_FIXTURE_H_
#define JOHNNY_TEST_OS_POSIX_FIXTURE_H_

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "os/os.h"
#include "support/test_db.h"

namespace johnny::os {

class PosixTest : public testing::Test {
 protected:
  std::string Path(const std::string& name) const { return dir_.File(name); }
  std::unique_ptr<File> Open(const std::string& name, OpenMode mode) {
    auto file = system_->Open(Path(name), mode, 0640);
    EXPECT_TRUE(file.ok()) << file.status();
    return file.ok() ? *std::move(file) : nullptr;
  }
  Code OpenError(const std::string& name, OpenMode mode = OpenMode::kReadWrite) {
    return CodeOf(system_->Open(Path(name), mode, 0640).status());
  }
  static absl::Status Write(File* file, uint64_t offset, std::vector<Slice> pieces) { return file->WriteAt(offset, pieces); }
  static std::string Read(File* file, uint64_t offset, size_t size) {
    std::string bytes(size, '?');
    absl::Status status = file->ReadAt(offset, bytes.data(), size);
    return status.ok() ? bytes : std::string(status.message());
  }

  System* system_ = PosixSystem();
  test::TempDir dir_;
};

// A pipe on which one process tells another that something has happened.
class Signal {
 public:
  Signal() { EXPECT_EQ(::pipe(fds_), 0); }
  ~Signal() {
    ::close(fds_[0]);
    ::close(fds_[1]);
  }
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;

  void Send(char byte = 'x') { EXPECT_EQ(::write(fds_[1], &byte, 1), 1); }
  char Wait() {
    char byte = 0;
    return ::read(fds_[0], &byte, 1) == 1 ? byte : 0;
  }

 private:
  int fds_[2];
};

// Runs `body` in a forked child, which exits with what it returns. No threads may be running.
template <typename Body>
pid_t Fork(const Body& body) {
  pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);  // no child of a test that has gone wrong stays behind
    ::_exit(body());
  }
  EXPECT_GT(child, 0);
  return child;
}

inline int ExitCodeOf(pid_t child) {
  int state = -1;
  EXPECT_EQ(::waitpid(child, &state, 0), child);
  return WIFEXITED(state) ? WEXITSTATUS(state) : -1;
}

inline void KillAndReap(pid_t child) {
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

}  // namespace johnny::os

#endif  // JOHNNY_TEST_OS_POSIX_FIXTURE_H_
