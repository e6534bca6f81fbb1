// What becomes of the lock file and of the database's name while processes have the database open, and while none has.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "processes/process_fixture.h"

namespace johnny::test {
namespace {

namespace fs = std::filesystem;

enum class Damage {
  kRemoved,
  kReplacedByAnEmptyFile,
  kReplacedByACopy,
  kReplacedByRandomBytes,
  kReplacedByItsFirstHalf,
  kOverwrittenWithRandomBytes,  // in place, as the mappings of living processes see it
  kCutInPlace,
};
constexpr const char* kDamageNames[] = {"Removed",
                                        "ReplacedByAnEmptyFile",
                                        "ReplacedByACopy",
                                        "ReplacedByRandomBytes",
                                        "ReplacedByItsFirstHalf",
                                        "OverwrittenWithRandomBytes",
                                        "CutInPlace"};
class LockFileTest : public ProcessTest {
 protected:
  LockFileTest() { Create(100); }

  void Replace(const std::string& bytes) const {
    std::string fresh = LockPath() + ".new";
    WriteFile(fresh, bytes);
    fs::permissions(fresh, fs::status(LockPath()).permissions());
    fs::rename(fresh, LockPath());
  }
  void Do(Damage damage) const {
    ASSERT_TRUE(fs::exists(LockPath()));
    std::string bytes = ReadFile(LockPath());
    switch (damage) {
      case Damage::kRemoved:
        fs::remove(LockPath());
        return;
      case Damage::kReplacedByAnEmptyFile:
        return Replace("");
      case Damage::kReplacedByACopy:
        return Replace(bytes);
      case Damage::kReplacedByRandomBytes:
        return Replace(Pattern(bytes.size(), 4));
      case Damage::kReplacedByItsFirstHalf:
        return Replace(bytes.substr(0, bytes.size() / 2));
      case Damage::kOverwrittenWithRandomBytes: {
        std::string random = Pattern(bytes.size(), 5);
        int fd = ::open(LockPath().c_str(), O_WRONLY | O_CLOEXEC);
        EXPECT_EQ(::pwrite(fd, random.data(), random.size(), 0), static_cast<ssize_t>(random.size()));
        ::close(fd);
        return;
      }
      case Damage::kCutInPlace:
        EXPECT_EQ(::truncate(LockPath().c_str(), 10), 0);
        return;
    }
  }
};

bool InPlace(Damage damage) { return damage >= Damage::kOverwrittenWithRandomBytes; }

class DamagedLockFileTest : public LockFileTest, public testing::WithParamInterface<Damage> {};
// A writer whose own shared memory was not touched.
class ReplacedLockFileTest : public DamagedLockFileTest {};

INSTANTIATE_TEST_SUITE_P(All, DamagedLockFileTest,
                         testing::Values(Damage::kRemoved, Damage::kReplacedByAnEmptyFile, Damage::kReplacedByACopy,
                                         Damage::kReplacedByRandomBytes, Damage::kReplacedByItsFirstHalf,
                                         Damage::kOverwrittenWithRandomBytes, Damage::kCutInPlace),
                         [](const auto& parameter) { return kDamageNames[parameter.index]; });
INSTANTIATE_TEST_SUITE_P(All, ReplacedLockFileTest,
                         testing::Values(Damage::kRemoved, Damage::kReplacedByAnEmptyFile, Damage::kReplacedByACopy,
                                         Damage::kReplacedByRandomBytes, Damage::kReplacedByItsFirstHalf),
                         [](const auto& parameter) { return kDamageNames[parameter.index]; });

TEST_P(DamagedLockFileTest, IsNoHindranceWhileNobodyHasTheDatabaseOpen) {
  Puppet first;
  ASSERT_DOES(first, Open());
  PutOne(&first, "key", "value");
  ASSERT_DOES(first, "read r");
  first.Kill();
  Do(GetParam());
  Puppet second;
  ASSERT_DOES(second, Open());
  ASSERT_DOES(second, "read r");
  EXPECT_SAYS(second, "get r key", "=value");
  EXPECT_SAYS(second, "info readers", "1");
  PutOne(&second, "key", "changed");
  EXPECT_DOES(second, "verify");
}

TEST_P(DamagedLockFileTest, KeepsNewcomersOutWhileTheDatabaseIsOpen) {
  Puppet first;
  ASSERT_DOES(first, Open());
  ASSERT_DOES(first, "read r");
  PutOne(&first, "before", "damage");
  Do(GetParam());
  Puppet second;
  EXPECT_SAYS(second, Open(), "JOHNNY_LOCK_FILE");
  EXPECT_SAYS(second, Open("read-only"), "JOHNNY_LOCK_FILE");
  bool goes_on = true;
  if (!InPlace(GetParam())) {
    EXPECT_DOES(first, "check r 0 100 50 1");
    EXPECT_DOES(first, "write w");
    EXPECT_DOES(first, "put w after damage");
    EXPECT_SAYS(second, Open(), "JOHNNY_LOCK_FILE");
    EXPECT_DOES(first, "commit w");
    EXPECT_DOES(first, "abort r");
    EXPECT_DOES(first, "read r");
    EXPECT_SAYS(first, "get r after", "=damage");
    EXPECT_DOES(first, "abort r");
    EXPECT_DOES(first, "verify");
    EXPECT_DOES(first, "close");
  } else {
    // Its own shared memory is gone: it may refuse to go on, and die of SIGBUS where the memory has been cut off. What it did
    // before must not be lost, and what it does now must be one of the two.
    Answer begun = first.Do("write w");
    Answer put = begun == "JOHNNY_OK" ? first.Do("put w after damage") : begun;
    Answer committed = put == "JOHNNY_OK" ? first.Do("commit w") : put;
    EXPECT_FALSE(committed == "LATE");
    first.Kill();
    goes_on = committed == "JOHNNY_OK";
  }
  ASSERT_DOES(second, Open());
  ASSERT_DOES(second, "read r");
  EXPECT_SAYS(second, "get r before", "=damage");
  if (goes_on) {
    EXPECT_SAYS(second, "get r after", "=damage");
  }
  EXPECT_DOES(second, "verify");
}

TEST_P(ReplacedLockFileTest, DoesNotMakeTwoWriters) {
  Puppet first, second, third;
  ASSERT_DOES(first, Open());
  ASSERT_DOES(third, Open());
  ASSERT_DOES(first, "write w");
  ASSERT_DOES(first, "put w key first");
  Do(GetParam());
  EXPECT_SAYS(second, Open(), "JOHNNY_LOCK_FILE");
  EXPECT_SAYS(third, "try w", "JOHNNY_BUSY");
  ASSERT_DOES(first, "commit w");
  PutOne(&third, "key", "third");
  EXPECT_DOES(first, "read r");
  EXPECT_SAYS(first, "get r key", "=third");
}

// ---- What is no lock file at all ----

TEST_F(LockFileTest, ASymbolicLinkIsRefusedAndNotFollowed) {
  std::string target = dir_.File("target");
  WriteFile(target, "precious");
  fs::remove(LockPath());
  fs::create_symlink(target, LockPath());
  Puppet puppet;
  Answer answer = puppet.Do(Open());
  EXPECT_EQ(answer.text.rfind("JOHNNY_", 0), 0u) << answer;
  EXPECT_FALSE(answer == "JOHNNY_OK");
  EXPECT_FALSE(answer.message.empty());
  EXPECT_EQ(ReadFile(target), "precious");
}

TEST_F(LockFileTest, AFifoOrADirectoryIsRefusedAtOnce) {
  for (bool fifo : {true, false}) {
    fs::remove(LockPath());
    ASSERT_EQ(fifo ? ::mkfifo(LockPath().c_str(), 0666) : ::mkdir(LockPath().c_str(), 0777), 0);
    Puppet puppet;
    puppet.Send(Open());
    Answer answer = puppet.Receive(10000);
    EXPECT_EQ(answer.text.rfind("JOHNNY_", 0), 0u) << answer;
    EXPECT_FALSE(answer == "JOHNNY_OK");
    EXPECT_FALSE(answer.message.empty());
  }
  fs::remove(LockPath());
  Puppet puppet;
  EXPECT_DOES(puppet, Open());
}

// ---- The database's own name ----

TEST_F(LockFileTest, ASecondNameOfAnOpenDatabaseIsRefused) {
  std::string second_name = dir_.File("second");
  fs::create_hard_link(path_, second_name);
  Puppet first, second;
  ASSERT_DOES(first, Open());
  EXPECT_SAYS(second, "open " + second_name, "JOHNNY_LOCK_FILE");
  PutOne(&first, "key", "value");
  ASSERT_DOES(first, "close");
  ASSERT_DOES(second, "open " + second_name);
  EXPECT_SAYS(first, Open(), "JOHNNY_LOCK_FILE");
  PutOne(&second, "key", "second");
  ASSERT_DOES(second, "close");
  ASSERT_DOES(first, Open());
  ASSERT_DOES(first, "read r");
  EXPECT_SAYS(first, "get r key", "=second");
}

TEST_F(LockFileTest, AnotherDatabaseMovedIntoPlaceIsRefusedWhileTheOldOneIsOpen) {
  std::string other_path = dir_.File("other"), kept = dir_.File("kept");
  Puppet first, second;
  ASSERT_DOES(second, "open " + other_path + " create");
  PutOne(&second, "key", "other");
  ASSERT_DOES(second, "close");
  ASSERT_DOES(first, Open());
  PutOne(&first, "key", "value");
  fs::create_hard_link(path_, kept);
  fs::rename(other_path, path_);
  EXPECT_SAYS(second, Open(), "JOHNNY_LOCK_FILE");
  PutOne(&first, "more", "value");
  EXPECT_DOES(first, "read r");
  EXPECT_SAYS(first, "get r more", "=value");
  EXPECT_DOES(first, "abort r");
  ASSERT_DOES(first, "close");
  ASSERT_DOES(second, Open());  // now it is the other database
  ASSERT_DOES(second, "read r");
  EXPECT_SAYS(second, "all r", "key=other");
  ASSERT_DOES(second, "abort r");
  ASSERT_DOES(second, "close");
  ASSERT_DOES(second, "open " + kept);
  ASSERT_DOES(second, "read r");
  EXPECT_SAYS(second, "get r more", "=value");
}

// ---- Permissions ----

class ReadOnlyDirectoryTest : public LockFileTest {
 protected:
  void SetUp() override {
    if (::getuid() != 0) {
      GTEST_SKIP() << "needs to be root, to become somebody else";
    }
    fs::remove(LockPath());
    ASSERT_EQ(::chmod(path_.c_str(), 0644), 0);
    ASSERT_EQ(::chmod(dir_.path().c_str(), 0755), 0);
    ASSERT_EQ(nobody_.Do("setuid 65534"), "OK");
    if (!(nobody_.Do("reads " + path_) == "yes")) {
      GTEST_SKIP() << "others cannot get at " << path_;
    }
  }
  Puppet nobody_;
};

TEST_F(ReadOnlyDirectoryTest, ADatabaseOpensReadOnlyWhileNobodyWrites) {
  ASSERT_DOES(nobody_, Open("read-only"));
  ASSERT_DOES(nobody_, "read r");
  EXPECT_DOES(nobody_, "check r 0 100 50 1");
  EXPECT_FALSE(fs::exists(LockPath()));
  Puppet second;
  ASSERT_EQ(second.Do("setuid 65534"), "OK");
  EXPECT_DOES(second, Open("read-only"));
  // A writer could not know which pages this reader needs.
  Puppet writer;
  Answer answer = writer.Do(Open());
  EXPECT_FALSE(answer == "JOHNNY_OK");
  EXPECT_FALSE(answer.message.empty());
  EXPECT_DOES(nobody_, "check r 0 100 50 1");
  nobody_.Kill();
  second.Kill();
  EXPECT_DOES(writer, Open());
}

TEST_F(ReadOnlyDirectoryTest, AWriterIsAClearError) {
  Puppet writer;
  ASSERT_DOES(writer, Open());
  ASSERT_EQ(::chmod(LockPath().c_str(), 0644), 0);
  Answer answer = nobody_.Do(Open("read-only"));
  EXPECT_TRUE(answer == "JOHNNY_PERMISSION" || answer == "JOHNNY_BUSY") << answer;
  EXPECT_FALSE(answer.message.empty());
  EXPECT_EQ(nobody_.Do(Open()), "JOHNNY_PERMISSION");
  PutOne(&writer, "key", "value");
  ASSERT_DOES(writer, "close");
  ASSERT_DOES(nobody_, Open("read-only"));
  ASSERT_DOES(nobody_, "read r");
  EXPECT_SAYS(nobody_, "get r key", "=value");
}

TEST_F(ReadOnlyDirectoryTest, TheLockFileTakesTheDatabasesMode) {
  ASSERT_EQ(::chmod(path_.c_str(), 0666), 0);
  Puppet writer;
  ASSERT_DOES(writer, Open());
  struct stat info {};
  ASSERT_EQ(::stat(LockPath().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0666u);
  ASSERT_DOES(nobody_, Open());  // so another user who may write the database takes part
  PutOne(&nobody_, "key", "value");
  EXPECT_DOES(writer, "read r");
  EXPECT_SAYS(writer, "get r key", "=value");
}

}  // namespace
}  // namespace johnny::test
