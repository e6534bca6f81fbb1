#include "pager/extent.h"

#include <algorithm>
#include <string>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace johnny::pager {
namespace {

using format::ExtentRef;
using format::kExtentChunk;

// Seed of a chunk or of the checksum table: its place and its transaction.
uint64_t ExtentSeed(const PageStore& store, PageNumber page, TxnId birth) {
  return format::PageSeed(store.database_id(), page) + birth;
}

PageNumber ChunkPage(const PageStore& store, PageNumber first, uint64_t chunk) {
  return first + chunk * (kExtentChunk >> store.shift());
}

uint64_t ChunkSize(uint64_t length, uint64_t chunk) { return std::min(kExtentChunk, length - chunk * kExtentChunk); }

PageNumber TablePage(const PageStore& store, const ExtentRef& ref) {
  return ref.first + format::ExtentPayloadPages(ref.length, store.page_size());
}

absl::Status BadChunk(PageNumber page, const ExtentRef& ref) {
  return CorruptPage(page, absl::StrCat("checksum mismatch in the large value of ", ref.length, " bytes at page ", ref.first));
}

// Checks chunk `chunk` against `expected` unless `trust_table` and it is known to be good.
absl::Status CheckChunk(const PageStore& store, const ExtentRef& ref, uint64_t chunk, uint64_t expected, bool trust_table) {
  PageNumber page = ChunkPage(store, ref.first, chunk);
  uint16_t tag = PageStore::Tag(PageStore::Kind::kExtent, expected);
  if (trust_table && store.IsChecked(page, tag)) {
    return absl::OkStatus();
  }
  if (Checksum(store.page(page), ChunkSize(ref.length, chunk), ExtentSeed(store, page, ref.birth)) != expected) {
    return BadChunk(page, ref);
  }
  store.SetChecked(page, tag);
  return absl::OkStatus();
}

absl::Status CheckExtent(const View& view, const ExtentRef& ref, bool trust_table, const std::function<bool(uint64_t)>& go_on) {
  const PageStore& store = *view.store();
  uint64_t chunks = format::ExtentChunks(ref.length);
  if (chunks <= 1) {
    return CheckChunk(store, ref, 0, ref.checksum, trust_table);
  }
  PageNumber table_page = TablePage(store, ref);
  const Byte* table = store.page(table_page);
  uint16_t tag = PageStore::Tag(PageStore::Kind::kExtent, ref.checksum);
  if (!trust_table || !store.IsChecked(table_page, tag)) {
    if (Checksum(table, chunks * 8, ExtentSeed(store, table_page, ref.birth)) != ref.checksum) {
      return BadChunk(table_page, ref);
    }
    store.SetChecked(table_page, tag);
  }
  for (uint64_t chunk = 0; chunk < chunks; ++chunk) {
    JOHNNY_RETURN_IF_ERROR(CheckChunk(store, ref, chunk, Load64(table + 8 * chunk), trust_table));
    if (go_on && !go_on(format::ExtentPayloadPages(ChunkSize(ref.length, chunk), store.page_size()))) {
      break;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckExtentBounds(const View& view, const ExtentRef& ref) {
  if (ref.first < format::FirstPage(view.page_size()) || ref.first >= view.page_count() || ref.length == 0 ||
      ref.length > view.page_count() << view.store()->shift() ||
      format::ExtentPages(ref.length, view.page_size()) > view.page_count() - ref.first) {
    return CorruptPage(ref.first, absl::StrCat("a large value of ", ref.length, " bytes does not lie inside the file"));
  }
  return absl::OkStatus();
}

absl::StatusOr<ExtentRef> WriteExtent(os::File* file, const PageStore& store, PageNumber first, TxnId birth, Slice value) {
  ExtentRef ref{first, value.size(), birth, 0};
  uint64_t chunks = format::ExtentChunks(value.size());
  std::string table;
  for (uint64_t chunk = 0; chunk < chunks; ++chunk) {
    Slice bytes = value.substr(chunk * kExtentChunk, ChunkSize(value.size(), chunk));
    uint64_t sum = Checksum(bytes.data(), bytes.size(), ExtentSeed(store, ChunkPage(store, first, chunk), birth));
    table.append(reinterpret_cast<const char*>(&sum), sizeof sum);
  }
  size_t padding = (store.page_size() - value.size() % store.page_size()) % store.page_size();
  std::string tail(padding, '\0');
  if (chunks == 1) {
    ref.checksum = Load64(table.data());
  } else {
    ref.checksum = Checksum(table.data(), table.size(), ExtentSeed(store, TablePage(store, ref), birth));
    table.resize((table.size() + store.page_size() - 1) / store.page_size() * store.page_size());
    tail += table;
  }
  absl::InlinedVector<Slice, 2> pieces = {value};
  if (!tail.empty()) {
    pieces.push_back(tail);
  }
  JOHNNY_RETURN_IF_ERROR(file->WriteAt(first << store.shift(), pieces));
  return ref;
}

absl::StatusOr<Slice> ReadExtent(const View& view, const ExtentRef& ref) {
  JOHNNY_RETURN_IF_ERROR(CheckExtentBounds(view, ref));
  JOHNNY_RETURN_IF_ERROR(CheckExtent(view, ref, /*trust_table=*/true, nullptr));
  return MakeSlice(view.store()->page(ref.first), ref.length);
}

absl::Status VerifyExtent(const View& view, const ExtentRef& ref, const std::function<bool(uint64_t pages)>& go_on) {
  JOHNNY_RETURN_IF_ERROR(CheckExtentBounds(view, ref));
  return CheckExtent(view, ref, /*trust_table=*/false, go_on);
}

}  // namespace johnny::pager
