#include "tunnel/underlay/udp_run.h"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "encap/bytes.h"

namespace tunnel {
namespace {

using Bytes = std::vector<uint8_t>;

// An outer packet with `payload` bytes behind UDP.
Bytes Packet(bool v6, size_t payload) {
  Bytes b(v6 ? 48 : 28);
  const auto udp_len = static_cast<uint16_t>(8 + payload);
  if (v6) {
    b[0] = 0x6a;
    b[1] = 0xb1;
    b[2] = 0x23;
    b[3] = 0x45;
    encap::Put16(&b[4], udp_len);
    b[6] = 17;
    b[7] = 63;
    b[8] = b[24] = 0xfd;
  } else {
    b[0] = 0x45;
    b[1] = 0xb9;
    encap::Put16(&b[2], static_cast<uint16_t>(28 + payload));
    encap::Put16(&b[6], 0x4000);
    b[8] = 64;
    b[9] = 17;
    b[12] = b[16] = 10;
  }
  uint8_t* udp = &b[b.size() - 8];
  encap::Put16(udp, 50000);
  encap::Put16(udp + 2, 4754);
  encap::Put16(udp + 4, udp_len);
  encap::Put16(udp + 6, 0x1234);
  b.resize(b.size() + payload, 0x61);
  return b;
}

bool Read(const Bytes& bytes) {
  UdpHeaders headers;
  return ReadUdpHeaders(bytes, headers);
}

TEST(ReadUdpHeadersTest, ReadsWhatTheSocketMustBeTold) {
  UdpHeaders h;
  ASSERT_TRUE(ReadUdpHeaders(Packet(false, 100), h));
  EXPECT_FALSE(h.v6);
  EXPECT_TRUE(h.dont_fragment);
  EXPECT_EQ(h.tos, 0xb9);
  EXPECT_EQ(h.ttl, 64);
  EXPECT_EQ(h.source_port, 50000);
  EXPECT_EQ(h.destination_port, 4754);
  EXPECT_EQ(h.header_len, 28);
  EXPECT_EQ(h.payload_len, 100);
  Bytes df_off = Packet(false, 100);
  df_off[6] = 0;
  ASSERT_TRUE(ReadUdpHeaders(df_off, h));
  EXPECT_FALSE(h.dont_fragment);
  ASSERT_TRUE(ReadUdpHeaders(Packet(true, 1), h));
  EXPECT_TRUE(h.v6);
  EXPECT_EQ(h.tos, 0xab);
  EXPECT_EQ(h.ttl, 63);
  EXPECT_EQ(h.flow_label, 0x12345u);
  EXPECT_EQ(h.header_len, 48);
  EXPECT_EQ(h.payload_len, 1);
}

TEST(ReadUdpHeadersTest, WhatASocketCanNotMakeIsRefused) {
  for (const bool v6 : {false, true}) {
    const Bytes good = Packet(v6, 40);
    ASSERT_TRUE(Read(good));
    const size_t udp = good.size() - 48;
    const auto refused = [&](size_t at, uint8_t value) {
      Bytes bad = good;
      bad[at] = value;
      return !Read(bad);
    };
    EXPECT_TRUE(refused(v6 ? 6 : 9, 47)) << "protocol";
    EXPECT_TRUE(refused(v6 ? 6 : 9, 60)) << "options";
    EXPECT_TRUE(refused(v6 ? 5 : 3, 1)) << "IP length";
    EXPECT_TRUE(refused(udp + 5, 9)) << "UDP length";
    EXPECT_TRUE(refused(0, 0x55)) << "version";
    if (!v6) {
      EXPECT_TRUE(refused(0, 0x46)) << "IPv4 options";
      EXPECT_TRUE(refused(6, 0x20)) << "a fragment";
    }
    Bytes bad = good;
    encap::Put16(&bad[udp], 0);
    EXPECT_FALSE(Read(bad)) << "source port";
    bad = good;
    encap::Put16(&bad[udp + 6], 0);
    EXPECT_FALSE(Read(bad)) << "checksum";
    EXPECT_FALSE(Read(Packet(v6, 0))) << "payload";
    for (size_t len = 0; len < good.size(); ++len)
      EXPECT_FALSE(Read(Bytes(good.begin(), good.begin() + len))) << len;
  }
}

class UdpRunLengthTest : public testing::Test {
 protected:
  // Of packets with these bytes of payload; `change` changes packet 1.
  size_t Length(bool v6, const std::vector<size_t>& payloads,
                const std::function<void(Bytes&)>& change = nullptr,
                bool other_route = false) {
    std::vector<Bytes> storage;
    for (const size_t payload : payloads)
      storage.push_back(Packet(v6, payload));
    if (change) change(storage[1]);
    const SendRoute route, other;
    std::vector<encap::PacketBuffer> packets;
    for (Bytes& bytes : storage) packets.emplace_back(bytes, 0, bytes.size());
    std::vector<OutgoingPacket> out;
    for (auto& packet : packets) out.push_back({&packet, &route});
    if (other_route) out[1].route = &other;
    UdpHeaders headers;
    EXPECT_TRUE(ReadUdpHeaders(storage[0], headers));
    return UdpRunLength(out, headers);
  }
};

TEST_F(UdpRunLengthTest, LastPacketAloneMayBeShorter) {
  for (const bool v6 : {false, true}) {
    EXPECT_EQ(Length(v6, {100}), 1U);
    EXPECT_EQ(Length(v6, {100, 100, 100}), 3U);
    EXPECT_EQ(Length(v6, {100, 100, 7}), 3U);
    EXPECT_EQ(Length(v6, {100, 7, 100}), 2U);
    EXPECT_EQ(Length(v6, {100, 7, 7}), 2U);
    EXPECT_EQ(Length(v6, {7, 100, 100}), 1U);
  }
}

TEST_F(UdpRunLengthTest, BoundsOfOneSuperPacket) {
  EXPECT_EQ(Length(false, std::vector<size_t>(100, 10)), 64U);
  EXPECT_EQ(Length(true, std::vector<size_t>(64, 1400)), 46U);  // 65,487 bytes
}

TEST_F(UdpRunLengthTest, EveryFieldOfTheHeadersCounts) {
  for (const bool v6 : {false, true}) {
    const std::vector<size_t> two = {100, 100};
    EXPECT_EQ(Length(v6, two, nullptr, /*other_route=*/true), 1U);
    const size_t headers = v6 ? 48 : 28;
    for (size_t at = 0; at < headers; ++at) {
      const bool differs =
          Length(v6, two, [at](Bytes& b) { b[at] ^= 0x10; }) == 1;
      const bool may_differ =
          v6 ? at >= 46
             : at == 4 || at == 5 || at == 10 || at == 11 || at >= 26;
      EXPECT_EQ(differs, !may_differ) << v6 << " byte " << at;
    }
    EXPECT_EQ(
        Length(v6, two, [&](Bytes& b) { encap::Put16(&b[headers - 2], 0); }),
        1U)
        << "no checksum";
  }
}

}  // namespace
}  // namespace tunnel
