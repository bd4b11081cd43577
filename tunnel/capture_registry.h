// CaptureRegistry: the captures that run, for statistics. Any thread.

#ifndef TUNNEL_CAPTURE_REGISTRY_H_
#define TUNNEL_CAPTURE_REGISTRY_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "tunnel/endpoint/capture_tap.h"
#include "tunnel/stats/stats_snapshot.h"
#include "tunnel/sync/mutex.h"

namespace tunnel {

class CaptureRegistry {
 public:
  // A number for a new capture, from 1 on. It is forgotten with its tap.
  uint64_t Add(std::string tunnel, const std::shared_ptr<CaptureTap>& tap)
      ABSL_LOCKS_EXCLUDED(mu_) {
    const MutexLock lock(mu_);
    all_.erase(
        std::remove_if(all_.begin(), all_.end(),
                       [](const Entry& one) { return one.tap.expired(); }),
        all_.end());
    all_.push_back({++last_, std::move(tunnel), tap});
    return last_;
  }

  // Of those that somebody reads, in the order of their start.
  std::vector<CaptureCounters> Counters() const ABSL_LOCKS_EXCLUDED(mu_) {
    std::vector<CaptureCounters> counters;
    const MutexLock lock(mu_);
    for (const Entry& one : all_) {
      const std::shared_ptr<const CaptureTap> tap = one.tap.lock();
      if (tap == nullptr || tap->closed()) continue;
      counters.push_back({one.number, one.tunnel, tap->Counters()});
    }
    return counters;
  }

 private:
  struct Entry {
    uint64_t number;
    std::string tunnel;
    std::weak_ptr<const CaptureTap> tap;
  };

  mutable Mutex mu_;  // leaf
  std::vector<Entry> all_ ABSL_GUARDED_BY(mu_);
  uint64_t last_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace tunnel

#endif  // TUNNEL_CAPTURE_REGISTRY_H_
