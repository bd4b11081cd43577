// DepthHistogram: how many packets were handed over at once, in powers of two.
//
// One writer (the worker that owns it), any number of readers; a reader may see
// a batch in one bucket and not yet in another counter.

#ifndef TUNNEL_STATS_DEPTH_HISTOGRAM_H_
#define TUNNEL_STATS_DEPTH_HISTOGRAM_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "tunnel/stats/owned_counter.h"
#include "tunnel/stats/stats_snapshot.h"

namespace tunnel {

class DepthHistogram {
 public:
  static constexpr size_t kBuckets = std::tuple_size_v<BatchHistogram>;

  // The bucket of a batch of `depth` packets, which is not 0. The last bucket
  // has no upper end.
  static constexpr size_t Bucket(size_t depth) noexcept {
    return std::min(static_cast<size_t>(std::bit_width(depth)) - 1,
                    kBuckets - 1);
  }

  // An empty hand-over is not counted.
  void Record(size_t depth) noexcept {
    if (depth != 0) buckets_[Bucket(depth)].Add(1);
  }

  void AddTo(BatchHistogram& sum) const noexcept {
    for (size_t i = 0; i < kBuckets; ++i) sum[i] += buckets_[i].value();
  }

 private:
  std::array<OwnedCounter, kBuckets> buckets_;
};

}  // namespace tunnel

#endif  // TUNNEL_STATS_DEPTH_HISTOGRAM_H_
