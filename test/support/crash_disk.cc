#include "support/crash_disk.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "format/layout.h"
#include "format/master_page.h"

namespace johnny::sim {
namespace {

constexpr size_t kSector = 512;
constexpr size_t kPiece = 4096;
constexpr size_t kPiecesPerWrite = 16;

bool AllZeros(Slice bytes) { return bytes.find_first_not_of('\0') == Slice::npos; }

// Cuts a write where the disk may: at multiples of 4 KiB of the file, zeros together, in at most kPiecesPerWrite pieces or so.
std::vector<Slice> CutWrite(uint64_t offset, Slice data) {
  std::vector<Slice> pieces;
  size_t group = kPiece * std::max<size_t>(1, data.size() / kPiece / kPiecesPerWrite);
  bool last_zeros = false;
  size_t last_size = 0;
  for (size_t at = 0; at < data.size();) {
    size_t size = std::min<size_t>(data.size() - at, kPiece - (offset + at) % kPiece);
    bool zeros = AllZeros(data.substr(at, size));
    if (!pieces.empty() && zeros == last_zeros && (zeros || last_size + size <= group)) {
      last_size += size;
      pieces.back() = Slice(pieces.back().data(), last_size);
    } else {
      pieces.push_back(data.substr(at, size));
      last_size = size;
    }
    last_zeros = zeros;
    at += size;
  }
  return pieces;
}

std::string Garbage(size_t size, uint64_t seed) {
  Random random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) {
    byte = static_cast<char>(random());
  }
  return bytes;
}

const char* NameOf(Tear::Kind kind) {
  static const char* const kNames[] = {"prefix of", "suffix from", "every second sector, phase", "garbage sector at"};
  return kNames[static_cast<int>(kind)];
}

}  // namespace

bool CrashDisk::Change::is_master() const {
  return kind == Kind::kWrite && data.size() == format::kMasterPageSize &&
         (offset == format::kMasterSlotOffset[0] || offset == format::kMasterSlotOffset[1]);
}

void CrashDisk::AddWrite(const Event& event, size_t index) {
  uint64_t offset = event.offset;
  for (Slice piece : CutWrite(event.offset, event.data)) {
    pending_.push_back(
        {.kind = Change::Kind::kWrite, .file = event.file, .offset = offset, .data = std::string(piece), .event = index});
    offset += piece.size();
  }
}

bool CrashDisk::SyncFile(int file) {
  auto of_file = [file](const Change& change) { return change.file == file && !change.about_name(); };
  bool any_dropped = std::any_of(pending_.begin(), pending_.end(), [&](const Change& c) { return of_file(c) && c.dropped; });
  for (Change& change : pending_) {
    if (of_file(change) && any_dropped) {
      change.must = !change.dropped;
    } else if (of_file(change)) {
      ApplyChange(change, &durable_);
    }
  }
  if (!any_dropped) {
    std::erase_if(pending_, of_file);
  }
  in_subsets_ = 0;
  in_tears_ = 0;
  return true;
}

bool CrashDisk::SyncDirectory(const std::string& directory) {
  auto in_directory = [&](const Change& change) { return change.about_name() && change.name.rfind(directory, 0) == 0; };
  for (const Change& change : pending_) {
    if (in_directory(change)) {
      ApplyChange(change, &durable_);
    }
  }
  std::erase_if(pending_, in_directory);
  in_subsets_ = 0;
  in_tears_ = 0;
  return true;
}

bool CrashDisk::Apply(const Event& event, size_t index) {
  switch (event.kind) {
    case Event::Kind::kWrite:
      AddWrite(event, index);
      return false;
    case Event::Kind::kResize:
      pending_.push_back({.kind = Change::Kind::kSetSize, .file = event.file, .size = event.size, .event = index});
      return false;
    case Event::Kind::kPreallocate:
      pending_.push_back({.kind = Change::Kind::kExtend, .file = event.file, .size = event.size, .event = index});
      return false;
    case Event::Kind::kCreate:
    case Event::Kind::kLink:
      durable_.files[event.file];  // an empty file, reachable or not
      pending_.push_back({.kind = Change::Kind::kBind, .file = event.file, .name = event.name, .event = index});
      return false;
    case Event::Kind::kUnlink:
      pending_.push_back({.kind = Change::Kind::kUnbind, .file = event.file, .name = event.name, .event = index});
      return false;
    case Event::Kind::kSync:
      return SyncFile(event.file);
    case Event::Kind::kSyncDirectory:
      return SyncDirectory(event.name);
    case Event::Kind::kSyncDropped:
      for (Change& change : pending_) {
        change.dropped |= change.file == event.file && !change.about_name() && !change.must;
      }
      return false;
    case Event::Kind::kMark:
      return false;
  }
  return false;
}

void CrashDisk::ApplyChange(const Change& change, DiskImage* image) {
  switch (change.kind) {
    case Change::Kind::kWrite:
      image->files[change.file].Write(change.offset, change.data);
      break;
    case Change::Kind::kSetSize:
      image->files[change.file].Resize(change.size);
      break;
    case Change::Kind::kExtend: {
      FileImage& file = image->files[change.file];
      file.Resize(std::max(file.size(), change.size));
      break;
    }
    case Change::Kind::kBind:
      image->names[change.name] = change.file;
      break;
    case Change::Kind::kUnbind:
      image->names.erase(change.name);
      break;
  }
}

