#include "node/vet.h"

#include <string>

#include "node/branch.h"
#include "node/leaf.h"

namespace johnny::node {
namespace {

using format::PageHeader;
using format::PageType;

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
  if (total > page_size - header->upper) {
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

const char* CheckOrder(const Byte* page) {
  const PageHeader* header = Header(page);
  std::string previous;
  std::string key;
  for (uint32_t i = 0; i < header->count; ++i) {
    key.clear();
    uint32_t head = 0;
    if (header->level == 0) {
      key = LeafKey(page, i);
      head = Load32(LeafHeads(page) + 4 * i);
      if (i > 0 && CommonPrefix(key, previous) < header->prefix) {
        return "leaf: a key does not share the page's prefix";
      }
    } else {
      AppendSeparator(page, i, &key);
      head = Load32(page + BranchHeadsAt(page) + 4 * size_t{i});
    }
    size_t prefix = header->level > 0 && i == 0 ? 0 : header->prefix;
    if (head != HeadOf(Slice(key).substr(prefix))) {
      return "a head does not match its key";
    }
    if (i > (header->level > 0 ? 1u : 0u) && CompareKeys(previous, key) >= 0) {
      return "keys do not ascend";
    }
    previous.swap(key);
  }
  return nullptr;
}

}  // namespace johnny::node
