#include "node/vet.h"

#include <algorithm>
#include <array>
#include <string>

#include "node/branch.h"
#include "node/leaf.h"

namespace johnny::node {
namespace {

using format::PageHeader;
using format::PageType;

// Whether two entries of a leaf, each within the page, share bytes. An edit in place would then change a neighbour.
bool EntriesOverlap(const Byte* page, uint32_t page_size) {
  constexpr size_t kMaxEntries = format::kMaxPageSize / (format::kLeafSlotSize + format::kLeafEntryHeader);
  std::array<uint32_t, kMaxEntries> extents;  // offset and size, 16 bits each
  size_t count = Header(page)->count;
  const Byte* offsets = LeafHeads(page) + 4 * count;
  bool descending = true;  // as pages are built; only those edited at random need sorting
  for (size_t i = 0; i < count; ++i) {
    uint32_t offset = Load16(offsets + 2 * i);
    uint32_t size =
        format::kLeafEntryHeader + Load16(page + offset) + (Load16(page + offset + 2) & ~uint32_t{format::kExtentFlag});
    extents[i] = offset << 16 | size;
    descending = descending && (i == 0 || extents[i] < extents[i - 1]);
  }
  if (descending) {
    std::reverse(extents.begin(), extents.begin() + static_cast<ptrdiff_t>(count));
  } else {
    std::sort(extents.begin(), extents.begin() + static_cast<ptrdiff_t>(count));
  }
  uint32_t end = 0;
  for (size_t i = 0; i < count; ++i) {
    uint32_t offset = extents[i] >> 16;
    if (offset < end) {
      return true;
    }
    end = offset + (extents[i] & 0xffff);
  }
  return end > page_size;
}

// Keys ascend, share the prefix, and have the heads that they should.
const char* CheckLeafOrder(const Byte* page) {
  uint32_t count = Header(page)->count;
  size_t prefix = Header(page)->prefix;
  Slice first = count > 0 ? LeafKey(page, 0) : Slice();
  Slice previous;
  uint32_t previous_head = 0;
  for (uint32_t i = 0; i < count; ++i) {
    Slice key = LeafKey(page, i);
    uint32_t head = Load32(LeafHeads(page) + 4 * size_t{i});
    if (prefix > 0 && std::memcmp(key.data(), first.data(), prefix) != 0) {
      return "leaf: a key does not share the page's prefix";
    }
    if (head != HeadOf(key.substr(prefix))) {
      return "a head does not match its key";
    }
    if (i > 0 && (head < previous_head || (head == previous_head && CompareKeys(previous, key) >= 0))) {
      return "keys do not ascend";
    }
    previous = key;
    previous_head = head;
  }
  return nullptr;
}

const char* CheckBranchOrder(const Byte* page) {
  size_t prefix = Header(page)->prefix;
  std::string previous;
  std::string key;
  if (Load32(page + BranchHeadsAt(page)) != 0) {
    return "a head does not match its key";  // the first stands for minus infinity
  }
  for (uint32_t i = 1; i < Header(page)->count; ++i) {
    key.clear();
    AppendSeparator(page, i, &key);
    if (Load32(page + BranchHeadsAt(page) + 4 * size_t{i}) != HeadOf(Slice(key).substr(prefix))) {
      return "a head does not match its key";
    }
    if (i > 1 && CompareKeys(previous, key) >= 0) {
      return "keys do not ascend";
    }
    previous.swap(key);
  }
  return nullptr;
}

const char* VetLeaf(const Byte* page, uint32_t page_size) {
  const PageHeader* header = Header(page);
  size_t count = header->count;
  if (header->lower != format::kPageHeaderSize + format::kLeafSlotSize * count) {
    return "leaf: lower does not match the count";
  }
  const Byte* offsets = LeafHeads(page) + 4 * count;
  size_t max_key = format::MaxKeySize(page_size);
  size_t max_entry = format::MaxInlineEntry(page_size);
  size_t total = 0;
  for (size_t i = 0; i < count; ++i) {
    size_t offset = Load16(offsets + 2 * i);
    if (offset < header->upper || offset + format::kLeafEntryHeader > page_size) {
      return "leaf: entry offset outside the page";
    }
    size_t key_size = Load16(page + offset);
    size_t value_field = Load16(page + offset + 2);
    size_t value_size = value_field & ~size_t{format::kExtentFlag};
    size_t size = format::kLeafEntryHeader + key_size + value_size;
    if (size > page_size - offset || size > max_entry) {
      return "leaf: entry reaches past the page";
    }
    if (key_size > max_key || key_size < header->prefix) {
      return "leaf: impossible key size";
    }
    if (value_size != value_field && value_size != format::kExtentRefSize) {
      return "leaf: extent reference of the wrong size";
    }
    total += size;
  }
  if (total > page_size - header->upper || EntriesOverlap(page, page_size)) {
    return "leaf: entries overlap";
  }
  return nullptr;
}

const char* VetBranch(const Byte* page, uint32_t page_size) {
  const PageHeader* header = Header(page);
  size_t count = header->count;
  if (count == 0 || header->level > format::kMaxLevel) {
    return "branch: no children, or impossible level";
  }
  if (header->prefix > format::MaxKeySize(page_size) || header->lower != BranchHeadsAt(page) + format::kBranchSlotSize * count) {
    return "branch: lower does not match count and prefix";
  }
  const Byte* refs = page + BranchHeadsAt(page) + 4 * count;
  const Byte* slots = refs + format::kChildRefSize * count;
  size_t total = 0;
  for (size_t i = 0; i < count; ++i) {
    PageNumber child = Load48(refs + format::kChildRefSize * i);
    if (child == 0 || child > format::kMaxPageNumber) {
      return "branch: impossible child page number";
    }
    size_t slot = Load16(slots + 2 * i);
    if (slot <= kHeadSize) {
      if (header->prefix + slot > format::MaxKeySize(page_size)) {
        return "branch: impossible separator size";
      }
      continue;
    }
    if (slot < header->upper || slot + 2 > page_size) {
      return "branch: separator outside the page";
    }
    size_t tail = Load16(page + slot);
    if (tail > page_size - slot - 2 || header->prefix + kHeadSize + tail > format::MaxKeySize(page_size)) {
      return "branch: separator reaches past the page";
    }
    total += 2 + tail;
  }
  return total > page_size - header->upper ? "branch: separators overlap" : nullptr;
}

}  // namespace

const char* VetNode(const Byte* page, uint32_t page_size) {
  const PageHeader* header = Header(page);
  if (header->lower > header->upper || header->upper > page_size) {
    return "free space ends before it begins";
  }
  if (header->type == static_cast<uint8_t>(PageType::kLeaf) && header->level == 0) {
    return VetLeaf(page, page_size);
  }
  if (header->type == static_cast<uint8_t>(PageType::kBranch) && header->level > 0) {
    return VetBranch(page, page_size);
  }
  return "neither a leaf nor a branch of its level";
}

const char* CheckOrder(const Byte* page) { return Header(page)->level == 0 ? CheckLeafOrder(page) : CheckBranchOrder(page); }

}  // namespace johnny::node
