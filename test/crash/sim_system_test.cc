// The simulated system itself, and the disks that are worked out from its log.
#include "support/sim_system.h"

#include <gtest/gtest.h>

#include <set>

#include "support/crash_disk.h"

namespace johnny::sim {
namespace {

using os::OpenMode;

class SimSystemTest : public testing::Test {
 protected:
  std::unique_ptr<os::File> Create(const std::string& path = "/d/f") {
    auto file = system_.Open(path, OpenMode::kCreateNew, 0644);
    EXPECT_TRUE(file.ok()) << file.status();
    return *std::move(file);
  }
  static absl::Status Write(os::File* file, uint64_t offset, const std::string& bytes) {
    Slice piece(bytes);
    return file->WriteAt(offset, absl::MakeConstSpan(&piece, 1));
  }
  static std::string Read(os::File* file, uint64_t offset, size_t size) {
    std::string bytes(size, '?');
    EXPECT_TRUE(file->ReadAt(offset, bytes.data(), size).ok());
    return bytes;
  }
  // The first letters of the file on each possible disk; "-" when it is absent, "0" for a zero byte.
  std::set<std::string> PossibleContents(size_t letters, const std::vector<uint64_t>& offsets) {
    CrashDisk disk{DiskImage()};
    for (size_t i = 0; i < system_.events().size(); ++i) {
      disk.Apply(system_.events()[i], i);
    }
    Random random(1);
    std::set<std::string> contents;
    for (const Variant& variant : disk.Variants({}, &random)) {
      DiskImage image = disk.Build(variant);
      std::string text;
      auto at = image.names.find("/d/f");
      for (size_t i = 0; i < letters && at != image.names.end(); ++i) {
        const FileImage& file = image.files[at->second];
        char letter = offsets[i] < file.size() ? file.Read(offsets[i], 1)[0] : '.';
        text.push_back(letter == '\0' ? '0' : letter);
      }
      contents.insert(at == image.names.end() ? "-" : text);
    }
    return contents;
  }

