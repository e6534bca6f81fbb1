// Puts that follow each other in one leaf take a short way (tree::LastPut), which all else must know to close: random mixes of
// runs of puts with everything that moves pages, against a std::map for each table and level of nesting.
#include <rapidcheck.h>

#include "model/op.h"
#include "support/bulk.h"

namespace johnny::test {
namespace {

struct Step {
  uint32_t kind, a, b, c;
};
std::ostream& operator<<(std::ostream& out, const Step& step) {
  return out << "{" << step.kind << ", " << step.a << ", " << step.b << ", " << step.c << "}";
}

constexpr const char* kNames[] = {"", "t", "u"};

class Script {
 public:
  using State = std::map<std::string, Contents>;

  explicit Script(Env* env) : env_(env), key_limit_(env->Info().max_key_size) { Begin(); }

  void Run(const Step& step) {
    std::string name = kNames[step.c % 3];
    if (state().count(name) == 0) {
      Table(name);
      state()[name];
    }
    Contents& contents = state()[name];
    johnny_table* table = Table(name);
    switch (step.kind) {
      case 0:  // an ascending run, and now and then something else between two of its puts
      case 1:
      case 2:
        for (uint32_t i = 0; i < step.b % 200; ++i) {
          Put(name, Key(step.a, i), Value(step.b + (step.kind == 2 ? i : 0)), 0);
          if (i % 8 == 7) {  // behind what the leaf has so far, but seldom behind all of the table
            Put(name, Key(step.a, i) + "+", Value(i), JOHNNY_APPEND);
          }
          if (step.kind == 1 && i % (1 + step.c / 8 % 20) == 2) {
            Between(step.a + i, name);
          }
        }
        return;
      case 3:  // appended
        for (uint32_t i = 0; i < step.b % 100; ++i) {
          std::string key = contents.empty() ? "a" : contents.rbegin()->first;
          if (key.size() < key_limit_) {
            key.push_back(static_cast<char>('a' + i % 3));
          }
          Put(name, key, Value(step.a + i), JOHNNY_APPEND);
          if (i % 16 == 5) {
            Put(name, Key(step.a, i), Value(i), step.a % 2 == 0 ? 0 : uint32_t{JOHNNY_APPEND});
          }
        }
        return;
      case 4:  // here and there
        for (uint32_t i = 0; i < step.b % 60; ++i) {
          Put(name, KeyOf(step.a + i * 7919, key_limit_), Value(step.b + i), i % 5 == 0 ? uint32_t{JOHNNY_NO_OVERWRITE} : 0);
        }
        return;
      case 5: {  // neighbours overwritten, again and again, with values that grow and shrink
        auto at = contents.lower_bound(Key(step.a, 0));
        std::vector<std::string> keys;
        for (; at != contents.end() && keys.size() < 1 + step.c / 3 % 12; ++at) {
          keys.push_back(at->first);
        }
        for (uint32_t i = 0; !keys.empty() && i < step.b % 100; ++i) {
          Put(name, keys[(step.a + i * 5) % keys.size()], Value(step.b * 31 + i), 0);
        }
        return;
      }
      case 6:  // a run of neighbours deleted, with puts among them
        for (uint32_t i = 0; i < step.b % 150; ++i) {
          auto at = contents.lower_bound(Key(step.a, 0));
          if (at == contents.end()) {
            return;
          }
          Delete(name, at->first);
          if (i % 7 == 3) {
            Put(name, Key(step.a, i), Value(i), 0);
          }
        }
        return;
      case 7:  // two tables in turn
        Table("t");
        state()["t"];
        for (uint32_t i = 0; i < step.b % 100; ++i) {
          Put(i % 2 == 0 ? name : "t", Key(step.a, i / 2), Value(step.b + i), 0);
        }
        return;
      case 8: {
        std::vector<Change> changes;
        for (uint32_t i = 0; i < step.b % 200; ++i) {
          std::string key = i % 2 == 0 ? Key(step.a, i) : KeyOf(step.a + i * 31, key_limit_);
          changes.push_back({key, (step.b + i) % 4 == 0 ? std::nullopt : std::optional(Value(step.b + i))});
        }
        RC_ASSERT(WriteBatch(txn(), changes, table) == JOHNNY_OK);
        for (const Change& change : changes) {
          contents.erase(change.key);
          if (change.value) {
            contents[change.key] = *change.value;
          }
        }
        return;
      }
      case 9: {
        Builder builder(txn(), table, JOHNNY_BUILD_REPLACE, 50 + step.a % 51);
        Contents built;
        for (uint32_t i = 0; i < step.b % 300; ++i) {
          built[Key(step.a, i)] = Value(step.b + i);
        }
        RC_ASSERT(builder.AddAll(built) == JOHNNY_OK);
        if (step.c % 4 != 0) {
          RC_ASSERT(builder.Finish() == JOHNNY_OK);
          contents = built;
        }
        return;
      }
      case 10:
        RC_ASSERT(Result(johnny_table_clear(txn().get(), table)) == JOHNNY_OK);
        contents.clear();
        return;
      case 11:  // dropped, and perhaps made again, or another given its name
        if (name.empty()) {
          return;
        }
        RC_ASSERT(Result(johnny_table_drop(txn().get(), table)) == JOHNNY_OK);
        state().erase(name);
        if (std::string other = name == "t" ? "u" : "t"; step.a % 2 == 0 && state().count(other) != 0) {
          RC_ASSERT(Result(johnny_table_rename(txn().get(), Table(other), name.c_str())) == JOHNNY_OK);
          auto node = state().extract(other);
          node.key() = name;
          state().insert(std::move(node));
        }
        return;
      case 12:
        if (levels_.size() < 5) {
          levels_.push_back({Txn::In(txn()), state()});
        }
        return;
      case 13:
        End(step.a % 3 != 0);
        return;
      default:
        while (levels_.size() > 1) {
          End(step.a % 4 != 0);
        }
        End(step.a % 5 != 0);
        return;
    }
  }

