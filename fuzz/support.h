// What the fuzz targets share.
#ifndef JOHNNY_FUZZ_SUPPORT_H_
#define JOHNNY_FUZZ_SUPPORT_H_

#include <memory>
#include <string>
#include <string_view>

#include "support/sim_system.h"
#include "support/test_db.h"

extern "C" {
int LLVMFuzzerInitialize(int* argc, char*** argv);
int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
}

namespace johnny::fuzz {

inline constexpr char kDatabase[] = "/db";
inline constexpr char kLockFile[] = "/db-lock";

// Ends the process, as a crash would, with a word on what went wrong.
[[noreturn]] void Defect(const std::string& what);
inline void Require(bool holds, const char* what) {
  if (!holds) {
    Defect(what);
  }
}

// From now on a failed expectation of the test support, which the targets use outside of any test, is a defect.
void AbortOnFailedExpectations();

// Whether a call failed in a way that damage allows; JOHNNY_NOT_FOUND is no failure.
bool Failed(const test::Result& result);

// For environments of a few pages that live for a moment.
johnny_options SmallOptions();

// Takes an input apart, front to back; behind its end there are zeros.
class InputReader {
 public:
  InputReader(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }
  uint8_t Byte() { return rest_.empty() ? 0 : static_cast<uint8_t>(Take(1)[0]); }
  uint32_t Number(int bytes);  // little-endian
  uint64_t Word() {            // of eight bytes
    uint64_t low = Number(4);
    return low | uint64_t{Number(4)} << 32;
  }
  std::string_view Take(size_t size);
  std::string_view Rest() { return Take(rest_.size()); }

 private:
  std::string_view rest_;
};

// Files of a simulated process, from outside of the library.
void PutFile(os::System* system, const std::string& path, std::string_view bytes);
std::string GetFile(os::System* system, const std::string& path);

}  // namespace johnny::fuzz

#endif  // JOHNNY_FUZZ_SUPPORT_H_
