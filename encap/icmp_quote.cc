#include "encap/icmp_quote.h"

#include "encap/checksum.h"
#include "encap/cursor.h"
#include "encap/encap_limit.h"
#include "encap/outer_parse.h"
#include "encap/wire/ethernet.h"
#include "encap/wire/gre.h"
#include "encap/wire/icmp.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"
#include "encap/wire/udp.h"

namespace encap {
namespace {

using Bytes = std::span<const uint8_t>;

// RFC 792 promises this much behind the quoted IP header.
constexpr size_t kMinQuotedUpper = 8;
constexpr uint16_t kFirstEphemeralPort = 0xc000;

std::optional<IcmpErrorKind> KindOf(const IcmpErrorHead& head,
                                    IpFamily family) noexcept {
  using Icmp = ConstIcmpHeader;
  using Kind = IcmpErrorKind;
  const bool v6 = family == IpFamily::kV6;
  if (v6 && head.type == Icmp::kPacketTooBig6) return Kind::kTooBig;
  if (head.type == (v6 ? Icmp::kUnreachable6 : Icmp::kUnreachable4)) {
    return !v6 && head.code == Icmp::kFragmentationNeeded4 ? Kind::kTooBig
                                                           : Kind::kUnreachable;
  }
  if (head.type == (v6 ? Icmp::kTimeExceeded6 : Icmp::kTimeExceeded4)) {
    return head.code == 0 ? Kind::kHopLimitExceeded : Kind::kReassemblyTimeout;
  }
  if (head.type == (v6 ? Icmp::kParameterProblem6 : Icmp::kParameterProblem4)) {
    return Kind::kParameterProblem;
  }
  return std::nullopt;
}

// Bytes of the quote where an extension follows, else 0: counted in words of 4
// bytes in ICMP and of 8 bytes in ICMPv6 (RFC 4884 3, 4).
size_t QuoteLen(Bytes message, IpFamily family) noexcept {
  return family == IpFamily::kV6 ? size_t{8} * message[4]
                                 : size_t{4} * message[5];
}

// Whether a message has that length field at all: in ICMPv6 a Packet Too Big
// and a Parameter Problem have a number there.
bool HasQuoteLen(uint8_t type, IpFamily family) noexcept {
  using Icmp = ConstIcmpHeader;
  return family == IpFamily::kV4 || type == Icmp::kUnreachable6 ||
         type == Icmp::kTimeExceeded6;
}

IcmpErrorHead ReadHead(const ConstIcmpHeader& icmp, IpFamily family) noexcept {
  IcmpErrorHead head{icmp.type(), icmp.code(), 0};
  const std::optional<IcmpErrorKind> kind = KindOf(head, family);
  const bool v6 = family == IpFamily::kV6;
  if (kind == IcmpErrorKind::kTooBig) {
    head.info = v6 ? icmp.mtu6() : icmp.next_hop_mtu4();
  } else if (kind == IcmpErrorKind::kParameterProblem) {
    head.info = v6 ? icmp.pointer6() : icmp.pointer4();
  }
  return head;
}

bool ReadIpv4(Bytes quote, OuterError& error) noexcept {
  if (quote.size() < ConstIpv4Header::kMinLen) return false;
  const ConstIpv4Header ip(quote.data());
  const size_t header_len = ip.header_len();
  if (header_len < ConstIpv4Header::kMinLen || header_len > quote.size()) {
    return false;
  }
  error.addresses = {ip.source(), ip.destination()};
  error.protocol = ip.protocol();
  error.packet_len = ip.total_length();
  error.ip_len = static_cast<uint16_t>(header_len);
  error.later_fragment = ip.fragment_offset() != 0;
  if (!error.later_fragment) error.upper = quote.subspan(header_len);
  return true;
}

// Walks to the upper layer, or as far as the quote goes.
void WalkExtensions(Cursor& cursor, OuterError& error) noexcept {
  constexpr int kMaxHeaders = 8;
  for (int i = 0; i < kMaxHeaders && !error.later_fragment; ++i) {
    const uint8_t next = error.protocol;
    if (next != kIpv6HopByHop && next != kIpv6Routing &&
        next != kIpv6Fragment && next != kIpv6DestinationOptions) {
      return;
    }
    const uint8_t* header = cursor.Peek(Ipv6ExtensionHeader::kMinLen);
    if (header == nullptr) return;
    if (next == kIpv6Fragment) {
      error.later_fragment = Ipv6FragmentHeader(header).fragment_offset() != 0;
      cursor.Take(Ipv6FragmentHeader::kLen);
    } else if (!cursor.Take(Ipv6ExtensionHeader(header).header_len())) {
      return;
    }
    error.protocol = header[0];
  }
}

bool ReadIpv6(Bytes quote, OuterError& error) noexcept {
  if (quote.size() < ConstIpv6Header::kLen) return false;
  const ConstIpv6Header ip(quote.data());
  error.addresses = {ip.source(), ip.destination()};
  error.protocol = ip.next_header();
  error.packet_len =
      static_cast<uint32_t>(ConstIpv6Header::kLen) + ip.payload_length();
  Cursor cursor(quote);
  cursor.Take(ConstIpv6Header::kLen);
  WalkExtensions(cursor, error);
  error.ip_len = static_cast<uint16_t>(cursor.offset());
  if (!error.later_fragment) error.upper = quote.subspan(cursor.offset());
  if (error.kind == IcmpErrorKind::kParameterProblem) {
    const std::optional<EncapLimit> limit = FindEncapLimit(quote);
    if (limit && limit->offset == error.head.info) {
      error.pointed_limit = limit->limit;
    }
  }
  return true;
}

// True when `upper` begins as the GRE header of a tunnel with `config`.
bool GreIsOf(Bytes upper, const EncapConfig& config) noexcept {
  if (upper.size() < ConstGreHeader::kMinLen) return false;
  const ConstGreHeader gre(upper.data());
  const uint16_t type = gre.protocol();
  const bool carried = config.mode == Mode::kGretap
                           ? type == kEtherTypeTransparentEthernet
                           : type == kEtherTypeIpv4 || type == kEtherTypeIpv6;
  if (!carried || gre.version() != 0 || gre.has_checksum() != config.checksum ||
      gre.has_key() != config.output_key.has_value() ||
      gre.has_sequence() != config.sequence) {
    return false;
  }
  const bool key_quoted = upper.size() >= gre.key_offset() + 4;
  return !gre.has_key() || !key_quoted || gre.key() == *config.output_key;
}

IpFamily FamilyOfNibble(uint8_t first) noexcept {
  switch (first >> 4) {
    case 4:
      return IpFamily::kV4;
    case 6:
      return IpFamily::kV6;
    default:
      return IpFamily::kNone;
  }
}

// True when `payload`, behind all outer headers but GRE, is of such a tunnel.
bool PayloadIsOf(Bytes payload, const EncapConfig& config) noexcept {
  if (IsGre(config.mode)) return GreIsOf(payload, config);
  return !payload.empty() && Carries(config.mode, FamilyOfNibble(payload[0]));
}

bool UdpIsOf(Bytes upper, const EncapConfig& config) noexcept {
  const ConstUdpHeader udp(upper.data());
  const uint16_t source = udp.source_port();
  const bool source_fits = config.udp_source_port != 0
                               ? source == config.udp_source_port
                               : source >= kFirstEphemeralPort;
  if (!source_fits || udp.destination_port() != UdpPort(config)) return false;
  const Bytes payload = upper.subspan(ConstUdpHeader::kLen);
  return payload.size() < ConstGreHeader::kMinLen ||
         PayloadIsOf(payload, config);
}

bool ProtocolIsOf(const OuterError& error, const EncapConfig& config) noexcept {
  // Behind the header that says so of a later fragment nothing is known.
  if (error.later_fragment && error.protocol == kIpv6DestinationOptions) {
    return true;
  }
  if (config.transport == OuterTransport::kUdp) {
    return error.protocol == kProtoUdp;
  }
  if (IsGre(config.mode)) return error.protocol == kProtoGre;
  return (error.protocol == kProtoIpip &&
          Carries(config.mode, IpFamily::kV4)) ||
         (error.protocol == kProtoIpv6 && Carries(config.mode, IpFamily::kV6));
}

// Steps over the Ethernet header and one VLAN tag; 0 when no IP follows.
size_t IpOffsetInFrame(Bytes frame) noexcept {
  size_t offset = kEthernetHeaderLen;
  if (frame.size() < offset) return 0;
  uint16_t type = Get16(frame.data() + offset - 2);
  if (type == kEtherTypeVlan || type == kEtherTypeServiceVlan) {
    offset += kVlanTagLen;
    if (frame.size() < offset) return 0;
    type = Get16(frame.data() + offset - 2);
  }
  return type == kEtherTypeIpv4 || type == kEtherTypeIpv6 ? offset : 0;
}

// The family of `packet` when its IP header is whole and sound.
IpFamily FamilyOfWhole(Bytes packet) noexcept {
  if (packet.empty()) return IpFamily::kNone;
  const IpFamily family = FamilyOfNibble(packet[0]);
  if (family == IpFamily::kV6 && packet.size() >= ConstIpv6Header::kLen) {
    return family;
  }
  if (family == IpFamily::kV4 && packet.size() >= ConstIpv4Header::kMinLen) {
    const size_t header_len = ConstIpv4Header(packet.data()).header_len();
    if (header_len >= ConstIpv4Header::kMinLen && header_len <= packet.size()) {
      return family;
    }
  }
  return IpFamily::kNone;
}

}  // namespace

std::optional<OuterError> ParseIcmpError(Bytes message,
                                         IpFamily family) noexcept {
  if (message.size() < ConstIcmpHeader::kLen) return std::nullopt;
  const ConstIcmpHeader icmp(message.data());
  const IcmpErrorHead head = ReadHead(icmp, family);
  if (!KindOf(head, family)) return std::nullopt;
  if (family == IpFamily::kV4 && InternetChecksum(message).raw() != 0) {
    return std::nullopt;
  }
  Bytes quote = message.subspan(ConstIcmpHeader::kLen);
  if (HasQuoteLen(head.type, family)) {
    const size_t len = QuoteLen(message, family);
    if (len != 0 && len < quote.size()) quote = quote.first(len);
  }
  if (quote.empty() || FamilyOfNibble(quote[0]) != family) return std::nullopt;
  return ParseQuote(head, quote);
}

std::optional<OuterError> ParseQuote(const IcmpErrorHead& head,
                                     Bytes quote) noexcept {
  if (quote.empty()) return std::nullopt;
  const IpFamily family = FamilyOfNibble(quote[0]);
  const std::optional<IcmpErrorKind> kind = KindOf(head, family);
  if (family == IpFamily::kNone || !kind) return std::nullopt;
  OuterError error;
  error.kind = *kind;
  error.head = head;
  const bool read =
      family == IpFamily::kV4 ? ReadIpv4(quote, error) : ReadIpv6(quote, error);
  if (!read) return std::nullopt;
  return error;
}

bool IsQuoteOf(const OuterError& error, const EncapConfig& config) noexcept {
  if (error.addresses != AddressPair{config.local, config.remote} ||
      IsWildcard(config.remote) || !ProtocolIsOf(error, config)) {
    return false;
  }
  if (error.later_fragment) return true;
  if (error.upper.size() < kMinQuotedUpper) return false;
  if (config.transport == OuterTransport::kUdp) {
    return UdpIsOf(error.upper, config);
  }
  if (!IsGre(config.mode) &&
      FamilyOfNibble(error.upper[0]) !=
          (error.protocol == kProtoIpip ? IpFamily::kV4 : IpFamily::kV6)) {
    return false;
  }
  return PayloadIsOf(error.upper, config);
}

std::optional<QuotedInner> FindQuotedInner(const OuterError& error,
                                           const EncapConfig& config) noexcept {
  if (error.later_fragment || !IsQuoteOf(error, config)) return std::nullopt;
  size_t offset =
      config.transport == OuterTransport::kUdp ? ConstUdpHeader::kLen : 0;
  if (IsGre(config.mode)) {
    if (error.upper.size() < offset + ConstGreHeader::kMinLen) {
      return std::nullopt;
    }
    offset += ConstGreHeader(error.upper.data() + offset).header_len();
  }
  if (offset > error.upper.size()) return std::nullopt;
  if (config.mode == Mode::kGretap) {
    const size_t ip = IpOffsetInFrame(error.upper.subspan(offset));
    if (ip == 0) return std::nullopt;
    offset += ip;
  }
  QuotedInner inner;
  inner.packet = error.upper.subspan(offset);
  inner.family = FamilyOfWhole(inner.packet);
  inner.overhead = static_cast<uint32_t>(error.ip_len + offset);
  if (inner.family == IpFamily::kNone) return std::nullopt;
  return inner;
}

}  // namespace encap
