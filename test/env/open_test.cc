#include <gtest/gtest.h>

#include "txn/database_fixture.h"

namespace johnny::env {
namespace {

using format::MasterPage;
using txn::DatabaseFile;
using txn::Model;

TEST(OpenTest, ANewDatabaseHasTwoCleanDurableMasters) {
  for (uint32_t page_size : {4096u, 8192u, 16384u, 32768u}) {
    DatabaseFile file;
    file.options().page_size = page_size;
    file.MustOpen();
    EXPECT_TRUE(file.db().opened_clean);
    EXPECT_EQ(file.db().page_size(), page_size);
    EXPECT_EQ(file.system().Snapshot().names.size(), 1u) << "the temporary name is gone";
    for (int slot : {0, 1}) {
      auto master = file.Master(slot);
      ASSERT_TRUE(master.ok()) << master.status();
      EXPECT_TRUE(master->durable() && master->clean());
      EXPECT_GT(master->id_ceiling, master->txn);
      EXPECT_EQ(master->page_size, page_size);
      EXPECT_NE(master->database_id, 0u);
    }
    EXPECT_EQ(file.Read(format::kSyncMarkOffset, 512), std::string(512, '\0'));
    EXPECT_EQ(file.Contents(), Model());
  }
}

TEST(OpenTest, CreatesOnlyWhenAskedTo) {
  DatabaseFile file;
  file.options().create = false;
  EXPECT_EQ(CodeOf(file.Open()), Code::kNoSuchFile);
  file.options().create = file.options().database.read_only = true;
  EXPECT_EQ(CodeOf(file.Open()), Code::kNoSuchFile);
  EXPECT_TRUE(file.system().Snapshot().names.empty());
  file.options().database.read_only = false;
  file.options().exclusive = true;
  file.MustOpen();
  file.MustPut("k", "v");
  EXPECT_TRUE(file.Close().ok());
  EXPECT_EQ(CodeOf(file.Open()), Code::kExists);
  file.options().exclusive = false;
  file.options().page_size = 16384;
  file.MustOpen();
  EXPECT_EQ(file.db().page_size(), 4096u) << "the file's page size counts";
  EXPECT_EQ(file.Contents(), (Model{{"k", "v"}}));
}

TEST(OpenTest, AFailedCreationLeavesNoHalfDatabase) {
  for (uint64_t call = 0;; ++call) {
    DatabaseFile file;
    file.system().SetFault({.skip = call});
    absl::Status status = file.Open();
    bool fired = file.system().faults_fired() > 0;
    file.system().ClearFault();
    if (status.ok()) {
      EXPECT_FALSE(fired) << "call " << call << " failed unnoticed";
      EXPECT_GT(call, 6u);
      return;
    }
    file.MustOpen();
    EXPECT_EQ(file.Contents(), Model()) << "after a failure of call " << call;
    file.MustPut("k", "v");
  }
}

TEST(OpenTest, ANetworkFileSystemIsRefusedUnlessItIsAskedFor) {
  DatabaseFile file;
  file.MustOpen();
  file.MustPut("k", "v");
  EXPECT_TRUE(file.Close().ok());
  file.system().set_on_network(true);
  absl::Status refused = file.Open();
  EXPECT_EQ(CodeOf(refused), Code::kNetwork);
  EXPECT_NE(refused.message().find(std::string(DatabaseFile::kPath) + ": on a network file system"), std::string::npos)
      << refused;
  file.options().allow_network = true;
  file.MustOpen();
  EXPECT_EQ(file.Contents(), (Model{{"k", "v"}}));
}

TEST(OpenTest, OtherFilesAreNotDatabases) {
  DatabaseFile file;
  auto other = *file.system().Open(DatabaseFile::kPath, os::OpenMode::kCreateNew, 0600);
  EXPECT_EQ(CodeOf(file.Open()), Code::kNotADatabase) << "empty, and never taken for new";
  file.Write(0, std::string(format::kMasterRegion - 1, 'x'));
  EXPECT_EQ(CodeOf(file.Open()), Code::kNotADatabase);
  file.Write(0, std::string(format::kMasterRegion, '\0'));
  EXPECT_EQ(CodeOf(file.Open()), Code::kNotADatabase);
}

TEST(OpenTest, WithoutAnySoundMasterTheFileIsCorrupt) {
  DatabaseFile file;
  file.MustOpen();
  EXPECT_TRUE(file.Close().ok());
  for (int slot : {0, 1}) {
    file.Flip(format::kMasterSlotOffset[slot] + 100);
  }
  EXPECT_EQ(CodeOf(file.Open()), Code::kCorrupt);
  file.Write(0, std::string(8, '\0'));  // one without its magic number, one with a wrong checksum
  EXPECT_EQ(CodeOf(file.Open()), Code::kCorrupt);
}

TEST(OpenTest, NewerFormatsAreRefusedWhicheverSlotSaysSo) {
  for (int slot : {0, 1}) {
    DatabaseFile file;
    file.MustOpen();
    EXPECT_TRUE(file.Close().ok());
    file.ForgeMaster(slot, [](MasterPage* master) { master->format_version = format::kFormatVersion + 1; });
    EXPECT_EQ(CodeOf(file.Open()), Code::kVersionMismatch);
    file.options().database.read_only = true;
    EXPECT_EQ(CodeOf(file.Open()), Code::kVersionMismatch);
  }
  DatabaseFile file;
  file.MustOpen();
  EXPECT_TRUE(file.Close().ok());
  file.ForgeMaster(0, [](MasterPage* master) { master->incompatible_features = 1; });
  EXPECT_EQ(CodeOf(file.Open()), Code::kVersionMismatch);
}

TEST(OpenTest, ReadOnlyCompatibleFeaturesForbidWriting) {
  DatabaseFile file;
  file.MustOpen();
  EXPECT_TRUE(file.Close().ok());
  file.ForgeMaster(0, [](MasterPage* master) { master->read_only_compatible_features = 1; });
  EXPECT_EQ(CodeOf(file.Open()), Code::kVersionMismatch);
  file.options().database.read_only = true;
  EXPECT_TRUE(file.Open().ok());
}

TEST(OpenTest, UnknownCompatibleFeaturesArePassedOn) {
  DatabaseFile file;
  file.MustOpen();
  EXPECT_TRUE(file.Close().ok());
  for (int slot : {0, 1}) {
    file.ForgeMaster(slot, [](MasterPage* master) { master->compatible_features = 0x40; });
  }
  file.MustOpen();
  file.MustPut("k", "v");
  EXPECT_EQ(file.Master(file.db().newest_slot)->compatible_features, 0x40u);
}

TEST(OpenTest, OthersJoin) {
  DatabaseFile file;
  file.MustOpen();
  auto process = file.system().NewProcess();
  auto open = [&](bool read_only) {
    OpenOptions options = file.options();
    options.database.read_only = read_only;
    return Open(process.get(), DatabaseFile::kPath, options);
  };
  auto writer = open(false);
  auto reader = open(true);
  ASSERT_TRUE(writer.ok() && reader.ok());
  TxnId before = (*reader)->board.newest();
  file.MustPut("k", "v");
  EXPECT_GT((*reader)->board.newest(), before);
  EXPECT_EQ((*writer)->board.newest(), (*reader)->board.newest());
  writer->reset();
  reader->reset();
}

TEST(OpenTest, WithoutALockFileThereIsOneWriterOrManyReaders) {
  DatabaseFile file;
  file.options().use_lock_file = false;
  file.MustOpen();
  auto open = [&](bool read_only) {
    OpenOptions options = file.options();
    options.database.read_only = read_only;
    return Open(&file.system(), DatabaseFile::kPath, options);
  };
  EXPECT_EQ(CodeOf(open(false).status()), Code::kBusy);
  EXPECT_EQ(CodeOf(open(true).status()), Code::kBusy);
  EXPECT_TRUE(file.Close().ok());
  auto one = open(true), two = open(true);
  EXPECT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(CodeOf(open(false).status()), Code::kBusy);
  one->reset();
  two->reset();
  EXPECT_TRUE(open(false).ok());
}

TEST(OpenTest, ReadOnlyOpensChangeNothing) {
  DatabaseFile file;
  file.MustOpen();
  file.MustPut("k", "v");
  file.Crash();
  sim::Hash128 before = file.system().Snapshot().Hash();
  file.options().database.read_only = true;
  file.MustOpen();
  EXPECT_EQ(file.Contents(), (Model{{"k", "v"}}));
  EXPECT_FALSE(file.db().opened_clean);
  EXPECT_TRUE(file.Close().ok());
  EXPECT_TRUE(file.system().Snapshot().Hash() == before);
}

TEST(CloseTest, MarksTheFileCleanUntilTheNextCommit) {
  DatabaseFile file;
  file.MustOpen();
  file.MustPut("k", "v");
  EXPECT_FALSE(file.Master(file.db().newest_slot)->clean());
  EXPECT_TRUE(file.Close().ok());
  file.MustOpen();
  EXPECT_TRUE(file.db().opened_clean);
  uint64_t writes = file.system().calls(sim::Call::kWrite);
  EXPECT_TRUE(file.Close().ok());
  EXPECT_EQ(file.system().calls(sim::Call::kWrite), writes) << "a clean file that was only looked at stays as it is";
  file.MustOpen();
  file.MustPut("l", "w");
  file.Crash();
  file.MustOpen();
  EXPECT_FALSE(file.db().opened_clean);
}

TEST(CloseTest, MakesLazyCommitsDurable) {
  DatabaseFile file(txn::Durability::kLazy);
  file.MustOpen();
  file.MustPut("k", "v");
  TxnId txn = file.ids().back();
  EXPECT_TRUE(file.Close().ok());
  auto first = file.Master(0), second = file.Master(1);
  ASSERT_TRUE(first.ok() && second.ok());
  const MasterPage& newest =
      std::pair(first->txn, first->id_ceiling) > std::pair(second->txn, second->id_ceiling) ? *first : *second;
  EXPECT_EQ(newest.txn, txn);
  EXPECT_TRUE(newest.durable() && newest.clean());
}

TEST(CloseTest, AFailedCloseIsReportedAndLosesNothing) {
  for (sim::Call call : {sim::Call::kWrite, sim::Call::kSync}) {
    DatabaseFile file;
    file.MustOpen();
    file.MustPut("k", "v");
    file.system().SetFault({.call = call});
    EXPECT_EQ(CodeOf(file.Close()), Code::kIoError);
    file.MustOpen();
    EXPECT_EQ(file.Contents(), (Model{{"k", "v"}}));
    EXPECT_FALSE(file.db().opened_clean);
  }
}

}  // namespace
}  // namespace johnny::env
