#include "tunnel/sync/mpsc_ring.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <deque>
#include <memory>
#include <random>

namespace tunnel {
namespace {

// Rings live on the heap here: GCC 12 misplaces over-aligned objects on the
// fake stack of AddressSanitizer.

TEST(MpscRing, RefusesWhenFullAndKeepsTheItem) {
  const auto owned = std::make_unique<MpscRing<std::unique_ptr<int>>>(2);
  auto& ring = *owned;
  EXPECT_EQ(ring.capacity(), 2u);
  EXPECT_TRUE(ring.Push(std::make_unique<int>(1)));
  EXPECT_TRUE(ring.Push(std::make_unique<int>(2)));
  auto third = std::make_unique<int>(3);
  EXPECT_FALSE(ring.Push(third));
  ASSERT_NE(third, nullptr);
  std::unique_ptr<int> got;
  EXPECT_TRUE(ring.Pop(got));
  EXPECT_EQ(*got, 1);
  EXPECT_TRUE(ring.Push(third));
}

TEST(MpscRing, RunsAreTakenInPieces) {
  const auto owned = std::make_unique<MpscRing<int>>(8);
  auto& ring = *owned;
  EXPECT_EQ(ring.PushBatch({}), 0u);
  std::array<int, 5> first = {1, 2, 3, 4, 5};
  std::array<int, 6> second = {6, 7, 8, 9, 10, 11};
  EXPECT_EQ(ring.PushBatch(first), 5u);
  EXPECT_EQ(ring.PushBatch(second), 3u);
  std::array<int, 3> out{};
  ASSERT_EQ(ring.PopBatch(out), 3u);
  EXPECT_EQ(out, (std::array<int, 3>{1, 2, 3}));
  EXPECT_EQ(*ring.Peek(), 4);
  EXPECT_EQ(ring.PushBatch(std::span(second).subspan(3)), 3u);
  std::array<int, 9> rest{};
  ASSERT_EQ(ring.PopBatch(rest), 8u);
  EXPECT_EQ(rest, (std::array<int, 9>{4, 5, 6, 7, 8, 9, 10, 11, 0}));
  EXPECT_EQ(ring.Peek(), nullptr);
}

TEST(MpscRing, ResizeTakesWhatWaitsFirst) {
  const auto owned = std::make_unique<MpscRing<int>>(2);
  auto& ring = *owned;
  std::array<int, 2> old = {1, 2};
  ASSERT_EQ(ring.PushBatch(old), 2u);
  EXPECT_TRUE(ring.Resize(4));
  EXPECT_EQ(ring.capacity(), 4u);
  EXPECT_FALSE(ring.Resize(8)) << "the first is under way";
  std::array<int, 5> more = {3, 4, 5, 6, 7};
  EXPECT_EQ(ring.PushBatch(more), 4u);
  std::array<int, 8> out{};
  EXPECT_EQ(ring.PopBatch(out), 6u);
  EXPECT_EQ(out, (std::array<int, 8>{1, 2, 3, 4, 5, 6, 0, 0}));
  EXPECT_TRUE(ring.Resize(1));
  ring.Reclaim();
  EXPECT_TRUE(ring.Push(8));
  EXPECT_FALSE(ring.Push(9));
  EXPECT_TRUE(ring.Pop(out[0]));
  EXPECT_EQ(out[0], 8);
  ring.Reclaim();
  EXPECT_TRUE(ring.Push(10));
}

TEST(MpscRing, PurgeDropsWhatWaits) {
  const auto owned = std::make_unique<MpscRing<std::shared_ptr<int>>>(4);
  auto& ring = *owned;
  const auto watched = std::make_shared<int>(1);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(ring.Push(std::shared_ptr(watched)));
  ASSERT_TRUE(ring.Resize(8));
  ASSERT_TRUE(ring.Push(std::shared_ptr(watched)));
  EXPECT_EQ(ring.Purge(), 4u);
  EXPECT_EQ(watched.use_count(), 1);
  EXPECT_EQ(ring.Purge(), 0u);
}

// Against a deque, with a fixed seed.
TEST(MpscRing, BehavesAsABoundedQueue) {
  const auto owned = std::make_unique<MpscRing<int>>(8);
  auto& ring = *owned;
  std::deque<int> model;
  std::mt19937 random(5);
  std::array<int, 5> batch;
  for (int i = 0; i < 20'000; ++i) {
    const std::span<int> some = std::span(batch).first(1 + random() % 5);
    if (random() % 2 == 0) {
      for (int& item : some) item = static_cast<int>(random());
      const size_t n = ring.PushBatch(some);
      ASSERT_EQ(n, std::min(some.size(), ring.capacity() - model.size()));
      model.insert(model.end(), some.begin(), some.begin() + n);
    } else {
      const size_t n = ring.PopBatch(some);
      ASSERT_EQ(n, std::min(some.size(), model.size()));
      for (size_t k = 0; k < n; ++k, model.pop_front())
        ASSERT_EQ(some[k], model.front());
    }
  }
}

}  // namespace
}  // namespace tunnel
