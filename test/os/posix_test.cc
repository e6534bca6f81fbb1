#include <fcntl.h>
#include <gtest/gtest.h>
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"
#include "os/os.h"
#include "os/posix_fixture.h"

namespace johnny::os {
namespace {

TEST_F(PosixTest, WritesPiecesOneAfterTheOther) {
  auto file = Open("f", OpenMode::kCreateNew);
  ASSERT_TRUE(Write(file.get(), 3, {"abc", "", "de", "f"}).ok());
  EXPECT_EQ(*file->Size(), 9u);
  EXPECT_EQ(Read(file.get(), 0, 9), std::string(3, '\0') + "abcdef");
  ASSERT_TRUE(Write(file.get(), 4, {}).ok());
  ASSERT_TRUE(Write(file.get(), 4, {"", ""}).ok());
  EXPECT_EQ(*file->Size(), 9u);
}

TEST_F(PosixTest, WritesMorePiecesThanOneSystemCallTakes) {
  auto file = Open("f", OpenMode::kCreateNew);
  std::vector<std::string> texts;
  for (int i = 0; i < 3 * IOV_MAX + 17; ++i) {
    texts.push_back(i % 5 == 0 ? "" : std::to_string(i) + ",");
  }
  std::string whole;
  for (const std::string& text : texts) {
    whole += text;
  }
  ASSERT_TRUE(Write(file.get(), 100, std::vector<Slice>(texts.begin(), texts.end())).ok());
  EXPECT_EQ(*file->Size(), 100 + whole.size());
  EXPECT_EQ(Read(file.get(), 100, whole.size()), whole);
}

TEST_F(PosixTest, LargeWritesAndZerosArriveWhole) {
  // They are cut at multiples of 4 KiB in the first 64 KiB, of 64 KiB behind.
  auto file = Open("f", OpenMode::kCreateNew);
  std::string model;
  uint64_t random = 2004;
  auto below = [&random](uint64_t limit) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    return (random >> 33) % limit;
  };
  for (int i = 0; i < 200; ++i) {
    const uint64_t offset = below(4) == 0 ? below(5) * 65536 : below(300000);
    std::vector<std::string> texts(below(5));
    for (std::string& text : texts) {
      text.assign(below(3) == 0 ? below(5) * 4096 : below(150000), static_cast<char>('a' + below(26)));
    }
    std::string whole;
    for (const std::string& text : texts) {
      whole += text;
    }
    if (below(4) == 0) {
      whole.assign(below(200000), '\0');
      ASSERT_TRUE(file->WriteZeros(offset, whole.size()).ok());
    } else {
      ASSERT_TRUE(Write(file.get(), offset, std::vector<Slice>(texts.begin(), texts.end())).ok());
    }
    if (!whole.empty()) {
      model.resize(std::max(model.size(), offset + whole.size()));
      model.replace(offset, whole.size(), whole);
    }
    ASSERT_EQ(*file->Size(), model.size());
  }
  EXPECT_TRUE(Read(file.get(), 0, model.size()) == model);
}

TEST_F(PosixTest, ShortWritesAreContinuedOrReported) {
  // A limit on the file's size makes the system write a part first and fail then. In a child: the limit is the process's.
  pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    rlimit limit = {5000, 5000};
    setrlimit(RLIMIT_FSIZE, &limit);
    auto file = Open("f", OpenMode::kCreateNew);
    std::string half(4000, 'x');
    absl::Status status = Write(file.get(), 0, {half, half});
    _exit(CodeOf(status) == Code::kDiskFull && *file->Size() == 5000 ? 0 : 1);
  }
  int state = -1;
  waitpid(child, &state, 0);
  EXPECT_EQ(state, 0);
}

TEST_F(PosixTest, ReadingPastTheEndIsAnError) {
  auto file = Open("f", OpenMode::kCreateNew);
  ASSERT_TRUE(Write(file.get(), 0, {"abc"}).ok());
  char bytes[4];
  absl::Status status = file->ReadAt(0, bytes, 4);
  EXPECT_EQ(CodeOf(status), Code::kIoError);
  EXPECT_NE(status.message().find(Path("f")), absl::string_view::npos) << status;
  EXPECT_TRUE(file->ReadAt(3, bytes, 0).ok());
}

