// SpscRing: a bounded queue from one producer thread to one consumer thread,
// whose capacity can be changed while both run.
//
// A batch costs one release store of an index, and an acquire load of the other
// side's index only when the copy of it that was read last says full or empty.
// No lock; no allocation and no atomic read-modify-write but in the batch in
// which a new capacity comes into force.
//
// Producer: Claim(), ClaimMore() and Publish(), or Push(), PushBatch().
// Consumer: Peek() and Release(), or Pop(), PopBatch(), Purge(). Nobody waits:
// a full ring refuses, an empty one gives nothing (doorbell.h lets a consumer
// sleep). Control: Resize(), Reclaim(). Barriers: Publish() releases the items
// with the tail, Peek() acquires them [R1]; Release() gives back emptied slots
// with the head, ClaimMore() acquires them [R2]; the producer's last tail in
// the old storage comes before the link to the new one [R3]; new storage goes
// to the producer and old storage back to control whole [R4].
//
//   may run beside   producer        consumer        Resize
//   producer         one thread      yes             yes
//   consumer         yes             one thread      yes
//   Resize           yes             yes             one thread
//
// Destroyed when all have stopped; items left inside are destroyed with it.

#ifndef TUNNEL_SYNC_RING_H_
#define TUNNEL_SYNC_RING_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

#include "tunnel/base/fault.h"

namespace tunnel {

template <typename T>
class SpscRing {
  static_assert(std::is_nothrow_move_assignable_v<T> &&
                std::is_default_constructible_v<T>);

 public:
  // Room for `capacity` items, rounded up to a power of two; at least 1.
  explicit SpscRing(size_t capacity)
      : capacity_(RoundUp(capacity)),
        producing_(new Segment(capacity)),
        consuming_(producing_),
        consumed_segment_(producing_) {}
  SpscRing(const SpscRing&) = delete;
  SpscRing& operator=(const SpscRing&) = delete;
  ~SpscRing() {
    delete wanted_.load(std::memory_order_acquire);  // all have stopped [R4]
    FreeChain(retired_.load(std::memory_order_acquire));
    if (producing_ != consuming_) delete producing_;
    delete consuming_;
  }

  // As last asked for; any thread. Orders nothing.
  size_t capacity() const noexcept {
    return capacity_.load(std::memory_order_relaxed);
  }

  // ---- control ----
  // The capacity from the next push on (Claim() for the others). Nothing is
  // lost or reordered: what waits stays where it is and is taken first, and
  // until then the old room counts beside the new. While an earlier change is
  // under way in that sense, this one waits for its end; of several the last
  // counts.
  void Resize(size_t capacity) {
    Resize(capacity, [](size_t, T&) {});
  }
  // The same; `prepare(i, slot)` is called before for each of the new slots,
  // whose number is `capacity` rounded up.
  template <typename Prepare>
  void Resize(size_t capacity, const Prepare& prepare) {
    auto segment = std::make_unique<Segment>(capacity);
    for (size_t i = 0; i < segment->capacity(); ++i)
      prepare(i, segment->slots[i]);
    capacity_.store(segment->capacity(), std::memory_order_relaxed);
    // Pairs with TakeWanted(); one that nobody took comes back [R4].
    delete wanted_.exchange(segment.release(), std::memory_order_acq_rel);
    Reclaim();
  }
  // Frees the storage that changes have left behind.
  void Reclaim() {
    FreeChain(retired_.exchange(nullptr, std::memory_order_acquire));  // [R4]
  }
  // Slots of a ring of this capacity.
  static size_t SlotsFor(size_t capacity) { return RoundUp(capacity); }

