// What must hold of one page of a tree beside its being vetted, whichever snapshot it is met in.
#ifndef JOHNNY_VERIFY_PAGE_CHECKS_H_
#define JOHNNY_VERIFY_PAGE_CHECKS_H_

#include <functional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "verify/finding.h"
#include "verify/walk.h"

namespace johnny::verify {

// Takes one sentence on a page; false stops the check.
using PageReport = std::function<bool(const Place&, FindingKind, absl::string_view)>;

// Order of keys, birth, count of entries, keys between the separators above. False: the report stopped it.
bool CheckPage(const Place& place, const Byte* page, const PageReport& report);

// Errors begin with "page N: " where they are about a page: that page (else 0), and the rest.
std::pair<PageNumber, std::string> SplitMessage(const absl::Status& status);

}  // namespace johnny::verify

#endif  // JOHNNY_VERIFY_PAGE_CHECKS_H_
