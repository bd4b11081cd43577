// Outer UDP packets that were merged into one: each must be decapsulated as if
// it had come alone.

#include "encap/merged_udp.h"

#include <gtest/gtest.h>

#include <vector>

#include "encap/bytes.h"
#include "encap/decapsulator.h"
#include "encap/encapsulator.h"
#include "encap/packets_for_test.h"

namespace encap {
namespace {

using testing::Bytes;
using testing::Config;
using testing::Inner;
using testing::OwnedPacket;
using testing::Peer;

constexpr ParseOptions kOptions{.any_udp_port = true};

EncapConfig UdpConfig(Mode mode, IpFamily outer) {
  EncapConfig config = Config(mode, outer);
  config.transport = OuterTransport::kUdp;
  config.udp_source_port = 50000;
  return config;
}

size_t UdpAt(const EncapConfig& config) {
  return config.remote.is_v6() ? 40 : 20;
}

Bytes Encapsulated(const EncapConfig& config, const Bytes& inner,
                   OutputState& state) {
  OwnedPacket packet(inner);
  EXPECT_EQ(Encapsulator(config).Encapsulate(*packet, state),
            DropReason::kNone);
  return packet.bytes();
}

// What the kernel makes of these: the first one's headers, the lengths of all,
// a partial UDP checksum.
Bytes Merge(const std::vector<Bytes>& packets, size_t udp_at) {
  Bytes merged = packets[0];
  for (size_t i = 1; i < packets.size(); ++i)
    merged.insert(merged.end(), packets[i].begin() + udp_at + 8,
                  packets[i].end());
  const auto udp_len = static_cast<uint16_t>(merged.size() - udp_at);
  Put16(&merged[udp_at + 4], udp_len);
  Put16(&merged[udp_at + 6], 0);  // a sum may well be zero
  if (udp_at == 40) {
    Put16(&merged[4], udp_len);
  } else {
    Put16(&merged[2], static_cast<uint16_t>(merged.size()));
    Put16(&merged[10], 0);
    Put16(&merged[10], testing::ReferenceChecksum(std::span(merged).first(20)));
  }
  return merged;
}

SegmentHint MergedHint(size_t udp_at, size_t segment) {
  return {.gso_type = GsoType::kUdp,
          .needs_checksum = true,
          .gso_size = static_cast<uint16_t>(segment),
          .checksum_start = static_cast<uint16_t>(udp_at),
          .checksum_offset = 6};
}

struct Outcome {
  DropReason reason;
  Bytes inner;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

std::vector<Outcome> TakeApart(const EncapConfig& config, const Bytes& merged,
                               const SegmentHint& hint) {
  OwnedPacket packet(merged);
  packet->hint() = hint;
  std::vector<Outcome> all;
  const Decapsulator decapsulator(Peer(config));
  InputState state;
  MergedUdp parts;
  if (!MergedUdp::Start(*packet, kOptions, parts)) return all;
  while (!parts.done()) {
    PacketBuffer part;
    OuterInfo info;
    DropReason reason = parts.Next(part, info);
    if (reason == DropReason::kNone)
      reason = decapsulator.Decapsulate(part, info, state);
    all.push_back({reason, {part.bytes().begin(), part.bytes().end()}});
    if (reason != DropReason::kNone) all.back().inner.clear();
  }
  return all;
}

TEST(MergedUdpTest, EachPacketComesOutAsIfAlone) {
  struct Case {
    Mode mode;
    IpFamily outer, inner;
    bool full;  // key, checksum and sequence
  };
  for (const Case& c :
       {Case{Mode::kGre, IpFamily::kV4, IpFamily::kV4, false},
        Case{Mode::kGre, IpFamily::kV4, IpFamily::kV6, true},
        Case{Mode::kGre, IpFamily::kV6, IpFamily::kV4, true},
        Case{Mode::kGif, IpFamily::kV4, IpFamily::kV4, false},
        Case{Mode::kGif, IpFamily::kV6, IpFamily::kV6, false}}) {
    EncapConfig config = UdpConfig(c.mode, c.outer);
    if (c.full) {
      config.input_key = config.output_key = 42;
      config.checksum = config.sequence = true;
    }
    const size_t udp_at = UdpAt(config);
    OutputState state;
    std::vector<Bytes> packets;
    std::vector<Outcome> want;
    for (size_t i = 0; i < 5; ++i) {
      // The last one is shorter.
      Bytes inner = Inner(c.inner, {.payload = i == 4 ? 9u : 100u});
      inner.back() = static_cast<uint8_t>(i);
      want.push_back({DropReason::kNone, inner});
      packets.push_back(Encapsulated(config, inner, state));
    }
    const Bytes merged = Merge(packets, udp_at);
    const SegmentHint hint = MergedHint(udp_at, packets[0].size() - udp_at - 8);
    EXPECT_EQ(TakeApart(config, merged, hint), want);
    // A network card, or fraglist GRO: nothing is partial.
    SegmentHint finished = hint;
    finished.needs_checksum = false;
    EXPECT_EQ(TakeApart(config, merged, finished), want);
    Bytes padded = merged;
    padded.resize(merged.size() + 18, 0xee);
    EXPECT_EQ(TakeApart(config, padded, hint), want) << "link padding";
  }
}

TEST(MergedUdpTest, OneBadPacketDoesNotHarmTheOthers) {
  EncapConfig config = UdpConfig(Mode::kGre, IpFamily::kV4);
  config.input_key = config.output_key = 7;
  OutputState state;
  std::vector<Bytes> packets;
  for (int i = 0; i < 4; ++i)
    packets.push_back(Encapsulated(config, testing::InnerV4(), state));
  packets[0][28 + 1] = 1;      // version 1
  packets[1][28 + 7] = 8;      // another key
  packets[2][28 + 8 + 8] = 0;  // inner TTL
  const auto got = TakeApart(config, Merge(packets, 20),
                             MergedHint(20, packets[0].size() - 28));
  ASSERT_EQ(got.size(), 4U);
  EXPECT_EQ(got[0].reason, DropReason::kBadVersion);
  EXPECT_EQ(got[1].reason, DropReason::kKeyMismatch);
  EXPECT_EQ(got[2].reason, DropReason::kTtlExpired);
  EXPECT_EQ(got[3], (Outcome{DropReason::kNone, testing::InnerV4()}));
}

TEST(MergedUdpTest, OuterEcnReachesEachPacket) {
  const EncapConfig config = UdpConfig(Mode::kGif, IpFamily::kV4);
  OutputState state;
  std::vector<Bytes> packets(
      2, Encapsulated(config, testing::InnerV4({.tos = 2}), state));
  Bytes merged = Merge(packets, 20);
  testing::SetOuterEcn(merged, 3);
  for (const Outcome& got :
       TakeApart(config, merged, MergedHint(20, packets[0].size() - 28))) {
    ASSERT_EQ(got.reason, DropReason::kNone);
    EXPECT_EQ(got.inner[1] & 3, 3) << "congestion experienced";
  }
}

TEST(MergedUdpTest, OtherPacketsAreNotTaken) {
  const EncapConfig config = UdpConfig(Mode::kGif, IpFamily::kV4);
  OutputState state;
  const Bytes one = Encapsulated(config, testing::InnerV4(), state);
  const Bytes merged = Merge({one, one}, 20);
  const SegmentHint good = MergedHint(20, one.size() - 28);
  ASSERT_EQ(TakeApart(config, merged, good).size(), 2U);
  SegmentHint hint = good;
  hint.gso_size = 0;
  EXPECT_TRUE(TakeApart(config, merged, hint).empty());
  hint = good;
  hint.gso_type = GsoType::kTcp4;
  EXPECT_TRUE(TakeApart(config, merged, hint).empty());
  hint = good;
  hint.checksum_start = 48;  // of the inner packet
  EXPECT_TRUE(TakeApart(config, merged, hint).empty());
  Bytes gre = merged;
  gre[9] = 47;
  Put16(&gre[10], 0);
  Put16(&gre[10], testing::ReferenceChecksum(std::span(gre).first(20)));
  EXPECT_TRUE(TakeApart(config, gre, good).empty());
  for (size_t len = 0; len < merged.size(); ++len) {
    const Bytes cut(merged.begin(), merged.begin() + len);
    EXPECT_TRUE(TakeApart(config, cut, good).empty()) << len;
  }
}

TEST(MergedUdpTest, SegmentSizeMayBeAnything) {
  const EncapConfig config = UdpConfig(Mode::kGif, IpFamily::kV4);
  OutputState state;
  const Bytes one = Encapsulated(config, testing::InnerV4(), state);
  const Bytes merged = Merge({one, one}, 20);
  const size_t payload = merged.size() - 28;
  for (size_t segment = 1; segment <= payload + 10; ++segment) {
    const auto got = TakeApart(config, merged, MergedHint(20, segment));
    EXPECT_EQ(got.size(), (payload + segment - 1) / segment);
  }
}

}  // namespace
}  // namespace encap
