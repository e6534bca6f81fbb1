#include "compare/disk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "engine.h"

namespace bench {
namespace {

namespace files = std::filesystem;

template <typename Visitor>
void ForEachFile(const std::string& directory, Visitor visit) {
  for (const files::directory_entry& entry : files::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file()) {
      visit(entry.path());
    }
  }
}

bool IsAuxiliary(const std::string& name) {
  auto ends_with = [&](std::string_view end) {
    return name.size() >= end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
  };
  return ends_with("-lock") || ends_with("-shm") || name == "LOCK" || name.rfind("LOG", 0) == 0;
}

class File {
 public:
  explicit File(const files::path& path) : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (descriptor_ < 0) {
      Die(path.c_str(), std::strerror(errno));
    }
  }
  ~File() { ::close(descriptor_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

}  // namespace

uint64_t BytesIn(const std::string& directory) {
  uint64_t bytes = 0;
  ForEachFile(directory, [&](const files::path& path) {
    struct stat info = {};
    // A file may be deleted meanwhile.
    if (!IsAuxiliary(path.filename()) && ::stat(path.c_str(), &info) == 0) {
      bytes += static_cast<uint64_t>(std::min<int64_t>(info.st_size, info.st_blocks * 512));
    }
  });
  return bytes;
}

void DropCache(const std::string& directory) {
  ForEachFile(directory, [](const files::path& path) {
    File file(path);
    if (::fsync(file.descriptor()) != 0 || ::posix_fadvise(file.descriptor(), 0, 0, POSIX_FADV_DONTNEED) != 0) {
      Die(path.c_str(), "cannot be dropped from the page cache");
    }
  });
}

void WarmCache(const std::string& directory) {
  std::vector<char> buffer(size_t{1} << 20);
  ForEachFile(directory, [&](const files::path& path) {
    if (IsAuxiliary(path.filename())) {
      return;
    }
    // What is a hole is left out: LMDB's file with MDB_WRITEMAP is as large as its map.
    File file(path);
    for (off_t at = ::lseek(file.descriptor(), 0, SEEK_DATA), end; at >= 0; at = ::lseek(file.descriptor(), end, SEEK_DATA)) {
      end = ::lseek(file.descriptor(), at, SEEK_HOLE);
      for (ssize_t got = 1; at < end && got > 0; at += got) {
        got = ::pread(file.descriptor(), buffer.data(), std::min<size_t>(buffer.size(), static_cast<size_t>(end - at)), at);
      }
    }
  });
}

BlockDevice::BlockDevice(const std::string& directory) {
  struct stat info = {};
  if (::stat(directory.c_str(), &info) != 0) {
    Die(directory.c_str(), std::strerror(errno));
  }
  major_ = gnu_dev_major(info.st_dev);
  minor_ = gnu_dev_minor(info.st_dev);
  Traffic traffic;
  if (Read(major_, minor_, &traffic)) {
    return;
  }
  // File systems like btrfs have numbers of their own; the mount names the device: `id parent major:minor root mount-point
  // options [tags] - type source options`.
  std::string path = files::canonical(directory), best;
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string word, point, source;
    words >> word >> word >> word >> word >> point;
    while (words >> word && word != "-") {
    }
    words >> word >> source;
    bool above = point == "/" || path == point || path.rfind(point + "/", 0) == 0;
    if (above && point.size() >= best.size() && ::stat(source.c_str(), &info) == 0 && S_ISBLK(info.st_mode)) {
      best = point;
      major_ = gnu_dev_major(info.st_rdev);
      minor_ = gnu_dev_minor(info.st_rdev);
    }
  }
  if (best.empty() || !Read(major_, minor_, &traffic)) {
    Die(directory.c_str(), "is on no block device whose traffic could be counted; use --dir");
  }
}

Traffic BlockDevice::Count() const {
  Traffic traffic;
  if (!Read(major_, minor_, &traffic)) {
    Die("/proc/diskstats", "the device is gone");
  }
  return traffic;
}

bool BlockDevice::Read(unsigned major, unsigned minor, Traffic* traffic) {
  constexpr uint64_t kSector = 512;  // whatever the device's own is
  std::ifstream stats("/proc/diskstats");
  for (std::string line; std::getline(stats, line);) {
    std::istringstream words(line);
    unsigned line_major = 0, line_minor = 0;
    std::string name;
    uint64_t reads = 0, reads_merged = 0, sectors_read = 0, read_ms = 0, writes = 0, writes_merged = 0, sectors_written = 0;
    words >> line_major >> line_minor >> name >> reads >> reads_merged >> sectors_read >> read_ms >> writes >> writes_merged >>
        sectors_written;
    if (words && line_major == major && line_minor == minor) {
      *traffic = {sectors_read * kSector, sectors_written * kSector};
      return true;
    }
  }
  return false;
}

}  // namespace bench
