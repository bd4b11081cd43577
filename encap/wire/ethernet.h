// The Ethernet header as far as a bridged payload needs it: sizes and the
// EtherTypes of VLAN tags.

#ifndef ENCAP_WIRE_ETHERNET_H_
#define ENCAP_WIRE_ETHERNET_H_

#include <cstddef>
#include <cstdint>

namespace encap {

// Destination, source, EtherType; no FCS.
inline constexpr size_t kEthernetHeaderLen = 14;
inline constexpr size_t kVlanTagLen = 4;
inline constexpr uint16_t kEtherTypeVlan = 0x8100;         // IEEE 802.1Q
inline constexpr uint16_t kEtherTypeServiceVlan = 0x88a8;  // IEEE 802.1ad

}  // namespace encap

#endif  // ENCAP_WIRE_ETHERNET_H_
