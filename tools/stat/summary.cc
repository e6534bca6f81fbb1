// The default form: what there is to know in five seconds.
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "../text.h"
#include "forms.h"

namespace johnny::tools::stat {
namespace {

// 90 % of the reader slots, 95 % of the size limit.
constexpr uint64_t kReadersWarning = 90;
constexpr uint64_t kSizeWarning = 95;
constexpr size_t kBarWidth = 40;

bool NearLimit(uint64_t value, uint64_t limit, uint64_t percent) {
  return limit > 0 && static_cast<double>(value) * 100 >= static_cast<double>(limit) * static_cast<double>(percent);
}

// The state in words, and what deserves a warning.
struct State {
  std::string words;
  std::vector<std::string> warnings;
};

State Judge(const johnny_env_info& info) {
  State state;
  if (info.processes > 1) {
    state.words = "open in " + Counted(info.processes - 1, "other process", "other processes");
  } else if (info.clean) {
    state.words = "closed cleanly";
  } else {
    state.words = "not closed cleanly";
    state.warnings.emplace_back("the file was not closed cleanly: its last user ended early");
  }
  if (info.discarded_txn_id != 0) {
    state.words += ", an incomplete commit was discarded";
    state.warnings.push_back("recovery discarded the incomplete commit " + WithThousands(info.discarded_txn_id));
  }
  if (info.writes_refused) {
    state.words += ", writes are refused";
    state.warnings.emplace_back("writes are refused after a failed sync: reopen the database");
  }
  if (info.durable_txn_id < info.last_txn_id) {
    state.words += ", newest commits not yet durable";
  } else {
    state.words += ", every commit durable";
  }
  if (NearLimit(info.readers, info.max_readers, kReadersWarning)) {
    state.warnings.push_back("nearly every reader slot is taken: " + WithThousands(info.readers) + " of " +
                             WithThousands(info.max_readers));
  }
  if (NearLimit(info.file_size, info.size_limit, kSizeWarning)) {
    state.warnings.push_back("the file is close to its size limit of " + HumanBytes(info.size_limit));
  }
  return state;
}

uint64_t MainEntries(johnny_env* env) {
  const Txn txn = Begin(env, JOHNNY_READ);
  auto info = Sized<johnny_table_info>();
  Check(johnny_table_get_info(txn.get(), nullptr, &info));
  return info.entries;
}

void FillJson(const johnny_env_info& info, uint64_t entries, const State& state, bool complete, Json* json) {
  Json& j = *json;
  j["state"] = state.words;
  j["clean"] = info.clean != 0;
  j["processes"] = info.processes;
  j["writes_refused"] = info.writes_refused != 0;
  j["discarded_transaction"] = info.discarded_txn_id;
  j["newest_transaction"] = info.last_txn_id;
  j["durable_transaction"] = info.durable_txn_id;
  j["durability"] = DurabilityName(info.durability);
  j["file_bytes"] = info.file_size;
  j["page_size"] = info.page_size;
  j["pages"] = info.page_count;
  if (complete) {
    j["used_pages"] = info.used_pages;
    j["free_pages"] = info.free_pages;
    j["pending_pages"] = info.pending_pages;
    j["used_bytes"] = info.used_pages * info.page_size;
    j["free_bytes"] = info.free_pages * info.page_size;
    j["pending_bytes"] = info.pending_pages * info.page_size;
  }
  j["size_limit_bytes"] = info.size_limit;
  j["main_entries"] = entries;
  j["tables"] = info.tables;
  j["readers"] = info.readers;
  j["max_readers"] = info.max_readers;
  j["oldest_reader_snapshot"] = info.oldest_reader_id;
  j["max_key_bytes"] = info.max_key_size;
  j["max_value_bytes"] = info.max_value_size;
  j["format_version"] = info.format_version;
  j["database_id"] = Format("%016llx", static_cast<unsigned long long>(info.database_id));
  j["warnings"] = state.warnings;
}

std::string Bar(const johnny_env_info& info) {
  if (info.page_count == 0) return "";
  const auto cells = [&](uint64_t pages) {
    const double share = static_cast<double>(pages) / static_cast<double>(info.page_count);
    return static_cast<size_t>(share * static_cast<double>(kBarWidth) + 0.5);
  };
  std::string bar = std::string(cells(info.used_pages), '#') + std::string(cells(info.pending_pages), '~');
  bar.resize(kBarWidth, '.');
  return "[" + bar + "]";
}

// The three rows that divide the file among used, free and pending pages.
void AddSpaceRows(const johnny_env_info& info, Columns* rows) {
  const auto add = [&](const char* name, uint64_t pages, const std::string& remark) {
    std::string figures = Format("%9s  %7s  %s", HumanBytes(pages * info.page_size).c_str(),
                                 Percent(pages, info.page_count).c_str(), Counted(pages, "page").c_str());
    if (!remark.empty()) figures += ", " + remark;
    rows->AddRow({name, figures});
  };
  add("used", info.used_pages, "");
  add("free", info.free_pages, "reusable now");
  add("pending", info.pending_pages, "freed, but a snapshot may still see them");
  rows->AddRow({"", Bar(info)});
}

std::string Readers(const johnny_env_info& info) {
  std::string text = WithThousands(info.readers) + " of " + WithThousands(info.max_readers);
  if (info.oldest_reader_id == 0) return text;
  text += ", oldest snapshot " + WithThousands(info.oldest_reader_id);
  if (info.oldest_reader_id < info.last_txn_id)
    text += ", " + Counted(info.last_txn_id - info.oldest_reader_id, "commit") + " behind";
  return text;
}

void Print(const Context& context, uint64_t entries, const State& state, bool complete) {
  const johnny_env_info& info = context.info;
  Columns rows("ll");
  rows.AddRow({"state", state.words});
  std::string file =
      HumanBytes(info.file_size) + " in " + Counted(info.page_count, "page") + " of " + Counted(info.page_size, "byte");
  const uint64_t in_use = info.page_count * info.page_size;
  if (info.file_size > in_use) file += ", " + HumanBytes(info.file_size - in_use) + " of it allocated ahead";
  rows.AddRow({"file", file});
  if (complete) AddSpaceRows(info, &rows);
  if (info.size_limit != 0) rows.AddRow({"limit", HumanBytes(info.size_limit)});
  rows.AddRow({"transactions", WithThousands(info.last_txn_id) + " newest, " + WithThousands(info.durable_txn_id) + " durable"});
  rows.AddRow({"durability", DurabilityName(info.durability)});
  rows.AddRow({"entries", WithThousands(entries) + " in the main table"});
  rows.AddRow({"tables", WithThousands(info.tables) + " named"});
  rows.AddRow({"readers", Readers(info)});
  rows.AddRow({"format", Format("version %u, database id %016llx", info.format_version,
                                static_cast<unsigned long long>(info.database_id))});
  context.output->Write(Printable(context.path) + ", a JohnnyDB database\n" + rows.Render(2));
  for (const std::string& warning : state.warnings) context.output->Write("  warning: " + warning + "\n");
}

}  // namespace

int ShowSummary(const Context& context, Json* json) {
  if (context.info.page_size == 0) context.CompleteInfo();
  const State state = Judge(context.info);
  const uint64_t entries = MainEntries(context.env);
  const bool complete = !context.info_error;
  if (context.json) {
    FillJson(context.info, entries, state, complete, json);
  } else {
    Print(context, entries, state, complete);
  }
  context.CompleteInfo();
  return state.warnings.empty() ? kExitClean : kExitWarning;
}

}  // namespace johnny::tools::stat
