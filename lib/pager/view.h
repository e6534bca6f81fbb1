// A transaction's view of the file: one function resolves a reference, be it a page number or a frame.
//
// First touch: a table of 16 bits per page remembers which version of which page this process has checked. A visit compares the
// parent's reference with the page's header (checksum, level) and the header with the table; only a page not seen before is
// hashed and vetted. Levels fall by one at every step, so a hostile file cannot make a walk go round in circles.
#ifndef JOHNNY_PAGER_VIEW_H_
#define JOHNNY_PAGER_VIEW_H_

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <utility>

#include "absl/base/attributes.h"
#include "absl/base/optimization.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "base/guard.h"
#include "format/layout.h"
#include "node/leaf.h"
#include "os/memory.h"
#include "os/os.h"
#include "pager/frames.h"

namespace johnny::pager {

// The mapped file and what is known of its pages; shared by all transactions. Thread-safe.
class PageStore {
 public:
  static absl::StatusOr<std::unique_ptr<PageStore>> Create(os::File* file, uint32_t page_size, uint64_t database_id,
                                                           uint64_t address_space);

  const Byte* base() const { return base_; }
  uint64_t reserved() const { return mapping_->reserved(); }
  uint32_t page_size() const { return page_size_; }
  unsigned shift() const { return shift_; }
  uint64_t database_id() const { return database_id_; }
  const Byte* page(PageNumber number) const { return base() + (number << shift_); }

  enum class Kind : uint16_t { kNode = 0, kExtent = 1 };
  static uint16_t Tag(Kind kind, uint64_t checksum) {
    // Bit 0 tells the kinds apart, so that an extent checked as bytes never counts as a vetted node; bit 1 makes it non-zero.
    return static_cast<uint16_t>((checksum >> 48) << 2 | 2 | static_cast<uint16_t>(kind));
  }
  // By page number; 0: not checked.
  const std::atomic<uint16_t>* checked() const { return table(); }
  bool IsChecked(PageNumber page, uint16_t tag) const { return table()[page].load(std::memory_order_relaxed) == tag; }
  void SetChecked(PageNumber page, uint16_t tag) const { table()[page].store(tag, std::memory_order_relaxed); }

  ABSL_ATTRIBUTE_ALWAYS_INLINE void PrefetchChecked(PageNumber page) const { __builtin_prefetch(table() + page); }

  // Where page `number`, just vetted, is read: in the mapping; in fuzz builds a copy with an allocation of its own, which stays.
  const Byte* Shown(PageNumber number) const { return kGuardPages ? GuardedCopy(number) : page(number); }

  // Hashes and vets page `number`; remembers it when sound. `level` < 0: any.
  absl::Status CheckNode(PageNumber number, int level) const;

 private:
  std::atomic<uint16_t>* table() const { return reinterpret_cast<std::atomic<uint16_t>*>(table_.data()); }

  const Byte* GuardedCopy(PageNumber number) const;
  absl::Status Vet(PageNumber number, const Byte* bytes, int level) const;

  mutable std::mutex copies_mutex_;
  mutable absl::flat_hash_map<std::pair<PageNumber, uint64_t>, std::unique_ptr<Byte[]>>
      copies_;  // by checksum; empty but in fuzz builds
  std::unique_ptr<os::Mapping> mapping_;
  const Byte* base_ = nullptr;
  os::ReservedMemory table_;
  uint32_t page_size_ = 0;
  unsigned shift_ = 0;
  uint64_t database_id_ = 0;
};

// One transaction's view. Not thread-safe, cheap to make.
class View {
 public:
  View() = default;
  // Pages below `page_count` may be looked at. `frames` is null for read transactions.
  View(const PageStore* store, PageNumber page_count, const FrameArena* frames)
      : base_(store->base()),
        checked_(store->checked()),
        shift_(store->shift()),
        first_page_(format::FirstPage(store->page_size())),
        ordinary_(std::max<PageNumber>(page_count, first_page_) - first_page_),
        store_(store),
        frames_(frames) {}

  const PageStore* store() const { return store_; }
  uint32_t page_size() const { return uint32_t{1} << shift_; }
  PageNumber page_count() const { return first_page_ + ordinary_; }
  void set_page_count(PageNumber page_count) { ordinary_ = page_count - first_page_; }

