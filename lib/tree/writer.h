// Changing a B+tree inside a write transaction: copy-on-write into frames, splits, merges, and the seal that gives frames their
// page numbers.
//
// Invariants
//   1. The frames of a tree form a subtree at its root: the parent of a frame is a frame. So do those of the innermost nested
//   level.
//   2. Room for all pages that an operation may make is reserved before it changes anything, so kSizeLimit and kDiskFull leave
//   the
//      tree as it was. Any other error leaves it unusable; the transaction must abort.
//   3. Only frames of the innermost nested level are changed; a frame of a level around it is copied like a committed page.
//   4. No leaf but a root is left empty; branches have at least one child.
// Thread rules: belongs to the write transaction.
#ifndef JOHNNY_TREE_WRITER_H_
#define JOHNNY_TREE_WRITER_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "space/free_space.h"
#include "tree/tree.h"

namespace johnny::tree {

// What the trees of one write transaction share.
struct WriteContext {
  pager::View* view;
  pager::FrameArena* frames;
  space::FreeSpace* space;
  os::File* file;
  TxnId txn;
  bool soon_synced = false;  // what is written: it may set out for the disk at once
};

// What to do when the key is, or is not, there.
enum class PutMode { kUpsert, kNoOverwrite, kAppend };

// Where the last put of a transaction went, so that one that follows in the same leaf need not come down from the root:
// sequential loads, sorted batches. Valid while the arena's epoch is the same.
struct LastPut {
  const Byte* leaf = nullptr;
  uint64_t epoch = 0;
  // Filled when a second put has found the same leaf: its path, of frames that the innermost level owns, and its range of keys.
  bool armed = false;
  bool has_lower = false, has_upper = false;
  std::string lower, upper;
  Path path;
  // The last leaf of the table, when a put went there and it is known to be the innermost level's own, marked as changed.
  Byte* end = nullptr;
  uint64_t end_epoch = 0;
};

// Puts an entry behind all others into the leaf in last->end. False, and nothing changed, if there is none or the entry does not
// belong or fit there: TreeWriter::Put() is for every case.
inline bool AppendToLast(pager::FrameArena* frames, TableRecord* record, const LastPut& last, uint32_t page_size, Slice key,
                         Slice value) {
  const node::LeafEntry entry{key, {value, false}};
  if (last.end == nullptr || last.end_epoch != frames->epoch() || entry.size() > format::MaxInlineEntry(page_size) ||
      !node::AppendToLeaf(last.end, entry)) {
    return false;
  }
  frames->Touch(frames->IndexOf(last.end));
  record->root.entries++;
  return true;
}

class TreeWriter {
 public:
  // `last`, of this tree, may be null.
  TreeWriter(WriteContext* context, TableRecord* record, LastPut* last = nullptr)
      : context_(context), record_(record), last_(last) {}

  // kOk, kExists or kNotAscending by mode; value_size up to the limit of an extent is the caller's to check.
  absl::Status Put(Slice key, Slice value, PutMode mode, bool may_use_reserve = false);
  // kNotFound (OK status, *found false) if there is no such key.
  absl::Status Erase(Slice key, bool* found);
  // Removes everything. kSizeLimit and kDiskFull before anything has changed: the commit will have to list what is freed.
  absl::Status Clear();
  // Those errors, for Clear() and a change that takes `extra` pages beside it.
  absl::Status EnsureRoomToClear(uint64_t extra);

 private:
  const Byte* Page(int level) const { return path_.steps[level].page; }
  Byte* Dirty(int level) const { return const_cast<Byte*>(path_.steps[level].page); }
  uint32_t page_size() const { return context_->view->page_size(); }
  bool IsFramePage(const Byte* page) const { return context_->frames->Contains(page); }
  bool IsOwn(const Byte* page) const {
    return IsFramePage(page) && (context_->frames->depth() == 0 || context_->frames->IsOwn(pager::FrameIndex(RefOf(page))));
  }

  absl::Status EnsureRoom(uint64_t pages);
  absl::StatusOr<uint32_t> NewFrame();
  absl::StatusOr<uint32_t> CopyToFrame(const Byte* page);
  absl::Status DirtyPath();
  absl::StatusOr<Byte*> DirtySibling(uint32_t index);
  ChildRef RefOf(const Byte* page) const;
  absl::Status FreePage(const ChildRef& ref, const Byte* page);
  absl::Status FreeExtent(const node::LeafValue& value);

