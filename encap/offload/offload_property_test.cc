// Properties over random mixtures of flows: segmentation gives back the bytes
// of all that was coalesced, in the order of each flow, and nothing is merged
// that must not be.

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <map>

#include "encap/offload/coalesce.h"
#include "encap/offload/flows_for_test.h"
#include "encap/offload/segment.h"

namespace encap {
namespace {

using testing::After;
using testing::Build;
using testing::Bytes;
using testing::CoalesceAll;
using testing::FlowPacket;
using testing::OwnedPacket;
using testing::Taken;

bool OneIn(int n) { return *rc::gen::inRange(0, n) == 0; }

// The next packet of a flow, mostly one that can be merged.
FlowPacket Next(const FlowPacket& last) {
  FlowPacket p = After(last);
  p.flags = 0x10;
  p.payload.resize(OneIn(8) ? *rc::gen::inRange<size_t>(0, 200) : 100, 0x5c);
  if (OneIn(8)) p.flags = *rc::gen::arbitrary<uint8_t>();
  if (OneIn(16)) p.tos = *rc::gen::arbitrary<uint8_t>();
  if (OneIn(16)) p.ttl = *rc::gen::inRange<uint8_t>(1, 255);
  if (OneIn(16)) p.dont_fragment = !p.dont_fragment;
  if (OneIn(16)) p.id = *rc::gen::arbitrary<uint16_t>();
  if (OneIn(16)) p.flow_label = *rc::gen::inRange<uint32_t>(0, 1 << 20);
  if (OneIn(16)) p.sequence = *rc::gen::arbitrary<uint32_t>();
  if (OneIn(16)) ++p.acknowledgment;
  if (OneIn(16)) ++p.window;
  if (OneIn(16)) p.options = Bytes(OneIn(2) ? 0 : 8, 1);
  return p;
}

std::vector<FlowPacket> AnyFlows() {
  std::vector<FlowPacket> flows(6);
  for (size_t i = 0; i < flows.size(); ++i) {
    flows[i].family = i & 1 ? IpFamily::kV6 : IpFamily::kV4;
    flows[i].tcp = i & 2;
    flows[i].port = static_cast<uint16_t>(4000 + i);
    flows[i].id = *rc::gen::arbitrary<uint16_t>();
    flows[i].sequence = *rc::gen::arbitrary<uint32_t>();
  }
  return flows;
}

std::vector<Bytes> AnyPackets() {
  std::vector<FlowPacket> flows = AnyFlows();
  std::vector<Bytes> packets;
  const int bursts = *rc::gen::inRange(1, 20);
  for (int i = 0; i < bursts; ++i) {
    FlowPacket& flow = flows[*rc::gen::inRange<size_t>(0, flows.size())];
    const int burst = *rc::gen::inRange(1, 8);
    for (int k = 0; k < burst; ++k) {
      packets.push_back(Build(flow));
      if (OneIn(20)) {
        packets.back()[*rc::gen::inRange<size_t>(0, packets.back().size())] ^=
            static_cast<uint8_t>(1 << *rc::gen::inRange(0, 8));
      }
      flow = Next(flow);
    }
  }
  return packets;
}

std::vector<Bytes> SegmentsOf(const Taken& taken) {
  if (taken.hint.gso_type == GsoType::kNone) return {taken.bytes};
  OwnedPacket packet(taken.bytes);
  packet->hint() = taken.hint;
  SegmentPlan plan;
  RC_ASSERT(PlanSegments(*packet, plan) == DropReason::kNone);
  std::vector<Bytes> out;
  for (size_t i = 0; i < plan.count; ++i) {
    Bytes storage(plan.max_len());
    PacketBuffer segment(storage, 0, 0);
    RC_ASSERT(WriteSegment(*packet, plan, i, segment) == DropReason::kNone);
    storage.resize(segment.size());
    out.push_back(storage);
  }
  return out;
}

// Packets by flow; those whose ports can not be seen have one key together.
std::map<Bytes, std::vector<Bytes>> ByFlow(const std::vector<Bytes>& packets) {
  std::map<Bytes, std::vector<Bytes>> flows;
  for (const Bytes& p : packets) {
    TransportView view;
    Bytes key;
    if (FindTransport(p, view) && !view.has_ip_options) {
      const ptrdiff_t begin = view.family == IpFamily::kV4 ? 12 : 8;
      key.assign(p.begin() + begin, p.begin() + view.transport + 4);
      key.push_back(view.protocol);
    }
    flows[key].push_back(p);
  }
  return flows;
}

RC_GTEST_PROP(OffloadTest, SegmentationGivesBackWhatWasCoalesced, ()) {
  const std::vector<Bytes> packets = AnyPackets();
  const CoalesceOptions options{.flows = *rc::gen::inRange<size_t>(1, 8)};
  std::vector<Bytes> back;
  for (const Taken& taken : CoalesceAll(packets, options)) {
    for (Bytes& p : SegmentsOf(taken)) back.push_back(std::move(p));
  }
  RC_ASSERT(back.size() == packets.size());
  RC_ASSERT(ByFlow(back) == ByFlow(packets));
}

// What two neighbours inside one super-packet may differ in, byte by byte.
void RequireMergeable(const Bytes& a, const Bytes& b, bool last) {
  const bool v4 = a[0] >> 4 == 4;
  const size_t transport = v4 ? 20 : 40;
  const bool tcp = a[v4 ? 9 : 6] == 6;
  const auto same = [&a, &b](size_t begin, size_t end) {
    return std::equal(a.begin() + static_cast<ptrdiff_t>(begin),
                      a.begin() + static_cast<ptrdiff_t>(end),
                      b.begin() + static_cast<ptrdiff_t>(begin));
  };
  const bool ip_same = v4 ? same(0, 2) && same(6, 10) && same(12, 20)
                          : same(0, 4) && same(6, 40);
  RC_ASSERT(ip_same);
  const bool id_counts =
      !v4 || static_cast<uint16_t>(Get16(&a[4]) + 1) == Get16(&b[4]);
  RC_ASSERT(id_counts);
  RC_ASSERT(same(transport, transport + 4));
  const bool size_fits = last ? b.size() <= a.size() : b.size() == a.size();
  RC_ASSERT(size_fits);
  if (!tcp) return;
  RC_ASSERT((a[transport + 13] & 0x2f) == 0);  // URG PSH RST SYN FIN
  RC_ASSERT((b[transport + 13] & (last ? 0xa7 : 0xaf)) == 0);  // CWR too
  const size_t header = size_t{4} * (a[transport + 12] >> 4);
  RC_ASSERT(same(transport + 8, transport + 13));
  RC_ASSERT(same(transport + 14, transport + 16));
  RC_ASSERT(same(transport + 18, transport + header));
  RC_ASSERT(Get32(&b[transport + 4]) - Get32(&a[transport + 4]) ==
            a.size() - transport - header);
}

RC_GTEST_PROP(OffloadTest, NothingIsMergedThatMustNotBe, ()) {
  for (const Taken& taken : CoalesceAll(AnyPackets())) {
    if (taken.hint.gso_type == GsoType::kNone) continue;
    const std::vector<Bytes> parts = SegmentsOf(taken);
    RC_ASSERT(parts.size() >= 2u);
    RC_ASSERT(parts.size() <= Coalescer::kMaxSegments);
    for (size_t i = 1; i < parts.size(); ++i) {
      RequireMergeable(parts[i - 1], parts[i], i + 1 == parts.size());
    }
  }
}

}  // namespace
}  // namespace encap
