// Every system call of the library fails, once or for ever, with each error, is interrupted, or does only half of its work, in a
// run that touches every operation on a real file system.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cerrno>
#include <csignal>
#include <iostream>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "faults/real_run.h"
#include "faults/syscalls.h"
#include "os/os.h"
#include "os/posix_error.h"
#include "support/test_db.h"

namespace johnny::faults {
namespace {

using Kind = SyscallFault::Kind;

// What the library makes of it: nothing, where it must go on as if nothing had happened.
Cause CauseOf(const SyscallFault& fault) {
  if (fault.kind != Kind::kError) {
    return {};
  }
  return {os::CodeOfErrno(fault.error), std::generic_category().message(fault.error)};
}

struct Case {
  const char* name;
  Kind kind;
  int error;
  bool for_ever;
};
class SyscallTest : public testing::TestWithParam<Case> {};

TEST(SyscallTest, RunsWithoutFaults) {
  RealRun run;
  for (const std::string& problem : run.Run(
           1, {}, [] {}, [] {})) {
    ADD_FAILURE() << problem;
  }
}

// ext4 gives pages up whose blocks it cannot find, tells only who made it write them, and lets the next fdatasync succeed.
TEST(SyscallTest, WhatCouldNotSetOutForTheDiskFailsTheSync) {
  test::TempDir directory;
  for (int error : {EIO, ENOSPC, 117 /* EUCLEAN */}) {
    auto file = os::PosixSystem()->Open(absl::StrCat(directory.path(), "/", error), os::OpenMode::kCreateNew, 0600);
    ASSERT_TRUE(file.ok()) << file.status();
    const std::string bytes(4096, 'x');
    const Slice piece(bytes);
    ASSERT_TRUE((*file)->WriteAt(0, absl::MakeConstSpan(&piece, 1)).ok());
    for (int harmless : {EINVAL, ENOSYS, EOPNOTSUPP, ENOMEM, EAGAIN, EINTR}) {
      StartSyscallFault({.kind = Kind::kError, .error = harmless, .for_ever = true});
      (*file)->StartWriting(0, 4096);
      ASSERT_EQ(StopSyscallFault(), 1u);
      EXPECT_TRUE((*file)->SyncData().ok()) << harmless;
    }
    StartSyscallFault({.kind = Kind::kError, .error = error});
    (*file)->StartWriting(0, 4096);
    (*file)->StartWriting(0, 4096);  // succeeds
    ASSERT_EQ(StopSyscallFault(), 1u);
    EXPECT_EQ(CodeOf((*file)->SyncData()), os::CodeOfErrno(error));
    EXPECT_EQ(CodeOf((*file)->SyncData()), os::CodeOfErrno(error)) << "calling again proves nothing";
  }
}

// Who reads the file's times makes the next write change them and the next sync write them (PosixFile::Size).
TEST(SyscallTest, ADurableCommitAsksForNoTimes) {
  test::TempDir directory;
  test::Env env(directory.File("db"));
  auto commit = [&env](const std::string& key) {
    test::Txn txn(env);
    EXPECT_OK(txn.Put(key, "value"));
    EXPECT_OK(txn.CommitWith(JOHNNY_TWO_PHASE));
  };
  commit("before");
  StartSyscallFault({.skip = UINT64_MAX, .counted = "fstat"});
  commit("a");
  commit("b");
  EXPECT_EQ(StopSyscallFault(), 0u);
  EXPECT_GE(SyscallsSeen(), 10u);
  EXPECT_EQ(SyscallsCounted(), 0u);
}

TEST_P(SyscallTest, LosesNothingAcknowledged) {
  const Case& given = GetParam();
  RealRun run;
  uint64_t points = 0;
  int failed = 0;
  uint64_t fired = 1;
  for (uint64_t index = 0; fired > 0 && failed < 10; index += FaultStride()) {
    SyscallFault fault{.kind = given.kind, .error = given.error, .skip = index, .for_ever = given.for_ever};
    auto start = [&] { StartSyscallFault(fault); };
    auto stop = [&] { fired = StopSyscallFault(); };
    for (const std::string& problem : run.Run(1 + index % 3, CauseOf(fault), start, stop)) {
      ADD_FAILURE() << given.name << " from call " << index << " on (" << FirstFailedSyscall() << "), seed " << 1 + index % 3
                    << ": " << problem;
      ++failed;
    }
    points += fired > 0 ? 1 : 0;
  }
  RecordProperty("points", static_cast<int>(points));
  std::cout << points << " points\n";
  EXPECT_GT(points * FaultStride(), 100u);
}

INSTANTIATE_TEST_SUITE_P(
    Faults, SyscallTest,
    testing::Values(Case{"EioOnce", Kind::kError, EIO, false}, Case{"EioForEver", Kind::kError, EIO, true},
                    Case{"EnospcOnce", Kind::kError, ENOSPC, false}, Case{"EnospcForEver", Kind::kError, ENOSPC, true},
                    Case{"EdquotOnce", Kind::kError, EDQUOT, false}, Case{"EdquotForEver", Kind::kError, EDQUOT, true},
                    Case{"EnomemOnce", Kind::kError, ENOMEM, false}, Case{"EnomemForEver", Kind::kError, ENOMEM, true},
                    Case{"InterruptedOnce", Kind::kInterrupted, EINTR, false},
                    Case{"InterruptedForEver", Kind::kInterrupted, EINTR, true}, Case{"ShortOnce", Kind::kShort, 0, false},
                    Case{"ShortForEver", Kind::kShort, 0, true}),
    [](const auto& test) { return std::string(test.param.name); });

// The kernel's own limit on the size of a file, which a test may set without a disk to fill: the process meets it anywhere.
TEST(SyscallTest, ALimitOnTheFilesSizeIsAFullDisk) {
  RealRun run;
  ASSERT_NE(std::signal(SIGXFSZ, SIG_IGN), SIG_ERR);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  for (uint64_t kib = 4; kib < 900; kib += 12) {
    auto set = [&](rlim_t bytes) {
      rlimit limit{bytes, before.rlim_max};
      ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
    };
    for (const std::string& problem : run.Run(
             kib, {Code::kDiskFull, "File too large"}, [&] { set(kib << 10); }, [&] { set(before.rlim_cur); })) {
      ADD_FAILURE() << "limit of " << kib << " KiB: " << problem;
    }
  }
}

}  // namespace
}  // namespace johnny::faults
