// Whether IPsec policies are in force: one exchange on a NETLINK_XFRM socket.

#ifndef TUNNEL_NETLINK_IPSEC_H_
#define TUNNEL_NETLINK_IPSEC_H_

#include <optional>

namespace tunnel {

// Of the network namespace of the calling thread. A kernel without IPsec has
// none; nullopt: it does not tell.
std::optional<bool> HasIpsecPolicies();

}  // namespace tunnel

#endif  // TUNNEL_NETLINK_IPSEC_H_
