// One tree in a file in memory, with transactions around it as lib/txn has them, and a check of all that a tree must keep.
#ifndef JOHNNY_TEST_TREE_TREE_FIXTURE_H_
#define JOHNNY_TEST_TREE_TREE_FIXTURE_H_

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "node/vet.h"
#include "pager/extent.h"
#include "support/sim_system.h"
#include "tree/writer.h"

namespace johnny::tree {

using Model = std::map<std::string, std::string>;

struct TreeOptions {
  uint32_t page_size = 4096;
  uint64_t limit_pages = 0;  // 0: what the simulated file can hold
  uint64_t memory_budget = uint64_t{64} << 20;
};

class TreeFile {
 public:
  explicit TreeFile(TreeOptions options = {}) {
    system_.set_recording(false);
    file_ = *system_.Open("/db", os::OpenMode::kCreateNew, 0600);
    EXPECT_TRUE(file_->Resize(format::kMasterRegion).ok());
    store_ = *pager::PageStore::Create(file_.get(), options.page_size, 77, sim::SimSystem::kReserve);
    frames_ = *pager::FrameArena::Create(options.page_size, options.memory_budget);
    space::FreeSpaceOptions space_options;
    space_options.limit_pages = options.limit_pages != 0 ? options.limit_pages : sim::SimSystem::kReserve / options.page_size;
    space_options.has_size_limit = options.limit_pages != 0;
    space_ = std::make_unique<space::FreeSpace>(file_.get(), store_.get(), space_options, [this] { return Pinned(); });
    EXPECT_TRUE(space_->Load(pager::View(store_.get(), format::FirstPage(options.page_size), nullptr), {}, 1).ok());
    committed_pages_ = space_->page_count();
  }

  // ---- Transactions ----
  void Begin() {
    frames_.Reset();
    space_->Begin(next_);
    view_ = pager::View(store_.get(), space_->page_count(), &frames_);
    context_ = {&view_, &frames_, space_.get(), file_.get(), next_};
    record_ = committed_;
  }
  absl::Status Put(Slice key, Slice value, PutMode mode = PutMode::kUpsert) {
    frames_.Tick();
    if (frames_.over_budget()) {
      Spill();
    }
    return TreeWriter(&context_, &record_).Put(key, value, mode);
  }
  absl::Status Erase(Slice key, bool* found) {
    frames_.Tick();
    return TreeWriter(&context_, &record_).Erase(key, found);
  }
  bool Erase(Slice key) {
    bool found = false;
    absl::Status status = Erase(key, &found);
    EXPECT_TRUE(status.ok()) << status;
    return found;
  }
  absl::Status Clear() { return TreeWriter(&context_, &record_).Clear(); }
  void Spill() {
    TableRecord* record = &record_;
    absl::Status status = tree::Spill(context_, absl::MakeConstSpan(&record, 1), &spilled_);
    EXPECT_TRUE(status.ok()) << status;
  }
  void Abort() {
    space_->Rollback();
    frames_.Reset();
    record_ = committed_;
    view_ = pager::View(store_.get(), committed_pages_, nullptr);
  }
  void BeginNested() {
    outer_.push_back(record_);
    space_->BeginNested();
    frames_.BeginNested();
  }
  void CommitNested() {
    outer_.pop_back();
    space_->CommitNested();
    frames_.CommitNested();
  }
  void AbortNested() {
    record_ = outer_.back();
    outer_.pop_back();
    space_->AbortNested();
    frames_.AbortNested();
    view_.set_page_count(space_->page_count());
  }
  void Commit() {
    std::vector<FrameToSeal> dirty;
    CollectFrames(frames_, &record_, UINT32_MAX, &dirty);
    EXPECT_EQ(dirty.size(), frames_.live()) << "every live frame is in the tree";
    auto leaves = static_cast<uint64_t>(std::count_if(dirty.begin(), dirty.end(), [](const auto& f) { return f.level == 0; }));
    std::vector<space::Run> leaf_runs, branch_runs;
    ASSERT_TRUE(space_->Allocate(leaves, space::Use::kData, &leaf_runs).ok());
    ASSERT_TRUE(space_->Allocate(dirty.size() - leaves, space::Use::kMeta, &branch_runs).ok());
    PageStream leaf_stream(context_, std::move(leaf_runs)), branch_stream(context_, std::move(branch_runs));
    EXPECT_TRUE(SealFrames(context_, dirty, &leaf_stream, &branch_stream).ok());
    ASSERT_TRUE(leaf_stream.writer.Flush().ok());
    auto log = space_->Seal();
    ASSERT_TRUE(log.ok()) << log.status();
    for (size_t i = 0; i < log->pages.size(); ++i) {
      ASSERT_TRUE(branch_stream.writer.Add(log->pages[i], log->bytes.get() + i * store_->page_size()).ok());
    }
    ASSERT_TRUE(branch_stream.writer.Flush().ok());
    space_->Commit();
    frames_.Reset();
    committed_ = record_;
    committed_pages_ = space_->page_count();
    txn_ = next_++;
    view_ = CommittedView();
  }