  void Finish() {
    while (levels_.size() > 1) {
      End(true);
    }
    Check();
    End(true);
  }

 private:
  struct Level {
    Txn txn;
    State state;
  };

  Txn& txn() { return levels_.back().txn; }
  State& state() { return levels_.back().state; }
  johnny_table* Table(const std::string& name) { return name.empty() ? nullptr : txn().Table(name); }

  // Key `i` of a run that begins somewhere: neighbours, mostly.
  std::string Key(uint32_t run, uint32_t i) const {
    std::string key = NumberedKey(run % 64 * 100 + i, 6);
    return run % 5 == 0 ? std::string(200 + run % 3 * 300, 'p') + key : key;
  }
  // Of all sizes; large ones seldom.
  static std::string Value(uint32_t n) {
    return Pattern(n % 97 == 13 ? 2000 + n % 9000 : n % 11 == 3 ? n % 1900 : n % 3 == 0 ? n % 300 : n % 20, n);
  }

  void Put(const std::string& name, const std::string& key, const std::string& value, uint32_t flags) {
    Contents& contents = state()[name];
    int expected = JOHNNY_OK;
    if (flags == JOHNNY_NO_OVERWRITE && contents.count(key) != 0) {
      expected = JOHNNY_EXISTS;
    } else if (flags == JOHNNY_APPEND && !contents.empty() && key <= contents.rbegin()->first) {
      expected = JOHNNY_NOT_ASCENDING;
    }
    RC_ASSERT(txn().Put(key, value, flags, Table(name)) == expected);
    if (expected == JOHNNY_OK) {
      contents[key] = value;
    }
  }
  void Delete(const std::string& name, std::string key) {  // a copy: it may be the map's own
    int expected = state()[name].erase(key) > 0 ? JOHNNY_OK : JOHNNY_NOT_FOUND;
    RC_ASSERT(txn().Delete(key, Table(name)) == expected);
  }

