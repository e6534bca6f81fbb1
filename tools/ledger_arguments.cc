#include "ledger_arguments.h"

#include <CLI/CLI.hpp>

#include "common.h"

namespace johnny::tools::ledger {

std::optional<int> Parse(int argc, char** argv, Arguments* a) {
  CLI::App app("Moves 2004 coins between accounts in a JohnnyDB database while auditors sum every account of a snapshot.");
  DescribeTool(&app, "johnny-ledger");
  app.add_option("PATH", a->path, "the database file, created if there is none")->required();
  app.add_option("--accounts", a->accounts, "of a new ledger; an existing one keeps its own")
      ->check(CLI::Range(2, 1000000))
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--threads", a->threads, "movers")->check(CLI::Range(0, 1000))->type_name("N")->capture_default_str();
  app.add_option("--auditors", a->auditors, "auditors")->check(CLI::Range(0, 1000))->type_name("N")->capture_default_str();
  app.add_option("--seconds", a->seconds, "how long; 0: until interrupted")
      ->check(CLI::Range(0.0, 1e9))
      ->type_name("S")
      ->capture_default_str();
  AddDurabilityOption(&app, &a->durability);
  app.footer("Exit codes: 0 every sum was 2004, 2 usage, 3 cannot open or write, 4 corrupt or a wrong sum.");
  return ParseArguments(&app, argc, argv);
}

}  // namespace johnny::tools::ledger