  // The page behind a reference, vetted and of level `level`; nullptr on damage, with the reason in TakeError().
  const Byte* Resolve(const format::ChildRef& ref, uint32_t level) const {
    const Byte* page = ResolveKnown(ref.page, ref.checksum, level);
    if (ABSL_PREDICT_TRUE(page != nullptr)) {
      return page;
    }
    return IsFrame(ref) ? frames_->At(FrameIndex(ref)) : ResolveUnknown(ref, level);
  }
  // The same for a committed page that has been vetted before, in a few instructions; nullptr: it needs a closer look.
  ABSL_ATTRIBUTE_ALWAYS_INLINE const Byte* ResolveKnown(PageNumber number, uint32_t expected, uint32_t level) const {
    // The marks of frames are beyond all pages.
    if (ABSL_PREDICT_FALSE(number - first_page_ >= ordinary_)) {
      return nullptr;
    }
    const Byte* page = base_ + (number << shift_);
    const uint64_t checksum = node::Header(page)->checksum;
    const uint16_t tag = PageStore::Tag(PageStore::Kind::kNode, checksum);
    const bool known = static_cast<uint32_t>(checksum) == expected && node::Header(page)->level == level &&
                       checked_[number].load(std::memory_order_relaxed) == tag;
    if (ABSL_PREDICT_FALSE(!known)) {
      return nullptr;
    }
    return kGuardPages ? store_->Shown(number) : page;
  }

  // Has what a search touches first in the page behind `ref` fetched into the processor's cache, whatever `ref` says. Always
  // inline: g++ 12 takes a function that only prefetches for one without effects, and drops its calls.
  ABSL_ATTRIBUTE_ALWAYS_INLINE void Prefetch(const format::ChildRef& ref, uint32_t level) const {
    if (IsFrame(ref) || ref.page - first_page_ >= ordinary_) {
      return;
    }
    constexpr size_t kLine = 64;
    const Byte* page = base_ + (ref.page << shift_);
    store_->PrefetchChecked(ref.page);
    // A leaf's heads and offsets are short; of a branch's heads, those that a binary search looks at first.
    const size_t stride = level == 0 ? kLine : 3 * kLine;
    for (size_t i = 0; i < 4; ++i) {
      __builtin_prefetch(page + i * stride);
    }
  }

  // What a search looks at next in page `number`, whose header is about to be read: all arrays of a leaf with values that are not
  // short, the middle of a branch's heads. The number may be anything, since fetching never faults.
  ABSL_ATTRIBUTE_ALWAYS_INLINE void PrefetchArrays(PageNumber number, uint32_t level) const {
    constexpr size_t kLine = 64;
    const Byte* page = base_ + (number << shift_);
    if (level == 0) {
      __builtin_prefetch(page + kLine);
      __builtin_prefetch(page + 2 * kLine);
      __builtin_prefetch(page + 3 * kLine);
    } else {
      __builtin_prefetch(page + 3 * kLine);
      __builtin_prefetch(page + 5 * kLine);
      __builtin_prefetch(page + 7 * kLine);
    }
  }
  // The same for all of the page, into the second-level cache; or only for its first bytes, which has its address translated.
  ABSL_ATTRIBUTE_ALWAYS_INLINE void PrefetchWhole(const format::ChildRef& ref) const { PrefetchBytes(ref, page_size()); }
  ABSL_ATTRIBUTE_ALWAYS_INLINE void PrefetchStart(const format::ChildRef& ref) const { PrefetchBytes(ref, 1); }
  // Where a committed page lies, unchecked, for who fetches it piece by piece; null for a frame or what is no page.
  const Byte* AddressOf(const format::ChildRef& ref) const {
    return IsFrame(ref) || ref.page - first_page_ >= ordinary_ ? nullptr : base_ + (ref.page << shift_);
  }

  void SetError(absl::Status error) const { error_ = std::move(error); }
  absl::Status TakeError() const { return std::exchange(error_, absl::OkStatus()); }

 private:
  ABSL_ATTRIBUTE_ALWAYS_INLINE void PrefetchBytes(const format::ChildRef& ref, size_t bytes) const {
    const Byte* page = AddressOf(ref);
    if (page == nullptr) {
      return;
    }
    for (size_t i = 0; i < bytes; i += 64) {
      __builtin_prefetch(page + i, 0, 2);
    }
  }
  const Byte* ResolveUnknown(const format::ChildRef& ref, uint32_t level) const;

  const Byte* base_ = nullptr;
  const std::atomic<uint16_t>* checked_ = nullptr;
  unsigned shift_ = 0;
  PageNumber first_page_ = 0;
  PageNumber ordinary_ = 0;  // pages behind those of the master region that may be looked at
  const PageStore* store_ = nullptr;
  const FrameArena* frames_ = nullptr;
  mutable absl::Status error_;
};

}  // namespace johnny::pager

#endif  // JOHNNY_PAGER_VIEW_H_
