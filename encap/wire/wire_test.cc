// Every accessor against bytes laid out by hand from the figure of the RFC, and
// every setter against the same bytes.

#include <gtest/gtest.h>

#include <vector>

#include "encap/wire/ethernet.h"
#include "encap/wire/gre.h"
#include "encap/wire/icmp.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"
#include "encap/wire/tcp.h"
#include "encap/wire/udp.h"

namespace encap {
namespace {

using Bytes = std::vector<uint8_t>;

TEST(WireTest, Ipv4) {
  const Bytes want = {0x46, 0xb8, 0x05, 0xdc, 0xab, 0xcd, 0x60,
                      0x12, 0x40, 0x2f, 0x12, 0x34, 192,  0,
                      2,    1,    198,  51,   100,  7};
  const ConstIpv4Header h(want.data());
  EXPECT_EQ(h.version(), 4);
  EXPECT_EQ(h.header_len(), 24u);
  EXPECT_EQ(h.tos(), 0xb8);
  EXPECT_EQ(h.total_length(), 1500);
  EXPECT_EQ(h.identification(), 0xabcd);
  EXPECT_TRUE(h.dont_fragment());
  EXPECT_TRUE(h.more_fragments());
  EXPECT_EQ(h.fragment_offset(), 0x12u * 8);
  EXPECT_TRUE(h.is_fragment());
  EXPECT_EQ(h.ttl(), 64);
  EXPECT_EQ(h.protocol(), 47);
  EXPECT_EQ(h.checksum().host(), 0x1234);
  EXPECT_EQ(h.source().ToString(), "192.0.2.1");
  EXPECT_EQ(h.destination().ToString(), "198.51.100.7");

  Bytes made(20, 0xff);
  Ipv4Header m(made.data());
  m.set_version_and_header_len(24);
  m.set_tos(0xb8);
  m.set_total_length(1500);
  m.set_identification(0xabcd);
  m.set_fragment(true, true, 0x12 * 8);
  m.set_ttl(64);
  m.set_protocol(47);
  m.set_checksum(Be16(0x1234));
  m.set_source(h.source());
  m.set_destination(h.destination());
  EXPECT_EQ(made, want);
  m.set_fragment(true, false, 0);
  EXPECT_FALSE(m.is_fragment());
}

TEST(WireTest, Ipv6) {
  Bytes want = {0x6b, 0x8a, 0xbc, 0xde, 0x01, 0x02, 0x29, 0x3f};
  want.resize(40);
  want[8] = 0x20;
  want[23] = 1;
  want[24] = 0xfd;
  want[39] = 2;
  const ConstIpv6Header h(want.data());
  EXPECT_EQ(h.version(), 6);
  EXPECT_EQ(h.traffic_class(), 0xb8);
  EXPECT_EQ(h.flow_label(), 0xabcdeu);
  EXPECT_EQ(h.payload_length(), 0x0102);
  EXPECT_EQ(h.next_header(), 41);
  EXPECT_EQ(h.hop_limit(), 63);
  EXPECT_EQ(h.source().ToString(), "2000::1");
  EXPECT_EQ(h.destination().ToString(), "fd00::2");

  Bytes made(40, 0xff);
  Ipv6Header m(made.data());
  m.set_version_class_label(0, 0xfffabcde);
  m.set_traffic_class(0xb8);
  m.set_payload_length(0x0102);
  m.set_next_header(41);
  m.set_hop_limit(63);
  m.set_source(h.source());
  m.set_destination(h.destination());
  EXPECT_EQ(made, want);
}

TEST(WireTest, Ipv6Extensions) {
  const Bytes routing = {47, 1, 4, 2, 0, 0, 0, 0};
  const Ipv6ExtensionHeader r(routing.data());
  EXPECT_EQ(r.next_header(), 47);
  EXPECT_EQ(r.header_len(), 16u);
  EXPECT_EQ(r.segments_left(), 2);

  const Bytes fragment = {41, 0, 0x01, 0x09, 0xde, 0xad, 0xbe, 0xef};
  const Ipv6FragmentHeader f(fragment.data());
  EXPECT_EQ(f.next_header(), 41);
  EXPECT_EQ(f.fragment_offset(), 0x108u);
  EXPECT_TRUE(f.more_fragments());
  EXPECT_EQ(f.identification(), 0xdeadbeefu);
}

TEST(WireTest, GreInAllCombinations) {
  for (int bits = 0; bits < 8; ++bits) {
    const bool checksum = bits & 1;
    const bool key = bits & 2;
    const bool sequence = bits & 4;
    Bytes want = {
        static_cast<uint8_t>((checksum ? 0x80 : 0) | (key ? 0x20 : 0) |
                             (sequence ? 0x10 : 0)),
        0, 0x08, 0x00};
    const auto add = [&](Bytes more) {
      want.insert(want.end(), more.begin(), more.end());
    };
    if (checksum) add({0xca, 0xfe, 0x01, 0x02});
    if (key) add({0x11, 0x22, 0x33, 0x44});
    if (sequence) add({0x55, 0x66, 0x77, 0x88});

    const ConstGreHeader h(want.data());
    EXPECT_EQ(h.version(), 0);
    EXPECT_EQ(h.header_len(), want.size());
    EXPECT_EQ(h.has_checksum(), checksum);
    EXPECT_EQ(h.has_key(), key);
    EXPECT_EQ(h.has_sequence(), sequence);
    EXPECT_EQ(h.protocol(), kEtherTypeIpv4);
    if (checksum) {
      EXPECT_EQ(h.checksum().host(), 0xcafe);
    }
    if (key) {
      EXPECT_EQ(h.key(), 0x11223344u);
    }
    if (sequence) {
      EXPECT_EQ(h.sequence(), 0x55667788u);
    }

    Bytes made(want.size(), 0xff);
    GreHeader m(made.data());
    m.set_flags(checksum, key, sequence);
    m.set_protocol(0x0800);
    if (checksum) {
      m.set_checksum(Be16(0xcafe));
      m.set_reserved1(0x0102);
    }
    if (key) m.set_key(0x11223344);
    if (sequence) m.set_sequence(0x55667788);
    EXPECT_EQ(made, want);
  }
}

TEST(WireTest, GreVersionAndReservedBits) {
  const Bytes pptp = {0x30, 0x81, 0x88, 0x0b};
  EXPECT_EQ(ConstGreHeader(pptp.data()).version(), 1);
  // Bit 0 is the highest one: bits 1, 4 and 5 must be zero, 2 and 3 are K and
  // S.
  for (int bit = 0; bit < 16; ++bit) {
    const bool refused = ConstGreHeader::kMustBeZero & (0x8000 >> bit);
    EXPECT_EQ(refused, bit == 1 || bit == 4 || bit == 5) << bit;
  }
}

TEST(WireTest, Udp) {
  const Bytes want = {0x12, 0x34, 0x00, 0x35, 0x01, 0x00, 0xab, 0xcd};
  const ConstUdpHeader h(want.data());
  EXPECT_EQ(h.source_port(), 0x1234);
  EXPECT_EQ(h.destination_port(), 53);
  EXPECT_EQ(h.length(), 256);
  EXPECT_EQ(h.checksum().host(), 0xabcd);
  Bytes made(8, 0xff);
  UdpHeader m(made.data());
  m.set_source_port(0x1234);
  m.set_destination_port(53);
  m.set_length(256);
  m.set_checksum(Be16(0xabcd));
  EXPECT_EQ(made, want);
}

TEST(WireTest, Tcp) {
  const Bytes want = {0x01, 0xbb, 0xc0, 0x00, 1,    2,    3,    4,    5, 6,
                      7,    8,    0x80, 0x92, 0xfa, 0xf0, 0xbe, 0xef, 0, 9};
  const ConstTcpHeader h(want.data());
  EXPECT_EQ(h.source_port(), 443);
  EXPECT_EQ(h.destination_port(), 0xc000);
  EXPECT_EQ(h.sequence(), 0x01020304u);
  EXPECT_EQ(h.acknowledgment(), 0x05060708u);
  EXPECT_EQ(h.header_len(), 32u);
  EXPECT_EQ(h.flags(),
            ConstTcpHeader::kSyn | ConstTcpHeader::kAck | ConstTcpHeader::kCwr);
  EXPECT_EQ(h.window(), 0xfaf0);
  EXPECT_EQ(h.checksum().host(), 0xbeef);
  EXPECT_EQ(h.urgent_pointer(), 9);
  Bytes made(20, 0xff);
  TcpHeader m(made.data());
  m.set_source_port(443);
  m.set_destination_port(0xc000);
  m.set_sequence(0x01020304);
  m.set_acknowledgment(0x05060708);
  m.set_header_len(32);
  m.set_flags(0x92);
  m.set_window(0xfaf0);
  m.set_checksum(Be16(0xbeef));
  m.set_urgent_pointer(9);
  EXPECT_EQ(made, want);
}

TEST(WireTest, Icmp) {
  const Bytes echo = {8, 0, 0x12, 0x34, 0xab, 0xcd, 0, 7};
  const ConstIcmpHeader h(echo.data());
  EXPECT_EQ(h.type(), ConstIcmpHeader::kEchoRequest4);
  EXPECT_EQ(h.code(), 0);
  EXPECT_EQ(h.checksum().host(), 0x1234);
  EXPECT_EQ(h.identifier(), 0xabcd);
  EXPECT_EQ(h.sequence(), 7);
  Bytes made(8, 0xff);
  IcmpHeader m(made.data());
  m.set_type(8);
  m.set_code(0);
  m.set_checksum(Be16(0x1234));
  m.set_identifier(0xabcd);
  m.set_sequence(7);
  EXPECT_EQ(made, echo);

  m.set_next_hop_mtu4(1400);
  EXPECT_EQ(made, (Bytes{8, 0, 0x12, 0x34, 0, 0, 0x05, 0x78}));
  EXPECT_EQ(ConstIcmpHeader(made.data()).next_hop_mtu4(), 1400);
  m.set_mtu6(0x00012345);
  EXPECT_EQ(made, (Bytes{8, 0, 0x12, 0x34, 0, 1, 0x23, 0x45}));
  EXPECT_EQ(ConstIcmpHeader(made.data()).mtu6(), 0x12345u);
}

}  // namespace
}  // namespace encap
