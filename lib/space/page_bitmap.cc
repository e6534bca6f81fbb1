#include "space/page_bitmap.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace johnny::space {
namespace {

constexpr uint64_t kAll = ~uint64_t{0};
constexpr uint64_t kSlots = 64;
constexpr uint64_t kLeafPages = kSlots * kSlots;
static_assert(format::kMaxPageNumber < uint64_t{1} << 54);  // capacity() of nine levels would overflow

// Bits first .. last.
constexpr uint64_t Bits(uint64_t first, uint64_t last) { return (kAll << first) & (kAll >> (kSlots - 1 - last)); }
uint64_t LowestBit(uint64_t word) { return static_cast<uint64_t>(std::countr_zero(word)); }
uint64_t HighestBit(uint64_t word) { return kSlots - 1 - static_cast<uint64_t>(std::countl_zero(word)); }

void Assign(uint64_t* word, uint64_t bits, bool value) { *word = value ? *word | bits : *word & ~bits; }

}  // namespace

// A slot has some of its pages, but not all, if it is in `some` and not in `all`. Above the lowest level only such slots have a
// child, unless memory ran out; and what that child says is what the bits say.
struct PageBitmap::Node {
  uint64_t some;
  uint64_t all;
  union {
    uint64_t words[kSlots];
    Node* children[kSlots];
  };
};

PageBitmap::PageBitmap(PageBitmap&& other) noexcept
    : root_(std::exchange(other.root_, nullptr)), level_(std::exchange(other.level_, 0)) {}

PageBitmap& PageBitmap::operator=(PageBitmap&& other) noexcept {
  if (this != &other) {
    DeleteAll();
    root_ = std::exchange(other.root_, nullptr);
    level_ = std::exchange(other.level_, 0);
  }
  return *this;
}

PageBitmap::Node* PageBitmap::NewNode(int level, bool full) {
  Node* node = new Node;
  node->some = node->all = full ? kAll : 0;
  if (level == 0) {
    std::fill(node->words, node->words + kSlots, node->all);
  } else {
    std::fill(node->children, node->children + kSlots, nullptr);
  }
  return node;
}

void PageBitmap::Delete(Node* node, int level) {
  if (level > 0) {
    for (Node* child : node->children) {
      if (child != nullptr) {
        Delete(child, level - 1);
      }
    }
  }
  delete node;
}

void PageBitmap::DeleteAll() {
  if (root_ != nullptr) {
    Delete(std::exchange(root_, nullptr), level_);
    level_ = 0;
  }
}

void PageBitmap::Clear() {
  if (root_ == nullptr || root_->some == 0) {
    return;
  }
  for (uint64_t slot = 0; slot < kSlots; ++slot) {
    if (level_ == 0) {
      root_->words[slot] = 0;
    } else if (root_->children[slot] != nullptr) {
      Delete(std::exchange(root_->children[slot], nullptr), level_ - 1);
    }
  }
  root_->some = root_->all = 0;
}

void PageBitmap::GrowTo(PageNumber page) {
  if (root_ == nullptr) {
    root_ = NewNode(0, false);
  }
  while (page >= capacity()) {
    Node* above = NewNode(level_ + 1, false);
    above->some = root_->some != 0 ? 1 : 0;
    above->all = root_->all == kAll ? 1 : 0;
    if (above->some != above->all) {
      above->children[0] = root_;
    } else {
      Delete(root_, level_);
    }
    root_ = above;
    ++level_;
  }
}

// The leaf, of the lowest level, with the bit of `page`, which is below capacity().
PageBitmap::Leaf PageBitmap::LeafOf(PageNumber page) const {
  Node* node = root_;
  for (int level = level_; level > 0; --level) {
    const uint64_t slot = page >> ShiftOf(level) & (kSlots - 1);
    if ((node->some >> slot & 1) == 0 || (node->all >> slot & 1) != 0) {
      return {nullptr, (node->all >> slot & 1) != 0, 0};
    }
    node = node->children[slot];
  }
  return {node, false, page & ~(kLeafPages - 1)};
}

// The usual case: pages of one word in a leaf that keeps pages of either kind.
bool PageBitmap::FillWord(Run run, bool value) {
  if (run.first / kSlots != (run.end() - 1) / kSlots || run.end() > capacity()) {
    return false;
  }
  Node* leaf = LeafOf(run.first).node;
  if (leaf == nullptr) {
    return false;
  }
  const uint64_t slot = run.first / kSlots % kSlots, bit = uint64_t{1} << slot;
  uint64_t word = leaf->words[slot], some = leaf->some, all = leaf->all;
  Assign(&word, Bits(run.first % kSlots, (run.end() - 1) % kSlots), value);
  Assign(&some, bit, word != 0);
  Assign(&all, bit, word == kAll);
  if (level_ > 0 && (some == 0 || all == kAll)) {
    return false;
  }
  leaf->words[slot] = word;
  leaf->some = some;
  leaf->all = all;
  return true;
}

