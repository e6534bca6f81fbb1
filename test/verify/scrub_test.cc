// Scrubbing in the background: it finds damage wherever it is, once a pass, holds nobody up, keeps no snapshot, and ends.
#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <random>
#include <thread>

#include "api/internal.h"
#include "damage/image.h"
#include "node/branch.h"
#include "support/sim_system.h"
#include "support/test_db.h"

namespace johnny::test {
namespace {

using testing::Contains;
using testing::IsEmpty;

constexpr uint64_t kFast = uint64_t{1} << 40;  // bytes per second

std::string Describe(const johnny_finding& finding) {
  return std::string(johnny_finding_name(finding.kind)) + " " + std::to_string(finding.page) + " " +
         (finding.table == nullptr ? "-" : finding.table);
}

struct Scrub {
  std::mutex mutex;
  std::vector<std::string> findings;
  size_t stop_after = SIZE_MAX;

  static int OnFinding(void* context, const johnny_finding* finding) {
    auto* scrub = static_cast<Scrub*>(context);
    std::lock_guard<std::mutex> lock(scrub->mutex);
    scrub->findings.push_back(Describe(*finding));
    return scrub->findings.size() >= scrub->stop_after ? 1 : 0;
  }

  Result Start(const Env& env, uint64_t bytes_per_second = kFast, uint32_t interval_s = 0) {
    johnny_scrub_options options = {.struct_size = sizeof options,
                                    .bytes_per_second = bytes_per_second,
                                    .interval_s = interval_s,
                                    .on_finding = OnFinding,
                                    .context = this};
    return johnny_scrub_start(env.get(), &options);
  }
};

johnny_scrub_info InfoOf(const Env& env) {
  johnny_scrub_info info{};
  info.struct_size = sizeof info;
  EXPECT_OK(Result(johnny_scrub_get_info(env.get(), &info)));
  return info;
}

// Until `done` holds; a minute at most.
template <typename Done>
bool WaitFor(Done done) {
  for (int i = 0; i < 6000; ++i) {
    if (done()) {
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

// A database with a main table and a named one of several levels, large values, and a named snapshot of older versions.
class ScrubTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    TempDir dir;
    std::string path = dir.File("db");
    Env env(path, TestOptions());
    Fill(env, 1);
    Txn txn(env);
    ASSERT_OK(Result(johnny_snapshot_create(txn.get(), "kept")));
    ASSERT_OK(txn.Commit());
    Fill(env, 2);
    ASSERT_OK(env.Close());
    bytes_ = new std::string(ReadFile(path));
  }
  static void TearDownTestSuite() { delete bytes_; }

  static void Fill(const Env& env, uint32_t seed) {
    Txn txn(env);
    johnny_table* table = txn.Table("table");
    for (uint64_t i = 0; i < 3000; ++i) {
      ASSERT_OK(txn.Put(NumberedKey(i), Pattern(i % 500 == 7 ? 20000 : 300, seed)));
      ASSERT_OK(txn.Put(NumberedKey(i), Pattern(100, seed), 0, table));
    }
    ASSERT_OK(txn.Commit());
  }

  void SetUp() override { WriteFile(path_, *bytes_); }

  // A whole pass over the database as it is in the file.
  std::vector<std::string> FindingsOfOnePass(uint64_t bytes_per_second = kFast) {
    Env env;
    EXPECT_OK(env.Open(path_, ReadOnly()));
    Scrub scrub;
    EXPECT_OK(scrub.Start(env, bytes_per_second));
    EXPECT_TRUE(WaitFor([&] { return InfoOf(env).running == 0; }));
    EXPECT_EQ(InfoOf(env).passes, 1u);
    EXPECT_EQ(InfoOf(env).findings, scrub.findings.size());
    return scrub.findings;
  }
  // Of the kinds that a pass is there for.
  std::vector<std::string> WhatVerifyFinds() {
    Env env;
    EXPECT_OK(env.Open(path_, ReadOnly()));
    std::vector<std::string> found;
    auto collect = [](void* context, const johnny_finding* finding) {
      uint32_t kind = finding->kind;
      if (kind == JOHNNY_FINDING_PAGE || kind == JOHNNY_FINDING_VALUE || kind == JOHNNY_FINDING_FREE_LOG) {
        static_cast<std::vector<std::string>*>(context)->push_back(Describe(*finding));
      }
      return 0;
    };
    johnny_verify_options options = {.struct_size = sizeof options, .on_finding = collect, .context = &found, .threads = 1};
    Result code = johnny_verify(env.get(), &options, nullptr);
    EXPECT_TRUE(code.ok() || code == JOHNNY_CORRUPT);
    return found;
  }
  static johnny_options ReadOnly() {
    johnny_options options = TestOptions();
    options.flags = JOHNNY_READ_ONLY;
    return options;
  }
  void Flip(uint64_t page) {
    std::string bytes = ReadFile(path_);
    bytes[page * 4096 + 1000] = static_cast<char>(bytes[page * 4096 + 1000] ^ 1);
    WriteFile(path_, bytes);
  }

  TempDir dir_;
  std::string path_ = dir_.File("db");
  static std::string* bytes_;
};
std::string* ScrubTest::bytes_ = nullptr;

TEST_F(ScrubTest, ASoundDatabaseHasNoFindings) { EXPECT_THAT(FindingsOfOnePass(), IsEmpty()); }

// What verify finds in a tree, a large value, the free log or a named snapshot, a pass finds, and says it once.
TEST_F(ScrubTest, FindsEveryDamagedPageThatIsRead) {
  const uint64_t pages = bytes_->size() / 4096;
  int found = 0;
  for (uint64_t page = 16; page < pages; page += 13) {
    SCOPED_TRACE(page);
    WriteFile(path_, *bytes_);
    Flip(page);
    std::vector<std::string> verified = WhatVerifyFinds();
    std::vector<std::string> scrubbed = FindingsOfOnePass();
    if (verified.empty()) {
      EXPECT_THAT(scrubbed, IsEmpty());
      continue;
    }
    ++found;
    EXPECT_EQ(scrubbed, verified);
  }
  EXPECT_GT(found, 20);
}

TEST_F(ScrubTest, SlicesMissNothing) {
  for (uint64_t page = 50; page < bytes_->size() / 4096; page += 150) {
    Flip(page);
  }
  std::vector<std::string> verified = WhatVerifyFinds();
  EXPECT_GT(verified.size(), 3u);
  // A slice is about 200 pages.
  EXPECT_THAT(FindingsOfOnePass(/*bytes_per_second=*/8 << 20), testing::UnorderedElementsAreArray(verified));
}

// Under each place of the root comes its first branch, so in the order of the walk the separators go back again and again. A
// slice that ended at one of those would begin the next one further in front.
TEST_F(ScrubTest, SlicesGetFurtherInATreeThatGoesBack) {
  {
    Env env(dir_.File("large"), TestOptions());
    Txn txn(env);
    for (uint64_t i = 0; i < 5000; ++i) {
      ASSERT_OK(txn.Put(NumberedKey(i), Pattern(1000, 1)));
    }
    ASSERT_OK(txn.Commit());
  }
  std::string bytes = ReadFile(dir_.File("large"));
  format::MasterPage master = MasterOf(bytes, -1);
  ASSERT_EQ(master.main.level, 2u);
  Forger forger(&bytes, 4096, master.database_id);
  PageNumber root = master.main.root.page;
  const uint32_t children = node::Header(forger.At(root))->count;
  ASSERT_GT(children, 4u);
  for (uint32_t i = 1; i < children; ++i) {
    ASSERT_EQ(forger.Redirect(root, node::GetChild(forger.At(root), i).page, node::GetChild(forger.At(root), 0).page), 1);
  }
  forger.RepairUpwards(root);
  WriteFile(path_, bytes);
  // A slice is a hundred pages, fewer than the branch has below it.
  std::vector<std::string> findings = FindingsOfOnePass(/*bytes_per_second=*/4 << 20);
  EXPECT_THAT(findings, Contains(testing::StartsWith("keys ")));
  EXPECT_THAT(findings, testing::Not(Contains(testing::StartsWith("owned-twice")))) << "more pages read than there are";
}

// Writers go on, pages that pass through the free list are used again, tables come and go.
TEST_F(ScrubTest, BesideAWriterThereIsNothingToFind) {
  johnny_options lazy = TestOptions();
  lazy.durability = JOHNNY_LAZY;
  Env env(path_, lazy);
  Scrub scrub;
  ASSERT_OK(scrub.Start(env, 200 << 20, /*interval_s=*/0));
  std::minstd_rand random(7);
  for (int i = 0; i < 150 * Scale(); ++i) {
    Txn txn(env);
    johnny_table* table = txn.Table("table" + std::to_string(random() % 3));
    for (int k = 0; k < 40; ++k) {
      ASSERT_OK(txn.Put(NumberedKey(random() % 3000), Pattern(random() % 900, 3)));
      ASSERT_OK(txn.Put(NumberedKey(random() % 300), Pattern(random() % 9000, 4), 0, table));
    }
    if (random() % 8 == 0) {
      ASSERT_OK(Result(johnny_table_drop(txn.get(), table)));
    }
    ASSERT_OK(txn.Commit());
    if (InfoOf(env).running == 0) {
      ASSERT_OK(scrub.Start(env, 200 << 20));
    }
  }
  ASSERT_TRUE(WaitFor([&] { return InfoOf(env).running == 0; }));
  EXPECT_THAT(scrub.findings, IsEmpty());
  EXPECT_TRUE(env.VerifyClean());
}

TEST_F(ScrubTest, KeepsNoSnapshotBetweenSlices) {
  Env env(path_, TestOptions());
  Scrub scrub;
  ASSERT_OK(scrub.Start(env, /*bytes_per_second=*/1, /*interval_s=*/0));  // rests after its first slice for ever
  ASSERT_TRUE(WaitFor([&] { return InfoOf(env).pages != 0; }));
  uint64_t newest = env.Info().last_txn_id;
  EXPECT_TRUE(WaitFor([&] { return env.Info().readers == 0; }));
  EXPECT_EQ(env.Info().last_txn_id, newest);
  EXPECT_EQ(InfoOf(env).running, 1u);
  ASSERT_OK(Result(johnny_scrub_stop(env.get())));
  EXPECT_EQ(InfoOf(env).running, 0u);
  EXPECT_EQ(InfoOf(env).passes, 0u);
}

TEST_F(ScrubTest, PassesGoOnUntilItIsStopped) {
  Env env(path_, TestOptions());
  Scrub scrub;
  ASSERT_OK(scrub.Start(env, kFast, /*interval_s=*/1));
  EXPECT_EQ(scrub.Start(env), JOHNNY_IN_USE);
  EXPECT_TRUE(WaitFor([&] { return InfoOf(env).passes >= 2; }));
  ASSERT_OK(Result(johnny_scrub_stop(env.get())));
  ASSERT_OK(Result(johnny_scrub_stop(env.get())));
  ASSERT_OK(scrub.Start(env));
  ASSERT_OK(env.Close());  // ends it
}

TEST_F(ScrubTest, TheCallbackEndsIt) {
  for (uint64_t page = 40; page < 400; page += 10) {
    Flip(page);
  }
  Env env;
  ASSERT_OK(env.Open(path_, ReadOnly()));
  Scrub scrub;
  scrub.stop_after = 2;
  ASSERT_OK(scrub.Start(env, kFast, /*interval_s=*/1));
  EXPECT_TRUE(WaitFor([&] { return InfoOf(env).running == 0; }));
  EXPECT_EQ(scrub.findings.size(), 2u);
  EXPECT_EQ(InfoOf(env).passes, 0u);
}

struct Asking {
  johnny_env* env;
  std::string path;
  std::atomic<int> calls = 0;
  std::atomic<int> wrong = 0;
};

// What a callback may and may not do, while the environment is being closed or the scrub stopped.
int AskAndOpen(void* context, const johnny_finding*) {
  auto* asking = static_cast<Asking*>(context);
  ++asking->calls;
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // the other thread waits by now
  johnny_scrub_info info{};
  info.struct_size = sizeof info;
  johnny_options options = TestOptions();
  options.flags = JOHNNY_READ_ONLY;
  johnny_env* again = nullptr;
  johnny_scrub_options scrub = {.struct_size = sizeof scrub};
  asking->wrong += johnny_scrub_get_info(asking->env, &info) != JOHNNY_OK;
  asking->wrong += johnny_scrub_stop(asking->env) != JOHNNY_BUSY;
  asking->wrong += johnny_scrub_start(asking->env, &scrub) != JOHNNY_BUSY;
  asking->wrong += johnny_close(asking->env) != JOHNNY_BUSY;
  asking->wrong += johnny_open(asking->path.c_str(), &options, &again) != JOHNNY_OK;
  return 1;
}

TEST_F(ScrubTest, TheCallbackUsesTheEnvironmentWhileItIsStoppedOrClosed) {
  Flip(60);
  for (bool close : {false, true}) {
    Env env;
    ASSERT_OK(env.Open(path_, ReadOnly()));
    Asking asking{env.get(), path_};
    johnny_scrub_options options = {
        .struct_size = sizeof options, .bytes_per_second = kFast, .on_finding = AskAndOpen, .context = &asking};
    ASSERT_OK(Result(johnny_scrub_start(env.get(), &options)));
    ASSERT_TRUE(WaitFor([&] { return asking.calls > 0; }));
    EXPECT_OK(close ? Result(johnny_close(env.get())) : Result(johnny_scrub_stop(env.get())));
    EXPECT_TRUE(WaitFor([&] { return InfoOf(env).running == 0; }));
    EXPECT_EQ(asking.wrong, 0);
    if (!close) {
      EXPECT_OK(Result(johnny_close(env.get())));  // the callback's use
    }
  }
}

TEST_F(ScrubTest, ADiskThatCannotBeReadIsAFinding) {
  sim::SimSystem system;
  johnny_env* env = nullptr;
  johnny_options options = TestOptions();
  options.address_space = sim::SimSystem::kReserve;
  ASSERT_OK(Result(api::OpenWithSystem(&system, "/db", &options, &env)));
  johnny_txn* txn = nullptr;
  ASSERT_OK(Result(johnny_begin(env, 0, &txn)));
  std::string value = Pattern(100000, 1);
  ASSERT_OK(Result(johnny_put(txn, nullptr, "key", 3, value.data(), value.size(), 0)));
  ASSERT_OK(Result(johnny_commit(txn)));
  system.SetFault({.call = sim::Call::kRead, .for_ever = true});
  Scrub scrub;
  johnny_scrub_options scrubbing = {
      .struct_size = sizeof scrubbing, .bytes_per_second = kFast, .on_finding = Scrub::OnFinding, .context = &scrub};
  ASSERT_OK(Result(johnny_scrub_start(env, &scrubbing)));
  johnny_scrub_info info{};
  info.struct_size = sizeof info;
  EXPECT_TRUE(WaitFor([&] { return johnny_scrub_get_info(env, &info) == JOHNNY_OK && info.running == 0; }));
  system.ClearFault();
  EXPECT_EQ(info.passes, 1u);
  EXPECT_EQ(scrub.findings.size(), 2u);  // the leaf, and a master page
  for (const std::string& finding : scrub.findings) {
    EXPECT_EQ(finding.substr(0, 5), "file ");
  }
  EXPECT_OK(Result(johnny_close(env)));
}

TEST_F(ScrubTest, OptionsAreChecked) {
  Env env(path_, TestOptions());
  johnny_scrub_options options = {};
  EXPECT_EQ(Result(johnny_scrub_start(env.get(), &options)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_OK(Result(johnny_scrub_start(env.get(), nullptr)));
  EXPECT_EQ(Result(johnny_scrub_start(nullptr, nullptr)), JOHNNY_INVALID_ARGUMENT);
  johnny_scrub_info info{};
  EXPECT_EQ(Result(johnny_scrub_get_info(env.get(), &info)), JOHNNY_INVALID_ARGUMENT);
  EXPECT_EQ(Result(johnny_scrub_get_info(env.get(), nullptr)), JOHNNY_INVALID_ARGUMENT);
}

}  // namespace
}  // namespace johnny::test
