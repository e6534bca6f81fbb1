// A small database as bytes, with what is known about it, and the means to damage it convincingly.
#ifndef JOHNNY_TEST_DAMAGE_IMAGE_H_
#define JOHNNY_TEST_DAMAGE_IMAGE_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "support/forge.h"
#include "support/test_db.h"

namespace johnny::test {

inline constexpr uint32_t kPageSize = 4096;

// All tables of a snapshot; "" is the main table.
using State = std::map<std::string, Contents>;

// A page in use by the newest snapshot.
struct UsedPage {
  PageNumber page = 0;
  uint32_t kind = 0;  // enum johnny_page_kind
  uint32_t level = 0;
  std::string table;  // "(none)" for the catalog and the free log
};

struct Image {
  std::string bytes;               // of the closed database
  std::vector<std::string> older;  // the file as it was after earlier commits
  State newest;
  State previous;  // one commit before
  std::vector<UsedPage> pages;

  uint64_t page_count() const { return bytes.size() / kPageSize; }
};

// Main table with a branch, leaves, extents of one chunk and of two; two named tables, one of them empty; free and pending pages.
// Built once.
const Image& SampleImage();

inline Byte* At(std::string* bytes, PageNumber page) { return reinterpret_cast<Byte*>(bytes->data()) + page * kPageSize; }

// For the bytes of a damaged copy of it.
Forger ForgerOf(std::string* bytes);
inline void RepairChecksum(std::string* bytes, PageNumber page) { ForgerOf(bytes).RepairChecksum(page); }
inline void RepairUpwards(std::string* bytes, PageNumber page) { ForgerOf(bytes).RepairUpwards(page); }
inline int Redirect(std::string* bytes, PageNumber parent, PageNumber from, PageNumber to) {
  return ForgerOf(bytes).Redirect(parent, from, to);
}

}  // namespace johnny::test

#endif  // JOHNNY_TEST_DAMAGE_IMAGE_H_
