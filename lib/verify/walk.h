// A walk over the trees of a snapshot, page by page in tree order: catalog, main table, named tables in the order of their names.
// Damage is handed to the visitor, and the walk goes on behind it.
//
// Invariants
//   1. A page is handed to OnPage() only when it is vetted, of the level that belongs there, and the version its parent means.
//   2. Levels fall by one at every step, and a walk that has met more pages than the snapshot has ends with damage: a hostile
//      file cannot make it go round in circles. Pages that BeforePage() skips do not count.
// Thread rules: those of the view.
#ifndef JOHNNY_VERIFY_WALK_H_
#define JOHNNY_VERIFY_WALK_H_

#include <string>

#include "absl/status/status.h"
#include "node/leaf.h"
#include "pager/view.h"
#include "readers/snapshots.h"

namespace johnny::verify {

struct Tree {
  const char* name = nullptr;  // "" the main table, null the catalog
  format::TableRecord record;
  TxnId birth = 0;  // of what refers to its root: the snapshot, or the catalog's leaf
};

// Where a page hangs.
struct Place {
  const Tree* tree;
  format::ChildRef ref;
  uint32_t level;
  TxnId parent_birth;
  const std::string* lower = nullptr;  // its keys lie in [*lower, *upper); null: open
  const std::string* upper = nullptr;

  bool is_root() const { return level == tree->record.level; }
};

// What a visitor wants next. Skip: nothing below this page, or nothing of this tree.
enum class Next { kGoOn, kSkip, kStop };

class Visitor {
 public:
  virtual ~Visitor() = default;
  virtual Next BeforeTree(const Tree&) { return Next::kGoOn; }
  virtual Next AfterTree(const Tree&) { return Next::kGoOn; }
  // Inside the snapshot, but not looked at yet.
  virtual Next BeforePage(const Place&) { return Next::kGoOn; }
  virtual Next OnPage(const Place& place, const Byte* page) = 0;
  // An entry of the leaf that was handed out last; the reference is as the file has it.
  virtual Next OnExtent(const Place& leaf, const Byte* page, const format::ExtentRef& extent) = 0;
  // An entry of the catalog's leaf that was handed out last, not looked at yet. The walk does not go into it.
  virtual Next OnNamedSnapshot(const Place&, const Byte* /*page*/, const node::LeafEntry&) { return Next::kGoOn; }
  // What the place refers to cannot be read, or (in the catalog) its entry makes no sense.
  virtual Next OnDamage(const Place& place, const absl::Status& damage) = 0;
};

// False: the visitor stopped it.
bool WalkTree(const pager::View& view, const Tree& tree, Visitor* visitor);
// Only what is at and below `place`.
bool WalkBelow(const pager::View& view, const Place& place, Visitor* visitor);
bool WalkSnapshot(const pager::View& view, const readers::Snapshot& snapshot, Visitor* visitor);

}  // namespace johnny::verify

#endif  // JOHNNY_VERIFY_WALK_H_
