// One page of a tree: built from the input's keys and values, or laid out as the input has it, and then changed where the input
// says so. If it passes the check of first touch (node/vet.h), then every reader must stay inside it and find what is there, and
// every change leaves a page that passes again and holds what it should. No checksum is involved: none may be needed for that.
#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/guard.h"
#include "node/branch.h"
#include "node/leaf.h"
#include "node/vet.h"
#include "support.h"

namespace johnny::fuzz {
namespace {

using node::BranchEntry;
using node::Header;
using node::LeafEntry;
using node::LeafValue;

constexpr size_t kMostBuilt = 40;    // entries
constexpr uint32_t kMostFound = 32;  // entries of a page that are searched for

// Two pages of each size, in allocations that end where they end, so that AddressSanitizer sees every step outside.
Byte* PageBuffer(uint32_t size, int which) {
  static std::array<std::array<std::unique_ptr<Byte[]>, 2>, 4> buffers;
  auto& buffer = buffers[static_cast<size_t>(__builtin_ctz(size / format::kMinPageSize))][static_cast<size_t>(which)];
  if (buffer == nullptr) {
    buffer.reset(new Byte[size]);
  }
  return buffer.get();
}

const char* Vet(const Byte* page, uint32_t size) {
  const char* reason = node::VetNode(page, size);
  return reason != nullptr ? reason : node::CheckOrder(page);
}

void MustBeSound(const Byte* page, uint32_t size, const char* after) {
  if (const char* reason = Vet(page, size); reason != nullptr) {
    Defect(std::string(after) + " makes a sound page unsound: " + reason);
  }
}

bool Same(const LeafEntry& a, const LeafEntry& b) {
  return a.key == b.key && a.value.bytes == b.value.bytes && a.value.is_extent == b.value.is_extent;
}

bool Same(const format::ChildRef& a, const format::ChildRef& b) {
  return a.page == b.page && a.checksum == b.checksum && a.entries == b.entries;
}

class Target {
 public:
  explicit Target(InputReader* input) : in_(*input) {}

  void Run() {
    uint8_t choice = in_.Byte();
    size_ = choice % 16 == 15 ? format::kMaxPageSize : choice % 16 == 14 ? 2 * format::kMinPageSize : format::kMinPageSize;
    page_ = PageBuffer(size_, 0);
    copy_ = PageBuffer(size_, 1);
    std::memset(page_, 0, size_);
    switch (choice / 16 % 4) {
      case 0:
        LayOut();
        break;
      case 1:
        BuildBranchPage();
        break;
      default:
        BuildLeafPage();
        break;
    }
    built_ = Header(page_)->count;
    for (uint8_t patches = in_.Byte() % 8; patches > 0; --patches) {
      Patch();
    }
    if (Vet(page_, size_) != nullptr || Header(page_)->count == 0) {
      return;
    }
    node::IsLeaf(page_) ? ExamineLeaf() : ExamineBranch();
  }

 private:
  // ---- Making a page ----

  // Pieces at places; the rest is zeros.
  void LayOut() {
    for (uint8_t pieces = in_.Byte() % 32; pieces > 0; --pieces) {
      size_t at = in_.Number(2) % size_;
      std::string_view piece = in_.Take(in_.Byte());
      std::memcpy(page_ + at, piece.data(), std::min(piece.size(), size_ - at));
    }
  }

  // One that shares bytes with `previous`.
  std::string NextKey(const std::string& previous) {
    std::string key = previous.substr(0, in_.Byte());
    uint8_t shape = in_.Byte();
    key.append(in_.Take(shape % 16));
    if (shape / 16 == 15) {
      key.append(4 * size_t{in_.Byte()}, '\0');
    }
    key.resize(std::min(key.size(), format::MaxKeySize(size_)));
    return key;
  }

  std::pair<std::string, bool> NextValue(size_t key_size) {
    uint8_t shape = in_.Byte();
    if (shape % 16 == 15) {
      std::string reference(in_.Take(8));
      reference.resize(format::kExtentRefSize);
      return {reference, true};
    }
    std::string value(in_.Take(shape % 16));
    if (shape / 16 == 15) {
      value.append(size_ / 256 * size_t{in_.Byte()}, 'v');
    }
    value.resize(std::min(value.size(), format::MaxInlineEntry(size_) - format::kLeafEntryHeader - key_size));
    return {value, false};
  }

  void BuildLeafPage() {
    std::map<std::string, std::pair<std::string, bool>> contents;
    std::string key;
    for (size_t n = in_.Byte() % kMostBuilt; n > 0; --n) {
      key = NextKey(key);
      contents.insert_or_assign(key, NextValue(key.size()));
    }
    std::vector<LeafEntry> entries;
    size_t bytes = format::kPageHeaderSize;
    for (const auto& [its_key, value] : contents) {
      LeafEntry entry{its_key, {value.first, value.second}};
      bytes += node::LeafEntryCost(entry);
      if (bytes > size_) {
        break;
      }
      entries.push_back(entry);
    }
    node::BuildLeaf(page_, size_, entries);
  }

