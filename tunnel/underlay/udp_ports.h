// UdpPorts: the UDP ports in use, each held by a socket that takes nothing.
//
// Packets come through the packet sockets. The socket here keeps other programs
// off the port and the kernel from answering with "port unreachable".

#ifndef TUNNEL_UNDERLAY_UDP_PORTS_H_
#define TUNNEL_UNDERLAY_UDP_PORTS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tunnel/base/unique_fd.h"
#include "tunnel/underlay/transport.h"

namespace tunnel {

class UdpPorts {
 public:
  // Of each IP version. Every packet of UDP for this host is compared with
  // them.
  static constexpr size_t kMaxPorts = 256;

  // True when the port is new: Of() has changed. Errors: as
  // TransportFactory::TakeUdpPort().
  absl::StatusOr<bool> Take(const UdpReceivePort& port);
  // True when that was the last use of the port.
  bool Drop(const UdpReceivePort& port) noexcept;

  // In use, ascending.
  std::vector<uint16_t> Of(encap::IpFamily family) const;

 private:
  struct Use {
    UniqueFd guard;
    size_t count = 0;
  };
  std::map<UdpReceivePort, Use> uses_;
};

}  // namespace tunnel

#endif  // TUNNEL_UNDERLAY_UDP_PORTS_H_
