// What the benchmarks ask of the system about files and disks.
#ifndef JOHNNY_BENCH_COMPARE_DISK_H_
#define JOHNNY_BENCH_COMPARE_DISK_H_

#include <cstdint>
#include <string>

namespace bench {

// Bytes that the files below take, lock files and logs of messages apart. Of a sparse file what it has been given counts, of one
// with room allocated behind its end what lies before.
uint64_t BytesIn(const std::string& directory);

// Syncs the files below and has the system forget their contents; nobody may have them mapped.
void DropCache(const std::string& directory);
// Reads the files below.
void WarmCache(const std::string& directory);

// Bytes read from and written to a block device since the machine was started, by whomever.
struct Traffic {
  uint64_t read = 0, written = 0;
};

// The device that a directory is on. (/proc/self/io counts pages made dirty, and not those read through mappings.)
class BlockDevice {
 public:
  // Dies if the directory's file system is on none.
  explicit BlockDevice(const std::string& directory);
  Traffic Count() const;

 private:
  static bool Read(unsigned major, unsigned minor, Traffic* traffic);

  unsigned major_ = 0, minor_ = 0;
};

}  // namespace bench

#endif  // JOHNNY_BENCH_COMPARE_DISK_H_