  void BuildBranchPage() {
    std::map<std::string, format::ChildRef> children;
    std::string key;
    for (size_t n = 1 + in_.Byte() % kMostBuilt; n > 0; --n) {
      key = NextKey(key);
      children[key] = {16 + children.size(), in_.Byte(), n};
    }
    std::vector<BranchEntry> entries;
    for (const auto& [separator, ref] : children) {
      entries.push_back({entries.empty() ? Slice() : Slice(separator), ref});
    }
    while (!node::BuildBranch(page_, size_, static_cast<uint8_t>(1 + in_.Byte() % 4), entries)) {
      entries.resize(entries.size() / 2);
    }
  }

  void Patch() {
    uint8_t what = in_.Byte();
    size_t index = in_.Byte();
    uint32_t value = in_.Number(2);
    size_t heads = Header(page_)->level == 0 ? format::kPageHeaderSize : std::min<size_t>(node::BranchHeadsAt(page_), size_);
    size_t slots = heads + (Header(page_)->level == 0 ? 4 : 4 + format::kChildRefSize) * size_t{built_};
    size_t slot = Clamped(slots + 2 * index);
    switch (what % 8) {
      case 0:
        return MoveToEnd(slot, value);
      case 1:
        return Change(offsetof(format::PageHeader, count) + 2 * (index % 4), what, value);
      case 2:
        page_[offsetof(format::PageHeader, type) + index % 2] = static_cast<Byte>(value);
        return;
      case 3:
        return Change(heads + 4 * index + 2 * (value % 2), what, value);
      case 4:
        return Change(slot, what, value);
      case 5:  // a key's or tail's size; a value's size
      case 6:
        return Change(Load16(page_ + slot) + (what % 8 == 6 ? 2 : 0), what, value);
      default:
        return Change(index * (size_ / 256) + in_.Byte(), what, value);
    }
  }

  // Puts the beginning of the entry or tail that a slot names so near to the page's end that it may reach beyond.
  void MoveToEnd(size_t slot, uint32_t distance) {
    constexpr size_t kMoved = format::kLeafEntryHeader;
    size_t from = std::min<size_t>(Load16(page_ + slot), size_ - kMoved);
    size_t to = size_ - kMoved - distance % 64;
    std::memmove(page_ + to, page_ + from, kMoved);
    Store16(page_ + slot, static_cast<uint16_t>(to));
  }

  size_t Clamped(size_t at) const { return std::min<size_t>(at, size_ - 2); }
  void Change(size_t at, uint8_t how, uint32_t value) {
    Byte* field = page_ + Clamped(at);
    bool relative = how / 8 % 2 == 1;
    Store16(field, static_cast<uint16_t>(relative ? Load16(field) + static_cast<int8_t>(value) : value));
  }

  // ---- Leaves ----

  std::vector<LeafEntry> LeafEntries(const Byte* page) const {
    std::vector<LeafEntry> entries(Header(page)->count);
    for (uint32_t i = 0; i < entries.size(); ++i) {
      entries[i] = node::GetLeafEntry(page, i);
      const char* begin = entries[i].key.data();
      Require(begin >= reinterpret_cast<const char*>(page), "an entry lies before its page");
      MustBeReadable(begin, entries[i].key.size() + entries[i].value.bytes.size());
      Require(
          entries[i].key.size() <= format::MaxKeySize(size_) &&
              format::kLeafEntryHeader + entries[i].key.size() + entries[i].value.bytes.size() <= format::MaxInlineEntry(size_),
          "an entry is too large");
    }
    return entries;
  }

  void ExamineLeaf() {
    std::vector<LeafEntry> entries = LeafEntries(page_);
    Require(node::LeafBytesUsed(page_) <= size_, "entries that do not overlap take more than the page");
    uint32_t step = 1 + Header(page_)->count / kMostFound;
    for (uint32_t i = 0; i < entries.size(); i += step) {
      node::Position at = node::SearchLeaf(page_, entries[i].key);
      const Byte* entry = node::LeafEntryAt(page_, i);
      Require(at.found && at.index == i && node::FindInLeaf(page_, entries[i].key) == entry, "a key of the page is not found");
    }
    std::string key(entries[in_.Byte() % entries.size()].key);
    for (uint8_t changes = 1 + in_.Byte() % 3; changes > 0; --changes) {
      key = NextKey(key);
      std::memcpy(copy_, page_, size_);
      ChangeLeaf(entries, key);
    }
  }

