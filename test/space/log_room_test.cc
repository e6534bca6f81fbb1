// Room for the free log itself, in files larger than the simulated system holds.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/status.h"
#include "space/free_space.h"

namespace johnny::space {
namespace {

// Knows its size and no contents.
class HollowFile : public os::File {
 public:
  absl::Status ReadAt(uint64_t, void*, size_t) override { return MakeStatus(Code::kIoError, "hollow"); }
  absl::Status WriteAt(uint64_t offset, absl::Span<const Slice> pieces) override {
    for (Slice piece : pieces) {
      offset += piece.size();
    }
    size_ = std::max(size_, offset);
    return absl::OkStatus();
  }
  absl::Status SyncData() override { return absl::OkStatus(); }
  absl::StatusOr<uint64_t> Size() override { return size_; }
  absl::Status Resize(uint64_t size) override {
    size_ = size;
    return absl::OkStatus();
  }
  absl::Status Preallocate(uint64_t offset, uint64_t size) override {
    size_ = std::max(size_, offset + size);
    return absl::OkStatus();
  }
  absl::StatusOr<std::unique_ptr<os::Mapping>> Map(uint64_t reserve) override { return std::make_unique<HollowMapping>(reserve); }
  absl::StatusOr<std::unique_ptr<os::SharedMapping>> MapShared(uint64_t) override { return MakeStatus(Code::kIoError, "hollow"); }
  absl::StatusOr<os::FileIdentity> Identity() override { return os::FileIdentity{}; }
  absl::Status SetPermissions(uint32_t) override { return absl::OkStatus(); }
  bool IsOnNetwork() override { return false; }
  absl::Status Lock(uint64_t, LockKind, uint32_t) override { return absl::OkStatus(); }
  void Unlock(uint64_t) override {}
  absl::StatusOr<bool> IsLockedByOthers(uint64_t) override { return false; }

 private:
  class HollowMapping : public os::Mapping {
   public:
    explicit HollowMapping(uint64_t reserved) : reserved_(reserved) {}
    const Byte* data() const override { return nullptr; }
    uint64_t reserved() const override { return reserved_; }

   private:
    uint64_t reserved_;
  };
  uint64_t size_ = format::kMasterRegion;
};

class LogRoomTest : public testing::Test {
 protected:
  static constexpr uint64_t kLimit = 230000;

  void SetUp() override { ASSERT_TRUE(space_.Load(pager::View(store_.get(), format::FirstPage(4096), nullptr), {}, 1).ok()); }
  void Begin() { space_.Begin(++txn_); }
  Code Seal() { return CodeOf(space_.Seal().status()); }
  void Commit() {
    ASSERT_EQ(Seal(), Code::kOk);
    space_.Commit();
    newest_ = txn_;
  }
  // Takes pages until puts are refused.
  std::vector<space::Run> FillUp() {
    uint64_t pages = 0;
    while (space_.Reserve(1, false).ok()) {
      ++pages;
    }
    std::vector<space::Run> runs;
    EXPECT_TRUE(space_.Allocate(pages, Use::kData, &runs).ok());
    return runs;
  }
  static std::vector<PageNumber> PagesOf(const std::vector<space::Run>& runs) {
    std::vector<PageNumber> pages;
    for (const space::Run& run : runs) {
      for (PageNumber page = run.first; page < run.end(); ++page) {
        pages.push_back(page);
      }
    }
    return pages;
  }
  std::vector<TxnId> Pinned() const {
    return reader_ == 0 || reader_ == newest_ ? std::vector<TxnId>{newest_} : std::vector<TxnId>{reader_, newest_};
  }

  HollowFile file_;
  std::unique_ptr<pager::PageStore> store_ = *pager::PageStore::Create(&file_, 4096, 1, uint64_t{1} << 30);
  FreeSpace space_{&file_, store_.get(), {.limit_pages = kLimit, .has_size_limit = true}, [this] { return Pinned(); }};
  TxnId txn_ = 1;
  TxnId newest_ = 1;
  TxnId reader_ = 0;
};

// Invariant 3: what was reserved, the log's share included, is there at the commit, however large the segments become when
// scattered pending pages are condensed for the first time.
TEST_F(LogRoomTest, CondensingScatteredPendingPagesHasItsRoomReserved) {
  Begin();
  std::vector<space::Run> runs = FillUp();
  TxnId born = txn_;
  Commit();
  reader_ = born;  // holds everything that is freed from here on
  Begin();
  for (const space::Run& run : runs) {
    for (PageNumber page = run.first; page < run.end(); page += 2) {
      ASSERT_TRUE(space_.Reserve(1, true).ok());
      space_.Unreserve(1);
      EXPECT_TRUE(space_.Free(page, 1, born).ok());
    }
  }
  Commit();
  Begin();
  FillUp();
  EXPECT_EQ(Seal(), Code::kOk);
  space_.Rollback();
  Begin();
  EXPECT_EQ(Seal(), Code::kOk) << "what takes less gets through";
}

// Then condensing waits, and what is deleted gets through all the same: beside the reader as far as the reserve goes, behind it
// for good.
TEST_F(LogRoomTest, DeletingGoesOnInAFullFileWithoutRoomToCondense) {
  Begin();
  std::vector<PageNumber> pages = PagesOf(FillUp());
  TxnId born = txn_;
  Commit();
  reader_ = born;
  Begin();
  for (size_t i = 0; i < pages.size(); i += 2) {
    ASSERT_TRUE(space_.Reserve(1, true).ok());
    space_.Unreserve(1);
    ASSERT_TRUE(space_.Free(pages[i], 1, born).ok());
  }
  Commit();
  Begin();
  FillUp();
  Commit();
  size_t next = 1;
  // As a delete that copies one page and drops another.
  auto commit_delete = [&] {
    Begin();
    space_.ReleasePending();
    ASSERT_TRUE(space_.Reserve(1, true).ok());
    space_.Unreserve(1);
    std::vector<space::Run> runs;
    ASSERT_TRUE(space_.Allocate(1, Use::kMeta, &runs).ok());
    for (int i = 0; i < 2; ++i, next += 2) {
      ASSERT_TRUE(space_.Free(pages[next], 1, born).ok());
    }
    Commit();
  };
  for (int i = 0; i < 10 && !HasFatalFailure(); ++i) {
    commit_delete();
    EXPECT_TRUE(space_.segments().empty());
  }
  reader_ = 0;
  for (int i = 0; i < 200 && !HasFatalFailure(); ++i) {
    commit_delete();
  }
  EXPECT_FALSE(space_.segments().empty());
}

}  // namespace
}  // namespace johnny::space
