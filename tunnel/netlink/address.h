// Requests about addresses: pure in what they send, each one exchange on the
// socket that is given.

#ifndef TUNNEL_NETLINK_ADDRESS_H_
#define TUNNEL_NETLINK_ADDRESS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "encap/address.h"
#include "tunnel/netlink/address_view.h"
#include "tunnel/netlink/link_control.h"
#include "tunnel/netlink/netlink_socket.h"

namespace tunnel {

// Marks the addresses that AddLinkAddress() makes ("proto 0x74" in ip addr), so
// that the next process tells them from those of others. Linux 5.18.
inline constexpr uint8_t kAddressProtocol = 0x74;

// Errors of all: as LinkControl.

// IPv6 addresses are added without duplicate address detection, so that they
// can be used at once.
absl::Status AddLinkAddress(NetlinkSocket& socket, uint32_t ifindex,
                            const encap::IpPrefix& address);
absl::Status DeleteLinkAddress(NetlinkSocket& socket, uint32_t ifindex,
                               const encap::IpPrefix& address);

// Those of one interface, without link-local ones that the kernel made.
absl::StatusOr<std::vector<LinkSettings::Address>> AddressesOf(
    NetlinkSocket& socket, uint32_t ifindex);

// All addresses of the host, in the order of the kernel.
absl::StatusOr<std::vector<LocalAddress>> DumpAddresses(NetlinkSocket& socket);

// An RTM_NEWADDR or RTM_DELADDR message, read.
struct AddressMessage {
  // `usable` is false in an RTM_DELADDR message.
  LocalAddress address;
  // Who made it (IFA_PROTO); 0 when the kernel does not say.
  uint8_t protocol = 0;
};
// nullopt when the message is neither, or of another family.
std::optional<AddressMessage> ReadAddressMessage(const nlmsghdr* message);

}  // namespace tunnel

#endif  // TUNNEL_NETLINK_ADDRESS_H_
