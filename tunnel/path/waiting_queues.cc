#include "tunnel/path/waiting_queues.h"

#include <sys/timerfd.h>
#include <time.h>

#include <algorithm>

namespace tunnel {

bool WaitingQueues::Open() {
  timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  return static_cast<bool>(timer_);
}

void WaitingQueues::Add(QueueContext& queue, uint64_t until_ns) {
  waits_.push_back({&queue, until_ns});
  SetTimer();
}

void WaitingQueues::Remove(const QueueContext& queue) {
  if (waits_.empty()) return;
  waits_.erase(
      std::remove_if(waits_.begin(), waits_.end(),
                     [&](const Wait& wait) { return wait.queue == &queue; }),
      waits_.end());
  SetTimer();
}

QueueContext* WaitingQueues::TakeDue(uint64_t now_ns) {
  const auto due =
      std::find_if(waits_.begin(), waits_.end(),
                   [&](const Wait& wait) { return wait.until_ns <= now_ns; });
  if (due == waits_.end()) {
    SetTimer();  // and it is no longer readable
    return nullptr;
  }
  QueueContext* const queue = due->queue;
  waits_.erase(due);
  return queue;
}

void WaitingQueues::SetTimer() {
  constexpr uint64_t kSecondNs = 1'000'000'000;
  itimerspec when{};  // zero: off
  if (!waits_.empty()) {
    uint64_t next = waits_.front().until_ns;
    for (const Wait& wait : waits_) next = std::min(next, wait.until_ns);
    when.it_value.tv_sec = static_cast<time_t>(next / kSecondNs);
    when.it_value.tv_nsec = static_cast<long>(next % kSecondNs);
  }
  ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
}

}  // namespace tunnel
