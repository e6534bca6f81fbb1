// A small run that touches every operation of the C API and every call to the system, and a short one for the rest of them, for
// tests that make each of these fail.
#ifndef JOHNNY_TEST_SUPPORT_FAULT_SCRIPT_H_
#define JOHNNY_TEST_SUPPORT_FAULT_SCRIPT_H_

#include "support/crash_script.h"

namespace johnny::sim {

// What the run wants to be opened with.
johnny_options FaultOptions();

// From no file to a closed database, with a kill and a recovery on the way.
void TouchEverything(Script* script);
// The same for growth by so much that blocks are reserved ahead.
void GrowMuch(Script* script);
// One commit of changes to the main table.
void CommitSome(Script* script, uint32_t durability = JOHNNY_DURABILITY_DEFAULT);

}  // namespace johnny::sim

#endif  // JOHNNY_TEST_SUPPORT_FAULT_SCRIPT_H_
