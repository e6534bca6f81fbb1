#include "pager/view.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "node/vet.h"

namespace johnny::pager {

absl::StatusOr<std::unique_ptr<PageStore>> PageStore::Create(os::File* file, uint32_t page_size, uint64_t database_id,
                                                             uint64_t address_space) {
  auto store = std::make_unique<PageStore>();
  store->page_size_ = page_size;
  store->shift_ = static_cast<unsigned>(__builtin_ctz(page_size));
  store->database_id_ = database_id;
  JOHNNY_ASSIGN_OR_RETURN(store->mapping_, file->Map(address_space));
  store->base_ = store->mapping_->data();
  uint64_t pages = store->mapping_->reserved() >> store->shift_;
  JOHNNY_ASSIGN_OR_RETURN(store->table_, os::ReservedMemory::Reserve(pages * sizeof(uint16_t)));
  return store;
}

const Byte* PageStore::GuardedCopy(PageNumber number) const {
  std::lock_guard<std::mutex> lock(copies_mutex_);
  std::unique_ptr<Byte[]>& copy = copies_[{number, node::Header(page(number))->checksum}];
  if (copy == nullptr) {
    copy.reset(new Byte[page_size_]);
    std::memcpy(copy.get(), page(number), page_size_);
  }
  return copy.get();
}

absl::Status PageStore::CheckNode(PageNumber number, int level) const {
  if (!kGuardPages) {
    return Vet(number, page(number), level);
  }
  std::unique_ptr<Byte[]> copy(new Byte[page_size_]);
  std::memcpy(copy.get(), page(number), page_size_);
  return Vet(number, copy.get(), level);
}

absl::Status PageStore::Vet(PageNumber number, const Byte* bytes, int level) const {
  const format::PageHeader* header = node::Header(bytes);
  uint64_t checksum = header->checksum;
  if (checksum != format::PageChecksum(bytes, page_size_, database_id_, number)) {
    return CorruptPage(
        number, absl::StrCat("checksum mismatch (stored ", absl::Hex(checksum, absl::kZeroPad16), ", computed ",
                             absl::Hex(format::PageChecksum(bytes, page_size_, database_id_, number), absl::kZeroPad16), ")"));
  }
  if (header->page() != number) {
    return CorruptPage(number, absl::StrCat("the page says it is page ", header->page()));
  }
  const char* reason = node::VetNode(bytes, page_size_);
  reason = reason == nullptr ? node::CheckOrder(bytes) : reason;
  reason = reason == nullptr && header->count == 0 ? "an empty leaf" : reason;
  if (reason != nullptr) {
    return CorruptPage(number, reason);
  }
  if (level >= 0 && header->level != level) {
    return CorruptPage(number, absl::StrCat("level ", header->level, " where ", level, " belongs"));
  }
  SetChecked(number, Tag(Kind::kNode, checksum));
  return absl::OkStatus();
}

const Byte* View::ResolveUnknown(const format::ChildRef& ref, uint32_t level) const {
  if (ref.page - first_page_ >= ordinary_) {
    SetError(CorruptPage(ref.page, absl::StrCat("reference to a page outside the snapshot's ", page_count(), " pages")));
    return nullptr;
  }
  const format::PageHeader* header = node::Header(base_ + (ref.page << shift_));
  const bool meant = static_cast<uint32_t>(header->checksum) == ref.checksum && header->level == level;
  // The page's own checksum tells a damaged page from one that is not what the parent meant.
  absl::Status status = store_->CheckNode(ref.page, static_cast<int>(level));
  if (status.ok() && meant) {
    return store_->Shown(ref.page);
  }
  SetError(!status.ok() ? std::move(status)
                        : CorruptPage(ref.page, "not the version that its parent refers to (a lost or misplaced write)"));
  return nullptr;
}

}  // namespace johnny::pager
