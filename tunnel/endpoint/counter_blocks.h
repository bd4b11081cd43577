// TunnelCounterBlocks: all counters of one tunnel: a block for each worker, and
// those of the kernel's fast path. Outlives the endpoint while a reader of
// statistics holds it.
//
// Each block is written by its worker alone. SetFast() is for the holder of the
// configuration lock; any thread may read at any time. One leaf mutex, which no
// worker takes.

#ifndef TUNNEL_ENDPOINT_COUNTER_BLOCKS_H_
#define TUNNEL_ENDPOINT_COUNTER_BLOCKS_H_

#include <cstddef>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "tunnel/bpf/fast_path.h"
#include "tunnel/stats/counters.h"
#include "tunnel/stats/fast_counters.h"
#include "tunnel/sync/mutex.h"

namespace tunnel {

class TunnelCounterBlocks {
 public:
  explicit TunnelCounterBlocks(size_t workers) : workers_(workers) {}
  TunnelCounterBlocks(const TunnelCounterBlocks&) = delete;
  TunnelCounterBlocks& operator=(const TunnelCounterBlocks&) = delete;

  TunnelWorkerCounters& of(size_t worker) { return workers_[worker]; }
  const std::vector<TunnelWorkerCounters>& workers() const { return workers_; }

  // `fast` is read until the next call, which keeps what it has counted;
  // nullptr: none.
  void SetFast(const FastTunnel* fast) ABSL_LOCKS_EXCLUDED(mu_) {
    const MutexLock lock(mu_);
    if (fast_ != nullptr) AddTo(fast_->Read(), past_);
    fast_ = fast;
  }

  // What the fast path has counted, ever.
  FastCounters Fast() const ABSL_LOCKS_EXCLUDED(mu_) {
    const MutexLock lock(mu_);
    FastCounters sum = past_;
    if (fast_ != nullptr) AddTo(fast_->Read(), sum);
    return sum;
  }

  // Workers and fast path.
  TunnelCounters Sum() const ABSL_LOCKS_EXCLUDED(mu_) {
    TunnelCounters sum;
    for (const TunnelWorkerCounters& worker : workers_) AddTo(worker, sum);
    AddTo(Fast(), sum);
    return sum;
  }

 private:
  std::vector<TunnelWorkerCounters> workers_;
  mutable Mutex mu_;
  const FastTunnel* fast_ ABSL_GUARDED_BY(mu_) = nullptr;
  FastCounters past_ ABSL_GUARDED_BY(mu_);  // of fast paths before
};

}  // namespace tunnel

#endif  // TUNNEL_ENDPOINT_COUNTER_BLOCKS_H_
