#include "node/branch.h"

#include "base/check.h"

namespace johnny::node {
namespace {

using format::kBranchSlotSize;
using format::kChildRefSize;
using format::kPageHeaderSize;

constexpr size_t kTailHeader = 2;

size_t Padded(size_t prefix) { return (prefix + 3) & ~size_t{3}; }

struct Arrays {
  Byte* heads;
  Byte* refs;
  Byte* slots;
};
Arrays ArraysOf(Byte* page) {
  size_t count = Header(page)->count;
  Byte* heads = page + BranchHeadsAt(page);
  return {heads, heads + 4 * count, heads + (4 + kChildRefSize) * count};
}

// Length of separator `index` behind the prefix, and its tail.
struct Suffix {
  size_t size;
  Slice tail;
};
Suffix SuffixAt(const Byte* page, uint32_t index) {
  const Byte* slots = page + BranchHeadsAt(page) + (4 + kChildRefSize) * size_t{Header(page)->count};
  uint16_t slot = Load16(slots + 2 * index);
  if (slot <= kHeadSize) {
    return {slot, {}};
  }
  uint16_t tail = Load16(page + slot);
  return {kHeadSize + tail, MakeSlice(page + slot + kTailHeader, tail)};
}

// Compares separator `index` with `suffix`, whose head is known to be equal.
int CompareBehindHead(const Byte* page, uint32_t index, Slice suffix) {
  Suffix own = SuffixAt(page, index);
  if (own.size > kHeadSize && suffix.size() > kHeadSize) {
    return CompareKeys(own.tail, suffix.substr(kHeadSize));
  }
  // With equal padded heads, the shorter is a prefix of the longer but for zero bytes.
  return own.size < suffix.size() ? -1 : own.size > suffix.size() ? 1 : 0;
}

size_t TailCost(size_t suffix_size) { return suffix_size > kHeadSize ? kTailHeader + suffix_size - kHeadSize : 0; }

size_t SharedPrefix(absl::Span<const BranchEntry> entries) {
  if (entries.size() < 2) {
    return 0;
  }
  if (entries.size() == 2) {
    // One separator shares all of itself; what the head can hold is compared fastest there.
    Slice separator = entries[1].separator;
    return separator.size() - std::min(separator.size(), kHeadSize);
  }
  // Of all, though the first and last would do if nothing were damaged.
  Slice shared = entries[1].separator;
  for (const BranchEntry& entry : entries.subspan(2)) {
    shared = shared.substr(0, CommonPrefix(shared, entry.separator));
  }
  return shared.size();
}

bool SharesPrefix(const Byte* page, Slice separator) {
  size_t prefix = Header(page)->prefix;
  return separator.size() >= prefix && EqualBytes(separator.data(), page + kPageHeaderSize, prefix);
}

// Appends a tail below `upper` and returns the slot's value.
uint16_t PlaceSuffix(Byte* page, Slice suffix) {
  if (suffix.size() <= kHeadSize) {
    return static_cast<uint16_t>(suffix.size());
  }
  format::PageHeader* header = Header(page);
  header->upper = static_cast<uint16_t>(header->upper - TailCost(suffix.size()));
  Slice tail = suffix.substr(kHeadSize);
  Store16(page + header->upper, static_cast<uint16_t>(tail.size()));
  std::memcpy(page + header->upper + kTailHeader, tail.data(), tail.size());
  return header->upper;
}

}  // namespace

uint32_t SearchOutsidePrefix(const Byte* page, Slice key) {
  const format::PageHeader* header = Header(page);
  return CompareKeys(key, MakeSlice(page + kPageHeaderSize, header->prefix)) < 0 ? 0 : header->count - 1;
}

uint32_t SearchEqualHeads(const Byte* page, Slice key, uint32_t less) {
  const format::PageHeader* header = Header(page);
  const Slice suffix = key.substr(header->prefix);
  // Among separators 1..count-1; the answer is the last one <= key, or child 0.
  uint32_t low = 1 + less;
  uint32_t high = EndOfEqualHeads(page + BranchHeadsAt(page), header->count, low, HeadBehind(key, header->prefix));
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (CompareBehindHead(page, middle, suffix) <= 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low - 1;
}

void AppendSeparator(const Byte* page, uint32_t index, std::string* out) {
  if (index == 0) {
    return;
  }
  out->append(reinterpret_cast<const char*>(page) + kPageHeaderSize, Header(page)->prefix);
  Suffix suffix = SuffixAt(page, index);
  uint32_t head = __builtin_bswap32(Load32(page + BranchHeadsAt(page) + 4 * size_t{index}));
  out->append(reinterpret_cast<const char*>(&head), std::min(suffix.size, kHeadSize));
  out->append(suffix.tail);
}

BranchNeed MeasureBranch(absl::Span<const BranchEntry> entries) {
  size_t prefix = SharedPrefix(entries);
  size_t bytes = kPageHeaderSize + Padded(prefix) + kBranchSlotSize * entries.size();
  for (size_t i = 1; i < entries.size(); ++i) {
    bytes += TailCost(entries[i].separator.size() - prefix);
  }
  return {prefix, bytes};
}

size_t BranchChildCost(size_t separator_size, size_t prefix) { return kBranchSlotSize + TailCost(separator_size - prefix); }

bool BuildBranch(Byte* page, uint32_t page_size, uint8_t level, absl::Span<const BranchEntry> entries) {
  JOHNNY_CHECK(!entries.empty() && level > 0);
  const auto [prefix, needed] = MeasureBranch(entries);
  if (needed > page_size) {
    return false;
  }
  std::memset(page, 0, kPageHeaderSize + Padded(prefix));
  format::PageHeader* header = Header(page);
  header->type = static_cast<uint8_t>(format::PageType::kBranch);
  header->level = level;
  header->count = static_cast<uint16_t>(entries.size());
  header->prefix = static_cast<uint16_t>(prefix);
  header->lower = static_cast<uint16_t>(kPageHeaderSize + Padded(prefix) + kBranchSlotSize * entries.size());
  header->upper = static_cast<uint16_t>(page_size);
  if (prefix > 0) {
    std::memcpy(page + kPageHeaderSize, entries[1].separator.data(), prefix);
  }
  Arrays arrays = ArraysOf(page);
  for (size_t i = 0; i < entries.size(); ++i) {
    Slice suffix = i == 0 ? Slice() : entries[i].separator.substr(prefix);
    Store32(arrays.heads + 4 * i, HeadOf(suffix));
    format::StoreChildRef(arrays.refs + kChildRefSize * i, entries[i].ref);
    Store16(arrays.slots + 2 * i, PlaceSuffix(page, suffix));
  }
  return true;
}

bool InsertIntoBranch(Byte* page, uint32_t index, Slice separator, const format::ChildRef& ref) {
  format::PageHeader* header = Header(page);
  size_t count = header->count;
  JOHNNY_DCHECK(index > 0 && index <= count);
  if (!SharesPrefix(page, separator)) {
    return false;
  }
  Slice suffix = separator.substr(Header(page)->prefix);
  if (size_t{header->upper} - header->lower < kBranchSlotSize + TailCost(suffix.size())) {
    return false;
  }
  uint16_t slot = PlaceSuffix(page, suffix);
  Arrays old = ArraysOf(page);
  header->count = static_cast<uint16_t>(count + 1);
  header->lower = static_cast<uint16_t>(header->lower + kBranchSlotSize);
  Arrays arrays = ArraysOf(page);
  size_t behind = count - index;
  std::memmove(arrays.slots + 2 * (index + 1), old.slots + 2 * size_t{index}, 2 * behind);
  std::memmove(arrays.slots, old.slots, 2 * size_t{index});
  std::memmove(arrays.refs + kChildRefSize * (index + 1), old.refs + kChildRefSize * index, kChildRefSize * behind);
  std::memmove(arrays.refs, old.refs, kChildRefSize * index);
  std::memmove(arrays.heads + 4 * (size_t{index} + 1), old.heads + 4 * size_t{index}, 4 * behind);
  Store32(arrays.heads + 4 * size_t{index}, HeadOf(suffix));
  format::StoreChildRef(arrays.refs + kChildRefSize * index, ref);
  Store16(arrays.slots + 2 * size_t{index}, slot);
  return true;
}

bool ReplaceSeparator(Byte* page, uint32_t index, Slice separator) {
  format::PageHeader* header = Header(page);
  JOHNNY_DCHECK(index > 0 && index < header->count);
  if (!SharesPrefix(page, separator)) {
    return false;
  }
  Slice suffix = separator.substr(header->prefix);
  if (size_t{header->upper} - header->lower < TailCost(suffix.size())) {
    return false;
  }
  Arrays arrays = ArraysOf(page);
  Store32(arrays.heads + 4 * size_t{index}, HeadOf(suffix));
  Store16(arrays.slots + 2 * size_t{index}, PlaceSuffix(page, suffix));  // the old tail is a hole from now on
  return true;
}

void RemoveFromBranch(Byte* page, uint32_t index) {
  format::PageHeader* header = Header(page);
  size_t count = header->count;
  JOHNNY_CHECK(count > 1 && index < count);
  Arrays old = ArraysOf(page);
  header->count = static_cast<uint16_t>(count - 1);
  header->lower = static_cast<uint16_t>(header->lower - kBranchSlotSize);
  Arrays arrays = ArraysOf(page);
  size_t behind = count - 1 - index;
  std::memmove(arrays.heads + 4 * size_t{index}, old.heads + 4 * (size_t{index} + 1), 4 * behind);
  std::memmove(arrays.refs, old.refs, kChildRefSize * index);
  std::memmove(arrays.refs + kChildRefSize * index, old.refs + kChildRefSize * (index + 1), kChildRefSize * behind);
  std::memmove(arrays.slots, old.slots, 2 * size_t{index});
  std::memmove(arrays.slots + 2 * size_t{index}, old.slots + 2 * (size_t{index} + 1), 2 * behind);
  if (index == 0) {
    Store32(arrays.heads, 0);
    Store16(arrays.slots, 0);
  }
}

size_t BranchBytesUsed(const Byte* page) {
  size_t bytes = Header(page)->lower;
  for (uint32_t i = 1; i < Header(page)->count; ++i) {
    bytes += TailCost(SuffixAt(page, i).size);
  }
  return bytes;
}

}  // namespace johnny::node
