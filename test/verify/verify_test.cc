// The checker: sound databases have no findings whatever was done to them, and each kind of damage is found where it is.
#include "verify/verify.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>

#include "damage/image.h"
#include "node/branch.h"
#include "support/test_db.h"
#include "verify/owner_map.h"

namespace johnny::test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Truly;

// ---- Sound databases ----

class SoundTest : public PagedDbTest {
 protected:
  // A commit of `count` random puts, deletes and large values.
  void Churn(uint64_t count, johnny_table* table = nullptr) {
    Txn txn(env_);
    for (uint64_t i = 0; i < count; ++i) {
      std::string key = NumberedKey(random_() % 3000, 5, random_() % 2 == 0 ? "" : "a/longer/prefix/");
      switch (random_() % 8) {
        case 0:
          EXPECT_OK(txn.Put(key, Pattern(random_() % (random_() % 16 == 0 ? 600000 : 20000), 1), 0, table));
          break;
        case 1:
        case 2:
        case 3:
          EXPECT_THAT(txn.Delete(key, table).code(), testing::AnyOf(JOHNNY_OK, JOHNNY_NOT_FOUND));
          break;
        default:
          EXPECT_OK(txn.Put(key, Pattern(random_() % 300, 2), 0, table));
      }
    }
    EXPECT_OK(txn.Commit());
  }

  std::minstd_rand random_{2004};
};

