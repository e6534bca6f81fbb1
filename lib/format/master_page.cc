#include "format/master_page.h"

#include "absl/strings/str_cat.h"
#include "base/seeded_bug.h"
#include "base/status.h"

namespace johnny::format {
namespace {

// Offsets of FORMAT.md section 2.
constexpr size_t kAtMagic = 0, kAtVersion = 8, kAtPageSize = 12, kAtCompatible = 16, kAtReadOnlyCompatible = 24,
                 kAtIncompatible = 32, kAtDatabaseId = 40, kAtTxn = 48, kAtIdCeiling = 56, kAtPageCount = 64, kAtFlags = 72,
                 kAtDurableTxn = 80, kAtCatalog = 88, kAtMain = kAtCatalog + kTableRecordSize,
                 kAtTableCount = kAtMain + kTableRecordSize, kAtFreeLog = kAtTableCount + 8, kAtChecksum = kMasterPageSize - 8;
static_assert(kAtFreeLog + kChildRefSize <= 512, "the used part fits one sector; the rest is room for a commit log");

constexpr uint64_t kMarkMagic = 0x6b72614d636e7953u;  // "SyncMark"

bool IsPlausible(const TableRecord& record, uint32_t page_size, uint64_t page_count) {
  return record.level <= kMaxLevel && record.root.page < page_count &&
         (record.empty() || record.root.page >= FirstPage(page_size));
}

bool IsPlausible(const MasterPage& master) {
  return IsValidPageSize(master.page_size) && master.page_count >= FirstPage(master.page_size) &&
         master.page_count <= kMaxPageNumber && master.id_ceiling >= master.txn && master.durable_txn <= master.txn &&
         master.txn != 0 && master.id_ceiling <= kMaxTxnId && IsPlausible(master.catalog, master.page_size, master.page_count) &&
         IsPlausible(master.main, master.page_size, master.page_count) && master.free_log.page < master.page_count;
}

}  // namespace

void EncodeMasterPage(const MasterPage& master, Byte* to) {
  std::memset(to, 0, kMasterPageSize);
  Store64(to + kAtMagic, kMagic);
  Store32(to + kAtVersion, master.format_version);
  Store32(to + kAtPageSize, master.page_size);
  Store64(to + kAtCompatible, master.compatible_features);
  Store64(to + kAtReadOnlyCompatible, master.read_only_compatible_features);
  Store64(to + kAtIncompatible, master.incompatible_features);
  Store64(to + kAtDatabaseId, master.database_id);
  Store64(to + kAtTxn, master.txn);
  Store64(to + kAtIdCeiling, master.id_ceiling);
  Store64(to + kAtPageCount, master.page_count);
  Store32(to + kAtFlags, master.flags);
  Store64(to + kAtDurableTxn, master.durable_txn);
  StoreTableRecord(to + kAtCatalog, master.catalog);
  StoreTableRecord(to + kAtMain, master.main);
  Store64(to + kAtTableCount, master.table_count);
  StoreChildRef(to + kAtFreeLog, master.free_log);
  Store64(to + kAtChecksum, Checksum(to, kAtChecksum, kMagic));
}

absl::StatusOr<MasterPage> DecodeMasterPage(const Byte* from, int slot) {
  if (Load64(from + kAtMagic) != kMagic) {
    return MakeStatus(Code::kNotADatabase, absl::StrCat("master page ", slot, ": no JohnnyDB magic number"));
  }
  if (Load64(from + kAtChecksum) != Checksum(from, kAtChecksum, kMagic) && !IsSeeded(SeededBug::kNoMasterChecksum)) {
    return MakeStatus(Code::kCorrupt, absl::StrCat("master page ", slot, ": checksum mismatch"));
  }
  MasterPage master;
  master.format_version = Load32(from + kAtVersion);
  master.incompatible_features = Load64(from + kAtIncompatible);
  if (master.format_version != kFormatVersion || master.incompatible_features != 0) {
    return MakeStatus(Code::kVersionMismatch,
                      absl::StrCat("the file has format version ", master.format_version, " with required features ",
                                   absl::Hex(master.incompatible_features), "; this library reads version ", kFormatVersion));
  }
  master.page_size = Load32(from + kAtPageSize);
  master.compatible_features = Load64(from + kAtCompatible);
  master.read_only_compatible_features = Load64(from + kAtReadOnlyCompatible);
  master.database_id = Load64(from + kAtDatabaseId);
  master.txn = Load64(from + kAtTxn);
  master.id_ceiling = Load64(from + kAtIdCeiling);
  master.page_count = Load64(from + kAtPageCount);
  master.flags = Load32(from + kAtFlags);
  master.durable_txn = Load64(from + kAtDurableTxn);
  master.catalog = LoadTableRecord(from + kAtCatalog);
  master.main = LoadTableRecord(from + kAtMain);
  master.table_count = Load64(from + kAtTableCount);
  master.free_log = LoadChildRef(from + kAtFreeLog);
  if (!IsPlausible(master)) {
    return MakeStatus(Code::kCorrupt, absl::StrCat("master page ", slot, ": impossible contents"));
  }
  return master;
}

void EncodeSyncMark(const SyncMark& mark, Byte* to) {
  std::memset(to, 0, kSyncMarkSize);
  Store64(to, kMarkMagic);
  Store64(to + 8, mark.boot_id);
  Store64(to + 16, mark.durable_txn);
  Store64(to + 24, mark.durable_slot);
  Store64(to + 32, Checksum(to, 32, kMarkMagic));
}

bool DecodeSyncMark(const Byte* from, SyncMark* mark) {
  if (Load64(from) != kMarkMagic || Load64(from + 32) != Checksum(from, 32, kMarkMagic) || Load64(from + 24) > kNoDurableSlot) {
    return false;
  }
  mark->boot_id = Load64(from + 8);
  mark->durable_txn = Load64(from + 16);
  mark->durable_slot = Load64(from + 24);
  return true;
}

}  // namespace johnny::format
