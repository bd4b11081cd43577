// Packets for tests and benchmarks, built without the code that they test.

#ifndef ENCAP_PACKETS_FOR_TEST_H_
#define ENCAP_PACKETS_FOR_TEST_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "encap/address.h"
#include "encap/encap_config.h"
#include "encap/packet.h"

namespace encap::testing {

using Bytes = std::vector<uint8_t>;

// Hexadecimal digits; spaces and newlines are skipped. Aborts on anything else.
Bytes FromHex(std::string_view hex);
// Groups of two digits with a space between them.
std::string ToHex(std::span<const uint8_t> bytes);

// An address that is known to be well-formed; aborts when it is not.
IpAddress Addr(std::string_view text);

// The internet checksum by the plain loop of RFC 1071 4.1, host order.
uint16_t ReferenceChecksum(std::span<const uint8_t> bytes);

struct InnerOptions {
  uint8_t tos = 0;
  uint8_t ttl = 63;
  bool dont_fragment = true;
  uint8_t protocol = 17;
  size_t payload = 32;  // bytes behind the IP header
};

// UDP-like packets from 10.1.0.1 to 10.2.0.2 and from fd00:1::1 to fd00:2::2
// with counting payload bytes; the IPv4 header checksum is right.
Bytes InnerV4(const InnerOptions& options = {});
Bytes InnerV6(const InnerOptions& options = {});
Bytes Inner(IpFamily family, const InnerOptions& options = {});
// Sets the ECN field of an IP header and mends its checksum.
void SetOuterEcn(Bytes& packet, uint8_t ecn);
// An Ethernet frame of this EtherType, behind `tags` VLAN tags.
Bytes Frame(uint16_t ethertype, const Bytes& payload, int tags = 0);

// The IP header checksum and lengths are those of `packet`: true when right.
bool Ipv4HeaderIsRight(std::span<const uint8_t> packet);

// local 192.0.2.1, remote 192.0.2.2, or 2001:db8::1, 2001:db8::2.
EncapConfig Config(Mode mode, IpFamily outer);
// The same tunnel from the other end.
EncapConfig Peer(const EncapConfig& config);

// A packet in storage of its own.
class OwnedPacket {
 public:
  // `tailroom` bytes of 0xee follow.
  explicit OwnedPacket(const Bytes& bytes, size_t headroom = kMaxEncapHeadroom,
                       size_t tailroom = 0);
  OwnedPacket(const OwnedPacket&) = delete;
  OwnedPacket& operator=(const OwnedPacket&) = delete;

  PacketBuffer& operator*() { return packet_; }
  PacketBuffer* operator->() { return &packet_; }
  Bytes bytes() const {
    return {packet_.bytes().begin(), packet_.bytes().end()};
  }

 private:
  Bytes storage_;
  PacketBuffer packet_;
};

}  // namespace encap::testing

#endif  // ENCAP_PACKETS_FOR_TEST_H_
