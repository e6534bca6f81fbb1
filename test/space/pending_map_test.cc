#include "space/pending_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace johnny::space {
namespace {

bool Same(const PendingRun& a, const PendingRun& b) { return a.run == b.run && a.birth == b.birth && a.death == b.death; }

// Pages of several blocks of 256, and runs that reach from one to the next or over several.
TEST(PendingMapTest, AgreesWithASortedList) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 30; ++round) {
    PendingMap map;
    std::vector<PendingRun> model;
    const uint64_t pages = round % 2 == 0 ? 600 : 3000;
    for (TxnId txn = 2; txn < 400; ++txn) {
      if (random() % 3 < 2) {
        const PendingRun run = {{random() % pages, 1 + random() % (random() % 8 == 0 ? 700 : 4)}, 1, txn};
        auto overlaps = [&run](const PendingRun& other) {
          return other.run.first < run.run.end() && run.run.first < other.run.end();
        };
        const bool fits = std::none_of(model.begin(), model.end(), overlaps);
        ASSERT_EQ(map.HasAny(run.run), !fits);
        ASSERT_EQ(map.Add(run), fits);
        if (fits) {
          model.push_back(run);
          std::sort(model.begin(), model.end(), [](const auto& a, const auto& b) { return a.run.first < b.run.first; });
        }
      } else if (!model.empty()) {
        const size_t at = random() % model.size();
        map.Remove(model[at].run.first);
        model.erase(model.begin() + static_cast<ptrdiff_t>(at));
      }
      const PageNumber start = random() % pages, end = start + random() % pages;
      auto expected = std::find_if(model.begin(), model.end(), [start](const auto& run) { return run.run.end() > start; });
      for (auto at = map.From(start); at; at.Next(), ++expected) {
        ASSERT_NE(expected, model.end()) << start;
        ASSERT_TRUE(Same(*at, *expected)) << start;
      }
      ASSERT_EQ(expected, model.end()) << start;
      auto begins_within = [&](const PendingRun& run) { return run.run.first >= start && run.run.first < end; };
      ASSERT_EQ(map.CountIn(start, end), static_cast<uint64_t>(std::count_if(model.begin(), model.end(), begins_within)));
    }
  }
}

}  // namespace
}  // namespace johnny::space
