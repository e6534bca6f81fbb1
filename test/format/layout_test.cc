#include "format/layout.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>
#include <vector>

namespace johnny::format {
namespace {

TEST(LayoutTest, PageSizesArePowersOfTwoFrom4To32KiB) {
  std::vector<uint64_t> valid;
  for (uint64_t size = 0; size <= 70000; ++size) {
    if (IsValidPageSize(size)) {
      valid.push_back(size);
    }
  }
  EXPECT_EQ(valid, (std::vector<uint64_t>{4096, 8192, 16384, 32768}));
  EXPECT_FALSE(IsValidPageSize(uint64_t{4096} << 32));
  for (uint64_t size : valid) {
    EXPECT_EQ(FirstPage(static_cast<uint32_t>(size)) * size, kMasterRegion);
    EXPECT_LE(kMasterSlotOffset[1] + 4096, kMasterRegion);
  }
}

TEST(LayoutTest, TwoLargestEntriesFitIntoALeaf) {
  for (uint32_t size = kMinPageSize; size <= kMaxPageSize; size *= 2) {
    EXPECT_EQ(kPageHeaderSize + 2 * (kLeafSlotSize + MaxInlineEntry(size)), size);
    EXPECT_LT(MaxInlineEntry(size), kExtentFlag) << "value sizes leave bit 15 free";
    EXPECT_GE(MaxInlineEntry(size), kLeafEntryHeader + MaxKeySize(size) + kExtentRefSize)
        << "the longest key can have a large value";
    EXPECT_GE(MaxInlineEntry(size), kLeafEntryHeader + 255 + kTableRecordSize) << "the longest table name has its record inline";
  }
  EXPECT_EQ(MaxKeySize(4096), 1016u);
}

TEST(LayoutTest, HeaderFieldsLieWhereTheFormatSays) {
  PageHeader header{};
  header.set_page(0x7fff12345678);
  header.type = static_cast<uint8_t>(PageType::kLeaf);
  header.level = 3;
  header.count = 0x0102;
  header.lower = 0x0304;
  header.upper = 0x0506;
  header.prefix = 0x0708;
  EXPECT_EQ(header.page(), 0x7fff12345678u);
  const Byte* bytes = reinterpret_cast<const Byte*>(&header);
  EXPECT_EQ(Load48(bytes + 16), 0x7fff12345678u);
  EXPECT_EQ(bytes[22], 2);
  EXPECT_EQ(bytes[23], 3);
  EXPECT_EQ(Load16(bytes + 24), 0x0102);
  EXPECT_EQ(Load16(bytes + 26), 0x0304);
  EXPECT_EQ(Load16(bytes + 28), 0x0506);
  EXPECT_EQ(Load16(bytes + 30), 0x0708);
}

TEST(LayoutTest, ChecksumKnowsDatabaseNumberAndEveryByteBehindItself) {
  std::vector<Byte> page(4096);
  for (size_t i = 0; i < page.size(); ++i) {
    page[i] = static_cast<Byte>(i * 7 + i / 256);
  }
  uint64_t sum = PageChecksum(page.data(), 4096, 5, 100);
  EXPECT_NE(PageChecksum(page.data(), 4096, 6, 100), sum);
  EXPECT_NE(PageChecksum(page.data(), 4096, 5, 101), sum);
  for (size_t i = 0; i < page.size(); ++i) {
    page[i] ^= 1;
    EXPECT_EQ(PageChecksum(page.data(), 4096, 5, 100) == sum, i < 8) << i;
    page[i] ^= 1;
  }
}

TEST(LayoutTest, ReferencesAndRecordsSurviveStoring) {
  EXPECT_TRUE(rc::check("what is loaded is what was stored", [] {
    TableRecord record;
    record.root.page = *rc::gen::inRange<uint64_t>(0, kMax48 + 1);
    record.root.checksum = *rc::gen::arbitrary<uint32_t>();
    record.root.entries = *rc::gen::inRange<uint64_t>(0, kMax48 + 1);
    record.level = *rc::gen::arbitrary<uint8_t>();
    record.branch_pages = *rc::gen::arbitrary<uint64_t>();
    record.leaf_pages = *rc::gen::arbitrary<uint64_t>();
    record.extent_pages = *rc::gen::arbitrary<uint64_t>();
    record.large_values = *rc::gen::arbitrary<uint64_t>();
    std::vector<Byte> bytes(kTableRecordSize + 2, 0xee);
    StoreTableRecord(bytes.data() + 1, record);  // at any alignment
    RC_ASSERT(bytes.front() == 0xee);
    RC_ASSERT(bytes.back() == 0xee);
    TableRecord loaded = LoadTableRecord(bytes.data() + 1);
    RC_ASSERT(loaded.root.page == record.root.page);
    RC_ASSERT(loaded.root.checksum == record.root.checksum);
    RC_ASSERT(loaded.root.entries == record.root.entries);
    RC_ASSERT(loaded.level == record.level);
    RC_ASSERT(loaded.branch_pages == record.branch_pages);
    RC_ASSERT(loaded.leaf_pages == record.leaf_pages);
    RC_ASSERT(loaded.extent_pages == record.extent_pages);
    RC_ASSERT(loaded.large_values == record.large_values);
    RC_ASSERT(loaded.empty() == (record.root.page == 0));

    ExtentRef extent{*rc::gen::arbitrary<uint64_t>(), *rc::gen::arbitrary<uint64_t>(), *rc::gen::arbitrary<uint64_t>(),
                     *rc::gen::arbitrary<uint64_t>()};
    StoreExtentRef(bytes.data() + 1, extent);
    ExtentRef read = LoadExtentRef(bytes.data() + 1);
    RC_ASSERT(read.first == extent.first);
    RC_ASSERT(read.length == extent.length);
    RC_ASSERT(read.birth == extent.birth);
    RC_ASSERT(read.checksum == extent.checksum);
  }));
}

TEST(LayoutTest, StoredRecordsHaveTheirReservedBytesZero) {
  std::vector<Byte> bytes(kTableRecordSize, 0xee);
  StoreTableRecord(bytes.data(), {});
  EXPECT_EQ(bytes, std::vector<Byte>(kTableRecordSize, 0));
}

TEST(LayoutTest, ExtentsTakeTheirPayloadAndATableFromTheSecondChunkOn) {
  EXPECT_EQ(ExtentPages(1, 4096), 1u);
  EXPECT_EQ(ExtentPages(4096, 4096), 1u);
  EXPECT_EQ(ExtentPages(4097, 4096), 2u);
  EXPECT_EQ(ExtentPages(kExtentChunk, 4096), 64u) << "one chunk needs no table";
  EXPECT_EQ(ExtentPages(kExtentChunk + 1, 4096), 65u + 1u);
  EXPECT_EQ(ExtentPages(kExtentChunk + 1, 32768), 9u + 1u);
  EXPECT_EQ(ExtentPages(512 * kExtentChunk, 4096), 512u * 64u + 1u) << "512 checksums fill a page";
  EXPECT_EQ(ExtentPages(513 * kExtentChunk, 4096), 513u * 64u + 2u);
  EXPECT_EQ(ExtentChunks(0), 0u);
  EXPECT_EQ(ExtentChunks(kExtentChunk), 1u);
  EXPECT_EQ(ExtentChunks(kExtentChunk + 1), 2u);
}

}  // namespace
}  // namespace johnny::format
