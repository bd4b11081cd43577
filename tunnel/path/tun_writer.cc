#include "tunnel/path/tun_writer.h"

#include <cstring>
#include <span>

#include "encap/address.h"
#include "encap/drop_reason.h"
#include "encap/inner_packet.h"
#include "tunnel/endpoint/capture_tap.h"

namespace tunnel {
namespace {

using encap::PacketBuffer;

// The hint of a packet whose front moves `bytes` outwards; inwards when it is
// negative.
void MoveHint(encap::SegmentHint& hint, int bytes) noexcept {
  const auto move = [bytes](uint16_t& offset) {
    offset = static_cast<uint16_t>(offset + bytes);
  };
  if (hint.needs_checksum) move(hint.checksum_start);
  if (hint.gso_type != encap::GsoType::kNone) move(hint.header_len);
}

}  // namespace

TunWriter::TunWriter(size_t worker, OwnedCounter& writes)
    : worker_(worker),
      writes_(writes),
      coalescer_({.flows = kFlows, .headroom = kTunHeadroom + kMaxLinkHeader}) {
}

void TunWriter::Write(Endpoint& endpoint, bool ethernet, PacketBuffer& packet,
                      bool last) noexcept {
  if (endpoint_ != &endpoint) Begin(endpoint);
  if (coalescer_.held() == 0 && (last || !queue_->offloads().tcp))
    return Put(packet);
  if (ethernet) return WriteFrame(packet);
  link_len_ = 0;
  coalescer_.Offer(packet, *this);
}

void TunWriter::Begin(Endpoint& endpoint) noexcept {
  WriteHeld();
  endpoint_ = &endpoint;
  queue_ = &endpoint_->write_queue(worker_);
  coalescer_.set_udp(queue_->offloads().udp);
}

// Frames are merged with those that have the same link header.
void TunWriter::WriteFrame(PacketBuffer& frame) noexcept {
  encap::InnerPacket inner;
  if (encap::ReadInnerFrame(frame.bytes(), inner) != encap::DropReason::kNone ||
      inner.family == encap::IpFamily::kNone ||
      inner.ip_offset > kMaxLinkHeader) {
    WriteHeld();
    return Put(frame);
  }
  if (coalescer_.held() != 0 &&
      (inner.ip_offset != link_len_ ||
       std::memcmp(frame.data(), link_.data(), link_len_) != 0)) {
    WriteHeld();
  }
  link_len_ = inner.ip_offset;
  std::memcpy(link_.data(), frame.data(), link_len_);
  frame.PullInside(link_len_);
  MoveHint(frame.hint(), -static_cast<int>(link_len_));
  coalescer_.Offer(frame, *this);
}

void TunWriter::Take(PacketBuffer& packet) noexcept {
  if (link_len_ != 0) {
    std::memcpy(packet.PushInside(link_len_), link_.data(), link_len_);
    MoveHint(packet.hint(), static_cast<int>(link_len_));
  }
  Put(packet);
}

void TunWriter::Put(PacketBuffer& packet) noexcept {
  TunnelWorkerCounters& tunnel = endpoint_->counters(worker_);
  const PacketTotals totals = TotalsOf(packet);
  const TapSet* const taps = endpoint_->taps().Load();
  const std::span<const uint8_t> inner = packet.bytes();
  writes_.Add(1);
  if (queue_->Write(packet) != TunQueue::WriteResult::kOk) {
    constexpr auto kWhy = encap::DropReason::kInnerWriteError;
    tunnel.CountDropRx(kWhy, totals.packets);
    if (taps != nullptr)
      taps->Drop(worker_, false, kWhy, CapturedPacket::Layer::kInner, inner);
    return;
  }
  if (taps != nullptr) taps->Inner(worker_, false, inner);
  tunnel.receive_packets.Add(totals.packets);
  tunnel.receive_bytes.Add(totals.bytes);
}

}  // namespace tunnel
