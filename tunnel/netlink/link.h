// Requests about links, addresses and routes: pure in what they send, each one
// exchange (RouteTo: two) on the socket that is given.

#ifndef TUNNEL_NETLINK_LINK_H_
#define TUNNEL_NETLINK_LINK_H_

#include <compare>
#include <cstdint>
#include <optional>
#include <set>
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
};

// An address on an interface. The same address may stand there with two prefix
// lengths.
struct LocalAddress {
  uint32_t ifindex = 0;
  encap::IpPrefix prefix;
  friend auto operator<=>(const LocalAddress&, const LocalAddress&) = default;
};

// Errors of all: as LinkControl.
absl::Status SetLinkUp(NetlinkSocket& socket, uint32_t ifindex, bool up);
absl::Status SetLinkMtu(NetlinkSocket& socket, uint32_t ifindex,
                        uint32_t mtu_bytes);
absl::Status SetLinkTxQueueLen(NetlinkSocket& socket, uint32_t ifindex,
                               uint32_t packets);

// IPv6 addresses are added without duplicate address detection, so that they
// can be used at once.
absl::Status AddLinkAddress(NetlinkSocket& socket, uint32_t ifindex,
                            const encap::IpPrefix& address);
absl::Status DeleteLinkAddress(NetlinkSocket& socket, uint32_t ifindex,
                               const encap::IpPrefix& address);

absl::StatusOr<LinkInfo> GetLink(NetlinkSocket& socket, uint32_t ifindex);
// DEVICE_NOT_FOUND when no interface has the name.
absl::StatusOr<LinkInfo> GetLink(NetlinkSocket& socket, absl::string_view name);

// As LinkControl::RouteTo().
absl::StatusOr<RouteInfo> LookUpRoute(NetlinkSocket& socket,
                                      const encap::IpAddress& remote,
                                      const encap::IpAddress& local,
                                      uint32_t ifindex, uint32_t mark);

// All addresses of the host that it can send from.
absl::StatusOr<std::set<LocalAddress>> DumpAddresses(NetlinkSocket& socket);

// An RTM_NEWADDR or RTM_DELADDR message, read.
struct AddressMessage {
  LocalAddress address;
  // True for RTM_NEWADDR of an address that can be sent from: one that waits
  // for duplicate address detection or has failed it can not.
  bool usable = false;
};
// nullopt when the message is neither, or of another family.
std::optional<AddressMessage> ReadAddressMessage(const nlmsghdr* message);

}  // namespace tunnel

#endif  // TUNNEL_NETLINK_LINK_H_
