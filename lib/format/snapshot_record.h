// Named snapshots as the catalog keeps them (FORMAT.md section 7).
//
// Their keys begin with a zero byte, which no table's name has: so they sort before all tables and cannot be taken for one.
#ifndef JOHNNY_FORMAT_SNAPSHOT_RECORD_H_
#define JOHNNY_FORMAT_SNAPSHOT_RECORD_H_

#include <string>

#include "format/layout.h"

namespace johnny::format {

inline constexpr char kSnapshotKeyPrefix = '\0';
// Longest name: with the prefix as long as the longest name of a table.
inline constexpr size_t kMaxSnapshotName = 254;
inline constexpr size_t kSnapshotRecordSize = 160;
// The least key that a table can have; snapshots lie before it.
inline constexpr Slice kFirstTableKey = "\1";

inline bool IsSnapshotKey(Slice key) { return !key.empty() && key.front() == kSnapshotKeyPrefix; }
inline std::string SnapshotKey(Slice name) { return std::string(1, kSnapshotKeyPrefix).append(name); }
inline Slice SnapshotName(Slice key) { return key.substr(1); }
inline bool IsSnapshotName(Slice name) {
  return !name.empty() && name.size() <= kMaxSnapshotName && name.find('\0') == Slice::npos;
}

// What has to be kept of a snapshot to read it: as in its master page.
struct SnapshotRecord {
  TxnId txn = 0;
  uint64_t page_count = 0;
  uint64_t table_count = 0;
  TableRecord main;
  TableRecord catalog;
};
SnapshotRecord LoadSnapshotRecord(const void* from);  // kSnapshotRecordSize bytes
void StoreSnapshotRecord(void* to, const SnapshotRecord& record);

// nullptr, or why no transaction before `before` can have left such a snapshot.
const char* VetSnapshotRecord(const SnapshotRecord& record, TxnId before, uint32_t page_size);

}  // namespace johnny::format

#endif  // JOHNNY_FORMAT_SNAPSHOT_RECORD_H_
