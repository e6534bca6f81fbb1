// Which disks a power cut may leave behind, worked out from the log of a SimSystem.
//
// Model
//   1. What a file held at its last successful sync is on the disk. Each later write, cut into pieces of 4 KiB, may be there or
//   not,
//      independently of the others, or in part: sector by sector, or with a sector of garbage.
//   2. A file's size is metadata: it may be there without the contents (zeros), and later contents without it (cut off).
//   3. Names are on the disk after a sync of their directory; before it each change may be there or not.
//   4. What a failed sync dropped may be there or not for ever, whatever later syncs report.
#ifndef JOHNNY_TEST_SUPPORT_CRASH_DISK_H_
#define JOHNNY_TEST_SUPPORT_CRASH_DISK_H_

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "support/sim_image.h"
#include "support/sim_system.h"

namespace johnny::sim {

using Random = std::mt19937_64;
inline uint64_t Below(Random* random, uint64_t bound) { return (*random)() % bound; }

// How much of one write reached the disk.
struct Tear {
  enum class Kind { kPrefix, kSuffix, kInterleaved, kGarbage };
  Kind kind = Kind::kPrefix;
  size_t at = 0;  // kPrefix: bytes that did; kSuffix: first byte that did; kInterleaved: 0 or 1; kGarbage: offset of the sector
};

// One of the possible disks.
struct Variant {
  enum class Sizes { kNatural, kDurable, kFull };  // as the kept writes have it; as last synced; as last set
  std::vector<bool> keep;                          // for each pending change
  int torn = -1;                                   // index of the change that is torn; it counts as kept
  Tear tear;
  Sizes sizes = Sizes::kNatural;
};

struct VariantOptions {
  size_t all_subsets_up_to = 8;  // pending changes; beyond it drops, survivors, prefixes and random subsets
  bool subsets = true;           // else only sizes and tears
  bool every_byte = false;       // at which a master page may be torn, else some
};

class CrashDisk {
 public:
  explicit CrashDisk(DiskImage start) : durable_(std::move(start)) {}

  // The next event of the log. True when it made changes durable, so that earlier disks are no longer possible.
  bool Apply(const Event& event, size_t index);

  // Possible disks: the one with all changes, the one with none, and then the others in random order.
  std::vector<Variant> Variants(const VariantOptions& options, Random* random) const;
  // All subsets of the pending changes but those that an earlier call has given; nothing became durable since. None, if more than
  // `limit` are pending.
  std::vector<Variant> NewSubsets(size_t limit);
  // Tears at every byte of the master pages written since the last call, with all the others there, and with none.
  std::vector<Variant> NewMasterTears();
  size_t optional_changes() const { return Optional().size(); }  // that may be dropped
  DiskImage Build(const Variant& variant) const;
  // What was dropped or torn, in words. Changes that came after the variant was made count as dropped.
  std::string Describe(const Variant& variant) const;

 private:
  struct Change {
    enum class Kind { kWrite, kSetSize, kExtend, kBind, kUnbind };
    Kind kind;
    int file = -1;
    uint64_t offset = 0;  // kWrite
    std::string data;
    uint64_t size = 0;  // kSetSize, kExtend
    std::string name;   // kBind, kUnbind
    size_t event = 0;
    bool must = false;     // synced, but kept here because it follows a dropped one
    bool dropped = false;  // by a failed sync

    bool about_name() const { return kind == Kind::kBind || kind == Kind::kUnbind; }
    bool is_master() const;
  };

  void AddWrite(const Event& event, size_t index);
  bool SyncFile(int file);
  bool SyncDirectory(const std::string& directory);
  static void ApplyChange(const Change& change, DiskImage* image);
  static void ApplyTorn(const Change& change, const Tear& tear, DiskImage* image);
  std::vector<size_t> Optional() const;
  Variant Keep(const std::vector<size_t>& optional, const std::function<bool(size_t)>& kept) const;
  Variant RandomSubset(const std::vector<size_t>& optional, Random* random) const;
  void AddSubsets(const VariantOptions& options, Random* random, std::vector<Variant>* variants) const;
  void AddSizes(Random* random, std::vector<Variant>* variants) const;
  void AddTears(const VariantOptions& options, Random* random, std::vector<Variant>* variants) const;
  Variant Everything(bool keep) const;
  std::string DescribeChange(const Change& change) const;

  DiskImage durable_;
  std::vector<Change> pending_;
  size_t in_subsets_ = 0;  // of pending_, at the last call of NewSubsets()
  size_t in_tears_ = 0;    // the same of NewMasterTears()
};

}  // namespace johnny::sim

#endif  // JOHNNY_TEST_SUPPORT_CRASH_DISK_H_
