#include "encap/fragment.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

#include "encap/bytes.h"
#include "encap/encapsulator.h"
#include "encap/packets_for_test.h"
#include "encap/reassembly.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"

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

std::vector<Bytes> Cut(const Bytes& packet, const FragmentOptions& options,
                       DropReason want = DropReason::kNone) {
  Fragmenter cut;
  EXPECT_EQ(Fragmenter::Start(packet, options, cut), want);
  EXPECT_EQ(cut.done(), want != DropReason::kNone);
  std::vector<Bytes> fragments;
  Bytes buffer(cut.max_size());
  while (const size_t size = cut.Next(buffer)) {
    fragments.emplace_back(buffer.begin(),
                           buffer.begin() + static_cast<ptrdiff_t>(size));
  }
  EXPECT_TRUE(cut.done());
  return fragments;
}

DropReason Refused(const Bytes& packet, const FragmentOptions& options) {
  Fragmenter cut;
  const DropReason reason = Fragmenter::Start(packet, options, cut);
  if (reason != DropReason::kNone) {
    Bytes buffer(70000);
    EXPECT_EQ(cut.Next(buffer), 0u);
  }
  return reason;
}

Bytes V4(size_t payload) {
  return InnerV4({.dont_fragment = false, .payload = payload});
}

// An IPv4 packet with these options, a multiple of four bytes.
Bytes WithOptions(std::string_view options, size_t payload) {
  Bytes packet = V4(payload);
  const Bytes bytes = FromHex(options);
  packet.insert(packet.begin() + 20, bytes.begin(), bytes.end());
  packet[0] = static_cast<uint8_t>(0x45 + bytes.size() / 4);
  Put16(packet.data() + 2, static_cast<uint16_t>(packet.size()));
  Put16(packet.data() + 10, 0);
  Put16(packet.data() + 10,
        testing::ReferenceChecksum({packet.data(), 20 + bytes.size()}));
  return packet;
}

TEST(FragmentTest, Ipv4ByTheByte) {
  const Bytes packet = V4(100);
  const std::vector<Bytes> got = Cut(packet, {.mtu = 71});
  ASSERT_EQ(got.size(), 3u);
  const size_t sizes[] = {68, 68, 24};
  const uint16_t flags[] = {0x2000, 0x2006, 0x000c};
  size_t at = 20;
  for (size_t i = 0; i < 3; ++i) {
    ASSERT_EQ(got[i].size(), sizes[i]);
    EXPECT_TRUE(testing::Ipv4HeaderIsRight(got[i]));
    EXPECT_EQ(Get16(got[i].data() + 2), sizes[i]);
    EXPECT_EQ(Get16(got[i].data() + 4), 0x1234) << "identification stays";
    EXPECT_EQ(Get16(got[i].data() + 6), flags[i]);
    EXPECT_TRUE(std::equal(got[i].begin() + 20, got[i].end(),
                           packet.begin() + static_cast<ptrdiff_t>(at)));
    at += sizes[i] - 20;
  }
}

TEST(FragmentTest, Ipv6ByTheByte) {
  const Bytes packet = InnerV6({.payload = 100});
  const std::vector<Bytes> got =
      Cut(packet, {.mtu = 96, .identification = 0x01020304});
  ASSERT_EQ(got.size(), 3u);
  EXPECT_EQ(Bytes(got[0].begin() + 4, got[0].begin() + 8),
            FromHex("0038 2c 3f"));
  EXPECT_EQ(Bytes(got[0].begin() + 40, got[0].begin() + 48),
            FromHex("11 00 0001 01020304"));
  EXPECT_EQ(Bytes(got[1].begin() + 40, got[1].begin() + 48),
            FromHex("11 00 0031 01020304"));
  EXPECT_EQ(Bytes(got[2].begin() + 40, got[2].begin() + 48),
            FromHex("11 00 0060 01020304"));
  EXPECT_EQ(got[2].size(), 52u);
}

