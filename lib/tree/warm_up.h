// Bringing a tree into memory ahead of its use.
#ifndef JOHNNY_TREE_WARM_UP_H_
#define JOHNNY_TREE_WARM_UP_H_

#include "os/os.h"
#include "tree/tree.h"

namespace johnny::tree {

// Has the tree's pages read, level by level from the root, at most `max_pages` of them, and checks them; *pages is how many.
// Takes memory for a reference to each. kCorrupt.
absl::Status WarmUp(const pager::View& view, os::File* file, const TableRecord& record, uint64_t max_pages, uint64_t* pages);

}  // namespace johnny::tree

#endif  // JOHNNY_TREE_WARM_UP_H_
