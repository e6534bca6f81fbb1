#include "txn/database.h"

#include <algorithm>
#include <new>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"

namespace johnny::txn {
namespace {

using readers::SharedState;

constexpr uint32_t kMaxTables = 1u << 20;
// Ids that may be handed out before a durable master page has to say so. Lazy commits must not be forced to sync often.
constexpr TxnId kIdWindow = 1024;
constexpr TxnId kLazyIdWindow = TxnId{1} << 20;

}  // namespace

absl::Status WritesRefused() {
  return MakeStatus(
      Code::kWritesRefused,
      "an earlier sync or commit failed with an unknown outcome; close the database in all processes and reopen it");
}

Database::~Database() { background.Stop(); }

// ---- Tables ----

Table* Database::FindTable(const std::string& name) {
  MutexLock lock(&tables_mutex);
  auto at = table_index.find(name);
  return at == table_index.end() ? nullptr : &tables[at->second - 1];
}

absl::StatusOr<Table*> Database::InternTable(const std::string& name, const void* env) {
  MutexLock lock(&tables_mutex);
  auto [at, fresh] = table_index.try_emplace(name, static_cast<uint32_t>(tables.size()) + 1);
  if (fresh) {
    if (tables.size() >= kMaxTables) {
      table_index.erase(at);
      return MakeStatus(Code::kTablesFull, absl::StrCat("the environment already has ", kMaxTables, " table handles"));
    }
    try {
      tables.push_back({env, name, at->second});
    } catch (const std::bad_alloc&) {
      table_index.erase(at);
      throw;
    }
  }
  return &tables[at->second - 1];
}

// ---- Snapshots ----

TxnId Database::durable_txn() const {
  uint64_t word = state().commit.load(std::memory_order_seq_cst);
  return (word & SharedState::kDurable) != 0 ? SharedState::IdOf(word) : state().durable_txn.load(std::memory_order_seq_cst);
}

absl::Status Database::Admit(const readers::Snapshot& snapshot) {
  if (snapshot.page_count > known_pages.load(std::memory_order_relaxed)) {
    JOHNNY_ASSIGN_OR_RETURN(uint64_t size, file->Size());
    uint64_t pages = std::min(size, store->reserved()) >> store->shift();
    known_pages.store(pages, std::memory_order_relaxed);
    if (snapshot.page_count > pages) {
      return size > store->reserved()
                 ? MakeStatus(Code::kNoMemory, absl::StrCat(path, ": another process has made the database grow past the ",
                                                            store->reserved(), " bytes of address space reserved here"))
                 : MakeStatus(Code::kLockFile, absl::StrCat(path, ": the lock file announces a snapshot of ", snapshot.page_count,
                                                            " pages, the file has ", pages));
    }
  }
  for (const format::TableRecord* record : {&snapshot.main, &snapshot.catalog}) {
    if (pager::IsFrame(record->root) || record->level > format::kMaxLevel) {
      return MakeStatus(Code::kLockFile, absl::StrCat(path, ": the lock file announces an impossible snapshot"));
    }
  }
  return absl::OkStatus();
}

std::vector<TxnId> Database::PinnedBeside(const NamedPins& names) {
  std::vector<TxnId> pinned;
  {
    // In this order: what is not sealed any more has been announced.
    MutexLock lock(&publish);
    for (const Sealed& commit : sealed) {
      pinned.push_back(commit.master.txn);
    }
  }
  TxnId durable = durable_txn();
  pinned.push_back(durable);
  names.AppendPinned(durable, &pinned);
  pinned.push_back(board.newest());
  // A dead process's readers are freed when they are in the way: this is asked when room is needed.
  if (board.AppendPinned(&pinned) && FreeDeadReaders() != 0) {
    return PinnedBeside(names);
  }
  std::sort(pinned.begin(), pinned.end());
  pinned.erase(std::unique(pinned.begin(), pinned.end()), pinned.end());
  return pinned;
}

// ---- Free space ----

namespace {

space::FreeSpaceOptions SpaceOptions(const Database& db) {
  space::FreeSpaceOptions options;
  options.has_size_limit = db.options.size_limit != 0;
  uint64_t limit = std::min(db.options.size_limit != 0 ? db.options.size_limit : UINT64_MAX, db.store->reserved());
  options.limit_pages = limit >> db.store->shift();
  options.slack_percent = db.options.slack_percent;
  options.shrink = db.options.shrink;
  options.system = db.system;
  return options;
}

}  // namespace

absl::Status Database::LoadSpace() {
  if (space != nullptr) {
    return absl::OkStatus();
  }
  auto pins = [this] {
    if (space != nullptr) {  // and short of room
      AskSlowReaders();
    }
    return Pinned();
  };
  auto loaded = std::make_unique<space::FreeSpace>(file.get(), store.get(), SpaceOptions(*this), pins);
  pager::View view(store.get(), tip.page_count, nullptr);
  JOHNNY_RETURN_IF_ERROR(loaded->Load(view, tip.free_log, tip.txn));
  JOHNNY_RETURN_IF_ERROR(named.Load(view, tip.catalog, tip.txn));
  space = std::move(loaded);
  NoteFreeSpace();
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<space::FreeSpace>> Database::LoadSpaceOf(const readers::Snapshot& snapshot,
                                                                        std::vector<TxnId>* pinned) {
  pager::View view(store.get(), snapshot.page_count, nullptr);
  NamedPins names;
  JOHNNY_RETURN_IF_ERROR(names.Load(view, snapshot.catalog, snapshot.txn));
  std::vector<TxnId> pins = PinnedBeside(names);
  auto loaded = std::make_unique<space::FreeSpace>(file.get(), store.get(), SpaceOptions(*this), [pins] { return pins; });
  JOHNNY_RETURN_IF_ERROR(loaded->Load(view, snapshot.free_log, snapshot.txn));
  loaded->ReleasePending();
  if (pinned != nullptr) {
    *pinned = std::move(pins);
  }
  return loaded;
}

void Database::ReleasePending() {
  try {
    space->ReleasePending();
  } catch (const std::bad_alloc&) {
    space.reset();  // half changed; it will be loaded again
    throw;
  }
}

void Database::NoteFreeSpace() {
  state().free_pages.store(space->free_pages(), std::memory_order_relaxed);
  state().pending_pages.store(space->pending_pages(), std::memory_order_relaxed);
  has_surplus.store(space->surplus_pages() != 0, std::memory_order_relaxed);
}

// ---- The writer ----

TxnId Database::IdWindow() const { return IsLazy(options.durability) ? kLazyIdWindow : kIdWindow; }

absl::Status Database::BecomeWriter(uint32_t timeout_ms) {
  bool fresh = false;
  JOHNNY_RETURN_IF_ERROR(writer.Acquire(timeout_ms, &fresh));
  absl::Cleanup release = [this] { writer.Release(); };
  must_adopt |= fresh;  // until it succeeds: the lock may pass on within this process
  if (writes_refused()) {
    return WritesRefused();
  }
  if (must_adopt) {
    JOHNNY_RETURN_IF_ERROR(CatchUp());
    must_adopt = false;
  }
  std::move(release).Cancel();
  return absl::OkStatus();
}

absl::Status Database::CatchUp() {
  uint64_t word = state().commit.load(std::memory_order_seq_cst);
  bool died = (word & SharedState::kPublishing) != 0;
  if (!died && state().publications.load(std::memory_order_seq_cst) == seen_publications) {
    return space != nullptr ? space->RefreshFileSize() : absl::OkStatus();  // who aborted has changed it, too
  }
  // What is left half done is done anew by the next writer.
  absl::Cleanup forget = [this] {
    space.reset();
    seen_publications = UINT64_MAX;
  };
  JOHNNY_RETURN_IF_ERROR(adopt(this, died));
  std::move(forget).Cancel();
  return absl::OkStatus();
}

absl::StatusOr<TxnId> Database::NextId() {
  std::atomic<uint64_t>& last = state().last_id;
  TxnId before = last.load(std::memory_order_relaxed);
  if (before >= format::kMaxTxnId - IdWindow()) {
    return NoIdsLeft();
  }
  TxnId id = before + 1;
  MutexLock lock(&publish);
  if (id > id_ceiling) {
    AwaitSealed();
    AwaitSync();
    JOHNNY_RETURN_IF_ERROR(SyncLocked());
    if (id > id_ceiling) {
      JOHNNY_RETURN_IF_ERROR(RewriteMaster(id + IdWindow(), format::kMasterDurable));
    }
  }
  last.store(id, std::memory_order_relaxed);
  return id;
}

// Nobody gets there by counting.
absl::Status Database::NoIdsLeft() {
  std::vector<Byte> bytes(format::kMasterPageSize);
  for (int slot = 0; slot < 2; ++slot) {
    JOHNNY_RETURN_IF_ERROR(file->ReadAt(format::kMasterSlotOffset[slot], bytes.data(), bytes.size()));
    absl::StatusOr<format::MasterPage> master = format::DecodeMasterPage(bytes.data(), slot);
    if (master.ok() && master->id_ceiling >= format::kMaxTxnId - 2 * kLazyIdWindow) {
      return MakeStatus(Code::kCorrupt, absl::StrCat(path, ": master page ", slot, " has the id ceiling ", master->id_ceiling,
                                                     ", above which there are no ids for new transactions; it can only be read"));
    }
  }
  return MakeStatus(Code::kLockFile, absl::StrCat(path, ": the lock file has impossible transaction ids"));
}

absl::Status Database::MarkClean() {
  MutexLock lock(&publish);
  AwaitSealed();
  AwaitSync();
  if (writes_refused() || (newest_master.clean() && durable_txn() == newest_master.txn)) {
    return absl::OkStatus();
  }
  return RewriteMaster(state().last_id.load(std::memory_order_relaxed) + IdWindow(),
                       format::kMasterDurable | format::kMasterClean);
}

void Database::AskSlowReaders() {
  if (options.reader_limit_ms == 0 && options.reader_limit_bytes == 0) {
    return;
  }
  TxnId newest = board.newest();
  uint64_t now = system->MonotonicMillis();
  for (uint32_t i = 0; i < board.used_slots(); ++i) {
    readers::ReaderSlot& slot = board.slot(i);
    TxnId snapshot = slot.snapshot.load(std::memory_order_seq_cst);
    if (snapshot == 0 || snapshot >= newest || slot.asked.load(std::memory_order_relaxed) == snapshot) {
      continue;
    }
    uint64_t pages = space->PagesWaitingFor(snapshot);
    uint64_t age = now - std::min(now, slot.since_ms.load(std::memory_order_relaxed));
    bool too_old = options.reader_limit_ms != 0 && age > options.reader_limit_ms;
    bool too_much = options.reader_limit_bytes != 0 && pages << store->shift() > options.reader_limit_bytes;
    if ((too_old || too_much) && pages != 0 && (!options.must_go || options.must_go(i, pages))) {
      slot.asked.store(snapshot, std::memory_order_relaxed);
    }
  }
}

void Database::ShrinkFile() {
  uint64_t surplus = space != nullptr ? space->surplus_pages() : 0;
  has_surplus.store(surplus != 0, std::memory_order_relaxed);
  if (surplus == 0 || writes_refused()) {
    return;
  }
  {
    MutexLock lock(&publish);
    if (!sealed.empty() || durable_txn() != newest_master.txn) {
      return;
    }
  }
  std::vector<TxnId> readers;
  board.AppendPinned(&readers);
  if (std::any_of(readers.begin(), readers.end(), [this](TxnId snapshot) { return snapshot < last_cut; })) {
    return;
  }
  system->YieldPoint("shrink");
  uint64_t pages = space->file_pages() - surplus;
  if (file->Resize(pages << store->shift()).ok()) {  // if not, the file is longer than it need be
    system->YieldPoint("shrunk");
    space->FileShrunk(pages);
    known_pages.store(pages, std::memory_order_relaxed);
  }
  has_surplus.store(false, std::memory_order_relaxed);
}

void Database::ShrinkIfIdle() {
  if (!has_surplus.load(std::memory_order_relaxed) || !BecomeWriter(0).ok()) {
    return;
  }
  absl::Cleanup release = [this] { writer.Release(); };
  try {
    ShrinkFile();
  } catch (const std::bad_alloc&) {  // another time, then
  }
}

}  // namespace johnny::txn
