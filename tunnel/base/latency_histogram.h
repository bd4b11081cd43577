// LatencyHistogram: how often something took how long.
//
// A plain value: whoever shares one guards it. Of the control path; the packet
// path has DepthHistogram.

#ifndef TUNNEL_BASE_LATENCY_HISTOGRAM_H_
#define TUNNEL_BASE_LATENCY_HISTOGRAM_H_

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tunnel {

struct LatencyHistogram {
  // Upper bounds in ns: 1, 2 and 5 in each decade, 1 us to 10 s. They never
  // change, so that series of different runs can be added.
  static constexpr std::array<int64_t, 22> kBoundsNs = {
      1'000,          2'000,         5'000,          //
      10'000,         20'000,        50'000,         //
      100'000,        200'000,       500'000,        //
      1'000'000,      2'000'000,     5'000'000,      //
      10'000'000,     20'000'000,    50'000'000,     //
      100'000'000,    200'000'000,   500'000'000,    //
      1'000'000'000,  2'000'000'000, 5'000'000'000,  //
      10'000'000'000,
  };

  // counts[i]: samples above kBoundsNs[i-1] and up to kBoundsNs[i]; the last
  // one has no upper bound.
  std::array<uint64_t, kBoundsNs.size() + 1> counts{};
  std::chrono::nanoseconds sum{0};

  void Record(std::chrono::nanoseconds sample) {
    const auto bound =
        std::lower_bound(kBoundsNs.begin(), kBoundsNs.end(), sample.count());
    ++counts[static_cast<size_t>(bound - kBoundsNs.begin())];
    sum += sample;
  }

  uint64_t total() const {
    uint64_t n = 0;
    for (const uint64_t count : counts) n += count;
    return n;
  }
};

}  // namespace tunnel

#endif  // TUNNEL_BASE_LATENCY_HISTOGRAM_H_
