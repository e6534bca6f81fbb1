// Runs commands against a database and a std::map per snapshot, and compares after each.
//
// Semantics the model fixes where johnny.h leaves room: a cursor is a key (an entry that was deleted and put again under its key
// is current again); "past the last" and "before the first" are positions of their own, whatever is put there later.
#ifndef JOHNNY_TEST_MODEL_HARNESS_H_
#define JOHNNY_TEST_MODEL_HARNESS_H_

#include <memory>

#include "model/op.h"
#include "support/bulk.h"

namespace johnny::test {

// All tables of one snapshot; "" is the main table.
using State = std::map<std::string, Contents>;
// What is under the names of named snapshots.
using Named = std::map<std::string, std::shared_ptr<State>>;

class Harness {
 public:
  // `system` null: the real one.
  Harness(const std::string& path, const johnny_options& options, os::System* system = nullptr);
  void Run(const Op& op);
  // Commits what is open and compares everything once more, after reopening too.
  void Finish();

 private:
  enum class Where { kNowhere, kAt, kBefore, kAfter };

  struct CursorModel {
    Cursor cursor;
    std::string table;
    Where where = Where::kNowhere;
    std::string key;
    std::optional<std::string> from, to;
  };

  struct BuilderModel {
    Builder builder;
    std::string table;
    bool replace = false;
    Contents contents;
  };

  // A live transaction with what it should see. Cursors and builders come last: they are closed before the transaction ends.
  struct Context {
    bool writes = false;
    bool reset = false;
    bool on_named = false;
    Txn txn;
    std::shared_ptr<State> state;
    std::shared_ptr<State> base;  // the writer's: what it began with
    std::optional<Named> named;   // nullopt: not to be compared
    std::vector<CursorModel> cursors;
    std::vector<BuilderModel> builders;
  };

  using Range = std::pair<Contents::const_iterator, Contents::const_iterator>;

  Context* Writer();            // the innermost one, begun if need be
  Context* Any(uint32_t n);     // the writer (begun if need be) or a reader that is not reset
  Context* Reader(uint32_t n);  // null: there is none
  CursorModel* AnyCursor(Context* context, uint32_t n);
  johnny_table* Handle(Context* context, const std::string& name);
  std::string AnyTable(const Context& context, uint32_t n) const;
  std::string AnyKey(const Contents& contents, uint32_t n) const;
  static Range RangeOf(const CursorModel& cursor, const Contents& contents);

  void Put(const Op& op);
  void PutMany(const Op& op);
  void Delete(Context* context, const std::string& table, const std::string& key);
  void DeleteMany(const Op& op);
  void Get(const Op& op);
  void Count(const Op& op);
  void Rank(const Op& op);
  void Nth(const Op& op);

  void CursorOpen(const Op& op);
  void CursorRange(const Op& op);
  void CursorOp(const Op& op);
  static std::optional<Entry> Step(CursorModel* cursor, const Contents& contents, bool forwards, bool relative);
  void Move(Context* context, CursorModel* cursor, uint32_t movement);
  void Seek(Context* context, CursorModel* cursor, uint32_t key, uint32_t mode);
  void CursorGet(Context* context, CursorModel* cursor);
  void CursorChange(Context* context, CursorModel* cursor, const Op& op);

  std::string SmallerValue(uint32_t code, size_t key_size) const;
  void GetSeveral(const Op& op);
  void CursorMany(Context* context, CursorModel* cursor, const Op& op);
  void Split(const Op& op);
  void Batch(const Op& op);
  void BuilderOpen(const Op& op);
  void BuilderOp(const Op& op);

  void TableCreate(const Op& op);
  void TableClear(const Op& op);
  void TableDrop(const Op& op);
  void TableRename(const Op& op);

  void NamedCreate(const Op& op);
  void NamedDelete(const Op& op);
  void NamedOpen(const Op& op);
  static void CheckNames(const Context& context);
  void CheckNamed(const Env& env);

  void NestedBegin();
  void NestedEnd(bool commit);
  void CheckPaused();
  bool HasCursors(const std::string& table) const;

  void BeginRead();
  void EndRead(uint32_t n);
  void Reset(uint32_t n);
  void Renew(uint32_t n);
  void Check(Context* context);
  void EndWriter(bool commit, uint32_t durability);
  void Kill(uint32_t n);
  void Reopen();
  void CheckNewest(const Env& env);

  static void CheckTable(const Txn& txn, johnny_table* table, const Contents& contents);

  os::System* const system_;
  std::string path_;
  johnny_options options_;
  size_t key_limit_ = 0;
  std::shared_ptr<State> newest_ = std::make_shared<State>(State{{"", {}}});
  Named named_;  // of the newest snapshot
  Env env_;
  std::vector<std::unique_ptr<Context>> outer_;  // of writer_, when that is nested; the outermost first
  std::unique_ptr<Context> writer_;
  std::vector<std::unique_ptr<Context>> readers_;
};

}  // namespace johnny::test

#endif  // JOHNNY_TEST_MODEL_HARNESS_H_
