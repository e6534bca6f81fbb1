#include "verify/tree_checker.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "pager/extent.h"
#include "verify/page_checks.h"

namespace johnny::verify {

using node::Header;

namespace {

Next GoOnIf(bool on) { return on ? Next::kGoOn : Next::kStop; }

}  // namespace

void Totals::Add(const Totals& other) {
  counted.branch_pages += other.counted.branch_pages;
  counted.leaf_pages += other.counted.leaf_pages;
  counted.extent_pages += other.counted.extent_pages;
  counted.large_values += other.counted.large_values;
  entries += other.entries;
  pages += other.pages;
  hidden |= other.hidden;
}

bool TreeChecker::ReportStatus(FindingKind kind, const char* table, const absl::Status& status) {
  auto [page, message] = SplitMessage(status);
  return Report(kind, page, table, std::move(message));
}

bool TreeChecker::Claim(space::Run run, Owner owner, const char* table, bool* alone) {
  *alone = false;
  if (!owners_.Contains(run)) {
    return Report(FindingKind::kPage, run.first, table,
                  absl::StrCat(OwnerName(owner), " lies outside the snapshot's ", Pages(owners_.pages())));
  }
  OwnerMap::Conflict conflict;
  for (uint64_t at = 0; at < run.pages; at += kMostAtOnce) {
    space::Run part{run.first + at, std::min(kMostAtOnce, run.pages - at)};
    OwnerMap::Conflict met = owners_.Claim(part, owner);
    if (conflict.pages == 0) {
      conflict = met;
    } else {
      conflict.pages += met.pages;
    }
    if (owner != Owner::kExtent) {
      owners_.AddDone(part.pages - met.pages);
    }
    if (!Worked(part.pages)) {
      return false;
    }
  }
  *alone = conflict.pages == 0;
  if (*alone) {
    return true;
  }
  if (owner == Owner::kExtent) {
    owners_.AddDone(run.pages - conflict.pages);
  }
  std::string more = conflict.pages > 1 ? absl::StrCat(", as are ", conflict.pages - 1, " more behind it") : "";
  return Report(FindingKind::kOwnedTwice, conflict.first, table,
                absl::StrCat("owned twice: it is ", OwnerName(conflict.owner), " and ", OwnerName(owner), more));
}

Next TreeChecker::BeforePage(const Place& place) {
  bool alone = false;
  if (!Claim({place.ref.page, 1}, Owner::kTree, place.tree->name, &alone)) {
    return Next::kStop;
  }
  if (!alone) {
    totals_.hidden = true;
    return Next::kSkip;
  }
  ++totals_.pages;
  // From the bytes, not from what is remembered of them. Resolve() then compares with the reference.
  absl::Status status = view_.store()->CheckNode(place.ref.page, static_cast<int>(place.level));
  if (!status.ok()) {
    return OnDamage(place, status) == Next::kStop ? Next::kStop : Next::kSkip;
  }
  return Next::kGoOn;
}

Next TreeChecker::OnDamage(const Place& place, const absl::Status& damage) {
  totals_.hidden = true;
  return GoOnIf(ReportStatus(FindingKind::kPage, place.tree->name, damage));
}

Next TreeChecker::OnPage(const Place& place, const Byte* page) {
  uint32_t count = Header(page)->count;
  (place.level == 0 ? totals_.counted.leaf_pages : totals_.counted.branch_pages) += 1;
  totals_.entries += place.level == 0 ? count : 0;
  return GoOnIf(CheckPage(place, page, [this](const Place& at, FindingKind kind, absl::string_view message) {
    return Report(kind, at.ref.page, at.tree->name, absl::StrCat(at.tree->name == nullptr ? "catalog: " : "", message));
  }));
}

Next TreeChecker::OnExtent(const Place& leaf, const Byte* page, const format::ExtentRef& extent) {
  if (absl::Status bounds = pager::CheckExtentBounds(view_, extent); !bounds.ok()) {
    return OnDamage(leaf, bounds);
  }
  uint64_t pages = format::ExtentPages(extent.length, view_.page_size());
  totals_.counted.extent_pages += pages;
  totals_.counted.large_values += 1;
  bool alone = false;
  bool on = Claim({extent.first, pages}, Owner::kExtent, leaf.tree->name, &alone);
  if (on && extent.birth > Header(page)->birth) {
    on = Report(FindingKind::kBirth, extent.first, leaf.tree->name,
                absl::StrCat("large value born in transaction ", extent.birth, ", but its leaf in ", Header(page)->birth));
  }
  totals_.pages += pages;
  if (on && alone) {
    uint64_t left = pages;
    absl::Status sound = pager::VerifyExtent(view_, extent, [&](uint64_t hashed) {
      left -= hashed;
      owners_.AddDone(hashed);
      on = Worked(hashed);
      return on;
    });
    owners_.AddDone(left);
    on = on && (sound.ok() || ReportStatus(FindingKind::kValue, leaf.tree->name, sound));
  }
  return GoOnIf(on);
}

}  // namespace johnny::verify
