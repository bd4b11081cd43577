#include "ctl/cli/duration.h"

#include "gtest/gtest.h"

namespace tunnel::ctl::cli {
namespace {

TEST(ReadDuration, NumbersWithUnits) {
  const struct {
    const char* text;
    absl::Duration wanted;
  } cases[] = {
      {"500ms", absl::Milliseconds(500)}, {"2s", absl::Seconds(2)},
      {"1m30s", absl::Seconds(90)},       {"1.5h", absl::Minutes(90)},
      {"0s", absl::ZeroDuration()},       {"8784h", absl::Hours(8784)}};
  for (const auto& row : cases) {
    absl::Duration duration;
    ASSERT_TRUE(ReadDuration(row.text, &duration)) << row.text;
    EXPECT_EQ(duration, row.wanted) << row.text;
  }
}

TEST(ReadDuration, RefusesAllElse) {
  for (const char* text : {"", "0", "5", "-1s", "+1s", "inf", "-inf", "1 s",
                           "s", "1d", "8785h", "1s ", "soon"}) {
    absl::Duration duration = absl::Seconds(7);
    EXPECT_FALSE(ReadDuration(text, &duration)) << text;
    EXPECT_EQ(duration, absl::Seconds(7)) << text;
  }
}

TEST(DurationText, OneUnitAndOneDecimal) {
  EXPECT_EQ(DurationText(absl::ZeroDuration()), "0 ms");
  EXPECT_EQ(DurationText(absl::Nanoseconds(900)), "0.9 us");
  EXPECT_EQ(DurationText(absl::Microseconds(35)), "35 us");
  EXPECT_EQ(DurationText(absl::Microseconds(1234)), "1.2 ms");
  EXPECT_EQ(DurationText(absl::Seconds(2)), "2 s");
  EXPECT_EQ(DurationText(absl::Seconds(90)), "90 s");
  EXPECT_EQ(DurationText(absl::Minutes(3)), "3 min");
  EXPECT_EQ(DurationText(absl::Hours(25)), "25 h");
}

TEST(DurationProto, RoundTrip) {
  for (const absl::Duration duration :
       {absl::ZeroDuration(), absl::Nanoseconds(1), absl::Milliseconds(1500),
        absl::Hours(24 * 366)}) {
    EXPECT_EQ(FromProto(ToProto(duration)), duration);
  }
  EXPECT_EQ(ToProto(absl::Milliseconds(1500)).seconds(), 1);
  EXPECT_EQ(ToProto(absl::Milliseconds(1500)).nanos(), 500000000);
}

}  // namespace
}  // namespace tunnel::ctl::cli
