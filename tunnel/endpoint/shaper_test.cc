#include "tunnel/endpoint/shaper.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

namespace tunnel {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kSecond = 1000 * kMs;
constexpr ShapeLimits kTen{.rate = 10'000'000, .burst = 15'000};

// Sends packets of `bytes` as soon as there is credit, from `now` to `until`;
// their number.
uint64_t Flood(Shaper& shaper, const ShapeLimits& limits, uint64_t bytes,
               uint64_t& now, uint64_t until) {
  uint64_t sent = 0;
  while (now < until) {
    while (shaper.Ready(limits, now)) {
      shaper.Charge(bytes);
      ++sent;
    }
    const uint64_t wait = shaper.WaitNs(limits);
    EXPECT_GT(wait, 0u);
    now += wait;
  }
  return sent;
}

TEST(ShaperTest, BurstGoesAtOnceAndThenTheRateHolds) {
  Shaper shaper;
  uint64_t now = 5 * kSecond, first = 0;
  while (shaper.Ready(kTen, now)) {
    shaper.Charge(1500);
    ++first;
  }
  EXPECT_EQ(first, 10u);
  const uint64_t sent = Flood(shaper, kTen, 1500, now, now + 10 * kSecond);
  EXPECT_NEAR(static_cast<double>(sent) * 1500 * 8 / 10, 10e6, 15e3);
}

TEST(ShaperTest, IdleTimeSavesUpTheBurstAndNoMore) {
  Shaper shaper;
  EXPECT_TRUE(shaper.Ready(kTen, kSecond));
  shaper.Charge(15'000);
  EXPECT_FALSE(shaper.Ready(kTen, kSecond));
  for (const uint64_t hours : {1u, 24u * 365u}) {
    const uint64_t now = kSecond + hours * 3600 * kSecond;
    uint64_t sent = 0;
    while (shaper.Ready(kTen, now)) {
      shaper.Charge(1500);
      ++sent;
    }
    EXPECT_EQ(sent, 10u);
  }
}

TEST(ShaperTest, WhatALargePacketOwesIsWaitedFor) {
  Shaper shaper;
  ASSERT_TRUE(shaper.Ready(kTen, 0));
  shaper.Charge(65'000);  // 50,000 bytes more than there were
  ASSERT_FALSE(shaper.Ready(kTen, 0));
  EXPECT_FALSE(shaper.Ready(kTen, 40 * kMs));
  EXPECT_TRUE(shaper.Ready(kTen, 40 * kMs + 100));
}

TEST(ShaperTest, WaitIsToWhatIsWorthIt) {
  Shaper shaper;
  ASSERT_TRUE(shaper.Ready(kTen, 0));
  shaper.Charge(15'000);
  ASSERT_FALSE(shaper.Ready(kTen, 0));
  EXPECT_EQ(shaper.WaitNs(kTen), kMs);
  // No more than half the burst, whatever 1 ms is worth.
  const ShapeLimits small{.rate = 1'000'000'000, .burst = 1500};
  EXPECT_EQ(shaper.WaitNs(small), 6'000u);
  const ShapeLimits tiny{.rate = 8'000, .burst = 1};
  EXPECT_EQ(shaper.WaitNs(tiny), 500'000u);
}

TEST(ShaperTest, NewLimitsHoldAtOnce) {
  Shaper shaper;
  const ShapeLimits slow{.rate = 8'000, .burst = 1500};
  ASSERT_TRUE(shaper.Ready(slow, 0));
  shaper.Charge(65'000);
  ASSERT_FALSE(shaper.Ready(slow, 0));
  EXPECT_GT(shaper.WaitNs(slow), 60 * kSecond);
  EXPECT_LT(shaper.WaitNs(kTen), kSecond / 10);
  EXPECT_TRUE(shaper.Ready(kTen, kSecond / 10));
  // A smaller burst takes what was saved for the larger one.
  ASSERT_TRUE(shaper.Ready(kTen, 10 * kSecond));
  ASSERT_TRUE(shaper.Ready(slow, 10 * kSecond));
  shaper.Charge(1500);
  EXPECT_FALSE(shaper.Ready(slow, 10 * kSecond));
}

TEST(ShaperTest, TimeThatGoesBackGivesNothing) {
  Shaper shaper;
  ASSERT_TRUE(shaper.Ready(kTen, 9 * kSecond));
  shaper.Charge(15'000);
  EXPECT_FALSE(shaper.Ready(kTen, kSecond));
  EXPECT_FALSE(shaper.Ready(kTen, 9 * kSecond));
  EXPECT_TRUE(shaper.Ready(kTen, 9 * kSecond + kMs));
}

// Asked at any moments with packets of any size: never more than was promised,
// and over the whole no less than the rate.
TEST(ShaperTest, NeverMoreThanPromisedOverAnyTime) {
  std::mt19937_64 random(5);
  for (const ShapeLimits limits :
       {kTen, ShapeLimits{64'000, 1}, ShapeLimits{100'000'000'000, 1 << 20},
        ShapeLimits{999'999'937, 64'000}}) {
    Shaper shaper;
    struct Sent {
      uint64_t ns, bits;
    };
    std::vector<Sent> all;
    uint64_t now = kSecond;
    for (int i = 0; i < 400; ++i) {
      while (shaper.Ready(limits, now)) {
        const uint64_t bytes = 40 + random() % 65'000;
        shaper.Charge(bytes);
        all.push_back({now, bytes * 8});
      }
      now += shaper.WaitNs(limits) + random() % 1000;
    }
    uint64_t total = 0;
    for (size_t from = 0; from < all.size(); from += 7) {
      uint64_t bits = 0;
      for (size_t to = from; to < all.size(); ++to) {
        bits += all[to].bits;
        const double allowed = static_cast<double>(all[to].ns - all[from].ns) *
                                   1e-9 * static_cast<double>(limits.rate) +
                               static_cast<double>(limits.burst * 8) +
                               65'040 * 8 + 1;
        ASSERT_LE(static_cast<double>(bits), allowed) << from << " to " << to;
      }
      if (from == 0) total = bits;
    }
    const double seconds = static_cast<double>(now - kSecond) * 1e-9;
    EXPECT_GE(static_cast<double>(total),
              seconds * static_cast<double>(limits.rate) * 0.99);
  }
}

}  // namespace
}  // namespace tunnel
