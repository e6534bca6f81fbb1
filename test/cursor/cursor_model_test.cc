// Several cursors over a tree that changes under them, against a std::map and a plain description of where a cursor is.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <random>

#include "cursor/cursor.h"
#include "tree/tree_fixture.h"

namespace johnny::cursor {
namespace {

using tree::Model;
using tree::TreeFile;

// A cursor, and where it ought to be.
struct Pair {
  enum class Where { kNowhere, kBeforeFirst, kAfterLast, kAtKey };  // at a key: on its entry, or in the gap if there is none

  explicit Pair(TreeFile* tree) : cursor(&tree->view(), &tree->record()) {}

  Cursor cursor;
  Where where = Where::kNowhere;
  std::string key;
  std::optional<std::string> lower, upper;
};

class CursorModelTest : public testing::TestWithParam<uint32_t> {
 protected:
  using Where = Pair::Where;

  // Long values make many leaves of few keys.
  std::string RandomKey() { return std::string(random_() % 3, 'k') + std::to_string(random_() % 400); }

  bool Inside(const Pair& pair, Model::iterator at) const {
    return at != model_.end() && (!pair.lower || at->first >= *pair.lower) && (!pair.upper || at->first < *pair.upper);
  }
  Model::iterator FirstOf(const Pair& pair) { return pair.lower ? model_.lower_bound(*pair.lower) : model_.begin(); }
  Model::iterator Before(Model::iterator at) { return at == model_.begin() ? model_.end() : std::prev(at); }
  Model::iterator LastOf(const Pair& pair) { return Before(pair.upper ? model_.lower_bound(*pair.upper) : model_.end()); }

  void Expect(Pair* pair, Lookup result, Model::iterator target, std::optional<Where> otherwise) {
    if (Inside(*pair, target)) {
      ASSERT_EQ(result, Lookup::kFound) << target->first;
      ASSERT_EQ(pair->cursor.entry().key, target->first);
      ASSERT_EQ(pair->cursor.entry().value.bytes, target->second);
      pair->where = Where::kAtKey;
      pair->key = target->first;
    } else {
      ASSERT_EQ(result, Lookup::kNotFound);
      pair->where = otherwise.value_or(pair->where);
    }
    ASSERT_EQ(pair->cursor.nowhere(), pair->where != Where::kAtKey);
  }

  void Move(Pair* pair) {
    std::string key = RandomKey();
    switch (random_() % 12) {
      case 0:
        return Expect(pair, pair->cursor.First(), FirstOf(*pair), std::nullopt);
      case 1:
        return Expect(pair, pair->cursor.Last(), LastOf(*pair), std::nullopt);
      case 2:
        return Expect(pair, pair->cursor.SeekExact(key), model_.find(key), Where::kNowhere);
      case 3: {
        auto from = pair->lower && *pair->lower > key ? *pair->lower : key;
        return Expect(pair, pair->cursor.SeekAtOrAfter(key), model_.lower_bound(from), Where::kNowhere);
      }
      case 4: {
        bool above = pair->upper && *pair->upper <= key;
        auto target = Before(above ? model_.lower_bound(*pair->upper) : model_.upper_bound(key));
        return Expect(pair, pair->cursor.SeekAtOrBefore(key), target, Where::kNowhere);
      }
      case 5: {
        bool found = pair->where == Where::kAtKey && model_.count(pair->key) > 0;
        ASSERT_EQ(pair->cursor.Restore(), found ? Lookup::kFound : Lookup::kNotFound);
        if (found) {
          ASSERT_EQ(pair->cursor.entry().key, pair->key);
        }
        return;
      }
      case 6:
        return ChangeBounds(pair);
      default:
        return random_() % 2 == 0 ? Next(pair) : Prev(pair);
    }
  }
  void Next(Pair* pair) {
    switch (pair->where) {
      case Where::kNowhere:
      case Where::kBeforeFirst:
        return Expect(pair, pair->cursor.Next(), FirstOf(*pair), std::nullopt);
      case Where::kAfterLast:
        return Expect(pair, pair->cursor.Next(), model_.end(), std::nullopt);
      case Where::kAtKey:
        return Expect(pair, pair->cursor.Next(), model_.upper_bound(pair->key), Where::kAfterLast);
    }
  }
  void Prev(Pair* pair) {
    switch (pair->where) {
      case Where::kNowhere:
      case Where::kAfterLast:
        return Expect(pair, pair->cursor.Prev(), LastOf(*pair), std::nullopt);
      case Where::kBeforeFirst:
        return Expect(pair, pair->cursor.Prev(), model_.end(), std::nullopt);
      case Where::kAtKey:
        return Expect(pair, pair->cursor.Prev(), Before(model_.lower_bound(pair->key)), Where::kBeforeFirst);
    }
  }
  void ChangeBounds(Pair* pair) {
    pair->where = Where::kNowhere;
    if (random_() % 2 == 0) {
      pair->lower = pair->upper = std::nullopt;
      return pair->cursor.ClearBounds();
    }
    if (random_() % 2 == 0) {
      pair->lower = RandomKey();
      pair->cursor.SetLower(*pair->lower);
    } else {
      pair->upper = RandomKey();
      pair->cursor.SetUpper(*pair->upper);
    }
  }
  void ChangeTree() {
    for (auto& pair : pairs_) {
      pair->cursor.Save();
    }
    std::string key = RandomKey();
    if (random_() % 2 == 0) {
      std::string value(random_() % 400, 'v');
      ASSERT_PUT(tree_, key, value);
      model_[key] = value;
    } else if (random_() % 10 == 0) {
      tree_.Spill();
    } else {
      ASSERT_EQ(tree_.Erase(key), model_.erase(key) > 0);
    }
  }

  std::mt19937 random_{GetParam()};
  TreeFile tree_;
  Model model_;
  std::vector<std::unique_ptr<Pair>> pairs_;
};
INSTANTIATE_TEST_SUITE_P(Seeds, CursorModelTest, testing::Range(1u, 7u), testing::PrintToStringParamName());

TEST_P(CursorModelTest, CursorsKeepTheirPlaceWhileTheTreeChanges) {
  tree_.Begin();
  for (int i = 0; i < 6; ++i) {
    pairs_.push_back(std::make_unique<Pair>(&tree_));
  }
  for (int i = 0; i < 8000 && !HasFailure(); ++i) {
    for (unsigned changes = random_() % 4; changes > 1; --changes) {
      ChangeTree();
    }
    Move(pairs_[random_() % pairs_.size()].get());
  }
  EXPECT_GT(tree_.record().level, 0);
}

}  // namespace
}  // namespace johnny::cursor
