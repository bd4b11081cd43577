#include "tunnel/underlay/vnet_translate.h"

#include <optional>

#include "encap/bytes.h"
#include "encap/checksum.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"
#include "encap/wire/tcp.h"
#include "encap/wire/udp.h"

namespace tunnel {
namespace {

using encap::ConstIpv4Header;
using encap::ConstIpv6Header;
using encap::ConstTcpHeader;
using encap::GsoType;

constexpr uint8_t kTcp = 6;
constexpr uint8_t kUdp = 17;
constexpr size_t kUdpHeaderLen = 8;
constexpr size_t kEthernetLen = 14;
constexpr size_t kVlanLen = 4;
constexpr uint16_t kEtherIpv4 = 0x0800;
constexpr uint16_t kEtherIpv6 = 0x86dd;
constexpr uint16_t kEtherVlan = 0x8100;
constexpr size_t kMaxExtensionHeaders = 8;

// Where the headers of an inner packet are, bytes from its front.
struct Layers {
  bool v4 = false;
  bool routed = false;  // an IPv6 routing header: the destination is not final
  uint8_t protocol = 0;
  size_t network = 0;    // IP header
  size_t transport = 0;  // TCP or UDP header
  size_t end = 0;        // behind the last byte, by the IP length
};

// Offset of the IP header; nullopt when the frame carries none.
std::optional<size_t> NetworkOffset(std::span<const uint8_t> packet,
                                    bool ethernet) noexcept {
  if (!ethernet) return 0;
  if (packet.size() < kEthernetLen + kVlanLen) return std::nullopt;
  size_t offset = kEthernetLen;
  uint16_t type = encap::Get16(packet.data() + offset - 2);
  if (type == kEtherVlan) {
    offset += kVlanLen;
    type = encap::Get16(packet.data() + offset - 2);
  }
  if (type != kEtherIpv4 && type != kEtherIpv6) return std::nullopt;
  return offset;
}

bool FindLayersV4(std::span<const uint8_t> ip, Layers& layers) noexcept {
  if (ip.size() < ConstIpv4Header::kMinLen) return false;
  const ConstIpv4Header header(ip.data());
  if (header.header_len() < ConstIpv4Header::kMinLen || header.is_fragment()) {
    return false;
  }
  layers.v4 = true;
  layers.protocol = header.protocol();
  layers.transport = layers.network + header.header_len();
  layers.end = layers.network + header.total_length();
  return true;
}

bool FindLayersV6(std::span<const uint8_t> ip, Layers& layers) noexcept {
  constexpr uint8_t kHopByHop = 0, kRouting = 43, kDestination = 60;
  if (ip.size() < ConstIpv6Header::kLen) return false;
  const ConstIpv6Header header(ip.data());
  layers.end = layers.network + ConstIpv6Header::kLen + header.payload_length();
  uint8_t next = header.next_header();
  size_t at = ConstIpv6Header::kLen;
  for (size_t i = 0;
       next == kHopByHop || next == kRouting || next == kDestination; ++i) {
    if (i == kMaxExtensionHeaders || ip.size() < at + 8) return false;
    layers.routed |= next == kRouting;
    next = ip[at];
    at += 8 * (size_t{1} + ip[at + 1]);
  }
  layers.protocol = next;
  layers.transport = layers.network + at;
  return true;
}

// nullopt when the packet is malformed, a fragment or not IP.
std::optional<Layers> FindLayers(std::span<const uint8_t> packet,
                                 bool ethernet) noexcept {
  const std::optional<size_t> network = NetworkOffset(packet, ethernet);
  if (!network || *network >= packet.size()) return std::nullopt;
  Layers layers;
  layers.network = *network;
  const std::span<const uint8_t> ip = packet.subspan(*network);
  const bool found = ip[0] >> 4 == 4   ? FindLayersV4(ip, layers)
                     : ip[0] >> 4 == 6 ? FindLayersV6(ip, layers)
                                       : false;
  if (!found || layers.end > packet.size() || layers.transport > layers.end) {
    return std::nullopt;
  }
  return layers;
}

bool TypeMatches(GsoType type, const Layers& layers) noexcept {
  switch (type) {
    case GsoType::kTcp4:
      return layers.v4 && layers.protocol == kTcp;
    case GsoType::kTcp6:
      return !layers.v4 && layers.protocol == kTcp;
    case GsoType::kUdp:
      return layers.protocol == kUdp;
    case GsoType::kNone:
      break;
  }
  return false;
}

// Length of the TCP or UDP header; 0 when it is malformed.
size_t TransportHeaderLen(std::span<const uint8_t> packet,
                          const Layers& layers) noexcept {
  const size_t left = layers.end - layers.transport;
  if (layers.protocol == kUdp) return left >= kUdpHeaderLen ? kUdpHeaderLen : 0;
  if (left < ConstTcpHeader::kMinLen) return 0;
  const size_t len =
      ConstTcpHeader(packet.data() + layers.transport).header_len();
  return len >= ConstTcpHeader::kMinLen && len <= left ? len : 0;
}

uint16_t PseudoHeaderSum(std::span<const uint8_t> packet,
                         const Layers& layers) noexcept {
  const uint8_t* ip = packet.data() + layers.network;
  const size_t length = layers.end - layers.transport;
  if (layers.v4) {
    return encap::PseudoHeaderSumV4(
        ip + ConstIpv4Header::kSource, ip + ConstIpv4Header::kDestination,
        layers.protocol, static_cast<uint16_t>(length));
  }
  return encap::PseudoHeaderSumV6(
      ip + ConstIpv6Header::kSource, ip + ConstIpv6Header::kDestination,
      layers.protocol, static_cast<uint32_t>(length));
}

}  // namespace

bool TranslateVnetHdr(std::span<const uint8_t, kVirtioNetHdrLen> header,
                      size_t network_offset, size_t packet_size,
                      encap::SegmentHint& hint) noexcept {
  if (!ReadVirtioNetHdr(header, hint)) return false;
  hint.header_len = 0;
  if (!hint.needs_checksum) return true;
  if (hint.checksum_start < network_offset + ConstIpv4Header::kMinLen ||
      hint.checksum_start + size_t{hint.checksum_offset} + 2 >
          network_offset + packet_size) {
    return false;
  }
  hint.checksum_start =
      static_cast<uint16_t>(hint.checksum_start - network_offset);
  return true;
}

bool RepairGso(encap::PacketBuffer& inner, bool ethernet) noexcept {
  encap::SegmentHint hint = inner.hint();
  if (hint.gso_type == GsoType::kNone) return true;
  const std::span<uint8_t> bytes = inner.bytes();
  const std::optional<Layers> layers = FindLayers(bytes, ethernet);
  if (!layers || hint.gso_size == 0 || !TypeMatches(hint.gso_type, *layers)) {
    return false;
  }
  const size_t transport_len = TransportHeaderLen(bytes, *layers);
  if (transport_len == 0) return false;
  const uint16_t field =
      layers->protocol == kTcp ? ConstTcpHeader::kChecksum : uint16_t{6};
  if (hint.needs_checksum) {
    if (hint.checksum_start != layers->transport ||
        hint.checksum_offset != field) {
      return false;
    }
  } else {
    if (layers->routed) return false;
    hint.needs_checksum = true;
    hint.checksum_start = static_cast<uint16_t>(layers->transport);
    hint.checksum_offset = field;
    encap::StoreBe16(bytes.data() + layers->transport + field,
                     encap::Be16::FromRaw(PseudoHeaderSum(bytes, *layers)));
  }
  hint.header_len = static_cast<uint16_t>(layers->transport + transport_len);
  inner.Trim(layers->end);
  inner.hint() = hint;
  return true;
}

}  // namespace tunnel
