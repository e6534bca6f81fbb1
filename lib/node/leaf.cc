#include "node/leaf.h"

#include <array>

#include "base/check.h"

namespace johnny::node {
namespace {

using format::kLeafEntryHeader;
using format::kLeafSlotSize;
using format::kPageHeaderSize;

Byte* Heads(Byte* page) { return page + kPageHeaderSize; }
Byte* Offsets(Byte* page) { return Heads(page) + 4 * size_t{Header(page)->count}; }

// Compares the page's common prefix with the start of `key`: <0 if key sorts before every key of the page, >0 after, 0 inside.
int ComparePrefix(const Byte* page, Slice key) {
  size_t prefix = Header(page)->prefix;
  if (prefix == 0) {
    return 0;
  }
  const Byte* first_key = LeafEntryAt(page, 0) + kLeafEntryHeader;
  size_t common = std::min(prefix, key.size());
  int order = common == 0 ? 0 : std::memcmp(key.data(), first_key, common);
  return order != 0 ? order : (key.size() < prefix ? -1 : 0);
}

// Shrinks the prefix to `prefix` bytes and recomputes the heads.
void SetPrefix(Byte* page, size_t prefix) {
  Header(page)->prefix = static_cast<uint16_t>(prefix);
  Byte* heads = Heads(page);
  for (uint32_t i = 0; i < Header(page)->count; ++i) {
    Store32(heads + 4 * i, HeadOf(LeafKey(page, i).substr(prefix)));
  }
}

// Moves the live entries together at the end of the page.
void Compact(Byte* page, uint32_t page_size) {
  std::array<Byte, format::kMaxPageSize> scratch;
  format::PageHeader* header = Header(page);
  Byte* offsets = Offsets(page);
  size_t upper = page_size;
  for (uint32_t i = 0; i < header->count; ++i) {
    const Byte* entry = page + Load16(offsets + 2 * i);
    size_t size = kLeafEntryHeader + Load16(entry) + (Load16(entry + 2) & ~format::kExtentFlag);
    upper -= size;
    std::memcpy(scratch.data() + upper, entry, size);
    Store16(offsets + 2 * i, static_cast<uint16_t>(upper));
  }
  std::memcpy(page + upper, scratch.data() + upper, page_size - upper);
  header->upper = static_cast<uint16_t>(upper);
}

// Makes `bytes` of contiguous room, compacting if there is enough in all.
bool MakeRoom(Byte* page, uint32_t page_size, size_t bytes) {
  format::PageHeader* header = Header(page);
  if (size_t{header->upper} - header->lower >= bytes) {
    return true;
  }
  if (LeafBytesUsed(page) + bytes > page_size) {
    return false;
  }
  Compact(page, page_size);
  return true;
}

}  // namespace

Position SearchLeaf(const Byte* page, Slice key) {
  const format::PageHeader* header = Header(page);
  uint32_t count = header->count;
  if (count == 0) {
    return {0, false};
  }
  if (int order = ComparePrefix(page, key); order != 0) {
    return {order < 0 ? 0 : count, false};
  }
  const Byte* heads = LeafHeads(page);
  uint32_t head = HeadBehind(key, header->prefix);
  uint32_t low = LowerBoundHead(heads, count, head);
  uint32_t high = EndOfEqualHeads(heads, count, low, head);
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    int order = CompareKeys(LeafKey(page, middle), key);
    if (order == 0) {
      return {middle, true};
    }
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return {low, false};
}

const Byte* FindBehind(const Byte* page, Slice key, uint32_t first) {
  const Byte* heads = LeafHeads(page);
  uint32_t low = first + 1;
  uint32_t high = EndOfEqualHeads(heads, Header(page)->count, low, Load32(heads + 4 * size_t{first}));
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    int order = CompareKeys(LeafKey(page, middle), key);
    if (order == 0) {
      return LeafEntryAt(page, middle);
    }
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return nullptr;
}

void InitLeaf(Byte* page, uint32_t page_size) {
  std::memset(page, 0, kPageHeaderSize);
  format::PageHeader* header = Header(page);
  header->type = static_cast<uint8_t>(format::PageType::kLeaf);
  header->lower = kPageHeaderSize;
  header->upper = static_cast<uint16_t>(page_size);
}

bool InsertIntoLeaf(Byte* page, uint32_t page_size, uint32_t index, const LeafEntry& entry) {
  size_t size = entry.size();
  if (!MakeRoom(page, page_size, size + kLeafSlotSize)) {
    return false;
  }
  format::PageHeader* header = Header(page);
  uint32_t count = header->count;
  JOHNNY_DCHECK(index <= count);
  if (count == 0) {
    header->prefix = static_cast<uint16_t>(entry.key.size());
  } else if (header->prefix > 0) {
    size_t shared = CommonPrefix(entry.key, LeafKey(page, 0).substr(0, header->prefix));
    if (shared < header->prefix) {
      SetPrefix(page, shared);
    }
  }
  size_t upper = header->upper - size;
  WriteLeafEntry(page + upper, entry);

  // The offsets move up by one head, those behind the new one by one offset more.
  Byte* heads = Heads(page);
  Byte* offsets = heads + 4 * size_t{count};
  std::memmove(offsets + 4 + 2 * index + 2, offsets + 2 * index, 2 * (size_t{count} - index));
  std::memmove(offsets + 4, offsets, 2 * size_t{index});
  std::memmove(heads + 4 * (size_t{index} + 1), heads + 4 * size_t{index}, 4 * (size_t{count} - index));
  Store32(heads + 4 * size_t{index}, HeadOf(entry.key.substr(header->prefix)));
  Store16(offsets + 4 + 2 * size_t{index}, static_cast<uint16_t>(upper));
  header->count = static_cast<uint16_t>(count + 1);
  header->lower = static_cast<uint16_t>(header->lower + kLeafSlotSize);
  header->upper = static_cast<uint16_t>(upper);
  return true;
}

bool AppendToLeaf(Byte* page, const LeafEntry& entry) {
  format::PageHeader* header = Header(page);
  const size_t count = header->count, prefix = header->prefix, size = entry.size();
  if (count == 0 || size_t{header->upper} - header->lower < size + kLeafSlotSize || entry.key.size() < prefix) {
    return false;
  }
  Slice last = LeafKey(page, static_cast<uint32_t>(count - 1));
  if (!EqualBytes(last.data(), entry.key.data(), prefix)) {
    return false;
  }
  Byte* heads = Heads(page);
  const uint32_t head = HeadOf(entry.key.substr(prefix)), last_head = Load32(heads + 4 * (count - 1));
  if (head < last_head || (head == last_head && CompareKeys(last, entry.key) >= 0)) {
    return false;
  }
  const size_t upper = header->upper - size;
  WriteLeafEntry(page + upper, entry);
  Byte* offsets = heads + 4 * count;
  std::memmove(offsets + 4, offsets, 2 * count);
  Store32(offsets, head);
  Store16(offsets + 4 + 2 * count, static_cast<uint16_t>(upper));
  header->count = static_cast<uint16_t>(count + 1);
  header->lower = static_cast<uint16_t>(header->lower + kLeafSlotSize);
  header->upper = static_cast<uint16_t>(upper);
  return true;
}

bool ReplaceInLeaf(Byte* page, uint32_t page_size, uint32_t index, const LeafValue& value) {
  LeafEntry old = GetLeafEntry(page, index);
  size_t key_size = old.key.size();
  Byte* entry = page + Load16(Offsets(page) + 2 * index);
  uint16_t flag = value.is_extent ? format::kExtentFlag : 0;
  if (value.bytes.size() <= old.value.bytes.size()) {
    Store16(entry + 2, static_cast<uint16_t>(value.bytes.size() | flag));
    if (!value.bytes.empty()) {
      std::memmove(entry + kLeafEntryHeader + key_size, value.bytes.data(), value.bytes.size());
    }
    return true;
  }
  size_t size = kLeafEntryHeader + key_size + value.bytes.size();
  // While the page is compacted the old entry still takes its header's bytes.
  if (LeafBytesUsed(page) - old.size() + kLeafEntryHeader + size > page_size) {
    return false;
  }
  std::array<Byte, format::kMaxPageSize / 4> key_copy;
  std::memcpy(key_copy.data(), old.key.data(), key_size);
  // Zero the old entry's sizes so that compaction drops it.
  Store16(entry, 0);
  Store16(entry + 2, 0);
  if (size_t{Header(page)->upper} - Header(page)->lower < size) {
    Compact(page, page_size);
  }
  size_t upper = Header(page)->upper - size;
  WriteLeafEntry(page + upper, {MakeSlice(key_copy.data(), key_size), value});
  Store16(Offsets(page) + 2 * index, static_cast<uint16_t>(upper));
  Header(page)->upper = static_cast<uint16_t>(upper);
  return true;
}

void RemoveFromLeaf(Byte* page, uint32_t index) {
  format::PageHeader* header = Header(page);
  uint32_t count = header->count;
  JOHNNY_DCHECK(index < count);
  Byte* heads = Heads(page);
  Byte* offsets = heads + 4 * size_t{count};
  std::memmove(heads + 4 * size_t{index}, heads + 4 * (size_t{index} + 1), 4 * (size_t{count} - index - 1));
  std::memmove(offsets - 4, offsets, 2 * size_t{index});
  std::memmove(offsets - 4 + 2 * size_t{index}, offsets + 2 * (size_t{index} + 1), 2 * (size_t{count} - index - 1));
  header->count = static_cast<uint16_t>(count - 1);
  header->lower = static_cast<uint16_t>(header->lower - kLeafSlotSize);
}

namespace {

// Of the header and entries, until it is at least `enough`.
size_t CountBytesUsed(const Byte* page, size_t enough) {
  const uint32_t count = Header(page)->count;
  size_t bytes = kPageHeaderSize + kLeafSlotSize * size_t{count};
  for (uint32_t i = 0; i < count && bytes < enough; ++i) {
    const Byte* entry = LeafEntryAt(page, i);
    bytes += kLeafEntryHeader + Load16(entry) + (Load16(entry + 2) & ~format::kExtentFlag);
  }
  return bytes;
}

}  // namespace

size_t LeafBytesUsed(const Byte* page) { return CountBytesUsed(page, SIZE_MAX); }
bool LeafUsesAtLeast(const Byte* page, size_t bytes) { return CountBytesUsed(page, bytes) >= bytes; }

void WriteLeafEntry(Byte* at, const LeafEntry& entry) {
  Store16(at, static_cast<uint16_t>(entry.key.size()));
  uint16_t flag = entry.value.is_extent ? format::kExtentFlag : 0;
  Store16(at + 2, static_cast<uint16_t>(entry.value.bytes.size() | flag));
  if (!entry.key.empty()) {
    std::memcpy(at + kLeafEntryHeader, entry.key.data(), entry.key.size());
  }
  if (!entry.value.bytes.empty()) {
    std::memcpy(at + kLeafEntryHeader + entry.key.size(), entry.value.bytes.data(), entry.value.bytes.size());
  }
}

void BuildLeaf(Byte* page, uint32_t page_size, absl::Span<const LeafEntry> entries) {
  InitLeaf(page, page_size);
  if (entries.empty()) {
    return;
  }
  format::PageHeader* header = Header(page);
  // Of all keys, though the first and last would do if nothing were damaged: pages of a damaged tree may be merged out of order.
  Slice shared = entries.front().key;
  for (const LeafEntry& entry : entries) {
    shared = shared.substr(0, CommonPrefix(shared, entry.key));
  }
  size_t prefix = shared.size();
  header->prefix = static_cast<uint16_t>(prefix);
  header->count = static_cast<uint16_t>(entries.size());
  header->lower = static_cast<uint16_t>(kPageHeaderSize + kLeafSlotSize * entries.size());
  Byte* heads = Heads(page);
  Byte* offsets = Offsets(page);
  size_t upper = page_size;
  for (size_t i = 0; i < entries.size(); ++i) {
    upper -= entries[i].size();
    JOHNNY_CHECK(upper >= header->lower && upper <= page_size);
    WriteLeafEntry(page + upper, entries[i]);
    Store32(heads + 4 * i, HeadOf(entries[i].key.substr(prefix)));
    Store16(offsets + 2 * i, static_cast<uint16_t>(upper));
  }
  header->upper = static_cast<uint16_t>(upper);
}

}  // namespace johnny::node
