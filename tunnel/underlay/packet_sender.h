// PacketSender: sends finished outer IP packets: runs of UDP packets as
// super-packets, others through a packet socket where the next hop is known,
// and the rest through raw sockets. One thread.

#ifndef TUNNEL_UNDERLAY_PACKET_SENDER_H_
#define TUNNEL_UNDERLAY_PACKET_SENDER_H_

#include <cstddef>
#include <memory>
#include <span>

#include "absl/status/statusor.h"
#include "tunnel/underlay/link_sender.h"
#include "tunnel/underlay/raw_sender.h"
#include "tunnel/underlay/transport.h"
#include "tunnel/underlay/udp_sender.h"

namespace tunnel {

class PacketSender {
 public:
  // Without `by_link` the routes' next hops are not looked at. Errors: as
  // RawSender::Open() and LinkSender::Open().
  static absl::StatusOr<std::unique_ptr<PacketSender>> Open(bool by_link);

  // As Transport::SendBatch(), and as RawSender::SendBatch(), which takes what
  // UdpSender refuses. In the network namespace that Open() was called in.
  size_t SendBatch(std::span<OutgoingPacket> packets) noexcept;

  const UdpSender& udp() const noexcept { return udp_; }

 private:
  PacketSender(std::unique_ptr<RawSender> raw,
               std::unique_ptr<LinkSender> link);
  // Each packet by itself; returns system calls.
  size_t SendSingly(std::span<OutgoingPacket> packets) noexcept;

  const std::unique_ptr<RawSender> raw_;
  const std::unique_ptr<LinkSender> link_;  // may be null
  UdpSender udp_;
};

}  // namespace tunnel

#endif  // TUNNEL_UNDERLAY_PACKET_SENDER_H_
