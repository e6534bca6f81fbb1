// Open files of a SimSystem and what they lead to.
#ifndef JOHNNY_TEST_SUPPORT_SIM_FILE_H_
#define JOHNNY_TEST_SUPPORT_SIM_FILE_H_

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "os/os.h"
#include "support/sim_image.h"
#include "support/sim_system.h"

namespace johnny::sim {

inline uint64_t Blocks(uint64_t bytes) { return (bytes + FileImage::kBlock - 1) / FileImage::kBlock; }

// One file's contents now. Bytes behind `size` are zeros. Guarded by the system's mutex, except for what is mapped.
struct SimInode {
  explicit SimInode(int inode_id);
  ~SimInode();
  SimInode(const SimInode&) = delete;
  SimInode& operator=(const SimInode&) = delete;

  // Every change of the size goes through here, before what lies behind the old one is touched: a mapping of the file must not be
  // read past its end (of the last block), which AddressSanitizer holds.
  void SetSize(uint64_t bytes);

  struct HeldLock {
    const SimFile* owner;
    const SimLife* life;  // of the owner's process
    uint64_t offset;
    os::File::LockKind kind;
  };

  const int id;
  Byte* base = nullptr;
  uint64_t size = 0;
  uint64_t used = 0;            // behind it there have never been other bytes than zeros
  std::vector<bool> allocated;  // blocks with room on the disk
  std::vector<HeldLock> locks;
  bool is_lock_file = false;
  uint32_t owner = 1000;
  uint32_t permissions = 0644;

  os::FileIdentity Identity() const {
    return {.device = 1, .inode = static_cast<uint64_t>(id) + 1, .owner = owner, .permissions = permissions};
  }
};

class SimFile : public os::File {
 public:
  // With the system's mutex held.
  SimFile(SimProcess* process, std::shared_ptr<SimInode> inode, std::string path, bool writable);
  ~SimFile() override;

  absl::Status ReadAt(uint64_t offset, void* to, size_t size) override;
  absl::Status WriteAt(uint64_t offset, absl::Span<const Slice> pieces) override;
  absl::Status SyncData() override;
  void StartWriting(uint64_t offset, uint64_t size) override;
  absl::StatusOr<uint64_t> Size() override;
  absl::Status Resize(uint64_t size) override;
  bool FillHoles(uint64_t size) override { return Preallocate(0, size).ok(); }
  absl::Status Preallocate(uint64_t offset, uint64_t size) override;
  absl::StatusOr<std::unique_ptr<os::Mapping>> Map(uint64_t reserve) override;
  absl::StatusOr<std::unique_ptr<os::SharedMapping>> MapShared(uint64_t size) override;
  absl::StatusOr<os::FileIdentity> Identity() override;
  absl::Status SetPermissions(uint32_t permissions) override;
  bool IsOnNetwork() override { return system_->on_network_; }
  absl::Status Lock(uint64_t offset, LockKind kind, uint32_t timeout_ms) override;
  void Unlock(uint64_t offset) override;
  absl::StatusOr<bool> IsLockedByOthers(uint64_t offset) override;

 private:
  using Guard = std::unique_lock<std::mutex>;

  absl::Status Enter(Call call, bool writes);
  bool IsDead() const { return life_->dead; }
  // Whether another file's lock on the byte excludes one of this kind.
  bool IsExcluded(uint64_t offset, LockKind kind) const;
  void Release(uint64_t offset);

  SimSystem* const system_;
  SimProcess* const process_;
  const std::shared_ptr<SimLife> life_;
  const std::shared_ptr<SimInode> inode_;
  const std::string path_;
  const bool writable_;
};

}  // namespace johnny::sim

#endif  // JOHNNY_TEST_SUPPORT_SIM_FILE_H_
