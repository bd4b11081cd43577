#include "encap/offload/transport_view.h"

#include "encap/checksum.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"
#include "encap/wire/tcp.h"
#include "encap/wire/udp.h"

namespace encap {
namespace {

constexpr size_t kMaxOptionBytes = 256;

bool FindInIpv4(std::span<const uint8_t> packet, TransportView& view) noexcept {
  if (packet.size() < ConstIpv4Header::kMinLen) return false;
  const ConstIpv4Header ip(packet.data());
  if (ip.header_len() < ConstIpv4Header::kMinLen ||
      ip.header_len() > packet.size() || ip.total_length() != packet.size() ||
      ip.is_fragment()) {
    return false;
  }
  view.family = IpFamily::kV4;
  view.protocol = ip.protocol();
  view.has_ip_options = ip.header_len() != ConstIpv4Header::kMinLen;
  view.transport = static_cast<uint16_t>(ip.header_len());
  return true;
}

bool FindInIpv6(std::span<const uint8_t> packet, TransportView& view) noexcept {
  if (packet.size() < ConstIpv6Header::kLen) return false;
  const ConstIpv6Header ip(packet.data());
  if (ConstIpv6Header::kLen + ip.payload_length() != packet.size()) {
    return false;
  }
  uint8_t next = ip.next_header();
  size_t offset = ConstIpv6Header::kLen;
  while (next == kIpv6HopByHop || next == kIpv6DestinationOptions) {
    if (packet.size() - offset < Ipv6ExtensionHeader::kMinLen) return false;
    const Ipv6ExtensionHeader extension(packet.data() + offset);
    if (extension.header_len() > packet.size() - offset) return false;
    offset += extension.header_len();
    if (offset - ConstIpv6Header::kLen > kMaxOptionBytes) return false;
    next = extension.next_header();
  }
  view.family = IpFamily::kV6;
  view.protocol = next;
  view.has_ip_options = offset != ConstIpv6Header::kLen;
  view.transport = static_cast<uint16_t>(offset);
  return true;
}

}  // namespace

bool FindTransport(std::span<const uint8_t> packet,
                   TransportView& view) noexcept {
  if (packet.empty()) return false;
  const uint8_t version = packet[0] >> 4;
  if (version != 4 && version != 6) return false;
  if (version == 4 ? !FindInIpv4(packet, view) : !FindInIpv6(packet, view)) {
    return false;
  }
  const size_t room = packet.size() - view.transport;
  size_t len = ConstUdpHeader::kLen;
  if (view.protocol == kProtoTcp) {
    if (room < ConstTcpHeader::kMinLen) return false;
    len = ConstTcpHeader(packet.data() + view.transport).header_len();
    if (len < ConstTcpHeader::kMinLen) return false;
  } else if (view.protocol != kProtoUdp) {
    return false;
  }
  if (len > room) return false;
  view.header_len = static_cast<uint16_t>(view.transport + len);
  view.packet_len = static_cast<uint32_t>(packet.size());
  return true;
}

uint16_t PseudoSum(const uint8_t* packet, const TransportView& view,
                   size_t length) noexcept {
  if (view.family == IpFamily::kV4) {
    return PseudoHeaderSumV4(packet + ConstIpv4Header::kSource,
                             packet + ConstIpv4Header::kDestination,
                             view.protocol, static_cast<uint16_t>(length));
  }
  return PseudoHeaderSumV6(packet + ConstIpv6Header::kSource,
                           packet + ConstIpv6Header::kDestination,
                           view.protocol, static_cast<uint32_t>(length));
}

Be16 TransportChecksum(std::span<const uint8_t> packet,
                       const TransportView& view) noexcept {
  const std::span<const uint8_t> upper = packet.subspan(view.transport);
  // Both parts begin at an even offset; the field between them is left out.
  const size_t field = view.checksum_offset();
  const uint16_t sum = AddSums(PseudoSum(packet.data(), view, upper.size()),
                               AddSums(PartialSum(upper.first(field)),
                                       PartialSum(upper.subspan(field + 2))));
  const Be16 checksum = ChecksumFromSum(sum);
  if (!view.is_tcp() && checksum.raw() == 0) return Be16(0xffff);
  return checksum;
}

Be16 HeaderChecksum(const uint8_t* header, size_t header_len) noexcept {
  constexpr size_t kField = ConstIpv4Header::kChecksum;
  return ChecksumFromSum(
      AddSums(PartialSum({header, kField}),
              PartialSum({header + kField + 2, header_len - kField - 2})));
}

}  // namespace encap
