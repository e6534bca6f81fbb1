// Runs a target's LLVMFuzzerTestOneInput over files, and over those in folders: without a fuzzer, with any compiler.
//
// usage: replay_TARGET FILE-OR-FOLDER...
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "support.h"

namespace {

namespace fs = std::filesystem;

std::vector<std::string> FilesIn(const fs::path& path) {
  std::vector<std::string> files;
  if (!fs::is_directory(path)) {
    files.push_back(path.string());
    return files;
  }
  for (const auto& entry : fs::directory_iterator(path)) {
    if (entry.is_regular_file()) {
      files.push_back(entry.path().string());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

int main(int argc, char** argv) {
  LLVMFuzzerInitialize(&argc, &argv);
  size_t count = 0;
  for (int i = 1; i < argc; ++i) {
    for (const std::string& file : FilesIn(argv[i])) {
      std::printf("%s\n", file.c_str());
      std::fflush(stdout);  // the last line names the input that it died of
      std::string bytes = johnny::test::ReadFile(file);
      std::vector<uint8_t> exact(bytes.begin(), bytes.end());  // an allocation of that size, so that its end is guarded
      LLVMFuzzerTestOneInput(exact.data(), exact.size());
      ++count;
    }
  }
  std::printf("%zu inputs\n", count);
  return count > 0 ? 0 : 1;
}