void PageBitmap::Fill(Run run, bool value) {
  if (run.pages == 0 || FillWord(run, value)) {
    return;
  }
  if (value) {
    GrowTo(run.end() - 1);
  } else if (run.first >= capacity()) {
    return;
  }
  FillNode(root_, level_, run.first, std::min(run.end(), capacity()) - 1, value);
}

// Pages first .. last, counted from the node's first.
void PageBitmap::FillNode(Node* node, int level, uint64_t first, uint64_t last, bool value) {
  const int shift = ShiftOf(level);
  const uint64_t within = (uint64_t{1} << shift) - 1;
  const uint64_t first_slot = first >> shift, last_slot = last >> shift;
  for (uint64_t slot = first_slot; slot <= last_slot; ++slot) {
    const uint64_t bit = uint64_t{1} << slot;
    const uint64_t from = slot == first_slot ? first & within : 0;
    const uint64_t to = slot == last_slot ? last & within : within;
    if (level == 0) {
      Assign(&node->words[slot], Bits(from, to), value);
      Assign(&node->some, bit, node->words[slot] != 0);
      Assign(&node->all, bit, node->words[slot] == kAll);
      continue;
    }
    Node*& child = node->children[slot];
    bool some = value, all = value;  // what the slot will have
    if (from != 0 || to != within) {
      if (child == nullptr) {
        if (((node->some & bit) != 0) == value) {
          continue;
        }
        child = NewNode(level - 1, !value);
      }
      FillNode(child, level - 1, from, to, value);
      some = child->some != 0;
      all = child->all == kAll;
    }
    if (some == all && child != nullptr) {
      Delete(std::exchange(child, nullptr), level - 1);
    }
    Assign(&node->some, bit, some);
    Assign(&node->all, bit, all);
  }
}

// The first page from `from` on that is in the set, or is not; kNone if there is none in the node.
template <bool kSet>
uint64_t PageBitmap::NextIn(const Node& node, int level, uint64_t from) {
  const int shift = ShiftOf(level);
  const uint64_t with = kSet ? node.some : ~node.all, whole = kSet ? node.all : ~node.some;
  for (uint64_t slot = from >> shift; slot < kSlots; from = ++slot << shift) {
    const uint64_t candidates = with & (kAll << slot);
    if (candidates == 0) {
      break;
    }
    if (uint64_t next = LowestBit(candidates); next != slot) {
      slot = next;
      from = slot << shift;
    }
    if ((whole >> slot & 1) != 0) {
      return from;
    }
    const uint64_t before = slot << shift;
    if (level == 0) {
      const uint64_t word = (kSet ? node.words[slot] : ~node.words[slot]) & (kAll << (from - before));
      if (word != 0) {
        return before + LowestBit(word);
      }
    } else if (uint64_t found = NextIn<kSet>(*node.children[slot], level - 1, from - before); found != kNone) {
      return before + found;
    }
  }
  return kNone;
}

// The same backwards: the last page up to `to`.
template <bool kSet>
uint64_t PageBitmap::LastIn(const Node& node, int level, uint64_t to) {
  const int shift = ShiftOf(level);
  const uint64_t with = kSet ? node.some : ~node.all, whole = kSet ? node.all : ~node.some;
  for (uint64_t slot = to >> shift;; to = (slot-- << shift) - 1) {
    const uint64_t candidates = with & Bits(0, slot);
    if (candidates == 0) {
      return kNone;
    }
    if (uint64_t next = HighestBit(candidates); next != slot) {
      slot = next;
      to = ((slot + 1) << shift) - 1;
    }
    if ((whole >> slot & 1) != 0) {
      return to;
    }
    const uint64_t before = slot << shift;
    if (level == 0) {
      const uint64_t word = (kSet ? node.words[slot] : ~node.words[slot]) & Bits(0, to - before);
      if (word != 0) {
        return before + HighestBit(word);
      }
    } else if (uint64_t found = LastIn<kSet>(*node.children[slot], level - 1, to - before); found != kNone) {
      return before + found;
    }
    if (slot == 0) {
      return kNone;
    }
  }
}

PageNumber PageBitmap::LastSet() const { return root_ == nullptr ? kNone : LastIn<true>(*root_, level_, capacity() - 1); }

// What is found in the leaf of `from` is found here; else all is searched from the root down.

bool PageBitmap::Test(PageNumber page) const {
  if (page >= capacity()) {
    return false;
  }
  Leaf leaf = LeafOf(page);
  return leaf.node == nullptr ? leaf.all : (leaf.node->words[page / kSlots % kSlots] >> page % kSlots & 1) != 0;
}

PageNumber PageBitmap::NextSet(PageNumber from) const {
  if (from >= capacity()) {
    return kNone;
  }
  if (Leaf leaf = LeafOf(from); leaf.node != nullptr) {
    const uint64_t slot = from / kSlots % kSlots;
    if (uint64_t word = leaf.node->words[slot] >> from % kSlots; word != 0) {
      return from + LowestBit(word);
    }
    if (uint64_t words = leaf.node->some & ~Bits(0, slot); words != 0) {
      const uint64_t next = LowestBit(words);
      return leaf.begin + next * kSlots + LowestBit(leaf.node->words[next]);
    }
  } else if (leaf.all) {
    return from;
  }
  return NextIn<true>(*root_, level_, from);
}

