// The commands about many entries at a time.
#include <algorithm>
#include <iterator>

#include "model/harness.h"

namespace johnny::test {
namespace {

constexpr size_t kMostBuilders = 3;
constexpr size_t kLongest = 20000;  // of a value; more takes time and finds nothing else

}  // namespace

// A value of a command that makes many.
std::string Harness::SmallerValue(uint32_t code, size_t key_size) const {
  std::string value = ValueOf(code, options_.page_size, key_size);
  value.resize(value.size() > kLongest ? value.size() / 16 : value.size());
  return value;
}

void Harness::GetSeveral(const Op& op) {
  Context* context = Any(op.c);
  std::string name = AnyTable(*context, op.c / 16);
  const Contents& contents = context->state->at(name);
  std::vector<std::string> keys;
  for (uint32_t i = 0; i < op.b % 200; ++i) {
    keys.push_back(AnyKey(contents, op.a + i * 7919));
  }
  Values values;
  size_t found = 0;
  RC_ASSERT(GetMany(context->txn, keys, &values, &found, Handle(context, name)) == JOHNNY_OK);
  for (size_t i = 0; i < keys.size(); ++i) {
    auto expected = contents.find(keys[i]);
    RC_ASSERT(values[i].has_value() == (expected != contents.end()));
    RC_ASSERT((!values[i] || *values[i] == expected->second));
    found -= values[i] ? 1 : 0;
  }
  RC_ASSERT(found == 0u);
}

void Harness::CursorMany(Context* context, CursorModel* cursor, const Op& op) {
  const Contents& contents = context->state->at(cursor->table);
  bool forwards = op.a % 2 == 0;
  size_t limit = 1 + op.b % 300;
  std::vector<Entry> expected;
  while (expected.size() < limit) {
    std::optional<Entry> entry = Step(cursor, contents, forwards, /*relative=*/true);
    if (!entry) {
      break;
    }
    expected.push_back(std::move(*entry));
  }
  std::vector<Entry> entries;
  Result result = MoveMany(cursor->cursor, forwards, limit, &entries);
  RC_ASSERT(result == (expected.empty() ? JOHNNY_NOT_FOUND : JOHNNY_OK));
  RC_ASSERT(entries == expected);
}

void Harness::Split(const Op& op) {
  Context* context = Any(op.c);
  std::string name = AnyTable(*context, op.c / 16);
  const Contents& contents = context->state->at(name);
  CursorModel range;
  if (op.a % 5 != 0) {
    range.from = AnyKey(contents, op.a);
  }
  if (op.b % 5 != 0) {
    range.to = AnyKey(contents, op.b);
  }
  auto [begin, end] = RangeOf(range, contents);
  auto size = static_cast<size_t>(std::distance(begin, end));
  size_t parts = 1 + op.a % 40;
  std::vector<std::string> bounds;
  RC_ASSERT(SplitRange(context->txn, range.from, range.to, parts, &bounds, Handle(context, name)) == JOHNNY_OK);
  size_t filled = std::min(parts, size);
  RC_ASSERT(bounds.size() == (size == 0 ? 0 : filled - 1));
  for (const std::string& bound : bounds) {
    auto next = contents.find(bound);
    RC_ASSERT(next != contents.end());
    auto part = static_cast<size_t>(std::distance(begin, next));
    RC_ASSERT((part == size / filled || part == size / filled + 1));
    begin = next;
  }
  auto rest = static_cast<size_t>(std::distance(begin, end));
  RC_ASSERT((size == 0 || rest == size / filled || rest == size / filled + 1));
}

void Harness::Batch(const Op& op) {
  Context* writer = Writer();
  std::string name = AnyTable(*writer, op.c);
  Contents& contents = (*writer->state)[name];
  std::vector<Change> changes;
  for (uint32_t i = 0; i < op.b % 200; ++i) {
    Change change{AnyKey(contents, op.a + i * (op.c / 16 % 2 == 0 ? 16u : 7919u)), std::nullopt};
    if ((op.a + i) % 3 != 0) {
      change.value = SmallerValue(op.b + i * 7, change.key.size());
    }
    changes.push_back(std::move(change));
  }
  RC_ASSERT(WriteBatch(writer->txn, changes, Handle(writer, name)) == JOHNNY_OK);
  for (const Change& change : changes) {
    contents.erase(change.key);
    if (change.value) {
      contents[change.key] = *change.value;
    }
  }
}

// ---- Builders ----

void Harness::BuilderOpen(const Op& op) {
  Context* writer = Writer();
  if (writer->builders.size() == kMostBuilders) {
    writer->builders.erase(writer->builders.begin() + op.a % kMostBuilders);
  }
  BuilderModel model;
  model.table = AnyTable(*writer, op.c);
  model.replace = op.a % 4 != 0;
  uint32_t fill = op.b % 4 == 0 ? 0 : 50 + op.b / 4 % 51;
  Result result = model.builder.Open(writer->txn, Handle(writer, model.table), model.replace ? JOHNNY_BUILD_REPLACE : 0, fill);
  if (!model.replace && !writer->state->at(model.table).empty()) {
    RC_ASSERT(result == JOHNNY_EXISTS);
    return;
  }
  RC_ASSERT(result == JOHNNY_OK);
  writer->builders.push_back(std::move(model));
}

void Harness::BuilderOp(const Op& op) {
  Context* writer = Writer();
  if (writer->builders.empty()) {
    return BuilderOpen(op);
  }
  auto at = writer->builders.begin() + static_cast<ptrdiff_t>(op.c % writer->builders.size());
  if (op.kind == Kind::kBuilderAdd) {
    Contents next;
    for (uint32_t i = 0; i < op.b % 200; ++i) {
      std::string key = KeyOf(op.a + i * 8, key_limit_);
      next[key] = SmallerValue(op.b + i * 7, key.size());
    }
    for (const auto& [key, value] : next) {
      bool ascends = at->contents.empty() || at->contents.rbegin()->first < key;
      RC_ASSERT(at->builder.Add(key, value) == (ascends ? JOHNNY_OK : JOHNNY_NOT_ASCENDING));
      if (ascends) {
        at->contents.emplace_hint(at->contents.end(), key, value);
      }
    }
    return;
  }
  auto state = writer->state->find(at->table);
  if (op.a % 4 != 0) {
    Result result = at->builder.Finish();
    if (state == writer->state->end()) {
      RC_ASSERT(result == JOHNNY_NO_TABLE);
    } else if (!at->replace && !state->second.empty()) {
      RC_ASSERT(result == JOHNNY_EXISTS);
      return;
    } else {
      RC_ASSERT(result == JOHNNY_OK);
      state->second = std::move(at->contents);
    }
  }
  writer->builders.erase(at);
}

}  // namespace johnny::test
