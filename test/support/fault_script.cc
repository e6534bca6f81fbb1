#include "support/fault_script.h"

#include "absl/strings/str_cat.h"
#include "api/internal.h"

namespace johnny::sim {
namespace {

constexpr uint64_t kKeys = 60;
constexpr uint64_t kBudgetPages = 64;  // the least there is

std::string KeyOf(uint64_t number) { return absl::StrCat("key", absl::Dec(number, absl::kZeroPad5)); }

void PutSome(Script* script, uint64_t entries, size_t value_size, const std::string& table = "") {
  for (uint64_t i = 0; i < entries; ++i) {
    script->Put(table, KeyOf(script->Below(kKeys)), script->RandomBytes(value_size));
  }
}

// ---- Reading ----

template <typename Info>
int Ignore(void*, const Info*) {
  return 0;
}
int IgnoreName(void*, const char*) { return 0; }

template <typename Info>
Info Empty() {
  Info info{};
  info.struct_size = sizeof info;
  return info;
}

bool ExpectEntry(Script* script, int code, const char* what) { return code == JOHNNY_NOT_FOUND || script->Expect(code, what); }

void ReadEntries(Script* script, johnny_txn* txn) {
  const std::string key = KeyOf(7);
  johnny_slice found_key{};
  johnny_slice value{};
  uint64_t number = 0;
  johnny_slice from{key.data(), key.size()};
  ExpectEntry(script, johnny_get(txn, nullptr, key.data(), key.size(), &value), "johnny_get");
  ExpectEntry(script, johnny_exists(txn, nullptr, key.data(), key.size()), "johnny_exists");
  script->Expect(johnny_count(txn, nullptr, &from, nullptr, &number), "johnny_count");
  script->Expect(johnny_rank(txn, nullptr, key.data(), key.size(), &number), "johnny_rank");
  ExpectEntry(script, johnny_nth(txn, nullptr, 3, &found_key, &value), "johnny_nth");
  johnny_slice bounds[3];
  johnny_slice keys[3] = {from, from, from};
  size_t count = 0;
  script->Expect(johnny_split_range(txn, nullptr, &from, nullptr, 4, bounds, &count), "johnny_split_range");
  script->Expect(johnny_get_many(txn, nullptr, keys, 3, bounds, &count), "johnny_get_many");
  script->Expect(johnny_path(txn, nullptr, key.data(), key.size(), Ignore<johnny_path_step>, nullptr), "johnny_path");
}

void ReadWithCursor(Script* script, johnny_txn* txn) {
  const std::string low = KeyOf(10);
  const std::string high = KeyOf(50);
  johnny_slice from{low.data(), low.size()};
  johnny_slice to{high.data(), high.size()};
  johnny_slice key{};
  johnny_slice value{};
  johnny_cursor* cursor = nullptr;
  if (!script->Expect(johnny_cursor_open(txn, nullptr, &cursor), "johnny_cursor_open")) {
    return;
  }
  script->Expect(johnny_cursor_set_range(cursor, &from, &to), "johnny_cursor_set_range");
  if (ExpectEntry(script, johnny_cursor_seek(cursor, low.data(), low.size(), JOHNNY_SEEK_AT_OR_AFTER, &key, &value),
                  "johnny_cursor_seek")) {
    ExpectEntry(script, johnny_cursor_next(cursor, &key, &value), "johnny_cursor_next");
    ExpectEntry(script, johnny_cursor_prev(cursor, &key, &value), "johnny_cursor_prev");
    johnny_slice keys[20];
    johnny_slice values[20];
    size_t count = 0;
    ExpectEntry(script, johnny_cursor_next_many(cursor, 20, keys, values, &count), "johnny_cursor_next_many");
    ExpectEntry(script, johnny_cursor_prev_many(cursor, 20, keys, values, &count), "johnny_cursor_prev_many");
  }
  script->Expect(johnny_cursor_set_prefix(cursor, "key", 3), "johnny_cursor_set_prefix");
  ExpectEntry(script, johnny_cursor_last(cursor, &key, &value), "johnny_cursor_last");
  int code = johnny_cursor_first(cursor, &key, &value);
  if (ExpectEntry(script, code, "johnny_cursor_first") && code == JOHNNY_OK) {
    script->Expect(johnny_cursor_get(cursor, &key, &value), "johnny_cursor_get");
  }
  johnny_cursor_close(cursor);
}

void ReadTables(Script* script, johnny_txn* txn) {
  auto table_info = Empty<johnny_table_info>();
  auto scan_info = Empty<johnny_table_scan_info>();
  auto txn_info = Empty<johnny_txn_info>();
  auto page_info = Empty<johnny_page_info>();
  auto entry = Empty<johnny_page_entry>();
  auto first = Empty<johnny_page_run>();
  auto keep_first = [](void* context, const johnny_page_run* run) {
    auto* kept = static_cast<johnny_page_run*>(context);
    *kept = kept->first_page == 0 ? *run : *kept;
    return 0;
  };
  johnny_table* table = nullptr;
  if (int code = johnny_table_open(txn, "other", 0, &table);
      code != JOHNNY_NO_TABLE && script->Expect(code, "johnny_table_open")) {
    script->Expect(johnny_table_name(table)[0] == 'o' ? JOHNNY_OK : JOHNNY_INTERNAL, "johnny_table_name");
  }
  script->Expect(johnny_txn_set_label(txn, "reader"), "johnny_txn_set_label");
  script->Expect(johnny_txn_get_info(txn, &txn_info), "johnny_txn_get_info");
  script->Expect(johnny_table_list(txn, IgnoreName, nullptr), "johnny_table_list");
  script->Expect(johnny_table_get_info(txn, nullptr, &table_info), "johnny_table_get_info");
  script->Expect(johnny_table_scan(txn, nullptr, &scan_info), "johnny_table_scan");
  script->Expect(johnny_table_warm_up(txn, nullptr, 0, &scan_info.leaf_bytes_used), "johnny_table_warm_up");
  script->Expect(johnny_snapshot_list(txn, Ignore<johnny_snapshot_info>, nullptr), "johnny_snapshot_list");
  if (script->Expect(johnny_page_list(txn, keep_first, &first), "johnny_page_list") && first.first_page != 0) {
    script->Expect(johnny_page_get_info(txn, first.first_page, &page_info), "johnny_page_get_info");
    if (page_info.sound != 0 && page_info.count != 0) {
      script->Expect(johnny_page_get_entry(txn, first.first_page, 0, &entry), "johnny_page_get_entry");
    }
  }
}

void Inspect(Script* script) {
  johnny_env* env = script->env();
  bool worded = johnny_version()[0] != 0 && johnny_strerror(JOHNNY_BUSY)[0] != 0 && johnny_last_error_message() != nullptr &&
                johnny_finding_name(JOHNNY_FINDING_PAGE)[0] != 0;
  script->Expect(worded ? JOHNNY_OK : JOHNNY_INTERNAL, "constants");
  auto info = Empty<johnny_env_info>();
  script->Expect(johnny_env_get_info(env, &info), "johnny_env_get_info");
  script->Expect(johnny_reader_check(env, nullptr), "johnny_reader_check");
  script->Expect(johnny_reader_list(env, Ignore<johnny_reader_info>, nullptr), "johnny_reader_list");
  script->Expect(johnny_free_run_list(env, Ignore<johnny_free_run>, nullptr), "johnny_free_run_list");
  johnny_verify_options options = {.struct_size = sizeof options, .threads = 1};  // calls of others would have no fixed order
  script->Expect(johnny_verify(env, &options, nullptr), "johnny_verify");
  johnny_scrub_info scrub{};
  scrub.struct_size = sizeof scrub;
  script->Expect(johnny_scrub_get_info(env, &scrub), "johnny_scrub_get_info");
  script->Expect(johnny_scrub_stop(env), "johnny_scrub_stop");
}

// Also resets and renews the transaction; and reads a named snapshot.
void ReadEverything(Script* script, const char* snapshot) {
  johnny_env* env = script->env();
  johnny_txn* txn = nullptr;
  if (env == nullptr) {
    return;
  }
  if (script->Expect(johnny_begin_within(env, JOHNNY_READ, 1, &txn), "johnny_begin_within (read)")) {
    ReadEntries(script, txn);
    script->Expect(johnny_reset(txn), "johnny_reset");
    if (script->Expect(johnny_renew(txn), "johnny_renew")) {
      ReadWithCursor(script, txn);
      ReadTables(script, txn);
    }
    Inspect(script);
    script->Expect(johnny_commit(txn), "johnny_commit (read)");
  }
  int code = johnny_begin_snapshot(env, snapshot, &txn);
  if (code != JOHNNY_NO_SNAPSHOT && script->Expect(code, "johnny_begin_snapshot")) {
    ReadEntries(script, txn);
    script->Expect(johnny_abort(txn), "johnny_abort");
  }
}

// ---- Writing ----

// Replaces one entry and removes the next one.
void ChangeAtCursor(Script* script) {
  johnny_cursor* cursor = nullptr;
  johnny_slice key{};
  if (!script->can_change() || !script->Expect(johnny_cursor_open(script->txn(), nullptr, &cursor), "johnny_cursor_open")) {
    return;
  }
  TableContents& main = script->working()->tables[""];
  std::string value = script->RandomBytes(250);
  int code = johnny_cursor_first(cursor, &key, nullptr);
  if (ExpectEntry(script, code, "johnny_cursor_first") && code == JOHNNY_OK) {
    std::string name(static_cast<const char*>(key.data), key.size);
    if (script->Changed(johnny_cursor_put(cursor, value.data(), value.size()), "johnny_cursor_put")) {
      main[name] = value;
    }
  }
  if (script->can_change() && (code = johnny_cursor_next(cursor, &key, nullptr)) == JOHNNY_OK) {
    std::string name(static_cast<const char*>(key.data), key.size);
    if (script->Changed(johnny_cursor_delete(cursor), "johnny_cursor_delete")) {
      main.erase(name);
    }
  } else if (script->can_change()) {
    ExpectEntry(script, code, "johnny_cursor_next");
  }
  johnny_cursor_close(cursor);
}

void Spill(Script* script, uint64_t entries) {
  const std::string value(1300, static_cast<char>(script->Below(256)));
  for (uint64_t i = 0; i < entries; ++i) {
    script->Put("", KeyOf(1000 + i), value, JOHNNY_APPEND);
  }
}

// What a change of many entries returned. A transaction that has failed ends here.
bool ChangedMany(Script* script, int code, std::string_view what) {
  if (script->Expect(code, what)) {
    return true;
  }
  auto info = Empty<johnny_txn_info>();
  if (johnny_txn_get_info(script->txn(), &info) != JOHNNY_OK || info.failed != 0) {
    script->Abort();
  }
  return false;
}

void WriteMany(Script* script) {
  if (!script->can_change()) {
    return;
  }
  TableContents changed = script->working()->tables[""];
  std::vector<std::string> keys, values;
  std::vector<johnny_write> writes;
  for (int i = 0; i < 12; ++i) {
    keys.push_back(KeyOf(script->Below(kKeys)));
    values.push_back(script->RandomBytes(i == 5 ? 6000 : 200));
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    bool erase = i % 4 == 3;
    writes.push_back(
        {{keys[i].data(), keys[i].size()}, {values[i].data(), values[i].size()}, erase ? uint32_t{JOHNNY_WRITE_DELETE} : 0, 0});
    changed.erase(keys[i]);
    if (!erase) {
      changed[keys[i]] = values[i];
    }
  }
  if (ChangedMany(script, johnny_write_batch(script->txn(), nullptr, writes.data(), writes.size()), "johnny_write_batch")) {
    script->working()->tables[""] = changed;
  }
}

// A builder with entries of the main table to be, to finish or to give up; null if that went wrong.
johnny_builder* BeginBuilding(Script* script, TableContents* built) {
  johnny_builder* builder = nullptr;
  if (!script->can_change() ||
      !ChangedMany(script, johnny_builder_open(script->txn(), nullptr, JOHNNY_BUILD_REPLACE, 0, &builder),
                   "johnny_builder_open")) {
    return nullptr;
  }
  for (uint64_t i = 0; i < 50; ++i) {
    std::string key = KeyOf(i);
    std::string value = script->RandomBytes(i % 20 == 7 ? 6000 : 300);
    if (!ChangedMany(script, johnny_builder_add(builder, key.data(), key.size(), value.data(), value.size()),
                     "johnny_builder_add")) {
      johnny_builder_close(builder);
      return nullptr;
    }
    (*built)[key] = value;
  }
  return builder;
}

// What a close has to give back may be more than there is memory for; nobody is told before the transaction is used again.
void CloseBuilder(Script* script, johnny_builder* builder) {
  johnny_builder_close(builder);
  auto info = Empty<johnny_txn_info>();
  if (script->can_change() && johnny_txn_get_info(script->txn(), &info) == JOHNNY_OK && info.failed != 0) {
    ChangedMany(script, JOHNNY_NO_MEMORY, "johnny_builder_close");
  }
}

// Trees that are built: one given up, one that the commit finds open, one for good in a nested transaction.
void Build(Script* script) {
  TableContents built, given_up;
  script->Begin();
  CloseBuilder(script, BeginBuilding(script, &given_up));
  PutSome(script, 3, 200);
  johnny_builder* open = BeginBuilding(script, &given_up);
  script->Commit();
  johnny_builder_close(open);
  script->Begin();
  PutSome(script, 3, 200);
  script->BeginNested();
  if (johnny_builder* builder = BeginBuilding(script, &built); builder != nullptr) {
    if (ChangedMany(script, johnny_builder_finish(builder), "johnny_builder_finish")) {
      script->working()->tables[""] = built;
    }
    CloseBuilder(script, builder);
  }
  script->CommitNested();
  script->BeginNested();
  open = BeginBuilding(script, &given_up);
  script->AbortNested();
  johnny_builder_close(open);
  WriteMany(script);
  script->Commit();
}

// Levels that commit and that abort, one inside the other, each with what a level does to those around it: changes of their
// pages, large values, tables, and cursors that stay.
void Nest(Script* script) {
  script->Begin();
  PutSome(script, 3, 200);
  script->BeginNested();
  PutSome(script, 3, 200, "table");
  script->CreateTable("nested");
  script->BeginNested();
  PutSome(script, 2, 200);
  ChangeAtCursor(script);
  script->CommitNested();
  script->CommitNested();
  script->BeginNested();
  script->Put("", "large", script->RandomBytes(9000));
  script->ClearTable("table");
  script->BeginNested();
  PutSome(script, 2, 200, "table");
  script->CommitNested();
  script->AbortNested();
  script->DropTable("nested");
  script->Commit(JOHNNY_TWO_PHASE);
}

void FillAndShare(Script* script) {
  script->Begin();
  PutSome(script, 40, 200);
  script->CreateTable("table");
  PutSome(script, 10, 300, "table");
  script->Commit();
  Nest(script);
  script->BeginReader();
  CommitSome(script, JOHNNY_SINGLE_SYNC);
  CommitSome(script, JOHNNY_LAZY);
  CommitSome(script, JOHNNY_LAZY);
  script->Begin();
  script->CreateSnapshot("one");  // syncs the lazy commits
  PutSome(script, 3, 100);
  script->Commit(JOHNNY_LAZY);
  script->Sync();
}

void GrowAndShrink(Script* script) {
  script->Begin();
  PutSome(script, 2, 20000);  // extents
  script->RenameTable("table", "other");
  script->Commit();
  script->EndReader();
  Build(script);
  script->Begin();
  Spill(script, 205);
  script->Abort();
  script->Begin();
  Spill(script, 150);
  script->BeginNested();  // spills its own pages, its parent's being in the way
  for (int i = 0; i < 70; ++i) {
    script->Put("", KeyOf(2000 + i), script->RandomBytes(1300), JOHNNY_APPEND);
  }
  script->CommitNested();
  ChangeAtCursor(script);
  script->Commit();
  ReadEverything(script, "one");
  script->Begin();
  script->DeleteSnapshot("one");
  script->ClearTable("");
  PutSome(script, 20, 200);
  script->Commit();
  script->Begin();
  script->ClearTable("");
  script->ClearTable("");  // when there is nothing to clear
  script->Commit();
  for (int i = 0; i < 3; ++i) {  // what has been freed comes back, and the file is cut
    CommitSome(script, JOHNNY_TWO_PHASE);
  }
}

// ---- Salvage ----

uint64_t EntriesOf(const DatabaseContents& contents) {
  uint64_t entries = 0;
  for (const auto& [name, table] : contents.tables) {
    entries += table.size();
  }
  return entries;
}

// From the closed database to a new one. Only what failed before may have left something to lose.
void Salvage(Script* script) {
  johnny_options options = FaultOptions();
  auto result = Empty<johnny_salvage_result>();
  const std::string path = script->path();
  const std::string out = path + ".salvaged";
  int code = script->is_real()
                 ? johnny_salvage(path.c_str(), out.c_str(), &options, nullptr, nullptr, &result)
                 : api::SalvageWithSystem(script->system(), path.c_str(), out.c_str(), &options, nullptr, nullptr, &result);
  bool met_before = script->saw_cause();
  if (code == JOHNNY_CORRUPT && met_before) {
    return;
  }
  if (script->Expect(code, "johnny_salvage") && !met_before && result.entries != EntriesOf(script->contents())) {
    script->AddProblem(absl::StrCat("salvage found ", result.entries, " entries of ", EntriesOf(script->contents())));
  }
}

}  // namespace

johnny_options FaultOptions() {
  johnny_options options = SmallOptions();
  options.memory_budget = kBudgetPages * 4096;
  options.address_space = 16 << 20;
  options.slack_percent = 0;
  return options;
}

void CommitSome(Script* script, uint32_t durability) {
  script->Begin();
  PutSome(script, 5, 200);
  script->Delete("", KeyOf(script->Below(kKeys)));
  script->Commit(durability);
}

void TouchEverything(Script* script) {
  script->Open(JOHNNY_CREATE);
  FillAndShare(script);
  GrowAndShrink(script);
  CommitSome(script, JOHNNY_LAZY);
  script->Kill();
  script->ChangePermissions(0640);  // the lock file's follow
  script->Open();
  script->Begin();
  script->DropTable("other");
  script->Commit();
  CommitSome(script, JOHNNY_LAZY);
  script->Close();
  Salvage(script);
  script->Open();
  ReadEverything(script, "none");
  CommitSome(script, JOHNNY_ASYNC);
  script->WaitDurable();
  script->Close();
}

void GrowMuch(Script* script) {
  script->Open(JOHNNY_CREATE);
  script->Begin();
  script->Put("", "large", std::string(4500000, 'x'));
  script->Commit();
  script->Close();
}

}  // namespace johnny::sim
