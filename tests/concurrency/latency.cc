#include "tests/concurrency/latency.h"

#include <algorithm>

namespace tunnel {
namespace {

std::chrono::nanoseconds Percentile(Latencies times, size_t percent) {
  if (times.empty()) return std::chrono::nanoseconds(0);
  std::sort(times.begin(), times.end());
  return times[times.size() * percent / 100];
}

}  // namespace

std::chrono::nanoseconds Median(Latencies times) {
  return Percentile(std::move(times), 50);
}

std::chrono::nanoseconds Percentile99(Latencies times) {
  return Percentile(std::move(times), 99);
}

double Milliseconds(std::chrono::nanoseconds time) {
  return static_cast<double>(time.count()) / 1e6;
}

Alarm::Alarm() : thread_([this] { Run(); }) {}

Alarm::~Alarm() {
  {
    MutexLock lock(mu_);
    stop_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

std::shared_ptr<Alarm::Rung> Alarm::At(SteadyTime when) {
  auto rung = std::make_shared<Rung>();
  MutexLock lock(mu_);
  due_.emplace(when, rung);
  changed_.NotifyAll();
  return rung;
}

void Alarm::Run() {
  for (;;) {
    std::shared_ptr<Rung> rung;
    {
      MutexLock lock(mu_);
      while (!stop_ && (due_.empty() || due_.begin()->first > SteadyNow())) {
        changed_.WaitUntil(
            mu_, due_.empty() ? SteadyTime::max() : due_.begin()->first);
      }
      if (stop_) return;
      rung = std::move(due_.begin()->second);
      due_.erase(due_.begin());
    }
    rung->at_ns.store(SteadyNow().time_since_epoch().count(),
                      std::memory_order_release);
    rung->stop.request_stop();
  }
}

}  // namespace tunnel
