// What the kernel tells of a TUN or TAP device without attaching to it.

#ifndef TUNNEL_NETLINK_TUN_LINK_H_
#define TUNNEL_NETLINK_TUN_LINK_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tunnel/netlink/netlink_socket.h"

namespace tunnel {

struct TunLink {
  uint32_t ifindex = 0;
  // "tun" for TUN and TAP; empty for a device without a driver name.
  std::string kind;
  // The rest is false and 0 unless kind is "tun".
  bool ethernet = false;            // TAP
  bool packet_information = false;  // no IFF_NO_PI
  bool vnet_header = false;         // IFF_VNET_HDR
  bool multi_queue = false;         // IFF_MULTI_QUEUE
  bool persistent = false;          // TUNSETPERSIST
  uint32_t queues = 0;              // attached, disabled ones too
};

// Errors: DEVICE_NOT_FOUND when no interface has the name; NETLINK_ERROR.
absl::StatusOr<TunLink> GetTunLink(NetlinkSocket& socket,
                                   absl::string_view name);

}  // namespace tunnel

#endif  // TUNNEL_NETLINK_TUN_LINK_H_
