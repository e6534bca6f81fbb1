// The command line of johnny-ledger.
#ifndef JOHNNY_TOOLS_LEDGER_ARGUMENTS_H_
#define JOHNNY_TOOLS_LEDGER_ARGUMENTS_H_

#include <johnny/johnny.h>

#include <cstdint>
#include <optional>
#include <string>

namespace johnny::tools::ledger {

struct Arguments {
  std::string path;
  uint64_t accounts = 100;
  uint32_t threads = 4, auditors = 2;
  double seconds = 5;  // 0: until interrupted
  uint32_t durability = JOHNNY_TWO_PHASE;
};

// The exit code if the tool is to end now, be it for --help or for an error.
std::optional<int> Parse(int argc, char** argv, Arguments* a);

}  // namespace johnny::tools::ledger

#endif  // JOHNNY_TOOLS_LEDGER_ARGUMENTS_H_
