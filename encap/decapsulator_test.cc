#include "encap/decapsulator.h"

#include <gtest/gtest.h>

#include <functional>

#include "encap/encapsulator.h"
#include "encap/packets_for_test.h"

namespace encap {
namespace {

using testing::Addr;
using testing::Bytes;
using testing::Config;
using testing::Frame;
using testing::Inner;
using testing::InnerV4;
using testing::InnerV6;
using testing::Ipv4HeaderIsRight;
using testing::OwnedPacket;
using testing::Peer;
using testing::SetOuterEcn;

constexpr IpFamily kFamilies[] = {IpFamily::kV4, IpFamily::kV6};

Bytes Outer(const EncapConfig& config, const Bytes& inner,
            OutputState state = {}) {
  OwnedPacket packet(inner);
  EXPECT_EQ(Encapsulator(config).Encapsulate(*packet, state),
            DropReason::kNone);
  return packet.bytes();
}

struct Result {
  DropReason reason;
  Bytes bytes;
};

// `config` is that of the receiver. A drop must leave packet and state alone.
Result Receive(const EncapConfig& config, const Bytes& outer,
               InputState& state) {
  OuterInfo info;
  OwnedPacket packet(outer);
  const DropReason parsed = ParseOuter(packet->bytes(), true, info);
  if (parsed != DropReason::kNone) return {parsed, {}};
  const InputState before = state;
  const DropReason reason =
      Decapsulator(config).Decapsulate(*packet, info, state);
  if (reason != DropReason::kNone) {
    EXPECT_EQ(packet.bytes(), outer);
    EXPECT_EQ(state.seen_sequence, before.seen_sequence);
    EXPECT_EQ(state.last_sequence, before.last_sequence);
  }
  return {reason, packet.bytes()};
}

Result Receive(const EncapConfig& config, const Bytes& outer) {
  InputState state;
  return Receive(config, outer, state);
}

// RFC 6040 figure 4 over the wire: each of the 16 cells, for every mix of
// families and for plain and GRE tunnels. Columns Not-ECT, ECT(1), ECT(0), CE.
constexpr int kDrop = -1;
constexpr int kFigure4[4][4] = {
    {0, 0, 0, kDrop}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};

TEST(DecapsulatorTest, EcnTableIsAppliedToTheInnerHeader) {
  for (const Mode mode : {Mode::kGif, Mode::kGre}) {
    for (const IpFamily outer : kFamilies) {
      for (const IpFamily family : kFamilies) {
        for (uint8_t in = 0; in < 4; ++in) {
          for (uint8_t out = 0; out < 4; ++out) {
            const EncapConfig config = Config(mode, outer);
            const auto tos = static_cast<uint8_t>(0xb8 | in);
            Bytes p = Outer(config, Inner(family, {.tos = tos}));
            SetOuterEcn(p, out);
            const Result r = Receive(Peer(config), p);
            if (kFigure4[in][out] == kDrop) {
              EXPECT_EQ(r.reason, DropReason::kEcnIllegal);
              continue;
            }
            ASSERT_EQ(r.reason, DropReason::kNone);
            const auto want = static_cast<uint8_t>(0xb8 | kFigure4[in][out]);
            EXPECT_EQ(r.bytes, Inner(family, {.tos = want}))
                << +in << " under " << +out;
          }
        }
      }
    }
  }
}

TEST(DecapsulatorTest, EcnTableIsAppliedInsideFrames) {
  const EncapConfig config = Config(Mode::kGretap, IpFamily::kV4);
  for (int tags = 0; tags < 2; ++tags) {
    Bytes p = Outer(config, Frame(0x0800, InnerV4({.tos = 2}), tags));
    SetOuterEcn(p, 3);
    const Result r = Receive(Peer(config), p);
    EXPECT_EQ(r.reason, DropReason::kNone);
    EXPECT_EQ(r.bytes, Frame(0x0800, InnerV4({.tos = 3}), tags));

    p = Outer(config, Frame(0x86dd, InnerV6(), tags));
    SetOuterEcn(p, 3);
    EXPECT_EQ(Receive(Peer(config), p).reason, DropReason::kEcnIllegal);
  }
  // Nothing in an ARP frame can carry the mark, and two tags are not looked
  // through.
  for (const Bytes& frame :
       {Frame(0x0806, Bytes(28, 0)), Frame(0x0800, InnerV4(), 2)}) {
    Bytes p = Outer(config, frame);
    SetOuterEcn(p, 3);
    const Result r = Receive(Peer(config), p);
    EXPECT_EQ(r.reason, DropReason::kNone);
    EXPECT_EQ(r.bytes, frame);
  }
}

TEST(DecapsulatorTest, KeyIsMatchedWithItsPresence) {
  using Key = std::optional<uint32_t>;
  const struct {
    Key configured, sent;
    DropReason reason;
  } cases[] = {
      {std::nullopt, std::nullopt, DropReason::kNone},
      {0, 0, DropReason::kNone},
      {42, 42, DropReason::kNone},
      {0, std::nullopt, DropReason::kKeyMissing},
      {42, std::nullopt, DropReason::kKeyMissing},
      {std::nullopt, 0, DropReason::kKeyUnexpected},
      {42, 43, DropReason::kKeyMismatch},
      {0, 1, DropReason::kKeyMismatch},
  };
  for (const auto& c : cases) {
    EncapConfig config = Config(Mode::kGre, IpFamily::kV4);
    config.output_key = c.sent;
    EncapConfig receiver = Peer(config);
    receiver.input_key = c.configured;
    EXPECT_EQ(Receive(receiver, Outer(config, InnerV4())).reason, c.reason);
  }
}

TEST(DecapsulatorTest, GreChecksumIsVerifiedWhereverItIsPresent) {
  for (const IpFamily outer : kFamilies) {
    EncapConfig config = Config(Mode::kGre, outer);
    config.checksum = true;
    config.output_key = 1;
    const Bytes good = Outer(config, InnerV6({.payload = 33}));
    EncapConfig receiver = Peer(config);
    receiver.checksum = false;  // not sent, and still verified
    EXPECT_EQ(Receive(receiver, good).reason, DropReason::kNone);
    // Every bit from Reserved1 on.
    const size_t gre = outer == IpFamily::kV4 ? 20 : 40;
    for (size_t at = gre + 4; at < good.size(); ++at) {
      Bytes bad = good;
      bad[at] ^= 0x10;
      EXPECT_EQ(Receive(receiver, bad).reason, DropReason::kBadGreChecksum)
          << at;
    }
    Bytes padded = good;
    padded.resize(padded.size() + 7, 0xee);
    const Result r = Receive(receiver, padded);
    EXPECT_EQ(r.reason, DropReason::kNone) << "padding is not summed";
    EXPECT_EQ(r.bytes, InnerV6({.payload = 33}));
  }
}

TEST(DecapsulatorTest, SequenceMustAdvanceModulo2To32) {
  EncapConfig config = Config(Mode::kGre, IpFamily::kV4);
  config.sequence = true;
  InputState state;
  const struct {
    uint32_t sequence;
    bool accepted;
  } steps[] = {
      {5, true},                       // the first one, whatever it is
      {5, false},                      // again
      {4, false},                      // older
      {6, true},                       // next
      {100, true},                     // a gap
      {99, false},                     // late
      {0x80000065, false},             // 2^31 + 1 ahead lies 2^31 - 1 behind
      {0x80000064, true},              // 2^31 ahead is the last newer one
      {0xffffffff, true},  {0, true},  // wraps
      {0xffffffff, false},
  };
  for (const auto& step : steps) {
    const Bytes p =
        Outer(config, InnerV4(), OutputState{.next_sequence = step.sequence});
    EXPECT_EQ(Receive(Peer(config), p, state).reason,
              step.accepted ? DropReason::kNone : DropReason::kOutOfOrder)
        << step.sequence;
  }
}

TEST(DecapsulatorTest, SequenceIsRequiredOnlyWhereConfigured) {
  EncapConfig with = Config(Mode::kGre, IpFamily::kV6);
  with.sequence = true;
  const EncapConfig without = Config(Mode::kGre, IpFamily::kV6);
  EXPECT_EQ(Receive(Peer(with), Outer(without, InnerV4())).reason,
            DropReason::kOutOfOrder);
  InputState state;
  const Bytes p = Outer(with, InnerV4());
  EXPECT_EQ(Receive(Peer(without), p, state).reason, DropReason::kNone);
  EXPECT_EQ(Receive(Peer(without), p, state).reason, DropReason::kNone);
  EXPECT_FALSE(state.seen_sequence);
}

TEST(DecapsulatorTest, ADroppedPacketDoesNotAdvanceTheSequence) {
  EncapConfig config = Config(Mode::kGre, IpFamily::kV4);
  config.sequence = true;
  InputState state;
  Bytes p = Outer(config, InnerV4(), OutputState{.next_sequence = 9});
  SetOuterEcn(p, 3);
  EXPECT_EQ(Receive(Peer(config), p, state).reason, DropReason::kEcnIllegal);
  p = Outer(config, InnerV4(), OutputState{.next_sequence = 8});
  EXPECT_EQ(Receive(Peer(config), p, state).reason, DropReason::kNone);
}

TEST(DecapsulatorTest, ModesTakeTheirPayloadsAlone) {
  const struct {
    Mode mode;
    bool v4, v6;
  } plain[] = {{Mode::kGif, true, true},
               {Mode::kIpip, true, false},
               {Mode::kSit, false, true},
               {Mode::kGre, false, false},
               {Mode::kGretap, false, false}};
  const EncapConfig gif = Config(Mode::kGif, IpFamily::kV4);
  for (const auto& c : plain) {
    const EncapConfig receiver = Peer(Config(c.mode, IpFamily::kV4));
    EXPECT_EQ(Receive(receiver, Outer(gif, InnerV4())).reason,
              c.v4 ? DropReason::kNone : DropReason::kUnknownProtocol);
    EXPECT_EQ(Receive(receiver, Outer(gif, InnerV6())).reason,
              c.v6 ? DropReason::kNone : DropReason::kUnknownProtocol);
  }
  const EncapConfig gif6 = Config(Mode::kGif, IpFamily::kV6);
  const EncapConfig ip6ip6 = Peer(Config(Mode::kIp6ip6, IpFamily::kV6));
  EXPECT_EQ(Receive(ip6ip6, Outer(gif6, InnerV6())).reason, DropReason::kNone);
  EXPECT_EQ(Receive(ip6ip6, Outer(gif6, InnerV4())).reason,
            DropReason::kUnknownProtocol);

  const EncapConfig gre = Config(Mode::kGre, IpFamily::kV4);
  const EncapConfig tap = Config(Mode::kGretap, IpFamily::kV4);
  EXPECT_EQ(Receive(Peer(gif), Outer(gre, InnerV4())).reason,
            DropReason::kUnknownProtocol);
  EXPECT_EQ(Receive(Peer(tap), Outer(gre, InnerV4())).reason,
            DropReason::kUnknownProtocol);
  EXPECT_EQ(Receive(Peer(gre), Outer(tap, Frame(0x0800, InnerV4()))).reason,
            DropReason::kUnknownProtocol);
  Bytes mpls = Outer(gre, InnerV4());
  mpls[22] = 0x88;
  mpls[23] = 0x47;
  EXPECT_EQ(Receive(Peer(gre), mpls).reason, DropReason::kUnknownProtocol);
}

TEST(DecapsulatorTest, JudgesTheInnerPacket) {
  const EncapConfig config = Config(Mode::kGif, IpFamily::kV4);
  const struct {
    const char* name;
    std::function<void(Bytes&)> change;  // offset 20 is the inner header
    DropReason reason;
  } cases[] = {
      {"other version", [](Bytes& p) { p[20] = 0x65; }, DropReason::kTruncated},
      {"version 5", [](Bytes& p) { p[20] = 0x55; }, DropReason::kBadIpHeader},
      {"IHL 4", [](Bytes& p) { p[20] = 0x44; }, DropReason::kBadIpHeader},
      {"inner total above the payload", [](Bytes& p) { ++p[23]; },
       DropReason::kTruncated},
      {"source 0.0.0.0", [](Bytes& p) { p[32] = p[33] = p[34] = p[35] = 0; },
       DropReason::kMartianSource},
      {"source 127.1.0.1", [](Bytes& p) { p[32] = 127; },
       DropReason::kMartianSource},
      {"source 224.1.0.1", [](Bytes& p) { p[32] = 224; },
       DropReason::kMartianSource},
      {"source 255.255.255.255",
       [](Bytes& p) { p[32] = p[33] = p[34] = p[35] = 255; },
       DropReason::kMartianSource},
  };
  for (const auto& c : cases) {
    Bytes p = Outer(config, InnerV4());
    c.change(p);
    EXPECT_EQ(Receive(Peer(config), p).reason, c.reason) << c.name;
  }
  // An IPv6 packet announced as IPv4.
  Bytes liar = Outer(config, InnerV6());
  liar[9] = 4;
  SetOuterEcn(liar, 0);
  EXPECT_EQ(Receive(Peer(config), liar).reason, DropReason::kBadIpHeader);

  const std::pair<const char*, DropReason> sources[] = {
      {"::", DropReason::kNone},
      {"::1", DropReason::kMartianSource},
      {"ff02::1", DropReason::kMartianSource},
      {"::10.0.0.1", DropReason::kMartianSource},
      {"::ffff:10.0.0.1", DropReason::kMartianSource},
      {"::fffe:10.0.0.1", DropReason::kNone},
      {"64:ff9b::10.0.0.1", DropReason::kNone},
      {"0:0:0:0:1::1", DropReason::kNone},
      {"fe80::1", DropReason::kNone},
  };
  for (const auto& [source, reason] : sources) {
    Bytes p = Outer(config, InnerV6());
    const IpAddress a = Addr(source);
    std::copy(a.bytes().begin(), a.bytes().end(), p.begin() + 28);
    EXPECT_EQ(Receive(Peer(config), p).reason, reason) << source;
  }
}

TEST(DecapsulatorTest, FramesMayComeFromUnspecifiedAddresses) {
  const EncapConfig config = Config(Mode::kGretap, IpFamily::kV4);
  Bytes dhcp = Frame(0x0800, InnerV4());
  std::fill_n(dhcp.begin() + 14 + 12, 4, uint8_t{0});
  EXPECT_EQ(Receive(Peer(config), Outer(config, dhcp)).bytes, dhcp);
  Bytes runt = Outer(config, Frame(0x0806, {}));
  runt[3] -= 1;
  SetOuterEcn(runt, 0);
  EXPECT_EQ(Receive(Peer(config), runt).reason, DropReason::kTruncated);
}

TEST(DecapsulatorTest, CutsTheInnerPacketToItsOwnLength) {
  const EncapConfig config = Config(Mode::kGif, IpFamily::kV6);
  for (const IpFamily family : kFamilies) {
    Bytes p = Outer(config, Inner(family));
    p.resize(p.size() + 5, 0xee);
    p[5] = static_cast<uint8_t>(p.size() - 40);  // inside the outer packet
    EXPECT_EQ(Receive(Peer(config), p).bytes, Inner(family));
  }
}

TEST(DecapsulatorTest, RefusesInfoThatDoesNotFitThePacket) {
  const EncapConfig config = Config(Mode::kGif, IpFamily::kV4);
  const Bytes p = Outer(config, InnerV4());
  OuterInfo info;
  ASSERT_EQ(ParseOuter(p, true, info), DropReason::kNone);
  OwnedPacket packet({p.begin(), p.end() - 1});
  InputState state;
  EXPECT_EQ(Decapsulator(Peer(config)).Decapsulate(*packet, info, state),
            DropReason::kTruncated);
}

}  // namespace
}  // namespace encap
