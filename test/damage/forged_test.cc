// Files with right checksums and wrong contents, as somebody with bad intentions would make them: checksums are repaired from
// the changed page up to the master pages, so that structural vetting is reached. Never a crash, a hang, or a defect reported.
#include <gmock/gmock.h>

#include <algorithm>
#include <random>

#include "damage/examine.h"

namespace johnny::test {
namespace {

class ForgedTest : public testing::Test {
 protected:
  // One page of each kind, table and level.
  std::vector<UsedPage> Representatives() const {
    std::map<std::tuple<uint32_t, uint32_t, std::string>, UsedPage> chosen;
    for (const UsedPage& page : image_.pages) {
      if (page.kind != JOHNNY_PAGE_EXTENT) {
        chosen.emplace(std::make_tuple(page.kind, page.level, page.table), page);
      }
    }
    std::vector<UsedPage> pages;
    for (const auto& [key, page] : chosen) {
      pages.push_back(page);
    }
    // The leaf with the references to large values.
    for (const UsedPage& page : image_.pages) {
      size_t at = image_.bytes.find("larger", page.page * kPageSize);
      if (page.kind == JOHNNY_PAGE_LEAF && page.table.empty() && at < (page.page + 1) * kPageSize) {
        pages.push_back(page);
      }
    }
    return pages;
  }

  void Store16At(PageNumber page, size_t offset, uint16_t value, const std::string& what) {
    std::string bytes = image_.bytes;
    Byte* at = At(&bytes, page) + offset;
    if (Load16(at) == value) {
      return;
    }
    Store16(at, value);
    RepairUpwards(&bytes, page);
    examiner_.Examine("page " + std::to_string(page) + " u16 at " + std::to_string(offset) + " " + what, bytes, anything_);
  }

  void Store64At(PageNumber page, size_t offset, uint64_t value) {
    std::string bytes = image_.bytes;
    Store64(At(&bytes, page) + offset, value);
    RepairUpwards(&bytes, page);
    examiner_.Examine("page " + std::to_string(page) + " u64 at " + std::to_string(offset) + " = " + std::to_string(value), bytes,
                      anything_, 1);
  }

  void ForgeMaster(const std::string& what, void (*change)(format::MasterPage*)) {
    for (uint32_t flags : {0u, format::kMasterDurable, format::kMasterDurable | format::kMasterClean}) {
      std::string bytes = image_.bytes;
      format::MasterPage master = MasterOf(bytes, -1);
      master.flags = flags;
      change(&master);
      ReplaceMaster(&bytes, master);
      examiner_.Examine("master: " + what + ", flags " + std::to_string(flags), bytes, anything_, 1);
    }
  }

