// The bytes of a database file, in the form of packed_file.h. Whatever they are: no crash, no hang, no defect reported. And if
// the checker finds nothing wrong with them, then everything else must agree: all reads work, scans both ways and counts fit
// together, writing works, and the checker finds nothing wrong with the result.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "packed_file.h"
#include "support.h"
#include "support/forge.h"

namespace johnny::fuzz {
namespace {

using test::Cursor;
using test::Env;
using test::Result;
using test::Txn;

constexpr uint64_t kMostEntries = 20000;  // of a scan; more than a sound file of this size has, save in tables that share pages
constexpr uint64_t kMostBytes = 8 << 20;  // of values looked at in a scan
constexpr size_t kKeysKept = 8;

// The keys and sizes that a scan found, as a number, and some of its keys.
struct Scan {
  uint64_t entries = 0;
  uint64_t digest = 0;  // the same in either direction
  bool whole = false;   // it came to the end
  std::vector<std::string> keys;
};

class Target {
 public:
  // What takes long is done for some of the inputs, as their bytes have it; so an input always does the same.
  explicit Target(std::string_view bytes) : choice_(Checksum(bytes.data(), bytes.size(), 0)) {
    system_.set_recording(false);
    PutFile(&system_, kDatabase, bytes);
  }

  void Run() {
    Look();
    if ((sound_ || choice_ % 4 == 0) && Change() && choice_ / 4 % 4 == 0) {
      Look();
    }
  }

 private:
  johnny_options Options(uint32_t flags) const {
    johnny_options options = SmallOptions();
    options.memory_budget = 64 * 32768;
    options.flags = flags | JOHNNY_NO_LOCK_FILE;
    return options;
  }

  // Damage is no surprise, unless the checker has found none.
  bool Wrong(const Result& result) const {
    if (!Failed(result)) {
      return false;
    }
    if (sound_ && result == JOHNNY_CORRUPT) {
      Defect("the checker found nothing, but: " + result.message());
    }
    return true;
  }
  void Expect(bool holds, const char* what) const {
    if (sound_ && !holds) {
      Defect(std::string("the checker found nothing, but: ") + what);
    }
  }

  // Whether the checker is content; once it was, it has to stay so.
  void Verify(const Env& env) {
    bool must_be_sound = std::exchange(sound_, false);
    Result result = johnny_verify(env.get(), nullptr, nullptr);
    bool wrong = Failed(result);
    if (must_be_sound && wrong) {
      Defect("a sound file has become unsound: " + result.message() + env.Findings());
    }
    sound_ = !wrong;
  }

  void Look() {
    Env env;
    if (Wrong(env.Open(&system_, kDatabase, Options(JOHNNY_READ_ONLY)))) {
      return;
    }
    Verify(env);
    johnny_env_info info{};
    info.struct_size = sizeof info;
    Wrong(johnny_env_get_info(env.get(), &info));
    auto visit_run = [](void*, const johnny_free_run*) { return 0; };
    Wrong(johnny_free_run_list(env.get(), visit_run, nullptr));
    Txn txn;
    if (!Wrong(txn.Begin(env, JOHNNY_READ))) {
      LookAtTables(&txn);
      LookAtPages(txn, info.page_count);
      LookAtSnapshots(env, txn);
    }
    txn = Txn();
    Wrong(env.Close());
  }

  std::vector<std::string> TableNames(const Txn& txn) const {
    std::vector<std::string> names = {""};
    auto keep = [](void* context, const char* name) {
      auto* list = static_cast<std::vector<std::string>*>(context);
      list->push_back(name);
      return list->size() < 5 ? 0 : 1;
    };
    Result listed = johnny_table_list(txn.get(), keep, &names);
    if (!(listed == JOHNNY_STOPPED)) {
      Wrong(listed);
    }
    return names;
  }

