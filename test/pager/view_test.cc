#include "pager/view.h"

#include <vector>

#include "node/branch.h"
#include "node/leaf.h"
#include "pager/pager_fixture.h"

namespace johnny::pager {
namespace {

using format::ChildRef;

class ViewTest : public PagerTest {
 protected:
  std::vector<Byte> Leaf(Slice value) const {
    std::vector<Byte> page(page_size_);
    node::LeafEntry entry{"key", {value}};
    node::BuildLeaf(page.data(), page_size_, absl::MakeConstSpan(&entry, 1));
    return page;
  }
  // Numbers, seals and writes a page; returns what its parent would say of it.
  ChildRef Write(PageNumber number, std::vector<Byte> page, PageNumber at = 0) {
    node::Header(page.data())->set_page(number);
    return WriteSealed(at != 0 ? at : number, &page, number);
  }
  ChildRef WriteSealed(PageNumber at, std::vector<Byte>* page, PageNumber seed) {
    uint64_t sum = format::PageChecksum(page->data(), page_size_, kDatabaseId, seed);
    Store64(page->data(), sum);
    WriteAt(at * page_size_, MakeSlice(page->data(), page->size()));
    return {at, static_cast<uint32_t>(sum), 1};
  }
  // The reason why a reference does not resolve; "" when it does.
  static std::string Reason(const View& view, const ChildRef& ref, uint32_t level = 0) {
    if (view.Resolve(ref, level) != nullptr) {
      EXPECT_TRUE(view.TakeError().ok());
      return "";
    }
    absl::Status error = view.TakeError();
    EXPECT_EQ(CodeOf(error), Code::kCorrupt);
    EXPECT_TRUE(view.TakeError().ok()) << "taken once";
    return std::string(error.message());
  }
};
INSTANTIATE_TEST_SUITE_P(PageSizes, ViewTest, testing::Values(4096u, 32768u), testing::PrintToStringParamName());

TEST_P(ViewTest, ASoundPageIsCheckedAtFirstTouchOnly) {
  ChildRef ref = Write(20, Leaf("value"));
  View view = MakeView();
  uint16_t tag = PageStore::Tag(PageStore::Kind::kNode, Load64(store_->page(20)));
  EXPECT_FALSE(store_->IsChecked(20, tag));
  EXPECT_EQ(view.Resolve(ref, 0), store_->page(20));
  EXPECT_TRUE(store_->IsChecked(20, tag));
  Flip(20 * page_size_ + page_size_ - 1);
  EXPECT_EQ(Reason(view, ref), "") << "it is not hashed again";
  Reopen();
  EXPECT_NE(Reason(MakeView(), ref).find("page 20: checksum mismatch"), std::string::npos);
}

TEST_P(ViewTest, AnotherVersionOfThePageIsCheckedAnew) {
  ChildRef first = Write(20, Leaf("first"));
  View view = MakeView();
  ASSERT_EQ(Reason(view, first), "");
  ChildRef second = Write(20, Leaf("second"));
  Flip(20 * page_size_ + page_size_ - 1);
  EXPECT_NE(Reason(view, second).find("checksum mismatch"), std::string::npos);
  Flip(20 * page_size_ + page_size_ - 1);
  EXPECT_EQ(Reason(view, second), "");
  EXPECT_NE(Reason(view, first).find("not the version that its parent refers to"), std::string::npos);
}

TEST_P(ViewTest, PagesOutsideTheSnapshotAreNotTouched) {
  ChildRef ref = Write(20, Leaf("value"));
  EXPECT_NE(Reason(MakeView(20), ref).find("outside the snapshot's 20 pages"), std::string::npos);
  EXPECT_EQ(Reason(MakeView(21), ref), "");
  ref.page = format::kMaxPageNumber;
  EXPECT_NE(Reason(MakeView(), ref).find("outside the snapshot"), std::string::npos);
  View view = MakeView(20);
  view.set_page_count(21);
  ref.page = 20;
  EXPECT_EQ(Reason(view, ref), "");
}

TEST_P(ViewTest, LevelsMustBeWhatTheParentExpects) {
  std::vector<Byte> branch(page_size_);
  ASSERT_TRUE(node::BuildBranch(branch.data(), page_size_, 2, std::vector<node::BranchEntry>{{"", {30, 0, 0}}}));
  ChildRef ref = Write(21, branch);
  EXPECT_NE(Reason(MakeView(), ref, 1).find("level 2 where 1 belongs"), std::string::npos);
  EXPECT_EQ(Reason(MakeView(), ref, 2), "");
  EXPECT_NE(Reason(MakeView(), ref, 0).find("level 2 where 0 belongs"), std::string::npos) << "also once it is known to be sound";
  EXPECT_TRUE(store_->CheckNode(21, -1).ok()) << "any level";
}

TEST_P(ViewTest, MisplacedPagesAreFound) {
  ChildRef ref = Write(22, Leaf("value"), /*at=*/23);  // sealed as 22, written to 23
  EXPECT_NE(Reason(MakeView(), ref).find("page 23: checksum mismatch"), std::string::npos);
  // Even if the checksum is right for the place.
  std::vector<Byte> page = Leaf("value");
  node::Header(page.data())->set_page(22);
  ref = WriteSealed(23, &page, 23);
  EXPECT_NE(Reason(MakeView(), ref).find("says it is page 22"), std::string::npos);
}

TEST_P(ViewTest, PagesWithASoundChecksumAreVettedToo) {
  std::vector<Byte> page = Leaf("value");
  node::Header(page.data())->count = 2;
  ChildRef ref = Write(20, page);
  EXPECT_NE(Reason(MakeView(), ref).find("page 20: leaf: lower does not match the count"), std::string::npos);
}

TEST_P(ViewTest, FramesResolveToTheirMemory) {
  FrameArena arena = *FrameArena::Create(page_size_, 0);
  uint32_t frame = *arena.Allocate();
  View view(store_.get(), kPages, &arena);
  EXPECT_EQ(view.Resolve({kFrameBit | frame, 0, 0}, 7), arena.At(frame));
}

TEST(PageStoreTagTest, TellsKindsAndIsNeverZero) {
  for (uint64_t checksum : {uint64_t{0}, uint64_t{1} << 48, UINT64_MAX, uint64_t{0x123456789abcdef0}}) {
    uint16_t node = PageStore::Tag(PageStore::Kind::kNode, checksum);
    uint16_t extent = PageStore::Tag(PageStore::Kind::kExtent, checksum);
    EXPECT_NE(node, extent);
    EXPECT_NE(node, 0);
    EXPECT_NE(extent, 0);
  }
  std::vector<uint16_t> tags;
  for (uint64_t i = 0; i < 1 << 14; ++i) {
    tags.push_back(PageStore::Tag(PageStore::Kind::kNode, i << 48));
  }
  std::sort(tags.begin(), tags.end());
  EXPECT_EQ(std::unique(tags.begin(), tags.end()), tags.end()) << "fourteen bits of the checksum count";
}

TEST_P(ViewTest, AnExtentCheckedAsBytesIsNoVettedNode) {
  std::vector<Byte> page = Leaf("value");
  node::Header(page.data())->count = 2;  // not a node that may be read
  ChildRef ref = Write(20, page);
  store_->SetChecked(20, PageStore::Tag(PageStore::Kind::kExtent, Load64(store_->page(20))));
  EXPECT_NE(Reason(MakeView(), ref), "");
}

}  // namespace
}  // namespace johnny::pager
