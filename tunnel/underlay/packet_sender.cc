#include "tunnel/underlay/packet_sender.h"

#include <utility>

#include "encap/drop_reason.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/underlay/udp_run.h"

namespace tunnel {

absl::StatusOr<std::unique_ptr<PacketSender>> PacketSender::Open(bool by_link) {
  ASSIGN_OR_RETURN(std::unique_ptr<RawSender> raw, RawSender::Open());
  std::unique_ptr<LinkSender> link;
  if (by_link) {
    ASSIGN_OR_RETURN(link, LinkSender::Open());
  }
  return std::unique_ptr<PacketSender>(
      new PacketSender(std::move(raw), std::move(link)));
}

PacketSender::PacketSender(std::unique_ptr<RawSender> raw,
                           std::unique_ptr<LinkSender> link)
    : raw_(std::move(raw)), link_(std::move(link)) {}

size_t PacketSender::SendBatch(std::span<OutgoingPacket> packets) noexcept {
  const uint64_t before = udp_.calls();
  size_t single_calls = 0;
  size_t waiting = 0;  // packets at the front that go one by one
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
    if (waiting != 0) single_calls += SendSingly(packets.first(waiting));
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
  if (waiting != 0) single_calls += SendSingly(packets);
  return single_calls + (udp_.calls() - before);
}

size_t PacketSender::SendSingly(std::span<OutgoingPacket> packets) noexcept {
  if (link_ == nullptr) return raw_->SendBatch(packets);
  size_t calls = 0;
  while (!packets.empty()) {
    const size_t run = link_->Takes(packets);
    LinkSender::Result result;
    if (run != 0) result = link_->Send(packets.first(run));
    calls += result.calls;
    packets = packets.subspan(result.done);
    if (packets.empty() || (run != 0 && result.done == run)) continue;
    // One that the kernel has refused, or all up to the next that is taken.
    size_t raw = 1;
    while (run == 0 && raw < packets.size() &&
           link_->Takes(packets.subspan(raw)) == 0)
      ++raw;
    calls += raw_->SendBatch(packets.first(raw));
    packets = packets.subspan(raw);
  }
  return calls;
}

}  // namespace tunnel
