#include "golden/golden.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

#include <filesystem>

namespace johnny::test {
namespace {

constexpr int kEntries = 1500;
constexpr int kRounds = 40;

std::string MainKey(int i) { return i == 0 ? std::string() : absl::StrFormat("account/%06d", i * 7919 % kEntries); }

std::string MainValue(int i, int round) {
  std::string value = absl::StrCat("balance ", i, " in round ", round, ";");
  while (value.size() < static_cast<size_t>(i % 90)) {
    value += value;
  }
  return value;
}

// Repetitive, so that the repository stays small.
std::string LargeValue(size_t size) {
  std::string value;
  for (int i = 0; value.size() < size; ++i) {
    absl::StrAppend(&value, "line ", i, "\n");
  }
  value.resize(size);
  return value;
}

void Overwrite(const Env& env, int round) {
  Txn txn(env);
  for (int i = round; i < kEntries; i += kRounds) {
    if (i % 11 == 3) {
      ASSERT_OK(txn.Delete(MainKey(i)));
    } else {
      ASSERT_OK(txn.Put(MainKey(i), MainValue(i, round)));
    }
  }
  ASSERT_OK(txn.Commit());
}

void Load(const Env& env) {
  Txn txn(env);
  for (int i = 0; i < kEntries; ++i) {
    ASSERT_OK(txn.Put(MainKey(i), MainValue(i, -1)));
  }
  txn.Table("empty");
  johnny_table* orders = txn.Table("orders");
  for (int i = 0; i < 300; ++i) {
    ASSERT_OK(txn.Put(std::string(1, static_cast<char>(i / 256)) + static_cast<char>(i % 256), absl::StrCat(i), 0, orders));
  }
  johnny_table* large = txn.Table("large");
  ASSERT_OK(txn.Put("one", LargeValue(20000), 0, large));
  ASSERT_OK(txn.Put("two", LargeValue(300000), 0, large));  // more than one checksum's part
  ASSERT_OK(txn.Commit());
}

}  // namespace

std::map<std::string, Contents> GoldenContents(bool before) {
  std::map<std::string, Contents> tables;
  int rounds = before ? kRounds / 2 : kRounds;
  for (int i = 0; i < kEntries; ++i) {
    int round = i % kRounds;
    if (round >= rounds) {
      tables[""][MainKey(i)] = MainValue(i, -1);
    } else if (i % 11 != 3) {
      tables[""][MainKey(i)] = MainValue(i, round);
    }
  }
  tables["empty"] = {};
  for (int i = 0; i < 300; ++i) {
    tables["orders"][std::string(1, static_cast<char>(i / 256)) + static_cast<char>(i % 256)] = absl::StrCat(i);
  }
  tables["large"]["one"] = LargeValue(20000);
  if (before) {
    tables["large"]["two"] = LargeValue(300000);
  } else {
    tables["large"]["three"] = LargeValue(70000);
  }
  return tables;
}

void MakeGolden(const std::string& path, uint32_t page_size, bool clean) {
  johnny_options options = TestOptions(page_size);
  std::string working = path + ".working";
  Env env(working, options);
  Load(env);
  for (int round = 0; round < kRounds; ++round) {
    if (round == kRounds / 2) {
      Txn txn(env);
      ASSERT_OK(txn.CreateSnapshot("before"));
      ASSERT_OK(txn.Commit());
    }
    Overwrite(env, round);
  }
  {
    Txn txn(env);
    johnny_table* large = txn.Table("large");
    ASSERT_OK(txn.Delete("two", large));
    ASSERT_OK(txn.Put("three", LargeValue(70000), 0, large));
    ASSERT_OK(txn.Commit());
  }
  ASSERT_TRUE(env.VerifyClean());
  if (clean) {
    ASSERT_OK(env.Close());
    std::filesystem::rename(working, path);
  } else {
    std::filesystem::copy_file(working, path);
    ASSERT_OK(env.Close());
    std::filesystem::remove(working);
  }
  std::filesystem::remove(working + "-lock");
}

}  // namespace johnny::test
