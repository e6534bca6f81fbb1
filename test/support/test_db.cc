#include "support/test_db.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "api/internal.h"

namespace johnny::test {

Result::Result(int code) : code_(code) {
  if (code != JOHNNY_OK && code != JOHNNY_NOT_FOUND) {
    message_ = johnny_last_error_message();
  }
}

std::ostream& operator<<(std::ostream& out, const Result& result) {
  out << CodeName(result.code_);
  return result.message_.empty() ? out : out << " (" << result.message_ << ")";
}

std::string CodeName(int code) {
  std::string text = johnny_strerror(code);
  return text.substr(0, text.find(':'));
}

// ---- Files ----

TempDir::TempDir() {
  const char* base = std::getenv("TMPDIR");
  std::string name = std::string(base != nullptr ? base : "/tmp") + "/johnny_test_XXXXXX";
  path_ = mkdtemp(name.data()) != nullptr ? name : "";
  EXPECT_NE(path_, "") << "no temporary directory";
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

AsOrdinaryUser::AsOrdinaryUser(const std::string& directory) : before_(::geteuid()) {
  constexpr uid_t kNobody = 65534;
  if (before_ != 0) {
    return;
  }
  EXPECT_EQ(::chown(directory.c_str(), kNobody, kNobody), 0);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    EXPECT_EQ(::lchown(entry.path().c_str(), kNobody, kNobody), 0) << entry.path();
  }
  EXPECT_EQ(::seteuid(kNobody), 0);
}

AsOrdinaryUser::~AsOrdinaryUser() { EXPECT_EQ(::seteuid(before_), 0); }

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

void WriteFile(const std::string& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  EXPECT_TRUE(out.good()) << path;
}

// ---- Env ----

johnny_options TestOptions(uint32_t page_size) {
  johnny_options options;
  johnny_options_init(&options);
  options.flags = JOHNNY_CREATE;
  options.page_size = page_size;
  options.durability = JOHNNY_LAZY;
  options.address_space = uint64_t{4} << 30;
  options.sync_interval_ms = 0;
  options.sync_bytes = 0;
  return options;
}

Env::Env(const std::string& path, const johnny_options& options) { EXPECT_OK(Open(path, options)); }

Env::~Env() {
  if (env_ != nullptr) {
    EXPECT_OK(Close());
  }
}

Result Env::Open(const std::string& path, const johnny_options& options) { return johnny_open(path.c_str(), &options, &env_); }

Result Env::Open(os::System* system, const std::string& path, const johnny_options& options) {
  return api::OpenWithSystem(system, path.c_str(), &options, &env_);
}

Result Env::Close() {
  Result result = johnny_close(env_);
  if (result != JOHNNY_IN_USE) {
    env_ = nullptr;
  }
  return result;
}

johnny_env_info Env::Info() const {
  johnny_env_info info{};
  info.struct_size = sizeof info;
  EXPECT_OK(Result(johnny_env_get_info(env_, &info)));
  return info;
}

std::string Env::Findings() const {
  std::string findings;
  auto collect = [](void* context, const johnny_finding* finding) {
    *static_cast<std::string*>(context) += "\n  page " + std::to_string(finding->page) + ", table " +
                                           (finding->table != nullptr ? finding->table : "-") + ": " + finding->message;
    return 0;
  };
  johnny_verify_options options = {.struct_size = sizeof options, .on_finding = collect, .context = &findings};
  Result result = johnny_verify(env_, &options, nullptr);
  if (!result.ok()) {
    findings = "verify: " + CodeName(result.code()) + " " + result.message() + findings;
  }
  return findings;
}

testing::AssertionResult Env::VerifyClean() const {
  std::string findings = Findings();
  return findings.empty() ? testing::AssertionSuccess() : testing::AssertionFailure() << findings;
}

// ---- Txn ----

Txn::Txn(const Env& env, uint32_t flags) { EXPECT_OK(Begin(env, flags)); }

Txn::~Txn() {
  if (live_) {
    johnny_abort(txn_);
  }
}

Txn& Txn::operator=(Txn&& other) noexcept {
  if (live_) {
    johnny_abort(txn_);
  }
  txn_ = std::exchange(other.txn_, nullptr);
  live_ = std::exchange(other.live_, false);
  return *this;
}

Result Txn::Begin(const Env& env, uint32_t flags) {
  Result result = johnny_begin(env.get(), flags, &txn_);
  live_ = result.ok();
  return result;
}

Txn Txn::In(const Txn& parent) {
  Txn txn;
  EXPECT_OK(txn.BeginIn(parent));
  return txn;
}

Result Txn::BeginIn(const Txn& parent) {
  Result result = johnny_begin_nested(parent.get(), 0, &txn_);
  live_ = result.ok();
  return result;
}

Txn Txn::On(const Env& env, const std::string& name) {
  Txn txn;
  EXPECT_OK(txn.BeginOn(env, name));
  return txn;
}

Result Txn::BeginOn(const Env& env, const std::string& name) {
  Result result = johnny_begin_snapshot(env.get(), name.c_str(), &txn_);
  live_ = result.ok();
  return result;
}

std::vector<NamedSnapshot> Txn::Snapshots() const {
  std::vector<NamedSnapshot> snapshots;
  auto collect = [](void* context, const johnny_snapshot_info* info) {
    static_cast<std::vector<NamedSnapshot>*>(context)->push_back({info->name, *info});
    return 0;
  };
  EXPECT_OK(Result(johnny_snapshot_list(txn_, collect, &snapshots)));
  return snapshots;
}

Result Txn::Commit() {
  live_ = false;
  return johnny_commit(txn_);
}

Result Txn::CommitWith(uint32_t durability) {
  live_ = false;
  return johnny_commit_with(txn_, durability);
}

Result Txn::Abort() {
  live_ = false;
  return johnny_abort(txn_);
}

johnny_txn_info Txn::Info() const {
  johnny_txn_info info{};
  info.struct_size = sizeof info;
  EXPECT_OK(Result(johnny_txn_get_info(txn_, &info)));
  return info;
}

Result Txn::Get(std::string_view key, std::string* value, johnny_table* table) const {
  johnny_slice slice{};
  Result result = johnny_get(txn_, table, key.data(), key.size(), &slice);
  if (result.ok()) {
    value->assign(View(slice));
  }
  return result;
}

std::optional<std::string> Txn::Find(std::string_view key, johnny_table* table) const {
  std::string value;
  Result result = Get(key, &value, table);
  if (result.ok()) {
    return value;
  }
  EXPECT_EQ(result, JOHNNY_NOT_FOUND);
  return std::nullopt;
}

Result Txn::Count(std::optional<std::string_view> from, std::optional<std::string_view> to, uint64_t* count,
                  johnny_table* table) const {
  johnny_slice low = ToSlice(from.value_or(""));
  johnny_slice high = ToSlice(to.value_or(""));
  return johnny_count(txn_, table, from ? &low : nullptr, to ? &high : nullptr, count);
}

Result Txn::Nth(uint64_t n, Entry* entry, johnny_table* table) const {
  johnny_slice key{};
  johnny_slice value{};
  Result result = johnny_nth(txn_, table, n, &key, &value);
  if (result.ok()) {
    *entry = Entry(View(key), View(value));
  }
  return result;
}

Contents Txn::All(johnny_table* table) const {
  Contents all;
  Cursor cursor(*this, table);
  Entry entry;
  Result result = cursor.First(&entry);
  for (; result.ok(); result = cursor.Next(&entry)) {
    EXPECT_TRUE(all.empty() || all.rbegin()->first < entry.first) << "keys out of order";
    all.insert_or_assign(all.end(), entry.first, entry.second);
  }
  EXPECT_EQ(result, JOHNNY_NOT_FOUND);
  return all;
}

uint64_t Txn::Entries(johnny_table* table) const {
  uint64_t count = ~uint64_t{0};
  EXPECT_OK(Count(std::nullopt, std::nullopt, &count, table));
  return count;
}

johnny_table_info Txn::TableInfo(johnny_table* table) const {
  johnny_table_info info{};
  info.struct_size = sizeof info;
  EXPECT_OK(Result(johnny_table_get_info(txn_, table, &info)));
  return info;
}

johnny_table* Txn::Table(const std::string& name, uint32_t flags) {
  johnny_table* table = nullptr;
  EXPECT_OK(OpenTable(name, flags, &table)) << name;
  return table;
}

std::vector<std::string> Txn::TableNames() const {
  std::vector<std::string> names;
  auto collect = [](void* context, const char* name) {
    static_cast<std::vector<std::string>*>(context)->push_back(name);
    return 0;
  };
  EXPECT_OK(Result(johnny_table_list(txn_, collect, &names)));
  return names;
}

// ---- Cursor ----

Cursor::Cursor(const Txn& txn, johnny_table* table) { EXPECT_OK(Open(txn, table)); }

Cursor::~Cursor() { Close(); }

Cursor& Cursor::operator=(Cursor&& other) noexcept {
  Close();
  cursor_ = std::exchange(other.cursor_, nullptr);
  return *this;
}

Result Cursor::Open(const Txn& txn, johnny_table* table) { return johnny_cursor_open(txn.get(), table, &cursor_); }

void Cursor::Close() { johnny_cursor_close(std::exchange(cursor_, nullptr)); }

Result Cursor::Move(Movement movement, Entry* entry) {
  johnny_slice key{};
  johnny_slice value{};
  Result result = movement(cursor_, &key, &value);
  if (result.ok() && entry != nullptr) {
    *entry = Entry(View(key), View(value));
  }
  return result;
}

std::string Cursor::KeyOf(Movement movement) {
  Entry entry;
  Result result = Move(movement, &entry);
  return result.ok() ? entry.first : "<" + CodeName(result.code()) + ">";
}

Result Cursor::Seek(std::string_view key, uint32_t mode, Entry* entry) {
  johnny_slice found{};
  johnny_slice value{};
  Result result = johnny_cursor_seek(cursor_, key.data(), key.size(), mode, &found, &value);
  if (result.ok() && entry != nullptr) {
    *entry = Entry(View(found), View(value));
  }
  return result;
}

std::string Cursor::SeekKey(std::string_view key, uint32_t mode) {
  Entry entry;
  Result result = Seek(key, mode, &entry);
  return result.ok() ? entry.first : "<" + CodeName(result.code()) + ">";
}

Result Cursor::SetRange(std::optional<std::string_view> from, std::optional<std::string_view> to) {
  johnny_slice low = ToSlice(from.value_or(""));
  johnny_slice high = ToSlice(to.value_or(""));
  return johnny_cursor_set_range(cursor_, from ? &low : nullptr, to ? &high : nullptr);
}

// ---- Data ----

void DbTest::Fill(uint64_t from, uint64_t to, johnny_table* table) {
  Txn txn(env_);
  for (uint64_t i = from; i < to; ++i) {
    ASSERT_OK(txn.Put(NumberedKey(i), NumberedKey(i), 0, table));
  }
  ASSERT_OK(txn.Commit());
}

std::string Pattern(size_t size, uint32_t seed) {
  std::string bytes(size, '\0');
  uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
  for (size_t i = 0; i < size; i += 8) {
    state = (state ^ (state >> 29)) * 0xbf58476d1ce4e5b9u + 0x94d049bb133111ebu;
    std::memcpy(bytes.data() + i, &state, std::min<size_t>(8, size - i));
  }
  return bytes;
}

std::string NumberedKey(uint64_t number, int width, std::string_view prefix) {
  std::string digits = std::to_string(number);
  size_t padding = digits.size() < static_cast<size_t>(width) ? static_cast<size_t>(width) - digits.size() : 0;
  return std::string(prefix) + std::string(padding, '0') + digits;
}

int Scale() {
  const char* scale = std::getenv("JOHNNY_TEST_SCALE");
  return scale != nullptr && std::atoi(scale) > 0 ? std::atoi(scale) : 1;
}

}  // namespace johnny::test

void PrintTo(johnny_error code, std::ostream* out) { *out << johnny::test::CodeName(code); }
