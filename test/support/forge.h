// Forging the bytes of a database file: checksums that are right again after a change, so that what lies behind them is reached.
#ifndef JOHNNY_TEST_SUPPORT_FORGE_H_
#define JOHNNY_TEST_SUPPORT_FORGE_H_

#include <string>

#include "format/layout.h"
#include "format/master_page.h"

namespace johnny::test {

// The valid master page in `slot` (the newer of the two if slot is -1); its txn is 0 if there is none.
format::MasterPage MasterOf(const std::string& bytes, int slot);

// Writes `master` into each slot that has a master page of the newest transaction.
void ReplaceMaster(std::string* bytes, const format::MasterPage& master);

// Works on the bytes of one file. References are found by what they hold, so a page is repaired before the next one is changed.
class Forger {
 public:
  // `bytes` lives longer. The seed of checksums is given, since the master pages may be forged, too.
  Forger(std::string* bytes, uint32_t page_size, uint64_t database_id)
      : bytes_(bytes), page_size_(page_size), database_id_(database_id) {}

  uint64_t page_count() const { return bytes_->size() / page_size_; }
  Byte* At(PageNumber page) const { return reinterpret_cast<Byte*>(bytes_->data()) + page * page_size_; }

  // Whether a reference fits the page's number and the checksum that it holds, right or not. Large values have none.
  bool IsReferred(PageNumber page) const;
  // Makes the checksum of a changed page right; references to the page are left alone.
  void RepairChecksum(PageNumber page);
  // The same, and those in the references to it, and so on up to the master pages.
  void RepairUpwards(PageNumber page);
  // Makes the checksum of slot `slot` right, if it looks like a master page at all.
  void RepairMaster(int slot);
  // Makes the checksums right in all references to large values of page `leaf`, if that is a sound leaf. Whether one was wrong.
  bool RepairExtents(PageNumber leaf);
  // Lets references to `from` lead to `to` instead, in page `parent` only. Returns how many there were.
  int Redirect(PageNumber parent, PageNumber from, PageNumber to);

 private:
  std::string* bytes_;
  uint32_t page_size_;
  uint64_t database_id_;
};

}  // namespace johnny::test

#endif  // JOHNNY_TEST_SUPPORT_FORGE_H_
