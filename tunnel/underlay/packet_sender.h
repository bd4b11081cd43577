// PacketSender: sends finished outer IP packets, runs of UDP packets as
// super-packets and all others through raw sockets. One thread.

#ifndef TUNNEL_UNDERLAY_PACKET_SENDER_H_
#define TUNNEL_UNDERLAY_PACKET_SENDER_H_

#include <cstddef>
#include <memory>
#include <span>

#include "absl/status/statusor.h"
#include "tunnel/underlay/raw_sender.h"
#include "tunnel/underlay/transport.h"
#include "tunnel/underlay/udp_sender.h"

namespace tunnel {

class PacketSender {
 public:
  // Errors: as RawSender::Open().
  static absl::StatusOr<std::unique_ptr<PacketSender>> Open();

  // As Transport::SendBatch(), and as RawSender::SendBatch(), which takes what
  // UdpSender refuses. In the network namespace that Open() was called in.
  size_t SendBatch(std::span<OutgoingPacket> packets) noexcept;

  const UdpSender& udp() const noexcept { return udp_; }

 private:
  explicit PacketSender(std::unique_ptr<RawSender> raw);

  const std::unique_ptr<RawSender> raw_;
  UdpSender udp_;
};

}  // namespace tunnel

#endif  // TUNNEL_UNDERLAY_PACKET_SENDER_H_
