// Every region of a small database damaged in turn: an error or the right data, never a crash, a hang or wrong data.
// JOHNNY_TEST_SCALE above 1 also writes to every damaged image; JOHNNY_DAMAGE_TRACE names each before it is opened.
#include <random>

#include "damage/examine.h"

namespace johnny::test {
namespace {

enum Change { kFlipBit, kZero, kOnes, kRandom, kChanges };
constexpr const char* kChangeNames[] = {"bit flipped", "zeroed", "set to 0xff", "randomized"};

class DamageTest : public testing::Test {
 protected:
  DamageTest() {
    for (const UsedPage& page : SampleImage().pages) {
      used_[page.page] = page;
    }
  }

  // False when that changes nothing.
  bool Damage(std::string* bytes, size_t offset, size_t size, Change change) {
    std::string before = bytes->substr(offset, size);
    for (size_t i = offset; i < offset + size && change != kFlipBit; ++i) {
      (*bytes)[i] = change == kZero ? '\0' : change == kOnes ? '\xff' : static_cast<char>(random_() >> 8);
    }
    if (change == kFlipBit) {
      (*bytes)[offset + random_() % size] ^= static_cast<char>(1u << (random_() % 8));
    }
    return bytes->compare(offset, size, before) != 0;
  }

  // Damage to a page: the newest data or an error. Nodes are hashed whole, so verify must find it.
  Expectation ExpectationFor(PageNumber page) const {
    auto used = used_.find(page);
    bool node = used != used_.end() && (used->second.kind == JOHNNY_PAGE_BRANCH || used->second.kind == JOHNNY_PAGE_LEAF);
    return {{&image_.newest}, node};
  }
  Expectation ExpectationForMasters() const { return {{&image_.newest, &image_.previous}, false}; }