void CrashDisk::ApplyTorn(const Change& change, const Tear& tear, DiskImage* image) {
  FileImage& file = image->files[change.file];
  Slice data = change.data;
  switch (tear.kind) {
    case Tear::Kind::kPrefix:
      file.Write(change.offset, data.substr(0, tear.at));
      break;
    case Tear::Kind::kSuffix:
      file.Write(change.offset + tear.at, data.substr(tear.at));
      break;
    case Tear::Kind::kInterleaved:
      for (size_t at = tear.at * kSector; at < data.size(); at += 2 * kSector) {
        file.Write(change.offset + at, data.substr(at, kSector));
      }
      break;
    case Tear::Kind::kGarbage:
      file.Write(change.offset, data);
      file.Write(change.offset + tear.at, Garbage(std::min(kSector, data.size() - tear.at), change.event * 4096 + tear.at));
      break;
  }
}

DiskImage CrashDisk::Build(const Variant& variant) const {
  DiskImage image = durable_;
  for (size_t i = 0; i < pending_.size(); ++i) {
    if (static_cast<int>(i) == variant.torn) {
      ApplyTorn(pending_[i], variant.tear, &image);
    } else if (variant.keep[i]) {
      ApplyChange(pending_[i], &image);
    }
  }
  if (variant.sizes != Variant::Sizes::kNatural) {
    DiskImage reference = Build(Everything(variant.sizes == Variant::Sizes::kFull));
    for (auto& [number, file] : image.files) {
      file.Resize(reference.files[number].size());
    }
  }
  return image;
}

Variant CrashDisk::Everything(bool keep) const {
  Variant variant;
  for (const Change& change : pending_) {
    variant.keep.push_back(keep || change.must);
  }
  return variant;
}

std::vector<Variant> CrashDisk::Variants(const VariantOptions& options, Random* random) const {
  std::vector<Variant> variants;
  if (options.subsets) {
    AddSubsets(options, random, &variants);
  }
  AddSizes(random, &variants);
  AddTears(options, random, &variants);
  std::shuffle(variants.begin(), variants.end(), *random);
  variants.insert(variants.begin(), {Everything(true), Everything(false)});
  return variants;
}

std::vector<size_t> CrashDisk::Optional() const {
  std::vector<size_t> optional;
  for (size_t i = 0; i < pending_.size(); ++i) {
    if (!pending_[i].must) {
      optional.push_back(i);
    }
  }
  return optional;
}

Variant CrashDisk::Keep(const std::vector<size_t>& optional, const std::function<bool(size_t)>& kept) const {
  Variant variant = Everything(false);
  for (size_t i = 0; i < optional.size(); ++i) {
    variant.keep[optional[i]] = kept(i);
  }
  return variant;
}

Variant CrashDisk::RandomSubset(const std::vector<size_t>& optional, Random* random) const {
  uint64_t density = 1 + Below(random, 15);
  return Keep(optional, [&](size_t) { return Below(random, 16) < density; });
}

std::vector<Variant> CrashDisk::NewSubsets(size_t limit) {
  std::vector<Variant> variants;
  std::vector<size_t> optional = Optional();
  size_t known = static_cast<size_t>(std::lower_bound(optional.begin(), optional.end(), in_subsets_) - optional.begin());
  size_t n = optional.size();
  if (n > limit) {
    return variants;
  }
  for (size_t bits = known == 0 ? 0 : size_t{1} << known; bits < (size_t{1} << n); ++bits) {
    variants.push_back(Keep(optional, [&](size_t i) { return ((bits >> i) & 1) != 0; }));
  }
  in_subsets_ = pending_.size();
  return variants;
}

std::vector<Variant> CrashDisk::NewMasterTears() {
  std::vector<Variant> variants;
  for (size_t i = in_tears_; i < pending_.size(); ++i) {
    const Change& change = pending_[i];
    if (!change.is_master() || change.must) {
      continue;
    }
    std::string before = durable_.files.at(change.file).Read(change.offset, change.data.size());
    for (size_t at = 1; at < change.data.size(); ++at) {
      for (Tear::Kind kind : {Tear::Kind::kPrefix, Tear::Kind::kSuffix}) {
        for (bool others : {false, true}) {
          if (before[at - 1] == change.data[at - 1]) {
            continue;  // as torn one byte before
          }
          Variant variant = Everything(others);
          variant.keep[i] = true;
          variant.torn = static_cast<int>(i);
          variant.tear = {kind, at};
          variants.push_back(std::move(variant));
        }
      }
    }
  }
  in_tears_ = pending_.size();
  return variants;
}

