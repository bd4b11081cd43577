// SegmentHint through Encapsulate and Decapsulate: partial checksums and merged
// packets, as TUN devices and packet sockets with a vnet header hand them over.

#include <gtest/gtest.h>

#include "encap/checksum.h"
#include "encap/decapsulator.h"
#include "encap/encapsulator.h"
#include "encap/packets_for_test.h"

namespace encap {
namespace {

using testing::Bytes;
using testing::Config;
using testing::InnerV4;
using testing::OwnedPacket;
using testing::Peer;
using testing::ReferenceChecksum;

// An IPv4 UDP packet whose checksum field holds the pseudo-header sum.
Bytes PartialUdp() {
  Bytes p = InnerV4();
  p[24] = 0;
  p[25] = 32;
  StoreBe16(&p[26], Be16::FromRaw(PseudoHeaderSumV4(&p[12], &p[16], 17, 32)));
  return p;
}

SegmentHint PartialHint() {
  return {.needs_checksum = true, .checksum_start = 20, .checksum_offset = 6};
}

Bytes FinishedUdp() {
  OwnedPacket packet(PartialUdp());
  packet->hint() = PartialHint();
  EXPECT_EQ(FinishChecksum(*packet), DropReason::kNone);
  return packet.bytes();
}

TEST(SegmentHintTest, FinishedUdpChecksumIsRight) {
  const Bytes p = FinishedUdp();
  Bytes summed(p.begin() + 12, p.begin() + 20);
  summed.insert(summed.end(), {0, 17, 0, 32});
  summed.insert(summed.end(), p.begin() + 20, p.end());
  EXPECT_EQ(ReferenceChecksum(summed), 0);
}

TEST(SegmentHintTest, EncapsulateCarriesAPartialChecksum) {
  const EncapConfig config = Config(Mode::kGre, IpFamily::kV6);
  OwnedPacket packet(PartialUdp());
  packet->hint() = PartialHint();
  OutputState state;
  ASSERT_EQ(Encapsulator(config).Encapsulate(*packet, state),
            DropReason::kNone);
  EXPECT_TRUE(packet->hint().needs_checksum);
  EXPECT_EQ(packet->hint().checksum_start, 44 + 20);
  EXPECT_EQ(packet->hint().checksum_offset, 6);
  ASSERT_EQ(FinishChecksum(*packet), DropReason::kNone);
  const Bytes want = FinishedUdp();
  const Bytes got = packet.bytes();
  EXPECT_EQ(Bytes(got.begin() + 44, got.end()), want);
}

TEST(SegmentHintTest, GreChecksumCoversTheFinishedBytes) {
  EncapConfig config = Config(Mode::kGre, IpFamily::kV4);
  config.checksum = true;
  OwnedPacket packet(PartialUdp());
  packet->hint() = PartialHint();
  OutputState state;
  ASSERT_EQ(Encapsulator(config).Encapsulate(*packet, state),
            DropReason::kNone);
  EXPECT_FALSE(packet->hint().needs_checksum);
  EXPECT_EQ(ReferenceChecksum(packet->bytes().subspan(20)), 0);
  const Bytes got = packet.bytes();
  EXPECT_EQ(Bytes(got.begin() + 28, got.end()), FinishedUdp());
}

TEST(SegmentHintTest, EncapsulateRefusesAHintOutsideThePacket) {
  const Encapsulator encapsulator(Config(Mode::kGif, IpFamily::kV4));
  OutputState state;
  OwnedPacket packet(PartialUdp());
  packet->hint() = PartialHint();
  packet->hint().checksum_start = 51;
  EXPECT_EQ(encapsulator.Encapsulate(*packet, state), DropReason::kTruncated);
  EXPECT_EQ(packet.bytes(), PartialUdp());
}

TEST(SegmentHintTest, SuperPacketMovesUnlessEachSegmentNeedsItsOwnHeader) {
  for (int bits = 0; bits < 4; ++bits) {
    EncapConfig config = Config(Mode::kGre, IpFamily::kV4);
    config.checksum = bits & 1;
    config.sequence = bits & 2;
    OwnedPacket packet(PartialUdp());
    packet->hint() = PartialHint();
    packet->hint().gso_type = GsoType::kUdp;
    packet->hint().gso_size = 12;
    packet->hint().header_len = 28;
    OutputState state;
    const DropReason reason = Encapsulator(config).Encapsulate(*packet, state);
    EXPECT_EQ(reason, bits ? DropReason::kTooBig : DropReason::kNone);
    if (bits) continue;
    EXPECT_EQ(packet->hint().header_len, 24 + 28);
    EXPECT_EQ(packet->hint().gso_size, 12);
  }
}

// The outer packet as a kernel on the same host hands it over: the GRE checksum
// is that of the finished bytes, and the inner one is still partial.
struct Local {
  explicit Local(bool checksum) : config(Config(Mode::kGre, IpFamily::kV4)) {
    config.checksum = checksum;
    config.output_key = 3;
    OwnedPacket packet(FinishedUdp());
    OutputState state;
    EXPECT_EQ(Encapsulator(config).Encapsulate(*packet, state),
              DropReason::kNone);
    outer = packet.bytes();
    const size_t header_len = outer.size() - 52;
    const Bytes partial = PartialUdp();
    std::copy(partial.begin(), partial.end(),
              outer.begin() + static_cast<ptrdiff_t>(header_len));
    hint = PartialHint();
    hint.checksum_start = static_cast<uint16_t>(header_len + 20);
  }

