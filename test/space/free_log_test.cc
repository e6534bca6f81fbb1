#include "space/free_log.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <random>

#include "space/space_fixture.h"

namespace johnny::space {
namespace {

using format::ChildRef;
using format::PageType;

bool Same(const PendingRun& a, const PendingRun& b) { return a.run == b.run && a.birth == b.birth && a.death == b.death; }
bool Same(const ChildRef& a, const ChildRef& b) { return a.page == b.page && a.checksum == b.checksum; }
bool Same(const SegmentRef& a, const SegmentRef& b) { return a.start == b.start && Same(a.first, b.first) && a.as_of == b.as_of; }
template <typename T>
bool SameAll(const std::vector<T>& a, const std::vector<T>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const T& x, const T& y) { return Same(x, y); });
}

// Mostly small, sometimes large.
uint64_t Number(uint64_t below) {
  return *rc::gen::oneOf(rc::gen::inRange<uint64_t>(0, std::min<uint64_t>(below, 200)), rc::gen::inRange<uint64_t>(0, below));
}
std::vector<space::Run> Runs(PageNumber end = format::kMaxPageNumber) {
  std::vector<space::Run> runs;
  PageNumber at = 0;
  for (size_t n = *rc::gen::inRange<size_t>(0, 20); runs.size() < n;) {
    space::Run run{at + Number(uint64_t{1} << 40), 1 + Number(uint64_t{1} << 30)};
    if (run.end() > end) {
      break;
    }
    runs.push_back(run);
    at = run.end();
  }
  return runs;
}
ChildRef Ref() { return {Number(format::kMaxPageNumber), static_cast<uint32_t>(Number(UINT32_MAX)), 0}; }

TEST(FreeLogTest, RecordsSurviveEncoding) {
  EXPECT_TRUE(rc::check("a decoded record is the encoded one, and no part of it decodes", [] {
    LogRecord record;
    record.txn = 1 + Number(UINT64_MAX - 1);
    record.old_page_count = Number(format::kMaxPageNumber);
    record.new_page_count = Number(format::kMaxPageNumber);
    record.taken = Runs(record.new_page_count);
    record.meta_region = Runs(record.new_page_count);
    for (const space::Run& run : Runs(record.new_page_count)) {
      record.freed.push_back({run, Number(record.txn), record.txn});
    }
    PageNumber start = 0;
    for (size_t n = *rc::gen::inRange<size_t>(0, 5); record.segments.size() < n; start += 1 + Number(1 << 20)) {
      record.segments.push_back({start, Ref(), Number(record.txn), {}});
    }
    record.previous = Ref();
    record.previous_txn = Number(record.txn);
    std::string bytes = EncodeRecord(record);
    auto decoded = DecodeRecord(bytes, 5);
    RC_ASSERT(decoded.ok());
    RC_ASSERT(decoded->txn == record.txn);
    RC_ASSERT(decoded->old_page_count == record.old_page_count);
    RC_ASSERT(decoded->new_page_count == record.new_page_count);
    RC_ASSERT(decoded->taken == record.taken);
    RC_ASSERT(decoded->meta_region == record.meta_region);
    RC_ASSERT(SameAll(decoded->freed, record.freed));
    RC_ASSERT(SameAll(decoded->segments, record.segments));
    RC_ASSERT(Same(decoded->previous, record.previous));
    RC_ASSERT(decoded->previous_txn == record.previous_txn);
    for (size_t size = 0; size < bytes.size(); size += 1 + bytes.size() / 50) {
      RC_ASSERT(CodeOf(DecodeRecord(Slice(bytes).substr(0, size), 5).status()) == Code::kCorrupt);
    }
  }));
}

TEST(FreeLogTest, SegmentsSurviveEncoding) {
  EXPECT_TRUE(rc::check("a decoded segment is the encoded one, and no part of it decodes", [] {
    TxnId as_of = 1 + Number(UINT64_MAX - 1);
    std::vector<PendingRun> runs;
    for (const space::Run& run : Runs()) {
      TxnId death = *rc::gen::arbitrary<bool>() ? 0 : as_of - Number(as_of);
      runs.push_back({run, death == 0 ? 0 : Number(death), death});
    }
    std::string bytes = EncodeSegment(runs, as_of);
    auto decoded = DecodeSegment(bytes, as_of, 5);
    RC_ASSERT(decoded.ok());
    RC_ASSERT(SameAll(*decoded, runs));
    for (size_t size = 0; size < bytes.size(); size += 1 + bytes.size() / 50) {
      RC_ASSERT(CodeOf(DecodeSegment(Slice(bytes).substr(0, size), as_of, 5).status()) == Code::kCorrupt);
    }
  }));
}

