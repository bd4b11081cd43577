#include "encap/encapsulator.h"

#include <utility>

#include "encap/checksum.h"
#include "encap/dscp_ecn.h"
#include "encap/flow_hash.h"
#include "encap/outer_parse.h"
#include "encap/wire/gre.h"

namespace encap {
namespace {

constexpr size_t kMaxOuterLen = 65535;
constexpr uint8_t kTtlWithoutInner = 64;
// Flow labels need to be spread, and not secret (RFC 6438 2).
constexpr uint64_t kFlowLabelSeed = 0x67696620676c6f77u;

bool CarriesIpv4(Mode mode) noexcept {
  return mode == Mode::kGif || mode == Mode::kIpip || IsGre(mode);
}

bool CarriesIpv6(Mode mode) noexcept { return mode != Mode::kIpip; }

// The label of an IPv6 outer header from the inner flow (RFC 6438 3).
uint32_t FlowLabel(std::span<const uint8_t> payload, bool ethernet) noexcept {
  return ethernet ? FrameFlowHash(payload, kFlowLabelSeed)
                  : FlowHash(payload, kFlowLabelSeed);
}

void MoveHint(SegmentHint& hint, size_t pushed) noexcept {
  const auto step = static_cast<uint16_t>(pushed);
  if (hint.needs_checksum) hint.checksum_start += step;
  if (hint.gso_type != GsoType::kNone) hint.header_len += step;
}

}  // namespace

Encapsulator::Encapsulator(const EncapConfig& config)
    : template_(config),
      ipv4_(Announce(config.mode, IpFamily::kV4)),
      ipv6_(Announce(config.mode, IpFamily::kV6)),
      other_(Announce(config.mode, IpFamily::kNone)),
      ethernet_(config.mode == Mode::kGretap),
      checksum_(config.checksum),
      sequence_(config.sequence),
      ttl_(config.ttl),
      tos_(config.tos),
      df_(config.df),
      ecn_(config.ecn) {}

Encapsulator::Announcement Encapsulator::Announce(Mode mode,
                                                  IpFamily family) noexcept {
  if (mode == Mode::kGretap) return {kProtoGre, kEtherTypeTransparentEthernet};
  if (family == IpFamily::kV4 && CarriesIpv4(mode)) {
    return IsGre(mode) ? Announcement{kProtoGre, kEtherTypeIpv4}
                       : Announcement{kProtoIpip, 0};
  }
  if (family == IpFamily::kV6 && CarriesIpv6(mode)) {
    return IsGre(mode) ? Announcement{kProtoGre, kEtherTypeIpv6}
                       : Announcement{kProtoIpv6, 0};
  }
  return {};
}

DropReason Encapsulator::FillFields(const InnerPacket& inner,
                                    OuterFields& fields) const noexcept {
  const Announcement& announced = inner.family == IpFamily::kV4   ? ipv4_
                                  : inner.family == IpFamily::kV6 ? ipv6_
                                                                  : other_;
  if (announced.protocol == 0) return DropReason::kUnknownProtocol;
  fields.protocol = announced.protocol;
  fields.gre_protocol = announced.gre_protocol;

  const bool has_ip = inner.family != IpFamily::kNone;
  fields.ttl = ttl_ ? *ttl_ : has_ip ? inner.ttl : kTtlWithoutInner;
  if (fields.ttl == 0) return DropReason::kTtlExpired;

  fields.tos = WithEcn(EncapsulateDscp(tos_, inner.tos),
                       EncapsulateEcn(ecn_, EcnOf(inner.tos)));
  fields.dont_fragment = df_ == DfPolicy::kOn ||
                         (df_ == DfPolicy::kInherit && inner.dont_fragment);
  return DropReason::kNone;
}

DropReason Encapsulator::CheckSegments(const SegmentHint& hint,
                                       size_t inner_len,
                                       size_t headroom) const noexcept {
  const size_t header_len = template_.header_len();
  if (headroom < header_len || inner_len + header_len > kMaxOuterLen) {
    return DropReason::kTooBig;
  }
  if (hint.gso_type != GsoType::kNone && (checksum_ || sequence_)) {
    return DropReason::kTooBig;
  }
  if (hint.needs_checksum && !ChecksumFieldInside(hint, inner_len)) {
    return DropReason::kTruncated;
  }
  return DropReason::kNone;
}

DropReason Encapsulator::Encapsulate(PacketBuffer& packet,
                                     OutputState& state) const noexcept {
  const std::span<const uint8_t> payload = std::as_const(packet).bytes();
  InnerPacket inner;
  OuterFields fields;
  DropReason reason =
      ethernet_ ? ReadInnerFrame(payload, inner) : ReadInnerIp(payload, inner);
  if (reason != DropReason::kNone) return reason;
  reason = FillFields(inner, fields);
  if (reason != DropReason::kNone) return reason;
  const size_t inner_len = ethernet_ ? packet.size() : inner.ip_len;
  reason = CheckSegments(packet.hint(), inner_len, packet.headroom());
  if (reason != DropReason::kNone) return reason;

  packet.Trim(inner_len);
  if (checksum_) FinishChecksum(packet);  // its field is inside: checked above
  fields.ipv4_id = state.next_ipv4_id++;
  if (sequence_) fields.sequence = state.next_sequence++;
  if (template_.is_v6()) fields.flow_label = FlowLabel(payload, ethernet_);
  template_.Write(packet, fields);
  MoveHint(packet.hint(), template_.header_len());
  return DropReason::kNone;
}

}  // namespace encap
