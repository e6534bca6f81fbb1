#include "support.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

// For speed, at no loss of what is found: the stack of an allocation is one call deep (a finding is looked at again with
// ASAN_OPTIONS=malloc_context_size=20), what is freed is kept back for a while only, so that it stays in the processor's caches,
// and memory is not filled. What is undefined is a finding, too.
extern "C" {
const char* __asan_default_options();
const char* __ubsan_default_options();
const char* __asan_default_options() {
  return "malloc_context_size=1:quarantine_size_mb=1:thread_local_quarantine_size_kb=64:max_malloc_fill_size=0";
}
const char* __ubsan_default_options() { return "halt_on_error=1:print_stacktrace=1"; }
}

namespace johnny::fuzz {

void Defect(const std::string& what) {
  std::fprintf(stderr, "DEFECT: %s\n", what.c_str());
  std::abort();
}

void AbortOnFailedExpectations() { testing::FLAGS_gtest_break_on_failure = true; }

bool Failed(const test::Result& result) {
  if (result.ok() || result == JOHNNY_NOT_FOUND) {
    return false;
  }
  if (result == JOHNNY_INTERNAL || result.message().empty()) {
    Defect(test::CodeName(result.code()) + ": " + result.message());
  }
  return true;
}

johnny_options SmallOptions() {
  johnny_options options = test::TestOptions();
  options.max_readers = 8;
  options.memory_budget = 64 * options.page_size;
  options.address_space = sim::SimSystem::kReserve;
  return options;
}

uint32_t InputReader::Number(int bytes) {
  uint32_t number = 0;
  for (int i = 0; i < bytes; ++i) {
    number |= uint32_t{Byte()} << (8 * i);
  }
  return number;
}

std::string_view InputReader::Take(size_t size) {
  std::string_view taken = rest_.substr(0, size);
  rest_.remove_prefix(taken.size());
  return taken;
}

void PutFile(os::System* system, const std::string& path, std::string_view bytes) {
  system->Unlink(path).IgnoreError();
  auto file = system->Open(path, os::OpenMode::kCreateNew, 0644);
  Slice piece = MakeSlice(bytes.data(), bytes.size());
  Require(file.ok() && (*file)->WriteAt(0, absl::MakeConstSpan(&piece, 1)).ok(), "cannot set up a file");
}

std::string GetFile(os::System* system, const std::string& path) {
  auto file = system->Open(path, os::OpenMode::kReadOnly, 0);
  Require(file.ok(), "cannot look at a file");
  std::string bytes((*file)->Size().value_or(0), '\0');
  Require((*file)->ReadAt(0, bytes.data(), bytes.size()).ok(), "cannot read a file");
  return bytes;
}

}  // namespace johnny::fuzz
