// Checks the pages and large values of one snapshot's trees, claiming an owner for each. Several checkers may share an owner map
// and work on different parts of a tree.
#ifndef JOHNNY_VERIFY_TREE_CHECKER_H_
#define JOHNNY_VERIFY_TREE_CHECKER_H_

#include <string>

#include "verify/finding.h"
#include "verify/owner_map.h"
#include "verify/walk.h"

namespace johnny::verify {

// What was met since the last Take().
struct Totals {
  format::TableRecord counted;  // pages and large values
  uint64_t entries = 0;
  uint64_t pages = 0;   // read and hashed
  bool hidden = false;  // part of it could not be read

  void Add(const Totals& other);
};

// Methods that return bool return false to stop.
class TreeChecker : public Visitor {
 public:
  TreeChecker(const pager::View& view, OwnerMap* owners) : view_(view), owners_(*owners) {}

  const pager::View& view() const { return view_; }
  Totals Take() { return std::exchange(totals_, {}); }

 protected:
  virtual bool Report(FindingKind kind, PageNumber page, const char* table, std::string message) = 0;
  // Called after so many pages were claimed or hashed, of which there are never more than kMostAtOnce.
  virtual bool Worked(uint64_t pages) = 0;

  bool ReportStatus(FindingKind kind, const char* table, const absl::Status& status);
  static constexpr uint64_t kMostAtOnce = 512;

  // *alone: the run is within the snapshot, and nobody had any of it. A large value that is alone is not done before it was
  // hashed.
  bool Claim(space::Run run, Owner owner, const char* table, bool* alone);

  Next BeforePage(const Place& place) override;
  Next OnDamage(const Place& place, const absl::Status& damage) override;
  Next OnPage(const Place& place, const Byte* page) override;
  Next OnExtent(const Place& leaf, const Byte* page, const format::ExtentRef& extent) override;

  Totals totals_;

 private:
  pager::View view_;
  OwnerMap& owners_;
};

}  // namespace johnny::verify

#endif  // JOHNNY_VERIFY_TREE_CHECKER_H_
