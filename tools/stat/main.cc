// johnny-stat: shows what is in a JohnnyDB database file, on the C API alone.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "../text.h"
#include "arguments.h"
#include "forms.h"

namespace johnny::tools::stat {

uint64_t Context::PageSize() const { return info.page_size != 0 ? info.page_size : CompleteInfo().page_size; }

const johnny_env_info& Context::CompleteInfo() const {
  if (info_error) throw *info_error;
  return info;
}

const char* KindName(uint32_t kind) {
  static constexpr const char* kNames[] = {"unknown", "master", "branch", "leaf", "extent", "free log", "free", "pending"};
  return kind < std::size(kNames) ? kNames[kind] : kNames[0];
}

std::string TableTitle(const std::string& name) { return name.empty() ? "main" : "\"" + EscapeBytes(name) + "\""; }

Json ErrorAsJson(const ToolError& error) {
  Json json;
  json["code"] = error.error() == JOHNNY_OK ? "" : ErrorName(error.error());
  json["message"] = Printable(error.what());
  return json;
}

namespace {

struct Form {
  const char* name;
  bool wanted;
  int (*show)(const Context&, Json*);
};

Context MakeContext(const Arguments& a, Output* output) {
  Context context;
  context.path = a.path;
  context.output = output;
  context.json = a.json;
  const bool plain_terminal = std::getenv("NO_COLOR") != nullptr;
  context.color = a.color == "always" || (a.color == "auto" && IsTerminal(STDOUT_FILENO) && !plain_terminal);
  context.width = TerminalWidth();
  if (a.has_table) context.table = TableArgument(a.table, "--table");
  context.page = a.page;
  context.salvage_to = a.salvage_to;
  if (a.has_key) context.key = UnescapeArgument(a.key, "--path");
  return context;
}

// Opens the database and asks for the figures that most forms need. A file whose free log alone is damaged is still
// worth looking at, so that failure is kept for the forms that need those figures.
Env OpenForReading(Context* context) {
  johnny_options options;
  johnny_options_init(&options);
  options.struct_size = sizeof(options);
  options.flags = JOHNNY_READ_ONLY;
  Env env = Open(context->path, options);
  context->env = env.get();
  context->info = Sized<johnny_env_info>();
  context->info_error.reset();
  const int error = johnny_env_get_info(env.get(), &context->info);
  if (error != JOHNNY_OK) context->info_error = LastError(error);
  return env;
}

// Runs one form; its errors are reported, not thrown.
int RunForm(const Context& context, const Form& form, Json* document) {
  Json json = Json::object();
  int exit_code = kExitClean;
  try {
    exit_code = form.show(context, &json);
  } catch (const ToolError& error) {
    exit_code = error.exit_code();
    json["error"] = ErrorAsJson(error);
    if (!context.json) {
      context.output->Flush();
      Complain(context.path + ": " + error.what());
    }
  }
  if (context.json) (*document)[form.name] = std::move(json);
  return exit_code;
}

int RunForms(Context* context, const std::vector<Form>& forms, Json* document) {
  const Env env = context->salvage_to.empty() ? OpenForReading(context) : Env();  // that form opens it in its own way
  int exit_code = kExitClean;
  bool first = true;
  for (const Form& form : forms) {
    if (!form.wanted) continue;
    if (!first && !context->json) context->output->Write("\n");
    first = false;
    exit_code = std::max(exit_code, RunForm(*context, form, document));
  }
  return exit_code;
}

// One look at the database.
int Look(Context* context, const std::vector<Form>& forms) {
  Json document;
  document["path"] = context->path;
  int exit_code = kExitClean;
  try {
    exit_code = RunForms(context, forms, &document);
  } catch (const ToolError& error) {
    exit_code = error.exit_code();
    document["error"] = ErrorAsJson(error);
    context->output->Flush();
    if (!context->json) Complain(error.what());
  }
  if (context->json) {
    document["exit_code"] = exit_code;
    context->output->Write(document.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  }
  context->output->Flush();
  return exit_code;
}

int Watch(Context* context, const std::vector<Form>& forms, double seconds) {
  const bool clear = IsTerminal(STDOUT_FILENO) && !context->json;
  int exit_code = kExitClean;
  for (bool first = true; !Interrupted(); first = false) {
    if (clear) {
      context->output->Write("\x1b[H\x1b[2J");
    } else if (!first && !context->json) {
      context->output->Write("\n");
    }
    context->width = TerminalWidth();
    exit_code = Look(context, forms);
    SleepFor(seconds);
  }
  return exit_code;
}

int Main(int argc, char** argv) {
  Arguments a;
  if (const auto code = Parse(argc, argv, &a)) return *code;
  const bool any =
      a.tables || a.free || a.readers || a.snapshots || a.map || a.has_page || a.has_key || a.verify || !a.salvage_to.empty();
  const std::vector<Form> forms = {{"summary", !any, ShowSummary},
                                   {"tables", a.tables, ShowTables},
                                   {"free", a.free, ShowFree},
                                   {"readers", a.readers, ShowReaders},
                                   {"snapshots", a.snapshots, ShowSnapshots},
                                   {"map", a.map, ShowMap},
                                   {"page", a.has_page, ShowPage},
                                   {"path_to_key", a.has_key, ShowPath},
                                   {"verify", a.verify, ShowVerify},
                                   {"salvage", !a.salvage_to.empty(), ShowSalvage}};
  Output output;
  Context context = MakeContext(a, &output);
  if (a.has_watch || a.verify) CatchInterrupts();
  return a.has_watch ? Watch(&context, forms, a.watch) : Look(&context, forms);
}

}  // namespace
}  // namespace johnny::tools::stat

int main(int argc, char** argv) {
  return johnny::tools::RunTool("johnny-stat", [&] { return johnny::tools::stat::Main(argc, argv); });
}
