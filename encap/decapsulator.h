// Decapsulator: takes the outer headers of one tunnel off a packet.
//
// Built once from an EncapConfig, then immutable and safe to share; each thread
// brings an InputState of its own. No heap, lock, log, exception or clock.

#ifndef ENCAP_DECAPSULATOR_H_
#define ENCAP_DECAPSULATOR_H_

#include <cstdint>
#include <optional>
#include <span>

#include "encap/drop_reason.h"
#include "encap/encap_config.h"
#include "encap/inner_packet.h"
#include "encap/outer_parse.h"
#include "encap/packet.h"
#include "encap/prefix_set.h"

namespace encap {

// Receive state of one tunnel on one thread. Each thread sees its own share of
// the flows, in order, so the check of RFC 2890 2.2 is made on that share.
struct InputState {
  uint32_t last_sequence = 0;
  bool seen_sequence =
      false;  // false: the next number is accepted whatever it is
};

class Decapsulator {
 public:
  // `config` must be valid: Validate(config) is empty.
  explicit Decapsulator(const EncapConfig& config);

  // `packet` starts at the outer IP header; `outer` is what ParseOuter() gave
  // for it, and addresses and key have been matched by the caller's lookup. On
  // kNone `packet` is the inner packet, cut to its own length, ECN set as RFC
  // 6040 4.2 says, hint offsets moved. A packet with a GSO hint was merged from
  // checked segments: its GRE and UDP checksums are not verified again, nor is
  // a UDP checksum that the hint calls partial: the packet is of this host. On
  // any other reason `packet` and `state` are unchanged. Errors: kTruncated
  // (the hint outside the payload too, and outer UDP packets merged into one),
  // kBadIpHeader, kBadOuterChecksum (of UDP), kBadGreChecksum,
  // kUnknownProtocol, kKeyMissing, kKeyUnexpected, kKeyMismatch, kOutOfOrder,
  // kEcnIllegal, kMartianSource (RFC 1812 5.3.7, RFC 4213 3.6; not for kGretap,
  // where a host may ask for an address from 0.0.0.0), kWrongSource (none of
  // the allowed sources).
  DropReason Decapsulate(PacketBuffer& packet, const OuterInfo& outer,
                         InputState& state) const noexcept;

 private:
  static DropReason CheckSums(const PacketBuffer& packet,
                              const OuterInfo& outer,
                              bool outer_partial) noexcept;
  DropReason CheckKey(const OuterInfo& outer) const noexcept;
  DropReason CheckSource(const uint8_t* ip, IpFamily family) const noexcept;
  DropReason ReadIp(std::span<const uint8_t> payload, const OuterInfo& outer,
                    InnerPacket& inner) const noexcept;
  DropReason ReadFrame(std::span<const uint8_t> payload, const OuterInfo& outer,
                       InnerPacket& inner) const noexcept;
  // For a packet with a plain hint and without checksums, where plain_ is set.
  // Whatever is not as usual it leaves to DecapsulateAny(), as its last call.
  DropReason DecapsulatePlain(PacketBuffer& packet, const OuterInfo& outer,
                              InputState& state) const noexcept;
  [[gnu::noinline]] DropReason DecapsulateAny(PacketBuffer& packet,
                                              const OuterInfo& outer,
                                              InputState& state) const noexcept;
  template <bool kEthernet>
  DropReason DecapsulateAs(PacketBuffer& packet, const OuterInfo& outer,
                           InputState& state) const noexcept;

  // What Announced() is for a payload that the mode carries.
  static constexpr uint32_t kNotCarried = 0xffffffff;
  static constexpr uint32_t Announced(uint8_t protocol,
                                      uint16_t gre_protocol) noexcept {
    return uint32_t{protocol} << 16 | gre_protocol;
  }
  uint32_t ipv4_ = kNotCarried;
  uint32_t ipv6_ = kNotCarried;
  std::optional<uint32_t> key_;
  PrefixSet allowed_sources_;
  bool plain_ = false;  // IP payload from any source, without numbers
  bool ethernet_ = false;
  bool sequence_ = false;
};

}  // namespace encap

#endif  // ENCAP_DECAPSULATOR_H_