  // Puts `key` into the copy, and removes an entry.
  void ChangeLeaf(std::vector<LeafEntry> entries, const std::string& key) {
    auto next = std::lower_bound(entries.begin(), entries.end(), key,
                                 [](const LeafEntry& entry, Slice wanted) { return node::CompareKeys(entry.key, wanted) < 0; });
    auto index = static_cast<uint32_t>(next - entries.begin());
    bool found = next != entries.end() && next->key == Slice(key);
    node::Position at = node::SearchLeaf(copy_, key);
    Require(at.index == index && at.found == found, "a search finds another place");
    Require(node::FindInLeaf(copy_, key) == (found ? node::LeafEntryAt(copy_, index) : nullptr), "a lookup finds another entry");
    auto [bytes, is_extent] = NextValue(key.size());
    LeafEntry entry{key, {bytes, is_extent}};
    bool done = false;
    if (found) {
      done = node::ReplaceInLeaf(copy_, size_, index, entry.value);
      *next = done ? entry : *next;
    } else {
      done = node::InsertIntoLeaf(copy_, size_, index, entry);
      Require(done == (node::LeafBytesUsed(page_) + node::LeafEntryCost(entry) <= size_), "what fits, and only that, goes in");
      if (done) {
        entries.insert(next, entry);
      }
    }
    Require(done || std::memcmp(copy_, page_, size_) == 0, "a change that does not fit changes the page");
    MustHold(entries, "a put");
    index = in_.Byte() % static_cast<uint32_t>(entries.size());
    node::RemoveFromLeaf(copy_, index);
    entries.erase(entries.begin() + index);
    MustHold(entries, "a removal");
  }

  // `entries` lie in the page, or elsewhere, but not in the copy.
  void MustHold(const std::vector<LeafEntry>& entries, const char* after) const {
    MustBeSound(copy_, size_, after);
    std::vector<LeafEntry> now = LeafEntries(copy_);
    Require(std::equal(now.begin(), now.end(), entries.begin(), entries.end(),
                       [](const LeafEntry& a, const LeafEntry& b) { return Same(a, b); }),
            "a leaf does not hold what it should");
  }

  // ---- Branches ----

  struct Child {
    std::string separator;
    format::ChildRef ref;
  };

  std::vector<Child> Children(const Byte* page) const {
    std::vector<Child> children(Header(page)->count);
    for (uint32_t i = 0; i < children.size(); ++i) {
      node::AppendSeparator(page, i, &children[i].separator);
      children[i].ref = node::GetChild(page, i);
      Require(children[i].separator.size() <= format::MaxKeySize(size_), "a separator is too long");
    }
    return children;
  }

  void ExamineBranch() {
    std::vector<Child> children = Children(page_);
    Require(node::BranchBytesUsed(page_) <= size_, "a branch takes more than its page");
    uint32_t step = 1 + Header(page_)->count / kMostFound;
    for (uint32_t i = 1; i < children.size(); i += step) {
      Require(node::SearchBranch(page_, children[i].separator) == i, "a separator does not lead to its child");
    }
    Rebuild(children);
    std::string key = children[in_.Byte() % children.size()].separator;
    for (uint8_t changes = 1 + in_.Byte() % 3; changes > 0; --changes) {
      key = NextKey(key);
      std::memcpy(copy_, page_, size_);
      ChangeBranch(children, key);
    }
  }

  void Rebuild(const std::vector<Child>& children) {
    std::vector<BranchEntry> entries;
    for (const Child& child : children) {
      entries.push_back({child.separator, child.ref});
    }
    size_t bytes = node::BranchBytesNeeded(entries);
    bool built = node::BuildBranch(copy_, size_, Header(page_)->level, entries);
    Require(built == (bytes <= size_), "a branch that fits, and only that, is built");
    if (built) {
      Require(node::BranchBytesUsed(copy_) == bytes, "a branch takes other room than foretold");
      MustHold(children, "a rebuilding");
    }
  }

  void ChangeBranch(std::vector<Child> children, const std::string& key) {
    uint32_t at = 0;
    while (at + 1 < children.size() && node::CompareKeys(children[at + 1].separator, key) <= 0) {
      ++at;
    }
    Require(node::SearchBranch(copy_, key) == at, "a key is led to another child");
    Child added{key, {100, 7, 1}};
    if (!(at > 0 && children[at].separator == key)) {
      if (node::InsertIntoBranch(copy_, at + 1, key, added.ref)) {
        children.insert(children.begin() + at + 1, added);
        MustHold(children, "an insertion");
      } else {
        Require(std::memcmp(copy_, page_, size_) == 0, "a child that does not fit changes the branch");
      }
    }
    if (children.size() > 1) {
      uint32_t gone = in_.Byte() % static_cast<uint32_t>(children.size());
      node::RemoveFromBranch(copy_, gone);
      children.erase(children.begin() + gone);
      children[0].separator.clear();
      MustHold(children, "a removal");
    }
  }

  void MustHold(const std::vector<Child>& children, const char* after) const {
    MustBeSound(copy_, size_, after);
    std::vector<Child> now = Children(copy_);
    Require(std::equal(now.begin(), now.end(), children.begin(), children.end(),
                       [](const Child& a, const Child& b) { return a.separator == b.separator && Same(a.ref, b.ref); }),
            "a branch does not hold what it should");
  }

  InputReader& in_;
  uint32_t size_ = 0;
  Byte* page_ = nullptr;
  Byte* copy_ = nullptr;
  uint16_t built_ = 0;  // entries or children before any patch
};

}  // namespace
}  // namespace johnny::fuzz

int LLVMFuzzerInitialize(int*, char***) { return 0; }

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  johnny::fuzz::InputReader input(data, size);
  johnny::fuzz::Target(&input).Run();
  return 0;
}
