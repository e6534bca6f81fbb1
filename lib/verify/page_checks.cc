#include "verify/page_checks.h"

#include <algorithm>
#include <cctype>

#include "absl/strings/str_cat.h"
#include "node/branch.h"
#include "node/leaf.h"
#include "node/vet.h"

namespace johnny::verify {
namespace {

using node::Header;

// Methods return false to stop.
class PageChecker {
 public:
  PageChecker(const Place& place, const Byte* page, const PageReport& report) : place_(place), page_(page), report_(report) {}

  bool Check() const {
    const format::PageHeader* header = Header(page_);
    if (const char* reason = node::CheckOrder(page_); reason != nullptr && !Report(FindingKind::kKeys, reason)) {
      return false;
    }
    if (header->birth > place_.parent_birth &&
        !Report(FindingKind::kBirth,
                absl::StrCat("born in transaction ", header->birth, ", but what refers to it in ", place_.parent_birth))) {
      return false;
    }
    return place_.level == 0 ? CheckLeaf() : CheckBranch();
  }

 private:
  bool Report(FindingKind kind, absl::string_view message) const { return report_(place_, kind, message); }

  bool CheckLeaf() const {
    uint32_t count = Header(page_)->count;
    if (count == 0) {
      return CheckCount(count) && (place_.is_root() || Report(FindingKind::kKeys, "an empty leaf"));
    }
    return CheckCount(count) && CheckBounds(node::LeafKey(page_, 0), node::LeafKey(page_, count - 1), false);
  }

  bool CheckBranch() const {
    uint32_t count = Header(page_)->count;
    uint64_t entries = 0;
    for (uint32_t i = 0; i < count; ++i) {
      entries += node::GetChild(page_, i).entries;
    }
    if (!CheckCount(entries)) {
      return false;
    }
    if (count == 1) {
      return true;
    }
    std::string first, last;
    node::AppendSeparator(page_, 1, &first);
    node::AppendSeparator(page_, count - 1, &last);
    return CheckBounds(first, last, true);
  }

  bool CheckCount(uint64_t entries) const {
    return entries == place_.ref.entries ||
           Report(FindingKind::kCount,
                  absl::StrCat("has ", entries, " entries below it, but what refers to it says ", place_.ref.entries));
  }

  // `strict`: separators, which leave room for keys between themselves and the lower bound.
  bool CheckBounds(Slice first, Slice last, bool strict) const {
    int low = place_.lower == nullptr ? 1 : node::CompareKeys(first, *place_.lower);
    if (low < (strict ? 1 : 0) && !Report(FindingKind::kKeys, "its first key lies before the separator above it")) {
      return false;
    }
    bool below = place_.upper == nullptr || node::CompareKeys(last, *place_.upper) < 0;
    return below || Report(FindingKind::kKeys, "its last key does not lie before the next separator above it");
  }

  const Place& place_;
  const Byte* page_;
  const PageReport& report_;
};

}  // namespace

bool CheckPage(const Place& place, const Byte* page, const PageReport& report) {
  return PageChecker(place, page, report).Check();
}

std::pair<PageNumber, std::string> SplitMessage(const absl::Status& status) {
  Slice message(status.message().data(), status.message().size());
  constexpr Slice kPrefix = "page ";
  PageNumber page = 0;
  size_t at = kPrefix.size();
  if (message.substr(0, at) != kPrefix) {
    return {0, std::string(message)};
  }
  for (; at < message.size() && std::isdigit(static_cast<unsigned char>(message[at])); ++at) {
    page = page * 10 + static_cast<uint64_t>(message[at] - '0');
  }
  return {page, std::string(message.substr(std::min(message.size(), at + 2)))};
}

}  // namespace johnny::verify
