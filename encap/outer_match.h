// OuterMatch: tells whether a packet has the same outer headers, as far as they
// name a tunnel, as one before it.
//
// Packets of one tunnel come in runs. For the next one of a run neither a parse
// nor a lookup is needed: its addresses, protocol and GRE header are those of
// the one before, and what differs from packet to packet (length, TOS, TTL,
// checksum) is checked here as ParseOuter() does. Only the usual packet is
// remembered: whole, in IPv4 without options, with GRE and a key at most.
//
// Not thread-safe. No heap.

#ifndef ENCAP_OUTER_MATCH_H_
#define ENCAP_OUTER_MATCH_H_

#include <cstdint>
#include <span>

#include "encap/bytes.h"
#include "encap/checksum.h"
#include "encap/outer_parse.h"
#include "encap/wire/gre.h"
#include "encap/wire/ipv4.h"

namespace encap {

class OuterMatch {
 public:
  // `outer` is what ParseOuter() gave on kNone for `packet`, and `tunnel` what
  // the caller found for it.
  void Remember(const uint8_t* packet, const OuterInfo& outer,
                uint32_t tunnel) noexcept {
    const bool plain = packet[0] == kNoOptions && outer.udp_port == 0 &&
                       !outer.has_checksum && !outer.sequence &&
                       outer.total_len >= kLeast;
    first_byte_ = plain ? kNoOptions : kNothing;
    if (!plain) return;
    addresses_ = Addresses(packet);
    protocol_ = outer.protocol;
    mask_ = outer.protocol != kProtoGre ? 0
            : outer.key.has_value()     ? ~uint64_t{0}
                                        : LoadRaw<uint64_t>(kNoKey);
    upper_ = Upper(packet) & mask_;
    outer_ = outer;
    tunnel_ = tunnel;
  }

  // True when ParseOuter() would give kNone for `packet`, and a lookup the
  // tunnel that was remembered; outer() and tunnel() are then those of
  // `packet`. False says nothing.
  bool Matches(std::span<const uint8_t> packet,
               bool verify_header_checksum) noexcept {
    if (packet.size() < kLeast) return false;
    const uint8_t* header = packet.data();
    const ConstIpv4Header ip(header);
    const uint32_t total_len = ip.total_length();
    // One comparison where the branches would all go the same way.
    const uint64_t differs = static_cast<uint64_t>(header[0] ^ first_byte_) |
                             static_cast<uint64_t>(ip.protocol() ^ protocol_) |
                             (Addresses(header) ^ addresses_) |
                             ((Upper(header) & mask_) ^ upper_) |
                             static_cast<uint64_t>(ip.is_fragment());
    if (differs != 0 || total_len < kLeast || total_len > packet.size() ||
        (verify_header_checksum && !IsRightHeaderSum(Ipv4HeaderSum(header)))) {
      return false;
    }
    outer_.total_len = total_len;
    outer_.tos = ip.tos();
    outer_.ttl = ip.ttl();
    return true;
  }

  const OuterInfo& outer() const noexcept { return outer_; }
  uint32_t tunnel() const noexcept { return tunnel_; }

 private:
  static constexpr uint16_t kNoOptions = 0x45;
  static constexpr uint16_t kNothing = 0x100;  // the first byte of no packet
  // Flags and protocol of a GRE header; what follows is payload.
  static constexpr uint8_t kNoKey[8] = {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0};
  // As far as a GRE key reaches; every packet that is remembered has as much.
  static constexpr size_t kLeast = ConstIpv4Header::kMinLen + 8;

  static uint64_t Addresses(const uint8_t* header) noexcept {
    return LoadRaw<uint64_t>(header + ConstIpv4Header::kSource);
  }
  static uint64_t Upper(const uint8_t* header) noexcept {
    return LoadRaw<uint64_t>(header + ConstIpv4Header::kMinLen);
  }

  uint64_t addresses_ = 0;
  uint64_t upper_ = 0;
  uint64_t mask_ = 0;
  uint16_t first_byte_ = kNothing;
  uint8_t protocol_ = 0;
  uint32_t tunnel_ = 0;
  OuterInfo outer_;
};

}  // namespace encap

#endif  // ENCAP_OUTER_MATCH_H_
