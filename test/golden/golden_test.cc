// Every golden file can be read, verified and written to. JOHNNY_GOLDEN_FILES: the directory they are in.
#include "golden/golden.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

namespace johnny::test {
namespace {

std::vector<std::string> GoldenFiles() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(JOHNNY_GOLDEN_FILES)) {
    files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

class GoldenTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { std::filesystem::copy_file(GetParam(), path_); }

  static void ExpectContents(const Txn& txn, const std::map<std::string, Contents>& expected) {
    std::vector<std::string> names = txn.TableNames();
    EXPECT_EQ(names.size() + 1, expected.size());
    for (const auto& [name, contents] : expected) {
      johnny_table* table = nullptr;
      if (!name.empty()) {
        ASSERT_OK(johnny_table_open(txn.get(), name.c_str(), 0, &table)) << name;
      }
      EXPECT_TRUE(txn.All(table) == contents) << "table \"" << name << "\" has other contents";
      EXPECT_EQ(txn.Entries(table), contents.size()) << name;
    }
  }

  TempDir dir_;
  std::string path_ = dir_.File("golden.db");
};

TEST_P(GoldenTest, HoldsWhatItWasGiven) {
  johnny_options options = TestOptions();
  options.flags = JOHNNY_READ_ONLY;
  Env env(path_, options);
  EXPECT_TRUE(env.VerifyClean());
  ExpectContents(Txn(env, JOHNNY_READ), GoldenContents(/*before=*/false));
  ExpectContents(Txn::On(env, "before"), GoldenContents(/*before=*/true));
}

// The free log too is understood: pages that are in use do not get lost to new ones.
TEST_P(GoldenTest, CanBeWrittenTo) {
  johnny_options options = TestOptions();
  options.flags = 0;
  auto expected = GoldenContents(/*before=*/false);
  for (int round = 0; round < 3; ++round) {
    Env env(path_, options);
    for (int i = 0; i < 30; ++i) {
      Txn txn(env);
      for (auto& [key, value] : expected[""]) {
        if ((key.size() + (key.empty() ? 0 : static_cast<size_t>(key.back())) + static_cast<size_t>(i)) % 30 == 0) {
          value += "!";
          ASSERT_OK(txn.Put(key, value));
        }
      }
      ASSERT_OK(txn.CommitWith(i % 3 == 0 ? JOHNNY_TWO_PHASE : JOHNNY_LAZY));
    }
    ASSERT_TRUE(env.VerifyClean());
    ExpectContents(Txn(env, JOHNNY_READ), expected);
    ExpectContents(Txn::On(env, "before"), GoldenContents(/*before=*/true));
  }
  Env env(path_, options);
  Txn txn(env);
  ASSERT_OK(txn.DeleteSnapshot("before"));
  ASSERT_OK(txn.Commit());
  EXPECT_TRUE(env.VerifyClean());
}

std::string NameOf(const testing::TestParamInfo<std::string>& info) {
  std::string name = std::filesystem::path(info.param).stem().string();
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, GoldenTest, testing::ValuesIn(GoldenFiles()), NameOf);

}  // namespace
}  // namespace johnny::test
