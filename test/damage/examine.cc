#include "damage/examine.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace johnny::test {
namespace {

constexpr unsigned kSecondsUntilHung = 60;
char g_what[256];

// The examination under way takes too long: says which, and aborts.
void Hung(int) {
  (void)!write(2, "hangs on: ", 10);
  (void)!write(2, g_what, std::strlen(g_what));
  (void)!write(2, "\n", 1);
  abort();
}

// For sanitizers: JOHNNY_DAMAGE_STRIDE=n, a number that shares no factor with those of the tests' loops, leaves every nth image.
uint64_t Stride() {
  static const char* stride = std::getenv("JOHNNY_DAMAGE_STRIDE");
  return stride == nullptr ? 1 : std::max(std::strtoull(stride, nullptr, 10), 1ull);
}

}  // namespace

void Examiner::Examine(const std::string& what, const std::string& image, const Expectation& expectation, int write_every) {
  const uint64_t number = images_++;
  if (number % Stride() != 0) {
    return;
  }
  SCOPED_TRACE(what);
  std::snprintf(g_what, sizeof g_what, "%s", what.c_str());
  if (std::getenv("JOHNNY_DAMAGE_TRACE") != nullptr) {
    std::fprintf(stderr, "%s\n", g_what);
  }
  signal(SIGALRM, Hung);
  alarm(kSecondsUntilHung);
  WriteFile(path_, image);
  Open(JOHNNY_READ_ONLY, expectation);
  if (number % static_cast<uint64_t>(write_every) == 0 || Scale() > 1) {
    Open(0, expectation);
    unlink(path_.c_str());
  }
  alarm(0);
}

bool Examiner::Failed(const Result& result) {
  if (result.ok() || result == JOHNNY_NOT_FOUND) {
    return false;
  }
  EXPECT_NE(result.code(), JOHNNY_INTERNAL) << result;
  EXPECT_NE(result.message(), "") << result;
  return true;
}

void Examiner::Open(uint32_t flags, const Expectation& expectation) {
  johnny_options options = TestOptions();
  options.flags = flags;
  Env env;
  if (Failed(env.Open(path_, options))) {
    return;
  }
  Read(env, expectation);
  johnny_env_info info{};
  info.struct_size = sizeof info;
  Failed(johnny_env_get_info(env.get(), &info));
  Result verified = johnny_verify(env.get(), nullptr, nullptr);
  Failed(verified);
  if (expectation.verify_must_find) {
    EXPECT_FALSE(verified.ok()) << "verify found nothing";
  }
  if (flags == 0) {
    Write(env, expectation);
    Failed(johnny_verify(env.get(), nullptr, nullptr));
  }
  Failed(env.Close());
}

void Examiner::Read(const Env& env, const Expectation& expectation) {
  Txn txn;
  if (Failed(txn.Begin(env, JOHNNY_READ))) {
    return;
  }
  if (expectation.states.empty()) {
    return ReadAnything(txn);
  }
  std::string contradiction;
  for (const State* state : expectation.states) {
    contradiction = Compare(txn, *state);
    if (contradiction.empty()) {
      return;
    }
  }
  ADD_FAILURE() << "wrong data: " << contradiction;
}

std::string Examiner::Compare(const Txn& txn, const State& state) {
  for (const auto& [name, contents] : state) {
    johnny_table* table = nullptr;
    if (!name.empty()) {
      Result result = const_cast<Txn&>(txn).OpenTable(name, 0, &table);
      if (result == JOHNNY_NO_TABLE) {
        return "table " + name + " is missing";
      }
      if (Failed(result)) {
        continue;
      }
    }
    std::string contradiction = CompareTable(txn, table, contents);
    if (!contradiction.empty()) {
      return "table \"" + name + "\": " + contradiction;
    }
  }
  return "";
}

std::string Examiner::CompareTable(const Txn& txn, johnny_table* table, const Contents& contents) {
  std::string value;
  uint64_t rank = 0;
  for (const auto& [key, expected] : contents) {
    Result result = txn.Get(key, &value, table);
    if (result == JOHNNY_NOT_FOUND || (!Failed(result) && value != expected)) {
      return "get of " + key + " gave " + CodeName(result.code());
    }
    if (rank % 16 == 0) {
      uint64_t found = 0;
      Entry entry;
      if (!Failed(txn.Rank(key, &found, table)) && found != rank) {
        return "rank of " + key + " is " + std::to_string(found);
      }
      result = txn.Nth(rank, &entry, table);
      if (result == JOHNNY_NOT_FOUND || (!Failed(result) && entry != Entry(key, expected))) {
        return "entry " + std::to_string(rank) + " is " + entry.first;
      }
    }
    ++rank;
  }
  for (const char* absent : {"", "shared/prefix/00100x", "zzz"}) {
    Result result = txn.Get(absent, &value, table);
    if (result.ok()) {
      return "found " + std::string(absent);
    }
    Failed(result);
  }
  uint64_t count = 0;
  if (!Failed(txn.Count(std::nullopt, std::nullopt, &count, table)) && count != contents.size()) {
    return "count is " + std::to_string(count);
  }
  Cursor cursor;
  if (Failed(cursor.Open(txn, table))) {
    return "";
  }
  Entry entry;
  Result result = cursor.First(&entry);
  for (auto expected = contents.begin(); expected != contents.end(); ++expected, result = cursor.Next(&entry)) {
    if (result == JOHNNY_NOT_FOUND || (result.ok() && entry != Entry(*expected))) {
      return "scan has " + entry.first + " instead of " + expected->first;
    }
    if (Failed(result)) {
      break;
    }
  }
  if (result.ok()) {
    return "scan goes on after the last entry";
  }
  result = cursor.Last(&entry);
  for (auto expected = contents.rbegin(); expected != contents.rend(); ++expected, result = cursor.Prev(&entry)) {
    if (result == JOHNNY_NOT_FOUND || (result.ok() && entry != Entry(*expected))) {
      return "backward scan has " + entry.first + " instead of " + expected->first;
    }
    if (Failed(result)) {
      break;
    }
  }
  return result.ok() ? "backward scan goes on" : "";
}

