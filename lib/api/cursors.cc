// Cursors of the C API.
#include <johnny/johnny.h>

#include <algorithm>
#include <string>

#include "absl/cleanup/cleanup.h"
#include "api/internal.h"

using johnny::Code;
using johnny::MakeSlice;
using johnny::Slice;
using johnny::api::Fail;
using johnny::api::Guard;
using johnny::cursor::Cursor;
using johnny::tree::Lookup;

namespace johnny::api {
namespace {

int UseCursor(johnny_cursor* cursor) {
  if (cursor == nullptr) {
    return Fail(Code::kInvalidArgument, "the cursor is a null pointer");
  }
  if (cursor->owner == nullptr) {
    return Fail(Code::kTxnEnded, "the cursor's transaction has ended");
  }
  if (int code = UseTxn(cursor->owner); code != JOHNNY_OK) {
    return code;
  }
  // After a renewal the table's state has to be looked up again; after a drop there is none.
  absl::Status status;
  return cursor->owner->txn.Resolve(cursor->table, &status) != nullptr ? JOHNNY_OK : Fail(status);
}

// Hands out the entry that a movement or seek found.
int Deliver(johnny_cursor* cursor, Lookup result, johnny_slice* key, johnny_slice* value) {
  txn::Txn& txn = cursor->owner->txn;
  if (result == Lookup::kFound) {
    node::LeafEntry entry = cursor->cursor.entry();
    Slice bytes;
    if (value != nullptr) {
      result = txn.ValueOf(entry.value, &bytes);
    }
    if (result == Lookup::kFound) {
      if (key != nullptr) {
        *key = ToSlice(entry.key);
      }
      if (value != nullptr) {
        *value = ToSlice(bytes);
      }
      return JOHNNY_OK;
    }
  }
  return result == Lookup::kNotFound ? static_cast<int>(JOHNNY_NOT_FOUND) : Fail(txn.TakeError());
}

template <typename Move>
int MoveCursor(johnny_cursor* cursor, johnny_slice* key, johnny_slice* value, Move move) {
  return Guard([&] {
    int code = UseCursor(cursor);
    return code != JOHNNY_OK ? code : Deliver(cursor, move(cursor->cursor), key, value);
  });
}

// The value in an extent that the entry at `stored` refers to. False: it cannot be read.
ABSL_ATTRIBUTE_NOINLINE bool DeliverExtent(johnny_cursor* cursor, const Byte* stored, johnny_slice* value) {
  Slice bytes;
  if (cursor->owner->txn.ValueOf(johnny::node::LoadLeafEntry(stored).value, &bytes) != Lookup::kFound) {
    return false;
  }
  *value = ToSlice(bytes);
  return true;
}

// Entries of one leaf from index `first` on, `count` of them up- or downwards, to keys and values (either may be null). Returns
// how many there are before one whose value cannot be read.
uint32_t DeliverRun(johnny_cursor* cursor, uint32_t first, uint32_t count, bool forward, johnny_slice* keys,
                    johnny_slice* values) {
  const Byte* leaf = cursor->cursor.leaf();
  const Byte* offsets = johnny::node::LeafOffsets(leaf) + 2 * size_t{first};
  const ptrdiff_t step = forward ? 2 : -2;
  const tree::Path& path = cursor->cursor.path();
  const uint32_t passed = forward ? first : johnny::node::Header(leaf)->count - 1 - first;
  for (uint32_t i = 0; i < count; ++i, offsets += step) {
    const Byte* stored = leaf + johnny::Load16(offsets);
    // Nobody may take its address: it would be in memory, from where 16 bytes cannot be loaded before two stores of 8 have left
    // the processor's queue, which took longer than all the rest.
    const node::LeafEntry entry = node::LoadLeafEntry(stored);
    path.PrefetchAhead(passed + i);
    if (values != nullptr) {
      if (ABSL_PREDICT_TRUE(!entry.value.is_extent)) {
        values[i] = ToSlice(entry.value.bytes);
      } else if (!DeliverExtent(cursor, stored, &values[i])) {
        return i;
      }
    }
    if (keys != nullptr) {
      keys[i] = ToSlice(entry.key);
    }
  }
  return count;
}

int MoveMany(johnny_cursor* cursor, bool forward, size_t limit, johnny_slice* keys, johnny_slice* values, size_t* count) {
  return Guard([&] {
    if (int code = UseCursor(cursor); code != JOHNNY_OK) {
      return code;
    }
    if (count == nullptr || limit == 0) {
      return Fail(Code::kInvalidArgument, count == nullptr ? "count is a null pointer" : "the limit is 0");
    }
    *count = 0;
    while (*count < limit) {
      auto most = static_cast<uint32_t>(std::min<size_t>(limit - *count, UINT32_MAX));
      uint32_t run = 0;
      Lookup result = forward ? cursor->cursor.NextRun(most, &run) : cursor->cursor.PrevRun(most, &run);
      if (result == Lookup::kError) {
        return Fail(cursor->owner->txn.TakeError());
      }
      if (result == Lookup::kNotFound) {
        return static_cast<int>(*count > 0 ? JOHNNY_OK : JOHNNY_NOT_FOUND);
      }
      uint32_t last = cursor->cursor.index();
      uint32_t first = forward ? last - (run - 1) : last + (run - 1);
      uint32_t delivered = DeliverRun(cursor, first, run, forward, keys, values);
      *count += delivered;
      if (delivered < run) {
        cursor->cursor.MoveWithinLeaf(forward ? first + delivered : first - delivered);
        return Fail(cursor->owner->txn.TakeError());
      }
      keys = keys == nullptr ? nullptr : keys + delivered;
      values = values == nullptr ? nullptr : values + delivered;
    }
    return static_cast<int>(JOHNNY_OK);
  });
}

inline bool CanStep(const johnny_cursor* cursor) {
  return cursor != nullptr && cursor->owner != nullptr && IsUsable(cursor->owner) && cursor->state->loaded &&
         cursor->state->exists;
}

// johnny_cursor_next() and prev(), with a short way for the common case.
template <typename Within, typename Move>
inline int StepCursor(johnny_cursor* cursor, johnny_slice* key, johnny_slice* value, Within within, Move move) {
  if (!CanStep(cursor) || !within(cursor->cursor)) {
    return MoveCursor(cursor, key, value, move);
  }
  node::LeafEntry entry = cursor->cursor.entry();
  if (entry.value.is_extent) {
    return MoveCursor(cursor, key, value, [](Cursor&) { return Lookup::kFound; });
  }
  if (key != nullptr) {
    *key = ToSlice(entry.key);
  }
  if (value != nullptr) {
    *value = ToSlice(entry.value.bytes);
  }
  return JOHNNY_OK;
}

// The current entry, for a change at the cursor.
int CurrentKey(johnny_cursor* cursor, std::string* key) {
  if (int code = UseCursor(cursor); code != JOHNNY_OK) {
    return code;
  }
  if (!cursor->owner->txn.write()) {
    return Fail(Code::kReadOnlyTxn, "a read transaction cannot change anything");
  }
  if (cursor->cursor.nowhere()) {
    return Fail(Code::kNotPositioned, "the cursor stands on no entry");
  }
  Lookup result = cursor->cursor.Restore();
  if (result == Lookup::kFound) {
    key->assign(cursor->cursor.entry().key);
    return JOHNNY_OK;
  }
  return result == Lookup::kNotFound ? Fail(Code::kNotFound, "the cursor's entry has been deleted")
                                     : Fail(cursor->owner->txn.TakeError());
}

}  // namespace
}  // namespace johnny::api

