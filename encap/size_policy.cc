#include "encap/size_policy.h"

#include <algorithm>

#include "encap/encap_limit.h"
#include "encap/offload/transport_view.h"
#include "encap/wire/ethernet.h"

namespace encap {
namespace {

// Bytes of the IP packet that crosses the tunnel at once: of a super-packet
// that of its first segment. A super-packet whose headers are not understood is
// judged by its whole length.
uint32_t LargestSegment(std::span<const uint8_t> ip,
                        const SegmentHint& hint) noexcept {
  const auto len = static_cast<uint32_t>(ip.size());
  if (hint.gso_type == GsoType::kNone) return len;
  TransportView view;
  if (!FindTransport(ip, view)) return len;
  return std::min(len, uint32_t{view.header_len} + hint.gso_size);
}

}  // namespace

SizePolicy::SizePolicy(const EncapConfig& config) noexcept
    : fragment_(config.fragment),
      ethernet_(config.mode == Mode::kGretap),
      outer_v6_(config.remote.is_v6()),
      has_limit_(outer_v6_ && config.encap_limit.has_value()) {
  // An outer IPv4 packet is cut for the sake of the policy alone where a router
  // may cut it too.
  if (fragment_ == FragmentPolicy::kOuter && !outer_v6_ &&
      config.df != DfPolicy::kOff) {
    fragment_ = FragmentPolicy::kNone;
  }
  const uint32_t overhead = EncapOverhead(config);
  added_ =
      static_cast<uint16_t>(overhead - (ethernet_ ? kEthernetHeaderLen : 0));
  most_added_ = static_cast<uint16_t>(
      added_ + (outer_v6_ && !has_limit_ ? kEncapLimitHeaderLen : 0));
}

uint32_t SizePolicy::AddedTo(std::span<const uint8_t> payload,
                             const InnerPacket& inner) const noexcept {
  if (most_added_ == added_ || inner.family != IpFamily::kV6) return added_;
  const bool asks =
      FindEncapLimit(payload.subspan(inner.ip_offset)).has_value();
  return asks ? most_added_ : added_;
}

SizeVerdict SizePolicy::JudgeLarge(const PacketBuffer& packet,
                                   uint32_t path_mtu) const noexcept {
  const std::span<const uint8_t> payload = packet.bytes();
  InnerPacket inner;
  const DropReason reason =
      ethernet_ ? ReadInnerFrame(payload, inner) : ReadInnerIp(payload, inner);
  if (reason != DropReason::kNone) return {};
  if (inner.family == IpFamily::kNone) {
    if (payload.size() + added_ <= path_mtu) return {};
    return JudgeTooBig(inner, static_cast<uint32_t>(payload.size()), 0,
                       path_mtu);
  }
  // A frame crosses with what may lie behind its IP packet.
  const size_t end =
      ethernet_ ? payload.size() - inner.ip_offset : inner.ip_len;
  const bool super = packet.hint().gso_type != GsoType::kNone;
  const uint32_t len =
      super ? LargestSegment(payload.subspan(inner.ip_offset, inner.ip_len),
                             packet.hint())
            : static_cast<uint32_t>(end);
  const uint32_t before = AddedTo(payload, inner) + inner.ip_offset;
  if (len + before <= path_mtu) return {};
  return JudgeTooBig(inner, len, path_mtu > before ? path_mtu - before : 0,
                     path_mtu);
}

SizeVerdict SizePolicy::JudgeTooBig(const InnerPacket& inner, uint32_t ip_len,
                                    uint32_t inner_mtu,
                                    uint32_t path_mtu) const noexcept {
  const bool v6 = inner.family == IpFamily::kV6;
  if (fragment_ == FragmentPolicy::kOuter || (v6 && ip_len <= kMinIpv6Mtu)) {
    return {SizeAction::kFragmentOuter, path_mtu};
  }
  if (fragment_ == FragmentPolicy::kInner && inner.family == IpFamily::kV4 &&
      !inner.dont_fragment) {
    return {SizeAction::kFragmentInner, inner_mtu};
  }
  return {SizeAction::kRefuse,
          v6 ? std::max(inner_mtu, kMinIpv6Mtu) : inner_mtu};
}

}  // namespace encap
