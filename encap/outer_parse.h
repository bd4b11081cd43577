// ParseOuter: the outer headers of a received packet, as far as a lookup and
// Decapsulator::Decapsulate() need them.

#ifndef ENCAP_OUTER_PARSE_H_
#define ENCAP_OUTER_PARSE_H_

#include <cstdint>
#include <optional>
#include <span>

#include "encap/address.h"
#include "encap/drop_reason.h"

namespace encap {

// IP protocol numbers of the tunnels (IANA).
inline constexpr uint8_t kProtoIpip = 4;
inline constexpr uint8_t kProtoIpv6 = 41;
inline constexpr uint8_t kProtoGre = 47;

struct OuterInfo {
  AddressPair addresses;  // local = outer destination, remote = outer source
  uint8_t protocol = 0;   // kProtoIpip, kProtoIpv6 or kProtoGre; in UDP too
  uint8_t tos = 0;        // TOS or traffic class: DSCP and ECN
  uint8_t ttl = 0;        // TTL or hop limit
  uint16_t ip_header_len =
      0;                    // outer IP with options or extension headers, bytes
  uint16_t header_len = 0;  // ip_header_len plus the UDP and GRE headers
  uint32_t total_len = 0;   // end by the outer IP length, in UDP by the UDP
                            // length: what lies behind is padding
  // Destination port; 0: not in UDP. Set, and the addresses with it, as soon as
  // there is a UDP header to such a port, whatever the reason.
  uint16_t udp_port = 0;
  bool has_udp_checksum = false;
  // GRE only.
  uint16_t gre_protocol = 0;  // EtherType, host order
  bool has_checksum = false;
  std::optional<uint32_t> key;
  std::optional<uint32_t> sequence;
};

struct ParseOptions {
  // Sums the IPv4 header; leave it out when the kernel has done so.
  bool verify_header_checksum = true;
  // UDP destination ports that tunnels receive on; UDP to any other one is
  // kUnknownProtocol.
  std::span<const uint16_t> udp_ports = {};
  // Every port but 0 is one of them: the lookup of the tunnel tells.
  bool any_udp_port = false;
};

// `packet` starts at the outer IP header and may have link padding at its end.
// GRE and UDP checksums are not verified here, but by Decapsulate(). At most 8
// IPv6 extension headers and 256 bytes of them are walked.
//
// A payload of UDP says itself what it is: 4 or 6 in its first four bits is an
// IP packet, all else a GRE header, where the second of these bits must be zero
// (RFC 2784 2.3). So one port can serve both kinds.
//
// Errors: kTruncated, kBadIpHeader, kBadOuterChecksum (also UDP over IPv6
// without a checksum, RFC 8200 8.1), kBadVersion, kUnsupportedFlags,
// kUnknownProtocol, kReassemblyFailed (an outer fragment). `info` is complete
// on kNone alone.
DropReason ParseOuter(std::span<const uint8_t> packet,
                      const ParseOptions& options, OuterInfo& info) noexcept;

// The same without UDP.
inline DropReason ParseOuter(std::span<const uint8_t> packet,
                             bool verify_header_checksum,
                             OuterInfo& info) noexcept {
  return ParseOuter(packet, ParseOptions{verify_header_checksum}, info);
}

// The part of ParseOuter() up to and with a UDP header, for packets that have
// been merged into one (merged_udp.h): `packet` is UDP to a tunnel port, its
// checksum field is not looked at, and info.header_len ends with the UDP
// header. Errors: as ParseOuter(); kUnknownProtocol where it is not UDP.
DropReason ParseOuterUdp(std::span<const uint8_t> packet,
                         const ParseOptions& options, OuterInfo& info) noexcept;

// The rest of it, for one payload of that UDP header: `info`, as
// ParseOuterUdp() has left it, becomes what ParseOuter() would say of the
// packet with this payload alone, except that it has no UDP checksum.
DropReason ParseUdpPayload(std::span<const uint8_t> payload,
                           OuterInfo& info) noexcept;

}  // namespace encap

#endif  // ENCAP_OUTER_PARSE_H_