// RFC 791 3.1: options with the copied flag stand in each fragment, the others
// in the first alone.
TEST(FragmentTest, OptionsAreCopiedByTheirFlag) {
  // Record route (not copied), loose source route (copied), router alert.
  const Bytes packet =
      WithOptions("07 07 04 00000000 01 83 07 04 0a000001 01 94 04 0000", 60);
  const std::vector<Bytes> got = Cut(packet, {.mtu = 64});
  ASSERT_EQ(got.size(), 3u);
  EXPECT_EQ(got[0][0], 0x4a);
  EXPECT_EQ(Bytes(got[0].begin() + 20, got[0].begin() + 40),
            Bytes(packet.begin() + 20, packet.begin() + 40));
  for (const Bytes& later : {got[1], got[2]}) {
    EXPECT_EQ(later[0], 0x48);
    EXPECT_EQ(Bytes(later.begin() + 20, later.begin() + 32),
              FromHex("83 07 04 0a000001 94 04 0000 00"));
    EXPECT_TRUE(testing::Ipv4HeaderIsRight(later));
  }
  EXPECT_EQ(got[0].size(), 64u);
  EXPECT_EQ(got[1].size(), 64u) << "a shorter header leaves more room";
}

TEST(FragmentTest, MalformedOptionsAreRefused) {
  for (const char* options :
       {"83 00 0000", "83 01 0000", "01 01 01 83", "83 09 0000", "01010107"}) {
    EXPECT_EQ(Refused(WithOptions(options, 100), {.mtu = 68}),
              DropReason::kBadIpHeader)
        << options;
  }
  EXPECT_EQ(Refused(WithOptions("00 83 00 00", 100), {.mtu = 68}),
            DropReason::kNone)
      << "nothing counts behind the end of options";
}

// A fragment is cut on: offsets add, and the last is last only if it was.
TEST(FragmentTest, FragmentsAreCutAgain) {
  Bytes packet = V4(96);
  Put16(packet.data() + 6, 0x2000 | 100);
  std::vector<Bytes> got = Cut(packet, {.mtu = 68});
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(Get16(got[0].data() + 6), 0x2000 | 100);
  EXPECT_EQ(Get16(got[1].data() + 6), 0x2000 | 106);
  Put16(packet.data() + 6, 100);
  got = Cut(packet, {.mtu = 68});
  EXPECT_EQ(Get16(got[1].data() + 6), 106);
}

TEST(FragmentTest, DontFragmentHolds) {
  const Bytes packet = InnerV4({.payload = 100});
  EXPECT_EQ(Refused(packet, {.mtu = 68}), DropReason::kTooBig);
  const std::vector<Bytes> got = Cut(
      packet,
      {.mtu = 68, .identification = 0xabc0001, .ignore_dont_fragment = true});
  for (const Bytes& fragment : got) {
    EXPECT_EQ(fragment[6] & 0x40, 0) << "DF is clear in fragments";
    EXPECT_EQ(Get16(fragment.data() + 4), 1);
  }
}

TEST(FragmentTest, WhatFitsIsOneFragment) {
  const Bytes v4 = V4(100);
  EXPECT_EQ(Cut(v4, {.mtu = 120}), std::vector<Bytes>{v4});
  EXPECT_EQ(Cut(V4(0), {.mtu = 68}), std::vector<Bytes>{V4(0)});
  const std::vector<Bytes> v6 =
      Cut(InnerV6({.payload = 0}), {.mtu = 1280, .identification = 1});
  ASSERT_EQ(v6.size(), 1u);
  EXPECT_EQ(Bytes(v6[0].begin() + 40, v6[0].end()),
            FromHex("11 00 0000 00000001"));
}

TEST(FragmentTest, SizesThatLeaveNoRoomAreRefused) {
  EXPECT_EQ(Refused(V4(100), {.mtu = 27}), DropReason::kTooBig);
  EXPECT_EQ(Refused(V4(100), {.mtu = 28}), DropReason::kNone);
  EXPECT_EQ(Refused(V4(100), {}), DropReason::kTooBig);
  const Bytes v6 = InnerV6({.payload = 100});
  EXPECT_EQ(Refused(v6, {.mtu = 55, .identification = 1}), DropReason::kTooBig);
  EXPECT_EQ(Refused(v6, {.mtu = 56, .identification = 1}), DropReason::kNone);
  EXPECT_EQ(Refused(v6, {.mtu = 1280}), DropReason::kTooBig)
      << "needs an identification";
}

