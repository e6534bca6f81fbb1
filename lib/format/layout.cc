#include "format/layout.h"

namespace johnny::format {

TableRecord LoadTableRecord(const void* at) {
  const Byte* from = static_cast<const Byte*>(at);
  TableRecord record;
  record.root = LoadChildRef(from);
  record.level = from[16];
  record.branch_pages = Load64(from + 24);
  record.leaf_pages = Load64(from + 32);
  record.extent_pages = Load64(from + 40);
  record.large_values = Load64(from + 48);
  return record;
}

void StoreTableRecord(void* at, const TableRecord& record) {
  Byte* to = static_cast<Byte*>(at);
  std::memset(to, 0, kTableRecordSize);
  StoreChildRef(to, record.root);
  to[16] = record.level;
  Store64(to + 24, record.branch_pages);
  Store64(to + 32, record.leaf_pages);
  Store64(to + 40, record.extent_pages);
  Store64(to + 48, record.large_values);
}

}  // namespace johnny::format
