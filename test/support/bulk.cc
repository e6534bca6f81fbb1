#include "support/bulk.h"

namespace johnny::test {

Result GetMany(const Txn& txn, const std::vector<std::string>& keys, Values* values, size_t* found, johnny_table* table) {
  std::vector<johnny_slice> wanted;
  for (const std::string& key : keys) {
    wanted.push_back(ToSlice(key));
  }
  std::vector<johnny_slice> got(keys.size(), ToSlice("not written"));
  Result result = johnny_get_many(txn.get(), table, wanted.data(), wanted.size(), got.data(), found);
  values->clear();
  for (const johnny_slice& value : got) {
    values->push_back(value.data == nullptr ? std::nullopt : std::optional<std::string>(View(value)));
  }
  return result;
}

Result WriteBatch(const Txn& txn, const std::vector<Change>& changes, johnny_table* table) {
  std::vector<johnny_write> writes;
  for (const Change& change : changes) {
    johnny_write write{};
    write.key = ToSlice(change.key);
    write.value = change.value ? ToSlice(*change.value) : johnny_slice{};
    write.flags = change.value ? 0 : uint32_t{JOHNNY_WRITE_DELETE};
    writes.push_back(write);
  }
  return johnny_write_batch(txn.get(), table, writes.data(), writes.size());
}

Result SplitRange(const Txn& txn, std::optional<std::string_view> from, std::optional<std::string_view> to, size_t parts,
                  std::vector<std::string>* bounds, johnny_table* table) {
  johnny_slice lower = ToSlice(from.value_or(""));
  johnny_slice upper = ToSlice(to.value_or(""));
  std::vector<johnny_slice> keys(parts == 0 ? 0 : parts - 1);
  size_t count = 0;
  Result result =
      johnny_split_range(txn.get(), table, from ? &lower : nullptr, to ? &upper : nullptr, parts, keys.data(), &count);
  bounds->clear();
  for (size_t i = 0; i < count; ++i) {
    bounds->emplace_back(View(keys[i]));
  }
  return result;
}

Result MoveMany(const Cursor& cursor, bool forward, size_t limit, std::vector<Entry>* entries) {
  std::vector<johnny_slice> keys(limit);
  std::vector<johnny_slice> values(limit);
  size_t count = 0;
  Result result =
      (forward ? johnny_cursor_next_many : johnny_cursor_prev_many)(cursor.get(), limit, keys.data(), values.data(), &count);
  entries->clear();
  for (size_t i = 0; i < count; ++i) {
    entries->emplace_back(View(keys[i]), View(values[i]));
  }
  return result;
}

Builder::Builder(const Txn& txn, johnny_table* table, uint32_t flags, uint32_t fill) { EXPECT_OK(Open(txn, table, flags, fill)); }

Result Builder::Open(const Txn& txn, johnny_table* table, uint32_t flags, uint32_t fill) {
  return johnny_builder_open(txn.get(), table, flags, fill, &builder_);
}

Result Builder::AddAll(const Contents& contents) {
  for (const auto& [key, value] : contents) {
    if (Result result = Add(key, value); !result.ok()) {
      return result;
    }
  }
  return JOHNNY_OK;
}

}  // namespace johnny::test
