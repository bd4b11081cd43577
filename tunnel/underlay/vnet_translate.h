// From the virtio_net_hdr of a packet socket to the one of a TUN queue. Pure.
//
//   packet socket                 TranslateVnetHdr      Decapsulate RepairGso
//   link | outer IP | inner  -->  outer IP | inner  --> inner        --> inner,
//   finished offsets from link             from outer IP         from inner
//
// The kernel merges tunnelled segments into super-packets of up to 64 KB and
// never names the tunnel: type and segment size are those of the inner packet.

#ifndef TUNNEL_UNDERLAY_VNET_TRANSLATE_H_
#define TUNNEL_UNDERLAY_VNET_TRANSLATE_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "encap/packet.h"
#include "tunnel/tun/virtio_net_hdr.h"

namespace tunnel {

// Fills `hint` for a packet whose outer IP header begins `network_offset` bytes
// (tpacket_auxdata.tp_net) behind the first byte of the frame and has
// `packet_size` bytes from there on. False when the GSO type is unknown, or
// when the partial checksum begins before or in a minimal outer IP header, or
// lies behind the end. header_len is cleared: the kernel's value is a hint
// only.
bool TranslateVnetHdr(std::span<const uint8_t, kVirtioNetHdrLen> header,
                      size_t network_offset, size_t packet_size,
                      encap::SegmentHint& hint) noexcept;

// Makes the hint of a decapsulated packet such that a TUN queue takes it. Of a
// super-packet: sets header_len from the inner headers, cuts what lies behind
// the inner IP length, and stores the pseudo-header sum where the kernel left
// no partial checksum. `ethernet`: the packet is a frame (at most one VLAN
// tag). Ordinary packets are left alone. False, with the packet unchanged, when
// hint, headers and size do not agree; the packet must be dropped (kTruncated).
bool RepairGso(encap::PacketBuffer& inner, bool ethernet = false) noexcept;

}  // namespace tunnel

#endif  // TUNNEL_UNDERLAY_VNET_TRANSLATE_H_
