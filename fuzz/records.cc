// What is read besides the pages of trees: the free log, its records and segments, master pages, the mark of a failed sync,
// table and snapshot records. Checksums are always right here, since none may be needed to stay within bounds.
//
// Whatever is accepted is within the bounds that others rely on, and is the same after being written and read again.
#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/guard.h"
#include "format/master_page.h"
#include "format/snapshot_record.h"
#include "space/free_log.h"
#include "support.h"

namespace johnny::fuzz {
namespace {

using format::ChildRef;
using format::PageType;
using space::LogRecord;
using space::PendingRun;

constexpr uint32_t kPage = format::kMinPageSize;
constexpr uint64_t kId = 77;

// Bytes in an allocation of their own.
class Exact {
 public:
  Exact(std::string_view bytes, size_t size) : bytes_(new Byte[size]()) {
    std::memcpy(bytes_.get(), bytes.data(), std::min(bytes.size(), size));
  }
  Byte* get() const { return bytes_.get(); }

 private:
  std::unique_ptr<Byte[]> bytes_;
};

template <typename Runs>
void RequireAscending(const Runs& runs, PageNumber end) {
  PageNumber at = 0;
  for (const auto& run : runs) {
    Require(run.pages > 0 && run.first >= at && run.end() <= end, "runs that do not ascend");
    at = run.end();
  }
}

std::vector<space::Run> RunsOf(const std::vector<PendingRun>& pending) {
  std::vector<space::Run> runs;
  for (const PendingRun& run : pending) {
    Require(run.birth <= run.death, "pages freed before they were born");
    runs.push_back(run.run);
  }
  return runs;
}

void Record(std::string_view bytes) {
  auto record = space::DecodeRecord(bytes, 16);
  if (!record.ok()) {
    return;
  }
  RequireAscending(record->taken, record->new_page_count);
  RequireAscending(record->meta_region, record->new_page_count);
  RequireAscending(RunsOf(record->freed), record->new_page_count);
  Require(space::OldestNeeded(*record) <= record->txn, "a segment younger than its record");
  std::string encoded = space::EncodeRecord(*record);
  auto again = space::DecodeRecord(encoded, 16);
  Require(again.ok() && space::EncodeRecord(*again) == encoded, "a record changes when written");
}

void Segment(InputReader* in) {
  TxnId as_of = in->Byte() % 2 == 0 ? in->Byte() : in->Word();
  auto runs = space::DecodeSegment(in->Rest(), as_of, 16);
  if (!runs.ok()) {
    return;
  }
  RequireAscending(RunsOf(*runs), format::kMaxPageNumber);
  std::string encoded = space::EncodeSegment(*runs, as_of);
  auto again = space::DecodeSegment(encoded, as_of, 16);
  Require(again.ok() && space::EncodeSegment(*again, as_of) == encoded, "a segment changes when written");
}

// Up to four streams of two pages each, in a file that ends with the last. A reference to a page that is there has the right
// checksum, whatever the input says.
class FreeLog {
 public:
  explicit FreeLog(InputReader* in) : in_(*in) {}

  void Run() {
    count_ = 1 + in_.Byte() % kMostStreams;
    for (size_t i = 0; i < count_; ++i) {
      AddStream(i);
    }
    Load();
  }

 private:
  static constexpr size_t kMostStreams = 4;
  static constexpr PageNumber kFirst = format::kMasterRegion / kPage;
  static constexpr PageNumber kEnd = kFirst + 2 * kMostStreams;

  // The same for all inputs.
  struct Store {
    Store() {
      system.set_recording(false);
      file = *system.Open("/f", os::OpenMode::kCreateNew, 0644);
      Require(file->Resize(kEnd * kPage).ok(), "no room");
      pages = *pager::PageStore::Create(file.get(), kPage, kId, kEnd * kPage);
    }
    sim::SimSystem system;
    std::unique_ptr<os::File> file;
    std::unique_ptr<pager::PageStore> pages;
  };
  static Store& TheStore() {
    static Store* store = new Store;  // for ever
    return *store;
  }

