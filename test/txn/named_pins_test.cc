// What names keep from being reused, and until when.
#include "txn/named_pins.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "txn/database_fixture.h"

namespace johnny::txn {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

std::vector<TxnId> PinnedAt(const NamedPins& pins, TxnId durable) {
  std::vector<TxnId> pinned;
  pins.AppendPinned(durable, &pinned);
  std::sort(pinned.begin(), pinned.end());
  return pinned;
}

TEST(NamedPinsTest, ANamePinsFromItsCommitOn) {
  NamedPins pins;
  pins.Commit(11, {{10}, {}}, 10);
  EXPECT_THAT(PinnedAt(pins, 10), ElementsAre(10));
  EXPECT_THAT(PinnedAt(pins, 100), ElementsAre(10));
}

TEST(NamedPinsTest, ADeletedNamePinsUntilTheDeletionIsDurable) {
  NamedPins pins;
  pins.Commit(11, {{10}, {}}, 11);
  pins.Commit(20, {{}, {10}}, 15);
  EXPECT_THAT(PinnedAt(pins, 15), ElementsAre(10));
  EXPECT_THAT(PinnedAt(pins, 19), ElementsAre(10));
  EXPECT_THAT(PinnedAt(pins, 20), IsEmpty());
  pins.Commit(21, {}, 21);
  EXPECT_THAT(PinnedAt(pins, 0), IsEmpty()) << "forgotten";
}

TEST(NamedPinsTest, TheLastNameOfASnapshotCounts) {
  NamedPins pins;
  pins.Commit(11, {{10, 10}, {}}, 11);
  pins.Commit(12, {{}, {10}}, 12);
  EXPECT_THAT(PinnedAt(pins, 12), ElementsAre(10));
  pins.Commit(13, {{}, {10}}, 13);
  EXPECT_THAT(PinnedAt(pins, 13), IsEmpty());
}

TEST(NamedPinsTest, CreatingAndDeletingInOneTransactionLeavesNothing) {
  NamedPins pins;
  pins.Commit(11, {{10}, {10}}, 11);
  EXPECT_THAT(PinnedAt(pins, 11), IsEmpty());
}

// ---- In a database ----

class NamedPinsDatabaseTest : public testing::Test {
 protected:
  NamedPinsDatabaseTest() { file_.MustOpen(); }

  template <typename Change>
  TxnId Commit(Durability durability, Change change) {
    Txn txn(&file_.db());
    EXPECT_TRUE(txn.BeginWrite(true).ok());
    TxnId id = txn.id();
    absl::Status status = change(&txn);
    EXPECT_TRUE(status.ok()) << status;
    status = txn.Commit(durability);
    EXPECT_TRUE(status.ok()) << status;
    return id;
  }
  TxnId Create(const std::string& name, Durability durability = Durability::kTwoPhase) {
    return Commit(durability, [&](Txn* txn) { return txn->CreateNamed(name); });
  }
  TxnId Delete(const std::string& name, Durability durability = Durability::kTwoPhase) {
    return Commit(durability, [&](Txn* txn) { return txn->DeleteNamed(name); });
  }
  TxnId newest() { return file_.db().board.newest(); }

