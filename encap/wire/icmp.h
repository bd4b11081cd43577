// IcmpHeader: the header that ICMP (RFC 792) and ICMPv6 (RFC 4443 2.1) share,
// over bytes.
//
//  |     Type      |     Code      |           Checksum            |
//  |            Rest of header: depends on type and code           |
//
// A view: it owns nothing and checks nothing. The caller has seen to it that
// kLen bytes are there. Numbers are in host order.

#ifndef ENCAP_WIRE_ICMP_H_
#define ENCAP_WIRE_ICMP_H_

#include <cstddef>
#include <cstdint>

#include "encap/bytes.h"

namespace encap {

// IP protocol numbers (IANA).
inline constexpr uint8_t kProtoIcmp = 1;
inline constexpr uint8_t kProtoIcmpv6 = 58;

template <typename Byte>
class BasicIcmpHeader {
 public:
  static constexpr size_t kLen = 8;
  static constexpr size_t kType = 0;
  static constexpr size_t kCode = 1;
  static constexpr size_t kChecksum = 2;
  static constexpr size_t kRest = 4;

  static constexpr uint8_t kEchoReply4 = 0;
  static constexpr uint8_t kUnreachable4 = 3;
  static constexpr uint8_t kEchoRequest4 = 8;
  static constexpr uint8_t kSourceQuench4 = 4;
  static constexpr uint8_t kRedirect4 = 5;
  static constexpr uint8_t kTimeExceeded4 = 11;
  static constexpr uint8_t kParameterProblem4 = 12;
  static constexpr uint8_t kUnreachable6 = 1;
  static constexpr uint8_t kPacketTooBig6 = 2;
  static constexpr uint8_t kTimeExceeded6 = 3;
  static constexpr uint8_t kParameterProblem6 = 4;
  static constexpr uint8_t kEchoRequest6 = 128;
  static constexpr uint8_t kEchoReply6 = 129;
  static constexpr uint8_t kRedirect6 = 137;
  // ICMPv6 messages below are errors (RFC 4443 2.1).
  static constexpr uint8_t kFirstInformational6 = 128;
  // Code of kUnreachable4: fragmentation needed and DF set.
  static constexpr uint8_t kFragmentationNeeded4 = 4;
  // Other codes of unreachable (RFC 792; RFC 4443 3.1).
  static constexpr uint8_t kHostUnreachable4 = 1;
  static constexpr uint8_t kPortUnreachable4 = 3;
  static constexpr uint8_t kSourceRouteFailed4 = 5;
  static constexpr uint8_t kAddressUnreachable6 = 3;
  static constexpr uint8_t kPortUnreachable6 = 4;

  explicit BasicIcmpHeader(Byte* header) noexcept : p_(header) {}

  uint8_t type() const noexcept { return p_[kType]; }
  uint8_t code() const noexcept { return p_[kCode]; }
  Be16 checksum() const noexcept { return LoadBe16(p_ + kChecksum); }
  // Echo (RFC 792, RFC 4443 4.1).
  uint16_t identifier() const noexcept { return Get16(p_ + kRest); }
  uint16_t sequence() const noexcept { return Get16(p_ + kRest + 2); }
  // Next-hop MTU of an IPv4 "fragmentation needed" (RFC 1191 4).
  uint16_t next_hop_mtu4() const noexcept { return Get16(p_ + kRest + 2); }
  // MTU of an ICMPv6 "packet too big" (RFC 4443 3.2).
  uint32_t mtu6() const noexcept { return Get32(p_ + kRest); }
  // Of a parameter problem: the offset in the quoted packet.
  uint8_t pointer4() const noexcept { return p_[kRest]; }
  uint32_t pointer6() const noexcept { return Get32(p_ + kRest); }

  void set_type(uint8_t v) noexcept { p_[kType] = v; }
  void set_code(uint8_t v) noexcept { p_[kCode] = v; }
  void set_checksum(Be16 v) noexcept { StoreBe16(p_ + kChecksum, v); }
  void set_identifier(uint16_t v) noexcept { Put16(p_ + kRest, v); }
  void set_sequence(uint16_t v) noexcept { Put16(p_ + kRest + 2, v); }
  // The unused half is set to zero.
  void set_next_hop_mtu4(uint16_t v) noexcept { Put32(p_ + kRest, v); }
  void set_mtu6(uint32_t v) noexcept { Put32(p_ + kRest, v); }
  // The rest of the word is set to zero.
  void set_pointer4(uint8_t v) noexcept {
    Put32(p_ + kRest, uint32_t{v} << 24);
  }
  void set_pointer6(uint32_t v) noexcept { Put32(p_ + kRest, v); }

 private:
  Byte* p_;
};

using IcmpHeader = BasicIcmpHeader<uint8_t>;
using ConstIcmpHeader = BasicIcmpHeader<const uint8_t>;

}  // namespace encap

#endif  // ENCAP_WIRE_ICMP_H_
