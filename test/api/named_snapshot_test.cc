// Named snapshots: what they keep, for how long, and at what price.
#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "support/test_db.h"

namespace johnny::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class NamedSnapshotTest : public DbTest {
 protected:
  void Put(std::string_view key, std::string_view value) {
    Txn txn(env_);
    ASSERT_OK(txn.Put(key, value));
    ASSERT_OK(txn.Commit());
  }
  void Create(const std::string& name) {
    Txn txn(env_);
    ASSERT_OK(txn.CreateSnapshot(name));
    ASSERT_OK(txn.Commit());
  }
  void Delete(const std::string& name) {
    Txn txn(env_);
    ASSERT_OK(txn.DeleteSnapshot(name));
    ASSERT_OK(txn.Commit());
  }
  static std::vector<std::string> NamesIn(const Txn& txn) {
    std::vector<std::string> names;
    for (const NamedSnapshot& snapshot : txn.Snapshots()) {
      names.push_back(snapshot.name);
    }
    return names;
  }
  std::vector<std::string> Names() { return NamesIn(Txn(env_, JOHNNY_READ)); }
  uint64_t HeldBack(const std::string& name) {
    for (const NamedSnapshot& snapshot : Txn(env_, JOHNNY_READ).Snapshots()) {
      if (snapshot.name == name) {
        return snapshot.info.pages_held_back;
      }
    }
    ADD_FAILURE() << "no snapshot " << name;
    return 0;
  }
  // Changes every entry that Fill(0, entries) made.
  void Overwrite(uint64_t entries, uint32_t round) {
    Txn txn(env_);
    for (uint64_t i = 0; i < entries; ++i) {
      ASSERT_OK(txn.Put(NumberedKey(i), Pattern(8, round)));
    }
    ASSERT_OK(txn.Commit());
  }
};

