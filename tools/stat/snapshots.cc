// --snapshots: the named snapshots, how old they are, and what they cost.
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "../text.h"
#include "forms.h"

namespace johnny::tools::stat {
namespace {

constexpr size_t kNameLimit = 40;

struct Row {
  std::string name;
  johnny_snapshot_info info{};  // its own name is not valid any more
};

std::vector<Row> NamedSnapshots(const Context& context) {
  std::vector<Row> rows;
  Visitor<const johnny_snapshot_info*> visitor([&](const johnny_snapshot_info* info) {
    rows.push_back({info->name, *info});
    return true;
  });
  const Txn txn = Begin(context.env, JOHNNY_READ);
  visitor.Finish(johnny_snapshot_list(txn.get(), visitor.Call, &visitor));
  return rows;
}

}  // namespace

int ShowSnapshots(const Context& context, Json* json) {
  const std::vector<Row> rows = NamedSnapshots(context);
  const uint64_t page_size = context.PageSize();
  if (context.json) {
    Json list = Json::array();
    for (const Row& row : rows) {
      list.push_back({{"name", EscapeBytes(row.name)},
                      {"snapshot", row.info.id},
                      {"lag", row.info.lag},
                      {"entries", row.info.entries},
                      {"tables", row.info.tables},
                      {"page_count", row.info.page_count},
                      {"pages_held_back", row.info.pages_held_back},
                      {"bytes_held_back", row.info.pages_held_back * page_size}});
    }
    (*json)["snapshots"] = list;
    return kExitClean;
  }
  context.output->Write(Counted(rows.size(), "named snapshot") + "\n");
  if (rows.empty()) return kExitClean;
  Columns columns("lrrrrr");
  columns.AddRow({"name", "snapshot", "lag", "entries", "tables", "held back"});
  for (const Row& row : rows) {
    columns.AddRow({EscapeBytes(row.name, kNameLimit), WithThousands(row.info.id), WithThousands(row.info.lag),
                    WithThousands(row.info.entries), WithThousands(row.info.tables),
                    HumanBytes(row.info.pages_held_back * page_size)});
  }
  context.output->Write(columns.Render(2));
  return kExitClean;
}

}  // namespace johnny::tools::stat
