// Files that are built page by page to contradict what the code relies on, with right checksums and references: each gives an
// error that says so, or the right data. Never a crash, a hang, a defect reported, or an id used twice.
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "damage/examine.h"
#include "format/snapshot_record.h"
#include "node/branch.h"
#include "node/leaf.h"
#include "space/free_log.h"

namespace johnny::test {
namespace {

using format::ChildRef;
using testing::AnyOf;

constexpr unsigned kSecondsUntilHung = 60;
constexpr TxnId kOldBirth = 2;

void Hung(int) {
  (void)!write(2, "hangs\n", 6);
  abort();
}

// Five small entries in one leaf.
const std::string& Base() {
  static const std::string* base = [] {
    TempDir dir;
    Env env(dir.File("db"));
    Txn txn(env);
    for (uint64_t i = 0; i < 5; ++i) {
      EXPECT_OK(txn.Put(NumberedKey(i), "x"));
    }
    EXPECT_OK(txn.Commit());
    EXPECT_OK(env.Close());
    return new std::string(ReadFile(dir.File("db")));
  }();
  return *base;
}

class HostileTest : public testing::Test {
 protected:
  HostileTest() {
    for (uint64_t i = 0; i < 5; ++i) {
      contents_[NumberedKey(i)] = "x";
    }
    signal(SIGALRM, Hung);
    alarm(kSecondsUntilHung);
  }
  ~HostileTest() override { alarm(0); }

  // ---- Building ----

  Byte* Page(PageNumber page) {
    bytes_.resize(std::max(bytes_.size(), (page + 1) * kPageSize));
    return At(&bytes_, page);
  }
  PageNumber AddPage() {
    Page(master_.page_count);
    return master_.page_count++;
  }
  ChildRef Seal(PageNumber page, uint64_t entries, TxnId birth = kOldBirth) {
    format::PageHeader* header = node::Header(Page(page));
    header->birth = birth;
    header->set_page(page);
    header->checksum = format::PageChecksum(header, kPageSize, master_.database_id, page);
    return {page, static_cast<uint32_t>(header->checksum), entries};
  }
  // A leaf with `contents`, sorted and not sealed yet.
  PageNumber AddLeaf(const Contents& contents) {
    std::vector<node::LeafEntry> entries;
    for (const auto& [key, value] : contents) {
      entries.push_back({key, {value, false}});
    }
    PageNumber page = AddPage();
    std::memset(Page(page), 0, kPageSize);
    node::BuildLeaf(Page(page), kPageSize, entries);
    return page;
  }
  PageNumber AddBranch(uint8_t level, const std::vector<node::BranchEntry>& entries) {
    PageNumber page = AddPage();
    std::memset(Page(page), 0, kPageSize);
    EXPECT_TRUE(node::BuildBranch(Page(page), kPageSize, level, entries));
    return page;
  }
  void SetRoot(const ChildRef& root, uint8_t level) {
    master_.main.root = root;
    master_.main.level = level;
  }
  // The newest record of the free log.
  absl::StatusOr<space::LogRecord> Record() {
    PageNumber page = master_.free_log.page;
    size_t stream = format::kPageHeaderSize + format::kChildRefSize;
    return space::DecodeRecord(MakeSlice(Page(page) + stream, node::Header(Page(page))->lower - stream), page);
  }
  void SetRecord(const space::LogRecord& record) {
    PageNumber page = master_.free_log.page;
    master_.free_log = space::BuildStream(space::EncodeRecord(record), format::PageType::kFreeLogRecord, record.txn, {page},
                                          kPageSize, master_.database_id, Page(page));
  }
  template <typename Change>
  void ForgeRecord(Change change) {
    absl::StatusOr<space::LogRecord> record = Record();
    ASSERT_TRUE(record.ok()) << record.status();
    change(&*record);
    SetRecord(*record);
  }
  // The free log knows of every page, so it must know of the built ones. (A forged record that does not decode stays.)
  void LogAddedPages() {
    absl::StatusOr<space::LogRecord> record = Record();
    if (record.ok() && record->new_page_count < master_.page_count) {
      record->taken.push_back({record->new_page_count, master_.page_count - record->new_page_count});
      record->new_page_count = master_.page_count;
      SetRecord(*record);
    }
  }

