// UdpHeader: the UDP header (RFC 768, "Format") over bytes.
//
//  |          Source Port          |       Destination Port        |
//  |            Length             |           Checksum            |
//
// A view: it owns nothing and checks nothing. The caller has seen to it that
// kLen bytes are there. Numbers are in host order.

#ifndef ENCAP_WIRE_UDP_H_
#define ENCAP_WIRE_UDP_H_

#include <cstddef>
#include <cstdint>

#include "encap/bytes.h"

namespace encap {

inline constexpr uint8_t kProtoUdp = 17;  // IP protocol number (IANA)

template <typename Byte>
class BasicUdpHeader {
 public:
  static constexpr size_t kLen = 8;
  static constexpr size_t kSourcePort = 0;
  static constexpr size_t kDestinationPort = 2;
  static constexpr size_t kLength = 4;
  static constexpr size_t kChecksum = 6;

  explicit BasicUdpHeader(Byte* header) noexcept : p_(header) {}

  uint16_t source_port() const noexcept { return Get16(p_ + kSourcePort); }
  uint16_t destination_port() const noexcept {
    return Get16(p_ + kDestinationPort);
  }
  // Header and payload, bytes.
  uint16_t length() const noexcept { return Get16(p_ + kLength); }
  Be16 checksum() const noexcept { return LoadBe16(p_ + kChecksum); }

  void set_source_port(uint16_t v) noexcept { Put16(p_ + kSourcePort, v); }
  void set_destination_port(uint16_t v) noexcept {
    Put16(p_ + kDestinationPort, v);
  }
  void set_length(uint16_t v) noexcept { Put16(p_ + kLength, v); }
  void set_checksum(Be16 v) noexcept { StoreBe16(p_ + kChecksum, v); }

 private:
  Byte* p_;
};

using UdpHeader = BasicUdpHeader<uint8_t>;
using ConstUdpHeader = BasicUdpHeader<const uint8_t>;

}  // namespace encap

#endif  // ENCAP_WIRE_UDP_H_
