// Coalescer over any packets, and segmentation of what it merges.
// Input: one byte of flows and flags, then packets, each behind two bytes of
// length. Byte: bits 0 and 1 flows less one, bit 2 mends the checksums of each
// packet so that more can be merged, bit 3 takes the first packet as a
// super-packet, its GSO type and size being two bytes in front of it.

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "encap/offload/coalesce.h"
#include "encap/offload/segment.h"
#include "encap/wire/ipv4.h"
#include "tests/fuzz/fuzz_config.h"

namespace encap::fuzz {
namespace {

using Bytes = std::vector<uint8_t>;

void MendChecksums(Bytes& packet) {
  TransportView view;
  if (!FindTransport(packet, view)) return;
  if (view.family == IpFamily::kV4) {
    Ipv4Header(packet.data())
        .set_checksum(HeaderChecksum(packet.data(), view.transport));
  }
  StoreBe16(packet.data() + view.transport + view.checksum_offset(),
            TransportChecksum(packet, view));
}

// All segments of `packet`; none when it can not be cut.
std::vector<Bytes> Cut(const PacketBuffer& packet) {
  std::vector<Bytes> out;
  SegmentPlan plan;
  if (PlanSegments(packet, plan) != DropReason::kNone) return out;
  size_t payload = 0;
  for (size_t i = 0; i < plan.count; ++i) {
    Bytes storage(plan.max_len());
    PacketBuffer segment(storage, 0, 0);
    Require(WriteSegment(packet, plan, i, segment) == DropReason::kNone,
            "a planned segment can be written");
    TransportView view;
    Require(FindTransport(std::as_const(segment).bytes(), view),
            "a segment is a packet");
    payload += view.payload_len();
    storage.resize(segment.size());
    out.push_back(std::move(storage));
  }
  Require(payload == plan.view.payload_len(), "no byte is lost");
  return out;
}

class CuttingSink : public CoalesceSink {
 public:
  void Take(PacketBuffer& packet) noexcept override {
    if (packet.hint().gso_type == GsoType::kNone) {
      const auto bytes = std::as_const(packet).bytes();
      back.emplace_back(bytes.begin(), bytes.end());
      return;
    }
    std::vector<Bytes> segments = Cut(packet);
    Require(segments.size() >= 2, "what is merged can be cut");
    for (Bytes& segment : segments) back.push_back(std::move(segment));
  }
  std::vector<Bytes> back;
};

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

void Run(size_t flows, std::vector<Bytes> packets) {
  Coalescer coalescer({.flows = flows, .headroom = 16});
  CuttingSink sink;
  for (Bytes bytes : packets) {
    PacketBuffer packet(bytes, 0, bytes.size());
    coalescer.Offer(packet, sink);
    Require(coalescer.held() <= flows, "flows are bounded");
  }
  coalescer.Flush(sink);
  Require(coalescer.held() == 0, "nothing stays behind");
  Require(ByFlow(sink.back) == ByFlow(packets),
          "each flow comes back, byte by byte and in order");
}

}  // namespace
}  // namespace encap::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace encap::fuzz;
  if (size < 3) return 0;
  const uint8_t flags = data[0];
  if (flags & 8) {
    Bytes bytes(data + 3, data + size);
    encap::PacketBuffer packet(bytes, 0, bytes.size());
    packet.hint().gso_type = data[1] & 2   ? encap::GsoType::kUdp
                             : data[1] & 1 ? encap::GsoType::kTcp6
                                           : encap::GsoType::kTcp4;
    packet.hint().gso_size = data[2];
    Cut(packet);
    return 0;
  }
  std::vector<Bytes> packets;
  for (size_t at = 1; at + 2 <= size;) {
    const size_t len =
        std::min<size_t>(data[at] << 8 | data[at + 1], size - at - 2);
    packets.emplace_back(data + at + 2, data + at + 2 + len);
    if (flags & 4) MendChecksums(packets.back());
    at += 2 + len;
  }
  Run(1 + (flags & 3), std::move(packets));
  return 0;
}
