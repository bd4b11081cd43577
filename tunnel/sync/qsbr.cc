#include "tunnel/sync/qsbr.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>

#include "tunnel/base/fault.h"

namespace tunnel {
namespace {

// A batch lasts microseconds: spin that long, then let others run.
constexpr int kSpins = 200;
constexpr int kYields = 50;
constexpr std::chrono::microseconds kFirstSleep{20};
constexpr std::chrono::microseconds kLongestSleep{1000};

inline void CpuRelax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

Qsbr::Qsbr(size_t readers)
    : count_(readers), readers_(std::make_unique<Reader[]>(readers)) {}

void Qsbr::Wait() {
  if (!FaultActive(Fault::kNoGracePeriod)) {
    for (size_t i = 0; i < count_; ++i) WaitFor(readers_[i]);
  }
  waits_.fetch_add(1, std::memory_order_relaxed);
}

void Qsbr::WaitFor(const Reader& reader) {
  // Pairs with Enter() [Q1] and Leave() [Q2].
  const uint64_t seen = reader.counter_.load(std::memory_order_seq_cst);
  if (seen % 2 == 0) return;
  auto sleep = kFirstSleep;
  // Any other value means that the section seen has ended; a later one began
  // after the caller had unpublished.
  for (int round = 0; reader.counter_.load(std::memory_order_seq_cst) == seen;
       ++round) {
    if (round < kSpins) {
      CpuRelax();
    } else if (round < kSpins + kYields) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(sleep);
      sleep = std::min(sleep * 2, kLongestSleep);
    }
  }
}

}  // namespace tunnel
