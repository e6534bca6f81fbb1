// --readers: who reads which snapshot, since when, and what that costs.
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "../text.h"
#include "forms.h"

namespace johnny::tools::stat {

int ShowReaders(const Context& context, Json* json) {
  std::vector<johnny_reader_info> readers;
  Visitor<const johnny_reader_info*> visitor([&](const johnny_reader_info* reader) {
    readers.push_back(*reader);
    return true;
  });
  visitor.Finish(johnny_reader_list(context.env, visitor.Call, &visitor));
  const uint64_t page_size = context.PageSize();
  if (context.json) {
    Json list = Json::array();
    for (const johnny_reader_info& reader : readers) {
      list.push_back({{"process", reader.process_id},
                      {"thread", reader.thread_id},
                      {"snapshot", reader.snapshot},
                      {"lag", reader.lag},
                      {"age_ms", reader.age_ms},
                      {"label", reader.label},
                      {"asked_to_go", reader.asked_to_go != 0},
                      {"pages_held_back", reader.pages_held_back},
                      {"bytes_held_back", reader.pages_held_back * page_size}});
    }
    (*json)["readers"] = list;
    return kExitClean;
  }
  context.output->Write(Counted(readers.size(), "live reader") + "\n");
  if (readers.empty()) return kExitClean;
  Columns columns("rrrrrrl");
  columns.AddRow({"process", "thread", "snapshot", "lag", "age", "held back", "label"});
  for (const johnny_reader_info& reader : readers) {
    columns.AddRow({std::to_string(reader.process_id), std::to_string(reader.thread_id), WithThousands(reader.snapshot),
                    WithThousands(reader.lag), HumanSeconds(static_cast<double>(reader.age_ms) / 1000),
                    HumanBytes(reader.pages_held_back * page_size),
                    reader.asked_to_go != 0 ? std::string(reader.label) + " (asked to go)" : reader.label});
  }
  context.output->Write(columns.Render(2));
  return kExitClean;
}

}  // namespace johnny::tools::stat
