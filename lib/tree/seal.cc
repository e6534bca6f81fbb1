// Giving frames their page numbers, at commit or when a transaction spills.
#include <algorithm>

#include "base/check.h"
#include "base/status.h"
#include "tree/writer.h"

namespace johnny::tree {
namespace {

using node::Header;

// So much for the disk to do is worth a call. In commits of a hundred and of ten thousand puts 128 KiB was as good as 256 KiB and
// 1 MiB or better, each half as fast again as without (bench/RESULTS.md).
constexpr size_t kSetOutAt = size_t{128} << 10;

// Appends what can be sealed below and including `frame`; false if it must stay. Frames of the levels around the innermost one
// stay with all below them: those levels refer to them, too.
bool CollectBelow(const pager::FrameArena& frames, const FrameToSeal& at, uint32_t max_stamp, std::vector<FrameToSeal>* out) {
  if (!frames.IsOwn(at.frame)) {
    return false;
  }
  Byte* page = frames.At(at.frame);
  bool all_below = true;
  if (at.level > 0) {
    const uint32_t count = Header(page)->count;
    const Byte* ref = node::ChildRefAt(page, 0);
    for (uint32_t i = 0; i < count; ++i, ref += format::kChildRefSize) {
      if ((Load64(ref) & pager::kFrameBit) != 0) {  // most children are none
        FrameToSeal below{page, i, pager::FrameIndex(format::LoadChildRef(ref)), static_cast<uint8_t>(at.level - 1), at.record};
        all_below &= CollectBelow(frames, below, max_stamp, out);
      }
    }
  }
  if (!all_below || frames.stamp(at.frame) > max_stamp) {
    return false;
  }
  out->push_back(at);
  return true;
}

}  // namespace

void CollectFrames(const pager::FrameArena& frames, TableRecord* record, uint32_t max_stamp, std::vector<FrameToSeal>* out) {
  if (!record->empty() && pager::IsFrame(record->root)) {
    CollectBelow(frames, {nullptr, 0, pager::FrameIndex(record->root), record->level, record}, max_stamp, out);
  }
}

PageNumbers::PageNumbers(std::vector<space::Run> runs) : runs_(std::move(runs)) {
  std::sort(runs_.begin(), runs_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
}

PageNumber PageNumbers::Next() {
  JOHNNY_CHECK(at_ < runs_.size());
  space::Run& run = runs_[at_];
  PageNumber page = run.first++;
  if (--run.pages == 0) {
    ++at_;
  }
  return page;
}

absl::Status PageWriter::Add(PageNumber number, const Byte* page) {
  if (number != first_ + pieces_.size() || number * page_size_ % kBytesAtOnce == 0) {
    JOHNNY_RETURN_IF_ERROR(Flush());
    first_ = number;
  }
  pieces_.push_back(MakeSlice(page, page_size_));
  return absl::OkStatus();
}

absl::Status PageWriter::Flush() {
  if (pieces_.empty()) {
    return absl::OkStatus();
  }
  const uint64_t offset = first_ * page_size_, size = pieces_.size() * page_size_;
  JOHNNY_RETURN_IF_ERROR(file_->WriteAt(offset, pieces_));
  pieces_.clear();
  if (soon_synced_) {
    begin_ = std::min(begin_, offset);
    end_ = std::max(end_, offset + size);
    waiting_ += size;
    if (waiting_ >= kSetOutAt) {
      file_->StartWriting(begin_, end_ - begin_);
      begin_ = UINT64_MAX;
      end_ = waiting_ = 0;
    }
  }
  return absl::OkStatus();
}

ChildRef SealPage(const WriteContext& context, Byte* page, PageNumber number, uint64_t entries) {
  const pager::PageStore& store = *context.view->store();
  format::PageHeader* header = Header(page);
  header->birth = context.txn;
  header->set_page(number);
  header->checksum = format::PageChecksum(page, store.page_size(), store.database_id(), number);
  store.SetChecked(number, pager::PageStore::Tag(pager::PageStore::Kind::kNode, header->checksum));
  return {number, static_cast<uint32_t>(header->checksum), entries};
}

absl::Status SealFrames(const WriteContext& context, absl::Span<const FrameToSeal> frames, PageStream* leaves,
                        PageStream* branches) {
  const size_t page_size = context.view->page_size();
  for (size_t at = 0; at < frames.size(); ++at) {
    const FrameToSeal& sealed = frames[at];
    if (at + 1 < frames.size()) {
      const Byte* next = context.frames->At(frames[at + 1].frame);
      for (size_t i = 0; i < page_size; i += 64) {
        __builtin_prefetch(next + i);
      }
    }
    Byte* page = context.frames->At(sealed.frame);
    const format::PageHeader* header = Header(page);
    PageStream* stream = sealed.level == 0 ? leaves : branches;
    PageNumber number = stream->numbers.Next();
    uint64_t entries = header->count;
    if (sealed.level > 0) {
      entries = node::SumOfEntries(page);
    }
    ChildRef ref = SealPage(context, page, number, entries);
    if (sealed.parent != nullptr) {
      node::SetChild(sealed.parent, sealed.index, ref);
    } else {
      if (sealed.record->root.entries != entries) {
        return CorruptPage(number, "the entry counts of a tree do not add up");  // as a damaged branch had them
      }
      sealed.record->root = ref;
    }
    JOHNNY_RETURN_IF_ERROR(stream->writer.Add(number, page));
  }
  return absl::OkStatus();
}

absl::Status Spill(const WriteContext& context, absl::Span<TableRecord* const> records, uint64_t* spilled) {
  std::vector<FrameToSeal> cold;
  uint32_t median = context.frames->MedianStamp();
  for (TableRecord* record : records) {
    CollectFrames(*context.frames, record, median, &cold);
  }
  if (cold.empty()) {
    return absl::OkStatus();
  }
  auto leaf_count = static_cast<uint64_t>(std::count_if(cold.begin(), cold.end(), [](const auto& f) { return f.level == 0; }));
  std::vector<space::Run> leaf_runs, branch_runs;
  JOHNNY_RETURN_IF_ERROR(context.space->Allocate(leaf_count, space::Use::kData, &leaf_runs));
  JOHNNY_RETURN_IF_ERROR(context.space->Allocate(cold.size() - leaf_count, space::Use::kMeta, &branch_runs));
  context.view->set_page_count(context.space->page_count());
  PageStream leaves(context, std::move(leaf_runs)), branches(context, std::move(branch_runs));
  JOHNNY_RETURN_IF_ERROR(SealFrames(context, cold, &leaves, &branches));
  JOHNNY_RETURN_IF_ERROR(leaves.writer.Flush());
  JOHNNY_RETURN_IF_ERROR(branches.writer.Flush());
  for (const FrameToSeal& frame : cold) {
    context.frames->Free(frame.frame);
  }
  *spilled += cold.size();
  return absl::OkStatus();
}

}  // namespace johnny::tree
