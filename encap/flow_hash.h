// FlowHash: a number that all packets of one inner flow share.

#ifndef ENCAP_FLOW_HASH_H_
#define ENCAP_FLOW_HASH_H_

#include <cstdint>
#include <span>

namespace encap {

// Hash of source, destination, protocol and ports of an IPv4 or IPv6 packet
// that begins with its version nibble. Ports take part for TCP, UDP, DCCP, SCTP
// and UDP-Lite, directly behind the IP header or behind at most 4 IPv6
// extension headers, and never in a fragment, so that all fragments of one
// packet hash alike. The two directions of a flow differ. The same bytes and
// seed give the same number in every process on a host of one byte order. 0 for
// anything that is no IP packet or too short to hold its addresses.
uint32_t FlowHash(std::span<const uint8_t> packet, uint64_t seed) noexcept;

// The same for an Ethernet frame; one that carries no IP hashes by its MAC
// addresses and EtherType. 0 when shorter than an Ethernet header.
uint32_t FrameFlowHash(std::span<const uint8_t> frame, uint64_t seed) noexcept;

}  // namespace encap

#endif  // ENCAP_FLOW_HASH_H_
