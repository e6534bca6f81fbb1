// Works about the file: its size, what reaches the disk, opening it, reading it cold.
#include <algorithm>

#include "compare/disk.h"
#include "compare/work.h"

namespace bench {
namespace {

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

// Bytes of the file to bytes of keys and values.
void ReportSize(Bench* bench, const std::string& suffix = "") {
  double data = static_cast<double>(bench->data().bytes(bench->entries()));
  bench->Figure(static_cast<double>(BytesIn(bench->directory())) / data, "x data", suffix);
}

void FileSize(Bench* bench) {
  LoadShuffled(bench);
  bench->engine()->Settle();
  bench->engine()->Close();
  ReportSize(bench);
  bench->Open(Sync::kLazy);
}

void FileSizeStalled(Bench* bench) {
  Keys keys(bench->data());
  std::string_view value;
  bench->engine()->BeginRead(0);
  bool found = bench->engine()->Get(0, keys.Of(0), &value);  // some engines take the snapshot now
  std::string before(value);
  Overwrite(bench, bench->Operations(100000), 100, 23);
  ReportSize(bench);
  if (!found || !bench->engine()->Get(0, keys.Of(0), &value) || value != before) {
    Die("stalled reader", "saw its snapshot change");
  }
  bench->engine()->EndRead(0);
}

// Others may write to the disk, too, so the median of a few parts.
void DiskBytes(Bench* bench) {
  constexpr uint64_t kParts = 11;
  uint64_t puts = bench->Operations(1000) / kParts + 1;
  BlockDevice device(bench->directory());
  std::vector<double> bytes;
  for (uint64_t i = 0; i < kParts; ++i) {
    uint64_t before = device.Count().written;
    Overwrite(bench, puts, 1, 29 + i);
    bytes.push_back(static_cast<double>(device.Count().written - before) / static_cast<double>(puts));
  }
  bench->Figure(Median(bytes), "bytes/put");
}

void OpenWarm(Bench* bench) {
  WarmCache(bench->directory());
  std::vector<double> milliseconds;
  for (uint64_t i = 0; i < bench->Operations(21); ++i) {
    milliseconds.push_back(1e3 * Bench::Seconds([&] {
                             bench->Open(Sync::kTwoPhase);
                             bench->engine()->Close();
                           }));
  }
  bench->Figure(Median(milliseconds), "ms");
}

void OpenCold(Bench* bench) {
  Keys keys(bench->data());
  Random random(31);
  std::vector<double> milliseconds;
  for (uint64_t i = 0; i < bench->Operations(7); ++i) {
    DropCache(bench->directory());
    bool found = false;
    milliseconds.push_back(1e3 * Bench::Seconds([&] {
                             std::string_view value;
                             bench->Open(Sync::kTwoPhase);
                             bench->engine()->BeginRead(0);
                             found = bench->engine()->Get(0, keys.Of(random.Below(bench->entries())), &value);
                             bench->engine()->EndRead(0);
                           }));
    bench->engine()->DropReader(0);
    bench->engine()->Close();
    if (!found) {
      Die("open-cold", "a key is missing");
    }
  }
  bench->Figure(Median(milliseconds), "ms");
}

void GetCold(Bench* bench) {
  uint64_t gets = bench->Operations(std::min<uint64_t>(5000, bench->entries() / 10 + 1)), found = 0;
  Keys keys(bench->data());
  Random random(37);
  BlockDevice device(bench->directory());
  DropCache(bench->directory());
  bench->Open(Sync::kLazy);
  uint64_t before = device.Count().read;
  double seconds = Bench::Seconds([&] {
    std::string_view value;
    bench->engine()->BeginRead(0);
    for (uint64_t i = 0; i < gets; ++i) {
      found += bench->engine()->Get(0, keys.Of(random.Below(bench->entries())), &value) ? 1 : 0;
    }
    bench->engine()->EndRead(0);
  });
  double read = static_cast<double>(device.Count().read - before);
  bench->engine()->DropReader(0);
  bench->engine()->Close();
  if (found != gets) {
    Die("get-cold", "keys are missing");
  }
  bench->Figure(1e9 * seconds / static_cast<double>(gets), "ns/get");
  bench->Figure(read / 1024 / static_cast<double>(gets), "KiB/get", "-read");
}

// For the driver: leaves a loaded database behind.
void Load(Bench* bench) { FileSize(bench); }

}  // namespace

Works FileWorks() {
  return {
      {"file-size", "files", Start::kEmpty, Sync::kLazy, FileSize},
      {"file-size-stalled", "files", Start::kLoaded, Sync::kLazy, FileSizeStalled},
      {"file-size-stalled-durable", "files", Start::kLoaded, Sync::kSingleSync, FileSizeStalled},
      {"disk-bytes-1", "files", Start::kLoaded, Sync::kTwoPhase, DiskBytes},
      {"disk-bytes-1-single", "files", Start::kLoaded, Sync::kSingleSync, DiskBytes},
      {"open-warm", "cold", Start::kCold, Sync::kTwoPhase, OpenWarm},
      {"open-cold", "cold", Start::kCold, Sync::kTwoPhase, OpenCold},
      {"get-cold", "cold", Start::kCold, Sync::kLazy, GetCold},
      {"load", "prepare", Start::kEmpty, Sync::kLazy, Load},
  };
}

}  // namespace bench
