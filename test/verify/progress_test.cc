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

}  // namespace
}  // namespace johnny::test