TEST_F(PosixTest, SyncSizeResizeAndPreallocate) {
  auto file = Open("f", OpenMode::kCreateNew);
  ASSERT_TRUE(Write(file.get(), 0, {"abc"}).ok());
  EXPECT_TRUE(file->SyncData().ok());
  ASSERT_TRUE(file->Resize(100000).ok());
  EXPECT_EQ(*file->Size(), 100000u);
  ASSERT_TRUE(file->Resize(2).ok());
  ASSERT_TRUE(file->Preallocate(0, 70000).ok());
  EXPECT_EQ(*file->Size(), 70000u);
  EXPECT_EQ(Read(file.get(), 0, 4), std::string("ab\0\0", 4)) << "contents stay, the rest is zeros";
  ASSERT_TRUE(file->Preallocate(70000, 0).ok());
  EXPECT_EQ(*file->Size(), 70000u);
  EXPECT_TRUE(system_->SyncDirectoryOf(Path("f")).ok());
}

TEST_F(PosixTest, OpenSaysWhatIsInTheWay) {
  EXPECT_EQ(OpenError("f"), Code::kNoSuchFile);
  EXPECT_EQ(OpenError("f", OpenMode::kReadOnly), Code::kNoSuchFile);
  EXPECT_EQ(OpenError("none/f", OpenMode::kCreateNew), Code::kNoSuchFile);
  Open("f", OpenMode::kCreateNew);
  EXPECT_EQ(OpenError("f", OpenMode::kCreateNew), Code::kExists);
  EXPECT_EQ(OpenError("f"), Code::kOk);
  EXPECT_EQ(OpenError("f/g"), Code::kNoSuchFile);

  auto status = system_->Open(Path("absent"), OpenMode::kReadOnly, 0).status();
  EXPECT_EQ(status.message(), "cannot open " + Path("absent") + ": No such file or directory");
}

TEST_F(PosixTest, OnlyRegularFilesAreOpened) {
  Open("f", OpenMode::kCreateNew);
  ASSERT_EQ(symlink(Path("f").c_str(), Path("link").c_str()), 0);
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  ASSERT_EQ(mkdir(Path("directory").c_str(), 0700), 0);
  for (OpenMode mode : {OpenMode::kReadOnly, OpenMode::kReadWrite}) {
    EXPECT_EQ(OpenError("link", mode), Code::kInvalidArgument);
    EXPECT_EQ(OpenError("fifo", mode), Code::kInvalidArgument);
    EXPECT_EQ(OpenError("directory", mode), Code::kInvalidArgument);
  }
  EXPECT_EQ(CodeOf(system_->Open("/dev/null", OpenMode::kReadWrite, 0).status()), Code::kInvalidArgument);
}