TEST_F(NamedSnapshotTest, KeepsWhatTheTransactionBeganWith) {
  Put("a", "1");
  uint64_t base = env_.Info().last_txn_id;
  Txn txn(env_);
  ASSERT_OK(txn.Put("a", "2"));
  ASSERT_OK(txn.CreateSnapshot("yesterday"));
  ASSERT_OK(txn.Put("b", "2"));
  ASSERT_OK(txn.Commit());
  Put("a", "3");

  Txn old = Txn::On(env_, "yesterday");
  EXPECT_EQ(old.All(), (Contents{{"a", "1"}}));
  EXPECT_EQ(old.Id(), base);
  EXPECT_EQ(old.Info().read_only, 1u);
  EXPECT_EQ(old.Info().lag, env_.Info().last_txn_id - base);
  EXPECT_EQ(Txn(env_, JOHNNY_READ).All(), (Contents{{"a", "3"}, {"b", "2"}}));
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(NamedSnapshotTest, IsThereAfterReopening) {
  Fill(0, 3000);
  Create("yesterday");
  Overwrite(3000, 1);
  for (int i = 0; i < 3; ++i) {
    Reopen();
    EXPECT_TRUE(env_.VerifyClean());
    Overwrite(3000, 2);
    Txn old = Txn::On(env_, "yesterday");
    EXPECT_EQ(old.Entries(), 3000u);
    EXPECT_EQ(old.Find(NumberedKey(1234)), NumberedKey(1234));
  }
  ASSERT_OK(env_.Close());
  options_.flags = JOHNNY_READ_ONLY;
  ASSERT_OK(env_.Open(path_, options_));
  EXPECT_THAT(Names(), ElementsAre("yesterday"));
  EXPECT_EQ(Txn::On(env_, "yesterday").Find(NumberedKey(7)), NumberedKey(7));
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(NamedSnapshotTest, OfTheEmptyDatabase) {
  Create("nothing");
  Put("a", "1");
  EXPECT_THAT(Txn::On(env_, "nothing").All(), IsEmpty());
  Reopen();
  EXPECT_THAT(Txn::On(env_, "nothing").All(), IsEmpty());
  EXPECT_TRUE(env_.VerifyClean());
  Delete("nothing");
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(NamedSnapshotTest, IsNotThereBeforeTheCommitOrAfterAnAbort) {
  Put("a", "1");
  Txn reader;
  {
    Txn txn(env_);
    ASSERT_OK(txn.CreateSnapshot("s"));
    EXPECT_THAT(NamesIn(txn), ElementsAre("s")) << "but the transaction sees it";
    EXPECT_EQ(reader.BeginOn(env_, "s"), JOHNNY_NO_SNAPSHOT);
    ASSERT_OK(txn.Abort());
  }
  EXPECT_EQ(reader.BeginOn(env_, "s"), JOHNNY_NO_SNAPSHOT);
  EXPECT_THAT(Names(), IsEmpty());
  EXPECT_EQ(env_.Info().readers, 0u);
}

TEST_F(NamedSnapshotTest, ADeletionCountsFromItsCommitOn) {
  Put("a", "1");
  Create("s");
  {
    Txn txn(env_);
    ASSERT_OK(txn.DeleteSnapshot("s"));
    EXPECT_THAT(NamesIn(txn), IsEmpty());
    EXPECT_EQ(txn.DeleteSnapshot("s"), JOHNNY_NO_SNAPSHOT);
    EXPECT_OK(Txn::On(env_, "s").Abort());
    ASSERT_OK(txn.Abort());
  }
  EXPECT_THAT(Names(), ElementsAre("s"));
  Delete("s");
  EXPECT_EQ(Txn().BeginOn(env_, "s"), JOHNNY_NO_SNAPSHOT);
}

TEST_F(NamedSnapshotTest, AReaderSurvivesTheDeletionOfItsName) {
  Fill(0, 2000);
  Create("s");
  Overwrite(2000, 1);
  Txn old = Txn::On(env_, "s");
  Delete("s");
  ASSERT_OK(env_.Sync());
  for (uint32_t i = 0; i < 20; ++i) {
    Overwrite(2000, i);
  }
  Contents all = old.All();
  EXPECT_EQ(all.size(), 2000u);
  EXPECT_EQ(all[NumberedKey(1999)], NumberedKey(1999));
  uint64_t pages = env_.Info().page_count;
  ASSERT_OK(old.Abort());
  EXPECT_LT(env_.Info().pending_pages, pages / 3);
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(NamedSnapshotTest, HoldsBackWhatChangedSinceAndGivesItBack) {
  Fill(0, 20000);
  uint64_t used = env_.Info().used_pages;
  Create("s");
  EXPECT_LE(HeldBack("s"), 10u);
  Overwrite(20000, 1);
  ASSERT_OK(env_.Sync());
  uint64_t held = HeldBack("s");
  EXPECT_GT(held, used * 3 / 4);
  for (uint32_t i = 2; i < 12; ++i) {
    Overwrite(20000, i);
    ASSERT_OK(env_.Sync());
  }
  EXPECT_LE(HeldBack("s"), held + 5) << "once, however often it is overwritten";
  EXPECT_LT(env_.Info().page_count, used * 5);
  EXPECT_TRUE(env_.VerifyClean());

  Delete("s");
  ASSERT_OK(env_.Sync());
  Put("x", "y");  // what the deletion itself gave up has been seen by the snapshot before it
  ASSERT_OK(env_.Sync());
  EXPECT_LT(env_.Info().pending_pages, 30u);
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(NamedSnapshotTest, ALazyDeletionGivesNothingBackBeforeTheSync) {
  Fill(0, 5000);
  Create("s");
  Overwrite(5000, 1);
  ASSERT_OK(env_.Sync());
  uint64_t held = HeldBack("s");
  ASSERT_GT(held, 30u);
  Delete("s");
  EXPECT_GE(env_.Info().pending_pages, held);
  Put("a", "1");
  EXPECT_GE(env_.Info().pending_pages, held);
  ASSERT_OK(env_.Sync());
  EXPECT_LT(env_.Info().pending_pages, held);
}

TEST_F(NamedSnapshotTest, SharedPagesAreHeldBackByNoneAlone) {
  Fill(0, 5000);
  {
    Txn txn(env_);
    ASSERT_OK(txn.CreateSnapshot("a"));
    ASSERT_OK(txn.CreateSnapshot("b"));
    ASSERT_OK(txn.Commit());
  }
  Create("c");
  Overwrite(5000, 1);
  ASSERT_OK(env_.Sync());
  EXPECT_EQ(Txn::On(env_, "a").Id(), Txn::On(env_, "b").Id());
  EXPECT_LT(HeldBack("a"), 10u) << "c sees them, too";
  EXPECT_LT(HeldBack("c"), 10u);
  Delete("c");
  ASSERT_OK(env_.Sync());
  EXPECT_GT(HeldBack("a"), 30u);
  EXPECT_EQ(HeldBack("a"), HeldBack("b")) << "two names of one snapshot";
  Delete("a");
  ASSERT_OK(env_.Sync());
  EXPECT_EQ(Txn::On(env_, "b").Entries(), 5000u);
  EXPECT_GT(HeldBack("b"), 30u);
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(NamedSnapshotTest, LivesBesideTables) {
  {
    Txn txn(env_);
    ASSERT_OK(txn.Put("k", "1", 0, txn.Table("t")));
    ASSERT_OK(txn.Put("k", "1", 0, txn.Table("gone")));
    ASSERT_OK(txn.Commit());
  }
  Create("t");  // names of tables are of another kind
  {
    Txn txn(env_);
    ASSERT_OK(txn.Put("k", "2", 0, txn.Table("t")));
    ASSERT_OK(txn.Put("k", "2", 0, txn.Table("new")));
    ASSERT_OK(Result(johnny_table_drop(txn.get(), txn.Table("gone"))));
    ASSERT_OK(Result(johnny_table_rename(txn.get(), txn.Table("t"), "u")));
    EXPECT_THAT(txn.TableNames(), ElementsAre("new", "u"));
    ASSERT_OK(txn.Commit());
  }
  EXPECT_EQ(env_.Info().tables, 2u);
  Txn now(env_, JOHNNY_READ);
  EXPECT_THAT(now.TableNames(), ElementsAre("new", "u"));
  Txn old = Txn::On(env_, "t");
  EXPECT_THAT(old.TableNames(), ElementsAre("gone", "t"));
  EXPECT_EQ(old.Find("k", old.Table("t", 0)), "1");
  EXPECT_EQ(old.Find("k", old.Table("gone", 0)), "1");
  johnny_table* table = nullptr;
  EXPECT_EQ(old.OpenTable("new", 0, &table), JOHNNY_NO_TABLE);
  EXPECT_EQ(now.Snapshots().at(0).info.tables, 2u);
  EXPECT_TRUE(env_.VerifyClean());
  ASSERT_OK(now.Abort());
  ASSERT_OK(old.Abort());
  Reopen();
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(NamedSnapshotTest, IsReadLikeAnyOther) {
  Fill(0, 3000);
  std::string large = Pattern(700000, 5);
  Put("large", large);
  Create("s");
  Overwrite(3000, 1);
  Put("large", "small");
  Txn old = Txn::On(env_, "s");
  EXPECT_EQ(old.Find("large"), large);
  uint64_t count = 0;
  EXPECT_OK(old.Count(NumberedKey(10), NumberedKey(20), &count));
  EXPECT_EQ(count, 10u);
  Entry entry;
  EXPECT_OK(old.Nth(2999, &entry));
  EXPECT_EQ(entry.second, NumberedKey(2999));
  Cursor cursor(old);
  EXPECT_EQ(cursor.SeekKey(NumberedKey(50), JOHNNY_SEEK_AT_OR_AFTER), NumberedKey(50));
  EXPECT_EQ(cursor.NextKey(), NumberedKey(51));
  johnny_table_scan_info scan{};
  scan.struct_size = sizeof scan;
  EXPECT_OK(Result(johnny_table_scan(old.get(), nullptr, &scan)));
  EXPECT_EQ(scan.largest_value, 700000u);
  uint64_t pages = 0;
  auto add = [](void* context, const johnny_page_run* run) {
    *static_cast<uint64_t*>(context) += run->pages;
    return 0;
  };
  EXPECT_OK(Result(johnny_page_list(old.get(), add, &pages)));
  EXPECT_GE(pages, 170u);
  EXPECT_EQ(old.Put("a", "1"), JOHNNY_READ_ONLY_TXN);
  EXPECT_EQ(old.CreateSnapshot("t"), JOHNNY_READ_ONLY_TXN);
  EXPECT_EQ(old.DeleteSnapshot("s"), JOHNNY_READ_ONLY_TXN);
  EXPECT_OK(old.Commit());
}

TEST_F(NamedSnapshotTest, CannotBeReset) {
  Create("s");
  Txn old = Txn::On(env_, "s");
  EXPECT_EQ(old.Reset(), JOHNNY_WRONG_TXN);
  EXPECT_EQ(old.Renew(), JOHNNY_WRONG_TXN);
  EXPECT_THAT(old.All(), IsEmpty()) << "it goes on";
  EXPECT_OK(old.Abort());
  Txn reader(env_, JOHNNY_READ);
  EXPECT_OK(reader.Reset()) << "the handle was used again";
}

TEST_F(NamedSnapshotTest, ListsThoseThatTheTransactionSees) {
  Put("a", "1");
  Create("one");
  Put("b", "2");
  Txn before(env_, JOHNNY_READ);
  uint64_t base = before.Id();
  Create("two");
  Create("also");
  EXPECT_THAT(Names(), ElementsAre("also", "one", "two"));
  EXPECT_THAT(NamesIn(before), ElementsAre("one"));
  EXPECT_THAT(NamesIn(Txn::On(env_, "two")), ElementsAre("one"));
  Delete("one");
  EXPECT_THAT(NamesIn(before), ElementsAre("one")) << "deleted since";
  EXPECT_THAT(Names(), ElementsAre("also", "two"));

  Txn now(env_, JOHNNY_READ);
  NamedSnapshot two = now.Snapshots().at(1);
  EXPECT_EQ(two.info.struct_size, sizeof(johnny_snapshot_info));
  EXPECT_EQ(two.info.id, base);
  EXPECT_EQ(two.info.lag, now.Id() - base);
  EXPECT_EQ(two.info.entries, 2u);
  EXPECT_EQ(two.info.tables, 0u);
  EXPECT_GT(two.info.page_count, 16u);
  EXPECT_LE(two.info.page_count, env_.Info().page_count);
  EXPECT_EQ(Result(johnny_snapshot_list(
                now.get(), [](void*, const johnny_snapshot_info*) { return 1; }, nullptr)),
            JOHNNY_STOPPED);
}

TEST_F(NamedSnapshotTest, TheListMayBeChangedWhileItIsListed) {
  for (const char* name : {"a", "b", "c"}) {
    Create(name);
  }
  Txn txn(env_);
  auto drop = [](void* context, const johnny_snapshot_info* info) {
    EXPECT_OK(static_cast<Txn*>(context)->DeleteSnapshot(info->name));
    return 0;
  };
  EXPECT_OK(Result(johnny_snapshot_list(txn.get(), drop, &txn)));
  EXPECT_THAT(NamesIn(txn), IsEmpty());
  ASSERT_OK(txn.Commit());
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(NamedSnapshotTest, TakenNamesAreRefused) {
  Put("a", "1");
  Create("s");
  Put("a", "2");
  Txn txn(env_);
  EXPECT_EQ(txn.CreateSnapshot("s"), JOHNNY_EXISTS);
  ASSERT_OK(txn.Put("b", "1"));  // it can go on
  ASSERT_OK(txn.DeleteSnapshot("s"));
  ASSERT_OK(txn.CreateSnapshot("s"));
  EXPECT_EQ(txn.CreateSnapshot("s"), JOHNNY_EXISTS);
  ASSERT_OK(txn.Commit());
  EXPECT_EQ(Txn::On(env_, "s").All(), (Contents{{"a", "2"}}));
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(NamedSnapshotTest, CreatedAndDeletedInOneTransaction) {
  Put("a", "1");
  Txn txn(env_);
  ASSERT_OK(txn.CreateSnapshot("s"));
  ASSERT_OK(txn.DeleteSnapshot("s"));
  ASSERT_OK(txn.Put("a", "2"));
  ASSERT_OK(txn.Commit());
  EXPECT_THAT(Names(), IsEmpty());
  ASSERT_OK(env_.Sync());
  Put("a", "3");
  ASSERT_OK(env_.Sync());
  EXPECT_LT(env_.Info().pending_pages, 10u);
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(NamedSnapshotTest, NamesHaveLimits) {
  std::string longest(254, 'n');
  Txn txn(env_);
  EXPECT_OK(txn.CreateSnapshot(longest));
  EXPECT_OK(txn.CreateSnapshot("\xff\xfe not UTF-8, with spaces"));
  EXPECT_OK(txn.CreateSnapshot("\1"));
  EXPECT_EQ(txn.CreateSnapshot(""), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(txn.CreateSnapshot(std::string(255, 'n')), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(txn.DeleteSnapshot(std::string(255, 'n')), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_snapshot_create(txn.get(), nullptr)), JOHNNY_INVALID_ARGUMENT);
  ASSERT_OK(txn.Commit());
  EXPECT_THAT(Names(), ElementsAre("\1", longest, "\xff\xfe not UTF-8, with spaces"));
  EXPECT_OK(Txn::On(env_, longest).Abort());
  EXPECT_EQ(Txn().BeginOn(env_, ""), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Txn().BeginOn(env_, std::string(255, 'n')), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Txn().BeginOn(env_, "other"), JOHNNY_NO_SNAPSHOT);
}

TEST_F(NamedSnapshotTest, MisuseIsRefused) {
  Create("s");
  johnny_txn* txn = nullptr;
  EXPECT_EQ(Result(johnny_begin_snapshot(nullptr, "s", &txn)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_begin_snapshot(env_.get(), nullptr, &txn)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_begin_snapshot(env_.get(), "s", nullptr)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_snapshot_create(nullptr, "s")), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_snapshot_delete(nullptr, "s")), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_snapshot_list(nullptr, nullptr, nullptr)), JOHNNY_INVALID_ARGUMENT);
  Txn reader(env_, JOHNNY_READ);
  EXPECT_EQ(reader.CreateSnapshot("t"), JOHNNY_READ_ONLY_TXN);
  EXPECT_EQ(reader.DeleteSnapshot("s"), JOHNNY_READ_ONLY_TXN);
  EXPECT_EQ(Result(johnny_snapshot_list(reader.get(), nullptr, nullptr)), JOHNNY_INVALID_ARGUMENT);
  ASSERT_OK(reader.Reset());
  EXPECT_EQ(reader.CreateSnapshot("t"), JOHNNY_TXN_RESET);
  ASSERT_OK(reader.Abort());
  EXPECT_EQ(reader.CreateSnapshot("t"), JOHNNY_TXN_ENDED);
  EXPECT_EQ(reader.DeleteSnapshot("s"), JOHNNY_TXN_ENDED);
}

TEST_F(NamedSnapshotTest, TakesAReaderSlot) {
  options_.max_readers = 1;
  Create("s");
  Reopen();
  Txn old = Txn::On(env_, "s");
  EXPECT_EQ(Txn().BeginOn(env_, "s"), JOHNNY_READERS_FULL);
  EXPECT_EQ(env_.Info().readers, 1u);
  EXPECT_EQ(env_.Info().oldest_reader_id, old.Id());
  EXPECT_EQ(env_.Close(), JOHNNY_IN_USE);
  ASSERT_OK(old.Abort());
  EXPECT_EQ(Txn().BeginOn(env_, "t"), JOHNNY_NO_SNAPSHOT);
  EXPECT_EQ(Txn().BeginOn(env_, "t"), JOHNNY_NO_SNAPSHOT) << "the slot was given back";
}

TEST_F(NamedSnapshotTest, ManyInACatalogOfManyPages) {
  constexpr uint64_t kMany = 400;
  Fill(0, 300);
  for (uint64_t i = 0; i < kMany; ++i) {
    Txn txn(env_);
    ASSERT_OK(txn.Put(NumberedKey(i % 300), "round " + std::to_string(i)));
    ASSERT_OK(txn.CreateSnapshot(NumberedKey(i, 200, "name")));
    if (i % 4 == 0) {
      ASSERT_OK(txn.Put("k", std::to_string(i), 0, txn.Table(NumberedKey(i, 150))));
    }
    ASSERT_OK(txn.Commit());
  }
  EXPECT_EQ(Names().size(), kMany);
  EXPECT_EQ(env_.Info().tables, kMany / 4);
  EXPECT_EQ(Txn(env_, JOHNNY_READ).TableNames().size(), kMany / 4);
  EXPECT_TRUE(env_.VerifyClean());
  Reopen();
  EXPECT_TRUE(env_.VerifyClean());
  for (uint64_t i = 1; i < kMany; i += 7) {
    Txn old = Txn::On(env_, NumberedKey(i, 200, "name"));
    EXPECT_EQ(old.Find(NumberedKey((i - 1) % 300)), "round " + std::to_string(i - 1));
    EXPECT_EQ(old.TableNames().size(), (i + 3) / 4);
  }
  for (uint64_t i = 0; i < kMany; ++i) {
    if (i % 5 != 0) {
      Delete(NumberedKey((i * 37) % kMany, 200, "name"));
    }
  }
  EXPECT_EQ(Names().size(), kMany / 5);
  EXPECT_TRUE(env_.VerifyClean());
  for (const std::string& name : Names()) {
    Delete(name);
  }
  ASSERT_OK(env_.Sync());
  Put("x", "y");
  ASSERT_OK(env_.Sync());
  EXPECT_LT(env_.Info().pending_pages, 40u);
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(NamedSnapshotTest, CanBeDeletedWhenTheDatabaseIsFull) {
  options_.size_limit = 2 << 20;
  Reopen();
  Fill(0, 5000);
  Create("s");
  Result result = JOHNNY_OK;
  for (uint32_t round = 0; result.ok() && round < 100; ++round) {
    Txn txn(env_);
    for (uint64_t i = 0; i < 5000 && result.ok(); ++i) {
      result = txn.Put(NumberedKey(i), Pattern(20 + round * 8, round));
    }
    if (result.ok()) {
      ASSERT_OK(txn.Commit());
    }
  }
  ASSERT_EQ(result, JOHNNY_SIZE_LIMIT);
  Delete("s");
  ASSERT_OK(env_.Sync());
  Overwrite(1000, 7);
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(NamedSnapshotTest, ReadersAndAWriterThatRenamesAllTheTime) {
  Fill(0, 200);
  Create("s");
  std::atomic<bool> done = false;
  std::atomic<uint64_t> read{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      while (!done) {
        Txn old;
        Result result = old.BeginOn(env_, "s");
        if (result == JOHNNY_NO_SNAPSHOT) {
          continue;
        }
        ASSERT_OK(result);
        Contents all = old.All();
        ASSERT_EQ(all.size(), 200u);
        ++read;
      }
    });
  }
  for (uint32_t round = 0; round < 300 * static_cast<uint32_t>(Scale()) || read == 0; ++round) {
    Overwrite(200, round);
    Txn txn(env_);
    if (txn.DeleteSnapshot("s") == JOHNNY_NO_SNAPSHOT || round % 3 != 0) {
      ASSERT_OK(txn.CreateSnapshot("s"));
    }
    ASSERT_OK(txn.Commit());
  }
  done = true;
  for (std::thread& reader : readers) {
    reader.join();
  }
  EXPECT_TRUE(env_.VerifyClean());
}

}  // namespace
}  // namespace johnny::test
