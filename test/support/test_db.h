// RAII over the C API for tests: a temporary directory, and an environment, a transaction and a cursor whose functions return
// a Result, which compares with enum johnny_error and prints the code's name and the library's message.
//
// Handles are ended by destructors in any order the tests' scopes give: declare the Env before its Txns before their Cursors.
#ifndef JOHNNY_TEST_SUPPORT_TEST_DB_H_
#define JOHNNY_TEST_SUPPORT_TEST_DB_H_

#include <gtest/gtest.h>
#include <johnny/johnny.h>
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#define EXPECT_OK(call) EXPECT_EQ(call, JOHNNY_OK)
#define ASSERT_OK(call) ASSERT_EQ(call, JOHNNY_OK)

namespace johnny::os {
class System;
}

namespace johnny::test {

// What a function of the C API returned.
class Result {
 public:
  Result(int code);  // NOLINT: converts on purpose; takes the thread's last message with it

  int code() const { return code_; }
  bool ok() const { return code_ == JOHNNY_OK; }
  const std::string& message() const { return message_; }

  friend bool operator==(const Result& a, int b) { return a.code_ == b; }
  friend std::ostream& operator<<(std::ostream& out, const Result& result);

 private:
  int code_;
  std::string message_;
};

using Contents = std::map<std::string, std::string>;
using Entry = std::pair<std::string, std::string>;

inline johnny_slice ToSlice(std::string_view bytes) { return johnny_slice{bytes.data(), bytes.size()}; }
inline std::string_view View(const johnny_slice& slice) {
  return slice.size == 0 ? std::string_view() : std::string_view(static_cast<const char*>(slice.data), slice.size);
}

// A directory that is removed with its files at the end.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }
  std::string File(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

// Not root for as long as it lives; nothing is refused to root. `directory` and its files are given away for good.
class AsOrdinaryUser {
 public:
  explicit AsOrdinaryUser(const std::string& directory);
  ~AsOrdinaryUser();
  AsOrdinaryUser(const AsOrdinaryUser&) = delete;
  AsOrdinaryUser& operator=(const AsOrdinaryUser&) = delete;

 private:
  uid_t before_;
};

std::string ReadFile(const std::string& path);
void WriteFile(const std::string& path, std::string_view bytes);

// Defaults for tests: JOHNNY_CREATE, lazy durability (fast), 4 GiB of address space (cheap under the sanitizers).
johnny_options TestOptions(uint32_t page_size = 4096);

// An open environment.
class Env {
 public:
  Env() = default;
  // Opens `path`, and fails the running test when it cannot.
  explicit Env(const std::string& path, const johnny_options& options = TestOptions());
  ~Env();
  Env(const Env&) = delete;
  Env& operator=(const Env&) = delete;

  Result Open(const std::string& path, const johnny_options& options = TestOptions());
  // The same on another system than POSIX.
  Result Open(os::System* system, const std::string& path, const johnny_options& options);
  Result Close();
  Result Sync() { return johnny_sync(env_); }
  johnny_env_info Info() const;
  // What verify has to say: "" when nothing is wrong.
  std::string Findings() const;
  testing::AssertionResult VerifyClean() const;
  johnny_env* get() const { return env_; }

 private:
  johnny_env* env_ = nullptr;
};

struct NamedSnapshot {
  std::string name;
  johnny_snapshot_info info;  // its name is not to be used
};

// A transaction, aborted at the end if it is still live.
class Txn {
 public:
  Txn() = default;
  // Begins one, and fails the running test when it cannot.
  explicit Txn(const Env& env, uint32_t flags = 0);
  ~Txn();
  Txn(Txn&& other) noexcept : txn_(std::exchange(other.txn_, nullptr)), live_(std::exchange(other.live_, false)) {}
  Txn& operator=(Txn&& other) noexcept;

  Result Begin(const Env& env, uint32_t flags = 0);
  // One nested in `parent`; the first fails the running test when it cannot begin. `parent` must outlive it, or end it.
  static Txn In(const Txn& parent);
  Result BeginIn(const Txn& parent);
  Result Commit();
  Result CommitWith(uint32_t durability);
  Result Abort();
  Result Reset() { return johnny_reset(txn_); }
  Result Renew() { return johnny_renew(txn_); }
  uint64_t Id() const { return johnny_txn_id(txn_); }
  johnny_txn_info Info() const;

  Result Put(std::string_view key, std::string_view value, uint32_t flags = 0, johnny_table* table = nullptr) {
    return johnny_put(txn_, table, key.data(), key.size(), value.data(), value.size(), flags);
  }
  Result Delete(std::string_view key, johnny_table* table = nullptr) {
    return johnny_delete(txn_, table, key.data(), key.size());
  }
  Result Get(std::string_view key, std::string* value, johnny_table* table = nullptr) const;
  // The value, nothing if there is no such key; any other error fails the running test.
  std::optional<std::string> Find(std::string_view key, johnny_table* table = nullptr) const;
  Result Exists(std::string_view key, johnny_table* table = nullptr) const {
    return johnny_exists(txn_, table, key.data(), key.size());
  }
  // A bound of nullopt is open.
  Result Count(std::optional<std::string_view> from, std::optional<std::string_view> to, uint64_t* count,
               johnny_table* table = nullptr) const;
  Result Rank(std::string_view key, uint64_t* rank, johnny_table* table = nullptr) const {
    return johnny_rank(txn_, table, key.data(), key.size(), rank);
  }
  Result Nth(uint64_t n, Entry* entry, johnny_table* table = nullptr) const;

  // Everything in the table, by a forward scan that also checks the order; an error fails the running test.
  Contents All(johnny_table* table = nullptr) const;
  uint64_t Entries(johnny_table* table = nullptr) const;  // all of them, by count
  johnny_table_info TableInfo(johnny_table* table = nullptr) const;

  Result OpenTable(const std::string& name, uint32_t flags, johnny_table** table) {
    return johnny_table_open(txn_, name.c_str(), flags, table);
  }
  // The handle, created if need be; an error fails the running test.
  johnny_table* Table(const std::string& name, uint32_t flags = JOHNNY_TABLE_CREATE);
  std::vector<std::string> TableNames() const;

  // Named snapshots; the constructor's like for a transaction on one fails the running test when it cannot begin.
  static Txn On(const Env& env, const std::string& name);
  Result BeginOn(const Env& env, const std::string& name);
  Result CreateSnapshot(const std::string& name) { return johnny_snapshot_create(txn_, name.c_str()); }
  Result DeleteSnapshot(const std::string& name) { return johnny_snapshot_delete(txn_, name.c_str()); }
  std::vector<NamedSnapshot> Snapshots() const;

  johnny_txn* get() const { return txn_; }

 private:
  johnny_txn* txn_ = nullptr;
  bool live_ = false;
};

// A cursor, closed at the end. The functions write *entry on success; it may be null.
class Cursor {
 public:
  Cursor() = default;
  // Opens one, and fails the running test when it cannot.
  explicit Cursor(const Txn& txn, johnny_table* table = nullptr);
  ~Cursor();
  Cursor(Cursor&& other) noexcept : cursor_(std::exchange(other.cursor_, nullptr)) {}
  Cursor& operator=(Cursor&& other) noexcept;

  Result Open(const Txn& txn, johnny_table* table = nullptr);
  void Close();
  Result First(Entry* entry = nullptr) { return Move(johnny_cursor_first, entry); }
  Result Last(Entry* entry = nullptr) { return Move(johnny_cursor_last, entry); }
  Result Next(Entry* entry = nullptr) { return Move(johnny_cursor_next, entry); }
  Result Prev(Entry* entry = nullptr) { return Move(johnny_cursor_prev, entry); }
  Result Get(Entry* entry = nullptr) { return Move(johnny_cursor_get, entry); }
  Result Seek(std::string_view key, uint32_t mode, Entry* entry = nullptr);
  Result Put(std::string_view value) { return johnny_cursor_put(cursor_, value.data(), value.size()); }
  Result Delete() { return johnny_cursor_delete(cursor_); }
  Result SetRange(std::optional<std::string_view> from, std::optional<std::string_view> to);
  Result SetPrefix(std::string_view prefix) { return johnny_cursor_set_prefix(cursor_, prefix.data(), prefix.size()); }

  // The key after a movement, or "<code's name>" when it failed: for short expectations on keys.
  std::string FirstKey() { return KeyOf(johnny_cursor_first); }
  std::string LastKey() { return KeyOf(johnny_cursor_last); }
  std::string NextKey() { return KeyOf(johnny_cursor_next); }
  std::string PrevKey() { return KeyOf(johnny_cursor_prev); }
  std::string Key() { return KeyOf(johnny_cursor_get); }
  std::string SeekKey(std::string_view key, uint32_t mode);

  johnny_cursor* get() const { return cursor_; }

 private:
  using Movement = int (*)(johnny_cursor*, johnny_slice*, johnny_slice*);
  Result Move(Movement movement, Entry* entry);
  std::string KeyOf(Movement movement);

  johnny_cursor* cursor_ = nullptr;
};

// A test with a database of its own, open in env_.
class DbTest : public testing::Test {
 protected:
  explicit DbTest(const johnny_options& options = TestOptions()) : options_(options), env_(path_, options) {}

  // Closes the database and opens it again with options_.
  void Reopen() {
    ASSERT_OK(env_.Close());
    ASSERT_OK(env_.Open(path_, options_));
  }
  // Commits entries NumberedKey(from) ... NumberedKey(to - 1), each with its key as value.
  void Fill(uint64_t from, uint64_t to, johnny_table* table = nullptr);

  TempDir dir_;
  std::string path_ = dir_.File("db");
  johnny_options options_;
  Env env_;
};

// The same for each page size; INSTANTIATE_PAGE_SIZES(Suite) runs it.
class PagedDbTest : public DbTest, public testing::WithParamInterface<uint32_t> {
 protected:
  PagedDbTest() : DbTest(TestOptions(GetParam())) {}
};

// "JOHNNY_BUSY" and the like.
std::string CodeName(int code);

// `size` bytes that differ between seeds, and between positions even at page distance.
std::string Pattern(size_t size, uint32_t seed);

// `number` in decimal, padded with zeros to `width`, behind `prefix`.
std::string NumberedKey(uint64_t number, int width = 8, std::string_view prefix = "");

// JOHNNY_TEST_SCALE (default 1): by how much to multiply the work of the scalable tests.
int Scale();

}  // namespace johnny::test

// Lets gtest print the constants by name.
void PrintTo(johnny_error code, std::ostream* out);

#define INSTANTIATE_PAGE_SIZES(Suite) \
  INSTANTIATE_TEST_SUITE_P(PageSizes, Suite, testing::Values(4096u, 8192u, 16384u, 32768u), testing::PrintToStringParamName())

#endif  // JOHNNY_TEST_SUPPORT_TEST_DB_H_
