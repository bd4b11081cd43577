// The rings under pressure: several threads, changes of capacity, purges and
// both kinds of consumers; every item is accounted for. fault_test runs it with
// each seeded fault of the rings.

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "tunnel/base/unique_fd.h"
#include "tunnel/sync/doorbell.h"
#include "tunnel/sync/mpsc_ring.h"
#include "tunnel/sync/qsbr.h"
#include "tunnel/sync/ring.h"

namespace tunnel {
namespace {

using std::chrono::milliseconds;

// Stands still now and then, so that other threads come in between.
void MaybeYield() {
  thread_local std::minstd_rand random(7);
  if (random() % 64 == 0) std::this_thread::yield();
}

// Of several words, and slow to move.
struct Item {
  Item() = default;
  Item(uint64_t from, uint64_t number) : producer(from) { words.fill(number); }
  Item(const Item&) = default;
  Item& operator=(const Item&) = default;
  Item& operator=(Item&& other) noexcept {
    producer = other.producer;
    MaybeYield();
    words = other.words;
    return *this;
  }
  uint64_t producer = 0;
  std::array<uint64_t, 5> words{};
};

// What a consumer has seen: each producer's items whole and in order.
class Judge {
 public:
  explicit Judge(size_t producers) : next_(producers) {}
  void See(const Item& item) {
    const uint64_t number = item.words[0];
    for (const uint64_t word : item.words) torn_ += word != number;
    disorder_ += number < next_[item.producer];
    next_[item.producer] = number + 1;
    ++seen_;
  }
  void ExpectAll(uint64_t sent, uint64_t purged) const {
    EXPECT_EQ(torn_, 0u) << "half items";
    EXPECT_EQ(disorder_, 0u) << "items out of order";
    EXPECT_EQ(seen_ + purged, sent) << "items lost or doubled";
  }