TEST(FreeLogTest, RubbishIsRefusedOrHarmless) {
  std::mt19937 random(1);
  LogRecord sound;
  sound.txn = 9;
  sound.old_page_count = sound.new_page_count = 100;
  sound.taken = {{20, 3}, {40, 1}};
  sound.freed = {{{50, 2}, 5, 9}};
  sound.segments = {{0, {30, 77, 0}, 4, {}}, {60, {31, 78, 0}, 5, {}}};
  int refused = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = EncodeRecord(sound);
    for (int i = 0; i < 3; ++i) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    auto record = DecodeRecord(bytes, 5);
    refused += record.ok() ? 0 : 1;
    if (record.ok()) {
      for (const space::Run& run : record->taken) {
        EXPECT_LE(run.end(), record->new_page_count);
        EXPECT_GT(run.pages, 0u);
      }
      EXPECT_LT(record->previous_txn, record->txn);
      EXPECT_LE(std::max(record->old_page_count, record->new_page_count), format::kMaxPageNumber);
    }
    auto segment = DecodeSegment(bytes, 9, 5);
    for (const PendingRun& run : segment.ok() ? *segment : std::vector<PendingRun>()) {
      EXPECT_LE(run.birth, run.death);
      EXPECT_LE(run.death, 9u);
    }
  }
  EXPECT_GT(refused, 1000);
  std::string liar(1, '\xff');  // a count that no input could hold must not make us allocate
  liar += std::string(8, '\xff') + "\x7f";
  EXPECT_EQ(CodeOf(DecodeSegment(liar, 9, 5).status()), Code::kCorrupt);
}

class StreamTest : public testing::Test {
 protected:
  // Writes `bytes` over `pages`; they need not be neighbours.
  ChildRef Write(Slice bytes, PageType type, TxnId birth, const std::vector<PageNumber>& pages) {
    std::vector<Byte> out(pages.size() * kPage);
    ChildRef ref = BuildStream(bytes, type, birth, pages, kPage, SpaceFile::kDatabaseId, out.data());
    for (size_t i = 0; i < pages.size(); ++i) {
      WritePage(pages[i], MakeSlice(out.data() + i * kPage, kPage));
    }
    return ref;
  }
  void WritePage(PageNumber page, Slice bytes) {
    ASSERT_TRUE(file_.file()->WriteAt(page * kPage, absl::MakeConstSpan(&bytes, 1)).ok());
  }
  std::string PageBytes(PageNumber page) const { return std::string(MakeSlice(file_.store().page(page), kPage)); }
  pager::View View() const { return pager::View(&file_.store(), kPages, nullptr); }
  Code LoadError(const LogRecord& record, TxnId master_txn = 0) {
    ChildRef ref = Write(EncodeRecord(record), PageType::kFreeLogRecord, record.txn, {70});
    return CodeOf(LoadFreeLog(View(), ref, master_txn == 0 ? record.txn : master_txn, kCount).status());
  }
  // Adds a record behind `records`, at page `at`.
  void Append(LogRecord record, PageNumber at, std::vector<std::pair<LogRecord, ChildRef>>* records) {
    if (!records->empty()) {
      record.previous = records->back().second;
      record.previous_txn = records->back().first.txn;
    }
    records->emplace_back(record, Write(EncodeRecord(record), PageType::kFreeLogRecord, record.txn, {at}));
  }
  absl::StatusOr<LoadedLog> LoadLast(const std::vector<std::pair<LogRecord, ChildRef>>& records) {
    const auto& [record, ref] = records.back();
    return LoadFreeLog(pager::View(&file_.store(), record.new_page_count, nullptr), ref, record.txn, record.new_page_count);
  }
  static LogRecord Sound() {  // adds pages 20..80, of which some are taken
    LogRecord record;
    record.txn = 5;
    record.old_page_count = 20;
    record.new_page_count = kCount;
    record.taken = {{30, 10}, {70, 1}};
    return record;
  }

  static constexpr uint32_t kPage = 4096;
  static constexpr PageNumber kPages = 100;  // of the file
  static constexpr PageNumber kCount = 80;   // of the database
  SpaceFile file_;
  void SetUp() override { ASSERT_TRUE(file_.file()->Resize(kPages * kPage).ok()); }
};

