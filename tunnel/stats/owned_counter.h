// OwnedCounter: a counter with one writer and any number of readers.
//
// The owner's Add() is a plain load, add and store: no atomic
// read-modify-write, no cache line shared with another writer. Readers see a
// value that was right at some moment. Orders nothing.

#ifndef TUNNEL_STATS_OWNED_COUNTER_H_
#define TUNNEL_STATS_OWNED_COUNTER_H_

#include <atomic>
#include <cstdint>

namespace tunnel {

class OwnedCounter {
 public:
  void Add(uint64_t n) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n,
                 std::memory_order_relaxed);
  }
  void Set(uint64_t value) noexcept {
    value_.store(value, std::memory_order_relaxed);
  }
  uint64_t value() const noexcept {
    return value_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<uint64_t> value_{0};
};

}  // namespace tunnel

#endif  // TUNNEL_STATS_OWNED_COUNTER_H_
