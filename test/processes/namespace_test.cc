// Process ids are no proof of life: they are used again, and they differ between process namespaces. And johnny-stat, which is
// another process, too.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "processes/process_fixture.h"

namespace johnny::test {
namespace {

class NamespaceTest : public ProcessTest {
 protected:
  NamespaceTest() { Create(100); }
};

#define SKIP_UNLESS_STARTED(puppet) \
  if (!(puppet).started()) GTEST_SKIP() << "this needs the privilege to choose process ids and namespaces"

TEST_F(NamespaceTest, AnotherProcessWithADeadReadersIdDoesNotKeepItsSlot) {
  Puppet watcher, reader;
  ASSERT_DOES(watcher, Open());
  ASSERT_DOES(reader, Open());
  ASSERT_DOES(reader, "read a");
  ASSERT_DOES(reader, "read b");
  pid_t pid = reader.pid();
  reader.Kill();
  Puppet double_(Puppet::Namespace::kSame, pid);
  SKIP_UNLESS_STARTED(double_);
  ASSERT_EQ(double_.pid(), pid);
  ASSERT_DOES(double_, Open());
  ASSERT_DOES(double_, "read r");
  EXPECT_LE(watcher.Do("reader-check").number(), 2u);  // opening may have freed them already
  EXPECT_SAYS(watcher, "info readers", "1");
  PutOne(&watcher, "key", "value");
  EXPECT_DOES(double_, "check r 0 100 50 1");
}

TEST_F(NamespaceTest, ADeadWritersIdDoesNotKeepTheWritersPlace) {
  Puppet watcher, writer;
  ASSERT_DOES(watcher, Open());
  ASSERT_DOES(writer, Open());
  ASSERT_DOES(writer, "write w");
  pid_t pid = writer.pid();
  writer.Kill();
  Puppet double_(Puppet::Namespace::kSame, pid);
  SKIP_UNLESS_STARTED(double_);
  ASSERT_DOES(double_, Open());
  PutOne(&watcher, "key", "value");
  PutOne(&double_, "key", "other");
}

TEST_F(NamespaceTest, ProcessesOfTwoNamespacesShareADatabase) {
  Puppet first(Puppet::Namespace::kOwn), second(Puppet::Namespace::kOwn);  // each believes to be process 1
  SKIP_UNLESS_STARTED(first);
  SKIP_UNLESS_STARTED(second);
  ASSERT_DOES(first, Open());
  ASSERT_DOES(second, Open());
  ASSERT_DOES(first, "read r");
  ASSERT_DOES(second, "read r");
  EXPECT_SAYS(first, "info readers", "2");
  EXPECT_SAYS(second, "reader-check", "0");
  PutOne(&first, "key", "first");
  PutOne(&second, "key", "second");
  ASSERT_DOES(first, "write w");
  EXPECT_SAYS(second, "try w", "JOHNNY_BUSY");
  second.Send("write w");
  EXPECT_FALSE(second.Answers(kBlockedMs));
  first.Kill();
  EXPECT_EQ(second.Receive(10000), "JOHNNY_OK");
  EXPECT_DOES(second, "commit w");
  EXPECT_LE(second.Do("reader-check").number(), 1u);  // taking over may have freed it
  EXPECT_SAYS(second, "info readers", "1");
  EXPECT_DOES(second, "check r 0 100 50 1");
  EXPECT_DOES(second, "verify");
}

TEST_F(NamespaceTest, ANewNamespacesProcessDoesNotStandForAnOldOnes) {
  Puppet watcher;
  ASSERT_DOES(watcher, Open());
  for (int i = 0; i < 3; ++i) {
    Puppet reader(Puppet::Namespace::kOwn);
    SKIP_UNLESS_STARTED(reader);
    ASSERT_DOES(reader, Open());
    ASSERT_DOES(reader, "read r");
    EXPECT_LE(watcher.Do("reader-check").number(), 1u);
    EXPECT_SAYS(watcher, "info readers", "1");
    EXPECT_DOES(reader, "check r 0 100 50 1");
  }
  EXPECT_SAYS(watcher, "reader-check", "1");
}

// ---- johnny-stat ----

class StatTest : public ProcessTest {
 protected:
  void SetUp() override {
    const char* program = std::getenv("JOHNNY_STAT");
    if (program == nullptr) {
      GTEST_SKIP() << "JOHNNY_STAT does not say where johnny-stat is";
    }
    program_ = program;
    Create(2000);
  }
  // What it prints, on either output; `code` is its exit code.
  std::string Stat(const std::string& options, int* code) const {
    std::string command = "timeout 60 '" + program_ + "' " + options + " '" + path_ + "' 2>&1";
    FILE* pipe = ::popen(command.c_str(), "r");
    std::string text;
    char bytes[4096];
    for (size_t size; (size = std::fread(bytes, 1, sizeof bytes, pipe)) > 0;) {
      text.append(bytes, size);
    }
    int status = ::pclose(pipe);
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return text;
  }
  std::string program_;
};

TEST_F(StatTest, EveryFormWorksBesideAWriter) {
  Puppet writer;
  for (const char* json : {"", "--json "}) {
    for (const char* form : {"", "--tables", "--free", "--readers", "--map", "--page 16", "--path 00000007", "--verify",
                             "--tables --free --readers --map --verify"}) {
      ASSERT_DOES(writer, Open());
      writer.Send("churn 300");
      for (int i = 0; i < 3; ++i) {
        int code = 0;
        std::string options = std::string(json) + form;
        std::string text = Stat(options, &code);
        EXPECT_EQ(code, 0) << options << "\n" << text;
        EXPECT_GT(text.size(), 10u) << options;
        EXPECT_EQ(text.find("JOHNNY_"), std::string::npos) << text;
        EXPECT_EQ(!text.empty() && text[0] == '{', *json != '\0') << text;
      }
      Answer commits = writer.Receive(60000);
      EXPECT_GT(commits.number(), 0u);
      ASSERT_DOES(writer, "close");
    }
  }
}

TEST_F(StatTest, ShowsTheReadersOfOtherProcesses) {
  Puppet reader, writer;
  ASSERT_DOES(reader, Open());
  ASSERT_DOES(writer, Open());
  ASSERT_DOES(reader, "read r");
  std::string snapshot = reader.Do("id r").text;
  PutOne(&writer, "key", "value");
  int code = 0;
  std::string text = Stat("--json --readers", &code);
  EXPECT_LE(code, 1) << text;
  EXPECT_NE(text.find(std::to_string(reader.pid())), std::string::npos) << text;
  EXPECT_NE(text.find(snapshot), std::string::npos) << text;
}

TEST_F(StatTest, LeavesTheDatabaseAsItIs) {
  Puppet writer;
  ASSERT_DOES(writer, Open());
  PutOne(&writer, "key", "value");
  std::string newest = writer.Do("info newest").text;
  int code = 0;
  for (int i = 0; i < 5; ++i) {
    Stat("--verify", &code);
    EXPECT_EQ(code, 0);
  }
  EXPECT_SAYS(writer, "info newest", newest);
  EXPECT_SAYS(writer, "readers", "");
  PutOne(&writer, "key", "after");
}

}  // namespace
}  // namespace johnny::test
