// The Tunnel Encapsulation Limit (RFC 2473 4.1.1): a destination option that
// says how many further tunnels a packet may enter.

#ifndef ENCAP_ENCAP_LIMIT_H_
#define ENCAP_ENCAP_LIMIT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace encap {

// Destination options header with the option alone:
//  |  Next Header  | Hdr Ext Len 0 | Opt Type 4 | Opt Len 1 |
//  |     Limit     | PadN 1        | Len 1      | 0         |
inline constexpr size_t kEncapLimitHeaderLen = 8;
inline constexpr size_t kEncapLimitOffset = 4;  // of the limit itself
inline constexpr uint8_t kEncapLimitOption = 4;

struct EncapLimit {
  uint8_t limit = 0;
  uint16_t offset = 0;  // of the limit from the first byte of the packet: where
                        // a Parameter Problem points (RFC 2473 4.1.1)
};

// Writes kEncapLimitHeaderLen bytes to `header`.
void WriteEncapLimitHeader(uint8_t* header, uint8_t next_header,
                           uint8_t limit) noexcept;

// True when an IPv6 packet with this next header can carry the option: the test
// that costs nothing.
constexpr bool MayCarryEncapLimit(uint8_t next_header) noexcept {
  return next_header == 60 || next_header == 0 || next_header == 43;
}

// The option of an IPv6 packet, or of as much of it as `packet` has; nullopt
// where there is none. Hop-by-hop, routing and destination options headers are
// walked, at most 8 and 512 bytes of them.
std::optional<EncapLimit> FindEncapLimit(
    std::span<const uint8_t> packet) noexcept;

}  // namespace encap

#endif  // ENCAP_ENCAP_LIMIT_H_
