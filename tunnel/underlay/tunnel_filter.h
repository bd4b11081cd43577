// Classic BPF programs that pick tunnel packets for this host.

#ifndef TUNNEL_UNDERLAY_TUNNEL_FILTER_H_
#define TUNNEL_UNDERLAY_TUNNEL_FILTER_H_

#include <linux/filter.h>

#include <cstdint>
#include <span>
#include <vector>

namespace tunnel {

// For packet sockets. Take packets addressed to this host (PACKET_HOST), or
// claimed for the daemon by the program at the device (kFpClaimedMark), of
// protocol 47, 4 or 41, and of UDP to one of `udp_ports`, whole. Independent of
// the link header. At most 1,000 ports.
std::vector<sock_filter> TunnelFilterV4(std::span<const uint16_t> udp_ports);
// As above; also when one IPv6 extension header (hop-by-hop, routing, fragment,
// destination options) stands in between, and when a second one follows it,
// whatever is behind that. Fragments of UDP are taken to whatever port they
// are, since the first alone names it; without `udp_ports` none is.
std::vector<sock_filter> TunnelFilterV6(std::span<const uint16_t> udp_ports);

// For raw ICMP sockets. Take messages that quote a packet of protocol 47, 4, 41
// or 17; over IPv6 also when one extension header stands in between. The kind
// of the message is not looked at.
std::span<const sock_filter> ErrorFilterV4();
std::span<const sock_filter> ErrorFilterV6();

}  // namespace tunnel

#endif  // TUNNEL_UNDERLAY_TUNNEL_FILTER_H_
