// Verification beside a writer, and what its callback for progress sees and stops.
#include <gmock/gmock.h>

#include <algorithm>
#include <functional>

#include "damage/image.h"
#include "node/leaf.h"
#include "support/test_db.h"

namespace johnny::test {
namespace {

using Progress = std::function<bool(uint64_t done, uint64_t total)>;  // false: stop

class ProgressTest : public DbTest {
 protected:
  static johnny_options ReadOnly() {
    johnny_options options = TestOptions();
    options.flags = JOHNNY_READ_ONLY;
    return options;
  }

  // Verifies `env`, with the number of findings in findings_.
  Result Verify(const Env& env, const Progress& progress, uint32_t threads = 1) {
    auto call = [](void* context, uint64_t done, uint64_t total) {
      return (*static_cast<const Progress*>(context))(done, total) ? 0 : 1;
    };
    Progress copy = progress;
    johnny_verify_result result{};
    result.struct_size = sizeof result;
    johnny_verify_options options = {.struct_size = sizeof options, .on_progress = call, .context = &copy, .threads = threads};
    Result code = johnny_verify(env.get(), &options, &result);
    findings_ = result.findings;
    return code;
  }

  uint64_t findings_ = 0;
};

// ---- Beside a writer ----

class BesideWriterTest : public ProgressTest {
 protected:
  void SetUp() override {
    Fill(0, 10);
    ASSERT_OK(env_.Close());
    sound_ = ReadFile(path_);
    torn_ = sound_;
    for (uint64_t offset : format::kMasterSlotOffset) {
      torn_[offset + 600] = static_cast<char>(torn_[offset + 600] ^ 1);
    }
    ASSERT_OK(env_.Open(path_, ReadOnly()));
  }

  std::string sound_, torn_;
};

TEST_F(BesideWriterTest, AMasterPageThatIsBeingWrittenIsReadAgain) {
  int calls = 0;
  EXPECT_OK(Verify(env_, [&](uint64_t, uint64_t) {
    ++calls;
    WriteFile(path_, calls < 3 ? torn_ : sound_);
    return true;
  }));
  EXPECT_GE(calls, 3);
  EXPECT_EQ(findings_, 0u);
}

TEST_F(BesideWriterTest, AMasterPageThatStaysWrongIsReported) {
  WriteFile(path_, torn_);
  EXPECT_EQ(Verify(env_, [](uint64_t, uint64_t) { return true; }), JOHNNY_CORRUPT);
  EXPECT_EQ(findings_, 1u);
}

TEST_F(BesideWriterTest, WaitingForAMasterPageCanBeStopped) {
  WriteFile(path_, torn_);
  int calls = 0;
  EXPECT_EQ(Verify(env_, [&](uint64_t, uint64_t) { return ++calls < 2; }), JOHNNY_STOPPED);
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(findings_, 0u);
}

// ---- Large values ----

constexpr uint64_t kLargePages = 4096;
constexpr uint64_t kStep = 512;  // pages of work between two calls, about

class LargeValueTest : public ProgressTest {
 protected:
  void PutLarge() {
    Txn txn(env_);
    ASSERT_OK(txn.Put("large", Pattern(kLargePages * 4096, 1)));
    ASSERT_OK(txn.Commit());
  }

  // Lets all large values of the tree's only leaf be the one of key "large".
  void ShareLarge() {
    ASSERT_OK(env_.Close());
    std::string bytes = ReadFile(path_);
    format::MasterPage master = MasterOf(bytes, -1);
    ASSERT_EQ(master.main.level, 0u);
    Forger forger(&bytes, 4096, master.database_id);
    Byte* leaf = forger.At(master.main.root.page);
    std::vector<Slice> references;
    std::string large;
    for (uint32_t i = 0; i < node::Header(leaf)->count; ++i) {
      node::LeafEntry entry = node::GetLeafEntry(leaf, i);
      ASSERT_TRUE(entry.value.is_extent);
      references.push_back(entry.value.bytes);
      if (entry.key == "large") {
        large = std::string(entry.value.bytes);
      }
    }
    for (Slice reference : references) {
      std::copy(large.begin(), large.end(), bytes.begin() + (reference.data() - bytes.data()));
    }
    forger.RepairUpwards(master.main.root.page);
    WriteFile(path_, bytes);
    ASSERT_OK(env_.Open(path_, ReadOnly()));
  }
};

TEST_F(LargeValueTest, ProgressGoesThroughThem) {
  PutLarge();
  uint64_t last = 0, longest = 0, total_pages = 0;
  EXPECT_OK(Verify(env_, [&](uint64_t done, uint64_t total) {
    EXPECT_GE(done, last);
    longest = std::max(longest, done - last);
    last = done;
    total_pages = total;
    return true;
  }));
  EXPECT_EQ(last, total_pages);
  EXPECT_LE(longest, 2 * kStep);
}

TEST_F(LargeValueTest, VerificationStopsInsideOfOne) {
  PutLarge();
  uint64_t stopped_at = 0, pages = 0;
  EXPECT_EQ(Verify(env_,
                   [&](uint64_t done, uint64_t total) {
                     EXPECT_EQ(stopped_at, 0u) << "called again";
                     stopped_at = done >= total / 2 ? done : 0;
                     pages = total;
                     return stopped_at == 0;
                   }),
            JOHNNY_STOPPED);
  EXPECT_LT(stopped_at, pages / 2 + 2 * kStep);
}

TEST_F(LargeValueTest, ProgressIsCalledWhileReferencesToTheSamePagesAreMet) {
  constexpr uint64_t kSmall = 40;
  Txn txn(env_);
  for (uint64_t i = 0; i < kSmall; ++i) {
    ASSERT_OK(txn.Put(NumberedKey(i), Pattern(5000, 2)));
  }
  ASSERT_OK(txn.Commit());
  PutLarge();
  ShareLarge();
  uint64_t calls = 0;
  EXPECT_EQ(Verify(env_,
                   [&](uint64_t, uint64_t) {
                     ++calls;
                     return true;
                   }),
            JOHNNY_CORRUPT);
  EXPECT_GE(calls, kSmall * kLargePages / kStep);
  uint64_t all = findings_;
  EXPECT_GE(all, kSmall);
  calls = 0;
  EXPECT_EQ(Verify(env_, [&](uint64_t, uint64_t) { return ++calls < 100; }), JOHNNY_STOPPED);
  EXPECT_EQ(calls, 100u);
  EXPECT_LT(findings_, kSmall / 2);
}

TEST_F(LargeValueTest, ProgressIsCalledInThoseOfNamedSnapshots) {
  PutLarge();
  Txn txn(env_);
  ASSERT_OK(txn.CreateSnapshot("kept"));
  ASSERT_OK(txn.Commit());
  Txn deleting(env_);
  ASSERT_OK(deleting.Delete("large"));
  ASSERT_OK(deleting.Commit());
  uint64_t calls = 0;
  auto count = [&](uint64_t, uint64_t) {
    ++calls;
    return true;
  };
  EXPECT_OK(Verify(env_, count));
  EXPECT_GE(calls, 3 * kLargePages / kStep);  // its pages are pending, the snapshot's, and hashed
  uint64_t all = calls;
  calls = 0;
  EXPECT_EQ(Verify(env_, [&](uint64_t, uint64_t) { return ++calls < all - 4; }), JOHNNY_STOPPED);
  EXPECT_EQ(calls, all - 4);
}

}  // namespace
}  // namespace johnny::test
