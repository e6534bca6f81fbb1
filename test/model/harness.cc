#include "model/harness.h"

#include <algorithm>
#include <iterator>

#include "os/os.h"

namespace johnny::test {
namespace {

constexpr const char* kTableNames[] = {"t", "u", "v"};

// Without the zeros that a file of our size ends with, as far as they fill blocks.
Slice WithoutZeros(Slice bytes) {
  constexpr size_t kBlock = 4096;
  static const std::string zeros(kBlock, '\0');
  while (bytes.size() >= kBlock && bytes.substr(bytes.size() - kBlock) == zeros) {
    bytes.remove_suffix(kBlock);
  }
  return bytes;
}

void CopyFile(os::System* system, const std::string& from, const std::string& to) {
  auto source = system->Open(from, os::OpenMode::kReadOnly, 0);
  RC_ASSERT(source.ok());
  static std::string bytes;  // large, and used often
  bytes.resize((*source)->Size().value_or(0));
  RC_ASSERT((*source)->ReadAt(0, bytes.data(), bytes.size()).ok());
  system->Unlink(to).IgnoreError();
  auto target = system->Open(to, os::OpenMode::kCreateNew, 0644);
  Slice piece = WithoutZeros(bytes);
  RC_ASSERT(target.ok());
  RC_ASSERT((*target)->Resize(bytes.size()).ok());
  RC_ASSERT((*target)->WriteAt(0, absl::MakeConstSpan(&piece, 1)).ok());
}

}  // namespace

Harness::Harness(const std::string& path, const johnny_options& options, os::System* system)
    : system_(system != nullptr ? system : os::PosixSystem()), path_(path), options_(options) {
  RC_ASSERT(env_.Open(system_, path_, options_) == JOHNNY_OK);
  key_limit_ = env_.Info().max_key_size;
}

void Harness::Run(const Op& op) {
  switch (op.kind) {
    case Kind::kPut:
      return Put(op);
    case Kind::kPutMany:
      return PutMany(op);
    case Kind::kDelete: {
      std::string table = AnyTable(*Writer(), op.c);
      return Delete(Writer(), table, AnyKey(Writer()->state->at(table), op.a));
    }
    case Kind::kDeleteMany:
      return DeleteMany(op);
    case Kind::kGet:
      return Get(op);
    case Kind::kCount:
      return Count(op);
    case Kind::kRank:
      return Rank(op);
    case Kind::kNth:
      return Nth(op);
    case Kind::kCursorOpen:
      return CursorOpen(op);
    case Kind::kCursorClose:
    case Kind::kCursorRange:
    case Kind::kCursorMove:
    case Kind::kCursorSeek:
    case Kind::kCursorGet:
    case Kind::kCursorPut:
    case Kind::kCursorDelete:
    case Kind::kCursorWalk:
    case Kind::kCursorMany:
      return CursorOp(op);
    case Kind::kTableCreate:
      return TableCreate(op);
    case Kind::kTableClear:
      return TableClear(op);
    case Kind::kTableDrop:
      return TableDrop(op);
    case Kind::kTableRename:
      return TableRename(op);
    case Kind::kBeginRead:
      return BeginRead();
    case Kind::kEndRead:
      return EndRead(op.a);
    case Kind::kReset:
      return Reset(op.a);
    case Kind::kRenew:
      return Renew(op.a);
    case Kind::kCheck:
      return Check(Any(op.a));
    case Kind::kCommit:
      return EndWriter(true, op.a % 4);
    case Kind::kAbort:
      return EndWriter(false, 0);
    case Kind::kSync:
      RC_ASSERT(env_.Sync() == JOHNNY_OK);
      return;
    case Kind::kKill:
      return Kill(op.a);
    case Kind::kReopen:
      return Reopen();
    case Kind::kNamedCreate:
      return NamedCreate(op);
    case Kind::kNamedDelete:
      return NamedDelete(op);
    case Kind::kNamedOpen:
      return NamedOpen(op);
    case Kind::kNestedBegin:
      return NestedBegin();
    case Kind::kNestedEnd:
      return NestedEnd(op.a % 2 == 0);
    case Kind::kGetMany:
      return GetSeveral(op);
    case Kind::kSplit:
      return Split(op);
    case Kind::kBatch:
      return Batch(op);
    case Kind::kBuilderOpen:
      return BuilderOpen(op);
    case Kind::kBuilderAdd:
    case Kind::kBuilderEnd:
      return BuilderOp(op);
  }
}

void Harness::Finish() {
  for (const auto& reader : readers_) {
    if (!reader->reset) {
      Check(reader.get());
    }
  }
  EndWriter(true, 0);
  Reopen();
}

// ---- Choices ----

Harness::Context* Harness::Writer() {
  if (writer_ == nullptr) {
    auto writer = std::make_unique<Context>();
    RC_ASSERT(writer->txn.Begin(env_) == JOHNNY_OK);
    writer->writes = true;
    writer->state = std::make_shared<State>(*newest_);
    writer->base = newest_;
    writer->named = named_;
    writer_ = std::move(writer);
  }
  return writer_.get();
}

Harness::Context* Harness::Any(uint32_t n) {
  Context* reader = n % 2 == 1 ? Reader(n / 2) : nullptr;
  return reader != nullptr && !reader->reset ? reader : Writer();
}

Harness::Context* Harness::Reader(uint32_t n) { return readers_.empty() ? nullptr : readers_[n % readers_.size()].get(); }

Harness::CursorModel* Harness::AnyCursor(Context* context, uint32_t n) {
  return context->cursors.empty() ? nullptr : &context->cursors[n % context->cursors.size()];
}

// The main table half of the time.
std::string Harness::AnyTable(const Context& context, uint32_t n) const {
  if (n % 2 == 0) {
    return "";
  }
  auto chosen = context.state->begin();
  std::advance(chosen, n / 2 % context.state->size());
  return chosen->first;
}

johnny_table* Harness::Handle(Context* context, const std::string& name) {
  johnny_table* table = nullptr;
  if (!name.empty()) {
    RC_ASSERT(context->txn.OpenTable(name, 0, &table) == JOHNNY_OK);
  }
  return table;
}

// An existing key or one next to it half of the time.
std::string Harness::AnyKey(const Contents& contents, uint32_t n) const {
  if (n % 2 == 0 || contents.empty()) {
    return KeyOf(n / 2, key_limit_);
  }
  auto chosen = contents.begin();
  std::advance(chosen, n / 16 % contents.size());
  std::string key = chosen->first;
  if (n % 8 == 7 && !key.empty()) {
    key.back() = static_cast<char>(key.back() + 1);
  } else if (n % 8 == 5 && key.size() < key_limit_) {
    key.push_back('\0');
  }
  return key;
}

Harness::Range Harness::RangeOf(const CursorModel& cursor, const Contents& contents) {
  if (cursor.from && cursor.to && *cursor.to < *cursor.from) {
    return {contents.end(), contents.end()};
  }
  return {cursor.from ? contents.lower_bound(*cursor.from) : contents.begin(),
          cursor.to ? contents.lower_bound(*cursor.to) : contents.end()};
}

// ---- Entries ----

void Harness::Put(const Op& op) {
  Context* writer = Writer();
  std::string name = AnyTable(*writer, op.c);
  Contents& contents = (*writer->state)[name];
  std::string key = AnyKey(contents, op.a);
  std::string value = ValueOf(op.b, options_.page_size, key.size());
  uint32_t flags = op.c / 16 % 8 < 6 ? 0 : op.c / 16 % 8 == 6 ? uint32_t{JOHNNY_NO_OVERWRITE} : uint32_t{JOHNNY_APPEND};
  Result result = writer->txn.Put(key, value, flags, Handle(writer, name));
  if (flags == JOHNNY_NO_OVERWRITE && contents.count(key) != 0) {
    RC_ASSERT(result == JOHNNY_EXISTS);
  } else if (flags == JOHNNY_APPEND && !contents.empty() && key <= contents.rbegin()->first) {
    RC_ASSERT(result == JOHNNY_NOT_ASCENDING);
  } else {
    RC_ASSERT(result == JOHNNY_OK);
    contents[key] = value;
  }
}

void Harness::PutMany(const Op& op) {
  Context* writer = Writer();
  std::string name = AnyTable(*writer, op.c);
  Contents& contents = (*writer->state)[name];
  johnny_table* table = Handle(writer, name);
  uint32_t step = op.c / 16 % 4 == 0 ? 1 : 8 * (op.c / 64 % 7 + 1);
  for (uint32_t i = 0; i < op.b % 250; ++i) {
    std::string key = KeyOf(op.a + i * step, key_limit_);
    std::string value = ValueOf(op.b + i * 7, options_.page_size, key.size());
    if (value.size() > 4 * options_.page_size) {
      value.resize(value.size() / 16);
    }
    RC_ASSERT(writer->txn.Put(key, value, 0, table) == JOHNNY_OK);
    contents[key] = value;
  }
}

void Harness::Delete(Context* context, const std::string& table, const std::string& key) {
  Result result = context->txn.Delete(key, Handle(context, table));
  bool existed = context->state->at(table).erase(key) == 1;
  RC_ASSERT(result == (existed ? JOHNNY_OK : JOHNNY_NOT_FOUND));
}

// A run of neighbours, so that leaves merge.
void Harness::DeleteMany(const Op& op) {
  Context* writer = Writer();
  std::string name = AnyTable(*writer, op.c);
  Contents& contents = (*writer->state)[name];
  if (contents.empty()) {
    return;
  }
  auto first = contents.begin();
  std::advance(first, op.a % contents.size());
  std::vector<std::string> keys;
  for (uint32_t i = 0; i < op.b % 300 && first != contents.end(); ++i, ++first) {
    keys.push_back(first->first);
  }
  if (op.c / 16 % 2 == 1) {
    std::reverse(keys.begin(), keys.end());
  }
  for (const std::string& key : keys) {
    Delete(writer, name, key);
  }
}

void Harness::Get(const Op& op) {
  Context* context = Any(op.c);
  std::string name = AnyTable(*context, op.c / 16);
  const Contents& contents = context->state->at(name);
  std::string key = AnyKey(contents, op.a);
  std::string value;
  Result result = context->txn.Get(key, &value, Handle(context, name));
  auto expected = contents.find(key);
  RC_ASSERT(result == (expected != contents.end() ? JOHNNY_OK : JOHNNY_NOT_FOUND));
  RC_ASSERT(context->txn.Exists(key, Handle(context, name)) == result.code());
  RC_ASSERT((!result.ok() || value == expected->second));
}

void Harness::Count(const Op& op) {
  Context* context = Any(op.c);
  std::string name = AnyTable(*context, op.c / 16);
  CursorModel bounds;
  const Contents& contents = context->state->at(name);
  if (op.a % 5 != 0) {
    bounds.from = AnyKey(contents, op.a);
  }
  if (op.b % 5 != 0) {
    bounds.to = AnyKey(contents, op.b);
  }
  uint64_t count = 0;
  RC_ASSERT(context->txn.Count(bounds.from, bounds.to, &count, Handle(context, name)) == JOHNNY_OK);
  Range range = RangeOf(bounds, contents);
  RC_ASSERT(count == static_cast<uint64_t>(std::distance(range.first, range.second)));
}

void Harness::Rank(const Op& op) {
  Context* context = Any(op.c);
  std::string name = AnyTable(*context, op.c / 16);
  const Contents& contents = context->state->at(name);
  std::string key = AnyKey(contents, op.a);
  uint64_t rank = 0;
  RC_ASSERT(context->txn.Rank(key, &rank, Handle(context, name)) == JOHNNY_OK);
  RC_ASSERT(rank == static_cast<uint64_t>(std::distance(contents.begin(), contents.lower_bound(key))));
}

void Harness::Nth(const Op& op) {
  Context* context = Any(op.c);
  std::string name = AnyTable(*context, op.c / 16);
  const Contents& contents = context->state->at(name);
  uint64_t n = op.a % (contents.size() + 1);
  Entry entry;
  Result result = context->txn.Nth(n, &entry, Handle(context, name));
  RC_ASSERT(result == (n < contents.size() ? JOHNNY_OK : JOHNNY_NOT_FOUND));
  RC_ASSERT((!result.ok() || entry == Entry(*std::next(contents.begin(), static_cast<ptrdiff_t>(n)))));
}

// ---- Tables ----

void Harness::TableCreate(const Op& op) {
  Context* writer = Writer();
  std::string name = kTableNames[op.a % std::size(kTableNames)];
  johnny_table* table = nullptr;
  RC_ASSERT(writer->txn.OpenTable(name, JOHNNY_TABLE_CREATE, &table) == JOHNNY_OK);
  (*writer->state)[name];
}

void Harness::TableClear(const Op& op) {
  Context* writer = Writer();
  std::string name = AnyTable(*writer, op.a);
  RC_ASSERT(Result(johnny_table_clear(writer->txn.get(), Handle(writer, name))) == JOHNNY_OK);
  (*writer->state)[name].clear();
}

void Harness::TableDrop(const Op& op) {
  Context* writer = Writer();
  std::string name = AnyTable(*writer, op.a);
  Result result = johnny_table_drop(writer->txn.get(), Handle(writer, name));
  bool has_cursors = HasCursors(name);
  if (name.empty()) {
    RC_ASSERT(result == JOHNNY_INVALID_ARGUMENT);
  } else if (has_cursors) {
    RC_ASSERT(result == JOHNNY_IN_USE);
  } else {
    RC_ASSERT(result == JOHNNY_OK);
    writer->state->erase(name);
  }
}

void Harness::TableRename(const Op& op) {
  Context* writer = Writer();
  std::string name = AnyTable(*writer, op.a);
  std::string new_name = kTableNames[op.b % std::size(kTableNames)];
  bool has_cursors = HasCursors(name);
  if (name.empty() || has_cursors || name == new_name) {
    return;
  }
  Result result = johnny_table_rename(writer->txn.get(), Handle(writer, name), new_name.c_str());
  if (writer->state->count(new_name) != 0) {
    RC_ASSERT(result == JOHNNY_EXISTS);
  } else {
    RC_ASSERT(result == JOHNNY_OK);
    auto node = writer->state->extract(name);
    node.key() = new_name;
    writer->state->insert(std::move(node));
  }
}

// ---- Transactions ----

void Harness::BeginRead() {
  if (readers_.size() >= 6) {
    return EndRead(0);
  }
  auto reader = std::make_unique<Context>();
  RC_ASSERT(reader->txn.Begin(env_, JOHNNY_READ) == JOHNNY_OK);
  reader->state = newest_;
  reader->named = named_;
  readers_.push_back(std::move(reader));
}

void Harness::EndRead(uint32_t n) {
  if (Context* reader = Reader(n); reader != nullptr) {
    if (!reader->reset) {
      Check(reader);
    }
    RC_ASSERT((n % 16 < 8 ? reader->txn.Abort() : reader->txn.Commit()) == JOHNNY_OK);
    readers_.erase(readers_.begin() + static_cast<ptrdiff_t>(n % readers_.size()));
  }
}

void Harness::Reset(uint32_t n) {
  if (Context* reader = Reader(n); reader != nullptr) {
    RC_ASSERT(reader->txn.Reset() == (reader->on_named ? JOHNNY_WRONG_TXN : reader->reset ? JOHNNY_TXN_RESET : JOHNNY_OK));
    reader->reset = !reader->on_named;
  }
}

void Harness::Renew(uint32_t n) {
  Context* reader = Reader(n);
  if (reader == nullptr || !reader->reset) {
    return;
  }
  RC_ASSERT(reader->txn.Renew() == JOHNNY_OK);
  reader->reset = false;
  reader->state = newest_;
  reader->named = named_;
  auto gone = [&](const CursorModel& cursor) { return reader->state->count(cursor.table) == 0; };
  reader->cursors.erase(std::remove_if(reader->cursors.begin(), reader->cursors.end(), gone), reader->cursors.end());
  for (CursorModel& cursor : reader->cursors) {
    cursor.where = Where::kNowhere;
  }
}

void Harness::CheckTable(const Txn& txn, johnny_table* table, const Contents& contents) {
  Cursor cursor;
  RC_ASSERT(cursor.Open(txn, table) == JOHNNY_OK);
  auto expected = contents.begin();
  Entry entry;
  Result result = cursor.First(&entry);
  for (; result.ok(); result = cursor.Next(&entry), ++expected) {
    RC_ASSERT(expected != contents.end());
    RC_ASSERT(entry.first == expected->first);
    RC_ASSERT(entry.second == expected->second);
  }
  RC_ASSERT(result == JOHNNY_NOT_FOUND);
  RC_ASSERT(expected == contents.end());
  RC_ASSERT(txn.Entries(table) == contents.size());
}

void Harness::Check(Context* context) {
  std::vector<std::string> names;
  for (const auto& [name, contents] : *context->state) {
    if (!name.empty()) {
      names.push_back(name);
    }
    CheckTable(context->txn, Handle(context, name), contents);
  }
  RC_ASSERT(context->txn.TableNames() == names);
  CheckNames(*context);
}

void Harness::EndWriter(bool commit, uint32_t durability) {
  if (writer_ == nullptr) {
    return;
  }
  outer_.push_back(std::move(writer_));
  Txn& outermost = outer_.front()->txn;
  if (commit) {
    RC_ASSERT(outermost.CommitWith(durability) == JOHNNY_OK);
    newest_ = outer_.back()->state;
    named_ = *outer_.back()->named;
  } else {
    RC_ASSERT(outermost.Abort() == JOHNNY_OK);
  }
  for (; !outer_.empty(); outer_.pop_back()) {
    for (CursorModel& cursor : outer_.back()->cursors) {
      RC_ASSERT(cursor.cursor.Next() == JOHNNY_TXN_ENDED);
    }
    for (BuilderModel& builder : outer_.back()->builders) {
      RC_ASSERT(builder.builder.Finish() == JOHNNY_TXN_ENDED);
    }
    RC_ASSERT(outer_.back()->txn.Put("k", "v") == JOHNNY_TXN_ENDED);
  }
  RC_ASSERT(env_.Findings() == "");
}

void Harness::CheckNewest(const Env& env) {
  Context reader;
  RC_ASSERT(reader.txn.Begin(env, JOHNNY_READ) == JOHNNY_OK);
  reader.state = newest_;
  reader.named = named_;
  Check(&reader);
  CheckNamed(env);
}

// Opens a copy of the file: what a process would find after this one was killed.
void Harness::Kill(uint32_t n) {
  std::string copy = path_ + "-killed";
  CopyFile(system_, path_, copy);
  Env env;
  johnny_options options = options_;
  options.flags = n % 2 == 0 ? 0 : uint32_t{JOHNNY_READ_ONLY};
  RC_ASSERT(env.Open(system_, copy, options) == JOHNNY_OK);
  CheckNewest(env);
  RC_ASSERT(env.Findings() == "");
  RC_ASSERT(env.Close() == JOHNNY_OK);
}

void Harness::Reopen() {
  EndWriter(false, 0);
  while (!readers_.empty()) {
    EndRead(0);
  }
  RC_ASSERT(env_.Close() == JOHNNY_OK);
  RC_ASSERT(env_.Open(system_, path_, options_) == JOHNNY_OK);
  CheckNewest(env_);
  RC_ASSERT(env_.Findings() == "");
}

}  // namespace johnny::test