  // ---- Using ----

  // What a call may return; notes an error.
  bool Right(const Result& result) {
    EXPECT_THAT(result.code(), AnyOf(JOHNNY_OK, JOHNNY_CORRUPT)) << result;
    refused_ |= !result.ok();
    return result.ok();
  }
  // Opens the file for writing; false when it is refused.
  bool Open() {
    LogAddedPages();
    ReplaceMaster(&bytes_, master_);
    WriteFile(path_, bytes_);
    examiner_.Examine("opened by the examiner", bytes_, {}, 1);
    alarm(kSecondsUntilHung);
    return Reopen();
  }
  bool Reopen() {
    johnny_options options = TestOptions();
    options.flags = 0;
    return Right(env_.Open(path_, options));
  }
  // One commit of these, and then everything there should be is read.
  void Put(const std::vector<Entry>& entries) {
    Txn txn;
    if (!Right(txn.Begin(env_))) {
      return;
    }
    for (const auto& [key, value] : entries) {
      if (!Right(txn.Put(key, value))) {
        return;
      }
      contents_[key] = value;
    }
    if (Right(txn.Commit())) {
      Read();
    }
  }
  void Read() {
    Txn txn(env_, JOHNNY_READ);
    for (const auto& [key, expected] : contents_) {
      std::string value;
      if (Right(txn.Get(key, &value))) {
        EXPECT_TRUE(value == expected) << key;
      }
    }
    Cursor cursor(txn);
    Entry entry;
    Result result = cursor.First(&entry);
    auto expected = contents_.begin();
    for (; result.ok() && expected != contents_.end(); ++expected, result = cursor.Next(&entry)) {
      EXPECT_TRUE(entry == Entry(*expected)) << entry.first << " instead of " << expected->first;
    }
    EXPECT_THAT(result.code(), AnyOf(JOHNNY_NOT_FOUND, JOHNNY_CORRUPT)) << result;
    if (result == JOHNNY_NOT_FOUND) {
      EXPECT_TRUE(expected == contents_.end()) << expected->first << " is missing";
    }
  }

