// Ipv4Header: the IPv4 header (RFC 791 3.1, figure 4) over bytes.
//
//  0                   1                   2                   3
//  |Version|  IHL  |Type of Service|          Total Length         |
//  |         Identification        |Flags|      Fragment Offset    |
//  |  Time to Live |    Protocol   |         Header Checksum       |
//  |                       Source Address                          |
//  |                    Destination Address                        |
//
// A view: it owns nothing and checks nothing. The caller has seen to it that
// kMinLen bytes are there. Numbers are in host order, lengths in bytes.

#ifndef ENCAP_WIRE_IPV4_H_
#define ENCAP_WIRE_IPV4_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "encap/address.h"
#include "encap/bytes.h"

namespace encap {

template <typename Byte>
class BasicIpv4Header {
 public:
  static constexpr size_t kMinLen = 20;
  static constexpr size_t kMaxLen = 60;
  static constexpr size_t kVersionIhl = 0;
  static constexpr size_t kTos = 1;
  static constexpr size_t kTotalLength = 2;
  static constexpr size_t kIdentification = 4;
  static constexpr size_t kFlagsOffset = 6;
  static constexpr size_t kTtl = 8;
  static constexpr size_t kProtocol = 9;
  static constexpr size_t kChecksum = 10;
  static constexpr size_t kSource = 12;
  static constexpr size_t kDestination = 16;

  static constexpr uint16_t kDontFragment = 0x4000;
  static constexpr uint16_t kMoreFragments = 0x2000;
  static constexpr uint16_t kOffsetMask = 0x1fff;

  explicit BasicIpv4Header(Byte* header) noexcept : p_(header) {}

  uint8_t version() const noexcept { return p_[kVersionIhl] >> 4; }
  // IHL in bytes; less than kMinLen in a malformed header.
  size_t header_len() const noexcept {
    return size_t{4} * (p_[kVersionIhl] & 0x0f);
  }
  uint8_t tos() const noexcept { return p_[kTos]; }
  uint16_t total_length() const noexcept { return Get16(p_ + kTotalLength); }
  uint16_t identification() const noexcept {
    return Get16(p_ + kIdentification);
  }
  bool dont_fragment() const noexcept {
    return Get16(p_ + kFlagsOffset) & kDontFragment;
  }
  bool more_fragments() const noexcept {
    return Get16(p_ + kFlagsOffset) & kMoreFragments;
  }
  // In bytes.
  uint32_t fragment_offset() const noexcept {
    return uint32_t{8} * (Get16(p_ + kFlagsOffset) & kOffsetMask);
  }
  bool is_fragment() const noexcept {
    return Get16(p_ + kFlagsOffset) & (kMoreFragments | kOffsetMask);
  }
  uint8_t ttl() const noexcept { return p_[kTtl]; }
  uint8_t protocol() const noexcept { return p_[kProtocol]; }
  Be16 checksum() const noexcept { return LoadBe16(p_ + kChecksum); }
  IpAddress source() const noexcept { return IpAddress::V4(p_ + kSource); }
  IpAddress destination() const noexcept {
    return IpAddress::V4(p_ + kDestination);
  }

  void set_version_and_header_len(size_t header_len) noexcept {
    p_[kVersionIhl] = static_cast<uint8_t>(0x40 | (header_len / 4));
  }
  void set_tos(uint8_t v) noexcept { p_[kTos] = v; }
  void set_total_length(uint16_t v) noexcept { Put16(p_ + kTotalLength, v); }
  void set_identification(uint16_t v) noexcept {
    Put16(p_ + kIdentification, v);
  }
  // `offset` in bytes, a multiple of 8.
  void set_fragment(bool df, bool mf, uint32_t offset) noexcept {
    Put16(p_ + kFlagsOffset,
          static_cast<uint16_t>((df ? kDontFragment : 0) |
                                (mf ? kMoreFragments : 0) | (offset / 8)));
  }
  void set_ttl(uint8_t v) noexcept { p_[kTtl] = v; }
  void set_protocol(uint8_t v) noexcept { p_[kProtocol] = v; }
  void set_checksum(Be16 v) noexcept { StoreBe16(p_ + kChecksum, v); }
  // `a` is an IPv4 address.
  void set_source(const IpAddress& a) noexcept {
    std::memcpy(p_ + kSource, a.bytes().data(), 4);
  }
  void set_destination(const IpAddress& a) noexcept {
    std::memcpy(p_ + kDestination, a.bytes().data(), 4);
  }

 private:
  Byte* p_;
};

using Ipv4Header = BasicIpv4Header<uint8_t>;
using ConstIpv4Header = BasicIpv4Header<const uint8_t>;

}  // namespace encap

#endif  // ENCAP_WIRE_IPV4_H_
