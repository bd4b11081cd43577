// Segmentation of a TCP or UDP super-packet (GSO), in software.
//
// Pure: bytes in, bytes out, no heap, lock or clock. What a super-packet is,
// its SegmentHint says, as a TUN device with a vnet header hands it over.

#ifndef ENCAP_OFFLOAD_SEGMENT_H_
#define ENCAP_OFFLOAD_SEGMENT_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "encap/drop_reason.h"
#include "encap/offload/transport_view.h"
#include "encap/packet.h"

namespace encap {

// How one packet is cut.
struct SegmentPlan {
  TransportView view;
  uint16_t gso_size = 0;  // payload bytes of every segment but the last
  uint16_t count = 0;     // segments, 1 at least

  // Bytes of the longest segment, headers included.
  size_t max_len() const noexcept {
    const size_t payload = view.payload_len();
    return view.header_len + (payload < gso_size ? payload : gso_size);
  }
};

// Plans the segments of `packet`, an IPv4 or IPv6 packet whose hint has a GSO
// type. The lengths are read from the headers; hint().header_len is not used.
// Errors: kBadIpHeader (no TCP or UDP packet, an IP fragment, lengths that do
// not fit), kUnknownProtocol (the GSO type is kNone or that of another
// protocol), kTruncated (gso_size is 0 or makes more than 65,535 segments).
DropReason PlanSegments(const PacketBuffer& packet, SegmentPlan& plan) noexcept;

// Appends segment `index` of `packet` to `out`, which is empty and becomes a
// finished packet with a hint of zeroes: lengths, IPv4 identification (that of
// the packet plus `index`) and header checksum, TCP sequence number, TCP or UDP
// checksum. FIN and PSH stay on the last segment alone, CWR on the first (RFC
// 3168 6.1.2). What the checksum fields of `packet` hold is not looked at.
// kTooBig, and no change, when the tailroom of `out` is too small.
DropReason WriteSegment(const PacketBuffer& packet, const SegmentPlan& plan,
                        size_t index, PacketBuffer& out) noexcept;

// Both at once: the segments are out[0] to out[count - 1]. On any reason but
// kNone `count` is 0. Errors: those of the two, kTooBig too when `out` has
// fewer buffers than there are segments.
DropReason Segment(const PacketBuffer& packet, std::span<PacketBuffer> out,
                   size_t& count) noexcept;

}  // namespace encap

#endif  // ENCAP_OFFLOAD_SEGMENT_H_
