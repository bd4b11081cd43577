// Watchdog: ends the process when nothing goes on any more, as what a lost
// lock or a lost wake-up looks like.

#ifndef TESTS_CONCURRENCY_WATCHDOG_H_
#define TESTS_CONCURRENCY_WATCHDOG_H_

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <stop_token>
#include <thread>
#include <utility>

#include "tunnel/base/clock.h"

namespace tunnel {

class Watchdog {
 public:
  // `progress` grows as long as something goes on; it is called by a thread of
  // the watchdog until its end. Threads that are stuck can not be joined, so a
  // stall ends the process with status 1.
  Watchdog(std::function<uint64_t()> progress, std::chrono::seconds limit)
      : thread_([progress = std::move(progress), limit](std::stop_token stop) {
          uint64_t last = progress();
          SteadyTime since = SteadyNow();
          while (!stop.stop_requested()) {
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
            if (const uint64_t now = progress(); now != last) {
              last = now;
              since = SteadyNow();
            } else if (Since(since) > limit) {
              std::fprintf(stderr, "stalled: no call has returned for %d s\n",
                           static_cast<int>(limit.count()));
              std::_Exit(1);
            }
          }
        }) {}

 private:
  std::jthread thread_;
};

}  // namespace tunnel

#endif  // TESTS_CONCURRENCY_WATCHDOG_H_
