// ClampMss: lowers the Maximum Segment Size that a TCP SYN or SYN-ACK inside
// the tunnel announces (RFC 9293 3.7.1), so that segments fit where Packet Too
// Big is lost on its way.

#ifndef ENCAP_MSS_CLAMP_H_
#define ENCAP_MSS_CLAMP_H_

#include <cstdint>

#include "encap/encap_config.h"
#include "encap/packet.h"

namespace encap {

// The largest MSS that may pass, by the family that carries the TCP; bytes.
struct MssLimits {
  uint16_t v4 = 0xffff;
  uint16_t v6 = 0xffff;

  // False when nothing can exceed them: ClampMss() need not be called.
  bool any() const noexcept { return v4 != 0xffff || v6 != 0xffff; }
  friend constexpr bool operator==(MssLimits, MssLimits) = default;
};

// What config.mss_clamp asks for, `tunnel_mtu` being the largest inner IP
// packet, bytes: with 0 its MTU less 40 (IPv4) and 60 (IPv6), at least 536 and
// 1220, which every path carries.
MssLimits MssLimitsOf(const EncapConfig& config, uint32_t tunnel_mtu) noexcept;

// Lowers the MSS option of `packet`, an inner IP packet (a frame if `ethernet`,
// IP directly or behind one VLAN tag), and mends the TCP checksum (RFC 1624),
// unless it is partial. True when it has been changed. Left alone: what is no
// SYN or announces no more than the limit; a SYN without the option, whose MSS
// is 536 or 1220; fragments but the first; a SYN with the TCP Authentication
// Option (RFC 5925), which covers the MSS; whatever is malformed or cut short.
bool ClampMss(PacketBuffer& packet, bool ethernet,
              const MssLimits& limits) noexcept;

}  // namespace encap

#endif  // ENCAP_MSS_CLAMP_H_
