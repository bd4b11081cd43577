#include "tunnel/path/own_outer.h"

#include <gtest/gtest.h>

#include <vector>

namespace tunnel {
namespace {

// An IPv4 header of 20 bytes from 192.0.2.1 to 192.0.2.2, then `upper`.
std::vector<uint8_t> V4(uint8_t protocol, std::vector<uint8_t> upper,
                        uint8_t fragment = 0) {
  std::vector<uint8_t> packet = {0x45,     0,  0,        0, 0, 0,   0,
                                 fragment, 64, protocol, 0, 0, 192, 0,
                                 2,        1,  192,      0, 2, 2};
  packet.insert(packet.end(), upper.begin(), upper.end());
  return packet;
}

std::vector<uint8_t> V6(uint8_t next, std::vector<uint8_t> upper) {
  std::vector<uint8_t> packet(40);
  packet[0] = 0x60;
  packet[6] = next;
  packet[23] = 1;
  packet[39] = 2;
  packet.insert(packet.end(), upper.begin(), upper.end());
  return packet;
}

const std::vector<uint8_t> kUdp = {0xc0, 0, 0x12, 0x92, 0, 8, 0, 0};

TEST(OwnOuterTest, ReadsProtocolAddressesAndPort) {
  for (const uint8_t protocol : {4, 41, 47}) {
    const auto outer = ReadOwnOuter(V4(protocol, {}), false);
    ASSERT_TRUE(outer.has_value());
    EXPECT_EQ(outer->protocol, protocol);
    EXPECT_EQ(outer->addresses.local.ToString(), "192.0.2.1");
    EXPECT_EQ(outer->addresses.remote.ToString(), "192.0.2.2");
    EXPECT_EQ(ReadOwnOuter(V6(protocol, {}), false)->protocol, protocol);
  }
  EXPECT_EQ(ReadOwnOuter(V4(17, kUdp), false)->udp_port, 4754);
  EXPECT_EQ(ReadOwnOuter(V6(17, kUdp), false)->udp_port, 4754);
  EXPECT_FALSE(ReadOwnOuter(V4(6, kUdp), false).has_value());
  EXPECT_FALSE(ReadOwnOuter(V4(17, {1, 2}), false).has_value());
  EXPECT_FALSE(ReadOwnOuter({}, false).has_value());
}

TEST(OwnOuterTest, SeesThroughTheHeadersThatTunnelsSend) {
  std::vector<uint8_t> options = {47, 0, 4, 1, 3, 1, 1, 0};
  EXPECT_EQ(ReadOwnOuter(V6(60, options), false)->protocol, 47);
  std::vector<uint8_t> both = {44, 0, 4, 1, 3, 1, 1, 0,
                               41, 0, 5, 8, 0, 0, 0, 1};
  EXPECT_EQ(ReadOwnOuter(V6(60, both), false)->protocol, 41);
  EXPECT_FALSE(ReadOwnOuter(V6(60, {47, 0}), false).has_value());
}

TEST(OwnOuterTest, OnlyTheFirstFragmentHasAPort) {
  EXPECT_TRUE(ReadOwnOuter(V4(47, {}, 1), false).has_value());
  EXPECT_FALSE(ReadOwnOuter(V4(17, kUdp, 1), false).has_value());
  std::vector<uint8_t> later = {17, 0, 0, 8, 0, 0, 0, 1};
  later.insert(later.end(), kUdp.begin(), kUdp.end());
  EXPECT_FALSE(ReadOwnOuter(V6(44, later), false).has_value());
  later[3] = 1;
  EXPECT_EQ(ReadOwnOuter(V6(44, later), false)->udp_port, 4754);
}

TEST(OwnOuterTest, LooksBehindAnEthernetHeader) {
  std::vector<uint8_t> frame(14);
  const std::vector<uint8_t> packet = V4(47, {});
  frame.insert(frame.end(), packet.begin(), packet.end());
  EXPECT_EQ(ReadOwnOuter(frame, true)->protocol, 47);
  EXPECT_FALSE(ReadOwnOuter(std::vector<uint8_t>(13), true).has_value());
}

}  // namespace
}  // namespace tunnel
