// Makes allocations of the library fail: the test replaces operator new and delete, and is linked with --wrap for each function
// of the C API (wrap_api.py), whereby it knows which allocations are made inside one.
#ifndef JOHNNY_TEST_FAULTS_ALLOCATIONS_H_
#define JOHNNY_TEST_FAULTS_ALLOCATIONS_H_

#include <cstdint>
#include <map>
#include <string>

namespace johnny::faults {

// While one exists in a thread, that thread is inside the library. The generated wrappers make them.
class ApiCall {
 public:
  explicit ApiCall(const char* function);
  ~ApiCall();
  ApiCall(const ApiCall&) = delete;
  ApiCall& operator=(const ApiCall&) = delete;

 private:
  const char* outer_;
};

// Allocations inside the library fail from here on: after `skip` of them one, or all.
void StartAllocationFault(uint64_t skip, bool for_ever);
// No allocation fails any more. How many have.
uint64_t StopAllocationFault();
// The function in which the first one failed.
std::string FirstFailedAllocation();

// What operator new has given out and not got back, in all threads.
int64_t LiveAllocations();
// Each function of the C API, and how often it has been called.
const std::map<std::string, uint64_t>& ApiCalls();

}  // namespace johnny::faults

#endif  // JOHNNY_TEST_FAULTS_ALLOCATIONS_H_
