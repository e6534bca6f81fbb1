// --salvage: what can be read of a damaged database, written to a new one; one line per loss.
#include <exception>
#include <nlohmann/json.hpp>
#include <string>

#include "../text.h"
#include "forms.h"

namespace johnny::tools::stat {
namespace {

struct Salvaging {
  const Context* context;
  Json losses = Json::array();
  std::exception_ptr thrown;
};

std::string KeyOf(const johnny_slice& key) { return EscapeBytes(std::string_view(static_cast<const char*>(key.data), key.size)); }

std::string RangeText(const johnny_loss& loss) {
  const bool from = loss.from.data != nullptr, to = loss.to.data != nullptr;
  if (!from && !to) return "all keys";
  if (!from) return "keys before \"" + KeyOf(loss.to) + "\"";
  return "keys from \"" + KeyOf(loss.from) + "\"" + (to ? " to before \"" + KeyOf(loss.to) + "\"" : " on");
}

Json KeyAsJson(const johnny_slice& key) { return key.data == nullptr ? Json(nullptr) : Json(KeyOf(key)); }

void Report(Salvaging* salvaging, const johnny_loss& loss) {
  const std::string message = Printable(loss.message);
  if (salvaging->context->json) {
    Json j;
    j["page"] = loss.page;
    j["table"] = loss.table != nullptr ? Json(EscapeBytes(loss.table)) : Json(nullptr);
    j["from"] = KeyAsJson(loss.from);
    j["to"] = KeyAsJson(loss.to);
    j["entries"] = loss.entries;
    j["message"] = message;
    salvaging->losses.push_back(j);
    return;
  }
  std::string line;
  if (loss.page != 0) line += "page " + std::to_string(loss.page) + ": ";
  line += message;
  if (loss.table != nullptr) {
    line += "; table " + TableTitle(loss.table) + ", " + RangeText(loss) + ": " +
            (loss.entries == 0 ? "nothing lost" : "at most " + Counted(loss.entries, "entry", "entries") + " lost");
  }
  salvaging->context->output->Write(line + "\n");
}

int OnLoss(void* context, const johnny_loss* loss) noexcept {
  auto* salvaging = static_cast<Salvaging*>(context);
  try {
    Report(salvaging, *loss);
    return 0;
  } catch (...) {
    salvaging->thrown = std::current_exception();
    return 1;
  }
}

}  // namespace

int ShowSalvage(const Context& context, Json* json) {
  Salvaging salvaging;
  salvaging.context = &context;
  auto result = Sized<johnny_salvage_result>();
  const int error = johnny_salvage(context.path.c_str(), context.salvage_to.c_str(), nullptr, OnLoss, &salvaging, &result);
  if (salvaging.thrown) std::rethrow_exception(salvaging.thrown);
  if (error != JOHNNY_OK && (error != JOHNNY_CORRUPT || result.losses == 0)) throw LastError(error);
  if (context.json) {
    (*json)["out"] = context.salvage_to;
    (*json)["transaction"] = result.txn_id;
    (*json)["entries"] = result.entries;
    (*json)["tables"] = result.tables;
    (*json)["losses"] = result.losses;
    (*json)["entries_lost"] = result.entries_lost;
    (*json)["loss_list"] = salvaging.losses;
  } else {
    context.output->Write("Wrote " + Counted(result.entries, "entry", "entries") + " in the main table and " +
                          Counted(result.tables, "named table") + ", as of transaction " + WithThousands(result.txn_id) +
                          ", to " + context.salvage_to + ": " +
                          (result.losses == 0 ? "nothing is lost"
                                              : Counted(result.losses, "loss", "losses") + ", at most " +
                                                    Counted(result.entries_lost, "entry", "entries")) +
                          "\n");
  }
  return result.losses == 0 ? kExitClean : kExitCorrupt;
}

}  // namespace johnny::tools::stat
