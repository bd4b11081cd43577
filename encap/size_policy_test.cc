#include "encap/size_policy.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "encap/encapsulator.h"
#include "encap/packets_for_test.h"
#include "encap/pmtu.h"

namespace encap {
namespace {

using testing::Bytes;
using testing::Config;
using testing::Frame;
using testing::FromHex;
using testing::InnerV4;
using testing::InnerV6;
using testing::OwnedPacket;

constexpr IpFamily kV4 = IpFamily::kV4;
constexpr IpFamily kV6 = IpFamily::kV6;
constexpr SizeAction kSend = SizeAction::kSend;
constexpr SizeAction kInner = SizeAction::kFragmentInner;
constexpr SizeAction kOuter = SizeAction::kFragmentOuter;
constexpr SizeAction kRefuse = SizeAction::kRefuse;

SizeVerdict Judge(const EncapConfig& config, const Bytes& payload,
                  uint32_t path_mtu, const SegmentHint& hint = {}) {
  OwnedPacket packet(payload);
  packet->hint() = hint;
  return SizePolicy(config).Judge(*packet, path_mtu);
}

Bytes V4(size_t size, bool df) {
  return InnerV4({.dont_fragment = df, .payload = size - 20});
}
Bytes V6(size_t size) { return InnerV6({.payload = size - 40}); }

struct Case {
  const char* name;
  FragmentPolicy fragment;
  IpFamily outer;
  DfPolicy df;
  Bytes inner;
  uint32_t path_mtu;
  SizeVerdict want;
};

// gif: 20 or 40 bytes of outer header.
TEST(SizePolicyTest, FollowsPolicyFamilyAndDf) {
  constexpr auto kPolicyInner = FragmentPolicy::kInner;
  constexpr auto kPolicyOuter = FragmentPolicy::kOuter;
  constexpr auto kPolicyNone = FragmentPolicy::kNone;
  constexpr DfPolicy kOn = DfPolicy::kOn;
  constexpr DfPolicy kOff = DfPolicy::kOff;
  const std::vector<Case> cases = {
      {"fits to the byte", kPolicyInner, kV4, kOn, V4(1480, true), 1500, {}},
      {"4in4 DF",
       kPolicyInner,
       kV4,
       kOn,
       V4(1481, true),
       1500,
       {kRefuse, 1480}},
      {"4in4", kPolicyInner, kV4, kOn, V4(1481, false), 1500, {kInner, 1480}},
      {"4in6", kPolicyInner, kV6, kOn, V4(1481, false), 1500, {kInner, 1460}},
      {"4in6 DF",
       kPolicyInner,
       kV6,
       kOn,
       V4(1461, true),
       1500,
       {kRefuse, 1460}},
      {"6in4", kPolicyInner, kV4, kOn, V6(1481), 1500, {kRefuse, 1480}},
      {"6in6", kPolicyInner, kV6, kOn, V6(1461), 1500, {kRefuse, 1460}},
      {"6in4, narrow path, small packet",
       kPolicyInner,
       kV4,
       kOn,
       V6(1280),
       1299,
       {kOuter, 1299}},
      {"6in4, narrow path, large packet",
       kPolicyInner,
       kV4,
       kOn,
       V6(1281),
       1299,
       {kRefuse, 1280}},
      {"6in6, smallest path",
       kPolicyNone,
       kV6,
       kOn,
       V6(1280),
       1280,
       {kOuter, 1280}},
      {"6in6, smallest path, large packet",
       kPolicyNone,
       kV6,
       kOn,
       V6(1281),
       1280,
       {kRefuse, 1280}},
      {"4in4 none",
       kPolicyNone,
       kV4,
       kOn,
       V4(1481, false),
       1500,
       {kRefuse, 1480}},
      {"4in4 outer, df off",
       kPolicyOuter,
       kV4,
       kOff,
       V4(1481, true),
       1500,
       {kOuter, 1500}},
      {"4in4 outer, df on",
       kPolicyOuter,
       kV4,
       kOn,
       V4(1481, false),
       1500,
       {kRefuse, 1480}},
      {"4in6 outer",
       kPolicyOuter,
       kV6,
       kOn,
       V4(1481, true),
       1500,
       {kOuter, 1500}},
      {"6in6 outer", kPolicyOuter, kV6, kOn, V6(4000), 1500, {kOuter, 1500}},
      {"path unknown", kPolicyInner, kV4, kOn, V4(4000, true), 0, {}},
      {"path smaller than the header",
       kPolicyInner,
       kV4,
       kOn,
       V4(40, true),
       12,
       {kRefuse, 0}},
      {"malformed: for Encapsulate() to judge",
       kPolicyInner,
       kV4,
       kOn,
       Bytes(2000, 0),
       1500,
       {}},
  };
  for (const Case& c : cases) {
    EncapConfig config = Config(Mode::kGif, c.outer);
    config.fragment = c.fragment;
    config.df = c.df;
    const SizeVerdict got = Judge(config, c.inner, c.path_mtu);
    EXPECT_EQ(got, c.want) << c.name << ": " << static_cast<int>(got.action)
                           << ' ' << got.mtu;
  }
}

// What is said to fit is what Encapsulate() makes: to the byte, for each
// header.
TEST(SizePolicyTest, CountsTheHeadersThatAreSent) {
  for (int bits = 0; bits < 128; ++bits) {
    EncapConfig config =
        Config(bits & 1 ? Mode::kGre : Mode::kGretap, bits & 2 ? kV6 : kV4);
    config.checksum = bits & 4;
    config.sequence = bits & 8;
    if (bits & 16) config.output_key = 1;
    if (bits & 32) config.transport = OuterTransport::kUdp;
    if (bits & 64 && bits & 2) config.encap_limit = 4;
    const Bytes ip = V4(1000, true);
    const Bytes inner = bits & 1 ? ip : Frame(0x0800, ip, 1);
    OwnedPacket packet(inner);
    OutputState state;
    ASSERT_EQ(Encapsulator(config).Encapsulate(*packet, state),
              DropReason::kNone);
    const auto outer_len = static_cast<uint32_t>(packet->size());
    EXPECT_EQ(Judge(config, inner, outer_len).action, kSend) << bits;
    // One byte less: the inner packet would have to be one byte less.
    EXPECT_EQ(Judge(config, inner, outer_len - 1), (SizeVerdict{kRefuse, 999}))
        << bits;
  }
}

// An inner packet with an encapsulation limit makes the outer header longer.
TEST(SizePolicyTest, CountsTheOptionThatTheInnerPacketAsksFor) {
  Bytes inner = V6(1452);
  const Bytes option = FromHex("11 00 04 01 03 01 01 00");
  inner[6] = 60;
  std::copy(option.begin(), option.end(), inner.begin() + 40);
  EncapConfig config = Config(Mode::kGif, kV6);
  EXPECT_EQ(Judge(config, inner, 1500), (SizeVerdict{kSend, 0}));
  EXPECT_EQ(Judge(config, inner, 1499), (SizeVerdict{kRefuse, 1451}));
  EXPECT_EQ(Judge(config, V6(1453), 1500).action, kSend);
  config.encap_limit = 1;
  EXPECT_EQ(Judge(config, inner, 1500).action, kSend);
  EXPECT_EQ(Judge(config, V6(1453), 1500), (SizeVerdict{kRefuse, 1452}));
}

Bytes Tcp(IpFamily family, size_t payload) {
  Bytes bytes = family == kV4
                    ? InnerV4({.protocol = 6, .payload = 20 + payload})
                    : InnerV6({.protocol = 6, .payload = 20 + payload});
  bytes[(family == kV4 ? 20 : 40) + 12] = 0x50;
  return bytes;
}

TEST(SizePolicyTest, OfASuperPacketTheSegmentCounts) {
  const EncapConfig config = Config(Mode::kGif, kV4);
  SegmentHint hint{.gso_type = GsoType::kTcp4, .gso_size = 1440};
  const Bytes v4 = Tcp(kV4, 30000);
  EXPECT_EQ(Judge(config, v4, 1500, hint).action, kSend);
  EXPECT_EQ(Judge(config, v4, 1499, hint), (SizeVerdict{kRefuse, 1479}));
  hint = {.gso_type = GsoType::kTcp6, .gso_size = 1220};
  const Bytes v6 = Tcp(kV6, 30000);
  EXPECT_EQ(Judge(config, v6, 1300, hint).action, kSend);
  EXPECT_EQ(Judge(config, v6, 1299, hint), (SizeVerdict{kOuter, 1299}))
      << "each segment is an IPv6 packet of 1280 bytes";
  hint.gso_size = 65535;
  EXPECT_EQ(Judge(config, v6, 1500, hint), (SizeVerdict{kRefuse, 1480}));
}

TEST(SizePolicyTest, FramesAreJudgedByTheirIpPacket) {
  EncapConfig config = Config(Mode::kGretap, kV4);  // 24 and the frame's 14
  const Bytes v4 = Frame(0x0800, V4(1462, false));
  EXPECT_EQ(Judge(config, v4, 1500).action, kSend);
  EXPECT_EQ(Judge(config, v4, 1499), (SizeVerdict{kInner, 1461}));
  const Bytes tagged = Frame(0x86dd, V6(1462), 1);
  EXPECT_EQ(Judge(config, tagged, 1500), (SizeVerdict{kRefuse, 1458}));
  const Bytes other = Frame(0x0806, Bytes(1463));
  EXPECT_EQ(Judge(config, other, 1500), (SizeVerdict{kRefuse, 0}));
  EXPECT_EQ(Judge(config, other, 1501).action, kSend);
  config.fragment = FragmentPolicy::kOuter;
  config.df = DfPolicy::kOff;
  EXPECT_EQ(Judge(config, other, 1500), (SizeVerdict{kOuter, 1500}));
}

// Bytes behind the inner packet are not sent, so they do not count.
TEST(SizePolicyTest, PaddingOfAnIpPacketDoesNotCount) {
  Bytes padded = V4(1480, true);
  padded.resize(1600);
  EXPECT_EQ(Judge(Config(Mode::kGif, kV4), padded, 1500).action, kSend);
}

TEST(SizePolicyTest, EmptyPolicySendsEverything) {
  OwnedPacket packet(V4(4000, true));
  EXPECT_EQ(SizePolicy().Judge(*packet, 4000).action, kSend);
}

}  // namespace
}  // namespace encap
