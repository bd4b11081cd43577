#include "encap/offload/coalesce.h"

#include <gtest/gtest.h>

#include <functional>

#include "encap/checksum.h"
#include "encap/offload/flows_for_test.h"

namespace encap {
namespace {

using testing::After;
using testing::Build;
using testing::Bytes;
using testing::CoalesceAll;
using testing::FlowPacket;
using testing::OwnedPacket;
using testing::Taken;
using testing::ToHex;

FlowPacket First(IpFamily family, bool tcp) {
  FlowPacket p;
  p.family = family;
  p.tcp = tcp;
  if (tcp) p.options = testing::FromHex("0101080a 00000001 00000002");
  return p;
}

TEST(CoalesceTest, MergesInTheFormOfAVnetHeader) {
  for (const IpFamily family : {IpFamily::kV4, IpFamily::kV6}) {
    for (const bool tcp : {true, false}) {
      const FlowPacket a = First(family, tcp);
      const FlowPacket b = After(a);
      FlowPacket c = After(b);
      c.payload.resize(40);
      c.flags |= 0x08;
      const auto taken =
          CoalesceAll({Build(a), Build(b), Build(c)}, {.headroom = 64});
      ASSERT_EQ(taken.size(), 1u);
      const SegmentHint& hint = taken[0].hint;
      const size_t transport = testing::TransportOf(a);
      EXPECT_EQ(hint.gso_type, !tcp                      ? GsoType::kUdp
                               : family == IpFamily::kV4 ? GsoType::kTcp4
                                                         : GsoType::kTcp6);
      EXPECT_EQ(hint.gso_size, 100);
      EXPECT_EQ(hint.header_len, transport + (tcp ? 32 : 8));
      EXPECT_TRUE(hint.needs_checksum);
      EXPECT_EQ(hint.checksum_start, transport);
      EXPECT_EQ(hint.checksum_offset, tcp ? 16 : 6);
      EXPECT_FALSE(hint.tcp_ecn);
      EXPECT_EQ(taken[0].headroom, 64u);
      // Finished, it is the packet that a sender without MTU would have made.
      FlowPacket whole = a;
      whole.flags = c.flags;
      for (const FlowPacket& p : {b, c}) {
        whole.payload.insert(whole.payload.end(), p.payload.begin(),
                             p.payload.end());
      }
      OwnedPacket packet(taken[0].bytes);
      packet->hint() = hint;
      ASSERT_EQ(FinishChecksum(*packet), DropReason::kNone);
      EXPECT_EQ(ToHex(packet.bytes()), ToHex(Build(whole)));
    }
  }
}

void ExpectApart(const std::vector<Bytes>& packets, const char* why) {
  const auto taken = CoalesceAll(packets);
  ASSERT_EQ(taken.size(), packets.size()) << why;
  for (size_t i = 0; i < packets.size(); ++i) {
    EXPECT_EQ(ToHex(taken[i].bytes), ToHex(packets[i])) << why;
    EXPECT_EQ(taken[i].hint.gso_type, GsoType::kNone) << why;
    EXPECT_FALSE(taken[i].hint.needs_checksum) << why;
  }
}

struct Change {
  const char* name;
  std::function<void(FlowPacket&)> apply;  // to the second packet
};

const Change kChangesOfAny[] = {
    {"ecn", [](FlowPacket& p) { p.tos ^= 1; }},
    {"dscp", [](FlowPacket& p) { p.tos ^= 0x10; }},
    {"ttl", [](FlowPacket& p) { --p.ttl; }},
    {"port", [](FlowPacket& p) { ++p.port; }},
    {"larger", [](FlowPacket& p) { p.payload.push_back(1); }},
    {"empty", [](FlowPacket& p) { p.payload.clear(); }},
};
const Change kChangesOfIpv4[] = {
    {"df", [](FlowPacket& p) { p.dont_fragment = false; }},
    {"id stays", [](FlowPacket& p) { --p.id; }},
    {"id leaps", [](FlowPacket& p) { ++p.id; }},
};
const Change kChangesOfIpv6[] = {
    {"flow label", [](FlowPacket& p) { ++p.flow_label; }},
};
const Change kChangesOfTcp[] = {
    {"gap", [](FlowPacket& p) { ++p.sequence; }},
    {"again", [](FlowPacket& p) { p.sequence -= 100; }},
    {"ack", [](FlowPacket& p) { ++p.acknowledgment; }},
    {"window", [](FlowPacket& p) { ++p.window; }},
    {"option", [](FlowPacket& p) { ++p.options[11]; }},
    {"fewer options", [](FlowPacket& p) { p.options.resize(4, 1); }},
    {"fin", [](FlowPacket& p) { p.flags |= 0x01; }},
    {"syn", [](FlowPacket& p) { p.flags |= 0x02; }},
    {"rst", [](FlowPacket& p) { p.flags |= 0x04; }},
    {"urg", [](FlowPacket& p) { p.flags |= 0x20; }},
    {"ece", [](FlowPacket& p) { p.flags |= 0x40; }},
    {"cwr", [](FlowPacket& p) { p.flags |= 0x80; }},
};

TEST(CoalesceTest, OneDifferenceKeepsPacketsApart) {
  for (const IpFamily family : {IpFamily::kV4, IpFamily::kV6}) {
    for (const bool tcp : {true, false}) {
      std::vector<Change> changes(std::begin(kChangesOfAny),
                                  std::end(kChangesOfAny));
      const auto add = [&changes](const auto& more) {
        changes.insert(changes.end(), std::begin(more), std::end(more));
      };
      if (family == IpFamily::kV4) add(kChangesOfIpv4);
      if (family == IpFamily::kV6) add(kChangesOfIpv6);
      if (tcp) add(kChangesOfTcp);
      const FlowPacket first = First(family, tcp);
      ASSERT_EQ(CoalesceAll({Build(first), Build(After(first))}).size(), 1u);
      for (const Change& change : changes) {
        FlowPacket second = After(first);
        change.apply(second);
        ExpectApart({Build(first), Build(second)}, change.name);
      }
    }
  }
}

TEST(CoalesceTest, NeverMergesAWrongOrMissingChecksum) {
  for (const IpFamily family : {IpFamily::kV4, IpFamily::kV6}) {
    for (const bool tcp : {true, false}) {
      const FlowPacket first = First(family, tcp);
      const Bytes good = Build(After(first));
      const size_t field = testing::TransportOf(first) + (tcp ? 16 : 6);
      // An IPv6 header has no sum of its own.
      const size_t ip = family == IpFamily::kV4 ? 10 : field + 1;
      for (const size_t at : {field, good.size() - 1, ip}) {
        Bytes bad = good;
        bad[at] ^= 0x20;
        ExpectApart({Build(first), bad}, "a wrong sum");
      }
      Bytes none = good;
      none[field] = none[field + 1] = 0;
      ExpectApart({Build(first), none}, "no sum");
    }
  }
}

TEST(CoalesceTest, PushOrASmallerPayloadEndsASuperPacket) {
  for (const bool push : {true, false}) {
    std::vector<FlowPacket> flow = {First(IpFamily::kV4, true)};
    for (int i = 0; i < 4; ++i) {
      flow.push_back(After(flow.back()));
      if (i != 1) continue;
      if (push) {
        flow.back().flags |= 0x08;
      } else {
        flow.back().payload.resize(99);
      }
    }
    for (size_t i = 3; i < 5; ++i) {
      flow[i].flags = 0x10;
      flow[i].payload = Bytes(100, static_cast<uint8_t>(i));
      if (!push) flow[i].sequence = After(flow[i - 1]).sequence;
    }
    std::vector<Bytes> packets;
    for (const FlowPacket& p : flow) packets.push_back(Build(p));
    const auto taken = CoalesceAll(packets);
    ASSERT_EQ(taken.size(), 2u);
    EXPECT_EQ(taken[0].bytes.size(), 52u + (push ? 300 : 299));
    EXPECT_EQ(taken[1].bytes.size(), 52u + 200);
  }
}

TEST(CoalesceTest, CwrBeginsASuperPacketAndIsTold) {
  FlowPacket first = First(IpFamily::kV4, true);
  FlowPacket second = After(first);
  first.flags |= 0x80;
  const auto taken = CoalesceAll({Build(first), Build(second)});
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_TRUE(taken[0].hint.tcp_ecn);
}

TEST(CoalesceTest, LengthAndSegmentsAreBounded) {
  FlowPacket small = First(IpFamily::kV6, true);
  FlowPacket large = small;
  large.payload.resize(9000);
  std::vector<Bytes> many;
  std::vector<Bytes> long_ones;
  for (int i = 0; i < 70; ++i) {
    many.push_back(Build(small));
    small = After(small);
    long_ones.push_back(Build(large));
    large = After(large);
  }
  const auto taken = CoalesceAll(many);
  ASSERT_EQ(taken.size(), 2u);
  EXPECT_EQ(taken[0].bytes.size(), 72 + 100 * Coalescer::kMaxSegments);
  for (const Taken& t : CoalesceAll(long_ones)) {
    EXPECT_EQ(t.bytes.size(), 72u + 7 * 9000);
  }
}

TEST(CoalesceTest, TheOldestFlowMakesRoomForANewOne) {
  std::vector<Bytes> packets;
  for (uint16_t i = 0; i < 3; ++i) {
    FlowPacket p = First(IpFamily::kV4, false);
    p.port = static_cast<uint16_t>(4000 + i);
    packets.push_back(Build(p));
  }
  Coalescer coalescer({.flows = 2});
  testing::KeepingSink sink;
  for (const Bytes& bytes : packets) {
    OwnedPacket packet(bytes, 0);
    coalescer.Offer(*packet, sink);
  }
  EXPECT_EQ(coalescer.held(), 2u);
  ASSERT_EQ(sink.taken.size(), 1u);
  EXPECT_EQ(sink.taken[0].bytes, packets[0]);
  coalescer.Flush(sink);
  EXPECT_EQ(coalescer.held(), 0u);
  ASSERT_EQ(sink.taken.size(), 3u);
  EXPECT_EQ(sink.taken[1].bytes, packets[1]);
  EXPECT_EQ(sink.taken[2].bytes, packets[2]);
}

TEST(CoalesceTest, WhatHidesItsFlowLeavesBehindAllThatIsHeld) {
  const FlowPacket first = First(IpFamily::kV4, false);
  Bytes fragment = Build(After(first));
  fragment[6] = 0x20;
  Bytes options = testing::InnerV4({.protocol = 17, .payload = 40});
  options[0] = 0x46;
  ExpectApart({Build(first), fragment, Build(After(first)), options,
               testing::FromHex("00")},
              "order");
}

TEST(CoalesceTest, WhatIsSwitchedOffOrHasAHintIsNotMerged) {
  for (const bool tcp : {true, false}) {
    const FlowPacket first = First(IpFamily::kV4, tcp);
    const std::vector<Bytes> packets = {Build(first), Build(After(first))};
    EXPECT_EQ(CoalesceAll(packets, {.tcp = !tcp, .udp = tcp}).size(), 2u);
    Coalescer coalescer({});
    testing::KeepingSink sink;
    for (const Bytes& bytes : packets) {
      OwnedPacket packet(bytes, 0);
      packet->hint().needs_checksum = true;
      coalescer.Offer(*packet, sink);
    }
    ASSERT_EQ(sink.taken.size(), 2u);
    EXPECT_TRUE(sink.taken[1].hint.needs_checksum);
  }
}

}  // namespace
}  // namespace encap
