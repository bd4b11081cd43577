#include "encap/pmtu.h"

#include <gtest/gtest.h>

#include <vector>

namespace encap {
namespace {

constexpr uint64_t kNow = 5'000'000'000;

// One report to a path with an underlay MTU of 1500.
struct Case {
  const char* name;
  IpFamily family;
  uint32_t mtu;
  uint32_t packet_len;
  uint32_t value;  // afterwards
};

TEST(PathMtuTest, LearnsByTheRulesOfTheFamily) {
  constexpr IpFamily kV4 = IpFamily::kV4;
  constexpr IpFamily kV6 = IpFamily::kV6;
  const std::vector<Case> cases = {
      {"smaller", kV4, 1400, 1500, 1400},
      {"smaller", kV6, 1400, 1500, 1400},
      {"the present value", kV4, 1500, 1500, 1500},
      {"larger", kV4, 9000, 1500, 1500},
      {"larger", kV6, 9000, 1500, 1500},
      {"the floor", kV4, 576, 1500, 576},
      {"below the floor is the floor", kV4, 575, 1500, 576},
      {"68 is the floor", kV4, 68, 1500, 576},
      {"the floor", kV6, 1280, 1500, 1280},
      {"below the floor is no report", kV6, 1279, 1500, 1500},
      {"0 is no report", kV6, 0, 1500, 1500},
      {"old router, next plateau", kV4, 0, 1500, 1492},
      {"old router, below it", kV4, 0, 1492, 1006},
      {"old router, down to the floor", kV4, 0, 600, 576},
      {"old router, not below", kV4, 0, 100, 576},
      {"old router, length unknown", kV4, 0, 0, 1492},
      {"old router, length too large to be true", kV4, 0, 65535, 1492},
  };
  for (const Case& c : cases) {
    PathMtu path(c.family, 1500);
    EXPECT_EQ(path.Learn(c.mtu, c.packet_len, kNow), c.value != 1500) << c.name;
    EXPECT_EQ(path.value(), c.value) << c.name;
    EXPECT_EQ(path.learned(), c.value != 1500) << c.name;
  }
}

TEST(PathMtuTest, ReportsGoDownOnly) {
  PathMtu path(IpFamily::kV4, 1500);
  EXPECT_TRUE(path.Learn(1300, 0, kNow));
  EXPECT_FALSE(path.Learn(1400, 0, kNow + 1));
  EXPECT_FALSE(path.Learn(1300, 0, kNow + 1));
  EXPECT_TRUE(path.Learn(1200, 0, kNow + 2));
  EXPECT_EQ(path.value(), 1200u);
  EXPECT_EQ(path.expires_ns(), kNow + 2 + kPathMtuAgeNs);
}

TEST(PathMtuTest, EstimateOfAReportIsForgottenAfterTenMinutes) {
  PathMtu path(IpFamily::kV6, 1500);
  EXPECT_EQ(path.expires_ns(), 0u);
  ASSERT_TRUE(path.Learn(1300, 0, kNow));
  ASSERT_EQ(path.expires_ns(), kNow + 600'000'000'000);
  EXPECT_FALSE(path.Age(path.expires_ns() - 1));
  EXPECT_EQ(path.value(), 1300u);
  EXPECT_TRUE(path.Age(kNow + kPathMtuAgeNs));
  EXPECT_EQ(path.value(), 1500u);
  EXPECT_FALSE(path.learned());
  EXPECT_FALSE(path.Age(~uint64_t{0})) << "nothing left to forget";
}

TEST(PathMtuTest, FollowsTheUnderlay) {
  PathMtu path(IpFamily::kV4, 1500);
  EXPECT_FALSE(path.SetUnderlayMtu(1500));
  EXPECT_TRUE(path.SetUnderlayMtu(1400));
  EXPECT_TRUE(path.SetUnderlayMtu(9000));
  EXPECT_EQ(path.value(), 9000u);
  ASSERT_TRUE(path.Learn(1300, 0, kNow));
  EXPECT_FALSE(path.SetUnderlayMtu(1400)) << "what was learned is smaller";
  EXPECT_TRUE(path.learned());
  EXPECT_TRUE(path.SetUnderlayMtu(1250));
  EXPECT_FALSE(path.learned());
  EXPECT_EQ(path.value(), 1250u);
}

// As much as the path is said to carry goes through the underlay: the floors
// hold for reports, not for links.
TEST(PathMtuTest, SmallUnderlayIsTakenAsItIs) {
  PathMtu path(IpFamily::kV4, 500);
  EXPECT_FALSE(path.Learn(400, 0, kNow));
  EXPECT_FALSE(path.Learn(0, 500, kNow));
  EXPECT_EQ(path.value(), 500u);
}

TEST(PathMtuTest, ForgetGoesBackToTheUnderlay) {
  PathMtu path(IpFamily::kV4, 1500);
  EXPECT_FALSE(path.Forget());
  ASSERT_TRUE(path.Learn(1000, 0, kNow));
  EXPECT_TRUE(path.Forget());
  EXPECT_EQ(path.value(), 1500u);
}

TEST(PathMtuTest, NoPathHasNoValue) {
  PathMtu path;
  EXPECT_EQ(path.value(), 0u);
  EXPECT_FALSE(path.Learn(1000, 1500, kNow));
}

TEST(PathMtuTest, PlateausOfRfc1191) {
  const std::vector<std::pair<uint32_t, uint32_t>> cases = {
      {70000, 65535}, {65535, 32000}, {32000, 17914}, {17914, 8166},
      {8166, 4352},   {4352, 2002},   {2002, 1492},   {1492, 1006},
      {1006, 576},    {576, 576},     {0, 576}};
  for (const auto& [len, plateau] : cases) {
    EXPECT_EQ(PlateauBelow(len), plateau) << len;
  }
}

}  // namespace
}  // namespace encap
