// Encapsulator: puts the outer headers of one tunnel in front of a packet.
//
// Built once from an EncapConfig, then immutable: any number of threads may
// call Encapsulate() at once, each with an OutputState of its own. No heap,
// lock, log, exception or clock.

#ifndef ENCAP_ENCAPSULATOR_H_
#define ENCAP_ENCAPSULATOR_H_

#include <cstddef>
#include <cstdint>
#include <optional>

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
  // holds, or a super-packet where each segment needs its own GRE checksum or
  // sequence number), kTtlExpired (inherited TTL 0). `state` changes on kNone
  // alone. A partial checksum is finished when a GRE checksum must cover it,
  // else it stays partial.
  DropReason Encapsulate(PacketBuffer& packet,
                         OutputState& state) const noexcept;

 private:
  // How one inner family is announced; protocol 0: not carried.
  struct Announcement {
    uint8_t protocol = 0;
    uint16_t gre_protocol = 0;
  };
  static Announcement Announce(Mode mode, IpFamily family) noexcept;

  DropReason FillFields(const InnerPacket& inner,
                        OuterFields& fields) const noexcept;
  DropReason CheckSegments(const SegmentHint& hint, size_t inner_len,
                           size_t headroom) const noexcept;

  OuterTemplate template_;
  Announcement ipv4_;
  Announcement ipv6_;
  Announcement other_;  // a frame without IP
  bool ethernet_ = false;
  bool checksum_ = false;
  bool sequence_ = false;
  std::optional<uint8_t> ttl_;
  std::optional<uint8_t> tos_;
  DfPolicy df_ = DfPolicy::kOn;
  EcnMode ecn_ = EcnMode::kNormal;
};

}  // namespace encap

#endif  // ENCAP_ENCAPSULATOR_H_
