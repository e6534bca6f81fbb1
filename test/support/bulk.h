// Wrappers of the calls that take many entries at a time.
#ifndef JOHNNY_TEST_SUPPORT_BULK_H_
#define JOHNNY_TEST_SUPPORT_BULK_H_

#include <optional>
#include <string>
#include <vector>

#include "support/test_db.h"

namespace johnny::test {

// A value is there if the slice's data is not null, even if it is empty.
using Values = std::vector<std::optional<std::string>>;
Result GetMany(const Txn& txn, const std::vector<std::string>& keys, Values* values, size_t* found = nullptr,
               johnny_table* table = nullptr);

// Without a value: the entry is deleted.
struct Change {
  std::string key;
  std::optional<std::string> value;
};
Result WriteBatch(const Txn& txn, const std::vector<Change>& changes, johnny_table* table = nullptr);

Result SplitRange(const Txn& txn, std::optional<std::string_view> from, std::optional<std::string_view> to, size_t parts,
                  std::vector<std::string>* bounds, johnny_table* table = nullptr);

// Fills *entries whatever the result.
Result MoveMany(const Cursor& cursor, bool forward, size_t limit, std::vector<Entry>* entries);

// A builder, closed at the end.
class Builder {
 public:
  Builder() = default;
  // Opens one, and fails the running test when it cannot.
  explicit Builder(const Txn& txn, johnny_table* table = nullptr, uint32_t flags = 0, uint32_t fill = 0);
  ~Builder() { Close(); }
  Builder(Builder&& other) noexcept : builder_(std::exchange(other.builder_, nullptr)) {}
  Builder& operator=(Builder&& other) noexcept {
    std::swap(builder_, other.builder_);
    return *this;
  }

  Result Open(const Txn& txn, johnny_table* table = nullptr, uint32_t flags = 0, uint32_t fill = 0);
  Result Add(std::string_view key, std::string_view value) {
    return johnny_builder_add(builder_, key.data(), key.size(), value.data(), value.size());
  }
  // Adds until an error.
  Result AddAll(const Contents& contents);
  Result Finish() { return johnny_builder_finish(builder_); }
  void Close() { johnny_builder_close(std::exchange(builder_, nullptr)); }
  johnny_builder* get() const { return builder_; }

 private:
  johnny_builder* builder_ = nullptr;
};

}  // namespace johnny::test

#endif  // JOHNNY_TEST_SUPPORT_BULK_H_