  // What comes between two puts of a run.
  void Between(uint32_t what, const std::string& name) {
    Contents& contents = state()[name];
    johnny_table* table = Table(name);
    std::string key = Key(what / 16, what % 16);
    switch (what % 8) {
      case 0: {
        uint64_t rank = 0;
        RC_ASSERT(txn().Rank(key, &rank, table) == JOHNNY_OK);
        RC_ASSERT(rank == static_cast<uint64_t>(std::distance(contents.begin(), contents.lower_bound(key))));
        return;
      }
      case 1: {
        std::vector<std::string> bounds;
        RC_ASSERT(SplitRange(txn(), std::nullopt, std::nullopt, 4, &bounds, table) == JOHNNY_OK);
        RC_ASSERT(bounds.size() == (contents.empty() ? 0 : std::min<size_t>(4, contents.size()) - 1));
        return;
      }
      case 2:
        return Delete(name, key);
      case 3:
        if (auto at = contents.lower_bound(key); at != contents.end()) {
          Delete(name, at->first);
        }
        return;
      case 4:
        return Put(name, std::string(what % 300, 'z'), Value(what), 0);
      case 5: {  // a nested one that ends with or without a change there
        Txn inner = Txn::In(txn());
        RC_ASSERT(inner.Put(key, "inner", 0, table) == JOHNNY_OK);
        RC_ASSERT(inner.Put(key + "x", "inner", 0, table) == JOHNNY_OK);
        if (what % 16 < 8) {
          RC_ASSERT(inner.Commit() == JOHNNY_OK);
          contents[key] = contents[key + "x"] = "inner";
        } else {
          RC_ASSERT(inner.Abort() == JOHNNY_OK);
        }
        return;
      }
      case 6:
        return Put(name == "t" ? "" : "t", key, Value(what), 0);
      default: {
        Values values;
        RC_ASSERT(GetMany(txn(), {key, key + "x", ""}, &values, nullptr, table) == JOHNNY_OK);
        RC_ASSERT(values[0].has_value() == (contents.count(key) != 0));
        return;
      }
    }
  }

  void Begin() { levels_.push_back({Txn(*env_), committed_}); }
  void End(bool commit) {
    if (commit) {
      Check();
    }
    RC_ASSERT((commit ? txn().Commit() : txn().Abort()) == JOHNNY_OK);
    State ended = std::move(state());
    levels_.pop_back();
    if (!levels_.empty()) {
      if (commit) {
        state() = std::move(ended);
      }
      return Check();
    }
    if (commit) {
      committed_ = std::move(ended);
    }
    RC_ASSERT(env_->Findings() == "");
    Begin();
  }
  void Check() {
    for (const auto& [name, contents] : state()) {
      johnny_table* table = Table(name);
      RC_ASSERT(txn().Entries(table) == contents.size());
      RC_ASSERT(txn().All(table) == contents);
      uint64_t rank = 0;
      RC_ASSERT(txn().Rank("\xff\xff", &rank, table) == JOHNNY_OK);
      RC_ASSERT(rank <= contents.size());
    }
  }

  Env* env_;
  size_t key_limit_;
  State committed_{{"", {}}};
  std::vector<Level> levels_;
};

class RunsTest : public testing::TestWithParam<std::tuple<uint32_t, bool>> {};
INSTANTIATE_TEST_SUITE_P(All, RunsTest, testing::Combine(testing::Values(4096u, 32768u), testing::Bool()),
                         [](const auto& parameter) {
                           return std::to_string(std::get<0>(parameter.param)) + (std::get<1>(parameter.param) ? "Spilling" : "");
                         });

TEST_P(RunsTest, AgreeWithAMap) {
  EXPECT_TRUE(rc::check("runs of puts among all that moves pages end up where they belong", [] {
    TempDir dir;
    johnny_options options = TestOptions(std::get<0>(GetParam()));
    if (std::get<1>(GetParam())) {
      options.memory_budget = 64 * options.page_size;
    }
    auto kind = rc::gen::weightedElement<uint32_t>({{6, 0},
                                                    {8, 1},
                                                    {6, 2},
                                                    {5, 3},
                                                    {3, 4},
                                                    {6, 5},
                                                    {4, 6},
                                                    {4, 7},
                                                    {3, 8},
                                                    {2, 9},
                                                    {1, 10},
                                                    {1, 11},
                                                    {5, 12},
                                                    {4, 13},
                                                    {2, 14}});
    auto number = rc::gen::inRange<uint32_t>(0, 1u << 16);
    auto step = rc::gen::map(rc::gen::tuple(kind, number, number, number), [](const auto& t) {
      return Step{std::get<0>(t), std::get<1>(t), std::get<2>(t), std::get<3>(t)};
    });
    auto steps = *rc::gen::container<std::vector<Step>>(step);
    Env env(dir.File("db"), options);
    Script script(&env);
    for (const Step& one : steps) {
      script.Run(one);
    }
    script.Finish();
  }));
}

}  // namespace
}  // namespace johnny::test
