// Requests about links and routes: pure in what they send, each one exchange
// (LookUpRoute, InspectLink: two) on the socket that is given.

#ifndef TUNNEL_NETLINK_LINK_H_
#define TUNNEL_NETLINK_LINK_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "encap/address.h"
#include "tunnel/netlink/link_control.h"
#include "tunnel/netlink/netlink_socket.h"

namespace tunnel {

struct LinkInfo {
  uint32_t ifindex = 0;
  std::string name;
  uint32_t mtu = 0;           // bytes
  uint32_t tx_queue_len = 0;  // packets
  bool up = false;            // administratively
  bool ethernet = false;      // as RouteInfo
};

// Errors of all: as LinkControl.
absl::Status SetLinkUp(NetlinkSocket& socket, uint32_t ifindex, bool up);
absl::Status SetLinkMtu(NetlinkSocket& socket, uint32_t ifindex,
                        uint32_t mtu_bytes);
absl::Status SetLinkTxQueueLen(NetlinkSocket& socket, uint32_t ifindex,
                               uint32_t packets);

absl::StatusOr<LinkInfo> GetLink(NetlinkSocket& socket, uint32_t ifindex);
// DEVICE_NOT_FOUND when no interface has the name.
absl::StatusOr<LinkInfo> GetLink(NetlinkSocket& socket, absl::string_view name);
// Packets sent through the interface that the kernel has dropped.
absl::StatusOr<uint64_t> GetLinkTransmitDrops(NetlinkSocket& socket,
                                              uint32_t ifindex);

// As LinkControl::RouteTo().
absl::StatusOr<RouteInfo> LookUpRoute(NetlinkSocket& socket,
                                      const encap::IpAddress& remote,
                                      const encap::IpAddress& local,
                                      uint32_t ifindex, uint32_t mark);

// Where the route of an RTM_NEWROUTE or RTM_DELROUTE leads, "0.0.0.0/0" for a
// default route; nullopt when the message does not tell.
std::optional<encap::IpPrefix> RouteDestination(const nlmsghdr* message);

// As LinkControl::Inspect().
absl::StatusOr<LinkSettings> InspectLink(NetlinkSocket& socket,
                                         uint32_t ifindex);

}  // namespace tunnel

#endif  // TUNNEL_NETLINK_LINK_H_
