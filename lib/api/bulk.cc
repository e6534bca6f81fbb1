// Many entries at a time in the C API: lookups, batches of changes, split ranges, and trees built bottom-up.
#include <johnny/johnny.h>

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/internal.h"
#include "tree/warm_up.h"

using johnny::Code;
using johnny::MakeSlice;
using johnny::Slice;
using johnny::api::CheckNewEntry;
using johnny::api::Fail;
using johnny::api::Guard;
using johnny::api::GuardChange;
using johnny::api::ToSlice;
using johnny::api::UseForChange;
using johnny::api::UseTable;
using johnny::tree::Lookup;
using johnny::txn::TableState;
using johnny::txn::Txn;

namespace johnny::api {
namespace {

// The batch in key order; of several changes for one key the last. Keys and values in memory that the batch itself may change,
// such as those that a cursor of this transaction has delivered, are copied to *copies first.
std::vector<Txn::Write> InKeyOrder(const Txn& txn, const johnny_write* writes, size_t count, std::deque<std::string>* copies) {
  auto keep = [&](const johnny_slice& given) {
    Slice bytes = MakeSlice(given.data, given.size);
    return txn.MayChange(bytes) ? Slice(copies->emplace_back(bytes)) : bytes;
  };
  std::vector<Txn::Write> sorted;
  sorted.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    bool erase = (writes[i].flags & JOHNNY_WRITE_DELETE) != 0;
    sorted.push_back({keep(writes[i].key), erase ? Slice() : keep(writes[i].value), erase});
  }
  auto before = [](const Txn::Write& a, const Txn::Write& b) { return node::CompareKeys(a.key, b.key) < 0; };
  std::stable_sort(sorted.begin(), sorted.end(), before);
  size_t kept = 0;
  for (size_t i = 0; i < count; ++i) {
    if (i + 1 == count || before(sorted[i], sorted[i + 1])) {
      sorted[kept++] = sorted[i];
    }
  }
  sorted.resize(kept);
  return sorted;
}

int CheckWrites(const johnny_txn* txn, const johnny_write* writes, size_t count) {
  if (writes == nullptr && count != 0) {
    return NullPointer();
  }
  for (size_t i = 0; i < count; ++i) {
    const johnny_write& write = writes[i];
    if ((write.flags & ~uint32_t{JOHNNY_WRITE_DELETE}) != 0 || write.reserved != 0) {
      return Fail(Code::kInvalidArgument, absl::StrCat("change ", i, " of the batch: unknown flags, or reserved is not 0"));
    }
    bool erase = (write.flags & JOHNNY_WRITE_DELETE) != 0;
    int code = erase ? CheckKey(write.key.data, write.key.size)
                     : CheckNewEntry(txn, write.key.data, write.key.size, write.value.data, write.value.size);
    if (code != JOHNNY_OK) {
      return code;
    }
  }
  return JOHNNY_OK;
}

int UseBuilder(johnny_builder* builder) {
  if (builder == nullptr) {
    return Fail(Code::kInvalidArgument, "the builder is a null pointer");
  }
  if (builder->owner == nullptr) {
    return Fail(Code::kTxnEnded, "the builder's transaction has ended");
  }
  if (builder->finished || builder->broken) {
    return Fail(Code::kInvalidArgument,
                builder->finished ? "the builder has finished; close it" : "an earlier error allows only to close the builder");
  }
  return UseForChange(builder->owner);
}

// Runs a step of the builder; after anything but a harmless error, and when memory runs out, it can only be closed.
template <typename Step>
int BuilderStep(johnny_builder* builder, Step step) {
  if (int code = UseBuilder(builder); code != JOHNNY_OK) {
    return code;
  }
  builder->broken = true;
  int code = GuardChange(builder->owner, step);
  builder->broken = code != JOHNNY_OK && code != JOHNNY_NOT_ASCENDING && code != JOHNNY_KEY_TOO_LARGE &&
                    code != JOHNNY_VALUE_TOO_LARGE && code != JOHNNY_INVALID_ARGUMENT && code != JOHNNY_EXISTS;
  if (code == JOHNNY_CORRUPT || code == JOHNNY_INTERNAL) {
    builder->owner->txn.Fail();  // pages may be neither the builder's nor free
  }
  return code;
}

}  // namespace
}  // namespace johnny::api