  DatabaseFile file_;
};

TEST_F(NamedPinsDatabaseTest, TheBaseIsPinnedWithoutAGap) {
  file_.MustPut("a", "1");
  TxnId base = newest();
  Create("keep");
  EXPECT_THAT(file_.db().Pinned(), Contains(base));
  file_.MustPut("a", "2");
  file_.MustPut("a", "3");
  EXPECT_THAT(file_.db().Pinned(), Contains(base));
  Delete("keep");
  EXPECT_THAT(file_.db().Pinned(), Not(Contains(base)));
}

TEST_F(NamedPinsDatabaseTest, PinsAreThereAfterReopening) {
  file_.MustPut("a", "1");
  TxnId base = newest();
  Create("keep");
  file_.MustPut("a", "2");
  ASSERT_TRUE(file_.Close().ok());
  file_.MustOpen();
  ASSERT_TRUE(file_.db().LoadSpace().ok());
  EXPECT_THAT(file_.db().Pinned(), Contains(base));
}

TEST_F(NamedPinsDatabaseTest, ALazyDeletionPinsUntilTheSync) {
  file_.MustPut("a", "1");
  TxnId base = newest();
  Create("keep");
  file_.MustPut("a", "2");
  Delete("keep", Durability::kLazy);
  EXPECT_THAT(file_.db().Pinned(), Contains(base));
  file_.MustPut("a", "3", Durability::kLazy);
  EXPECT_THAT(file_.db().Pinned(), Contains(base));
  ASSERT_TRUE(file_.db().Sync().ok());
  EXPECT_THAT(file_.db().Pinned(), Not(Contains(base)));
}

// As long as a reader may find the name in the newest snapshot, the base must not be released: not even by a writer that goes on
// behind a deletion which is durable already.
TEST_F(NamedPinsDatabaseTest, ADeletionIsAnnouncedBeforeItReleasesAnything) {
  file_.MustPut("a", "1");
  TxnId base = newest();
  Create("keep");
  file_.MustPut("a", "2", Durability::kLazy);  // so that what is durable is not told by the commit word
  TxnId before = newest();
  int looks = 0, announcements = 0;
  file_.system().set_yield_hook([&](const char* where) {
    bool is_announced = newest() > before;
    std::vector<TxnId> pinned;
    file_.db().named.AppendPinned(file_.db().durable_txn(), &pinned);
    bool is_pinned = testing::Value(pinned, Contains(base));
    EXPECT_TRUE(is_announced || is_pinned) << where;
    ++looks;
    if (std::string(where) == "announced") {
      EXPECT_TRUE(is_announced && is_pinned);
      ++announcements;
    }
  });
  Delete("keep");
  file_.system().set_yield_hook(nullptr);
  EXPECT_EQ(announcements, 1);
  EXPECT_GT(looks, 4);
  EXPECT_THAT(file_.db().Pinned(), Not(Contains(base)));
}

TEST_F(NamedPinsDatabaseTest, CreatingMakesTheBaseDurableFirst) {
  file_.MustPut("a", "1", Durability::kLazy);
  TxnId base = newest();
  EXPECT_LT(file_.db().durable_txn(), base);
  Create("keep", Durability::kLazy);
  EXPECT_EQ(file_.db().durable_txn(), base);
}

TEST_F(NamedPinsDatabaseTest, AbortedNamesPinNothing) {
  file_.MustPut("a", "1");
  TxnId base = newest();
  {
    Txn txn(&file_.db());
    ASSERT_TRUE(txn.BeginWrite(true).ok());
    ASSERT_TRUE(txn.CreateNamed("keep").ok());
    txn.Abort();
  }
  file_.MustPut("a", "2");
  file_.MustPut("a", "3");
  EXPECT_THAT(file_.db().Pinned(), Not(Contains(base)));
}

// What another process would do that takes over as writer: both names of the newest catalog and of the durable one count.
TEST_F(NamedPinsDatabaseTest, LoadingAgainKeepsWhatThePowerCutMayBringBack) {
  file_.MustPut("a", "1");
  TxnId base = newest();
  Create("keep");
  format::MasterPage durable = file_.db().newest_master;
  file_.MustPut("a", "2", Durability::kLazy);
  TxnId deleted = Delete("keep", Durability::kLazy);
  format::MasterPage newest = file_.db().newest_master;
  pager::View view(file_.db().store.get(), newest.page_count, nullptr);

  NamedPins other;
  ASSERT_TRUE(other.Load(view, durable.catalog, durable.txn).ok());
  ASSERT_TRUE(other.Load(view, newest.catalog, newest.txn).ok());
  EXPECT_THAT(PinnedAt(other, durable.txn), ElementsAre(base));
  EXPECT_THAT(PinnedAt(other, deleted), IsEmpty());
}

// ---- A reader of a named snapshot against a writer that deletes the name ----

class NamedReaderRaceTest : public NamedPinsDatabaseTest {
 protected:
  // Runs `meanwhile` once, when the reader has looked the name up but not yet pinned its snapshot.
  void Between(std::function<void()> meanwhile) {
    file_.system().set_yield_hook([this, meanwhile](const char* where) {
      if (std::string(where) == "named snapshot: found" && looks_++ == 0) {
        meanwhile();
      }
    });
  }

  int looks_ = 0;
};

TEST_F(NamedReaderRaceTest, ANameDeletedMeanwhileIsNotThere) {
  file_.Fill(2000);
  Create("keep");
  Between([this] {
    Delete("keep");
    for (int i = 0; i < 20; ++i) {
      file_.Fill(2000);  // the pages are used again
    }
  });
  Txn reader(&file_.db());
  EXPECT_EQ(CodeOf(reader.BeginNamed("keep")), Code::kNoSnapshot);
  EXPECT_FALSE(reader.active());
  EXPECT_EQ(looks_, 1);
}

TEST_F(NamedReaderRaceTest, ANameGivenAnewMeanwhileIsTheNewOne) {
  file_.MustPut("a", "1");
  Create("keep");
  TxnId base = 0;
  Between([this, &base] {
    Delete("keep");
    file_.MustPut("a", "2");
    base = newest();
    Create("keep");
    file_.MustPut("a", "3");
  });
  Txn reader(&file_.db());
  ASSERT_TRUE(reader.BeginNamed("keep").ok());
  EXPECT_EQ(looks_, 2);
  EXPECT_EQ(reader.id(), base);
  EXPECT_EQ(file_.Contents(&reader)["a"], "2");
}

TEST_F(NamedReaderRaceTest, OtherCommitsMeanwhileDoNoHarm) {
  file_.MustPut("a", "1");
  TxnId base = newest();
  Create("keep");
  Between([this] { file_.MustPut("a", "2"); });
  Txn reader(&file_.db());
  ASSERT_TRUE(reader.BeginNamed("keep").ok());
  EXPECT_EQ(looks_, 2);
  Delete("keep");
  EXPECT_THAT(file_.db().Pinned(), Contains(base)) << "by the reader";
  for (int i = 0; i < 10; ++i) {
    file_.Fill(500);
  }
  EXPECT_EQ(file_.Contents(&reader), (Model{{"a", "1"}}));
  reader.Abort();
  EXPECT_THAT(file_.db().Pinned(), Not(Contains(base)));
}

}  // namespace
}  // namespace johnny::txn
