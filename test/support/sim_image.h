// What a disk holds: files as arrays of blocks that are shared between images, so that thousands of images which differ in a few
// blocks can be made, told apart by hash and thrown away at little cost.
#ifndef JOHNNY_TEST_SUPPORT_SIM_IMAGE_H_
#define JOHNNY_TEST_SUPPORT_SIM_IMAGE_H_

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace johnny::sim {

struct Hash128 {
  uint64_t low = 0;
  uint64_t high = 0;
  friend auto operator<=>(const Hash128&, const Hash128&) = default;
};
struct Hash128Hash {
  size_t operator()(const Hash128& hash) const { return static_cast<size_t>(hash.low); }
};

Hash128 HashOf(const void* data, size_t size);

// The bytes of one file. Blocks that hold only zeros are not stored, so that equal contents have equal hashes.
class FileImage {
 public:
  static constexpr uint64_t kBlock = 4096;

  uint64_t size() const { return size_; }
  // Cuts the file short, or extends it with zeros.
  void Resize(uint64_t size);
  // Extends the file when the bytes reach past its end.
  void Write(uint64_t offset, Slice bytes);
  // Copies the contents to `to`, which holds zeros and has room for size() bytes.
  void CopyTo(Byte* to) const;
  std::string Read(uint64_t offset, size_t size) const;
  Hash128 Hash() const;

 private:
  struct Block {
    Byte bytes[kBlock];
    Hash128 hash;
  };
  void StoreBlock(uint64_t index, const Byte* bytes);

  uint64_t size_ = 0;
  std::vector<std::shared_ptr<const Block>> blocks_;  // null: zeros
};

// A directory tree with its files; two names may stand for one file.
struct DiskImage {
  std::map<std::string, int> names;
  std::map<int, FileImage> files;

  Hash128 Hash() const;  // of what the names lead to
};

}  // namespace johnny::sim

#endif  // JOHNNY_TEST_SUPPORT_SIM_IMAGE_H_
