// Neighbours: what the kernel knows of the link addresses of hosts (ARP, IPv6
// neighbour discovery).

#ifndef TUNNEL_NETLINK_NEIGHBOUR_H_
#define TUNNEL_NETLINK_NEIGHBOUR_H_

#include <compare>
#include <cstdint>
#include <optional>

#include "encap/address.h"
#include "tunnel/netlink/netlink_socket.h"
#include "tunnel/netlink/next_hop.h"

namespace tunnel {

// A host on the link of an interface.
struct NeighbourKey {
  uint32_t ifindex = 0;
  encap::IpAddress address;

  friend auto operator<=>(const NeighbourKey&, const NeighbourKey&) = default;
};

struct Neighbour {
  NeighbourKey key;
  // nullopt: not known, or it does not answer.
  std::optional<MacAddress> mac{};
  // Known of old: the kernel finds out whether it holds when somebody asks.
  bool stale = false;
};

// Of an RTM_NEWNEIGH or RTM_DELNEIGH; nullopt for what is none of IP (a
// bridge's).
std::optional<Neighbour> ReadNeighbour(const nlmsghdr* message);

// Asks the kernel; without `mac` when it has no entry or does not tell.
Neighbour LookUpNeighbour(NetlinkSocket& socket, const NeighbourKey& key);

// Has the kernel find out whether a stale entry still holds, as it does when
// packets use it (NTF_USE). The outcome comes as events.
void ProbeNeighbour(NetlinkSocket& socket, const NeighbourKey& key);

}  // namespace tunnel

#endif  // TUNNEL_NETLINK_NEIGHBOUR_H_
