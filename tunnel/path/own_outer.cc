#include "tunnel/path/own_outer.h"

#include "encap/bytes.h"
#include "encap/outer_parse.h"
#include "encap/wire/ethernet.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"
#include "encap/wire/udp.h"

namespace tunnel {
namespace {

constexpr uint8_t kFragment = 44;
constexpr uint8_t kDestinationOptions = 60;
constexpr size_t kExtensionLen = 8;  // of both, as tunnels send them
constexpr uint16_t kFragmentOffsetV6 = 0xfff8;

bool IsTunnelProtocol(uint8_t protocol) noexcept {
  return protocol == encap::kProtoIpip || protocol == encap::kProtoIpv6 ||
         protocol == encap::kProtoGre || protocol == encap::kProtoUdp;
}

// Completes `outer`, whose protocol is read, from what is behind the IP header.
std::optional<OwnOuter> WithPort(OwnOuter outer, std::span<const uint8_t> upper,
                                 bool first) noexcept {
  if (!IsTunnelProtocol(outer.protocol)) return std::nullopt;
  if (outer.protocol != encap::kProtoUdp) return outer;
  if (!first || upper.size() < encap::ConstUdpHeader::kLen) return std::nullopt;
  outer.udp_port = encap::ConstUdpHeader(upper.data()).destination_port();
  return outer;
}

std::optional<OwnOuter> ReadV4(std::span<const uint8_t> ip) noexcept {
  const encap::ConstIpv4Header header(ip.data());
  if (!IsTunnelProtocol(header.protocol()) ||
      header.header_len() < encap::ConstIpv4Header::kMinLen ||
      header.header_len() > ip.size()) {
    return std::nullopt;
  }
  OwnOuter outer;
  outer.protocol = header.protocol();
  outer.addresses = {header.source(), header.destination()};
  return WithPort(outer, ip.subspan(header.header_len()),
                  header.fragment_offset() == 0);
}

std::optional<OwnOuter> ReadV6(std::span<const uint8_t> ip) noexcept {
  const encap::ConstIpv6Header header(ip.data());
  OwnOuter outer;
  outer.protocol = header.next_header();
  std::span<const uint8_t> upper = ip.subspan(encap::ConstIpv6Header::kLen);
  bool first = true;
  // A fragment of a packet with options has the fragment header behind them.
  while (
      (outer.protocol == kFragment || outer.protocol == kDestinationOptions) &&
      upper.size() >= kExtensionLen && upper.data() < ip.data() + 56) {
    if (outer.protocol == kFragment)
      first = (encap::Get16(upper.data() + 2) & kFragmentOffsetV6) == 0;
    outer.protocol = upper[0];
    upper = upper.subspan(kExtensionLen);
  }
  if (!IsTunnelProtocol(outer.protocol)) return std::nullopt;
  outer.addresses = {header.source(), header.destination()};
  return WithPort(outer, upper, first);
}

}  // namespace

std::optional<OwnOuter> ReadOwnOuter(std::span<const uint8_t> payload,
                                     bool ethernet) noexcept {
  if (ethernet) {
    if (payload.size() < encap::kEthernetHeaderLen) return std::nullopt;
    payload = payload.subspan(encap::kEthernetHeaderLen);
  }
  if (payload.size() >= encap::ConstIpv4Header::kMinLen && payload[0] >> 4 == 4)
    return ReadV4(payload);
  if (payload.size() >= encap::ConstIpv6Header::kLen && payload[0] >> 4 == 6)
    return ReadV6(payload);
  return std::nullopt;
}

}  // namespace tunnel
