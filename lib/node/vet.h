// Vetting: what must hold of a page's bytes before any other function of this layer may read them.
#ifndef JOHNNY_NODE_VET_H_
#define JOHNNY_NODE_VET_H_

#include "base/bytes.h"

namespace johnny::node {

// nullptr if `page` is a leaf (level 0) or branch (level > 0) whose every array, offset and length stays inside the page; else
// the reason why not. Does not look at the checksum.
const char* VetNode(const Byte* page, uint32_t page_size);

// The deeper laws: ascending keys, matching heads and prefix. For a page that passed VetNode. What edits pages relies on them.
const char* CheckOrder(const Byte* page);

}  // namespace johnny::node

#endif  // JOHNNY_NODE_VET_H_