  void LookAtTables(Txn* txn) {
    for (const std::string& name : TableNames(*txn)) {
      johnny_table* table = nullptr;
      if (!name.empty() && Wrong(txn->OpenTable(name, 0, &table))) {
        continue;
      }
      Scan forward = ScanTable(*txn, table, johnny_cursor_first, johnny_cursor_next);
      Scan backward = ScanTable(*txn, table, johnny_cursor_last, johnny_cursor_prev);
      if (forward.whole && backward.whole) {
        Expect(forward.entries == backward.entries && forward.digest == backward.digest, "the scans differ");
        uint64_t count = 0;
        if (!Wrong(txn->Count(std::nullopt, std::nullopt, &count, table))) {
          Expect(count == forward.entries, "the count is not that of a scan");
        }
      }
      LookUp(*txn, table, forward);
      johnny_table_scan_info scan{};
      scan.struct_size = sizeof scan;
      Wrong(johnny_table_scan(txn->get(), table, &scan));
    }
  }

  using Movement = int (*)(johnny_cursor*, johnny_slice*, johnny_slice*);

  Scan ScanTable(const Txn& txn, johnny_table* table, Movement begin, Movement go_on) {
    Scan scan;
    Cursor cursor;
    if (Wrong(cursor.Open(txn, table))) {
      return scan;
    }
    johnny_slice key{}, value{};
    uint64_t bytes = 0;
    int code = begin(cursor.get(), &key, &value);
    for (; code == JOHNNY_OK; code = go_on(cursor.get(), &key, &value)) {
      scan.digest += Checksum(key.data, key.size, value.size);
      value_.assign(test::View(value));  // touches every byte
      bytes += value.size;
      if (scan.keys.size() < kKeysKept) {
        scan.keys.emplace_back(test::View(key));
      }
      if (++scan.entries >= kMostEntries || bytes > kMostBytes) {
        return scan;
      }
    }
    scan.whole = !Wrong(code);
    return scan;
  }

  void LookUp(const Txn& txn, johnny_table* table, const Scan& scan) {
    for (const std::string& key : scan.keys) {
      Result found = txn.Get(key, &value_, table);
      Expect(found.ok(), "a scanned key is not found");
      uint64_t rank = 0;
      test::Entry entry;
      if (!Wrong(found) && !Wrong(txn.Rank(key, &rank, table)) && !Wrong(txn.Nth(rank, &entry, table))) {
        Expect(entry.first == key && entry.second == value_, "a rank leads elsewhere");
      }
      auto visit = [](void*, const johnny_path_step*) { return 0; };
      Wrong(johnny_path(txn.get(), table, key.data(), key.size(), visit, nullptr));
    }
    Cursor cursor;
    for (std::string_view key : {"", "b", "m\xff", "\xff\xff\xff\xff\xff"}) {
      test::Entry entry;
      uint64_t rank = 0;
      Wrong(txn.Get(key, &value_, table));
      Wrong(txn.Rank(key, &rank, table));
      if (Wrong(cursor.Open(txn, table))) {
        return;
      }
      Wrong(cursor.Seek(key, JOHNNY_SEEK_AT_OR_BEFORE, &entry));
      Wrong(cursor.Next(&entry));
      Wrong(cursor.Seek(key, JOHNNY_SEEK_AT_OR_AFTER, &entry));
      Wrong(cursor.Prev(&entry));
      cursor.Close();
    }
  }

  void LookAtPages(const Txn& txn, uint64_t page_count) {
    auto visit = [](void*, const johnny_page_run*) { return 0; };
    Wrong(johnny_page_list(txn.get(), visit, nullptr));
    johnny_page_info page{};
    johnny_page_entry entry{};
    for (uint64_t i = 0; i < std::min<uint64_t>(page_count, 40); i += i == 0 ? 8 : 1) {
      page.struct_size = sizeof page;
      if (Wrong(johnny_page_get_info(txn.get(), i, &page)) || page.sound == 0) {
        continue;
      }
      for (uint32_t j = 0; j < std::min<uint32_t>(page.count, 4); ++j) {
        entry.struct_size = sizeof entry;
        if (!Wrong(johnny_page_get_entry(txn.get(), i, j, &entry))) {
          value_.assign(test::View(entry.key));
          value_.assign(test::View(entry.value));
        }
      }
    }
  }

