// --free: runs by length, what is reusable now and what waits for which snapshot.
#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "../text.h"
#include "forms.h"

namespace johnny::tools::stat {
namespace {

constexpr size_t kBarWidth = 30;

struct Sum {
  uint64_t runs = 0;
  uint64_t pages = 0;
  uint64_t longest = 0;

  void Add(uint64_t run_pages) {
    ++runs;
    pages += run_pages;
    longest = std::max(longest, run_pages);
  }
};

struct FreeSpace {
  Sum free, pending;
  std::array<Sum, 64> by_length;       // reusable runs of 2^i to 2^(i+1) - 1 pages
  std::map<uint64_t, Sum> by_waiting;  // pending runs by the newest snapshot that can still see them
};

size_t LengthClass(uint64_t pages) {
  size_t index = 0;
  while (pages > 1) {
    pages /= 2;
    ++index;
  }
  return index;
}

FreeSpace Gather(johnny_env* env) {
  FreeSpace space;
  Visitor<const johnny_free_run*> visitor([&](const johnny_free_run* run) {
    if (run->death == 0) {
      space.free.Add(run->pages);
      space.by_length[LengthClass(run->pages)].Add(run->pages);
    } else {
      space.pending.Add(run->pages);
      space.by_waiting[run->waits_for].Add(run->pages);
    }
    return true;
  });
  visitor.Finish(johnny_free_run_list(env, visitor.Call, &visitor));
  return space;
}

std::string LengthRange(size_t index) {
  const uint64_t least = uint64_t{1} << index;
  return index == 0 ? "1" : WithThousands(least) + "-" + WithThousands(2 * least - 1);
}

std::string SumAsText(const char* title, const Sum& sum, uint64_t page_size) {
  std::string text = std::string(title) + Counted(sum.pages, "page") + ", " + HumanBytes(sum.pages * page_size);
  if (sum.runs > 0) text += ", in " + Counted(sum.runs, "run") + ", the longest " + Counted(sum.longest, "page");
  return text + "\n";
}

void Print(const Context& context, const FreeSpace& space) {
  const uint64_t page_size = context.PageSize();
  Output& output = *context.output;
  output.Write(SumAsText("Reusable now: ", space.free, page_size));
  if (space.free.runs > 0) {
    uint64_t most = 1;
    for (const Sum& sum : space.by_length) most = std::max(most, sum.pages);
    Columns columns("rrrrl");
    columns.AddRow({"run length", "runs", "pages", "size", "share of pages"});
    for (size_t i = 0; i < space.by_length.size(); ++i) {
      const Sum& sum = space.by_length[i];
      if (sum.runs == 0) continue;
      const double share = static_cast<double>(sum.pages) / static_cast<double>(most);
      const auto bar = std::max<size_t>(1, static_cast<size_t>(share * static_cast<double>(kBarWidth)));
      columns.AddRow({LengthRange(i), WithThousands(sum.runs), WithThousands(sum.pages), HumanBytes(sum.pages * page_size),
                      std::string(bar, '#')});
    }
    output.Write(columns.Render(2));
  }
  output.Write(SumAsText("Pending: ", space.pending, page_size));
  if (space.pending.runs == 0) return;
  Columns columns("rrrr");
  columns.AddRow({"waits for snapshot", "runs", "pages", "size"});
  for (const auto& [snapshot, sum] : space.by_waiting) {
    columns.AddRow(
        {WithThousands(snapshot), WithThousands(sum.runs), WithThousands(sum.pages), HumanBytes(sum.pages * page_size)});
  }
  output.Write(columns.Render(2));
}

Json SumAsJson(const Sum& sum, uint64_t page_size) {
  return {{"runs", sum.runs}, {"pages", sum.pages}, {"bytes", sum.pages * page_size}, {"longest_run", sum.longest}};
}

void FillJson(const FreeSpace& space, uint64_t page_size, Json* json) {
  Json reusable = SumAsJson(space.free, page_size);
  reusable["by_run_length"] = Json::array();
  for (size_t i = 0; i < space.by_length.size(); ++i) {
    const Sum& sum = space.by_length[i];
    if (sum.runs == 0) continue;
    const uint64_t least = uint64_t{1} << i;
    reusable["by_run_length"].push_back({{"least", least}, {"most", 2 * least - 1}, {"runs", sum.runs}, {"pages", sum.pages}});
  }
  Json pending = SumAsJson(space.pending, page_size);
  pending["by_snapshot"] = Json::array();
  for (const auto& [snapshot, sum] : space.by_waiting) {
    pending["by_snapshot"].push_back({{"snapshot", snapshot}, {"runs", sum.runs}, {"pages", sum.pages}});
  }
  (*json)["reusable"] = reusable;
  (*json)["pending"] = pending;
}

}  // namespace

int ShowFree(const Context& context, Json* json) {
  const FreeSpace space = Gather(context.env);
  if (context.json) {
    FillJson(space, context.PageSize(), json);
  } else {
    Print(context, space);
  }
  return kExitClean;
}

}  // namespace johnny::tools::stat
