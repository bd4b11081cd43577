// UDP in front of GRE (RFC 8086) or of the inner packet: bytes that are sent,
// what is accepted, and who verifies what.

#include "encap/wire/udp.h"

#include <gtest/gtest.h>

#include <set>

#include "encap/checksum.h"
#include "encap/decapsulator.h"
#include "encap/encapsulator.h"
#include "encap/packets_for_test.h"

namespace encap {
namespace {

using testing::Bytes;
using testing::Config;
using testing::Frame;
using testing::FromHex;
using testing::Inner;
using testing::InnerV4;
using testing::OwnedPacket;
using testing::Peer;
using testing::ToHex;

constexpr IpFamily kFamilies[] = {IpFamily::kV4, IpFamily::kV6};
constexpr ParseOptions kAnyPort{.any_udp_port = true};
constexpr char kInner[] =
    "45000020000140003f1127c70a0100010a02000203e807d0000c1b5261626364";

EncapConfig UdpConfig(Mode mode, IpFamily outer) {
  EncapConfig config = Config(mode, outer);
  config.transport = OuterTransport::kUdp;
  config.udp_source_port = 50000;
  return config;
}

size_t IpLen(const EncapConfig& config) {
  return config.remote.is_v6() ? 40 : 20;
}

Bytes Send(const EncapConfig& config, const Bytes& inner) {
  OutputState state;
  OwnedPacket packet(inner);
  EXPECT_EQ(Encapsulator(config).Encapsulate(*packet, state),
            DropReason::kNone);
  return packet.bytes();
}

uint16_t SourcePort(const EncapConfig& config, const Bytes& inner) {
  return ConstUdpHeader(Send(config, inner).data() + IpLen(config))
      .source_port();
}

// What the receiver of `config`'s packets makes of these bytes.
DropReason Receive(const EncapConfig& config, const Bytes& outer,
                   const SegmentHint& hint = {}, Bytes* inner = nullptr) {
  OwnedPacket packet(outer);
  packet->hint() = hint;
  OuterInfo info;
  const DropReason parsed = ParseOuter(packet->bytes(), kAnyPort, info);
  if (parsed != DropReason::kNone) return parsed;
  InputState state;
  const DropReason reason =
      Decapsulator(Peer(config)).Decapsulate(*packet, info, state);
  if (inner != nullptr) *inner = packet.bytes();
  return reason;
}

TEST(UdpTest, GoldenBytes) {
  EncapConfig gre4 = UdpConfig(Mode::kGre, IpFamily::kV4);
  gre4.output_key = 42;
  EXPECT_EQ(Send(gre4, FromHex(kInner)),
            FromHex("45000044000140004011b6a4c0000201c0000202 c3501292003091a0"
                    "200008000000002a" +
                    std::string(kInner)));
  EXPECT_EQ(
      Send(UdpConfig(Mode::kGif, IpFamily::kV4), FromHex(kInner)),
      FromHex("4500003c000140004011b6acc0000201c0000202 c35015b30028b6b9" +
              std::string(kInner)));

  EncapConfig gre6 = UdpConfig(Mode::kGre, IpFamily::kV6);
  gre6.output_key = 42;
  gre6.checksum = gre6.sequence = true;
  Bytes sent = Send(gre6, FromHex(kInner));
  sent[1] = sent[2] = sent[3] = 0;  // the flow label
  EXPECT_EQ(ToHex(sent),
            ToHex(FromHex("600000000038114020010db8000000000000000000000001"
                          "20010db8000000000000000000000002 c35012920038ce26"
                          "b00008005bf80000 0000002a 00000000" +
                          std::string(kInner))));
}

TEST(UdpTest, PortsAreThoseOfTheConfiguration) {
  EncapConfig config = UdpConfig(Mode::kGif, IpFamily::kV4);
  EXPECT_EQ(UdpPort(config), 5555);
  EXPECT_EQ(UdpPort(UdpConfig(Mode::kGretap, IpFamily::kV4)), 4754);
  EXPECT_EQ(UdpPort(Config(Mode::kGre, IpFamily::kV4)), 0);
  config.udp_port = 65535;
  config.udp_source_port = 1;
  const Bytes sent = Send(config, InnerV4());
  const ConstUdpHeader udp(sent.data() + 20);
  EXPECT_EQ(udp.destination_port(), 65535);
  EXPECT_EQ(udp.source_port(), 1);
  EXPECT_EQ(udp.length(), sent.size() - 20);
}

// RFC 8086 3.2.1: one flow has one port, of the ephemeral range.
TEST(UdpTest, SourcePortIsThatOfTheInnerFlow) {
  for (const IpFamily outer : kFamilies) {
    EncapConfig config = UdpConfig(Mode::kGre, outer);
    config.udp_source_port = 0;
    std::set<uint16_t> ports;
    for (uint8_t flow = 0; flow < 64; ++flow) {
      Bytes inner = InnerV4();
      inner[21] = flow;  // source port
      const uint16_t port = SourcePort(config, inner);
      EXPECT_GE(port, 49152);
      inner[40] ^= 0xff;  // payload
      EXPECT_EQ(SourcePort(config, inner), port);
      ports.insert(port);
    }
    EXPECT_GE(ports.size(), 60u);
  }
  EncapConfig tap = UdpConfig(Mode::kGretap, IpFamily::kV4);
  tap.udp_source_port = 0;
  EXPECT_NE(SourcePort(tap, Frame(0x0806, Bytes(28, 1))),
            SourcePort(tap, Frame(0x0800, InnerV4())));
}

TEST(UdpTest, ChecksumOfZeroIsSentAsAllOnes) {
  for (const bool gre_checksum : {false, true}) {
    EncapConfig config = UdpConfig(Mode::kGre, IpFamily::kV4);
    config.checksum = gre_checksum;
    size_t all_ones = 0;
    // One of the source ports makes the sum come out as zero.
    for (uint32_t port = 1; port <= 0xffff; ++port) {
      config.udp_source_port = static_cast<uint16_t>(port);
      const Bytes sent = Send(config, FromHex(kInner));
      const Be16 checksum = ConstUdpHeader(sent.data() + 20).checksum();
      ASSERT_NE(checksum.host(), 0) << port;
      if (checksum.host() != 0xffff) continue;
      ++all_ones;
      EXPECT_EQ(Receive(config, sent), DropReason::kNone);
    }
    EXPECT_EQ(all_ones, 1u);
  }
}

TEST(UdpTest, ChecksumIsLeftOutOverIpv4WhereAskedFor) {
  EncapConfig config = UdpConfig(Mode::kGre, IpFamily::kV4);
  config.udp_zero_checksum = true;
  Bytes sent = Send(config, InnerV4());
  EXPECT_EQ(ConstUdpHeader(sent.data() + 20).checksum().host(), 0);
  EXPECT_EQ(Receive(config, sent), DropReason::kNone);
  sent.back() ^= 1;  // nothing covers it
  EXPECT_EQ(Receive(config, sent), DropReason::kNone);
}

TEST(UdpTest, WrongChecksumIsDropped) {
  for (const IpFamily outer : kFamilies) {
    for (const Mode mode : {Mode::kGif, Mode::kGre}) {
      const EncapConfig config = UdpConfig(mode, outer);
      Bytes sent = Send(config, InnerV4());
      EXPECT_EQ(Receive(config, sent), DropReason::kNone);
      sent.back() ^= 1;
      EXPECT_EQ(Receive(config, sent), DropReason::kBadOuterChecksum);
    }
  }
}

// RFC 8200 8.1, RFC 6935 5: zero is refused over IPv6.
TEST(UdpTest, NoChecksumOverIpv6IsDropped) {
  const EncapConfig config = UdpConfig(Mode::kGre, IpFamily::kV6);
  Bytes sent = Send(config, InnerV4());
  sent[46] = sent[47] = 0;
  EXPECT_EQ(Receive(config, sent), DropReason::kBadOuterChecksum);
}

TEST(UdpTest, ParseTellsThePayloadByItsFirstBits) {
  const struct {
    uint8_t first;
    DropReason reason;
    uint8_t protocol;
  } cases[] = {{0x45, DropReason::kNone, kProtoIpip},
               {0x60, DropReason::kNone, kProtoIpv6},
               {0x00, DropReason::kNone, kProtoGre},
               {0x50, DropReason::kUnsupportedFlags, 0}};
  for (const auto& c : cases) {
    EncapConfig config = UdpConfig(Mode::kGif, IpFamily::kV4);
    config.udp_zero_checksum = true;
    Bytes sent = Send(config, InnerV4());
    sent[28] = c.first;
    sent[29] = 0;
    OuterInfo info;
    EXPECT_EQ(ParseOuter(sent, kAnyPort, info), c.reason);
    if (c.reason != DropReason::kNone) continue;
    EXPECT_EQ(info.protocol, c.protocol);
    EXPECT_EQ(info.udp_port, 5555);
    EXPECT_EQ(info.ip_header_len, 20);
    EXPECT_EQ(info.header_len, c.protocol == kProtoGre ? 32 : 28);
    EXPECT_FALSE(info.has_udp_checksum);
  }
}

TEST(UdpTest, ParseTakesTheGivenPortsAlone) {
  const Bytes sent = Send(UdpConfig(Mode::kGre, IpFamily::kV4), InnerV4());
  const uint16_t other[] = {5555, 4753};
  const uint16_t both[] = {5555, 4754};
  OuterInfo info;
  EXPECT_EQ(ParseOuter(sent, true, info), DropReason::kUnknownProtocol);
  EXPECT_EQ(ParseOuter(sent, ParseOptions{.udp_ports = other}, info),
            DropReason::kUnknownProtocol);
  EXPECT_EQ(ParseOuter(sent, ParseOptions{.udp_ports = both}, info),
            DropReason::kNone);
  Bytes zero = sent;
  zero[22] = zero[23] = 0;  // destination port
  EXPECT_EQ(ParseOuter(zero, kAnyPort, info), DropReason::kUnknownProtocol);
}

TEST(UdpTest, LengthsThatCanNotBeAreTruncated) {
  const EncapConfig config = UdpConfig(Mode::kGif, IpFamily::kV4);
  const Bytes sent = Send(config, InnerV4());
  OuterInfo info;
  for (const int length : {0, 7, 8, static_cast<int>(sent.size() - 19)}) {
    Bytes wrong = sent;
    Put16(&wrong[24], static_cast<uint16_t>(length));
    EXPECT_EQ(ParseOuter(wrong, kAnyPort, info), DropReason::kTruncated)
        << length;
  }
  // A shorter one ends the payload there.
  Bytes shorter = sent;
  Put16(&shorter[24], 8 + 20);
  ASSERT_EQ(ParseOuter(shorter, kAnyPort, info), DropReason::kNone);
  EXPECT_EQ(info.total_len, 20u + 8 + 20);
}

// A tunnel gets what its mode carries, though a port serves every kind.
TEST(UdpTest, ModeRefusesOtherPayloads) {
  const Bytes gre = Send(UdpConfig(Mode::kGre, IpFamily::kV4), InnerV4());
  const Bytes plain = Send(UdpConfig(Mode::kGif, IpFamily::kV4), InnerV4());
  EXPECT_EQ(Receive(UdpConfig(Mode::kGif, IpFamily::kV4), gre),
            DropReason::kUnknownProtocol);
  EXPECT_EQ(Receive(UdpConfig(Mode::kGre, IpFamily::kV4), plain),
            DropReason::kUnknownProtocol);
  EXPECT_EQ(Receive(UdpConfig(Mode::kSit, IpFamily::kV4), plain),
            DropReason::kUnknownProtocol);
}

TEST(UdpTest, PartialInnerChecksumIsFinishedWhereOneCoversIt) {
  for (const bool zero : {false, true}) {
    EncapConfig config = UdpConfig(Mode::kGre, IpFamily::kV4);
    config.udp_zero_checksum = zero;
    OwnedPacket packet(FromHex(kInner));
    StoreBe16(packet->data() + 26,
              Be16::FromRaw(PseudoHeaderSumV4(packet->data() + 12,
                                              packet->data() + 16, 17, 12)));
    packet->hint() = {
        .needs_checksum = true, .checksum_start = 20, .checksum_offset = 6};
    OutputState state;
    ASSERT_EQ(Encapsulator(config).Encapsulate(*packet, state),
              DropReason::kNone);
    EXPECT_EQ(packet->hint().needs_checksum, zero);
    Bytes inner;
    EXPECT_EQ(Receive(config, packet.bytes(), packet->hint(), &inner),
              DropReason::kNone);
    EXPECT_EQ(inner == FromHex(kInner), !zero);
  }
}

TEST(UdpTest, SuperPacketIsRefused) {
  EncapConfig config = UdpConfig(Mode::kGif, IpFamily::kV4);
  config.udp_zero_checksum = true;
  OwnedPacket packet(InnerV4());
  packet->hint() = {.gso_type = GsoType::kUdp, .gso_size = 12};
  OutputState state;
  EXPECT_EQ(Encapsulator(config).Encapsulate(*packet, state),
            DropReason::kTooBig);
}

// A Linux tunnel on the same host leaves its UDP checksum to a device that
// never comes.
TEST(UdpTest, PartialOuterChecksumIsTakenAsRight) {
  const EncapConfig config = UdpConfig(Mode::kGif, IpFamily::kV4);
  Bytes sent = Send(config, InnerV4());
  sent[26] ^= 0x55;
  const SegmentHint hint{
      .needs_checksum = true, .checksum_start = 20, .checksum_offset = 6};
  Bytes inner;
  EXPECT_EQ(Receive(config, sent), DropReason::kBadOuterChecksum);
  EXPECT_EQ(Receive(config, sent, hint, &inner), DropReason::kNone);
  EXPECT_EQ(inner, InnerV4());
}

// UDP that the kernel has merged, or never cut: the boundaries are those of the
// outer packets.
TEST(UdpTest, ManyOuterPacketsAsOneAreRefused) {
  EncapConfig config = UdpConfig(Mode::kGif, IpFamily::kV4);
  Bytes two = Send(config, InnerV4());
  const Bytes second = InnerV4();
  two.insert(two.end(), second.begin(), second.end());
  Put16(&two[2], static_cast<uint16_t>(two.size()));
  Put16(&two[24], static_cast<uint16_t>(two.size() - 20));
  StoreBe16(&two[10], Be16(0));
  StoreBe16(&two[10], InternetChecksum(std::span(two).first(20)));
  SegmentHint hint{.gso_type = GsoType::kUdp, .gso_size = 52};
  EXPECT_EQ(Receive(config, two, hint), DropReason::kTruncated);
  hint.needs_checksum = true;
  hint.checksum_start = 20;
  hint.checksum_offset = 6;
  EXPECT_EQ(Receive(config, two, hint), DropReason::kTruncated);
}

TEST(UdpTest, AllowedSourcesJudgeTheInnerPacket) {
  EncapConfig config = Config(Mode::kGif, IpFamily::kV4);
  config.allowed_sources = {*IpPrefix::Parse("10.1.0.0/24")};
  EXPECT_EQ(Receive(config, Send(config, InnerV4())), DropReason::kNone);
  // 10.1.0.1 and fd00:1::1 are the sources.
  EXPECT_EQ(Receive(config, Send(config, Inner(IpFamily::kV6))),
            DropReason::kWrongSource);
  config.allowed_sources = {*IpPrefix::Parse("10.1.1.0/24"),
                            *IpPrefix::Parse("fd00:1::/64")};
  EXPECT_EQ(Receive(config, Send(config, InnerV4())), DropReason::kWrongSource);
  EXPECT_EQ(Receive(config, Send(config, Inner(IpFamily::kV6))),
            DropReason::kNone);
}

}  // namespace
}  // namespace encap
