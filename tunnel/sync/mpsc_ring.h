// MpscRing: a bounded queue from any number of producer threads to one consumer
// thread, whose capacity can be changed while they run.
//
// A batch of a producer is a run of slots: it reserves them with one atomic
// read-modify-write, fills them, and publishes the run with one release store
// in its first slot. The consumer opens a run with one acquire load and gives
// slots back with one release store a batch. Items of one producer keep their
// order. A producer that is stopped between reserving and publishing holds up
// the consumer, not the other producers.
//
// Nobody waits: a full ring refuses, an empty one gives nothing. No allocation
// but in Resize().
// Barriers: the run [R5]; emptied slots [R6]; the storage in use, and the seal
// on the one that is not any more, behind which nothing is reserved [R7].
//
//   may run beside   Push, PushBatch  consumer     Resize       Reclaim
//   Push, PushBatch  yes              yes          yes          G
//   consumer         yes              one thread   yes          yes
//   Resize, Reclaim  yes              yes          one thread   one thread
//
// G: a producer may still look at storage that Resize() has put out of use; a
// grace period of the producers must lie between the last Resize() and
// Reclaim(). Without Reclaim() the destructor frees it.
// Destroyed when all have stopped; items left inside are destroyed with it.

#ifndef TUNNEL_SYNC_MPSC_RING_H_
#define TUNNEL_SYNC_MPSC_RING_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "tunnel/base/fault.h"

namespace tunnel {

template <typename T>
class MpscRing {
  static_assert(std::is_nothrow_move_assignable_v<T> &&
                std::is_default_constructible_v<T>);

 public:
  // Room for `capacity` items, rounded up to a power of two; at least 1, at
  // most 2^31.
  explicit MpscRing(size_t capacity) {
    segments_.push_back(std::make_unique<Segment>(capacity));
    consuming_ = segments_.front().get();
    // Before any other thread knows the ring [R7].
    current_.store(consuming_, std::memory_order_release);
    consumed_segment_.store(consuming_, std::memory_order_release);  // [R7]
  }
  MpscRing(const MpscRing&) = delete;
  MpscRing& operator=(const MpscRing&) = delete;

  // ---- control ----
  size_t capacity() const { return segments_.back()->capacity(); }

  // The capacity from now on. Nothing is lost, and no producer's items change
  // their order: what waits stays where it is and is taken first; until then
  // the old room counts beside the new. False, and nothing happens, while an
  // earlier change is under way in that sense.
  bool Resize(size_t capacity) {
    Segment* const old = segments_.back().get();
    // Pairs with GoOn() [R7].
    if (consumed_segment_.load(std::memory_order_acquire) != old) return false;
    segments_.push_back(std::make_unique<Segment>(capacity));
    Segment* const next = segments_.back().get();
    old->next = next;
    // First the way to the new, then the end of the old: who meets the seal
    // finds the new. Pairs with PushBatch() [R7].
    current_.store(next, std::memory_order_release);
    old->tail.fetch_or(kSealed, std::memory_order_acq_rel);  // [R7]
    return true;
  }

  // Frees what the consumer has left. After a grace period.
  void Reclaim() {
    // Pairs with GoOn() [R7].
    Segment* const in_use = consumed_segment_.load(std::memory_order_acquire);
    while (segments_.front().get() != in_use)
      segments_.erase(segments_.begin());
  }

  // ---- producers ----
  // False, and `item` is unchanged, when the ring is full.
  bool Push(T& item) noexcept { return PushBatch({&item, 1}) == 1; }
  bool Push(T&& item) noexcept { return Push(item); }

  // Takes items from the front of `items` until the ring is full; the number
  // taken. Those behind are unchanged.
  size_t PushBatch(std::span<T> items) noexcept {
    if (items.empty()) return 0;
    for (;;) {
      // Pairs with Resize() [R7].
      Segment& s = *current_.load(std::memory_order_acquire);
      uint64_t tail = s.tail.load(std::memory_order_acquire);  // the seal [R7]
      while ((tail & kSealed) == 0) {
        // Pairs with Give() [R6].
        const uint64_t head = s.head.load(std::memory_order_acquire);
        if (head > tail) {  // `tail` is out of date
          tail = s.tail.load(std::memory_order_acquire);  // [R7]
          continue;
        }
        const size_t n =
            std::min<size_t>(s.capacity() - (tail - head), items.size());
        if (n == 0) return 0;
        // The seal pairs with Resize() [R7].
        if (s.tail.compare_exchange_weak(tail, tail + n,
                                         std::memory_order_acquire,
                                         std::memory_order_acquire)) {
          Fill(s, tail, items.first(n));
          return n;
        }
      }
    }
  }

  // ---- consumer ----
  // The oldest item, which stays in the ring until Pop(); nullptr when there is
  // none, or when its producer has not published it yet.
  T* Peek() noexcept {
    if (Open() == 0) return nullptr;
    return &consuming_->at(head_).item;
  }