TEST(FragmentTest, MalformedPacketsAreRefused) {
  const FragmentOptions options = {.mtu = 68, .identification = 1};
  Bytes bad = V4(100);
  bad[0] = 0x44;
  EXPECT_EQ(Refused(bad, options), DropReason::kBadIpHeader);
  bad[0] = 0x55;
  EXPECT_EQ(Refused(bad, options), DropReason::kBadIpHeader);
  bad = V4(100);
  Put16(bad.data() + 2, 19);
  EXPECT_EQ(Refused(bad, options), DropReason::kBadIpHeader);
  bad = V4(100);
  Put16(bad.data() + 6, 0x2000);  // 100 is no multiple of 8
  EXPECT_EQ(Refused(bad, options), DropReason::kBadIpHeader);
  Put16(bad.data() + 6, 0x1fff);  // beyond 65,535
  EXPECT_EQ(Refused(bad, options), DropReason::kBadIpHeader);
  bad = InnerV6({.payload = 100});
  bad[6] = 44;
  EXPECT_EQ(Refused(bad, options), DropReason::kBadIpHeader);
  bad[6] = 60;
  bad[41] = 200;  // longer than the packet
  EXPECT_EQ(Refused(bad, options), DropReason::kTruncated);
}

TEST(FragmentTest, EveryTruncationIsRefusedOrWhole) {
  Bytes v6 = InnerV6({.payload = 100});
  v6[6] = 0;
  const Bytes header = FromHex("11 01 0104 00000000 0104 0000 00000000");
  std::copy(header.begin(), header.end(), v6.begin() + 40);
  for (const Bytes& whole : {WithOptions("83 07 04 0a000001 01", 90), v6}) {
    for (size_t size = 0; size < whole.size(); ++size) {
      const Bytes cut(whole.begin(),
                      whole.begin() + static_cast<ptrdiff_t>(size));
      EXPECT_EQ(Refused(cut, {.mtu = 80, .identification = 1}),
                DropReason::kTruncated)
          << size;
    }
  }
}

TEST(FragmentTest, SmallBufferLosesNothing) {
  const Bytes packet = V4(100);
  Fragmenter cut;
  ASSERT_EQ(Fragmenter::Start(packet, {.mtu = 68}, cut), DropReason::kNone);
  Bytes buffer(68);
  EXPECT_EQ(cut.Next(std::span(buffer).first(67)), 0u);
  EXPECT_FALSE(cut.done());
  EXPECT_EQ(cut.Next(buffer), 68u);
  EXPECT_EQ(cut.Next({}), 0u);
  EXPECT_EQ(cut.Next(buffer), 68u);
  EXPECT_EQ(cut.Next(std::span(buffer).first(24)), 24u) << "the last is small";
  EXPECT_TRUE(cut.done());
  EXPECT_EQ(cut.Next(buffer), 0u);
}

// The prefix stands in front of each fragment and does not count.
TEST(FragmentTest, EthernetHeaderIsCopied) {
  const Bytes frame = Frame(0x0800, V4(100), 1);
  const std::vector<Bytes> got = Cut(frame, {.mtu = 68, .prefix_len = 18});
  ASSERT_EQ(got.size(), 3u);
  for (const Bytes& fragment : got) {
    EXPECT_TRUE(
        std::equal(frame.begin(), frame.begin() + 18, fragment.begin()));
    EXPECT_LE(fragment.size(), 86u);
    EXPECT_TRUE(testing::Ipv4HeaderIsRight(std::span(fragment).subspan(18)));
  }
  EXPECT_EQ(Refused(frame, {.mtu = 68, .prefix_len = 500}),
            DropReason::kTruncated);
}

TEST(FragmentTest, BytesBehindThePacketAreLeftOut) {
  Bytes padded = V4(100);
  padded.resize(300, 0xee);
  EXPECT_EQ(Cut(padded, {.mtu = 68}), Cut(V4(100), {.mtu = 68}));
}

// RFC 8200 4.5: hop-by-hop and routing headers stand in each fragment,
// destination options behind them in what is cut.
TEST(FragmentTest, PerFragmentHeadersOfIpv6) {
  struct Row {
    const char* name;
    uint8_t next;
    const char* headers;
    size_t per_fragment;  // bytes of extension headers in each fragment
    uint8_t cut_begins;   // next header of the fragment header
  };
  for (const Row& row : std::vector<Row>{
           {"none", 17, "", 0, 17},
           {"destination options", 60, "11 00 0104 00000000", 0, 60},
           {"hop-by-hop", 0, "11 00 0104 00000000", 8, 17},
           {"hop-by-hop, then destination", 0,
            "3c 00 0104 00000000 11 00 0104 00000000", 8, 60},
           {"destination, then routing", 60,
            "2b 00 0104 00000000 11 00 0400 00000000", 16, 17}}) {
    Bytes packet = InnerV6({.payload = 100});
    const Bytes headers = FromHex(row.headers);
    packet[6] = row.next;
    packet.insert(packet.begin() + 40, headers.begin(), headers.end());
    packet[5] = static_cast<uint8_t>(packet.size() - 40);
    const std::vector<Bytes> got =
        Cut(packet, {.mtu = 100, .identification = 1});
    ASSERT_GT(got.size(), 1u);
    for (const Bytes& fragment : got) {
      const size_t at = 40 + row.per_fragment;
      ASSERT_GT(fragment.size(), at + 8);
      EXPECT_EQ(fragment[at], row.cut_begins) << row.name;
      EXPECT_EQ(fragment[row.per_fragment == 0 ? 6 : at - 8], 44) << row.name;
      EXPECT_EQ(Get16(fragment.data() + 4), fragment.size() - 40);
    }
  }
}

