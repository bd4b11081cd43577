#include "tunnel/path/inner_segments.h"

#include <gtest/gtest.h>

#include <vector>

#include "encap/bytes.h"
#include "encap/offload/flows_for_test.h"

namespace tunnel {
namespace {

using encap::DropReason;
using encap::GsoType;
using encap::IpFamily;
using encap::PacketBuffer;
using encap::testing::Build;
using encap::testing::Bytes;
using encap::testing::FlowPacket;

Bytes LinkHeader(IpFamily family, bool vlan) {
  Bytes link = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
  if (vlan) link.insert(link.end(), {0x81, 0, 0, 5});
  const bool v4 = family == IpFamily::kV4;
  link.push_back(v4 ? 0x08 : 0x86);
  link.push_back(v4 ? 0x00 : 0xdd);
  return link;
}

FlowPacket Flow(size_t payload, bool tcp = true) {
  FlowPacket flow;
  flow.tcp = tcp;
  flow.payload = Bytes(payload);
  return flow;
}

// What the kernel hands over: `link`, a packet with `payload` bytes of which
// each segment has 1,000.
struct Super {
  Super(const FlowPacket& flow, const Bytes& link)
      : storage(200000), packet(storage, 256, 0) {
    const Bytes ip = Build(flow);
    for (const Bytes* part : {&link, &ip})
      std::copy(part->begin(), part->end(), packet.Append(part->size()));
    packet.hint() = encap::testing::SuperHint(flow, 1000, link.size());
  }
  Bytes storage;
  PacketBuffer packet;
};

TEST(InnerSegmentsTest, EverySegmentIsThePacketThatTheSenderWouldHaveMade) {
  for (const IpFamily family : {IpFamily::kV4, IpFamily::kV6}) {
    for (const bool tcp : {true, false}) {
      for (const int tags : {-1, 0, 1}) {  // -1: no frame
        const Bytes link = tags < 0 ? Bytes() : LinkHeader(family, tags == 1);
        FlowPacket flow;
        flow.family = family;
        flow.tcp = tcp;
        flow.payload = Bytes(2500);
        for (size_t i = 0; i < flow.payload.size(); ++i)
          flow.payload[i] = static_cast<uint8_t>(i * 7);
        const Super super(flow, link);
        InnerSegments segments;
        ASSERT_EQ(InnerSegments::Plan(super.packet, tags >= 0, segments),
                  DropReason::kNone);
        ASSERT_EQ(segments.count(), 3u);
        for (size_t i = 0; i < 3; ++i) {
          FlowPacket expected = flow;
          expected.sequence += static_cast<uint32_t>(1000 * i);
          expected.id = static_cast<uint16_t>(flow.id + i);
          expected.payload.assign(
              flow.payload.begin() + static_cast<ptrdiff_t>(1000 * i),
              flow.payload.begin() + static_cast<ptrdiff_t>(std::min<size_t>(
                                         1000 * (i + 1), 2500)));
          Bytes wanted = link;
          const Bytes ip = Build(expected);
          wanted.insert(wanted.end(), ip.begin(), ip.end());
          Bytes room(64 + segments.max_len());
          PacketBuffer out(room, 64, 0);
          segments.Write(i, out);
          EXPECT_EQ(Bytes(out.bytes().begin(), out.bytes().end()), wanted);
          EXPECT_TRUE(out.hint().is_plain());
          EXPECT_EQ(out.headroom(), 64 - link.size());
        }
      }
    }
  }
}

TEST(InnerSegmentsTest, RefusesWhatItCanNotCut) {
  InnerSegments segments;
  Super none(Flow(2500), {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 6});
  EXPECT_EQ(InnerSegments::Plan(none.packet, true, segments),
            DropReason::kBadIpHeader);
  Super other(Flow(2500, false), {});
  other.packet.hint().gso_type = GsoType::kTcp4;
  EXPECT_EQ(InnerSegments::Plan(other.packet, false, segments),
            DropReason::kUnknownProtocol);
  Super cut(Flow(2500), {});
  cut.packet.Trim(100);
  EXPECT_EQ(InnerSegments::Plan(cut.packet, false, segments),
            DropReason::kBadIpHeader);
}

TEST(InnerSegmentsTest, ASuperPacketCountsAsItsSegments) {
  for (const size_t payload : {1u, 999u, 1000u, 1001u, 2000u, 60000u}) {
    const uint64_t count = (payload + 999) / 1000;
    Super super(Flow(payload), {});
    const PacketTotals totals = TotalsOf(super.packet);
    EXPECT_EQ(totals.packets, count) << payload;
    EXPECT_EQ(totals.bytes, payload + 40 * count) << payload;
    super.packet.hint().header_len = 0;
    EXPECT_EQ(MergedCount(super.packet), count) << payload;
    // Headers that are not looked for may hide one.
    super.packet.hint().needs_checksum = false;
    EXPECT_GE(MergedCount(super.packet) + 1, count) << payload;
    EXPECT_LE(MergedCount(super.packet), count + 1) << payload;
    super.packet.hint() = {};
    EXPECT_EQ(TotalsOf(super.packet).packets, 1u);
    EXPECT_EQ(TotalsOf(super.packet).bytes, payload + 40);
    EXPECT_EQ(MergedCount(super.packet), 1u);
  }
}

}  // namespace
}  // namespace tunnel