TEST_P(SoundTest, AFreshDatabase) {
  EXPECT_TRUE(env_.VerifyClean());
  Reopen();
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_P(SoundTest, AfterEachOfManyCommits) {
  for (int i = 0; i < 60 * Scale(); ++i) {
    Churn(1 + random_() % 200);
    ASSERT_TRUE(env_.VerifyClean()) << i;
  }
  Reopen();
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_P(SoundTest, WhileReadersHoldOldSnapshots) {
  std::vector<Txn> readers;
  for (int i = 0; i < 30; ++i) {
    readers.emplace_back(env_, JOHNNY_READ);
    Churn(50);
    if (i % 3 == 2) {
      readers.erase(readers.begin() + static_cast<ptrdiff_t>(random_() % readers.size()));
    }
    ASSERT_TRUE(env_.VerifyClean()) << i;
  }
  readers.clear();
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_P(SoundTest, WithManySmallCommitsBetweenCheckpointsOfTheFreeLog) {
  Churn(2000);
  for (int i = 0; i < 200; ++i) {
    Churn(2);
    if (i % 10 == 0) {
      ASSERT_TRUE(env_.VerifyClean()) << i;
    }
    if (i % 60 == 59) {
      Reopen();
      ASSERT_TRUE(env_.VerifyClean()) << i;
    }
  }
}

TEST_P(SoundTest, WithTablesThatComeAndGo) {
  for (int i = 0; i < 12; ++i) {
    Txn txn(env_);
    for (int t = 0; t < 5; ++t) {
      EXPECT_OK(txn.Put(NumberedKey(static_cast<uint64_t>(i)), Pattern(3000, 1), 0, txn.Table("table" + std::to_string(i + t))));
    }
    if (i > 2) {
      EXPECT_OK(Result(johnny_table_drop(txn.get(), txn.Table("table" + std::to_string(i - 1)))));
      EXPECT_OK(Result(johnny_table_clear(txn.get(), txn.Table("table" + std::to_string(i)))));
    }
    EXPECT_OK(txn.Commit());
    ASSERT_TRUE(env_.VerifyClean()) << i;
  }
}

TEST_P(SoundTest, AfterAbortedTransactions) {
  Churn(500);
  for (int i = 0; i < 10; ++i) {
    Txn txn(env_);
    for (uint64_t j = 0; j < 300; ++j) {
      EXPECT_OK(txn.Put(NumberedKey(random_() % 5000), Pattern(random_() % 9000, 3)));
    }
    EXPECT_OK(txn.Abort());
    ASSERT_TRUE(env_.VerifyClean()) << i;
    Churn(20);
    ASSERT_TRUE(env_.VerifyClean()) << i;
  }
}

TEST_P(SoundTest, AfterEverythingWasDeleted) {
  Fill(0, 5000);
  Txn txn(env_);
  for (uint64_t i = 0; i < 5000; ++i) {
    ASSERT_OK(txn.Delete(NumberedKey(i)));
  }
  ASSERT_OK(txn.Commit());
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_P(SoundTest, AfterShrinkingAndGrowing) {
  for (int round = 0; round < 2; ++round) {
    for (uint64_t i = 0; i < 15; ++i) {
      Txn txn(env_);
      EXPECT_OK(txn.Put(NumberedKey(i), Pattern(100 * GetParam(), static_cast<uint32_t>(i))));
      EXPECT_OK(txn.Commit());
    }
    uint64_t full = env_.Info().page_count;
    Txn txn(env_);
    for (uint64_t i = 0; i < 15; ++i) {
      EXPECT_OK(txn.Delete(NumberedKey(i)));
    }
    EXPECT_OK(txn.Commit());
    for (int i = 0; i < 6; ++i) {
      Txn small(env_);
      EXPECT_OK(small.Put("key", std::to_string(i)));
      EXPECT_OK(small.Commit());
      ASSERT_TRUE(env_.VerifyClean()) << i;
    }
    uint64_t left = env_.Info().page_count;
    EXPECT_LT(left, full - 256);
    ASSERT_OK(env_.Close());
    std::filesystem::resize_file(path_, left * GetParam());
    ASSERT_OK(env_.Open(path_, options_));
    ASSERT_TRUE(env_.VerifyClean());
  }
}

TEST_P(SoundTest, WhenTransactionsSpill) {
  options_.memory_budget = uint64_t{64} * GetParam();
  Reopen();
  for (int i = 0; i < 3; ++i) {
    Churn(3000);
    ASSERT_TRUE(env_.VerifyClean()) << i;
  }
}

TEST_P(SoundTest, WithEveryDurabilityAndReadOnly) {
  for (uint32_t durability : {JOHNNY_TWO_PHASE, JOHNNY_SINGLE_SYNC, JOHNNY_LAZY}) {
    options_.durability = durability;
    Reopen();
    Churn(100);
    EXPECT_TRUE(env_.VerifyClean());
  }
  options_.flags = JOHNNY_READ_ONLY;
  Reopen();
  EXPECT_TRUE(env_.VerifyClean());
}

INSTANTIATE_PAGE_SIZES(SoundTest);

// ---- Damaged ones ----

struct Found {
  uint64_t page;
  std::string table;  // "-": none
  std::string message;

  friend std::ostream& operator<<(std::ostream& out, const Found& found) {
    return out << "page " << found.page << ", table " << found.table << ": " << found.message << "\n";
  }
};

// The kind that a message belongs to.
std::string KindOf(const std::string& message) {
  static const std::pair<const char*, const char*> kKinds[] = {
      {"no master page holds", "master"},  {"checksum mismatch in the large value", "value"},
      {"owned twice", "owned-twice"},      {"lost: ", "lost"},
      {"cannot be accounted for", "lost"}, {"born in transaction", "birth"},
      {"entries below it", "count"},       {"its record says", "count"},
      {"the master page counts", "count"}, {"free in ", "free-log"},
      {"separator above it", "keys"},      {"is not as its snapshot is in use", "master"},
      {"the file holds", "file"},          {"named snapshot", "snapshot"},
  };
  for (const auto& [words, kind] : kKinds) {
    if (message.find(words) != std::string::npos) {
      return kind;
    }
  }
  return "page";
}

std::vector<Found> FindingsOf(const Env& env) {
  std::vector<Found> findings;
  auto collect = [](void* context, const johnny_finding* finding) {
    std::string expected = KindOf(finding->message);
    if (finding->kind != JOHNNY_FINDING_FREE_LOG || finding->table != nullptr) {  // whose pages have the errors of others
      EXPECT_EQ(johnny_finding_name(finding->kind), expected) << finding->message;
    }
    static_cast<std::vector<Found>*>(context)->push_back(
        {finding->page, finding->table != nullptr ? finding->table : "-", finding->message});
    return 0;
  };
  johnny_verify_result result{};
  result.struct_size = sizeof result;
  johnny_verify_options options = {.struct_size = sizeof options, .on_finding = collect, .context = &findings};
  Result code = johnny_verify(env.get(), &options, &result);
  EXPECT_EQ(code, findings.empty() ? JOHNNY_OK : JOHNNY_CORRUPT);
  EXPECT_EQ(result.findings, findings.size());
  return findings;
}

class DamagedTest : public testing::Test {
 protected:
  std::vector<Found> Findings() {
    WriteFile(path_, bytes_);
    johnny_options options = TestOptions();
    options.flags = JOHNNY_READ_ONLY;
    Env env;
    Result opened = env.Open(path_, options);
    EXPECT_OK(opened);
    return opened.ok() ? FindingsOf(env) : std::vector<Found>();
  }

  static auto Finding(uint64_t page, const std::string& table, const std::string& message) {
    return AllOf(Field("page", &Found::page, page), Field("table", &Found::table, table),
                 Field("message", &Found::message, HasSubstr(message)));
  }
  void ExpectFinding(uint64_t page, const std::string& table, const std::string& message) {
    EXPECT_THAT(Findings(), Contains(Finding(page, table, message)));
  }

  // The n-th page of that kind.
  PageNumber PageOf(uint32_t kind, const std::string& table, size_t n = 0) const {
    for (const UsedPage& page : SampleImage().pages) {
      if (page.kind == kind && page.table == table && n-- == 0) {
        return page.page;
      }
    }
    ADD_FAILURE() << "no such page";
    return 0;
  }
  Byte* Page(PageNumber page) { return At(&bytes_, page); }

  // Rebuilds a leaf with what `edit` makes of its entries, checksums right up to the master.
  template <typename Edit>
  void EditLeaf(PageNumber page, Edit edit) {
    std::string old = bytes_.substr(page * kPageSize, kPageSize);
    const Byte* source = reinterpret_cast<const Byte*>(old.data());
    std::vector<node::LeafEntry> entries;
    for (uint32_t i = 0; i < node::Header(source)->count; ++i) {
      entries.push_back(node::GetLeafEntry(source, i));
    }
    edit(&entries);
    format::PageHeader header = *node::Header(source);
    node::BuildLeaf(Page(page), kPageSize, entries);
    node::Header(Page(page))->checksum = header.checksum;
    node::Header(Page(page))->birth = header.birth;
    node::Header(Page(page))->set_page(page);
    RepairUpwards(&bytes_, page);
  }

  void EditMaster(void (*change)(format::MasterPage*)) {
    format::MasterPage master = MasterOf(bytes_, -1);
    change(&master);
    ReplaceMaster(&bytes_, master);
  }

  TempDir dir_;
  std::string path_ = dir_.File("db");
  std::string bytes_ = SampleImage().bytes;
};

TEST_F(DamagedTest, TheUndamagedImageHasNoFindings) { EXPECT_THAT(Findings(), IsEmpty()); }

TEST_F(DamagedTest, AFlippedBitInEveryPageInUse) {
  for (const UsedPage& used : SampleImage().pages) {
    SCOPED_TRACE(used.page);
    bytes_ = SampleImage().bytes;
    Page(used.page)[100] ^= 4;
    std::vector<Found> findings = Findings();
    if (used.kind != JOHNNY_PAGE_EXTENT) {
      EXPECT_THAT(findings, Contains(Finding(used.page, used.table == "(none)" ? "-" : used.table, "checksum mismatch")));
    } else {
      // Of a chunk, its first page is named; behind a value's end there may be padding.
      EXPECT_LE(findings.size(), 1u);
    }
  }
}

TEST_F(DamagedTest, LargeValues) {
  PageNumber extent = PageOf(JOHNNY_PAGE_EXTENT, "named");
  Page(extent)[4999] ^= 1;
  ExpectFinding(extent, "named", "checksum mismatch in the large value");
}

TEST_F(DamagedTest, OneBadPageDoesNotHideAnother) {
  PageNumber first = PageOf(JOHNNY_PAGE_LEAF, "", 1);
  PageNumber second = PageOf(JOHNNY_PAGE_LEAF, "", 3);
  PageNumber other = PageOf(JOHNNY_PAGE_LEAF, "named");
  for (PageNumber page : {first, second, other}) {
    Page(page)[2000] ^= 1;
  }
  std::vector<Found> findings = Findings();
  EXPECT_THAT(findings, Contains(Finding(first, "", "checksum")));
  EXPECT_THAT(findings, Contains(Finding(second, "", "checksum")));
  EXPECT_THAT(findings, Contains(Finding(other, "named", "checksum")));
}

TEST_F(DamagedTest, WhatADamagedBranchHidesIsSummedUp) {
  PageNumber branch = PageOf(JOHNNY_PAGE_BRANCH, "");
  Page(branch)[50] ^= 1;
  std::vector<Found> findings = Findings();
  EXPECT_THAT(findings, Contains(Finding(branch, "", "checksum")));
  EXPECT_EQ(findings.size(), 2u);
  EXPECT_THAT(findings.back().message, HasSubstr("cannot be accounted for"));
}

TEST_F(DamagedTest, APageWithAnotherNumber) {
  PageNumber leaf = PageOf(JOHNNY_PAGE_LEAF, "", 2);
  node::Header(Page(leaf))->set_page(leaf + 1);
  RepairUpwards(&bytes_, leaf);
  ExpectFinding(leaf, "", "the page says it is page " + std::to_string(leaf + 1));
}

TEST_F(DamagedTest, AnotherVersionOfAPage) {
  PageNumber leaf = PageOf(JOHNNY_PAGE_LEAF, "", 2);
  Page(leaf)[kPageSize - 1] ^= 1;
  RepairChecksum(&bytes_, leaf);
  ExpectFinding(leaf, "", "not the version that its parent refers to");
}

TEST_F(DamagedTest, KeysOutOfOrder) {
  PageNumber leaf = PageOf(JOHNNY_PAGE_LEAF, "", 2);
  EditLeaf(leaf, [](auto* entries) { std::swap((*entries)[1], (*entries)[2]); });
  ExpectFinding(leaf, "", "keys do not ascend");
}

TEST_F(DamagedTest, AHeadThatIsNotItsKeys) {
  PageNumber leaf = PageOf(JOHNNY_PAGE_LEAF, "", 2);
  Page(leaf)[format::kPageHeaderSize + 4] ^= 1;
  RepairUpwards(&bytes_, leaf);
  ExpectFinding(leaf, "", "head does not match");
}

TEST_F(DamagedTest, KeysOutsideTheirSeparators) {
  PageNumber leaf = PageOf(JOHNNY_PAGE_LEAF, "", 2);
  EditLeaf(leaf, [](auto* entries) { entries->front().key = "a key from elsewhere"; });
  ExpectFinding(leaf, "", "before the separator above it");
  bytes_ = SampleImage().bytes;
  EditLeaf(leaf, [](auto* entries) { entries->back().key = "~"; });
  ExpectFinding(leaf, "", "does not lie before the next separator");
}

TEST_F(DamagedTest, WrongEntryCounts) {
  PageNumber branch = PageOf(JOHNNY_PAGE_BRANCH, "");
  format::ChildRef child = node::GetChild(Page(branch), 2);
  child.entries += 1;
  node::SetChild(Page(branch), 2, child);
  RepairUpwards(&bytes_, branch);
  std::vector<Found> findings = Findings();
  EXPECT_THAT(findings, Contains(Finding(child.page, "", "entries below it")));
  EXPECT_THAT(findings, Contains(Finding(branch, "", "entries below it")));
}

TEST_F(DamagedTest, AnEmptyLeaf) {
  PageNumber leaf = PageOf(JOHNNY_PAGE_LEAF, "", 2);
  EditLeaf(leaf, [](auto* entries) { entries->clear(); });
  ExpectFinding(leaf, "", "an empty leaf");
}

TEST_F(DamagedTest, PagesFromTheFuture) {
  PageNumber leaf = PageOf(JOHNNY_PAGE_LEAF, "", 2);
  node::Header(Page(leaf))->birth = 1000000;
  RepairUpwards(&bytes_, leaf);
  ExpectFinding(leaf, "", "born in transaction 1000000");
}

TEST_F(DamagedTest, PagesReferredToTwice) {
  PageNumber branch = PageOf(JOHNNY_PAGE_BRANCH, "");
  PageNumber from = node::GetChild(Page(branch), 1).page;
  PageNumber to = node::GetChild(Page(branch), 3).page;
  ASSERT_EQ(Redirect(&bytes_, branch, from, to), 1);
  RepairUpwards(&bytes_, branch);
  ExpectFinding(to, "", "owned twice: it is a tree page and a tree page");
}

TEST_F(DamagedTest, PagesThatAreInUseAndFree) {
  PageNumber free = 0;
  {
    WriteFile(path_, bytes_);
    Env env(path_);
    auto first = [](void* context, const johnny_free_run* run) {
      *static_cast<PageNumber*>(context) = run->first_page;
      return 1;
    };
    johnny_free_run_list(env.get(), first, &free);
    ASSERT_NE(free, 0u);
  }
  bytes_ = SampleImage().bytes;
  PageNumber branch = PageOf(JOHNNY_PAGE_BRANCH, "");
  format::ChildRef child = node::GetChild(Page(branch), 1);
  std::string copy = bytes_.substr(child.page * kPageSize, kPageSize);
  std::copy(copy.begin(), copy.end(), bytes_.begin() + static_cast<ptrdiff_t>(free * kPageSize));
  node::Header(Page(free))->set_page(free);
  RepairChecksum(&bytes_, free);
  ASSERT_EQ(Redirect(&bytes_, branch, child.page, free), 1);
  RepairUpwards(&bytes_, branch);
  std::vector<Found> findings = Findings();
  EXPECT_THAT(findings, Contains(Finding(free, "-", "owned twice: it is a tree page and a")));
  EXPECT_THAT(findings, Contains(Finding(child.page, "-", "lost")));
}

TEST_F(DamagedTest, LostPages) {
  EditMaster([](format::MasterPage* master) { master->main = {}; });
  std::vector<Found> findings = Findings();
  ASSERT_FALSE(findings.empty());
  for (const Found& found : findings) {
    EXPECT_THAT(found.message, HasSubstr("lost: neither in use nor free nor pending"));
  }
}

TEST_F(DamagedTest, WithoutAFreeLogFreePagesAreLost) {
  EditMaster([](format::MasterPage* master) { master->free_log = {}; });
  // Neighbours are lost together, and reported by the first of them.
  const PageNumber page = PageOf(JOHNNY_PAGE_FREE_LOG, "(none)");
  auto holds_it = [page](const Found& found) {
    unsigned long pages = 0;
    size_t at = found.message.find('(');
    return at != std::string::npos && std::sscanf(found.message.c_str() + at, "(%lu page", &pages) == 1 && found.page <= page &&
           page < found.page + pages;
  };
  EXPECT_THAT(Findings(), Contains(AllOf(Truly(holds_it), Field("table", &Found::table, "-"),
                                         Field("message", &Found::message, HasSubstr("lost")))));
}

TEST_F(DamagedTest, RecordsOfTables) {
  EditMaster([](format::MasterPage* master) {
    ++master->main.leaf_pages;
    --master->main.branch_pages;
    ++master->main.extent_pages;
    --master->main.large_values;
    ++master->catalog.leaf_pages;
    ++master->table_count;
  });
  std::vector<Found> findings = Findings();
  EXPECT_THAT(findings, Contains(Finding(0, "", "leaf pages")));
  EXPECT_THAT(findings, Contains(Finding(0, "", "branch pages")));
  EXPECT_THAT(findings, Contains(Finding(0, "", "pages of large values")));
  EXPECT_THAT(findings, Contains(Finding(0, "", "large values")));
  EXPECT_THAT(findings, Contains(Finding(0, "-", "catalog: its record says 2 leaf pages, there are 1")));
  EXPECT_THAT(findings, Contains(Finding(0, "-", "the catalog has 2 tables, the master page counts 3")));
}

TEST_F(DamagedTest, RootsThatMakeNoSense) {
  EditMaster([](format::MasterPage* master) { ++master->main.level; });
  ExpectFinding(PageOf(JOHNNY_PAGE_BRANCH, ""), "", "level 1 where 2 belongs");
}

TEST_F(DamagedTest, CatalogEntriesThatAreNoRecords) {
  PageNumber catalog = PageOf(JOHNNY_PAGE_LEAF, "(none)");
  EditLeaf(catalog, [](auto* entries) { entries->front().value.bytes = "not a record"; });
  ExpectFinding(catalog, "-", "not a table record");
}

TEST_F(DamagedTest, DamageIsFoundThoughThePageWasReadBefore) {
  WriteFile(path_, bytes_);
  Env env(path_);
  EXPECT_TRUE(env.VerifyClean());
  PageNumber leaf = PageOf(JOHNNY_PAGE_LEAF, "", 2);
  {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(leaf * kPageSize + kPageSize - 1));
    file.put('\x7f');
  }
  EXPECT_THAT(FindingsOf(env), Contains(Finding(leaf, "", "checksum")));
}

TEST_F(DamagedTest, TheMasterPageInUse) {
  WriteFile(path_, bytes_);
  Env env(path_);
  {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    for (uint64_t offset : format::kMasterSlotOffset) {
      file.seekp(static_cast<std::streamoff>(offset + 1000));
      file.put('\1');
    }
  }
  std::vector<Found> findings = FindingsOf(env);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_THAT(findings[0].message, HasSubstr("checksum mismatch"));
  EXPECT_EQ(findings[0].page % (format::kMasterSlotOffset[1] / kPageSize), 0u);
}

TEST_F(DamagedTest, TheFirstFindingCanBeTheLast) {
  Page(PageOf(JOHNNY_PAGE_LEAF, "", 1))[2000] ^= 1;
  Page(PageOf(JOHNNY_PAGE_LEAF, "", 2))[2000] ^= 1;
  WriteFile(path_, bytes_);
  Env env(path_);
  auto stop = [](void*, const johnny_finding*) { return 1; };
  johnny_verify_result result{};
  result.struct_size = sizeof result;
  johnny_verify_options options = {.struct_size = sizeof options, .on_finding = stop};
  EXPECT_EQ(Result(johnny_verify(env.get(), &options, &result)), JOHNNY_STOPPED);
  EXPECT_EQ(result.findings, 1u);
}

// ---- Owners ----

TEST(OwnerMapTest, APageKeepsItsFirstOwner) {
  verify::OwnerMap map;
  map.Resize(10);
  EXPECT_EQ(map.Claim({2, 4}, verify::Owner::kTree).pages, 0u);
  verify::OwnerMap::Conflict conflict = map.Claim({4, 4}, verify::Owner::kFree);
  EXPECT_EQ(conflict.pages, 2u);
  EXPECT_EQ(conflict.first, 4u);
  EXPECT_EQ(conflict.owner, verify::Owner::kTree);
  EXPECT_EQ(map.at(5), verify::Owner::kTree);
  EXPECT_EQ(map.at(6), verify::Owner::kFree);
  EXPECT_EQ(map.claimed(), 6u);
}

TEST(OwnerMapTest, MarksAreApartFromOwners) {
  verify::OwnerMap map;
  map.Resize(4);
  map.Mark(1);
  map.Claim({1, 1}, verify::Owner::kPending);
  EXPECT_TRUE(map.IsMarked(1));
  EXPECT_FALSE(map.IsMarked(2));
}

TEST(OwnerMapTest, RunsEndWhereTheTestDoes) {
  verify::OwnerMap map;
  map.Resize(6);
  map.Claim({2, 2}, verify::Owner::kFree);
  auto nobody = [&](PageNumber page) { return map.at(page) == verify::Owner::kNobody; };
  EXPECT_EQ(map.FindRun(0, nobody), (space::Run{0, 2}));
  EXPECT_EQ(map.FindRun(2, nobody), (space::Run{4, 2}));
  EXPECT_EQ(map.FindRun(6, nobody).pages, 0u);
  EXPECT_FALSE(map.Contains({5, 2}));
  EXPECT_FALSE(map.Contains({~PageNumber{0}, 2}));
}

}  // namespace
}  // namespace johnny::test
