// --page N: one page decoded, with its entries and its bytes.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "../text.h"
#include "forms.h"

namespace johnny::tools::stat {
namespace {

// What the newest snapshot uses a page for, as opposed to what the page itself says.
struct Role {
  std::string words;
  bool needs_header = false;  // a branch, leaf or free-log page: it must be sound
};

bool Holds(uint64_t first, uint64_t count, uint64_t page) { return page >= first && page - first < count; }

Role RoleInUse(const johnny_page_run& run) {
  Role role;
  role.words = KindName(run.kind);
  if (run.kind == JOHNNY_PAGE_BRANCH || run.kind == JOHNNY_PAGE_LEAF) role.words += " of level " + std::to_string(run.level);
  if (run.kind == JOHNNY_PAGE_EXTENT) role.words += " from page " + std::to_string(run.first_page);
  if (run.kind != JOHNNY_PAGE_FREE_LOG) role.words += run.table ? " of table " + TableTitle(run.table) : " of the catalog";
  role.needs_header = run.kind != JOHNNY_PAGE_EXTENT;
  return role;
}

// Walks the trees, then the free set, until the page turns up. A walk that meets damage says so.
Role FindRole(const Context& context, johnny_txn* txn, uint32_t kind) {
  Role role;
  if (kind == JOHNNY_PAGE_MASTER) return {"master page area", false};
  try {
    Visitor<const johnny_page_run*> used([&](const johnny_page_run* run) {
      if (!Holds(run->first_page, run->pages, context.page)) return true;
      role = RoleInUse(*run);
      return false;
    });
    used.Finish(johnny_page_list(txn, used.Call, &used));
    if (!role.words.empty()) return role;
    Visitor<const johnny_free_run*> unused([&](const johnny_free_run* run) {
      if (!Holds(run->first_page, run->pages, context.page)) return true;
      role.words = run->death == 0 ? "free, reusable now"
                                   : "pending: freed by transaction " + WithThousands(run->death) + ", waits for snapshot " +
                                         WithThousands(run->waits_for);
      return false;
    });
    unused.Finish(johnny_free_run_list(context.env, unused.Call, &unused));
  } catch (const ToolError& error) {
    return {std::string("could not be found out: ") + error.what(), true};
  }
  if (role.words.empty()) role.words = "nothing: neither in use nor free";
  return role;
}

void PrintHeader(const Context& context, const johnny_page_info& info, const Role& role) {
  const auto hex = [](uint64_t value) { return Format("%016llx", static_cast<unsigned long long>(value)); };
  Columns rows("ll");
  rows.AddRow({"used as", Printable(role.words)});
  rows.AddRow({"header says", info.kind == JOHNNY_PAGE_UNKNOWN
                                  ? "no kind: an extent, a page that was never used, or damage"
                                  : std::string(KindName(info.kind)) + ", level " + std::to_string(info.level)});
  rows.AddRow({"sound", info.sound ? "yes" : std::string("no: ") + Printable(info.finding ? info.finding : "")});
  rows.AddRow({"number", std::to_string(info.stored_number)});
  rows.AddRow({"birth", "transaction " + WithThousands(info.birth)});
  rows.AddRow({"checksum", hex(info.checksum) + (info.checksum == info.computed_checksum
                                                     ? ", right"
                                                     : ", but the bytes have " + hex(info.computed_checksum))});
  rows.AddRow({"entries", WithThousands(info.count)});
  rows.AddRow({"free space", info.upper >= info.lower
                                 ? Counted(info.upper - info.lower, "byte") + Format(", from %u to %u", info.lower, info.upper)
                                 : Format("none that makes sense: from %u to %u", info.lower, info.upper)});
  rows.AddRow({"prefix", Counted(info.prefix_size, "byte") + " common to all keys"});
  context.output->Write("Page " + std::to_string(info.page) + ", at byte " + WithThousands(info.page * context.PageSize()) +
                        "\n" + rows.Render(2));
}

bool HasEntries(const johnny_page_info& info) {
  return info.sound && (info.kind == JOHNNY_PAGE_BRANCH || info.kind == JOHNNY_PAGE_LEAF);
}

// False: a writer has used the page again since it was described, which it may if the snapshot does not need it.
bool GetEntry(johnny_txn* txn, uint64_t page, uint32_t index, johnny_page_entry* entry) {
  *entry = Sized<johnny_page_entry>();
  const int code = johnny_page_get_entry(txn, page, index, entry);
  if (code != JOHNNY_NOT_FOUND && code != JOHNNY_INVALID_ARGUMENT) Check(code);
  return code == JOHNNY_OK;
}

void PrintEntries(const Context& context, johnny_txn* txn, const johnny_page_info& info) {
  const bool leaf = info.kind == JOHNNY_PAGE_LEAF;
  const size_t half = std::max<size_t>(20, (context.width - std::min<size_t>(context.width, 26)) / 2);
  Columns columns(leaf ? "rlrl" : "rlrrr");
  if (leaf) {
    columns.AddRow({"entry", "key", "bytes", "value"});
  } else {
    columns.AddRow({"entry", "separator", "child page", "checksum", "entries below"});
  }
  for (uint32_t i = 0; i < info.count; ++i) {
    johnny_page_entry entry;
    if (!GetEntry(txn, info.page, i, &entry)) break;
    const std::string key = EscapeBytes(View(entry.key), half);
    if (!leaf) {
      columns.AddRow({std::to_string(i), i == 0 ? "(least)" : key, std::to_string(entry.child_page),
                      Format("%08llx", static_cast<unsigned long long>(entry.child_checksum)),
                      WithThousands(entry.child_entries)});
    } else if (entry.child_page != 0) {
      columns.AddRow({std::to_string(i), key, WithThousands(entry.child_entries),
                      "(extent at page " + std::to_string(entry.child_page) + ")"});
    } else {
      columns.AddRow({std::to_string(i), key, WithThousands(entry.value.size), EscapeBytes(View(entry.value), half)});
    }
  }
  context.output->Write(columns.Render(2));
}

Json EntryAsJson(const johnny_page_entry& entry, bool leaf) {
  Json j;
  j[leaf ? "key" : "separator"] = EscapeBytes(View(entry.key));
  if (!leaf) {
    j["child_page"] = entry.child_page;
    j["child_checksum"] = entry.child_checksum;
    j["child_entries"] = entry.child_entries;
  } else if (entry.child_page != 0) {
    j["extent_page"] = entry.child_page;
    j["value_size"] = entry.child_entries;
  } else {
    j["value"] = EscapeBytes(View(entry.value));
  }
  return j;
}

void FillJson(const Context& context, johnny_txn* txn, const johnny_page_info& info, const Role& role, Json* json) {
  Json& j = *json;
  j["page"] = info.page;
  j["role"] = Printable(role.words);
  j["kind"] = KindName(info.kind);
  j["level"] = info.level;
  j["sound"] = info.sound != 0;
  j["finding"] = Printable(info.finding ? info.finding : "");
  j["stored_number"] = info.stored_number;
  j["birth"] = info.birth;
  j["checksum"] = Format("%016llx", static_cast<unsigned long long>(info.checksum));
  j["computed_checksum"] = Format("%016llx", static_cast<unsigned long long>(info.computed_checksum));
  j["count"] = info.count;
  j["prefix_size"] = info.prefix_size;
  j["lower"] = info.lower;
  j["upper"] = info.upper;
  j["bytes"] = Hex(info.bytes, static_cast<size_t>(context.PageSize()));
  j["entries"] = Json::array();
  for (uint32_t i = 0; HasEntries(info) && i < info.count; ++i) {
    johnny_page_entry entry;
    if (!GetEntry(txn, info.page, i, &entry)) break;
    j["entries"].push_back(EntryAsJson(entry, info.kind == JOHNNY_PAGE_LEAF));
  }
}

}  // namespace

int ShowPage(const Context& context, Json* json) {
  const auto page_size = static_cast<size_t>(context.PageSize());
  const Txn txn = Begin(context.env, JOHNNY_READ);
  auto info = Sized<johnny_page_info>();
  Check(johnny_page_get_info(txn.get(), context.page, &info), "--page " + std::to_string(context.page));
  // `finding` lasts only until the next call into the library.
  const std::string finding = info.finding ? info.finding : "";
  info.finding = finding.c_str();
  const Role role = FindRole(context, txn.get(), info.kind);
  if (context.json) {
    FillJson(context, txn.get(), info, role, json);
  } else {
    PrintHeader(context, info, role);
    if (HasEntries(info)) PrintEntries(context, txn.get(), info);
    context.output->Write(HexDump(info.bytes, page_size));
  }
  return role.needs_header && !info.sound ? kExitCorrupt : kExitClean;
}

}  // namespace johnny::tools::stat
