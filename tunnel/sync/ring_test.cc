#include "tunnel/sync/ring.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <thread>
#include <utility>
#include <vector>

namespace tunnel {
namespace {

// Rings live on the heap here: GCC 12 misplaces over-aligned objects on the
// fake stack of AddressSanitizer.

TEST(SpscRing, RoundsCapacityUp) {
  EXPECT_EQ(std::make_unique<SpscRing<int>>(0)->capacity(), 1u);
  EXPECT_EQ(std::make_unique<SpscRing<int>>(1)->capacity(), 1u);
  EXPECT_EQ(std::make_unique<SpscRing<int>>(5)->capacity(), 8u);
  EXPECT_EQ(std::make_unique<SpscRing<int>>(64)->capacity(), 64u);
}

TEST(SpscRing, PeekLeavesTheItem) {
  const auto owned = std::make_unique<SpscRing<int>>(4);
  auto& ring = *owned;
  EXPECT_EQ(ring.Peek(), nullptr);
  ring.Push(7);
  ASSERT_NE(ring.Peek(), nullptr);
  EXPECT_EQ(*ring.Peek(), 7);
  int got = 0;
  EXPECT_TRUE(ring.Pop(got));
  EXPECT_EQ(got, 7);
  EXPECT_FALSE(ring.Pop(got));
  EXPECT_EQ(got, 7);
}

TEST(SpscRing, BatchesStopAtFullAndAtEmpty) {
  const auto owned = std::make_unique<SpscRing<int>>(4);
  auto& ring = *owned;
  std::array<int, 6> in = {1, 2, 3, 4, 5, 6};
  EXPECT_EQ(ring.PushBatch(in), 4u);
  std::array<int, 6> out{};
  EXPECT_EQ(ring.PopBatch(out), 4u);
  EXPECT_EQ(out, (std::array<int, 6>{1, 2, 3, 4, 0, 0}));
  EXPECT_EQ(ring.PopBatch(out), 0u);
}

TEST(SpscRing, SlotsAreFilledAndReadInPlace) {
  const auto owned = std::make_unique<SpscRing<int>>(4);
  auto& ring = *owned;
  ASSERT_EQ(ring.Claim(3), 3u);
  for (int i = 0; i < 3; ++i) ring.slot(i) = 10 + i;
  EXPECT_EQ(ring.Available(), 0u);  // claimed is not published
  ring.Publish(2);
  ASSERT_EQ(ring.Available(), 2u);
  EXPECT_EQ(ring.at(0), 10);
  EXPECT_EQ(ring.at(1), 11);
  EXPECT_EQ(ring.Claim(9), 2u);
  ring.Release(1);
  EXPECT_EQ(ring.Claim(9), 3u);
  EXPECT_EQ(ring.Depth(), 1u);
  EXPECT_EQ(*ring.Peek(), 11);
}

TEST(SpscRing, ResizeTakesWhatWaitsFirst) {
  const auto owned = std::make_unique<SpscRing<int>>(2);
  auto& ring = *owned;
  std::array<int, 2> old = {1, 2};
  ASSERT_EQ(ring.PushBatch(old), 2u);
  ring.Resize(4);
  EXPECT_EQ(ring.capacity(), 4u);
  std::array<int, 5> more = {3, 4, 5, 6, 7};
  EXPECT_EQ(ring.PushBatch(more), 4u);
  std::array<int, 8> out{};
  EXPECT_EQ(ring.PopBatch(out), 6u);
  EXPECT_EQ(out, (std::array<int, 8>{1, 2, 3, 4, 5, 6, 0, 0}));
}

TEST(SpscRing, ASmallerCapacityCountsWhenTheOldIsEmpty) {
  const auto owned = std::make_unique<SpscRing<int>>(8);
  auto& ring = *owned;
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(ring.Push(int{i}));
  ring.Resize(2);
  EXPECT_TRUE(ring.Push(8));  // beside the eight
  ring.Resize(1);             // not before the consumer has left the first
  EXPECT_TRUE(ring.Push(9));
  EXPECT_FALSE(ring.Push(10));
  int got = -1;
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(ring.Pop(got));
    EXPECT_EQ(got, i);
  }
  EXPECT_TRUE(ring.Push(11));
  EXPECT_FALSE(ring.Push(12));
  EXPECT_TRUE(ring.Pop(got));
  EXPECT_EQ(got, 11);
}

TEST(SpscRing, OfSeveralResizesTheLastCounts) {
  const auto owned = std::make_unique<SpscRing<int>>(2);
  auto& ring = *owned;
  for (const size_t capacity : {16, 1, 4}) ring.Resize(capacity);
  std::array<int, 9> in{};
  EXPECT_EQ(ring.PushBatch(in), 4u);
}

TEST(SpscRing, AClaimInUseKeepsItsStorage) {
  const auto owned = std::make_unique<SpscRing<int>>(4);
  auto& ring = *owned;
  ASSERT_EQ(ring.Claim(1), 1u);
  ring.slot(0) = 1;
  size_t prepared = 0;
  ring.Resize(5, [&](size_t i, int& slot) {
    EXPECT_EQ(i, prepared++);
    slot = 100 + static_cast<int>(i);
  });
  EXPECT_EQ(prepared, 8u);
  EXPECT_EQ(ring.ClaimMore(9), 4u);
  EXPECT_EQ(ring.slot(0), 1);
  ring.slot(1) = 2;
  ring.Publish(2);
  EXPECT_EQ(ring.Claim(9), 8u);
  for (int i = 0; i < 8; ++i)
    EXPECT_EQ(ring.slot(static_cast<size_t>(i)), 100 + i);
  ring.Publish(1);
  std::array<int, 4> out{};
  EXPECT_EQ(ring.PopBatch(out), 3u);
  EXPECT_EQ(out, (std::array<int, 4>{1, 2, 100, 0}));
  ring.Reclaim();
}

struct Wide {
  std::array<uint64_t, 6> words{};
};

// Items of several words arrive whole, once and in order.
TEST(SpscRing, CarriesWholeItemsBetweenThreads) {
  constexpr uint64_t kItems = 200'000;
  const auto owned = std::make_unique<SpscRing<Wide>>(64);
  auto& ring = *owned;
  std::thread producer([&] {
    std::array<Wide, 7> batch;
    for (uint64_t next = 0; next < kItems;) {
      size_t n = 0;
      for (; n < batch.size() && next + n < kItems; ++n) {
        batch[n].words.fill(next + n);
      }
      const size_t pushed = ring.PushBatch(std::span(batch).first(n));
      next += pushed;
      if (pushed == 0) std::this_thread::yield();
    }
  });
  std::array<Wide, 5> batch;
  uint64_t expected = 0, torn = 0;
  while (expected < kItems) {
    const size_t n = ring.PopBatch(batch);
    if (n == 0) std::this_thread::yield();
    for (size_t i = 0; i < n; ++i, ++expected) {
      for (uint64_t word : batch[i].words) torn += word != expected;
    }
  }
  producer.join();
  EXPECT_EQ(torn, 0u);
  EXPECT_EQ(ring.Peek(), nullptr);
}

}  // namespace
}  // namespace tunnel
