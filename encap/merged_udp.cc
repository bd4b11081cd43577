#include "encap/merged_udp.h"

#include <algorithm>

namespace encap {

bool MergedUdp::Start(const PacketBuffer& packet, const ParseOptions& options,
                      MergedUdp& merged) noexcept {
  const SegmentHint& hint = packet.hint();
  if (hint.gso_type != GsoType::kUdp || hint.gso_size == 0) return false;
  OuterInfo& outer = merged.outer_;
  if (ParseOuterUdp(packet.bytes(), options, outer) != DropReason::kNone) {
    return false;
  }
  // Else the merged packets are those inside.
  if (hint.needs_checksum && hint.checksum_start != outer.ip_header_len) {
    return false;
  }
  merged.packet_ = packet;
  merged.packet_.hint() = {};
  merged.at_ = outer.header_len;
  merged.end_ = outer.total_len;
  merged.segment_ = hint.gso_size;
  return !merged.done();
}

DropReason MergedUdp::Next(PacketBuffer& packet, OuterInfo& info) noexcept {
  const size_t len = std::min(segment_, end_ - at_);
  packet = packet_;
  packet.PullInside(at_ - outer_.header_len);
  packet.TrimInside(outer_.header_len + len);
  at_ += len;
  info = outer_;
  return ParseUdpPayload(packet.bytes().subspan(outer_.header_len), info);
}

}  // namespace encap
