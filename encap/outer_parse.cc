#include "encap/outer_parse.h"

#include <algorithm>

#include "encap/checksum.h"
#include "encap/cursor.h"
#include "encap/wire/gre.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"
#include "encap/wire/udp.h"

namespace encap {
namespace {

constexpr int kMaxExtensionHeaders = 8;
constexpr size_t kMaxExtensionBytes = 256;

bool IsTunnelProtocol(uint8_t protocol) noexcept {
  return protocol == kProtoIpip || protocol == kProtoIpv6 ||
         protocol == kProtoGre || protocol == kProtoUdp;
}

// Options are rare.
bool HeaderSumIsRight(const uint8_t* header, size_t header_len) noexcept {
  uint64_t sum = Ipv4HeaderSum(header);
  if (header_len != ConstIpv4Header::kMinLen) {
    sum += PartialSum({header + ConstIpv4Header::kMinLen,
                       header_len - ConstIpv4Header::kMinLen});
  }
  return IsRightHeaderSum(sum);
}

DropReason ParseIpv4(std::span<const uint8_t> packet, bool verify_checksum,
                     Cursor& cursor, OuterInfo& info) noexcept {
  if (packet.size() < ConstIpv4Header::kMinLen) return DropReason::kTruncated;
  const uint8_t* header = packet.data();
  const ConstIpv4Header ip(header);
  const size_t header_len = ip.header_len();
  const size_t total_len = ip.total_length();
  if (header_len < ConstIpv4Header::kMinLen || total_len < header_len) {
    return DropReason::kBadIpHeader;
  }
  if (!cursor.Limit(total_len)) return DropReason::kTruncated;
  cursor.Take(header_len);
  if (verify_checksum && !HeaderSumIsRight(header, header_len)) {
    return DropReason::kBadOuterChecksum;
  }
  const uint8_t protocol = ip.protocol();
  const bool is_fragment = ip.is_fragment();
  info.addresses.local.AssignV4(header + ConstIpv4Header::kDestination);
  info.addresses.remote.AssignV4(header + ConstIpv4Header::kSource);
  info.protocol = protocol;
  info.tos = ip.tos();
  info.ttl = ip.ttl();
  info.total_len = static_cast<uint32_t>(total_len);
  if (!IsTunnelProtocol(protocol)) return DropReason::kUnknownProtocol;
  return is_fragment ? DropReason::kReassemblyFailed : DropReason::kNone;
}

// The options of a hop-by-hop or destination options header. One that is not
// known stands in the way only where its two highest bits say so (RFC 8200
// 4.2); the Tunnel Encapsulation Limit (4, RFC 2473 4.1.1) is not such a one.
DropReason WalkOptions(std::span<const uint8_t> options) noexcept {
  constexpr uint8_t kPad1 = 0;
  constexpr uint8_t kActionMask = 0xc0;
  Cursor cursor(options);
  while (cursor.remaining() != 0) {
    const uint8_t type = *cursor.Take(1);
    if (type == kPad1) continue;
    if ((type & kActionMask) != 0) return DropReason::kBadIpHeader;
    const uint8_t* length = cursor.Take(1);
    if (length == nullptr || cursor.Take(*length) == nullptr) {
      return DropReason::kBadIpHeader;
    }
  }
  return DropReason::kNone;
}

// Steps over the extension header of type `next` at the cursor, and sets `next`
// to the type of what follows.
DropReason StepExtension(Cursor& cursor, uint8_t& next) noexcept {
  const uint8_t* header = cursor.Peek(Ipv6ExtensionHeader::kMinLen);
  if (header == nullptr) return DropReason::kTruncated;
  if (next == kIpv6Fragment) {
    const Ipv6FragmentHeader fragment(header);
    if (fragment.fragment_offset() != 0 || fragment.more_fragments()) {
      return DropReason::kReassemblyFailed;
    }
    cursor.Take(Ipv6FragmentHeader::kLen);  // atomic (RFC 6946)
    next = fragment.next_header();
    return DropReason::kNone;
  }
  const Ipv6ExtensionHeader extension(header);
  const size_t len = extension.header_len();
  if (cursor.Take(len) == nullptr) return DropReason::kTruncated;
  if (next == kIpv6Routing) {
    // With segments left this host is not the last one (RFC 8200 4.4).
    if (extension.segments_left() != 0) return DropReason::kBadIpHeader;
  } else {
    const DropReason reason =
        WalkOptions({header + Ipv6ExtensionHeader::kOptions,
                     len - Ipv6ExtensionHeader::kOptions});
    if (reason != DropReason::kNone) return reason;
  }
  next = extension.next_header();
  return DropReason::kNone;
}

DropReason WalkExtensions(Cursor& cursor, uint8_t& next) noexcept {
  const size_t begin = cursor.offset();
  for (int i = 0;; ++i) {
    switch (next) {
      case kIpv6HopByHop:
        // Right behind the IPv6 header or nowhere (RFC 8200 4.1).
        if (i != 0) return DropReason::kBadIpHeader;
        break;
      case kIpv6Routing:
      case kIpv6Fragment:
      case kIpv6DestinationOptions:
        break;
      default:
        return IsTunnelProtocol(next) ? DropReason::kNone
                                      : DropReason::kUnknownProtocol;
    }
    if (i == kMaxExtensionHeaders) return DropReason::kBadIpHeader;
    const DropReason reason = StepExtension(cursor, next);
    if (reason != DropReason::kNone) return reason;
    if (cursor.offset() - begin > kMaxExtensionBytes) {
      return DropReason::kBadIpHeader;
    }
  }
}

DropReason ParseIpv6(Cursor& cursor, OuterInfo& info) noexcept {
  const uint8_t* header = cursor.Peek(ConstIpv6Header::kLen);
  if (header == nullptr) return DropReason::kTruncated;
  const ConstIpv6Header ip(header);
  info.total_len =
      static_cast<uint32_t>(ConstIpv6Header::kLen) + ip.payload_length();
  if (!cursor.Limit(info.total_len)) return DropReason::kTruncated;
  cursor.Take(ConstIpv6Header::kLen);
  info.addresses.local.AssignV6(header + ConstIpv6Header::kDestination);
  info.addresses.remote.AssignV6(header + ConstIpv6Header::kSource);
  info.tos = ip.traffic_class();
  info.ttl = ip.hop_limit();
  info.protocol = ip.next_header();
  return WalkExtensions(cursor, info.protocol);
}

bool IsTunnelPort(uint16_t port, const ParseOptions& options) noexcept {
  if (options.any_udp_port) return port != 0;
  return std::find(options.udp_ports.begin(), options.udp_ports.end(), port) !=
         options.udp_ports.end();
}

// The UDP header; `info.protocol` stays.
DropReason ParseUdpHeader(const ParseOptions& options, Cursor& cursor,
                          OuterInfo& info) noexcept {
  if (!options.any_udp_port && options.udp_ports.empty()) {
    return DropReason::kUnknownProtocol;
  }
  const size_t begin = cursor.offset();
  const uint8_t* header = cursor.Take(ConstUdpHeader::kLen);
  if (header == nullptr) return DropReason::kTruncated;
  const ConstUdpHeader udp(header);
  if (!IsTunnelPort(udp.destination_port(), options)) {
    return DropReason::kUnknownProtocol;
  }
  const size_t end = begin + udp.length();
  if (!cursor.Limit(end)) return DropReason::kTruncated;
  info.udp_port = udp.destination_port();
  info.total_len = static_cast<uint32_t>(end);
  info.has_udp_checksum = udp.checksum() != Be16(0);
  return DropReason::kNone;
}

uint8_t UdpPayloadProtocol(uint8_t first_byte) noexcept {
  switch (first_byte >> 4) {
    case 4:
      return kProtoIpip;
    case 6:
      return kProtoIpv6;
    default:
      return kProtoGre;
  }
}

// `info.protocol` becomes that of the payload.
DropReason ParseUdp(const ParseOptions& options, Cursor& cursor,
                    OuterInfo& info) noexcept {
  const DropReason reason = ParseUdpHeader(options, cursor, info);
  if (reason != DropReason::kNone) return reason;
  if (!info.has_udp_checksum && info.addresses.local.is_v6()) {
    return DropReason::kBadOuterChecksum;
  }
  const uint8_t* payload = cursor.Peek(1);
  if (payload == nullptr) return DropReason::kTruncated;
  info.protocol = UdpPayloadProtocol(*payload);
  return DropReason::kNone;
}

DropReason ParseGre(Cursor& cursor, OuterInfo& info) noexcept {
  const uint8_t* header = cursor.Peek(ConstGreHeader::kMinLen);
  if (header == nullptr) return DropReason::kTruncated;
  const ConstGreHeader gre(header);
  if (gre.version() != 0) return DropReason::kBadVersion;
  // Bits 6 to 12 are ignored on receipt (RFC 2784 2.3).
  if (gre.flags_version() & ConstGreHeader::kMustBeZero) {
    return DropReason::kUnsupportedFlags;
  }
  if (cursor.Take(gre.header_len()) == nullptr) return DropReason::kTruncated;
  info.gre_protocol = gre.protocol();
  info.has_checksum = gre.has_checksum();
  if (gre.has_key()) info.key = gre.key();
  if (gre.has_sequence()) info.sequence = gre.sequence();
  return DropReason::kNone;
}

// The payload of the usual packet: an IP packet, or GRE with a key at most.
// False for every other one.
inline bool ReadPlainUpper(const uint8_t* upper, uint8_t protocol,
                           OuterInfo& info) noexcept {
  constexpr uint16_t kOthers =
      ConstGreHeader::kChecksumPresent | ConstGreHeader::kSequencePresent |
      ConstGreHeader::kMustBeZero | ConstGreHeader::kVersionMask;
  info.header_len = ConstIpv4Header::kMinLen;
  info.gre_protocol = 0;
  info.key.reset();
  if (protocol != kProtoGre) {
    return protocol == kProtoIpip || protocol == kProtoIpv6;
  }
  const ConstGreHeader gre(upper);
  if ((gre.flags_version() & kOthers) != 0) return false;
  info.gre_protocol = gre.protocol();
  info.header_len += ConstGreHeader::kMinLen;
  if (gre.has_key()) {
    info.key = Get32(upper + ConstGreHeader::kMinLen);
    info.header_len += sizeof(uint32_t);
  }
  return true;
}

// The usual packet: whole, in IPv4 without options. False, with `info` in any
// state, for every other one.
inline bool ParsePlain(std::span<const uint8_t> packet, bool verify_checksum,
                       OuterInfo& info) noexcept {
  constexpr size_t kIpLen = ConstIpv4Header::kMinLen;
  constexpr size_t kLeast =
      kIpLen + ConstGreHeader::HeaderLen(false, true, false);
  constexpr uint8_t kNoOptions = 0x45;
  if (packet.size() < kLeast || packet[0] != kNoOptions) return false;
  const uint8_t* header = packet.data();
  const ConstIpv4Header ip(header);
  const uint32_t total_len = ip.total_length();
  const uint8_t protocol = ip.protocol();
  if (total_len < kLeast || total_len > packet.size() || ip.is_fragment() ||
      !ReadPlainUpper(header + kIpLen, protocol, info) ||
      (verify_checksum && !HeaderSumIsRight(header, kIpLen))) {
    return false;
  }
  info.addresses.local.AssignV4(header + ConstIpv4Header::kDestination);
  info.addresses.remote.AssignV4(header + ConstIpv4Header::kSource);
  info.protocol = protocol;
  info.tos = ip.tos();
  info.ttl = ip.ttl();
  info.ip_header_len = kIpLen;
  info.total_len = total_len;
  info.udp_port = 0;
  info.has_udp_checksum = false;
  info.has_checksum = false;
  info.sequence.reset();
  return true;
}

// The IP header of any packet, and its extension headers.
DropReason ParseIp(std::span<const uint8_t> packet, const ParseOptions& options,
                   Cursor& cursor, OuterInfo& info) noexcept {
  // Field by field: a value that is built and then copied stalls a hot path.
  info.udp_port = 0;
  info.has_udp_checksum = false;
  info.gre_protocol = 0;
  info.has_checksum = false;
  info.key.reset();
  info.sequence.reset();
  if (packet.empty()) return DropReason::kTruncated;
  DropReason reason = DropReason::kBadIpHeader;
  switch (packet[0] >> 4) {
    case 4:
      reason = ParseIpv4(packet, options.verify_header_checksum, cursor, info);
      break;
    case 6:
      reason = ParseIpv6(cursor, info);
      break;
  }
  info.ip_header_len = static_cast<uint16_t>(cursor.offset());
  return reason;
}

// Any packet.
[[gnu::noinline]] DropReason ParseAny(std::span<const uint8_t> packet,
                                      const ParseOptions& options,
                                      OuterInfo& info) noexcept {
  Cursor cursor(packet);
  DropReason reason = ParseIp(packet, options, cursor, info);
  if (reason != DropReason::kNone) return reason;
  if (info.protocol == kProtoUdp) {
    reason = ParseUdp(options, cursor, info);
    if (reason != DropReason::kNone) return reason;
  }
  if (info.protocol == kProtoGre) {
    reason = ParseGre(cursor, info);
    if (reason != DropReason::kNone) return reason;
  }
  info.header_len = static_cast<uint16_t>(cursor.offset());
  return DropReason::kNone;
}

}  // namespace

DropReason ParseOuter(std::span<const uint8_t> packet,
                      const ParseOptions& options, OuterInfo& info) noexcept {
  return ParsePlain(packet, options.verify_header_checksum, info)
             ? DropReason::kNone
             : ParseAny(packet, options, info);
}

DropReason ParseOuterUdp(std::span<const uint8_t> packet,
                         const ParseOptions& options,
                         OuterInfo& info) noexcept {
  Cursor cursor(packet);
  DropReason reason = ParseIp(packet, options, cursor, info);
  if (reason != DropReason::kNone) return reason;
  if (info.protocol != kProtoUdp) return DropReason::kUnknownProtocol;
  reason = ParseUdpHeader(options, cursor, info);
  info.header_len = static_cast<uint16_t>(cursor.offset());
  return reason;
}

DropReason ParseUdpPayload(std::span<const uint8_t> payload,
                           OuterInfo& info) noexcept {
  if (payload.empty()) return DropReason::kTruncated;
  info.protocol = UdpPayloadProtocol(payload[0]);
  info.total_len = static_cast<uint32_t>(info.header_len + payload.size());
  info.has_udp_checksum = false;
  if (info.protocol != kProtoGre) return DropReason::kNone;
  Cursor cursor(payload);
  const DropReason reason = ParseGre(cursor, info);
  info.header_len = static_cast<uint16_t>(info.header_len + cursor.offset());
  return reason;
}

}  // namespace encap
