// Large values: contiguous runs of pages without headers (FORMAT.md section 6).
#ifndef JOHNNY_PAGER_EXTENT_H_
#define JOHNNY_PAGER_EXTENT_H_

#include <functional>

#include "pager/view.h"

namespace johnny::pager {

// Writes `value` to the run that begins at `first` and has ExtentPages() pages; fills checksums. Nothing is synced.
absl::StatusOr<format::ExtentRef> WriteExtent(os::File* file, const PageStore& store, PageNumber first, TxnId birth, Slice value);

// The value in place. Chunks that this process has not checked yet are hashed first. kCorrupt on damage or an impossible
// reference.
absl::StatusOr<Slice> ReadExtent(const View& view, const format::ExtentRef& ref);

// kCorrupt unless the extent lies inside the view and its length is possible. Cheap; reads nothing of it.
absl::Status CheckExtentBounds(const View& view, const format::ExtentRef& ref);

// Hashes the whole extent whatever was checked before. `go_on` is called after each chunk with its number of pages; once it
// returns false the rest is left out and counts as sound.
absl::Status VerifyExtent(const View& view, const format::ExtentRef& ref,
                          const std::function<bool(uint64_t pages)>& go_on = nullptr);

}  // namespace johnny::pager

#endif  // JOHNNY_PAGER_EXTENT_H_
