// UdpSender: sends runs of outer UDP packets as super-packets (UDP_SEGMENT),
// which pass through the kernel as one packet. One thread.
//
// The kernel makes the outer headers anew. All but the IPv4 identification is
// as in the packets that were handed over.

#ifndef TUNNEL_UNDERLAY_UDP_SENDER_H_
#define TUNNEL_UNDERLAY_UDP_SENDER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "tunnel/underlay/transport.h"
#include "tunnel/underlay/udp_run.h"
#include "tunnel/underlay/udp_sockets.h"

namespace tunnel {

class UdpSender {
 public:
  UdpSender();
  ~UdpSender();

  enum class Result : uint8_t {
    kSent,
    kQueueFull,  // ENOBUFS, EAGAIN, ENOMEM: nothing was sent
    kRefused,    // nothing was sent; the packets must leave another way
  };
  // True when Send() would ask the kernel to send `run`, which are
  // UdpRunLength() packets that share `headers`. The socket of their source
  // port is opened here for two packets and more, in the network namespace of
  // the calling thread; a packet alone takes it where it is open, so that the
  // packets of a flow keep together. False for IPv6 packets for an interface,
  // unless the remote is link-local, and where UdpSockets has no socket.
  bool Takes(std::span<const OutgoingPacket> run,
             const UdpHeaders& headers) noexcept;
  // Right after Takes() was true for the same run. kRefused is what the kernel
  // can not do for this route or socket; Takes() is false for a while then.
  Result Send(std::span<const OutgoingPacket> run,
              const UdpHeaders& headers) noexcept;

  // System calls of Send().
  uint64_t calls() const noexcept { return calls_; }
  size_t open_sockets() const noexcept { return sockets_.open(); }

 private:
  struct Message;

  UdpSockets sockets_;
  int fd_ = -1;  // as Takes() has found it; owned by sockets_
  uint64_t now_ns_ = 0;
  const std::unique_ptr<Message> message_;
  uint64_t calls_ = 0;
};

}  // namespace tunnel

#endif  // TUNNEL_UNDERLAY_UDP_SENDER_H_
