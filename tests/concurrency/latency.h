// How long things take while the machine is busy.

#ifndef TESTS_CONCURRENCY_LATENCY_H_
#define TESTS_CONCURRENCY_LATENCY_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "tunnel/base/clock.h"
#include "tunnel/sync/mutex.h"

namespace tunnel {

using Latencies = std::vector<std::chrono::nanoseconds>;

// 0 when there are none.
std::chrono::nanoseconds Median(Latencies times);
std::chrono::nanoseconds Percentile99(Latencies times);
double Milliseconds(std::chrono::nanoseconds time);

// Requests stops at given times, from one thread of its own.
class Alarm {
 public:
  // When the stop was requested; nullopt-like 0 before.
  struct Rung {
    std::stop_source stop;
    std::atomic<int64_t> at_ns{0};  // steady clock
  };

  Alarm();
  ~Alarm();
  // A stop that will be requested at `when`.
  std::shared_ptr<Rung> At(SteadyTime when);

 private:
  void Run();

  Mutex mu_;
  CondVar changed_;
  std::multimap<SteadyTime, std::shared_ptr<Rung>> due_ ABSL_GUARDED_BY(mu_);
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace tunnel

#endif  // TESTS_CONCURRENCY_LATENCY_H_