  TempDir dir_;
  std::string path_ = dir_.File("db");
  std::string bytes_ = Base();
  format::MasterPage master_ = MasterOf(bytes_, -1);
  Contents contents_;  // what the file should be taken for, if it is taken at all
  bool refused_ = false;
  Examiner examiner_;
  Env env_;
};

// ---- Order ----

TEST_F(HostileTest, AnUnchangedFileIsRead) {
  ASSERT_TRUE(Open());
  Put({{"a", "1"}, {NumberedKey(2), "2"}});
  EXPECT_FALSE(refused_);
  EXPECT_TRUE(env_.VerifyClean());
}

TEST_F(HostileTest, ABuiltFileIsRead) {
  contents_.clear();
  std::vector<node::BranchEntry> entries;
  const std::string separators[] = {"", "aaaaaaaa1", "aaaaaaaa3", "b"};
  for (const std::string& separator : separators) {
    std::string stem = separator.empty() ? "a" : separator;
    Contents part = {{stem + "0", std::string(1900, 'v')}, {stem + "1", std::string(1900, 'w')}};
    contents_.insert(part.begin(), part.end());
    entries.push_back({separator, Seal(AddLeaf(part), 2)});
  }
  SetRoot(Seal(AddBranch(1, entries), 8), 1);
  ASSERT_TRUE(Open());
  Put({{"aaaaaaaa0", std::string(1900, 'q')}, {"aaaaaaaa1y", std::string(1900, 'r')}});
  EXPECT_FALSE(refused_);
}

// Entries 1 and 2 change places.
TEST_F(HostileTest, KeysOutOfOrderInALeaf) {
  contents_.clear();
  for (const char* key : {"aaaaaaaa1", "aaaaaaaa2", "b"}) {
    contents_[key] = std::string(900, 'v');
  }
  PageNumber page = AddLeaf(contents_);
  Byte* heads = Page(page) + format::kPageHeaderSize;
  ASSERT_EQ(node::Header(Page(page))->prefix, 0u);
  std::swap_ranges(heads + 4, heads + 8, heads + 8);
  std::swap_ranges(heads + 14, heads + 16, heads + 16);
  SetRoot(Seal(page, 3), 0);
  if (Open()) {
    Put({{"aaaaaaaa3", std::string(900, 'q')}, {"aaaaaaaa0", std::string(1900, 'q')}, {"aaaaaaaa4", std::string(1900, 'q')}});
  }
}

// Separators 2 and 3 change places.
TEST_F(HostileTest, SeparatorsOutOfOrderInABranch) {
  contents_.clear();
  std::vector<node::BranchEntry> entries;
  const std::string separators[] = {"", "aaaaaaaa1", "aaaaaaaa3", "b"};
  for (size_t i = 0; i < 4; ++i) {
    std::string key = "aaaaaaaa" + std::to_string(i);
    Contents part = {{key + "0", std::string(1900, 'v')}, {key + "1", std::string(1900, 'v')}};
    contents_.insert(part.begin(), part.end());
    entries.push_back({separators[i], Seal(AddLeaf(part), 2)});
  }
  PageNumber page = AddBranch(1, entries);
  Byte* heads = Page(page) + node::BranchHeadsAt(Page(page));
  ASSERT_EQ(node::Header(Page(page))->prefix, 0u);
  Byte* slots = heads + size_t{4} * (4 + format::kChildRefSize);
  std::swap_ranges(heads + 8, heads + 12, heads + 12);
  std::swap_ranges(slots + 4, slots + 6, slots + 6);
  SetRoot(Seal(page, 8), 1);
  if (Open()) {
    for (char last = '2'; last < '2' + 20 && !refused_; ++last) {
      Put({{std::string("aaaaaaaa0") + last, std::string(1900, 'q')}});
    }
  }
}

// ---- Overlap ----

// Entry b lies within the value of a.
TEST_F(HostileTest, OverlappingEntriesInALeaf) {
  std::string value(1000, 'v');
  value.replace(100, 6, std::string("\1\0\1\0bx", 6));
  contents_ = {{"a", value}, {"b", "x"}, {"c", std::string(500, 'c')}};
  PageNumber page = AddLeaf(contents_);
  Byte* offsets = Page(page) + format::kPageHeaderSize + 3 * 4;
  Store16(offsets + 2, static_cast<uint16_t>(Load16(offsets) + format::kLeafEntryHeader + 1 + 100));
  SetRoot(Seal(page, 3), 0);
  if (Open()) {
    Put({{"a", std::string(999, 'p')}});
    Put({{"aa", std::string(900, 'q')}, {"ab", std::string(900, 'q')}, {"e", std::string(900, 'q')}});
  }
}

// ---- Pages with several parents ----

struct Dag {
  int levels;
  int children;      // of each branch, all the same
  bool empty;        // the leaf
  bool right_count;  // of entries, in every reference
};
class DagTest : public HostileTest, public testing::WithParamInterface<Dag> {
 protected:
  void SetUp() override {
    const auto [levels, children, empty, right_count] = GetParam();
    uint64_t entries = empty ? 0 : 1;
    ChildRef ref = Seal(AddLeaf(empty ? Contents() : Contents{{"k", "v"}}), entries);
    for (int level = 1; level < levels; ++level) {
      std::vector<std::string> separators;
      for (int i = 0; i < children; ++i) {
        separators.push_back(NumberedKey(static_cast<uint64_t>(i)));
      }
      std::vector<node::BranchEntry> branch;
      for (const std::string& separator : separators) {
        branch.push_back({separator, ref});
      }
      entries = right_count ? entries * static_cast<uint64_t>(children) : static_cast<uint64_t>(children);
      ref = Seal(AddBranch(static_cast<uint8_t>(level), branch), entries);
    }
    SetRoot(ref, static_cast<uint8_t>(levels - 1));
    LogAddedPages();
    ReplaceMaster(&bytes_, master_);
    WriteFile(path_, bytes_);
    opened_ = Reopen();
  }
  // Any error but a defect: what is right in such a tree nobody can say.
  void Ends(const Result& result) {
    EXPECT_THAT(result.code(), AnyOf(JOHNNY_OK, JOHNNY_NOT_FOUND, JOHNNY_CORRUPT, JOHNNY_TXN_FAILED)) << result;
  }
  bool opened_ = false;
};

INSTANTIATE_TEST_SUITE_P(Shapes, DagTest,
                         testing::Values(Dag{32, 100, true, false}, Dag{32, 100, true, true}, Dag{24, 4, false, true}));

TEST_P(DagTest, EveryCursorMovementEnds) {
  if (opened_) {
    Txn txn(env_, JOHNNY_READ);
    Cursor cursor(txn);
    Ends(cursor.First());
    Ends(cursor.Next());
    Ends(cursor.Last());
    Ends(cursor.Prev());
    for (uint32_t mode : {JOHNNY_SEEK_EXACT, JOHNNY_SEEK_AT_OR_AFTER, JOHNNY_SEEK_AT_OR_BEFORE}) {
      Ends(cursor.Seek(NumberedKey(2) + "x", mode));
    }
  }
}

TEST_P(DagTest, CountingEnds) {
  if (opened_) {
    Txn txn(env_, JOHNNY_READ);
    uint64_t number = 0;
    Entry entry;
    Ends(txn.Count(NumberedKey(1), NumberedKey(3), &number));
    Ends(txn.Rank(NumberedKey(2), &number));
    for (uint64_t n : {uint64_t{0}, uint64_t{5}, uint64_t{99}, uint64_t{1} << 40}) {
      Ends(txn.Nth(n, &entry));
    }
  }
}

TEST_P(DagTest, WalkingItsPagesEnds) {
  if (opened_) {
    Txn txn(env_, JOHNNY_READ);
    uint64_t runs = 0;
    auto count = [](void* context, const johnny_page_run*) {
      return static_cast<int>(++*static_cast<uint64_t*>(context) > 100000);
    };
    Ends(johnny_page_list(txn.get(), count, &runs));
    EXPECT_LT(runs, 100000u);
    johnny_table_scan_info info{};
    info.struct_size = sizeof info;
    Ends(johnny_table_scan(txn.get(), nullptr, &info));
  }
}

TEST_P(DagTest, VerifyingFindsIt) {
  if (opened_) {
    EXPECT_EQ(Result(johnny_verify(env_.get(), nullptr, nullptr)), JOHNNY_CORRUPT);
  }
}

TEST_P(DagTest, ScrubbingEnds) {
  if (opened_) {
    johnny_scrub_options options = {.struct_size = sizeof options, .bytes_per_second = UINT64_MAX};
    ASSERT_OK(Result(johnny_scrub_start(env_.get(), &options)));
    johnny_scrub_info info{};
    info.struct_size = sizeof info;
    do {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      ASSERT_OK(Result(johnny_scrub_get_info(env_.get(), &info)));
    } while (info.running != 0);
    EXPECT_GT(info.findings, 0u);
  }
}

TEST_P(DagTest, ClearingEnds) {
  if (opened_) {
    Txn txn(env_);
    Result cleared = johnny_table_clear(txn.get(), nullptr);
    Ends(cleared);
    if (cleared.ok()) {
      Ends(txn.Commit());
    }
  }
}

TEST_P(DagTest, DeletingEnds) {
  if (opened_) {
    Txn txn(env_);
    Ends(txn.Delete("k"));
    Ends(txn.Put("k", "w"));
    Ends(txn.Put(NumberedKey(3), "w"));
    Ends(txn.Commit());
  }
}

TEST_F(HostileTest, OnePageUnderTwoParentsIsClearedOrRefused) {
  ChildRef leaf = Seal(master_.main.root.page, 5);
  SetRoot(Seal(AddBranch(1, {{"", leaf}, {"z", leaf}}), 10), 1);
  if (!Open()) {
    return;
  }
  Txn txn(env_);
  Result cleared = johnny_table_clear(txn.get(), nullptr);
  if (Right(cleared) && Right(txn.Commit())) {
    EXPECT_TRUE(env_.VerifyClean());
  }
}

// ---- Births and ids ----

TEST_F(HostileTest, APageBornInTheTransactionAboutToBegin) {
  for (TxnId later : {1, 2, 1 << 20, 1 << 30}) {
    bytes_ = Base();
    refused_ = false;
    SetRoot(Seal(master_.main.root.page, 5, master_.id_ceiling + later), 0);
    if (Open()) {
      Put({{"a", "1"}});
      Put({{"a", "2"}, {NumberedKey(0), "2"}});
    }
    EXPECT_TRUE(refused_) << "born " << later << " above the ceiling";
    env_.Close();
  }
}

TEST_F(HostileTest, IdsDoNotWrapAround) {
  for (int bits : {0, 1, 10, 20, 21, 40, 62, 63}) {
    uint64_t below = (uint64_t{1} << bits) - 1;
    refused_ = false;
    master_.id_ceiling = ~uint64_t{0} - below;
    contents_.erase("a");
    if (!Open()) {
      continue;
    }
    TxnId last = master_.txn;
    for (int i = 0; i < 4 && !refused_; ++i) {
      Txn txn;
      if (Right(txn.Begin(env_))) {
        EXPECT_GT(txn.Id(), last) << "ceiling 2^64-1 less " << below;
        EXPECT_GT(txn.Id(), master_.id_ceiling) << "ceiling 2^64-1 less " << below;
        last = txn.Id();
        if (Right(txn.Put("a", std::to_string(i))) && Right(txn.CommitWith(JOHNNY_TWO_PHASE))) {
          contents_["a"] = std::to_string(i);
        }
      }
      EXPECT_OK(env_.Close());
      if (Reopen()) {
        Read();
      }
    }
    env_.Close();
  }
}

// Whoever goes through such names from one to the next could go on for ever.
TEST_F(HostileTest, NamesOfSnapshotsThatGoBack) {
  std::string record(format::kSnapshotRecordSize, '\0');
  format::StoreSnapshotRecord(
      record.data(), {.txn = kOldBirth, .page_count = master_.page_count, .table_count = 0, .main = master_.main, .catalog = {}});
  ChildRef first = Seal(AddLeaf({{format::SnapshotKey("b"), record}}), 1);
  ChildRef second = Seal(AddLeaf({{format::SnapshotKey("a"), record}}), 1);
  master_.catalog.root = Seal(AddBranch(1, {{"", first}, {format::SnapshotKey("a"), second}}), 2);
  master_.catalog.level = 1;
  ASSERT_GT(master_.txn, kOldBirth);
  ASSERT_TRUE(Open());
  Txn reader(env_, JOHNNY_READ);
  auto count = [](void* context, const johnny_snapshot_info*) { return ++*static_cast<int*>(context), 0; };
  int listed = 0;
  Result result(johnny_snapshot_list(reader.get(), count, &listed));
  EXPECT_EQ(result, JOHNNY_CORRUPT);
  EXPECT_NE(result.message().find("not in order"), std::string::npos) << result;
  Txn writer;
  result = writer.Begin(env_);
  EXPECT_EQ(result, JOHNNY_CORRUPT);
  EXPECT_NE(result.message().find("not in order"), std::string::npos) << result;
}

// ---- The free log ----

TEST_F(HostileTest, ALivePageThatIsListedAsFree) {
  PageNumber log = master_.free_log.page;
  ForgeRecord([log](space::LogRecord* record) { record->taken = {{log, 1}}; });
  if (Open()) {
    for (uint64_t i = 0; i < 20 && !refused_; ++i) {
      Put({{NumberedKey(i % 5), Pattern(100, static_cast<uint32_t>(i))}});
    }
    EXPECT_TRUE(refused_ || env_.VerifyClean());
  }
}

TEST_F(HostileTest, AMetaRegionPastTheEndOfTheFile) {
  absl::StatusOr<space::LogRecord> record = Record();
  ASSERT_TRUE(record.ok()) << record.status();
  for (uint64_t pages : {uint64_t{100}, uint64_t{1} << 20, uint64_t{1} << 40}) {
    refused_ = false;
    contents_.erase("large");
    record->meta_region = {{16, pages}};
    SetRecord(*record);
    if (Open()) {
      Put({{"large", Pattern(1000000, 1)}});
      Put({{"large", Pattern(500000, 2)}, {"a", "1"}});
      EXPECT_TRUE(refused_ || env_.VerifyClean());
    }
    env_.Close();
  }
}

}  // namespace
}  // namespace johnny::test
