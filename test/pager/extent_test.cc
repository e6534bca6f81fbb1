#include "pager/extent.h"

#include "pager/pager_fixture.h"
#include "support/test_db.h"

namespace johnny::pager {
namespace {

using format::ExtentRef;
using format::kExtentChunk;

class ExtentTest : public PagerTest {
 protected:
  ExtentRef Write(Slice value, PageNumber first = 20, TxnId birth = 7) {
    auto ref = WriteExtent(file_.get(), *store_, first, birth, value);
    EXPECT_TRUE(ref.ok()) << ref.status();
    return *ref;
  }
  Code ReadError(const ExtentRef& ref) const { return CodeOf(ReadExtent(MakeView(), ref).status()); }
  std::vector<size_t> Sizes() const {
    return {1,
            page_size_ - 1,
            page_size_,
            page_size_ + 1,
            kExtentChunk - 1,
            kExtentChunk,
            kExtentChunk + 1,
            2 * kExtentChunk,
            3 * kExtentChunk + 5};
  }
};
INSTANTIATE_TEST_SUITE_P(PageSizes, ExtentTest, testing::Values(4096u, 8192u, 32768u), testing::PrintToStringParamName());

TEST_P(ExtentTest, ValuesOfEverySizeComeBackInPlace) {
  for (size_t size : Sizes()) {
    ASSERT_TRUE(file_->Resize(format::kMasterRegion).ok());
    Reopen();
    std::string value = test::Pattern(size, static_cast<uint32_t>(size));
    uint64_t calls = system_.calls(sim::Call::kWrite);
    ExtentRef ref = Write(value);
    EXPECT_EQ(system_.calls(sim::Call::kWrite) - calls, 1u);
    EXPECT_EQ(ref.first, 20u);
    EXPECT_EQ(ref.length, size);
    EXPECT_EQ(ref.birth, 7u);
    EXPECT_EQ(*file_->Size(), (20 + format::ExtentPages(size, page_size_)) * page_size_) << "just its pages";
    auto read = ReadExtent(MakeView(), ref);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_TRUE(*read == value);
    EXPECT_EQ(Data(*read), store_->page(20)) << "in place";
    EXPECT_TRUE(VerifyExtent(MakeView(), ref).ok());
    EXPECT_TRUE(CheckExtentBounds(MakeView(20 + format::ExtentPages(size, page_size_)), ref).ok());
    EXPECT_EQ(CodeOf(CheckExtentBounds(MakeView(20 + format::ExtentPages(size, page_size_) - 1), ref)), Code::kCorrupt);
  }
}

TEST_P(ExtentTest, DamageAnywhereIsFound) {
  for (size_t size : Sizes()) {
    ExtentRef ref = Write(test::Pattern(size, 1));
    std::vector<uint64_t> places = {0, size / 2, size - 1};  // the last one: in the last chunk
    for (uint64_t chunk = 1; chunk < format::ExtentChunks(size); ++chunk) {
      places.push_back(chunk * kExtentChunk);
      uint64_t table = format::ExtentPayloadPages(size, page_size_) * page_size_;
      places.push_back(table);
      places.push_back(table + 8 * chunk + 7);
    }
    for (uint64_t place : places) {
      Flip(20 * page_size_ + place);
      Reopen();
      EXPECT_EQ(ReadError(ref), Code::kCorrupt) << size << " bytes, damage at " << place;
      Flip(20 * page_size_ + place);
      EXPECT_EQ(ReadError(ref), Code::kOk) << "a failed check is not remembered";
    }
  }
}

TEST_P(ExtentTest, CheckedChunksAreTrustedUnlessVerified) {
  std::string value = test::Pattern(2 * kExtentChunk + 100, 3);
  ExtentRef ref = Write(value);
  EXPECT_EQ(ReadError(ref), Code::kOk);
  Flip(20 * page_size_ + value.size() - 1);
  EXPECT_EQ(ReadError(ref), Code::kOk);
  absl::Status verified = VerifyExtent(MakeView(), ref);
  EXPECT_EQ(CodeOf(verified), Code::kCorrupt);
  PageNumber chunk = 20 + 2 * kExtentChunk / page_size_;
  EXPECT_NE(verified.message().find("page " + std::to_string(chunk) + ":"), absl::string_view::npos) << verified;
}

TEST_P(ExtentTest, AnotherVersionInTheSamePlaceIsCheckedAnew) {
  ExtentRef first = Write(test::Pattern(100000, 1));
  EXPECT_EQ(ReadError(first), Code::kOk);
  ExtentRef second = Write(test::Pattern(100000, 2), 20, 8);
  EXPECT_EQ(ReadError(second), Code::kOk);
  EXPECT_EQ(ReadError(first), Code::kCorrupt) << "the old one is overwritten, and the table of checked pages says so";
}

TEST_P(ExtentTest, PlaceAndBirthAreInTheChecksum) {
  std::string value = test::Pattern(kExtentChunk + 1, 1);
  ExtentRef ref = Write(value, 20, 7);
  ExtentRef elsewhere = Write(value, 400, 7);
  EXPECT_NE(elsewhere.checksum, ref.checksum);
  elsewhere.checksum = ref.checksum;
  EXPECT_EQ(ReadError(elsewhere), Code::kCorrupt);
  ref.birth = 8;
  EXPECT_EQ(ReadError(ref), Code::kCorrupt);
  ref.birth = 7;
  ref.length -= 1;
  EXPECT_EQ(ReadError(ref), Code::kCorrupt);
}

TEST_P(ExtentTest, ImpossibleReferencesAreRefused) {
  ExtentRef sound = Write(test::Pattern(5000, 1));
  auto error = [&](PageNumber first, uint64_t length) {
    ExtentRef ref = sound;
    ref.first = first;
    ref.length = length;
    EXPECT_EQ(CodeOf(VerifyExtent(MakeView(), ref)), ReadError(ref));
    return ReadError(ref);
  };
  EXPECT_EQ(error(20, 5000), Code::kOk);
  EXPECT_EQ(error(0, 5000), Code::kCorrupt);
  EXPECT_EQ(error(format::FirstPage(page_size_) - 1, 5000), Code::kCorrupt);
  EXPECT_EQ(error(kPages, 1), Code::kCorrupt);
  EXPECT_EQ(error(UINT64_MAX, 5000), Code::kCorrupt);
  EXPECT_EQ(error(20, 0), Code::kCorrupt);
  EXPECT_EQ(error(20, (kPages - 20) * page_size_ + 1), Code::kCorrupt);
  EXPECT_EQ(error(20, (kPages - 20) * page_size_), Code::kCorrupt) << "no room for the table of checksums";
  for (uint64_t length : {UINT64_MAX, UINT64_MAX - kExtentChunk, uint64_t{1} << 63, uint64_t{1} << 48}) {
    EXPECT_EQ(error(20, length), Code::kCorrupt) << length;
  }
}

TEST_P(ExtentTest, FailedWritesAreReported) {
  system_.SetFault({.call = sim::Call::kWrite, .code = Code::kDiskFull});
  EXPECT_EQ(CodeOf(WriteExtent(file_.get(), *store_, 20, 7, "value").status()), Code::kDiskFull);
}

}  // namespace
}  // namespace johnny::pager
