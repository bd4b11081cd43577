#include "tunnel/underlay/packet_sender.h"

#include <utility>

#include "encap/drop_reason.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/underlay/udp_run.h"

namespace tunnel {

absl::StatusOr<std::unique_ptr<PacketSender>> PacketSender::Open() {
  ASSIGN_OR_RETURN(std::unique_ptr<RawSender> raw, RawSender::Open());
  return std::unique_ptr<PacketSender>(new PacketSender(std::move(raw)));
}

PacketSender::PacketSender(std::unique_ptr<RawSender> raw)
    : raw_(std::move(raw)) {}

size_t PacketSender::SendBatch(std::span<OutgoingPacket> packets) noexcept {
  const uint64_t before = udp_.calls();
  size_t raw_calls = 0;
  size_t waiting = 0;  // packets at the front that are for the raw sockets
  while (waiting < packets.size()) {
    const std::span<OutgoingPacket> rest = packets.subspan(waiting);
    UdpHeaders headers;
    if (!ReadUdpHeaders(rest[0].packet->bytes(), headers)) {
      ++waiting;
      continue;
    }
    const std::span<OutgoingPacket> run =
        rest.first(UdpRunLength(rest, headers));
    if (!udp_.Takes(run, headers)) {
      waiting += run.size();
      continue;
    }
    // What comes before goes first.
    if (waiting != 0) raw_calls += raw_->SendBatch(packets.first(waiting));
    waiting = 0;
    packets = rest;
    const UdpSender::Result result = udp_.Send(run, headers);
    if (result == UdpSender::Result::kRefused) {
      waiting = run.size();
      continue;
    }
    const auto reason = result == UdpSender::Result::kSent
                            ? encap::DropReason::kNone
                            : encap::DropReason::kQueueFull;
    for (OutgoingPacket& packet : run) packet.result = reason;
    packets = rest.subspan(run.size());
  }
  if (waiting != 0) raw_calls += raw_->SendBatch(packets);
  return raw_calls + (udp_.calls() - before);
}

}  // namespace tunnel
