// TcpHeader: the TCP header (RFC 9293 3.1, figure 1) over bytes.
//
//  |          Source Port          |       Destination Port        |
//  |                        Sequence Number                        |
//  |                    Acknowledgment Number                      |
//  | Offset|Resrv|      Flags      |            Window             |
//  |           Checksum            |         Urgent Pointer        |
//
// A view: it owns nothing and checks nothing. The caller has seen to it that
// kMinLen bytes are there. Numbers are in host order.

#ifndef ENCAP_WIRE_TCP_H_
#define ENCAP_WIRE_TCP_H_

#include <cstddef>
#include <cstdint>

#include "encap/bytes.h"

namespace encap {

template <typename Byte>
class BasicTcpHeader {
 public:
  static constexpr size_t kMinLen = 20;
  static constexpr size_t kSourcePort = 0;
  static constexpr size_t kDestinationPort = 2;
  static constexpr size_t kSequence = 4;
  static constexpr size_t kAcknowledgment = 8;
  static constexpr size_t kDataOffset = 12;
  static constexpr size_t kFlags = 13;
  static constexpr size_t kWindow = 14;
  static constexpr size_t kChecksum = 16;
  static constexpr size_t kUrgentPointer = 18;

  enum Flag : uint8_t {
    kFin = 0x01,
    kSyn = 0x02,
    kRst = 0x04,
    kPsh = 0x08,
    kAck = 0x10,
    kUrg = 0x20,
    kEce = 0x40,
    kCwr = 0x80,
  };

  explicit BasicTcpHeader(Byte* header) noexcept : p_(header) {}

  uint16_t source_port() const noexcept { return Get16(p_ + kSourcePort); }
  uint16_t destination_port() const noexcept {
    return Get16(p_ + kDestinationPort);
  }
  uint32_t sequence() const noexcept { return Get32(p_ + kSequence); }
  uint32_t acknowledgment() const noexcept {
    return Get32(p_ + kAcknowledgment);
  }
  // Data offset in bytes; less than kMinLen in a malformed header.
  size_t header_len() const noexcept {
    return size_t{4} * (p_[kDataOffset] >> 4);
  }
  uint8_t flags() const noexcept { return p_[kFlags]; }
  uint16_t window() const noexcept { return Get16(p_ + kWindow); }
  Be16 checksum() const noexcept { return LoadBe16(p_ + kChecksum); }
  uint16_t urgent_pointer() const noexcept {
    return Get16(p_ + kUrgentPointer);
  }

  void set_source_port(uint16_t v) noexcept { Put16(p_ + kSourcePort, v); }
  void set_destination_port(uint16_t v) noexcept {
    Put16(p_ + kDestinationPort, v);
  }
  void set_sequence(uint32_t v) noexcept { Put32(p_ + kSequence, v); }
  void set_acknowledgment(uint32_t v) noexcept {
    Put32(p_ + kAcknowledgment, v);
  }
  // `header_len` in bytes, a multiple of 4; the reserved bits become zero.
  void set_header_len(size_t header_len) noexcept {
    p_[kDataOffset] = static_cast<uint8_t>(header_len << 2);
  }
  void set_flags(uint8_t v) noexcept { p_[kFlags] = v; }
  void set_window(uint16_t v) noexcept { Put16(p_ + kWindow, v); }
  void set_checksum(Be16 v) noexcept { StoreBe16(p_ + kChecksum, v); }
  void set_urgent_pointer(uint16_t v) noexcept {
    Put16(p_ + kUrgentPointer, v);
  }

 private:
  Byte* p_;
};

using TcpHeader = BasicTcpHeader<uint8_t>;
using ConstTcpHeader = BasicTcpHeader<const uint8_t>;

}  // namespace encap

#endif  // ENCAP_WIRE_TCP_H_
