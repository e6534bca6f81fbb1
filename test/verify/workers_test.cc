// Checks by several threads: they find what one finds, say so in the calling thread, and end when they are told to.
#include <gmock/gmock.h>

#include <algorithm>
#include <set>
#include <thread>

#include "damage/image.h"
#include "node/leaf.h"
#include "support/test_db.h"

namespace johnny::test {
namespace {

constexpr uint64_t kEntries = 40000;

using Found = std::tuple<uint32_t, uint64_t, std::string, std::string>;

struct Outcome {
  Result code = JOHNNY_OK;
  std::multiset<Found> findings;
  johnny_verify_result result{};
};

struct Context {
  Outcome* outcome;
  std::thread::id thread = std::this_thread::get_id();
  size_t stop_after = SIZE_MAX;
  uint64_t last_done = 0;
};

int Collect(void* context, const johnny_finding* finding) {
  auto* to = static_cast<Context*>(context);
  EXPECT_EQ(std::this_thread::get_id(), to->thread);
  to->outcome->findings.emplace(finding->kind, finding->page, finding->table == nullptr ? "-" : finding->table, finding->message);
  return to->outcome->findings.size() >= to->stop_after ? 1 : 0;
}

int Progress(void* context, uint64_t done, uint64_t total) {
  auto* to = static_cast<Context*>(context);
  EXPECT_EQ(std::this_thread::get_id(), to->thread);
  EXPECT_LE(to->last_done, done);
  EXPECT_LE(done, total);
  to->last_done = done;
  return 0;
}

// A database with two tables of three levels, and one of one.
class WorkersTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    TempDir dir;
    std::string path = dir.File("db");
    Env env(path, TestOptions());
    Txn txn(env);
    johnny_table* table = txn.Table("table");
    for (uint64_t i = 0; i < kEntries; ++i) {
      ASSERT_OK(txn.Put(NumberedKey(i), Pattern(300, 1)));
      ASSERT_OK(txn.Put(NumberedKey(i), Pattern(i % 1000 == 0 ? 30000 : 200, 2), 0, table));
    }
    ASSERT_OK(txn.Put("one", "1", 0, txn.Table("small")));
    ASSERT_OK(txn.Commit());
    ASSERT_OK(env.Close());
    bytes_ = new std::string(ReadFile(path));
  }
  static void TearDownTestSuite() { delete bytes_; }

  Outcome Verify(const std::string& bytes, uint32_t threads, size_t stop_after = SIZE_MAX) {
    TempDir dir;
    std::string path = dir.File("db");
    WriteFile(path, bytes);
    johnny_options read_only = TestOptions();
    read_only.flags = JOHNNY_READ_ONLY;
    Env env(path, read_only);
    Outcome outcome;
    Context context{&outcome};
    context.stop_after = stop_after;
    johnny_verify_options options = {
        .struct_size = sizeof options, .on_finding = Collect, .on_progress = Progress, .context = &context, .threads = threads};
    outcome.result.struct_size = sizeof outcome.result;
    outcome.code = johnny_verify(env.get(), &options, &outcome.result);
    return outcome;
  }

  static std::string* bytes_;
};
std::string* WorkersTest::bytes_ = nullptr;

TEST_F(WorkersTest, CountWhatOneCounts) {
  Outcome one = Verify(*bytes_, 1);
  ASSERT_OK(one.code);
  EXPECT_EQ(one.result.entries_checked, 2 * kEntries + 3);  // with the tables' records
  for (uint32_t threads : {0, 2, 3, 7, 64}) {
    SCOPED_TRACE(threads);
    Outcome many = Verify(*bytes_, threads);
    EXPECT_OK(many.code);
    EXPECT_EQ(many.result.entries_checked, one.result.entries_checked);
    EXPECT_EQ(many.result.pages_checked, one.result.pages_checked);
  }
}

TEST_F(WorkersTest, FindWhatOneFinds) {
  std::string bytes = *bytes_;
  for (size_t page = 20; page < bytes.size() / 4096; page += 97) {
    bytes[page * 4096 + 1000] = static_cast<char>(bytes[page * 4096 + 1000] ^ 1);
  }
  Outcome one = Verify(bytes, 1);
  EXPECT_EQ(one.code, JOHNNY_CORRUPT);
  EXPECT_GT(one.findings.size(), 50u);
  for (int round = 0; round < 5; ++round) {
    Outcome many = Verify(bytes, 4);
    EXPECT_EQ(many.code, JOHNNY_CORRUPT);
    EXPECT_EQ(many.findings, one.findings);
    EXPECT_EQ(many.result.pages_checked, one.result.pages_checked);
    EXPECT_EQ(many.result.entries_checked, one.result.entries_checked);
  }
}

TEST_F(WorkersTest, FindMoreThanTheirQueueHolds) {
  std::string bytes = *bytes_;
  for (PageNumber page = 20; page < bytes.size() / 4096; ++page) {
    auto header = node::Header(At(&bytes, page));
    if (header->type == static_cast<uint8_t>(format::PageType::kLeaf) && header->page() == page) {
      At(&bytes, page)[1000] ^= 1;
    }
  }
  Outcome one = Verify(bytes, 1);
  EXPECT_GT(one.findings.size(), 1000u);
  EXPECT_EQ(Verify(bytes, 4).findings, one.findings);
}

TEST_F(WorkersTest, StopWhenTheCallbackSaysSo) {
  std::string bytes = *bytes_;
  for (size_t page = 20; page < bytes.size() / 4096; page += 3) {
    bytes[page * 4096 + 1000] = static_cast<char>(bytes[page * 4096 + 1000] ^ 1);
  }
  for (size_t stop_after : {1, 2, 10, 300}) {
    Outcome stopped = Verify(bytes, 4, stop_after);
    EXPECT_EQ(stopped.code, JOHNNY_STOPPED);
    EXPECT_EQ(stopped.findings.size(), stop_after);
  }
}

TEST_F(WorkersTest, TooManyAreRefused) {
  Outcome refused = Verify(*bytes_, 65);
  EXPECT_EQ(refused.code, JOHNNY_INVALID_ARGUMENT);
}

TEST(FindingNames, EveryKindHasOne) {
  std::set<std::string> names;
  for (uint32_t kind = JOHNNY_FINDING_PAGE; kind <= JOHNNY_FINDING_SNAPSHOT; ++kind) {
    names.insert(johnny_finding_name(kind));
  }
  EXPECT_EQ(names.size(), 11u);
  EXPECT_STREQ(johnny_finding_name(0), "none");
  EXPECT_STREQ(johnny_finding_name(1000), "unknown");
}

}  // namespace
}  // namespace johnny::test
