// Limits that are met from an unusual side: less address space than file, names that are not there, a drop in a full database;
// and calls that would wait for their own caller.
#include <gmock/gmock.h>
#include <unistd.h>

#include "api/internal.h"
#include "support/test_db.h"

namespace johnny::test {
namespace {

using testing::AnyOf;

// ---- Address space ----

class AddressSpaceTest : public testing::Test {
 protected:
  static constexpr uint64_t kEntries = 6000;  // of about 1 KB

  AddressSpaceTest() {
    Env env(path_);
    // In one transaction that grows the file so much that it allocates ahead.
    Txn txn(env);
    for (uint64_t i = 0; i < kEntries; ++i) {
      EXPECT_OK(txn.Put(NumberedKey(i), Pattern(900, static_cast<uint32_t>(i))));
    }
    EXPECT_OK(txn.Commit());
    johnny_env_info info = env.Info();
    used_ = info.page_count * info.page_size;
    EXPECT_OK(env.Close());
    size_ = ReadFile(path_).size();
  }

  static johnny_options With(uint64_t address_space, uint64_t size_limit = 0) {
    johnny_options options = TestOptions();
    options.flags = 0;
    options.address_space = address_space;
    options.size_limit = size_limit;
    return options;
  }

  // Everything is there and can be changed until there is no more room, which leaves a sound database.
  void Use(Env* env) {
    {
      Txn reader(*env, JOHNNY_READ);
      for (uint64_t i = 0; i < kEntries; ++i) {
        ASSERT_TRUE(reader.Find(NumberedKey(i)) == Pattern(900, static_cast<uint32_t>(i))) << i;
      }
    }
    Txn txn(*env);
    Result result = JOHNNY_OK;
    uint64_t end = kEntries;
    for (; result.ok() && end < 3 * kEntries; end += result.ok() ? 1 : 0) {
      result = txn.Put(NumberedKey(end), Pattern(900, static_cast<uint32_t>(end)));
    }
    EXPECT_THAT(result.code(), AnyOf(JOHNNY_OK, JOHNNY_SIZE_LIMIT, JOHNNY_NO_MEMORY)) << result;
    johnny_txn_info info = txn.Info();
    if (info.failed != 0) {
      ASSERT_OK(txn.Abort());
      end = kEntries;
    } else {
      ASSERT_OK(txn.Commit());
    }
    Txn reader(*env, JOHNNY_READ);
    EXPECT_EQ(reader.Entries(), end);
    for (uint64_t i = 0; i < end; ++i) {
      ASSERT_TRUE(reader.Find(NumberedKey(i)) == Pattern(900, static_cast<uint32_t>(i))) << i;
    }
    EXPECT_TRUE(env->VerifyClean());
  }

