// Runs of TouchEverything() on real files, with a look for what they leave behind.
#ifndef JOHNNY_TEST_FAULTS_REAL_RUN_H_
#define JOHNNY_TEST_FAULTS_REAL_RUN_H_

#include <functional>
#include <string>
#include <vector>

#include "base/status.h"

namespace johnny::faults {

// Which errors a run may meet.
struct Cause {
  Code code = Code::kOk;  // kOk: none
  std::string words;
};

// A folder of its own, in memory if there is such a file system; removed in the end.
class RealRun {
 public:
  RealRun();
  ~RealRun();
  RealRun(const RealRun&) = delete;
  RealRun& operator=(const RealRun&) = delete;

  // Runs from no file on, with what is between `start` and `stop` failing, then closes and reopens the database without faults:
  // it must hold what was reported. Gives what was wrong, also with descriptors and mappings that were left behind.
  std::vector<std::string> Run(uint64_t seed, const Cause& cause, const std::function<void()>& start,
                               const std::function<void()>& stop);

 private:
  void RemoveFiles() const;

  std::string directory_;
};

// JOHNNY_FAULT_STRIDE: for slow builds, to try only every so many points.
uint64_t FaultStride();

}  // namespace johnny::faults

#endif  // JOHNNY_TEST_FAULTS_REAL_RUN_H_
