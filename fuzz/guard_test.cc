// What fuzz builds are to notice, they notice: a byte beyond a page, or of a frame given up, is poisoned.
#include "base/guard.h"

#include <gtest/gtest.h>

#include "tree/tree.h"
#include "txn/database_fixture.h"

namespace johnny::fuzz {
namespace {

constexpr size_t kPage = 4096;

bool IsPoisoned(const Byte* at) { return __asan_address_is_poisoned(at) != 0; }

TEST(GuardTest, FramesEndInPoison) {
  auto arena = *pager::FrameArena::Create(kPage, 1 << 20);
  uint32_t one = *arena.Allocate(), two = *arena.Allocate();
  for (uint32_t frame : {one, two}) {
    EXPECT_EQ(arena.IndexOf(arena.At(frame)), frame);
    EXPECT_FALSE(IsPoisoned(arena.At(frame)) || IsPoisoned(arena.At(frame) + kPage - 1));
    EXPECT_TRUE(IsPoisoned(arena.At(frame) + kPage));
  }
  arena.Free(one);
  EXPECT_TRUE(IsPoisoned(arena.At(one)));
  EXPECT_EQ(*arena.Allocate(), one);
  EXPECT_FALSE(IsPoisoned(arena.At(one)));
  arena.Reset();
  EXPECT_TRUE(IsPoisoned(arena.At(one)) && IsPoisoned(arena.At(two)));
}

TEST(GuardTest, CommittedPagesEndInPoison) {
  txn::DatabaseFile file;
  file.MustOpen();
  file.MustPut("key", "value");
  const txn::Database& db = file.db();
  pager::View view(db.store.get(), db.newest_master.page_count, nullptr);
  for (int visit = 0; visit < 2; ++visit) {  // checked now, and known to be
    tree::Path path;
    EXPECT_EQ(tree::Search(view, db.newest_master.main, "key", &path), tree::Lookup::kFound);
    const Byte* page = path.leaf().page;
    EXPECT_FALSE(IsPoisoned(page + kPage - 1));
    EXPECT_TRUE(IsPoisoned(page + kPage));
    EXPECT_TRUE(IsPoisoned(page - 1));
  }
}

TEST(GuardTest, MappingsEndInPoisonWhereTheFileEnds) {
  sim::SimSystem system;
  auto file = *system.Open("/f", os::OpenMode::kCreateNew, 0644);
  auto mapping = *file->Map(1 << 20);
  EXPECT_TRUE(IsPoisoned(mapping->data()));
  ASSERT_TRUE(file->Resize(100).ok());
  EXPECT_FALSE(IsPoisoned(mapping->data() + 4095)) << "zeros up to the end of the block";
  EXPECT_TRUE(IsPoisoned(mapping->data() + 4096));
  ASSERT_TRUE(file->Resize(3 * 4096).ok());
  EXPECT_FALSE(IsPoisoned(mapping->data() + 3 * 4096 - 1));
  ASSERT_TRUE(file->Resize(4096).ok());
  EXPECT_TRUE(IsPoisoned(mapping->data() + 4096));
}

}  // namespace
}  // namespace johnny::fuzz
