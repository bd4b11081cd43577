// MtuReason: the sum behind a tunnel's MTU, for people.

#ifndef TUNNEL_MTU_REASON_H_
#define TUNNEL_MTU_REASON_H_

#include <cstdint>
#include <string>

#include "tunnel/tunnel_types.h"

namespace tunnel {

// "1500 (route via eth0) - 28 (outer headers)"; and while the way to the remote
// is known to carry less, that before it: "1400 (path to 192.0.2.2, learned,
// 9m50s left) - 28 (outer headers); interface: 1500 ...". `now_ns` is of
// SteadyCoarseNs().
std::string MtuReason(const TunnelView& view, uint64_t now_ns);

}  // namespace tunnel

#endif  // TUNNEL_MTU_REASON_H_
