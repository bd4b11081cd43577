// GreHeader: the GRE header (RFC 2784 2.1 with the key and sequence number of
// RFC 2890 2) over bytes.
//
//  |C| |K|S| Reserved0       | Ver |         Protocol Type         |
//  |      Checksum (optional)      |       Reserved1 (optional)    |
//  |                         Key (optional)                        |
//  |                    Sequence Number (optional)                 |
//
// A view: it owns nothing and checks nothing. The first four bytes tell by
// header_len() how many the caller must have. Numbers are in host order.

#ifndef ENCAP_WIRE_GRE_H_
#define ENCAP_WIRE_GRE_H_

#include <cstddef>
#include <cstdint>

#include "encap/bytes.h"

namespace encap {

// EtherTypes of the payloads (IEEE 802 numbers, RFC 2784 2.4, RFC 7676 3).
inline constexpr uint16_t kEtherTypeIpv4 = 0x0800;
inline constexpr uint16_t kEtherTypeIpv6 = 0x86dd;
inline constexpr uint16_t kEtherTypeTransparentEthernet = 0x6558;

template <typename Byte>
class BasicGreHeader {
 public:
  static constexpr size_t kMinLen = 4;
  static constexpr size_t kMaxLen = 16;
  static constexpr size_t kFlagsVersion = 0;
  static constexpr size_t kProtocol = 2;
  static constexpr size_t kChecksum = 4;  // when present

  static constexpr uint16_t kChecksumPresent = 0x8000;  // bit 0
  static constexpr uint16_t kKeyPresent = 0x2000;       // bit 2
  static constexpr uint16_t kSequencePresent = 0x1000;  // bit 3
  // Bits 1, 4 and 5: a receiver that does not implement RFC 1701 discards the
  // packet when one is set (RFC 2784 2.3).
  static constexpr uint16_t kMustBeZero = 0x4c00;
  static constexpr uint16_t kVersionMask = 0x0007;

  static constexpr size_t HeaderLen(bool checksum, bool key, bool sequence) {
    return kMinLen + (checksum ? 4 : 0) + (key ? 4 : 0) + (sequence ? 4 : 0);
  }

  explicit BasicGreHeader(Byte* header) noexcept : p_(header) {}

  uint16_t flags_version() const noexcept { return Get16(p_); }
  uint8_t version() const noexcept { return flags_version() & kVersionMask; }
  bool has_checksum() const noexcept {
    return flags_version() & kChecksumPresent;
  }
  bool has_key() const noexcept { return flags_version() & kKeyPresent; }
  bool has_sequence() const noexcept {
    return flags_version() & kSequencePresent;
  }
  uint16_t protocol() const noexcept { return Get16(p_ + kProtocol); }
  size_t header_len() const noexcept {
    return HeaderLen(has_checksum(), has_key(), has_sequence());
  }
  size_t key_offset() const noexcept { return has_checksum() ? 8 : 4; }
  size_t sequence_offset() const noexcept {
    return key_offset() + (has_key() ? 4 : 0);
  }
  // Only when present.
  Be16 checksum() const noexcept { return LoadBe16(p_ + kChecksum); }
  uint32_t key() const noexcept { return Get32(p_ + key_offset()); }
  uint32_t sequence() const noexcept { return Get32(p_ + sequence_offset()); }

  // Version 0, the three flags, all reserved bits zero.
  void set_flags(bool checksum, bool key, bool sequence) noexcept {
    Put16(p_, static_cast<uint16_t>((checksum ? kChecksumPresent : 0) |
                                    (key ? kKeyPresent : 0) |
                                    (sequence ? kSequencePresent : 0)));
  }
  void set_protocol(uint16_t v) noexcept { Put16(p_ + kProtocol, v); }
  // Only when present, after set_flags().
  void set_checksum(Be16 v) noexcept { StoreBe16(p_ + kChecksum, v); }
  void set_reserved1(uint16_t v) noexcept { Put16(p_ + kChecksum + 2, v); }
  void set_key(uint32_t v) noexcept { Put32(p_ + key_offset(), v); }
  void set_sequence(uint32_t v) noexcept { Put32(p_ + sequence_offset(), v); }

 private:
  Byte* p_;
};

using GreHeader = BasicGreHeader<uint8_t>;
using ConstGreHeader = BasicGreHeader<const uint8_t>;

}  // namespace encap

#endif  // ENCAP_WIRE_GRE_H_
