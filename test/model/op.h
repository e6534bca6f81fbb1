// The commands of the state machine, and the keys and values they use: small numbers that shrink well, mapped to byte
// strings that are hard on the tree.
#ifndef JOHNNY_TEST_MODEL_OP_H_
#define JOHNNY_TEST_MODEL_OP_H_

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "support/test_db.h"

namespace johnny::test {

enum class Kind {
  kPut,
  kPutMany,
  kDelete,
  kDeleteMany,
  kGet,
  kCount,
  kRank,
  kNth,
  kCursorOpen,
  kCursorClose,
  kCursorRange,
  kCursorMove,
  kCursorSeek,
  kCursorGet,
  kCursorPut,
  kCursorDelete,
  kCursorWalk,
  kTableCreate,
  kTableClear,
  kTableDrop,
  kTableRename,
  kBeginRead,
  kEndRead,
  kReset,
  kRenew,
  kCheck,
  kCommit,
  kAbort,
  kSync,
  kKill,
  kReopen,
  kNamedCreate,
  kNamedDelete,
  kNamedOpen,
  kNestedBegin,
  kNestedEnd,
  kGetMany,
  kSplit,
  kCursorMany,
  kBatch,
  kBuilderOpen,
  kBuilderAdd,
  kBuilderEnd,
};

// What a, b and c mean is up to the kind; each is taken modulo what there is to choose from.
struct Op {
  Kind kind = Kind::kPut;
  uint32_t a = 0;
  uint32_t b = 0;
  uint32_t c = 0;
};

inline std::ostream& operator<<(std::ostream& out, const Op& op) {
  static const char* const kNames[] = {
      "Put",         "PutMany",     "Delete",      "DeleteMany", "Get",         "Count",     "Rank",       "Nth",
      "CursorOpen",  "CursorClose", "CursorRange", "CursorMove", "CursorSeek",  "CursorGet", "CursorPut",  "CursorDelete",
      "CursorWalk",  "TableCreate", "TableClear",  "TableDrop",  "TableRename", "BeginRead", "EndRead",    "Reset",
      "Renew",       "Check",       "Commit",      "Abort",      "Sync",        "Kill",      "Reopen",     "NamedCreate",
      "NamedDelete", "NamedOpen",   "NestedBegin", "NestedEnd",  "GetMany",     "Split",     "CursorMany", "Batch",
      "BuilderOpen", "BuilderAdd",  "BuilderEnd"};
  return out << kNames[static_cast<int>(op.kind)] << "(" << op.a << ", " << op.b << ", " << op.c << ")";
}

// Keys of several families: short ones, long shared prefixes, equal heads (first four bytes behind the page's prefix), chains
// of prefixes, embedded zeros, the empty key, keys at the limit.
inline std::string KeyOf(uint32_t code, size_t limit) {
  uint32_t family = code % 8;
  uint32_t n = code / 8;
  std::string number = std::to_string(n % 5000);
  switch (family) {
    case 0:
      return NumberedKey(n % 5000, 4);
    case 1:
      return std::string(limit / 2, 'p') + number;
    case 2:
      return "headHEAD" + std::string(1 + n % 5, static_cast<char>(n % 3)) + number;
    case 3: {
      std::string bytes;
      for (uint32_t rest = n % 5000; rest != 0; rest /= 3) {
        bytes.push_back("\0\1\xff"[rest % 3]);
      }
      return bytes;  // n = 0: the empty key
    }
    case 4:
      return std::string(n % 40, n % 2 == 0 ? 'a' : '\0');
    case 5: {
      std::string key(limit, static_cast<char>('k' + n % 2));
      return key.replace(limit - number.size(), number.size(), number);
    }
    case 6: {
      std::string key(limit - n % 3, 'z');
      return key.replace(0, number.size(), number);
    }
    default:
      return number + std::string(n % 60, 'x') + number;
  }
}

// Values from nothing to several pages, most of them small, many at the boundaries.
inline std::string ValueOf(uint32_t code, size_t page_size, size_t key_size) {
  uint32_t n = code / 16;
  size_t inline_limit = (page_size - 32) / 2 - 10 - key_size;
  switch (code % 16) {
    case 0:
      return "";
    case 1:
      return Pattern(inline_limit - 2 + n % 5, n);
    case 2:
      return Pattern(page_size * (1 + n % 4) - 2 + n % 5, n);
    case 3:
      return Pattern(page_size / 4 - 2 + n % 5, n);
    case 4:
      return n % 16 == 0 ? Pattern(256 * 1024 - 1 + n % 3, n) : Pattern(n % 2000, n);
    case 5:
    case 6:
    case 7:
      return Pattern(100, n);
    default:
      return Pattern(n % 40, n);
  }
}

inline rc::Gen<std::vector<Op>> OpLists() {
  auto kinds = rc::gen::weightedElement<Kind>(
      {{20, Kind::kPut},        {8, Kind::kPutMany},     {10, Kind::kDelete},     {5, Kind::kDeleteMany},
       {6, Kind::kGet},         {3, Kind::kCount},       {3, Kind::kRank},        {3, Kind::kNth},
       {6, Kind::kCursorOpen},  {1, Kind::kCursorClose}, {2, Kind::kCursorRange}, {14, Kind::kCursorMove},
       {6, Kind::kCursorSeek},  {4, Kind::kCursorGet},   {5, Kind::kCursorPut},   {6, Kind::kCursorDelete},
       {3, Kind::kCursorWalk},  {3, Kind::kTableCreate}, {1, Kind::kTableClear},  {1, Kind::kTableDrop},
       {1, Kind::kTableRename}, {4, Kind::kBeginRead},   {2, Kind::kEndRead},     {1, Kind::kReset},
       {2, Kind::kRenew},       {3, Kind::kCheck},       {7, Kind::kCommit},      {2, Kind::kAbort},
       {1, Kind::kSync},        {1, Kind::kKill},        {1, Kind::kReopen},      {2, Kind::kNamedCreate},
       {1, Kind::kNamedDelete}, {2, Kind::kNamedOpen},   {6, Kind::kNestedBegin}, {5, Kind::kNestedEnd},
       {3, Kind::kGetMany},     {2, Kind::kSplit},       {6, Kind::kCursorMany},  {6, Kind::kBatch},
       {2, Kind::kBuilderOpen}, {5, Kind::kBuilderAdd},  {3, Kind::kBuilderEnd}});
  auto number = rc::gen::inRange<uint32_t>(0, 1u << 20);
  auto op =
      rc::gen::map(rc::gen::tuple(kinds, number, number, number), [](const std::tuple<Kind, uint32_t, uint32_t, uint32_t>& t) {
        return Op{std::get<0>(t), std::get<1>(t), std::get<2>(t), std::get<3>(t)};
      });
  return rc::gen::scale(4.0, rc::gen::container<std::vector<Op>>(op));
}

}  // namespace johnny::test

#endif  // JOHNNY_TEST_MODEL_OP_H_
