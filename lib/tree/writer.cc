#include "tree/writer.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/status.h"
#include "pager/extent.h"

namespace johnny::tree {
namespace {

using node::Header;
using node::LeafEntry;
using node::LeafValue;
using pager::kFrameBit;

// A sibling takes entries of a full leaf when it has this share of a page free; more when it would have to be copied for it.
constexpr size_t kShareWithFrame = 8;
constexpr size_t kShareWithCommitted = 4;

// Index that splits `entries` into two halves of about equal bytes, both of which fit a page; 0 if there is none.
size_t BalancedSplit(absl::Span<const LeafEntry> entries, size_t capacity) {
  size_t total = 0;
  for (const LeafEntry& entry : entries) {
    total += node::LeafEntryCost(entry);
  }
  size_t best = 0;
  size_t best_larger = SIZE_MAX;
  size_t left = 0;
  for (size_t i = 1; i < entries.size(); ++i) {
    left += node::LeafEntryCost(entries[i - 1]);
    size_t larger = std::max(left, total - left);
    if (larger < best_larger) {
      best_larger = larger;
      best = i;
    }
  }
  return best_larger <= capacity ? best : 0;
}

void AppendLeafEntries(const Byte* page, std::vector<LeafEntry>* entries) {
  entries->reserve(entries->size() + Header(page)->count + 1);  // one more is put in between
  for (uint32_t i = 0; i < Header(page)->count; ++i) {
    entries->push_back(node::GetLeafEntry(page, i));
  }
}

}  // namespace

// ---- Frames ----

absl::Status TreeWriter::EnsureRoom(uint64_t pages) {
  JOHNNY_RETURN_IF_ERROR(context_->space->Reserve(pages, may_use_reserve_));
  context_->space->Unreserve(pages);
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> TreeWriter::NewFrame() {
  JOHNNY_RETURN_IF_ERROR(context_->space->Reserve(1, may_use_reserve_));
  absl::StatusOr<uint32_t> frame = context_->frames->Allocate();
  if (!frame.ok()) {
    context_->space->Unreserve(1);
  }
  return frame;
}

// A frame of the innermost level with the bytes of `page`, which is given up. A frame passes its reservation on to its copy: no
// more than one of the two will ever need a page.
absl::StatusOr<uint32_t> TreeWriter::CopyToFrame(const Byte* page) {
  bool from_frame = IsFramePage(page);
  JOHNNY_ASSIGN_OR_RETURN(uint32_t frame, from_frame ? context_->frames->Allocate() : NewFrame());
  std::memcpy(context_->frames->At(frame), page, page_size());
  if (from_frame) {
    context_->frames->Free(pager::FrameIndex(RefOf(page)));
  } else {
    JOHNNY_RETURN_IF_ERROR(context_->space->Free(Header(page)->page(), 1, Header(page)->birth));
  }
  return frame;
}

ChildRef TreeWriter::RefOf(const Byte* page) const { return {kFrameBit | context_->frames->IndexOf(page), 0, 0}; }

absl::Status TreeWriter::DirtyPath() {
  uint64_t clean = 0;
  for (int level = path_.top; level >= 0 && clean == 0; --level) {
    clean = IsFramePage(Page(level)) ? 0 : static_cast<uint64_t>(level) + 1;
  }
  if (clean > 0) {
    JOHNNY_RETURN_IF_ERROR(EnsureRoom(clean));
  }
  for (int level = path_.top; level >= 0; --level) {
    if (!IsOwn(Page(level))) {
      JOHNNY_ASSIGN_OR_RETURN(uint32_t frame, CopyToFrame(Page(level)));
      ChildRef* root = &record_->root;
      if (level == path_.top) {
        *root = {kFrameBit | frame, 0, root->entries};
      } else {
        Byte* parent = Dirty(level + 1);
        uint32_t index = path_.steps[level + 1].index;
        node::SetChild(parent, index, {kFrameBit | frame, 0, node::GetChild(parent, index).entries});
      }
      path_.steps[level].page = context_->frames->At(frame);
    }
    uint32_t frame = pager::FrameIndex(RefOf(Page(level)));
    context_->frames->Touch(frame);
    context_->frames->MarkCountsStale(frame);
  }
  return absl::OkStatus();
}

// Makes child `index` of the leaf's parent a frame of the innermost level.
absl::StatusOr<Byte*> TreeWriter::DirtySibling(uint32_t index) {
  Byte* parent = Dirty(1);
  ChildRef ref = node::GetChild(parent, index);
  const Byte* page = context_->view->Resolve(ref, 0);
  if (page == nullptr) {
    return context_->view->TakeError();
  }
  if (IsOwn(page)) {
    return const_cast<Byte*>(page);
  }
  JOHNNY_ASSIGN_OR_RETURN(uint32_t frame, CopyToFrame(page));
  node::SetChild(parent, index, {kFrameBit | frame, 0, ref.entries});
  return context_->frames->At(frame);
}

// Gives up the page behind `ref`, a frame or a committed page.
absl::Status TreeWriter::FreePage(const ChildRef& ref, const Byte* page) {
  if (pager::IsFrame(ref)) {
    context_->frames->Free(pager::FrameIndex(ref));
    context_->space->Unreserve(1);
    return absl::OkStatus();
  }
  return context_->space->Free(ref.page, 1, Header(page)->birth);
}

absl::Status TreeWriter::FreeExtent(const LeafValue& value) {
  if (!value.is_extent) {
    return absl::OkStatus();
  }
  format::ExtentRef extent = format::LoadExtentRef(value.bytes.data());
  JOHNNY_RETURN_IF_ERROR(pager::CheckExtentBounds(*context_->view, extent));
  uint64_t pages = format::ExtentPages(extent.length, page_size());
  JOHNNY_RETURN_IF_ERROR(context_->space->Free(extent.first, pages, extent.birth));
  record_->extent_pages -= std::min(record_->extent_pages, pages);
  record_->large_values -= std::min<uint64_t>(record_->large_values, 1);
  return absl::OkStatus();
}

// ---- Put ----

absl::Status StoreLargeValue(const WriteContext& context, TableRecord* record, Slice value, std::string* reference,
                             LeafValue* stored) {
  uint64_t pages = format::ExtentPages(value.size(), context.view->page_size());
  JOHNNY_ASSIGN_OR_RETURN(PageNumber first, context.space->AllocateRun(pages));
  context.view->set_page_count(context.space->page_count());
  auto extent = pager::WriteExtent(context.file, *context.view->store(), first, context.txn, value);
  if (!extent.ok()) {
    JOHNNY_RETURN_IF_ERROR(context.space->Free(first, pages, context.txn));
    return extent.status();
  }
  reference->resize(format::kExtentRefSize);
  format::StoreExtentRef(reference->data(), *extent);
  *stored = {*reference, true};
  record->extent_pages += pages;
  record->large_values += 1;
  return absl::OkStatus();
}

// Whether `key` belongs into the leaf of the last put, whose path is still what it was.
bool TreeWriter::IsWithinLast(Slice key, PutMode mode) const {
  if (last_ == nullptr || !last_->armed || last_->epoch != context_->frames->epoch()) {
    return false;
  }
  if (mode == PutMode::kAppend && last_->has_upper) {
    return false;
  }
  return (!last_->has_upper || node::CompareKeys(key, last_->upper) < 0) &&
         (!last_->has_lower || node::CompareKeys(key, last_->lower) >= 0);
}

// Fills path_ with the lower bound of `key`, which is at the end of the table in kAppend mode. kNotFound there too: what is the
// last key is for the caller to compare.
Lookup TreeWriter::FindPlace(Slice key, PutMode mode) {
  dirty_ = IsWithinLast(key, mode);
  if (!dirty_) {
    return mode == PutMode::kAppend ? SearchEdge(*context_->view, *record_, /*right=*/true, &path_)
                                    : Search(*context_->view, *record_, key, &path_, /*to_change=*/true);
  }
  path_.top = last_->path.top;
  std::copy_n(last_->path.steps, path_.top + 1, path_.steps);
  if (mode == PutMode::kAppend) {
    path_.leaf().index = Header(Page(0))->count - 1u;
    return Lookup::kFound;
  }
  node::Position position = node::SearchLeaf(Page(0), key);
  path_.leaf().index = position.index;
  return position.found ? Lookup::kFound : Lookup::kNotFound;
}

// After a put that changed nothing but the leaf of path_.
void TreeWriter::RememberPlace() {
  if (last_ == nullptr || dirty_) {
    return;
  }
  uint64_t epoch = context_->frames->epoch();
  bool again = last_->leaf == Page(0) && last_->epoch == epoch;
  last_->leaf = Page(0);
  last_->epoch = epoch;
  last_->armed = false;
  if (!again) {
    return;
  }
  last_->path.top = path_.top;
  std::copy_n(path_.steps, path_.top + 1, last_->path.steps);
  last_->has_lower = last_->has_upper = false;
  for (int level = 1; level <= path_.top && !(last_->has_lower && last_->has_upper); ++level) {
    const Path::Step& step = path_.steps[level];
    if (!last_->has_lower && step.index > 0) {
      last_->lower.clear();
      node::AppendSeparator(step.page, step.index, &last_->lower);
      last_->has_lower = true;
    }
    if (!last_->has_upper && step.index + 1 < Header(step.page)->count) {
      last_->upper.clear();
      node::AppendSeparator(step.page, step.index + 1, &last_->upper);
      last_->has_upper = true;
    }
  }
  last_->armed = true;
  if (!last_->has_upper) {
    RememberEnd(Dirty(0));
  }
}

void TreeWriter::RememberEnd(Byte* leaf) {
  if (last_ != nullptr) {
    last_->end = leaf;
    last_->end_epoch = context_->frames->epoch();
  }
}

absl::Status TreeWriter::Put(Slice key, Slice value, PutMode mode, bool may_use_reserve) {
  may_use_reserve_ = may_use_reserve;
  Lookup result = FindPlace(key, mode);
  if (result == Lookup::kError) {
    return context_->view->TakeError();
  }
  if (mode == PutMode::kAppend && result == Lookup::kFound) {
    if (node::CompareKeys(node::LeafKey(Page(0), path_.leaf().index), key) >= 0) {
      return MakeStatus(Code::kNotAscending, "the key to append is not greater than the table's last key");
    }
    path_.leaf().index++;
    result = Lookup::kNotFound;
  }
  if (result == Lookup::kFound && mode == PutMode::kNoOverwrite) {
    return MakeStatus(Code::kExists, "the key is already there");
  }
  std::string reference;
  LeafValue stored = {value, false};
  if (LeafEntry{key, stored}.size() > format::MaxInlineEntry(page_size())) {
    JOHNNY_RETURN_IF_ERROR(StoreLargeValue(*context_, record_, value, &reference, &stored));
  }
  absl::Status status = PutStored(key, stored, result == Lookup::kFound ? PutMode::kUpsert : PutMode::kAppend);
  if (!status.ok() && stored.is_extent) {
    JOHNNY_RETURN_IF_ERROR(FreeExtent(stored));
  }
  return status;
}

// `mode`: kUpsert to replace the entry at the path, anything else to insert there.
absl::Status TreeWriter::PutStored(Slice key, const LeafValue& stored, PutMode mode) {
  LeafEntry entry{key, stored};
  if (path_.top < 0) {
    return MakeRoot(entry);
  }
  if (dirty_) {
    context_->frames->Touch(pager::FrameIndex(RefOf(Page(0))));
  } else {
    JOHNNY_RETURN_IF_ERROR(DirtyPath());
  }
  uint32_t index = path_.leaf().index;
  if (mode == PutMode::kUpsert) {
    LeafValue old = node::GetLeafEntry(Page(0), index).value;
    std::string old_reference(old.is_extent ? old.bytes : Slice());
    size_t size_change = stored.bytes.size() - std::min(stored.bytes.size(), old.bytes.size());
    if (size_change > 0 && node::LeafBytesUsed(Page(0)) + size_change > page_size()) {
      // It will have to move, so nothing may fail for want of room once the old entry is gone.
      JOHNNY_RETURN_IF_ERROR(EnsureRoom(2 * static_cast<uint64_t>(path_.top) + 6));
    }
    bool replaced = node::ReplaceInLeaf(Dirty(0), page_size(), index, stored);
    if (old.is_extent) {
      JOHNNY_RETURN_IF_ERROR(FreeExtent({old_reference, true}));
    }
    if (replaced) {
      RememberPlace();
      return absl::OkStatus();
    }
    node::RemoveFromLeaf(Dirty(0), index);
    record_->root.entries--;
  }
  if (node::InsertIntoLeaf(Dirty(0), page_size(), index, entry)) {
    RememberPlace();
  } else {
    JOHNNY_RETURN_IF_ERROR(EnsureRoom(2 * static_cast<uint64_t>(path_.top) + 6));
    context_->frames->NewEpoch();  // what places are remembered, are not where they were
    JOHNNY_RETURN_IF_ERROR(SplitLeaf(entry));
  }
  record_->root.entries++;
  return absl::OkStatus();
}

absl::Status TreeWriter::MakeRoot(const LeafEntry& entry) {
  JOHNNY_ASSIGN_OR_RETURN(uint32_t frame, NewFrame());
  Byte* page = context_->frames->At(frame);
  node::InitLeaf(page, page_size());
  bool fits = node::InsertIntoLeaf(page, page_size(), 0, entry);
  JOHNNY_CHECK(fits);
  record_->root = {kFrameBit | frame, 0, 1};
  record_->level = 0;
  record_->leaf_pages = 1;
  return absl::OkStatus();
}

bool TreeWriter::AtEdge(int level, bool right) const {
  for (; level <= path_.top; ++level) {
    const Path::Step& step = path_.steps[level];
    if (step.index != (right ? Header(step.page)->count - 1u : 0)) {
      return false;
    }
  }
  return true;
}

absl::Status TreeWriter::SplitLeaf(const LeafEntry& entry) {
  uint32_t index = path_.leaf().index;
  bool at_end = index == Header(Page(0))->count;
  if ((at_end && AtEdge(1, true)) || (index == 0 && AtEdge(1, false))) {
    return SplitAtEdge(entry, at_end);
  }
  JOHNNY_ASSIGN_OR_RETURN(bool shared, ShareWithSibling(entry));
  if (shared) {
    return absl::OkStatus();
  }
  std::vector<LeafEntry> entries;
  AppendLeafEntries(Page(0), &entries);
  entries.insert(entries.begin() + index, entry);
  size_t middle = BalancedSplit(entries, page_size() - format::kPageHeaderSize);
  JOHNNY_CHECK(middle > 0);
  JOHNNY_ASSIGN_OR_RETURN(uint32_t frame, NewFrame());
  record_->leaf_pages++;
  absl::Span<const LeafEntry> all(entries);
  std::string separator(node::ShortestSeparator(all[middle - 1].key, all[middle].key));
  node::BuildLeaf(context_->frames->At(frame), page_size(), all.subspan(middle));
  std::array<Byte, format::kMaxPageSize> left;
  node::BuildLeaf(left.data(), page_size(), all.first(middle));
  std::memcpy(Dirty(0), left.data(), page_size());
  return InsertChild(1, path_.top == 0 ? 1 : path_.steps[1].index + 1, separator, {kFrameBit | frame, 0, 0});
}

// Ascending (or descending) keys: the full leaf stays full and the new entry begins a leaf of its own.
absl::Status TreeWriter::SplitAtEdge(const LeafEntry& entry, bool right) {
  JOHNNY_ASSIGN_OR_RETURN(uint32_t frame, NewFrame());
  record_->leaf_pages++;
  Byte* fresh = context_->frames->At(frame);
  node::BuildLeaf(fresh, page_size(), absl::MakeConstSpan(&entry, 1));
  const Byte* full = Page(0);
  if (right) {
    std::string separator(node::ShortestSeparator(node::LeafKey(full, Header(full)->count - 1u), entry.key));
    JOHNNY_RETURN_IF_ERROR(InsertChild(1, path_.top == 0 ? 1 : path_.steps[1].index + 1, separator, {kFrameBit | frame, 0, 0}));
    RememberEnd(fresh);
    return absl::OkStatus();
  }
  // The new leaf takes the old one's place, and the old one goes in behind it.
  std::string separator(node::ShortestSeparator(entry.key, node::LeafKey(full, 0)));
  ChildRef old = RefOf(full);
  if (path_.top == 0) {
    record_->root.page = kFrameBit | frame;
  } else {
    node::SetChild(Dirty(1), 0, {kFrameBit | frame, 0, 0});
  }
  path_.steps[0].page = fresh;
  return InsertChild(1, 1, separator, old);
}

// Evens the full leaf and `entry` out with the emptier sibling, if that has room worth using.
absl::StatusOr<bool> TreeWriter::ShareWithSibling(const LeafEntry& entry) {
  if (path_.top == 0) {
    return false;
  }
  uint32_t own = path_.steps[1].index;
  uint32_t count = Header(Page(1))->count;
  size_t best_free = 0;
  uint32_t best = 0;
  for (uint32_t sibling : {own - 1, own + 1}) {
    if (sibling >= count) {  // own - 1 wraps round at 0
      continue;
    }
    ChildRef ref = node::GetChild(Page(1), sibling);
    const Byte* page = context_->view->Resolve(ref, 0);
    if (page == nullptr) {
      return context_->view->TakeError();
    }
    size_t free = page_size() - node::LeafBytesUsed(page);
    if (free >= page_size() / (IsOwn(page) ? kShareWithFrame : kShareWithCommitted) && free > best_free) {
      best_free = free;
      best = sibling;
    }
  }
  if (best_free == 0) {
    return false;
  }
  JOHNNY_ASSIGN_OR_RETURN(Byte * sibling, DirtySibling(best));
  bool sibling_is_left = best < own;
  std::vector<LeafEntry> entries;
  AppendLeafEntries(sibling_is_left ? sibling : Page(0), &entries);
  size_t at = path_.leaf().index + (sibling_is_left ? entries.size() : 0);
  AppendLeafEntries(sibling_is_left ? Page(0) : sibling, &entries);
  entries.insert(entries.begin() + static_cast<ptrdiff_t>(at), entry);
  size_t middle = BalancedSplit(entries, page_size() - format::kPageHeaderSize);
  if (middle == 0) {
    return false;
  }
  absl::Span<const LeafEntry> all(entries);
  std::string separator(node::ShortestSeparator(all[middle - 1].key, all[middle].key));
  std::array<Byte, format::kMaxPageSize> left;
  std::array<Byte, format::kMaxPageSize> right;
  node::BuildLeaf(left.data(), page_size(), all.first(middle));
  node::BuildLeaf(right.data(), page_size(), all.subspan(middle));
  std::memcpy(sibling_is_left ? sibling : Dirty(0), left.data(), page_size());
  std::memcpy(sibling_is_left ? Dirty(0) : sibling, right.data(), page_size());
  JOHNNY_RETURN_IF_ERROR(SetSeparator(1, std::max(own, best), separator));
  return true;
}

// ---- Branches ----

// Lists the children of `page` with their separators, whose bytes go to *separators.
void TreeWriter::GatherChildren(const Byte* page, std::string* separators, Children* children) const {
  uint32_t count = Header(page)->count;
  std::vector<size_t> ends;
  for (uint32_t i = 0; i < count; ++i) {
    node::AppendSeparator(page, i, separators);
    ends.push_back(separators->size());
  }
  for (uint32_t i = 0; i < count; ++i) {
    size_t begin = i == 0 ? 0 : ends[i - 1];
    children->push_back({Slice(*separators).substr(begin, ends[i] - begin), node::GetChild(page, i)});
  }
}

absl::Status TreeWriter::InsertChild(int level, uint32_t index, Slice separator, const ChildRef& ref) {
  if (level > path_.top) {
    if (level > format::kMaxLevel) {
      return MakeStatus(Code::kInternal, "the tree would grow too high");
    }
    JOHNNY_ASSIGN_OR_RETURN(uint32_t frame, NewFrame());
    node::BranchEntry entries[2] = {{{}, RefOf(Page(level - 1))}, {separator, ref}};
    bool fits = node::BuildBranch(context_->frames->At(frame), page_size(), static_cast<uint8_t>(level), entries);
    JOHNNY_CHECK(fits);
    context_->frames->MarkCountsStale(frame);
    record_->root.page = kFrameBit | frame;
    record_->level = static_cast<uint8_t>(level);
    record_->branch_pages++;
    path_.top = level;
    path_.steps[level] = {context_->frames->At(frame), 0};
    return absl::OkStatus();
  }
  if (node::InsertIntoBranch(Dirty(level), index, separator, ref)) {
    return absl::OkStatus();
  }
  std::string separators;
  Children children;
  GatherChildren(Page(level), &separators, &children);
  children.insert(children.begin() + index, {separator, ref});
  bool right_edge = index + 1 == children.size() && AtEdge(level + 1, true);
  return StoreBranch(level, children, index, right_edge);
}

// Puts `children` (whose bytes do not lie in it) into the path's branch of `level`, splitting it if they do not fit. The
// separator of child `changed` is the only one that the branch did not have before.
absl::Status TreeWriter::StoreBranch(int level, const Children& children, uint32_t changed, bool right_edge) {
  std::array<Byte, format::kMaxPageSize> scratch;
  auto height = static_cast<uint8_t>(level);
  if (node::BuildBranch(scratch.data(), page_size(), height, children)) {
    std::memcpy(Dirty(level), scratch.data(), page_size());
    return absl::OkStatus();
  }
  absl::Span<const node::BranchEntry> all(children);
  size_t middle = children.size() - 2;
  if (!right_edge || node::BranchBytesNeeded(all.first(middle)) > page_size()) {
    size_t total = 0;
    for (const node::BranchEntry& child : children) {
      total += format::kBranchSlotSize + child.separator.size();
    }
    size_t bytes = 0;
    for (middle = 0; middle < children.size() - 1 && bytes < total / 2; ++middle) {
      bytes += format::kBranchSlotSize + children[middle].separator.size();
    }
  }
  if (node::BranchBytesNeeded(all.first(middle)) > page_size() || node::BranchBytesNeeded(all.subspan(middle)) > page_size()) {
    // The new separator breaks a long prefix that the others share. As the first of the right page it is not stored there.
    middle = changed;
  }
  JOHNNY_ASSIGN_OR_RETURN(uint32_t frame, NewFrame());
  record_->branch_pages++;
  bool fits = node::BuildBranch(context_->frames->At(frame), page_size(), height, all.subspan(middle)) &&
              node::BuildBranch(scratch.data(), page_size(), height, all.first(middle));
  if (!fits) {
    return MakeStatus(Code::kCorrupt,
                      "separators of a branch are out of order");  // of sound ones one half or the other holds each
  }
  std::memcpy(Dirty(level), scratch.data(), page_size());
  context_->frames->MarkCountsStale(frame);
  uint32_t parent_index = level == path_.top ? 1 : path_.steps[level + 1].index + 1;
  return InsertChild(level + 1, parent_index, all[middle].separator, {kFrameBit | frame, 0, 0});
}

// Replaces separator `index` > 0 of the path's branch. A longer one may split it.
absl::Status TreeWriter::SetSeparator(int level, uint32_t index, Slice separator) {
  if (node::ReplaceSeparator(Dirty(level), index, separator)) {
    return absl::OkStatus();
  }
  std::string separators;
  Children children;
  GatherChildren(Page(level), &separators, &children);
  children[index].separator = separator;
  return StoreBranch(level, children, index, false);
}

}  // namespace johnny::tree
