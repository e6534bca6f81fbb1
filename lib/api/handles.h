// Transaction handles and open environments of the process.
//
// A thread keeps a few handles of ended read transactions, each with its reader slot, so that a warm thread begins one without a
// lock or an allocation. The rest, and those of threads that ended, wait in their environment.
#ifndef JOHNNY_API_HANDLES_H_
#define JOHNNY_API_HANDLES_H_

#include <functional>

#include "absl/status/statusor.h"
#include "api/internal.h"

namespace johnny::api {

// A handle whose transaction has not begun, counted as live. *own: this thread used it last.
johnny_txn* TakeHandle(johnny_env* env, bool read, bool* own);
// The transaction has ended, or is aborted. Does not throw.
void GiveHandleBack(johnny_txn* txn);

// The environment that this process has open on the file that `path` names, with one more user, or a new one; `prepare` is called
// before anybody else can share that. Waits while others open or close the same file. kBusy when it is open and read_only
// differs.
absl::StatusOr<johnny_env*> ShareOrOpen(os::System* system, const std::string& path, const env::OpenOptions& options,
                                        const std::function<void(txn::Database*)>& prepare);
// Gives up one use; the last one closes and frees the environment. kInUse, with nothing closed, while transactions are live.
absl::Status Release(johnny_env* env);

// OK unless the handle was inherited from the parent process.
int CheckProcess(uint64_t fork_generation);

}  // namespace johnny::api

#endif  // JOHNNY_API_HANDLES_H_
