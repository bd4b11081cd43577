// UdpPortLease: a UDP port of the transports for as long as it lives.

#ifndef TUNNEL_UNDERLAY_UDP_PORT_LEASE_H_
#define TUNNEL_UNDERLAY_UDP_PORT_LEASE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/underlay/transport.h"

namespace tunnel {

class UdpPortLease {
 public:
  // `factory` outlives the lease. Made and destroyed by the holder of the
  // configuration lock. Errors: as TakeUdpPort().
  static absl::StatusOr<std::shared_ptr<const UdpPortLease>> Take(
      TransportFactory& factory, const UdpReceivePort& port) {
    RETURN_IF_ERROR(factory.TakeUdpPort(port));
    return std::shared_ptr<const UdpPortLease>(new UdpPortLease(factory, port));
  }
  ~UdpPortLease() { factory_.DropUdpPort(port_); }
  UdpPortLease(const UdpPortLease&) = delete;
  UdpPortLease& operator=(const UdpPortLease&) = delete;

  const UdpReceivePort& port() const { return port_; }

 private:
  UdpPortLease(TransportFactory& factory, const UdpReceivePort& port)
      : factory_(factory), port_(port) {}

  TransportFactory& factory_;
  const UdpReceivePort port_;
};

}  // namespace tunnel

#endif  // TUNNEL_UNDERLAY_UDP_PORT_LEASE_H_
