#include <algorithm>
#include <iterator>

#include "model/harness.h"

namespace johnny::test {

void Harness::CursorOpen(const Op& op) {
  Context* context = Any(op.c);
  if (context->cursors.size() >= 8) {
    context->cursors.erase(context->cursors.begin() + op.a % 8);
  }
  CursorModel cursor;
  cursor.table = AnyTable(*context, op.b);
  RC_ASSERT(cursor.cursor.Open(context->txn, Handle(context, cursor.table)) == JOHNNY_OK);
  context->cursors.push_back(std::move(cursor));
  Seek(context, &context->cursors.back(), op.a, JOHNNY_SEEK_AT_OR_AFTER);
}

void Harness::CursorOp(const Op& op) {
  Context* context = Any(op.c);
  CursorModel* cursor = AnyCursor(context, op.c / 2);
  if (cursor == nullptr) {
    return CursorOpen(op);
  }
  switch (op.kind) {
    case Kind::kCursorClose:
      context->cursors.erase(context->cursors.begin() + (cursor - context->cursors.data()));
      return;
    case Kind::kCursorRange: {
      const Contents& contents = context->state->at(cursor->table);
      cursor->where = Where::kNowhere;
      cursor->from = op.a % 4 == 0 ? std::nullopt : std::optional(AnyKey(contents, op.a / 4));
      if (op.b % 4 == 1 && cursor->from) {
        std::string prefix = cursor->from->substr(0, op.b / 4 % 8);
        cursor->from = prefix;
        while (!prefix.empty() && prefix.back() == '\xff') {
          prefix.pop_back();
        }
        cursor->to = std::nullopt;
        if (!prefix.empty()) {
          prefix.back() = static_cast<char>(prefix.back() + 1);
          cursor->to = prefix;
        }
        RC_ASSERT(cursor->cursor.SetPrefix(*cursor->from) == JOHNNY_OK);
      } else {
        cursor->to = op.b % 4 == 0 ? std::nullopt : std::optional(AnyKey(contents, op.b / 4));
        RC_ASSERT(cursor->cursor.SetRange(cursor->from, cursor->to) == JOHNNY_OK);
      }
      return;
    }
    case Kind::kCursorMove:
      return Move(context, cursor, op.a);
    case Kind::kCursorWalk:
      for (uint32_t i = 0; i < op.b % 100; ++i) {
        Move(context, cursor, 2 + op.a % 2);
      }
      return;
    case Kind::kCursorMany:
      return CursorMany(context, cursor, op);
    case Kind::kCursorSeek:
      return Seek(context, cursor, op.a, op.b % 3);
    case Kind::kCursorGet:
      return CursorGet(context, cursor);
    default:
      return CursorChange(context, cursor, op);
  }
}

// Moves the model; the entry it arrives at, if there is one.
std::optional<Entry> Harness::Step(CursorModel* cursor, const Contents& contents, bool forwards, bool relative) {
  Range range = RangeOf(*cursor, contents);
  auto target = range.second;  // the end: no such entry
  if (range.first != range.second) {
    auto last = std::prev(range.second);
    if (!relative || cursor->where == Where::kNowhere) {
      target = forwards ? range.first : last;
    } else if (cursor->where == Where::kBefore) {
      target = forwards ? range.first : range.second;
    } else if (cursor->where == Where::kAfter) {
      target = forwards ? range.second : last;
    } else if (forwards) {
      target = contents.upper_bound(cursor->key);
    } else {
      auto at = contents.lower_bound(cursor->key);
      target = at == range.first ? range.second : std::prev(at);
    }
  }
  if (target != range.second) {
    cursor->where = Where::kAt;
    cursor->key = target->first;
    return Entry(*target);
  }
  if (relative && cursor->where != Where::kNowhere) {
    cursor->where = forwards ? Where::kAfter : Where::kBefore;
  }
  return std::nullopt;
}

// 0: first, 1: last, even: next, odd: prev.
void Harness::Move(Context* context, CursorModel* cursor, uint32_t movement) {
  bool forwards = movement % 2 == 0;
  bool relative = movement % 16 >= 2;
  std::optional<Entry> expected = Step(cursor, context->state->at(cursor->table), forwards, relative);
  Entry entry;
  Result result = relative   ? forwards ? cursor->cursor.Next(&entry) : cursor->cursor.Prev(&entry)
                    : forwards ? cursor->cursor.First(&entry)
                             : cursor->cursor.Last(&entry);
  RC_ASSERT(result == (expected ? JOHNNY_OK : JOHNNY_NOT_FOUND));
  RC_ASSERT((!expected || entry == *expected));
}

void Harness::Seek(Context* context, CursorModel* cursor, uint32_t code, uint32_t mode) {
  const Contents& contents = context->state->at(cursor->table);
  Range range = RangeOf(*cursor, contents);
  std::string key = AnyKey(contents, code);
  auto target = range.second;
  for (auto at = range.first; at != range.second; ++at) {
    if (mode == JOHNNY_SEEK_AT_OR_BEFORE ? at->first <= key : mode == JOHNNY_SEEK_EXACT ? at->first == key : at->first >= key) {
      target = at;
      if (mode != JOHNNY_SEEK_AT_OR_BEFORE) {
        break;
      }
    } else if (target != range.second) {
      break;
    }
  }
  Entry entry;
  Result result = cursor->cursor.Seek(key, mode, &entry);
  bool found = target != range.second;
  RC_ASSERT(result == (found ? JOHNNY_OK : JOHNNY_NOT_FOUND));
  cursor->where = found ? Where::kAt : Where::kNowhere;
  if (found) {
    RC_ASSERT(entry == Entry(*target));
    cursor->key = target->first;
  }
}

void Harness::CursorGet(Context* context, CursorModel* cursor) {
  const Contents& contents = context->state->at(cursor->table);
  Entry entry;
  Result result = cursor->cursor.Get(&entry);
  if (cursor->where != Where::kAt) {
    RC_ASSERT(result == JOHNNY_NOT_POSITIONED);
  } else if (contents.count(cursor->key) == 0) {
    RC_ASSERT(result == JOHNNY_NOT_FOUND);
  } else {
    RC_ASSERT(result == JOHNNY_OK);
    RC_ASSERT(entry == Entry(*contents.find(cursor->key)));
  }
}

void Harness::CursorChange(Context* context, CursorModel* cursor, const Op& op) {
  bool puts = op.kind == Kind::kCursorPut;
  std::string value = ValueOf(op.a, options_.page_size, cursor->key.size());
  Result result = puts ? cursor->cursor.Put(value) : cursor->cursor.Delete();
  if (!context->writes) {
    RC_ASSERT(result == JOHNNY_READ_ONLY_TXN);
    return;
  }
  Contents& contents = (*context->state)[cursor->table];
  if (cursor->where != Where::kAt) {
    RC_ASSERT(result == JOHNNY_NOT_POSITIONED);
  } else if (contents.count(cursor->key) == 0) {
    RC_ASSERT(result == JOHNNY_NOT_FOUND);
  } else {
    RC_ASSERT(result == JOHNNY_OK);
    if (puts) {
      contents[cursor->key] = value;
    } else {
      contents.erase(cursor->key);
    }
  }
}

}  // namespace johnny::test
