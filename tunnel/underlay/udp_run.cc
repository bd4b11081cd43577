#include "tunnel/underlay/udp_run.h"

#include <algorithm>
#include <cstring>

#include "encap/bytes.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"
#include "encap/wire/udp.h"

namespace tunnel {
namespace {

using encap::ConstIpv4Header;
using encap::ConstIpv6Header;
using encap::ConstUdpHeader;

constexpr size_t kMaxRun = 64;  // UDP_MAX_SEGMENTS of every kernel that has it
constexpr size_t kMaxPayload =
    65535 - ConstIpv6Header::kLen - ConstUdpHeader::kLen;
constexpr size_t kPorts = 4;  // bytes

bool ReadIpv4(std::span<const uint8_t> packet, UdpHeaders& headers) noexcept {
  constexpr uint8_t kNoOptions = 0x45;
  if (packet.size() < ConstIpv4Header::kMinLen + ConstUdpHeader::kLen ||
      packet[0] != kNoOptions) {
    return false;
  }
  const ConstIpv4Header ip(packet.data());
  if (ip.protocol() != encap::kProtoUdp || ip.is_fragment() ||
      ip.total_length() != packet.size()) {
    return false;
  }
  headers.v6 = false;
  headers.dont_fragment = ip.dont_fragment();
  headers.tos = ip.tos();
  headers.ttl = ip.ttl();
  headers.flow_label = 0;
  headers.header_len = ConstIpv4Header::kMinLen + ConstUdpHeader::kLen;
  return true;
}

bool ReadIpv6(std::span<const uint8_t> packet, UdpHeaders& headers) noexcept {
  if (packet.size() < ConstIpv6Header::kLen + ConstUdpHeader::kLen)
    return false;
  const ConstIpv6Header ip(packet.data());
  if (ip.next_header() != encap::kProtoUdp ||
      ip.payload_length() + ConstIpv6Header::kLen != packet.size()) {
    return false;
  }
  headers.v6 = true;
  headers.dont_fragment = false;
  headers.tos = ip.traffic_class();
  headers.ttl = ip.hop_limit();
  headers.flow_label = ip.flow_label();
  headers.header_len = ConstIpv6Header::kLen + ConstUdpHeader::kLen;
  return true;
}

bool SameBytes(const uint8_t* a, const uint8_t* b, size_t from,
               size_t to) noexcept {
  return std::memcmp(a + from, b + from, to - from) == 0;
}

// Both are whole headers without options, the first one of UDP.
bool SameHeaders(const uint8_t* a, const uint8_t* b, bool v6) noexcept {
  if (v6) {
    return SameBytes(a, b, 0, ConstIpv6Header::kPayloadLength) &&
           SameBytes(a, b, ConstIpv6Header::kNextHeader,
                     ConstIpv6Header::kLen + kPorts);
  }
  return SameBytes(a, b, 0, ConstIpv4Header::kTotalLength) &&
         SameBytes(a, b, ConstIpv4Header::kFlagsOffset,
                   ConstIpv4Header::kChecksum) &&
         SameBytes(a, b, ConstIpv4Header::kSource,
                   ConstIpv4Header::kMinLen + kPorts);
}

bool HasChecksumAndLength(std::span<const uint8_t> packet,
                          size_t header_len) noexcept {
  const ConstUdpHeader udp(packet.data() + header_len - ConstUdpHeader::kLen);
  return udp.checksum() != encap::Be16(0) &&
         udp.length() + header_len - ConstUdpHeader::kLen == packet.size();
}

}  // namespace

bool ReadUdpHeaders(std::span<const uint8_t> packet,
                    UdpHeaders& headers) noexcept {
  if (packet.empty()) return false;
  const bool v6 = packet[0] >> 4 == 6;
  if (!(v6 ? ReadIpv6(packet, headers) : ReadIpv4(packet, headers)) ||
      packet.size() == headers.header_len ||
      !HasChecksumAndLength(packet, headers.header_len)) {
    return false;
  }
  const ConstUdpHeader udp(packet.data() + headers.header_len -
                           ConstUdpHeader::kLen);
  headers.source_port = udp.source_port();
  headers.destination_port = udp.destination_port();
  headers.payload_len =
      static_cast<uint16_t>(packet.size() - headers.header_len);
  return headers.source_port != 0;
}

size_t UdpRunLength(std::span<const OutgoingPacket> packets,
                    const UdpHeaders& headers) noexcept {
  const OutgoingPacket& first = packets[0];
  const uint8_t* front = first.packet->data();
  const size_t limit = std::min(packets.size(), kMaxRun);
  size_t payload = headers.payload_len;
  for (size_t n = 1; n < limit; ++n) {
    const OutgoingPacket& next = packets[n];
    const std::span<const uint8_t> bytes = next.packet->bytes();
    if (next.route != first.route || bytes.size() > first.packet->size() ||
        bytes.size() <= headers.header_len ||
        !SameHeaders(front, bytes.data(), headers.v6)) {
      return n;
    }
    const size_t len = bytes.size() - headers.header_len;
    UdpHeaders unused;
    if (payload + len > kMaxPayload || !ReadUdpHeaders(bytes, unused)) return n;
    payload += len;
    if (len < headers.payload_len) return n + 1;
  }
  return limit;
}

}  // namespace tunnel
