// The forms of johnny-stat: each gathers figures through the C API and shows them as text or as JSON.
//
// A form writes text to context.output, or fills *json when context.json is set, never both. It returns the exit code it
// asks for and throws ToolError when it cannot go on; what it has shown until then stays shown.
#ifndef JOHNNY_TOOLS_STAT_FORMS_H_
#define JOHNNY_TOOLS_STAT_FORMS_H_

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "../common.h"

namespace johnny::tools::stat {

using Json = nlohmann::ordered_json;

struct Context {
  std::string path;
  johnny_env* env = nullptr;
  johnny_env_info info{};               // as far as the library could fill it
  std::optional<ToolError> info_error;  // why it is not complete
  Output* output = nullptr;
  bool json = false;
  bool color = false;
  size_t width = 80;
  std::optional<std::string> table;  // --table; nullopt: not given
  uint64_t page = 0;                 // --page
  std::string key;                   // --path
  std::string salvage_to;            // --salvage

  // The page size, for forms that need nothing else of `info`; throws if not even that is known.
  uint64_t PageSize() const;
  // Throws if `info` is not complete.
  const johnny_env_info& CompleteInfo() const;
};

int ShowSummary(const Context& context, Json* json);
int ShowTables(const Context& context, Json* json);
int ShowFree(const Context& context, Json* json);
int ShowReaders(const Context& context, Json* json);
int ShowSnapshots(const Context& context, Json* json);
int ShowMap(const Context& context, Json* json);
int ShowPage(const Context& context, Json* json);
int ShowPath(const Context& context, Json* json);
int ShowVerify(const Context& context, Json* json);
int ShowSalvage(const Context& context, Json* json);  // context.env is null

// "leaf", "free log", ...; "unknown" for a kind that this tool does not know.
const char* KindName(uint32_t kind);

// How people are told about a table: "main" or its escaped name in quotes.
std::string TableTitle(const std::string& name);

// {"code": "JOHNNY_CORRUPT", "message": "..."}
Json ErrorAsJson(const ToolError& error);

}  // namespace johnny::tools::stat

#endif  // JOHNNY_TOOLS_STAT_FORMS_H_
