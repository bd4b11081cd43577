// ReadInnerIp, ReadInnerFrame: what an encapsulation copies from the payload,
// and what a decapsulation changes in it.
//
// Inline, since both stand on the path of every packet.

#ifndef ENCAP_INNER_PACKET_H_
#define ENCAP_INNER_PACKET_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "encap/address.h"
#include "encap/checksum.h"
#include "encap/drop_reason.h"
#include "encap/wire/ethernet.h"
#include "encap/wire/gre.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"

namespace encap {

struct InnerPacket {
  IpFamily family = IpFamily::kNone;  // kNone: a frame without IP
  uint8_t tos = 0;
  uint8_t ttl = 0;
  bool dont_fragment = true;  // of an IPv4 header; true for all else
  uint16_t ip_offset = 0;     // of the IP header from the first byte
  uint32_t ip_len = 0;        // by its own length field, bytes
};

// `bytes` starts at the version nibble; bytes behind the packet's own length
// are allowed. Errors: kTruncated, kBadIpHeader.
inline DropReason ReadInnerIp(std::span<const uint8_t> bytes,
                              InnerPacket& inner) noexcept {
  if (bytes.empty()) return DropReason::kTruncated;
  if (bytes[0] >> 4 == 4) {
    if (bytes.size() < ConstIpv4Header::kMinLen) return DropReason::kTruncated;
    const ConstIpv4Header ip(bytes.data());
    inner.ip_len = ip.total_length();
    if (ip.header_len() < ConstIpv4Header::kMinLen ||
        inner.ip_len < ip.header_len()) {
      return DropReason::kBadIpHeader;
    }
    inner.family = IpFamily::kV4;
    inner.tos = ip.tos();
    inner.ttl = ip.ttl();
    inner.dont_fragment = ip.dont_fragment();
  } else if (bytes[0] >> 4 == 6) {
    if (bytes.size() < ConstIpv6Header::kLen) return DropReason::kTruncated;
    const ConstIpv6Header ip(bytes.data());
    inner.ip_len =
        static_cast<uint32_t>(ConstIpv6Header::kLen) + ip.payload_length();
    inner.family = IpFamily::kV6;
    inner.tos = ip.traffic_class();
    inner.ttl = ip.hop_limit();
  } else {
    return DropReason::kBadIpHeader;
  }
  if (inner.ip_len > bytes.size()) return DropReason::kTruncated;
  return DropReason::kNone;
}

// `frame` is an Ethernet frame without FCS. IPv4 or IPv6 right behind its
// header or behind one VLAN tag is found; a packet that is malformed or
// anything else leaves family at kNone. Errors: kTruncated (no Ethernet
// header).
inline DropReason ReadInnerFrame(std::span<const uint8_t> frame,
                                 InnerPacket& inner) noexcept {
  if (frame.size() < kEthernetHeaderLen) return DropReason::kTruncated;
  size_t offset = kEthernetHeaderLen;
  uint16_t type = Get16(frame.data() + offset - 2);
  if ((type == kEtherTypeVlan || type == kEtherTypeServiceVlan) &&
      frame.size() >= offset + kVlanTagLen) {
    offset += kVlanTagLen;
    type = Get16(frame.data() + offset - 2);
  }
  if (type != kEtherTypeIpv4 && type != kEtherTypeIpv6) {
    return DropReason::kNone;
  }
  InnerPacket found;
  if (ReadInnerIp(frame.subspan(offset), found) != DropReason::kNone ||
      found.family !=
          (type == kEtherTypeIpv4 ? IpFamily::kV4 : IpFamily::kV6)) {
    return DropReason::kNone;
  }
  found.ip_offset = static_cast<uint16_t>(offset);
  inner = found;
  return DropReason::kNone;
}

// Writes the TOS or traffic class of an IP header of `family`, and mends the
// IPv4 header checksum (RFC 1624).
inline void SetInnerTos(uint8_t* ip, IpFamily family, uint8_t tos) noexcept {
  if (family == IpFamily::kV6) {
    Ipv6Header(ip).set_traffic_class(tos);
    return;
  }
  Ipv4Header header(ip);
  const Be16 before = LoadBe16(ip);
  header.set_tos(tos);
  header.set_checksum(UpdateChecksum(header.checksum(), before, LoadBe16(ip)));
}

}  // namespace encap

#endif  // ENCAP_INNER_PACKET_H_
