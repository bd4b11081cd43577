#include <gtest/gtest.h>

#include "encap/address.h"
#include "tunnel/base/error.h"
#include "tunnel/endpoint/endpoint_config.h"

namespace tunnel {
namespace {

EndpointConfig Shaped(uint64_t rate, uint32_t burst) {
  EndpointConfig config;
  config.name = "gre0";
  config.encap.mode = encap::Mode::kGre;
  config.encap.local = *encap::IpAddress::Parse("192.0.2.1");
  config.encap.remote = *encap::IpAddress::Parse("192.0.2.2");
  config.rate = rate;
  config.burst = burst;
  return config;
}

TEST(ShapeConfigTest, LimitsAreThoseOfTheSchema) {
  const struct {
    uint64_t rate;
    uint32_t burst;
    const char* bad;  // field, or "" for none
  } kCases[] = {
      {0, 0, ""},
      {kMinRate, 0, ""},
      {kMaxRate, kMaxBurst, ""},
      {kMinRate, kMinBurst, ""},
      {kMinRate - 1, 0, "rate"},
      {kMaxRate + 1, 0, "rate"},
      {kMinRate, kMinBurst - 1, "burst"},
      {kMinRate, kMaxBurst + 1, "burst"},
      {0, kMinBurst, "burst"},
  };
  for (const auto& c : kCases) {
    const absl::Status status = Validate(Shaped(c.rate, c.burst));
    if (c.bad[0] == '\0') {
      EXPECT_TRUE(status.ok()) << status;
      continue;
    }
    EXPECT_EQ(GetReason(status), Reason::kFieldInvalid) << c.rate << c.burst;
    const auto detail = GetErrorDetail(status);
    ASSERT_TRUE(detail.has_value());
    ASSERT_EQ(detail->violations.size(), 1u) << status;
    EXPECT_EQ(detail->violations[0].field, c.bad);
  }
}

TEST(ShapeConfigTest, BurstWithoutOneIsTenMillisecondsAtTheRate) {
  EXPECT_EQ(EffectiveBurst(Shaped(1'000'000'000, 0)), 1'250'000u);
  EXPECT_EQ(EffectiveBurst(Shaped(10'000'000, 0)), kMinDefaultBurst);
  EXPECT_EQ(EffectiveBurst(Shaped(kMaxRate, 0)), kMaxBurst);
  EXPECT_EQ(EffectiveBurst(Shaped(10'000'000, 2000)), 2000u);
}

TEST(ShapeConfigTest, EachFieldHasAPartInEtagAndDiff) {
  const EndpointConfig none = Shaped(0, 0), rate = Shaped(10'000'000, 0),
                       both = Shaped(10'000'000, 65536);
  EXPECT_NE(Etag(none), Etag(rate));
  EXPECT_NE(Etag(rate), Etag(both));
  const std::vector<FieldDifference> changes = Diff(none, both);
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_EQ(changes[0].field, "rate");
  EXPECT_EQ(changes[0].old_value, "none");
  EXPECT_EQ(changes[0].new_value, "10mbit");
  EXPECT_EQ(changes[1].field, "burst");
  EXPECT_EQ(changes[1].old_value, "auto");
  EXPECT_EQ(changes[1].new_value, "64kb");
}

}  // namespace
}  // namespace tunnel
