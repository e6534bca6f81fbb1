// The commands about nested transactions.
#include <algorithm>

#include "model/harness.h"

namespace johnny::test {
namespace {

constexpr size_t kMostNested = 4;

}  // namespace

void Harness::NestedBegin() {
  if (outer_.size() == kMostNested) {
    return NestedEnd(true);
  }
  Context* outer = Writer();
  auto inner = std::make_unique<Context>();
  if (!outer->builders.empty()) {
    RC_ASSERT(inner->txn.BeginIn(outer->txn) == JOHNNY_IN_USE);
    outer->builders.clear();
  }
  RC_ASSERT(inner->txn.BeginIn(outer->txn) == JOHNNY_OK);
  inner->writes = true;
  inner->state = std::make_shared<State>(*outer->state);
  inner->base = outer->base;
  inner->named = outer->named;
  outer_.push_back(std::move(writer_));
  writer_ = std::move(inner);
  RC_ASSERT(writer_->txn.Info().depth == outer_.size());
  CheckPaused();
}

// The transactions around the innermost one can only wait.
void Harness::CheckPaused() {
  for (const auto& outer : outer_) {
    std::string value;
    RC_ASSERT(outer->txn.Put("k", "v") == JOHNNY_IN_USE);
    RC_ASSERT(outer->txn.Get("k", &value) == JOHNNY_IN_USE);
    for (CursorModel& cursor : outer->cursors) {
      RC_ASSERT(cursor.cursor.Next() == JOHNNY_IN_USE);
    }
  }
}

void Harness::NestedEnd(bool commit) {
  if (outer_.empty()) {
    return;
  }
  std::unique_ptr<Context> inner = std::move(writer_);
  writer_ = std::move(outer_.back());
  outer_.pop_back();
  if (commit) {
    RC_ASSERT(inner->txn.Commit() == JOHNNY_OK);
    writer_->state = inner->state;
    writer_->named = inner->named;
  } else {
    RC_ASSERT(inner->txn.Abort() == JOHNNY_OK);
  }
  for (CursorModel& cursor : inner->cursors) {
    RC_ASSERT(cursor.cursor.Next() == JOHNNY_TXN_ENDED);
  }
  for (BuilderModel& builder : inner->builders) {
    RC_ASSERT(builder.builder.Finish() == JOHNNY_TXN_ENDED);
  }
  inner = nullptr;
  Check(writer_.get());
}

bool Harness::HasCursors(const std::string& table) const {
  auto has = [&](const std::unique_ptr<Context>& context) {
    return std::any_of(context->cursors.begin(), context->cursors.end(),
                       [&](const CursorModel& cursor) { return cursor.table == table; });
  };
  return has(writer_) || std::any_of(outer_.begin(), outer_.end(), has);
}

}  // namespace johnny::test
