#include "format/snapshot_record.h"

#include <gtest/gtest.h>

#include <cstring>

namespace johnny::format {
namespace {

SnapshotRecord Sample() {
  SnapshotRecord record;
  record.txn = 77;
  record.page_count = 5000;
  record.table_count = 3;
  record.main = {{4711, 0xdeadbeef, 123456}, 2, 5, 600, 70, 8};
  record.catalog = {{4712, 0xcafef00d, 4}, 0, 0, 1, 0, 0};
  return record;
}

TEST(SnapshotRecordTest, RoundTrips) {
  Byte bytes[kSnapshotRecordSize];
  StoreSnapshotRecord(bytes, Sample());
  SnapshotRecord back = LoadSnapshotRecord(bytes);
  EXPECT_EQ(back.txn, 77u);
  EXPECT_EQ(back.page_count, 5000u);
  EXPECT_EQ(back.table_count, 3u);
  EXPECT_EQ(back.main.root.page, 4711u);
  EXPECT_EQ(back.main.root.entries, 123456u);
  EXPECT_EQ(back.main.large_values, 8u);
  EXPECT_EQ(back.catalog.root.checksum, 0xcafef00d);
  EXPECT_EQ(back.catalog.leaf_pages, 1u);
}

TEST(SnapshotRecordTest, IsWhereTheFormatSaysItIs) {
  Byte bytes[kSnapshotRecordSize];
  StoreSnapshotRecord(bytes, Sample());
  EXPECT_EQ(Load64(bytes), 77u);
  EXPECT_EQ(Load64(bytes + 8), 5000u);
  EXPECT_EQ(Load64(bytes + 16), 3u);
  EXPECT_EQ(Load64(bytes + 24), 0u);
  EXPECT_EQ(Load48(bytes + 32), 4711u);
  EXPECT_EQ(Load48(bytes + 96), 4712u);
}

TEST(SnapshotRecordTest, KeysSortBeforeEveryTable) {
  EXPECT_EQ(SnapshotKey("a"), std::string("\0a", 2));
  EXPECT_TRUE(IsSnapshotKey(SnapshotKey("a")));
  EXPECT_FALSE(IsSnapshotKey(""));
  EXPECT_FALSE(IsSnapshotKey(kFirstTableKey));
  EXPECT_LT(Slice(SnapshotKey("\xff")), kFirstTableKey);
  EXPECT_EQ(SnapshotName(SnapshotKey("name")), "name");
}

TEST(SnapshotRecordTest, NamesHaveLimits) {
  EXPECT_TRUE(IsSnapshotName("a"));
  EXPECT_TRUE(IsSnapshotName(std::string(254, 'n')));
  EXPECT_FALSE(IsSnapshotName(std::string(255, 'n')));
  EXPECT_FALSE(IsSnapshotName(""));
  EXPECT_FALSE(IsSnapshotName(std::string("a\0b", 3)));
}

TEST(SnapshotRecordTest, ImpossibleRecordsAreToldApart) {
  EXPECT_EQ(VetSnapshotRecord(Sample(), 78, 4096), nullptr);
  EXPECT_NE(VetSnapshotRecord(Sample(), 77, 4096), nullptr);
  auto vet = [](auto change) {
    SnapshotRecord record = Sample();
    change(&record);
    return VetSnapshotRecord(record, 1000, 4096);
  };
  EXPECT_NE(vet([](SnapshotRecord* r) { r->txn = 0; }), nullptr);
  EXPECT_NE(vet([](SnapshotRecord* r) { r->page_count = 15; }), nullptr);
  EXPECT_NE(vet([](SnapshotRecord* r) { r->page_count = UINT64_MAX; }), nullptr);
  EXPECT_NE(vet([](SnapshotRecord* r) { r->main.root.page = 15; }), nullptr);
  EXPECT_NE(vet([](SnapshotRecord* r) { r->main.root.page = 5000; }), nullptr);
  EXPECT_NE(vet([](SnapshotRecord* r) { r->catalog.root.page = kMaxPageNumber + 1; }), nullptr);
  EXPECT_NE(vet([](SnapshotRecord* r) { r->catalog.level = kMaxLevel + 1; }), nullptr);
  EXPECT_EQ(vet([](SnapshotRecord* r) { r->main = r->catalog = {}; }), nullptr);
}

}  // namespace
}  // namespace johnny::format
