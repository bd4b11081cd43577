// Doorbell: wakes the one consumer of some rings, with a system call only when
// it sleeps.
//
// Producers: after a push, Ring(). The consumer: PrepareSleep(), then looks
// once more at all of its rings, then Cancel() or Sleep() (or any poll that has
// fd() in it).
//
// Both sides exchange the one word [D1], so one of them comes first. If it is
// Ring(), PrepareSleep() acquires it, and the look that follows finds what was
// pushed before; if it is PrepareSleep(), Ring() sees that the consumer sleeps
// and writes to the eventfd. An exchange is a full barrier between the push and
// the look at the word, and between the word and the look at the rings: a
// release store and an acquire load would let each miss the other.
// While the consumer is awake Ring() makes no system call, and of many that
// find it asleep one does.

#ifndef TUNNEL_SYNC_DOORBELL_H_
#define TUNNEL_SYNC_DOORBELL_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <span>

#include "tunnel/base/fault.h"

namespace tunnel {

class Doorbell {
 public:
  // `fd`: an eventfd, non-blocking; outlives the object. Others may write to it
  // too.
  explicit Doorbell(int fd) : fd_(fd) {}
  Doorbell(const Doorbell&) = delete;
  Doorbell& operator=(const Doorbell&) = delete;

  // ---- any thread ----
  // True when it has made the system call.
  bool Ring() noexcept {
    // Pairs with PrepareSleep() [D1].
    if (!asleep_.exchange(false, std::memory_order_acq_rel)) return false;
    Write();
    return true;
  }

  // ---- consumer ----
  int fd() const { return fd_; }
  void PrepareSleep() noexcept {
    asleep_.exchange(true,
                     std::memory_order_acq_rel);  // pairs with Ring() [D1]
  }
  // Not to sleep after all. The eventfd may have been written to already.
  void Cancel() noexcept {
    asleep_.exchange(false,
                     std::memory_order_acq_rel);  // pairs with Ring() [D1]
  }
  // Sleeps until somebody rings, or has rung since PrepareSleep(); false after
  // `timeout`. A negative one is none. May return early.
  bool Sleep(std::chrono::milliseconds timeout) noexcept;

 private:
  void Write() noexcept;

  const int fd_;
  alignas(64) std::atomic<bool> asleep_{false};
};

// Pushes, then rings unless nothing was taken; the number taken.
template <typename Queue, typename T>
size_t PushAndRing(Queue& ring, Doorbell& bell, std::span<T> items) noexcept {
  if (FaultActive(Fault::kWakeRingFirst)) bell.Ring();
  const size_t n = ring.PushBatch(items);
  if (n != 0 && !FaultActive(Fault::kWakeRingFirst)) bell.Ring();
  return n;
}

// Fills `items` from the front, and sleeps first when there are none. 0 when
// nobody rang within `timeout`; a negative one is none.
template <typename Queue, typename T>
size_t PopOrSleep(Queue& ring, Doorbell& bell, std::span<T> items,
                  std::chrono::milliseconds timeout) noexcept {
  for (;;) {
    if (const size_t n = ring.PopBatch(items)) return n;
    if (!FaultActive(Fault::kWakeLookFirst)) bell.PrepareSleep();
    const bool more = ring.Peek() != nullptr;
    if (FaultActive(Fault::kWakeLookFirst)) bell.PrepareSleep();
    const bool rung = more || bell.Sleep(timeout);
    bell.Cancel();
    if (!rung) return ring.PopBatch(items);
  }
}

}  // namespace tunnel

#endif  // TUNNEL_SYNC_DOORBELL_H_
