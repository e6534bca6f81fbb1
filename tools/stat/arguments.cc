#include "arguments.h"

#include <CLI/CLI.hpp>

#include "../common.h"

namespace johnny::tools::stat {

std::optional<int> Parse(int argc, char** argv, Arguments* a) {
  CLI::App app("Shows the state, the contents and the soundness of a JohnnyDB database. Without a form, a summary.");
  DescribeTool(&app, "johnny-stat");
  app.add_option("PATH", a->path, "the database file")->required();
  const char* forms = "Forms (several may be given)";
  app.add_flag("--tables", a->tables, "entries, depth, pages, fill and largest entries of each table")->group(forms);
  app.add_flag("--free", a->free, "free space: runs by length, what waits for which snapshot")->group(forms);
  app.add_flag("--readers", a->readers, "live readers: owner, snapshot, age, lag, bytes held back")->group(forms);
  app.add_flag("--snapshots", a->snapshots, "named snapshots: age, entries, tables, bytes held back")->group(forms);
  app.add_flag("--map", a->map, "a picture of the file's pages")->group(forms);
  CLI::Option* page = app.add_option("--page", a->page, "one page, decoded and in hex")
                          ->check(CLI::Range(uint64_t{0}, uint64_t{1} << 48))
                          ->type_name("N")
                          ->group(forms);
  CLI::Option* key = app.add_option("--path", a->key, "the pages from the root to KEY; \\hh is a byte in hex, \\\\ a backslash")
                         ->type_name("KEY")
                         ->group(forms);
  app.add_flag("--verify", a->verify, "check every page; one line per finding")->group(forms);
  CLI::Option* salvage =
      app.add_option("--salvage", a->salvage_to, "write what is readable of a damaged database to a new one, OUT; stands alone")
          ->type_name("OUT")
          ->group(forms);
  CLI::Option* table =
      app.add_option("--table", a->table, "the table for --path and --tables (default: main; all)")->type_name("NAME");
  app.add_flag("--json", a->json, "JSON instead of text, one object a line");
  app.add_option("--color", a->color, "colours in --map: auto, always or never")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->type_name("WHEN");
  CLI::Option* watch = app.add_option("--watch", a->watch, "show it again every SECONDS until interrupted")
                           ->check(CLI::Range(0.01, 1e6))
                           ->type_name("SECONDS");
  app.footer("Exit codes: 0 clean, 1 warning, 2 usage, 3 cannot open, 4 corrupt.");
  if (const auto code = ParseArguments(&app, argc, argv)) return code;
  a->has_page = page->count() > 0;
  a->has_key = key->count() > 0;
  a->has_table = table->count() > 0;
  a->has_watch = watch->count() > 0;
  const bool other = a->tables || a->free || a->readers || a->snapshots || a->map || a->verify || a->has_page || a->has_key;
  if (salvage->count() > 0 && (other || a->has_watch)) throw ToolError(kExitUsage, "--salvage stands alone");
  if (salvage->count() > 0 && a->salvage_to.empty()) throw ToolError(kExitUsage, "--salvage needs the name of a new file");
  if (a->has_table && !a->has_key && !a->tables) throw ToolError(kExitUsage, "--table goes with --path or --tables");
  return std::nullopt;
}

}  // namespace johnny::tools::stat
