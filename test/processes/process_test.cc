// Several processes with one database: what they see of each other, who may write, and what a killed one leaves behind.
#include <csignal>
#include <cstring>
#include <deque>

#include "processes/process_fixture.h"

namespace johnny::test {
namespace {

// ---- Opening ----

class OpeningTest : public ProcessTest {};

TEST_F(OpeningTest, ManyProcessesMayCreateAndOpenAtOnce) {
  std::deque<Puppet> puppets(6);
  for (Puppet& puppet : puppets) {
    puppet.Send(Open("create"));
  }
  for (Puppet& puppet : puppets) {
    EXPECT_EQ(puppet.Receive(60000), "JOHNNY_OK");
  }
  std::string database = puppets[0].Do("info database").text;
  for (Puppet& puppet : puppets) {
    EXPECT_SAYS(puppet, "info database", database);
    PutOne(&puppet, "key", std::to_string(puppet.pid()));
    EXPECT_DOES(puppets[0], "read r");
    EXPECT_SAYS(puppets[0], "get r key", "=" + std::to_string(puppet.pid()));
    EXPECT_DOES(puppets[0], "abort r");
  }
}

TEST_F(OpeningTest, ProcessesMayComeAndGo) {
  Create(10);
  Puppet first, second;
  ASSERT_DOES(first, Open());
  for (int i = 0; i < 10; ++i) {
    ASSERT_DOES(second, Open());
    PutOne(&second, "key", std::to_string(i));
    ASSERT_DOES(second, "close");
    EXPECT_DOES(first, "read r");
    EXPECT_SAYS(first, "get r key", "=" + std::to_string(i));
    EXPECT_DOES(first, "abort r");
    PutOne(&first, "key", "back");
  }
}

TEST_F(OpeningTest, OnlyTheLastToCloseMarksTheFileClean) {
  Create(10);
  Puppet first, second;
  ASSERT_DOES(first, Open());
  EXPECT_SAYS(first, "info clean", "1");
  ASSERT_DOES(second, Open());
  EXPECT_DOES(first, "close");
  PutOne(&second, "after", "close");
  second.Kill();
  ASSERT_DOES(first, Open());
  EXPECT_SAYS(first, "info clean", "0");
  EXPECT_DOES(first, "read r");
  EXPECT_SAYS(first, "get r after", "=close");
  EXPECT_DOES(first, "abort r");
  EXPECT_DOES(first, "close");
  ASSERT_DOES(first, Open());
  EXPECT_SAYS(first, "info clean", "1");
}

TEST_F(OpeningTest, AReadOnlyProcessSeesAWritersCommits) {
  Create(10);
  Puppet reader, writer;
  ASSERT_DOES(reader, Open("read-only"));
  ASSERT_DOES(writer, Open());
  PutOne(&writer, "key", "value");
  EXPECT_DOES(reader, "read r");
  EXPECT_SAYS(reader, "get r key", "=value");
  EXPECT_SAYS(reader, "write w", "JOHNNY_READ_ONLY_ENV");
}

// ---- Readers ----

class ReadersElsewhereTest : public ProcessTest {};

TEST_F(ReadersElsewhereTest, SeeEachCommitOnceItIsAcknowledged) {
  Create();
  for (const char* durability : {"lazy", "single-sync", "two-phase"}) {
    Puppet writer, reader;
    ASSERT_DOES(writer, Open(durability));
    ASSERT_DOES(reader, Open());
    for (int i = 0; i < 100; ++i) {
      PutOne(&writer, "key", std::to_string(i));
      std::string newest = writer.Do("info newest").text;
      EXPECT_SAYS(reader, "info newest", newest);
      EXPECT_DOES(reader, "read r");
      EXPECT_SAYS(reader, "id r", newest);
      EXPECT_SAYS(reader, "get r key", "=" + std::to_string(i));
      EXPECT_DOES(reader, "abort r");
    }
  }
}

TEST_F(ReadersElsewhereTest, RenewToTheNewestSnapshot) {
  Create();
  Puppet writer, reader;
  ASSERT_DOES(writer, Open());
  ASSERT_DOES(reader, Open());
  PutOne(&writer, "key", "0");
  EXPECT_DOES(reader, "read r");
  for (int i = 1; i < 20; ++i) {
    PutOne(&writer, "key", std::to_string(i));
    EXPECT_SAYS(reader, "get r key", "=" + std::to_string(i - 1));
    EXPECT_DOES(reader, "reset r");
    EXPECT_DOES(reader, "renew r");
    EXPECT_SAYS(reader, "get r key", "=" + std::to_string(i));
  }
}

TEST_F(ReadersElsewhereTest, HoldTheirPagesUntilTheyAreKilled) {
  Create(5000, 100);
  Env env(path_, TestOptions());
  Puppet reader;
  ASSERT_DOES(reader, Open());
  ASSERT_DOES(reader, "read r");
  std::string snapshot = reader.Do("id r").text;
  auto overwrite = [&](uint32_t seed) {
    Txn txn(env);
    for (uint64_t i = 0; i < 5000; ++i) {
      ASSERT_OK(txn.Put(NumberedKey(i), Pattern(100, seed)));
    }
    ASSERT_OK(txn.Commit());
    ASSERT_OK(env.Sync());
  };
  overwrite(1);
  uint64_t once = env.Info().page_count;
  for (uint32_t seed = 2; seed < 30; ++seed) {
    overwrite(seed);
  }
  EXPECT_EQ(std::to_string(env.Info().oldest_reader_id), snapshot);
  EXPECT_GT(env.Info().pending_pages, 100u);   // the snapshot's
  EXPECT_LT(env.Info().page_count, once * 4);  // and no more than those
  EXPECT_DOES(reader, "check r 0 5000 100 1");
  reader.Kill();
  for (uint32_t seed = 30; seed < 60; ++seed) {  // needs space, and so finds out that the reader is dead
    overwrite(seed);
  }
  EXPECT_EQ(env.Info().oldest_reader_id, 0u);
  EXPECT_TRUE(env.VerifyClean());
}

TEST_F(ReadersElsewhereTest, AreListedWithTheirProcess) {
  Create(10);
  Puppet first, second;
  ASSERT_DOES(first, Open());
  ASSERT_DOES(second, Open());
  ASSERT_DOES(first, "read r");
  EXPECT_SAYS(second, "readers", std::to_string(first.pid()) + ":" + first.Do("id r").text);
  EXPECT_SAYS(second, "info readers", "1");
  ASSERT_DOES(first, "abort r");
  EXPECT_SAYS(second, "readers", "");
}

TEST_F(ReadersElsewhereTest, LoseTheirSlotsToAReaderCheckWhenTheyAreDead) {
  Create(10);
  Puppet watcher, dead, living;
  for (Puppet* puppet : {&watcher, &dead, &living}) {
    ASSERT_DOES(*puppet, Open());
  }
  for (const char* name : {"a", "b", "c"}) {
    ASSERT_DOES(dead, std::string("read ") + name);
  }
  ASSERT_DOES(living, "read r");
  EXPECT_SAYS(watcher, "reader-check", "0");
  dead.Kill();
  EXPECT_SAYS(watcher, "reader-check", "3");
  EXPECT_SAYS(watcher, "reader-check", "0");
  EXPECT_SAYS(watcher, "readers", std::to_string(living.pid()) + ":" + living.Do("id r").text);
  EXPECT_DOES(living, "check r 0 10 50 1");
}

TEST_F(ReadersElsewhereTest, CanTakeAllSlotsUntilTheyAreKilled) {
  Create(10);
  Puppet greedy, other;
  ASSERT_DOES(greedy, Open("readers=8"));
  ASSERT_DOES(other, Open("readers=8"));
  ASSERT_EQ(greedy.Do("info max-readers"), other.Do("info max-readers").text);
  unsigned long long slots = greedy.Do("info max-readers").number();
  ASSERT_LE(slots, 1000u);
  for (unsigned long long i = 0; i < slots; ++i) {
    ASSERT_DOES(greedy, "read r" + std::to_string(i));
  }
  EXPECT_SAYS(greedy, "read another", "JOHNNY_READERS_FULL");
  EXPECT_SAYS(other, "read r", "JOHNNY_READERS_FULL");
  PutOne(&other, "key", "value");  // writing needs no slot
  greedy.Kill();
  EXPECT_DOES(other, "read r");
  EXPECT_SAYS(other, "get r key", "=value");
}

TEST_F(ReadersElsewhereTest, SeeTheFileGrowAndShrink) {
  Create(10);
  Puppet writer, reader, holder;
  ASSERT_DOES(writer, Open("two-phase"));
  ASSERT_DOES(reader, Open());
  ASSERT_DOES(holder, Open());
  uint64_t small = writer.Do("info size").number();
  for (int round = 0; round < 3; ++round) {
    ASSERT_DOES(writer, "write w");
    ASSERT_DOES(writer, "fill w 0 20000 1000 1");
    ASSERT_DOES(writer, "commit w");
    uint64_t large = writer.Do("info size").number();
    EXPECT_GT(large, small + 20000000);
    EXPECT_DOES(reader, "read r");
    EXPECT_DOES(reader, "check r 0 20000 1000 1");
    EXPECT_DOES(reader, "abort r");
    EXPECT_DOES(holder, "read r");
    ASSERT_DOES(writer, "write w");
    ASSERT_DOES(writer, "clear w");
    ASSERT_DOES(writer, "fill w 0 10 50 1");
    ASSERT_DOES(writer, "commit w");
    for (int i = 0; i < 10; ++i) {
      PutOne(&writer, NumberedKey(0), "x");
    }
    EXPECT_DOES(holder, "check r 0 20000 1000 1");  // the tail is still his
    EXPECT_DOES(holder, "abort r");
    for (int i = 0; i < 10; ++i) {
      ASSERT_DOES(writer, "write w");
      ASSERT_DOES(writer, "fill w 0 10 50 1");
      ASSERT_DOES(writer, "commit w");
    }
    EXPECT_LT(writer.Do("info size").number(), large / 2);
    EXPECT_DOES(reader, "read r");
    EXPECT_DOES(reader, "check r 0 10 50 1");
    EXPECT_DOES(reader, "abort r");
  }
  EXPECT_DOES(reader, "verify");
}

// ---- Writers ----

class WritersElsewhereTest : public ProcessTest {};

TEST_F(WritersElsewhereTest, ExcludeEachOther) {
  Create();
  Puppet first, second;
  ASSERT_DOES(first, Open());
  ASSERT_DOES(second, Open());
  for (const char* end : {"commit w", "abort w"}) {
    ASSERT_DOES(first, "write w");
    EXPECT_SAYS(second, "try w", "JOHNNY_BUSY");
    second.Send("write w");
    EXPECT_FALSE(second.Answers(kBlockedMs));
    ASSERT_DOES(first, end);
    EXPECT_EQ(second.Receive(10000), "JOHNNY_OK");
    EXPECT_SAYS(first, "try w", "JOHNNY_BUSY");
    ASSERT_DOES(second, end);
    ASSERT_DOES(first, "try w");
    ASSERT_DOES(first, "abort w");
  }
}

TEST_F(WritersElsewhereTest, GoOnFromEachOthersCommits) {
  Create();
  std::deque<Puppet> puppets(3);
  for (Puppet& puppet : puppets) {
    ASSERT_DOES(puppet, Open());
  }
  std::string all;
  for (int i = 0; i < 30; ++i) {
    std::string key = NumberedKey(static_cast<uint64_t>(i), 3), value = std::to_string(i);
    PutOne(&puppets[static_cast<size_t>(i * 7 % 3)], key, value);
    all += (all.empty() ? "" : " ") + key + "=" + value;
    Puppet& other = puppets[static_cast<size_t>(i % 3)];
    ASSERT_DOES(other, "write w");
    EXPECT_SAYS(other, "all w", all);
    ASSERT_DOES(other, "abort w");
  }
  EXPECT_DOES(puppets[0], "verify");
}

TEST_F(WritersElsewhereTest, TakeOverFromOneKilledInside) {
  Create(100);
  Puppet victim, heir, reader;
  ASSERT_DOES(victim, Open("budget=262144"));
  ASSERT_DOES(heir, Open());
  ASSERT_DOES(reader, Open());
  std::string newest = reader.Do("info newest").text;
  ASSERT_DOES(victim, "write w");
  ASSERT_DOES(victim, "fill w 0 20000 100 2");  // much more than its budget: some of it is in the file already
  ASSERT_DOES(victim, "put w large " + std::string(50000, 'x'));
  heir.Send("write w");
  EXPECT_FALSE(heir.Answers(kBlockedMs));
  victim.Kill();
  ASSERT_EQ(heir.Receive(10000), "JOHNNY_OK");
  EXPECT_DOES(heir, "check w 0 100 50 1");
  ASSERT_DOES(heir, "fill w 0 200 50 3");
  ASSERT_DOES(reader, "read r");
  EXPECT_SAYS(reader, "id r", newest);
  EXPECT_DOES(reader, "check r 0 100 50 1");
  ASSERT_DOES(heir, "commit w");
  EXPECT_DOES(reader, "check r 0 100 50 1");
  EXPECT_DOES(reader, "abort r");
  EXPECT_DOES(reader, "read r");
  EXPECT_DOES(reader, "check r 0 200 50 3");
  EXPECT_DOES(reader, "verify");
}

TEST_F(WritersElsewhereTest, NeverUseAnIdTwice) {
  Create();
  Puppet heir;
  ASSERT_DOES(heir, Open());
  uint64_t last = 0;
  for (int i = 0; i < 10; ++i) {
    Puppet victim;
    ASSERT_DOES(victim, Open());
    PutOne(&victim, "key", std::to_string(i));
    uint64_t id = victim.Do("info newest").number();
    EXPECT_GT(id, last);
    ASSERT_DOES(victim, "write w");
    victim.Kill();
    PutOne(&heir, "key", "heir");
    EXPECT_GT(heir.Do("info newest").number(), id);
    last = heir.Do("info newest").number();
  }
}

TEST_F(WritersElsewhereTest, KilledWhileWaitingStandInNobodysWay) {
  Create();
  Puppet holder, waiter, third;
  for (Puppet* puppet : {&holder, &waiter, &third}) {
    ASSERT_DOES(*puppet, Open());
  }
  ASSERT_DOES(holder, "write w");
  waiter.Send("write w");
  EXPECT_FALSE(waiter.Answers(kBlockedMs));
  third.Send("write w");
  EXPECT_FALSE(third.Answers(kBlockedMs));
  waiter.Kill();
  ASSERT_DOES(holder, "commit w");
  EXPECT_EQ(third.Receive(10000), "JOHNNY_OK");
  EXPECT_DOES(third, "abort w");
  EXPECT_DOES(holder, "try w");
}

TEST_F(WritersElsewhereTest, LoseNothingAcknowledgedWhenAllAreKilled) {
  Create();
  Contents contents;
  for (const char* durability : {"lazy", "single-sync", "two-phase"}) {
    std::deque<Puppet> puppets(3);
    for (Puppet& puppet : puppets) {
      ASSERT_DOES(puppet, Open(durability));
    }
    for (int i = 0; i < 30; ++i) {
      std::string key = std::string("key") + durability + std::to_string(i);
      PutOne(&puppets[static_cast<size_t>(i % 3)], key, durability);
      contents[key] = durability;
    }
    puppets.clear();  // kills them
    ExpectContents(contents);
  }
}

}  // namespace
}  // namespace johnny::test

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a puppet may be dead
  if (argc == 2 && std::strcmp(argv[1], "--puppet") == 0) {
    return johnny::test::PuppetMain();
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
