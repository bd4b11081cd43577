// Fragmenter: cuts an IPv4 packet (RFC 791 3.2) or an IPv6 packet (RFC 8200
// 4.5) into fragments.
//
// Fragments are written one by one into buffers of the caller:
//
//   Fragmenter cut;
//   if (Fragmenter::Start(packet, options, cut) != DropReason::kNone) ...
//   while (size_t size = cut.Next(buffer)) Send(buffer.first(size));
//
// The packet must stay as it is meanwhile. A partial checksum must be finished
// first (FinishChecksum), a super-packet be segmented. No heap.

#ifndef ENCAP_FRAGMENT_H_
#define ENCAP_FRAGMENT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "encap/drop_reason.h"

namespace encap {

struct FragmentOptions {
  // Largest fragment, bytes, IP header included.
  uint32_t mtu = 0;
  // What the fragments are told apart by. Must differ among the packets between
  // two addresses that may be under way at one time (RFC 6864 4.2, RFC 8200
  // 4.5). Of an IPv4 packet the low 16 bits are taken; nullopt keeps the
  // identification that it has, and an IPv6 packet needs one.
  std::optional<uint32_t> identification = std::nullopt;
  // Cuts an IPv4 packet with DF set too, e.g. an outer packet whose payload
  // must pass (RFC 4213 3.2). Fragments never have DF set.
  bool ignore_dont_fragment = false;
  // Bytes in front of the IP header (an Ethernet header): copied to each
  // fragment, not counted in `mtu`.
  uint16_t prefix_len = 0;
};

class Fragmenter {
 public:
  // Nothing to cut: Next() is 0.
  Fragmenter() = default;

  // `packet`: the prefix, then one IPv4 or IPv6 packet; bytes behind its own
  // length are left out. An IPv4 packet may be a fragment already. Errors:
  // kTruncated, kBadIpHeader (also malformed options, and an IPv6 packet that
  // has a fragment header), kTooBig (DF is set, the MTU leaves no 8 bytes of
  // payload, or no identification for IPv6).
  static DropReason Start(std::span<const uint8_t> packet,
                          const FragmentOptions& options,
                          Fragmenter& cut) noexcept;

  // Bytes that Next() needs at most.
  size_t max_size() const noexcept { return prefix_len_ + mtu_; }
  bool done() const noexcept { return done_; }

  // Writes the next fragment, prefix first, to `out`, which must not overlap
  // the packet. Returns its bytes; 0 when done, or when `out` is too small: no
  // fragment is lost then. A packet that fits is one fragment: for IPv4 without
  // change but for DF and identification, for IPv6 an atomic fragment.
  size_t Next(std::span<uint8_t> out) noexcept;

 private:
  DropReason StartIpv4(std::span<const uint8_t> packet,
                       const FragmentOptions& options) noexcept;
  DropReason StartIpv6(std::span<const uint8_t> packet,
                       const FragmentOptions& options) noexcept;
  void WriteIpv4Header(uint8_t* header, size_t len) noexcept;
  void WriteIpv6Header(uint8_t* header, size_t len) noexcept;

  std::span<const uint8_t> packet_;   // prefix and IP packet
  std::span<const uint8_t> payload_;  // what is cut
  size_t next_ = 0;                   // first byte of it that is not written
  uint32_t mtu_ = 0;
  uint32_t identification_ = 0;
  uint32_t first_offset_ = 0;  // of an IPv4 packet that is a fragment, bytes
  uint16_t prefix_len_ = 0;
  uint16_t header_len_ = 0;  // of the next fragment, the fragment header of
                             // IPv6 included, bytes
  uint16_t next_header_at_ =
      0;  // IPv6: the byte that names the fragment header
  bool is_v6_ = false;
  bool more_follow_ = false;  // MF of an IPv4 packet that is a fragment
  bool done_ = true;
};

}  // namespace encap

#endif  // ENCAP_FRAGMENT_H_
