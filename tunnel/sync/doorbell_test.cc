#include "tunnel/sync/doorbell.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "tunnel/base/unique_fd.h"
#include "tunnel/sync/mpsc_ring.h"
#include "tunnel/sync/ring.h"

namespace tunnel {
namespace {

using std::chrono::milliseconds;

class DoorbellTest : public testing::Test {
 protected:
  bool Readable() const {
    pollfd look{fd_.get(), POLLIN, 0};
    return ::poll(&look, 1, 0) == 1;
  }

  const UniqueFd fd_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  const std::unique_ptr<Doorbell> bell_ = std::make_unique<Doorbell>(fd_.get());
};

TEST_F(DoorbellTest, MakesNoSystemCallWhileTheConsumerIsAwake) {
  EXPECT_FALSE(bell_->Ring());
  EXPECT_FALSE(Readable());
}

TEST_F(DoorbellTest, OneOfManyRingsMakesTheSystemCall) {
  bell_->PrepareSleep();
  EXPECT_TRUE(bell_->Ring());
  EXPECT_FALSE(bell_->Ring());
  EXPECT_TRUE(Readable());
  EXPECT_TRUE(bell_->Sleep(milliseconds(-1)));
  EXPECT_FALSE(Readable());
}

TEST_F(DoorbellTest, ACancelledSleepIsNotRungFor) {
  bell_->PrepareSleep();
  bell_->Cancel();
  EXPECT_FALSE(bell_->Ring());
}

TEST_F(DoorbellTest, SleepEndsAtItsTimeout) {
  bell_->PrepareSleep();
  EXPECT_FALSE(bell_->Sleep(milliseconds(1)));
}

TEST_F(DoorbellTest, PopOrSleepTakesWhatIsThereAndGivesUp) {
  const auto ring = std::make_unique<SpscRing<int>>(4);
  std::array<int, 2> in = {1, 2};
  EXPECT_EQ(PushAndRing(*ring, *bell_, std::span<int>(in)), 2u);
  std::array<int, 4> out{};
  EXPECT_EQ(PopOrSleep(*ring, *bell_, std::span<int>(out), milliseconds(-1)),
            2u);
  EXPECT_EQ(PopOrSleep(*ring, *bell_, std::span<int>(out), milliseconds(1)),
            0u);
}

// A consumer that is asleep most of the time is woken for every item.
TEST_F(DoorbellTest, WakesForManyProducers) {
  constexpr size_t kProducers = 3, kItems = 2'000;
  const auto ring = std::make_unique<MpscRing<int>>(64);
  std::vector<std::thread> producers;
  for (size_t p = 0; p < kProducers; ++p) {
    producers.emplace_back([&] {
      for (size_t i = 0; i < kItems;) {
        int item = 1;
        const size_t n = PushAndRing(*ring, *bell_, std::span<int>(&item, 1));
        i += n;
        if (n == 0) std::this_thread::yield();
      }
    });
  }
  size_t got = 0;
  std::array<int, 16> out;
  while (got < kProducers * kItems)
    got += PopOrSleep(*ring, *bell_, std::span<int>(out), milliseconds(-1));
  for (std::thread& producer : producers) producer.join();
  EXPECT_EQ(got, kProducers * kItems);
  EXPECT_EQ(ring->Peek(), nullptr);
}

}  // namespace
}  // namespace tunnel