  Lookup FindPlace(Slice key, PutMode mode);
  bool IsWithinLast(Slice key, PutMode mode) const;
  void RememberPlace();
  void RememberEnd(Byte* leaf);
  absl::Status PutStored(Slice key, const node::LeafValue& stored, PutMode mode);
  absl::Status MakeRoot(const node::LeafEntry& entry);
  absl::Status SplitLeaf(const node::LeafEntry& entry);
  absl::Status SplitAtEdge(const node::LeafEntry& entry, bool right);
  absl::StatusOr<bool> ShareWithSibling(const node::LeafEntry& entry);
  bool AtEdge(int level, bool right) const;

  using Children = std::vector<node::BranchEntry>;
  void GatherChildren(const Byte* page, std::string* separators, Children* children) const;
  absl::Status InsertChild(int level, uint32_t index, Slice separator, const ChildRef& ref);
  absl::Status StoreBranch(int level, const Children& children, uint32_t changed, bool right_edge);
  absl::Status SetSeparator(int level, uint32_t index, Slice separator);

  absl::Status AfterErase();
  absl::Status RebalanceLeaf();
  absl::Status RemoveChild(int level, uint32_t index);
  absl::Status RebalanceBranch(int level);
  absl::Status CollapseRoot();
  absl::Status ClearBelow(const ChildRef& ref, uint32_t level, uint64_t* pages_left);

  WriteContext* context_;
  TableRecord* record_;
  LastPut* last_;
  Path path_;
  bool dirty_ = false;            // path_ is one of frames that the innermost level owns, marked as changed
  bool may_use_reserve_ = false;  // deletes may use pages that puts may not
};

// Writes a value that is too large for a leaf to an extent, counted in *record; *stored is what the leaf will hold, in
// *reference.
absl::Status StoreLargeValue(const WriteContext& context, TableRecord* record, Slice value, std::string* reference,
                             node::LeafValue* stored);

// ---- Seal ----

// A frame to seal, children before parents.
struct FrameToSeal {
  Byte* parent;    // page holding the reference; null: the root of `record`
  uint32_t index;  // of the child in the parent
  uint32_t frame;
  uint8_t level;
  TableRecord* record;
};

// Appends the frames of the tree that are not newer than `max_stamp` and have no frames below that stay; all with UINT32_MAX.
void CollectFrames(const pager::FrameArena& frames, TableRecord* record, uint32_t max_stamp, std::vector<FrameToSeal>* out);

// Page numbers in ascending order from a list of runs.
class PageNumbers {
 public:
  explicit PageNumbers(std::vector<space::Run> runs);
  PageNumber Next();

 private:
  std::vector<space::Run> runs_;
  size_t at_ = 0;
};

// Writes pages, neighbours that come one after the other with one call: soon after each was sealed, while the processor's cache
// still has it.
class PageWriter {
 public:
  explicit PageWriter(const WriteContext& context)
      : file_(context.file), page_size_(context.view->page_size()), soon_synced_(context.soon_synced) {}
  // `page` stays as it is until it is written, by Flush() at the latest.
  absl::Status Add(PageNumber number, const Byte* page);
  absl::Status Flush();

 private:
  static constexpr size_t kBytesAtOnce = size_t{64} << 10;  // from a multiple of it on: so does the page cache keep them

  os::File* file_;
  uint32_t page_size_;
  bool soon_synced_;
  PageNumber first_ = 0;
  absl::InlinedVector<Slice, kBytesAtOnce / format::kMinPageSize> pieces_;
  // What has been written and has not set out, and what lies between.
  uint64_t begin_ = UINT64_MAX, end_ = 0;
  size_t waiting_ = 0;
};

// Where one kind of pages goes.
struct PageStream {
  PageStream(const WriteContext& context, std::vector<space::Run> runs) : numbers(std::move(runs)), writer(context) {}
  PageNumbers numbers;
  PageWriter writer;
};

// Gives a finished page its number, birth and checksum; the reference to it.
ChildRef SealPage(const WriteContext& context, Byte* page, PageNumber number, uint64_t entries);

// Numbers the frames, settles their counts, sets births and checksums, puts the final reference into the parent, and writes them,
// but for what is left to flush. kCorrupt when the counts do not add up.
absl::Status SealFrames(const WriteContext& context, absl::Span<const FrameToSeal> frames, PageStream* leaves,
                        PageStream* branches);

// Writes about half of the innermost level's frames early, the coldest first, and frees them.
absl::Status Spill(const WriteContext& context, absl::Span<TableRecord* const> records, uint64_t* spilled);

}  // namespace johnny::tree

#endif  // JOHNNY_TREE_WRITER_H_
