// Makes the golden files of this version of the format: make_golden DIRECTORY. For a new version only; released ones stay.
#include <absl/strings/str_cat.h>

#include <cstdio>
#include <filesystem>

#include "format/master_page.h"
#include "golden/golden.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_golden DIRECTORY\n");
    return 2;
  }
  testing::InitGoogleTest();
  for (uint32_t page_size = 4096; page_size <= 32768; page_size *= 2) {
    for (bool clean : {true, false}) {
      std::string path =
          absl::StrCat(argv[1], "/v", johnny::format::kFormatVersion, "-", page_size, clean ? "-clean" : "-killed", ".db");
      if (std::filesystem::exists(path)) {
        std::fprintf(stderr, "%s is there already, and golden files are not made again\n", path.c_str());
        return 1;
      }
      johnny::test::MakeGolden(path, page_size, clean);
    }
  }
  return 0;
}