 private:
  std::vector<uint64_t> next_;
  uint64_t seen_ = 0, torn_ = 0, disorder_ = 0;
};

constexpr uint64_t kItems = 30'000;
constexpr std::array<size_t, 5> kCapacities = {64, 1, 16, 256, 4};

template <typename Ring>
void Produce(Ring& ring, Qsbr::Reader& reader, Doorbell* bell, uint64_t self) {
  std::minstd_rand random(static_cast<unsigned>(self) + 1);
  std::array<Item, 9> batch;
  for (uint64_t next = 0; next < kItems;) {
    const size_t want = 1 + random() % batch.size();
    size_t n = 0;
    for (; n < want && next + n < kItems; ++n) batch[n] = Item(self, next + n);
    const std::span<Item> items = std::span(batch).first(n);
    size_t taken = 0;
    {
      const ReadSection section(reader);
      taken = bell == nullptr ? ring.PushBatch(items)
                              : PushAndRing(ring, *bell, items);
    }
    next += taken;
    if (taken == 0) std::this_thread::yield();
  }
}

void Resize(SpscRing<Item>& ring, Qsbr&, size_t capacity) {
  ring.Resize(capacity);
}
void Resize(MpscRing<Item>& ring, Qsbr& producers, size_t capacity) {
  if (!ring.Resize(capacity)) return;
  producers.Wait();
  ring.Reclaim();
}

// Changes the capacity until `stop`.
template <typename Ring>
void ResizeUntil(Ring& ring, Qsbr& producers, const std::atomic<bool>& stop) {
  for (size_t i = 0; !stop.load(std::memory_order_relaxed); ++i) {
    Resize(ring, producers, kCapacities[i % kCapacities.size()]);
    std::this_thread::yield();
  }
}

struct Load {
  size_t producers = 1;
  bool purge = false;
  bool blocking = false;
};

template <typename Ring>
void RunLoad(const Load& load) {
  const auto owned = std::make_unique<Ring>(16);
  Ring& ring = *owned;
  const UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const auto bell = std::make_unique<Doorbell>(fd.get());
  Qsbr qsbr(load.producers);
  std::atomic<bool> stop{false};
  std::atomic<size_t> running{load.producers};
  std::vector<std::thread> threads;
  for (size_t p = 0; p < load.producers; ++p) {
    threads.emplace_back([&, p] {
      Produce(ring, qsbr.reader(p), load.blocking ? bell.get() : nullptr, p);
      running.fetch_sub(1, std::memory_order_release);
    });
  }
  threads.emplace_back([&] { ResizeUntil(ring, qsbr, stop); });

  Judge judge(load.producers);
  std::array<Item, 7> batch;
  uint64_t purged = 0;
  for (uint64_t round = 0;; ++round) {
    // Before the look: what is not there then does not come any more.
    const bool over = running.load(std::memory_order_acquire) == 0;
    if (load.purge && round % 512 == 0) purged += ring.Purge();
    const size_t n =
        load.blocking
            ? PopOrSleep(ring, *bell, std::span<Item>(batch), milliseconds(20))
            : ring.PopBatch(batch);
    for (size_t i = 0; i < n; ++i) judge.See(batch[i]);
    if (n == 0 && over) break;
    if (n == 0) std::this_thread::yield();
  }
  stop.store(true, std::memory_order_relaxed);
  for (std::thread& thread : threads) thread.join();
  judge.ExpectAll(load.producers * kItems, purged);
}

TEST(RingStress, SpscWithResize) { RunLoad<SpscRing<Item>>({}); }
TEST(RingStress, SpscWithResizeAndPurge) {
  RunLoad<SpscRing<Item>>({.purge = true});
}
TEST(RingStress, SpscWithResizePurgeAndASleepingConsumer) {
  RunLoad<SpscRing<Item>>({.purge = true, .blocking = true});
}
TEST(RingStress, MpscWithResize) { RunLoad<MpscRing<Item>>({.producers = 3}); }
TEST(RingStress, MpscWithResizeAndPurge) {
  RunLoad<MpscRing<Item>>({.producers = 3, .purge = true});
}
TEST(RingStress, MpscWithResizePurgeAndASleepingConsumer) {
  RunLoad<MpscRing<Item>>({.producers = 3, .purge = true, .blocking = true});
}

// Slots go round without a change of capacity.
TEST(RingStress, SpscOfOneSize) {
  const auto ring = std::make_unique<SpscRing<Item>>(4);
  Judge judge(1);
  Qsbr qsbr(1);
  std::thread producer([&] { Produce(*ring, qsbr.reader(0), nullptr, 0); });
  std::array<Item, 3> batch;
  for (uint64_t got = 0; got < kItems;) {
    const size_t n = ring->PopBatch(batch);
    for (size_t i = 0; i < n; ++i) judge.See(batch[i]);
    got += n;
    if (n == 0) std::this_thread::yield();
  }
  producer.join();
  judge.ExpectAll(kItems, 0);
}

// Stands still between the look and what follows it.
template <typename Ring>
class SlowLook : public Ring {
 public:
  using Ring::Ring;
  auto* Peek() noexcept {
    auto* const found = Ring::Peek();
    MaybeYield();
    return found;
  }
};

// One item at a time to a consumer that sleeps without a timeout: a lost
// wake-up is an item that nobody comes for.
template <typename Ring>
void PingPong() {
  const auto owned = std::make_unique<SlowLook<Ring>>(4);
  auto& ring = *owned;
  const UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const auto bell = std::make_unique<Doorbell>(fd.get());
  constexpr uint64_t kRounds = 20'000;
  std::atomic<uint64_t> consumed{0};
  std::thread consumer([&] {
    Item got;
    for (uint64_t i = 0; i < kRounds; ++i) {
      PopOrSleep(ring, *bell, std::span<Item>(&got, 1), milliseconds(-1));
      consumed.store(i + 1, std::memory_order_release);
    }
  });
  uint64_t lost = 0;
  for (uint64_t i = 0; i < kRounds; ++i) {
    Item item(0, i);
    PushAndRing(ring, *bell, std::span<Item>(&item, 1));
    const auto since = std::chrono::steady_clock::now();
    while (consumed.load(std::memory_order_acquire) <= i) {
      std::this_thread::yield();
      // Nothing else can wake it.
      if (std::chrono::steady_clock::now() - since < milliseconds(10'000))
        continue;
      ++lost;
      const uint64_t one = 1;
      ASSERT_EQ(::write(fd.get(), &one, sizeof one), ssize_t{sizeof one});
      while (consumed.load(std::memory_order_acquire) <= i)
        std::this_thread::yield();
    }
    if (lost != 0) break;
  }
  EXPECT_EQ(lost, 0u) << "lost wake-up";
  while (consumed.load(std::memory_order_acquire) < kRounds && lost != 0) {
    Item item;
    ring.Push(item);
    const uint64_t one = 1;
    ASSERT_EQ(::write(fd.get(), &one, sizeof one), ssize_t{sizeof one});
    std::this_thread::yield();
  }
  consumer.join();
}

TEST(RingStress, NoWakeUpOfASpscConsumerIsLost) { PingPong<SpscRing<Item>>(); }
TEST(RingStress, NoWakeUpOfAMpscConsumerIsLost) { PingPong<MpscRing<Item>>(); }

}  // namespace
}  // namespace tunnel