PageNumber PageBitmap::NextUnset(PageNumber from) const {
  if (from >= capacity()) {
    return from;
  }
  if (Leaf leaf = LeafOf(from); leaf.node != nullptr) {
    const uint64_t slot = from / kSlots % kSlots;
    if (uint64_t word = ~leaf.node->words[slot] >> from % kSlots; word != 0) {
      return from + LowestBit(word);
    }
    if (uint64_t words = ~leaf.node->all & ~Bits(0, slot); words != 0) {
      const uint64_t next = LowestBit(words);
      return leaf.begin + next * kSlots + LowestBit(~leaf.node->words[next]);
    }
  } else if (!leaf.all) {
    return from;
  }
  uint64_t found = NextIn<false>(*root_, level_, from);
  return found != kNone ? found : capacity();
}

PageNumber PageBitmap::RunBegin(PageNumber page) const {
  if (Leaf leaf = LeafOf(page); leaf.node != nullptr) {
    const uint64_t slot = page / kSlots % kSlots;
    if (uint64_t word = ~leaf.node->words[slot] & Bits(0, page % kSlots); word != 0) {
      return leaf.begin + slot * kSlots + HighestBit(word) + 1;
    }
  }
  uint64_t before = LastIn<false>(*root_, level_, page);
  return before != kNone ? before + 1 : 0;
}

std::optional<Run> PageBitmap::FirstEndingAfter(PageNumber page) const {
  PageNumber inside = NextSet(page);
  if (inside == kNone) {
    return std::nullopt;
  }
  PageNumber first = inside == page ? RunBegin(page) : inside;
  return Run{first, NextUnset(inside) - first};
}

// Of pages first .. last of a node. `within`: whether the page before is in the set, then whether the last one is.
uint64_t PageBitmap::CountRunsIn(const Node& node, int level, uint64_t first, uint64_t last, bool* within) {
  const int shift = ShiftOf(level);
  const uint64_t mask = (uint64_t{1} << shift) - 1;
  uint64_t runs = 0;
  for (uint64_t slot = first >> shift; slot <= last >> shift; ++slot) {
    const uint64_t from = slot == first >> shift ? first & mask : 0;
    const uint64_t to = slot == last >> shift ? last & mask : mask;
    const bool some = (node.some >> slot & 1) != 0, all = (node.all >> slot & 1) != 0;
    if (some == all) {
      runs += all && !*within ? 1 : 0;
      *within = all;
    } else if (level == 0) {
      const uint64_t word = node.words[slot] & Bits(from, to);
      runs += static_cast<uint64_t>(std::popcount(word & ~(word << 1 | (*within ? uint64_t{1} << from : 0))));
      *within = (word >> to & 1) != 0;
    } else {
      runs += CountRunsIn(*node.children[slot], level - 1, from, to, within);
    }
  }
  return runs;
}

uint64_t PageBitmap::CountRuns(PageNumber start, PageNumber end) const {
  end = std::min(end, capacity());
  bool within = false;
  return start < end ? CountRunsIn(*root_, level_, start, end - 1, &within) : 0;
}

// ---- Iterator ----

PageBitmap::Iterator PageBitmap::From(PageNumber start) const {
  Iterator iterator(*this);
  if (auto first = FirstEndingAfter(start)) {
    iterator.Seat(*first);
  }
  return iterator;
}

void PageBitmap::Iterator::Seat(Run run) {
  at_ = run;
  word_ = words_left_ = 0;
  behind_ = run.end();
  if (behind_ < bits_.capacity()) {
    if (Leaf leaf = bits_.LeafOf(behind_); leaf.node != nullptr) {
      const uint64_t slot = behind_ / kSlots % kSlots;
      leaf_ = leaf.node;
      leaf_begin_ = leaf.begin;
      word_begin_ = leaf.begin + slot * kSlots;
      word_ = leaf_->words[slot] & (kAll << behind_ % kSlots);
      words_left_ = leaf_->some & ~Bits(0, slot);
      behind_ = leaf.begin + kLeafPages;
    }
  }
}

void PageBitmap::Iterator::Next() {
  if (word_ == 0 && words_left_ != 0) {
    const uint64_t slot = LowestBit(words_left_);
    words_left_ &= words_left_ - 1;
    word_begin_ = leaf_begin_ + slot * kSlots;
    word_ = leaf_->words[slot];
  }
  PageNumber first;
  if (word_ != 0) {
    const uint64_t begin = LowestBit(word_);
    first = word_begin_ + begin;
    if (uint64_t behind = ~word_ & (kAll << begin); behind != 0) {
      const uint64_t end = LowestBit(behind);
      at_ = {first, end - begin};
      word_ &= kAll << end;
      return;
    }
  } else {
    first = bits_.NextSet(behind_);
    if (first == kNone) {
      at_ = {};
      return;
    }
  }
  Seat({first, bits_.NextUnset(first) - first});
}

}  // namespace johnny::space
