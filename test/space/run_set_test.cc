#include "space/run_set.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <set>
#include <vector>

namespace johnny::space {
namespace {

using Model = std::set<PageNumber>;

template <typename Set>
std::vector<space::Run> RunsOf(const Set& set) {
  std::vector<space::Run> runs;
  set.ForEach([&](Run run) { runs.push_back(run); });
  return runs;
}
template <>
std::vector<space::Run> RunsOf(const Model& model) {
  std::vector<space::Run> runs;
  for (PageNumber page : model) {
    if (runs.empty() || runs.back().end() != page) {
      runs.push_back({page, 0});
    }
    runs.back().pages++;
  }
  return runs;
}

struct Op {
  int kind;
  Run run;
};
void showValue(const space::Run& run, std::ostream& out) { out << "{" << run.first << ", " << run.pages << "}"; }
void showValue(const Op& op, std::ostream& out) {
  out << "op " << op.kind << " ";
  showValue(op.run, out);
}

// Runs of a few pages, and of lengths around the 64 from which on they are found otherwise.
class RunSetModelTest : public testing::TestWithParam<uint64_t> {};

TEST_P(RunSetModelTest, AgreesWithASetOfPages) {
  const uint64_t unit = GetParam();
  auto runs = rc::gen::map(rc::gen::construct<space::Run>(rc::gen::inRange<PageNumber>(0, 60), rc::gen::inRange<uint64_t>(0, 9)),
                           [unit](space::Run run) {
                             return space::Run{run.first * unit, run.pages * unit};
                           });
  auto ops = rc::gen::container<std::vector<Op>>(rc::gen::construct<Op>(rc::gen::inRange(0, 10), runs));
  EXPECT_TRUE(rc::check("adding, removing and taking runs", [&] {
    RunSet set;
    PageSet by_place;
    Model model;
    for (const Op& op : *ops) {
      Model covered;
      for (PageNumber page = op.run.first; page < op.run.end(); ++page) {
        covered.insert(page);
      }
      auto inside = [&] {
        return std::count_if(covered.begin(), covered.end(), [&](PageNumber page) { return model.count(page) > 0; });
      };
      std::vector<space::Run> before = RunsOf(model);
      if (op.kind < 5) {
        bool fits = inside() == 0;
        RC_ASSERT(set.Add(op.run) == fits);
        RC_ASSERT(by_place.Add(op.run) == fits);
        if (fits) {
          model.merge(covered);
        }
      } else if (op.kind < 7) {
        bool all = inside() == static_cast<ptrdiff_t>(covered.size());
        RC_ASSERT(set.Remove(op.run) == all);
        RC_ASSERT(by_place.Remove(op.run) == all);
        if (all) {
          for (PageNumber page : covered) {
            model.erase(page);
          }
        }
      } else if (op.kind == 7) {
        set.RemoveFrom(op.run.first + 30 * unit);
        by_place.RemoveFrom(op.run.first + 30 * unit);
        model.erase(model.lower_bound(op.run.first + 30 * unit), model.end());
      } else {
        uint64_t wanted = op.run.pages + 1 + op.run.first % 3;
        auto taken = op.kind == 8 ? set.TakeBestFit(wanted) : set.TakeLongest(wanted);
        uint64_t best = 0;  // length of the run to take from
        for (const space::Run& run : before) {
          bool better = op.kind == 8 ? run.pages >= wanted && (best == 0 || run.pages < best) : run.pages > best;
          best = better ? run.pages : best;
        }
        RC_ASSERT(taken.has_value() == (best > 0));
        if (taken) {
          RC_ASSERT(by_place.Remove(*taken));
          RC_ASSERT(taken->pages == std::min(best, wanted));
          auto from =
              std::find_if(before.begin(), before.end(), [&](const space::Run& run) { return run.first == taken->first; });
          RC_ASSERT(from != before.end());
          RC_ASSERT(from->pages == best);
          const ptrdiff_t at = from - before.begin();
          for (ptrdiff_t i = 0; i < static_cast<ptrdiff_t>(before.size()); ++i) {  // best fit: the lowest, longest: the highest
            const bool beyond = op.kind == 8 ? i < at : i > at;
            RC_ASSERT(!beyond || before[static_cast<size_t>(i)].pages != best);
          }
          for (PageNumber page = taken->first; page < taken->end(); ++page) {
            model.erase(page);
          }
        }
      }
      RC_ASSERT(RunsOf(set) == RunsOf(model));
      RC_ASSERT(set.pages() == model.size());
      RC_ASSERT(set.runs() == RunsOf(model).size());
      RC_ASSERT(set.empty() == model.empty());
      RC_ASSERT(RunsOf(by_place) == RunsOf(model));
      RC_ASSERT(by_place.pages() == model.size());
      RC_ASSERT(by_place.runs() == RunsOf(model).size());
      for (PageNumber page = 0; page < 100 * unit; page += 3 * unit + 1) {
        std::optional<space::Run> holding, ending;
        for (const space::Run& run : RunsOf(model)) {
          if (run.end() > page && !ending) {
            ending = run;
            holding = run.first <= page ? ending : std::nullopt;
          }
        }
        RC_ASSERT(set.Find(page) == holding);
        RC_ASSERT(set.FirstEndingAfter(page) == ending);
      }
      for (PageNumber first = 0; first < 120 * unit; first += unit) {
        const space::Run asked = {first, 1 + first % 3};
        auto at = model.lower_bound(asked.first);
        RC_ASSERT(set.HasAny(asked) == (at != model.end() && *at < asked.end()));
        RC_ASSERT(set.Has(first) == (model.count(first) > 0));
      }
    }
    set.Clear();
    RC_ASSERT(set.empty());
    RC_ASSERT(!set.TakeLongest(1).has_value());
  }));
}

INSTANTIATE_TEST_SUITE_P(Units, RunSetModelTest, testing::Values(1, 15));

TEST(RunSetTest, RunsAreTakenBelowABound) {
  auto runs = rc::gen::construct<space::Run>(rc::gen::inRange<PageNumber>(0, 200), rc::gen::inRange<uint64_t>(1, 9));
  EXPECT_TRUE(rc::check("the best fit or longest run below a bound, the lowest of its length", [&] {
    RunSet set;
    for (const space::Run& run : *rc::gen::container<std::vector<space::Run>>(runs)) {
      set.Add(run);
    }
    std::vector<space::Run> before = RunsOf(set);
    PageNumber end = *rc::gen::inRange<PageNumber>(0, 220);
    uint64_t wanted = *rc::gen::inRange<uint64_t>(1, 12);
    bool fit = *rc::gen::arbitrary<bool>();
    std::optional<space::Run> expected;  // the run to take from
    for (const space::Run& run : before) {
      bool fits = fit ? run.pages >= wanted && run.first + wanted <= end : run.first < end;
      bool better = !expected || (fit ? run.pages < expected->pages : run.pages > expected->pages);
      expected = fits && better ? run : expected;
    }
    std::optional<space::Run> taken = fit ? set.TakeBestFitBelow(wanted, end) : set.TakeLongestBelow(wanted, end);
    RC_ASSERT(taken.has_value() == expected.has_value());
    if (taken) {
      RC_ASSERT(*taken == (space::Run{expected->first, std::min(wanted, expected->pages)}));
      RC_ASSERT(set.Add(*taken));
    }
    RC_ASSERT(RunsOf(set) == before);
  }));
}

TEST(RunSetTest, TheSearchBelowABoundGivesUpAfterSoManyLengths) {
  RunSet set;
  PageNumber at = 1000;
  for (uint64_t length = 1; length <= RunSet::kLengthsTried; ++length, at += 1000) {
    ASSERT_TRUE(set.Add({at, length}));
    ASSERT_TRUE(set.Add({at + 500, RunSet::kLengthsTried + 1 + length}));
  }
  ASSERT_TRUE(set.Add({10, RunSet::kLengthsTried + 1}));  // in the middle of the lengths
  EXPECT_FALSE(set.TakeBestFitBelow(1, 500).has_value());
  EXPECT_FALSE(set.TakeLongestBelow(1, 500).has_value());
  EXPECT_EQ(set.TakeBestFitBelow(2, 500), (space::Run{10, 2}));
}

TEST(RunSetTest, HoldsTheLastPages) {
  RunSet set;
  space::Run last{format::kMaxPageNumber - 1, 2};
  ASSERT_TRUE(set.Add(last));
  EXPECT_FALSE(set.Add({format::kMaxPageNumber, 1}));
  ASSERT_TRUE(set.Add({0, 1}));
  EXPECT_EQ(set.Find(format::kMaxPageNumber), last);
  EXPECT_EQ(set.TakeLongest(5), last);
  EXPECT_EQ(set.pages(), 1u);
}

}  // namespace
}  // namespace johnny::space
