#include "verify/walk.h"

#include <deque>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "format/snapshot_record.h"
#include "node/branch.h"

namespace johnny::verify {
namespace {

using node::Header;

constexpr size_t kMaxNameSize = 255;

struct NamedTree {
  std::string name;
  Tree tree;
};

// nullptr, or why the catalog's entry is none.
const char* ReadCatalogEntry(const node::LeafEntry& entry, NamedTree* named) {
  if (entry.value.is_extent || entry.value.bytes.size() != format::kTableRecordSize) {
    return "catalog: an entry is not a table record";
  }
  if (entry.key.empty() || entry.key.size() > kMaxNameSize || entry.key.find('\0') != Slice::npos) {
    return "catalog: an entry's key cannot be a table's name";
  }
  named->name = std::string(entry.key);
  named->tree.record = format::LoadTableRecord(entry.value.bytes.data());
  return nullptr;
}

class Walker {
 public:
  Walker(const pager::View& view, Visitor* visitor) : view_(view), visitor_(*visitor) {}

  bool Walk(const Tree& tree) {
    Next next = visitor_.BeforeTree(tree);
    if (next != Next::kGoOn) {
      return next == Next::kSkip;
    }
    if (!tree.record.empty() && !WalkBelow({&tree, tree.record.root, tree.record.level, tree.birth})) {
      return false;
    }
    return visitor_.AfterTree(tree) != Next::kStop;
  }

  bool WalkCatalog(const Tree& catalog) {
    collecting_ = true;
    bool walked = Walk(catalog);
    collecting_ = false;
    return walked;
  }

  bool WalkNamed() {
    for (const NamedTree& named : named_) {
      if (!Walk(named.tree)) {
        return false;
      }
    }
    return true;
  }

  // False: stop. Recursion ends with the levels.
  bool WalkBelow(const Place& place) {
    if (place.level > format::kMaxLevel) {
      return Damage(place, absl::StrCat("a tree of impossible height, ", place.level + 1, " levels"));
    }
    if (place.ref.page < format::FirstPage(view_.page_size()) || place.ref.page >= view_.page_count()) {
      return Damage(place, absl::StrCat("reference to a page outside the snapshot's ", view_.page_count(), " pages"));
    }
    if (Next next = visitor_.BeforePage(place); next != Next::kGoOn) {
      return next == Next::kSkip;
    }
    if (++met_ > view_.page_count()) {
      Damage(place, "pages are referred to more than once: the trees have more pages than the file");
      return false;
    }
    const Byte* page = view_.Resolve(place.ref, place.level);
    if (page == nullptr) {
      return visitor_.OnDamage(place, view_.TakeError()) != Next::kStop;
    }
    if (Next next = visitor_.OnPage(place, page); next != Next::kGoOn) {
      return next == Next::kSkip;
    }
    return place.level > 0 ? WalkChildren(place, page) : WalkEntries(place, page);
  }

 private:
  bool Damage(const Place& place, absl::string_view reason) {
    return visitor_.OnDamage(place, CorruptPage(place.ref.page, reason)) != Next::kStop;
  }

  bool WalkChildren(const Place& place, const Byte* page) {
    uint32_t count = Header(page)->count;
    std::string lower, upper;
    for (uint32_t i = 0; i < count; ++i) {
      lower.swap(upper);
      upper.clear();
      if (i + 1 < count) {
        node::AppendSeparator(page, i + 1, &upper);
      }
      Place child{place.tree, node::GetChild(page, i), place.level - 1, Header(page)->birth};
      child.lower = i == 0 ? place.lower : &lower;
      child.upper = i + 1 == count ? place.upper : &upper;
      if (!WalkBelow(child)) {
        return false;
      }
    }
    return true;
  }

  bool WalkEntries(const Place& place, const Byte* page) {
    uint32_t count = Header(page)->count;
    for (uint32_t i = 0; i < count; ++i) {
      node::LeafEntry entry = node::GetLeafEntry(page, i);
      if (collecting_ && format::IsSnapshotKey(entry.key)) {
        if (visitor_.OnNamedSnapshot(place, page, entry) == Next::kStop) {
          return false;
        }
      } else if (collecting_ && !Collect(place, page, entry)) {
        return false;
      }
      if (entry.value.is_extent &&
          visitor_.OnExtent(place, page, format::LoadExtentRef(entry.value.bytes.data())) == Next::kStop) {
        return false;
      }
    }
    return true;
  }

  bool Collect(const Place& place, const Byte* page, const node::LeafEntry& entry) {
    NamedTree& named = named_.emplace_back();
    if (const char* reason = ReadCatalogEntry(entry, &named); reason != nullptr) {
      named_.pop_back();
      return Damage(place, reason);
    }
    named.tree.name = named.name.c_str();
    named.tree.birth = Header(page)->birth;
    return true;
  }

  const pager::View& view_;
  Visitor& visitor_;
  std::deque<NamedTree> named_;  // addresses are stable
  bool collecting_ = false;
  uint64_t met_ = 0;
};

}  // namespace

bool WalkTree(const pager::View& view, const Tree& tree, Visitor* visitor) { return Walker(view, visitor).Walk(tree); }

bool WalkBelow(const pager::View& view, const Place& place, Visitor* visitor) { return Walker(view, visitor).WalkBelow(place); }

bool WalkSnapshot(const pager::View& view, const readers::Snapshot& snapshot, Visitor* visitor) {
  Walker walker(view, visitor);
  return walker.WalkCatalog({nullptr, snapshot.catalog, snapshot.txn}) && walker.Walk({"", snapshot.main, snapshot.txn}) &&
         walker.WalkNamed();
}

}  // namespace johnny::verify
