// libFuzzer's mutations for the target `file`: fields and bytes within pages, references, whole pages and master pages of a file
// that was valid, and then mostly the checksums right again, bottom-up as far as there is a way up. Blind mutation of bytes
// reaches nothing behind the first checksum.
#include <algorithm>
#include <cstring>
#include <iterator>
#include <random>

#include "node/leaf.h"
#include "node/vet.h"
#include "packed_file.h"
#include "support/forge.h"

extern "C" {
size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t* first, size_t first_size, const uint8_t* second, size_t second_size, uint8_t* out,
                                 size_t max_out, unsigned seed);
}

namespace johnny::fuzz {
namespace {

using format::PageType;
using test::Forger;

constexpr size_t kMostPages = 100;  // a file grows no further by mutation

class Mutator {
 public:
  Mutator(std::string* bytes, unsigned seed)
      : bytes_(*bytes), random_(seed), master_(KnownMaster(*bytes)), forger_(bytes, master_.page_size, master_.database_id) {}

  // False if the file is none of those that have anything to mutate here.
  static bool Suits(const std::string& bytes) {
    return bytes.size() >= format::kMasterRegion && KnownMaster(bytes).txn != 0 &&
           bytes.size() / KnownMaster(bytes).page_size > format::FirstPage(KnownMaster(bytes).page_size);
  }

  void Mutate() {
    for (uint32_t i = 0, count = 1 + Below(3); i < count; ++i) {
      MutateOnce();
    }
  }

  // Puts a page of another file in the place of one of ours.
  void TakePageOf(const std::string& other) {
    uint32_t size = master_.page_size;
    size_t pages = other.size() / size;
    if (pages <= First()) {
      return;
    }
    PageNumber to = AnyPage();
    size_t from = Below(2) == 0 && to < pages ? to : First() + Below(static_cast<uint32_t>(pages - First()));
    uint64_t checksum = Load64(forger_.At(to));  // by which its references are found
    bytes_.replace(to * size, size, other, from * size, size);
    Store64(forger_.At(to), checksum);
    if (Below(4) != 0) {
      Header(to)->set_page(to);
    }
    Repair(to);
  }

 private:
  // That of a file whose master pages may be damaged in anything but their checksums.
  static format::MasterPage KnownMaster(const std::string& bytes) {
    format::MasterPage master = bytes.size() < format::kMasterRegion ? format::MasterPage() : test::MasterOf(bytes, -1);
    if (!format::IsValidPageSize(master.page_size)) {
      master = {};
      master.page_size = format::kMinPageSize;
    }
    return master;
  }

  uint32_t Below(uint32_t end) { return static_cast<uint32_t>(random_() % end); }
  PageNumber First() const { return format::FirstPage(master_.page_size); }
  PageNumber AnyPage() { return First() + Below(static_cast<uint32_t>(forger_.page_count() - First())); }
  format::PageHeader* Header(PageNumber page) const { return node::Header(forger_.At(page)); }
  bool IsNode(PageNumber page) const {
    uint8_t type = Header(page)->type;
    return Header(page)->page() == page &&
           (type == static_cast<uint8_t>(PageType::kBranch) || type == static_cast<uint8_t>(PageType::kLeaf));
  }
  bool IsSoundLeaf(PageNumber page) const {
    return IsNode(page) && node::IsLeaf(forger_.At(page)) && node::VetNode(forger_.At(page), master_.page_size) == nullptr;
  }
  // One that has a type, in most cases: large values are not much to look at.
  PageNumber AnyTypedPage() {
    PageNumber page = AnyPage();
    for (int i = 0; i < 8 && (Header(page)->page() != page || Header(page)->type == 0); ++i) {
      page = AnyPage();
    }
    return page;
  }

  void MutateOnce() {
    PageNumber page = AnyTypedPage();
    switch (Below(20)) {
      case 0:
      case 1:
        return ChangeHeader(page);
      case 2:
      case 3:
      case 4:
        return ChangeArrays(page);
      case 5:
      case 6:
        return ChangeEntries(page);
      case 7:
      case 8:
        return ChangeBytes(page);
      case 9:
      case 10:
        return ChangeLeaf(page);
      case 11:
      case 12:
        return ChangeExtentRef(page);
      case 13:
        return CopyPage();
      case 14:
        return Redirect(page);
      case 15:
      case 16:
        return ChangeMaster();
      case 17:
        return ChangeMasters();
      case 18:
        return ChangeBytes(AnyPage());
      default:
        return ChangeSize();
    }
  }

  // ---- Values ----

