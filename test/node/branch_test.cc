#include "node/branch.h"

#include <gtest/gtest.h>

#include <map>

#include "node/node_page.h"
#include "node/vet.h"

namespace johnny::node {
namespace {

using format::ChildRef;
using std::string_literals::operator""s;

// Children by separator; that of the first is "" here and minus infinity in the page.
using Model = std::map<std::string, ChildRef>;

ChildRef Child(uint64_t n) { return {n + 1, static_cast<uint32_t>(n * 2654435761u), n * 1000003 % kMax48}; }

std::vector<BranchEntry> EntriesOf(const Model& model) {
  std::vector<BranchEntry> entries;
  for (const auto& [separator, ref] : model) {
    entries.push_back({separator, ref});
  }
  return entries;
}

bool Same(const ChildRef& a, const ChildRef& b) { return a.page == b.page && a.checksum == b.checksum && a.entries == b.entries; }

// What is wrong with `page` as a branch of these children; "" if nothing.
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
  uint32_t index = 0;
  for (const auto& [separator, ref] : model) {
    std::string stored;
    AppendSeparator(page.data(), index, &stored);
    if (stored != (index == 0 ? "" : separator)) {
      return "wrong separator " + std::to_string(index);
    }
    if (!Same(GetChild(page.data(), index), ref)) {
      return "wrong reference " + std::to_string(index);
    }
    if (index > 0 && SearchBranch(page.data(), separator) != index) {
      return "a separator's child does not hold it " + std::to_string(index);
    }
    ++index;
  }
  return "";
}

// The child of `model` that holds `key`.
uint32_t ChildOf(const Model& model, const std::string& key) {
  auto behind = model.upper_bound(key);
  return behind == model.begin() ? 0 : static_cast<uint32_t>(std::distance(model.begin(), behind)) - 1;
}

enum class Edit { kInsert, kRemove, kReplace };
struct Op {
  std::string tail;
  Edit edit;
  bool outside;  // without the prefix that the other separators share
};
void showValue(const Op& op, std::ostream& out) {
  out << (op.edit == Edit::kRemove    ? "remove "
          : op.edit == Edit::kReplace ? "replace "
                                      : "insert ")
      << rc::toString(op.tail) << (op.outside ? " outside" : "");
}
rc::Gen<Op> Ops() {
  return rc::gen::construct<Op>(Tails(),
                                rc::gen::element(Edit::kInsert, Edit::kInsert, Edit::kInsert, Edit::kRemove, Edit::kReplace),
                                rc::gen::map(rc::gen::inRange(0, 30), [](int n) { return n == 0; }));
}

TEST(BranchTest, AgreesWithAMapWhateverTheEdits) {
  EXPECT_TRUE(rc::check("inserts, replacements, removals and rebuilds leave the branch equal to a std::map", [] {
    TestPage page(*rc::gen::elementOf(std::vector<uint32_t>(std::begin(kPageSizes), std::end(kPageSizes))));
    std::string shared(*rc::gen::element<size_t>(0, 1, 6, 250), 'p');
    Model model = {{"", Child(0)}};
    RC_ASSERT(BuildBranch(page.data(), page.size(), 1, EntriesOf(model)));
    uint64_t next = 1;
    for (const Op& op : *rc::gen::container<std::vector<Op>>(Ops())) {
      std::string separator = (op.outside ? "" : shared) + op.tail;
      RC_ASSERT(SearchBranch(page.data(), separator) == ChildOf(model, separator));
      if (op.edit == Edit::kReplace) {  // the separator at or before it, so that the order stays
        uint32_t index = ChildOf(model, separator);
        auto old = std::next(model.begin(), index);
        TestPage before = page;
        if (index == 0 || model.count(separator) != 0) {
          continue;
        }
        if (ReplaceSeparator(page.data(), index, separator)) {
          ChildRef ref = old->second;
          model.erase(old);
          model[separator] = ref;
        } else {
          RC_ASSERT(page == before);
        }
      } else if (op.edit == Edit::kRemove && model.size() > 1) {
        uint32_t index = ChildOf(model, separator);
        auto at = std::next(model.begin(), index);
        if (index == 0) {  // the next one becomes the first, whatever its separator was
          ChildRef heir = std::next(at)->second;
          model.erase(std::next(at));
          at->second = heir;
        } else {
          model.erase(at);
        }
        RemoveFromBranch(page.data(), index);
      } else if (op.edit == Edit::kInsert && !separator.empty() && model.count(separator) == 0) {
        TestPage before = page;
        Model more = model;
        more[separator] = Child(next);
        if (InsertIntoBranch(page.data(), ChildOf(more, separator), separator, Child(next))) {
          model = more;
        } else {
          RC_ASSERT(page == before);
          std::vector<BranchEntry> entries = EntriesOf(more);
          bool fits = BuildBranch(page.data(), page.size(), 1, entries);
          RC_ASSERT(fits == (BranchBytesNeeded(entries) <= page.size()));
          if (fits) {
            model = more;
          } else {
            page = before;
          }
        }
        ++next;
      }
      RC_ASSERT(Difference(page, model) == "");
    }
    // What would be needed for what is there: never more than is used, whose prefix may be shorter than it could be.
    RC_ASSERT(BuildBranch(page.data(), page.size(), 1, EntriesOf(model)));
    RC_ASSERT(BranchBytesUsed(page.data()) == BranchBytesNeeded(EntriesOf(model)));
  }));
}

class BranchSizeTest : public testing::TestWithParam<uint32_t> {
 protected:
  bool Build(const Model& model, uint8_t level = 1) { return BuildBranch(page_.data(), page_.size(), level, EntriesOf(model)); }
  TestPage page_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(PageSizes, BranchSizeTest, testing::ValuesIn(kPageSizes), testing::PrintToStringParamName());

TEST_P(BranchSizeTest, ASingleChildHoldsEverything) {
  ASSERT_TRUE(Build({{"", Child(3)}}, 31));
  EXPECT_EQ(Difference(page_, {{"", Child(3)}}), "");
  EXPECT_EQ(Header(page_.data())->level, 31);
  EXPECT_EQ(SearchBranch(page_.data(), ""), 0u);
  EXPECT_EQ(SearchBranch(page_.data(), "\xff\xff\xff\xff\xff"), 0u);
}

TEST_P(BranchSizeTest, ShortSeparatorsCostTwentyTwoBytes) {
  Model model = {{"", Child(0)}};
  uint32_t most = (GetParam() - format::kPageHeaderSize) / 22;
  for (uint32_t i = 1; i < most; ++i) {
    model[{static_cast<char>(i >> 8), static_cast<char>(i)}] = Child(i);
  }
  ASSERT_TRUE(Build(model));
  EXPECT_EQ(Difference(page_, model), "");
  if (GetParam() == 4096) {
    EXPECT_EQ(model.size(), 184u) << "FORMAT.md says so";
  }
  model["\xff\xff"] = Child(most);
  EXPECT_FALSE(Build(model));
}

TEST_P(BranchSizeTest, LongestSeparatorsFitThreeToAPage) {
  size_t longest = format::MaxKeySize(GetParam());
  Model model = {{"", Child(0)}};
  for (char c : {'a', 'b', 'c'}) {
    model[std::string(longest, c)] = Child(static_cast<uint64_t>(c));
  }
  ASSERT_TRUE(Build(model));
  EXPECT_EQ(Difference(page_, model), "");
  model[std::string(longest, 'd')] = Child(9);
  EXPECT_FALSE(Build(model));
}

TEST_P(BranchSizeTest, EqualHeadsAreToldApartByLengthAndTail) {
  Model model = {{"", Child(0)}};
  uint64_t n = 1;
  for (const std::string& separator : {"a"s, "a\0"s, "a\0\0"s, "a\0\0\0"s, "a\0\0\0\0"s, "a\0\0\0\1"s, "a\0\0\0\1\0"s, "b"s,
                                       "bcde"s, "bcdea"s, "bcdeb"s, "bcdebb"s}) {
    model[separator] = Child(n++);
  }
  ASSERT_TRUE(Build(model));
  EXPECT_EQ(Difference(page_, model), "");
  for (const std::string& key : {""s, "A"s, "a"s, "a\0\0\0\0\0"s, "a\0\0\0\xff"s, "ab"s, "bcd"s, "bcdeaz"s, "bcdec"s, "c"s}) {
    EXPECT_EQ(SearchBranch(page_.data(), key), ChildOf(model, key)) << testing::PrintToString(key);
  }
}

// References lie behind the heads: one may look like the head of a separator that is not there.
TEST_P(BranchSizeTest, AReferenceIsNoHead) {
  ChildRef ref = Child(0);
  ref.page = 0x7a7a7a7a;
  const Model model = {{"", ref}, {"a", ref}, {"b", ref}};
  ASSERT_TRUE(Build(model));
  ASSERT_EQ(Load32(page_.data() + BranchHeadsAt(page_.data()) + 4 * model.size()), HeadOf("zzzz"));
  for (const std::string& key : {"zzzy"s, "zzzz"s, "zzzzz"s, "zzz{"s}) {
    EXPECT_EQ(SearchBranch(page_.data(), key), 2u) << key;
  }
}

TEST_P(BranchSizeTest, KeysOutsideThePrefixGoToTheEdges) {
  std::string shared(200, 'm');
  Model model = {{"", Child(0)}, {shared + "a", Child(1)}, {shared + "b", Child(2)}, {shared + "c", Child(3)}};
  ASSERT_TRUE(Build(model));
  EXPECT_EQ(Header(page_.data())->prefix, 200);
  for (const std::string& key : {""s, "m"s, shared, "l"s + shared, shared.substr(1) + "l"}) {
    EXPECT_EQ(SearchBranch(page_.data(), key), 0u);
  }
  for (const std::string& key : {shared + "c", shared + "d", "n"s, shared.substr(1) + "n", "\xff"s}) {
    EXPECT_EQ(SearchBranch(page_.data(), key), 3u);
  }
}

// Prefixes of up to eight bytes are compared at once, with what lies behind them.
TEST_P(BranchSizeTest, KeysOutsideAShortPrefixGoToTheEdges) {
  for (size_t prefix = 1; prefix <= 10; ++prefix) {
    std::string shared(prefix, 'm');
    Model model = {{"", Child(0)}, {shared + "a", Child(1)}, {shared + "b", Child(2)}, {shared + "c", Child(3)}};
    ASSERT_TRUE(Build(model));
    ASSERT_EQ(Header(page_.data())->prefix, prefix);
    for (const std::string& rest : {""s, "a"s, "b"s, "bb"s, "c"s, "zzzzzzzzzzzz"s}) {
      EXPECT_EQ(SearchBranch(page_.data(), shared + rest), ChildOf(model, shared + rest)) << prefix << rest;
      for (size_t at = 0; at < prefix; ++at) {
        for (char other : {'\0', 'l', 'n', '\xff'}) {
          std::string key = shared + rest;
          key[at] = other;
          EXPECT_EQ(SearchBranch(page_.data(), key), ChildOf(model, key)) << prefix << rest << at << other;
        }
      }
    }
  }
}

TEST_P(BranchSizeTest, InsertRefusesASeparatorWithoutThePrefix) {
  std::string shared(10, 'm');
  Model model = {{"", Child(0)}, {shared + "a", Child(1)}, {shared + "b", Child(2)}};
  ASSERT_TRUE(Build(model));
  TestPage before = page_;
  EXPECT_FALSE(InsertIntoBranch(page_.data(), 3, "n", Child(3)));
  EXPECT_FALSE(InsertIntoBranch(page_.data(), 1, "mmm", Child(3))) << "shorter than the prefix";
  EXPECT_TRUE(page_ == before);
  EXPECT_TRUE(InsertIntoBranch(page_.data(), 1, shared, Child(3))) << "the prefix itself";
  model[shared] = Child(3);
  EXPECT_EQ(Difference(page_, model), "");
}

TEST_P(BranchSizeTest, ReferencesKeepTheirLargestFields) {
  ChildRef largest{format::kMaxPageNumber, UINT32_MAX, kMax48};
  ChildRef frame{format::kMaxPageNumber + 1, 0, 0};  // bit 47: a frame, inside a transaction
  ASSERT_TRUE(Build({{"", Child(0)}, {"x", Child(1)}}));
  SetChild(page_.data(), 1, largest);
  EXPECT_TRUE(Same(GetChild(page_.data(), 1), largest));
  EXPECT_TRUE(Same(GetChild(page_.data(), 0), Child(0)));
  SetChild(page_.data(), 0, frame);
  EXPECT_TRUE(Same(GetChild(page_.data(), 0), frame));
  EXPECT_TRUE(Same(GetChild(page_.data(), 1), largest));
}

}  // namespace
}  // namespace johnny::node
