// The bytes on disk: sizes, offsets and codecs. FORMAT.md in this folder is their description; section numbers below refer to it.
#ifndef JOHNNY_FORMAT_LAYOUT_H_
#define JOHNNY_FORMAT_LAYOUT_H_

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/checksum.h"

namespace johnny {

using PageNumber = uint64_t;
using TxnId = uint64_t;

namespace format {

// ---- 1. The file ----
inline constexpr uint32_t kMinPageSize = 4096;
inline constexpr uint32_t kMaxPageSize = 32768;
inline constexpr uint64_t kMasterRegion = 65536;  // bytes before the first ordinary page
inline constexpr uint64_t kMasterSlotOffset[2] = {0, 32768};
inline constexpr uint64_t kSyncMarkOffset = 16384;                   // section 3
inline constexpr uint64_t kMaxPageNumber = (uint64_t{1} << 47) - 1;  // bit 47 marks frames in memory

inline constexpr bool IsValidPageSize(uint64_t size) {
  return size >= kMinPageSize && size <= kMaxPageSize && (size & (size - 1)) == 0;
}
inline constexpr PageNumber FirstPage(uint32_t page_size) { return kMasterRegion / page_size; }

// ---- 4. Page header ----
enum class PageType : uint8_t { kBranch = 1, kLeaf = 2, kFreeLogRecord = 3, kFreeLogSegment = 4 };

inline constexpr size_t kPageHeaderSize = 32;
inline constexpr uint8_t kMaxLevel = 31;

// The header as it lies at the start of a page; u48 fields are split so that the struct has no padding.
struct PageHeader {
  uint64_t checksum;  // of the bytes behind it, seeded with PageSeed()
  uint64_t birth;     // transaction that wrote the page
  uint32_t page_low;  // own page number
  uint16_t page_high;
  uint8_t type;
  uint8_t level;   // 0 for leaves and free-log pages
  uint16_t count;  // entries of a leaf, children of a branch
  uint16_t lower;  // free space is [lower, upper)
  uint16_t upper;
  uint16_t prefix;  // leading bytes that all keys of a leaf, or stored separators of a branch, share

  PageNumber page() const { return page_low | (uint64_t{page_high} << 32); }
  void set_page(PageNumber page) {
    page_low = static_cast<uint32_t>(page);
    page_high = static_cast<uint16_t>(page >> 32);
  }
};
static_assert(sizeof(PageHeader) == kPageHeaderSize);
static_assert(offsetof(PageHeader, birth) == 8 && offsetof(PageHeader, page_low) == 16 && offsetof(PageHeader, type) == 22 &&
              offsetof(PageHeader, count) == 24 && offsetof(PageHeader, prefix) == 30);

inline uint64_t PageSeed(uint64_t database_id, PageNumber page) { return database_id ^ (page * 0x9e3779b97f4a7c15u); }
inline uint64_t PageChecksum(const void* page, uint32_t page_size, uint64_t database_id, PageNumber number) {
  return Checksum(static_cast<const Byte*>(page) + 8, page_size - 8, PageSeed(database_id, number));
}

// ---- 5. Nodes ----

// Longest key: a quarter page less the header's share (1016 bytes at 4 KiB).
inline constexpr size_t MaxKeySize(uint32_t page_size) { return page_size / 4 - 8; }

// A leaf entry is {key size u16, value size u16, key, value}; its head and offset lie in the arrays.
inline constexpr size_t kLeafEntryHeader = 4;
inline constexpr size_t kLeafSlotSize = 6;       // head u32 + offset u16
inline constexpr uint16_t kExtentFlag = 0x8000;  // in the value size: the value is an ExtentRef
// Two of the largest entries always fit into one leaf.
inline constexpr size_t MaxInlineEntry(uint32_t page_size) {
  return (page_size - kPageHeaderSize) / 2 - kLeafSlotSize;  // header, key and value
}

// A branch has, for each child: head u32, reference 16 bytes, slot u16; and tails behind.
inline constexpr size_t kChildRefSize = 16;
inline constexpr size_t kBranchSlotSize = 4 + kChildRefSize + 2;

// What a parent says of a child; entries is settled when the page is sealed.
struct ChildRef {
  PageNumber page = 0;  // 0: no child (an empty tree)
  uint32_t checksum = 0;
  uint64_t entries = 0;
};
inline ChildRef LoadChildRef(const Byte* from) { return {Load64(from) & kMax48, Load32(from + 6), Load64(from + 8) >> 16}; }
inline void StoreChildRef(Byte* to, const ChildRef& ref) {
  Store48(to, ref.page);
  Store32(to + 6, ref.checksum);
  Store48(to + 10, ref.entries);
}

// ---- 6. Large values ----
inline constexpr uint64_t kExtentChunk = 256 * 1024;
inline constexpr size_t kExtentRefSize = 32;

struct ExtentRef {
  PageNumber first = 0;
  uint64_t length = 0;  // bytes of the value
  TxnId birth = 0;
  uint64_t checksum = 0;  // of the value when it has one chunk, else of the table of chunk checksums behind it
};
inline ExtentRef LoadExtentRef(const void* at) {
  const Byte* from = static_cast<const Byte*>(at);
  return {Load64(from), Load64(from + 8), Load64(from + 16), Load64(from + 24)};
}
inline void StoreExtentRef(void* at, const ExtentRef& ref) {
  Byte* to = static_cast<Byte*>(at);
  Store64(to, ref.first);
  Store64(to + 8, ref.length);
  Store64(to + 16, ref.birth);
  Store64(to + 24, ref.checksum);
}
inline constexpr uint64_t ExtentChunks(uint64_t length) { return (length + kExtentChunk - 1) / kExtentChunk; }
inline constexpr uint64_t ExtentPayloadPages(uint64_t length, uint32_t page_size) { return (length + page_size - 1) / page_size; }
// Pages of the whole extent: the payload, then the table of chunk checksums if there is more than one chunk.
inline constexpr uint64_t ExtentPages(uint64_t length, uint32_t page_size) {
  uint64_t chunks = ExtentChunks(length);
  uint64_t table = chunks > 1 ? (chunks * 8 + page_size - 1) / page_size : 0;
  return ExtentPayloadPages(length, page_size) + table;
}

// ---- 7. Tables ----
inline constexpr size_t kTableRecordSize = 64;

// Root and page counts of one tree: in the master page for the catalog and the main table, in a catalog entry for the others.
struct TableRecord {
  ChildRef root;
  uint8_t level = 0;
  uint64_t branch_pages = 0;
  uint64_t leaf_pages = 0;
  uint64_t extent_pages = 0;
  uint64_t large_values = 0;

  bool empty() const { return root.page == 0; }
};
TableRecord LoadTableRecord(const void* from);
void StoreTableRecord(void* to, const TableRecord& record);

}  // namespace format
}  // namespace johnny

#endif  // JOHNNY_FORMAT_LAYOUT_H_