  SimSystem system_;
};

TEST_F(SimSystemTest, ReadsAndMapsWhatWasWritten) {
  auto file = Create();
  std::string first = "hello ", second = "world";
  Slice pieces[] = {first, second};
  ASSERT_TRUE(file->WriteAt(10, pieces).ok());
  EXPECT_EQ(*file->Size(), 21u);
  EXPECT_EQ(Read(file.get(), 10, 11), "hello world");
  EXPECT_EQ(Read(file.get(), 0, 3), std::string(3, '\0'));
  auto mapping = *file->Map(uint64_t{1} << 40);
  EXPECT_EQ(mapping->reserved(), SimSystem::kReserve);
  EXPECT_EQ(std::memcmp(mapping->data() + 10, "hello", 5), 0);
  ASSERT_TRUE(file->Resize(12).ok());
  ASSERT_TRUE(file->Preallocate(0, 20).ok());
  EXPECT_EQ(Read(file.get(), 10, 4), std::string("he\0\0", 4));
  char byte;
  EXPECT_EQ(CodeOf(file->ReadAt(20, &byte, 1)), Code::kIoError);
}

TEST_F(SimSystemTest, NamesAreLinkedAndRemoved) {
  auto file = Create("/d/new");
  ASSERT_TRUE(Write(file.get(), 0, "x").ok());
  EXPECT_EQ(CodeOf(system_.Open("/d/new", OpenMode::kCreateNew, 0).status()), Code::kExists);
  ASSERT_TRUE(system_.Link("/d/new", "/d/f").ok());
  EXPECT_EQ(CodeOf(system_.Link("/d/new", "/d/f")), Code::kExists);
  ASSERT_TRUE(system_.Unlink("/d/new").ok());
  EXPECT_EQ(CodeOf(system_.Unlink("/d/new")), Code::kNoSuchFile);
  auto other = system_.Open("/d/f", OpenMode::kReadOnly, 0);
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(Read(other->get(), 0, 1), "x");
  EXPECT_EQ(CodeOf(Write(other->get(), 0, "y")), Code::kPermission);
}

TEST_F(SimSystemTest, LocksExcludeOtherHandles) {
  auto file = Create();
  auto other = *system_.Open("/d/f", OpenMode::kReadWrite, 0);
  ASSERT_TRUE(file->Lock(1, os::File::LockKind::kShared).ok());
  ASSERT_TRUE(other->Lock(1, os::File::LockKind::kShared).ok());
  EXPECT_EQ(CodeOf(file->Lock(1, os::File::LockKind::kExclusive)), Code::kBusy);
  other.reset();
  EXPECT_TRUE(file->Lock(1, os::File::LockKind::kExclusive).ok());
  system_.Kill();
  system_.Revive();
  auto next = *system_.Open("/d/f", OpenMode::kReadWrite, 0);
  EXPECT_TRUE(next->Lock(1, os::File::LockKind::kExclusive).ok());
  EXPECT_EQ(CodeOf(Write(file.get(), 0, "x")), Code::kIoError);
}

TEST_F(SimSystemTest, FaultsHitTheCallAskedFor) {
  auto file = Create();
  system_.SetFault({.call = Call::kWrite, .skip = 1, .code = Code::kDiskFull, .partial = true});
  EXPECT_TRUE(Write(file.get(), 0, "aa").ok());
  EXPECT_EQ(CodeOf(Write(file.get(), 0, "bb")), Code::kDiskFull);
  EXPECT_EQ(Read(file.get(), 0, 2), "ba");
  EXPECT_TRUE(Write(file.get(), 0, "cc").ok());
  system_.SetFault({.for_ever = true});
  EXPECT_EQ(CodeOf(file->SyncData()), Code::kIoError);
  EXPECT_EQ(CodeOf(file->Size().status()), Code::kIoError);
  system_.ClearFault();
  EXPECT_TRUE(file->SyncData().ok());
}

TEST_F(SimSystemTest, ADiskCanBeFull) {
  system_.set_capacity(3 * 4096);
  auto file = Create();
  EXPECT_TRUE(Write(file.get(), 0, std::string(8192, 'x')).ok());
  EXPECT_TRUE(file->Resize(1 << 20).ok());
  EXPECT_EQ(CodeOf(file->Preallocate(8192, 8192)), Code::kDiskFull);
  EXPECT_TRUE(Write(file.get(), 65536, "x").ok());
  EXPECT_EQ(CodeOf(Write(file.get(), 131072, "x")), Code::kDiskFull);
  EXPECT_TRUE(Write(file.get(), 65537, "x").ok());
  ASSERT_TRUE(file->Resize(4096).ok());
  EXPECT_EQ(system_.allocated_bytes(), 4096u);
}

TEST_F(SimSystemTest, ARestartedSystemHoldsItsImage) {
  auto file = Create();
  ASSERT_TRUE(Write(file.get(), 5000, "x").ok());
  DiskImage image = system_.Snapshot();
  SimSystem next(image, 1, 2);
  EXPECT_EQ(next.BootId(), 2u);
  auto again = *next.Open("/d/f", OpenMode::kReadWrite, 0);
  EXPECT_EQ(Read(again.get(), 5000, 1), "x");
  EXPECT_EQ(next.Snapshot().Hash(), image.Hash());
  ASSERT_TRUE(Write(again.get(), 0, "y").ok());
  EXPECT_NE(next.Snapshot().Hash(), image.Hash());
}

TEST_F(SimSystemTest, UnsyncedNamesMayBeMissing) {
  auto file = Create();
  ASSERT_TRUE(file->SyncData().ok());
  EXPECT_EQ(PossibleContents(0, {}), (std::set<std::string>{"-", ""}));
  ASSERT_TRUE(system_.SyncDirectoryOf("/d/other").ok());
  EXPECT_EQ(PossibleContents(0, {}), (std::set<std::string>{""}));
}

TEST_F(SimSystemTest, UnsyncedWritesMayBeMissingOneByOne) {
  auto file = Create();
  ASSERT_TRUE(Write(file.get(), 0, std::string(8192, 'a')).ok());
  ASSERT_TRUE(file->SyncData().ok());
  ASSERT_TRUE(system_.SyncDirectoryOf("/d/f").ok());
  EXPECT_EQ(PossibleContents(2, {0, 4096}), (std::set<std::string>{"aa"}));
  ASSERT_TRUE(Write(file.get(), 0, std::string(8192, 'b')).ok());
  std::set<std::string> possible = PossibleContents(2, {0, 4096});
  for (const char* contents : {"aa", "ab", "ba", "bb"}) {
    EXPECT_TRUE(possible.contains(contents)) << contents;
  }
  ASSERT_TRUE(file->SyncData().ok());
  EXPECT_EQ(PossibleContents(2, {0, 4096}), (std::set<std::string>{"bb"}));
}

TEST_F(SimSystemTest, SectorsOfAWriteMayBeMissing) {
  auto file = Create();
  ASSERT_TRUE(Write(file.get(), 0, std::string(4096, 'a')).ok());
  ASSERT_TRUE(file->SyncData().ok());
  ASSERT_TRUE(system_.SyncDirectoryOf("/d/f").ok());
  ASSERT_TRUE(Write(file.get(), 0, std::string(4096, 'b')).ok());
  std::set<std::string> possible = PossibleContents(3, {0, 512, 1024});
  for (const char* contents : {"baa", "abb", "bab", "aba", "bba"}) {
    EXPECT_TRUE(possible.contains(contents)) << contents;
  }
}

TEST_F(SimSystemTest, SizeAndContentsPersistApart) {
  auto file = Create();
  ASSERT_TRUE(Write(file.get(), 0, std::string(4096, 'a')).ok());
  ASSERT_TRUE(file->SyncData().ok());
  ASSERT_TRUE(system_.SyncDirectoryOf("/d/f").ok());
  ASSERT_TRUE(Write(file.get(), 4096, std::string(4096, 'b')).ok());
  std::set<std::string> possible = PossibleContents(2, {0, 4096});
  EXPECT_TRUE(possible.contains("a.") && possible.contains("a0") && possible.contains("ab"));
}

TEST_F(SimSystemTest, WhatAFailedSyncDroppedStaysInDoubtAfterALaterOne) {
  auto file = Create();
  ASSERT_TRUE(Write(file.get(), 0, std::string(8192, 'a')).ok());
  ASSERT_TRUE(file->SyncData().ok());
  ASSERT_TRUE(system_.SyncDirectoryOf("/d/f").ok());
  ASSERT_TRUE(Write(file.get(), 0, std::string(512, 'b')).ok());
  system_.SetFault({.call = Call::kSync});
  EXPECT_FALSE(file->SyncData().ok());
  ASSERT_TRUE(Write(file.get(), 4096, std::string(512, 'c')).ok());
  ASSERT_TRUE(file->SyncData().ok());
  EXPECT_EQ(Read(file.get(), 0, 1), "b");
  std::set<std::string> possible = PossibleContents(2, {0, 4096});
  EXPECT_TRUE(possible.contains("ac") && possible.contains("bc"));
  EXPECT_FALSE(possible.contains("aa") || possible.contains("ba"));
}

TEST_F(SimSystemTest, EqualContentsHaveEqualHashes) {
  FileImage a, b;
  a.Resize(10000);
  b.Resize(20000);
  b.Write(15000, "x");
  b.Resize(10000);
  EXPECT_EQ(a.Hash(), b.Hash());
  a.Write(5000, Slice("\0x", 2));
  EXPECT_NE(a.Hash(), b.Hash());
  b.Write(5001, "x");
  EXPECT_EQ(a.Hash(), b.Hash());
}

}  // namespace
}  // namespace johnny::sim
