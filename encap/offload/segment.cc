#include "encap/offload/segment.h"

#include <algorithm>
#include <cstring>

#include "encap/bytes.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"
#include "encap/wire/tcp.h"
#include "encap/wire/udp.h"

namespace encap {
namespace {

bool TypeFits(GsoType type, const TransportView& view) noexcept {
  switch (type) {
    case GsoType::kNone:
      return false;
    case GsoType::kTcp4:
      return view.is_tcp() && view.family == IpFamily::kV4;
    case GsoType::kTcp6:
      return view.is_tcp() && view.family == IpFamily::kV6;
    case GsoType::kUdp:
      return view.protocol == kProtoUdp;
  }
  return false;
}

void WriteIp(uint8_t* header, const TransportView& view, size_t len,
             size_t index) noexcept {
  if (view.family == IpFamily::kV6) {
    Ipv6Header(header).set_payload_length(
        static_cast<uint16_t>(len - Ipv6Header::kLen));
    return;
  }
  Ipv4Header ip(header);
  ip.set_total_length(static_cast<uint16_t>(len));
  ip.set_identification(static_cast<uint16_t>(ip.identification() + index));
  ip.set_checksum(HeaderChecksum(header, ip.header_len()));
}

void WriteTcp(uint8_t* header, size_t offset, bool first, bool last) noexcept {
  TcpHeader tcp(header);
  tcp.set_sequence(tcp.sequence() + static_cast<uint32_t>(offset));
  unsigned flags = tcp.flags();
  if (!first) flags &= ~unsigned{TcpHeader::kCwr};
  if (!last) flags &= ~unsigned{TcpHeader::kFin | TcpHeader::kPsh};
  tcp.set_flags(static_cast<uint8_t>(flags));
}

}  // namespace

DropReason PlanSegments(const PacketBuffer& packet,
                        SegmentPlan& plan) noexcept {
  const SegmentHint& hint = packet.hint();
  if (hint.gso_type == GsoType::kNone) return DropReason::kUnknownProtocol;
  if (!FindTransport(packet.bytes(), plan.view)) {
    return DropReason::kBadIpHeader;
  }
  if (!TypeFits(hint.gso_type, plan.view)) return DropReason::kUnknownProtocol;
  if (hint.gso_size == 0) return DropReason::kTruncated;
  const size_t payload = plan.view.payload_len();
  const size_t count =
      payload == 0 ? 1 : (payload + hint.gso_size - 1) / hint.gso_size;
  if (count > 0xffff) return DropReason::kTruncated;
  plan.gso_size = hint.gso_size;
  plan.count = static_cast<uint16_t>(count);
  return DropReason::kNone;
}

DropReason WriteSegment(const PacketBuffer& packet, const SegmentPlan& plan,
                        size_t index, PacketBuffer& out) noexcept {
  const TransportView& view = plan.view;
  const size_t offset = index * plan.gso_size;
  const size_t payload =
      std::min<size_t>(plan.gso_size, view.payload_len() - offset);
  const size_t len = view.header_len + payload;
  uint8_t* segment = out.Append(len);
  if (segment == nullptr) return DropReason::kTooBig;
  std::memcpy(segment, packet.data(), view.header_len);
  std::memcpy(segment + view.header_len,
              packet.data() + view.header_len + offset, payload);
  WriteIp(segment, view, len, index);
  uint8_t* transport = segment + view.transport;
  if (view.is_tcp()) {
    WriteTcp(transport, offset, index == 0, index + 1u == plan.count);
  } else {
    UdpHeader(transport).set_length(
        static_cast<uint16_t>(len - view.transport));
  }
  StoreBe16(transport + view.checksum_offset(),
            TransportChecksum({segment, len}, view));
  out.hint() = {};
  return DropReason::kNone;
}

DropReason Segment(const PacketBuffer& packet, std::span<PacketBuffer> out,
                   size_t& count) noexcept {
  count = 0;
  SegmentPlan plan;
  const DropReason reason = PlanSegments(packet, plan);
  if (reason != DropReason::kNone) return reason;
  if (plan.count > out.size()) return DropReason::kTooBig;
  for (size_t i = 0; i < plan.count; ++i) {
    if (out[i].tailroom() < plan.max_len()) return DropReason::kTooBig;
  }
  for (size_t i = 0; i < plan.count; ++i) WriteSegment(packet, plan, i, out[i]);
  count = plan.count;
  return DropReason::kNone;
}

}  // namespace encap
