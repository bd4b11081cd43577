// TransportView: where TCP or UDP lies in an IP packet, for segmentation and
// coalescing. It owns nothing.

#ifndef ENCAP_OFFLOAD_TRANSPORT_VIEW_H_
#define ENCAP_OFFLOAD_TRANSPORT_VIEW_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "encap/address.h"
#include "encap/bytes.h"
#include "encap/wire/udp.h"

namespace encap {

// IP protocol number (IANA).
inline constexpr uint8_t kProtoTcp = 6;

struct TransportView {
  IpFamily family = IpFamily::kNone;
  uint8_t protocol = 0;         // kProtoTcp or kProtoUdp
  bool has_ip_options = false;  // IPv4 options or IPv6 extension headers
  uint16_t transport = 0;       // offset of the TCP or UDP header, bytes
  uint16_t header_len = 0;      // all headers, TCP options included, bytes
  uint32_t packet_len = 0;      // of the IP packet, bytes

  size_t payload_len() const noexcept { return packet_len - header_len; }
  bool is_tcp() const noexcept { return protocol == kProtoTcp; }
  // Offset of the checksum field from the transport header.
  uint16_t checksum_offset() const noexcept { return is_tcp() ? 16 : 6; }
};

// Finds the TCP or UDP header of an IPv4 or IPv6 packet that fills `packet` to
// the last byte; hop-by-hop and destination options headers are stepped over.
// False for fragments, any other protocol or extension header, and lengths that
// do not fit. The length field of UDP is not looked at.
bool FindTransport(std::span<const uint8_t> packet,
                   TransportView& view) noexcept;

// Sum of the pseudo-header of `packet` for an upper layer of `length` bytes.
uint16_t PseudoSum(const uint8_t* packet, const TransportView& view,
                   size_t length) noexcept;

// The checksum that the TCP or UDP header must have, whatever its field holds
// now: for UDP 0 is written as 0xffff (RFC 768).
Be16 TransportChecksum(std::span<const uint8_t> packet,
                       const TransportView& view) noexcept;

// The same of an IPv4 header.
Be16 HeaderChecksum(const uint8_t* header, size_t header_len) noexcept;

}  // namespace encap

#endif  // ENCAP_OFFLOAD_TRANSPORT_VIEW_H_
