#include "tunnel/endpoint/path_state.h"

#include <gtest/gtest.h>

namespace tunnel {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kNow = 5000 * kSecond;
constexpr uint64_t kTick = uint64_t{1} << 20;

TEST(PathStateTest, IsTheRoutesMtuUntilASmallerOneIsLearned) {
  PathState path(encap::IpFamily::kV4);
  EXPECT_EQ(path.Mtu(kNow), 0U);
  path.SetRouteMtu(1500);
  EXPECT_EQ(path.Mtu(kNow), 1500U);
  EXPECT_FALSE(path.LearnedNow(kNow).has_value());

  EXPECT_FALSE(path.Learn(1500, 1500, kNow));
  EXPECT_TRUE(path.Learn(1400, 1500, kNow));
  EXPECT_EQ(path.Mtu(kNow), 1400U);
  EXPECT_FALSE(path.Learn(1450, 1500, kNow));
  EXPECT_TRUE(path.Learn(1300, 1500, kNow));
  EXPECT_EQ(path.LearnedNow(kNow)->mtu, 1300U);
}

TEST(PathStateTest, ForgetsAfterTenMinutesAndWhenItIsTold) {
  PathState path(encap::IpFamily::kV6);
  path.SetRouteMtu(1500);
  ASSERT_TRUE(path.Learn(1400, 0, kNow));
  EXPECT_LE(path.LearnedNow(kNow)->expires_ns, kNow + 600 * kSecond);
  EXPECT_EQ(path.Mtu(kNow + 600 * kSecond - kTick), 1400U);
  EXPECT_EQ(path.Mtu(kNow + 600 * kSecond), 1500U);
  // A later report begins anew.
  ASSERT_TRUE(path.Learn(1450, 0, kNow + 700 * kSecond));
  EXPECT_EQ(path.Mtu(kNow + 701 * kSecond), 1450U);
  path.Forget();
  EXPECT_EQ(path.Mtu(kNow + 701 * kSecond), 1500U);
}

TEST(PathStateTest, KeepsTheFloorsOfItsFamily) {
  PathState v4(encap::IpFamily::kV4);
  v4.SetRouteMtu(1500);
  EXPECT_TRUE(v4.Learn(68, 1500, kNow));
  EXPECT_EQ(v4.Mtu(kNow), encap::kMinPathMtuV4);
  PathState v6(encap::IpFamily::kV6);
  v6.SetRouteMtu(1500);
  EXPECT_FALSE(v6.Learn(1279, 1500, kNow));
  EXPECT_EQ(v6.Mtu(kNow), 1500U);
}

TEST(PathStateTest, ARouteThatCarriesLessGoesBeforeWhatWasLearned) {
  PathState path(encap::IpFamily::kV4);
  path.SetRouteMtu(1500);
  ASSERT_TRUE(path.Learn(1400, 1500, kNow));
  path.SetRouteMtu(1300);
  EXPECT_EQ(path.Mtu(kNow), 1300U);
  EXPECT_FALSE(path.LearnedNow(kNow).has_value());
  path.SetRouteMtu(9000);
  EXPECT_EQ(path.Mtu(kNow), 1400U);
}

}  // namespace
}  // namespace tunnel
