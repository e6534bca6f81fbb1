// A set of pages as a bitmap in a radix tree: a node has 64 slots, of 64 pages each in the lowest level, of a node each above it.
// Slots with all or none of their pages have no node, so a long run costs no more than its ends: half a KiB for each level that
// the run's neighbours do not share with it. Each step of a search is one instruction on a word of 64 slots.
//
// When memory runs out in a change, part of the change may have been made, and later ones may make more of it; the object can
// still be used without harm to memory, and destroyed. Who relies on what it holds drops it.
#ifndef JOHNNY_SPACE_PAGE_BITMAP_H_
#define JOHNNY_SPACE_PAGE_BITMAP_H_

#include <optional>

#include "format/layout.h"

namespace johnny::space {

struct Run {
  PageNumber first = 0;
  uint64_t pages = 0;

  PageNumber end() const { return first + pages; }
  friend bool operator==(const Run& a, const Run& b) { return a.first == b.first && a.pages == b.pages; }
};

class PageBitmap {
 public:
  static constexpr PageNumber kNone = ~PageNumber{0};

  PageBitmap() = default;
  PageBitmap(PageBitmap&& other) noexcept;
  PageBitmap& operator=(PageBitmap&& other) noexcept;
  ~PageBitmap() { DeleteAll(); }

  // Puts pages in, or takes them out, whichever of them are in already. May throw std::bad_alloc, both of them.
  void Set(Run run) { Fill(run, true); }
  void Reset(Run run) { Fill(run, false); }
  void Clear();  // takes out all, and keeps the root's memory; does not throw

  bool Test(PageNumber page) const;
  bool HasAny(Run run) const { return NextSet(run.first) < run.end(); }
  bool HasAll(Run run) const { return NextUnset(run.first) >= run.end(); }
  // The first page from `from` on that is in the set, kNone if there is none; or that is not.
  PageNumber NextSet(PageNumber from) const;
  PageNumber NextUnset(PageNumber from) const;
  PageNumber LastSet() const;  // kNone when it is empty
  // The first page of the run that `page`, which must be in the set, is part of.
  PageNumber RunBegin(PageNumber page) const;
  // The first run that ends behind `page`, whole; nullopt when there is none.
  std::optional<Run> FirstEndingAfter(PageNumber page) const;
  // How many runs have pages in [start, end).
  uint64_t CountRuns(PageNumber start, PageNumber end) const;

  class Iterator;
  // Goes through the runs, from the first one on that ends behind `start`.
  Iterator From(PageNumber start) const;

 private:
  struct Node;
  struct Leaf {
    Node* node;  // null: all of its pages are in, or none is
    bool all;
    PageNumber begin;
  };
  static int ShiftOf(int level) { return 6 * (level + 1); }  // of the number of pages of a slot
  static Node* NewNode(int level, bool full);
  static void Delete(Node* node, int level);
  static void FillNode(Node* node, int level, uint64_t first, uint64_t last, bool value);
  static uint64_t CountRunsIn(const Node& node, int level, uint64_t first, uint64_t last, bool* within);
  template <bool kSet>
  static uint64_t NextIn(const Node& node, int level, uint64_t from);
  template <bool kSet>
  static uint64_t LastIn(const Node& node, int level, uint64_t to);
  Leaf LeafOf(PageNumber page) const;
  bool FillWord(Run run, bool value);
  void Fill(Run run, bool value);
  void GrowTo(PageNumber page);
  void DeleteAll();
  uint64_t capacity() const { return root_ == nullptr ? 0 : uint64_t{64} << ShiftOf(level_); }

  Node* root_ = nullptr;
  int level_ = 0;  // of root_
};

// The bitmap must not change meanwhile.
class PageBitmap::Iterator {
 public:
  explicit operator bool() const { return at_.pages != 0; }
  const Run& operator*() const { return at_; }
  const Run* operator->() const { return &at_; }
  void Next();

 private:
  friend class PageBitmap;
  explicit Iterator(const PageBitmap& bits) : bits_(bits) {}
  void Seat(Run run);

  const PageBitmap& bits_;
  Run at_;
  const Node* leaf_ = nullptr;  // where the run ends
  uint64_t word_ = 0;           // what is left of the word there,
  PageNumber word_begin_ = 0;
  uint64_t words_left_ = 0;  // of the leaf's words behind it, those with pages,
  PageNumber leaf_begin_ = 0;
  PageNumber behind_ = 0;  // and where to look next
};

}  // namespace johnny::space

#endif  // JOHNNY_SPACE_PAGE_BITMAP_H_
