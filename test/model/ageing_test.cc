// Laws of a file that grows old under random overwrites.
#include <random>

#include "model/op.h"

namespace johnny::test {
namespace {

class AgeingTest : public testing::TestWithParam<uint32_t> {
 protected:
  static std::map<std::string, std::string> Load(const Env& env, uint64_t entries, size_t value_size) {
    Contents contents;
    Txn txn(env);
    for (uint64_t i = 0; i < entries; ++i) {
      contents[NumberedKey(i)] = Pattern(value_size, static_cast<uint32_t>(i));
      RC_ASSERT(txn.Put(NumberedKey(i), contents[NumberedKey(i)]) == JOHNNY_OK);
    }
    RC_ASSERT(txn.Commit() == JOHNNY_OK);
    return contents;
  }

  static void Overwrite(const Env& env, std::minstd_rand* random, int commits, int batch, uint64_t entries, size_t value_size) {
    for (int i = 0; i < commits; ++i) {
      Txn txn(env);
      for (int j = 0; j < batch; ++j) {
        RC_ASSERT(txn.Put(NumberedKey((*random)() % entries), Pattern(value_size, static_cast<uint32_t>((*random)()))) ==
                  JOHNNY_OK);
      }
      RC_ASSERT(txn.Commit() == JOHNNY_OK);
    }
  }
};

INSTANTIATE_PAGE_SIZES(AgeingTest);

TEST_P(AgeingTest, AHeldReaderCostsItsOwnSnapshotOnce) {
  EXPECT_TRUE(
      rc::check("overwrites behind a held reader leave its contents, and the file no larger than without it plus its pages", [] {
        std::minstd_rand random(*rc::gen::inRange(1, 1000000));
        uint64_t entries = *rc::gen::inRange<uint64_t>(500, 4000);
        auto batch = *rc::gen::inRange(1, 100);
        auto value_size = *rc::gen::inRange<size_t>(0, 300);
        uint64_t page_counts[2] = {};
        uint64_t held_pages = 0;
        for (bool hold : {false, true}) {
          TempDir dir;
          Env env(dir.File("db"), TestOptions(GetParam()));
          Contents contents = Load(env, entries, value_size);
          Txn reader;
          if (hold) {
            RC_ASSERT(reader.Begin(env, JOHNNY_READ) == JOHNNY_OK);
            held_pages = env.Info().used_pages;
          }
          std::minstd_rand same = random;
          Overwrite(env, &same, 150, batch, entries, value_size);
          page_counts[hold] = env.Info().page_count;
          if (hold) {
            RC_ASSERT(reader.All() == contents);
            RC_ASSERT(reader.Commit() == JOHNNY_OK);
          }
          RC_ASSERT(env.Findings() == "");
        }
        RC_ASSERT(page_counts[true] <= (page_counts[false] + held_pages) * 105 / 100 + 64);
      }));
}

TEST_P(AgeingTest, WithoutReadersTheFileReachesASteadySize) {
  EXPECT_TRUE(rc::check("overwrites without readers stop growing the file", [] {
    std::minstd_rand random(*rc::gen::inRange(1, 1000000));
    auto batch = *rc::gen::inRange(1, 100);
    auto value_size = *rc::gen::inRange<size_t>(0, 300);
    TempDir dir;
    Env env(dir.File("db"), TestOptions(GetParam()));
    Load(env, 2000, value_size);
    Overwrite(env, &random, 200, batch, 2000, value_size);
    uint64_t steady = env.Info().page_count;
    Overwrite(env, &random, 200, batch, 2000, value_size);
    RC_ASSERT(env.Info().page_count <= steady * 110 / 100 + 32);
    RC_ASSERT(env.Findings() == "");
  }));
}

TEST_P(AgeingTest, AReaderThatMovesOnReleasesItsPages) {
  EXPECT_TRUE(rc::check("readers that are renewed now and then keep the file bounded", [] {
    std::minstd_rand random(*rc::gen::inRange(1, 1000000));
    TempDir dir;
    Env env(dir.File("db"), TestOptions(GetParam()));
    Load(env, 2000, 100);
    uint64_t live = env.Info().used_pages;
    std::vector<Txn> readers(3);
    for (int round = 0; round < 60; ++round) {
      Txn& reader = readers[random() % readers.size()];
      reader = Txn();
      RC_ASSERT(reader.Begin(env, JOHNNY_READ) == JOHNNY_OK);
      Overwrite(env, &random, 5, 40, 2000, 100);
    }
    // The newest snapshot, three held ones, slack, and the pages of commits under way.
    RC_ASSERT(env.Info().page_count <= live * 6 + 400);
    for (const Txn& reader : readers) {
      if (reader.get() != nullptr) {
        RC_ASSERT(reader.Entries() == 2000u);
      }
    }
    readers.clear();
    RC_ASSERT(env.Findings() == "");
  }));
}

}  // namespace
}  // namespace johnny::test