  void LookAtSnapshots(const Env& env, const Txn& txn) {
    std::vector<std::string> names;
    auto keep = [](void* context, const johnny_snapshot_info* snapshot) {
      auto* list = static_cast<std::vector<std::string>*>(context);
      list->push_back(snapshot->name);
      return list->size() < 3 ? 0 : 1;
    };
    Result listed = johnny_snapshot_list(txn.get(), keep, &names);
    if (!(listed == JOHNNY_STOPPED)) {
      Wrong(listed);
    }
    for (const std::string& name : names) {
      Txn on;
      if (!Wrong(on.BeginOn(env, name))) {
        LookAtTables(&on);
      }
    }
  }

  // Whether the file could be opened.
  bool Change() {
    Env env;
    if (Wrong(env.Open(&system_, kDatabase, Options(0)))) {
      return false;
    }
    ChangeOnce(env, 0);
    if (choice_ / 16 % 4 == 0) {
      ChangeOnce(env, 1);
    }
    Verify(env);
    Wrong(env.Close());
    return true;
  }

  void ChangeOnce(const Env& env, int round) {
    Txn txn;
    if (Wrong(txn.Begin(env))) {
      return;
    }
    std::vector<std::string> names = TableNames(txn);
    names.push_back(round == 0 ? "new" : "newer");
    for (const std::string& name : names) {
      johnny_table* table = nullptr;
      if (!name.empty() && Wrong(txn.OpenTable(name, JOHNNY_TABLE_CREATE, &table))) {
        continue;
      }
      Scan scan = ScanTable(txn, table, johnny_cursor_first, johnny_cursor_next);
      for (size_t i = 0; i < scan.keys.size(); ++i) {
        Wrong(i % 3 == 0 ? txn.Delete(scan.keys[i], table) : txn.Put(scan.keys[i], i % 3 == 1 ? "short" : kLong, 0, table));
      }
      Wrong(txn.Put("large", std::string(9000, 'l'), 0, table));
      Wrong(txn.Put(std::string("\xfe", 1), kLong, 0, table));
      Cursor cursor;
      if (!Wrong(cursor.Open(txn, table)) && !Wrong(cursor.Last())) {
        Wrong(cursor.Delete());
        Wrong(cursor.Prev());
      }
    }
    if (round == 1) {
      Wrong(johnny_table_clear(txn.get(), nullptr));
      Wrong(txn.CreateSnapshot("made"));
    }
    if (Wrong(txn.Commit())) {
      Wrong(txn.Abort());
    }
  }

  const std::string kLong = std::string(700, 'v');

  sim::SimSystem system_;
  const uint64_t choice_;
  bool sound_ = false;  // the checker has found nothing
  std::string value_;
};

void RepairAll(std::string* bytes) {
  if (bytes->size() < format::kMasterRegion) {
    return;
  }
  for (int slot = 0; slot < 2; ++slot) {
    test::Forger(bytes, 4096, 0).RepairMaster(slot);
  }
  format::MasterPage master = test::MasterOf(*bytes, -1);
  if (master.txn == 0) {
    return;
  }
  test::Forger forger(bytes, master.page_size, master.database_id);
  for (PageNumber page = format::FirstPage(master.page_size); page < forger.page_count(); ++page) {
    forger.RepairExtents(page);
    forger.RepairUpwards(page);
  }
}

}  // namespace
}  // namespace johnny::fuzz

int LLVMFuzzerInitialize(int*, char***) {
  johnny::fuzz::AbortOnFailedExpectations();
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static johnny::fuzz::PackedFile file;  // large
  johnny::fuzz::Unpack({reinterpret_cast<const char*>(data), size}, &file);
  if (file.repair) {
    johnny::fuzz::RepairAll(&file.bytes);
  }
  johnny::fuzz::Target(file.bytes).Run();
  return 0;
}
