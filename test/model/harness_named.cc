// The commands about named snapshots.
#include "model/harness.h"

namespace johnny::test {
namespace {

std::string NameOf(uint32_t n) { return n % 4 == 3 ? "t" : std::string("named ") + static_cast<char>('a' + n % 4); }

}  // namespace

void Harness::NamedCreate(const Op& op) {
  Context* writer = Writer();
  std::string name = NameOf(op.a);
  Result result = writer->txn.CreateSnapshot(name);
  if (writer->named->count(name) > 0) {
    RC_ASSERT(result == JOHNNY_EXISTS);
    return;
  }
  RC_ASSERT(result == JOHNNY_OK);
  writer->named->emplace(name, writer->base);
}

void Harness::NamedDelete(const Op& op) {
  Context* writer = Writer();
  std::string name = NameOf(op.a);
  Result result = writer->txn.DeleteSnapshot(name);
  RC_ASSERT(result == (writer->named->erase(name) > 0 ? JOHNNY_OK : JOHNNY_NO_SNAPSHOT));
}

// A reader like any other from then on.
void Harness::NamedOpen(const Op& op) {
  if (readers_.size() >= 6) {
    return EndRead(op.b);
  }
  auto reader = std::make_unique<Context>();
  std::string name = NameOf(op.a);
  Result result = reader->txn.BeginOn(env_, name);
  auto found = named_.find(name);
  if (found == named_.end()) {
    RC_ASSERT(result == JOHNNY_NO_SNAPSHOT);
    return;
  }
  RC_ASSERT(result == JOHNNY_OK);
  reader->on_named = true;
  reader->state = found->second;
  Check(reader.get());
  readers_.push_back(std::move(reader));
}

void Harness::CheckNames(const Context& context) {
  if (!context.named.has_value()) {
    return;
  }
  std::vector<NamedSnapshot> listed = context.txn.Snapshots();
  RC_ASSERT(listed.size() == context.named->size());
  auto expected = context.named->begin();
  for (const NamedSnapshot& snapshot : listed) {
    RC_ASSERT(snapshot.name == expected->first);
    RC_ASSERT(snapshot.info.entries == expected->second->at("").size());
    RC_ASSERT(snapshot.info.tables == expected->second->size() - 1);
    ++expected;
  }
}

void Harness::CheckNamed(const Env& env) {
  for (const auto& [name, state] : named_) {
    Context reader;
    RC_ASSERT(reader.txn.BeginOn(env, name) == JOHNNY_OK);
    reader.state = state;
    Check(&reader);
  }
}

}  // namespace johnny::test
