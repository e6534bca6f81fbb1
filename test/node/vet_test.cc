// Each kind of damage gets its own reason; whatever the bytes, nothing outside the page is read (the sanitizers watch).
#include "node/vet.h"

#include <gtest/gtest.h>

#include <random>

#include "node/branch.h"
#include "node/node_page.h"

namespace johnny::node {
namespace {

std::string Reason(const TestPage& page) {
  const char* reason = VetNode(page.data(), page.size());
  return reason == nullptr ? "" : reason;
}
std::string OrderReason(const TestPage& page) {
  EXPECT_EQ(Reason(page), "") << "CheckOrder is for vetted pages";
  const char* reason = CheckOrder(page.data());
  return reason == nullptr ? "" : reason;
}

class VetTest : public testing::TestWithParam<uint32_t> {
 protected:
  TestPage Leaf() const {
    TestPage page(GetParam());
    const std::vector<LeafEntry> entries = {{"aa", {"first"}}, {"ab", {"second"}}, {"ac", {reference_, true}}, {"ad", {""}}};
    BuildLeaf(page.data(), page.size(), entries);
    return page;
  }
  TestPage Branch() const {
    TestPage page(GetParam());
    const std::vector<BranchEntry> entries = {
        {"", {100, 1, 10}}, {"pre-a", {101, 2, 20}}, {"pre-long-tail", {102, 3, 30}}, {"pre-x", {103, 4, 40}}};
    EXPECT_TRUE(BuildBranch(page.data(), page.size(), 2, entries));
    return page;
  }
  // The place of a leaf's offset, head, entry; of a branch's slot.
  static Byte* Offset(TestPage* page, uint32_t index) {
    return page->data() + format::kPageHeaderSize + 4 * size_t{Header(page->data())->count} + 2 * size_t{index};
  }
  static Byte* Head(TestPage* page, uint32_t index) { return page->data() + format::kPageHeaderSize + 4 * size_t{index}; }
  static Byte* Entry(TestPage* page, uint32_t index) { return page->data() + Load16(Offset(page, index)); }
  static Byte* Slot(TestPage* page, uint32_t index) {
    return page->data() + BranchHeadsAt(page->data()) + 20 * size_t{Header(page->data())->count} + 2 * size_t{index};
  }
  static void Put16(Byte* at, size_t value) { Store16(at, static_cast<uint16_t>(value)); }