  // Takes the oldest item; false, and `item` is unchanged, when there is none.
  bool Pop(T& item) noexcept { return PopBatch({&item, 1}) == 1; }

  // Fills `items` from the front; the number of items got.
  size_t PopBatch(std::span<T> items) noexcept {
    size_t got = 0;
    while (got < items.size() && Open() != 0) {
      const size_t n = std::min<size_t>(run_left_, items.size() - got);
      for (size_t i = 0; i < n; ++i)
        items[got + i] = std::move(consuming_->at(head_ + i).item);
      Skip(n);
      got += n;
    }
    Give();
    return got;
  }

  // Drops everything that has been published; how many items that were. What is
  // pushed meanwhile may be dropped too, and is then counted.
  size_t Purge() noexcept {
    size_t purged = 0;
    while (Open() != 0) {
      const size_t n = run_left_;
      for (size_t i = 0; i < n; ++i) consuming_->at(head_ + i).item = T{};
      Skip(n);
      purged += n;
      Give();
    }
    return purged;
  }

 private:
  // In the tail of a segment: nothing is reserved there any more.
  static constexpr uint64_t kSealed = uint64_t{1} << 63;

  struct Slot {
    // Published items from here on; set in the first slot of a run only.
    std::atomic<uint32_t> run{0};
    T item{};
  };
  struct Segment {
    explicit Segment(size_t capacity)
        : mask(RoundUp(capacity) - 1),
          slots(std::make_unique<Slot[]>(RoundUp(capacity))) {}
    size_t capacity() const { return mask + 1; }
    Slot& at(uint64_t position) { return slots[position & mask]; }
    static size_t RoundUp(size_t capacity) {
      return std::bit_ceil(std::clamp<size_t>(capacity, 1, size_t{1} << 31));
    }

    const size_t mask;
    const std::unique_ptr<Slot[]> slots;
    Segment* next = nullptr;                    // written before the seal
    alignas(64) std::atomic<uint64_t> tail{0};  // the producers'
    alignas(64) std::atomic<uint64_t> head{0};  // the consumer's
  };

  void Fill(Segment& s, uint64_t position, std::span<T> items) noexcept {
    for (size_t i = 0; i < items.size(); ++i)
      s.at(position + i).item = std::move(items[i]);
    const auto run = static_cast<uint32_t>(items.size());
    if (FaultActive(Fault::kMpscPublishRelaxed)) {
      s.at(position).run.store(run, std::memory_order_relaxed);
      return;
    }
    // Pairs with Open() [R5].
    s.at(position).run.store(run, std::memory_order_release);
  }

  // What is left of the run at the head; opens the next one. 0: none.
  uint32_t Open() noexcept {
    while (run_left_ == 0) {
      Slot& first = consuming_->at(head_);
      // Pairs with Fill() [R5].
      run_left_ = first.run.load(std::memory_order_acquire);
      if (run_left_ != 0) {
        // Seen by the next producer of the slot through the head.
        first.run.store(0, std::memory_order_relaxed);
        break;
      }
      if (!Sealed()) return 0;
      GoOn();
    }
    return run_left_;
  }

  // Nothing will come in this storage any more.
  bool Sealed() noexcept {
    if (FaultActive(Fault::kMpscSealMissed)) {
      // [R7]
      return current_.load(std::memory_order_acquire) != consuming_;
    }
    // Pairs with Resize() [R7].
    return consuming_->tail.load(std::memory_order_acquire) ==
           (head_ | kSealed);
  }

  void GoOn() noexcept {
    Give();
    consuming_ = consuming_->next;
    head_ = given_ = 0;
    // Pairs with Resize() and Reclaim() [R7].
    consumed_segment_.store(consuming_, std::memory_order_release);
  }

  void Skip(size_t count) noexcept {
    head_ += count;
    run_left_ -= static_cast<uint32_t>(count);
  }

  // The slots that were emptied are free.
  void Give() noexcept {
    if (given_ == head_) return;
    given_ = head_;
    if (FaultActive(Fault::kMpscFreeRelaxed)) {
      consuming_->head.store(head_, std::memory_order_relaxed);
      return;
    }
    // Pairs with PushBatch() [R6].
    consuming_->head.store(head_, std::memory_order_release);
  }

  std::vector<std::unique_ptr<Segment>> segments_;  // control's own, by age
  std::atomic<Segment*> current_;                   // that producers use
  // The consumer's own.
  alignas(64) Segment* consuming_;
  uint64_t head_ = 0;
  uint64_t given_ = 0;  // of head_, what producers know
  uint32_t run_left_ = 0;
  std::atomic<Segment*> consumed_segment_;
};

}  // namespace tunnel

#endif  // TUNNEL_SYNC_MPSC_RING_H_
