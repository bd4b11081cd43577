// Coalescer: merges received TCP and UDP packets of one flow into super-packets
// (GRO), in the form that a TUN device with a vnet header takes.
//
// Segment() gives back the bytes of every packet that went in. So a packet is
// merged only where that holds:
// - TCP or UDP directly behind an IPv4 header without options or an IPv6 header
//   without extension headers, no fragment, no bytes behind the packet, a hint
//   of zeroes, with payload;
// - IPv4 header checksum and TCP or UDP checksum present and right;
// - TOS or traffic class (so ECN too), TTL or hop limit, flow label, DF and the
//   reserved flag are those of the first packet, and the IPv4 identification
//   counts up by one;
// - TCP: the sequence number is the next one; acknowledgment, window, flags and
//   options are those of the first packet. SYN, FIN, RST and URG are never
//   merged, PSH ends a super-packet, CWR can only begin one;
// - every payload has the size of the first one; a smaller one ends the
//   super-packet, which has at most 65,535 bytes and kMaxSegments segments.
//
// The packets of a flow leave in the order in which they came. One that is not
// merged leaves behind those of its flow that are held; one whose ports can not
// be seen (a fragment, IP options, another protocol) leaves behind all that is
// held. The caller calls Flush() when a batch ends.
//
// Memory is allocated by the constructor alone. Not thread-safe: one per
// thread.

#ifndef ENCAP_OFFLOAD_COALESCE_H_
#define ENCAP_OFFLOAD_COALESCE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "encap/offload/transport_view.h"
#include "encap/packet.h"

namespace encap {

// Takes what leaves a Coalescer.
class CoalesceSink {
 public:
  virtual ~CoalesceSink() = default;
  // `packet` is that of Offer(), or memory of the Coalescer; good until the
  // call returns. A merged packet has GSO type, segment size and a partial
  // checksum in its hint; any other packet is as it came.
  virtual void Take(PacketBuffer& packet) noexcept = 0;
};

struct CoalesceOptions {
  size_t flows = 8;     // that can be merged at once, 1 or more
  size_t headroom = 0;  // bytes in front of a packet that Take() gets
  bool tcp = true;      // false: none is merged
  bool udp = true;      // the same; a TUN device must know UDP_L4 for it
};

class Coalescer {
 public:
  static constexpr size_t kMaxSegments = 64;
  static constexpr size_t kMaxPacket = 65535;  // bytes of a super-packet

  // Takes `flows` * (`headroom` + 65,535) bytes of memory.
  explicit Coalescer(const CoalesceOptions& options);
  Coalescer(const Coalescer&) = delete;
  Coalescer& operator=(const Coalescer&) = delete;

  // Copies an IP packet into a super-packet or gives it to `sink`, perhaps
  // behind others; the caller may reuse its memory afterwards.
  void Offer(PacketBuffer& packet, CoalesceSink& sink) noexcept;

  // Gives all that is held to `sink`, the oldest first.
  void Flush(CoalesceSink& sink) noexcept;

  // Whether UDP is merged, from the next Offer() on.
  void set_udp(bool udp) noexcept { options_.udp = udp; }

  // Flows that are held now.
  size_t held() const noexcept { return held_; }

 private:
  // One super-packet in the making. The bytes are those of the first packet,
  // followed by the payload of the others.
  struct Slot {
    TransportView view;         // of the first packet
    uint8_t* packet = nullptr;  // kMaxPacket bytes behind the headroom
    size_t len = 0;             // bytes held
    uint16_t gso_size = 0;      // payload of the first packet
    uint16_t count = 0;         // packets held; 0: free
    uint64_t age = 0;           // counts up from slot to slot as they begin
  };

  bool IsCandidate(const PacketBuffer& packet,
                   const TransportView& view) const noexcept;
  Slot* FindFlow(const uint8_t* packet, const TransportView& view) noexcept;
  Slot* Oldest() noexcept;
  Slot& FreeSlot(CoalesceSink& sink) noexcept;
  void Start(PacketBuffer& packet, const TransportView& view,
             CoalesceSink& sink) noexcept;
  void Emit(Slot& slot, CoalesceSink& sink) noexcept;
  static bool CanAppend(const Slot& slot, const uint8_t* packet,
                        const TransportView& view) noexcept;
  // True when the super-packet is complete by it.
  static bool Append(Slot& slot, const uint8_t* packet,
                     const TransportView& view) noexcept;
  // Headers and hint of a super-packet of two packets or more.
  static void Finish(const Slot& slot, SegmentHint& hint) noexcept;

  CoalesceOptions options_;
  // Not initialised: pages that no packet needs are never touched.
  std::unique_ptr<uint8_t[]> memory_;
  std::vector<Slot> slots_;
  size_t held_ = 0;
  uint64_t next_age_ = 0;
};

}  // namespace encap

#endif  // ENCAP_OFFLOAD_COALESCE_H_
