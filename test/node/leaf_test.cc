#include "node/leaf.h"

#include <gtest/gtest.h>

#include <map>

#include "node/node_page.h"
#include "node/vet.h"

namespace johnny::node {
namespace {

struct Stored {
  std::string bytes;
  bool is_extent = false;
};
using Model = std::map<std::string, Stored>;

LeafEntry EntryOf(Slice key, const Stored& stored) { return {key, {stored.bytes, stored.is_extent}}; }

// What is wrong with `page` as a leaf that holds what `model` does; "" if nothing.
std::string Difference(const TestPage& page, const Model& model) {
  if (const char* reason = VetNode(page.data(), page.size())) {
    return reason;
  }
  if (const char* reason = CheckOrder(page.data())) {
    return reason;
  }
  if (Header(page.data())->count != model.size()) {
    return "wrong count";
  }
  size_t used = format::kPageHeaderSize;
  uint32_t index = 0;
  for (const auto& [key, stored] : model) {
    LeafEntry entry = GetLeafEntry(page.data(), index);
    if (entry.key != key || entry.value.bytes != stored.bytes || entry.value.is_extent != stored.is_extent) {
      return "wrong entry " + std::to_string(index);
    }
    Position at = SearchLeaf(page.data(), key);
    if (!at.found || at.index != index || FindInLeaf(page.data(), key) != LeafEntryAt(page.data(), index)) {
      return "entry not found " + std::to_string(index);
    }
    used += LeafEntryCost(entry);
    ++index;
  }
  if (LeafBytesUsed(page.data()) != used) {
    return "wrong bytes used";
  }
  for (size_t bytes : {size_t{0}, used / 4, used - 1, used, used + 1}) {
    if (LeafUsesAtLeast(page.data(), bytes) != (used >= bytes)) {
      return "wrong answer whether " + std::to_string(bytes) + " bytes are used";
    }
  }
  return "";
}

// Checks a search for a key that may not be there.
bool FindsPlace(const TestPage& page, const Model& model, const std::string& key) {
  auto at = model.lower_bound(key);
  bool found = at != model.end() && at->first == key;
  auto index = static_cast<uint32_t>(std::distance(model.begin(), at));
  Position position = SearchLeaf(page.data(), key);
  return position.index == index && position.found == found &&
         FindInLeaf(page.data(), key) == (found ? LeafEntryAt(page.data(), index) : nullptr);
}

// Puts as a tree would. Returns what the node's function said, having checked a refusal.
bool Put(TestPage* page, const std::string& key, const Stored& stored) {
  TestPage before = *page;
  Position at = SearchLeaf(page->data(), key);
  size_t used = LeafBytesUsed(page->data());
  size_t old_size = at.found ? GetLeafEntry(page->data(), at.index).size() : 0;
  size_t new_size = EntryOf(key, stored).size();
  // The short way for ascending keys takes what it can, and leaves the page as the long one does.
  TestPage appended = before;
  const format::PageHeader* header = Header(before.data());
  bool shares_prefix = header->count > 0 && key.compare(0, header->prefix, LeafKey(before.data(), 0), 0, header->prefix) == 0;
  bool can_append = !at.found && at.index == header->count && shares_prefix &&
                    size_t{header->upper} - header->lower >= format::kLeafSlotSize + new_size;
  EXPECT_EQ(AppendToLeaf(appended.data(), EntryOf(key, stored)), can_append);
  bool fits = at.found ? ReplaceInLeaf(page->data(), page->size(), at.index, {stored.bytes, stored.is_extent})
                       : InsertIntoLeaf(page->data(), page->size(), at.index, EntryOf(key, stored));
  EXPECT_TRUE(appended == (can_append ? *page : before));
  if (!fits) {
    EXPECT_TRUE(*page == before) << "a refusal leaves the page unchanged";
    // A replaced entry's header counts until the page is compacted.
    size_t needed = at.found ? used - old_size + format::kLeafEntryHeader + new_size : used + format::kLeafSlotSize + new_size;
    EXPECT_GT(needed, page->size()) << "refused although there was room";
  }
  return fits;
}

struct Op {
  std::string tail;
  bool remove;
  bool outside;  // without the prefix that the other keys share
  bool is_extent;
  size_t value_size;
};
void showValue(const Op& op, std::ostream& out) {
  out << (op.remove ? "remove " : "put ") << rc::toString(op.tail) << (op.outside ? " outside" : "")
      << (op.is_extent ? " extent" : " ") << op.value_size;
}

rc::Gen<Op> Ops() {
  auto sizes =
      rc::gen::oneOf(rc::gen::inRange<size_t>(0, 20), rc::gen::inRange<size_t>(0, 20), rc::gen::inRange<size_t>(0, 3000));
  auto rarely = rc::gen::map(rc::gen::inRange(0, 20), [](int n) { return n == 0; });
  return rc::gen::construct<Op>(Tails(), rc::gen::map(rc::gen::inRange(0, 4), [](int n) { return n == 0; }), rarely, rarely,
                                sizes);
}

TEST(LeafTest, AgreesWithAMapWhateverTheEdits) {
  EXPECT_TRUE(rc::check("inserts, replacements and removals leave the leaf equal to a std::map", [] {
    TestPage page(*rc::gen::elementOf(std::vector<uint32_t>(std::begin(kPageSizes), std::end(kPageSizes))));
    std::string shared(*rc::gen::element<size_t>(0, 1, 5, 300, 900), 'p');
    Model model;
    InitLeaf(page.data(), page.size());
    for (const Op& op : *rc::gen::container<std::vector<Op>>(Ops())) {
      std::string key = ((op.outside ? "" : shared) + op.tail).substr(0, format::MaxKeySize(page.size()));
      size_t most = format::MaxInlineEntry(page.size()) - format::kLeafEntryHeader - key.size();
      Stored stored{std::string(op.is_extent ? format::kExtentRefSize : std::min(op.value_size, most), 'v'), op.is_extent};
      RC_ASSERT(FindsPlace(page, model, key));
      if (!op.remove) {
        if (Put(&page, key, stored)) {
          model[key] = stored;
        }
      } else if (!model.empty()) {
        uint32_t index = std::min<uint32_t>(SearchLeaf(page.data(), key).index, Header(page.data())->count - 1u);
        model.erase(std::next(model.begin(), index));
        RemoveFromLeaf(page.data(), index);
      }
      RC_ASSERT(Difference(page, model) == "");
    }
    TestPage rebuilt(page.size());
    std::vector<LeafEntry> entries;
    for (const auto& [key, stored] : model) {
      entries.push_back(EntryOf(key, stored));
    }
    BuildLeaf(rebuilt.data(), rebuilt.size(), entries);
    RC_ASSERT(Difference(rebuilt, model) == "");
  }));
  EXPECT_FALSE(HasFailure());
}

class LeafSizeTest : public testing::TestWithParam<uint32_t> {
 protected:
  LeafSizeTest() { InitLeaf(page_.data(), page_.size()); }
  bool Put(const std::string& key, const std::string& value) {
    Stored stored{value};
    bool fits = node::Put(&page_, key, stored);
    if (fits) {
      model_[key] = stored;
    }
    return fits;
  }
  TestPage page_{GetParam()};
  Model model_;
};
INSTANTIATE_TEST_SUITE_P(PageSizes, LeafSizeTest, testing::ValuesIn(kPageSizes), testing::PrintToStringParamName());

TEST_P(LeafSizeTest, AnEmptyLeafFindsNothing) {
  EXPECT_EQ(Difference(page_, {}), "");
  EXPECT_TRUE(FindsPlace(page_, {}, ""));
  EXPECT_TRUE(FindsPlace(page_, {}, "key"));
  // Emptied again, the prefix of what was there must not matter.
  ASSERT_TRUE(Put("some key", "value"));
  RemoveFromLeaf(page_.data(), 0);
  EXPECT_EQ(Difference(page_, {}), "");
  EXPECT_TRUE(FindsPlace(page_, {}, "some key"));
  EXPECT_TRUE(FindsPlace(page_, {}, ""));
  model_.clear();
  ASSERT_TRUE(Put("", ""));
  EXPECT_EQ(Difference(page_, model_), "");
}

TEST_P(LeafSizeTest, TwoLargestEntriesFitExactly) {
  size_t key_size = format::MaxKeySize(GetParam());
  size_t value_size = format::MaxInlineEntry(GetParam()) - format::kLeafEntryHeader - key_size;
  ASSERT_TRUE(Put(std::string(key_size, 'b'), std::string(value_size, '1')));
  ASSERT_TRUE(Put(std::string(key_size, 'a'), std::string(value_size, '2')));
  EXPECT_EQ(Difference(page_, model_), "");
  EXPECT_EQ(LeafBytesUsed(page_.data()), GetParam());
  EXPECT_FALSE(Put("", ""));
  EXPECT_TRUE(Put(std::string(key_size, 'a'), std::string(value_size, '3'))) << "a value of the same size is replaced in place";
  EXPECT_EQ(Difference(page_, model_), "");
}

TEST_P(LeafSizeTest, HoldsAsManyTinyEntriesAsTheArithmeticSays) {
  uint32_t n = 0;
  while (Put({static_cast<char>(n >> 8), static_cast<char>(n)}, "")) {
    ++n;
  }
  EXPECT_EQ(n, (GetParam() - format::kPageHeaderSize) / (format::kLeafSlotSize + format::kLeafEntryHeader + 2));
  EXPECT_EQ(Difference(page_, model_), "");
}

TEST_P(LeafSizeTest, HolesAreUsedAgain) {
  uint32_t n = 0;
  while (Put("key" + std::to_string(1000 + n), std::string(50, 'v'))) {
    ++n;
  }
  for (uint32_t i = n; i-- > 0;) {  // every second one
    if (i % 2 == 0) {
      RemoveFromLeaf(page_.data(), i);
      model_.erase(std::next(model_.begin(), i));
    }
  }
  size_t key_size = 7;
  size_t room = GetParam() - LeafBytesUsed(page_.data());
  size_t largest = std::min(room - format::kLeafSlotSize, format::MaxInlineEntry(GetParam()));
  EXPECT_TRUE(Put("longkey", std::string(largest - format::kLeafEntryHeader - key_size, 'L')));
  EXPECT_EQ(Difference(page_, model_), "");
}

TEST_P(LeafSizeTest, KeysThatDifferOnlyBehindTheHeadAreToldApart) {
  // Heads are all equal when the first four bytes behind the prefix are: the run of equal heads spans the page.
  for (int i = 0; i < 60; ++i) {
    ASSERT_TRUE(Put("x" + std::string(4, '\xff') + std::to_string(100 + i * 7 % 60), "v"));
  }
  ASSERT_TRUE(Put("y", "breaks the prefix"));
  ASSERT_TRUE(Put("x", "is the prefix"));
  EXPECT_EQ(Header(page_.data())->prefix, 0);
  EXPECT_EQ(Difference(page_, model_), "");
  for (const char* tail : {"", "0", "100", "1000", "159", "16", "\xff"}) {
    EXPECT_TRUE(FindsPlace(page_, model_, "x" + std::string(4, '\xff') + tail));
  }
}

TEST_P(LeafSizeTest, PrefixIsSkippedAndShrinks) {
  std::string shared(format::MaxKeySize(GetParam()) - 2, 's');
  ASSERT_TRUE(Put(shared + "b", "1"));
  EXPECT_EQ(Header(page_.data())->prefix, shared.size() + 1) << "a single key is all prefix";
  ASSERT_TRUE(Put(shared + "a", "2"));
  EXPECT_EQ(Header(page_.data())->prefix, shared.size());
  for (const std::string& key : {std::string(), shared, shared + "aa", shared + "c", std::string("r"), std::string("t"),
                                 shared.substr(1), shared.substr(1) + "t"}) {
    EXPECT_TRUE(FindsPlace(page_, model_, key)) << key.size();
  }
  ASSERT_TRUE(Put(shared, "3"));
  EXPECT_EQ(Difference(page_, model_), "");
  ASSERT_TRUE(Put("sst", "4"));
  EXPECT_EQ(Header(page_.data())->prefix, 2);
  EXPECT_EQ(Difference(page_, model_), "");
  RemoveFromLeaf(page_.data(), 3);
  model_.erase("sst");
  EXPECT_EQ(Difference(page_, model_), "") << "a prefix shorter than it could be is sound";
}

TEST_P(LeafSizeTest, BuildFindsTheLongestPrefix) {
  std::vector<LeafEntry> entries = {{"same-a", {"1"}}, {"same-ab", {""}}, {"same-c", {"3"}}};
  BuildLeaf(page_.data(), page_.size(), entries);
  EXPECT_EQ(Header(page_.data())->prefix, 5);
  EXPECT_EQ(Difference(page_, {{"same-a", {"1"}}, {"same-ab", {""}}, {"same-c", {"3"}}}), "");
  BuildLeaf(page_.data(), page_.size(), {});
  EXPECT_EQ(Difference(page_, {}), "");
}

TEST_P(LeafSizeTest, AReplacedValueMayGrowShrinkAndMove) {
  ASSERT_TRUE(Put("a", "old"));
  ASSERT_TRUE(Put("b", std::string(GetParam() / 3, 'b')));
  ASSERT_TRUE(Put("a", ""));
  EXPECT_EQ(Difference(page_, model_), "");
  // Fits only when the page is compacted, old entry left out.
  ASSERT_TRUE(Put("b", std::string(GetParam() * 45 / 100, 'c')));
  ASSERT_TRUE(Put("b", std::string(GetParam() * 46 / 100, 'd')));
  EXPECT_EQ(Difference(page_, model_), "");
  // A reference takes the value's place and gives it back.
  ASSERT_TRUE(ReplaceInLeaf(page_.data(), page_.size(), 0, {std::string(format::kExtentRefSize, 'r'), true}));
  EXPECT_TRUE(GetLeafEntry(page_.data(), 0).value.is_extent);
  ASSERT_TRUE(Put("a", "inline again"));
  EXPECT_EQ(Difference(page_, model_), "");
}

}  // namespace
}  // namespace johnny::node