  // The last stream's pages are the file's last.
  PageNumber PageOf(size_t stream) const { return kEnd - 2 * (count_ - stream); }

  void Fix(ChildRef* ref, size_t before) const {
    if (ref->page != 0 && ref->page < 64 && before > 0) {
      *ref = refs_[ref->page % before];
    }
  }

  void AddStream(size_t i) {
    uint8_t kind = in_.Byte();
    std::string bytes(in_.Take(in_.Number(2) % (2 * kPage - 200)));
    TxnId birth = in_.Byte();
    auto type = kind % 2 == 0 ? PageType::kFreeLogRecord : PageType::kFreeLogSegment;
    if (auto record = space::DecodeRecord(bytes, 16); type == PageType::kFreeLogRecord && record.ok()) {
      Fix(&record->previous, i);
      for (space::SegmentRef& segment : record->segments) {
        Fix(&segment.first, i);
      }
      birth = kind % 16 == 14 ? birth : record->txn;
      newest_ = {record->txn, record->new_page_count};
      bytes = space::EncodeRecord(*record);
    }
    std::array<PageNumber, 2> numbers = {PageOf(i), PageOf(i) + 1};
    alignas(8) static std::array<Byte, 2 * kPage> pages;
    if (space::StreamPages(bytes.size(), kPage) > numbers.size()) {
      bytes.resize(2 * kPage - 200);
    }
    absl::Span<const PageNumber> used = absl::MakeConstSpan(numbers).subspan(kind / 2 % 2);  // the last one only, or both
    if (space::StreamPages(bytes.size(), kPage) > used.size()) {
      used = numbers;
    }
    refs_[i] = space::BuildStream(bytes, type, birth, used, kPage, kId, pages.data());
    if (kind / 32 == 7) {
      Patch(pages.data(), used[0], &refs_[i]);
    }
    Slice piece = MakeSlice(pages.data(), used.size() * kPage);
    Require(TheStore().file->WriteAt(used[0] * kPage, absl::MakeConstSpan(&piece, 1)).ok(), "cannot write");
  }

  // Changes a field of the stream's first page behind the checksum.
  void Patch(Byte* page, PageNumber number, ChildRef* ref) {
    size_t at = 8 + in_.Byte() % (format::kPageHeaderSize + format::kChildRefSize - 8);
    Store16(page + at, static_cast<uint16_t>(in_.Number(2)));
    auto* header = node::Header(page);
    header->checksum = format::PageChecksum(page, kPage, kId, number);
    ref->checksum = static_cast<uint32_t>(header->checksum);
  }

  void Load() {
    pager::View view(TheStore().pages.get(), kEnd, nullptr);
    uint8_t choice = in_.Byte();
    TxnId master_txn = choice % 8 == 7 ? in_.Byte() : newest_.txn;
    PageNumber page_count = choice / 8 % 8 == 7 ? in_.Byte() : newest_.page_count;
    auto log = space::LoadFreeLog(view, refs_[count_ - 1], master_txn, page_count);
    if (!log.ok()) {
      Require(log.status().message().size() > 10, "no reason is given");
      return;
    }
    RequireAscending(RunsOf(log->runs), page_count);
    RequireAscending(log->meta_region, page_count);
    Require(!log->records.empty() && log->records.back().txn <= master_txn, "the newest record is not there");
  }

