// How a fuzz input holds a file: runs of zeros are left out, so that a database of a few pages, whose first 64 KiB are nearly all
// zeros, takes some hundred bytes.
//
// "JPK" and a byte of flags, then again and again: zeros varint · length varint · that many bytes. Bytes that begin otherwise are
// taken as the file itself, so that any database can be given to the target.
#ifndef JOHNNY_FUZZ_PACKED_FILE_H_
#define JOHNNY_FUZZ_PACKED_FILE_H_

#include <string>
#include <string_view>

namespace johnny::fuzz {

inline constexpr size_t kMaxFile = 1 << 19;  // longer files are cut

struct PackedFile {
  std::string bytes;
  // The target is to make all checksums right: for mutators that cannot. Flag 1.
  bool repair = false;
};

// What *file held is overwritten, and its memory used again.
void Unpack(std::string_view input, PackedFile* file);
std::string Pack(const PackedFile& file);

}  // namespace johnny::fuzz

#endif  // JOHNNY_FUZZ_PACKED_FILE_H_
