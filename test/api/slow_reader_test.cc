// Readers that hold back more than the limits allow, and the labels that tell who they are.
#include <gtest/gtest.h>

#include "support/test_db.h"

namespace johnny::test {
namespace {

std::vector<johnny_reader_info> Readers(const Env& env) {
  std::vector<johnny_reader_info> readers;
  auto add = [](void* list, const johnny_reader_info* reader) {
    static_cast<std::vector<johnny_reader_info>*>(list)->push_back(*reader);
    return 0;
  };
  EXPECT_OK(Result(johnny_reader_list(env.get(), add, &readers)));
  return readers;
}

class SlowReaderTest : public testing::Test {
 protected:
  void Open() {
    options_.slack_percent = 0;
    ASSERT_OK(env_.Open(dir_.File("db"), options_));
    Overwrite("first");
  }
  // One commit that rewrites everything.
  void Overwrite(const std::string& value) {
    Txn txn(env_);
    for (int i = 0; i < 500; ++i) {
      ASSERT_OK(txn.Put(NumberedKey(static_cast<uint64_t>(i)), value + std::string(100, 'x')));
    }
    ASSERT_OK(txn.CommitWith(JOHNNY_TWO_PHASE));
  }
  void OverwriteOften() {
    for (int i = 0; i < 20; ++i) {
      Overwrite("again" + std::to_string(i));
    }
  }

  TempDir dir_;
  johnny_options options_ = TestOptions();
  Env env_;
};

TEST_F(SlowReaderTest, LosesItsSnapshotAtItsNextCall) {
  options_.reader_limit_bytes = 4096;
  Open();
  Txn reader(env_, JOHNNY_READ);
  ASSERT_OK(Result(johnny_txn_set_label(reader.get(), "a slow one")));
  Cursor cursor(reader);
  ASSERT_OK(cursor.First());
  OverwriteOften();
  auto readers = Readers(env_);
  ASSERT_EQ(readers.size(), 1u);
  EXPECT_STREQ(readers[0].label, "a slow one");
  EXPECT_EQ(readers[0].asked_to_go, 1u);
  EXPECT_GT(readers[0].pages_held_back, 0u) << "its pages are kept until it calls";
  std::string value;
  EXPECT_EQ(reader.Get("00000001", &value), JOHNNY_SNAPSHOT_GONE);
  EXPECT_EQ(cursor.Next(), JOHNNY_SNAPSHOT_GONE);
  EXPECT_EQ(Readers(env_).size(), 0u);
  EXPECT_OK(reader.Abort());
  Txn next(env_, JOHNNY_READ);
  EXPECT_OK(next.Get("00000001", &value)) << "a new transaction sees the newest snapshot";
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(SlowReaderTest, GoesOnAfterResetAndRenew) {
  options_.reader_limit_bytes = 4096;
  Open();
  Txn reader(env_, JOHNNY_READ);
  OverwriteOften();
  std::string value;
  EXPECT_EQ(reader.Get("00000001", &value), JOHNNY_SNAPSHOT_GONE);
  EXPECT_OK(reader.Reset());
  EXPECT_OK(reader.Renew());
  EXPECT_OK(reader.Get("00000001", &value));
}

TEST_F(SlowReaderTest, WithoutLimitsStays) {
  Open();
  Txn reader(env_, JOHNNY_READ);
  OverwriteOften();
  EXPECT_EQ(reader.Find("00000001").value().substr(0, 5), "first");
}

TEST_F(SlowReaderTest, TheCallbackDecides) {
  struct Seen {
    int asked = 0;
    bool keep = true;
    std::string label;
  } seen;
  options_.reader_limit_bytes = 4096;
  options_.slow_reader_context = &seen;
  options_.on_slow_reader = [](void* context, const johnny_reader_info* reader) {
    auto* told = static_cast<Seen*>(context);
    ++told->asked;
    told->label = reader->label;
    EXPECT_GT(reader->pages_held_back, 1u);
    return told->keep ? 1 : 0;
  };
  Open();
  Txn reader(env_, JOHNNY_READ);
  ASSERT_OK(Result(johnny_txn_set_label(reader.get(), "report")));
  OverwriteOften();
  EXPECT_GT(seen.asked, 0);
  EXPECT_EQ(seen.label, "report");
  EXPECT_EQ(reader.Find("00000001").value().substr(0, 5), "first") << "it was allowed to stay";
  seen.keep = false;
  OverwriteOften();
  std::string value;
  EXPECT_EQ(reader.Get("00000001", &value), JOHNNY_SNAPSHOT_GONE);
}

TEST_F(SlowReaderTest, LabelsAreCutAndEndWithTheirTransaction) {
  Open();
  {
    Txn reader(env_, JOHNNY_READ);
    ASSERT_OK(Result(johnny_txn_set_label(reader.get(), "a label that is longer than any may be")));
    EXPECT_STREQ(Readers(env_)[0].label, "a label that is longer t");
  }
  for (int i = 0; i < 10; ++i) {
    Txn next(env_, JOHNNY_READ);
    EXPECT_STREQ(Readers(env_)[0].label, "");
  }
  Txn writer(env_);
  EXPECT_EQ(Result(johnny_txn_set_label(writer.get(), "x")), JOHNNY_WRONG_TXN);
}

}  // namespace
}  // namespace johnny::test