TEST_F(PosixTest, PermissionsAreGivenAndRespected) {
  mode_t old = umask(022);
  Open("f", OpenMode::kCreateNew);
  umask(old);
  struct stat info;
  ASSERT_EQ(stat(Path("f").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
  ASSERT_EQ(chmod(Path("f").c_str(), 0400), 0);
  test::AsOrdinaryUser user(dir_.path());
  EXPECT_EQ(OpenError("f"), Code::kPermission);
  EXPECT_EQ(OpenError("f", OpenMode::kReadOnly), Code::kOk);
}

TEST_F(PosixTest, ReadOnlyFilesCanBeReadAndMappedButNotWritten) {
  {
    auto file = Open("f", OpenMode::kCreateNew);
    ASSERT_TRUE(Write(file.get(), 0, {"hello"}).ok());
  }
  auto file = Open("f", OpenMode::kReadOnly);
  EXPECT_EQ(Read(file.get(), 0, 5), "hello");
  auto mapping = file->Map(1 << 20);
  ASSERT_TRUE(mapping.ok()) << mapping.status();
  EXPECT_EQ(MakeSlice((*mapping)->data(), 5), "hello");
  EXPECT_EQ(CodeOf(Write(file.get(), 0, {"x"})), Code::kIoError);
}

TEST_F(PosixTest, MappingSeesWhatIsWrittenAndGrows) {
  auto file = Open("f", OpenMode::kCreateNew);
  auto mapping = file->Map(uint64_t{64} << 30);
  ASSERT_TRUE(mapping.ok()) << mapping.status();
  EXPECT_GE((*mapping)->reserved(), uint64_t{1} << 30);
  std::string page(4096, 'a');
  for (int i = 0; i < 100; ++i) {
    page[0] = static_cast<char>(i);
    ASSERT_TRUE(Write(file.get(), static_cast<uint64_t>(i) * 4096, {page}).ok());
    EXPECT_EQ(MakeSlice((*mapping)->data() + i * 4096, 4096), page);
  }
  file.reset();
  EXPECT_EQ((*mapping)->data()[4096 * 7], 7) << "the mapping outlives its file";
}

TEST_F(PosixTest, MappingTakesLessWhereAddressSpaceIsShort) {
  auto file = Open("f", OpenMode::kCreateNew);
  auto mapping = file->Map(uint64_t{1} << 55);  // more than any process has here
  ASSERT_TRUE(mapping.ok()) << mapping.status();
  EXPECT_GE((*mapping)->reserved(), uint64_t{1} << 30);
  EXPECT_LT((*mapping)->reserved(), uint64_t{1} << 55);
  auto small = file->Map(100);
  ASSERT_TRUE(small.ok()) << small.status();
  EXPECT_EQ((*small)->reserved(), static_cast<uint64_t>(sysconf(_SC_PAGESIZE)));
}

TEST_F(PosixTest, LinkGivesASecondNameAndNeverReplaces) {
  {
    auto file = Open("temporary", OpenMode::kCreateNew);
    ASSERT_TRUE(Write(file.get(), 0, {"new"}).ok());
  }
  ASSERT_TRUE(system_->Link(Path("temporary"), Path("f")).ok());
  EXPECT_EQ(CodeOf(system_->Link(Path("temporary"), Path("f"))), Code::kExists);
  ASSERT_TRUE(system_->Unlink(Path("temporary")).ok());
  EXPECT_EQ(CodeOf(system_->Unlink(Path("temporary"))), Code::kNoSuchFile);
  EXPECT_EQ(CodeOf(system_->Link(Path("temporary"), Path("g"))), Code::kNoSuchFile);
  EXPECT_EQ(Read(Open("f", OpenMode::kReadOnly).get(), 0, 3), "new");
}

TEST_F(PosixTest, SyncDirectoryOfFindsTheDirectory) {
  EXPECT_TRUE(system_->SyncDirectoryOf("relative-name").ok());
  EXPECT_TRUE(system_->SyncDirectoryOf("/name-in-the-root").ok());
  EXPECT_EQ(CodeOf(system_->SyncDirectoryOf(Path("none/f"))), Code::kNoSuchFile);
}

TEST_F(PosixTest, FilesAreNotInheritedByPrograms) {
  auto file = Open("f", OpenMode::kCreateNew);
  ASSERT_TRUE(file->Lock(0, File::LockKind::kShared).ok());
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code ignored;
    if (std::filesystem::read_symlink(entry.path(), ignored) == Path("f")) {
      ++found;
      int fd = std::stoi(entry.path().filename().string());
      EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    }
  }
  EXPECT_EQ(found, 2) << "one for the data, one for locks";
}

TEST_F(PosixTest, SharedMappingsOfTwoFilesAreTheSameMemory) {
  auto one = Open("f", OpenMode::kCreateNew);
  ASSERT_TRUE(Write(one.get(), 0, {std::string(8192, 'a')}).ok());
  auto two = Open("f", OpenMode::kReadWrite);
  auto first = one->MapShared(8192);
  auto second = two->MapShared(4096);
  ASSERT_TRUE(first.ok() && second.ok()) << first.status() << second.status();
  EXPECT_EQ((*first)->size(), 8192u);
  EXPECT_EQ((*second)->size(), 4096u);
  EXPECT_EQ(MakeSlice((*second)->data(), 2), "aa");
  (*first)->data()[1] = 'b';
  EXPECT_EQ(MakeSlice((*second)->data(), 2), "ab");
  EXPECT_EQ(Read(two.get(), 0, 2), "ab");
  one.reset();
  (*first)->data()[0] = 'c';
  EXPECT_EQ(MakeSlice((*second)->data(), 2), "cb") << "the mapping outlives its file";
}

TEST_F(PosixTest, SharedMappingsEndWhereTheFileDoes) {
  auto file = Open("f", OpenMode::kCreateNew);
  ASSERT_TRUE(file->Resize(4095).ok());
  absl::Status status = file->MapShared(4096).status();
  EXPECT_EQ(CodeOf(status), Code::kIoError);
  EXPECT_EQ(status.message(), "cannot map " + Path("f") + ": it has 4095 bytes where 4096 were expected");
  EXPECT_TRUE(file->MapShared(4095).ok());
  EXPECT_EQ(CodeOf(Open("f", OpenMode::kReadOnly)->MapShared(4095).status()), Code::kPermission);
}

TEST_F(PosixTest, IdentityIsTheFilesAndNotTheNames) {
  auto file = Open("f", OpenMode::kCreateNew);
  FileIdentity identity = *file->Identity();
  EXPECT_EQ(identity.owner, geteuid());
  EXPECT_EQ(identity.permissions, system_->IdentityOf(Path("f"))->permissions);
  EXPECT_TRUE(identity.SameFile(*system_->IdentityOf(Path("f"))));
  ASSERT_TRUE(system_->Link(Path("f"), Path("g")).ok());
  ASSERT_EQ(rename(Path("f").c_str(), Path("h").c_str()), 0);
  EXPECT_TRUE(identity.SameFile(*system_->IdentityOf(Path("g"))));
  EXPECT_TRUE(identity.SameFile(*system_->IdentityOf(Path("h"))));
  EXPECT_EQ(CodeOf(system_->IdentityOf(Path("f")).status()), Code::kNoSuchFile);
  EXPECT_TRUE(identity.SameFile(*file->Identity()));

  auto other = Open("f", OpenMode::kCreateNew);
  EXPECT_FALSE(identity.SameFile(*other->Identity()));
  ASSERT_EQ(rename(Path("f").c_str(), Path("h").c_str()), 0);
  EXPECT_FALSE(identity.SameFile(*system_->IdentityOf(Path("h")))) << "another file moved into its place";
}

TEST_F(PosixTest, IdentityOfASymbolicLinkIsItsOwn) {
  auto file = Open("f", OpenMode::kCreateNew);
  ASSERT_EQ(symlink(Path("f").c_str(), Path("link").c_str()), 0);
  EXPECT_FALSE(file->Identity()->SameFile(*system_->IdentityOf(Path("link"))));
  ASSERT_EQ(symlink(Path("nothing").c_str(), Path("dangling").c_str()), 0);
  EXPECT_TRUE(system_->IdentityOf(Path("dangling")).ok());
}

TEST_F(PosixTest, PermissionsAreSetWhateverTheUmask) {
  mode_t old = umask(077);
  auto file = Open("f", OpenMode::kCreateNew);
  EXPECT_EQ(file->Identity()->permissions, 0600u);
  EXPECT_TRUE(file->SetPermissions(0664).ok());
  umask(old);
  EXPECT_EQ(file->Identity()->permissions, 0664u);
  EXPECT_TRUE(Open("f", OpenMode::kReadOnly)->SetPermissions(0640).ok()) << "it is the owner's right and not the descriptor's";
  EXPECT_EQ(system_->IdentityOf(Path("f"))->permissions, 0640u);
}

TEST_F(PosixTest, AFileOnALocalDiskIsNotOnANetwork) {
  struct statfs info;
  ASSERT_EQ(statfs(dir_.path().c_str(), &info), 0);
  const bool known_local = info.f_type == 0xef53 /* ext */ || info.f_type == 0x01021994 /* tmpfs */ ||
                           info.f_type == 0x58465342 /* XFS */ || info.f_type == 0x9123683e /* btrfs */;
  if (!known_local) {
    GTEST_SKIP() << "of file system " << info.f_type;
  }
  EXPECT_FALSE(Open("f", OpenMode::kCreateNew)->IsOnNetwork());
}

TEST_F(PosixTest, IdentityAndTime) {
  EXPECT_NE(system_->BootId(), 0u);
  EXPECT_EQ(system_->BootId(), system_->BootId());
  EXPECT_NE(system_->RandomNumber(), system_->RandomNumber());
  EXPECT_EQ(system_->ProcessId(), static_cast<uint64_t>(getpid()));
  EXPECT_EQ(system_->UserId(), geteuid());
  uint64_t other = 0;
  std::thread([&] { other = system_->ThreadId(); }).join();
  EXPECT_NE(system_->ThreadId(), other);
  EXPECT_LE(system_->MonotonicMillis(), system_->MonotonicMillis());
}

}  // namespace
}  // namespace johnny::os
