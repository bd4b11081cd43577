#include "tunnel/underlay/tunnel_filter.h"

#include <linux/if_packet.h>

#include <cstdint>

#include "encap/outer_parse.h"
#include "encap/wire/udp.h"
#include "tunnel/bpf/fast_path_abi.h"
#include "tunnel/underlay/classic_bpf.h"

namespace tunnel {
namespace {

constexpr uint32_t kPacketType =
    static_cast<uint32_t>(SKF_AD_OFF) + SKF_AD_PKTTYPE;
constexpr uint32_t kMark = static_cast<uint32_t>(SKF_AD_OFF) + SKF_AD_MARK;
// `offset` bytes behind the first byte of the IP header.
constexpr uint32_t Network(uint32_t offset) {
  return static_cast<uint32_t>(SKF_NET_OFF) + offset;
}

constexpr uint32_t kWholePacket = 0x40000;  // bytes
constexpr uint32_t kHopByHop = 0;
constexpr uint32_t kRouting = 43;
constexpr uint32_t kFragment = 44;
constexpr uint32_t kDestinationOptions = 60;

constexpr uint32_t kIpv6Len = 40;         // bytes
constexpr uint32_t kDestinationPort = 2;  // from the UDP header

// Skips `yes` or `no` instructions.
constexpr sock_filter IfEqual(uint32_t value, uint8_t yes, uint8_t no) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no);
}
constexpr sock_filter IfAnyBit(uint32_t bits, uint8_t yes, uint8_t no) {
  return BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, yes, no);
}
constexpr sock_filter Return(uint32_t bytes) {
  return BPF_STMT(BPF_RET | BPF_K, bytes);
}

// The end of a program: A is a UDP destination port.
void AppendPorts(BpfProgram& program, std::span<const uint16_t> ports) {
  for (const uint16_t port : ports) {
    Append(program, {IfEqual(port, 0, 1), Return(kWholePacket)});
  }
  Append(program, {Return(0)});
}

constexpr uint32_t kIcmpHeader = 8;  // bytes

// A raw IPv4 socket sees the IP header, of any length, then ICMP and the quote.
constexpr sock_filter kErrorV4[] = {
    BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),  // X: length of the IP header
    LoadByteBehind(kIcmpHeader + 9),         // protocol
    IfEqual(encap::kProtoGre, 4, 0),
    IfEqual(encap::kProtoIpip, 3, 0),
    IfEqual(encap::kProtoIpv6, 2, 0),
    IfEqual(encap::kProtoUdp, 1, 0),
    Return(0),
    Return(kWholePacket),
};

// A raw IPv6 socket sees ICMPv6 first.
constexpr sock_filter kErrorV6[] = {
    LoadByte(kIcmpHeader + 6),  // next header
    IfEqual(encap::kProtoGre, 13, 0),
    IfEqual(encap::kProtoIpip, 12, 0),
    IfEqual(encap::kProtoIpv6, 11, 0),
    IfEqual(encap::kProtoUdp, 10, 0),
    IfEqual(kHopByHop, 3, 0),
    IfEqual(kRouting, 2, 0),
    IfEqual(kFragment, 1, 0),
    IfEqual(kDestinationOptions, 0, 5),
    LoadByte(kIcmpHeader + 40),  // next header of the extension header
    IfEqual(encap::kProtoGre, 4, 0),
    IfEqual(encap::kProtoIpip, 3, 0),
    IfEqual(encap::kProtoIpv6, 2, 0),
    IfEqual(encap::kProtoUdp, 1, 0),
    Return(0),
    Return(kWholePacket),
};

}  // namespace

std::span<const sock_filter> ErrorFilterV4() { return kErrorV4; }
std::span<const sock_filter> ErrorFilterV6() { return kErrorV6; }

std::vector<sock_filter> TunnelFilterV4(std::span<const uint16_t> udp_ports) {
  BpfProgram program = {
      LoadWord(kPacketType),
      IfEqual(PACKET_HOST, 3, 0),
      IfEqual(PACKET_OTHERHOST, 0, 7),
      LoadWord(kMark),
      IfEqual(kFpClaimedMark, 0, 5),
      LoadByte(Network(9)),  // protocol
      IfEqual(encap::kProtoGre, 4, 0),
      IfEqual(encap::kProtoIpip, 3, 0),
      IfEqual(encap::kProtoIpv6, 2, 0),
      IfEqual(encap::kProtoUdp, 2, 0),
      Return(0),
      Return(kWholePacket),
      // A fragment has been put together, or names no port.
      LoadHalf(Network(6)),
      IfAnyBit(0x1fff, 0, 1),
      Return(0),
      BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, Network(0)),  // X: header length
      LoadHalfBehind(Network(kDestinationPort)),
  };
  AppendPorts(program, udp_ports);
  return program;
}

std::vector<sock_filter> TunnelFilterV6(std::span<const uint16_t> udp_ports) {
  BpfProgram program = {
      LoadWord(kPacketType),
      IfEqual(PACKET_HOST, 3, 0),
      IfEqual(PACKET_OTHERHOST, 0, 19),
      LoadWord(kMark),
      IfEqual(kFpClaimedMark, 0, 17),
      LoadByte(Network(6)),  // next header
      IfEqual(encap::kProtoGre, 16, 0),
      IfEqual(encap::kProtoIpip, 15, 0),
      IfEqual(encap::kProtoIpv6, 14, 0),
      IfEqual(encap::kProtoUdp, 21, 0),
      IfEqual(kHopByHop, 3, 0),
      IfEqual(kRouting, 2, 0),
      IfEqual(kFragment, 1, 0),
      IfEqual(kDestinationOptions, 0, 8),
      LoadByte(Network(kIpv6Len)),  // next header of the extension header
      IfEqual(encap::kProtoGre, 7, 0),
      IfEqual(encap::kProtoIpip, 6, 0),
      IfEqual(encap::kProtoIpv6, 5, 0),
      IfEqual(encap::kProtoUdp, 5, 0),
      IfEqual(kRouting, 3, 0),
      IfEqual(kFragment, 2, 0),
      IfEqual(kDestinationOptions, 1, 0),
      Return(0),
      Return(kWholePacket),
      // UDP behind an extension header of 8 * (1 + its length field) bytes.
      LoadByte(Network(6)),
      IfEqual(kFragment, 0, 1),
      Return(udp_ports.empty() ? 0 : kWholePacket),
      LoadByte(Network(kIpv6Len + 1)),
      BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 1),
      BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 3),
      BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
      BPF_STMT(BPF_LD | BPF_IMM, 0),  // UDP behind the IPv6 header
      BPF_STMT(BPF_MISC | BPF_TAX, 0),
      LoadHalfBehind(Network(kIpv6Len + kDestinationPort)),
  };
  AppendPorts(program, udp_ports);
  return program;
}

}  // namespace tunnel