  uint64_t Changed(uint64_t old, uint64_t mask) {
    switch (Below(12)) {
      case 0:
        return 0;
      case 1:
        return mask;
      case 2:
        return (old + 1) & mask;
      case 3:
        return (old - 1) & mask;
      case 4:
        return (old ^ (uint64_t{1} << Below(64))) & mask;
      case 5:
        return Below(64) & mask;
      case 6:
        return Below(static_cast<uint32_t>(forger_.page_count()) + 2) & mask;
      case 7:
        return (master_.page_size - 8 + Below(16)) & mask;
      case 8:
        return (old + Below(600) - 300) & mask;
      case 9:
        return (uint64_t{1} << Below(64)) & mask;
      case 10:
        return master_.txn + Below(5) - 2;
      default:
        return random_() & mask;
    }
  }

  // Changes the number of `size` bytes that lies at `at`.
  void ChangeNumber(Byte* at, size_t size) {
    uint64_t old = 0;
    std::memcpy(&old, at, size);
    uint64_t value = Changed(old, size == 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * size)) - 1);
    std::memcpy(at, &value, size);
  }

  void ChangeIn(PageNumber page, size_t begin, size_t end) {
    static constexpr size_t kSizes[] = {1, 2, 2, 4, 6, 8};
    size_t size = kSizes[Below(std::size(kSizes))];
    begin = std::min<size_t>(begin, master_.page_size - 8);
    end = std::clamp<size_t>(end, begin + 1, master_.page_size - 7);
    ChangeNumber(forger_.At(page) + begin + Below(static_cast<uint32_t>(end - begin)), size);
    Repair(page);
  }

  // ---- Pages ----

  void ChangeHeader(PageNumber page) {
    static constexpr struct {
      uint8_t at, size;
    } kFields[] = {{8, 8}, {16, 6}, {22, 1}, {23, 1}, {24, 2}, {26, 2}, {28, 2}, {30, 2}};
    const auto& field = kFields[Below(std::size(kFields))];
    ChangeNumber(forger_.At(page) + field.at, field.size);
    Repair(page);
  }
  void ChangeArrays(PageNumber page) { ChangeIn(page, format::kPageHeaderSize, Header(page)->lower); }
  void ChangeEntries(PageNumber page) { ChangeIn(page, Header(page)->upper, master_.page_size); }

  void ChangeBytes(PageNumber page) {
    uint32_t size = 1 + Below(64);
    uint32_t offset = 8 + Below(master_.page_size - 8 - size);
    uint8_t* at = reinterpret_cast<uint8_t*>(forger_.At(page)) + offset;
    LLVMFuzzerMutate(at, size, size);
    Repair(page);
  }

  // What leaves a sound leaf, only that its parents know nothing of it.
  void ChangeLeaf(PageNumber page) {
    if (!IsSoundLeaf(page) || node::CheckOrder(forger_.At(page)) != nullptr || Header(page)->count == 0) {
      return ChangeArrays(page);
    }
    Byte* leaf = forger_.At(page);
    uint32_t index = Below(Header(page)->count);
    node::LeafEntry entry = node::GetLeafEntry(leaf, index);
    std::string key(entry.key);
    std::string value(entry.value.bytes);
    if (Below(3) == 0) {
      node::RemoveFromLeaf(leaf, index);
    }
    if (Below(3) != 0) {
      key.insert(Below(static_cast<uint32_t>(key.size()) + 1), 1, static_cast<char>(Below(256)));
      if (!entry.value.is_extent) {
        value.resize(Below(900));
      }
      node::Position at = node::SearchLeaf(leaf, key);
      node::LeafEntry added{key, {value, entry.value.is_extent}};
      if (!at.found && key.size() <= format::MaxKeySize(master_.page_size)) {
        node::InsertIntoLeaf(leaf, master_.page_size, at.index, added);
      }
    }
    Repair(page);
  }

  void ChangeExtentRef(PageNumber page) {
    if (!IsSoundLeaf(page)) {
      return ChangeHeader(page);
    }
    for (uint32_t i = Below(Header(page)->count + 1u); i < Header(page)->count; ++i) {
      node::LeafEntry entry = node::GetLeafEntry(forger_.At(page), i);
      if (entry.value.is_extent) {
        Byte* ref = reinterpret_cast<Byte*>(const_cast<char*>(entry.value.bytes.data()));
        ChangeNumber(ref + 8 * size_t{Below(4)}, 8);
        if (Below(2) == 0) {
          forger_.RepairExtents(page);
        }
        break;
      }
    }
    Repair(page);
  }

  void CopyPage() {
    PageNumber from = AnyTypedPage(), to = AnyTypedPage();
    uint64_t checksum = Load64(forger_.At(to));
    std::memmove(forger_.At(to), forger_.At(from), master_.page_size);
    Store64(forger_.At(to), checksum);
    if (Below(2) == 0) {
      Header(to)->set_page(to);
    }
    Repair(to);
  }

