// MergedUdp: takes outer UDP packets apart that were merged into one.
//
// Merged are packets of one flow by the kernel's UDP_GRO, by a network card, or
// never taken apart since their sender on this host made them with UDP_SEGMENT:
//
//   IP | UDP | payload 1 | payload 2 | ... | payload n
//
// with the UDP length of the sum, every payload gso_size bytes but the last,
// which may be shorter. Each payload is a GRE header and packet, or a packet.
// No heap, lock, log, exception or clock.

#ifndef ENCAP_MERGED_UDP_H_
#define ENCAP_MERGED_UDP_H_

#include <cstddef>

#include "encap/drop_reason.h"
#include "encap/outer_parse.h"
#include "encap/packet.h"

namespace encap {

class MergedUdp {
 public:
  // `packet` starts at the outer IP header. True when its hint says that outer
  // UDP packets to a tunnel port were merged; whoever did so has verified their
  // checksums. False, for ParseOuter() to judge, for every other packet: also
  // when the outer headers are malformed, and for an inner super-packet.
  static bool Start(const PacketBuffer& packet, const ParseOptions& options,
                    MergedUdp& merged) noexcept;

  bool done() const noexcept { return at_ >= end_; }

  // Not after done(). Makes `packet` and `info` what Decapsulate() takes for
  // the next of the packets; the reason is that of ParseUdpPayload(). In the
  // place of the outer headers of all but the first are the last bytes of the
  // one before: none of them is read or changed by Decapsulate(), and the
  // headroom of one packet overlaps the packet before it.
  DropReason Next(PacketBuffer& packet, OuterInfo& info) noexcept;

 private:
  PacketBuffer packet_;
  OuterInfo outer_;
  size_t at_ = 0;       // of the next payload, from the outer IP header
  size_t end_ = 0;      // of the last one
  size_t segment_ = 0;  // bytes
};

}  // namespace encap

#endif  // ENCAP_MERGED_UDP_H_
