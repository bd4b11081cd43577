#include "encap/token_bucket.h"

#include <gtest/gtest.h>

namespace encap {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

int TakeAll(TokenBucket& bucket, uint64_t now_ns) {
  int taken = 0;
  while (bucket.Take(now_ns)) ++taken;
  return taken;
}

TEST(TokenBucketTest, GrantsABurstAndThenTheRate) {
  TokenBucket bucket(10, 3);
  const uint64_t start = 77 * kSecond;
  EXPECT_EQ(TakeAll(bucket, start), 3);
  EXPECT_FALSE(bucket.Take(start + kSecond / 10 - 1));
  EXPECT_TRUE(bucket.Take(start + kSecond / 10));
  EXPECT_FALSE(bucket.Take(start + kSecond / 10));
  EXPECT_EQ(TakeAll(bucket, start + 3 * kSecond / 10), 2);
}

TEST(TokenBucketTest, SavesNoMoreThanTheBurst) {
  TokenBucket bucket(1000, 5);
  EXPECT_EQ(TakeAll(bucket, 0), 5);
  EXPECT_EQ(TakeAll(bucket, 3600 * kSecond), 5);
  EXPECT_EQ(TakeAll(bucket, ~uint64_t{0}), 5);
}

TEST(TokenBucketTest, LongRunIsTheRate) {
  TokenBucket bucket(100, 10);
  int taken = 0;
  for (uint64_t ms = 0; ms < 10'000; ++ms) {
    if (bucket.Take(ms * 1'000'000)) ++taken;
  }
  EXPECT_EQ(taken, 10 + 999);  // the burst, and each 10 ms from the first on
}

TEST(TokenBucketTest, TimeThatGoesBackGivesNothing) {
  TokenBucket bucket(1, 1);
  EXPECT_TRUE(bucket.Take(10 * kSecond));
  EXPECT_FALSE(bucket.Take(5 * kSecond));
  EXPECT_FALSE(bucket.Take(0));
  EXPECT_TRUE(bucket.Take(11 * kSecond));
}

TEST(TokenBucketTest, ZeroNeverGrants) {
  TokenBucket no_rate(0, 5);
  TokenBucket no_burst(5, 0);
  for (uint64_t s = 0; s < 5; ++s) {
    EXPECT_FALSE(no_rate.Take(s * kSecond));
    EXPECT_FALSE(no_burst.Take(s * kSecond));
  }
}

TEST(TokenBucketTest, RatesAboveOneANanosecondAreOneANanosecond) {
  TokenBucket bucket(4'000'000'000u, 2);
  EXPECT_EQ(TakeAll(bucket, 0), 2);
  EXPECT_EQ(TakeAll(bucket, 1), 1);
}

}  // namespace
}  // namespace encap