  TempDir dir_;
  std::string path_ = dir_.File("db");
  uint64_t used_ = 0;  // bytes of the database
  uint64_t size_ = 0;  // bytes of the file
};

TEST_F(AddressSpaceTest, LessThanTheDatabaseIsRefused) {
  for (uint32_t flags : {uint32_t{0}, uint32_t{JOHNNY_READ_ONLY}}) {
    for (uint64_t space : {uint64_t{1} << 20, used_ / 2, used_ - 65536}) {
      Env env;
      johnny_options options = With(space);
      options.flags = flags;
      Result result = env.Open(path_, options);
      EXPECT_EQ(result, JOHNNY_NO_MEMORY) << space << " of " << used_;
      EXPECT_THAT(result.message(), testing::HasSubstr("address")) << space << " of " << used_;
    }
  }
  Env env(path_, With(4 * size_));
  Use(&env);
}

TEST_F(AddressSpaceTest, AsMuchAsTheFileIsEnough) {
  Env env(path_, With(size_));
  Use(&env);
}

// The file ends behind the database; less than the file may be refused, but never makes trouble later.
TEST_F(AddressSpaceTest, LessThanWasAllocatedAheadIsRefusedOrEnough) {
  ASSERT_GT(size_, used_ + 100 * 4096);
  const std::string bytes = ReadFile(path_);
  for (uint64_t space : {used_, used_ + 4096, used_ + 100 * 4096, size_ - 4096, size_ - 1}) {
    for (uint64_t limit : {uint64_t{0}, used_ + 50 * 4096, 4 * size_}) {
      Env env;
      Result result = env.Open(path_, With(space, limit));
      ASSERT_TRUE(result.ok() || result == JOHNNY_NO_MEMORY) << result;
      if (result.ok()) {
        Use(&env);
        ASSERT_OK(env.Close());
        WriteFile(path_, bytes);  // Use() has grown the database
      }
    }
  }
}

TEST_F(AddressSpaceTest, ASizeLimitBelowTheFileOnlyStopsGrowth) {
  for (uint64_t limit : {uint64_t{1} << 20, used_ / 2, used_, used_ + 20 * 4096, size_ - 4096}) {
    Env env(path_, With(4 * size_, limit));
    Txn txn(env);
    for (uint64_t i = 0; i < 50; ++i) {
      Result result = txn.Delete(NumberedKey(i));
      ASSERT_TRUE(result.ok() || result == JOHNNY_SIZE_LIMIT) << result;
    }
    ASSERT_OK(txn.Abort());
    ASSERT_OK(txn.Begin(env));
    EXPECT_EQ(txn.Put("large", Pattern(size_, 1)), JOHNNY_SIZE_LIMIT);
    EXPECT_EQ(txn.Entries(), kEntries);
    ASSERT_OK(txn.Commit());
    EXPECT_TRUE(env.VerifyClean());
  }
}

// ---- Names ----

class LimitsTest : public DbTest {
 protected:
  LimitsTest() { Fill(0, 10); }
};

TEST_F(LimitsTest, NamesThatAreNotThereTakeNoHandles) {
  auto handles = [this] {
    txn::Database* db = env_.get()->db.get();
    MutexLock lock(&db->tables_mutex);
    return db->tables.size();
  };
  size_t before = handles();
  for (uint32_t flags : {uint32_t{JOHNNY_READ}, uint32_t{0}}) {
    Txn txn(env_, flags);
    for (uint64_t i = 0; i < 2000; ++i) {
      johnny_table* table = nullptr;
      ASSERT_EQ(txn.OpenTable(NumberedKey(i, 8, "absent"), 0, &table), JOHNNY_NO_TABLE);
    }
  }
  EXPECT_EQ(handles(), before);
  Txn txn(env_);
  johnny_table* table = txn.Table("present");
  ASSERT_OK(txn.Put("k", "v", 0, table));
  ASSERT_OK(txn.Commit());
  EXPECT_EQ(handles(), before + 1);
  EXPECT_EQ(Txn(env_, JOHNNY_READ).Table("present", 0), table);
}

// A handle lives as long as the environment: a name that was there once keeps its one.
TEST_F(LimitsTest, ADroppedTablesHandleIsTheSameAgain) {
  Txn txn(env_);
  johnny_table* table = txn.Table("t");
  ASSERT_OK(Result(johnny_table_drop(txn.get(), table)));
  johnny_table* again = nullptr;
  EXPECT_EQ(txn.OpenTable("t", 0, &again), JOHNNY_NO_TABLE);
  EXPECT_EQ(txn.Table("t"), table);
}

// ---- Bounds ----

TEST_F(LimitsTest, ANullBoundWithASizeIsAnInvalidArgument) {
  const johnny_slice bad{nullptr, 5};
  const johnny_slice empty{nullptr, 0};
  const johnny_slice good = ToSlice("00000003");
  Txn txn(env_, JOHNNY_READ);
  Cursor cursor(txn);
  ASSERT_OK(cursor.SetRange("00000002", "00000005"));
  EXPECT_EQ(Result(johnny_cursor_set_range(cursor.get(), &bad, nullptr)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_cursor_set_range(cursor.get(), nullptr, &bad)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_cursor_set_range(cursor.get(), &good, &bad)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_cursor_set_prefix(cursor.get(), nullptr, 5)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(cursor.FirstKey(), "00000002") << "a refused range changes nothing";
  uint64_t count = 0;
  EXPECT_EQ(Result(johnny_count(txn.get(), nullptr, &bad, nullptr, &count)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_count(txn.get(), nullptr, nullptr, &bad, &count)), JOHNNY_INVALID_ARGUMENT);
  ASSERT_OK(Result(johnny_cursor_set_range(cursor.get(), &empty, &good)));
  EXPECT_EQ(cursor.FirstKey(), "00000000");
  EXPECT_EQ(cursor.LastKey(), "00000002");
}

// ---- Calls that would wait for their own caller ----

TEST_F(LimitsTest, VerifyingInOnesOwnWriteTransactionIsBusy) {
  alarm(60);  // instead of waiting for ever
  auto ignore = [](void*, const johnny_free_run*) { return 0; };
  Txn txn(env_);
  ASSERT_OK(txn.Put("a", "1"));
  EXPECT_EQ(Result(johnny_verify(env_.get(), nullptr, nullptr)), JOHNNY_BUSY);
  EXPECT_OK(Result(johnny_free_run_list(env_.get(), ignore, nullptr))) << "which does not wait for writers";
  ASSERT_OK(txn.Put("b", "2"));
  ASSERT_OK(txn.Commit());
  EXPECT_TRUE(env_.VerifyClean());
  EXPECT_EQ(Result(johnny_free_run_list(env_.get(), ignore, nullptr)), JOHNNY_OK);
  ASSERT_OK(txn.Begin(env_));
  EXPECT_EQ(Result(johnny_verify(env_.get(), nullptr, nullptr)), JOHNNY_BUSY);
  ASSERT_OK(txn.Abort());
  EXPECT_TRUE(env_.VerifyClean());
  Txn reader(env_, JOHNNY_READ);
  EXPECT_TRUE(env_.VerifyClean()) << "a read transaction is in nobody's way";
  alarm(0);
}

// ---- A full database ----

class FullTest : public DbTest {
 protected:
  static constexpr uint64_t kLimit = 128 << 20;
  static johnny_options Options() {
    johnny_options options = TestOptions();
    options.size_limit = kLimit;
    return options;
  }
  FullTest() : DbTest(Options()) {}
};

// Of two tables of large values, each next to one of the other, one is dropped: what that frees takes many pages to write down,
// and the same transaction has used up the rest before.
TEST_F(FullTest, DroppingATableOfScatteredPagesIsRefusedOrCommits) {
  constexpr uint64_t kSmall = 20000;
  constexpr uint64_t kPerLeaf = 30;
  std::string small(100, 's'), large(2500, 'l');
  uint64_t stored[] = {0, 0};
  {
    Txn txn(env_);
    johnny_table* tables[] = {txn.Table("dropped"), txn.Table("kept")};
    for (uint64_t i = 0; i < kSmall; ++i) {
      ASSERT_OK(txn.Put(NumberedKey(i), small));
    }
    Result result = JOHNNY_OK;
    for (uint64_t i = 0; result.ok(); ++i) {
      result = txn.Put(NumberedKey(i / 2), large, 0, tables[i % 2]);
      stored[i % 2] += result.ok() ? 1 : 0;
    }
    ASSERT_EQ(result, JOHNNY_SIZE_LIMIT);
    ASSERT_OK(txn.Commit());
  }
  for (int i = 0; i < 4; ++i) {
    Reopen();  // ids go on much higher, which makes the free log's records longer
    Txn txn(env_);
    ASSERT_OK(txn.Delete(NumberedKey(0)));
    ASSERT_OK(txn.Put(NumberedKey(0), small));
    ASSERT_OK(txn.Commit());
  }
  Txn txn(env_);
  johnny_table* dropped = txn.Table("dropped", 0);
  johnny_table* kept = txn.Table("kept", 0);
  Result result = JOHNNY_OK;
  uint64_t deleted = 0;
  for (; result.ok() && deleted * kPerLeaf < kSmall; deleted += result.ok() ? 1 : 0) {
    result = txn.Delete(NumberedKey(deleted * kPerLeaf));
  }
  ASSERT_EQ(result, JOHNNY_SIZE_LIMIT);
  result = johnny_table_drop(txn.get(), dropped);
  ASSERT_TRUE(result.ok() || result == JOHNNY_SIZE_LIMIT) << result;
  bool is_dropped = result.ok();
  ASSERT_OK(txn.Commit());
  Txn reader(env_, JOHNNY_READ);
  EXPECT_EQ(reader.Entries(), kSmall - deleted);
  EXPECT_EQ(reader.Entries(kept), stored[1]);
  johnny_table* table = nullptr;
  EXPECT_EQ(reader.OpenTable("dropped", 0, &table), is_dropped ? JOHNNY_NO_TABLE : JOHNNY_OK);
  if (!is_dropped) {
    EXPECT_EQ(reader.Entries(dropped), stored[0]);
  }
  EXPECT_LE(env_.Info().file_size, kLimit);
  EXPECT_TRUE(env_.VerifyClean());
}

}  // namespace
}  // namespace johnny::test
