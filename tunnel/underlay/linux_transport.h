// LinuxTransportFactory: raw sockets to send, packet sockets to receive, and
// the guard sockets that keep the kernel from answering with "protocol
// unreachable".
//
// Descriptors: for each worker two raw and two packet sockets; six guards and
// two ICMP sockets for all of them; half of that without IPv6.

#ifndef TUNNEL_UNDERLAY_LINUX_TRANSPORT_H_
#define TUNNEL_UNDERLAY_LINUX_TRANSPORT_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "tunnel/underlay/transport.h"

namespace tunnel {

// The transports may outlive the factory. receive_fds() of each: IPv4, then
// IPv6 unless the kernel has none.
class LinuxTransportFactory : public TransportFactory {
 public:
  // All sockets belong to the network namespace of the calling thread.
  absl::StatusOr<std::vector<std::unique_ptr<Transport>>> Open(
      size_t workers) override;
};

}  // namespace tunnel

#endif  // TUNNEL_UNDERLAY_LINUX_TRANSPORT_H_
