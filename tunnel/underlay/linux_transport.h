// LinuxTransportFactory: raw, packet and UDP sockets to send, packet sockets
// to receive, and the guard sockets that keep the kernel from answering with
// "protocol unreachable".
//
// Descriptors: for each worker two raw sockets and two or, to send on the link,
// three packet sockets; six guards and
// two ICMP sockets for all of them; half of that without IPv6. One more for
// each UDP port and IP version; up to 128 a worker for the source ports of
// flows in UDP (udp_sockets.h).

#ifndef TUNNEL_UNDERLAY_LINUX_TRANSPORT_H_
#define TUNNEL_UNDERLAY_LINUX_TRANSPORT_H_

#include <linux/filter.h>

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "tunnel/underlay/packet_receiver.h"
#include "tunnel/underlay/transport.h"
#include "tunnel/underlay/udp_ports.h"

namespace tunnel {

// The transports may outlive the factory. receive_fds() of each: IPv4, then
// IPv6 unless the kernel has none.
class LinuxTransportFactory : public TransportFactory {
 public:
  struct Options {
    // Packets whose route has a known next hop go there through a packet
    // socket.
    bool send_on_link = false;
  };

  LinuxTransportFactory() = default;
  explicit LinuxTransportFactory(const Options& options) : options_(options) {}

  // All sockets belong to the network namespace of the calling thread.
  absl::StatusOr<std::vector<std::unique_ptr<Transport>>> Open(
      size_t workers) override;
  absl::Status TakeUdpPort(const UdpReceivePort& port) override;
  void DropUdpPort(const UdpReceivePort& port) noexcept override;

 private:
  using Receivers = std::vector<std::weak_ptr<PacketReceiver>>;

  std::vector<sock_filter> Filter(encap::IpFamily family) const;
  // Has the receivers of `family` take the ports in use, and no others.
  absl::Status SetFilters(encap::IpFamily family);

  const Options options_{};
  UdpPorts udp_ports_;
  Receivers v4_;
  Receivers v6_;
};

}  // namespace tunnel

#endif  // TUNNEL_UNDERLAY_LINUX_TRANSPORT_H_
