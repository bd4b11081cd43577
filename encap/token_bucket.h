// TokenBucket: how often something may happen, e.g. an ICMP error be sent (RFC
// 4443 2.4 (f), RFC 1812 4.3.2.8).
//
// No clock of its own: the caller says what time it is, in nanoseconds of any
// clock that never goes back. A plain value; not thread-safe.

#ifndef ENCAP_TOKEN_BUCKET_H_
#define ENCAP_TOKEN_BUCKET_H_

#include <algorithm>
#include <cstdint>

namespace encap {

class TokenBucket {
 public:
  // `rate` tokens a second, of which at most `burst` are saved up; the bucket
  // is full at first. A rate or burst of 0 never grants.
  constexpr TokenBucket(uint32_t rate, uint32_t burst) noexcept
      : interval_ns_(rate == 0 ? 0 : std::max<uint64_t>(1, kSecondNs / rate)),
        capacity_ns_(interval_ns_ * burst),
        credit_ns_(capacity_ns_) {}

  // Takes one token; false, and no change but the time, when there is none. A
  // time before the last one counts as the last one.
  constexpr bool Take(uint64_t now_ns) noexcept {
    if (!started_) {
      started_ = true;
      last_ns_ = now_ns;
    }
    if (now_ns > last_ns_) {
      const uint64_t missing = capacity_ns_ - credit_ns_;
      credit_ns_ += std::min(missing, now_ns - last_ns_);
      last_ns_ = now_ns;
    }
    if (interval_ns_ == 0 || credit_ns_ < interval_ns_) return false;
    credit_ns_ -= interval_ns_;
    return true;
  }

 private:
  static constexpr uint64_t kSecondNs = 1'000'000'000;

  uint64_t interval_ns_;  // what one token costs; 0: none are granted
  uint64_t capacity_ns_;
  uint64_t credit_ns_;
  uint64_t last_ns_ = 0;
  bool started_ = false;
};

}  // namespace encap

#endif  // ENCAP_TOKEN_BUCKET_H_
