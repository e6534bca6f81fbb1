// What the golden files hold: databases as released versions of the format wrote them, which every later version must read.
//
// The files lie in test/golden/files and are never made again once a version is released; `make_golden DIRECTORY` made them.
#ifndef JOHNNY_TEST_GOLDEN_GOLDEN_H_
#define JOHNNY_TEST_GOLDEN_GOLDEN_H_

#include <cstdint>
#include <map>
#include <string>

#include "support/test_db.h"

namespace johnny::test {

// Of the newest snapshot, or of the one named "before": contents by table; "" is the main table.
std::map<std::string, Contents> GoldenContents(bool before);

// Makes one in `path`, by some eighty commits: several tables, values of many pages, freed pages, a condensed free log, a named
// snapshot. `clean`: the environment was closed; if not, the file is as a killed process leaves it, with lazy commits.
void MakeGolden(const std::string& path, uint32_t page_size, bool clean);

}  // namespace johnny::test

#endif  // JOHNNY_TEST_GOLDEN_GOLDEN_H_
