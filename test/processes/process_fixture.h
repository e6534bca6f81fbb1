// A test with a database that several processes have open. The test process itself has it open only where the test says so.
#ifndef JOHNNY_TEST_PROCESSES_PROCESS_FIXTURE_H_
#define JOHNNY_TEST_PROCESSES_PROCESS_FIXTURE_H_

#include <string>

#include "processes/puppet.h"
#include "support/test_db.h"

#define EXPECT_SAYS(puppet, command, answer) EXPECT_EQ((puppet).Do(command), answer) << "to: " << (command)
#define EXPECT_DOES(puppet, command) EXPECT_SAYS(puppet, command, "JOHNNY_OK")
#define ASSERT_DOES(puppet, command) ASSERT_EQ((puppet).Do(command), "JOHNNY_OK") << "to: " << (command)

namespace johnny::test {

class ProcessTest : public testing::Test {
 protected:
  static constexpr int kBlockedMs = 100;  // what has not answered after so long waits

  // Creates the database with entries 0 .. entries - 1, of seed 1, and closes it.
  void Create(uint64_t entries = 0, size_t size = 50) {
    Puppet creator;
    ASSERT_DOES(creator, "open " + path_ + " create");
    ASSERT_DOES(creator, "write w");
    ASSERT_DOES(creator, "fill w 0 " + std::to_string(entries) + " " + std::to_string(size) + " 1");
    ASSERT_DOES(creator, "commit w");
    ASSERT_DOES(creator, "close");
  }
  // One more commit by `puppet`.
  static void PutOne(Puppet* puppet, const std::string& key, const std::string& value) {
    EXPECT_DOES(*puppet, "write one");
    EXPECT_DOES(*puppet, "put one " + key + " " + value);
    EXPECT_DOES(*puppet, "commit one");
  }
  std::string Open(const std::string& options = "") const { return "open " + path_ + " " + options; }
  std::string LockPath() const { return path_ + "-lock"; }
  // With nobody else about: opens, verifies, and expects the entries.
  void ExpectContents(const Contents& contents) const {
    Env env(path_, TestOptions());
    EXPECT_TRUE(env.VerifyClean());
    EXPECT_EQ(Txn(env, JOHNNY_READ).All(), contents);
  }

  TempDir dir_;
  std::string path_ = dir_.File("db");
};

}  // namespace johnny::test

#endif  // JOHNNY_TEST_PROCESSES_PROCESS_FIXTURE_H_
