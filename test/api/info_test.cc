// Statistics and inspection: figures are consistent, structs may be shorter than the library knows them.
#include <cstddef>
#include <cstring>
#include <set>

#include "support/test_db.h"

namespace johnny::test {
namespace {

class InfoTest : public DbTest {
 protected:
  // Main table with branches, a named table, a large value, and some pending and free pages.
  InfoTest() {
    Fill(0, 5000);
    Txn txn(env_);
    table_ = txn.Table("t");
    EXPECT_OK(txn.Put("large", Pattern(300000, 1), 0, table_));
    EXPECT_OK(txn.Put("small", "v", 0, table_));
    EXPECT_OK(txn.Commit());
    Fill(1000, 1100);
  }

  johnny_table* table_ = nullptr;
};

struct PageRun {
  uint64_t first, pages;
  uint32_t kind, level;
  std::string table;
};

std::vector<PageRun> PagesOf(const Txn& txn) {
  std::vector<PageRun> runs;
  auto visit = [](void* context, const johnny_page_run* run) {
    static_cast<std::vector<PageRun>*>(context)->push_back(
        {run->first_page, run->pages, run->kind, run->level, run->table != nullptr ? run->table : "(none)"});
    return 0;
  };
  EXPECT_OK(Result(johnny_page_list(txn.get(), visit, &runs)));
  return runs;
}

// ---- Environment, transaction, table ----

TEST_F(InfoTest, PagesAreUsedFreeOrPending) {
  johnny_env_info info = env_.Info();
  EXPECT_EQ(info.used_pages + info.free_pages + info.pending_pages, info.page_count);
  EXPECT_GE(info.file_size, info.page_count * info.page_size);
  EXPECT_GE(info.format_version, 1u);
  EXPECT_NE(info.database_id, 0u);
  EXPECT_EQ(info.tables, 1u);
  EXPECT_EQ(info.read_only, 0u);
  EXPECT_EQ(info.writes_refused, 0u);
  EXPECT_EQ(info.durability, uint32_t{JOHNNY_LAZY});
  EXPECT_EQ(info.memory_budget, options_.memory_budget);
  EXPECT_EQ(info.max_readers, options_.max_readers);
  EXPECT_GT(info.max_value_size, uint64_t{1} << 30);
  EXPECT_GE(info.max_key_size, 1000u);
}

TEST_F(InfoTest, TheDatabaseIdIsKeptAndDiffersBetweenDatabases) {
  uint64_t id = env_.Info().database_id;
  Env other(dir_.File("other"));
  EXPECT_NE(other.Info().database_id, id);
  Reopen();
  EXPECT_EQ(env_.Info().database_id, id);
}

TEST_F(InfoTest, ReadersAreCounted) {
  EXPECT_EQ(env_.Info().oldest_reader_id, 0u);
  Txn first(env_, JOHNNY_READ);
  Fill(0, 1);
  Txn second(env_, JOHNNY_READ);
  johnny_env_info info = env_.Info();
  EXPECT_EQ(info.readers, 2u);
  EXPECT_EQ(info.oldest_reader_id, first.Id());
  ASSERT_OK(first.Abort());
  EXPECT_EQ(env_.Info().oldest_reader_id, second.Id());
}

template <typename Info, typename Fill>
void ExpectOnlyTheGivenSizeIsFilled(size_t size, Fill fill) {
  Info whole{};
  whole.struct_size = sizeof whole;
  ASSERT_OK(Result(fill(&whole)));
  EXPECT_EQ(whole.struct_size, sizeof whole);
  alignas(Info) char bytes[sizeof(Info)];
  std::memset(bytes, 0xee, sizeof bytes);
  Info* part = reinterpret_cast<Info*>(bytes);
  part->struct_size = size;
  ASSERT_OK(Result(fill(part)));
  EXPECT_EQ(std::memcmp(bytes + sizeof(size_t), reinterpret_cast<char*>(&whole) + sizeof(size_t), size - sizeof(size_t)), 0);
  for (size_t i = size; i < sizeof bytes; ++i) {
    ASSERT_EQ(bytes[i], '\xee') << i;
  }
  part->struct_size = 0;
  EXPECT_EQ(Result(fill(part)), JOHNNY_INVALID_ARGUMENT);
}

TEST_F(InfoTest, ShorterStructsAreFilledThatFar) {
  Txn txn(env_, JOHNNY_READ);
  ExpectOnlyTheGivenSizeIsFilled<johnny_env_info>(offsetof(johnny_env_info, last_txn_id),
                                                  [&](johnny_env_info* info) { return johnny_env_get_info(env_.get(), info); });
  ExpectOnlyTheGivenSizeIsFilled<johnny_txn_info>(offsetof(johnny_txn_info, changed_pages),
                                                  [&](johnny_txn_info* info) { return johnny_txn_get_info(txn.get(), info); });
  ExpectOnlyTheGivenSizeIsFilled<johnny_table_info>(offsetof(johnny_table_info, leaf_pages), [&](johnny_table_info* info) {
    return johnny_table_get_info(txn.get(), nullptr, info);
  });
  ExpectOnlyTheGivenSizeIsFilled<johnny_table_scan_info>(
      offsetof(johnny_table_scan_info, value_bytes),
      [&](johnny_table_scan_info* info) { return johnny_table_scan(txn.get(), nullptr, info); });
}

TEST_F(InfoTest, LongerStructsAreZeroedBehindWhatIsKnown) {
  struct Longer {
    johnny_txn_info info;
    uint64_t future;
  } longer;
  std::memset(&longer, 0xee, sizeof longer);
  longer.info.struct_size = sizeof longer;
  Txn txn(env_, JOHNNY_READ);
  ASSERT_OK(Result(johnny_txn_get_info(txn.get(), &longer.info)));
  EXPECT_EQ(longer.future, 0u);
  EXPECT_EQ(longer.info.struct_size, sizeof longer);
}

TEST_F(InfoTest, ATransactionKnowsWhatItChanged) {
  Txn reader(env_, JOHNNY_READ);
  EXPECT_EQ(reader.Info().read_only, 1u);
  EXPECT_EQ(reader.Info().lag, 0u);
  Txn txn(env_);
  EXPECT_EQ(txn.Info().changed_pages, 0u);
  ASSERT_OK(txn.Put(NumberedKey(17), "x"));
  johnny_txn_info info = txn.Info();
  EXPECT_EQ(info.id, txn.Id());
  EXPECT_EQ(info.read_only, 0u);
  EXPECT_EQ(info.failed, 0u);
  EXPECT_GE(info.changed_pages, 2u);  // leaf and root
  EXPECT_GE(info.freed_pages, 2u);
  ASSERT_OK(txn.Put("large", Pattern(40960, 1)));
  EXPECT_EQ(txn.Info().extent_pages, 10u);
  ASSERT_OK(txn.Commit());
  EXPECT_EQ(reader.Info().lag, Txn(env_, JOHNNY_READ).Id() - reader.Id());
}

TEST_F(InfoTest, TableFiguresAgreeWithThePageList) {
  Txn txn(env_, JOHNNY_READ);
  for (johnny_table* table : {static_cast<johnny_table*>(nullptr), table_}) {
    uint64_t by_kind[8] = {};
    uint32_t depth = 0;
    for (const PageRun& run : PagesOf(txn)) {
      if (run.table == johnny_table_name(table)) {
        ASSERT_LT(run.kind, 8u);
        by_kind[run.kind] += run.pages;
        depth = std::max(depth, run.level + 1);
      }
    }
    johnny_table_info info = txn.TableInfo(table);
    EXPECT_EQ(info.entries, table == nullptr ? 5000u : 2u);
    EXPECT_EQ(info.branch_pages, by_kind[JOHNNY_PAGE_BRANCH]);
    EXPECT_EQ(info.leaf_pages, by_kind[JOHNNY_PAGE_LEAF]);
    EXPECT_EQ(info.extent_pages, by_kind[JOHNNY_PAGE_EXTENT]);
    EXPECT_EQ(info.depth, depth);
  }
}

TEST_F(InfoTest, AScanAddsUpKeysAndValues) {
  Txn txn(env_, JOHNNY_READ);
  johnny_table_scan_info scan{};
  scan.struct_size = sizeof scan;
  ASSERT_OK(Result(johnny_table_scan(txn.get(), nullptr, &scan)));
  EXPECT_EQ(scan.key_bytes, 5000u * 8);
  EXPECT_EQ(scan.value_bytes, 5000u * 8);
  EXPECT_EQ(scan.largest_key, 8u);
  EXPECT_EQ(scan.largest_value, 8u);
  johnny_table_info info = txn.TableInfo();
  EXPECT_GE(scan.leaf_bytes_used, 5000u * (8 + 8 + 10));
  EXPECT_LE(scan.leaf_bytes_used, info.leaf_pages * 4096);
  EXPECT_LE(scan.smallest_leaf_fill, 4096u);
  EXPECT_GT(scan.branch_bytes_used, 0u);
  ASSERT_OK(Result(johnny_table_scan(txn.get(), table_, &scan)));
  EXPECT_EQ(scan.value_bytes, 300001u);
  EXPECT_EQ(scan.largest_value, 300000u);
}

// ---- Readers, free runs ----

TEST_F(InfoTest, ReadersAreListed) {
  Txn reader(env_, JOHNNY_READ);
  uint64_t id = reader.Id();
  Fill(0, 5000);
  std::vector<johnny_reader_info> readers;
  auto collect = [](void* context, const johnny_reader_info* info) {
    static_cast<std::vector<johnny_reader_info>*>(context)->push_back(*info);
    return 0;
  };
  ASSERT_OK(Result(johnny_reader_list(env_.get(), collect, &readers)));
  ASSERT_EQ(readers.size(), 1u);
  EXPECT_EQ(readers[0].snapshot, id);
  EXPECT_GE(readers[0].lag, 1u);
  EXPECT_GT(readers[0].pages_held_back, 0u);
  EXPECT_NE(readers[0].process_id, 0u);
  auto stop = [](void*, const johnny_reader_info*) { return 1; };
  EXPECT_EQ(Result(johnny_reader_list(env_.get(), stop, nullptr)), JOHNNY_STOPPED);
}

TEST_F(InfoTest, FreeRunsAddUpToTheFreeAndPendingPages) {
  Txn reader(env_, JOHNNY_READ);
  Fill(0, 300);
  struct Totals {
    uint64_t free = 0, pending = 0;
    std::set<uint64_t> seen;
  } totals;
  auto visit = [](void* context, const johnny_free_run* run) {
    Totals* sums = static_cast<Totals*>(context);
    (run->death == 0 ? sums->free : sums->pending) += run->pages;
    for (uint64_t page = run->first_page; page < run->first_page + run->pages; ++page) {
      EXPECT_TRUE(sums->seen.insert(page).second) << "page " << page << " twice";
    }
    return 0;
  };
  ASSERT_OK(Result(johnny_free_run_list(env_.get(), visit, &totals)));
  johnny_env_info info = env_.Info();
  EXPECT_EQ(totals.free, info.free_pages);
  EXPECT_EQ(totals.pending, info.pending_pages);
  EXPECT_GT(totals.pending, 0u);
  for (const PageRun& run : PagesOf(Txn(env_, JOHNNY_READ))) {
    for (uint64_t page = run.first; page < run.first + run.pages; ++page) {
      EXPECT_EQ(totals.seen.count(page), 0u) << "page " << page << " is in use and free";
    }
  }
  auto stop = [](void*, const johnny_free_run*) { return 1; };
  EXPECT_EQ(Result(johnny_free_run_list(env_.get(), stop, nullptr)), JOHNNY_STOPPED);
}

// ---- Pages ----

TEST_F(InfoTest, EveryPageOfASnapshotIsListedOnceAndSound) {
  Txn txn(env_, JOHNNY_READ);
  std::set<uint64_t> seen;
  for (const PageRun& run : PagesOf(txn)) {
    for (uint64_t page = run.first; page < run.first + run.pages; ++page) {
      ASSERT_TRUE(seen.insert(page).second) << page;
    }
    johnny_page_info info{};
    info.struct_size = sizeof info;
    ASSERT_OK(Result(johnny_page_get_info(txn.get(), run.first, &info)));
    if (run.kind == JOHNNY_PAGE_BRANCH || run.kind == JOHNNY_PAGE_LEAF) {
      EXPECT_EQ(info.kind, run.kind);
      EXPECT_EQ(info.level, run.level);
      EXPECT_EQ(info.stored_number, run.first);
      EXPECT_EQ(info.checksum, info.computed_checksum);
      EXPECT_EQ(info.sound, 1u) << info.finding;
      EXPECT_STREQ(info.finding, "");
      EXPECT_LE(info.birth, txn.Id());
      EXPECT_LE(info.lower, info.upper);
      EXPECT_NE(info.bytes, nullptr);
    }
  }
  auto stop = [](void*, const johnny_page_run*) { return 1; };
  EXPECT_EQ(Result(johnny_page_list(txn.get(), stop, nullptr)), JOHNNY_STOPPED);
}

TEST_F(InfoTest, EntriesOfLeavesAndBranchesCanBeRead) {
  Txn txn(env_, JOHNNY_READ);
  uint64_t in_leaves = 0;
  uint64_t root_entries = 0;
  for (const PageRun& run : PagesOf(txn)) {
    if (run.table != "" || run.kind == JOHNNY_PAGE_EXTENT) {
      continue;
    }
    johnny_page_info info{};
    info.struct_size = sizeof info;
    ASSERT_OK(Result(johnny_page_get_info(txn.get(), run.first, &info)));
    uint32_t count = info.count;
    johnny_page_entry entry{};
    entry.struct_size = sizeof entry;
    uint64_t below = 0;
    for (uint32_t i = 0; i < count; ++i) {
      ASSERT_OK(Result(johnny_page_get_entry(txn.get(), run.first, i, &entry)));
      if (run.kind == JOHNNY_PAGE_LEAF) {
        ASSERT_EQ(View(entry.value), View(entry.key));
        ++in_leaves;
      } else {
        EXPECT_NE(entry.child_page, 0u);
        below += entry.child_entries;
      }
    }
    EXPECT_EQ(Result(johnny_page_get_entry(txn.get(), run.first, count, &entry)), JOHNNY_NOT_FOUND);
    root_entries = std::max(root_entries, below);
  }
  EXPECT_EQ(in_leaves, 5000u);
  EXPECT_EQ(root_entries, 5000u);
}

TEST_F(InfoTest, PagesPastTheEndAreNotFound) {
  Txn txn(env_, JOHNNY_READ);
  johnny_page_info info{};
  info.struct_size = sizeof info;
  EXPECT_EQ(Result(johnny_page_get_info(txn.get(), env_.Info().page_count, &info)), JOHNNY_NOT_FOUND);
  EXPECT_EQ(Result(johnny_page_get_info(txn.get(), ~uint64_t{0}, &info)), JOHNNY_NOT_FOUND);
  ASSERT_OK(Result(johnny_page_get_info(txn.get(), 0, &info)));
  EXPECT_EQ(info.kind, uint32_t{JOHNNY_PAGE_MASTER});
  johnny_page_entry entry{};
  entry.struct_size = sizeof entry;
  EXPECT_EQ(Result(johnny_page_get_entry(txn.get(), 0, 0, &entry)), JOHNNY_INVALID_ARGUMENT);
}

TEST_F(InfoTest, APathLeadsFromTheRootToTheLeaf) {
  std::vector<johnny_path_step> steps;
  auto visit = [](void* context, const johnny_path_step* step) {
    static_cast<std::vector<johnny_path_step>*>(context)->push_back(*step);
    return 0;
  };
  Txn txn(env_, JOHNNY_READ);
  std::string key = NumberedKey(4321);
  ASSERT_OK(Result(johnny_path(txn.get(), nullptr, key.data(), key.size(), visit, &steps)));
  ASSERT_EQ(steps.size(), txn.TableInfo().depth);
  for (size_t i = 0; i < steps.size(); ++i) {
    EXPECT_EQ(steps[i].level, steps.size() - 1 - i);
    EXPECT_LE(steps[i].index, steps[i].count);
    EXPECT_NE(steps[i].page, 0u);
  }
  EXPECT_EQ(steps.back().found, 1u);
  steps.clear();
  ASSERT_OK(Result(johnny_path(txn.get(), nullptr, "zzz", 3, visit, &steps)));
  EXPECT_EQ(steps.back().found, 0u);
}

// ---- Verification ----

TEST_F(InfoTest, VerifyCountsWhatItChecked) {
  johnny_verify_result result{};
  result.struct_size = sizeof result;
  uint64_t last_total = 0;
  auto progress = [](void* context, uint64_t done, uint64_t total) {
    EXPECT_LE(done, total);
    *static_cast<uint64_t*>(context) = total;
    return 0;
  };
  johnny_verify_options options = {.struct_size = sizeof options, .on_progress = progress, .context = &last_total};
  ASSERT_OK(Result(johnny_verify(env_.get(), &options, &result)));
  EXPECT_EQ(result.findings, 0u);
  EXPECT_GE(result.entries_checked, 5002u);
  EXPECT_GE(result.pages_checked, Txn(env_, JOHNNY_READ).TableInfo().leaf_pages);
  auto stop = [](void*, uint64_t, uint64_t) { return 1; };
  options.on_progress = stop;
  EXPECT_EQ(Result(johnny_verify(env_.get(), &options, nullptr)), JOHNNY_STOPPED);
}

}  // namespace
}  // namespace johnny::test
