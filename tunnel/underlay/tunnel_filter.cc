#include "tunnel/underlay/tunnel_filter.h"

#include <linux/if_packet.h>

#include <cstdint>

#include "encap/outer_parse.h"

namespace tunnel {
namespace {

constexpr uint32_t kPacketType =
    static_cast<uint32_t>(SKF_AD_OFF) + SKF_AD_PKTTYPE;
// `offset` bytes behind the first byte of the IP header.
constexpr uint32_t Network(uint32_t offset) {
  return static_cast<uint32_t>(SKF_NET_OFF) + offset;
}

constexpr uint32_t kWholePacket = 0x40000;  // bytes
constexpr uint32_t kHopByHop = 0;
constexpr uint32_t kRouting = 43;
constexpr uint32_t kFragment = 44;
constexpr uint32_t kDestinationOptions = 60;

constexpr sock_filter LoadByte(uint32_t at) {
  return BPF_STMT(BPF_LD | BPF_B | BPF_ABS, at);
}
constexpr sock_filter LoadWord(uint32_t at) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at);
}
// Skips `yes` or `no` instructions.
constexpr sock_filter IfEqual(uint32_t value, uint8_t yes, uint8_t no) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no);
}
constexpr sock_filter Return(uint32_t bytes) {
  return BPF_STMT(BPF_RET | BPF_K, bytes);
}

constexpr sock_filter kV4[] = {
    LoadWord(kPacketType),
    IfEqual(PACKET_HOST, 0, 4),
    LoadByte(Network(9)),  // protocol
    IfEqual(encap::kProtoGre, 3, 0),
    IfEqual(encap::kProtoIpip, 2, 0),
    IfEqual(encap::kProtoIpv6, 1, 0),
    Return(0),
    Return(kWholePacket),
};

constexpr sock_filter kV6[] = {
    LoadWord(kPacketType),
    IfEqual(PACKET_HOST, 0, 15),
    LoadByte(Network(6)),  // next header
    IfEqual(encap::kProtoGre, 14, 0),
    IfEqual(encap::kProtoIpip, 13, 0),
    IfEqual(encap::kProtoIpv6, 12, 0),
    IfEqual(kHopByHop, 3, 0),
    IfEqual(kRouting, 2, 0),
    IfEqual(kFragment, 1, 0),
    IfEqual(kDestinationOptions, 0, 7),
    LoadByte(Network(40)),  // next header of the extension header
    IfEqual(encap::kProtoGre, 6, 0),
    IfEqual(encap::kProtoIpip, 5, 0),
    IfEqual(encap::kProtoIpv6, 4, 0),
    IfEqual(kRouting, 3, 0),
    IfEqual(kFragment, 2, 0),
    IfEqual(kDestinationOptions, 1, 0),
    Return(0),
    Return(kWholePacket),
};

constexpr uint32_t kUdp = 17;
constexpr uint32_t kIcmpHeader = 8;  // bytes

// A raw IPv4 socket sees the IP header, of any length, then ICMP and the quote.
constexpr sock_filter kErrorV4[] = {
    BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),  // X: length of the IP header
    BPF_STMT(BPF_LD | BPF_B | BPF_IND, kIcmpHeader + 9),  // protocol
    IfEqual(encap::kProtoGre, 4, 0),
    IfEqual(encap::kProtoIpip, 3, 0),
    IfEqual(encap::kProtoIpv6, 2, 0),
    IfEqual(kUdp, 1, 0),
    Return(0),
    Return(kWholePacket),
};

// A raw IPv6 socket sees ICMPv6 first.
constexpr sock_filter kErrorV6[] = {
    LoadByte(kIcmpHeader + 6),  // next header
    IfEqual(encap::kProtoGre, 13, 0),
    IfEqual(encap::kProtoIpip, 12, 0),
    IfEqual(encap::kProtoIpv6, 11, 0),
    IfEqual(kUdp, 10, 0),
    IfEqual(kHopByHop, 3, 0),
    IfEqual(kRouting, 2, 0),
    IfEqual(kFragment, 1, 0),
    IfEqual(kDestinationOptions, 0, 5),
    LoadByte(kIcmpHeader + 40),  // next header of the extension header
    IfEqual(encap::kProtoGre, 4, 0),
    IfEqual(encap::kProtoIpip, 3, 0),
    IfEqual(encap::kProtoIpv6, 2, 0),
    IfEqual(kUdp, 1, 0),
    Return(0),
    Return(kWholePacket),
};

}  // namespace

std::span<const sock_filter> ErrorFilterV4() { return kErrorV4; }
std::span<const sock_filter> ErrorFilterV6() { return kErrorV6; }
std::span<const sock_filter> TunnelFilterV4() { return kV4; }
std::span<const sock_filter> TunnelFilterV6() { return kV6; }

}  // namespace tunnel
