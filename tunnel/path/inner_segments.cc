#include "tunnel/path/inner_segments.h"

#include <algorithm>
#include <cstring>

#include "encap/address.h"
#include "encap/inner_packet.h"
#include "encap/wire/tcp.h"
#include "encap/wire/udp.h"

namespace tunnel {

using encap::DropReason;
using encap::GsoType;
using encap::PacketBuffer;

DropReason InnerSegments::Plan(const PacketBuffer& packet, bool ethernet,
                               InnerSegments& segments) noexcept {
  segments.ip_ = packet;
  segments.link_len_ = 0;
  if (ethernet) {
    encap::InnerPacket inner;
    const DropReason reason = encap::ReadInnerFrame(packet.bytes(), inner);
    if (reason != DropReason::kNone) return reason;
    if (inner.family == encap::IpFamily::kNone ||
        inner.ip_offset > kMaxLinkHeader) {
      return DropReason::kBadIpHeader;
    }
    segments.link_len_ = inner.ip_offset;
    segments.ip_.Pull(inner.ip_offset);
    segments.ip_.Trim(inner.ip_len);
  }
  return encap::PlanSegments(segments.ip_, segments.plan_);
}

void InnerSegments::Write(size_t index, PacketBuffer& out) const noexcept {
  encap::WriteSegment(ip_, plan_, index, out);
  if (link_len_ == 0) return;
  std::memcpy(out.PushInside(link_len_), ip_.data() - link_len_, link_len_);
}

PacketTotals TotalsOf(const PacketBuffer& packet) noexcept {
  const encap::SegmentHint& hint = packet.hint();
  const uint64_t size = packet.size();
  if (hint.gso_type == GsoType::kNone || hint.gso_size == 0 ||
      size <= hint.header_len) {
    return {1, size};
  }
  const uint64_t payload = size - hint.header_len;
  const uint64_t count = (payload + hint.gso_size - 1) / hint.gso_size;
  return {count, payload + count * hint.header_len};
}

uint64_t MergedCount(const PacketBuffer& packet) noexcept {
  const encap::SegmentHint& hint = packet.hint();
  if (hint.gso_type == GsoType::kNone || hint.gso_size == 0) return 1;
  size_t headers = 0;
  if (hint.needs_checksum) {
    headers = hint.checksum_start + encap::ConstUdpHeader::kLen;
    if (hint.gso_type != GsoType::kUdp &&
        hint.checksum_start + encap::ConstTcpHeader::kMinLen <= packet.size()) {
      headers = hint.checksum_start +
                encap::ConstTcpHeader(packet.data() + hint.checksum_start)
                    .header_len();
    }
  }
  if (headers >= packet.size()) return 1;
  const size_t payload = packet.size() - headers;
  return std::max<size_t>(
      (payload + (headers == 0 ? 0 : hint.gso_size - 1u)) / hint.gso_size, 1);
}

}  // namespace tunnel
