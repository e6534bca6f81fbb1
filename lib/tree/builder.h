// Building a tree bottom-up from entries in ascending order: each page is filled once and written soon, so that a tree of any
// size takes little memory. Leaves and branches get their pages from the same regions as those of a commit.
//
// The pages belong to the transaction but to no table until the finished record is given to one; before that Abandon() gives them
// back. Thread rules: belongs to the write transaction, and to the nested level that it was made in.
#ifndef JOHNNY_TREE_BUILDER_H_
#define JOHNNY_TREE_BUILDER_H_

#include <memory>
#include <string>
#include <vector>

#include "tree/writer.h"

namespace johnny::tree {

class TreeBuilder {
 public:
  // `fill_percent`: of a leaf's bytes, at least one entry.
  TreeBuilder(const WriteContext& context, uint32_t fill_percent);

  // kNotAscending leaves the builder as it was; after any other error it can only be abandoned. Key and value are within limits.
  absl::Status Add(Slice key, Slice value);
  // Writes what is left; *record is the whole tree.
  absl::Status Finish(TableRecord* record);
  // The tree belongs to a table now.
  void Release() { owned_.clear(); }
  // Gives all pages back.
  absl::Status Abandon();

 private:
  struct Child {
    std::string separator;
    ChildRef ref;
  };
  struct Level {
    std::vector<Child> children;
    node::BranchNeed need;
  };

  absl::Status AddEntry(const node::LeafEntry& entry);
  absl::Status BeginLeaf();
  absl::Status FinishLeaf();
  absl::Status AddChild(size_t level, std::string separator, const ChildRef& ref);
  static node::BranchNeed NeedWith(const Level& level, Slice separator);
  absl::Status FinishBranch(size_t level);
  absl::Status FillBuffer();
  absl::Status FreeUnused();
  absl::Status TakePages(uint64_t pages, space::Use use, std::vector<space::Run>* runs);
  Slice LastKey() const;

  WriteContext context_;
  uint32_t page_size_;
  size_t leaf_limit_;  // bytes of a leaf to use
  TableRecord record_;
  std::vector<space::Run> owned_;  // what Abandon() gives back

  // Leaves that have been begun since the last flush: pages of `buffer_`, with their numbers in page order.
  std::vector<Byte> buffer_;
  size_t buffer_pages_ = 0;
  size_t next_ = 0;  // of the buffer's pages
  std::vector<PageNumber> numbers_;
  std::vector<Byte> branch_;
  PageWriter writer_;

  // The leaf being filled, null between two: entries from the end of the page downwards, their offsets beside it until it is
  // full.
  Byte* leaf_ = nullptr;
  size_t upper_ = 0;
  std::vector<uint16_t> offsets_;
  std::string last_key_;   // of the leaf before
  std::string separator_;  // of the leaf being filled
  bool any_ = false;
  std::vector<Level> levels_;  // levels_[i]: the branch of level i + 1 that is being filled
};

}  // namespace johnny::tree

#endif  // JOHNNY_TREE_BUILDER_H_
