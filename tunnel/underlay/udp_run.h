// UdpRun: outer packets that one UDP socket can send with one call. Pure.

#ifndef TUNNEL_UNDERLAY_UDP_RUN_H_
#define TUNNEL_UNDERLAY_UDP_RUN_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "tunnel/underlay/transport.h"

namespace tunnel {

// What makes the outer headers of a packet, beside addresses and lengths.
struct UdpHeaders {
  bool v6 = false;
  bool dont_fragment = false;  // IPv4
  uint8_t tos = 0;             // TOS or traffic class
  uint8_t ttl = 0;             // TTL or hop limit
  uint32_t flow_label = 0;     // IPv6
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint16_t header_len = 0;   // of IP and UDP, bytes
  uint16_t payload_len = 0;  // of UDP, bytes
};

// Reads the headers of a finished outer packet. False when a UDP socket can not
// make them all: it is not UDP right behind an IP header without options, or is
// a fragment, has no UDP checksum, no payload, no source port or another length
// than its headers say.
bool ReadUdpHeaders(std::span<const uint8_t> packet,
                    UdpHeaders& headers) noexcept;

// How many packets at the front of `packets`, whose first has `headers`, go out
// as one super-packet that is cut every headers.payload_len bytes: the same
// route and headers but for lengths, checksums and IPv4 identification, none
// longer than the first, and the last alone shorter; at most 64, and 65,487
// bytes of payload. At least 1.
size_t UdpRunLength(std::span<const OutgoingPacket> packets,
                    const UdpHeaders& headers) noexcept;

}  // namespace tunnel

#endif  // TUNNEL_UNDERLAY_UDP_RUN_H_
