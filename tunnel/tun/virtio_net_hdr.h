// virtio_net_hdr: the 10 bytes in front of each packet of a TUN queue or packet
// socket, to and from encap::SegmentHint. Pure functions over bytes.
//
//  offset 0  flags       u8   1 = the checksum is partial, 2 = it is valid
//         1  gso_type    u8   0 none, 1 TCPv4, 4 TCPv6, 5 UDP_L4; 0x80 = ECN
//         2  hdr_len     u16  bytes before the payload of a super-packet
//         4  gso_size    u16  payload bytes of each segment
//         6  csum_start  u16  first byte that the checksum covers
//         8  csum_offset u16  of the checksum field, from csum_start
//
// Numbers are in host order (struct virtio_net_hdr of linux/virtio_net.h, as a
// TUN device of the legacy kind has it).

#ifndef TUNNEL_TUN_VIRTIO_NET_HDR_H_
#define TUNNEL_TUN_VIRTIO_NET_HDR_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "encap/packet.h"

namespace tunnel {

inline constexpr size_t kVirtioNetHdrLen = 10;

// Fills `hint` with what `header` says; offsets are copied as they stand. "The
// checksum is valid" is not kept: it does not say which layer's checksum.
// False, with `hint` cleared, when the GSO type is one that SegmentHint has
// not.
bool ReadVirtioNetHdr(std::span<const uint8_t, kVirtioNetHdrLen> header,
                      encap::SegmentHint& hint) noexcept;

// The reverse. Fields that the hint does not use are zero.
void WriteVirtioNetHdr(const encap::SegmentHint& hint,
                       std::span<uint8_t, kVirtioNetHdrLen> header) noexcept;

}  // namespace tunnel

#endif  // TUNNEL_TUN_VIRTIO_NET_HDR_H_
