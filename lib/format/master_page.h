// Master pages (FORMAT.md section 2) and the mark of a failed sync (section 3).
#ifndef JOHNNY_FORMAT_MASTER_PAGE_H_
#define JOHNNY_FORMAT_MASTER_PAGE_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "format/layout.h"

namespace johnny::format {

inline constexpr size_t kMasterPageSize = 4096;
inline constexpr uint64_t kMagic = 0x4244796e6e686f4au;  // "JohnnyDB"
inline constexpr uint32_t kFormatVersion = 1;

inline constexpr TxnId kMaxTxnId = TxnId{1} << 62;  // none gets there by counting

inline constexpr uint32_t kMasterDurable = 1;  // everything it refers to was synced before it was written
inline constexpr uint32_t kMasterClean = 2;    // written by a clean close: nothing was begun after it

// Everything that a commit publishes.
struct MasterPage {
  uint32_t format_version = kFormatVersion;
  uint32_t page_size = 0;
  uint64_t compatible_features = 0;
  uint64_t read_only_compatible_features = 0;
  uint64_t incompatible_features = 0;
  uint64_t database_id = 0;
  TxnId txn = 0;
  TxnId id_ceiling = 0;     // no id above it has been used while this master is the newest durable one
  uint64_t page_count = 0;  // high-water mark: pages of the file that are used or free
  uint32_t flags = 0;
  TxnId durable_txn = 0;  // newest transaction known to be durable when this was written
  TableRecord catalog;
  TableRecord main;
  uint64_t table_count = 0;
  ChildRef free_log;  // newest record; entries: pages of the whole free log

  bool durable() const { return (flags & kMasterDurable) != 0; }
  bool clean() const { return (flags & kMasterClean) != 0; }
};

// Writes the page, checksum included, to `to` (kMasterPageSize bytes).
void EncodeMasterPage(const MasterPage& master, Byte* to);

// kNotADatabase: no magic. kVersionMismatch: a newer format or an unknown incompatible feature. kCorrupt: checksum or impossible
// fields. `slot` is named in messages.
absl::StatusOr<MasterPage> DecodeMasterPage(const Byte* from, int slot);

// "A sync failed in this boot: until the machine restarts, only what the master page in this slot says can be trusted." No slot:
// nobody can tell which commits have reached the disk.
inline constexpr uint64_t kNoDurableSlot = 2;
struct SyncMark {
  uint64_t boot_id = 0;
  TxnId durable_txn = 0;
  uint64_t durable_slot = 0;
};
inline constexpr size_t kSyncMarkSize = 512;
void EncodeSyncMark(const SyncMark& mark, Byte* to);
// False when there is no valid mark.
bool DecodeSyncMark(const Byte* from, SyncMark* mark);

}  // namespace johnny::format

#endif  // JOHNNY_FORMAT_MASTER_PAGE_H_
