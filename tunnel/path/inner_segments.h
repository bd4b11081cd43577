// InnerSegments: the segments of a super-packet that came from a device.
//
// As encap::PlanSegments(), and of Ethernet frames too: each segment gets the
// link header of the frame. No heap, lock or clock; a value for one packet.

#ifndef TUNNEL_PATH_INNER_SEGMENTS_H_
#define TUNNEL_PATH_INNER_SEGMENTS_H_

#include <cstddef>
#include <cstdint>

#include "encap/drop_reason.h"
#include "encap/offload/segment.h"
#include "encap/packet.h"

namespace tunnel {

// The longest link header that a frame with an IP packet is understood with:
// Ethernet and one VLAN tag, bytes.
inline constexpr size_t kMaxLinkHeader = 18;

class InnerSegments {
 public:
  // `packet`, a frame if `ethernet`, has a GSO type in its hint; it must stay
  // as it is while the object is used. Errors: those of encap::PlanSegments(),
  // and kBadIpHeader for a frame without an IP packet.
  static encap::DropReason Plan(const encap::PacketBuffer& packet,
                                bool ethernet,
                                InnerSegments& segments) noexcept;

  size_t count() const noexcept { return plan_.count; }
  // Bytes of the longest segment, link header included.
  size_t max_len() const noexcept { return link_len_ + plan_.max_len(); }

  // Makes `out` segment `index`, which must be below count(). `out` is empty,
  // with kMaxLinkHeader bytes of headroom beyond what the caller wants to keep
  // and max_len() bytes of tailroom.
  void Write(size_t index, encap::PacketBuffer& out) const noexcept;

 private:
  encap::PacketBuffer ip_;  // the packet without its link header
  size_t link_len_ = 0;     // bytes in front of ip_
  encap::SegmentPlan plan_;
};

// What a packet counts for: of a super-packet, its segments.
struct PacketTotals {
  uint64_t packets = 1;
  uint64_t bytes = 0;  // of all of them, headers included
};

// `packet` has a hint whose header_len is right if it is a super-packet.
PacketTotals TotalsOf(const encap::PacketBuffer& packet) noexcept;

// The number of packets that were merged into `packet`, outer headers and all,
// whose hint has no header_len yet. Where the kernel left no partial checksum
// the headers are not looked for, and it may be one too few.
uint64_t MergedCount(const encap::PacketBuffer& packet) noexcept;

}  // namespace tunnel

#endif  // TUNNEL_PATH_INNER_SEGMENTS_H_
