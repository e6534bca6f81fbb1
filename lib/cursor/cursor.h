// Ordered iteration over a tree.
//
// A cursor stands on an entry, in the gap that a deleted entry left, before the first entry, after the last, or nowhere. In a
// write transaction, Save() is called before the tree changes: the cursor then keeps its key and finds its place again at its
// next use. Thread rules: those of its transaction.
#ifndef JOHNNY_CURSOR_CURSOR_H_
#define JOHNNY_CURSOR_CURSOR_H_

#include <string>

#include "tree/tree.h"

namespace johnny::cursor {

using tree::Lookup;

class Cursor {
 public:
  Cursor(const pager::View* view, const format::TableRecord* record) : view_(view), record_(record) {}

  // Limits the cursor to [lower, upper) and unpositions it.
  void SetLower(Slice lower) { SetBound(&lower_, &has_lower_, lower); }
  void SetUpper(Slice upper) { SetBound(&upper_, &has_upper_, upper); }
  void ClearBounds();
  void SetPrefix(Slice prefix);

  // Movements. From nowhere, Next() is First() and Prev() is Last(). Next() past the last entry leaves the cursor after the last,
  // from where Prev() goes back to it; likewise at the other end. Otherwise kNotFound leaves the cursor as it was; kError:
  // nowhere.
  Lookup First();
  Lookup Last();
  Lookup Next();
  Lookup Prev();
  // The greater part of Next() and Prev(): to the neighbour in the same leaf. False, and nothing done, if it takes more than
  // that.
  bool NextWithinLeaf() {
    if (state_ != State::kOn || has_upper_ || path_.leaf().index + 1 >= node::Header(path_.leaf().page)->count) {
      return false;
    }
    path_.PrefetchAhead(++path_.leaf().index);
    return true;
  }
  bool PrevWithinLeaf() {
    if (state_ != State::kOn || has_lower_ || path_.leaf().index == 0) {
      return false;
    }
    path_.PrefetchAhead(node::Header(path_.leaf().page)->count - 1u - --path_.leaf().index);
    return true;
  }
  // The same, on to the last of up to `limit` > 0 entries that lie behind each other in one leaf; *count of them, the cursor's
  // own the last one.
  Lookup NextRun(uint32_t limit, uint32_t* count);
  Lookup PrevRun(uint32_t limit, uint32_t* count);
  const Byte* leaf() const { return path_.leaf().page; }
  const tree::Path& path() const { return path_; }
  uint32_t index() const { return path_.leaf().index; }
  // Puts the cursor on another entry of its leaf.
  void MoveWithinLeaf(uint32_t index) { path_.leaf().index = index; }

  // Seeks: kNotFound leaves the cursor nowhere.
  Lookup SeekExact(Slice key);
  Lookup SeekAtOrAfter(Slice key);
  Lookup SeekAtOrBefore(Slice key);

  // Finds the place again after changes. kFound: on an entry; kNotFound: it has been deleted, or nowhere.
  Lookup Restore();
  bool nowhere() const { return state_ == State::kNowhere || state_ == State::kBeforeFirst || state_ == State::kAfterLast; }
  // The current entry, after a call that returned kFound.
  node::LeafEntry entry() const { return node::GetLeafEntry(path_.leaf().page, path_.leaf().index); }

  // Keeps the position by its key. Must be called before the tree changes or its frames move.
  void Save();
  void Unposition() { state_ = State::kNowhere; }

 private:
  enum class State {
    kNowhere,
    kBeforeFirst,
    kAfterLast,
    kOn,     // path_ is at the entry
    kGap,    // path_ is at the lower bound of key_, whose entry is gone
    kSaved,  // path_ is not valid; key_ is
  };

  void SetBound(std::string* bound, bool* has, Slice value);
  bool InLower(Slice key) const { return !has_lower_ || node::CompareKeys(key, lower_) >= 0; }
  bool InUpper(Slice key) const { return !has_upper_ || node::CompareKeys(key, upper_) < 0; }
  Lookup Land(Lookup result, const tree::Path& path);
  Lookup Step(bool forward);
  Lookup FromOutside(State entry, State exit);
  Lookup LandOrUnposition(Lookup result, const tree::Path& path);
  Lookup AtOrAfter(Slice key, tree::Path* path) const;
  Lookup Before(Slice key, bool or_at, tree::Path* path) const;

  const pager::View* view_;
  const format::TableRecord* record_;
  State state_ = State::kNowhere;
  tree::Path path_;
  std::string key_;
  std::string lower_;
  std::string upper_;
  bool has_lower_ = false;
  bool has_upper_ = false;
};

}  // namespace johnny::cursor

#endif  // JOHNNY_CURSOR_CURSOR_H_
