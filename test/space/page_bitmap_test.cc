#include "space/page_bitmap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

namespace johnny::space {
namespace {

// The same set as a plain map from a run's first page to its end.
class Model {
 public:
  void Fill(Run run, bool value) {
    if (run.pages == 0) {
      return;
    }
    PageNumber first = run.first, end = run.end();
    for (auto at = runs_.begin(); at != runs_.end();) {
      auto [from, to] = *at;
      bool touches = value ? from <= end && to >= first : from < end && to > first;
      if (!touches) {
        ++at;
        continue;
      }
      at = runs_.erase(at);
      if (value) {
        first = std::min(first, from);
        end = std::max(end, to);
      } else {
        if (from < first) {
          runs_.emplace(from, first);
        }
        if (to > end) {
          runs_.emplace(end, to);
        }
      }
    }
    if (value) {
      runs_.emplace(first, end);
    }
  }
  std::vector<Run> RunsIn(PageNumber start, PageNumber end) const {
    std::vector<Run> runs;
    for (const auto& [from, to] : runs_) {
      if (to > start && from < end) {
        runs.push_back({from, to - from});
      }
    }
    return runs;
  }
  std::vector<Run> RunsFrom(PageNumber start) const { return RunsIn(start, PageBitmap::kNone); }

 private:
  std::map<PageNumber, PageNumber> runs_;
};

std::vector<Run> RunsFrom(const PageBitmap& bits, PageNumber start) {
  std::vector<Run> runs;
  for (auto at = bits.From(start); at; at.Next()) {
    runs.push_back(*at);
  }
  return runs;
}

void ExpectTheSameAt(const PageBitmap& bits, const Model& model, PageNumber page, uint64_t length) {
  const std::vector<Run> behind = model.RunsFrom(page);
  const bool inside = !behind.empty() && behind.front().first <= page;
  EXPECT_EQ(bits.Test(page), inside) << page;
  EXPECT_EQ(bits.NextSet(page), inside ? page : behind.empty() ? PageBitmap::kNone : behind.front().first) << page;
  EXPECT_EQ(bits.NextUnset(page), inside ? behind.front().end() : page) << page;
  EXPECT_EQ(bits.FirstEndingAfter(page), behind.empty() ? std::nullopt : std::optional<Run>(behind.front())) << page;
  if (inside) {
    EXPECT_EQ(bits.RunBegin(page), behind.front().first) << page;
  }
  EXPECT_EQ(RunsFrom(bits, page), behind) << page;
  const std::vector<Run> within = model.RunsIn(page, page + length);
  EXPECT_EQ(bits.CountRuns(page, page + length), within.size()) << page << ", " << length;
  EXPECT_EQ(bits.HasAny({page, length}), !within.empty()) << page << ", " << length;
  EXPECT_EQ(bits.HasAll({page, length}), inside && behind.front().end() >= page + length) << page << ", " << length;
}

// Units of a page, of a word, of a leaf and of slots above it, so that all levels meet runs that begin, end and are whole there.
class PageBitmapTest : public testing::TestWithParam<uint64_t> {};

TEST_P(PageBitmapTest, AgreesWithAListOfRuns) {
  const uint64_t unit = GetParam();
  std::mt19937_64 random(unit);
  auto below = [&random](uint64_t bound) { return random() % bound; };
  auto place = [&] {
    return below(150) * unit + (below(2) == 0 ? 0 : below(3) == 0 ? below(unit) : below(std::min<uint64_t>(unit, 66)));
  };
  auto length = [&] { return below(3) == 0 ? (1 + below(20)) * unit : below(2) == 0 ? 1 + below(3) : 1 + below(2 * unit); };
  for (int round = 0; round < 20; ++round) {
    PageBitmap bits;
    Model model;
    for (int i = 0; i < 60 && !HasFailure(); ++i) {
      const space::Run run = {place(), length()};
      const bool value = below(5) < 3;
      value ? bits.Set(run) : bits.Reset(run);
      model.Fill(run, value);
      ASSERT_EQ(RunsFrom(bits, 0), model.RunsFrom(0)) << (value ? "set " : "reset ") << run.first << ", " << run.pages;
      const std::vector<space::Run> all = model.RunsFrom(0);
      ASSERT_EQ(bits.LastSet(), all.empty() ? PageBitmap::kNone : all.back().end() - 1);
      for (PageNumber page : {run.first, run.end(), run.first + run.pages / 2, place()}) {
        ExpectTheSameAt(bits, model, page, length());
        ExpectTheSameAt(bits, model, page - std::min<PageNumber>(page, 1), length());
      }
    }
    PageBitmap moved = std::move(bits);
    ASSERT_EQ(RunsFrom(moved, 0), model.RunsFrom(0));
    moved.Clear();
    ASSERT_EQ(moved.NextSet(0), PageBitmap::kNone);
    ASSERT_EQ(moved.NextUnset(7), 7u);
  }
}

INSTANTIATE_TEST_SUITE_P(Units, PageBitmapTest,
                         testing::Values(1, 7, 64, 1000, 4096, uint64_t{1} << 18, (uint64_t{1} << 24) + 5, uint64_t{1} << 36));

// A set of most of what a page number can say takes no more memory than its edges.
TEST(PageBitmapTest, LongRunsAreCheap) {
  PageBitmap bits;
  const space::Run all = {1, format::kMaxPageNumber};
  bits.Set(all);
  EXPECT_EQ(bits.FirstEndingAfter(12345), all);
  bits.Reset({uint64_t{1} << 40, 1});
  EXPECT_EQ(bits.NextUnset(1), uint64_t{1} << 40);
  EXPECT_EQ(bits.CountRuns(0, PageBitmap::kNone), 2u);
}

}  // namespace
}  // namespace johnny::space