TEST_F(StreamTest, BytesComeBackFromAChainOfPages) {
  size_t capacity = kPage - 48;
  for (size_t size : {size_t{0}, size_t{1}, capacity, capacity + 1, 3 * capacity, 3 * capacity + 17}) {
    std::string bytes(size, 'x');
    for (size_t i = 0; i < size; ++i) {
      bytes[i] = static_cast<char>(i * 31 + i / 4096);
    }
    EXPECT_EQ(StreamPages(size, kPage), std::max<size_t>(1, (size + capacity - 1) / capacity));
    std::vector<PageNumber> pages = {40, 20, 99, 21, 55};  // one or more spare pages are part of the chain
    ChildRef ref = Write(bytes, PageType::kFreeLogRecord, 7, pages);
    EXPECT_EQ(ref.page, 40u);
    auto stream = ReadStream(View(), ref, PageType::kFreeLogRecord);
    ASSERT_TRUE(stream.ok()) << stream.status();
    EXPECT_EQ(stream->bytes, bytes);
    EXPECT_EQ(stream->pages, pages);
    EXPECT_EQ(stream->birth, 7u);
  }
}

TEST_F(StreamTest, DamageInAnyPageIsFound) {
  std::string bytes(9000, 'x');
  ChildRef ref = Write(bytes, PageType::kFreeLogSegment, 7, {20, 21, 22});
  for (PageNumber page : {20, 21, 22}) {
    std::string good = PageBytes(page);
    for (size_t at : {0, 4, 8, 22, 40, 4095}) {
      std::string bad = good;
      bad[at] ^= 1;
      WritePage(page, bad);
      auto stream = ReadStream(View(), ref, PageType::kFreeLogSegment);
      EXPECT_EQ(CodeOf(stream.status()), Code::kCorrupt) << page << " " << at;
      EXPECT_NE(stream.status().message().find("page " + std::to_string(page)), absl::string_view::npos) << stream.status();
    }
    WritePage(page, good);
  }
  EXPECT_TRUE(ReadStream(View(), ref, PageType::kFreeLogSegment).ok());
  EXPECT_EQ(CodeOf(ReadStream(View(), ref, PageType::kFreeLogRecord).status()), Code::kCorrupt) << "another type";
  EXPECT_EQ(CodeOf(ReadStream(pager::View(&file_.store(), 22, nullptr), ref, PageType::kFreeLogSegment).status()), Code::kCorrupt)
      << "a page behind the end";
  ref.checksum ^= 1;
  EXPECT_EQ(CodeOf(ReadStream(View(), ref, PageType::kFreeLogSegment).status()), Code::kCorrupt) << "another version";
  ref.page = 3;
  EXPECT_EQ(CodeOf(ReadStream(View(), ref, PageType::kFreeLogSegment).status()), Code::kCorrupt) << "in the masters' region";
}

TEST_F(StreamTest, APageOfAnotherTransactionIsFound) {
  // A stale page at the right place, with a sound checksum: only its birth tells.
  std::string bytes(5000, 'x');
  Write(bytes, PageType::kFreeLogRecord, 6, {20, 21});
  std::string stale = PageBytes(21);
  ChildRef stale_ref{21, static_cast<uint32_t>(Load64(stale.data())), 1};
  Write(bytes, PageType::kFreeLogRecord, 7, {20, 21});
  WritePage(21, stale);
  std::string first = PageBytes(20);
  format::StoreChildRef(reinterpret_cast<Byte*>(first.data()) + format::kPageHeaderSize, stale_ref);
  Store64(first.data(), format::PageChecksum(first.data(), kPage, SpaceFile::kDatabaseId, 20));
  WritePage(20, first);
  auto stream = ReadStream(View(), {20, static_cast<uint32_t>(Load64(first.data())), 2}, PageType::kFreeLogRecord);
  EXPECT_EQ(CodeOf(stream.status()), Code::kCorrupt);
}

TEST_F(StreamTest, AnEmptyLogIsAnEmptyState) {
  auto log = LoadFreeLog(View(), {}, 5, kPages);
  ASSERT_TRUE(log.ok());
  EXPECT_TRUE(log->runs.empty() && log->records.empty() && log->segments.empty());
}

TEST_F(StreamTest, ARecordIsApplied) {
  LogRecord record = Sound();
  record.freed = {{{30, 2}, 5, 5}};
  ChildRef ref = Write(EncodeRecord(record), PageType::kFreeLogRecord, 5, {70});
  auto log = LoadFreeLog(View(), ref, 5, kCount);
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_TRUE(SameAll(log->runs, {{{20, 10}, 0, 0}, {{30, 2}, 5, 5}, {{40, 30}, 0, 0}, {{71, 9}, 0, 0}}));
  ASSERT_EQ(log->records.size(), 1u);
  EXPECT_EQ(log->records[0].pages, std::vector<PageNumber>{70});
}

