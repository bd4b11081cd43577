#include "encap/decapsulator.h"

#include <utility>

#include "encap/bytes.h"
#include "encap/checksum.h"
#include "encap/dscp_ecn.h"
#include "encap/wire/gre.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"

namespace encap {
namespace {

// `s` is not newer than `last`: it lies among `last` and the 2^31 - 1 numbers
// before it, modulo 2^32 (RFC 2890 2.2).
constexpr bool IsOld(uint32_t s, uint32_t last) noexcept {
  return last - s <= 0x7fffffff;
}

// Lengths that every later check relies on, and the place of a partial
// checksum, which must be one of the payload.
DropReason CheckExtent(const PacketBuffer& packet,
                       const OuterInfo& outer) noexcept {
  if (outer.total_len > packet.size() || outer.header_len > outer.total_len ||
      outer.ip_header_len > outer.header_len) {
    return DropReason::kTruncated;
  }
  const SegmentHint& hint = packet.hint();
  if (hint.needs_checksum &&
      (hint.checksum_start < outer.header_len || hint.checksum_offset % 2 ||
       !ChecksumFieldInside(hint, outer.total_len))) {
    return DropReason::kTruncated;
  }
  return DropReason::kNone;
}

bool GreChecksumIsRight(const PacketBuffer& packet,
                        const OuterInfo& outer) noexcept {
  // The sender has summed the payload with its own checksum finished.
  const uint16_t sum =
      packet.hint().needs_checksum
          ? SumAsIfFinished(packet, outer.ip_header_len)
          : PartialSum(packet.bytes().subspan(
                outer.ip_header_len, outer.total_len - outer.ip_header_len));
  return sum == 0xffff;
}

// The sources that RFC 4213 3.6 lists: multicast, IPv4-mapped, and ::/96 with
// the loopback address but without the unspecified one, from which a host asks
// whether its address is taken.
bool Ipv6SourceIsMartian(const uint8_t* source) noexcept {
  if (source[0] == 0xff) return true;
  if ((LoadRaw<uint64_t>(source) | LoadRaw<uint16_t>(source + 8)) != 0) {
    return false;
  }
  const auto group = LoadRaw<uint16_t>(source + 10);
  const auto last = LoadRaw<uint32_t>(source + 12);
  return group == 0xffff || (group == 0 && last != 0);
}

bool SourceIsMartian(const uint8_t* ip, IpFamily family) noexcept {
  return family == IpFamily::kV4
             ? IpAddress::IsMartianV4(ip[ConstIpv4Header::kSource])
             : Ipv6SourceIsMartian(ip + ConstIpv6Header::kSource);
}

void MoveHint(SegmentHint& hint, uint16_t pulled) noexcept {
  if (hint.needs_checksum) hint.checksum_start -= pulled;
  hint.header_len =
      hint.header_len > pulled ? hint.header_len - pulled : uint16_t{0};
}

}  // namespace

Decapsulator::Decapsulator(const EncapConfig& config) : config_(config) {}

DropReason Decapsulator::CheckGre(const PacketBuffer& packet,
                                  const OuterInfo& outer) const noexcept {
  if (outer.has_checksum && packet.hint().gso_type == GsoType::kNone &&
      !GreChecksumIsRight(packet, outer)) {
    return DropReason::kBadGreChecksum;
  }
  if (outer.key == config_.input_key) return DropReason::kNone;
  if (!outer.key) return DropReason::kKeyMissing;
  return config_.input_key ? DropReason::kKeyMismatch
                           : DropReason::kKeyUnexpected;
}

DropReason Decapsulator::CheckSequence(const OuterInfo& outer,
                                       const InputState& state) const noexcept {
  if (!config_.sequence) return DropReason::kNone;
  if (!outer.sequence) return DropReason::kOutOfOrder;
  if (state.seen_sequence && IsOld(*outer.sequence, state.last_sequence)) {
    return DropReason::kOutOfOrder;
  }
  return DropReason::kNone;
}

// The family that the outer headers announce; kNone when the mode does not
// carry it.
IpFamily Decapsulator::CarriedFamily(const OuterInfo& outer) const noexcept {
  const bool gre = outer.protocol == kProtoGre;
  if (gre != IsGre(config_.mode)) return IpFamily::kNone;
  const bool v4 =
      gre ? outer.gre_protocol == kEtherTypeIpv4 : outer.protocol == kProtoIpip;
  const bool v6 =
      gre ? outer.gre_protocol == kEtherTypeIpv6 : outer.protocol == kProtoIpv6;
  const bool only_v6 =
      config_.mode == Mode::kSit || config_.mode == Mode::kIp6ip6;
  if (v4 && !only_v6) return IpFamily::kV4;
  if (v6 && config_.mode != Mode::kIpip) return IpFamily::kV6;
  return IpFamily::kNone;
}

DropReason Decapsulator::ReadPayload(std::span<const uint8_t> payload,
                                     const OuterInfo& outer,
                                     InnerPacket& inner) const noexcept {
  if (config_.mode == Mode::kGretap) {
    if (outer.protocol != kProtoGre ||
        outer.gre_protocol != kEtherTypeTransparentEthernet) {
      return DropReason::kUnknownProtocol;
    }
    return ReadInnerFrame(payload, inner);
  }
  const IpFamily family = CarriedFamily(outer);
  if (family == IpFamily::kNone) return DropReason::kUnknownProtocol;
  const DropReason reason = ReadInnerIp(payload, inner);
  if (reason != DropReason::kNone) return reason;
  if (inner.family != family) return DropReason::kBadIpHeader;
  return SourceIsMartian(payload.data(), family) ? DropReason::kMartianSource
                                                 : DropReason::kNone;
}

DropReason Decapsulator::Decapsulate(PacketBuffer& packet,
                                     const OuterInfo& outer,
                                     InputState& state) const noexcept {
  DropReason reason = CheckExtent(packet, outer);
  if (reason != DropReason::kNone) return reason;
  reason = CheckGre(packet, outer);
  if (reason != DropReason::kNone) return reason;
  const size_t payload_len = outer.total_len - outer.header_len;
  InnerPacket inner;
  reason = ReadPayload(
      std::as_const(packet).bytes().subspan(outer.header_len, payload_len),
      outer, inner);
  if (reason != DropReason::kNone) return reason;
  const size_t inner_len =
      config_.mode == Mode::kGretap ? payload_len : inner.ip_len;
  if (packet.hint().needs_checksum &&
      !ChecksumFieldInside(packet.hint(), outer.header_len + inner_len)) {
    return DropReason::kTruncated;
  }
  reason = CheckSequence(outer, state);
  if (reason != DropReason::kNone) return reason;
  const EcnVerdict verdict = DecapsulateEcn(EcnOf(inner.tos), EcnOf(outer.tos));
  if (inner.family != IpFamily::kNone && verdict.drop) {
    return DropReason::kEcnIllegal;
  }

  if (config_.sequence) state = {*outer.sequence, true};
  packet.Pull(outer.header_len);
  packet.Trim(inner_len);
  if (inner.family != IpFamily::kNone && verdict.ecn != EcnOf(inner.tos)) {
    SetInnerTos(packet.data() + inner.ip_offset, inner.family,
                WithEcn(inner.tos, verdict.ecn));
  }
  MoveHint(packet.hint(), outer.header_len);
  return DropReason::kNone;
}

}  // namespace encap
