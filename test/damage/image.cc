#include "damage/image.h"

#include <algorithm>
#include <cstring>

namespace johnny::test {
namespace {

constexpr size_t kRefHead = 10;  // page number and checksum of a ChildRef

Image Build() {
  Image image;
  TempDir dir;
  std::string path = dir.File("db");
  johnny_options options = TestOptions(kPageSize);
  options.durability = JOHNNY_TWO_PHASE;
  State state{{"", {}}, {"empty", {}}, {"named", {}}};
  {
    Env env(path, options);
    for (int commit = 0; commit < 5; ++commit) {
      Txn txn(env);
      auto put = [&](const std::string& name, const std::string& key, const std::string& value) {
        EXPECT_OK(txn.Put(key, value, 0, name.empty() ? nullptr : txn.Table(name)));
        state[name][key] = value;
      };
      txn.Table("empty");
      for (uint64_t i = static_cast<uint64_t>(commit); i < 500; i += commit == 0 ? 1 : 37) {
        put("", NumberedKey(i, 5, "shared/prefix/"), Pattern(50, static_cast<uint32_t>(i) + static_cast<uint32_t>(commit)));
      }
      for (uint64_t i = static_cast<uint64_t>(commit); i < 60; i += commit == 0 ? 1 : 17) {
        put("named", NumberedKey(i, 3), Pattern(100, static_cast<uint32_t>(commit)));
      }
      put("", "large", Pattern(9000, static_cast<uint32_t>(commit)));
      put("", "larger", Pattern(270000, 1));
      put("named", "large", Pattern(5000, 2));
      if (commit == 4) {
        EXPECT_OK(txn.Delete("shared/prefix/00100"));
        state[""].erase("shared/prefix/00100");
      }
      EXPECT_OK(txn.Commit());
      image.older.push_back(ReadFile(path));
      image.previous = std::exchange(image.newest, state);
    }
    EXPECT_OK(env.Close());
  }
  image.bytes = ReadFile(path);
  image.bytes.resize(image.bytes.size() / kPageSize * kPageSize);
  options.flags = JOHNNY_READ_ONLY;
  Env env(path, options);
  Txn txn(env, JOHNNY_READ);
  auto collect = [](void* context, const johnny_page_run* run) {
    for (uint64_t i = 0; i < run->pages; ++i) {
      static_cast<std::vector<UsedPage>*>(context)->push_back(
          {run->first_page + i, run->kind, run->level, run->table != nullptr ? run->table : "(none)"});
    }
    return 0;
  };
  EXPECT_OK(Result(johnny_page_list(txn.get(), collect, &image.pages)));
  return image;
}

// Bytes of a reference to `page` with checksum `checksum`.
std::string RefHead(PageNumber page, uint64_t checksum) {
  Byte bytes[format::kChildRefSize];
  format::StoreChildRef(bytes, {page, static_cast<uint32_t>(checksum), 0});
  return std::string(reinterpret_cast<const char*>(bytes), kRefHead);
}

void RepairMasterAt(std::string* bytes, uint64_t offset) {
  Byte* at = reinterpret_cast<Byte*>(bytes->data()) + offset;
  if (Load64(at) == format::kMagic) {
    Store64(at + format::kMasterPageSize - 8, Checksum(at, format::kMasterPageSize - 8, format::kMagic));
  }
}

void RepairUpwards(std::string* bytes, PageNumber page, std::set<PageNumber>* done) {
  if (!done->insert(page).second) {
    return;
  }
  uint64_t before = Load64(At(bytes, page));
  RepairChecksum(bytes, page);
  uint64_t after = Load64(At(bytes, page));
  std::string ref = RefHead(page, before);
  std::set<PageNumber> parents;
  for (size_t at = bytes->find(ref); at != std::string::npos; at = bytes->find(ref, at + 1)) {
    bytes->replace(at, kRefHead, RefHead(page, after));
    if (at < format::kMasterRegion) {
      RepairMasterAt(bytes, at < format::kMasterSlotOffset[1] ? 0 : format::kMasterSlotOffset[1]);
    } else {
      parents.insert(at / kPageSize);
    }
  }
  for (PageNumber parent : parents) {
    RepairUpwards(bytes, parent, done);
  }
}

}  // namespace

const Image& SampleImage() {
  static const Image* image = new Image(Build());
  return *image;
}

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

void RepairChecksum(std::string* bytes, PageNumber page) {
  uint64_t database_id = MasterOf(SampleImage().bytes, -1).database_id;
  Store64(At(bytes, page), format::PageChecksum(At(bytes, page), kPageSize, database_id, page));
}

void RepairUpwards(std::string* bytes, PageNumber page) {
  std::set<PageNumber> done;
  RepairUpwards(bytes, page, &done);
}

int Redirect(std::string* bytes, PageNumber parent, PageNumber from, PageNumber to) {
  std::string ref = RefHead(from, Load64(At(bytes, from)));
  std::string other = RefHead(to, to < bytes->size() / kPageSize ? Load64(At(bytes, to)) : 0x12345678);
  int count = 0;
  size_t end = (parent + 1) * kPageSize;
  for (size_t at = bytes->find(ref, parent * kPageSize); at < end; at = bytes->find(ref, at + 1)) {
    bytes->replace(at, kRefHead, other);
    ++count;
  }
  return count;
}

}  // namespace johnny::test
