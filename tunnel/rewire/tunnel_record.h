// TunnelRecord: what the control side knows of one tunnel.
//
// Read and written by the holder of the configuration lock alone.

#ifndef TUNNEL_REWIRE_TUNNEL_RECORD_H_
#define TUNNEL_REWIRE_TUNNEL_RECORD_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "encap/drop_reason.h"
#include "encap/mss_clamp.h"
#include "tunnel/bpf/fast_path.h"
#include "tunnel/endpoint/endpoint.h"
#include "tunnel/endpoint/endpoint_config.h"
#include "tunnel/endpoint/endpoint_key.h"
#include "tunnel/endpoint/path_state.h"
#include "tunnel/netlink/next_hop.h"
#include "tunnel/path/worker_pool.h"
#include "tunnel/rewire/udp_port_lease.h"

namespace tunnel {

// What the underlay lets the tunnel do at the moment.
struct UnderlayState {
  uint32_t route_ifindex = 0;  // that the route leaves by; 0: no route
  std::shared_ptr<PathState> path;
  std::shared_ptr<const NextHop> next_hop;  // may be null, as SendRoute
  // FastPath::ClaimAt() of the route's interface; may be null.
  std::shared_ptr<const void> claim;
  uint32_t effective_mtu = 0;  // bytes, for the interface
  std::string mtu_reason;
  bool ethernet = false;  // as RouteInfo
  // kNone, or why nothing can be sent now; with the sentence for people.
  encap::DropReason transmit_block = encap::DropReason::kNone;
  std::string block_reason;
  // Nothing can be sent since nothing is meant to be: the remote is any host.
  bool receive_only = false;

  friend bool operator==(const UnderlayState&, const UnderlayState&) = default;
};

// What the kernel's fast path has of a wiring.
struct FastWiring {
  std::unique_ptr<FastEntry> entry;  // nullptr: the user path carries all
  FastRecord record;                 // of `entry`
  std::string why;        // the user path, in one clause; empty with an entry
  std::string steered;    // FastTunnel::Steer() with an entry
  bool deferred = false;  // not looked at yet, for the daemon has just started
};

// Everything that a change of the configuration replaces at once.
struct Wiring {
  EndpointConfig config;
  std::string etag;  // Etag(config)
  // Of config.underlay_device; 0 without one, or while it is not there.
  uint32_t underlay_ifindex = 0;
  // The outer source in force. No address: that of config.local_device, which
  // has none now.
  encap::IpAddress local;
  // Held in the table. None without a local address, or while another tunnel
  // holds what config.local_device came to.
  std::vector<EndpointKey> keys;
  UnderlayState underlay;
  // Of a tunnel in UDP, from when it is prepared on.
  std::shared_ptr<const UdpPortLease> udp_port;
  std::unique_ptr<Variant> variant;
  FastWiring fast;
};

// The underlay device is not there: waited for, and no identity meanwhile.
inline bool LacksDevice(const Wiring& wiring) {
  return !wiring.config.underlay_device.empty() && wiring.underlay_ifindex == 0;
}

// The outer configuration with the source in force; the unspecified address
// when there is none.
inline encap::EncapConfig EffectiveEncap(const Wiring& wiring) {
  static constexpr uint8_t kUnspecified[16] = {};
  encap::EncapConfig encap = wiring.config.encap;
  encap.local = wiring.local;
  if (encap.local.family() == encap::IpFamily::kNone) {
    encap.local = encap.remote.is_v6() ? encap::IpAddress::V6(kUnspecified)
                                       : encap::IpAddress::V4(kUnspecified);
  }
  return encap;
}

// What inner TCP may announce in this tunnel.
inline encap::MssLimits MssLimitsFor(const Wiring& wiring) {
  return encap::MssLimitsOf(wiring.config.encap, wiring.underlay.effective_mtu);
}

// One worker has the whole output: sequence numbers are one series (RFC 2890
// 2.2), and a rate is one bucket.
inline bool HasOneWorker(const EndpointConfig& config) {
  return config.encap.sequence || config.rate != 0;
}

// The wiring before a change that is received from still, and sent with until
// `turned` (make before break).
struct Overlap {
  Wiring old;
  bool turned = false;
  std::chrono::steady_clock::time_point turn_at, end_at;
  absl::Time until;  // end_at, for people
};

struct TunnelRecord {
  std::unique_ptr<Endpoint> endpoint;
  Wiring wiring;
  // While it lasts, the keys that overlap->old alone has are held too, and
  // output uses overlap->old until it has turned.
  std::optional<Overlap> overlap;
  std::unique_ptr<Establishment> establishment;
  size_t spread = 0;  // which worker the tunnel goes to if HasOneWorker()

  // Held by an operator.
  bool paused = false;
  std::optional<std::chrono::steady_clock::time_point> resume_at;
  bool detached = false;
  // It has no device: it was removed, or could not be brought back. `failure`
  // says why and what to do.
  bool failed = false;
  std::string failure;

  uint64_t generation = 0;
  absl::Time create_time;
  absl::Time update_time;

  const std::string& name() const { return wiring.config.name; }
};

}  // namespace tunnel

#endif  // TUNNEL_REWIRE_TUNNEL_RECORD_H_
