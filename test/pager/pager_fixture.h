// A file in memory with a page store over it.
#ifndef JOHNNY_TEST_PAGER_PAGER_FIXTURE_H_
#define JOHNNY_TEST_PAGER_PAGER_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/status.h"
#include "pager/extent.h"
#include "support/sim_system.h"

namespace johnny::pager {

class PagerTest : public testing::TestWithParam<uint32_t> {
 protected:
  static constexpr uint64_t kDatabaseId = 0xabcdef;
  static constexpr PageNumber kPages = 1000;

  PagerTest() {
    system_.set_recording(false);
    file_ = *system_.Open("/db", os::OpenMode::kCreateNew, 0600);
    EXPECT_TRUE(file_->Resize(format::kMasterRegion).ok());
    Reopen();
  }
  // Forgets which pages were checked.
  void Reopen() { store_ = *PageStore::Create(file_.get(), page_size_, kDatabaseId, sim::SimSystem::kReserve); }
  View MakeView(PageNumber pages = kPages) const { return View(store_.get(), pages, nullptr); }
  void WriteAt(uint64_t offset, Slice bytes) { ASSERT_TRUE(file_->WriteAt(offset, absl::MakeConstSpan(&bytes, 1)).ok()); }
  void Flip(uint64_t offset) {
    char byte = static_cast<char>(store_->base()[offset] ^ 1);
    WriteAt(offset, Slice(&byte, 1));
  }

  uint32_t page_size_ = GetParam();
  sim::SimSystem system_;
  std::unique_ptr<os::File> file_;
  std::unique_ptr<PageStore> store_;
};

}  // namespace johnny::pager

#endif  // JOHNNY_TEST_PAGER_PAGER_FIXTURE_H_