// Every kind of read, with every byte of what it returns touched.
void Examiner::ReadAnything(const Txn& txn) {
  std::vector<johnny_table*> tables = {nullptr};
  for (const char* name : {"named", "empty"}) {
    johnny_table* table = nullptr;
    if (!Failed(const_cast<Txn&>(txn).OpenTable(name, 0, &table))) {
      tables.push_back(table);
    }
  }
  auto visit_name = [](void*, const char* name) { return static_cast<int>(std::strlen(name) > 100000); };
  Failed(johnny_table_list(txn.get(), visit_name, nullptr));
  auto visit_page = [](void*, const johnny_page_run*) { return 0; };
  Failed(johnny_page_list(txn.get(), visit_page, nullptr));
  std::string value;
  Entry entry;
  uint64_t number = 0;
  for (johnny_table* table : tables) {
    for (int i = 0; i < 500; i += 9) {
      std::string key = NumberedKey(static_cast<uint64_t>(i), 5, "shared/prefix/");
      Failed(txn.Get(key, &value, table));
      Failed(txn.Rank(key, &number, table));
      Failed(txn.Nth(static_cast<uint64_t>(i), &entry, table));
    }
    Failed(txn.Get("large", &value, table));
    Failed(txn.Get("larger", &value, table));
    johnny_table_scan_info scan{};
    scan.struct_size = sizeof scan;
    Failed(johnny_table_scan(txn.get(), table, &scan));
    Cursor cursor;
    if (Failed(cursor.Open(txn, table))) {
      continue;
    }
    int steps = 0;
    while (cursor.Next(&entry).ok() && ++steps < 100000) {
    }
    EXPECT_LT(steps, 100000) << "endless scan";
    Failed(cursor.Last(&entry));
    for (steps = 0; cursor.Prev(&entry).ok() && ++steps < 100000;) {
    }
    EXPECT_LT(steps, 100000) << "endless backward scan";
    Failed(cursor.Seek("shared/prefix/00250", JOHNNY_SEEK_AT_OR_BEFORE, &entry));
  }
  johnny_page_info page{};
  page.struct_size = sizeof page;
  johnny_page_entry page_entry{};
  page_entry.struct_size = sizeof page_entry;
  for (uint64_t i = 0; i < SampleImage().page_count(); i += 7) {
    if (!Failed(johnny_page_get_info(txn.get(), i, &page))) {
      Failed(johnny_page_get_entry(txn.get(), i, 0, &page_entry));
    }
  }
}

void Examiner::Write(const Env& env, const Expectation& expectation) {
  Txn txn;
  if (Failed(txn.Begin(env))) {
    return;
  }
  bool failed = false;
  State written;
  for (const char* name : {"", "named", "new"}) {
    johnny_table* table = nullptr;
    if (*name != '\0' && Failed(txn.OpenTable(name, JOHNNY_TABLE_CREATE, &table))) {
      failed = true;
      continue;
    }
    for (uint64_t i = 3; i < 500; i += 61) {
      std::string key = NumberedKey(i, 5, "shared/prefix/");
      failed |= Failed(txn.Put(key, "written", 0, table));
      written[name][key] = "written";
      failed |= Failed(txn.Delete(NumberedKey(i + 1, 5, "shared/prefix/"), table));
    }
    failed |= Failed(txn.Put("large", Pattern(20000, 3), 0, table));
  }
  if (Failed(txn.Commit()) || failed) {
    return;
  }
  Txn reader;
  if (Failed(reader.Begin(env, JOHNNY_READ))) {
    return;
  }
  for (const auto& [name, contents] : written) {
    johnny_table* table = nullptr;
    if (!name.empty() && Failed(reader.OpenTable(name, 0, &table))) {
      continue;
    }
    for (const auto& [key, expected] : contents) {
      std::string value;
      Result result = reader.Get(key, &value, table);
      if (!Failed(result) && !expectation.states.empty()) {
        EXPECT_OK(result) << key;
        EXPECT_EQ(value, expected) << key;
      }
    }
  }
}

}  // namespace johnny::test
