// PathMtu: how large an outer packet the path to one remote carries (RFC 1191,
// RFC 8201).
//
// The state of the writer: whoever reads ICMP errors and follows the route. A
// plain value without clock, lock or heap; not thread-safe. The packet path
// takes value() alone, as a number that the caller hands over in the way it
// likes, and gives it to SizePolicy::Judge().

#ifndef ENCAP_PMTU_H_
#define ENCAP_PMTU_H_

#include <cstdint>

#include "encap/address.h"

namespace encap {

// The estimate is never reduced below these, bytes. RFC 1191 3 allows 68 for
// IPv4; here 576, which every host must take (RFC 791 3.1): a report below is
// taken as 576, so that a forged one can not cut a tunnel to slivers. A path
// that is narrower still needs `df off`. A report below 1280 is no report over
// IPv6 (RFC 8201 4).
inline constexpr uint32_t kMinPathMtuV4 = 576;
inline constexpr uint32_t kMinPathMtuV6 = 1280;

// How long a reduced estimate is kept before a larger packet may try the path
// again (RFC 1191 6.3, RFC 8201 5.3).
inline constexpr uint64_t kPathMtuAgeNs = 600ull * 1'000'000'000;

// The largest MTU of RFC 1191 7.1 that is below `packet_len`: what a path may
// carry when a router says that a packet was too big and not what fits. At
// least kMinPathMtuV4.
uint32_t PlateauBelow(uint32_t packet_len) noexcept;

class PathMtu {
 public:
  // No path: value() is 0.
  PathMtu() = default;
  // `underlay_mtu` is the MTU of the route to the remote, bytes: the first
  // estimate, and never exceeded.
  PathMtu(IpFamily outer, uint32_t underlay_mtu) noexcept
      : outer_(outer), underlay_mtu_(underlay_mtu), value_(underlay_mtu) {}

  // Bytes, outer IP header included.
  uint32_t value() const noexcept { return value_; }
  // True while the estimate is that of a report and not that of the route.
  bool learned() const noexcept { return learned_; }
  // When a learned estimate is forgotten, on the clock of Learn(). 0: never.
  uint64_t expires_ns() const noexcept {
    return learned_ ? learned_ns_ + kPathMtuAgeNs : 0;
  }

  // A Fragmentation Needed or Packet Too Big about a packet of this path. `mtu`
  // is what it reports, 0 where an old router reports nothing (RFC 1191 5);
  // `packet_len` is the length that the quoted packet claims, 0 if unknown.
  // Only a report below the present estimate is taken. True when value() has
  // changed.
  bool Learn(uint32_t mtu, uint32_t packet_len, uint64_t now_ns) noexcept;

  // The MTU of the route has changed. A learned estimate stays where it is
  // smaller. True when value() has changed.
  bool SetUnderlayMtu(uint32_t underlay_mtu) noexcept;

  // Forgets an estimate that is old enough. True when value() has changed.
  bool Age(uint64_t now_ns) noexcept;

  // Forgets what was learned, e.g. because the remote is another one. True when
  // value() has changed.
  bool Forget() noexcept;

 private:
  IpFamily outer_ = IpFamily::kNone;
  bool learned_ = false;
  uint32_t underlay_mtu_ = 0;
  uint32_t value_ = 0;
  uint64_t learned_ns_ = 0;
};

}  // namespace encap

#endif  // ENCAP_PMTU_H_
