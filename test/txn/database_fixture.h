// A database in a simulated system, below the C API.
#ifndef JOHNNY_TEST_TXN_DATABASE_FIXTURE_H_
#define JOHNNY_TEST_TXN_DATABASE_FIXTURE_H_

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "env/env.h"
#include "support/sim_system.h"
#include "txn/txn.h"

namespace johnny::txn {

using Model = std::map<std::string, std::string>;

// Whether nobody holds the lock.
inline bool IsFree(WriterLock* lock) {
  bool fresh = false;
  bool free = lock->Acquire(0, &fresh).ok();
  if (free) {
    lock->Release();
  }
  return free;
}

class DatabaseFile {
 public:
  explicit DatabaseFile(Durability durability = Durability::kTwoPhase) {
    options_.create = true;
    options_.database.address_space = sim::SimSystem::kReserve;
    options_.database.durability = durability;
    options_.database.memory_budget = 1 << 20;
    options_.database.max_readers = 8;
  }
  ~DatabaseFile() {
    if (db_ != nullptr) {
      Crash();
    }
  }

  absl::Status Open() {
    auto db = env::Open(system_.get(), kPath, options_);
    if (db.ok()) {
      db_ = *std::move(db);
    }
    return db.status();
  }
  void MustOpen() {
    absl::Status status = Open();
    ASSERT_TRUE(status.ok()) << status;
  }
  absl::Status Close() {
    absl::Status status = env::Close(db_.get());
    db_.reset();
    return status;
  }
  // The process dies; what it wrote is in the files.
  void Crash() {
    system_->Kill();
    db_.reset();
    system_->Revive();
  }
  // As Crash(), and the machine restarts; everything written has reached the disk.
  void Restart(uint64_t boot_id) {
    Crash();
    sim::DiskImage image = system_->Snapshot();
    system_ = std::make_unique<sim::SimSystem>(image, boot_id, boot_id);
  }

  // Runs one write transaction with one put.
  absl::Status Put(Slice key, Slice value, Durability durability = Durability::kDefault) {
    Txn txn(db_.get());
    absl::Status status = txn.BeginWrite(os::kWaitForEver);
    if (!status.ok()) {
      return status;
    }
    ids_.push_back(txn.id());
    status = txn.Put(txn.Resolve(nullptr, &status), key, value, tree::PutMode::kUpsert);
    return status.ok() ? txn.Commit(durability) : status;
  }
  void MustPut(Slice key, Slice value, Durability durability = Durability::kDefault) {
    absl::Status status = Put(key, value, durability);
    ASSERT_TRUE(status.ok()) << status;
  }
  // Entries that make a tree of several levels.
  void Fill(uint64_t n) {
    Txn txn(db_.get());
    ASSERT_TRUE(txn.BeginWrite(os::kWaitForEver).ok());
    absl::Status status;
    TableState* main = txn.Resolve(nullptr, &status);
    for (uint64_t i = 0; i < n; ++i) {
      ASSERT_TRUE(txn.Put(main, "fill" + std::to_string(i), std::string(100, 'f'), tree::PutMode::kUpsert).ok());
    }
    ASSERT_TRUE(txn.Commit(Durability::kDefault).ok());
  }

  static Model Contents(Txn* txn, const Table* table = nullptr) {
    Model contents;
    absl::Status status;
    TableState* state = txn->Resolve(table, &status);
    if (state == nullptr) {
      ADD_FAILURE() << status;
      return contents;
    }
    Cursor cursor(&txn->view(), &state->record);
    Lookup result = Lookup::kFound;
    while ((result = cursor.Next()) == Lookup::kFound) {
      Slice value;
      EXPECT_EQ(txn->ValueOf(cursor.entry().value, &value), Lookup::kFound);
      contents.emplace(cursor.entry().key, value);
    }
    EXPECT_EQ(result, Lookup::kNotFound) << txn->TakeError();
    return contents;
  }
  Model Contents() {
    Txn txn(db_.get());
    EXPECT_TRUE(txn.BeginRead().ok());
    return Contents(&txn);
  }

  // ---- The file ----
  std::unique_ptr<os::File> File() { return *system_->Open(kPath, os::OpenMode::kReadWrite, 0); }
  std::string Read(uint64_t offset, size_t size) {
    std::string bytes(size, '?');
    EXPECT_TRUE(File()->ReadAt(offset, bytes.data(), size).ok());
    return bytes;
  }
  void Write(uint64_t offset, Slice bytes) { ASSERT_TRUE(File()->WriteAt(offset, absl::MakeConstSpan(&bytes, 1)).ok()); }
  void Flip(uint64_t offset) {
    std::string byte = Read(offset, 1);
    byte[0] ^= 1;
    Write(offset, byte);
  }
  void FlipPage(PageNumber page) { Flip(page * 4096 + 2000); }
  absl::StatusOr<format::MasterPage> Master(int slot) {
    std::string bytes = Read(format::kMasterSlotOffset[slot], format::kMasterPageSize);
    return format::DecodeMasterPage(Data(bytes), slot);
  }
  // Changes a field of a master page, with the right checksum.
  template <typename Change>
  void ForgeMaster(int slot, Change change) {
    auto master = Master(slot);
    ASSERT_TRUE(master.ok()) << master.status();
    change(&*master);
    std::string bytes(format::kMasterPageSize, '\0');
    format::EncodeMasterPage(*master, reinterpret_cast<Byte*>(bytes.data()));
    Write(format::kMasterSlotOffset[slot], bytes);
  }

  Database& db() { return *db_; }
  sim::SimSystem& system() { return *system_; }
  env::OpenOptions& options() { return options_; }
  const std::vector<TxnId>& ids() const { return ids_; }

  static constexpr char kPath[] = "/db";

 private:
  std::unique_ptr<sim::SimSystem> system_ = std::make_unique<sim::SimSystem>();
  env::OpenOptions options_;
  std::unique_ptr<Database> db_;
  std::vector<TxnId> ids_;  // handed out to Put()
};

}  // namespace johnny::txn

#endif  // JOHNNY_TEST_TXN_DATABASE_FIXTURE_H_
