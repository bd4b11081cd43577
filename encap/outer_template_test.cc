#include "encap/outer_template.h"

#include <gtest/gtest.h>

#include <random>

#include "encap/packets_for_test.h"

namespace encap {
namespace {

using testing::Bytes;
using testing::Config;
using testing::FromHex;
using testing::Ipv4HeaderIsRight;
using testing::OwnedPacket;
using testing::ReferenceChecksum;
using testing::ToHex;

TEST(OuterTemplateTest, WritesIpv4WithAllGreFields) {
  EncapConfig config = Config(Mode::kGre, IpFamily::kV4);
  config.output_key = 0x0a0b0c0d;
  config.checksum = true;
  config.sequence = true;
  const OuterTemplate outer(config, {47, 0x0800});
  EXPECT_EQ(outer.header_len(), 36u);
  OwnedPacket packet(FromHex("aabbcc"));
  outer.Write(*packet, {.tos = 0xb9,
                        .ttl = 63,
                        .dont_fragment = true,
                        .ipv4_id = 0x1234,
                        .sequence = 7});
  Bytes want = FromHex(
      "45b9 0027 1234 4000 3f2f 0000 c0000201 c0000202"
      "b000 0800 0000 0000 0a0b0c0d 00000007 aabbcc");
  const uint16_t ip = ReferenceChecksum({want.data(), 20});
  want[10] = static_cast<uint8_t>(ip >> 8);
  want[11] = static_cast<uint8_t>(ip);
  const uint16_t gre = ReferenceChecksum({want.data() + 20, 19});
  want[24] = static_cast<uint8_t>(gre >> 8);
  want[25] = static_cast<uint8_t>(gre);
  EXPECT_EQ(ToHex(packet->bytes()), ToHex(want));
}

TEST(OuterTemplateTest, WritesIpv6) {
  const OuterTemplate outer(Config(Mode::kGif, IpFamily::kV6), {41, 0});
  OwnedPacket packet(FromHex("aabbcc"));
  outer.Write(*packet, {.tos = 0xb9, .ttl = 63, .flow_label = 0xfff12345});
  EXPECT_EQ(ToHex(packet->bytes()),
            ToHex(FromHex("6b912345 0003 29 3f"
                          "20010db8000000000000000000000001"
                          "20010db8000000000000000000000002 aabbcc")));
}

TEST(OuterTemplateTest, HeaderChecksumIsRightForAllFields) {
  std::mt19937 random(11);
  for (int i = 0; i < 20000; ++i) {
    EncapConfig config = Config(Mode::kGif, IpFamily::kV4);
    const auto word = static_cast<uint32_t>(random());
    const uint8_t host[4] = {10, static_cast<uint8_t>(word >> 16),
                             static_cast<uint8_t>(word >> 8),
                             static_cast<uint8_t>(word)};
    config.remote = IpAddress::V4(host);
    OwnedPacket packet(Bytes(random() % 1500, 0));
    const auto protocol = static_cast<uint8_t>(random() % 2 ? 4 : 41);
    OuterTemplate(config, {protocol, 0})
        .Write(*packet, {.tos = static_cast<uint8_t>(random()),
                         .ttl = static_cast<uint8_t>(random()),
                         .dont_fragment = random() % 2 == 0,
                         .ipv4_id = static_cast<uint16_t>(random())});
    ASSERT_TRUE(Ipv4HeaderIsRight(packet->bytes()));
  }
}

// The wide copy needs 64 bytes of headroom; with less the result is the same
// and nothing is written before the header.
TEST(OuterTemplateTest, SmallHeadroomGivesTheSameHeader) {
  EncapConfig config = Config(Mode::kGre, IpFamily::kV6);
  config.output_key = 5;
  config.sequence = true;
  const OuterTemplate outer(config, {47, 0x86dd});
  const Bytes payload = FromHex("aabbcc");
  OwnedPacket roomy(payload);
  outer.Write(*roomy, {.ttl = 1, .sequence = 3});
  for (size_t headroom = outer.header_len(); headroom < 70; ++headroom) {
    OwnedPacket tight(payload, headroom);
    outer.Write(*tight, {.ttl = 1, .sequence = 3});
    EXPECT_EQ(tight.bytes(), roomy.bytes()) << headroom;
  }
}

}  // namespace
}  // namespace encap
