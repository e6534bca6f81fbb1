// One step of a campaign of power cuts (test/power_cuts.sh), on a file system that the script has mounted:
//
//   power_cuts prepare SHARED                          makes the file that says what the database must hold; it lies elsewhere
//   power_cuts create|writer|check DATABASE SHARED SEED PAGE-SIZE DURABILITY SLOT
//   power_cuts cut DIRECTORY SHARED 1|2                the file system goes down with what it has not written; 1: its log is
//   written power_cuts report SHARED                           figures of the campaign
#include <fcntl.h>
#include <linux/ioctl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "processes/roles.h"

namespace johnny::test {
namespace {

// FS_IOC_SHUTDOWN of newer kernel headers; ext4 and XFS know it under names of their own.
constexpr unsigned long kShutdown = _IOR('X', 125, uint32_t);

int Fail(const char* what) {
  std::perror(what);
  return 2;
}

int Open(const std::string& path, int flags) {
  int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
  if (fd < 0) {
    std::exit(Fail(path.c_str()));
  }
  return fd;
}

int Prepare(const std::string& shared) {
  int fd = Open(shared, O_RDWR | O_CREAT | O_TRUNC);
  return ::ftruncate(fd, sizeof(SharedPage)) == 0 ? 0 : Fail("ftruncate");
}

int Cut(const std::string& directory, SharedPage* shared, uint32_t how) {
  int fd = Open(directory, O_RDONLY);
  shared->cut.store(1);
  return ::ioctl(fd, kShutdown, &how) == 0 ? 0 : Fail("shutdown ioctl");
}

int Report(const SharedPage& shared) {
  std::printf("%" PRIu64 " commits and %" PRIu64 " aborted transactions\n", shared.commits.load(), shared.aborts.load());
  return 0;
}

int Run(const std::vector<std::string>& words) {
  RoleArguments role;
  role.role = words[0];
  role.path = words[1];
  role.shared_fd = Open(words[2], O_RDWR);
  role.seed = std::strtoull(words[3].c_str(), nullptr, 10);
  role.page_size = static_cast<uint32_t>(std::stoul(words[4]));
  role.durability = static_cast<uint32_t>(std::stoul(words[5]));
  role.slot = static_cast<uint32_t>(std::stoul(words[6]));
  role.launch = role.seed;
  role.power_cuts = true;
  SharedPage* shared = MapShared(role.shared_fd);
  shared->slots[role.slot].phase.store(Phase::kStarting);
  if (role.role != "writer") {
    shared->cut.store(0);
    shared->stop.store(0);
  }
  int code = RunRole(role);
  if (code != 0 || shared->found.load() != 0) {
    std::fprintf(stderr, "FINDING: %s\n", shared->finding);
    return 1;
  }
  return 0;
}

int Main(const std::vector<std::string>& words) {
  auto is = [&](const char* name, size_t size) { return words.size() == size && words[0] == name; };
  if (is("prepare", 2)) {
    return Prepare(words[1]);
  }
  if (is("cut", 4)) {
    return Cut(words[1], MapShared(Open(words[2], O_RDWR)), static_cast<uint32_t>(std::stoul(words[3])));
  }
  if (is("report", 2)) {
    return Report(*MapShared(Open(words[1], O_RDWR)));
  }
  if (words.size() == 7) {
    return Run(words);
  }
  std::fprintf(stderr, "power_cuts: it is run by test/power_cuts.sh\n");
  return 2;
}

}  // namespace
}  // namespace johnny::test

int main(int argc, char** argv) { return johnny::test::Main({argv + 1, argv + argc}); }
