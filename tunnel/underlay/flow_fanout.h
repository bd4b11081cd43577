// Classic BPF programs that share received tunnel packets among the members of
// a packet fanout group (PACKET_FANOUT_CBPF), so that a flow stays with one.

#ifndef TUNNEL_UNDERLAY_FLOW_FANOUT_H_
#define TUNNEL_UNDERLAY_FLOW_FANOUT_H_

#include <linux/filter.h>

#include <vector>

namespace tunnel {

// The value of a program is a hash of the flow; the kernel takes it modulo the
// number of members. `data` begins with the outer IP header.
//
// - protocol 47, 4, 41: the inner addresses, and the inner ports of TCP and UDP
//   that are no fragments; of Ethernet frames with something else in them the
//   MAC addresses
// - UDP: outer addresses and ports, since the kernel may have merged packets of
//   several inner flows
// - IPv6 fragments: outer source and identification, so all of one packet meet
// - everything else, and what is cut short: 0
//
// Unlike PACKET_FANOUT_HASH it dissects tunnel packets alone: the programs see
// every IP packet of the host, and decide about most by one byte.
std::vector<sock_filter> FlowFanoutV4();
// As above; one destination options header (RFC 2473 4.1.1) may stand in
// between.
std::vector<sock_filter> FlowFanoutV6();

}  // namespace tunnel

#endif  // TUNNEL_UNDERLAY_FLOW_FANOUT_H_