using johnny::api::BuilderStep;

extern "C" {

int johnny_get_many(johnny_txn* txn, johnny_table* table, const johnny_slice* keys, size_t count, johnny_slice* values,
                    size_t* found) {
  return Guard([&] {
    TableState* state = nullptr;
    if (int code = UseTable(txn, table, &state); code != JOHNNY_OK) {
      return code;
    }
    if ((keys == nullptr || values == nullptr) && count != 0) {
      return johnny::api::NullPointer();
    }
    constexpr size_t kChunk = Txn::kGetManyMost;
    std::array<Slice, kChunk> wanted;
    std::array<Slice, kChunk> got;
    size_t there = 0;
    for (size_t first = 0; first < count; first += kChunk) {
      size_t chunk = std::min(kChunk, count - first);
      for (size_t i = 0; i < chunk; ++i) {
        const johnny_slice& key = keys[first + i];
        if (key.data == nullptr && key.size != 0) {
          return Fail(Code::kInvalidArgument, absl::StrCat("key ", first + i, " is a null pointer"));
        }
        wanted[i] = MakeSlice(key.data, key.size);
      }
      size_t of_chunk = 0;
      if (txn->txn.GetMany(state, absl::MakeConstSpan(wanted.data(), chunk), got.data(), &of_chunk) == Lookup::kError) {
        return Fail(txn->txn.TakeError());
      }
      std::transform(got.begin(), got.begin() + chunk, values + first, ToSlice);
      there += of_chunk;
    }
    if (found != nullptr) {
      *found = there;
    }
    return static_cast<int>(JOHNNY_OK);
  });
}

int johnny_write_batch(johnny_txn* txn, johnny_table* table, const johnny_write* writes, size_t count) {
  return GuardChange(txn, [&] {
    TableState* state = nullptr;
    if (int code = UseForChange(txn); code != JOHNNY_OK) {
      return code;
    }
    if (int code = UseTable(txn, table, &state); code != JOHNNY_OK) {
      return code;
    }
    if (int code = johnny::api::CheckWrites(txn, writes, count); code != JOHNNY_OK) {
      return code;
    }
    std::deque<std::string> copies;
    absl::Status status = txn->txn.WriteBatch(state, johnny::api::InKeyOrder(txn->txn, writes, count, &copies));
    return status.ok() ? static_cast<int>(JOHNNY_OK) : Fail(status);
  });
}

int johnny_table_warm_up(johnny_txn* txn, johnny_table* table, uint64_t max_bytes, uint64_t* bytes) {
  return Guard([&] {
    TableState* state = nullptr;
    if (int code = UseTable(txn, table, &state); code != JOHNNY_OK) {
      return code;
    }
    if (txn->txn.write()) {
      return Fail(Code::kWrongTxn, "this needs a read transaction");
    }
    const johnny::pager::View& view = txn->txn.view();
    uint64_t most = max_bytes == 0 ? UINT64_MAX : max_bytes / view.page_size();
    uint64_t pages = 0;
    absl::Status status = johnny::tree::WarmUp(view, txn->env->db->file.get(), state->record, most, &pages);
    if (!status.ok()) {
      return Fail(status);
    }
    if (bytes != nullptr) {
      *bytes = pages * view.page_size();
    }
    return static_cast<int>(JOHNNY_OK);
  });
}

int johnny_split_range(johnny_txn* txn, johnny_table* table, const johnny_slice* from, const johnny_slice* to, size_t parts,
                       johnny_slice* bounds, size_t* count) {
  return Guard([&] {
    TableState* state = nullptr;
    if (int code = UseTable(txn, table, &state); code != JOHNNY_OK) {
      return code;
    }
    if (count == nullptr || parts == 0 || (bounds == nullptr && parts > 1)) {
      return Fail(Code::kInvalidArgument, parts == 0 ? "the number of parts is 0" : "a null pointer");
    }
    uint64_t begin = 0, end = 0;
    if (int code = johnny::api::RankBounds(txn, table, from, to, state->record.root.entries, &begin, &end); code != JOHNNY_OK) {
      return code;
    }
    const uint64_t entries = end > begin ? end - begin : 0;
    const uint64_t filled = std::min<uint64_t>(parts, entries);
    for (uint64_t i = 1; i < filled; ++i) {
      johnny::node::LeafEntry entry;
      // i * entries could overflow, so the whole and the broken part of entries / filled go apart.
      uint64_t n = begin + i * (entries / filled) + i * (entries % filled) / filled;
      Lookup result = txn->txn.Nth(state, n, &entry);
      if (result == Lookup::kNotFound) {
        return Fail(Code::kCorrupt, "the entry counts of the table's branches do not add up");
      }
      if (result == Lookup::kError) {
        return Fail(txn->txn.TakeError());
      }
      bounds[i - 1] = ToSlice(entry.key);
    }
    *count = filled > 0 ? filled - 1 : 0;
    return static_cast<int>(JOHNNY_OK);
  });
}

int johnny_builder_open(johnny_txn* txn, johnny_table* table, uint32_t flags, uint32_t fill_percent, johnny_builder** out) {
  return Guard([&] {
    TableState* state = nullptr;
    if (int code = UseForChange(txn); code != JOHNNY_OK) {
      return code;
    }
    if (int code = UseTable(txn, table, &state); code != JOHNNY_OK) {
      return code;
    }
    if (out == nullptr || (flags & ~uint32_t{JOHNNY_BUILD_REPLACE}) != 0 ||
        (fill_percent != 0 && (fill_percent < 50 || fill_percent > 100))) {
      return Fail(Code::kInvalidArgument,
                  out == nullptr ? "a null pointer" : "unknown flags, or a fill that is not 50 to 100 percent");
    }
    bool replace = (flags & JOHNNY_BUILD_REPLACE) != 0;
    if (!replace && !state->record.empty()) {
      return Fail(Code::kExists, "the table has entries");
    }
    auto builder = std::make_unique<johnny_builder>();
    builder->owner = txn;
    builder->table = table;
    builder->replace = replace;
    builder->tree = txn->txn.NewBuilder(fill_percent == 0 ? 100 : fill_percent);
    txn->builders.push_back(builder.get());
    *out = builder.release();
    return static_cast<int>(JOHNNY_OK);
  });
}

int johnny_builder_add(johnny_builder* builder, const void* key, size_t key_size, const void* value, size_t value_size) {
  return BuilderStep(builder, [&] {
    if (int code = CheckNewEntry(builder->owner, key, key_size, value, value_size); code != JOHNNY_OK) {
      return code;
    }
    absl::Status status = builder->tree->Add(MakeSlice(key, key_size), MakeSlice(value, value_size));
    return status.ok() ? static_cast<int>(JOHNNY_OK) : Fail(status);
  });
}

int johnny_builder_finish(johnny_builder* builder) {
  return BuilderStep(builder, [&] {
    TableState* state = nullptr;
    if (int code = UseTable(builder->owner, builder->table, &state); code != JOHNNY_OK) {
      return code;
    }
    absl::Status status = builder->owner->txn.FinishBuilding(state, builder->tree.get(), builder->replace);
    builder->finished = status.ok();
    return status.ok() ? static_cast<int>(JOHNNY_OK) : Fail(status);
  });
}

void johnny_builder_close(johnny_builder* builder) {
  if (builder == nullptr) {
    return;
  }
  if (johnny_txn* txn = builder->owner; txn != nullptr) {
    txn->builders.erase(std::remove(txn->builders.begin(), txn->builders.end(), builder), txn->builders.end());
    if (!txn->txn.failed() && txn->fork_generation == johnny::os::ForkGeneration()) {
      GuardChange(txn, [&] {
        absl::Status status = builder->tree->Abandon();
        if (!status.ok()) {
          txn->txn.Fail();
        }
        return 0;
      });
    }
  }
  delete builder;
}

}  // extern "C"
