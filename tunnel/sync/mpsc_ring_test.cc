#include "tunnel/sync/mpsc_ring.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <memory>
#include <span>

namespace tunnel {
namespace {

// Rings live on the heap here: GCC 12 misplaces over-aligned objects on the
// fake stack of AddressSanitizer.

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

}  // namespace
}  // namespace tunnel