  // ---- Reading ----
  // A view that a reader would have now. To keep what it sees, hold its transaction in readers().
  pager::View CommittedView() const { return pager::View(store_.get(), committed_pages_, nullptr); }
  const TableRecord& committed() const { return committed_; }
  std::multiset<TxnId>& readers() { return readers_; }
  TxnId newest() const { return txn_; }

  static Model Contents(const pager::View& view, const TableRecord& record) {
    Model contents;
    Path path;
    Lookup result = SearchEdge(view, record, false, &path);
    while (result == Lookup::kFound) {
      for (; path.leaf().index < node::Header(path.leaf().page)->count; ++path.leaf().index) {
        node::LeafEntry entry = node::GetLeafEntry(path.leaf().page, path.leaf().index);
        std::string value(entry.value.bytes);
        if (entry.value.is_extent) {
          auto bytes = pager::ReadExtent(view, format::LoadExtentRef(entry.value.bytes.data()));
          EXPECT_TRUE(bytes.ok()) << bytes.status();
          value = bytes.ok() ? std::string(*bytes) : "";
        }
        EXPECT_TRUE(contents.emplace(entry.key, value).second);
      }
      result = StepLeaf(view, true, &path);
    }
    EXPECT_EQ(result, Lookup::kNotFound) << view.TakeError();
    return contents;
  }
  Model Contents() const { return Contents(view_, record_); }

  // ---- Checking ----
  struct Shape {
    uint64_t leaves = 0, branches = 0, extents = 0, large_values = 0, frames = 0, entries = 0;
    uint64_t leaf_bytes = 0;
    std::set<PageNumber> pages;
    double fill(uint32_t page_size) const { return static_cast<double>(leaf_bytes) / static_cast<double>(leaves * page_size); }
  };
  // Checks the laws of trees, and that the record tells the truth.
  Shape Check() {
    Shape shape;
    if (!record_.empty()) {
      Walk(record_.root, record_.level, "", nullptr, true, &shape);
    }
    EXPECT_EQ(record_.root.entries, shape.entries);
    EXPECT_EQ(record_.leaf_pages, shape.leaves);
    EXPECT_EQ(record_.branch_pages, shape.branches);
    EXPECT_EQ(record_.extent_pages, shape.extents);
    EXPECT_EQ(record_.large_values, shape.large_values);
    EXPECT_EQ(outer_.empty() ? frames_.live() : shape.frames, shape.frames) << "a live frame is referred to exactly once";
    return shape;
  }
  // After a commit: nothing has leaked, nothing is used twice.
  void CheckSpace() {
    Shape shape = Check();
    for (const auto& record : space_->records()) {
      shape.pages.insert(record.pages.begin(), record.pages.end());
    }
    for (const auto& segment : space_->segments()) {
      shape.pages.insert(segment.pages.begin(), segment.pages.end());
    }
    EXPECT_EQ(shape.pages.size() + space_->free_pages() + space_->pending_pages() + format::FirstPage(store_->page_size()),
              space_->page_count());
    for (const space::Run& run : space_->FreeRuns()) {
      auto used = shape.pages.lower_bound(run.first);
      EXPECT_TRUE(used == shape.pages.end() || *used >= run.end()) << "page " << *used << " is free and in use";
    }
  }

