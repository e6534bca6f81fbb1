// The runs whose crashes are enumerated.
#ifndef JOHNNY_TEST_CRASH_SCENARIOS_H_
#define JOHNNY_TEST_CRASH_SCENARIOS_H_

#include <vector>

#include "support/crash_script.h"

namespace johnny::sim {

struct Scenario {
  const char* name;
  double share;  // of all states to check
  uint32_t durability;
  void (*run)(Script* script);
};

const std::vector<Scenario>& Scenarios();
const Scenario& FindScenario(const std::string& name);

// Runs it once; different seeds give different runs.
Recording Record(const Scenario& scenario, uint64_t seed);

}  // namespace johnny::sim

#endif  // JOHNNY_TEST_CRASH_SCENARIOS_H_
