// Transport: the way of outer packets to and from the wire, for one worker.
//
// A worker owns its transport: one thread calls it, and no function blocks. All
// tunnels of the worker share it, so that the number of sockets does not grow
// with the number of tunnels.

#ifndef TUNNEL_UNDERLAY_TRANSPORT_H_
#define TUNNEL_UNDERLAY_TRANSPORT_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "encap/address.h"
#include "encap/drop_reason.h"
#include "encap/packet.h"
#include "tunnel/netlink/next_hop.h"

namespace tunnel {

// Where a packet of a tunnel goes. Kept in the tunnel's variant.
struct SendRoute {
  encap::IpAddress remote;
  uint32_t ifindex = 0;  // leave by this interface; 0: as the routes say
  uint32_t mark = 0;     // SO_MARK; 0: none
  // Where it leads on the link; nullptr: for the kernel to find out.
  std::shared_ptr<const NextHop> next_hop = nullptr;
};

struct OutgoingPacket {
  encap::PacketBuffer* packet = nullptr;  // a finished outer IP packet
  const SendRoute* route = nullptr;
  encap::DropReason result = encap::DropReason::kNone;  // set by SendBatch()
};

struct IncomingPacket {
  encap::PacketBuffer packet;  // starts at the outer IP header; hint set
  uint32_t ifindex = 0;        // interface that it came in by
};

// An ICMP or ICMPv6 error that came to this host and quotes a packet of a
// tunnel protocol; anybody may have sent it.
struct IncomingError {
  encap::IpFamily family = encap::IpFamily::kNone;  // of ICMP itself
  // From the ICMP header on. The checksum of ICMPv6 is right, that of ICMP has
  // not been looked at. What lies beyond some 2,000 bytes is cut off.
  std::span<const uint8_t> message;
};

class Transport {
 public:
  virtual ~Transport() = default;

  // Descriptors that become readable when packets wait; owned by the transport.
  virtual std::vector<int> receive_fds() const = 0;

  // Up to 64 packets that wait at receive_fds()[index]. They live in storage of
  // the transport, good until the next call with the same index. They have
  // encap::kMaxEncapHeadroom bytes of headroom in front of the outer header.
  // The outer IPv4 header checksum has not been verified: packets come from
  // before the kernel's IP input. It is right in merged packets too.
  virtual std::span<IncomingPacket> ReceiveBatch(size_t index) noexcept = 0;

  // Sends all, in order, and sets each `result`: kNone, kQueueFull (ENOBUFS,
  // EAGAIN), kNoRoute (ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL, ENETDOWN,
  // ENXIO), kTooBig (EMSGSIZE) or kSendError. One refused packet does not hold
  // up the rest. Returns the number of system calls made.
  virtual size_t SendBatch(std::span<OutgoingPacket> packets) noexcept = 0;

  // Descriptors that become readable when ICMP errors about packets that were
  // sent wait; owned by the transport. Of the transports of a group one alone
  // has any, and gets the errors for all.
  virtual std::vector<int> error_fds() const { return {}; }

  // Up to 16 errors that wait at error_fds()[index], good until the next call
  // with the same index.
  virtual std::span<const IncomingError> ReceiveErrors(size_t) noexcept {
    return {};
  }

  // Packets lost since the start before ReceiveBatch() could give them out: the
  // receive buffer was full, or the kernel could not describe the packet, or
  // its outer checksum was left unfinished. Read by the owning worker only.
  virtual uint64_t receive_drops() noexcept = 0;
};

// A port that tunnels in UDP receive on, at every address of this host.
struct UdpReceivePort {
  encap::IpFamily family = encap::IpFamily::kNone;
  uint16_t port = 0;  // host order

  friend auto operator<=>(const UdpReceivePort&,
                          const UdpReceivePort&) = default;
};

// A wire for every worker. Calls are serialised by the caller.
class TransportFactory {
 public:
  virtual ~TransportFactory() = default;
  // One transport for each of `workers` workers, which share what comes in by
  // flow. Errors: MISSING_CAPABILITY, FD_LIMIT, KERNEL_FEATURE_MISSING.
  virtual absl::StatusOr<std::vector<std::unique_ptr<Transport>>> Open(
      size_t workers) = 0;

  // From now on the transports receive what comes for `port`, and no other
  // program can. Each TakeUdpPort() that was OK wants one DropUdpPort(); UDP
  // ends with the last of them. Errors: UDP_PORT_IN_USE (by another program),
  // UDP_PORT_LIMIT, FD_LIMIT, KERNEL_FEATURE_MISSING (no IPv6); nothing has
  // changed then.
  virtual absl::Status TakeUdpPort(const UdpReceivePort& port) = 0;
  virtual void DropUdpPort(const UdpReceivePort& port) noexcept = 0;
};

}  // namespace tunnel

#endif  // TUNNEL_UNDERLAY_TRANSPORT_H_
