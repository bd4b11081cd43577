#include "encap/icmp_error.h"

#include <algorithm>
#include <cstring>

#include "encap/checksum.h"
#include "encap/cursor.h"
#include "encap/size_policy.h"
#include "encap/wire/icmp.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"
#include "encap/wire/udp.h"

namespace encap {
namespace {

using Bytes = std::span<const uint8_t>;
using Icmp = ConstIcmpHeader;
using Kind = InnerError::Kind;

constexpr uint8_t kTtl = 64;
// Precedence Internetwork Control (RFC 1812 4.3.2.5).
constexpr uint8_t kTosOfErrors = 0xc0;

bool IsSound(Bytes packet, const ConstIpv4Header& ip) noexcept {
  return ip.header_len() >= ConstIpv4Header::kMinLen &&
         ip.header_len() <= packet.size() &&
         ip.total_length() >= ip.header_len() &&
         InternetChecksum(packet.first(ip.header_len())).raw() == 0;
}

bool MayAnswerV4(Bytes packet) noexcept {
  if (packet.size() < ConstIpv4Header::kMinLen) return false;
  const ConstIpv4Header ip(packet.data());
  if (!IsSound(packet, ip) || ip.fragment_offset() != 0) return false;
  const IpAddress destination = ip.destination();
  if (ip.source().IsMartianSource() || destination.IsMulticast() ||
      destination.IsBroadcast()) {
    return false;
  }
  if (ip.protocol() != kProtoIcmp) return true;
  if (packet.size() == ip.header_len()) return false;
  switch (packet[ip.header_len()]) {
    case Icmp::kUnreachable4:
    case Icmp::kSourceQuench4:
    case Icmp::kRedirect4:
    case Icmp::kTimeExceeded4:
    case Icmp::kParameterProblem4:
      return false;
    default:
      return true;
  }
}

// False for an ICMPv6 error or redirect, and where that can not be told.
bool IsNoIcmpError(Bytes packet) noexcept {
  constexpr int kMaxHeaders = 8;
  Cursor cursor(packet);
  cursor.Take(ConstIpv6Header::kLen);
  uint8_t next = packet[ConstIpv6Header::kNextHeader];
  for (int i = 0; i < kMaxHeaders; ++i) {
    if (next == kProtoIcmpv6) {
      const uint8_t* type = cursor.Peek(1);
      return type != nullptr && *type >= Icmp::kFirstInformational6 &&
             *type != Icmp::kRedirect6;
    }
    const bool fragment = next == kIpv6Fragment;
    if (!fragment && next != kIpv6HopByHop && next != kIpv6Routing &&
        next != kIpv6DestinationOptions) {
      return true;
    }
    const uint8_t* header = cursor.Peek(Ipv6ExtensionHeader::kMinLen);
    if (header == nullptr) return false;
    next = header[0];
    if (fragment && Ipv6FragmentHeader(header).fragment_offset() != 0) {
      return next != kProtoIcmpv6 && next != kIpv6DestinationOptions;
    }
    const size_t len = fragment ? Ipv6FragmentHeader::kLen
                                : Ipv6ExtensionHeader(header).header_len();
    if (cursor.Take(len) == nullptr) return false;
  }
  return false;
}

bool MayAnswerV6(Bytes packet, Kind kind) noexcept {
  if (packet.size() < ConstIpv6Header::kLen) return false;
  const ConstIpv6Header ip(packet.data());
  if (ip.source().IsMartianSource()) return false;
  if (ip.destination().IsMulticast() && kind != Kind::kTooBig) return false;
  return IsNoIcmpError(packet);
}

// `quote` less what lies behind the end of the packet, as a frame may have it.
Bytes WithoutPadding(Bytes packet) noexcept {
  const bool v6 = packet[0] >> 4 == 6;
  const size_t len = v6 ? ConstIpv6Header::kLen +
                              ConstIpv6Header(packet.data()).payload_length()
                        : size_t{ConstIpv4Header(packet.data()).total_length()};
  return packet.first(std::min(packet.size(), len));
}

void WriteHeadV4(const InnerError& error, uint8_t* icmp) noexcept {
  IcmpHeader header(icmp);
  std::memset(icmp, 0, IcmpHeader::kLen);
  header.set_type(Icmp::kUnreachable4);
  switch (error.kind) {
    case Kind::kTooBig:
      header.set_code(Icmp::kFragmentationNeeded4);
      header.set_next_hop_mtu4(
          static_cast<uint16_t>(std::min<uint32_t>(error.info, 0xffff)));
      break;
    case Kind::kHostUnreachable:
      header.set_code(Icmp::kHostUnreachable4);
      break;
    case Kind::kParameterProblem:
      header.set_type(Icmp::kParameterProblem4);
      header.set_pointer4(static_cast<uint8_t>(error.info));
      break;
  }
}

void WriteHeadV6(const InnerError& error, uint8_t* icmp) noexcept {
  IcmpHeader header(icmp);
  std::memset(icmp, 0, IcmpHeader::kLen);
  switch (error.kind) {
    case Kind::kTooBig:
      header.set_type(Icmp::kPacketTooBig6);
      header.set_mtu6(std::max(error.info, kMinIpv6Mtu));
      break;
    case Kind::kHostUnreachable:
      header.set_type(Icmp::kUnreachable6);
      header.set_code(Icmp::kAddressUnreachable6);
      break;
    case Kind::kParameterProblem:
      header.set_type(Icmp::kParameterProblem6);
      header.set_pointer6(error.info);
      break;
  }
}

size_t ComposeV4(const InnerError& error, Bytes quote, const IpAddress& source,
                 uint8_t* out) noexcept {
  constexpr size_t kHeaders = Ipv4Header::kMinLen + IcmpHeader::kLen;
  quote = quote.first(std::min(quote.size(), kMaxIcmpErrorV4 - kHeaders));
  const size_t size = kHeaders + quote.size();
  Ipv4Header ip(out);
  ip.set_version_and_header_len(Ipv4Header::kMinLen);
  ip.set_tos(kTosOfErrors);
  ip.set_total_length(static_cast<uint16_t>(size));
  ip.set_identification(0);
  ip.set_fragment(true, false, 0);  // so it needs no identification (RFC 6864)
  ip.set_ttl(kTtl);
  ip.set_protocol(kProtoIcmp);
  ip.set_source(source);
  ip.set_destination(ConstIpv4Header(quote.data()).source());
  ip.set_checksum(Be16(0));
  ip.set_checksum(InternetChecksum({out, Ipv4Header::kMinLen}));
  uint8_t* icmp = out + Ipv4Header::kMinLen;
  WriteHeadV4(error, icmp);
  std::memcpy(icmp + IcmpHeader::kLen, quote.data(), quote.size());
  IcmpHeader(icmp).set_checksum(
      InternetChecksum({icmp, size - Ipv4Header::kMinLen}));
  return size;
}

size_t ComposeV6(const InnerError& error, Bytes quote, const IpAddress& source,
                 uint8_t* out) noexcept {
  constexpr size_t kHeaders = Ipv6Header::kLen + IcmpHeader::kLen;
  quote = quote.first(std::min(quote.size(), kMaxIcmpErrorV6 - kHeaders));
  const size_t length = IcmpHeader::kLen + quote.size();
  Ipv6Header ip(out);
  ip.set_version_class_label(0, 0);
  ip.set_payload_length(static_cast<uint16_t>(length));
  out[Ipv6Header::kNextHeader] = kProtoIcmpv6;
  ip.set_hop_limit(kTtl);
  ip.set_source(source);
  ip.set_destination(ConstIpv6Header(quote.data()).source());
  uint8_t* icmp = out + Ipv6Header::kLen;
  WriteHeadV6(error, icmp);
  std::memcpy(icmp + IcmpHeader::kLen, quote.data(), quote.size());
  const uint16_t pseudo = PseudoHeaderSumV6(
      out + Ipv6Header::kSource, out + Ipv6Header::kDestination, kProtoIcmpv6,
      static_cast<uint32_t>(length));
  IcmpHeader(icmp).set_checksum(
      ChecksumFromSum(AddSums(pseudo, PartialSum({icmp, length}))));
  return Ipv6Header::kLen + length;
}

std::optional<InnerError> RelayTooBig(const QuotedInner& inner,
                                      uint32_t path_mtu) noexcept {
  uint32_t mtu = path_mtu > inner.overhead ? path_mtu - inner.overhead : 0;
  uint32_t len = 0;
  if (inner.family == IpFamily::kV6) {
    mtu = std::max(mtu, kMinIpv6Mtu);
    len = static_cast<uint32_t>(ConstIpv6Header::kLen) +
          ConstIpv6Header(inner.packet.data()).payload_length();
  } else {
    const ConstIpv4Header ip(inner.packet.data());
    if (!ip.dont_fragment()) return std::nullopt;
    len = ip.total_length();
  }
  if (len <= mtu) return std::nullopt;
  return InnerError{Kind::kTooBig, mtu};
}

bool IsUnreachableToTell(const OuterError& error) noexcept {
  const uint8_t code = error.head.code;
  if (!error.is_v6() && code == Icmp::kSourceRouteFailed4) return false;
  // Without ports in the outer header it can not be meant (RFC 2003 4.1).
  return error.protocol == kProtoUdp ||
         code != (error.is_v6() ? Icmp::kPortUnreachable6
                                : Icmp::kPortUnreachable4);
}

}  // namespace

bool MayAnswer(Bytes packet, Kind kind) noexcept {
  if (packet.empty()) return false;
  switch (packet[0] >> 4) {
    case 4:
      return MayAnswerV4(packet);
    case 6:
      return MayAnswerV6(packet, kind);
    default:
      return false;
  }
}

size_t ComposeIcmpError(const InnerError& error, Bytes packet,
                        const IpAddress& source,
                        std::span<uint8_t> out) noexcept {
  if (!MayAnswer(packet, error.kind)) return 0;
  const bool v6 = packet[0] >> 4 == 6;
  if (source.family() != (v6 ? IpFamily::kV6 : IpFamily::kV4) ||
      out.size() < (v6 ? kMaxIcmpErrorV6 : kMaxIcmpErrorV4)) {
    return 0;
  }
  const Bytes quote = WithoutPadding(packet);
  return v6 ? ComposeV6(error, quote, source, out.data())
            : ComposeV4(error, quote, source, out.data());
}

std::optional<InnerError> RelayOuterError(const OuterError& error,
                                          const QuotedInner& inner,
                                          uint32_t path_mtu) noexcept {
  const InnerError unreachable{Kind::kHostUnreachable, 0};
  switch (error.kind) {
    case IcmpErrorKind::kTooBig:
      return RelayTooBig(inner, path_mtu);
    case IcmpErrorKind::kHopLimitExceeded:
      return unreachable;
    case IcmpErrorKind::kUnreachable:
      if (IsUnreachableToTell(error)) return unreachable;
      return std::nullopt;
    case IcmpErrorKind::kParameterProblem:
      if (error.pointed_limit == 0) return unreachable;
      return std::nullopt;
    case IcmpErrorKind::kReassemblyTimeout:
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace encap
