#include "base/status.h"

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace johnny {
namespace {

constexpr char kPayloadUrl[] = "johnny/code";

}  // namespace

absl::Status MakeStatus(Code code, absl::string_view message) {
  absl::Status status(absl::StatusCode::kUnknown, message);
  status.SetPayload(kPayloadUrl, absl::Cord(absl::StrCat(static_cast<int>(code))));
  return status;
}

absl::Status CorruptPage(uint64_t page, absl::string_view reason) {
  return MakeStatus(Code::kCorrupt, absl::StrCat("page ", page, ": ", reason));
}

Code CodeOf(const absl::Status& status) {
  if (status.ok()) {
    return Code::kOk;
  }
  if (status == WordlessOutcomeUnknown()) {
    return Code::kOutcomeUnknown;
  }
  auto payload = status.GetPayload(kPayloadUrl);
  int code = 0;
  if (!payload.has_value() || !absl::SimpleAtoi(std::string(*payload), &code)) {
    return Code::kInternal;
  }
  return static_cast<Code>(code);
}

}  // namespace johnny
