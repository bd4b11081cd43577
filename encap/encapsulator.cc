#include "encap/encapsulator.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "encap/checksum.h"
#include "encap/dscp_ecn.h"
#include "encap/encap_limit.h"
#include "encap/flow_hash.h"
#include "encap/outer_parse.h"
#include "encap/wire/gre.h"

namespace encap {
namespace {

constexpr size_t kMaxOuterLen = 65535;
constexpr uint8_t kTtlWithoutInner = 64;
// Flow labels need to be spread, and not secret (RFC 6438 2).
constexpr uint64_t kFlowLabelSeed = 0x67696620676c6f77u;

bool HasUdpChecksum(const EncapConfig& config) noexcept {
  return config.transport == OuterTransport::kUdp &&
         (config.remote.is_v6() || !config.udp_zero_checksum);
}

// What the label of an IPv6 outer header (RFC 6438 3) and a UDP source port
// (RFC 8086 3.2.1) are made of.
uint32_t InnerFlow(std::span<const uint8_t> payload, bool ethernet) noexcept {
  return ethernet ? FrameFlowHash(payload, kFlowLabelSeed)
                  : FlowHash(payload, kFlowLabelSeed);
}

// One of the 16,384 ephemeral ports. By other bits than the flow label.
constexpr uint16_t SourcePort(uint32_t flow) noexcept {
  return static_cast<uint16_t>(0xc000 | flow >> 18);
}

}  // namespace

Encapsulator::Encapsulator(const EncapConfig& config)
    : tos_(TosRule(config)),
      ttl_(config.ttl ? CopyOrFixed{0, *config.ttl} : CopyOrFixed{0xff, 0}),
      encap_limit_(config.encap_limit.value_or(0xff)),
      ethernet_(config.mode == Mode::kGretap),
      outer_v6_(config.remote.is_v6()),
      covers_payload_(config.checksum || HasUdpChecksum(config)),
      no_super_packets_(config.checksum || config.sequence ||
                        config.transport == OuterTransport::kUdp),
      sequence_(config.sequence),
      udp_hash_(config.transport == OuterTransport::kUdp &&
                config.udp_source_port == 0),
      udp_source_port_(config.udp_source_port),
      always_df_(config.df == DfPolicy::kOn),
      inherit_df_(config.df == DfPolicy::kInherit) {
  for (const IpFamily family :
       {IpFamily::kNone, IpFamily::kV4, IpFamily::kV6}) {
    const PayloadType payload = Announce(config.mode, family);
    if (payload.protocol == 0) continue;  // not carried
    templates_[TemplateIndex(family)] = OuterTemplate(config, payload);
  }
  plain_ = !ethernet_;
  for (const OuterTemplate& made : templates_) plain_ &= made.is_plain();
  const PayloadType ipv6 = Announce(config.mode, IpFamily::kV6);
  if (ipv6.protocol == 0) return;
  EncapConfig limited = config;
  limited.encap_limit = encap_limit_;
  limited_ = OuterTemplate(limited, ipv6);
}

// DSCP by RFC 2983, ECN by RFC 6040 4.1: in both a field is copied or fixed,
// whatever its value.
Encapsulator::CopyOrFixed Encapsulator::TosRule(
    const EncapConfig& config) noexcept {
  CopyOrFixed rule;
  rule.fixed = WithEcn(EncapsulateDscp(config.tos, 0),
                       EncapsulateEcn(config.ecn, Ecn::kNotEct));
  const uint8_t all = WithEcn(EncapsulateDscp(config.tos, kDscpMask),
                              EncapsulateEcn(config.ecn, Ecn::kCe));
  rule.copied = static_cast<uint8_t>(all & ~rule.fixed);
  return rule;
}

PayloadType Encapsulator::Announce(Mode mode, IpFamily family) noexcept {
  if (mode == Mode::kGretap) return {kProtoGre, kEtherTypeTransparentEthernet};
  if (!Carries(mode, family)) return {};
  const bool v4 = family == IpFamily::kV4;
  return IsGre(mode)
             ? PayloadType{kProtoGre, v4 ? kEtherTypeIpv4 : kEtherTypeIpv6}
             : PayloadType{v4 ? kProtoIpip : kProtoIpv6, 0};
}

DropReason Encapsulator::TakeHint(PacketBuffer& packet, size_t inner_len,
                                  size_t header_len) const noexcept {
  SegmentHint& hint = packet.hint();
  if (hint.gso_type != GsoType::kNone && no_super_packets_) {
    return DropReason::kTooBig;
  }
  if (hint.needs_checksum && !ChecksumFieldInside(hint, inner_len)) {
    return DropReason::kTruncated;
  }
  packet.Trim(inner_len);
  if (covers_payload_) FinishChecksum(packet);  // its field is inside
  const auto step = static_cast<uint16_t>(header_len);
  if (hint.needs_checksum) hint.checksum_start += step;
  if (hint.gso_type != GsoType::kNone) hint.header_len += step;
  return DropReason::kNone;
}

// Where nothing is configured the inner limit alone decides, else the smaller.
Encapsulator::LimitVerdict Encapsulator::JudgeLimit(
    std::span<const uint8_t> inner) const noexcept {
  const std::optional<EncapLimit> found = FindEncapLimit(inner);
  if (!found) return {DropReason::kNone, false, encap_limit_};
  if (found->limit == 0) return {DropReason::kRecursion, true, 0};
  return {DropReason::kNone, true,
          std::min(encap_limit_, static_cast<uint8_t>(found->limit - 1))};
}

DropReason Encapsulator::Encapsulate(PacketBuffer& packet,
                                     OutputState& state) const noexcept {
  if (!plain_ || !packet.hint().is_plain()) {
    return EncapsulateAny(packet, state);
  }
  return outer_v6_ ? EncapsulatePlain<true>(packet, state)
                   : EncapsulatePlain<false>(packet, state);
}

template <bool kOuterV6>
DropReason Encapsulator::EncapsulatePlain(PacketBuffer& packet,
                                          OutputState& state) const noexcept {
  const std::span<const uint8_t> payload = std::as_const(packet).bytes();
  InnerPacket inner;
  if (ReadInnerIp(payload, inner) != DropReason::kNone || inner.ttl == 0 ||
      packet.headroom() < OuterTemplate::kPlainHeadroom ||
      inner.ip_len > kMaxOuterLen - OuterTemplate::kPlainHeadroom ||
      (inner.family == IpFamily::kV6 &&
       MayCarryEncapLimit(payload[ConstIpv6Header::kNextHeader]))) {
    return EncapsulateAny(packet, state);
  }
  const OuterTemplate& outer = templates_[TemplateIndex(inner.family)];
  if (outer.header_len() == 0) return DropReason::kUnknownProtocol;
  OuterFields fields;
  fields.ttl = ttl_.Of(inner.ttl);
  fields.tos = tos_.Of(inner.tos);
  if (kOuterV6) {
    fields.flow_label = InnerFlow(payload, /*ethernet=*/false);
  } else {
    fields.dont_fragment = always_df_ | (inherit_df_ & inner.dont_fragment);
    fields.ipv4_id = state.next_ipv4_id;
  }
  ++state.next_ipv4_id;
  packet.TrimInside(inner.ip_len);
  outer.WritePlainAs<kOuterV6>(packet, fields);
  return DropReason::kNone;
}

DropReason Encapsulator::EncapsulateAny(PacketBuffer& packet,
                                        OutputState& state) const noexcept {
  if (ethernet_) {
    return outer_v6_ ? EncapsulateAs<true, true>(packet, state)
                     : EncapsulateAs<true, false>(packet, state);
  }
  return outer_v6_ ? EncapsulateAs<false, true>(packet, state)
                   : EncapsulateAs<false, false>(packet, state);
}

template <bool kEthernet, bool kOuterV6>
[[gnu::always_inline]] inline void Encapsulator::FillFields(
    std::span<const uint8_t> payload, const InnerPacket& inner,
    OutputState& state, OuterFields& fields) const noexcept {
  fields.tos = tos_.Of(inner.tos);
  fields.udp_source_port = udp_source_port_;
  if (kOuterV6) {
    fields.flow_label = InnerFlow(payload, kEthernet);
    if (udp_hash_) fields.udp_source_port = SourcePort(fields.flow_label);
  } else {
    if (udp_hash_) {
      fields.udp_source_port = SourcePort(InnerFlow(payload, kEthernet));
    }
    fields.dont_fragment = always_df_ | (inherit_df_ & inner.dont_fragment);
    fields.ipv4_id = state.next_ipv4_id;
  }
  ++state.next_ipv4_id;
  if (sequence_) fields.sequence = state.next_sequence++;
}

template <bool kEthernet, bool kOuterV6>
DropReason Encapsulator::EncapsulateAs(PacketBuffer& packet,
                                       OutputState& state) const noexcept {
  const std::span<const uint8_t> payload = std::as_const(packet).bytes();
  InnerPacket inner;
  const DropReason reason =
      kEthernet ? ReadInnerFrame(payload, inner) : ReadInnerIp(payload, inner);
  if (reason != DropReason::kNone) return reason;
  const OuterTemplate* outer = &templates_[TemplateIndex(inner.family)];
  if (outer->header_len() == 0) return DropReason::kUnknownProtocol;
  OuterFields fields;
  fields.encap_limit = encap_limit_;
  if (inner.family == IpFamily::kV6) {
    const std::span<const uint8_t> ip = payload.subspan(inner.ip_offset);
    if (MayCarryEncapLimit(ip[ConstIpv6Header::kNextHeader])) {
      const LimitVerdict verdict = JudgeLimit(ip);
      if (verdict.refused != DropReason::kNone) return verdict.refused;
      if (verdict.found) outer = &limited_;
      fields.encap_limit = verdict.limit;
    }
  }
  const size_t header_len = outer->header_len();
  fields.ttl =
      ttl_.Of(kEthernet && inner.family == IpFamily::kNone ? kTtlWithoutInner
                                                           : inner.ttl);
  // A packet that may cross no hop enters no tunnel (RFC 2003 3.1); in a frame
  // it only crosses a bridge.
  if ((kEthernet ? fields.ttl : inner.ttl) == 0) return DropReason::kTtlExpired;
  const size_t inner_len = kEthernet ? payload.size() : inner.ip_len;
  if (packet.headroom() < header_len || inner_len + header_len > kMaxOuterLen) {
    return DropReason::kTooBig;
  }
  if (!packet.hint().is_plain()) {
    const DropReason refused = TakeHint(packet, inner_len, header_len);
    if (refused != DropReason::kNone) return refused;
  }

  packet.TrimInside(inner_len);
  FillFields<kEthernet, kOuterV6>(payload, inner, state, fields);
  outer->WriteAs<kOuterV6>(packet, fields);
  return DropReason::kNone;
}

}  // namespace encap
