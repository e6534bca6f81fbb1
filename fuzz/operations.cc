// A sequence of operations, run against a database and the model of test/model (a std::map per snapshot), which compares after
// each. The first byte chooses the options; then each operation is its kind and three numbers of two bytes.
//
// An input does at most so many operations, and so many entries in one, that it takes some milliseconds at the most.
#include <rapidcheck.h>

#include "model/harness.h"
#include "support.h"

namespace johnny::fuzz {
namespace {

using test::Kind;
using test::Op;

constexpr size_t kMostOperations = 20;
constexpr uint32_t kMostAtOnce = 40;                                 // entries that one operation puts, deletes or reads
constexpr int kFirstKinds = static_cast<int>(Kind::kNestedEnd) + 1;  // what older inputs know
constexpr int kLaterKinds = static_cast<int>(Kind::kBuilderEnd) + 1 - kFirstKinds;  // up to the last one

johnny_options OptionsFor(uint8_t choice) {
  johnny_options options = SmallOptions();
  options.page_size = choice % 8 == 7 ? 8192 : 4096;
  options.memory_budget = (choice / 8 % 2 == 0 ? 64 : 4096) * uint64_t{options.page_size};
  options.durability = choice / 16 % 4 + uint32_t{JOHNNY_TWO_PHASE};
  options.slack_percent = choice / 64 % 2 == 0 ? 30 : 0;
  options.flags |= choice / 128 == 0 ? uint32_t{JOHNNY_NO_LOCK_FILE} : 0;
  if (options.durability == JOHNNY_ASYNC) {
    options.durability = JOHNNY_LAZY;  // a thread of its own would make runs differ
  }
  return options;
}

Op NextOp(InputReader* input) {
  Op op;
  // Those that came later have the upper bytes, so that older inputs mostly mean what they meant.
  constexpr int kFirstBytes = 6 * kFirstKinds;
  int byte = input->Byte();
  op.kind = static_cast<Kind>(byte < kFirstBytes ? byte % kFirstKinds : kFirstKinds + (byte - kFirstBytes) % kLaterKinds);
  op.a = input->Number(2);
  op.b = input->Number(2);
  op.c = input->Number(2);
  switch (op.kind) {
    case Kind::kPutMany:
    case Kind::kDeleteMany:
    case Kind::kGetMany:
    case Kind::kBatch:
    case Kind::kBuilderAdd:
      op.b %= kMostAtOnce;
      break;
    case Kind::kCommit:
      op.a %= 4;
      break;
    default:
      break;
  }
  return op;
}

void Run(InputReader* input) {
  sim::SimSystem system;
  system.set_recording(false);
  test::Harness harness(kDatabase, OptionsFor(input->Byte()), &system);
  for (size_t i = 0; i < kMostOperations && !input->empty(); ++i) {
    harness.Run(NextOp(input));
  }
  harness.Finish();
}

}  // namespace
}  // namespace johnny::fuzz

int LLVMFuzzerInitialize(int*, char***) {
  johnny::fuzz::AbortOnFailedExpectations();
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  johnny::fuzz::InputReader input(data, size);
  try {
    johnny::fuzz::Run(&input);
  } catch (const rc::detail::CaseResult& failed) {
    johnny::fuzz::Defect("database and model differ: " + failed.description);
  }
  return 0;
}