  std::string reference_ = std::string(format::kExtentRefSize, 'r');
};
INSTANTIATE_TEST_SUITE_P(PageSizes, VetTest, testing::ValuesIn(kPageSizes), testing::PrintToStringParamName());

TEST_P(VetTest, SoundPagesPass) {
  EXPECT_EQ(OrderReason(Leaf()), "");
  EXPECT_EQ(OrderReason(Branch()), "");
}

TEST_P(VetTest, TypeAndLevelMustAgree) {
  for (auto change : {+[](format::PageHeader* h) { h->level = 1; }, +[](format::PageHeader* h) { h->type = 0; },
                      +[](format::PageHeader* h) { h->type = 3; }, +[](format::PageHeader* h) { h->type = 1; }}) {
    TestPage page = Leaf();
    change(Header(page.data()));
    EXPECT_EQ(Reason(page), "neither a leaf nor a branch of its level");
  }
  TestPage page = Branch();
  Header(page.data())->level = 0;
  EXPECT_EQ(Reason(page), "neither a leaf nor a branch of its level");
  Header(page.data())->level = format::kMaxLevel + 1;
  EXPECT_EQ(Reason(page), "branch: no children, or impossible level");
}

TEST_P(VetTest, FreeSpaceLiesInsideThePage) {
  for (TestPage page : {Leaf(), Branch()}) {
    uint16_t upper = Header(page.data())->upper;
    Header(page.data())->upper = static_cast<uint16_t>(page.size() + 1);
    EXPECT_EQ(Reason(page), "free space ends before it begins");
    Header(page.data())->upper = static_cast<uint16_t>(Header(page.data())->lower - 1);
    EXPECT_EQ(Reason(page), "free space ends before it begins");
    Header(page.data())->upper = upper;
    EXPECT_EQ(Reason(page), "");
  }
}

TEST_P(VetTest, LeafArraysMatchTheCount) {
  for (int change : {-1, 1, 1000}) {
    TestPage page = Leaf();
    Header(page.data())->count = static_cast<uint16_t>(Header(page.data())->count + change);
    EXPECT_EQ(Reason(page), "leaf: lower does not match the count");
  }
}

TEST_P(VetTest, LeafOffsetsLieInTheEntries) {
  size_t upper = Header(Leaf().data())->upper;
  for (size_t offset : {size_t{0}, upper - 1, size_t{GetParam()} - 3, size_t{GetParam()}, size_t{0xffff}}) {
    TestPage page = Leaf();
    Put16(Offset(&page, 1), offset);
    EXPECT_EQ(Reason(page), "leaf: entry offset outside the page") << offset;
  }
}

TEST_P(VetTest, LeafEntriesEndInsideThePage) {
  TestPage page = Leaf();
  Put16(Entry(&page, 0), 2 + GetParam());  // entry 0 lies last in the page
  EXPECT_EQ(Reason(page), "leaf: entry reaches past the page");
  page = Leaf();
  Put16(Entry(&page, 0) + 2, 6);  // a value one byte too long
  EXPECT_EQ(Reason(page), "leaf: entry reaches past the page");
}

TEST_P(VetTest, LeafEntriesAreNoLargerThanTwoToAPage) {
  TestPage page(GetParam());
  std::string value(format::MaxInlineEntry(GetParam()) - format::kLeafEntryHeader - 1, 'v');
  LeafEntry entry{"k", {value}};
  BuildLeaf(page.data(), page.size(), absl::MakeConstSpan(&entry, 1));
  EXPECT_EQ(Reason(page), "");
  value += 'v';
  entry.value.bytes = value;
  BuildLeaf(page.data(), page.size(), absl::MakeConstSpan(&entry, 1));
  EXPECT_EQ(Reason(page), "leaf: entry reaches past the page");
}

TEST_P(VetTest, LeafKeysAreWithinPrefixAndLimit) {
  TestPage page = Leaf();
  Header(page.data())->prefix = 3;
  EXPECT_EQ(Reason(page), "leaf: impossible key size");
  std::string key(format::MaxKeySize(GetParam()) + 1, 'k');
  LeafEntry entry{key, {""}};
  BuildLeaf(page.data(), page.size(), absl::MakeConstSpan(&entry, 1));
  EXPECT_EQ(Reason(page), "leaf: impossible key size");
}

TEST_P(VetTest, LeafExtentReferencesHaveTheirSize) {
  TestPage page = Leaf();
  Put16(Entry(&page, 0) + 2, 5 | format::kExtentFlag);
  EXPECT_EQ(Reason(page), "leaf: extent reference of the wrong size");
  page = Leaf();
  Put16(Entry(&page, 3) + 2, format::kExtentFlag);
  EXPECT_EQ(Reason(page), "leaf: extent reference of the wrong size");
}

TEST_P(VetTest, LeafEntriesThatOverlapAreFoundByTheirSum) {
  TestPage page = Leaf();
  Put16(Offset(&page, 3), Load16(Offset(&page, 2)));  // the largest entry twice
  EXPECT_EQ(Reason(page), "leaf: entries overlap");
}

TEST_P(VetTest, BranchArraysMatchCountAndPrefix) {
  TestPage page = Branch();
  Header(page.data())->count = 0;
  EXPECT_EQ(Reason(page), "branch: no children, or impossible level");
  for (int change : {-1, 1, 1000}) {
    page = Branch();
    Header(page.data())->count = static_cast<uint16_t>(Header(page.data())->count + change);
    EXPECT_EQ(Reason(page), "branch: lower does not match count and prefix");
  }
  page = Branch();
  Header(page.data())->prefix = 5;
  EXPECT_EQ(Reason(page), "branch: lower does not match count and prefix");
  Header(page.data())->prefix = static_cast<uint16_t>(format::MaxKeySize(GetParam()) + 1);
  EXPECT_EQ(Reason(page), "branch: lower does not match count and prefix");
}

TEST_P(VetTest, ChildrenAreCommittedPages) {
  for (PageNumber child : {PageNumber{0}, format::kMaxPageNumber + 1, kMax48}) {  // bit 47: a frame in memory
    TestPage page = Branch();
    Store48(ChildRefAt(page.data(), 2), child);
    EXPECT_EQ(Reason(page), "branch: impossible child page number");
  }
}

TEST_P(VetTest, BranchTailsLieInThePage) {
  size_t upper = Header(Branch().data())->upper;
  for (size_t slot : {size_t{5}, upper - 1, size_t{GetParam()} - 1, size_t{0xffff}}) {
    TestPage page = Branch();
    Put16(Slot(&page, 2), slot);
    EXPECT_EQ(Reason(page), "branch: separator outside the page") << slot;
  }
  TestPage page = Branch();
  Put16(page.data() + Load16(Slot(&page, 2)), GetParam());
  EXPECT_EQ(Reason(page), "branch: separator reaches past the page");
}

TEST_P(VetTest, BranchSeparatorsAreWithinTheLimit) {
  TestPage page(GetParam());
  std::string longest(format::MaxKeySize(GetParam()), 's');
  auto build = [&](Slice first) {
    std::vector<BranchEntry> entries = {{"", {1, 0, 0}}, {first, {2, 0, 0}}, {longest, {3, 0, 0}}};
    ASSERT_TRUE(BuildBranch(page.data(), page.size(), 1, entries));
  };
  build("a");
  EXPECT_EQ(Reason(page), "");
  longest += 's';
  build("a");
  EXPECT_EQ(Reason(page), "branch: separator reaches past the page");
  build(Slice(longest).substr(0, longest.size() - 1));  // which is the prefix
  EXPECT_EQ(Reason(page), "branch: impossible separator size");
}

TEST_P(VetTest, BranchTailsThatOverlapAreFoundByTheirSum) {
  TestPage page = Branch();
  Put16(Slot(&page, 1), Load16(Slot(&page, 2)));
  EXPECT_EQ(Reason(page), "branch: separators overlap");
}

TEST_P(VetTest, OrderWantsAscendingKeys) {
  TestPage page = Leaf();
  uint16_t first = Load16(Offset(&page, 0));
  Put16(Offset(&page, 0), Load16(Offset(&page, 1)));
  Put16(Offset(&page, 1), first);
  Store32(Head(&page, 0), HeadOf("b"));
  Store32(Head(&page, 1), HeadOf("a"));
  EXPECT_EQ(OrderReason(page), "keys do not ascend");
  page = Leaf();
  std::memcpy(Entry(&page, 1) + format::kLeafEntryHeader, "aa", 2);
  Store32(Head(&page, 1), HeadOf("a"));
  EXPECT_EQ(OrderReason(page), "keys do not ascend") << "nor are equal ones allowed";

  page = Branch();
  Byte* heads = page.data() + BranchHeadsAt(page.data());
  Store32(heads + 4, HeadOf("z"));
  EXPECT_EQ(OrderReason(page), "keys do not ascend");
}

TEST_P(VetTest, OrderWantsMatchingHeads) {
  TestPage page = Leaf();
  Store32(Head(&page, 2), HeadOf("cc"));
  EXPECT_EQ(OrderReason(page), "a head does not match its key");
  page = Branch();
  Store32(page.data() + BranchHeadsAt(page.data()), 1);
  EXPECT_EQ(OrderReason(page), "a head does not match its key") << "the first child's is zero";
  page = Branch();
  Store32(page.data() + BranchHeadsAt(page.data()) + 4, HeadOf("ab"));  // its slot says one byte
  EXPECT_EQ(OrderReason(page), "a head does not match its key");
}

TEST_P(VetTest, OrderWantsTheSharedPrefix) {
  TestPage page = Leaf();
  std::memcpy(Entry(&page, 3) + format::kLeafEntryHeader, "bd", 2);
  EXPECT_EQ(OrderReason(page), "leaf: a key does not share the page's prefix");
}

// A page that passed may be searched and read whatever else is wrong with it.
TEST_P(VetTest, RandomDamageIsRejectedOrHarmless) {
  std::mt19937 random(GetParam());
  int passed = 0;
  for (int round = 0; round < 3000; ++round) {
    TestPage page = round % 2 == 0 ? Leaf() : Branch();
    for (int i = 0; i < 2; ++i) {
      bool header = random() % 4 == 0;
      size_t area = header ? 8 : Header(Leaf().data())->lower + 40 - 24;
      page.data()[24 + random() % area] = static_cast<Byte>(random());
    }
    if (VetNode(page.data(), page.size()) != nullptr) {
      continue;
    }
    ++passed;
    CheckOrder(page.data());
    uint32_t count = Header(page.data())->count;
    for (Slice key : {Slice(""), Slice("aa"), Slice("ab"), Slice("pre-long-tail"), Slice("\xff\xff")}) {
      if (IsLeaf(page.data())) {
        EXPECT_LE(SearchLeaf(page.data(), key).index, count);
        if (const Byte* found = FindInLeaf(page.data(), key); found != nullptr) {
          EXPECT_EQ(LoadLeafEntry(found).key, key);
        }
      } else {
        EXPECT_LT(SearchBranch(page.data(), key), count);
      }
    }
    // Edits too, since a writer copies the page as it is.
    if (IsLeaf(page.data())) {
      if (count > 0) {
        RemoveFromLeaf(page.data(), 0);
      }
      for (int i = 0; i < 3; ++i) {
        InsertIntoLeaf(page.data(), page.size(), 0, {"", {std::string(page.size() / 3, 'v')}});
      }
      EXPECT_EQ(Reason(page), "");
    } else if (count > 1) {
      RemoveFromBranch(page.data(), 0);
    }
  }
  EXPECT_GT(passed, 300) << "some damage must get past the vetting for the rest to be tested";
}

TEST_P(VetTest, ShortSeparatorsAreNoLongerThanKeys) {
  std::string longest(format::MaxKeySize(GetParam()), '\0');
  const std::vector<BranchEntry> entries = {
      {"", {100, 1, 10}}, {Slice(longest).substr(1), {101, 2, 20}}, {longest, {102, 3, 30}}};
  TestPage page(GetParam());
  ASSERT_TRUE(BuildBranch(page.data(), page.size(), 2, entries));
  EXPECT_EQ(OrderReason(page), "");
  Put16(Slot(&page, 2), 2);  // with the prefix a byte too long; its head stays the same
  EXPECT_EQ(Reason(page), "branch: impossible separator size");
}

}  // namespace
}  // namespace johnny::node