void CrashDisk::AddSubsets(const VariantOptions& options, Random* random, std::vector<Variant>* variants) const {
  std::vector<size_t> optional = Optional();
  size_t n = optional.size();
  auto add = [&](const auto& kept) { variants->push_back(Keep(optional, kept)); };
  if (n <= options.all_subsets_up_to) {
    for (size_t bits = 1; bits + 1 < (size_t{1} << n); ++bits) {
      add([&](size_t i) { return ((bits >> i) & 1) != 0; });
    }
    return;
  }
  for (size_t one = 0; one < n; ++one) {
    size_t other = Below(random, n);
    add([&](size_t i) { return i != one; });
    add([&](size_t i) { return i == one; });
    add([&](size_t i) { return i != one && i != other; });
    add([&](size_t i) { return i < one; });
  }
  for (int sample = 0; sample < 64; ++sample) {
    variants->push_back(RandomSubset(optional, random));
  }
}

// For some subsets: the same contents with the file's old or newest size.
void CrashDisk::AddSizes(Random* random, std::vector<Variant>* variants) const {
  DiskImage all = Build(Everything(true));
  DiskImage none = Build(Everything(false));
  bool differ = std::any_of(pending_.begin(), pending_.end(), [&](const Change& change) {
    return !change.about_name() && all.files[change.file].size() != none.files[change.file].size();
  });
  if (!differ) {
    return;
  }
  std::vector<Variant> bases = {Everything(true), Everything(false)};
  std::vector<size_t> optional = Optional();
  for (int i = 0; i < 24 && !optional.empty(); ++i) {
    bases.push_back(RandomSubset(optional, random));
  }
  for (Variant& base : bases) {
    base.sizes = Variant::Sizes::kDurable;
    variants->push_back(base);
    base.sizes = Variant::Sizes::kFull;
    variants->push_back(base);
  }
}

void CrashDisk::AddTears(const VariantOptions& options, Random* random, std::vector<Variant>* variants) const {
  for (size_t i = 0; i < pending_.size(); ++i) {
    const Change& change = pending_[i];
    size_t size = change.data.size();
    if (change.kind != Change::Kind::kWrite || change.must || size == 0 ||
        (!change.is_master() && pending_.size() > 12 && Below(random, pending_.size()) >= 12)) {
      continue;
    }
    std::vector<Tear> tears = {{Tear::Kind::kInterleaved, 0},
                               {Tear::Kind::kInterleaved, 1},
                               {Tear::Kind::kGarbage, Below(random, (size + kSector - 1) / kSector) * kSector}};
    auto cut = [&](size_t at) {
      tears.push_back({Tear::Kind::kPrefix, at});
      tears.push_back({Tear::Kind::kSuffix, at});
    };
    size_t step = size > kPiece ? kPiece : kSector;
    for (size_t at = step; at < size; at += step) {
      cut(at);
    }
    if (change.is_master()) {
      for (size_t at = 1; at < size && options.every_byte; ++at) {
        cut(at);
      }
      for (int sample = 0; sample < 12; ++sample) {
        cut(1 + Below(random, sample < 10 ? kSector - 1 : size - 1));  // what a commit changes lies in the first sector
      }
    }
    for (const Tear& tear : tears) {
      uint64_t others = Below(random, 4);
      Variant variant = Everything(others >= 2);
      for (size_t k = 0; k < pending_.size() && others == 1; ++k) {
        variant.keep[k] = pending_[k].must || Below(random, 2) == 0;
      }
      variant.keep[i] = true;
      variant.torn = static_cast<int>(i);
      variant.tear = tear;
      variants->push_back(std::move(variant));
    }
  }
}

std::string CrashDisk::DescribeChange(const Change& change) const {
  std::string text = absl::StrCat("event ", change.event, change.dropped ? " (sync failed): " : ": ");
  switch (change.kind) {
    case Change::Kind::kWrite:
      return absl::StrCat(text, "write of ", change.data.size(), " at ", change.offset);
    case Change::Kind::kSetSize:
      return absl::StrCat(text, "resize to ", change.size);
    case Change::Kind::kExtend:
      return absl::StrCat(text, "extension to ", change.size);
    case Change::Kind::kBind:
      return absl::StrCat(text, "new name ", change.name);
    case Change::Kind::kUnbind:
      return absl::StrCat(text, "removed name ", change.name);
  }
  return text;
}

std::string CrashDisk::Describe(const Variant& variant) const {
  std::string kept = absl::StrCat("of ", pending_.size(), " unsynced changes kept {");
  std::string dropped = "} dropped {";
  for (size_t i = 0; i < pending_.size(); ++i) {
    absl::StrAppend(i < variant.keep.size() && variant.keep[i] ? &kept : &dropped, DescribeChange(pending_[i]), "; ");
  }
  std::string text = kept + dropped + "}";
  if (variant.torn >= 0) {
    absl::StrAppend(&text, " torn {", DescribeChange(pending_[static_cast<size_t>(variant.torn)]), ", ",
                    NameOf(variant.tear.kind), " ", variant.tear.at, "}");
  }
  if (variant.sizes != Variant::Sizes::kNatural) {
    text += variant.sizes == Variant::Sizes::kDurable ? " with the size as last synced" : " with the size as last set";
  }
  return text;
}

}  // namespace johnny::sim
