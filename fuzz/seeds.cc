// Writes the inputs that the corpora of the target `file` begin with: small databases of several shapes. Keys and values are
// nearly all zeros, so that pages fill up while the packed file stays small.
//
// usage: fuzz_seeds FOLDER
#include <cstdio>

#include "packed_file.h"
#include "support.h"

namespace johnny::fuzz {
namespace {

using test::Env;
using test::Txn;

// Short when packed, long in a page.
std::string Zeros(size_t size, uint32_t n) { return std::string(size, '\0') + std::to_string(n); }
std::string LongKey(uint32_t n) {
  return std::string(1, static_cast<char>('a' + n / 4)) + std::string(900, '\0') + std::to_string(n % 4);
}

void PutEntries(Txn* txn, johnny_table* table, uint32_t from, uint32_t to, size_t value_size) {
  for (uint32_t i = from; i < to; ++i) {
    EXPECT_OK(txn->Put(test::NumberedKey(i, 3), Zeros(value_size, i), 0, table));
  }
}

void OneLeaf(const Env& env) {
  Txn txn(env);
  PutEntries(&txn, nullptr, 0, 3, 5);
  EXPECT_OK(txn.Commit());
}

void Leaves(const Env& env) {
  for (uint32_t round = 0; round < 3; ++round) {
    Txn txn(env);
    PutEntries(&txn, nullptr, round, 12, 1200);
    EXPECT_OK(txn.Commit());
  }
}

void TwoLevels(const Env& env) {
  Txn txn(env);
  for (uint32_t i = 0; i < 48; ++i) {
    EXPECT_OK(txn.Put(LongKey(i), Zeros(100, i)));
  }
  EXPECT_OK(txn.Commit());
}

void LargeValues(const Env& env) {
  for (uint32_t round = 0; round < 2; ++round) {
    Txn txn(env);
    PutEntries(&txn, nullptr, 0, 3, 4000 + 3000 * round);
    EXPECT_OK(txn.Commit());
  }
}

void TwoChunks(const Env& env) {
  Txn txn(env);
  EXPECT_OK(txn.Put("huge", Zeros(270000, 1)));
  EXPECT_OK(txn.Put("large", Zeros(5000, 1)));
  EXPECT_OK(txn.Commit());
}

void TablesAndSnapshots(const Env& env) {
  for (uint32_t round = 0; round < 4; ++round) {
    Txn txn(env);
    if (round > 0) {
      EXPECT_OK(txn.CreateSnapshot("s" + std::to_string(round)));
    }
    if (round == 3) {
      EXPECT_OK(txn.DeleteSnapshot("s1"));
    }
    PutEntries(&txn, nullptr, round, 5, 300);
    PutEntries(&txn, txn.Table("t"), 0, 5 + round, 1500);
    PutEntries(&txn, txn.Table("u"), round, round + 1, 6000);
    EXPECT_OK(txn.Commit());
  }
}

// Many commits, deletions, a table that goes: a free log of several records and segments.
void Aged(const Env& env) {
  for (uint32_t round = 0; round < 12; ++round) {
    Txn txn(env);
    PutEntries(&txn, nullptr, round, round + 8, 1300);
    PutEntries(&txn, txn.Table("t"), 0, 3, 5000);
    if (round % 4 == 3) {
      EXPECT_OK(test::Result(johnny_table_drop(txn.get(), txn.Table("t"))));
    }
    for (uint32_t i = 0; i < 4 && round > 2; ++i) {
      EXPECT_OK(txn.Delete(test::NumberedKey(round + i, 3)));
    }
    EXPECT_OK(txn.Commit());
  }
}

struct Shape {
  const char* name;
  void (*fill)(const Env& env);
};
constexpr Shape kShapes[] = {
    {"empty", [](const Env&) {}},   {"leaf", OneLeaf},      {"leaves", Leaves},
    {"levels", TwoLevels},          {"large", LargeValues}, {"chunks", TwoChunks},
    {"tables", TablesAndSnapshots}, {"aged", Aged},
};

// `killed`: as its process left it, unless that closed it.
std::string Make(const Shape& shape, uint32_t page_size, uint32_t durability, bool killed) {
  sim::SimSystem system;
  system.set_recording(false);
  johnny_options options = test::TestOptions(page_size);
  options.flags |= JOHNNY_NO_LOCK_FILE;
  options.durability = durability;
  options.address_space = sim::SimSystem::kReserve;
  Env env;
  EXPECT_OK(env.Open(&system, kDatabase, options));
  shape.fill(env);
  std::string left = GetFile(&system, kDatabase);
  EXPECT_OK(env.Close());
  return Pack({killed ? left : GetFile(&system, kDatabase), false});
}

}  // namespace
}  // namespace johnny::fuzz

int main(int argc, char** argv) {
  using namespace johnny::fuzz;
  if (argc != 2) {
    std::fprintf(stderr, "usage: fuzz_seeds FOLDER\n");
    return 2;
  }
  AbortOnFailedExpectations();
  for (const Shape& shape : kShapes) {
    std::string path = std::string(argv[1]) + "/seed-" + shape.name;
    johnny::test::WriteFile(path, Make(shape, 4096, JOHNNY_TWO_PHASE, false));
    johnny::test::WriteFile(path + "-lazy", Make(shape, 4096, JOHNNY_LAZY, true));
    johnny::test::WriteFile(path + "-single", Make(shape, 4096, JOHNNY_SINGLE_SYNC, true));
    johnny::test::WriteFile(path + "-8k", Make(shape, 8192, JOHNNY_LAZY, true));
  }
  return 0;
}
