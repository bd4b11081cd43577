// Ipv6Header: the IPv6 header (RFC 8200 3) over bytes, and the first two bytes
// that its extension headers share (RFC 8200 4).
//
//  |Version| Traffic Class |           Flow Label                  |
//  |         Payload Length        |  Next Header  |   Hop Limit   |
//  |                       Source Address (16)                     |
//  |                    Destination Address (16)                   |
//
// A view: it owns nothing and checks nothing. The caller has seen to it that
// kLen bytes are there. Numbers are in host order, lengths in bytes.

#ifndef ENCAP_WIRE_IPV6_H_
#define ENCAP_WIRE_IPV6_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "encap/address.h"
#include "encap/bytes.h"

namespace encap {

template <typename Byte>
class BasicIpv6Header {
 public:
  static constexpr size_t kLen = 40;
  static constexpr size_t kVersionClassLabel = 0;
  static constexpr size_t kPayloadLength = 4;
  static constexpr size_t kNextHeader = 6;
  static constexpr size_t kHopLimit = 7;
  static constexpr size_t kSource = 8;
  static constexpr size_t kDestination = 24;
  static constexpr uint32_t kFlowLabelMask = 0xfffff;

  explicit BasicIpv6Header(Byte* header) noexcept : p_(header) {}

  uint8_t version() const noexcept { return p_[0] >> 4; }
  uint8_t traffic_class() const noexcept {
    return static_cast<uint8_t>(Get16(p_) >> 4);
  }
  uint32_t flow_label() const noexcept { return Get32(p_) & kFlowLabelMask; }
  uint16_t payload_length() const noexcept {
    return Get16(p_ + kPayloadLength);
  }
  uint8_t next_header() const noexcept { return p_[kNextHeader]; }
  uint8_t hop_limit() const noexcept { return p_[kHopLimit]; }
  IpAddress source() const noexcept { return IpAddress::V6(p_ + kSource); }
  IpAddress destination() const noexcept {
    return IpAddress::V6(p_ + kDestination);
  }

  // Version 6, `traffic_class`, the low 20 bits of `flow_label`.
  void set_version_class_label(uint8_t traffic_class,
                               uint32_t flow_label) noexcept {
    Put32(p_, (uint32_t{6} << 28) | (uint32_t{traffic_class} << 20) |
                  (flow_label & kFlowLabelMask));
  }
  void set_traffic_class(uint8_t v) noexcept {
    Put16(p_, static_cast<uint16_t>((Get16(p_) & 0xf00f) | (v << 4)));
  }
  void set_payload_length(uint16_t v) noexcept {
    Put16(p_ + kPayloadLength, v);
  }
  void set_next_header(uint8_t v) noexcept { p_[kNextHeader] = v; }
  void set_hop_limit(uint8_t v) noexcept { p_[kHopLimit] = v; }
  // `a` is an IPv6 address.
  void set_source(const IpAddress& a) noexcept {
    std::memcpy(p_ + kSource, a.bytes().data(), 16);
  }
  void set_destination(const IpAddress& a) noexcept {
    std::memcpy(p_ + kDestination, a.bytes().data(), 16);
  }

 private:
  Byte* p_;
};

using Ipv6Header = BasicIpv6Header<uint8_t>;
using ConstIpv6Header = BasicIpv6Header<const uint8_t>;

// Next header values of the extension headers (RFC 8200 4.1).
inline constexpr uint8_t kIpv6HopByHop = 0;
inline constexpr uint8_t kIpv6Routing = 43;
inline constexpr uint8_t kIpv6Fragment = 44;
inline constexpr uint8_t kIpv6DestinationOptions = 60;

// A hop-by-hop, destination options or routing header:
//  |  Next Header  |  Hdr Ext Len  |   ...
class Ipv6ExtensionHeader {
 public:
  static constexpr size_t kMinLen = 8;
  static constexpr size_t kOptions = 2;       // first option (TLV)
  static constexpr size_t kSegmentsLeft = 3;  // routing header only

  explicit Ipv6ExtensionHeader(const uint8_t* header) noexcept : p_(header) {}
  uint8_t next_header() const noexcept { return p_[0]; }
  size_t header_len() const noexcept { return (size_t{p_[1]} + 1) * 8; }
  uint8_t segments_left() const noexcept { return p_[kSegmentsLeft]; }

 private:
  const uint8_t* p_;
};

// The fragment header (RFC 8200 4.5):
//  |  Next Header  |   Reserved    |      Fragment Offset    |Res|M|
//  |                         Identification                        |
class Ipv6FragmentHeader {
 public:
  static constexpr size_t kLen = 8;

  explicit Ipv6FragmentHeader(const uint8_t* header) noexcept : p_(header) {}
  uint8_t next_header() const noexcept { return p_[0]; }
  // In bytes.
  uint32_t fragment_offset() const noexcept { return Get16(p_ + 2) & 0xfff8u; }
  bool more_fragments() const noexcept { return p_[3] & 1; }
  uint32_t identification() const noexcept { return Get32(p_ + 4); }

 private:
  const uint8_t* p_;
};

}  // namespace encap

#endif  // ENCAP_WIRE_IPV6_H_
