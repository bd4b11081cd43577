#include "encap/offload/coalesce.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "encap/bytes.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"
#include "encap/wire/tcp.h"
#include "encap/wire/udp.h"

namespace encap {
namespace {

bool SameBytes(const uint8_t* a, const uint8_t* b, size_t begin,
               size_t end) noexcept {
  return std::memcmp(a + begin, b + begin, end - begin) == 0;
}

// Addresses and ports; family and protocol are known to be the same.
bool SameFlow(const uint8_t* a, const uint8_t* b,
              const TransportView& view) noexcept {
  const bool v4 = view.family == IpFamily::kV4;
  const size_t begin = v4 ? ConstIpv4Header::kSource : ConstIpv6Header::kSource;
  // The ports follow the destination address, as there are no options.
  return SameBytes(a, b, begin, view.transport + size_t{4});
}

bool ChecksumsAreRight(std::span<const uint8_t> packet,
                       const TransportView& view) noexcept {
  const uint8_t* p = packet.data();
  if (view.family == IpFamily::kV4 &&
      ConstIpv4Header(p).checksum() !=
          HeaderChecksum(p, ConstIpv4Header::kMinLen)) {
    return false;
  }
  return LoadBe16(p + view.transport + view.checksum_offset()) ==
         TransportChecksum(packet, view);
}

// What segmentation copies from the first header to all others.
bool IpFits(const uint8_t* first, const uint8_t* next, IpFamily family,
            size_t count) noexcept {
  if (family == IpFamily::kV6) {
    return SameBytes(first, next, ConstIpv6Header::kVersionClassLabel,
                     ConstIpv6Header::kPayloadLength) &&
           first[ConstIpv6Header::kHopLimit] ==
               next[ConstIpv6Header::kHopLimit];
  }
  const auto id =
      static_cast<uint16_t>(ConstIpv4Header(first).identification() + count);
  return first[ConstIpv4Header::kTos] == next[ConstIpv4Header::kTos] &&
         SameBytes(first, next, ConstIpv4Header::kFlagsOffset,
                   ConstIpv4Header::kProtocol) &&
         ConstIpv4Header(next).identification() == id;
}

constexpr uint8_t kNeverMerged =
    TcpHeader::kSyn | TcpHeader::kFin | TcpHeader::kRst | TcpHeader::kUrg;

// `offset` is that of the payload of `next` in the super-packet.
bool TcpFits(const uint8_t* first, const uint8_t* next, size_t header_len,
             size_t offset) noexcept {
  const ConstTcpHeader a(first);
  const ConstTcpHeader b(next);
  // CWR stands on the first packet alone, PSH on the last alone.
  const unsigned flags_a = a.flags() & ~unsigned{TcpHeader::kCwr};
  const unsigned flags_b = b.flags() & ~unsigned{TcpHeader::kPsh};
  return flags_a == flags_b &&
         b.sequence() == a.sequence() + static_cast<uint32_t>(offset) &&
         SameBytes(first, next, ConstTcpHeader::kAcknowledgment,
                   ConstTcpHeader::kFlags) &&
         SameBytes(first, next, ConstTcpHeader::kWindow,
                   ConstTcpHeader::kChecksum) &&
         SameBytes(first, next, ConstTcpHeader::kUrgentPointer, header_len);
}

bool HintIsEmpty(const SegmentHint& hint) noexcept {
  return hint.gso_type == GsoType::kNone && !hint.needs_checksum;
}

bool HasPush(const uint8_t* packet, const TransportView& view) noexcept {
  return view.is_tcp() && (ConstTcpHeader(packet + view.transport).flags() &
                           TcpHeader::kPsh) != 0;
}

}  // namespace

Coalescer::Coalescer(const CoalesceOptions& options)
    : options_(options), slots_(std::max<size_t>(options.flows, 1)) {
  const size_t room = options.headroom + kMaxPacket;
  memory_.reset(new uint8_t[slots_.size() * room]);
  for (size_t i = 0; i < slots_.size(); ++i) {
    slots_[i].packet = memory_.get() + i * room + options.headroom;
  }
}

void Coalescer::Offer(PacketBuffer& packet, CoalesceSink& sink) noexcept {
  TransportView view;
  if (!FindTransport(std::as_const(packet).bytes(), view) ||
      view.has_ip_options) {
    Flush(sink);
    sink.Take(packet);
    return;
  }
  Slot* slot = FindFlow(packet.data(), view);
  const bool candidate = IsCandidate(packet, view);
  if (slot != nullptr) {
    if (candidate && CanAppend(*slot, packet.data(), view)) {
      if (Append(*slot, packet.data(), view)) Emit(*slot, sink);
      return;
    }
    Emit(*slot, sink);
  }
  // Nothing can follow a packet with PSH.
  if (!candidate || HasPush(packet.data(), view)) {
    sink.Take(packet);
    return;
  }
  Start(packet, view, sink);
}

bool Coalescer::IsCandidate(const PacketBuffer& packet,
                            const TransportView& view) const noexcept {
  if (!HintIsEmpty(packet.hint()) || packet.size() > kMaxPacket ||
      view.payload_len() == 0) {
    return false;
  }
  const uint8_t* transport = packet.data() + view.transport;
  if (view.is_tcp()) {
    if (!options_.tcp) return false;
    if (ConstTcpHeader(transport).flags() & kNeverMerged) return false;
  } else {
    if (!options_.udp) return false;
    const size_t length = packet.size() - view.transport;
    if (ConstUdpHeader(transport).length() != length) return false;
  }
  return ChecksumsAreRight(packet.bytes(), view);
}

Coalescer::Slot* Coalescer::FindFlow(const uint8_t* packet,
                                     const TransportView& view) noexcept {
  if (held_ == 0) return nullptr;
  for (Slot& slot : slots_) {
    if (slot.count != 0 && slot.view.family == view.family &&
        slot.view.protocol == view.protocol &&
        SameFlow(slot.packet, packet, view)) {
      return &slot;
    }
  }
  return nullptr;
}

bool Coalescer::CanAppend(const Slot& slot, const uint8_t* packet,
                          const TransportView& view) noexcept {
  if (slot.view.header_len != view.header_len ||
      view.payload_len() > slot.gso_size ||
      slot.len + view.payload_len() > kMaxPacket ||
      !IpFits(slot.packet, packet, view.family, slot.count)) {
    return false;
  }
  return !view.is_tcp() ||
         TcpFits(slot.packet + view.transport, packet + view.transport,
                 size_t{view.header_len} - view.transport,
                 slot.len - view.header_len);
}

bool Coalescer::Append(Slot& slot, const uint8_t* packet,
                       const TransportView& view) noexcept {
  std::memcpy(slot.packet + slot.len, packet + view.header_len,
              view.payload_len());
  slot.len += view.payload_len();
  ++slot.count;
  const bool push = HasPush(packet, view);
  if (push) {
    TcpHeader tcp(slot.packet + view.transport);
    tcp.set_flags(tcp.flags() | TcpHeader::kPsh);
  }
  return push || view.payload_len() < slot.gso_size ||
         slot.count == kMaxSegments;
}

Coalescer::Slot* Coalescer::Oldest() noexcept {
  Slot* oldest = nullptr;
  for (Slot& slot : slots_) {
    if (slot.count == 0) continue;
    if (oldest == nullptr || slot.age < oldest->age) oldest = &slot;
  }
  return oldest;
}

Coalescer::Slot& Coalescer::FreeSlot(CoalesceSink& sink) noexcept {
  if (held_ == slots_.size()) Emit(*Oldest(), sink);
  return *std::find_if(slots_.begin(), slots_.end(),
                       [](const Slot& slot) { return slot.count == 0; });
}

void Coalescer::Start(PacketBuffer& packet, const TransportView& view,
                      CoalesceSink& sink) noexcept {
  Slot& slot = FreeSlot(sink);
  std::memcpy(slot.packet, packet.data(), packet.size());
  slot.view = view;
  slot.len = packet.size();
  slot.gso_size = static_cast<uint16_t>(view.payload_len());
  slot.count = 1;
  slot.age = next_age_++;
  ++held_;
}

void Coalescer::Finish(const Slot& slot, SegmentHint& hint) noexcept {
  const TransportView& view = slot.view;
  const bool v4 = view.family == IpFamily::kV4;
  if (v4) {
    Ipv4Header ip(slot.packet);
    ip.set_total_length(static_cast<uint16_t>(slot.len));
    ip.set_checksum(HeaderChecksum(slot.packet, Ipv4Header::kMinLen));
  } else {
    Ipv6Header(slot.packet)
        .set_payload_length(static_cast<uint16_t>(slot.len - Ipv6Header::kLen));
  }
  uint8_t* transport = slot.packet + view.transport;
  const size_t length = slot.len - view.transport;
  hint.gso_type = GsoType::kUdp;
  if (view.is_tcp()) {
    hint.gso_type = v4 ? GsoType::kTcp4 : GsoType::kTcp6;
    hint.tcp_ecn = (TcpHeader(transport).flags() & TcpHeader::kCwr) != 0;
  } else {
    UdpHeader(transport).set_length(static_cast<uint16_t>(length));
  }
  StoreBe16(transport + view.checksum_offset(),
            Be16::FromRaw(PseudoSum(slot.packet, view, length)));
  hint.needs_checksum = true;
  hint.gso_size = slot.gso_size;
  hint.header_len = view.header_len;
  hint.checksum_start = view.transport;
  hint.checksum_offset = view.checksum_offset();
}

void Coalescer::Emit(Slot& slot, CoalesceSink& sink) noexcept {
  PacketBuffer packet(
      {slot.packet - options_.headroom, options_.headroom + kMaxPacket},
      options_.headroom, slot.len);
  if (slot.count > 1) Finish(slot, packet.hint());
  slot.count = 0;
  --held_;
  sink.Take(packet);
}

void Coalescer::Flush(CoalesceSink& sink) noexcept {
  while (held_ != 0) Emit(*Oldest(), sink);
}

}  // namespace encap
