// --path KEY: the pages from the root to a key.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "../text.h"
#include "forms.h"

namespace johnny::tools::stat {
namespace {

void PrintSteps(const Context& context, const std::vector<johnny_path_step>& steps) {
  Columns columns("rrrrl");
  columns.AddRow({"level", "page", "birth", "entries", "taken"});
  for (const johnny_path_step& step : steps) {
    const std::string index = WithThousands(step.index);
    columns.AddRow({std::to_string(step.level), std::to_string(step.page), WithThousands(step.birth), WithThousands(step.count),
                    step.level > 0 ? "child " + index : (step.found ? "entry " : "would be entry ") + index});
  }
  context.output->Write(columns.Render(2));
}

Json StepsAsJson(const std::vector<johnny_path_step>& steps) {
  Json list = Json::array();
  for (const johnny_path_step& step : steps) {
    list.push_back({{"level", step.level},
                    {"page", step.page},
                    {"birth", step.birth},
                    {"count", step.count},
                    {"index", step.index},
                    {"found", step.found != 0}});
  }
  return list;
}

}  // namespace

int ShowPath(const Context& context, Json* json) {
  const Txn txn = Begin(context.env, JOHNNY_READ);
  const std::string name = context.table.value_or("");
  johnny_table* table = OpenTable(txn.get(), name);
  std::vector<johnny_path_step> steps;
  Visitor<const johnny_path_step*> visitor([&](const johnny_path_step* step) {
    steps.push_back(*step);
    return true;
  });
  visitor.Finish(johnny_path(txn.get(), table, context.key.data(), context.key.size(), visitor.Call, &visitor));
  const std::string title = "Key \"" + EscapeBytes(context.key) + "\" in table " + TableTitle(name);
  if (!context.json) {
    context.output->Write(title + (steps.empty() ? ", which is empty" : "") + "\n");
    if (!steps.empty()) PrintSteps(context, steps);
  } else {
    (*json)["key"] = EscapeBytes(context.key);
    (*json)["table"] = EscapeBytes(name);
    (*json)["steps"] = StepsAsJson(steps);
  }
  johnny_slice value{};
  const int error = johnny_get(txn.get(), table, context.key.data(), context.key.size(), &value);
  if (error != JOHNNY_OK && error != JOHNNY_NOT_FOUND) throw LastError(error);
  const bool found = error == JOHNNY_OK;
  if (context.json) {
    (*json)["found"] = found;
    if (found) (*json)["value_size"] = value.size;
  } else if (found) {
    const size_t room = std::max<size_t>(20, context.width - std::min<size_t>(context.width, 30));
    context.output->Write("  value of " + Counted(value.size, "byte") + ": " + EscapeBytes(View(value), room) + "\n");
  } else {
    context.output->Write("  there is no such key\n");
  }
  return found ? kExitClean : kExitWarning;
}

}  // namespace johnny::tools::stat
