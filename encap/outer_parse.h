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
  uint8_t protocol = 0;   // kProtoIpip, kProtoIpv6 or kProtoGre
  uint8_t tos = 0;        // TOS or traffic class: DSCP and ECN
  uint8_t ttl = 0;        // TTL or hop limit
  uint16_t ip_header_len =
      0;                    // outer IP with options or extension headers, bytes
  uint16_t header_len = 0;  // ip_header_len plus the GRE header
  uint32_t total_len = 0;  // outer IP total length: what lies behind is padding
  // GRE only.
  uint16_t gre_protocol = 0;  // EtherType, host order
  bool has_checksum = false;
  std::optional<uint32_t> key;
  std::optional<uint32_t> sequence;
};

// `packet` starts at the outer IP header and may have link padding at its end.
// `verify_header_checksum` sums the IPv4 header; leave it out when the kernel
// has done so. A GRE checksum is not verified here, but by Decapsulate(). At
// most 8 IPv6 extension headers and 256 bytes of them are walked. Errors:
// kTruncated, kBadIpHeader, kBadOuterChecksum, kBadVersion, kUnsupportedFlags,
// kUnknownProtocol, kReassemblyFailed (an outer fragment). `info` is complete
// on kNone alone.
DropReason ParseOuter(std::span<const uint8_t> packet,
                      bool verify_header_checksum, OuterInfo& info) noexcept;

}  // namespace encap

#endif  // ENCAP_OUTER_PARSE_H_