  // ---- producer ----
  // How many of `count` slots are free now, at most; they are slot(0), slot(1)
  // and so on, and are the producer's until Publish().
  size_t Claim(size_t count) noexcept {
    if (wanted_.load(std::memory_order_relaxed) != nullptr) TakeWanted();
    return ClaimMore(count);
  }
  // The same behind a Claim() whose slots are in use and not published yet:
  // slot(0) stays the same one.
  size_t ClaimMore(size_t count) noexcept {
    Segment& s = *producing_;
    const uint64_t tail = s.tail.load(std::memory_order_relaxed);
    size_t room = s.capacity() - (tail - s.head_seen);
    if (room < count) {
      // Pairs with Release() [R2].
      s.head_seen = s.head.load(std::memory_order_acquire);
      room = s.capacity() - (tail - s.head_seen);
    }
    return std::min(room, count);
  }
  // The i-th free slot; what it holds is what the consumer has left there.
  T& slot(size_t i) noexcept {
    Segment& s = *producing_;
    return s.at(s.tail.load(std::memory_order_relaxed) + i);
  }
  // Hands over the first `count` of the claimed slots; not 0.
  void Publish(size_t count) noexcept {
    Segment& s = *producing_;
    const uint64_t tail = s.tail.load(std::memory_order_relaxed) + count;
    if (FaultActive(Fault::kRingPushRelaxed)) {
      s.tail.store(tail, std::memory_order_relaxed);
      return;
    }
    // Pairs with Peek() [R1].
    s.tail.store(tail, std::memory_order_release);
  }

  // False, and `item` is unchanged, when the ring is full.
  bool Push(T& item) noexcept { return PushBatch({&item, 1}) == 1; }
  bool Push(T&& item) noexcept { return Push(item); }

  // Takes items from the front of `items` until the ring is full; the number
  // taken. Those behind are unchanged.
  size_t PushBatch(std::span<T> items) noexcept {
    const size_t n = Claim(items.size());
    if (n == 0) return 0;
    Segment& s = *producing_;
    const uint64_t tail = s.tail.load(std::memory_order_relaxed);
    for (size_t i = 0; i < n; ++i) s.at(tail + i) = std::move(items[i]);
    Publish(n);
    return n;
  }

  // ---- consumer ----
  // How many items wait that can be looked at now: at(0), the oldest, at(1) and
  // so on. 0: none at all. More may wait behind a change of capacity.
  size_t Available() noexcept {
    for (;;) {
      Segment& s = *consuming_;
      const uint64_t head = s.head.load(std::memory_order_relaxed);
      if (s.tail_seen != head) return s.tail_seen - head;
      // Pairs with Publish() [R1].
      s.tail_seen = s.tail.load(std::memory_order_acquire);
      Segment* const next = s.next.load(std::memory_order_acquire);  // [R3]
      const bool early = FaultActive(Fault::kRingResizeEarly);
      if (s.tail_seen != head && !(early && next != nullptr))
        return s.tail_seen - head;
      if (next == nullptr) return 0;
      // What the producer has left there before it went on to `next` [R1].
      s.tail_seen = s.tail.load(std::memory_order_acquire);
      if (s.tail_seen != head && !early) return s.tail_seen - head;
      GoOn(*next);
    }
  }
  // Fresh from the producer's index: how many wait, as Available().
  size_t Depth() noexcept {
    Available();
    Segment& s = *consuming_;
    // Pairs with Publish() [R1].
    s.tail_seen = s.tail.load(std::memory_order_acquire);
    return s.tail_seen - s.head.load(std::memory_order_relaxed);
  }
  T& at(size_t i) noexcept {
    Segment& s = *consuming_;
    return s.at(s.head.load(std::memory_order_relaxed) + i);
  }
  // Gives back the slots of the `count` oldest items; not 0, and no more than
  // Available() has said.
  void Release(size_t count) noexcept {
    Segment& s = *consuming_;
    const uint64_t head = s.head.load(std::memory_order_relaxed) + count;
    // Pairs with ClaimMore() [R2].
    s.head.store(head, std::memory_order_release);
  }

  // The oldest item, which stays in the ring until Pop(); nullptr when empty.
  T* Peek() noexcept { return Available() == 0 ? nullptr : &at(0); }

  // Takes the oldest item; false, and `item` is unchanged, when there is none.
  bool Pop(T& item) noexcept { return PopBatch({&item, 1}) == 1; }

