#include "encap/offload/segment.h"

#include <gtest/gtest.h>

#include "encap/offload/flows_for_test.h"

namespace encap {
namespace {

using testing::Build;
using testing::Bytes;
using testing::FlowPacket;
using testing::OwnedPacket;
using testing::ToHex;

// Buffers of `room` bytes each, with headroom.
class Buffers {
 public:
  Buffers(size_t count, size_t room) : storage_(count, Bytes(16 + room)) {
    for (Bytes& s : storage_) packets.emplace_back(std::span(s), 16, 0);
  }
  std::vector<PacketBuffer> packets;

 private:
  std::vector<Bytes> storage_;
};

Bytes Part(const Bytes& bytes, size_t begin, size_t end) {
  return {bytes.begin() + static_cast<ptrdiff_t>(begin),
          bytes.begin() + static_cast<ptrdiff_t>(end)};
}

FlowPacket Super(IpFamily family, bool tcp) {
  FlowPacket p;
  p.family = family;
  p.tcp = tcp;
  p.id = 0xffff;                 // wraps at the second segment
  p.sequence = 0xffffff9c;       // wraps at the third
  p.flags = 0x10 | 0x80 | 0x09;  // ACK, CWR, PSH, FIN
  if (tcp) p.options = testing::FromHex("0101080a 00000001 00000002");
  p.payload.resize(250);
  for (size_t i = 0; i < 250; ++i) p.payload[i] = static_cast<uint8_t>(i * 7);
  return p;
}

GsoType TypeOf(const FlowPacket& p) {
  if (!p.tcp) return GsoType::kUdp;
  return p.family == IpFamily::kV4 ? GsoType::kTcp4 : GsoType::kTcp6;
}

TEST(SegmentTest, EachSegmentIsThePacketThatTheSenderWouldHaveMade) {
  for (const IpFamily family : {IpFamily::kV4, IpFamily::kV6}) {
    for (const bool tcp : {true, false}) {
      const FlowPacket super = Super(family, tcp);
      OwnedPacket packet(Build(super));
      packet->hint().gso_type = TypeOf(super);
      packet->hint().gso_size = 100;
      Buffers out(5, 200);
      size_t count = 0;
      ASSERT_EQ(Segment(*packet, out.packets, count), DropReason::kNone);
      ASSERT_EQ(count, 3u);
      for (size_t i = 0; i < count; ++i) {
        FlowPacket want = super;
        want.id = static_cast<uint16_t>(super.id + i);
        want.sequence = static_cast<uint32_t>(super.sequence + 100 * i);
        want.flags = static_cast<uint8_t>(0x10 | (i == 0 ? 0x80 : 0) |
                                          (i == 2 ? 0x09 : 0));
        want.payload =
            Part(super.payload, 100 * i, std::min<size_t>(100 * i + 100, 250));
        EXPECT_EQ(ToHex(out.packets[i].bytes()), ToHex(Build(want))) << i;
        EXPECT_EQ(out.packets[i].hint().gso_type, GsoType::kNone);
        EXPECT_FALSE(out.packets[i].hint().needs_checksum);
        EXPECT_EQ(out.packets[i].headroom(), 16u);
      }
    }
  }
}

TEST(SegmentTest, OnePayloadOfTheSegmentSizeOrLessIsOneSegment) {
  for (const size_t payload : {0, 1, 100}) {
    FlowPacket p;
    p.payload.resize(payload);
    OwnedPacket packet(Build(p));
    packet->hint().gso_type = GsoType::kTcp4;
    packet->hint().gso_size = 100;
    Buffers out(1, 200);
    size_t count = 0;
    ASSERT_EQ(Segment(*packet, out.packets, count), DropReason::kNone);
    ASSERT_EQ(count, 1u);
    EXPECT_EQ(ToHex(out.packets[0].bytes()), ToHex(Build(p)));
  }
}

DropReason PlanOf(const Bytes& bytes, GsoType type, uint16_t gso_size) {
  OwnedPacket packet(bytes);
  packet->hint().gso_type = type;
  packet->hint().gso_size = gso_size;
  SegmentPlan plan;
  return PlanSegments(*packet, plan);
}

TEST(SegmentTest, RefusesWhatTheHintDoesNotFit) {
  const Bytes tcp4 = Build(FlowPacket());
  EXPECT_EQ(PlanOf(tcp4, GsoType::kNone, 100), DropReason::kUnknownProtocol);
  EXPECT_EQ(PlanOf(tcp4, GsoType::kTcp6, 100), DropReason::kUnknownProtocol);
  EXPECT_EQ(PlanOf(tcp4, GsoType::kUdp, 100), DropReason::kUnknownProtocol);
  EXPECT_EQ(PlanOf(tcp4, GsoType::kTcp4, 0), DropReason::kTruncated);
  EXPECT_EQ(PlanOf(testing::InnerV4({.protocol = 47}), GsoType::kTcp4, 100),
            DropReason::kBadIpHeader);
  Bytes fragment = tcp4;
  fragment[6] = 0x20;
  EXPECT_EQ(PlanOf(fragment, GsoType::kTcp4, 100), DropReason::kBadIpHeader);
  for (size_t size = 0; size < tcp4.size(); ++size) {
    EXPECT_EQ(PlanOf(Part(tcp4, 0, size), GsoType::kTcp4, 100),
              DropReason::kBadIpHeader);
  }
}

TEST(SegmentTest, WritesNothingWhenBuffersAreMissingOrSmall) {
  OwnedPacket packet(Build(Super(IpFamily::kV4, true)));
  packet->hint().gso_type = GsoType::kTcp4;
  packet->hint().gso_size = 100;
  for (auto [buffers, room] : {std::pair<size_t, size_t>{2, 200}, {3, 151}}) {
    Buffers out(buffers, room);
    size_t count = 9;
    EXPECT_EQ(Segment(*packet, out.packets, count), DropReason::kTooBig);
    EXPECT_EQ(count, 0u);
    for (const PacketBuffer& p : out.packets) EXPECT_EQ(p.size(), 0u);
  }
  Buffers out(3, 152);  // 20 + 32 + 100
  size_t count = 0;
  EXPECT_EQ(Segment(*packet, out.packets, count), DropReason::kNone);
}

}  // namespace
}  // namespace encap
