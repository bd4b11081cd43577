#include "encap/encapsulator.h"

#include <gtest/gtest.h>

#include "encap/packets_for_test.h"
#include "encap/wire/gre.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"

namespace encap {
namespace {

using testing::Bytes;
using testing::Config;
using testing::Frame;
using testing::Inner;
using testing::InnerV4;
using testing::InnerV6;
using testing::Ipv4HeaderIsRight;
using testing::OwnedPacket;
using testing::ReferenceChecksum;

constexpr IpFamily kFamilies[] = {IpFamily::kV4, IpFamily::kV6};

struct Result {
  DropReason reason;
  Bytes bytes;
};

Result Send(const EncapConfig& config, const Bytes& inner) {
  OutputState state;
  OwnedPacket packet(inner);
  const DropReason reason = Encapsulator(config).Encapsulate(*packet, state);
  if (reason != DropReason::kNone) {
    EXPECT_EQ(packet.bytes(), inner) << "a drop leaves the bytes alone";
    EXPECT_EQ(state.next_ipv4_id, OutputState().next_ipv4_id);
    EXPECT_EQ(state.next_sequence, 0u);
  }
  return {reason, packet.bytes()};
}

uint8_t OuterTos(const Bytes& p) {
  return p[0] >> 4 == 4 ? ConstIpv4Header(p.data()).tos()
                        : ConstIpv6Header(p.data()).traffic_class();
}

uint8_t OuterTtl(const Bytes& p) {
  return p[0] >> 4 == 4 ? ConstIpv4Header(p.data()).ttl()
                        : ConstIpv6Header(p.data()).hop_limit();
}

TEST(EncapsulatorTest, ModesCarryTheirFamiliesAndRefuseOthers) {
  const struct {
    Mode mode;
    bool v4, v6;
  } cases[] = {{Mode::kGif, true, true},
               {Mode::kIpip, true, false},
               {Mode::kSit, false, true},
               {Mode::kIp6ip6, false, true},
               {Mode::kGre, true, true}};
  for (const auto& c : cases) {
    for (const IpFamily outer : kFamilies) {
      const EncapConfig config = Config(c.mode, outer);
      if (!Validate(config).empty()) continue;
      EXPECT_EQ(Send(config, InnerV4()).reason,
                c.v4 ? DropReason::kNone : DropReason::kUnknownProtocol);
      EXPECT_EQ(Send(config, InnerV6()).reason,
                c.v6 ? DropReason::kNone : DropReason::kUnknownProtocol);
    }
  }
}

TEST(EncapsulatorTest, IpHeaderSaysWhatIsInside) {
  for (const IpFamily outer : kFamilies) {
    for (const IpFamily inner : kFamilies) {
      const Bytes payload = Inner(inner);
      const Bytes p = Send(Config(Mode::kGif, outer), payload).bytes;
      const uint8_t want = inner == IpFamily::kV4 ? 4 : 41;
      if (outer == IpFamily::kV4) {
        ASSERT_EQ(p.size(), 20 + payload.size());
        EXPECT_TRUE(Ipv4HeaderIsRight(p));
        const ConstIpv4Header ip(p.data());
        EXPECT_EQ(ip.protocol(), want);
        EXPECT_EQ(ip.total_length(), p.size());
        EXPECT_EQ(ip.source().ToString(), "192.0.2.1");
        EXPECT_EQ(ip.destination().ToString(), "192.0.2.2");
      } else {
        ASSERT_EQ(p.size(), 40 + payload.size());
        const ConstIpv6Header ip(p.data());
        EXPECT_EQ(ip.version(), 6);
        EXPECT_EQ(ip.next_header(), want);
        EXPECT_EQ(ip.payload_length(), payload.size());
        EXPECT_EQ(ip.source().ToString(), "2001:db8::1");
        EXPECT_EQ(ip.destination().ToString(), "2001:db8::2");
      }
      EXPECT_TRUE(std::equal(payload.rbegin(), payload.rend(), p.rbegin()));
    }
  }
}

void CheckGre(const EncapConfig& config, const Bytes& p, uint16_t protocol,
              uint32_t sequence) {
  const size_t ip_len = config.remote.is_v4() ? 20 : 40;
  const ConstGreHeader gre(p.data() + ip_len);
  EXPECT_EQ(gre.version(), 0);
  EXPECT_EQ(gre.protocol(), protocol);
  EXPECT_EQ(gre.has_checksum(), config.checksum);
  EXPECT_EQ(gre.has_key(), config.output_key.has_value());
  EXPECT_EQ(gre.has_sequence(), config.sequence);
  EXPECT_EQ(gre.flags_version() & 0x4fff, 0) << "reserved bits";
  if (gre.has_key()) {
    EXPECT_EQ(gre.key(), *config.output_key);
  }
  if (gre.has_sequence()) {
    EXPECT_EQ(gre.sequence(), sequence);
  }
  if (gre.has_checksum()) {
    EXPECT_EQ(ReferenceChecksum(std::span(p).subspan(ip_len)), 0);
    EXPECT_EQ(Get16(p.data() + ip_len + 6), 0) << "Reserved1";
  }
}

TEST(EncapsulatorTest, GreInAllCombinationsOfFamiliesAndOptions) {
  for (int bits = 0; bits < 8; ++bits) {
    for (const IpFamily outer : kFamilies) {
      EncapConfig config = Config(Mode::kGre, outer);
      if (bits & 1) config.output_key = 0x01020304;
      config.checksum = bits & 2;
      config.sequence = bits & 4;
      const Encapsulator encapsulator(config);
      OutputState state{.next_sequence = 0xffffffff, .next_ipv4_id = 0xffff};
      for (uint32_t i = 0; i < 3; ++i) {
        // An odd length takes the checksum's padding.
        const IpFamily inner = kFamilies[i % 2];
        OwnedPacket packet(Inner(inner, {.payload = 33 + i}));
        ASSERT_EQ(encapsulator.Encapsulate(*packet, state), DropReason::kNone);
        const Bytes p = packet.bytes();
        CheckGre(config, p, inner == IpFamily::kV4 ? 0x0800 : 0x86dd,
                 0xffffffff + i);
        if (outer == IpFamily::kV4) {
          EXPECT_TRUE(Ipv4HeaderIsRight(p));
          EXPECT_EQ(ConstIpv4Header(p.data()).identification(),
                    static_cast<uint16_t>(0xffff + i));
          EXPECT_EQ(p[9], 47);
        } else {
          EXPECT_EQ(p[6], 47);
        }
      }
    }
  }
}

TEST(EncapsulatorTest, GretapCarriesAnyFrame) {
  for (const IpFamily outer : kFamilies) {
    EncapConfig config = Config(Mode::kGretap, outer);
    config.output_key = 0;
    config.checksum = true;
    for (const Bytes& frame :
         {Frame(0x0806, Bytes(28, 1)), Frame(0x0800, InnerV4()),
          Frame(0x86dd, InnerV6(), 1)}) {
      const Result r = Send(config, frame);
      ASSERT_EQ(r.reason, DropReason::kNone);
      CheckGre(config, r.bytes, 0x6558, 0);
      EXPECT_TRUE(std::equal(frame.rbegin(), frame.rend(), r.bytes.rbegin()));
    }
  }
  EXPECT_EQ(Send(Config(Mode::kGretap, IpFamily::kV4), Bytes(13, 0)).reason,
            DropReason::kTruncated);
}

TEST(EncapsulatorTest, TtlIsFixedOrInherited) {
  for (const IpFamily outer : kFamilies) {
    for (const IpFamily inner : kFamilies) {
      EncapConfig config = Config(Mode::kGre, outer);
      config.ttl = 200;
      EXPECT_EQ(OuterTtl(Send(config, Inner(inner, {.ttl = 3})).bytes), 200);
      EXPECT_EQ(Send(config, Inner(inner, {.ttl = 0})).reason,
                DropReason::kTtlExpired)
          << "RFC 2003 3.1";
      config.ttl = std::nullopt;
      EXPECT_EQ(OuterTtl(Send(config, Inner(inner, {.ttl = 3})).bytes), 3);
      EXPECT_EQ(Send(config, Inner(inner, {.ttl = 0})).reason,
                DropReason::kTtlExpired);
    }
  }
  EncapConfig tap = Config(Mode::kGretap, IpFamily::kV4);
  tap.ttl = std::nullopt;
  EXPECT_EQ(OuterTtl(Send(tap, Frame(0x0800, InnerV4({.ttl = 5}))).bytes), 5);
  EXPECT_EQ(OuterTtl(Send(tap, Frame(0x86dd, InnerV6({.ttl = 6}), 1)).bytes),
            6);
  EXPECT_EQ(OuterTtl(Send(tap, Frame(0x0806, Bytes(28, 0))).bytes), 64);
}

// All inner TOS values, both DSCP models (RFC 2983), both ECN modes (RFC 6040
// 4.1), every mix of families.
TEST(EncapsulatorTest, TosFollowsDscpAndEcnPolicies) {
  for (const IpFamily outer : kFamilies) {
    for (const IpFamily inner : kFamilies) {
      for (int tos = 0; tos < 256; ++tos) {
        const Bytes payload = Inner(inner, {.tos = static_cast<uint8_t>(tos)});
        EncapConfig config = Config(Mode::kGif, outer);
        EXPECT_EQ(OuterTos(Send(config, payload).bytes), tos);
        config.tos = 0x28;
        EXPECT_EQ(OuterTos(Send(config, payload).bytes), 0x28 | (tos & 3));
        config.ecn = EcnMode::kCompat;
        EXPECT_EQ(OuterTos(Send(config, payload).bytes), 0x28);
        config.tos = std::nullopt;
        EXPECT_EQ(OuterTos(Send(config, payload).bytes), tos & 0xfc);
      }
    }
  }
  const EncapConfig tap = Config(Mode::kGretap, IpFamily::kV4);
  EXPECT_EQ(OuterTos(Send(tap, Frame(0x0800, InnerV4({.tos = 0xb9}))).bytes),
            0xb9);
  EXPECT_EQ(OuterTos(Send(tap, Frame(0x0806, Bytes(28, 0xff))).bytes), 0);
}

TEST(EncapsulatorTest, DfFollowsItsPolicy) {
  const Bytes set = InnerV4({.dont_fragment = true});
  const Bytes clear = InnerV4({.dont_fragment = false});
  const struct {
    DfPolicy policy;
    bool on_set, on_clear, on_v6;
  } cases[] = {{DfPolicy::kOn, true, true, true},
               {DfPolicy::kOff, false, false, false},
               {DfPolicy::kInherit, true, false, true}};
  for (const auto& c : cases) {
    EncapConfig config = Config(Mode::kGif, IpFamily::kV4);
    config.df = c.policy;
    const auto df = [&](const Bytes& inner) {
      return ConstIpv4Header(Send(config, inner).bytes.data()).dont_fragment();
    };
    EXPECT_EQ(df(set), c.on_set);
    EXPECT_EQ(df(clear), c.on_clear);
    EXPECT_EQ(df(InnerV6()), c.on_v6);
    config.mode = Mode::kGretap;
    EXPECT_EQ(df(Frame(0x0800, clear)), c.on_clear);
    EXPECT_EQ(df(Frame(0x0806, Bytes(28, 0))), c.on_v6);
  }
}

TEST(EncapsulatorTest, FlowLabelIsThatOfTheInnerFlow) {
  const EncapConfig config = Config(Mode::kGre, IpFamily::kV6);
  const auto label = [&](const Bytes& inner) {
    return ConstIpv6Header(Send(config, inner).bytes.data()).flow_label();
  };
  Bytes packet = InnerV4();
  const uint32_t first = label(packet);
  packet[30] ^= 1;  // payload
  EXPECT_EQ(label(packet), first);
  packet[20] ^= 1;  // port
  EXPECT_NE(label(packet), first);
}

TEST(EncapsulatorTest, DropsWhatIsNoPacket) {
  for (const Mode mode : {Mode::kGif, Mode::kGre}) {
    const EncapConfig config = Config(mode, IpFamily::kV4);
    Bytes cut = InnerV4();
    cut.pop_back();
    Bytes bad = InnerV4();
    bad[0] = 0x44;
    EXPECT_EQ(Send(config, {}).reason, DropReason::kTruncated);
    EXPECT_EQ(Send(config, cut).reason, DropReason::kTruncated);
    EXPECT_EQ(Send(config, bad).reason, DropReason::kBadIpHeader);
    EXPECT_EQ(Send(config, Bytes(60, 0)).reason, DropReason::kBadIpHeader);
  }
}

TEST(EncapsulatorTest, CutsBytesBehindTheInnerPacket) {
  Bytes padded = InnerV4();
  padded.resize(padded.size() + 6, 0xee);
  EXPECT_EQ(Send(Config(Mode::kGif, IpFamily::kV4), padded).bytes.size(),
            20 + InnerV4().size());
}

TEST(EncapsulatorTest, DropsWhatNoLengthFieldCanSay) {
  for (const IpFamily outer : kFamilies) {
    const EncapConfig config = Config(Mode::kGre, outer);
    const size_t room = 65535 - EncapOverhead(config) - 20;
    const Result largest = Send(config, InnerV4({.payload = room}));
    EXPECT_EQ(largest.reason, DropReason::kNone);
    EXPECT_EQ(largest.bytes.size(), 65535u);
    EXPECT_EQ(Send(config, InnerV4({.payload = room + 1})).reason,
              DropReason::kTooBig);
  }
}

TEST(EncapsulatorTest, DropsWhereTheHeadroomIsTooSmall) {
  const EncapConfig config = Config(Mode::kGre, IpFamily::kV4);
  const Encapsulator encapsulator(config);
  OutputState state;
  OwnedPacket tight(InnerV4(), 23);
  EXPECT_EQ(encapsulator.Encapsulate(*tight, state), DropReason::kTooBig);
  EXPECT_EQ(tight.bytes(), InnerV4());
  OwnedPacket fits(InnerV4(), 24);
  EXPECT_EQ(encapsulator.Encapsulate(*fits, state), DropReason::kNone);
}

}  // namespace
}  // namespace encap
