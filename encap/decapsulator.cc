#include "encap/decapsulator.h"

#include "encap/bytes.h"
#include "encap/checksum.h"
#include "encap/dscp_ecn.h"
#include "encap/wire/gre.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"
#include "encap/wire/udp.h"

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

// Which checksum the hint calls partial.
enum class Sums {
  kWhole,         // none
  kInnerPartial,  // one behind the outer headers
  kOuterPartial,  // that of UDP: the packet has crossed no wire
  kUnknown,       // none that there is; or outer packets have been merged, and
                  // their boundaries lie in the payload
};

inline Sums JudgeHint(const SegmentHint& hint,
                      const OuterInfo& outer) noexcept {
  if (hint.is_plain()) return Sums::kWhole;
  if (outer.udp_port != 0) {
    if (hint.gso_type == GsoType::kUdp &&
        !(hint.needs_checksum && hint.checksum_start >= outer.header_len)) {
      return Sums::kUnknown;
    }
    if (hint.needs_checksum && hint.gso_type == GsoType::kNone &&
        hint.checksum_start == outer.ip_header_len) {
      return Sums::kOuterPartial;
    }
  }
  if (!hint.needs_checksum) return Sums::kWhole;
  const size_t payload_len = outer.total_len - outer.header_len;
  return ChecksumIsInner(hint, outer.header_len, payload_len)
             ? Sums::kInnerPartial
             : Sums::kUnknown;
}

// The sum from `from` to the end. The sender has summed the payload with its
// own checksum finished.
uint16_t SumFrom(size_t from, const PacketBuffer& packet,
                 const OuterInfo& outer, bool inner_partial) noexcept {
  return inner_partial
             ? SumAsIfFinished(packet, from)
             : PartialSum(packet.bytes().subspan(from, outer.total_len - from));
}

uint16_t UdpPseudoSum(const OuterInfo& outer) noexcept {
  const uint8_t* source = outer.addresses.remote.bytes().data();
  const uint8_t* destination = outer.addresses.local.bytes().data();
  const uint32_t length = outer.total_len - outer.ip_header_len;
  return outer.addresses.local.is_v6()
             ? PseudoHeaderSumV6(source, destination, kProtoUdp, length)
             : PseudoHeaderSumV4(source, destination, kProtoUdp,
                                 static_cast<uint16_t>(length));
}

size_t UdpLen(const OuterInfo& outer) noexcept {
  return outer.udp_port == 0 ? 0 : ConstUdpHeader::kLen;
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

void MoveHint(SegmentHint& hint, uint16_t pulled, bool outer_partial) noexcept {
  if (outer_partial) {
    hint = {};  // goes with the UDP header
    return;
  }
  if (hint.needs_checksum) hint.checksum_start -= pulled;
  hint.header_len =
      hint.header_len > pulled ? hint.header_len - pulled : uint16_t{0};
}

}  // namespace

Decapsulator::Decapsulator(const EncapConfig& config)
    : key_(config.input_key),
      allowed_sources_(config.allowed_sources),
      plain_(config.mode != Mode::kGretap && !config.sequence &&
             config.allowed_sources.empty()),
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

inline DropReason Decapsulator::CheckSums(const PacketBuffer& packet,
                                          const OuterInfo& outer,
                                          bool outer_partial) noexcept {
  if (!outer.has_checksum && !outer.has_udp_checksum) return DropReason::kNone;
  const SegmentHint& hint = packet.hint();
  if (hint.gso_type != GsoType::kNone) return DropReason::kNone;
  const bool inner_partial = hint.needs_checksum && !outer_partial;
  if (outer.has_udp_checksum && !outer_partial &&
      AddSums(UdpPseudoSum(outer), SumFrom(outer.ip_header_len, packet, outer,
                                           inner_partial)) != 0xffff) {
    return DropReason::kBadOuterChecksum;
  }
  if (outer.has_checksum && SumFrom(outer.ip_header_len + UdpLen(outer), packet,
                                    outer, inner_partial) != 0xffff) {
    return DropReason::kBadGreChecksum;
  }
  return DropReason::kNone;
}

inline DropReason Decapsulator::CheckKey(
    const OuterInfo& outer) const noexcept {
  if (outer.key == key_) return DropReason::kNone;
  if (!outer.key) return DropReason::kKeyMissing;
  return key_ ? DropReason::kKeyMismatch : DropReason::kKeyUnexpected;
}

