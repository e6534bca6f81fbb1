// Who owns each page of the file: one byte a page. Claim(), at() and the counts are thread-safe.
#ifndef JOHNNY_VERIFY_OWNER_MAP_H_
#define JOHNNY_VERIFY_OWNER_MAP_H_

#include <atomic>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "space/page_bitmap.h"

namespace johnny::verify {

enum class Owner : uint8_t { kNobody, kMasters, kTree, kExtent, kFreeLog, kFree, kPending };

inline const char* OwnerName(Owner owner) {
  constexpr const char* kNames[] = {"nothing",         "part of the master pages' region",
                                    "a tree page",     "part of a large value",
                                    "a free-log page", "a free page",
                                    "a pending page"};
  return kNames[static_cast<size_t>(owner)];
}

inline std::string Pages(uint64_t count) { return count == 1 ? "1 page" : absl::StrCat(count, " pages"); }

class OwnerMap {
 public:
  void Resize(PageNumber pages) { owners_ = std::vector<std::atomic<uint8_t>>(pages); }
  PageNumber pages() const { return owners_.size(); }
  uint64_t claimed() const { return claimed_.load(std::memory_order_relaxed); }
  // Claimed, and nothing left to do for them but what takes no time: for progress.
  uint64_t done() const { return done_.load(std::memory_order_relaxed); }
  void AddDone(uint64_t pages) { done_.fetch_add(pages, std::memory_order_relaxed); }
  bool Contains(space::Run run) const { return run.first < pages() && run.pages <= pages() - run.first; }
  Owner at(PageNumber page) const { return static_cast<Owner>(Get(page) & kOwnerBits); }

  // Pages of a claimed run that had an owner already; they keep it.
  struct Conflict {
    uint64_t pages = 0;
    PageNumber first = 0;
    Owner owner = Owner::kNobody;  // of the first one
  };
  // REQUIRES: Contains(run)
  Conflict Claim(space::Run run, Owner owner) {
    Conflict conflict;
    for (PageNumber page = run.first; page < run.end(); ++page) {
      uint8_t nobody = 0;
      if (!owners_[page].compare_exchange_strong(nobody, static_cast<uint8_t>(owner), std::memory_order_relaxed) &&
          conflict.pages++ == 0) {
        conflict.first = page;
        conflict.owner = at(page);
      }
    }
    claimed_.fetch_add(run.pages - conflict.pages, std::memory_order_relaxed);
    return conflict;
  }

  // Two more properties of each page, beside its owner: free or pending in the free log; seen by a named snapshot.
  void Mark(PageNumber page) { Set(page, kMark); }
  bool IsMarked(PageNumber page) const { return (Get(page) & kMark) != 0; }
  void MarkSeen(PageNumber page) { Set(page, kSeen); }
  bool IsSeen(PageNumber page) const { return (Get(page) & kSeen) != 0; }

  // The first run of pages from `from` on for which `test` holds; 0 pages if there is none.
  template <typename Test>
  space::Run FindRun(PageNumber from, Test test) const {
    PageNumber first = from;
    while (first < pages() && !test(first)) {
      ++first;
    }
    PageNumber end = first;
    while (end < pages() && test(end)) {
      ++end;
    }
    return {first, end - first};
  }

 private:
  uint8_t Get(PageNumber page) const { return owners_[page].load(std::memory_order_relaxed); }
  void Set(PageNumber page, uint8_t bit) { owners_[page].store(Get(page) | bit, std::memory_order_relaxed); }

  static constexpr uint8_t kMark = 0x80;
  static constexpr uint8_t kSeen = 0x40;
  static constexpr uint8_t kOwnerBits = 0x3f;
  std::vector<std::atomic<uint8_t>> owners_;
  std::atomic<uint64_t> claimed_ = 0;
  std::atomic<uint64_t> done_ = 0;
};

}  // namespace johnny::verify

#endif  // JOHNNY_VERIFY_OWNER_MAP_H_
