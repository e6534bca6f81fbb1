// Error codes and messages at the C boundary.
#include "base/status.h"

#include <johnny/johnny.h>

#include <string>

#include "api/internal.h"

namespace johnny::api {
namespace {

constexpr char kWordless[] = "memory ran out for the words of this error";

thread_local std::string t_text;
thread_local const char* t_message = "";  // t_text, or words that live for ever

#define JOHNNY_SAME_CODE(cpp, c) static_assert(static_cast<int>(Code::cpp) == c)
JOHNNY_SAME_CODE(kOk, JOHNNY_OK);
JOHNNY_SAME_CODE(kNotFound, JOHNNY_NOT_FOUND);
JOHNNY_SAME_CODE(kExists, JOHNNY_EXISTS);
JOHNNY_SAME_CODE(kBusy, JOHNNY_BUSY);
JOHNNY_SAME_CODE(kInvalidArgument, JOHNNY_INVALID_ARGUMENT);
JOHNNY_SAME_CODE(kKeyTooLarge, JOHNNY_KEY_TOO_LARGE);
JOHNNY_SAME_CODE(kValueTooLarge, JOHNNY_VALUE_TOO_LARGE);
JOHNNY_SAME_CODE(kReadOnlyTxn, JOHNNY_READ_ONLY_TXN);
JOHNNY_SAME_CODE(kReadOnlyEnv, JOHNNY_READ_ONLY_ENV);
JOHNNY_SAME_CODE(kTxnEnded, JOHNNY_TXN_ENDED);
JOHNNY_SAME_CODE(kTxnReset, JOHNNY_TXN_RESET);
JOHNNY_SAME_CODE(kTxnFailed, JOHNNY_TXN_FAILED);
JOHNNY_SAME_CODE(kWrongEnv, JOHNNY_WRONG_ENV);
JOHNNY_SAME_CODE(kWrongTxn, JOHNNY_WRONG_TXN);
JOHNNY_SAME_CODE(kNoTable, JOHNNY_NO_TABLE);
JOHNNY_SAME_CODE(kNotAscending, JOHNNY_NOT_ASCENDING);
JOHNNY_SAME_CODE(kNotPositioned, JOHNNY_NOT_POSITIONED);
JOHNNY_SAME_CODE(kSizeLimit, JOHNNY_SIZE_LIMIT);
JOHNNY_SAME_CODE(kDiskFull, JOHNNY_DISK_FULL);
JOHNNY_SAME_CODE(kReadersFull, JOHNNY_READERS_FULL);
JOHNNY_SAME_CODE(kIoError, JOHNNY_IO_ERROR);
JOHNNY_SAME_CODE(kOutcomeUnknown, JOHNNY_OUTCOME_UNKNOWN);
JOHNNY_SAME_CODE(kWritesRefused, JOHNNY_WRITES_REFUSED);
JOHNNY_SAME_CODE(kCorrupt, JOHNNY_CORRUPT);
JOHNNY_SAME_CODE(kNotADatabase, JOHNNY_NOT_A_DATABASE);
JOHNNY_SAME_CODE(kVersionMismatch, JOHNNY_VERSION_MISMATCH);
JOHNNY_SAME_CODE(kNoSuchFile, JOHNNY_NO_SUCH_FILE);
JOHNNY_SAME_CODE(kPermission, JOHNNY_PERMISSION);
JOHNNY_SAME_CODE(kNoMemory, JOHNNY_NO_MEMORY);
JOHNNY_SAME_CODE(kInUse, JOHNNY_IN_USE);
JOHNNY_SAME_CODE(kTablesFull, JOHNNY_TABLES_FULL);
JOHNNY_SAME_CODE(kStopped, JOHNNY_STOPPED);
JOHNNY_SAME_CODE(kInternal, JOHNNY_INTERNAL);
JOHNNY_SAME_CODE(kSnapshotGone, JOHNNY_SNAPSHOT_GONE);
JOHNNY_SAME_CODE(kForked, JOHNNY_FORKED);
JOHNNY_SAME_CODE(kLockFile, JOHNNY_LOCK_FILE);
JOHNNY_SAME_CODE(kNoSnapshot, JOHNNY_NO_SNAPSHOT);
JOHNNY_SAME_CODE(kNetwork, JOHNNY_NETWORK);
#undef JOHNNY_SAME_CODE

constexpr const char* kMeanings[] = {
    "JOHNNY_OK: success",
    "JOHNNY_NOT_FOUND: no such key, entry or position",
    "JOHNNY_EXISTS: it exists already",
    "JOHNNY_BUSY: in use by another writer or process",
    "JOHNNY_INVALID_ARGUMENT: an argument is not valid",
    "JOHNNY_KEY_TOO_LARGE: the key is longer than the page size allows",
    "JOHNNY_VALUE_TOO_LARGE: the value is longer than the address space allows",
    "JOHNNY_READ_ONLY_TXN: a read transaction cannot change anything",
    "JOHNNY_READ_ONLY_ENV: the environment was opened read-only",
    "JOHNNY_TXN_ENDED: the transaction has already ended",
    "JOHNNY_TXN_RESET: the read transaction is reset; renew it first",
    "JOHNNY_TXN_FAILED: the transaction can only be aborted",
    "JOHNNY_WRONG_ENV: the handle belongs to another environment",
    "JOHNNY_WRONG_TXN: not for this kind of transaction, or the handle belongs to another one",
    "JOHNNY_NO_TABLE: the table does not exist in this snapshot",
    "JOHNNY_NOT_ASCENDING: the key to append is not greater than the last one",
    "JOHNNY_NOT_POSITIONED: the cursor stands on no entry",
    "JOHNNY_SIZE_LIMIT: the database has reached its size limit",
    "JOHNNY_DISK_FULL: the file system has no room left",
    "JOHNNY_READERS_FULL: every reader slot is taken",
    "JOHNNY_IO_ERROR: the operating system reported an error",
    "JOHNNY_OUTCOME_UNKNOWN: the commit may or may not be durable; reopen to find out",
    "JOHNNY_WRITES_REFUSED: an earlier failure makes writing unsafe; reopen the environment",
    "JOHNNY_CORRUPT: the database file is damaged",
    "JOHNNY_NOT_A_DATABASE: not a JohnnyDB database file",
    "JOHNNY_VERSION_MISMATCH: the file needs a newer version of the library",
    "JOHNNY_NO_SUCH_FILE: the file does not exist",
    "JOHNNY_PERMISSION: permission denied",
    "JOHNNY_NO_MEMORY: out of memory or address space",
    "JOHNNY_IN_USE: still in use",
    "JOHNNY_TABLES_FULL: too many table handles",
    "JOHNNY_STOPPED: a callback stopped the call",
    "JOHNNY_INTERNAL: a defect in JohnnyDB; please report it",
    "JOHNNY_SNAPSHOT_GONE: the reader held back too much and lost its snapshot",
    "JOHNNY_FORKED: the handle belongs to the parent process; open the database anew",
    "JOHNNY_LOCK_FILE: the lock file does not fit the database that is open elsewhere",
    "JOHNNY_NO_SNAPSHOT: there is no named snapshot of this name",
    "JOHNNY_NETWORK: the file lies on a network file system",
};
static_assert(sizeof kMeanings / sizeof *kMeanings == kCodeCount);

}  // namespace

int Fail(const absl::Status& status) { return Fail(CodeOf(status), status.message()); }

int Fail(Code code, absl::string_view message) {
  try {
    t_text.assign(message.data(), message.size());
    t_message = message.empty() ? kWordless : t_text.c_str();
  } catch (const std::bad_alloc&) {
    t_message = kWordless;
  }
  return static_cast<int>(code);
}

}  // namespace johnny::api

extern "C" {

const char* johnny_strerror(int code) {
  return code >= 0 && code < johnny::kCodeCount ? johnny::api::kMeanings[code] : "unknown JohnnyDB error code";
}

const char* johnny_last_error_message(void) { return johnny::api::t_message; }

const char* johnny_version(void) { return JOHNNY_VERSION_STRING; }

}  // extern "C"
