// The library's error type: absl::Status carrying one of the public error codes.
//
// Rules: Status is for I/O, opening and changes. The per-key read path reports "not found" as a value and parks a Status
// with its transaction only when something is wrong.
#ifndef JOHNNY_BASE_STATUS_H_
#define JOHNNY_BASE_STATUS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace johnny {

// Mirrors enum johnny_error value by value; lib/api holds the static_asserts.
enum class Code : int {
  kOk = 0,
  kNotFound = 1,
  kExists = 2,
  kBusy = 3,
  kInvalidArgument = 4,
  kKeyTooLarge = 5,
  kValueTooLarge = 6,
  kReadOnlyTxn = 7,
  kReadOnlyEnv = 8,
  kTxnEnded = 9,
  kTxnReset = 10,
  kTxnFailed = 11,
  kWrongEnv = 12,
  kWrongTxn = 13,
  kNoTable = 14,
  kNotAscending = 15,
  kNotPositioned = 16,
  kSizeLimit = 17,
  kDiskFull = 18,
  kReadersFull = 19,
  kIoError = 20,
  kOutcomeUnknown = 21,
  kWritesRefused = 22,
  kCorrupt = 23,
  kNotADatabase = 24,
  kVersionMismatch = 25,
  kNoSuchFile = 26,
  kPermission = 27,
  kNoMemory = 28,
  kInUse = 29,
  kTablesFull = 30,
  kStopped = 31,
  kInternal = 32,
  kSnapshotGone = 33,
  kForked = 34,
  kLockFile = 35,
  kNoSnapshot = 36,
  kNetwork = 37,
};
inline constexpr int kCodeCount = 38;

// A Status with `code` as its payload. `code` must not be kOk.
absl::Status MakeStatus(Code code, absl::string_view message);

// kCorrupt with the text "page <page>: <reason>".
absl::Status CorruptPage(uint64_t page, absl::string_view reason);

// kOutcomeUnknown without words, where memory has run out for them.
inline absl::Status WordlessOutcomeUnknown() { return absl::Status(absl::StatusCode::kUnknown, ""); }

// The code a Status carries; kOk for an OK status, kInternal for one not made here.
Code CodeOf(const absl::Status& status);

}  // namespace johnny

// Returns the error of `expr` from the calling function.
#define JOHNNY_RETURN_IF_ERROR(expr)                 \
  do {                                               \
    absl::Status johnny_status_ = (expr);            \
    if (__builtin_expect(!johnny_status_.ok(), 0)) { \
      return johnny_status_;                         \
    }                                                \
  } while (0)

#define JOHNNY_CONCAT_INNER_(a, b) a##b
#define JOHNNY_CONCAT_(a, b) JOHNNY_CONCAT_INNER_(a, b)

// `lhs = value of expr`, or returns its error.
#define JOHNNY_ASSIGN_OR_RETURN(lhs, expr) JOHNNY_ASSIGN_OR_RETURN_IMPL_(JOHNNY_CONCAT_(johnny_or_, __LINE__), lhs, expr)
#define JOHNNY_ASSIGN_OR_RETURN_IMPL_(tmp, lhs, expr) \
  auto tmp = (expr);                                  \
  if (__builtin_expect(!tmp.ok(), 0)) {               \
    return std::move(tmp).status();                   \
  }                                                   \
  lhs = *std::move(tmp)

#endif  // JOHNNY_BASE_STATUS_H_