// What is cut and put together again is what it was, whatever the size.
RC_GTEST_PROP(FragmentProperty, ReassemblesToTheSamePacket, ()) {
  const IpFamily family = *rc::gen::element(kV4, kV6);
  const auto payload = *rc::gen::inRange<size_t>(0, 4000);
  Bytes packet = family == kV4 ? V4(payload) : InnerV6({.payload = payload});
  if (family == kV4 && *rc::gen::arbitrary<bool>()) {
    packet = WithOptions("07 07 04 00000000 01 83 07 04 0a000001 01", payload);
  }
  const auto mtu = *rc::gen::inRange<uint32_t>(68, 1500);
  const std::vector<Bytes> fragments =
      Cut(packet, {.mtu = mtu, .identification = 0x1234});
  RC_ASSERT(!fragments.empty());
  std::vector<size_t> order(fragments.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  const auto shuffle = *rc::gen::arbitrary<uint32_t>();
  for (size_t i = order.size(); i > 1; --i) {
    std::swap(order[i - 1], order[(shuffle ^ i * 7919) % i]);
  }
  Reassembler reassembler(
      {.max_packets = 1, .max_bytes = 1u << 20, .max_fragments = 256});
  Bytes whole;
  for (size_t n = 0; n < order.size(); ++n) {
    RC_ASSERT(fragments[order[n]].size() <= mtu);
    OwnedPacket fragment(fragments[order[n]]);
    const ReassemblyVerdict verdict = reassembler.Add(*fragment, 0);
    if (n + 1 < order.size()) {
      RC_ASSERT(verdict == ReassemblyVerdict::kHeld);
    } else {
      RC_ASSERT(verdict == (order.size() == 1 ? ReassemblyVerdict::kWhole
                                              : ReassemblyVerdict::kComplete));
      whole = fragment.bytes();
    }
  }
  // An atomic fragment of IPv6 is whole as it is.
  if (order.size() == 1 && family == kV6) whole = packet;
  RC_ASSERT(whole == packet);
}

// The same of what tunnels send, where the receiving end has only fragments.
TEST(FragmentTest, OuterPacketsComeOutOfTheReassembler) {
  for (const IpFamily outer : {kV4, kV6}) {
    for (const bool limit : {false, true}) {
      EncapConfig config = Config(Mode::kGre, outer);
      if (limit && outer == kV6) config.encap_limit = 3;
      OwnedPacket packet(InnerV6({.payload = 1240}));
      OutputState state;
      ASSERT_EQ(Encapsulator(config).Encapsulate(*packet, state),
                DropReason::kNone);
      Bytes want = packet.bytes();
      Reassembler reassembler;
      const std::vector<Bytes> fragments = Cut(
          want,
          {.mtu = 1280, .identification = 77, .ignore_dont_fragment = true});
      ASSERT_EQ(fragments.size(), 2u);
      OwnedPacket second(fragments[1]);
      OwnedPacket first(fragments[0]);
      EXPECT_EQ(reassembler.Add(*second, 0), ReassemblyVerdict::kHeld);
      EXPECT_EQ(reassembler.Add(*first, 0), ReassemblyVerdict::kComplete);
      if (outer == kV4) {  // DF and identification are those of the fragments
        Put16(want.data() + 4, 77);
        Put16(want.data() + 6, 0);
        Put16(want.data() + 10, 0);
        Put16(want.data() + 10, testing::ReferenceChecksum({want.data(), 20}));
      }
      EXPECT_EQ(first.bytes(), want);
    }
  }
}

}  // namespace
}  // namespace encap
