#include "format/snapshot_record.h"

namespace johnny::format {

namespace {

constexpr size_t kMainOffset = 32;
constexpr size_t kCatalogOffset = kMainOffset + kTableRecordSize;
static_assert(kCatalogOffset + kTableRecordSize == kSnapshotRecordSize);
// Its longest entry never needs an extent.
static_assert(kLeafEntryHeader + 1 + kMaxSnapshotName + kSnapshotRecordSize <= MaxInlineEntry(kMinPageSize));
static_assert(1 + kMaxSnapshotName <= MaxKeySize(kMinPageSize));

bool IsPossibleRoot(const TableRecord& tree, uint64_t page_count, uint32_t page_size) {
  return tree.level <= kMaxLevel && (tree.empty() || (tree.root.page >= FirstPage(page_size) && tree.root.page < page_count));
}

}  // namespace

SnapshotRecord LoadSnapshotRecord(const void* at) {
  const Byte* from = static_cast<const Byte*>(at);
  SnapshotRecord record;
  record.txn = Load64(from);
  record.page_count = Load64(from + 8);
  record.table_count = Load64(from + 16);
  record.main = LoadTableRecord(from + kMainOffset);
  record.catalog = LoadTableRecord(from + kCatalogOffset);
  return record;
}

void StoreSnapshotRecord(void* at, const SnapshotRecord& record) {
  Byte* to = static_cast<Byte*>(at);
  std::memset(to, 0, kSnapshotRecordSize);
  Store64(to, record.txn);
  Store64(to + 8, record.page_count);
  Store64(to + 16, record.table_count);
  StoreTableRecord(to + kMainOffset, record.main);
  StoreTableRecord(to + kCatalogOffset, record.catalog);
}

const char* VetSnapshotRecord(const SnapshotRecord& record, TxnId before, uint32_t page_size) {
  if (record.txn == 0 || record.txn >= before) {
    return "its transaction is not before the one that keeps it";
  }
  if (record.page_count < FirstPage(page_size) || record.page_count > kMaxPageNumber) {
    return "its page count is impossible";
  }
  if (!IsPossibleRoot(record.main, record.page_count, page_size) ||
      !IsPossibleRoot(record.catalog, record.page_count, page_size)) {
    return "the root of a tree is impossible";
  }
  return nullptr;
}

}  // namespace johnny::format