  void Redirect(PageNumber parent) {
    PageNumber to = Below(8) == 0 ? Below(200) : AnyTypedPage();
    for (int i = 0; i < 20; ++i) {
      if (forger_.Redirect(parent, AnyPage(), to) > 0) {
        return Repair(parent);
      }
    }
  }

  // ---- Master pages ----

  Byte* MasterAt(uint32_t slot) const { return reinterpret_cast<Byte*>(bytes_.data()) + format::kMasterSlotOffset[slot]; }

  void ChangeMaster() {
    uint32_t slot = Below(2);
    static constexpr size_t kSizes[] = {1, 2, 4, 6, 8};
    size_t size = kSizes[Below(std::size(kSizes))];
    uint32_t offset = Below(4) == 0 ? 8 + Below(232) : 48 + 8 * Below(24);
    ChangeNumber(MasterAt(slot) + offset, size);
    if (Below(16) != 0) {
      forger_.RepairMaster(static_cast<int>(slot));
    }
  }

  void ChangeMasters() {
    uint32_t slot = Below(2);
    switch (Below(6)) {
      case 0:
        std::swap_ranges(MasterAt(0), MasterAt(0) + format::kMasterPageSize, MasterAt(1));
        return;
      case 1:
        std::memcpy(MasterAt(1 - slot), MasterAt(slot), format::kMasterPageSize);
        return;
      case 2:
        std::memset(MasterAt(slot), 0, format::kMasterPageSize);
        return;
      case 3: {
        format::SyncMark mark;
        mark.boot_id = 1;  // of the simulated system
        mark.durable_txn = master_.txn - Below(3);
        mark.durable_slot = Below(3);
        format::EncodeSyncMark(mark, MasterAt(0) + format::kSyncMarkOffset);
        return;
      }
      default: {
        format::MasterPage master = test::MasterOf(bytes_, static_cast<int>(slot));
        if (master.txn != 0) {
          master.flags = Below(4);
          master.durable_txn = master.txn - Below(3);
          format::EncodeMasterPage(master, MasterAt(slot));
        }
      }
    }
  }

  void ChangeSize() {
    size_t size = bytes_.size();
    if (Below(2) == 0) {
      size -= Below(4) == 0 ? Below(static_cast<uint32_t>(size)) : (1 + Below(3)) * master_.page_size;
    } else {
      size += (1 + Below(3)) * master_.page_size;
    }
    size = std::clamp<size_t>(size, format::kMasterRegion + master_.page_size, kMostPages * master_.page_size);
    bytes_.resize(size);
  }

  // ---- Checksums ----

  void Repair(PageNumber page) {
    uint32_t how = Below(16);
    if (how == 0) {
      return;
    }
    if (how == 1) {
      return forger_.RepairChecksum(page);
    }
    if (forger_.IsReferred(page)) {  // whatever it says of itself by now
      return forger_.RepairUpwards(page);
    }
    for (PageNumber leaf = First(); leaf < forger_.page_count(); ++leaf) {
      if (forger_.RepairExtents(leaf)) {
        forger_.RepairUpwards(leaf);
      }
    }
  }

  std::string& bytes_;
  std::minstd_rand random_;
  format::MasterPage master_;
  Forger forger_;
};

size_t Give(const std::string& packed, uint8_t* out, size_t max_size) {
  if (packed.size() > max_size) {
    return 0;
  }
  std::memcpy(out, packed.data(), packed.size());
  return packed.size();
}

// The same memory every time, for files are large: one for each of the two that are in hand at once.
PackedFile& UnpackInput(const uint8_t* data, size_t size, int which) {
  static PackedFile files[2];
  Unpack({reinterpret_cast<const char*>(data), size}, &files[which]);
  return files[which];
}

}  // namespace
}  // namespace johnny::fuzz

using johnny::fuzz::Mutator;
using johnny::fuzz::PackedFile;

size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  PackedFile& file = johnny::fuzz::UnpackInput(data, size, 0);
  if (!Mutator::Suits(file.bytes) || seed % 256 == 0) {
    return LLVMFuzzerMutate(data, size, max_size);
  }
  Mutator(&file.bytes, seed).Mutate();
  size_t mutated = johnny::fuzz::Give(johnny::fuzz::Pack(file), data, max_size);
  return mutated != 0 ? mutated : LLVMFuzzerMutate(data, size, max_size);
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t* first, size_t first_size, const uint8_t* second, size_t second_size, uint8_t* out,
                                 size_t max_out, unsigned seed) {
  PackedFile& file = johnny::fuzz::UnpackInput(first, first_size, 0);
  if (!Mutator::Suits(file.bytes)) {
    return 0;
  }
  Mutator(&file.bytes, seed).TakePageOf(johnny::fuzz::UnpackInput(second, second_size, 1).bytes);
  return johnny::fuzz::Give(johnny::fuzz::Pack(file), out, max_out);
}
