// The clocks of the project. Waiting and deadlines follow the steady clock
// alone; the wall clock is only shown to people.

#ifndef TUNNEL_BASE_CLOCK_H_
#define TUNNEL_BASE_CLOCK_H_

#include <time.h>

#include <chrono>
#include <cstdint>

namespace tunnel {

using SteadyTime = std::chrono::steady_clock::time_point;

inline SteadyTime SteadyNow() noexcept {
  return std::chrono::steady_clock::now();
}

// Time since `start`, never negative.
inline std::chrono::nanoseconds Since(SteadyTime start) noexcept {
  const auto passed = SteadyNow() - start;
  return passed.count() < 0 ? std::chrono::nanoseconds(0) : passed;
}

// `now` + `wait` without overflow: far waits end at the end of the clock.
inline SteadyTime Deadline(SteadyTime now,
                           std::chrono::milliseconds wait) noexcept {
  const auto left =
      std::chrono::floor<std::chrono::milliseconds>(SteadyTime::max() - now);
  return wait > left ? SteadyTime::max() : now + wait;
}

// Wall clock in ns since 1970, as of the last tick (1 to 10 ms old): cheap
// enough for once a batch, no system call.
inline uint64_t RealtimeCoarseNs() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u +
         static_cast<uint64_t>(now.tv_nsec);
}

// Wall clock in ns since 1970, precise.
inline uint64_t RealtimeNs() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u +
         static_cast<uint64_t>(now.tv_nsec);
}

// The steady clock in ns, precise.
inline uint64_t SteadyNs() noexcept {
  return static_cast<uint64_t>(
      std::chrono::nanoseconds(SteadyNow().time_since_epoch()).count());
}

// The steady clock in ns, as of the last tick: as cheap.
inline uint64_t SteadyCoarseNs() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u +
         static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace tunnel

#endif  // TUNNEL_BASE_CLOCK_H_