inline DropReason Decapsulator::CheckSource(const uint8_t* ip,
                                            IpFamily family) const noexcept {
  if (SourceIsMartian(ip, family)) return DropReason::kMartianSource;
  if (allowed_sources_.empty()) return DropReason::kNone;
  const bool allowed =
      family == IpFamily::kV4
          ? allowed_sources_.ContainsV4(ip + ConstIpv4Header::kSource)
          : allowed_sources_.ContainsV6(ip + ConstIpv6Header::kSource);
  return allowed ? DropReason::kNone : DropReason::kWrongSource;
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
  // RFC 2003 3.1; of IPv6 the host judges (RFC 8200 3).
  if (is_v4 && inner.ttl == 0) return DropReason::kTtlExpired;
  return CheckSource(payload.data(), inner.family);
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
  const bool plain = plain_ & !outer.has_checksum & !outer.has_udp_checksum;
  if (!plain || !packet.hint().is_plain()) {
    return DecapsulateAny(packet, outer, state);
  }
  return DecapsulatePlain(packet, outer, state);
}

inline DropReason Decapsulator::DecapsulatePlain(
    PacketBuffer& packet, const OuterInfo& outer,
    InputState& state) const noexcept {
  // Outer Not-ECT and ECT(0) leave the inner field alone (RFC 6040 4.2).
  constexpr uint8_t kChangesEcn = 1;
  InnerPacket inner;
  const size_t header_len = outer.header_len;
  if (!ExtentIsRight(packet, outer) || (outer.tos & kChangesEcn) != 0 ||
      outer.key != key_ ||
      ReadInnerIp({packet.data() + header_len, outer.total_len - header_len},
                  inner) != DropReason::kNone) {
    return DecapsulateAny(packet, outer, state);
  }
  const bool is_v4 = inner.family == IpFamily::kV4;
  if (Announced(outer.protocol, outer.gre_protocol) !=
          (is_v4 ? ipv4_ : ipv6_) ||
      (is_v4 && inner.ttl == 0) ||
      SourceIsMartian(packet.data() + header_len, inner.family)) {
    return DecapsulateAny(packet, outer, state);
  }
  packet.PullInside(header_len);
  packet.TrimInside(inner.ip_len);
  return DropReason::kNone;
}

DropReason Decapsulator::DecapsulateAny(PacketBuffer& packet,
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
  const SegmentHint& hint = packet.hint();
  const Sums sums = JudgeHint(hint, outer);
  if (sums == Sums::kUnknown) return DropReason::kTruncated;
  const bool partial = sums == Sums::kInnerPartial;
  const bool outer_partial = sums == Sums::kOuterPartial;
  DropReason reason = CheckSums(packet, outer, outer_partial);
  if (reason == DropReason::kNone) reason = CheckKey(outer);
  if (reason != DropReason::kNone) return reason;
  const std::span<const uint8_t> payload(packet.data() + header_len,
                                         payload_len);
  InnerPacket inner;
  reason = kEthernet ? ReadFrame(payload, outer, inner)
                     : ReadIp(payload, outer, inner);
  if (reason != DropReason::kNone) return reason;
  const size_t inner_len = kEthernet ? payload_len : inner.ip_len;
  if (partial && !ChecksumIsInner(hint, header_len, inner_len)) {
    return DropReason::kTruncated;
  }
  if (sequence_ && !SequenceIsNew(outer, state)) return DropReason::kOutOfOrder;
  const EcnVerdict verdict = DecapsulateEcn(EcnOf(inner.tos), EcnOf(outer.tos));
  const bool has_ip = !kEthernet || inner.family != IpFamily::kNone;
  if (has_ip && verdict.drop) return DropReason::kEcnIllegal;

  if (sequence_) state = {*outer.sequence, true};
  MoveHint(packet.hint(), outer.header_len, outer_partial);
  packet.Pull(header_len);
  packet.Trim(inner_len);
  if (has_ip && verdict.ecn != EcnOf(inner.tos)) {
    SetInnerTos(packet.data() + inner.ip_offset, inner.family,
                WithEcn(inner.tos, verdict.ecn));
  }
  return DropReason::kNone;
}

}  // namespace encap
