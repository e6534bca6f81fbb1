// The processes of a campaign of kills or power cuts: what each does with the database until it is told to stop, or dies.
#ifndef JOHNNY_TEST_PROCESSES_ROLES_H_
#define JOHNNY_TEST_PROCESSES_ROLES_H_

#include <cstdint>
#include <string>

#include "processes/ledger.h"
#include "processes/shared_page.h"

namespace johnny::test {

struct RoleArguments {
  // writer, reader; check: with nobody else about; check-live: beside others; create: the first transaction
  std::string role;
  std::string path;
  int shared_fd = -1;
  uint32_t slot = 0;
  uint64_t launch = 0;
  uint64_t seed = 0;
  uint32_t page_size = 4096;
  uint32_t durability = JOHNNY_TWO_PHASE;
  Lie lie = Lie::kNone;
  // The power may be cut: a commit counts as acknowledged only once it is durable, and when SharedPage::cut is set, errors of the
  // file system end the process without a finding.
  bool power_cuts = false;
};

// Maps the page behind `fd`; ends the process when that fails.
SharedPage* MapShared(int fd);

// Runs the role; the exit code: 0, or 1 after the finding has been left in the shared page.
int RunRole(const RoleArguments& arguments);

}  // namespace johnny::test

#endif  // JOHNNY_TEST_PROCESSES_ROLES_H_
