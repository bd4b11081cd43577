#include "encap/decapsulator.h"

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

// True for lengths on which every later check relies.
bool ExtentIsRight(const PacketBuffer& packet,
                   const OuterInfo& outer) noexcept {
  return outer.total_len <= packet.size() &&
         outer.header_len <= outer.total_len &&
         outer.ip_header_len <= outer.header_len;
}

// True when the partial checksum is one of the `inner_len` bytes behind the
// outer headers.
bool ChecksumIsInner(const SegmentHint& hint, size_t header_len,
                     size_t inner_len) noexcept {
  return hint.checksum_start >= header_len && hint.checksum_offset % 2 == 0 &&
         ChecksumFieldInside(hint, header_len + inner_len);
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

bool SequenceIsNew(const OuterInfo& outer, const InputState& state) noexcept {
  if (!outer.sequence) return false;
  return !state.seen_sequence || !IsOld(*outer.sequence, state.last_sequence);
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

Decapsulator::Decapsulator(const EncapConfig& config)
    : key_(config.input_key),
      ethernet_(config.mode == Mode::kGretap),
      sequence_(config.sequence) {
  const bool gre = IsGre(config.mode);
  if (config.mode != Mode::kSit && config.mode != Mode::kIp6ip6) {
    ipv4_ =
        gre ? Announced(kProtoGre, kEtherTypeIpv4) : Announced(kProtoIpip, 0);
  }
  if (config.mode != Mode::kIpip) {
    ipv6_ =
        gre ? Announced(kProtoGre, kEtherTypeIpv6) : Announced(kProtoIpv6, 0);
  }
}

inline DropReason Decapsulator::CheckGre(
    const PacketBuffer& packet, const OuterInfo& outer) const noexcept {
  if (outer.has_checksum && packet.hint().gso_type == GsoType::kNone &&
      !GreChecksumIsRight(packet, outer)) {
    return DropReason::kBadGreChecksum;
  }
  if (outer.key == key_) return DropReason::kNone;
  if (!outer.key) return DropReason::kKeyMissing;
  return key_ ? DropReason::kKeyMismatch : DropReason::kKeyUnexpected;
}

inline DropReason Decapsulator::ReadIp(std::span<const uint8_t> payload,
                                       const OuterInfo& outer,
                                       InnerPacket& inner) const noexcept {
  const uint32_t announced = Announced(outer.protocol, outer.gre_protocol);
  if (announced != ipv4_ && announced != ipv6_) {
    return DropReason::kUnknownProtocol;
  }
  const DropReason reason = ReadInnerIp(payload, inner);
  if (reason != DropReason::kNone) return reason;
  const bool is_v4 = inner.family == IpFamily::kV4;
  if (announced != (is_v4 ? ipv4_ : ipv6_)) return DropReason::kBadIpHeader;
  return SourceIsMartian(payload.data(), inner.family)
             ? DropReason::kMartianSource
             : DropReason::kNone;
}

DropReason Decapsulator::ReadFrame(std::span<const uint8_t> payload,
                                   const OuterInfo& outer,
                                   InnerPacket& inner) const noexcept {
  if (outer.protocol != kProtoGre ||
      outer.gre_protocol != kEtherTypeTransparentEthernet) {
    return DropReason::kUnknownProtocol;
  }
  return ReadInnerFrame(payload, inner);
}

DropReason Decapsulator::Decapsulate(PacketBuffer& packet,
                                     const OuterInfo& outer,
                                     InputState& state) const noexcept {
  return ethernet_ ? DecapsulateAs<true>(packet, outer, state)
                   : DecapsulateAs<false>(packet, outer, state);
}

template <bool kEthernet>
DropReason Decapsulator::DecapsulateAs(PacketBuffer& packet,
                                       const OuterInfo& outer,
                                       InputState& state) const noexcept {
  if (!ExtentIsRight(packet, outer)) return DropReason::kTruncated;
  const size_t header_len = outer.header_len;
  const size_t payload_len = outer.total_len - header_len;
  const bool partial = packet.hint().needs_checksum;
  if (partial && !ChecksumIsInner(packet.hint(), header_len, payload_len)) {
    return DropReason::kTruncated;
  }
  DropReason reason = CheckGre(packet, outer);
  if (reason != DropReason::kNone) return reason;
  const std::span<const uint8_t> payload(packet.data() + header_len,
                                         payload_len);
  InnerPacket inner;
  reason = kEthernet ? ReadFrame(payload, outer, inner)
                     : ReadIp(payload, outer, inner);
  if (reason != DropReason::kNone) return reason;
  const size_t inner_len = kEthernet ? payload_len : inner.ip_len;
  if (partial && !ChecksumIsInner(packet.hint(), header_len, inner_len)) {
    return DropReason::kTruncated;
  }
  if (sequence_ && !SequenceIsNew(outer, state)) return DropReason::kOutOfOrder;
  const EcnVerdict verdict = DecapsulateEcn(EcnOf(inner.tos), EcnOf(outer.tos));
  const bool has_ip = !kEthernet || inner.family != IpFamily::kNone;
  if (has_ip && verdict.drop) return DropReason::kEcnIllegal;

  if (sequence_) state = {*outer.sequence, true};
  MoveHint(packet.hint(), outer.header_len);
  packet.Pull(header_len);
  packet.Trim(inner_len);
  if (has_ip && verdict.ecn != EcnOf(inner.tos)) {
    SetInnerTos(packet.data() + inner.ip_offset, inner.family,
                WithEcn(inner.tos, verdict.ecn));
  }
  return DropReason::kNone;
}

}  // namespace encap
