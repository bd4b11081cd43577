// Encapsulator: puts the outer headers of one tunnel in front of a packet.
//
// Built once from an EncapConfig, then immutable: any number of threads may
// call Encapsulate() at once, each with an OutputState of its own. No heap,
// lock, log, exception or clock.

#ifndef ENCAP_ENCAPSULATOR_H_
#define ENCAP_ENCAPSULATOR_H_

#include <cstdint>

#include "encap/drop_reason.h"
#include "encap/encap_config.h"
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
  // does not carry), kTooBig (above 65,535 bytes), kTtlExpired (inherited TTL
  // 0).
  DropReason Encapsulate(PacketBuffer& packet,
                         OutputState& state) const noexcept;

 private:
  OuterTemplate template_;
};

}  // namespace encap

#endif  // ENCAP_ENCAPSULATOR_H_
