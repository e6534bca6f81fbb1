// --tables: every table's entries, depth, pages by kind, fill and largest key and value.
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "../text.h"
#include "forms.h"

namespace johnny::tools::stat {
namespace {

constexpr size_t kNameLimit = 40;

struct Row {
  std::string name;  // "" is the main table
  johnny_table_info info{};
  johnny_table_scan_info scan{};
};

std::vector<std::string> TableNames(const Context& context, johnny_txn* txn) {
  if (context.table) return {*context.table};
  std::vector<std::string> names = {""};
  Visitor<const char*> visitor([&](const char* name) {
    names.emplace_back(name);
    return true;
  });
  visitor.Finish(johnny_table_list(txn, visitor.Call, &visitor));
  return names;
}

Row Inspect(johnny_txn* txn, const std::string& name) {
  Row row{name, Sized<johnny_table_info>(), Sized<johnny_table_scan_info>()};
  johnny_table* table = OpenTable(txn, name);
  Check(johnny_table_get_info(txn, table, &row.info));
  Check(johnny_table_scan(txn, table, &row.scan));
  return row;
}

uint64_t Pages(const Row& row) { return row.info.branch_pages + row.info.leaf_pages + row.info.extent_pages; }

void AddText(const Row& row, uint64_t page_size, Columns* columns) {
  columns->AddRow({row.name.empty() ? "(main)" : EscapeBytes(row.name, kNameLimit), WithThousands(row.info.entries),
                   std::to_string(row.info.depth), WithThousands(row.info.branch_pages), WithThousands(row.info.leaf_pages),
                   WithThousands(row.info.extent_pages), HumanBytes(Pages(row) * page_size),
                   Percent(row.scan.leaf_bytes_used, row.info.leaf_pages * page_size), WithThousands(row.info.large_values),
                   WithThousands(row.scan.largest_key), WithThousands(row.scan.largest_value)});
}

Json AsJson(const Row& row, uint64_t page_size) {
  Json j;
  j["name"] = EscapeBytes(row.name);
  j["main"] = row.name.empty();
  j["entries"] = row.info.entries;
  j["depth"] = row.info.depth;
  j["branch_pages"] = row.info.branch_pages;
  j["leaf_pages"] = row.info.leaf_pages;
  j["extent_pages"] = row.info.extent_pages;
  j["bytes"] = Pages(row) * page_size;
  j["large_values"] = row.info.large_values;
  j["leaf_bytes_used"] = row.scan.leaf_bytes_used;
  j["branch_bytes_used"] = row.scan.branch_bytes_used;
  j["smallest_leaf_fill_bytes"] = row.scan.smallest_leaf_fill;
  const double leaf_bytes = static_cast<double>(row.info.leaf_pages * page_size);
  j["leaf_fill_percent"] = leaf_bytes > 0 ? 100.0 * static_cast<double>(row.scan.leaf_bytes_used) / leaf_bytes : 0.0;
  j["key_bytes"] = row.scan.key_bytes;
  j["value_bytes"] = row.scan.value_bytes;
  j["largest_key"] = row.scan.largest_key;
  j["largest_value"] = row.scan.largest_value;
  return j;
}

// A damaged table does not hide the others; the first error is thrown when all have been shown.
class Failures {
 public:
  void Add(const std::string& table, const ToolError& error) {
    ++count_;
    if (!first_) first_ = ToolError(error.exit_code(), TableTitle(table) + ": " + error.what(), error.error());
  }
  void Throw() const {
    if (!first_) return;
    std::string message = first_->what();
    if (count_ > 1) message += Format(" (and %zu more tables)", count_ - 1);
    throw ToolError(first_->exit_code(), message, first_->error());
  }

 private:
  size_t count_ = 0;
  std::optional<ToolError> first_;
};

}  // namespace

int ShowTables(const Context& context, Json* json) {
  const uint64_t page_size = context.PageSize();
  const Txn txn = Begin(context.env, JOHNNY_READ);
  Columns columns("lrrrrrrrrrr");
  columns.AddRow({"table", "entries", "depth", "branch", "leaf", "extent", "size", "leaf fill", "large", "max key", "max value"});
  Json list = Json::array();
  Failures failures;
  for (const std::string& name : TableNames(context, txn.get())) {
    try {
      const Row row = Inspect(txn.get(), name);
      if (context.json) {
        list.push_back(AsJson(row, page_size));
      } else {
        AddText(row, page_size, &columns);
      }
    } catch (const ToolError& error) {
      failures.Add(name, error);
      if (context.json) {
        list.push_back({{"name", EscapeBytes(name)}, {"main", name.empty()}, {"error", ErrorAsJson(error)}});
      } else {
        columns.AddRow({name.empty() ? "(main)" : EscapeBytes(name, kNameLimit), "unreadable"});
      }
    }
  }
  if (context.json) {
    (*json)["snapshot"] = johnny_txn_id(txn.get());
    (*json)["tables"] = list;
  } else {
    context.output->Write("Tables of snapshot " + WithThousands(johnny_txn_id(txn.get())) +
                          " (branch, leaf, extent: pages; large: values in extents; max: bytes)\n" + columns.Render(2));
  }
  failures.Throw();
  return kExitClean;
}

}  // namespace johnny::tools::stat
