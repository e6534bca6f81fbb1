#include "tree/builder.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/status.h"

namespace johnny::tree {
namespace {

using format::kLeafEntryHeader;
using format::kLeafSlotSize;
using format::kPageHeaderSize;
using node::Header;

// Pages that are taken and written at a time: few at first, for small trees.
constexpr size_t kFirstBatch = 4;
constexpr size_t kLargestBatch = 64;

void AddOwned(std::vector<space::Run>* owned, space::Run run) {
  if (!owned->empty() && owned->back().first + owned->back().pages == run.first) {
    owned->back().pages += run.pages;
  } else {
    owned->push_back(run);
  }
}

}  // namespace

TreeBuilder::TreeBuilder(const WriteContext& context, uint32_t fill_percent)
    : context_(context),
      page_size_(context.view->page_size()),
      leaf_limit_(size_t{page_size_} * fill_percent / 100),
      branch_(page_size_),
      writer_(context) {}

Slice TreeBuilder::LastKey() const {
  if (leaf_ == nullptr) {
    return last_key_;
  }
  const Byte* entry = leaf_ + offsets_.back();
  return MakeSlice(entry + kLeafEntryHeader, Load16(entry));
}

absl::Status TreeBuilder::Add(Slice key, Slice value) {
  if (any_ && node::CompareKeys(LastKey(), key) >= 0) {
    return MakeStatus(Code::kNotAscending, "the key is not greater than the one added before");
  }
  node::LeafEntry entry{key, {value, false}};
  if (entry.size() <= format::MaxInlineEntry(page_size_)) {
    return AddEntry(entry);
  }
  std::string reference;
  JOHNNY_RETURN_IF_ERROR(StoreLargeValue(context_, &record_, value, &reference, &entry.value));
  format::ExtentRef extent = format::LoadExtentRef(reference.data());
  AddOwned(&owned_, {extent.first, format::ExtentPages(extent.length, page_size_)});
  return AddEntry(entry);
}

absl::Status TreeBuilder::AddEntry(const node::LeafEntry& entry) {
  if (leaf_ != nullptr) {
    size_t used = kPageHeaderSize + kLeafSlotSize * offsets_.size() + (page_size_ - upper_) + node::LeafEntryCost(entry);
    if (used > leaf_limit_) {
      std::string separator(node::ShortestSeparator(LastKey(), entry.key));
      JOHNNY_RETURN_IF_ERROR(FinishLeaf());
      separator_ = std::move(separator);
    }
  }
  if (leaf_ == nullptr) {
    JOHNNY_RETURN_IF_ERROR(BeginLeaf());
  }
  upper_ -= entry.size();
  node::WriteLeafEntry(leaf_ + upper_, entry);
  offsets_.push_back(static_cast<uint16_t>(upper_));
  any_ = true;
  return absl::OkStatus();
}

// ---- Pages ----

absl::Status TreeBuilder::TakePages(uint64_t pages, space::Use use, std::vector<space::Run>* runs) {
  JOHNNY_RETURN_IF_ERROR(context_.space->Reserve(pages, /*may_use_reserve=*/false));
  JOHNNY_RETURN_IF_ERROR(context_.space->Allocate(pages, use, runs));
  context_.view->set_page_count(context_.space->page_count());
  return absl::OkStatus();
}

// Writes the buffer's pages, and takes numbers for the next ones.
absl::Status TreeBuilder::FillBuffer() {
  JOHNNY_RETURN_IF_ERROR(writer_.Flush());
  size_t pages = buffer_pages_ == 0 ? kFirstBatch : std::min(2 * buffer_pages_, kLargestBatch);
  std::vector<space::Run> runs;
  absl::Status taken = TakePages(pages, space::Use::kData, &runs);
  if (CodeOf(taken) == Code::kSizeLimit || CodeOf(taken) == Code::kDiskFull) {
    pages = 1;  // the last ones that there is room for
    taken = TakePages(pages, space::Use::kData, &runs);
  }
  JOHNNY_RETURN_IF_ERROR(taken);
  buffer_.resize(pages * page_size_);
  buffer_pages_ = pages;
  PageNumbers numbers(std::move(runs));
  numbers_.clear();
  for (size_t i = 0; i < pages; ++i) {
    numbers_.push_back(numbers.Next());
  }
  next_ = 0;
  return absl::OkStatus();
}

// ---- Leaves ----

absl::Status TreeBuilder::BeginLeaf() {
  if (next_ == buffer_pages_) {
    JOHNNY_RETURN_IF_ERROR(FillBuffer());
  }
  AddOwned(&owned_, {numbers_[next_], 1});
  leaf_ = buffer_.data() + next_ * page_size_;
  ++next_;
  upper_ = page_size_;
  offsets_.clear();
  return absl::OkStatus();
}

absl::Status TreeBuilder::FinishLeaf() {
  node::InitLeaf(leaf_, page_size_);
  format::PageHeader* header = Header(leaf_);
  const size_t count = offsets_.size();
  header->count = static_cast<uint16_t>(count);
  header->lower = static_cast<uint16_t>(kPageHeaderSize + kLeafSlotSize * count);
  header->upper = static_cast<uint16_t>(upper_);
  auto key_at = [this](size_t i) {
    const Byte* entry = leaf_ + offsets_[i];
    return MakeSlice(entry + kLeafEntryHeader, Load16(entry));
  };
  const size_t prefix = node::CommonPrefix(key_at(0), key_at(count - 1));
  header->prefix = static_cast<uint16_t>(prefix);
  Byte* heads = leaf_ + kPageHeaderSize;
  Byte* offsets = heads + 4 * count;
  for (size_t i = 0; i < count; ++i) {
    Store32(heads + 4 * i, node::HeadOf(key_at(i).substr(prefix)));
  }
  std::memcpy(offsets, offsets_.data(), 2 * count);
  std::memset(leaf_ + header->lower, 0, upper_ - header->lower);
  last_key_.assign(key_at(count - 1));
  PageNumber number = numbers_[next_ - 1];
  ChildRef ref = SealPage(context_, leaf_, number, count);
  JOHNNY_RETURN_IF_ERROR(writer_.Add(number, std::exchange(leaf_, nullptr)));
  record_.leaf_pages++;
  record_.root.entries += count;
  return AddChild(1, std::move(separator_), ref);
}

// ---- Branches ----

// What the branch needs with one more child.
node::BranchNeed TreeBuilder::NeedWith(const Level& level, Slice separator) {
  auto [prefix, bytes] = level.need;
  if (level.children.size() > 2 && node::CommonPrefix(level.children[1].separator, separator) >= prefix) {
    return {prefix, bytes + node::BranchChildCost(separator.size(), prefix)};
  }
  std::vector<node::BranchEntry> entries;
  entries.reserve(level.children.size() + 1);
  for (const Child& child : level.children) {
    entries.push_back({child.separator, child.ref});
  }
  entries.push_back({separator, {}});
  return node::MeasureBranch(entries);
}

absl::Status TreeBuilder::AddChild(size_t level, std::string separator, const ChildRef& ref) {
  if (levels_.size() < level) {
    levels_.resize(level);
  }
  node::BranchNeed need = NeedWith(levels_[level - 1], separator);
  if (!levels_[level - 1].children.empty() && need.bytes > page_size_) {
    JOHNNY_RETURN_IF_ERROR(FinishBranch(level));
    need = NeedWith(levels_[level - 1], separator);
  }
  Level& branch = levels_[level - 1];
  branch.need = need;
  branch.children.push_back({std::move(separator), ref});
  return absl::OkStatus();
}

// Seals the branch of `level`, which becomes a child one level up.
absl::Status TreeBuilder::FinishBranch(size_t level) {
  if (level > format::kMaxLevel) {
    return MakeStatus(Code::kInternal, "the tree would grow too high");
  }
  std::vector<Child> children = std::exchange(levels_[level - 1].children, {});
  std::vector<node::BranchEntry> entries;
  uint64_t below = 0;
  for (const Child& child : children) {
    entries.push_back({child.separator, child.ref});
    below += child.ref.entries;
  }
  std::vector<space::Run> run;
  JOHNNY_RETURN_IF_ERROR(TakePages(1, space::Use::kMeta, &run));
  AddOwned(&owned_, run.front());
  bool fits = node::BuildBranch(branch_.data(), page_size_, static_cast<uint8_t>(level), entries);
  JOHNNY_CHECK(fits);
  std::memset(branch_.data() + Header(branch_.data())->lower, 0, Header(branch_.data())->upper - Header(branch_.data())->lower);
  record_.branch_pages++;
  ChildRef ref = SealPage(context_, branch_.data(), run.front().first, below);
  Slice page = MakeSlice(branch_.data(), page_size_);
  JOHNNY_RETURN_IF_ERROR(context_.file->WriteAt(ref.page * page_size_, absl::MakeConstSpan(&page, 1)));
  return AddChild(level + 1, std::move(children.front().separator), ref);
}

absl::Status TreeBuilder::Finish(TableRecord* record) {
  if (leaf_ != nullptr) {
    JOHNNY_RETURN_IF_ERROR(FinishLeaf());
  }
  for (size_t level = 1; level <= levels_.size(); ++level) {
    if (level == levels_.size() && levels_[level - 1].children.size() == 1) {
      record_.root = levels_[level - 1].children.front().ref;
      record_.level = static_cast<uint8_t>(level - 1);
      break;
    }
    JOHNNY_RETURN_IF_ERROR(FinishBranch(level));
  }
  JOHNNY_RETURN_IF_ERROR(writer_.Flush());
  JOHNNY_RETURN_IF_ERROR(FreeUnused());
  *record = record_;
  return absl::OkStatus();
}

absl::Status TreeBuilder::FreeUnused() {
  while (next_ < buffer_pages_) {
    JOHNNY_RETURN_IF_ERROR(context_.space->Free(numbers_[next_++], 1, context_.txn));
  }
  return absl::OkStatus();
}

absl::Status TreeBuilder::Abandon() {
  JOHNNY_RETURN_IF_ERROR(FreeUnused());
  std::vector<space::Run> owned = std::exchange(owned_, {});
  for (const space::Run& run : owned) {
    JOHNNY_RETURN_IF_ERROR(context_.space->Free(run.first, run.pages, context_.txn));
  }
  return absl::OkStatus();
}

}  // namespace johnny::tree
