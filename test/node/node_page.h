// Pages and keys for the tests of this layer.
#ifndef JOHNNY_TEST_NODE_NODE_PAGE_H_
#define JOHNNY_TEST_NODE_NODE_PAGE_H_

#include <rapidcheck.h>

#include <string>
#include <vector>

#include "node/leaf.h"

namespace johnny::node {

inline constexpr uint32_t kPageSizes[] = {4096, 8192, 16384, 32768};

// A page that holds rubbish at first, as a frame does.
class TestPage {
 public:
  explicit TestPage(uint32_t page_size) : bytes_(page_size, 0xa5) {}
  Byte* data() { return bytes_.data(); }
  const Byte* data() const { return bytes_.data(); }
  uint32_t size() const { return static_cast<uint32_t>(bytes_.size()); }
  friend bool operator==(const TestPage& a, const TestPage& b) { return a.bytes_ == b.bytes_; }

 private:
  std::vector<Byte> bytes_;
};

// Short keys over few bytes, so that equal heads, zero padding and keys that begin other keys are frequent.
inline rc::Gen<std::string> Tails() { return rc::gen::container<std::string>(rc::gen::element('\0', '\1', 'a', '\xff')); }

}  // namespace johnny::node

#endif  // JOHNNY_TEST_NODE_NODE_PAGE_H_
