// Entries, counts and tables of the C API.
#include <johnny/johnny.h>

#include "absl/strings/str_cat.h"
#include "api/internal.h"
#include "base/check.h"
#include "format/snapshot_record.h"

using johnny::Code;
using johnny::MakeSlice;
using johnny::Slice;
using johnny::api::AsTable;
using johnny::api::Fail;
using johnny::api::FillStruct;
using johnny::api::Guard;
using johnny::api::GuardChange;
using johnny::api::ToSlice;
using johnny::api::UseTable;
using johnny::tree::Lookup;
using johnny::txn::TableState;

namespace johnny::api {

int NoKey() { return Fail(Code::kInvalidArgument, "the key is a null pointer"); }

// Only what is stored is limited: a longer key is simply nowhere to be found.
int CheckNewKey(const johnny_txn* txn, const void* key, size_t key_size) {
  size_t limit = format::MaxKeySize(txn->txn.view().page_size());
  if (key_size > limit) {
    return Fail(Code::kKeyTooLarge, absl::StrCat("the key has ", key_size, " bytes; the limit is ", limit));
  }
  return CheckKey(key, key_size);
}

int WhyNoEntry(const johnny_txn* txn, const void* key, size_t key_size, const void* value, size_t value_size) {
  if (int code = CheckNewKey(txn, key, key_size); code != JOHNNY_OK) {
    return code;
  }
  if (value == nullptr && value_size != 0) {
    return Fail(Code::kInvalidArgument, "the value is a null pointer");
  }
  uint64_t limit = txn->env->db->store->reserved() / 2;
  return value_size <= limit
             ? static_cast<int>(JOHNNY_OK)
             : Fail(Code::kValueTooLarge, absl::StrCat("the value has ", value_size, " bytes; the limit is ", limit));
}

int RankBounds(johnny_txn* txn, johnny_table* table, const johnny_slice* from, const johnny_slice* to, uint64_t entries,
               uint64_t* begin, uint64_t* end) {
  *begin = 0;
  *end = entries;
  int code = from == nullptr ? static_cast<int>(JOHNNY_OK) : johnny_rank(txn, table, from->data, from->size, begin);
  return code != JOHNNY_OK || to == nullptr ? code : johnny_rank(txn, table, to->data, to->size, end);
}

namespace {

int Translate(Lookup result, txn::Txn* txn) {
  switch (result) {
    case Lookup::kFound:
      return JOHNNY_OK;
    case Lookup::kNotFound:
      return JOHNNY_NOT_FOUND;
    case Lookup::kError:
      return Fail(txn->TakeError());
  }
  return JOHNNY_INTERNAL;
}

int UseForWriting(johnny_txn* txn, johnny_table* table, TableState** state) {
  if (int code = UseForChange(txn); code != JOHNNY_OK) {
    return code;
  }
  return UseTable(txn, table, state);
}

// For dropping and renaming.
int UseForRemoval(johnny_txn* txn, johnny_table* table, TableState** state) {
  if (int code = UseForWriting(txn, table, state); code != JOHNNY_OK) {
    return code;
  }
  if (table == nullptr) {
    return Fail(Code::kInvalidArgument, "the main table cannot be dropped or renamed, only cleared");
  }
  return txn->txn.HasCursors(*AsTable(table)) ? Fail(Code::kInUse, "the transaction has cursors open on the table")
                                              : static_cast<int>(JOHNNY_OK);
}

int CheckName(const johnny_txn* txn, const char* name) {
  size_t size = name == nullptr ? 0 : std::strlen(name);
  size_t limit = std::min<size_t>(255, format::MaxKeySize(txn->txn.view().page_size()));
  if (size == 0 || size > limit) {
    return Fail(Code::kInvalidArgument, absl::StrCat("a table's name must have 1 to ", limit, " bytes"));
  }
  return JOHNNY_OK;
}

}  // namespace
}  // namespace johnny::api

using johnny::api::CheckKey;
using johnny::api::CheckName;
using johnny::api::CheckNewEntry;
using johnny::api::RankBounds;
using johnny::api::Translate;
using johnny::api::UseForRemoval;
using johnny::api::UseForWriting;