  const Image& image_ = SampleImage();
  const Expectation anything_{};
  std::minstd_rand random_{2004};
  Examiner examiner_;
};

TEST_F(ForgedTest, RepairingAnUnchangedPageChangesNothing) {
  for (const UsedPage& page : image_.pages) {
    if (page.kind != JOHNNY_PAGE_EXTENT) {
      std::string bytes = image_.bytes;
      RepairUpwards(&bytes, page.page);
      EXPECT_TRUE(bytes == image_.bytes) << page.page;
    }
  }
}

TEST_F(ForgedTest, RepairedPagesAreReached) {
  // A changed value byte in a leaf, repaired up to the master, is simply another database.
  for (const UsedPage& page : image_.pages) {
    if (page.kind == JOHNNY_PAGE_LEAF && page.table == "named") {
      std::string bytes = image_.bytes;
      At(&bytes, page.page)[kPageSize - 1] ^= 1;
      RepairUpwards(&bytes, page.page);
      TempDir dir;
      WriteFile(dir.File("db"), bytes);
      johnny_options options = TestOptions();
      options.flags = JOHNNY_READ_ONLY;
      Env env(dir.File("db"), options);
      Txn txn(env, JOHNNY_READ);
      EXPECT_TRUE(txn.All(txn.Table("named", 0)) != image_.newest.at("named"));
    }
  }
}

// The record is refused when the table is opened; nothing may rely on it afterwards, as spilling did.
TEST_F(ForgedTest, ARefusedTableRecordIsNotUsed) {
  for (const UsedPage& page : image_.pages) {
    size_t at = image_.bytes.find("named", page.page * kPageSize);
    if (page.kind != JOHNNY_PAGE_LEAF || page.table != "(none)" || at >= (page.page + 1) * kPageSize) {
      continue;
    }
    std::string bytes = image_.bytes;
    Byte* stored = reinterpret_cast<Byte*>(bytes.data()) + at + 5;
    format::TableRecord record = format::LoadTableRecord(stored);
    ASSERT_FALSE(record.empty());
    record.root.page = format::kMaxPageNumber + 1 + 1000000;  // a frame's index
    format::StoreTableRecord(stored, record);
    RepairUpwards(&bytes, page.page);
    TempDir dir;
    WriteFile(dir.File("db"), bytes);
    johnny_options options = TestOptions();
    options.memory_budget = 64 * kPageSize;
    Env env(dir.File("db"), options);
    Txn txn(env);
    johnny_table* table = nullptr;
    EXPECT_EQ(txn.OpenTable("named", 0, &table), JOHNNY_CORRUPT);
    for (int i = 0; i < 200; ++i) {
      ASSERT_OK(txn.Put("new" + NumberedKey(i), Pattern(1500, 1)));
    }
    EXPECT_GT(txn.Info().spilled_pages, 0u);
    return;
  }
  FAIL() << "the catalog has no leaf with the table";
}

TEST_F(ForgedTest, EveryHeaderField) {
  for (const UsedPage& page : Representatives()) {
    for (size_t offset = 8; offset < format::kPageHeaderSize; offset += 2) {
      uint16_t old = Load16(image_.bytes.data() + page.page * kPageSize + offset);
      for (int value : {0, 1, 2, 3, 5, 31, 32, 33, 255, 256, 4095, 4096, 4097, 0x7fff, 0x8000, 0xffff}) {
        Store16At(page.page, offset, static_cast<uint16_t>(value), "= " + std::to_string(value));
      }
      for (int delta : {-2, -1, 1, 2, 256}) {
        Store16At(page.page, offset, static_cast<uint16_t>(old + delta), "+ " + std::to_string(delta));
      }
    }
  }
}

TEST_F(ForgedTest, EveryHalfWord) {
  size_t step = Scale() > 1 ? 2 : 26;
  for (const UsedPage& page : Representatives()) {
    for (size_t offset = format::kPageHeaderSize; offset < kPageSize; offset += offset < 256 ? 2 : step) {
      uint16_t old = Load16(image_.bytes.data() + page.page * kPageSize + offset);
      for (uint16_t value : {uint16_t{0}, uint16_t{0xffff}, uint16_t{0x8000}, static_cast<uint16_t>(old + 1),
                             static_cast<uint16_t>(old - 1), static_cast<uint16_t>(random_())}) {
        Store16At(page.page, offset, value, "= " + std::to_string(value));
      }
    }
  }
}

TEST_F(ForgedTest, RandomizedPages) {
  for (const UsedPage& page : Representatives()) {
    for (int i = 0; i < 200 * Scale(); ++i) {
      std::string bytes = image_.bytes;
      size_t from = format::kPageHeaderSize + random_() % (kPageSize - format::kPageHeaderSize);
      size_t size = std::min<size_t>(1 + random_() % 500, kPageSize - from);
      for (size_t j = 0; j < size; ++j) {
        At(&bytes, page.page)[from + j] = static_cast<Byte>(random_() >> 8);
      }
      RepairUpwards(&bytes, page.page);
      examiner_.Examine("page " + std::to_string(page.page) + " randomized from " + std::to_string(from), bytes, anything_);
    }
  }
}

TEST_F(ForgedTest, ReferencesThatLeadElsewhere) {
  std::vector<PageNumber> targets = {
      0, 1, 8, image_.page_count() - 1, image_.page_count(), uint64_t{1} << 40, uint64_t{1} << 47, (uint64_t{1} << 48) - 1};
  for (const UsedPage& page : image_.pages) {
    if (page.kind != JOHNNY_PAGE_EXTENT || page.page % 16 == 0) {
      targets.push_back(page.page);
    }
  }
  int redirected = 0;
  for (const UsedPage& parent : image_.pages) {
    for (const UsedPage& child : image_.pages) {
      if (parent.kind == JOHNNY_PAGE_EXTENT || child.kind == JOHNNY_PAGE_EXTENT || child.page % 5 == 0) {
        continue;
      }
      for (PageNumber target : targets) {
        std::string bytes = image_.bytes;
        if (target == child.page || Redirect(&bytes, parent.page, child.page, target) == 0) {
          break;  // not a parent of that child
        }
        ++redirected;
        RepairUpwards(&bytes, parent.page);
        examiner_.Examine("page " + std::to_string(parent.page) + " refers to " + std::to_string(target) + " instead of " +
                              std::to_string(child.page),
                          bytes, anything_);
      }
    }
  }
  EXPECT_GT(redirected, 50);
}

TEST_F(ForgedTest, PagesThatReferToThemselvesOrTheirParents) {
  for (const UsedPage& parent : image_.pages) {
    if (parent.kind != JOHNNY_PAGE_BRANCH) {
      continue;
    }
    for (const UsedPage& child : image_.pages) {
      std::string bytes = image_.bytes;
      if (Redirect(&bytes, parent.page, child.page, parent.page) > 0) {
        RepairUpwards(&bytes, parent.page);
        examiner_.Examine("page " + std::to_string(parent.page) + " refers to itself", bytes, anything_, 1);
      }
    }
  }
}

TEST_F(ForgedTest, ReferencesToLargeValues) {
  int found = 0;
  for (const UsedPage& leaf : image_.pages) {
    for (const UsedPage& extent : image_.pages) {
      if (leaf.kind != JOHNNY_PAGE_LEAF || extent.kind != JOHNNY_PAGE_EXTENT) {
        continue;
      }
      std::string first(8, '\0');
      Store64(first.data(), extent.page);
      size_t begin = leaf.page * kPageSize;
      size_t at = image_.bytes.find(first, begin + format::kPageHeaderSize);
      if (at > begin + kPageSize - format::kExtentRefSize || Load64(image_.bytes.data() + at + 8) > 1000000) {
        continue;
      }
      ++found;
      for (size_t field = 0; field < format::kExtentRefSize; field += 8) {
        uint64_t old = Load64(image_.bytes.data() + at + field);
        for (uint64_t value :
             {uint64_t{0}, uint64_t{1}, old + 1, old - 1, uint64_t{4096}, uint64_t{262144}, uint64_t{262145}, uint64_t{1} << 32,
              uint64_t{1} << 47, uint64_t{1} << 63, ~uint64_t{0}, ~uint64_t{0} - 4095, ~uint64_t{0} / kPageSize}) {
          Store64At(leaf.page, at - begin + field, value);
        }
      }
    }
  }
  EXPECT_GE(found, 3);
}

TEST_F(ForgedTest, AnIdCeilingThatLeavesNoIdsIsTheFilesFault) {
  for (int forged : {0, 1, 2}) {  // the slot; 2: both
    for (TxnId below : {0, 1, 1000, 1 << 20}) {
      SCOPED_TRACE("slot " + std::to_string(forged) + ", ids left " + std::to_string(below));
      std::string bytes = image_.bytes;
      for (int slot : {0, 1}) {
        format::MasterPage master = MasterOf(bytes, slot);
        if (master.txn != 0 && (slot == forged || forged == 2)) {
          master.id_ceiling = format::kMaxTxnId - below;
          format::EncodeMasterPage(master, reinterpret_cast<Byte*>(bytes.data()) + format::kMasterSlotOffset[slot]);
        }
      }
      TempDir dir;
      WriteFile(dir.File("db"), bytes);
      Env env(dir.File("db"));
      EXPECT_EQ(Txn(env, JOHNNY_READ).All(), image_.newest.at(""));
      Result begun = Txn().Begin(env);
      EXPECT_EQ(begun, JOHNNY_CORRUPT);
      EXPECT_THAT(begun.message(), testing::HasSubstr("id ceiling"));
      EXPECT_THAT(env.Close().code(), testing::AnyOf(JOHNNY_OK, JOHNNY_CORRUPT));  // it cannot note that it ended cleanly
    }
  }
}

TEST_F(ForgedTest, ImpossibleMasterPages) {
  ForgeMaster("no pages", [](format::MasterPage* master) { master->page_count = 0; });
  ForgeMaster("few pages", [](format::MasterPage* master) { master->page_count = 17; });
  ForgeMaster("one page less", [](format::MasterPage* master) { --master->page_count; });
  ForgeMaster("many pages", [](format::MasterPage* master) { master->page_count = uint64_t{1} << 40; });
  ForgeMaster("too many pages", [](format::MasterPage* master) { master->page_count = ~uint64_t{0}; });
  ForgeMaster("last id", [](format::MasterPage* master) { master->txn = master->id_ceiling = ~uint64_t{0}; });
  ForgeMaster("low ceiling", [](format::MasterPage* master) { master->id_ceiling = 0; });
  ForgeMaster("high ceiling", [](format::MasterPage* master) { master->id_ceiling = ~uint64_t{0}; });
  ForgeMaster("future durable", [](format::MasterPage* master) { master->durable_txn = ~uint64_t{0}; });
  ForgeMaster("old durable", [](format::MasterPage* master) { master->durable_txn = 0; });
  ForgeMaster("other id", [](format::MasterPage* master) { ++master->database_id; });
  ForgeMaster("page size", [](format::MasterPage* master) { master->page_size = 32768; });
  ForgeMaster("odd page size", [](format::MasterPage* master) { master->page_size = 4097; });
  ForgeMaster("level", [](format::MasterPage* master) { ++master->main.level; });
  ForgeMaster("level 255", [](format::MasterPage* master) { master->main.level = 255; });
  ForgeMaster("catalog level", [](format::MasterPage* master) { ++master->catalog.level; });
  ForgeMaster("no main root", [](format::MasterPage* master) { master->main.root.page = 0; });
  ForgeMaster("no catalog root", [](format::MasterPage* master) { master->catalog.root.page = 0; });
  ForgeMaster("master as root", [](format::MasterPage* master) { master->main.root.page = 1; });
  ForgeMaster("root past the end", [](format::MasterPage* master) { master->main.root.page = master->page_count; });
  ForgeMaster("frame as root", [](format::MasterPage* master) { master->main.root.page = uint64_t{1} << 47; });
  ForgeMaster("roots swapped", [](format::MasterPage* master) { std::swap(master->main, master->catalog); });
  ForgeMaster("roots alike", [](format::MasterPage* master) { master->catalog = master->main; });
  ForgeMaster("free log as root", [](format::MasterPage* master) { master->main.root = master->free_log; });
  ForgeMaster("root as free log", [](format::MasterPage* master) { master->free_log = master->main.root; });
  ForgeMaster("no free log", [](format::MasterPage* master) { master->free_log = {}; });
  ForgeMaster("long free log", [](format::MasterPage* master) { master->free_log.entries = kMax48; });
  ForgeMaster("entries", [](format::MasterPage* master) { master->main.root.entries = kMax48; });
  ForgeMaster("no entries", [](format::MasterPage* master) { master->main.root.entries = 0; });
  ForgeMaster("leaf pages", [](format::MasterPage* master) { master->main.leaf_pages = ~uint64_t{0}; });
  ForgeMaster("extent pages", [](format::MasterPage* master) { master->main.extent_pages = 0; });
  ForgeMaster("tables", [](format::MasterPage* master) { master->table_count = ~uint64_t{0}; });
  ForgeMaster("features", [](format::MasterPage* master) { master->read_only_compatible_features = ~uint64_t{0}; });
}

}  // namespace
}  // namespace johnny::test
