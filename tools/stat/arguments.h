// The command line of johnny-stat.
#ifndef JOHNNY_TOOLS_STAT_ARGUMENTS_H_
#define JOHNNY_TOOLS_STAT_ARGUMENTS_H_

#include <cstdint>
#include <optional>
#include <string>

namespace johnny::tools::stat {

struct Arguments {
  std::string path;
  bool tables = false, free = false, readers = false, snapshots = false, map = false, verify = false, json = false;
  uint64_t page = 0;
  std::string key, table, salvage_to, color = "auto";
  double watch = 0;
  bool has_page = false, has_key = false, has_table = false, has_watch = false;
};

// The exit code if the tool is to end now, be it for --help or for an error. Throws ToolError for options that do not go
// together.
std::optional<int> Parse(int argc, char** argv, Arguments* a);

}  // namespace johnny::tools::stat

#endif  // JOHNNY_TOOLS_STAT_ARGUMENTS_H_
