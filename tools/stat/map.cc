// --map: a picture of the file, one cell for a group of pages.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "../text.h"
#include "forms.h"

namespace johnny::tools::stat {
namespace {

constexpr uint64_t kMasterBytes = 65536;
constexpr size_t kMostRows = 16;
constexpr size_t kKinds = 8;

// How a kind is drawn: the letter of a cell with nothing else in it, that of a cell where it only leads, and its colour
// (an ANSI background). The order is that of enum johnny_page_kind.
struct Look {
  char pure;
  char mixed;
  int color;
};
constexpr std::array<Look, kKinds> kLooks = {{{'?', '?', 41},
                                              {'M', 'm', 45},
                                              {'B', 'b', 46},
                                              {'L', 'l', 42},
                                              {'E', 'e', 44},
                                              {'F', 'f', 43},
                                              {'.', ',', 0},
                                              {'~', '-', 47}}};

// Pages per kind in each cell, without memory per page.
class FileMap {
 public:
  FileMap(uint64_t pages, size_t most_cells) : pages_(pages), per_cell_((pages + most_cells - 1) / most_cells) {
    per_cell_ = std::max<uint64_t>(per_cell_, 1);
    cells_.resize(static_cast<size_t>((pages + per_cell_ - 1) / per_cell_));
  }

  void Add(uint64_t first, uint64_t count, uint32_t kind) {
    if (kind >= kKinds) kind = JOHNNY_PAGE_UNKNOWN;
    if (first >= pages_) return;
    const uint64_t end = first + std::min(count, pages_ - first);
    totals_[kind] += end - first;
    while (first < end) {
      const uint64_t cell = first / per_cell_;
      const uint64_t next = std::min(end, (cell + 1) * per_cell_);
      cells_[static_cast<size_t>(cell)][kind] += next - first;
      first = next;
    }
  }

  // What nobody claimed is unknown.
  void Complete() {
    uint64_t known = 0;
    for (const uint64_t total : totals_) known += total;
    if (known < pages_) totals_[JOHNNY_PAGE_UNKNOWN] += pages_ - known;
    for (size_t i = 0; i < cells_.size(); ++i) {
      uint64_t sum = 0;
      for (const uint64_t count : cells_[i]) sum += count;
      const uint64_t size = std::min(per_cell_, pages_ - i * per_cell_);
      if (sum < size) cells_[i][JOHNNY_PAGE_UNKNOWN] += size - sum;
    }
  }

  size_t size() const { return cells_.size(); }
  uint64_t pages() const { return pages_; }
  uint64_t per_cell() const { return per_cell_; }
  uint64_t total(size_t kind) const { return totals_[kind]; }

  // The kind that most pages of the cell have, and whether all have it.
  std::pair<size_t, bool> Leader(size_t cell) const {
    const auto& counts = cells_[cell];
    const auto most = std::max_element(counts.begin(), counts.end());
    const auto present = std::count_if(counts.begin(), counts.end(), [](uint64_t count) { return count > 0; });
    return {static_cast<size_t>(most - counts.begin()), present == 1};
  }

  char Letter(size_t cell) const {
    const auto [kind, pure] = Leader(cell);
    return pure ? kLooks[kind].pure : kLooks[kind].mixed;
  }

 private:
  uint64_t pages_;
  uint64_t per_cell_;
  std::vector<std::array<uint64_t, kKinds>> cells_;
  std::array<uint64_t, kKinds> totals_{};
};

// Fills the map as far as the file can be read; the error that ended it, if one did.
std::optional<ToolError> Fill(const Context& context, johnny_txn* txn, FileMap* map) {
  map->Add(0, kMasterBytes / context.PageSize(), JOHNNY_PAGE_MASTER);
  try {
    Visitor<const johnny_page_run*> used([&](const johnny_page_run* run) {
      map->Add(run->first_page, run->pages, run->kind);
      return !Interrupted();
    });
    used.Finish(johnny_page_list(txn, used.Call, &used));
    Visitor<const johnny_free_run*> unused([&](const johnny_free_run* run) {
      map->Add(run->first_page, run->pages, run->death == 0 ? JOHNNY_PAGE_FREE : JOHNNY_PAGE_PENDING);
      return true;
    });
    unused.Finish(johnny_free_run_list(context.env, unused.Call, &unused));
  } catch (const ToolError& error) {
    return error;
  }
  return std::nullopt;
}

std::string Cell(const FileMap& map, size_t cell, bool color) {
  const std::string letter(1, map.Letter(cell));
  const int background = kLooks[map.Leader(cell).first].color;
  if (!color || background == 0) return letter;
  return Format("\x1b[30;%dm", background) + letter + "\x1b[0m";
}

void Print(const Context& context, const FileMap& map, size_t columns, size_t margin) {
  Output& output = *context.output;
  output.Write(Counted(map.pages(), "page") + ", " + Counted(map.per_cell(), "page") + " (" +
               HumanBytes(map.per_cell() * context.PageSize()) + ") a cell\n");
  for (size_t row = 0; row < map.size(); row += columns) {
    const std::string number = std::to_string(row * map.per_cell());
    output.Write(std::string(margin - 1 - std::min(margin - 1, number.size()), ' ') + number + " ");
    for (size_t cell = row; cell < std::min(map.size(), row + columns); ++cell) output.Write(Cell(map, cell, context.color));
    output.Write("\n");
  }
  Columns legend("lrrl");
  for (size_t kind = 0; kind < kKinds; ++kind) {
    if (map.total(kind) == 0) continue;
    const std::string letters = kLooks[kind].pure == kLooks[kind].mixed
                                    ? std::string(1, kLooks[kind].pure)
                                    : std::string(1, kLooks[kind].pure) + " " + std::string(1, kLooks[kind].mixed);
    legend.AddRow(
        {letters, WithThousands(map.total(kind)), Percent(map.total(kind), map.pages()), KindName(static_cast<uint32_t>(kind))});
  }
  output.Write(legend.Render(2) + "  (the second sign: a cell with other pages too)\n");
}

void FillJson(const FileMap& map, Json* json) {
  std::string cells;
  for (size_t i = 0; i < map.size(); ++i) cells += map.Letter(i);
  Json legend, totals;
  for (size_t kind = 0; kind < kKinds; ++kind) {
    const char* name = KindName(static_cast<uint32_t>(kind));
    legend[name] = {{"pure", std::string(1, kLooks[kind].pure)}, {"mixed", std::string(1, kLooks[kind].mixed)}};
    totals[name] = map.total(kind);
  }
  (*json)["pages"] = map.pages();
  (*json)["pages_per_cell"] = map.per_cell();
  (*json)["cells"] = cells;
  (*json)["legend"] = legend;
  (*json)["pages_by_kind"] = totals;
}

}  // namespace

int ShowMap(const Context& context, Json* json) {
  context.PageSize();
  const uint64_t pages = context.info.page_count;
  const size_t margin = std::to_string(pages).size() + 3;
  const size_t columns = std::max<size_t>(16, context.width - std::min(context.width, margin + 1));
  const Txn txn = Begin(context.env, JOHNNY_READ);
  FileMap map(pages, columns * kMostRows);
  const std::optional<ToolError> error = Fill(context, txn.get(), &map);
  map.Complete();
  if (context.json) {
    FillJson(map, json);
  } else {
    Print(context, map, columns, margin);
  }
  if (error) throw *error;
  return kExitClean;
}

}  // namespace johnny::tools::stat
