#include "faults/real_run.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "support/fault_script.h"

namespace johnny::faults {
namespace {

namespace fs = std::filesystem;

size_t CountDescriptors() {
  return static_cast<size_t>(std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()));
}

size_t CountMappings(const std::string& directory) {
  std::ifstream maps("/proc/self/maps");
  size_t count = 0;
  for (std::string line; std::getline(maps, line);) {
    count += line.find(directory) != std::string::npos ? 1 : 0;
  }
  return count;
}

}  // namespace

RealRun::RealRun() {
  std::string pattern = (fs::exists("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path()) / "johnny-faults-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) {
    std::abort();
  }
  directory_ = pattern;
}

RealRun::~RealRun() { fs::remove_all(directory_); }

void RealRun::RemoveFiles() const {
  for (const auto& entry : fs::directory_iterator(directory_)) {
    fs::remove(entry.path());
  }
}

std::vector<std::string> RealRun::Run(uint64_t seed, const Cause& cause, const std::function<void()>& start,
                                      const std::function<void()>& stop) {
  RemoveFiles();
  size_t descriptors = CountDescriptors();
  sim::Script script("real files", seed, sim::FaultOptions());
  script.UseRealFile(absl::StrCat(directory_, "/faults.jdb"));
  script.ExpectFaults(cause.code != Code::kOk);
  script.ExpectCause(cause.code, cause.words);
  start();
  sim::TouchEverything(&script);
  stop();
  script.Kill();
  script.Open(JOHNNY_CREATE);  // refused until a restart if the sync of an opening failed
  script.ExpectFaults(false);
  script.CheckNow();
  sim::CommitSome(&script);
  script.CheckNow();
  script.Close();
  std::vector<std::string> problems = script.Finish().problems;
  if (size_t left = CountDescriptors(); left != descriptors) {
    problems.push_back(absl::StrCat(descriptors, " descriptors before, ", left, " after"));
  }
  if (size_t left = CountMappings(directory_); left != 0) {
    problems.push_back(absl::StrCat(left, " mappings were left behind"));
  }
  return problems;
}

uint64_t FaultStride() {
  const char* given = std::getenv("JOHNNY_FAULT_STRIDE");
  return given != nullptr ? static_cast<uint64_t>(std::max(1, std::atoi(given))) : 1;
}

}  // namespace johnny::faults
