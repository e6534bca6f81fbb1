// The checker on named snapshots: damage to what only they see, records that make no sense, pages that are not kept.
#include <gmock/gmock.h>

#include <set>

#include "damage/image.h"
#include "format/snapshot_record.h"
#include "node/leaf.h"

namespace johnny::test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

struct Found {
  uint64_t page;
  std::string table;  // "-": none
  std::string message;

  friend std::ostream& operator<<(std::ostream& out, const Found& found) {
    return out << "page " << found.page << ", table " << found.table << ": " << found.message << "\n";
  }
};

class NamedVerifyTest : public testing::Test {
 protected:
  // Two named snapshots of a main table with branches, a named table and large values, of which half has changed since.
  NamedVerifyTest() {
    {
      Env env(path_);
      Write(env, "old", 1);
      Create(env, "first");
      Write(env, "new", 3);
      Create(env, "second");
      Write(env, "newest", 4);
      Remember(env);
    }
    bytes_ = ReadFile(path_);
    sound_ = bytes_;
  }

  static void Create(const Env& env, const std::string& name) {
    Txn txn(env);
    ASSERT_OK(txn.CreateSnapshot(name));
    ASSERT_OK(txn.Commit());
  }

  // Every `step`-th entry.
  static void Write(const Env& env, const std::string& value, uint64_t step) {
    Txn txn(env);
    for (uint64_t i = 0; i < 4000; i += step) {
      ASSERT_OK(txn.Put(NumberedKey(i), value + NumberedKey(i)));
    }
    ASSERT_OK(txn.Put("large", Pattern(20000, static_cast<uint32_t>(step))));
    for (uint64_t i = 0; i < 10; i += step) {
      ASSERT_OK(txn.Put(NumberedKey(i), value, 0, txn.Table("named")));
    }
    ASSERT_OK(txn.Commit());
  }

  // What only named snapshots see.
  void Remember(const Env& env) {
    std::set<PageNumber> newest;
    for (const UsedPage& page : PagesOf(Txn(env, JOHNNY_READ))) {
      newest.insert(page.page);
    }
    for (const UsedPage& page : PagesOf(Txn::On(env, "first"))) {
      if (newest.count(page.page) == 0) {
        old_.push_back(page);
      }
    }
    ASSERT_THAT(old_, SizeIs(testing::Gt(20u)));
    for (const UsedPage& page : PagesOf(Txn(env, JOHNNY_READ))) {
      if (page.kind == JOHNNY_PAGE_LEAF && page.table == "-") {
        catalog_ = page.page;
      }
      if (page.kind == JOHNNY_PAGE_LEAF && page.table.empty()) {
        newest_leaf_ = page.page;
      }
    }
  }

  static std::vector<UsedPage> PagesOf(const Txn& txn) {
    std::vector<UsedPage> pages;
    auto add = [](void* context, const johnny_page_run* run) {
      for (uint64_t i = 0; i < run->pages; ++i) {
        static_cast<std::vector<UsedPage>*>(context)->push_back(
            {run->first_page + i, run->kind, run->level, run->table != nullptr ? run->table : "-"});
      }
      return 0;
    };
    EXPECT_OK(Result(johnny_page_list(txn.get(), add, &pages)));
    return pages;
  }

  PageNumber OldPage(uint32_t kind, const std::string& table) const {
    for (const UsedPage& page : old_) {
      if (page.kind == kind && page.table == table) {
        return page.page;
      }
    }
    ADD_FAILURE() << "no such page";
    return 0;
  }

  std::vector<Found> Findings() {
    WriteFile(path_, bytes_);
    johnny_options options = TestOptions();
    options.flags = JOHNNY_READ_ONLY;
    Env env(path_, options);
    std::vector<Found> findings;
    auto collect = [](void* context, const johnny_finding* finding) {
      static_cast<std::vector<Found>*>(context)->push_back(
          {finding->page, finding->table != nullptr ? finding->table : "-", finding->message});
      return 0;
    };
    johnny_verify_options checks = {.struct_size = sizeof checks, .on_finding = collect, .context = &findings};
    Result code = johnny_verify(env.get(), &checks, nullptr);
    EXPECT_EQ(code, findings.empty() ? JOHNNY_OK : JOHNNY_CORRUPT);
    return findings;
  }

  static auto Says(const std::string& message) { return Field("message", &Found::message, HasSubstr(message)); }
  static auto Says(uint64_t page, const std::string& message) { return AllOf(Field("page", &Found::page, page), Says(message)); }

  // Changes the value of the named snapshot's catalog entry, checksums right up to the master. The size stays.
  void EditRecord(const std::string& name, void (*change)(format::SnapshotRecord*)) {
    Byte* entry = RecordOf(name);
    format::SnapshotRecord record = format::LoadSnapshotRecord(entry);
    change(&record);
    format::StoreSnapshotRecord(entry, record);
    RepairUpwards(catalog_);
  }
  Byte* RecordOf(const std::string& name) {
    Byte* page = At(&bytes_, catalog_);
    for (uint32_t i = 0; i < node::Header(page)->count; ++i) {
      node::LeafEntry found = node::GetLeafEntry(page, i);
      if (found.key == format::SnapshotKey(name)) {
        return const_cast<Byte*>(Data(found.value.bytes));
      }
    }
    ADD_FAILURE() << "no snapshot " << name;
    return nullptr;
  }

