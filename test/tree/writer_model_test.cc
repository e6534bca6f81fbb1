// Trees against std::map, through random transactions of every key shape, with readers of older snapshots, aborts and spills.
#include <gtest/gtest.h>

#include <random>

#include "support/test_db.h"
#include "tree/tree_fixture.h"

namespace johnny::tree {
namespace {

struct Shape {
  const char* name;
  size_t shared;  // bytes that most keys begin with
  size_t longest_tail;
  size_t longest_value;
  bool extents;
};
constexpr Shape kShapes[] = {
    {"Tiny", 0, 3, 8, false},          {"EqualHeads", 12, 6, 40, false},  {"LongPrefix", 700, 30, 100, false},
    {"LongKeys", 2, 1000, 200, false}, {"LargeValues", 0, 8, 1500, true},
};

class TreeModelTest : public testing::TestWithParam<std::tuple<size_t, uint32_t, bool>> {
 protected:
  const Shape& shape() const { return kShapes[std::get<0>(GetParam())]; }
  std::string RandomKey() {
    std::string key(random_() % 40 == 0 ? random_() % 3 : shape().shared, 'p');
    size_t size = random_() % (shape().longest_tail + 1);
    for (size_t i = 0; i < size; ++i) {
      key += static_cast<char>("\0a\xffz"[random_() % 4]);
    }
    return key.substr(0, format::MaxKeySize(tree_.page_size()));
  }
  std::string RandomValue() {
    if (shape().extents && random_() % 20 == 0) {
      return test::Pattern(random_() % 40000, static_cast<uint32_t>(random_()));
    }
    return std::string(random_() % (shape().longest_value + 1), static_cast<char>('a' + random_() % 26));
  }
  // A key that is there, most of the time.
  std::string KeyToErase(const Model& model) {
    auto at = model.lower_bound(RandomKey());
    return at == model.end() ? RandomKey() : at->first;
  }

  std::mt19937 random_{static_cast<uint32_t>(std::get<0>(GetParam()) * 7 + std::get<1>(GetParam()))};
  TreeFile tree_{{.page_size = std::get<1>(GetParam()), .memory_budget = std::get<2>(GetParam()) ? 1u : 64u << 20}};
};
INSTANTIATE_TEST_SUITE_P(All, TreeModelTest,
                         testing::Combine(testing::Range<size_t>(0, std::size(kShapes)), testing::Values(4096u, 32768u),
                                          testing::Bool()),
                         [](const auto& parameter) {
                           return std::string(kShapes[std::get<0>(parameter.param)].name) +
                                  std::to_string(std::get<1>(parameter.param)) + (std::get<2>(parameter.param) ? "Spilling" : "");
                         });

TEST_P(TreeModelTest, AgreesWithAMapThroughTransactions) {
  struct Snapshot {
    TxnId txn;
    pager::View view;
    TableRecord record;
    Model model;
  };
  std::vector<Snapshot> snapshots;
  Model committed;
  for (int round = 0; round < 12 && !HasFailure(); ++round) {
    Model model = committed;
    tree_.Begin();
    bool shrinking = round % 4 == 3;
    for (int i = 0; i < 250; ++i) {
      if (random_() % 10 < (shrinking ? 8u : 2u)) {
        std::string key = KeyToErase(model);
        ASSERT_EQ(tree_.Erase(key), model.erase(key) > 0);
      } else {
        std::string key = RandomKey(), value = RandomValue();
        ASSERT_PUT(tree_, key, value);
        model[key] = value;
      }
    }
    tree_.Check();
    ASSERT_TRUE(tree_.Contents() == model);
    if (random_() % 5 == 0) {
      tree_.Abort();
      ASSERT_TRUE(tree_.Contents() == committed);
      continue;
    }
    tree_.Commit();
    committed = std::move(model);
    ASSERT_TRUE(tree_.Contents() == committed);
    tree_.CheckSpace();
    for (const Snapshot& snapshot : snapshots) {
      ASSERT_TRUE(TreeFile::Contents(snapshot.view, snapshot.record) == snapshot.model) << "of transaction " << snapshot.txn;
    }
    if (snapshots.size() == 3) {
      tree_.readers().erase(tree_.readers().find(snapshots[1].txn));
      snapshots.erase(snapshots.begin() + 1);  // the oldest stays
    }
    snapshots.push_back({tree_.newest(), tree_.CommittedView(), tree_.committed(), committed});
    tree_.readers().insert(tree_.newest());
  }
}

}  // namespace
}  // namespace johnny::tree
