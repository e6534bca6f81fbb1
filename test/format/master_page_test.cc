#include "format/master_page.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "base/status.h"

namespace johnny::format {
namespace {

MasterPage Sound() {
  MasterPage master;
  master.page_size = 8192;
  master.compatible_features = 0x11;
  master.read_only_compatible_features = 0x22;
  master.database_id = 0x0102030405060708;
  master.txn = 1000;
  master.id_ceiling = 2024;
  master.page_count = 5000;
  master.flags = kMasterDurable;
  master.durable_txn = 999;
  master.catalog = {{100, 1, 2}, 1, 3, 4, 5, 6};
  master.main = {{200, 7, 8}, 2, 9, 10, 11, 12};
  master.table_count = 2;
  master.free_log = {300, 13, 0};
  return master;
}

std::vector<Byte> Encoded(const MasterPage& master) {
  std::vector<Byte> bytes(kMasterPageSize, 0xee);
  EncodeMasterPage(master, bytes.data());
  return bytes;
}
Code Decoded(const std::vector<Byte>& bytes) { return CodeOf(DecodeMasterPage(bytes.data(), 0).status()); }
// Makes the checksum right again after bytes were changed.
void Resign(std::vector<Byte>* bytes) { Store64(bytes->data() + 4088, Checksum(bytes->data(), 4088, kMagic)); }

TEST(MasterPageTest, SurvivesEncoding) {
  MasterPage master = Sound();
  auto decoded = DecodeMasterPage(Encoded(master).data(), 1);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  // The encoding holds every field, so equal encodings are equal masters.
  EXPECT_EQ(Encoded(*decoded), Encoded(master));
  EXPECT_EQ(decoded->txn, 1000u);
  EXPECT_EQ(decoded->main.leaf_pages, 10u);
  EXPECT_TRUE(decoded->durable());
  EXPECT_FALSE(decoded->clean());
}

TEST(MasterPageTest, FieldsLieWhereTheFormatSays) {
  std::vector<Byte> bytes = Encoded(Sound());
  const Byte* at = bytes.data();
  EXPECT_EQ(MakeSlice(at, 8), "JohnnyDB");
  EXPECT_EQ(Load32(at + 8), 1u);
  EXPECT_EQ(Load32(at + 12), 8192u);
  EXPECT_EQ(Load64(at + 16), 0x11u);
  EXPECT_EQ(Load64(at + 24), 0x22u);
  EXPECT_EQ(Load64(at + 32), 0u);
  EXPECT_EQ(Load64(at + 40), 0x0102030405060708u);
  EXPECT_EQ(Load64(at + 48), 1000u);
  EXPECT_EQ(Load64(at + 56), 2024u);
  EXPECT_EQ(Load64(at + 64), 5000u);
  EXPECT_EQ(Load32(at + 72), 1u);
  EXPECT_EQ(Load32(at + 76), 0u);
  EXPECT_EQ(Load64(at + 80), 999u);
  EXPECT_EQ(LoadTableRecord(at + 88).root.page, 100u);
  EXPECT_EQ(LoadTableRecord(at + 152).root.page, 200u);
  EXPECT_EQ(Load64(at + 216), 2u);
  EXPECT_EQ(LoadChildRef(at + 224).page, 300u);
  EXPECT_EQ(MakeSlice(at + 240, 3848), std::string(3848, '\0'));
  EXPECT_EQ(Load64(at + 4088), Checksum(at, 4088, kMagic));
}

TEST(MasterPageTest, EveryDamagedByteIsFound) {
  std::vector<Byte> good = Encoded(Sound());
  for (size_t i = 0; i < good.size(); ++i) {
    std::vector<Byte> bad = good;
    bad[i] ^= 0x10;
    EXPECT_EQ(Decoded(bad), i < 8 ? Code::kNotADatabase : Code::kCorrupt) << i;
  }
  EXPECT_EQ(Decoded(std::vector<Byte>(kMasterPageSize)), Code::kNotADatabase);
}

// A torn write: some sectors of the new page, the others of the old one.
TEST(MasterPageTest, TornWritesAreFound) {
  MasterPage next = Sound();
  next.txn++;
  std::vector<Byte> before = Encoded(Sound()), after = Encoded(next);
  for (size_t cut = 1; cut < kMasterPageSize; ++cut) {
    std::vector<Byte> torn = before;
    std::copy_n(after.begin(), cut, torn.begin());
    EXPECT_EQ(Decoded(torn), torn == before || torn == after ? Code::kOk : Code::kCorrupt) << cut;
  }
}

TEST(MasterPageTest, OtherFormatsAreRefusedByName) {
  MasterPage master = Sound();
  master.format_version = kFormatVersion + 1;
  master.page_size = 3;  // nothing else of it is looked at
  EXPECT_EQ(Decoded(Encoded(master)), Code::kVersionMismatch);
  master = Sound();
  master.incompatible_features = uint64_t{1} << 63;
  auto status = DecodeMasterPage(Encoded(master).data(), 0).status();
  EXPECT_EQ(CodeOf(status), Code::kVersionMismatch);
  EXPECT_NE(status.message().find("8000000000000000"), absl::string_view::npos) << status;
  master = Sound();
  master.compatible_features = UINT64_MAX;
  EXPECT_EQ(Decoded(Encoded(master)), Code::kOk) << "may be ignored";
}

TEST(MasterPageTest, ImpossibleContentsAreRefused) {
  const std::pair<const char*, std::function<void(MasterPage*)>> changes[] = {
      {"page size", [](MasterPage* m) { m->page_size = 8191; }},
      {"page size", [](MasterPage* m) { m->page_size = 65536; }},
      {"page size", [](MasterPage* m) { m->page_size = 0; }},
      {"page count", [](MasterPage* m) { m->page_count = FirstPage(8192) - 1; }},
      {"page count", [](MasterPage* m) { m->page_count = kMaxPageNumber + 1; }},
      {"id ceiling", [](MasterPage* m) { m->id_ceiling = m->txn - 1; }},
      {"durable transaction", [](MasterPage* m) { m->durable_txn = m->txn + 1; }},
      {"catalog root", [](MasterPage* m) { m->catalog.root.page = m->page_count; }},
      {"catalog level", [](MasterPage* m) { m->catalog.level = kMaxLevel + 1; }},
      {"main root", [](MasterPage* m) { m->main.root.page = m->page_count; }},
      {"main root is a frame", [](MasterPage* m) { m->main.root.page = kMaxPageNumber + 5; }},
      {"main level", [](MasterPage* m) { m->main.level = 255; }},
      {"free log", [](MasterPage* m) { m->free_log.page = m->page_count; }},
      {"main root among the master pages", [](MasterPage* m) { m->main.root.page = 1; }},
      {"transaction 0", [](MasterPage* m) { m->txn = m->durable_txn = 0; }},
      {"ids that would wrap", [](MasterPage* m) { m->id_ceiling = UINT64_MAX; }},
  };
  for (const auto& [what, change] : changes) {
    MasterPage master = Sound();
    change(&master);
    EXPECT_EQ(Decoded(Encoded(master)), Code::kCorrupt) << what;
  }
}

TEST(MasterPageTest, ExtremesThatArePossibleAreAccepted) {
  MasterPage master = Sound();
  master.page_count = kMaxPageNumber;
  master.txn = master.durable_txn = master.id_ceiling = uint64_t{1} << 62;
  master.main.level = kMaxLevel;
  master.main.root.page = kMaxPageNumber - 1;
  EXPECT_EQ(Decoded(Encoded(master)), Code::kOk);
  MasterPage empty;
  empty.page_size = 32768;
  empty.page_count = FirstPage(32768);
  empty.txn = empty.id_ceiling = 1;
  EXPECT_EQ(Decoded(Encoded(empty)), Code::kOk);
}

TEST(MasterPageTest, RoomForLaterUseMayHoldAnything) {
  // A later version with compatible features may use it.
  std::vector<Byte> bytes = Encoded(Sound());
  bytes[1000] = 1;
  EXPECT_EQ(Decoded(bytes), Code::kCorrupt);
  Resign(&bytes);
  EXPECT_EQ(Decoded(bytes), Code::kOk);
}

TEST(SyncMarkTest, SurvivesEncodingAndNoDamage) {
  SyncMark mark;
  mark.boot_id = 0x1234567890abcdef;
  mark.durable_txn = 77;
  std::vector<Byte> bytes(kSyncMarkSize, 0xee);
  EncodeSyncMark(mark, bytes.data());
  EXPECT_EQ(MakeSlice(bytes.data(), 8), "SyncMark");
  SyncMark decoded;
  ASSERT_TRUE(DecodeSyncMark(bytes.data(), &decoded));
  EXPECT_EQ(decoded.boot_id, mark.boot_id);
  EXPECT_EQ(decoded.durable_txn, 77u);
  int found = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] ^= 0x80;
    SyncMark damaged;
    if (DecodeSyncMark(bytes.data(), &damaged)) {
      EXPECT_EQ(damaged.boot_id, mark.boot_id);
      EXPECT_EQ(damaged.durable_txn, mark.durable_txn);
    } else {
      ++found;
    }
    bytes[i] ^= 0x80;
  }
  EXPECT_GE(found, 32) << "the magic, the fields and the checksum";
  std::vector<Byte> zeros(kSyncMarkSize);
  EXPECT_FALSE(DecodeSyncMark(zeros.data(), &decoded)) << "no mark";
}

}  // namespace
}  // namespace johnny::format