  DropReason Receive(OwnedPacket& packet) const {
    OuterInfo info;
    EXPECT_EQ(ParseOuter(packet->bytes(), true, info), DropReason::kNone);
    InputState state;
    return Decapsulator(Peer(config)).Decapsulate(*packet, info, state);
  }

  EncapConfig config;
  Bytes outer;
  SegmentHint hint;
};

TEST(SegmentHintTest, DecapsulateMovesAPartialChecksum) {
  for (const bool checksum : {false, true}) {
    const Local local(checksum);
    OwnedPacket packet(local.outer, 0, 9);
    ASSERT_NE(packet->Append(5), nullptr);  // link padding
    packet->hint() = local.hint;
    ASSERT_EQ(local.Receive(packet), DropReason::kNone);
    EXPECT_EQ(packet->hint().checksum_start, 20);
    EXPECT_TRUE(packet->hint().needs_checksum);
    EXPECT_EQ(packet.bytes(), PartialUdp());
    ASSERT_EQ(FinishChecksum(*packet), DropReason::kNone);
    EXPECT_EQ(packet.bytes(), FinishedUdp());
  }
}

TEST(SegmentHintTest, GreChecksumOverAPartialOneStillCatchesFaults) {
  const Local local(true);
  Bytes bad = local.outer;
  bad[34] ^= 1;  // in the inner IP header
  OwnedPacket packet(bad);
  packet->hint() = local.hint;
  EXPECT_EQ(local.Receive(packet), DropReason::kBadGreChecksum);
}

TEST(SegmentHintTest, DecapsulateRefusesAChecksumOfTheOuterHeaders) {
  const Local local(false);
  for (const uint16_t start : {0, 20, 27, 28 + 51}) {
    OwnedPacket packet(local.outer);
    packet->hint() = local.hint;
    packet->hint().checksum_start = start;
    EXPECT_EQ(local.Receive(packet), DropReason::kTruncated) << start;
    EXPECT_EQ(packet.bytes(), local.outer);
  }
}

TEST(SegmentHintTest, MergedPacketKeepsTheGreChecksumOfItsFirstSegment) {
  const Local local(true);
  Bytes merged = local.outer;
  merged[24] ^= 0x55;  // not that of the merged bytes
  OwnedPacket packet(merged);
  packet->hint() = local.hint;
  packet->hint().gso_type = GsoType::kUdp;
  packet->hint().gso_size = 12;
  packet->hint().header_len = 32 + 28;
  ASSERT_EQ(local.Receive(packet), DropReason::kNone);
  EXPECT_EQ(packet->hint().gso_type, GsoType::kUdp);
  EXPECT_EQ(packet->hint().gso_size, 12);
  EXPECT_EQ(packet->hint().header_len, 28);
}

TEST(SegmentHintTest, EcnMarkLeavesAPartialChecksumRight) {
  const EncapConfig config = Config(Mode::kGif, IpFamily::kV4);
  Bytes inner = PartialUdp();
  inner[1] = 2;
  OwnedPacket packet(inner);
  packet->hint() = PartialHint();
  OutputState out;
  ASSERT_EQ(Encapsulator(config).Encapsulate(*packet, out), DropReason::kNone);
  packet->data()[1] |= 3;  // marked on its way; the kernel has checked the sum
  OuterInfo info;
  ASSERT_EQ(ParseOuter(packet->bytes(), false, info), DropReason::kNone);
  InputState in;
  ASSERT_EQ(Decapsulator(Peer(config)).Decapsulate(*packet, info, in),
            DropReason::kNone);
  EXPECT_EQ(packet->data()[1], 3);
  ASSERT_EQ(FinishChecksum(*packet), DropReason::kNone);
  const Bytes finished = FinishedUdp();
  EXPECT_EQ(packet->data()[26], finished[26]);
  EXPECT_EQ(packet->data()[27], finished[27]);
}

}  // namespace
}  // namespace encap
