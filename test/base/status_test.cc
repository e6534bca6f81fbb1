#include "base/status.h"

#include <gtest/gtest.h>

#include "base/check.h"

namespace johnny {
namespace {

TEST(StatusTest, EveryCodeIsCarried) {
  EXPECT_EQ(CodeOf(absl::OkStatus()), Code::kOk);
  for (int code = 1; code < kCodeCount; ++code) {
    absl::Status status = MakeStatus(static_cast<Code>(code), "what happened");
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(static_cast<int>(CodeOf(status)), code);
    EXPECT_EQ(status.message(), "what happened");
    absl::Status copy = status;
    EXPECT_EQ(static_cast<int>(CodeOf(copy)), code);
  }
}

TEST(StatusTest, ForeignErrorsAreInternal) {
  EXPECT_EQ(CodeOf(absl::NotFoundError("somebody else's")), Code::kInternal);
  absl::Status odd = absl::UnknownError("with a payload that is no number");
  absl::Status ours = MakeStatus(Code::kBusy, "");
  ours.ForEachPayload([&](absl::string_view url, const absl::Cord&) { odd.SetPayload(url, absl::Cord("x")); });
  EXPECT_EQ(CodeOf(odd), Code::kInternal);
}

// For a commit whose outcome is unknown there must be a status even when there is no memory for words.
TEST(StatusTest, AnUnknownOutcomeNeedsNoWords) {
  EXPECT_EQ(CodeOf(WordlessOutcomeUnknown()), Code::kOutcomeUnknown);
  EXPECT_EQ(WordlessOutcomeUnknown().message(), "");
}

TEST(StatusTest, DamageNamesItsPage) {
  absl::Status status = CorruptPage(281474976710655, "reason");
  EXPECT_EQ(CodeOf(status), Code::kCorrupt);
  EXPECT_EQ(status.message(), "page 281474976710655: reason");
}

absl::Status ReturnsIfError(absl::Status inner, int* steps) {
  JOHNNY_RETURN_IF_ERROR(inner);
  ++*steps;
  JOHNNY_RETURN_IF_ERROR(absl::OkStatus());
  ++*steps;
  return absl::OkStatus();
}
absl::StatusOr<std::unique_ptr<int>> Half(int number) {
  if (number % 2 != 0) {
    return MakeStatus(Code::kInvalidArgument, "odd");
  }
  return std::make_unique<int>(number / 2);
}
absl::StatusOr<int> Quarter(int number) {
  JOHNNY_ASSIGN_OR_RETURN(std::unique_ptr<int> half, Half(number));
  std::unique_ptr<int> quarter;
  JOHNNY_ASSIGN_OR_RETURN(quarter, Half(*half));
  return *quarter;
}

TEST(StatusTest, MacrosReturnTheFirstError) {
  int steps = 0;
  EXPECT_TRUE(ReturnsIfError(absl::OkStatus(), &steps).ok());
  EXPECT_EQ(steps, 2);
  EXPECT_EQ(CodeOf(ReturnsIfError(MakeStatus(Code::kBusy, ""), &steps)), Code::kBusy);
  EXPECT_EQ(steps, 2);
  EXPECT_EQ(*Quarter(12), 3);
  EXPECT_EQ(CodeOf(Quarter(6).status()), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf(Quarter(5).status()), Code::kInvalidArgument);
}

TEST(CheckDeathTest, AFailedCheckNamesConditionAndPlaceAndAborts) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  int evaluated = 0;
  JOHNNY_CHECK(++evaluated == 1);
  EXPECT_EQ(evaluated, 1);
  EXPECT_DEATH(JOHNNY_CHECK(evaluated == 7), "status_test.cc.*evaluated == 7");
}

TEST(CheckDeathTest, DebugChecksAreOnlyEvaluatedInDebugBuilds) {
  int evaluated = 0;
  JOHNNY_DCHECK(++evaluated == 1);
  EXPECT_EQ(evaluated, kDebugChecks ? 1 : 0);
}

}  // namespace
}  // namespace johnny