  TableRecord& record() { return record_; }
  pager::View& view() { return view_; }
  pager::FrameArena& frames() { return frames_; }
  space::FreeSpace& space() { return *space_; }
  sim::SimSystem& system() { return system_; }
  os::File* file() { return file_.get(); }
  const pager::PageStore& store() const { return *store_; }
  const WriteContext& context() const { return context_; }
  void set_soon_synced(bool soon_synced) { context_.soon_synced = soon_synced; }
  uint64_t spilled() const { return spilled_; }
  uint32_t page_size() const { return store_->page_size(); }

 private:
  std::vector<TxnId> Pinned() const {
    std::set<TxnId> pinned(readers_.begin(), readers_.end());
    pinned.insert(txn_);
    return std::vector<TxnId>(pinned.begin(), pinned.end());
  }

  // `lower` <= keys < `upper`.
  void Walk(const ChildRef& ref, uint32_t level, const std::string& lower, const std::string* upper, bool parent_is_frame,
            Shape* shape) {
    const Byte* page = view_.Resolve(ref, level);
    ASSERT_NE(page, nullptr) << view_.TakeError();
    if (pager::IsFrame(ref)) {
      EXPECT_TRUE(parent_is_frame) << "the parent of a frame is a frame";
      shape->frames++;
    } else {
      EXPECT_TRUE(shape->pages.insert(ref.page).second) << "page " << ref.page << " is used twice";
      EXPECT_EQ(node::VetNode(page, page_size()), nullptr);
    }
    EXPECT_EQ(node::Header(page)->level, level);
    EXPECT_EQ(node::CheckOrder(page), nullptr);
    uint32_t count = node::Header(page)->count;
    EXPECT_GT(count, 0u) << "no page is left empty";
    if (level == 0) {
      WalkLeaf(page, lower, upper, shape);
      return;
    }
    shape->branches++;
    for (uint32_t i = 0; i < count; ++i) {
      std::string from, to;
      node::AppendSeparator(page, i, &from);
      node::AppendSeparator(page, i + 1 < count ? i + 1 : 0, &to);
      EXPECT_TRUE(i == 0 || from >= lower);
      EXPECT_TRUE(i + 1 == count || upper == nullptr || to <= *upper);
      Walk(node::GetChild(page, i), level - 1, i == 0 ? lower : from, i + 1 < count ? &to : upper, pager::IsFrame(ref), shape);
    }
  }
  void WalkLeaf(const Byte* page, const std::string& lower, const std::string* upper, Shape* shape) {
    shape->leaves++;
    shape->leaf_bytes += node::LeafBytesUsed(page);
    for (uint32_t i = 0; i < node::Header(page)->count; ++i) {
      node::LeafEntry entry = node::GetLeafEntry(page, i);
      EXPECT_TRUE(entry.key >= lower && (upper == nullptr || entry.key < *upper)) << "a key outside its leaf's range";
      shape->entries++;
      if (entry.value.is_extent) {
        format::ExtentRef extent = format::LoadExtentRef(entry.value.bytes.data());
        uint64_t pages = format::ExtentPages(extent.length, page_size());
        shape->extents += pages;
        shape->large_values++;
        for (PageNumber number = extent.first; number < extent.first + pages; ++number) {
          EXPECT_TRUE(shape->pages.insert(number).second) << "page " << number << " is used twice";
        }
      }
    }
  }

  sim::SimSystem system_;
  std::unique_ptr<os::File> file_;
  std::unique_ptr<pager::PageStore> store_;
  pager::FrameArena frames_;
  std::unique_ptr<space::FreeSpace> space_;
  std::multiset<TxnId> readers_;
  pager::View view_;
  WriteContext context_{};
  TableRecord record_, committed_;
  std::vector<TableRecord> outer_;  // at the begin of each nested level
  PageNumber committed_pages_ = 0;
  TxnId txn_ = 1;
  TxnId next_ = 2;
  uint64_t spilled_ = 0;
};

#define ASSERT_PUT(tree, ...)                          \
  do {                                                 \
    absl::Status put_status = (tree).Put(__VA_ARGS__); \
    ASSERT_TRUE(put_status.ok()) << put_status;        \
  } while (0)

// A number as a key that orders like it.
inline std::string Key(uint64_t number, size_t width = 8) {
  std::string digits = std::to_string(number);
  return std::string(width - std::min(width, digits.size()), '0') + digits;
}

}  // namespace johnny::tree

#endif  // JOHNNY_TEST_TREE_TREE_FIXTURE_H_
