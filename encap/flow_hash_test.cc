#include "encap/flow_hash.h"

#include <gtest/gtest.h>

#include <set>

#include "encap/packets_for_test.h"

namespace encap {
namespace {

using testing::Bytes;
using testing::Frame;
using testing::FromHex;
using testing::InnerV4;
using testing::InnerV6;

TEST(FlowHashTest, DependsOnTheFlowAndNotOnTheRest) {
  for (const Bytes& packet : {InnerV4(), InnerV6()}) {
    const size_t header = packet[0] >> 4 == 4 ? 20 : 40;
    const uint32_t hash = FlowHash(packet, 1);
    // Source, destination, ports.
    for (const size_t at :
         {header - 1, header - (header == 20 ? 5 : 17), header, header + 3}) {
      Bytes other = packet;
      other[at] ^= 1;
      EXPECT_NE(FlowHash(other, 1), hash) << at;
    }
    Bytes protocol = packet;
    protocol[header == 20 ? 9 : 6] = 6;
    EXPECT_NE(FlowHash(protocol, 1), hash);

    Bytes same = packet;
    same[header + 8] ^= 0xff;           // payload
    same[header == 20 ? 8 : 7] = 1;     // TTL
    if (header == 20) same[5] ^= 0xff;  // identification
    EXPECT_EQ(FlowHash(same, 1), hash);
    EXPECT_NE(FlowHash(packet, 2), hash) << "seed";
  }
}

TEST(FlowHashTest, FragmentsOfAPacketHashAlike) {
  Bytes first = InnerV4();
  first[6] = 0x20;  // more fragments
  Bytes later = InnerV4();
  later[6] = 0;
  later[7] = 4;  // offset
  later[20] ^= 0xff;
  EXPECT_EQ(FlowHash(first, 0), FlowHash(later, 0));
  EXPECT_NE(FlowHash(first, 0), FlowHash(InnerV4(), 0));

  // IPv6: a fragment header in front of the payload.
  const auto fragment = [](const char* header, uint8_t port) {
    Bytes p = InnerV6({.protocol = 44, .payload = 40});
    const Bytes h = FromHex(header);
    std::copy(h.begin(), h.end(), p.begin() + 40);
    p[48] = port;
    return p;
  };
  const uint32_t begin = FlowHash(fragment("1100 0001 00000001", 1), 0);
  const uint32_t end = FlowHash(fragment("1100 0100 00000001", 2), 0);
  EXPECT_EQ(begin, end);
  // An atomic fragment is a whole packet (RFC 6946).
  EXPECT_NE(FlowHash(fragment("1100 0000 00000001", 1), 0),
            FlowHash(fragment("1100 0000 00000001", 2), 0));
}

TEST(FlowHashTest, PortsCountBehindExtensionHeaders) {
  const auto with_options = [](uint8_t port) {
    Bytes p = InnerV6({.protocol = 60, .payload = 40});
    const Bytes h = FromHex("1100 0104 00000000");
    std::copy(h.begin(), h.end(), p.begin() + 40);
    p[48] = port;
    return p;
  };
  EXPECT_NE(FlowHash(with_options(1), 0), FlowHash(with_options(2), 0));
}

TEST(FlowHashTest, AProtocolWithoutPortsIgnoresThePayload) {
  Bytes icmp = InnerV4({.protocol = 1});
  const uint32_t hash = FlowHash(icmp, 0);
  icmp[21] ^= 1;
  EXPECT_EQ(FlowHash(icmp, 0), hash);
}

TEST(FlowHashTest, ShortAndForeignBytesHashToZero) {
  EXPECT_EQ(FlowHash({}, 0), 0u);
  EXPECT_EQ(FlowHash(Bytes(19, 0x45), 0), 0u);
  EXPECT_EQ(FlowHash(Bytes(39, 0x60), 0), 0u);
  EXPECT_EQ(FlowHash(Bytes(64, 0x50), 0), 0u);
  EXPECT_EQ(FrameFlowHash(Bytes(13, 0), 0), 0u);
}

TEST(FlowHashTest, FramesHashByTheirPacketOrTheirAddresses) {
  EXPECT_EQ(FrameFlowHash(Frame(0x0800, InnerV4()), 5), FlowHash(InnerV4(), 5));
  EXPECT_EQ(FrameFlowHash(Frame(0x86dd, InnerV6(), 1), 5),
            FlowHash(InnerV6(), 5));
  Bytes arp = Frame(0x0806, Bytes(28, 1));
  const uint32_t hash = FrameFlowHash(arp, 5);
  arp[20] ^= 1;
  EXPECT_EQ(FrameFlowHash(arp, 5), hash);
  for (const size_t at : {0, 7, 9, 11, 13}) {
    Bytes other = arp;
    other[at] ^= 1;
    EXPECT_NE(FrameFlowHash(other, 5), hash) << at;
  }
}

// 4096 flows that differ in one port only, over 16 buckets of the low and of
// the high bits: each within a third of the mean.
TEST(FlowHashTest, SpreadsNeighbouringFlows) {
  int low[16] = {};
  int high[16] = {};
  Bytes packet = InnerV4();
  for (int port = 0; port < 4096; ++port) {
    packet[20] = static_cast<uint8_t>(port >> 8);
    packet[21] = static_cast<uint8_t>(port);
    const uint32_t hash = FlowHash(packet, 9);
    ++low[hash & 15];
    ++high[hash >> 28];
  }
  for (int i = 0; i < 16; ++i) {
    EXPECT_NEAR(low[i], 256, 85);
    EXPECT_NEAR(high[i], 256, 85);
  }
}

}  // namespace
}  // namespace encap
