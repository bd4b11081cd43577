// ParseIcmpError: an ICMP or ICMPv6 error about a packet that a tunnel of this
// host has sent, as far as its quote tells.
//
// Anyone can send such a message: what it says holds only for a tunnel whose
// packet the quote is (IsQuoteOf), and no length in it is trusted. RFC 792
// promises 8 bytes behind the quoted IP header, RFC 1812 4.3.2.3 and RFC 4443
// 2.4 (c) more: what is missing is left out.

#ifndef ENCAP_ICMP_QUOTE_H_
#define ENCAP_ICMP_QUOTE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "encap/address.h"
#include "encap/encap_config.h"

namespace encap {

enum class IcmpErrorKind : uint8_t {
  kTooBig,             // Fragmentation Needed; Packet Too Big
  kUnreachable,        // any other code of Destination Unreachable
  kHopLimitExceeded,   // Time Exceeded, code 0
  kReassemblyTimeout,  // Time Exceeded, code 1
  kParameterProblem,
};

// What the first 8 bytes of an error say. Also how a socket's error queue says
// it, without a message (struct sock_extended_err: ee_type, ee_code, ee_info).
struct IcmpErrorHead {
  uint8_t type = 0;
  uint8_t code = 0;
  uint32_t info = 0;  // kTooBig: next-hop MTU, bytes, 0 from an old router (RFC
                      // 1191 5). kParameterProblem: offset in the quoted packet
};

struct OuterError {
  IcmpErrorKind kind = IcmpErrorKind::kUnreachable;
  IcmpErrorHead head;

  // The quoted packet, with the addresses as its tunnel has them: local is its
  // source.
  AddressPair addresses;
  uint8_t protocol = 0;     // behind the IPv6 extension headers
  uint32_t packet_len = 0;  // of the whole packet, as its header says, bytes
  uint16_t ip_len = 0;      // IP header with extension headers, bytes
  bool later_fragment = false;  // a fragment that is not the first
  // What is quoted behind the IP header; empty for a later fragment. Points
  // into the bytes that were parsed.
  std::span<const uint8_t> upper;
  // The quoted Tunnel Encapsulation Limit that a Parameter Problem points to.
  std::optional<uint8_t> pointed_limit;

  bool is_v6() const noexcept { return addresses.local.is_v6(); }
};

// `message` is an ICMP (`family` kV4) or ICMPv6 (kV6) message from its type
// on, without an IP header. The ICMP checksum is verified; that of ICMPv6 is
// not, since it covers addresses that are not here: a raw ICMPv6 socket of
// Linux has done so (RFC 3542 3.1). An extension behind the quote (RFC 4884) is
// cut off. nullopt for anything that is no error or quotes no whole IP header
// of the same family.
std::optional<OuterError> ParseIcmpError(std::span<const uint8_t> message,
                                         IpFamily family) noexcept;

// The same where the quoted packet is at hand without the message.
std::optional<OuterError> ParseQuote(const IcmpErrorHead& head,
                                     std::span<const uint8_t> quote) noexcept;

// True when a tunnel with `config` sends packets as the quoted one: addresses,
// protocol, UDP ports, GRE key with its presence. Never with a wildcard remote,
// which is sent to by none. Where the quote ends before a field, the field is
// not compared; a fragment that is not the first is judged by its addresses and
// protocol.
bool IsQuoteOf(const OuterError& error, const EncapConfig& config) noexcept;

// The quoted inner packet.
struct QuotedInner {
  IpFamily family = IpFamily::kNone;
  std::span<const uint8_t> packet;  // from its IP header on, as far as quoted
  uint32_t overhead = 0;            // bytes of the outer packet in front of it
};

// nullopt unless IsQuoteOf(error, config) and the quote has the inner IP header
// whole (IPv4: with options).
std::optional<QuotedInner> FindQuotedInner(const OuterError& error,
                                           const EncapConfig& config) noexcept;

}  // namespace encap

#endif  // ENCAP_ICMP_QUOTE_H_