  // The helpers of damage/image.h take the checksums' seed from the sample, so this image has one of its own.
  void RepairUpwards(PageNumber page) { Forger(&bytes_, kPageSize, MasterOf(bytes_, -1).database_id).RepairUpwards(page); }

  TempDir dir_;
  std::string path_ = dir_.File("db");
  std::string bytes_;
  std::string sound_;
  std::vector<UsedPage> old_;
  PageNumber catalog_ = 0;
  PageNumber newest_leaf_ = 0;
};

TEST_F(NamedVerifyTest, TheUndamagedImageHasNoFindings) { EXPECT_THAT(Findings(), IsEmpty()); }

TEST_F(NamedVerifyTest, AFlippedBitInEveryPageThatOnlyTheySee) {
  for (const UsedPage& used : old_) {
    if (used.kind == JOHNNY_PAGE_EXTENT || used.kind == JOHNNY_PAGE_FREE_LOG) {
      continue;
    }
    SCOPED_TRACE(used.page);
    bytes_ = sound_;
    At(&bytes_, used.page)[100] ^= 4;
    std::vector<Found> findings = Findings();
    EXPECT_THAT(findings, Contains(Says(used.page, "named snapshot 'first': ")));
    EXPECT_THAT(findings, Contains(Says(used.page, "checksum mismatch")));
    EXPECT_THAT(findings, Not(Contains(Says("lost"))));
  }
}

TEST_F(NamedVerifyTest, TheirLargeValues) {
  PageNumber page = OldPage(JOHNNY_PAGE_EXTENT, "");
  At(&bytes_, page)[1000] ^= 1;
  EXPECT_THAT(Findings(), Contains(Says(page, "named snapshot 'first': checksum mismatch in the large value")));
}

TEST_F(NamedVerifyTest, WhatIsInTheirPagesIsChecked) {
  PageNumber leaf = OldPage(JOHNNY_PAGE_LEAF, "");
  node::Header(At(&bytes_, leaf))->birth = 1000000;
  RepairUpwards(leaf);
  EXPECT_THAT(Findings(), Contains(Says(leaf, "born in transaction 1000000")));
}

TEST_F(NamedVerifyTest, ADamagedCatalogOfTheirs) {
  PageNumber leaf = OldPage(JOHNNY_PAGE_LEAF, "-");
  At(&bytes_, leaf)[3000] ^= 1;
  EXPECT_THAT(Findings(), Contains(Says(leaf, "named snapshot 'first': ")));
}

TEST_F(NamedVerifyTest, PagesThatAreFreeNow) {
  EditRecord("first", [](format::SnapshotRecord* record) { record->txn -= 1; });
  EXPECT_THAT(Findings(), Contains(Says("named snapshot 'first': ")));
}

TEST_F(NamedVerifyTest, PagesThatAreAnotherVersionNow) {
  Byte* record = RecordOf("first");
  format::SnapshotRecord changed = format::LoadSnapshotRecord(record);
  changed.main.root.page = newest_leaf_;
  changed.main.level = 0;
  changed.page_count = MasterOf(bytes_, -1).page_count;
  format::StoreSnapshotRecord(record, changed);
  RepairUpwards(catalog_);
  EXPECT_THAT(Findings(), Contains(Says(newest_leaf_, "named snapshot 'first': needs a version of the page that is gone")));
}

TEST_F(NamedVerifyTest, PagesKeptForNothing) {
  EditRecord("first", [](format::SnapshotRecord* record) { record->main = {}; });
  EXPECT_THAT(Findings(), Contains(Says("which does not refer to it")));
}

TEST_F(NamedVerifyTest, RecordsThatMakeNoSense) {
  EditRecord("second", [](format::SnapshotRecord* record) { record->txn = 1u << 30; });
  EXPECT_THAT(Findings(), Contains(Says(catalog_, "named snapshot 'second': its record in the catalog makes no sense")));
  bytes_ = sound_;
  EditRecord("second", [](format::SnapshotRecord* record) { record->main.root.page = 1u << 30; });
  EXPECT_THAT(Findings(), Contains(Says(catalog_, "the root of a tree is impossible")));
  bytes_ = sound_;
  EditRecord("second", [](format::SnapshotRecord* record) { record->page_count = 3; });
  EXPECT_THAT(Findings(), Contains(Says(catalog_, "its page count is impossible")));
}

TEST_F(NamedVerifyTest, ImpossibleRecordsAreErrorsInUse) {
  EditRecord("second", [](format::SnapshotRecord* record) { record->catalog.level = 40; });
  WriteFile(path_, bytes_);
  Env env(path_);
  EXPECT_EQ(Txn().BeginOn(env, "second"), JOHNNY_CORRUPT);
  EXPECT_EQ(Txn::On(env, "first").Entries(), 4001u) << "the other one is whole";
  Txn reader(env, JOHNNY_READ);
  EXPECT_EQ(Result(johnny_snapshot_list(
                reader.get(), [](void*, const johnny_snapshot_info*) { return 0; }, nullptr)),
            JOHNNY_CORRUPT);
  EXPECT_EQ(Txn().Begin(env), JOHNNY_CORRUPT) << "nobody knows what it needs";
  EXPECT_EQ(reader.Entries(), 4001u);
}

}  // namespace
}  // namespace johnny::test
