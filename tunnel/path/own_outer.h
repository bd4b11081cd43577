// ReadOwnOuter: the outer headers that a packet would have if a tunnel had made
// it, read without judging it.

#ifndef TUNNEL_PATH_OWN_OUTER_H_
#define TUNNEL_PATH_OWN_OUTER_H_

#include <cstdint>
#include <optional>
#include <span>

#include "encap/address.h"

namespace tunnel {

struct OwnOuter {
  encap::AddressPair addresses;  // local is the source
  uint8_t protocol = 0;          // 4, 41, 47 or 17
  uint16_t udp_port = 0;         // destination; 0 without UDP
};

// `payload` is an IP packet, or a frame if `ethernet`. nullopt: no tunnel
// protocol; a fragment of a UDP packet other than the first, which tells no
// port. Over IPv6 the extension headers that tunnels send may stand in between:
// destination options (RFC 2473 4.1.1) and a fragment header.
std::optional<OwnOuter> ReadOwnOuter(std::span<const uint8_t> payload,
                                     bool ethernet) noexcept;

}  // namespace tunnel

#endif  // TUNNEL_PATH_OWN_OUTER_H_
