#include "processes/ledger.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>
#include <vector>

namespace johnny::test {
namespace {

constexpr uint64_t kAccounts = 100;
constexpr uint64_t kMarks = 16;
constexpr uint64_t kFillers = 4000;  // different ones in each table
constexpr uint64_t kLarge = 6;       // large values in each table
constexpr size_t kLargeSize = 20000;
constexpr char kVault[] = "vault";
constexpr std::string_view kFillerCount = "fillers";  // sorts outside "fill:"

std::string Numbered(const char* prefix, uint64_t number, int width) {
  std::string digits = std::to_string(number);
  return prefix + std::string(std::max<size_t>(static_cast<size_t>(width), digits.size()) - digits.size(), '0') + digits;
}
std::string AccountKey(uint64_t account) { return Numbered("acct:", account, 3); }
std::string MarkKey(uint64_t mark) { return Numbered("mark:", mark, 2); }

std::string_view Text(const johnny_slice& slice) {
  return slice.size == 0 ? std::string_view() : std::string_view(static_cast<const char*>(slice.data), slice.size);
}
bool StartsWith(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

// "figure;number;" and a padding that both determine.
std::string Padded(uint64_t figure, uint64_t number, size_t size) {
  std::string value = std::to_string(figure) + ";" + std::to_string(number) + ";";
  for (size_t i = value.size(); i < size; ++i) {
    value += static_cast<char>('a' + (number + figure + i / 7) % 26);
  }
  return value;
}

uint64_t ParseNumber(std::string_view* text, std::string_view key) {
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  size_t used = static_cast<size_t>(end - text->data());
  if (error != std::errc() || used == text->size() || *end != ';') {
    throw Finding("the value of " + std::string(key) + " is not one of ours: " + std::string(text->substr(0, 60)));
  }
  text->remove_prefix(used + 1);
  return number;
}

// The figure in a padded value; the padding is compared if `deep`.
uint64_t ParsePadded(std::string_view key, std::string_view value, bool deep) {
  std::string_view rest = value;
  uint64_t figure = ParseNumber(&rest, key);
  uint64_t number = ParseNumber(&rest, key);
  if (deep && value != Padded(figure, number, value.size())) {
    throw Finding("the value of " + std::string(key) + ", written by transaction " + std::to_string(number) + ", is damaged");
  }
  return figure;
}

void Put(johnny_txn* txn, johnny_table* table, std::string_view key, std::string_view value) {
  MustBeOk(johnny_put(txn, table, key.data(), key.size(), value.data(), value.size(), 0), "put " + std::string(key));
}

uint64_t GetFigure(johnny_txn* txn, johnny_table* table, std::string_view key) {
  johnny_slice value{};
  MustBeOk(johnny_get(txn, table, key.data(), key.size(), &value), "get " + std::string(key));
  return ParsePadded(key, Text(value), true);
}

}  // namespace

void MustBeOk(int code, const std::string& what) {
  if (code != JOHNNY_OK) {
    throw Finding(what + ": " + johnny_strerror(code) + " (" + johnny_last_error_message() + ")");
  }
}

// ---- Writing ----

johnny_table* Ledger::Vault(johnny_txn* txn, uint32_t flags) {
  if (vault_ == nullptr) {
    MustBeOk(johnny_table_open(txn, kVault, flags, &vault_), "open the table");
  }
  return vault_;
}

void Ledger::Create() {
  johnny_txn* txn = nullptr;
  MustBeOk(johnny_begin(env_, 0, &txn), "begin the first transaction");
  johnny_slice ignored{};
  if (johnny_get(txn, nullptr, "mark:00", 7, &ignored) == JOHNNY_OK) {
    MustBeOk(johnny_abort(txn), "abort");
    return;
  }
  Vault(txn, JOHNNY_TABLE_CREATE);
  for (uint64_t i = 0; i < kAccounts; ++i) {
    Put(txn, TableOf(i), AccountKey(i), Padded(i == 0 ? kCoins : 0, 0, 30));
  }
  for (uint64_t i = 0; i < kMarks; ++i) {
    Put(txn, TableOf(i), MarkKey(i), Padded(0, 0, 0));
  }
  Put(txn, nullptr, kFillerCount, Padded(0, 0, 0));
  Put(txn, vault_, kFillerCount, Padded(0, 0, 0));
  MustBeOk(johnny_commit(txn), "commit the first transaction");
}

void Ledger::Transfer(johnny_txn* txn, uint64_t number, bool poisoned, Random* random) {
  uint64_t from = Below(random, kAccounts), to = Below(random, kAccounts);
  uint64_t has = GetFigure(txn, TableOf(from), AccountKey(from));
  uint64_t moved = Below(random, has + 1);
  size_t size = Below(random, 10) == 0 ? Below(random, 900) : Below(random, 80);
  Put(txn, TableOf(from), AccountKey(from), Padded(has - moved, number, size));
  uint64_t other = GetFigure(txn, TableOf(to), AccountKey(to));
  Put(txn, TableOf(to), AccountKey(to), Padded(other + moved + (poisoned ? 1000000 : 0), number, Below(random, 80)));
}

// Deletes and inserts fillers by turns, now more of these, now more of those, so that pages split, merge and become free.
void Ledger::ChangeFillers(johnny_txn* txn, johnny_table* table, uint64_t number, uint64_t changes, Random* random) {
  uint64_t count = GetFigure(txn, table, kFillerCount);
  bool shrink = number / 64 % 2 == 1;
  uint64_t first = Below(random, kFillers);
  bool neighbours = OneIn(random, 2);
  for (uint64_t i = 0; i < changes; ++i) {
    std::string key = Numbered("fill:", neighbours ? (first + i) % kFillers : Below(random, kFillers), 6);
    bool there = johnny_exists(txn, table, key.data(), key.size()) == JOHNNY_OK;
    if (there && Below(random, 4) < (shrink ? 3u : 1u)) {
      MustBeOk(johnny_delete(txn, table, key.data(), key.size()), "delete " + key);
      --count;
    } else {
      size_t size = OneIn(random, 50) ? Below(random, 1500) : Below(random, 120);
      Put(txn, table, key, Padded(i, number, size));
      count += there ? 0 : 1;
    }
  }
  Put(txn, table, kFillerCount, Padded(count, number, 0));
}

void Ledger::ChangeLarge(johnny_txn* txn, johnny_table* table, uint64_t number, Random* random) {
  std::string key = Numbered("large:", Below(random, kLarge), 2);
  if (OneIn(random, 4)) {
    int code = johnny_delete(txn, table, key.data(), key.size());
    if (code != JOHNNY_NOT_FOUND) {
      MustBeOk(code, "delete " + key);
    }
    return;
  }
  Put(txn, table, key, Padded(1, number, kLargeSize + Below(random, 20000)));
}

void Ledger::Change(johnny_txn* txn, uint64_t number, bool poisoned, Lie lie, Random* random) {
  Vault(txn, 0);
  bool big = OneIn(random, 60);
  for (uint64_t i = 1 + Below(random, 4); i > 0; --i) {
    Transfer(txn, number, poisoned, random);
  }
  johnny_table* table = OneIn(random, 2) ? nullptr : vault_;
  if (OneIn(random, 12)) {
    ChangeLarge(txn, table, number, random);
  }
  if (big || OneIn(random, 2)) {
    ChangeFillers(txn, table, number, big ? 300 + Below(random, 1500) : 1 + Below(random, 40), random);
  }
  uint64_t marks = poisoned ? Below(random, kMarks) : kMarks;
  for (uint64_t i = 0; i < marks; ++i) {
    if (lie != Lie::kMark || i != 7) {
      Put(txn, TableOf(i), MarkKey(i), Padded(0, number, 0));
    }
  }
  if (lie == Lie::kCoin) {
    Put(txn, nullptr, AccountKey(0), Padded(GetFigure(txn, nullptr, AccountKey(0)) + 1, number, 20));
  }
}

// ---- Checking ----

struct Ledger::Half {
  uint64_t coins = 0, accounts = 0, fillers = 0, stored_fillers = 0;
  std::vector<uint64_t> marks;
};

void Ledger::CheckHalf(johnny_txn* txn, johnny_table* table, bool deep, Half* half) {
  johnny_cursor* cursor = nullptr;
  MustBeOk(johnny_cursor_open(txn, table, &cursor), "open a cursor");
  johnny_slice key{}, value{};
  std::string last;
  int code;
  try {
    for (const char* prefix : {"acct:", "fill", "large:", "mark:"}) {
      if (!deep && (prefix[0] == 'l' || prefix[0] == 'f')) {
        continue;
      }
      MustBeOk(johnny_cursor_set_prefix(cursor, prefix, std::strlen(prefix)), "set the prefix");
      while ((code = johnny_cursor_next(cursor, &key, &value)) == JOHNNY_OK) {
        std::string_view name = Text(key);
        if (name <= last) {
          throw Finding("key " + std::string(name) + " follows " + last);
        }
        last = name;
        std::string_view rest = Text(value);
        uint64_t figure = ParsePadded(name, rest, deep);
        if (StartsWith(name, "acct:")) {
          half->coins += figure;
          ++half->accounts;
        } else if (StartsWith(name, "mark:")) {
          ParseNumber(&rest, name);
          half->marks.push_back(ParseNumber(&rest, name));
        } else if (StartsWith(name, "fill:")) {
          ++half->fillers;
        }
      }
      if (code != JOHNNY_NOT_FOUND) {
        MustBeOk(code, "scan of " + std::string(prefix));
      }
    }
  } catch (...) {
    johnny_cursor_close(cursor);
    throw;
  }
  johnny_cursor_close(cursor);
  johnny_slice from{"fill:", 5}, to{"fill;", 5};
  uint64_t counted = 0;
  MustBeOk(johnny_count(txn, table, &from, &to, &counted), "count");
  half->stored_fillers = GetFigure(txn, table, kFillerCount);
  if (counted != half->stored_fillers || (deep && counted != half->fillers)) {
    throw Finding(std::to_string(half->stored_fillers) + " fillers are on record, the tree counts " + std::to_string(counted) +
                  (deep ? " and a scan " + std::to_string(half->fillers) : ""));
  }
}

uint64_t Ledger::Check(johnny_txn* txn, bool deep) {
  Vault(txn, 0);
  Half half;
  std::string snapshot = "snapshot " + std::to_string(johnny_txn_id(txn)) + ": ";
  try {
    CheckHalf(txn, nullptr, deep, &half);
    half.fillers = 0;
    CheckHalf(txn, vault_, deep, &half);
  } catch (const Finding& finding) {
    throw Finding(snapshot + finding.what());
  }
  if (half.coins != kCoins || half.accounts != kAccounts) {
    throw Finding(snapshot + std::to_string(half.coins) + " coins in " + std::to_string(half.accounts) + " accounts");
  }
  auto [least, most] = std::minmax_element(half.marks.begin(), half.marks.end());
  if (half.marks.size() != kMarks || *least != *most) {
    std::string marks;
    for (uint64_t mark : half.marks) {
      marks += " " + std::to_string(mark);
    }
    throw Finding(snapshot + "the marks are" + marks);
  }
  return *least;
}

}  // namespace johnny::test