  InputReader& in_;
  size_t count_ = 0;
  std::array<ChildRef, kMostStreams> refs_;
  struct {
    TxnId txn = 0;
    PageNumber page_count = 0;
  } newest_;
};

void Master(InputReader* in) {
  constexpr size_t kChecksumAt = format::kMasterPageSize - 8;
  format::MasterPage master;
  master.page_size = kPage;
  master.page_count = 100;
  master.txn = 5;
  master.durable_txn = 4;
  master.id_ceiling = 1000;
  Exact page("", format::kMasterPageSize);
  format::EncodeMasterPage(master, page.get());
  bool repaired = in->Byte() % 8 != 0;
  while (!in->empty()) {
    size_t at = in->Number(2) % (in->Byte() % 8 == 0 ? format::kMasterPageSize : 256);
    std::string_view bytes = in->Take(in->Byte() % 64);
    std::memcpy(page.get() + at, bytes.data(), std::min(bytes.size(), format::kMasterPageSize - at));
  }
  if (repaired) {
    Store64(page.get() + kChecksumAt, Checksum(page.get(), kChecksumAt, format::kMagic));
  }
  auto decoded = format::DecodeMasterPage(page.get(), 0);
  if (!decoded.ok()) {
    return;
  }
  Require(format::IsValidPageSize(decoded->page_size) && decoded->page_count >= format::FirstPage(decoded->page_size) &&
              decoded->page_count <= format::kMaxPageNumber && decoded->txn <= decoded->id_ceiling &&
              decoded->main.level <= format::kMaxLevel && decoded->catalog.level <= format::kMaxLevel,
          "an impossible master page");
  Exact once("", format::kMasterPageSize), twice("", format::kMasterPageSize);
  format::EncodeMasterPage(*decoded, once.get());
  auto again = format::DecodeMasterPage(once.get(), 0);
  Require(again.ok(), "a master page that is written again is refused");
  format::EncodeMasterPage(*again, twice.get());
  Require(std::memcmp(once.get(), twice.get(), format::kMasterPageSize) == 0, "a master page changes when written");
}

void SyncMark(InputReader* in) {
  format::SyncMark mark{in->Word(), in->Word(), in->Byte() % 8u}, read;
  Exact bytes("", format::kSyncMarkSize);
  format::EncodeSyncMark(mark, bytes.get());
  bool possible = mark.durable_slot <= format::kNoDurableSlot;
  bool same = true;
  while (!in->empty()) {
    Byte* at = bytes.get() + in->Number(2) % format::kSyncMarkSize;
    Byte old = std::exchange(*at, in->Byte());
    same = same && (*at == old || at >= bytes.get() + 40);
  }
  bool valid = format::DecodeSyncMark(bytes.get(), &read);
  Require(!same || valid == possible, "a mark is not recognised, or an impossible one is");
  Require(!(same && valid) || (read.boot_id == mark.boot_id && read.durable_txn == mark.durable_txn), "a mark changes");
}

void Snapshot(InputReader* in) {
  TxnId before = in->Word();
  Exact bytes(in->Rest(), format::kSnapshotRecordSize), once("", format::kSnapshotRecordSize),
      twice("", format::kSnapshotRecordSize);
  format::SnapshotRecord record = format::LoadSnapshotRecord(bytes.get());
  if (format::VetSnapshotRecord(record, before, kPage) != nullptr) {
    return;
  }
  Require(record.txn < before && record.page_count <= format::kMaxPageNumber && record.main.root.page < record.page_count &&
              record.catalog.root.page < record.page_count,
          "an impossible snapshot");
  format::StoreSnapshotRecord(once.get(), record);
  format::StoreSnapshotRecord(twice.get(), format::LoadSnapshotRecord(once.get()));
  Require(std::memcmp(once.get(), twice.get(), format::kSnapshotRecordSize) == 0, "a snapshot record changes when written");
}

void Run(InputReader* in) {
  switch (in->Byte() % 8) {
    case 0:
      return Record(in->Rest());
    case 1:
      return Segment(in);
    case 2:
      return Master(in);
    case 3:
      return SyncMark(in);
    case 4:
      return Snapshot(in);
    default:
      return FreeLog(in).Run();
  }
}

}  // namespace
}  // namespace johnny::fuzz

int LLVMFuzzerInitialize(int*, char***) { return 0; }

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  johnny::fuzz::InputReader input(data, size);
  johnny::fuzz::Run(&input);
  return 0;
}