extern "C" {

int johnny_get(johnny_txn* txn, johnny_table* table, const void* key, size_t key_size, johnny_slice* value) {
  return Guard([&] {
    TableState* state = nullptr;
    if (int code = UseTable(txn, table, &state); code != JOHNNY_OK) {
      return code;
    }
    if (int code = CheckKey(key, key_size); code != JOHNNY_OK) {
      return code;
    }
    if (value == nullptr) {
      return Translate(txn->txn.Find(state, MakeSlice(key, key_size)).result, &txn->txn);
    }
    Slice found;
    Lookup result = txn->txn.Get(state, MakeSlice(key, key_size), &found);
    if (ABSL_PREDICT_FALSE(result != Lookup::kFound)) {
      return Translate(result, &txn->txn);
    }
    *value = ToSlice(found);
    return static_cast<int>(JOHNNY_OK);
  });
}

int johnny_exists(johnny_txn* txn, johnny_table* table, const void* key, size_t key_size) {
  return johnny_get(txn, table, key, key_size, nullptr);
}

int johnny_put(johnny_txn* txn, johnny_table* table, const void* key, size_t key_size, const void* value, size_t value_size,
               uint32_t flags) {
  return GuardChange(txn, [&] {
    TableState* state = nullptr;
    if (int code = UseForWriting(txn, table, &state); code != JOHNNY_OK) {
      return code;
    }
    if (int code = CheckNewEntry(txn, key, key_size, value, value_size); code != JOHNNY_OK) {
      return code;
    }
    johnny::tree::PutMode mode = johnny::tree::PutMode::kUpsert;
    switch (flags) {
      case 0:
        break;
      case JOHNNY_NO_OVERWRITE:
        mode = johnny::tree::PutMode::kNoOverwrite;
        break;
      case JOHNNY_APPEND:
      case JOHNNY_APPEND | JOHNNY_NO_OVERWRITE:
        mode = johnny::tree::PutMode::kAppend;
        break;
      default:
        return Fail(Code::kInvalidArgument, "unknown flags");
    }
    absl::Status status = txn->txn.Put(state, MakeSlice(key, key_size), MakeSlice(value, value_size), mode);
    return status.ok() ? static_cast<int>(JOHNNY_OK) : Fail(status);
  });
}

int johnny_delete(johnny_txn* txn, johnny_table* table, const void* key, size_t key_size) {
  return GuardChange(txn, [&] {
    TableState* state = nullptr;
    if (int code = UseForWriting(txn, table, &state); code != JOHNNY_OK) {
      return code;
    }
    if (int code = CheckKey(key, key_size); code != JOHNNY_OK) {
      return code;
    }
    bool found = false;
    absl::Status status = txn->txn.Erase(state, MakeSlice(key, key_size), &found);
    return !status.ok() ? Fail(status) : static_cast<int>(found ? JOHNNY_OK : JOHNNY_NOT_FOUND);
  });
}

int johnny_rank(johnny_txn* txn, johnny_table* table, const void* key, size_t key_size, uint64_t* rank) {
  return Guard([&] {
    TableState* state = nullptr;
    if (int code = UseTable(txn, table, &state); code != JOHNNY_OK) {
      return code;
    }
    if (int code = CheckKey(key, key_size); code != JOHNNY_OK) {
      return code;
    }
    if (rank == nullptr) {
      return Fail(Code::kInvalidArgument, "rank is a null pointer");
    }
    uint64_t less = 0;
    if (txn->txn.Rank(state, MakeSlice(key, key_size), &less) == Lookup::kError) {
      return Fail(txn->txn.TakeError());
    }
    *rank = less;
    return static_cast<int>(JOHNNY_OK);
  });
}

int johnny_count(johnny_txn* txn, johnny_table* table, const johnny_slice* from, const johnny_slice* to, uint64_t* count) {
  return Guard([&] {
    TableState* state = nullptr;
    if (int code = UseTable(txn, table, &state); code != JOHNNY_OK) {
      return code;
    }
    if (count == nullptr) {
      return Fail(Code::kInvalidArgument, "count is a null pointer");
    }
    uint64_t begin = 0, end = 0;
    if (int code = RankBounds(txn, table, from, to, state->record.root.entries, &begin, &end); code != JOHNNY_OK) {
      return code;
    }
    *count = end > begin ? end - begin : 0;
    return static_cast<int>(JOHNNY_OK);
  });
}

int johnny_nth(johnny_txn* txn, johnny_table* table, uint64_t n, johnny_slice* key, johnny_slice* value) {
  return Guard([&] {
    TableState* state = nullptr;
    if (int code = UseTable(txn, table, &state); code != JOHNNY_OK) {
      return code;
    }
    johnny::node::LeafEntry entry;
    Lookup result = txn->txn.Nth(state, n, &entry);
    Slice bytes;
    if (result == Lookup::kFound && value != nullptr) {
      result = txn->txn.ValueOf(entry.value, &bytes);
    }
    if (result == Lookup::kFound) {
      if (key != nullptr) {
        *key = ToSlice(entry.key);
      }
      if (value != nullptr) {
        *value = ToSlice(bytes);
      }
    }
    return Translate(result, &txn->txn);
  });
}

// ---- Tables ----

int johnny_table_open(johnny_txn* txn, const char* name, uint32_t flags, johnny_table** out) {
  return GuardChange(txn, [&] {
    if (int code = johnny::api::UseTxn(txn); code != JOHNNY_OK) {
      return code;
    }
    if (out == nullptr || (flags & ~uint32_t{JOHNNY_TABLE_CREATE}) != 0) {
      return Fail(Code::kInvalidArgument, "a null pointer or unknown flags");
    }
    if (int code = CheckName(txn, name); code != JOHNNY_OK) {
      return code;
    }
    // Handles live as long as the environment, so a name that is not there must not get one.
    johnny::txn::Database* db = txn->env->db.get();
    if ((flags & JOHNNY_TABLE_CREATE) == 0 && db->FindTable(name) == nullptr) {
      if (Lookup found = txn->txn.FindName(name); found == Lookup::kNotFound) {
        return Fail(Code::kNoTable, absl::StrCat("there is no table '", name, "' in this snapshot"));
      } else if (found == Lookup::kError) {
        return Fail(txn->txn.TakeError());
      }
    }
    auto table = db->InternTable(name, txn->env);
    if (!table.ok()) {
      return Fail(table.status());
    }
    absl::Status status;
    bool found = txn->txn.Resolve(*table, &status) != nullptr;
    if (!found && johnny::CodeOf(status) == Code::kNoTable && (flags & JOHNNY_TABLE_CREATE) != 0) {
      if (!txn->txn.write()) {
        return Fail(Code::kReadOnlyTxn, "a read transaction cannot create a table");
      }
      status = txn->txn.CreateTable(*table);
      found = status.ok();
    }
    if (!found) {
      return Fail(status);
    }
    *out = reinterpret_cast<johnny_table*>(*table);
    return static_cast<int>(JOHNNY_OK);
  });
}

const char* johnny_table_name(const johnny_table* table) { return table == nullptr ? "" : AsTable(table)->name.c_str(); }

int johnny_table_clear(johnny_txn* txn, johnny_table* table) {
  return GuardChange(txn, [&] {
    TableState* state = nullptr;
    if (int code = UseForWriting(txn, table, &state); code != JOHNNY_OK) {
      return code;
    }
    absl::Status status = txn->txn.ClearTable(state);
    return status.ok() ? static_cast<int>(JOHNNY_OK) : Fail(status);
  });
}

int johnny_table_drop(johnny_txn* txn, johnny_table* table) {
  return GuardChange(txn, [&] {
    TableState* state = nullptr;
    if (int code = UseForRemoval(txn, table, &state); code != JOHNNY_OK) {
      return code;
    }
    absl::Status status = txn->txn.DropTable(AsTable(table));
    return status.ok() ? static_cast<int>(JOHNNY_OK) : Fail(status);
  });
}

int johnny_table_rename(johnny_txn* txn, johnny_table* table, const char* new_name) {
  return GuardChange(txn, [&] {
    TableState* state = nullptr;
    if (int code = UseForRemoval(txn, table, &state); code != JOHNNY_OK) {
      return code;
    }
    if (int code = CheckName(txn, new_name); code != JOHNNY_OK) {
      return code;
    }
    auto to = txn->env->db->InternTable(new_name, txn->env);
    absl::Status status = to.ok() ? txn->txn.RenameTable(AsTable(table), *to) : to.status();
    return status.ok() ? static_cast<int>(JOHNNY_OK) : Fail(status);
  });
}

int johnny_table_list(johnny_txn* txn, johnny_name_callback visit, void* context) {
  return Guard([&] {
    if (int code = johnny::api::UseTxn(txn); code != JOHNNY_OK) {
      return code;
    }
    if (visit == nullptr) {
      return Fail(Code::kInvalidArgument, "visit is a null pointer");
    }
    // All names first: the callback may change tables.
    std::vector<std::string> names;
    johnny::cursor::Cursor cursor(&txn->txn.view(), &txn->txn.catalog());
    cursor.SetLower(johnny::format::kFirstTableKey);  // behind the named snapshots
    Lookup result = cursor.First();
    for (; result == Lookup::kFound; result = cursor.Next()) {
      names.emplace_back(cursor.entry().key);
    }
    if (result == Lookup::kError) {
      return Fail(txn->txn.TakeError());
    }
    for (const std::string& name : names) {
      if (visit(context, name.c_str()) != 0) {
        return Fail(Code::kStopped, "the callback stopped the list");
      }
    }
    return static_cast<int>(JOHNNY_OK);
  });
}

int johnny_table_get_info(johnny_txn* txn, johnny_table* table, johnny_table_info* out) {
  return Guard([&] {
    TableState* state = nullptr;
    if (int code = UseTable(txn, table, &state); code != JOHNNY_OK) {
      return code;
    }
    if (out == nullptr) {
      return Fail(Code::kInvalidArgument, "a null pointer");
    }
    const johnny::format::TableRecord& record = state->record;
    johnny_table_info info = {};
    info.entries = record.root.entries;
    info.depth = record.empty() ? 0 : record.level + 1u;
    info.branch_pages = record.branch_pages;
    info.leaf_pages = record.leaf_pages;
    info.extent_pages = record.extent_pages;
    info.large_values = record.large_values;
    return FillStruct(info, out);
  });
}

}  // extern "C"
