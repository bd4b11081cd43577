// Encapsulator: puts the outer headers of one tunnel in front of a packet.
//
// Built once from an EncapConfig, then immutable: any number of threads may
// call Encapsulate() at once, each with an OutputState of its own. No heap,
// lock, log, exception or clock.

#ifndef ENCAP_ENCAPSULATOR_H_
#define ENCAP_ENCAPSULATOR_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "encap/drop_reason.h"
#include "encap/encap_config.h"
#include "encap/inner_packet.h"
#include "encap/outer_template.h"
#include "encap/packet.h"

namespace encap {

// The part of a tunnel's output that changes with each packet. One per thread;
// a tunnel with sequence numbers must send from one thread alone, since the
// numbers are one series for the whole tunnel (RFC 2890 2.2).
struct OutputState {
  uint32_t next_sequence = 0;
  uint16_t next_ipv4_id =
      1;  // any start; RFC 6864 asks for uniqueness only where DF is clear
};

class Encapsulator {
 public:
  // `config` must be valid: Validate(config) is empty.
  explicit Encapsulator(const EncapConfig& config);

  // On entry `packet` is an inner IPv4 or IPv6 packet (an Ethernet frame for
  // kGretap) with kMaxEncapHeadroom bytes of headroom. On kNone it is the outer
  // packet, finished and checksummed, and its hint offsets have moved along
  // with the headers. On any other reason the bytes are those of the entry.
  // Errors: kTruncated, kBadIpHeader, kUnknownProtocol (a family that the mode
  // does not carry), kTooBig (above 65,535 bytes, or more than the headroom
  // holds, or a super-packet where each segment needs its own GRE checksum,
  // sequence number or UDP header), kTtlExpired (inner TTL 0), kRecursion
  // (an inner IPv6 packet whose Tunnel Encapsulation Limit is 0; RFC
  // 2473 4.1.1). `state` changes on kNone alone. A partial checksum is finished
  // when a GRE or UDP checksum must cover it, else it stays partial.
  DropReason Encapsulate(PacketBuffer& packet,
                         OutputState& state) const noexcept;

 private:
  // A field that is a copy of the inner one, or fixed, without a branch.
  struct CopyOrFixed {
    uint8_t copied = 0;  // mask of the bits that come from the inner field
    uint8_t fixed = 0;   // all others
    uint8_t Of(uint8_t inner) const noexcept {
      return static_cast<uint8_t>((inner & copied) | fixed);
    }
  };

  static PayloadType Announce(Mode mode, IpFamily family) noexcept;
  static CopyOrFixed TosRule(const EncapConfig& config) noexcept;
  static constexpr size_t TemplateIndex(IpFamily family) noexcept {
    return static_cast<size_t>(family) / 2;  // 0, 2 or 3
  }
  // For a packet with a plain hint, where plain_ is set. Whatever is not as
  // usual it leaves to EncapsulateAny(), as its last call: so the usual packet
  // needs no stack.
  template <bool kOuterV6>
  DropReason EncapsulatePlain(PacketBuffer& packet,
                              OutputState& state) const noexcept;
  [[gnu::noinline]] DropReason EncapsulateAny(
      PacketBuffer& packet, OutputState& state) const noexcept;
  template <bool kEthernet, bool kOuterV6>
  DropReason EncapsulateAs(PacketBuffer& packet,
                           OutputState& state) const noexcept;
  template <bool kEthernet, bool kOuterV6>
  void FillFields(std::span<const uint8_t> payload, const InnerPacket& inner,
                  OutputState& state, OuterFields& fields) const noexcept;
  // What the Tunnel Encapsulation Limit that an inner IPv6 packet may carry
  // makes of it. By value: fields whose address is taken do not stay in
  // registers.
  struct LimitVerdict {
    DropReason refused = DropReason::kNone;
    bool found = false;  // limited_ is the template
    uint8_t limit = 0;   // to be sent
  };
  LimitVerdict JudgeLimit(std::span<const uint8_t> inner) const noexcept;
  // Judges the hint of a packet of `inner_len` bytes, and on kNone alone makes
  // it that of the outer packet.
  DropReason TakeHint(PacketBuffer& packet, size_t inner_len,
                      size_t header_len) const noexcept;

  std::array<OuterTemplate, 4> templates_;  // by TemplateIndex()
  // For an inner IPv6 packet with an encapsulation limit, which the outer IPv6
  // header must have then too.
  OuterTemplate limited_;
  CopyOrFixed tos_;
  CopyOrFixed ttl_;
  uint8_t encap_limit_ = 0;  // that of the configuration, else the largest
  bool plain_ = false;       // IP payload, and each template is_plain()
  bool ethernet_ = false;
  bool outer_v6_ = false;
  bool covers_payload_ = false;  // with a GRE or UDP checksum
  bool no_super_packets_ = false;
  bool sequence_ = false;
  bool udp_hash_ = false;         // the source port is that of the flow
  uint16_t udp_source_port_ = 0;  // else
  bool always_df_ = false;
  bool inherit_df_ = false;
};

}  // namespace encap

#endif  // ENCAP_ENCAPSULATOR_H_
