// Codes and messages.
#include <set>
#include <thread>

#include "support/test_db.h"

namespace johnny::test {
namespace {

TEST(ErrorTest, EveryCodeHasItsNameAndAMeaning) {
  std::set<std::string> names;
  for (int code = JOHNNY_OK; code <= JOHNNY_INTERNAL; ++code) {
    std::string text = johnny_strerror(code);
    EXPECT_EQ(text.rfind("JOHNNY_", 0), 0u) << text;
    EXPECT_NE(text.find(": "), std::string::npos) << text;
    EXPECT_GT(text.size(), CodeName(code).size() + 5) << text;
    names.insert(CodeName(code));
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(JOHNNY_INTERNAL) + 1);
}

TEST(ErrorTest, NamesAreTheConstants) {
  EXPECT_EQ(CodeName(JOHNNY_OK), "JOHNNY_OK");
  EXPECT_EQ(CodeName(JOHNNY_NOT_FOUND), "JOHNNY_NOT_FOUND");
  EXPECT_EQ(CodeName(JOHNNY_KEY_TOO_LARGE), "JOHNNY_KEY_TOO_LARGE");
  EXPECT_EQ(CodeName(JOHNNY_NOT_POSITIONED), "JOHNNY_NOT_POSITIONED");
  EXPECT_EQ(CodeName(JOHNNY_CORRUPT), "JOHNNY_CORRUPT");
  EXPECT_EQ(CodeName(JOHNNY_NO_SUCH_FILE), "JOHNNY_NO_SUCH_FILE");
  EXPECT_EQ(CodeName(JOHNNY_STOPPED), "JOHNNY_STOPPED");
  EXPECT_EQ(CodeName(JOHNNY_INTERNAL), "JOHNNY_INTERNAL");
}

TEST(ErrorTest, UnknownCodesHaveATextToo) {
  for (int code : {-1, JOHNNY_INTERNAL + 1, 1000000, -2147483647}) {
    ASSERT_NE(johnny_strerror(code), nullptr);
    EXPECT_STRNE(johnny_strerror(code), "");
  }
}

TEST(ErrorTest, TheVersionHasThreeNumbers) {
  int major = -1;
  int minor = -1;
  int patch = -1;
  EXPECT_EQ(std::sscanf(johnny_version(), "%d.%d.%d", &major, &minor, &patch), 3) << johnny_version();
}

TEST(ErrorTest, AThreadWithoutFailuresHasAnEmptyMessage) {
  std::string message = "unset";
  std::thread([&] { message = johnny_last_error_message(); }).join();
  EXPECT_EQ(message, "");
}

TEST(ErrorTest, MessagesBelongToTheirThread) {
  TempDir dir;
  Env env(dir.File("db"));
  Txn txn(env);
  EXPECT_EQ(txn.Put(std::string(5000, 'k'), "v"), JOHNNY_KEY_TOO_LARGE);
  std::string here = johnny_last_error_message();
  std::string there = "unset";
  std::thread([&] {
    Env other;
    EXPECT_EQ(other.Open(dir.File("missing/db")), JOHNNY_NO_SUCH_FILE);
    there = johnny_last_error_message();
  }).join();
  EXPECT_EQ(johnny_last_error_message(), here);
  EXPECT_NE(here, "");
  EXPECT_NE(there, here);
}

TEST(ErrorTest, AMissingFileIsNamed) {
  TempDir dir;
  Env env;
  Result result = env.Open(dir.File("no/such/db"));
  EXPECT_EQ(result, JOHNNY_NO_SUCH_FILE);
  EXPECT_NE(result.message().find("no/such/db"), std::string::npos) << result;
}

TEST(ErrorTest, AnOversizedKeySaysBothSizes) {
  TempDir dir;
  Env env(dir.File("db"));
  Result result = Txn(env).Put(std::string(5000, 'k'), "v");
  EXPECT_NE(result.message().find("5000"), std::string::npos) << result;
  EXPECT_NE(result.message().find(std::to_string(env.Info().max_key_size)), std::string::npos) << result;
}

TEST(ErrorTest, AMissingTableIsNamed) {
  TempDir dir;
  Env env(dir.File("db"));
  Txn txn(env);
  johnny_table* table = nullptr;
  Result result = txn.OpenTable("planets", 0, &table);
  EXPECT_NE(result.message().find("planets"), std::string::npos) << result;
}

TEST(ErrorTest, EveryFailureHasAMessage) {
  TempDir dir;
  Env env(dir.File("db"));
  Txn reader(env, JOHNNY_READ);
  Txn writer(env);
  Cursor cursor(writer);
  EXPECT_NE(reader.Put("a", "b").message(), "");
  EXPECT_NE(writer.Reset().message(), "");
  EXPECT_NE(cursor.Get().message(), "");
  EXPECT_NE(writer.Put("a", "b", 0x1000).message(), "");
  EXPECT_NE(env.Close().message(), "");
  EXPECT_NE(Txn().Begin(env, JOHNNY_NO_WAIT).message(), "");
}

TEST(ErrorTest, DamageNamesThePage) {
  TempDir dir;
  std::string path = dir.File("db");
  uint64_t root = 0;
  {
    Env env(path);
    Txn txn(env);
    ASSERT_OK(txn.Put("key", "value"));
    ASSERT_OK(txn.Commit());
    auto visit = [](void* context, const johnny_page_run* run) {
      if (run->kind == JOHNNY_PAGE_LEAF && run->table != nullptr) {
        *static_cast<uint64_t*>(context) = run->first_page;
      }
      return 0;
    };
    Txn reader(env, JOHNNY_READ);
    ASSERT_OK(Result(johnny_page_list(reader.get(), visit, &root)));
  }
  ASSERT_NE(root, 0u);
  std::string bytes = ReadFile(path);
  bytes[root * 4096 + 2000] ^= 1;
  WriteFile(path, bytes);
  johnny_options options = TestOptions();
  options.flags = JOHNNY_READ_ONLY;
  Env env(path, options);
  std::string value;
  Result result = Txn(env, JOHNNY_READ).Get("key", &value);
  EXPECT_EQ(result, JOHNNY_CORRUPT);
  EXPECT_NE(result.message().find("page " + std::to_string(root)), std::string::npos) << result;
}

}  // namespace
}  // namespace johnny::test
