// One key from the root to its entry.
//
// A get spends most of its time waiting for memory, so it must be short: as long as a whole call fits into what the processor
// looks ahead (some 500 instructions), it begins with the next key's search while it waits for this one's leaf. Hence everything
// common is inlined here, and whatever is not common starts again in FindSlowly().
#include "tree/tree.h"

namespace johnny::tree {
namespace {

// Pages that were never vetted, frames, an empty tree, damage.
ABSL_ATTRIBUTE_NOINLINE Found FindSlowly(const pager::View& view, const TableRecord& record, Slice key) {
  if (record.empty()) {
    return {nullptr, Lookup::kNotFound};
  }
  uint32_t level = record.level;
  const Byte* page = view.Resolve(record.root, level);
  for (; page != nullptr && level > 0; --level) {
    page = view.Resolve(node::GetChild(page, node::SearchBranch(page, key)), level - 1);
  }
  if (page == nullptr) {
    return {nullptr, Lookup::kError};
  }
  const Byte* entry = node::FindInLeaf(page, key);
  return {entry, entry != nullptr ? Lookup::kFound : Lookup::kNotFound};
}

// No empty tree and no frame has a root that is known.
template <typename Processor>
ABSL_ATTRIBUTE_ALWAYS_INLINE inline Found FindQuickly(const pager::View& view, const TableRecord& record, Slice key) {
  uint32_t level = record.level;
  const Byte* page = view.ResolveKnown(record.root.page, record.root.checksum, level);
  while (ABSL_PREDICT_TRUE(page != nullptr)) {
    if (level == 0) {
      const Byte* entry = node::FindInLeaf<Processor>(page, key);
      return {entry, entry != nullptr ? Lookup::kFound : Lookup::kNotFound};
    }
    const format::ChildRef child = node::GetChild(page, node::SearchBranch<Processor>(page, key));
    if (--level <= 1) {
      view.PrefetchArrays(child.page, level);
    }
    page = view.ResolveKnown(child.page, child.checksum, level);
  }
  return FindSlowly(view, record, key);
}

}  // namespace

Found FindPortable(const pager::View& view, const TableRecord& record, Slice key) {
  return FindQuickly<node::AnyProcessor>(view, record, key);
}

#ifdef JOHNNY_HAS_AVX2_KERNEL
// What is inlined is compiled for these processors, too; what is shared with other files is not.
__attribute__((target("avx2,bmi,bmi2"))) Found FindAvx2(const pager::View& view, const TableRecord& record, Slice key) {
  return FindQuickly<node::Avx2Processor>(view, record, key);
}
#endif

}  // namespace johnny::tree
