// SpscRing: a bounded queue from one producer thread to one consumer thread.
//
// Each slot has a full flag of its own, so that producer and consumer share a
// cache line only where they meet; their positions are private. No lock, no
// atomic read-modify-write, no allocation after construction.
// Producer: Push(). Consumer: Peek(), Pop(). Neither waits: a full ring
// refuses, an empty one gives nothing. Barriers: Push() releases the item with
// its flag, Peek() and Pop() acquire it [R1]; Pop() releases the emptied slot,
// Push() acquires it [R2].
//
//   may run beside      Push            Peek, Pop
//   Push                one producer    yes
//   Peek, Pop           yes             one consumer
//
// Destroyed when both have stopped; items left inside are destroyed with it.

#ifndef TUNNEL_SYNC_RING_H_
#define TUNNEL_SYNC_RING_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
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
      : mask_(std::bit_ceil(std::max<size_t>(capacity, 1)) - 1),
        slots_(std::make_unique<Slot[]>(mask_ + 1)) {}
  SpscRing(const SpscRing&) = delete;
  SpscRing& operator=(const SpscRing&) = delete;

  size_t capacity() const noexcept { return mask_ + 1; }

  // ---- producer ----
  // False, and `item` is unchanged, when the ring is full.
  bool Push(T& item) noexcept {
    Slot& slot = slots_[tail_ & mask_];
    // Pairs with Pop() [R2].
    if (slot.full.load(std::memory_order_acquire)) return false;
    slot.item = std::move(item);
    if (FaultActive(Fault::kRingPushRelaxed)) {
      slot.full.store(true, std::memory_order_relaxed);
      ++tail_;
      return true;
    }
    // Pairs with Peek() and Pop() [R1].
    slot.full.store(true, std::memory_order_release);
    ++tail_;
    return true;
  }
  bool Push(T&& item) noexcept { return Push(item); }

  // Takes items from the front of `items` until the ring is full; the number
  // taken. Those behind are unchanged.
  size_t PushBatch(std::span<T> items) noexcept {
    size_t n = 0;
    while (n < items.size() && Push(items[n])) ++n;
    return n;
  }

  // ---- consumer ----
  // The oldest item, which stays in the ring until Pop(); nullptr when empty.
  T* Peek() noexcept {
    Slot& slot = slots_[head_ & mask_];
    // Pairs with Push() [R1].
    return slot.full.load(std::memory_order_acquire) ? &slot.item : nullptr;
  }

  // Takes the oldest item; false, and `item` is unchanged, when there is none.
  bool Pop(T& item) noexcept {
    T* oldest = Peek();
    if (oldest == nullptr) return false;
    item = std::move(*oldest);
    if (FaultActive(Fault::kRingPopRelaxed)) {
      slots_[head_++ & mask_].full.store(false, std::memory_order_relaxed);
      return true;
    }
    // Pairs with Push() [R2].
    slots_[head_ & mask_].full.store(false, std::memory_order_release);
    ++head_;
    return true;
  }

  // Fills `items` from the front; the number of items got.
  size_t PopBatch(std::span<T> items) noexcept {
    size_t n = 0;
    while (n < items.size() && Pop(items[n])) ++n;
    return n;
  }

 private:
  struct Slot {
    std::atomic<bool> full{false};
    T item{};
  };

  const size_t mask_;
  const std::unique_ptr<Slot[]> slots_;
  alignas(64) size_t tail_ = 0;  // the producer's own
  alignas(64) size_t head_ = 0;  // the consumer's own
};

}  // namespace tunnel

#endif  // TUNNEL_SYNC_RING_H_