  // Fills `items` from the front; the number of items got.
  size_t PopBatch(std::span<T> items) noexcept {
    size_t got = 0;
    while (got < items.size()) {
      const size_t n = std::min(Available(), items.size() - got);
      if (n == 0) break;
      if (FaultActive(Fault::kRingPopRelaxed)) {
        TakeRelaxed(items.subspan(got, n));
      } else {
        for (size_t i = 0; i < n; ++i) items[got + i] = std::move(at(i));
        Release(n);
      }
      got += n;
    }
    return got;
  }

  // Drops everything that waits; how many items that were. What is pushed
  // meanwhile may be dropped too, and is then counted.
  size_t Purge() noexcept {
    size_t purged = 0;
    while (const size_t n = Available()) {
      for (size_t i = 0; i < n; ++i) at(i) = T{};
      Release(n);
      purged += n;
    }
    return purged;
  }

 private:
  struct Segment {
    explicit Segment(size_t capacity)
        : mask(RoundUp(capacity) - 1),
          slots(std::make_unique<T[]>(RoundUp(capacity))) {}
    size_t capacity() const { return mask + 1; }
    T& at(uint64_t position) { return slots[position & mask]; }

    const size_t mask;
    const std::unique_ptr<T[]> slots;
    // The producer's.
    alignas(64) std::atomic<uint64_t> tail{0};
    uint64_t head_seen = 0;
    std::atomic<Segment*> next{nullptr};
    // The consumer's.
    alignas(64) std::atomic<uint64_t> head{0};
    uint64_t tail_seen = 0;
    Segment* retired = nullptr;
  };

  static size_t RoundUp(size_t capacity) {
    return std::bit_ceil(std::max<size_t>(capacity, 1));
  }

  static void FreeChain(Segment* segment) {
    while (segment != nullptr) delete std::exchange(segment, segment->retired);
  }

  // Goes on to the storage that Resize() has made, unless the consumer is still
  // behind: so there are two at most.
  void TakeWanted() noexcept {
    // Pairs with GoOn() [R4].
    if (consumed_segment_.load(std::memory_order_acquire) != producing_) return;
    // Pairs with Resize() [R4].
    Segment* const next = wanted_.exchange(nullptr, std::memory_order_acq_rel);
    if (next == nullptr) return;
    if (FaultActive(Fault::kRingResizeRelaxed)) {
      producing_->next.store(next, std::memory_order_relaxed);
    } else {
      // Pairs with Available() [R3].
      producing_->next.store(next, std::memory_order_release);
    }
    producing_ = next;
  }

  // The consumer leaves its storage, which is empty for good.
  void GoOn(Segment& next) noexcept {
    Segment* const old = std::exchange(consuming_, &next);
    // Pairs with TakeWanted() [R4].
    consumed_segment_.store(&next, std::memory_order_release);
    old->retired = retired_.load(std::memory_order_relaxed);
    // Pairs with Resize() [R4].
    while (!retired_.compare_exchange_weak(old->retired, old,
                                           std::memory_order_release,
                                           std::memory_order_relaxed)) {
    }
  }

  // Seeded fault: the slots may be free before the items are out.
  void TakeRelaxed(std::span<T> items) noexcept {
    for (size_t i = 0; i < items.size(); ++i) items[i] = std::move(at(i));
    Segment& s = *consuming_;
    s.head.store(s.head.load(std::memory_order_relaxed) + items.size(),
                 std::memory_order_relaxed);
  }

  std::atomic<size_t> capacity_;
  // Storage that the producer has not taken yet, and that the consumer has
  // left.
  std::atomic<Segment*> wanted_{nullptr};
  std::atomic<Segment*> retired_{nullptr};
  alignas(64) Segment* producing_;  // the producer's own
  alignas(64) Segment* consuming_;  // the consumer's own
  std::atomic<Segment*> consumed_segment_;
};

}  // namespace tunnel

#endif  // TUNNEL_SYNC_RING_H_
