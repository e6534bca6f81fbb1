// What checks of whole trees find, and where it goes.
#ifndef JOHNNY_VERIFY_FINDING_H_
#define JOHNNY_VERIFY_FINDING_H_

#include <functional>
#include <string>

#include "format/layout.h"

namespace johnny::verify {

// What is wrong, for programs to tell apart. Values are part of the C API (enum johnny_finding_kind).
enum class FindingKind : uint32_t {
  kPage = 1,
  kValue = 2,
  kKeys = 3,
  kBirth = 4,
  kCount = 5,
  kOwnedTwice = 6,
  kLost = 7,
  kFreeLog = 8,
  kMaster = 9,
  kFile = 10,
  kSnapshot = 11,
};
inline constexpr uint32_t kFindingKinds = 12;  // with 0, which is none

struct Finding {
  FindingKind kind;
  PageNumber page = 0;          // 0: not about one page
  const char* table = nullptr;  // null: not about a table
  std::string message;
};

// Each may be empty; false stops the check. All calls come from the thread that asked for the check.
struct Callbacks {
  std::function<bool(const Finding&)> on_finding;
  std::function<bool(uint64_t done, uint64_t total)> on_progress;  // in pages
};

}  // namespace johnny::verify

#endif  // JOHNNY_VERIFY_FINDING_H_
