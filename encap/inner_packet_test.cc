#include "encap/inner_packet.h"

#include <gtest/gtest.h>

#include "encap/packets_for_test.h"

namespace encap {
namespace {

using testing::Bytes;
using testing::Frame;
using testing::InnerV4;
using testing::InnerV6;

TEST(ReadInnerIpTest, ReadsBothFamilies) {
  InnerPacket inner;
  Bytes v4 = InnerV4({.tos = 0xb9, .ttl = 7, .dont_fragment = false});
  v4.resize(v4.size() + 3);  // padding behind the packet
  EXPECT_EQ(ReadInnerIp(v4, inner), DropReason::kNone);
  EXPECT_EQ(inner.family, IpFamily::kV4);
  EXPECT_EQ(inner.tos, 0xb9);
  EXPECT_EQ(inner.ttl, 7);
  EXPECT_FALSE(inner.dont_fragment);
  EXPECT_EQ(inner.ip_len, 52u);

  inner = InnerPacket();
  EXPECT_EQ(ReadInnerIp(InnerV6({.tos = 0xb9, .ttl = 8}), inner),
            DropReason::kNone);
  EXPECT_EQ(inner.family, IpFamily::kV6);
  EXPECT_EQ(inner.tos, 0xb9);
  EXPECT_EQ(inner.ttl, 8);
  EXPECT_TRUE(inner.dont_fragment);
  EXPECT_EQ(inner.ip_len, 72u);
}

TEST(ReadInnerIpTest, RefusesWhatCannotBe) {
  InnerPacket inner;
  EXPECT_EQ(ReadInnerIp({}, inner), DropReason::kTruncated);
  const Bytes v4 = InnerV4();
  EXPECT_EQ(ReadInnerIp({v4.data(), 19}, inner), DropReason::kTruncated);
  EXPECT_EQ(ReadInnerIp({v4.data(), v4.size() - 1}, inner),
            DropReason::kTruncated);
  const Bytes v6 = InnerV6();
  EXPECT_EQ(ReadInnerIp({v6.data(), 39}, inner), DropReason::kTruncated);
  EXPECT_EQ(ReadInnerIp({v6.data(), v6.size() - 1}, inner),
            DropReason::kTruncated);

  for (const uint8_t first : {0x44, 0x40, 0x05, 0x55, 0x75, 0xf5}) {
    Bytes bad = v4;
    bad[0] = first;
    EXPECT_EQ(ReadInnerIp(bad, inner), DropReason::kBadIpHeader) << +first;
  }
  Bytes bad = v4;
  bad[0] = 0x46;  // 24 bytes of header
  bad[3] = 23;    // and 23 in total
  EXPECT_EQ(ReadInnerIp(bad, inner), DropReason::kBadIpHeader);
}

TEST(ReadInnerFrameTest, FindsIpBehindAtMostOneTag) {
  for (int tags = 0; tags <= 2; ++tags) {
    InnerPacket inner;
    EXPECT_EQ(ReadInnerFrame(Frame(0x0800, InnerV4({.ttl = 9}), tags), inner),
              DropReason::kNone);
    EXPECT_EQ(inner.family, tags < 2 ? IpFamily::kV4 : IpFamily::kNone);
    if (tags == 2) continue;
    EXPECT_EQ(inner.ip_offset, 14 + 4 * tags);
    EXPECT_EQ(inner.ttl, 9);
  }
}

TEST(ReadInnerFrameTest, LeavesAllElseAlone) {
  Bytes liar = Frame(0x0800, InnerV6());
  Bytes broken = Frame(0x86dd, Bytes(10, 0x60));
  Bytes arp = Frame(0x0806, Bytes(28, 1));
  Bytes bare_tag = Frame(0x8100, Bytes(2, 0));
  for (const Bytes& frame : {liar, broken, arp, bare_tag}) {
    InnerPacket inner;
    EXPECT_EQ(ReadInnerFrame(frame, inner), DropReason::kNone);
    EXPECT_EQ(inner.family, IpFamily::kNone);
  }
  InnerPacket inner;
  EXPECT_EQ(ReadInnerFrame(Bytes(13, 0), inner), DropReason::kTruncated);
  EXPECT_EQ(ReadInnerFrame(Bytes(14, 0), inner), DropReason::kNone);
}

TEST(SetInnerTosTest, ChangesTosAloneAndMendsTheChecksum) {
  for (int tos = 0; tos < 256; ++tos) {
    const auto t = static_cast<uint8_t>(tos);
    Bytes v4 = InnerV4({.tos = 0x47});
    SetInnerTos(v4.data(), IpFamily::kV4, t);
    EXPECT_EQ(v4, InnerV4({.tos = t}));
    Bytes v6 = InnerV6({.tos = 0x47});
    SetInnerTos(v6.data(), IpFamily::kV6, t);
    EXPECT_EQ(v6, InnerV6({.tos = t}));
  }
}

}  // namespace
}  // namespace encap
