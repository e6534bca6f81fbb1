// A file in memory with a free set, committed to and loaded as a database does, but with no trees.
#ifndef JOHNNY_TEST_SPACE_SPACE_FIXTURE_H_
#define JOHNNY_TEST_SPACE_SPACE_FIXTURE_H_

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "base/status.h"
#include "space/free_space.h"
#include "support/sim_system.h"

namespace johnny::space {

// A page's last life, and the snapshot that its reuse waits for.
using PendingPages = std::map<PageNumber, std::tuple<TxnId, TxnId, TxnId>>;

struct FreeState {
  std::set<PageNumber> free;
  PendingPages pending;
  PageNumber page_count = 0;
  friend bool operator==(const FreeState&, const FreeState&) = default;
};

inline FreeState StateOf(const FreeSpace& space) {
  FreeState state;
  state.page_count = space.page_count();
  for (const Run& run : space.FreeRuns()) {
    for (PageNumber page = run.first; page < run.end(); ++page) {
      EXPECT_TRUE(state.free.insert(page).second) << "page " << page << " is free twice";
    }
  }
  uint64_t pending = 0;
  for (const auto& waiting : space.PendingRuns()) {
    for (PageNumber page = waiting.run.run.first; page < waiting.run.run.end(); ++page) {
      EXPECT_TRUE(state.pending.emplace(page, std::tuple(waiting.run.birth, waiting.run.death, waiting.waits_for)).second)
          << "page " << page << " is pending twice";
      ++pending;
    }
  }
  EXPECT_EQ(space.free_pages(), state.free.size());
  EXPECT_EQ(space.pending_pages(), pending);
  return state;
}

class SpaceFile {
 public:
  static constexpr uint64_t kDatabaseId = 0x1234567;

  explicit SpaceFile(uint32_t page_size = 4096, FreeSpaceOptions options = {.limit_pages = 12000}) : options_(options) {
    system_.set_recording(false);
    file_ = *system_.Open("/db", os::OpenMode::kCreateNew, 0600);
    EXPECT_TRUE(file_->Resize(format::kMasterRegion).ok());
    store_ = *pager::PageStore::Create(file_.get(), page_size, kDatabaseId, sim::SimSystem::kReserve);
    page_count_ = format::FirstPage(page_size);
    space_ = Load();
  }

  // What opening the database now would find.
  std::unique_ptr<FreeSpace> Load() {
    auto space = std::make_unique<FreeSpace>(file_.get(), store_.get(), options_, [this] { return Pinned(); });
    absl::Status status = space->Load(View(), newest_, txn_);
    EXPECT_TRUE(status.ok()) << status;
    return space;
  }
  void Reload() { space_ = Load(); }
  // Another process takes over: the transactions that follow are its.
  void Swap(std::unique_ptr<FreeSpace>* other) { std::swap(space_, *other); }
  absl::StatusOr<bool> CatchUp() { return space_->CatchUp(View(), newest_, txn_); }
  // What the database does once a smaller count is durable.
  void CutFile() {
    if (uint64_t surplus = space_->surplus_pages(); surplus > 0) {
      uint64_t pages = space_->file_pages() - surplus;
      ASSERT_TRUE(file_->Resize(pages * store_->page_size()).ok());
      space_->FileShrunk(pages);
    }
  }
  // What a master page says, and how recovery goes back to an earlier one.
  struct Master {
    format::ChildRef newest;
    PageNumber page_count;
    TxnId txn;
  };
  Master master() const { return {newest_, page_count_, txn_}; }
  void set_master(const Master& master) {
    newest_ = master.newest;
    page_count_ = master.page_count;
    txn_ = master.txn;
  }

  TxnId Begin() {
    space_->Begin(next_);
    return next_++;
  }
  // Reserves and takes pages.
  std::vector<PageNumber> Take(uint64_t pages, Use use = Use::kData) {
    std::vector<Run> runs;
    absl::Status status = space_->Reserve(pages, false);
    EXPECT_TRUE(status.ok()) << status;
    status = space_->Allocate(pages, use, &runs);
    EXPECT_TRUE(status.ok()) << status;
    std::vector<PageNumber> list;
    for (const Run& run : runs) {
      for (PageNumber page = run.first; page < run.end(); ++page) {
        list.push_back(page);
      }
    }
    EXPECT_EQ(list.size(), pages);
    return list;
  }
  absl::Status Seal() {
    auto sealed = space_->Seal();
    if (!sealed.ok()) {
      return sealed.status();
    }
    sealed_ = *std::move(sealed);
    return absl::OkStatus();
  }
  void Commit() {
    absl::Status status = Seal();
    ASSERT_TRUE(status.ok()) << status;
    uint32_t page_size = store_->page_size();
    for (size_t i = 0; i < sealed_.pages.size(); ++i) {
      Slice piece = MakeSlice(sealed_.bytes.get() + i * page_size, page_size);
      ASSERT_TRUE(file_->WriteAt(sealed_.pages[i] * page_size, absl::MakeConstSpan(&piece, 1)).ok());
    }
    page_count_ = space_->page_count();
    txn_ = next_ - 1;
    newest_ = sealed_.newest;
    space_->Commit();
  }

  // The newest snapshot and those of the readers, ascending.
  std::vector<TxnId> Pinned() const {
    std::set<TxnId> pinned(readers_.begin(), readers_.end());
    pinned.insert(txn_);
    return std::vector<TxnId>(pinned.begin(), pinned.end());
  }
  pager::View View() const { return pager::View(store_.get(), page_count_, nullptr); }
  // Pages of the free log itself.
  std::set<PageNumber> LogPages() const {
    std::set<PageNumber> pages;
    for (const auto& record : space_->records()) {
      pages.insert(record.pages.begin(), record.pages.end());
    }
    for (const SegmentRef& segment : space_->segments()) {
      pages.insert(segment.pages.begin(), segment.pages.end());
    }
    return pages;
  }

  FreeSpace& space() { return *space_; }
  sim::SimSystem& system() { return system_; }
  os::File* file() { return file_.get(); }
  const pager::PageStore& store() const { return *store_; }
  TxnId newest_txn() const { return txn_; }
  PageNumber page_count() const { return page_count_; }
  std::multiset<TxnId>& readers() { return readers_; }

 private:
  sim::SimSystem system_;
  FreeSpaceOptions options_;
  std::unique_ptr<os::File> file_;
  std::unique_ptr<pager::PageStore> store_;
  std::unique_ptr<FreeSpace> space_;
  std::multiset<TxnId> readers_;
  SealedLog sealed_;
  format::ChildRef newest_;
  PageNumber page_count_ = 0;
  TxnId txn_ = 1;
  TxnId next_ = 2;
};

}  // namespace johnny::space

#endif  // JOHNNY_TEST_SPACE_SPACE_FIXTURE_H_
