// What both rings promise, from one thread.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <deque>
#include <memory>
#include <random>
#include <span>

#include "tunnel/sync/mpsc_ring.h"
#include "tunnel/sync/ring.h"

namespace tunnel {
namespace {

struct Spsc {
  template <typename T>
  using Ring = SpscRing<T>;
};

struct Mpsc {
  template <typename T>
  using Ring = MpscRing<T>;
};

// Rings live on the heap here: GCC 12 misplaces over-aligned objects on the
// fake stack of AddressSanitizer.
template <typename Kind>
class RingContract : public ::testing::Test {
 protected:
  template <typename T>
  static auto Make(size_t capacity) {
    return std::make_unique<typename Kind::template Ring<T>>(capacity);
  }
};

using Kinds = ::testing::Types<Spsc, Mpsc>;
TYPED_TEST_SUITE(RingContract, Kinds);

TYPED_TEST(RingContract, RefusesWhenFullAndKeepsTheItem) {
  const auto owned = this->template Make<std::unique_ptr<int>>(2);
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
  EXPECT_EQ(third, nullptr);
}

TYPED_TEST(RingContract, PurgeDropsWhatWaits) {
  const auto owned = this->template Make<std::shared_ptr<int>>(4);
  auto& ring = *owned;
  const auto watched = std::make_shared<int>(1);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(ring.Push(std::shared_ptr(watched)));
  ring.Resize(8);
  ASSERT_TRUE(ring.Push(std::shared_ptr(watched)));
  EXPECT_EQ(ring.Purge(), 4u);
  EXPECT_EQ(watched.use_count(), 1);
  EXPECT_EQ(ring.Purge(), 0u);
  EXPECT_TRUE(ring.Push(std::shared_ptr(watched)));
}

// Against a deque, with a fixed seed: runs of one item to five.
TYPED_TEST(RingContract, BehavesAsABoundedQueue) {
  const auto owned = this->template Make<int>(8);
  auto& ring = *owned;
  std::deque<int> model;
  std::mt19937 random(5);
  std::array<int, 5> batch;
  for (int i = 0; i < 20'000; ++i) {
    const std::span<int> some = std::span(batch).first(1 + random() % 5);
    const bool single = some.size() == 1;
    if (random() % 2 == 0) {
      for (int& item : some) item = static_cast<int>(random());
      const size_t n = single ? ring.Push(int{some[0]}) : ring.PushBatch(some);
      ASSERT_EQ(n, std::min(some.size(), ring.capacity() - model.size()));
      model.insert(model.end(), some.begin(), some.begin() + n);
    } else {
      const size_t n = single ? ring.Pop(some[0]) : ring.PopBatch(some);
      ASSERT_EQ(n, std::min(some.size(), model.size()));
      for (size_t k = 0; k < n; ++k, model.pop_front())
        ASSERT_EQ(some[k], model.front());
    }
  }
}

}  // namespace
}  // namespace tunnel