TEST_F(StreamTest, PagesThatWereCutAreInNoSetUntilTheyAreAddedAgain) {
  std::vector<std::pair<LogRecord, ChildRef>> records;
  Append(Sound(), 70, &records);
  LogRecord frees{.txn = 6, .old_page_count = kCount, .new_page_count = kCount};
  frees.freed = {{{35, 5}, 5, 6}};
  Append(frees, 41, &records);
  LogRecord cuts{.txn = 7, .old_page_count = kCount, .new_page_count = 37};
  cuts.taken = {{20, 1}};
  Append(cuts, 42, &records);
  EXPECT_EQ(CodeOf(LoadLast(records).status()), Code::kCorrupt) << "page 70 is in use";

  records.resize(1);
  frees.freed = {{{35, 5}, 5, 6}, {{70, 1}, 5, 6}};
  Append(frees, 41, &records);
  Append(cuts, 31, &records);
  auto log = LoadLast(records);
  ASSERT_EQ(CodeOf(log.status()), Code::kCorrupt) << "the log itself lies past the end";
  EXPECT_NE(log.status().message().find("page 41"), absl::string_view::npos) << log.status();
  records.resize(1);
  records[0].second = Write(EncodeRecord(Sound()), PageType::kFreeLogRecord, 5, {30});
  Append(frees, 31, &records);
  Append(cuts, 32, &records);
  log = LoadLast(records);
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_TRUE(SameAll(log->runs, {{{21, 9}, 0, 0}, {{35, 2}, 5, 6}})) << "free and pending ones alike are gone";

  LogRecord grows{.txn = 8, .old_page_count = 37, .new_page_count = 60};
  grows.taken = {{40, 1}};
  Append(grows, 33, &records);
  log = LoadLast(records);
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_TRUE(SameAll(log->runs, {{{21, 9}, 0, 0}, {{35, 2}, 5, 6}, {{37, 3}, 0, 0}, {{41, 19}, 0, 0}}));
}

TEST_F(StreamTest, ASegmentMayListPagesThatWereCutLater) {
  ChildRef low =
      Write(EncodeSegment(std::vector<PendingRun>{{{25, 5}, 0, 0}, {{48, 2}, 0, 0}}, 4), PageType::kFreeLogSegment, 4, {20});
  ChildRef high =
      Write(EncodeSegment(std::vector<PendingRun>{{{50, 10}, 2, 3}, {{60, 20}, 0, 0}}, 4), PageType::kFreeLogSegment, 4, {21});
  LogRecord cuts{.txn = 5, .old_page_count = kCount, .new_page_count = 49};
  cuts.segments = {{0, low, 4, {}}, {50, high, 4, {}}};
  std::vector<std::pair<LogRecord, ChildRef>> records;
  Append(cuts, 22, &records);
  auto log = LoadLast(records);
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_TRUE(SameAll(log->runs, {{{25, 5}, 0, 0}, {{48, 1}, 0, 0}}));

  // A segment as of the cut or later lists none of them, and is not told of it.
  ChildRef younger = Write(EncodeSegment(std::vector<PendingRun>{}, 5), PageType::kFreeLogSegment, 5, {23});
  cuts.segments[1] = {50, younger, 5, {}};
  records.clear();
  Append(cuts, 22, &records);
  log = LoadLast(records);
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_TRUE(SameAll(log->runs, {{{25, 5}, 0, 0}, {{48, 1}, 0, 0}}));
}

TEST_F(StreamTest, AbsurdPageCountsAreRefused) {
  PageNumber max = format::kMaxPageNumber;
  for (PageNumber count : {PageNumber{0}, PageNumber{1}, PageNumber{3}, kCount - 1, kCount + 1, max - 1, max, max + 1,
                           uint64_t{1} << 62, uint64_t{1} << 63, UINT64_MAX - 1, UINT64_MAX}) {
    LogRecord record = Sound();
    record.new_page_count = count;
    EXPECT_EQ(LoadError(record), Code::kCorrupt) << "after: " << count;
    EXPECT_EQ(CodeOf(LoadFreeLog(View(), Write(EncodeRecord(record), PageType::kFreeLogRecord, 5, {70}), 5, count).status()),
              count == kCount - 1 || count == kCount + 1 || count == max - 1 || count == max ? Code::kOk : Code::kCorrupt)
        << "the master agrees with " << count;
    record = Sound();
    record.old_page_count = count;
    EXPECT_EQ(LoadError(record), Code::kCorrupt) << "before: " << count;
    record.taken = {};
    EXPECT_EQ(LoadError(record), count == kCount - 1 ? Code::kOk : Code::kCorrupt) << "before: " << count;
  }
}

