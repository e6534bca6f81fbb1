// fork() without exec: what a child inherits is refused there, and harms nobody.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <functional>
#include <thread>
#include <vector>

#include "processes/process_fixture.h"

namespace johnny::test {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kAddressSanitizer = true;
#elif defined(__has_feature)
constexpr bool kAddressSanitizer = __has_feature(address_sanitizer);
#else
constexpr bool kAddressSanitizer = false;
#endif

class ForkTest : public ProcessTest {
 protected:
  ForkTest() { Create(100); }

  // Runs `body` in a forked child and returns what it says; "status N" if the child does not end well.
  static std::string InChild(const std::function<std::string()>& body) {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    pid_t child = ::fork();
    if (child == 0) {
      ::alarm(60);
      std::string said = body();
      ssize_t written = ::write(ends[1], said.data(), said.size());
      ::_exit(written == static_cast<ssize_t>(said.size()) ? 0 : 1);
    }
    ::close(ends[1]);
    std::string said;
    char bytes[1000];
    for (ssize_t size; (size = ::read(ends[0], bytes, sizeof bytes)) > 0;) {
      said.append(bytes, static_cast<size_t>(size));
    }
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    return status == 0 ? said : said + " status " + std::to_string(status);
  }

  // Every name in a list of results that is not "JOHNNY_FORKED".
  static std::string NotRefused(std::initializer_list<std::pair<const char*, int>> calls) {
    std::string others;
    for (const auto& [name, code] : calls) {
      others += code == JOHNNY_FORKED ? "" : std::string(name) + ": " + CodeName(code) + "; ";
    }
    return others;
  }
};

TEST_F(ForkTest, AChildIsRefusedItsParentsHandles) {
  Env env(path_, TestOptions());
  Txn reader(env, JOHNNY_READ);
  Cursor cursor(reader);
  ASSERT_OK(cursor.First());
  Txn writer(env);
  ASSERT_OK(writer.Put("key", "value"));
  EXPECT_EQ(InChild([&] {
              johnny_txn* txn = nullptr;
              johnny_slice key{}, value{};
              uint64_t count = 0;
              johnny_env_info info{};
              info.struct_size = sizeof info;
              return NotRefused({
                  {"begin to read", johnny_begin(env.get(), JOHNNY_READ, &txn)},
                  {"begin to write", johnny_begin(env.get(), 0, &txn)},
                  {"begin without waiting", johnny_begin(env.get(), JOHNNY_NO_WAIT, &txn)},
                  {"get", johnny_get(reader.get(), nullptr, "00000001", 8, &value)},
                  {"count", johnny_count(reader.get(), nullptr, nullptr, nullptr, &count)},
                  {"next", johnny_cursor_next(cursor.get(), &key, &value)},
                  {"reset", johnny_reset(reader.get())},
                  {"get in a write transaction", johnny_get(writer.get(), nullptr, "key", 3, &value)},
                  {"put", johnny_put(writer.get(), nullptr, "key", 3, "x", 1, 0)},
                  {"commit", johnny_commit(writer.get())},
                  {"sync", johnny_sync(env.get())},
                  {"info", johnny_env_get_info(env.get(), &info)},
                  {"verify", johnny_verify(env.get(), nullptr, nullptr)},
              });
            }),
            "");
  EXPECT_EQ(reader.Entries(), 100u);
  ASSERT_OK(cursor.Next());
  ASSERT_OK(writer.Commit());
  ASSERT_OK(reader.Abort());
  EXPECT_EQ(Txn(env, JOHNNY_READ).Find("key"), "value");
  EXPECT_TRUE(env.VerifyClean());
}

TEST_F(ForkTest, WhatAChildEndsAndClosesItsParentKeeps) {
  Env env(path_, TestOptions());
  Txn reader(env, JOHNNY_READ);
  Txn writer(env);
  ASSERT_OK(writer.Put("key", "value"));
  EXPECT_EQ(InChild([&] {
              johnny_abort(writer.get());
              johnny_abort(reader.get());
              int code = johnny_close(env.get());
              return code == JOHNNY_OK || code == JOHNNY_FORKED ? std::string("harmless") : CodeName(code);
            }),
            "harmless");
  Puppet other;
  ASSERT_DOES(other, Open());
  EXPECT_SAYS(other, "try w", "JOHNNY_BUSY");
  EXPECT_SAYS(other, "info readers", "1");
  EXPECT_SAYS(other, "reader-check", "0");
  ASSERT_OK(writer.Commit());
  EXPECT_EQ(reader.Entries(), 100u);
  EXPECT_DOES(other, "read r");
  EXPECT_SAYS(other, "get r key", "=value");
  PutOne(&other, "another", "one");
  ASSERT_OK(reader.Abort());
  EXPECT_EQ(Txn(env, JOHNNY_READ).Find("another"), "one");
}

TEST_F(ForkTest, AChildMayOpenTheDatabaseAnew) {
  Env env(path_, TestOptions());
  Txn reader(env, JOHNNY_READ);
  EXPECT_EQ(InChild([&]() -> std::string {
              johnny_env* own = nullptr;
              johnny_txn* txn = nullptr;
              johnny_slice value{};
              johnny_options options = TestOptions();
              int code = johnny_open(path_.c_str(), &options, &own);
              if (code == JOHNNY_OK) code = johnny_begin(own, 0, &txn);
              if (code == JOHNNY_OK) code = johnny_put(txn, nullptr, "child", 5, "value", 5, 0);
              if (code == JOHNNY_OK) code = johnny_commit(txn);
              if (code == JOHNNY_OK) code = johnny_begin(own, JOHNNY_READ, &txn);
              if (code == JOHNNY_OK) code = johnny_get(txn, nullptr, "child", 5, &value);
              if (code == JOHNNY_OK) code = johnny_abort(txn);
              if (code == JOHNNY_OK) code = johnny_close(own);
              return code == JOHNNY_OK ? CodeName(code) : CodeName(code) + " " + johnny_last_error_message();
            }),
            "JOHNNY_OK");
  EXPECT_EQ(reader.Find("child"), std::nullopt);
  ASSERT_OK(reader.Abort());
  Txn txn(env);
  EXPECT_EQ(txn.Find("child"), "value");
  ASSERT_OK(txn.Put("parent", "value"));
  ASSERT_OK(txn.Commit());
  EXPECT_TRUE(env.VerifyClean());
}

TEST_F(ForkTest, AChildForkedInsideAWriteTransactionWaitsForItsParent) {
  Env env(path_, TestOptions());
  Txn writer(env);
  ASSERT_OK(writer.Put("key", "value"));
  EXPECT_EQ(InChild([&]() -> std::string {
              johnny_env* own = nullptr;
              johnny_txn* txn = nullptr;
              johnny_options options = TestOptions();
              int code = johnny_open(path_.c_str(), &options, &own);
              return code == JOHNNY_OK ? CodeName(johnny_begin(own, JOHNNY_NO_WAIT, &txn)) : CodeName(code);
            }),
            "JOHNNY_BUSY");
  ASSERT_OK(writer.Commit());
}

// A child that lives on with all that it inherited must not stand for its parent.
TEST_F(ForkTest, AChildDoesNotKeepItsDeadParentsLocks) {
  Puppet parent;
  ASSERT_DOES(parent, Open());
  ASSERT_DOES(parent, "read r");
  ASSERT_DOES(parent, "write w");
  ASSERT_DOES(parent, "put w never committed");
  pid_t child = static_cast<pid_t>(parent.Do("fork").number());
  ASSERT_GT(child, 0);
  for (bool with_a_living_process : {true, false}) {
    Puppet living;
    if (with_a_living_process) {
      ASSERT_DOES(living, Open());
      EXPECT_SAYS(living, "try w", "JOHNNY_BUSY");
    }
    parent.Kill();
    Puppet next;
    ASSERT_DOES(next, Open());
    EXPECT_LE(next.Do("reader-check").number(), 1u);  // opening may have freed it already
    EXPECT_SAYS(next, "readers", "");
    EXPECT_DOES(next, "try w");
    EXPECT_SAYS(next, "get w never", "JOHNNY_NOT_FOUND");
    EXPECT_DOES(next, "put w key value");
    EXPECT_DOES(next, "commit w");
    EXPECT_DOES(next, "verify");
  }
  EXPECT_EQ(::kill(child, SIGKILL), 0);
}

TEST_F(ForkTest, AParentGoesOnWhileItsChildLives) {
  Puppet parent, other;
  ASSERT_DOES(parent, Open());
  ASSERT_DOES(other, Open());
  ASSERT_DOES(parent, "read r");
  pid_t child = static_cast<pid_t>(parent.Do("fork").number());
  PutOne(&parent, "a", "1");
  PutOne(&other, "b", "2");
  EXPECT_DOES(parent, "check r 0 100 50 1");
  EXPECT_EQ(::kill(child, SIGKILL), 0);
  PutOne(&parent, "a", "3");
  EXPECT_SAYS(other, "reader-check", "0");
  EXPECT_DOES(parent, "check r 0 100 50 1");
  EXPECT_DOES(parent, "abort r");
  EXPECT_DOES(parent, "close");
  PutOne(&other, "b", "4");
}

// At whatever moment of opening and closing in other threads a child comes into being: it waits for nobody who is not there.
TEST_F(ForkTest, AChildForkedBesideThreadsThatOpenAndCloseIsNotStuck) {
  if (kAddressSanitizer) {
    GTEST_SKIP() << "a child may find the sanitizer's own allocator locked";
  }
  Env env(path_, TestOptions());
  const std::string busy = dir_.File("busy");
  std::atomic<bool> done{false};
  std::atomic<int> opened{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      while (!done) {
        Env own(busy, TestOptions());
        ++opened;
      }
    });
  }
  for (int i = 0; i < 40 * Scale() || opened < 40; ++i) {
    ASSERT_EQ(InChild([&]() -> std::string {
                ::alarm(20);
                johnny_txn* txn = nullptr;
                johnny_options options = TestOptions();
                std::string said =
                    NotRefused({{"begin", johnny_begin(env.get(), JOHNNY_READ, &txn)}, {"sync", johnny_sync(env.get())}});
                for (const std::string& path : {busy, path_}) {
                  johnny_env* own = nullptr;
                  int code = johnny_open(path.c_str(), &options, &own);
                  if (code == JOHNNY_OK) code = johnny_begin(own, 0, &txn);
                  if (code == JOHNNY_OK) code = johnny_abort(txn);
                  if (code == JOHNNY_OK) code = johnny_close(own);
                  if (code != JOHNNY_OK) said += CodeName(code) + ": " + johnny_last_error_message();
                }
                johnny_close(env.get());
                return said;
              }),
              "")
        << "child " << i;
  }
  done = true;
  for (std::thread& thread : threads) {
    thread.join();
  }
}

}  // namespace
}  // namespace johnny::test