  const Image& image_ = SampleImage();
  std::map<PageNumber, UsedPage> used_;
  std::minstd_rand random_{2004};
  Examiner examiner_;
};

TEST_F(DamageTest, TheUndamagedImageIsRight) {
  EXPECT_EQ(image_.newest.size(), 3u);
  EXPECT_GE(image_.pages.size(), 20u);
  examiner_.Examine("nothing", image_.bytes, {{&image_.newest}, false}, 1);
}

TEST_F(DamageTest, EveryRegionOfEveryPage) {
  for (PageNumber page = format::FirstPage(kPageSize); page < image_.page_count(); ++page) {
    auto used = used_.find(page);
    // Extents and pages that hold nothing look the same all over: a few of their regions are enough.
    bool dense = used != used_.end() && used->second.kind != JOHNNY_PAGE_EXTENT;
    for (size_t region = 0; region < kPageSize / 64; region += dense ? 1 : 31) {
      for (int change = 0; change < kChanges; ++change) {
        std::string bytes = image_.bytes;
        if (Damage(&bytes, page * kPageSize + region * 64, 64, static_cast<Change>(change))) {
          examiner_.Examine("page " + std::to_string(page) + " bytes " + std::to_string(region * 64) + " " + kChangeNames[change],
                            bytes, ExpectationFor(page));
        }
      }
    }
  }
  EXPECT_GT(examiner_.images(), 2000u);
}

TEST_F(DamageTest, WholePages) {
  for (const auto& [page, used] : used_) {
    for (int change = kZero; change < kChanges; ++change) {
      std::string bytes = image_.bytes;
      if (Damage(&bytes, page * kPageSize, kPageSize, static_cast<Change>(change))) {
        examiner_.Examine("page " + std::to_string(page) + " " + kChangeNames[change], bytes, ExpectationFor(page), 1);
      }
    }
  }
}

TEST_F(DamageTest, EveryByteOfBothMasterPages) {
  for (uint64_t slot : format::kMasterSlotOffset) {
    for (size_t i = 0; i < format::kMasterPageSize; ++i) {
      // Behind the fields everything is zeros up to the checksum.
      for (int change = 0; change < (i < 320 || i >= format::kMasterPageSize - 8 ? int{kChanges} : 1); ++change) {
        std::string bytes = image_.bytes;
        if (Damage(&bytes, slot + i, 1, static_cast<Change>(change))) {
          examiner_.Examine("master at " + std::to_string(slot) + " byte " + std::to_string(i) + " " + kChangeNames[change],
                            bytes, ExpectationForMasters(), 16);
        }
      }
    }
  }
}

TEST_F(DamageTest, BothMasterPagesAtOnce) {
  for (size_t i = 0; i < 320; i += 3) {
    std::string bytes = image_.bytes;
    if (Damage(&bytes, i, 1, kFlipBit) && Damage(&bytes, format::kMasterSlotOffset[1] + i, 1, kFlipBit)) {
      examiner_.Examine("both masters byte " + std::to_string(i), bytes, ExpectationForMasters());
    }
  }
  std::string bytes = image_.bytes;
  Damage(&bytes, 0, format::kMasterRegion, kZero);
  examiner_.Examine("no masters", bytes, ExpectationForMasters(), 1);
}

TEST_F(DamageTest, MasterPagesOfAnotherTimeOrSlot) {
  for (const std::string& older : image_.older) {
    for (int slots = 1; slots < 4; ++slots) {
      std::string bytes = image_.bytes;
      for (size_t slot = 0; slot < 2; ++slot) {
        if ((slots >> slot) % 2 == 1) {
          size_t at = format::kMasterSlotOffset[slot];
          bytes.replace(at, format::kMasterPageSize, older, at, format::kMasterPageSize);
        }
      }
      // Both from long ago: their pages may have been reused, which their checksums tell.
      Expectation expectation = slots == 3 ? Expectation{} : ExpectationForMasters();
      examiner_.Examine("older masters in slots " + std::to_string(slots), bytes, expectation, 1);
    }
  }
  std::string bytes = image_.bytes;
  std::swap_ranges(bytes.begin(), bytes.begin() + format::kMasterPageSize, bytes.begin() + format::kMasterSlotOffset[1]);
  examiner_.Examine("masters swapped", bytes, ExpectationForMasters(), 1);
}

TEST_F(DamageTest, TruncationAtEachPage) {
  for (PageNumber page = 0; page < image_.page_count(); ++page) {
    examiner_.Examine("truncated at page " + std::to_string(page), image_.bytes.substr(0, page * kPageSize),
                      ExpectationForMasters(), 1);
    examiner_.Examine("truncated in page " + std::to_string(page), image_.bytes.substr(0, page * kPageSize + 100),
                      ExpectationForMasters(), 1);
  }
}

TEST_F(DamageTest, PagesSwapped) {
  for (const auto& [page, used] : used_) {
    for (int i = 0; i < 6; ++i) {
      auto other = used_.begin();
      std::advance(other, random_() % used_.size());
      std::string bytes = image_.bytes;
      auto first = bytes.begin() + static_cast<ptrdiff_t>(page * kPageSize);
      std::swap_ranges(first, first + kPageSize, bytes.begin() + static_cast<ptrdiff_t>(other->first * kPageSize));
      examiner_.Examine("pages " + std::to_string(page) + " and " + std::to_string(other->first) + " swapped", bytes,
                        {{&image_.newest}, false});
    }
  }
}

TEST_F(DamageTest, PagesCopiedOverOthers) {
  for (const auto& [page, used] : used_) {
    auto other = used_.begin();
    std::advance(other, random_() % used_.size());
    std::string bytes = image_.bytes;
    bytes.replace(page * kPageSize, kPageSize, image_.bytes, other->first * kPageSize, kPageSize);
    if (bytes != image_.bytes) {
      examiner_.Examine("page " + std::to_string(other->first) + " copied to " + std::to_string(page), bytes,
                        ExpectationFor(page));
    }
  }
}

TEST_F(DamageTest, PagesOfAnEarlierTime) {
  for (size_t time = 0; time < image_.older.size(); ++time) {
    for (PageNumber page = format::FirstPage(kPageSize); page < image_.older[time].size() / kPageSize; ++page) {
      std::string bytes = image_.bytes;
      if (page >= image_.page_count()) {
        break;
      }
      bytes.replace(page * kPageSize, kPageSize, image_.older[time], page * kPageSize, kPageSize);
      if (bytes != image_.bytes) {
        examiner_.Examine("page " + std::to_string(page) + " as after commit " + std::to_string(time), bytes,
                          ExpectationFor(page), 1);
      }
    }
  }
}

TEST_F(DamageTest, ChecksumsOfTheirOwnDoNotSaveDamagedPages) {
  for (const auto& [page, used] : used_) {
    if (used.kind == JOHNNY_PAGE_EXTENT) {
      continue;
    }
    for (size_t region = 0; region < kPageSize / 64; region += 3) {
      std::string bytes = image_.bytes;
      if (Damage(&bytes, page * kPageSize + region * 64 + (region == 0 ? 8 : 0), 56, kRandom)) {
        RepairChecksum(&bytes, page);
        examiner_.Examine(
            "page " + std::to_string(page) + " bytes " + std::to_string(region * 64) + " with its checksum repaired", bytes,
            ExpectationFor(page));
      }
    }
  }
}

TEST_F(DamageTest, RandomDamageInManyPlaces) {
  for (int i = 0; i < 500 * Scale(); ++i) {
    std::string bytes = image_.bytes;
    for (int j = 0; j < 10; ++j) {
      size_t offset = format::kMasterRegion + random_() % (bytes.size() - format::kMasterRegion - 64);
      Damage(&bytes, offset, 1 + random_() % 63, static_cast<Change>(random_() % kChanges));
    }
    examiner_.Examine("random damage " + std::to_string(i), bytes, {{&image_.newest}, false});
  }
}

TEST_F(DamageTest, DamageUnderAMasterThatIsNotDurableFallsBackOrFails) {
  // Recovery must verify the pages of such a master before it counts.
  std::string undurable = image_.bytes;
  format::MasterPage master = MasterOf(undurable, -1);
  master.flags = 0;
  ReplaceMaster(&undurable, master);
  examiner_.Examine("not durable, undamaged", undurable, ExpectationForMasters(), 1);
  for (const auto& [page, used] : used_) {
    for (size_t region = 0; region < kPageSize / 64; region += 16) {
      std::string bytes = undurable;
      if (Damage(&bytes, page * kPageSize + region * 64, 64, kRandom)) {
        examiner_.Examine("not durable, page " + std::to_string(page) + " bytes " + std::to_string(region * 64), bytes,
                          ExpectationForMasters(), 1);
      }
    }
  }
}

}  // namespace
}  // namespace johnny::test