TEST_F(StreamTest, CountsOfConsecutiveRecordsJoinUp) {
  for (PageNumber before : {kCount - 1, kCount, kCount + 1}) {
    std::vector<std::pair<LogRecord, ChildRef>> records;
    Append(Sound(), 70, &records);
    Append({.txn = 6, .old_page_count = before, .new_page_count = kCount}, 30, &records);
    EXPECT_EQ(CodeOf(LoadLast(records).status()), before == kCount ? Code::kOk : Code::kCorrupt) << before;
  }
}

TEST_F(StreamTest, NothingLiesPastTheCountAfter) {
  LogRecord cuts{.txn = 5, .old_page_count = 90, .new_page_count = kCount};
  cuts.segments = {
      {0, Write(EncodeSegment(std::vector<PendingRun>{{{75, 15}, 0, 0}}, 4), PageType::kFreeLogSegment, 4, {20}), 4, {}}};
  EXPECT_EQ(LoadError(cuts), Code::kOk);
  LogRecord record = cuts;
  record.taken = {{79, 2}};
  EXPECT_EQ(LoadError(record), Code::kCorrupt);
  record = cuts;
  record.freed = {{{70, 1}, 3, 5}, {{80, 1}, 3, 5}};
  EXPECT_EQ(LoadError(record), Code::kCorrupt);
  record = cuts;
  record.meta_region = {{70, 11}};
  EXPECT_EQ(LoadError(record), Code::kCorrupt);
  record.meta_region = {{70, 10}};
  EXPECT_EQ(LoadError(record), Code::kOk);
}

TEST_F(StreamTest, ImpossibleRecordsAreRefused) {
  EXPECT_EQ(LoadError(Sound()), Code::kOk);
  EXPECT_EQ(LoadError(Sound(), 4), Code::kCorrupt) << "younger than its master";
  LogRecord record = Sound();
  record.taken = {{30, 1}, {90, 1}};
  EXPECT_EQ(LoadError(record), Code::kCorrupt) << "takes what was not free";
  record = Sound();
  record.freed = {{{50, 1}, 3, 5}};
  EXPECT_EQ(LoadError(record), Code::kCorrupt) << "frees what is free";
  record = Sound();
  record.freed = {{{79, 2}, 3, 5}};
  EXPECT_EQ(LoadError(record), Code::kCorrupt);
  record = Sound();
  record.freed = {{{99, 2}, 3, 5}};
  EXPECT_EQ(LoadError(record), Code::kCorrupt) << "frees a page behind the file";
  record = Sound();
  record.freed = {{{3, 1}, 3, 5}};
  EXPECT_EQ(LoadError(record), Code::kCorrupt) << "frees a page of the masters";
  record = Sound();
  record.new_page_count = kPages + 1;
  EXPECT_EQ(LoadError(record), Code::kCorrupt) << "larger than its master";
}

TEST_F(StreamTest, ImpossibleSegmentsAreRefused) {
  std::string segment = EncodeSegment(std::vector<PendingRun>{{{25, 5}, 0, 0}, {{50, 5}, 2, 3}}, 4);
  ChildRef ref = Write(segment, PageType::kFreeLogSegment, 4, {60});
  LogRecord record;
  record.txn = 5;
  record.old_page_count = record.new_page_count = 80;
  record.taken = {{25, 1}};
  record.segments = {{0, ref, 4, {}}};
  EXPECT_EQ(LoadError(record), Code::kOk);
  record.segments = {{0, ref, 3, {}}};
  EXPECT_EQ(LoadError(record), Code::kCorrupt) << "as of another transaction than its page";
  record.segments = {{0, ref, 4, {}}, {52, {}, 0, {}}};
  EXPECT_EQ(LoadError(record), Code::kCorrupt) << "lists pages of the next segment";
  record.segments = {{1, ref, 4, {}}};
  EXPECT_EQ(LoadError(record), Code::kCorrupt) << "the first begins at page 0";
  record.segments = {{0, ref, 4, {}}, {0, {}, 0, {}}};
  EXPECT_EQ(LoadError(record), Code::kCorrupt) << "starts ascend";
  record.segments = {{0, ref, 6, {}}};
  EXPECT_EQ(LoadError(record), Code::kCorrupt) << "younger than the record";
}

}  // namespace
}  // namespace johnny::space
