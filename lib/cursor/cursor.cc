#include "cursor/cursor.h"

#include <algorithm>

namespace johnny::cursor {

using node::Header;

void Cursor::SetBound(std::string* bound, bool* has, Slice value) {
  bound->assign(value);
  *has = true;
  state_ = State::kNowhere;
}

void Cursor::ClearBounds() {
  has_lower_ = has_upper_ = false;
  state_ = State::kNowhere;
}

void Cursor::SetPrefix(Slice prefix) {
  ClearBounds();
  SetLower(prefix);
  // The least string behind all that start with the prefix: its last byte that is not 0xff, plus one.
  std::string upper(prefix);
  while (!upper.empty() && static_cast<Byte>(upper.back()) == 0xff) {
    upper.pop_back();
  }
  if (!upper.empty()) {
    upper.back() = static_cast<char>(static_cast<Byte>(upper.back()) + 1);
    SetUpper(upper);
  }
}

// Takes the position over if the search found an entry within the bounds.
Lookup Cursor::Land(Lookup result, const tree::Path& path) {
  if (result != Lookup::kFound) {
    state_ = result == Lookup::kError ? State::kNowhere : state_;
    return result;
  }
  if (has_lower_ || has_upper_) {
    Slice key = node::LeafKey(path.leaf().page, path.leaf().index);
    if (!InLower(key) || !InUpper(key)) {
      return Lookup::kNotFound;
    }
  }
  if (&path != &path_) {
    path_ = path;
  }
  state_ = State::kOn;
  return Lookup::kFound;
}

Lookup Cursor::LandOrUnposition(Lookup result, const tree::Path& path) {
  result = Land(result, path);
  if (result != Lookup::kFound) {
    state_ = State::kNowhere;
  }
  return result;
}

// The first entry >= key.
Lookup Cursor::AtOrAfter(Slice key, tree::Path* path) const {
  Lookup result = tree::Search(*view_, *record_, key, path);
  if (result != Lookup::kNotFound || path->top < 0) {
    return result;
  }
  return path->leaf().index < Header(path->leaf().page)->count ? Lookup::kFound : tree::StepLeaf(*view_, true, path);
}

// The last entry < key, or <= key.
Lookup Cursor::Before(Slice key, bool or_at, tree::Path* path) const {
  Lookup result = tree::Search(*view_, *record_, key, path);
  if (result == Lookup::kError || path->top < 0 || (result == Lookup::kFound && or_at)) {
    return result;
  }
  if (path->leaf().index > 0) {
    path->leaf().index--;
    return Lookup::kFound;
  }
  return tree::StepLeaf(*view_, false, path);
}

Lookup Cursor::First() {
  tree::Path path;
  return Land(has_lower_ ? AtOrAfter(lower_, &path) : tree::SearchEdge(*view_, *record_, false, &path), path);
}

Lookup Cursor::Last() {
  tree::Path path;
  return Land(has_upper_ ? Before(upper_, false, &path) : tree::SearchEdge(*view_, *record_, true, &path), path);
}

Lookup Cursor::Next() {
  if (nowhere()) {
    return FromOutside(State::kBeforeFirst, State::kAfterLast);
  }
  if (state_ == State::kSaved && Restore() == Lookup::kError) {
    state_ = State::kNowhere;
    return Lookup::kError;
  }
  uint32_t index = path_.leaf().index + (state_ == State::kOn ? 1 : 0);
  if (path_.top < 0 || index >= Header(path_.leaf().page)->count) {
    return Step(/*forward=*/true);
  }
  if (has_upper_ && !InUpper(node::LeafKey(path_.leaf().page, index))) {
    state_ = State::kAfterLast;
    return Lookup::kNotFound;
  }
  path_.leaf().index = index;
  state_ = State::kOn;
  return Lookup::kFound;
}

Lookup Cursor::Prev() {
  if (nowhere()) {
    return FromOutside(State::kAfterLast, State::kBeforeFirst);
  }
  if (state_ == State::kSaved && Restore() == Lookup::kError) {
    state_ = State::kNowhere;
    return Lookup::kError;
  }
  if (path_.top < 0 || path_.leaf().index == 0) {
    return Step(/*forward=*/false);
  }
  uint32_t index = path_.leaf().index - 1;
  if (has_lower_ && !InLower(node::LeafKey(path_.leaf().page, index))) {
    state_ = State::kBeforeFirst;
    return Lookup::kNotFound;
  }
  path_.leaf().index = index;
  state_ = State::kOn;
  return Lookup::kFound;
}

Lookup Cursor::NextRun(uint32_t limit, uint32_t* count) {
  Lookup result = Next();
  *count = result == Lookup::kFound ? 1 : 0;
  if (result != Lookup::kFound) {
    return result;
  }
  tree::Path::Step& leaf = path_.leaf();
  uint32_t end = std::min<uint64_t>(Header(leaf.page)->count, uint64_t{leaf.index} + limit);
  if (has_upper_ && end > leaf.index + 1 && !InUpper(node::LeafKey(leaf.page, end - 1))) {
    end = std::clamp(node::SearchLeaf(leaf.page, upper_).index, leaf.index + 1, end);
  }
  *count = end - leaf.index;
  leaf.index = end - 1;
  return Lookup::kFound;
}

Lookup Cursor::PrevRun(uint32_t limit, uint32_t* count) {
  Lookup result = Prev();
  *count = result == Lookup::kFound ? 1 : 0;
  if (result != Lookup::kFound) {
    return result;
  }
  tree::Path::Step& leaf = path_.leaf();
  uint32_t begin = leaf.index - std::min(leaf.index, limit - 1);
  if (has_lower_ && begin < leaf.index && !InLower(node::LeafKey(leaf.page, begin))) {
    begin = std::clamp(node::SearchLeaf(leaf.page, lower_).index, begin, leaf.index);
  }
  *count = leaf.index - begin + 1;
  leaf.index = begin;
  return Lookup::kFound;
}

// Next() or Prev() when on no entry: `entry` is the end that it comes from, `exit` the one it goes to.
Lookup Cursor::FromOutside(State entry, State exit) {
  if (state_ == exit) {
    return Lookup::kNotFound;
  }
  Lookup result = entry == State::kBeforeFirst ? First() : Last();
  if (result == Lookup::kNotFound && state_ == entry) {
    state_ = exit;
  }
  return result;
}

// To the next or previous leaf.
Lookup Cursor::Step(bool forward) {
  Lookup result = path_.top < 0 ? Lookup::kNotFound : Land(tree::StepLeaf(*view_, forward, &path_), path_);
  if (result == Lookup::kNotFound) {
    state_ = forward ? State::kAfterLast : State::kBeforeFirst;
  }
  return result;
}

Lookup Cursor::SeekExact(Slice key) {
  tree::Path path;
  return LandOrUnposition(tree::Search(*view_, *record_, key, &path), path);
}

Lookup Cursor::SeekAtOrAfter(Slice key) {
  tree::Path path;
  bool below = has_lower_ && node::CompareKeys(key, lower_) < 0;
  return LandOrUnposition(AtOrAfter(below ? Slice(lower_) : key, &path), path);
}

Lookup Cursor::SeekAtOrBefore(Slice key) {
  tree::Path path;
  bool above = has_upper_ && node::CompareKeys(key, upper_) >= 0;
  return LandOrUnposition(above ? Before(upper_, false, &path) : Before(key, true, &path), path);
}

Lookup Cursor::Restore() {
  if (state_ == State::kSaved) {
    Lookup result = tree::Search(*view_, *record_, key_, &path_);
    if (result != Lookup::kError) {
      state_ = result == Lookup::kFound ? State::kOn : State::kGap;
    }
    return result;
  }
  return state_ == State::kOn ? Lookup::kFound : Lookup::kNotFound;
}

void Cursor::Save() {
  if (state_ == State::kOn) {
    key_.assign(node::LeafKey(path_.leaf().page, path_.leaf().index));
    state_ = State::kSaved;
  } else if (state_ == State::kGap) {
    state_ = State::kSaved;
  }
}

}  // namespace johnny::cursor