using johnny::api::CurrentKey;
using johnny::api::MoveCursor;
using johnny::api::MoveMany;
using johnny::api::StepCursor;
using johnny::api::UseCursor;

extern "C" {

int johnny_cursor_open(johnny_txn* txn, johnny_table* table, johnny_cursor** out) {
  return Guard([&] {
    johnny::txn::TableState* state = nullptr;
    if (int code = johnny::api::UseTable(txn, table, &state); code != JOHNNY_OK) {
      return code;
    }
    if (out == nullptr) {
      return Fail(Code::kInvalidArgument, "a null pointer");
    }
    auto cursor = std::make_unique<johnny_cursor>(
        johnny_cursor{txn, state, johnny::api::AsTable(table), Cursor(&txn->txn.view(), &state->record)});
    txn->cursors.push_back(cursor.get());
    absl::Cleanup forget = [txn] { txn->cursors.pop_back(); };  // should memory run out for the second list
    state->cursors.push_back(&cursor->cursor);
    std::move(forget).Cancel();
    *out = cursor.release();
    return static_cast<int>(JOHNNY_OK);
  });
}

void johnny_cursor_close(johnny_cursor* cursor) {
  if (cursor == nullptr) {
    return;
  }
  if (cursor->owner != nullptr) {
    auto& of_txn = cursor->owner->cursors;
    of_txn.erase(std::remove(of_txn.begin(), of_txn.end(), cursor), of_txn.end());
    auto& of_table = cursor->state->cursors;
    of_table.erase(std::remove(of_table.begin(), of_table.end(), &cursor->cursor), of_table.end());
  }
  delete cursor;
}

int johnny_cursor_set_range(johnny_cursor* cursor, const johnny_slice* from, const johnny_slice* to) {
  return Guard([&] {
    if (int code = UseCursor(cursor); code != JOHNNY_OK) {
      return code;
    }
    for (const johnny_slice* bound : {from, to}) {
      if (bound != nullptr && bound->data == nullptr && bound->size != 0) {
        return Fail(Code::kInvalidArgument, "a bound's data is a null pointer");
      }
    }
    cursor->cursor.ClearBounds();
    if (from != nullptr) {
      cursor->cursor.SetLower(MakeSlice(from->data, from->size));
    }
    if (to != nullptr) {
      cursor->cursor.SetUpper(MakeSlice(to->data, to->size));
    }
    return static_cast<int>(JOHNNY_OK);
  });
}

int johnny_cursor_set_prefix(johnny_cursor* cursor, const void* prefix, size_t prefix_size) {
  return Guard([&] {
    if (int code = UseCursor(cursor); code != JOHNNY_OK) {
      return code;
    }
    if (prefix == nullptr && prefix_size != 0) {
      return Fail(Code::kInvalidArgument, "the prefix is a null pointer");
    }
    cursor->cursor.SetPrefix(MakeSlice(prefix, prefix_size));
    return static_cast<int>(JOHNNY_OK);
  });
}

int johnny_cursor_first(johnny_cursor* cursor, johnny_slice* key, johnny_slice* value) {
  return MoveCursor(cursor, key, value, [](Cursor& c) { return c.First(); });
}

int johnny_cursor_last(johnny_cursor* cursor, johnny_slice* key, johnny_slice* value) {
  return MoveCursor(cursor, key, value, [](Cursor& c) { return c.Last(); });
}

int johnny_cursor_next(johnny_cursor* cursor, johnny_slice* key, johnny_slice* value) {
  return StepCursor(
      cursor, key, value, [](Cursor& c) { return c.NextWithinLeaf(); }, [](Cursor& c) { return c.Next(); });
}

int johnny_cursor_prev(johnny_cursor* cursor, johnny_slice* key, johnny_slice* value) {
  return StepCursor(
      cursor, key, value, [](Cursor& c) { return c.PrevWithinLeaf(); }, [](Cursor& c) { return c.Prev(); });
}

int johnny_cursor_next_many(johnny_cursor* cursor, size_t limit, johnny_slice* keys, johnny_slice* values, size_t* count) {
  return MoveMany(cursor, /*forward=*/true, limit, keys, values, count);
}

int johnny_cursor_prev_many(johnny_cursor* cursor, size_t limit, johnny_slice* keys, johnny_slice* values, size_t* count) {
  return MoveMany(cursor, /*forward=*/false, limit, keys, values, count);
}

int johnny_cursor_seek(johnny_cursor* cursor, const void* key, size_t key_size, uint32_t mode, johnny_slice* found_key,
                       johnny_slice* value) {
  if ((key == nullptr && key_size != 0) || mode > JOHNNY_SEEK_AT_OR_BEFORE) {
    return Fail(Code::kInvalidArgument, "the key is a null pointer, or the mode is unknown");
  }
  Slice wanted = MakeSlice(key, key_size);
  return MoveCursor(cursor, found_key, value, [&](Cursor& c) {
    return mode == JOHNNY_SEEK_EXACT         ? c.SeekExact(wanted)
           : mode == JOHNNY_SEEK_AT_OR_AFTER ? c.SeekAtOrAfter(wanted)
                                             : c.SeekAtOrBefore(wanted);
  });
}

int johnny_cursor_get(johnny_cursor* cursor, johnny_slice* key, johnny_slice* value) {
  if (int code = UseCursor(cursor); code != JOHNNY_OK) {
    return code;
  }
  if (cursor->cursor.nowhere()) {
    return Fail(Code::kNotPositioned, "the cursor stands on no entry");
  }
  return MoveCursor(cursor, key, value, [](Cursor& c) { return c.Restore(); });
}

int johnny_cursor_put(johnny_cursor* cursor, const void* value, size_t value_size) {
  return Guard([&] {
    std::string key;
    if (int code = CurrentKey(cursor, &key); code != JOHNNY_OK) {
      return code;
    }
    auto* table = const_cast<johnny_table*>(reinterpret_cast<const johnny_table*>(cursor->table));
    return johnny_put(cursor->owner, table, key.data(), key.size(), value, value_size, 0);
  });
}

int johnny_cursor_delete(johnny_cursor* cursor) {
  return Guard([&] {
    std::string key;
    if (int code = CurrentKey(cursor, &key); code != JOHNNY_OK) {
      return code;
    }
    auto* table = const_cast<johnny_table*>(reinterpret_cast<const johnny_table*>(cursor->table));
    return johnny_delete(cursor->owner, table, key.data(), key.size());
  });
}

}  // extern "C"
