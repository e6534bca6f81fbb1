// Opening, creating and closing a database; validation of the options.
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

#include "format/master_page.h"
#include "support/test_db.h"

namespace johnny::test {
namespace {

class OpenTest : public testing::Test {
 protected:
  void Create() {
    Env env(path_);
    Txn txn(env);
    ASSERT_OK(txn.Put("key", "value"));
    ASSERT_OK(txn.Commit());
    ASSERT_OK(env.Close());
  }

  // Rewrites both master pages of the closed database after `change`.
  template <typename Change>
  void ChangeMasters(Change change) {
    std::string bytes = ReadFile(path_);
    for (int slot = 0; slot < 2; ++slot) {
      Byte* at = reinterpret_cast<Byte*>(bytes.data()) + format::kMasterSlotOffset[slot];
      absl::StatusOr<format::MasterPage> master = format::DecodeMasterPage(at, slot);
      if (master.ok()) {
        change(&*master);
        format::EncodeMasterPage(*master, at);
      }
    }
    WriteFile(path_, bytes);
  }

  Result TryOpen(const johnny_options& options) {
    Env env;
    return env.Open(path_, options);
  }

  TempDir dir_;
  std::string path_ = dir_.File("db");
  johnny_options options_ = TestOptions();
};

TEST_F(OpenTest, CreateMakesAnEmptyDatabase) {
  Env env(path_);
  Txn txn(env, JOHNNY_READ);
  EXPECT_EQ(txn.Entries(), 0u);
  EXPECT_EQ(txn.All(), Contents());
  EXPECT_TRUE(env.VerifyClean());
}

TEST_F(OpenTest, CreateOpensAnExistingDatabase) {
  Create();
  Env env(path_);
  EXPECT_EQ(Txn(env, JOHNNY_READ).Find("key"), "value");
}

TEST_F(OpenTest, NullOptionsOpenAnExistingDatabase) {
  Create();
  johnny_env* env = nullptr;
  ASSERT_OK(Result(johnny_open(path_.c_str(), nullptr, &env)));
  EXPECT_OK(Result(johnny_close(env)));
}

TEST_F(OpenTest, WithoutCreateAMissingFileIsNoSuchFile) {
  options_.flags = 0;
  EXPECT_EQ(TryOpen(options_), JOHNNY_NO_SUCH_FILE);
  johnny_env* env = nullptr;
  EXPECT_EQ(Result(johnny_open(path_.c_str(), nullptr, &env)), JOHNNY_NO_SUCH_FILE);
  EXPECT_EQ(env, nullptr);
}

TEST_F(OpenTest, AMissingDirectoryIsNoSuchFile) {
  path_ = dir_.File("none/db");
  EXPECT_EQ(TryOpen(options_), JOHNNY_NO_SUCH_FILE);
}

TEST_F(OpenTest, ExclusiveCreatesANewFileOnly) {
  options_.flags = JOHNNY_CREATE | JOHNNY_EXCLUSIVE;
  EXPECT_OK(TryOpen(options_));
  EXPECT_EQ(TryOpen(options_), JOHNNY_EXISTS);
}

TEST_F(OpenTest, CreationLeavesNoOtherFilesBehind) {
  Create();
  TempDir other;
  EXPECT_EQ(std::system(("ls " + dir_.path() + " | grep -v '^db$' | grep -v '^db-lock$' > " + other.File("list")).c_str()), 256);
  EXPECT_EQ(ReadFile(other.File("list")), "");
}

TEST_F(OpenTest, CreationUsesTheModeLessTheUmask) {
  options_.mode = 0660;
  mode_t mask = umask(027);
  EXPECT_OK(TryOpen(options_));
  umask(mask);
  struct stat status;
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640u);
}

TEST_F(OpenTest, EachPageSizeIsKept) {
  for (uint32_t page_size : {4096u, 8192u, 16384u, 32768u}) {
    path_ = dir_.File(std::to_string(page_size));
    { Env env(path_, TestOptions(page_size)); }
    Env env(path_, TestOptions(4096));  // ignored for an existing file
    EXPECT_EQ(env.Info().page_size, page_size);
  }
}

TEST_F(OpenTest, ReadOnlyReadsAnExistingDatabase) {
  Create();
  options_.flags = JOHNNY_READ_ONLY;
  Env env(path_, options_);
  EXPECT_EQ(Txn(env, JOHNNY_READ).Find("key"), "value");
  EXPECT_EQ(env.Info().read_only, 1u);
  EXPECT_TRUE(env.VerifyClean());
}

TEST_F(OpenTest, ReadOnlyDoesNotChangeTheFile) {
  Create();
  std::string before = ReadFile(path_);
  options_.flags = JOHNNY_READ_ONLY;
  EXPECT_OK(TryOpen(options_));
  EXPECT_TRUE(ReadFile(path_) == before);
}

TEST_F(OpenTest, ReadOnlyNeedsOnlyReadPermission) {
  Create();
  ASSERT_EQ(chmod(path_.c_str(), 0444), 0);
  options_.flags = JOHNNY_READ_ONLY;
  EXPECT_OK(TryOpen(options_));
}

TEST_F(OpenTest, ReadOnlyDoesNotCreate) {
  options_.flags = JOHNNY_READ_ONLY;
  EXPECT_EQ(TryOpen(options_), JOHNNY_NO_SUCH_FILE);
}

TEST_F(OpenTest, ReadOnlyOpeningsShareTheFile) {
  Create();
  options_.flags = JOHNNY_READ_ONLY;
  Env first(path_, options_);
  Env second(path_, options_);
  EXPECT_EQ(Txn(second, JOHNNY_READ).Find("key"), "value");
}

TEST_F(OpenTest, OpeningTwiceSharesTheEnvironment) {
  Env first(path_);
  {
    Env second;
    ASSERT_OK(second.Open(path_));
    EXPECT_EQ(second.get(), first.get());
    Txn txn(second);
    EXPECT_OK(txn.Put("a", "b"));
    EXPECT_OK(txn.Commit());
    johnny_options anew = options_;
    anew.flags = JOHNNY_CREATE | JOHNNY_EXCLUSIVE;
    EXPECT_EQ(TryOpen(anew), JOHNNY_EXISTS);
  }
  Txn reader(first, JOHNNY_READ);
  EXPECT_EQ(reader.Find("a"), "b") << "the first one's environment outlives the second use";
  EXPECT_EQ(first.Close(), JOHNNY_IN_USE);
}

TEST_F(OpenTest, AFileRenamedWhileOpenIsStillTheSame) {
  Env first(path_);
  std::string moved = dir_.File("moved");
  ASSERT_EQ(rename(path_.c_str(), moved.c_str()), 0);
  Env second;
  ASSERT_OK(second.Open(moved));
  EXPECT_EQ(second.get(), first.get());
}

TEST_F(OpenTest, OpeningForWritingBesideAReadOnlyOpeningIsBusy) {
  Create();
  johnny_options read_only = options_;
  read_only.flags = JOHNNY_READ_ONLY;
  {
    Env env(path_, read_only);
    EXPECT_EQ(TryOpen(options_), JOHNNY_BUSY) << "one process, one kind of environment";
  }
  Env env(path_);
  EXPECT_EQ(TryOpen(read_only), JOHNNY_BUSY);
}

TEST_F(OpenTest, WithoutALockFileTheDatabaseIsOnesOwn) {
  options_.flags |= JOHNNY_NO_LOCK_FILE;
  Env env(path_, options_);
  EXPECT_NE(access((path_ + "-lock").c_str(), F_OK), 0);
  Txn txn(env);
  EXPECT_OK(txn.Put("a", "b"));
  EXPECT_OK(txn.Commit());
  EXPECT_EQ(env.Info().processes, 1u);
}

TEST_F(OpenTest, TheLockFileLiesWhereTheOptionSays) {
  std::string lock = dir_.File("elsewhere");
  options_.lock_path = lock.c_str();
  Env env(path_, options_);
  EXPECT_EQ(access(lock.c_str(), F_OK), 0);
  EXPECT_NE(access((path_ + "-lock").c_str(), F_OK), 0);
}

TEST_F(OpenTest, UnreadableFileIsAPermissionError) {
  Create();
  ASSERT_EQ(chmod(path_.c_str(), 0), 0);
  AsOrdinaryUser user(dir_.path());
  EXPECT_EQ(TryOpen(options_), JOHNNY_PERMISSION);
}

TEST_F(OpenTest, OtherFilesAreNotADatabase) {
  WriteFile(path_, Pattern(100000, 1));
  EXPECT_EQ(TryOpen(options_), JOHNNY_NOT_A_DATABASE);
  WriteFile(path_, "short text");
  EXPECT_EQ(TryOpen(options_), JOHNNY_NOT_A_DATABASE);
  EXPECT_EQ(ReadFile(path_), "short text");
}

TEST_F(OpenTest, AnEmptyFileIsNeverTakenForANewDatabase) {
  WriteFile(path_, "");
  Result result = TryOpen(options_);
  EXPECT_TRUE(result == JOHNNY_NOT_A_DATABASE || result == JOHNNY_CORRUPT) << result;
  EXPECT_EQ(ReadFile(path_), "");
}

TEST_F(OpenTest, ADirectoryIsRefused) {
  path_ = dir_.path();
  EXPECT_FALSE(TryOpen(options_).ok());
}

TEST_F(OpenTest, ASymbolicLinkIsRefused) {
  Create();
  ASSERT_EQ(symlink(path_.c_str(), dir_.File("link").c_str()), 0);
  path_ = dir_.File("link");
  EXPECT_FALSE(TryOpen(options_).ok());
}

TEST_F(OpenTest, AFutureFormatVersionIsAVersionMismatch) {
  Create();
  ChangeMasters([](format::MasterPage* master) { master->format_version = format::kFormatVersion + 1; });
  EXPECT_EQ(TryOpen(options_), JOHNNY_VERSION_MISMATCH);
  options_.flags = JOHNNY_READ_ONLY;
  EXPECT_EQ(TryOpen(options_), JOHNNY_VERSION_MISMATCH);
}

TEST_F(OpenTest, AnUnknownIncompatibleFeatureIsAVersionMismatch) {
  Create();
  ChangeMasters([](format::MasterPage* master) { master->incompatible_features = 1; });
  EXPECT_EQ(TryOpen(options_), JOHNNY_VERSION_MISMATCH);
}

TEST_F(OpenTest, AnUnknownReadOnlyCompatibleFeatureAllowsReading) {
  Create();
  ChangeMasters([](format::MasterPage* master) { master->read_only_compatible_features = 1; });
  EXPECT_EQ(TryOpen(options_), JOHNNY_VERSION_MISMATCH);
  options_.flags = JOHNNY_READ_ONLY;
  EXPECT_OK(TryOpen(options_));
}

TEST_F(OpenTest, AnUnknownCompatibleFeatureIsIgnored) {
  Create();
  ChangeMasters([](format::MasterPage* master) { master->compatible_features = 1; });
  EXPECT_OK(TryOpen(options_));
}

TEST_F(OpenTest, AFileLongerThanItsMasterSaysIsNoError) {
  Create();
  WriteFile(path_, ReadFile(path_) + Pattern(12345, 3));
  Env env(path_);
  EXPECT_EQ(Txn(env, JOHNNY_READ).Find("key"), "value");
  EXPECT_TRUE(env.VerifyClean());
}

// ---- Options ----

TEST_F(OpenTest, OptionsInitSetsTheDocumentedDefaults) {
  johnny_options options;
  std::memset(&options, 0xee, sizeof options);
  johnny_options_init(&options);
  EXPECT_EQ(options.struct_size, sizeof options);
  EXPECT_EQ(options.flags, 0u);
  EXPECT_EQ(options.mode, 0644u);
  EXPECT_EQ(options.page_size, 4096u);
  EXPECT_EQ(options.durability, uint32_t{JOHNNY_TWO_PHASE});
  EXPECT_EQ(options.memory_budget, uint64_t{256} << 20);
  EXPECT_EQ(options.max_readers, 4096u);
  EXPECT_EQ(options.slack_percent, 30u);
  EXPECT_EQ(options.size_limit, 0u);
}

TEST_F(OpenTest, UnknownFlagsAreInvalid) {
  options_.flags = JOHNNY_CREATE | 0x80000000u;
  EXPECT_EQ(TryOpen(options_), JOHNNY_INVALID_ARGUMENT);
}

TEST_F(OpenTest, OtherPageSizesAreInvalid) {
  for (uint32_t page_size : {0u, 1u, 2048u, 4095u, 5000u, 12288u, 65536u}) {
    options_.page_size = page_size;
    EXPECT_EQ(TryOpen(options_), JOHNNY_INVALID_ARGUMENT) << page_size;
  }
}

TEST_F(OpenTest, AnUnknownDurabilityIsInvalid) {
  options_.durability = 5;
  EXPECT_EQ(TryOpen(options_), JOHNNY_INVALID_ARGUMENT);
}

TEST_F(OpenTest, AMemoryBudgetBelow64PagesIsRefusedOrRaised) {
  options_.memory_budget = 1;
  Env env;
  Result result = env.Open(path_, options_);
  if (result.ok()) {
    EXPECT_GE(env.Info().memory_budget, 64u * 4096);
  } else {
    EXPECT_EQ(result, JOHNNY_INVALID_ARGUMENT);
  }
}

TEST_F(OpenTest, ASizeLimitTooSmallForAnyDatabaseIsRefused) {
  options_.size_limit = 4096;
  Env env;
  Result result = env.Open(path_, options_);
  EXPECT_TRUE(result == JOHNNY_INVALID_ARGUMENT || result == JOHNNY_SIZE_LIMIT) << result;
}

TEST_F(OpenTest, NullArgumentsAreInvalid) {
  johnny_env* env = nullptr;
  EXPECT_EQ(Result(johnny_open(nullptr, &options_, &env)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_open(path_.c_str(), &options_, nullptr)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_sync(nullptr)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_OK(Result(johnny_close(nullptr)));
}

TEST_F(OpenTest, AStructSizeOfZeroIsInvalid) {
  options_.struct_size = 0;
  EXPECT_EQ(TryOpen(options_), JOHNNY_INVALID_ARGUMENT);
}

TEST_F(OpenTest, FieldsPastTheStructSizeAreNotRead) {
  options_.page_size = 1;  // would be invalid
  options_.durability = 77;
  options_.struct_size = offsetof(johnny_options, page_size);
  Env env;
  ASSERT_OK(env.Open(path_, options_));
  EXPECT_EQ(env.Info().page_size, 4096u);
  EXPECT_EQ(env.Info().durability, uint32_t{JOHNNY_TWO_PHASE});
}

TEST_F(OpenTest, TheDefaultAddressSpaceCanBeReserved) {
  johnny_options options;
  johnny_options_init(&options);
  options.flags = JOHNNY_CREATE;
  Env env(path_, options);
  EXPECT_GT(env.Info().address_space, uint64_t{1} << 30);
}

TEST_F(OpenTest, CloseWithALiveTransactionIsInUse) {
  Env env(path_);
  {
    Txn reader(env, JOHNNY_READ);
    EXPECT_EQ(env.Close(), JOHNNY_IN_USE);
    EXPECT_EQ(reader.Entries(), 0u);  // nothing was closed
  }
  {
    Txn writer(env);
    EXPECT_EQ(env.Close(), JOHNNY_IN_USE);
    EXPECT_OK(writer.Put("a", "b"));
    EXPECT_OK(writer.Commit());
  }
  EXPECT_OK(env.Close());
}

TEST_F(OpenTest, ACleanCloseIsSeenByTheNextOpening) {
  Create();
  Env env(path_);
  EXPECT_EQ(env.Info().clean, 1u);
}

}  // namespace
}  // namespace johnny::test
