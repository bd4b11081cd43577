// Shaper: the token bucket that holds a tunnel's output to a rate.
//
// No clock of its own: the caller says what time it is, in ns of a clock that
// never goes back (a time before the last one counts as the last one). A packet
// is charged when its size is known, which is after it was read, so the bucket
// may owe one packet: over any time t at most rate * t + burst + one packet go
// through. A plain value of one writer; not thread-safe.

#ifndef TUNNEL_ENDPOINT_SHAPER_H_
#define TUNNEL_ENDPOINT_SHAPER_H_

#include <algorithm>
#include <cstdint>

namespace tunnel {

struct ShapeLimits {
  uint64_t rate = 0;   // bits a second; 0: not shaped
  uint64_t burst = 0;  // bytes

  bool any() const noexcept { return rate != 0; }
  friend bool operator==(const ShapeLimits&, const ShapeLimits&) = default;
};

class Shaper {
 public:
  // Whether a packet may go at `now_ns`. Full when it is first asked.
  bool Ready(const ShapeLimits& limits, uint64_t now_ns) noexcept {
    Fill(limits, now_ns);
    return credit_ > 0;
  }

  void Charge(uint64_t bytes) noexcept {
    credit_ -= static_cast<int64_t>(bytes * 8);
  }

  // From the last Ready() to when it is worth to ask again: there is credit for
  // 1 ms at the rate, or for half the burst where that is less. So a tunnel
  // that always has to wait wakes its worker some thousand times a second, not
  // once a packet.
  uint64_t WaitNs(const ShapeLimits& limits) const noexcept {
    const int64_t worth = std::clamp<int64_t>(
        static_cast<int64_t>(limits.rate / 1000), 1,
        std::max<int64_t>(static_cast<int64_t>(limits.burst * 4), 1));
    if (credit_ >= worth || limits.rate == 0) return 0;
    const Wide missing = static_cast<Wide>(worth - credit_) * kSecondNs - part_;
    const Wide ns = (missing + limits.rate - 1) / limits.rate;
    return ns > kLongestNs ? kLongestNs : static_cast<uint64_t>(ns);
  }

 private:
  using Wide = unsigned __int128;
  static constexpr uint64_t kSecondNs = 1'000'000'000;
  static constexpr uint64_t kLongestNs = 3600 * kSecondNs;

  void Fill(const ShapeLimits& limits, uint64_t now_ns) noexcept {
    const auto full = static_cast<int64_t>(limits.burst * 8);
    if (!started_) {
      started_ = true;
      last_ns_ = now_ns;
      credit_ = full;
      return;
    }
    if (now_ns > last_ns_) {
      const Wide gained =
          static_cast<Wide>(now_ns - last_ns_) * limits.rate + part_;
      last_ns_ = now_ns;
      const Wide bits = gained / kSecondNs;
      const auto room = static_cast<Wide>(std::max<int64_t>(full - credit_, 0));
      const bool fits = bits < room;
      credit_ += static_cast<int64_t>(fits ? bits : room);
      part_ = fits ? static_cast<uint64_t>(gained % kSecondNs) : 0;
    }
    credit_ = std::min(credit_, full);  // the burst may have become smaller
  }

  int64_t credit_ = 0;  // bits; negative: owed
  uint64_t part_ = 0;   // of a bit, in 1/kSecondNs
  uint64_t last_ns_ = 0;
  bool started_ = false;
};

}  // namespace tunnel

#endif  // TUNNEL_ENDPOINT_SHAPER_H_
