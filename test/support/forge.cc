#include "support/forge.h"

#include <algorithm>
#include <map>
#include <vector>

#include "node/leaf.h"
#include "node/vet.h"

namespace johnny::test {
namespace {

constexpr size_t kRefHead = 10;  // page number and checksum of a ChildRef

// Bytes of a reference to `page` with checksum `checksum`.
std::string RefHead(PageNumber page, uint64_t checksum) {
  Byte bytes[format::kChildRefSize];
  format::StoreChildRef(bytes, {page, static_cast<uint32_t>(checksum), 0});
  return std::string(reinterpret_cast<const char*>(bytes), kRefHead);
}

}  // namespace

format::MasterPage MasterOf(const std::string& bytes, int slot) {
  format::MasterPage newest;
  for (int i = 0; i < 2; ++i) {
    const Byte* at = reinterpret_cast<const Byte*>(bytes.data()) + format::kMasterSlotOffset[i];
    absl::StatusOr<format::MasterPage> master = format::DecodeMasterPage(at, i);
    if ((slot == i || slot == -1) && master.ok() && master->txn >= newest.txn) {
      newest = *master;
    }
  }
  return newest;
}

void ReplaceMaster(std::string* bytes, const format::MasterPage& master) {
  TxnId newest = MasterOf(*bytes, -1).txn;
  for (int slot = 0; slot < 2; ++slot) {
    if (MasterOf(*bytes, slot).txn == newest) {
      format::EncodeMasterPage(master, reinterpret_cast<Byte*>(bytes->data()) + format::kMasterSlotOffset[slot]);
    }
  }
}

bool Forger::IsReferred(PageNumber page) const { return bytes_->find(RefHead(page, Load64(At(page)))) != std::string::npos; }

void Forger::RepairChecksum(PageNumber page) {
  Store64(At(page), format::PageChecksum(At(page), page_size_, database_id_, page));
}

void Forger::RepairMaster(int slot) {
  Byte* at = reinterpret_cast<Byte*>(bytes_->data()) + format::kMasterSlotOffset[slot];
  if (Load64(at) == format::kMagic) {
    Store64(at + format::kMasterPageSize - 8, Checksum(at, format::kMasterPageSize - 8, format::kMagic));
  }
}

void Forger::RepairUpwards(PageNumber page) {
  std::map<PageNumber, uint32_t>
      visits;  // a page with several changed children is repaired after each; forged ones may go in circles
  std::vector<PageNumber> todo = {page};
  while (!todo.empty()) {
    PageNumber at = todo.back();
    todo.pop_back();
    if (++visits[at] > format::kMaxLevel) {
      continue;
    }
    std::string ref = RefHead(at, Load64(At(at)));
    RepairChecksum(at);
    std::string repaired = RefHead(at, Load64(At(at)));
    for (size_t found = bytes_->find(ref); found != std::string::npos; found = bytes_->find(ref, found + 1)) {
      bytes_->replace(found, kRefHead, repaired);
      if (found < format::kMasterRegion) {
        RepairMaster(found < format::kMasterSlotOffset[1] ? 0 : 1);
      } else {
        todo.push_back(found / page_size_);
      }
    }
  }
}

bool Forger::RepairExtents(PageNumber leaf) {
  Byte* page = At(leaf);
  bool repaired = false;
  if (!node::IsLeaf(page) || node::VetNode(page, page_size_) != nullptr) {
    return false;
  }
  for (uint32_t i = 0; i < node::Header(page)->count; ++i) {
    node::LeafEntry entry = node::GetLeafEntry(page, i);
    if (!entry.value.is_extent) {
      continue;
    }
    format::ExtentRef ref = format::LoadExtentRef(entry.value.bytes.data());
    uint64_t size = bytes_->size();
    if (ref.first >= page_count() || ref.length > size - ref.first * page_size_) {
      continue;
    }
    auto checksum = [&](PageNumber at, uint64_t length) {
      return Checksum(At(at), length, format::PageSeed(database_id_, at) + ref.birth);
    };
    uint64_t before = ref.checksum;
    uint64_t chunks = format::ExtentChunks(ref.length);
    if (chunks <= 1) {
      ref.checksum = checksum(ref.first, ref.length);
    } else {
      PageNumber table = ref.first + format::ExtentPayloadPages(ref.length, page_size_);
      if (table >= page_count() || chunks * 8 > size - table * page_size_) {
        continue;
      }
      for (uint64_t chunk = 0; chunk < chunks; ++chunk) {
        uint64_t offset = chunk * format::kExtentChunk;
        Store64(At(table) + 8 * chunk,
                checksum(ref.first + offset / page_size_, std::min(format::kExtentChunk, ref.length - offset)));
      }
      ref.checksum = checksum(table, chunks * 8);
    }
    format::StoreExtentRef(const_cast<char*>(entry.value.bytes.data()), ref);
    repaired |= ref.checksum != before;
  }
  return repaired;
}

int Forger::Redirect(PageNumber parent, PageNumber from, PageNumber to) {
  std::string ref = RefHead(from, Load64(At(from)));
  std::string other = RefHead(to, to < page_count() ? Load64(At(to)) : 0x12345678);
  int count = 0;
  size_t end = (parent + 1) * page_size_;
  for (size_t at = bytes_->find(ref, parent * page_size_); at < end; at = bytes_->find(ref, at + 1)) {
    bytes_->replace(at, kRefHead, other);
    ++count;
  }
  return count;
}

}  // namespace johnny::test
